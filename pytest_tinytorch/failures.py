"""A failed test as a student reads it: what it asks, the lines that count, what was expected, what came.

pytest shows the whole test, with every hint, and how an expression came to its value. Here stand the statements that
lead to the failing one, and the values side by side. Nothing of the student's is called: values come from the
comparison that failed and from the frames of the traceback, and only plain data is shown.
"""
from __future__ import annotations

import inspect
import linecache
import operator
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from pytest_tinytorch.differences import difference, is_plain, shown
from pytest_tinytorch.excerpt import Excerpt, excerpt
from pytest_tinytorch.problems import said, text_of
from pytest_tinytorch.returns import lacking
from tinytorch import _overlay

_NAMES = 6  # whose values are shown
_FRAMES = 4  # of the student's that are shown
_EXPLAINED = 12  # lines of pytest's explanation, where nothing better is known
_LACKING = 3  # functions without a return that are named
_LABEL = 10  # characters
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "is": operator.is_, "is not": operator.is_not,
    "in": lambda left, right: left in right, "not in": lambda left, right: left not in right,
}  # fmt: skip

Step = tuple[FrameType, int]  # of a traceback: a frame, and the line that it had come to


@dataclass(frozen=True)
class Comparison:
    """`got op expected`, in an assertion that failed or by a function of numpy.testing."""

    op: str
    got: object
    expected: object
    rtol: float = 0.0
    atol: float = 0.0

    @property
    def is_plain(self) -> bool:
        return is_plain(self.got) and is_plain(_without_tolerance(self.expected))

    @property
    def is_false(self) -> bool:
        """Whether plain values don't compare so; others aren't asked."""
        try:
            return self.is_plain and not _OPERATORS[self.op](self.got, self.expected)
        except (TypeError, ValueError):  # an array has no truth
            return False

    def lines(self) -> list[str]:
        wanted = _without_tolerance(self.expected)
        rtol, atol, about = self.rtol, self.atol, ""
        if wanted is not self.expected:
            rtol, atol, about = _tolerance(self.expected, "rel", 1e-6), _tolerance(self.expected, "abs", 1e-12), "about "
        relation = "" if self.op in ("==", "is") else f"{self.op} "
        lines = [*_labelled("expected", f"{relation}{about}{shown(wanted)}"), *_labelled("got", shown(self.got))]
        return lines + (difference(self.got, wanted, rtol=rtol, atol=atol) if self.op == "==" else [])


def _without_tolerance(value: object) -> object:
    """What `pytest.approx` was given, or the value itself."""
    is_approx = type(value).__name__.startswith("Approx") and hasattr(value, "expected")
    return value.expected if is_approx else value  # type: ignore[attr-defined]


def _tolerance(approx: object, name: str, default: float) -> float:
    given = getattr(approx, name, None)
    return default if given is None else float(given)


@dataclass(frozen=True)
class Failure:
    """How a test failed, ready to print."""

    asks: str  # what the test wants, in its own words; may be empty
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join([*([self.asks, ""] if self.asks else []), *self.lines]) + "\n"


def explain(
    error: BaseException, function: Callable[..., object], comparisons: Sequence[Comparison], root: Path
) -> Failure | None:
    """Tell how a test function ended with an error, or None if it wasn't the function that did.

    `comparisons` are those of the assertion that failed, if one did. Paths are shown relative to `root`.
    """
    function = inspect.unwrap(function)
    steps = list(_steps(error.__traceback__))
    at = next((number for number, (frame, _) in enumerate(steps) if frame.f_code is function.__code__), None)
    if at is None:
        return None
    frame, line = steps[at]
    cut = excerpt(function, line)
    lines = [*(f"    {text}".rstrip() for text in cut.lines), *([""] if cut.lines else [])]
    own = [step for step in steps if _is_students(step[0])]
    compared = None if own else _numpys(steps[at + 1 :]) or _failing(error, comparisons)
    values = _values(cut, frame, compared)
    met_none = "NoneType" in said(error) or (compared and _holds_none(compared.got) and not _holds_none(compared.expected))
    met_none = met_none or any(name in frame.f_locals and frame.f_locals[name] is None for name in cut.names)
    missing = _missing_returns([*(step[0] for step in own), frame]) if met_none else []
    if own:
        lines += [said(error).rstrip(), *missing, f"  {_place(steps[at], root)}, in {function.__name__}", *_own_lines(own, root), *_block("with", values)]
    elif compared:
        lines += [*missing, *_message(error), *compared.lines(), *_block("with", values)]
    else:
        lines += [*missing, *(_raised(error) or ([] if values else _explanation(error))), *_block("with", values)]
    end = f"{_place(own[-1] if own else steps[at], root)}: {type(error).__name__}"
    return Failure(asked(function), (*lines, "", end))


def asked(function: Callable[..., object]) -> str:
    """What a test asks for: its docstring in one line; empty if it has none."""
    return " ".join((inspect.getdoc(function) or "").split())


# --- the traceback -------------------------------------------------------------------------------------------------


def _steps(tb: TracebackType | None) -> Iterator[Step]:
    while tb is not None:
        yield tb.tb_frame, tb.tb_lineno
        tb = tb.tb_next


