"""What a student reads of one run of a module's tests: the verdict, the failure to look at first, and how far each exercise is."""
from __future__ import annotations

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_tinytorch.course.curriculum import Module
    from pytest_tinytorch.warm import Ran

Line = tuple[str, dict[str, Any]]  # text, and how click.style shows it
Wrap = Callable[[str], list[str]]  # a line as the lines of a window

RED, GREEN, YELLOW, BOLD, DIM = {"fg": "red"}, {"fg": "green"}, {"fg": "yellow"}, {"bold": True}, {"dim": True}
_FRAME = re.compile(r"  \S.*:\d+, in ")  # a line of a traceback as `pytest_tinytorch.failures` tells it
_VALUES, _REFUSED = "with      ", "  ERROR: "  # how the values in a failure begin; how pytest begins to say why it does nothing
_TAIL = 12  # lines of pytest's output that tell why there is no verdict


@dataclass
class Section:
    """Lines that belong together, of which some may be left out in a low window."""

    lines: list[Line]
    least: int = 0  # lines that are shown where there is room for little
    vital: int = 0  # lines that are shown in any case
    keep_end: bool = False  # whether the last ones matter most
    is_apart: bool = True  # whether a blank line stands above it

    @property
    def height(self) -> int:
        return len(self.lines) + self.is_apart if self.lines else 0

    def shorten(self) -> None:
        """Leave one line out."""
        del self.lines[0 if self.keep_end else -1]


@dataclass(frozen=True)
class Verdict:
    """One run, told."""

    headline: Line
    failure: list[Section]  # in the order in which they are shown
    counts: list[dict[str, Any]]

    def lines(self, wrap: Wrap, height: int | None) -> list[Line]:
        """The verdict in `height` lines at most; None: whole."""

        def wrapped(lines: Sequence[Line]) -> list[Line]:
            return [(part, style) for text, style in lines for part in wrap(text)]

        head = wrapped([self.headline])
        shown = [replace(section, lines=wrapped(section.lines)) for section in self.failure]
        counts = Section(wrapped(_counts(self.counts)))
        if height is not None:
            if len(head) + _height([*shown, counts]) > height:
                counts.lines = wrapped(_grouped_counts(self.counts))
            counts.least = len(counts.lines)
            _fit([*shown, counts], height - len(head))
        lines = head
        for section in [*shown, counts]:
            lines += [*([("", {})] if section.is_apart and section.lines else []), *section.lines]
        return lines if height is None else lines[:height]


def _height(sections: Sequence[Section]) -> int:
    return sum(section.height for section in sections)


def _fit(sections: Sequence[Section], height: int) -> None:
    """Make sections fit: each to its least lines, the longest first; then without blank lines; then to what is vital."""
    def shorten(least: Callable[[Section], int]) -> None:
        while _height(sections) > height:
            longest = max(sections, key=lambda section: len(section.lines) - least(section))
            if len(longest.lines) <= least(longest):
                return
            longest.shorten()

    shorten(lambda section: section.least)
    if _height(sections) > height:
        for section in sections:
            section.is_apart = False
    shorten(lambda section: section.vital)


def has_tests(module: Module, ran: Ran) -> bool:
    """Whether any test of the module ran: none does if it can't be read or imported."""
    told = _told(module, ran)
    return told is not None and told["not_run"] < told["required"]


def _told(module: Module, ran: Ran) -> dict[str, Any] | None:
    verdicts: dict[str, dict[str, Any]] = (ran.receipt or {}).get("verdicts", {})
    return verdicts.get(module.marker)


def of(module: Module, ran: Ran, seconds: float, way_on: str | None = None) -> Verdict:
    """The verdict of a run that took so many seconds since the save; `way_on` is what to do if the module is complete."""
    told = _told(module, ran)
    if told is None:
        return Verdict((f"Module {module.label}: no verdict, {seconds:.2f} s", RED | BOLD), _why_none(ran), [])
    failures = (ran.receipt or {})["failures"]
    first = failures[0] if failures else None
    if first and not has_tests(module, ran):
        return Verdict((f"Module {module.label} can't be tested, {seconds:.2f} s", RED | BOLD), _paragraphs(first["told"])[1:], [])
    not_run = f", {told['not_run']} not run" if told["not_run"] else ""
    text = f"Module {module.label}: {told['passed']} of {told['tests']} tests passed{not_run}, {seconds:.2f} s"
    settle: list[Line] = [(f"to settle: {conflict}", YELLOW) for conflict in told["to_settle"]]
    sections = [Section(settle, least=len(settle), vital=1)] if settle else []
    if told["done"]:
        to_complete = f"All of them. To complete the module: c, or pytest -m {module.marker} --tito-complete"
        return Verdict((text, GREEN | BOLD), [*sections, Section([(way_on or to_complete, GREEN)], least=1, vital=1)], told["exercises"])
    style = YELLOW if first and first["empty"] else RED
    return Verdict((text, style | BOLD), sections + (_failure(first, told["exercises"]) if first else _why_none(ran)), told["exercises"])


