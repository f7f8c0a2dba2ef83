"""What a student reads when their module does not import: the error, and the lines of theirs that led to it."""
from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tinytorch import _overlay

_LIMIT = 8  # lines of the student's that are shown


@dataclass(frozen=True)
class Problem:
    """Why a module can't be tested, ready to print."""

    text: str

    @property
    def first_line(self) -> str:
        return self.text.strip().splitlines()[0]


def problem_of(error: BaseException) -> Problem:
    """Tell an error of the student's code from its end to the student's line, without the machinery in between."""
    if isinstance(error, SyntaxError) and error.filename:
        told = "".join(traceback.format_exception_only(error)).rstrip()
        return Problem(f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}\n\n{told}")
    what = said(error)
    frames = _own_frames(error.__traceback__)
    if not frames:
        return Problem(what)
    lines = "".join(traceback.format_list(frames[-_LIMIT:])).rstrip()
    return Problem(f"{frames[-1].filename}:{frames[-1].lineno}: {what}\n\n{lines}\n{what}")


def said(error: BaseException) -> str:
    """An error's type and text."""
    name = "the module ends Python by itself: SystemExit" if isinstance(error, SystemExit) else type(error).__name__
    text = text_of(error)
    if isinstance(error, MemoryError) and not text:
        text = "there is no more for this run: does something grow without end?"
    return ": ".join(filter(None, [name, text]))


def text_of(error: BaseException) -> str:
    """An error's text; also of one whose own code can't say it."""
    try:
        return str(error)
    except Exception as broken:  # the student's own exception, whose __str__ is theirs too
        return f"(its text can't be shown: {type(broken).__name__})"


def _own_frames(tb: TracebackType | None) -> list[traceback.FrameSummary]:
    """The frames of the student's code and of what it called: none of the import system's, none of ours."""
    here = Path(__file__).parent
    machinery = {_overlay.__file__, str(here / "session.py"), str(here / "limits.py")}
    return [
        frame for frame in traceback.extract_tb(tb)
        if frame.filename not in machinery
        and not frame.filename.startswith("<frozen importlib")
        and "importlib" not in Path(frame.filename).parts
    ]
