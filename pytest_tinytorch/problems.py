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
    name = type(error).__name__
    if isinstance(error, SyntaxError):
        told = "".join(traceback.format_exception_only(error)).rstrip()
        return Problem(f"{error.filename}:{error.lineno}: {name}: {error.msg}\n\n{told}")
    if isinstance(error, SystemExit):
        name = "the module ends Python by itself: SystemExit"
    frames = _own_frames(error.__traceback__)
    what = f"{name}: {error}" if str(error) else name
    if not frames:
        return Problem(what)
    last = frames[-1]
    lines = "".join(traceback.format_list(frames[-_LIMIT:])).rstrip()
    return Problem(f"{last.filename}:{last.lineno}: {what}\n\n{lines}\n{name}: {error}")


def _own_frames(tb: TracebackType | None) -> list[traceback.FrameSummary]:
    """The frames from the first one of a staged file on."""
    machinery = (_overlay.__file__, str(Path(__file__).parent / "session.py"), str(Path(__file__).parent / "limits.py"))
    return [
        frame for frame in traceback.extract_tb(tb)
        if frame.filename not in machinery and not frame.filename.startswith("<frozen importlib") and "importlib" not in Path(frame.filename).parts
    ]