def _failure(first: dict[str, Any], counts: Sequence[dict[str, Any]]) -> list[Section]:
    """The first failure: its name, then a section for each paragraph of what pytest tells of it, then the hints, then what it printed."""
    exercise = first["empty"] or first["exercise"]
    begins = next((count["place"] for count in counts if count["exercise"] == exercise), "")
    if first["empty"]:
        task = first["told"].partition(": ")[2]
        lines: list[Line] = [(f"Next: exercise {exercise}", BOLD), (f"  {task}", {}), *_place(first["place"] or begins)]
        return [Section(lines, least=3, vital=3)]
    told = first["told"]
    name = first["test"].rpartition("/")[2]
    asks: list[Line] = [(first["asks"], {})] if first["asks"] and told.startswith(first["asks"]) else []
    hints: list[Line] = [(f"hint: {text}", YELLOW) for text in first["hints"]]
    printed: list[Line] = [(f"  {line}", DIM) for line in first["printed"]]
    sections = [
        Section([(f"failed: {name}", BOLD), *asks], least=3, vital=1),
        *_paragraphs(told)[len(asks) :],
        Section([*([] if "modules/" in told else _place(begins)), *hints], least=4, vital=1),
        Section([("printed by the test and your code:", {}), *printed] if printed else []),
    ]
    return [section for section in sections if section.lines]


def _paragraphs(told: str) -> list[Section]:
    """What pytest tells of a failure, in sections, without the place and kind of the error at its end."""
    paragraphs = re.split(r"\n\s*\n", told.strip("\n"))
    if len(paragraphs) > 1 and re.fullmatch(r"\S+(?: \d+)?:\d+: \w+", paragraphs[-1]):
        del paragraphs[-1]
    sections = []
    for paragraph in paragraphs:
        lines = paragraph.split("\n")
        if paragraph.startswith('  File "'):  # Python's own traceback, of a module that can't be imported
            sections.append(Section([(line, RED) for line in lines], least=3, vital=2, keep_end=True))
        else:
            sections += [_code(lines)] if paragraph.startswith("    ") else _said(lines)
    return sections


def _code(lines: Sequence[str]) -> Section:
    return Section([(line, DIM) for line in lines], least=1, keep_end=True)


def _said(lines: Sequence[str]) -> list[Section]:
    """An error or a comparison. The message and the student's own line, the last of the traceback, are the last to go."""
    values = next((number for number, line in enumerate(lines) if line.startswith(_VALUES)), len(lines))
    frames = [number for number, line in enumerate(lines[:values]) if _FRAME.match(line)]
    outer, own = (frames[0], frames[-1]) if frames else (values, values)

    def section(part: Sequence[str], **kept: Any) -> Section:
        return Section([(line, RED) for line in part], is_apart=False, **kept)

    message = section(lines[:outer], least=4, vital=2)
    message.is_apart = True
    return [message, section(lines[outer:own], keep_end=True), section(lines[own:values], least=4, vital=2), section(lines[values:])]


def _place(begins: str) -> list[Line]:
    return [(f"your code: {begins}", BOLD)] if begins else []


def _why_none(ran: Ran) -> list[Section]:
    """Why a run brought no verdict."""
    output: list[Line] = [(f"  {line}", DIM) for line in ran.output.splitlines() if line.strip()]
    if ran.has_ended_itself and ran.receipt is None and output and output[0][0].startswith(_REFUSED):
        return [Section(output, least=3, vital=1)]  # what stopped it is said first, and all of it matters
    where = f"in {ran.at}" if ran.at else "before the first test; does your module do something at import?"
    told: list[Line] = []
    if ran.status < 0:
        told = [(f"Python was ended by signal {-ran.status}{_name(-ran.status)} {where}", RED)]
        if _name(-ran.status) == " (SIGALRM)":
            told.append(("It took too long and caught each interruption: is there an `except:` without a name in a loop?", {}))
    elif ran.receipt is None and ran.status in (0, 1) and not ran.has_ended_itself:
        told = [(f"Python was ended with exit status {ran.status} {where}", RED), ("os._exit() in your code does that, for instance.", {})]
    sections = (Section(told, least=2, vital=1), Section(output[-_TAIL:], least=3, keep_end=True))
    return [section for section in sections if section.lines]


def _name(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""


def _counts(counts: Sequence[dict[str, Any]]) -> list[Line]:
    """A line for each exercise, as the summary of pytest has it."""
    return [
        (f"  {count['exercise']:<20} {count['passed']:>3} of {count['tests']:>3}" + (f"  {count['missing']}" if count["missing"] else ""), _style(count))
        for count in counts
    ]


def _grouped_counts(counts: Sequence[dict[str, Any]]) -> list[Line]:
    """The same in fewer lines: those that are done in one, those that aren't begun in another."""
    done = [count["exercise"] for count in counts if count["passed"] == count["tests"]]
    empty = [count["exercise"] for count in counts if count["missing"] == "not written yet" and not count["passed"]]
    rest = [count for count in counts if count["exercise"] not in {*done, *empty}]
    return [
        *([(f"  done: {', '.join(done)}", GREEN)] if done else []),
        *_counts(rest),
        *([(f"  not written yet: {', '.join(empty)}", YELLOW)] if empty else []),
    ]


def _style(count: dict[str, Any]) -> dict[str, Any]:
    return GREEN if count["passed"] == count["tests"] else RED if count["failed"] else YELLOW if count["missing"] else RED
