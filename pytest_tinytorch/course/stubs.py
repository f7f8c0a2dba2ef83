"""What becomes of a module's solutions: the stub that a student starts from, and the reference that ends the module.

A solution stands in an exercise's cell, between the lines `### BEGIN SOLUTION` and `### END SOLUTION`.
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_tinytorch.workspace import notebooks
from pytest_tinytorch.workspace.notebooks import Cell
from tinytorch.errors import ConfigError

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
_MEANT_AS_MARKER = re.compile(r"#\s*(BEGIN|END)\s+SOLUTION", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Exercise:
    """A hole in a module, as the options of its cell describe it."""

    name: str
    points: int
    task: str  # what the stub asks for
    cell_number: int


def exercises(cells: Iterable[Cell], name: str = "the module") -> list[Exercise]:
    """The exercises in a module's cells, in order; `name` is for messages.

    Raises: ConfigError for an exercise without a name, points or task, or whose name is taken.
    """
    found: dict[str, Exercise] = {}
    for cell in cells:
        if "exercise" not in cell.metadata:
            continue
        place = f"{name}:{cell.line}"
        title, points, task = (cell.metadata.get(key) for key in ("exercise", "points", "task"))
        if cell.kind != "code" or not isinstance(title, str) or not _NAME.fullmatch(title):
            raise ConfigError(
                f"{place}: {title!r} names no exercise: that takes a code cell, and letters, digits and underscores"
            )
        if type(points) is not int or points < 1:
            raise ConfigError(
                f"{place}: exercise {title} has points={points!r}; give it a whole number, such as points=3"
            )
        if not isinstance(task, str) or not task.strip():
            raise ConfigError(
                f'{place}: exercise {title} has no task; say what the stub asks for: task="return the sum"'
            )
        if title in found:
            raise ConfigError(f"{place}: exercise {title} is in cell {found[title].cell_number} already; rename one")
        found[title] = Exercise(title, points, task, cell.number)
    return list(found.values())


def stub(text: str, name: str = "the module") -> str:
    """A module's script with a NotImplementedError, which names the exercise, in place of each solution.

    Raises: ConfigError for an exercise without a solution, a solution outside of an exercise, or a marker without its
        twin, with the line.
    """
    lines = text.split("\n")
    for begin, end, exercise in reversed(_solutions(text, name)):
        lines[begin : end + 1] = [_hole(lines[begin], exercise)]
    return "\n".join(lines)


def emptied(text: str, name: str = "the module") -> str:
    """A module's script that tells no solution and of which `stub` makes the same stub: each is a NotImplementedError.

    Raises: ConfigError as `stub` does.
    """
    lines = text.split("\n")
    for begin, end, exercise in reversed(_solutions(text, name)):
        lines[begin + 1 : end] = [_hole(lines[begin], exercise)]
    return "\n".join(lines)


def tells(text: str) -> bool:
    """Whether a module's script is an author's, not one that was `emptied`."""
    return emptied(text) != text or BEGIN not in text


def _hole(marker: str, exercise: Exercise) -> str:
    """The line of a stub in place of a solution, indented as the marker above it."""
    message = json.dumps(f"exercise {exercise.name}: {exercise.task}", ensure_ascii=False)
    return f"{marker[: marker.index('#')]}raise NotImplementedError({message})"


def solution(text: str, name: str = "the module") -> str:
    """A module's script with its solutions, without the markers around them.

    Raises: ConfigError as `stub` does.
    """
    markers = {line for begin, end, _ in _solutions(text, name) for line in (begin, end)}
    return "\n".join(line for number, line in enumerate(text.split("\n")) if number not in markers)


def _solutions(text: str, name: str) -> list[tuple[int, int, Exercise]]:
    """Each solution's first and last line, markers included and counted from 0, and its exercise."""
    cells = notebooks.parse_percent(text, name)
    by_cell = {exercise.cell_number: exercise for exercise in exercises(cells, name)}
    lines = text.split("\n")
    found: list[tuple[int, int, Exercise]] = []
    for cell, below in zip(cells, [*cells[1:], None], strict=True):
        exercise = by_cell.get(cell.number)
        begin: int | None = None
        for number in range(cell.line - 1, below.line - 2 if below else len(lines)):
            line = lines[number].strip()
            place = f"{name}:{number + 1}"
            if cell.kind != "code" or not _MEANT_AS_MARKER.search(line):
                continue
            if line not in (BEGIN, END):
                raise ConfigError(
                    f"{place}: {line!r} would leave a solution in the stub; write {BEGIN} or {END}, alone"
                )
            if exercise is None:
                raise ConfigError(f'{place}: {line} stands outside of an exercise; its cell needs exercise="name"')
            if (line == BEGIN) == (begin is not None):
                raise ConfigError(f"{place}: {line} has no twin: {BEGIN} and {END} take turns")
            if line == BEGIN:
                begin = number
            elif begin is not None:
                found.append((begin, number, exercise))
                begin = None
        if begin is not None:
            raise ConfigError(f"{name}:{begin + 1}: {BEGIN} has no twin in its cell")
        if exercise and not any(solved is exercise for _, _, solved in found):
            raise ConfigError(f"{name}:{cell.line}: exercise {exercise.name} has no {BEGIN}")
    return found
