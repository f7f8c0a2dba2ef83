"""Which modules and milestones one pytest session tests, decided from its command line before anything is collected."""
from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_tinytorch.course.curriculum import Course, Milestone, Module, as_ranges
from pytest_tinytorch.course.selection import may_select, named_marks
from tinytorch.errors import ConfigError


@dataclass(frozen=True)
class Selected:
    """What a session tests, in the course's order."""

    modules: tuple[Module, ...]
    milestones: tuple[Milestone, ...]
    named: tuple[Module | Milestone, ...]  # those of them that `-m` names: what --tito-complete completes
    left_out: tuple[Module, ...]  # would have been tested if they had been begun

    @property
    def parts(self) -> tuple[Module | Milestone, ...]:
        return (*self.modules, *self.milestones)


def select(
    course: Course, root: Path, *, expression: str, arguments: Sequence[Path], is_begun: Callable[[Module], bool],
    has_tests: Callable[[Module | Milestone], bool],
) -> Selected:
    """Decide what is tested.

    A module that `has_tests` here is tested if the `-m` expression can select it, and if it is named there, or an argument
    points into its tests, or it is begun. `is_begun` reads files, so it is asked last. A milestone is tested only when it
    is named or pointed at.

    Raises: ConfigError if the expression names a module or milestone that the course lacks or hasn't written yet, or
        one whose tests are not here.
    """
    named = named_marks(expression)
    _check_names(course, named, has_tests)
    modules, milestones, left_out = [], [], []
    for part in course.parts:
        if not course.is_written(part) or not has_tests(part) or not may_select(expression, part.marker):
            continue
        folder = root / part.test_folder
        pointed = any(argument.is_relative_to(folder) for argument in arguments)
        covered = any(folder.is_relative_to(argument) for argument in arguments)
        wanted = pointed or (covered and part.marker in named)
        if isinstance(part, Milestone):
            if wanted or folder.parent in arguments:  # `pytest milestones` means all of them
                milestones.append(part)
        elif wanted or (covered and is_begun(part)):
            modules.append(part)
        elif covered:
            left_out.append(part)
    return Selected(
        tuple(modules),
        tuple(milestones),
        tuple(part for part in course.parts if part.marker in named and may_select(expression, part.marker)),
        tuple(left_out),
    )


def _check_names(course: Course, named: Collection[str], has_tests: Callable[[Module | Milestone], bool]) -> None:
    known = {part.marker: part for part in course.parts}
    for mark in sorted(named):
        if mark not in known:
            raise ConfigError(f"-m names {mark}, which the course doesn't have{_like(course, mark)}")
        if not course.is_written(known[mark]):
            raise ConfigError(f"{mark} ({known[mark].title}) is planned, but this version of the course doesn't have it yet")
        if not has_tests(known[mark]):
            raise ConfigError(f"{mark} ({known[mark].title}) has no tests in this workspace; the installed course has them. Bring them in with: tito update")


def _like(course: Course, mark: str) -> str:
    """The marks to use instead."""
    kind = mark.rstrip("0123456789")
    parts = [part for part in course.parts if part.marker[:-2] == kind]
    if not parts:
        return ", nor any other like it"
    runs = as_ranges([part.number for part in parts]).split(", ")
    return f": use {', '.join(' to '.join(f'{kind}{number}' for number in run.split('-')) for run in runs)}"
