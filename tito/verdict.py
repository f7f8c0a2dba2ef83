"""What a student reads of one run of a module's tests: the verdict, the failure to look at first, and how far each exercise is."""
from __future__ import annotations

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_tinytorch.course.order import place

if TYPE_CHECKING:
    from pytest_tinytorch.course.curriculum import Module
    from pytest_tinytorch.warm import Ran

Line = tuple[str, dict[str, Any]]  # text, and how click.style shows it
Wrap = Callable[[str], list[str]]  # a line as the lines of a window

RED, GREEN, YELLOW, BOLD, DIM = {"fg": "red"}, {"fg": "green"}, {"fg": "yellow"}, {"bold": True}, {"dim": True}
_TAIL = 12  # lines of pytest's output that tell why there is no verdict


@dataclass
class Section:
    """Lines that belong together, of which some may be left out in a low window."""

    lines: list[Line]
    least: int  # lines that are always shown
    keep_end: bool = False  # whether the last ones matter most
    left_out: int = field(default=0, init=False)

    def shorten(self) -> bool:
        """Leave one line out, if that is possible."""
        if len(self.lines) <= self.least:
            return False
        del self.lines[0 if self.keep_end else -1]
        self.left_out += 1
        return True


@dataclass(frozen=True)
class Verdict:
    """One run, told."""

    headline: Line
    failure: list[Section]  # in the order in which they are shown
    counts: list[dict[str, Any]]

    def lines(self, wrap: Wrap, height: int | None) -> list[Line]:
        """The verdict in `height` lines at most; None: whole."""
        shown = [
            Section([(part, style) for text, style in section.lines for part in wrap(text)], section.least, section.keep_end)
            for section in self.failure
        ]
        head = [(part, self.headline[1]) for part in wrap(self.headline[0])]
        counts = [(part, style) for text, style in _counts(self.counts) for part in wrap(text)]
        if height is not None:
            needed = len(head) + sum(len(section.lines) + 1 for section in shown) + len(counts) + bool(counts)
            if needed > height:
                counts = [(part, style) for text, style in _grouped_counts(self.counts) for part in wrap(text)]
            _fit(shown, height - len(head) - len(counts) - bool(counts))
        lines = list(head)
        for section in shown:
            lines += [("", {}), *section.lines]
        lines += [("", {}), *counts] if counts else []
        return lines if height is None else lines[:height]


def _fit(sections: list[Section], height: int) -> None:
    """Shorten sections, the longest first, until they and the blank lines above them fit."""
    def total() -> int:
        return sum(len(section.lines) + 1 for section in sections)

    while total() > height and any(s.shorten() for s in sorted(sections, key=lambda s: s.least - len(s.lines))):
        pass


def has_tests(module: Module, ran: Ran) -> bool:
    """Whether any test of the module ran: none does if it can't be read or imported."""
    told = _told(module, ran)
    return told is not None and told["not_run"] < told["required"]


def _told(module: Module, ran: Ran) -> dict[str, Any] | None:
    verdicts: dict[str, dict[str, Any]] = (ran.receipt or {}).get("verdicts", {})
    return verdicts.get(module.marker)


def of(module: Module, ran: Ran, seconds: float) -> Verdict:
    """The verdict of a run that took so many seconds since the save."""
    told = _told(module, ran)
    if told is None:
        return Verdict((f"Module {module.label}: no verdict, {seconds:.2f} s", RED | BOLD), _why_none(ran), [])
    first = first_failure(module, told, (ran.receipt or {})["failures"])
    if first and not has_tests(module, ran):
        return Verdict((f"Module {module.label} can't be tested, {seconds:.2f} s", RED | BOLD), _paragraphs(first["told"])[1:], [])
    not_run = f", {told['not_run']} not run" if told["not_run"] else ""
    text = f"Module {module.label}: {told['passed']} of {told['tests']} tests passed{not_run}, {seconds:.2f} s"
    if told["done"]:
        say = [("All of them. To complete the module: c, or pytest -m " + module.marker + " --tito-complete", GREEN)]
        return Verdict((text, GREEN | BOLD), [Section(say, 1)], told["exercises"])
    style = YELLOW if first and first["empty"] else RED
    return Verdict((text, style | BOLD), _failure(first, told["exercises"]) if first else _why_none(ran), told["exercises"])


def first_failure(module: Module, told: dict[str, Any], failures: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The failure to look at first.

    One that isn't just an exercise which waits to be written, then one that failed in the last run as well, so that the
    eye stays where it was, then in the order of the exercises, which is that of what needs what.
    """
    exercises = [count["exercise"] for count in told["exercises"]]
    before = set(told["failed_before"])
    failed = [failure for failure in failures if failure["test"].startswith(module.test_folder + "/")]
    return min(
        failed, default=None,
        key=lambda f: (f["empty"] is not None, f["test"] not in before, place(f["test"], f["empty"] or f["exercise"], exercises)),
    )


def _failure(first: dict[str, Any], counts: Sequence[dict[str, Any]]) -> list[Section]:
    """The first failure: its name, then a section for each paragraph of what pytest tells of it, then the hints."""
    exercise = first["empty"] or first["exercise"]
    begins = next((count["place"] for count in counts if count["exercise"] == exercise), "")
    if first["empty"]:
        task = first["told"].partition(": ")[2]
        return [Section([(f"Next: exercise {exercise}", BOLD), (f"  {task}", {}), *_place(begins)], 3)]
    told = first["told"]
    name = first["test"].rpartition("/")[2]
    asks: list[Line] = [(first["asks"], {})] if first["asks"] and told.startswith(first["asks"]) else []
    sections = [Section([(f"failed: {name}", BOLD), *asks], 3), *_paragraphs(told)[len(asks) :]]
    hints: list[Line] = [(f"hint: {text}", YELLOW) for text in first["hints"]]
    sections.append(Section([*([] if "modules/" in told else _place(begins)), *hints], 4))
    return [section for section in sections if section.lines]


def _paragraphs(told: str) -> list[Section]:
    """What pytest tells of a failure, a section for each paragraph, without the place and kind of the error at its end."""
    paragraphs = re.split(r"\n\s*\n", told.strip("\n"))
    if len(paragraphs) > 1 and re.fullmatch(r"\S+(?: \d+)?:\d+: \w+", paragraphs[-1]):
        del paragraphs[-1]
    sections = []
    for paragraph in paragraphs:
        is_code = paragraph.startswith("    ")
        lines: list[Line] = [(line, DIM if is_code else RED) for line in paragraph.split("\n")]
        sections.append(Section(lines, 1 if is_code else 4, keep_end=is_code))
    return sections


def _place(begins: str) -> list[Line]:
    return [(f"your code: {begins}", BOLD)] if begins else []


def _why_none(ran: Ran) -> list[Section]:
    """Why a run brought no verdict."""
    where = f"in {ran.at}" if ran.at else "before the first test; does your module do something at import?"
    told: list[Line] = []
    if ran.status < 0:
        told = [(f"Python was ended by signal {-ran.status}{_name(-ran.status)} {where}", RED)]
    elif ran.receipt is None and ran.status in (0, 1):
        told = [(f"Python was ended with exit status {ran.status} {where}", RED), ("os._exit() in your code does that, for instance.", {})]
    output = [line for line in ran.output.splitlines() if line.strip()][-_TAIL:]
    return [section for section in (Section(told, 2), Section([(f"  {line}", DIM) for line in output], 3, keep_end=True)) if section.lines]


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
    return GREEN if count["passed"] == count["tests"] else YELLOW if count["missing"] else RED
