"""Where the course stands: the facts, and how they read in plain text, in colour and as JSON.

JSON holds absolute times only, so that two reports on the same state are equal.
"""
from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pytest_tinytorch.course.curriculum import Course, Milestone, Module, as_ranges
from pytest_tinytorch.state import progress
from pytest_tinytorch.state.store import as_local
from pytest_tinytorch.workspace.layout import Workspace

if TYPE_CHECKING:
    from rich.console import Console

DONE, OPEN, LOCKED, ABSENT, PLANNED, ELSEWHERE = "done", "open", "locked", "absent", "planned", "recorded elsewhere"
_MARKS = {DONE: "[x]", OPEN: "[ ]", LOCKED: "[-]", ABSENT: "[-]", PLANNED: "[-]", ELSEWHERE: "[?]"}
_MEANS = {PLANNED: "not in this version of the course", ABSENT: "not in this workspace yet: tito update"}
_STYLES = {DONE: "green", OPEN: "bold", LOCKED: "dim", ABSENT: "yellow", PLANNED: "dim", ELSEWHERE: "yellow"}


@dataclass(frozen=True)
class Row:
    """One module or milestone in the lists."""

    part: Module | Milestone
    state: str  # done, open, locked, absent, planned or recorded elsewhere
    missing: tuple[str, ...]  # module numbers that it still needs
    date: str | None
    note: str = ""  # "completed with edited tests"
    last_run: str = ""  # outcome of the last whole run of its tests
    attempts: int = 0
    due: datetime | None = None
    late: bool = False  # completed after it was due, or due and not completed
    points: int | None = None  # what the module is worth, where the instructor's course says so

    @property
    def means(self) -> str:
        """Why there is nothing to work on, of a module or milestone that isn't here."""
        return _MEANS.get(self.state, "")

    @property
    def due_text(self) -> str:
        """When a module is due: "2026-10-01 23:59", with a word if that was missed."""
        if self.due is None:
            return ""
        return f"{self.due:%Y-%m-%d %H:%M}{' (late)' if self.late else ''}"

    @property
    def line(self) -> str:
        """The row in a list, with what there is to say about it."""
        said = [self.note] if self.note else []
        if isinstance(self.part, Milestone) and self.state in (OPEN, LOCKED):
            if self.missing:
                said.append(f"Ready after module{'s' if len(self.missing) > 1 else ''} {as_ranges(self.missing)}")
            else:
                said.append("Ready")
        elif self.state == LOCKED:
            said.append(f"needs {as_ranges(self.missing)}")
        if self.means:
            said.append(self.means)
        if self.state == ELSEWHERE:
            said.append(f"{ELSEWHERE}: no export here")
        if self.state == OPEN and self.last_run == "failed":
            said.append("tests failed last time")
        if self.due and (self.late or self.state not in (DONE, ELSEWHERE)):
            said.append(f"due {self.due_text}")
        if self.points is not None:
            said.append(f"{self.points} points")
        return self.marked_title + "".join(f" [{text}]" for text in said)

    @property
    def marked_title(self) -> str:
        date = f"  {self.date[:10]}" if self.date and self.state == DONE else ""
        return f"{_MARKS[self.state]} {self.part.label}{date}"

    @property
    def dated_state(self) -> str:
        """The state in a table: "done 2025-11-16"."""
        return f"{self.state} {self.date[:10]}" if self.date and self.state == DONE else self.state

    @property
    def to_unlock(self) -> str:
        """What a locked milestone waits for."""
        s = "s" if len(self.missing) > 1 else ""
        return f"Complete module{s} {as_ranges(self.missing)} to unlock Milestone {self.part.number}"