def _is_students(frame: FrameType) -> bool:
    """Whether a frame is one of the student's modules: below `tinytorch`, and not of the installed package."""
    name = str(frame.f_globals.get("__name__", ""))
    return name.startswith("tinytorch.") and not frame.f_code.co_filename.startswith(str(Path(_overlay.__file__).parent))


def _own_lines(steps: Sequence[Step], root: Path) -> list[str]:
    """The lines of the working copies that led to an error, and the one where it happened."""
    inner = [step for step in steps[:-1] if _place(step, root).startswith("modules/")] or steps[:-1]
    lines = []
    for step in [*inner[-_FRAMES + 1 :], steps[-1]]:
        frame, line = step
        lines.append(f"  {_place(step, root)}, in {frame.f_code.co_name}")
        if source := linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip():
            lines.append(f"    {source}")
    return lines


def _missing_returns(frames: Sequence[FrameType]) -> list[str]:
    """A sentence on the student's functions that lack a return, of the modules that some frames belong to or use."""
    used = {str(getattr(value, "__module__", "")) for frame in frames for value in frame.f_globals.values()}
    modules = [sys.modules[name] for name in sorted(used) if name.startswith("tinytorch.") and name in sys.modules]
    installed = str(Path(_overlay.__file__).parent)
    mine = [module for module in modules if not str(module.__file__).startswith(installed)]
    found = [name for module in mine for name in lacking(vars(module))][:_LACKING]
    return [f"{' and '.join(found)} can end without a return, which gives None: is it missing?"] if found else []


def _holds_none(value: object) -> bool:
    return value is None or (isinstance(value, (list, tuple)) and None in value) or (isinstance(value, str) and "None" in value)


def place_of(error: BaseException, root: Path) -> str:
    """The student's line where an error happened; empty if it happened nowhere there."""
    own = [step for step in _steps(error.__traceback__) if _is_students(step[0])]
    return _place(own[-1], root) if own else ""


def _place(step: Step, root: Path) -> str:
    """A line as an editor finds it."""
    frame, line = step
    path = Path(frame.f_code.co_filename)
    return f"{path.relative_to(root).as_posix() if path.is_relative_to(root) else frame.f_code.co_filename}:{line}"


def _numpys(steps: Sequence[Step]) -> Comparison | None:
    """The comparison of a function such as `np.testing.assert_allclose`."""
    for frame, _ in steps:
        code, values = frame.f_code, frame.f_locals
        if not frame.f_globals.get("__name__", "").startswith("numpy.testing") or not code.co_name.startswith("assert_"):
            continue
        got, expected = (values.get(name) for name in code.co_varnames[:2])
        compared = Comparison("==", got, expected, *(float(values.get(name, 0.0)) for name in ("rtol", "atol")))
        return compared if compared.is_plain else None
    return None


# --- the assertion -------------------------------------------------------------------------------------------------


def _failing(error: BaseException, comparisons: Sequence[Comparison]) -> Comparison | None:
    """The comparison that made an assertion fail: pytest explains the true ones beside it too."""
    if not isinstance(error, AssertionError):
        return None
    found = next((compared for compared in comparisons if compared.is_false), None)
    return found or (comparisons[0] if len(comparisons) == 1 and comparisons[0].is_plain else None)


def _message(error: BaseException) -> list[str]:
    """What the test's author says of a failed assertion."""
    message, explained, _ = text_of(error).partition("\nassert ")
    return [message] if explained else []


def _raised(error: BaseException) -> list[str]:
    """What an error says that is no bare assertion: one of Python's, or one that pytest raises where none came."""
    text = re.sub(r"<class '([\w.]+)'>", r"\1", text_of(error))
    if isinstance(error, AssertionError):
        return _message(error) or ([] if text.startswith("assert ") else text.splitlines()[:_EXPLAINED])
    if text.startswith("DID NOT RAISE "):
        return [*_labelled("expected", text.removeprefix("DID NOT RAISE ")), *_labelled("got", "no error")]
    if type(error).__name__ == "Failed":  # pytest.fail
        return text.splitlines()
    return said(error).rstrip().splitlines()


def _explanation(error: BaseException) -> list[str]:
    """What pytest says, where nothing better is known."""
    return text_of(error).splitlines()[:_EXPLAINED]


def _values(cut: Excerpt, frame: FrameType, compared: Comparison | None) -> list[str]:
    """The plain values of the names in an excerpt, without those that were told as the sides of the comparison."""
    lines: list[str] = []
    told = {"_", *(cut.compared if compared else ())}
    names = [name for name in cut.names if name in frame.f_locals and name not in told]
    for name in [name for name in names if is_plain(frame.f_locals[name])][:_NAMES]:
        first, *rest = shown(frame.f_locals[name]).split("\n")
        lines += [f"{name} = {first}", *(" " * (len(name) + 3) + line for line in rest)]
    return lines


def _labelled(label: str, text: str) -> list[str]:
    return _block(label, text.split("\n"))


def _block(label: str, lines: Sequence[str]) -> list[str]:
    return [f"{label if number == 0 else '':<{_LABEL}}{line}" for number, line in enumerate(lines)]