@dataclass(frozen=True)
class Status:
    """The whole report."""

    workspace: str
    course: str | None  # the title of an instructor's course
    modules: tuple[Row, ...]
    milestones: tuple[Row, ...]
    last_activity: tuple[Module | Milestone, datetime] | None
    update: str = ""  # the version of the course that is installed, if the workspace has another

    @property
    def done_modules(self) -> int:
        return sum(row.state in (DONE, ELSEWHERE) for row in self.modules)

    @property
    def done_milestones(self) -> int:
        return sum(row.state == DONE for row in self.milestones)

    @property
    def next_steps(self) -> list[str]:
        """What to do now: milestones that are ready, then the modules to the next one, or the next module."""
        steps = [
            f"Run milestone {row.part.number}: tito milestone run {row.part.number}" for row in self.milestones if row.state == OPEN
        ]
        locked = next((row for row in self.milestones if row.state == LOCKED), None)
        if locked:
            steps.insert(0, locked.to_unlock)
        if start := self.next_module:
            steps.append(f"Work on module {start.label}: tito module start {start.number}")
        absent = [row.part for row in (*self.modules, *self.milestones) if row.state == ABSENT]
        steps = steps or ([] if absent else ["Everything is done."])
        if self.update:
            steps.append(f"See what version {self.update} of the course changed: tito update --check")
        if absent:
            steps.append(f"Bring in {_named(absent)}: tito update")
        return steps

    @property
    def next_module(self) -> Module | Milestone | None:
        """The first module that is open."""
        return next((row.part for row in self.modules if row.state == OPEN), None)

    @property
    def prompt(self) -> str:
        """A few words for a shell's prompt, of small letters, digits, blanks, `_` and `/`: nothing that a shell expands."""
        here = [self.next_module.number, self.next_module.slug] if self.next_module else []
        return " ".join(["tt", *here, f"{self.done_modules}/{len(self.modules)}"])

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        total, milestones = len(self.modules), len(self.milestones)
        return {
            "workspace": self.workspace,
            "course": self.course,
            "modules_completed": self.done_modules,
            "modules_total": total,
            "modules_percent": _percent(self.done_modules, total),
            "milestones_achieved": self.done_milestones,
            "milestones_total": milestones,
            "milestones_percent": _percent(self.done_milestones, milestones),
            "last_activity": self.last_activity and {
                "part": self.last_activity[0].marker, "at": self.last_activity[1].isoformat(timespec="seconds"),
            },
            "next_steps": self.next_steps,
            "modules": [_row_as_json(row) for row in self.modules],
            "milestones": [_row_as_json(row) for row in self.milestones],
        }

    @property
    def counts(self) -> tuple[str, str]:
        """How many modules and milestones are done, in a line each."""
        modules, milestones = len(self.modules), len(self.milestones)
        return (
            f"Modules Completed: {self.done_modules}/{modules} ({_percent(self.done_modules, modules)}%)",
            f"Milestones Achieved: {self.done_milestones}/{milestones} ({_percent(self.done_milestones, milestones)}%)",
        )

    def summary(self, now: datetime) -> list[str]:
        """The panel's lines."""
        lines = [*([f"Course: {self.course}"] if self.course else []), *self.counts]
        if self.last_activity:
            part, at = self.last_activity
            lines.append(f"Last Activity: {type(part).__name__} {part.number} ({in_words(at, now)})")
        return [*lines, "", "Next Steps:", *(f"\N{BULLET} {step}" for step in self.next_steps)]

    def plain(self, now: datetime) -> str:
        """The report for a pipe, a file or a log."""
        return "\n".join([
            "TinyTorch Progress",
            *(f"  {line}".rstrip() for line in self.summary(now)),
            "",
            "Module Progress:",
            *(f"  {line}" for line, _ in _lines(self.modules)),
            "",
            "Milestone Achievements:",
            *(f"  {line}" for line, _ in _lines(self.milestones)),
        ])

    def print_rich(self, console: Console, now: datetime) -> None:
        """The report for a terminal."""
        from rich.panel import Panel
        from rich.text import Text

        console.print(Panel(Text("\n".join(self.summary(now))), title="TinyTorch Progress", expand=False, padding=(1, 2)))
        for title, rows in (("Module Progress:", self.modules), ("Milestone Achievements:", self.milestones)):
            console.print(Text(f"\n{title}", style="bold"))
            for line, state in _lines(rows):
                console.print(Text(f"  {line}", style=_STYLES[state]))


def _lines(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """The lines of a list, each with its state; those that aren't here, and follow one another, are one line."""
    for (state, due, points), group in groupby(rows, lambda row: (row.state, row.due, row.points)):
        alike = list(group)
        if state in _MEANS and len(alike) > 1 and due is None and points is None:
            yield f"{_MARKS[state]} {as_ranges([row.part.number for row in alike])} [{_MEANS[state]}]", state
        else:
            yield from ((row.line, state) for row in alike)


def _named(parts: Sequence[Module | Milestone]) -> str:
    """Modules and milestones in a few words: "modules 04-08, milestone 03"."""
    kinds = ((kind.__name__.lower(), [part.number for part in parts if isinstance(part, kind)]) for kind in (Module, Milestone))
    return ", ".join(f"{kind}{'s' if len(numbers) > 1 else ''} {as_ranges(numbers)}" for kind, numbers in kinds if numbers)


def status(workspace: Workspace, now: datetime | None = None) -> Status:
    """Read where a workspace stands; what is late, is so at `now`."""
    course, now = workspace.course, now or datetime.now()
    done, milestones = workspace.store.read(progress.PROGRESS), workspace.store.read(progress.MILESTONES)
    recorded = {module.number for module in progress.recorded(workspace, done)}
    complete = {module.number for module in progress.complete(workspace, done)}
    achieved = {milestone.number for milestone in progress.achieved(workspace, milestones)}
    has = workspace.store.read("version.json")["template_version"]

    def not_done(part: Module | Milestone, missing: Collection[str]) -> str:
        if not course.is_written(part):
            return PLANNED
        if not workspace.has(part):
            return ABSENT
        return LOCKED if missing else OPEN

    def module_row(module: Module) -> Row:
        missing = tuple(progress.missing_needs(module, complete))
        number = module.number
        if number in complete:
            state = DONE
        elif number in recorded:
            state = ELSEWHERE
        else:
            state = not_done(module, missing)
        notes = []
        if module.key in done.get("tests_modified", {}):
            notes.append("completed with edited tests")
        if module.key in done.get("forced", {}):
            notes.append("completed without its prerequisites")
        if module.key in done.get("outdated", {}):
            notes.append("export older than the fix")
        date = done["completion_dates"].get(module.key)
        last_run = done.get("results", {}).get(module.key, {}).get("outcome", "")
        finished = as_local(date) if date else None if number in recorded else now
        late = module.due is not None and finished is not None and finished > module.due
        return Row(
            module, state, missing, date, ", ".join(notes), last_run, due=module.due, late=late, points=_points(course, module)
        )

    def milestone_row(milestone: Milestone) -> Row:
        missing = tuple(progress.missing_needs(milestone, complete))
        state = DONE if milestone.number in achieved else not_done(milestone, missing)
        attempts = milestones.get("attempts", {}).get(milestone.number, 0)
        return Row(milestone, state, missing, milestones["completion_dates"].get(milestone.number), attempts=attempts)

    return Status(
        str(workspace.root),
        course.title,
        tuple(map(module_row, course.modules)),
        tuple(map(milestone_row, course.milestones)),
        progress.last_activity(workspace, done, milestones),
        "" if has == course.version else course.version,
    )


def _points(course: Course, module: Module) -> int | None:
    if module.points is None and not module.exercise_points:
        return None
    from pytest_tinytorch.course import points  # reads the module's source, which is wanted here only

    return points.worth(course, module)


def in_words(then: datetime, now: datetime) -> str:
    """How long ago a time was; a time in the future is given as it is.

    >>> in_words(datetime(2025, 11, 16, 10), datetime(2025, 11, 16, 12, 5))
    '2 hours ago'
    """
    seconds = (now - then).total_seconds()
    if seconds < -1:
        return then.strftime("%Y-%m-%d %H:%M")
    for unit, length in (("year", 31_557_600), ("month", 2_629_800), ("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _percent(part: int, whole: int) -> int:
    return round(100 * part / whole) if whole else 0


def _row_as_json(row: Row) -> dict[str, Any]:
    return {
        "number": row.part.number,
        "slug": row.part.slug,
        "title": row.part.title,
        "state": row.state,
        "date": row.date,
        "missing": list(row.missing),
        "note": row.note,
    } | ({"attempts": row.attempts} if isinstance(row.part, Milestone) else {"last_run": row.last_run, **due_and_points(row)})


def due_and_points(row: Row) -> dict[str, Any]:
    """What an instructor's course says of a module, as plain data."""
    return {"due": row.due and row.due.isoformat(timespec="minutes"), "late": row.late, "points": row.points}
