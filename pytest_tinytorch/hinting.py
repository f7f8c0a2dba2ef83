"""The next hint for a failing test: from what it asks for, over what the module's text says, to what the failure tells.

How many were shown is kept for each test (`hints` in progress.json) until the module is reset.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_tinytorch.course import hints
from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.course.order import place
from pytest_tinytorch.state import progress
from pytest_tinytorch.workspace import changes
from pytest_tinytorch.workspace.layout import Workspace
from pytest_tinytorch.workspace.notebooks import Cell
from tinytorch.errors import TinyTorchError

TASK, MODULE, FAILURE = "task", "module", "failure"


@dataclass(frozen=True)
class Failed:
    """A test that failed, as the session that ran it hands it over."""

    test: str  # its id
    exercise: str | None  # that it belongs to
    empty: str | None  # the exercise that isn't written yet and that it met, if that is why it failed
    asks: str  # its docstring in one line; may be empty
    told: str  # the failure as pytest printed it
    hints: tuple[str, ...]  # those whose condition held

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Failed:
        return cls(**{**data, "hints": tuple(data["hints"])})

    @property
    def to_work_on(self) -> str | None:
        """An exercise."""
        return self.empty or self.exercise


@dataclass(frozen=True)
class Hint:
    """One hint; `kind` says where it comes from."""

    kind: str
    text: str


@dataclass(frozen=True)
class Given:
    """What was found out and said about a module."""

    failed: Failed
    hints: list[tuple[int, Hint]]  # those to show now, with their numbers; none if there is no other
    of: int  # how many there are for this test
    shown: int  # how many have been shown by now


def first_failed(failures: Sequence[Failed], required: Collection[str], exercises: Sequence[str]) -> Failed | None:
    """The failed test to begin with: a required one, of the first exercise in the module's order."""
    return min(failures, key=lambda f: (f.test not in required, place(f.test, f.exercise, exercises)), default=None)


def give(workspace: Workspace, module: Module, failures: Sequence[Failed], *, again: bool = False) -> Given | None:
    """The next hint for the first failed test, remembered as shown; with `again` those shown so far. None if none failed.

    Raises: StateError if it can't be remembered; then it isn't given.
    """
    cells = _cells(workspace, module)
    failed = first_failed(failures, workspace.course.required(module), [cell.exercise for cell in cells if cell.exercise])
    if failed is None:
        return None
    grades = list(enumerate(_grades(workspace, module, failed, cells), start=1))
    if failed.test not in workspace.course.required(module):  # an error at import is another one each time
        return Given(failed, grades, len(grades), len(grades))
    shown = progress.hints_shown(workspace.store, module, failed.test)
    if again or shown >= len(grades):
        return Given(failed, grades[:shown] if again else [], len(grades), shown)
    progress.record_hints(workspace.store, module, failed.test, shown + 1)
    return Given(failed, grades[shown : shown + 1], len(grades), shown + 1)


def _cells(workspace: Workspace, module: Module) -> list[Cell]:
    """The cells of the working copy, or of what the student started from if it can't be read."""
    try:
        return workspace.working_copy(module).cells
    except TinyTorchError:
        return changes.started_from(workspace, module)[1]


def _grades(workspace: Workspace, module: Module, failed: Failed, cells: Sequence[Cell]) -> list[Hint]:
    """The hints that there are for a failed test, from general to specific."""
    stub = changes.started_from(workspace, module)[1]
    exercise = failed.to_work_on
    asks = [f"The test says: {failed.asks}"] if failed.asks else []
    told = None if failed.empty else "\n\n".join([failed.told, *(f"A likely mistake: {text}" for text in failed.hints)])
    text = None
    if exercise:
        if failed.empty and failed.empty != failed.exercise:
            asks.append(f"It needs exercise {exercise}, which isn't written yet.")
        if task := hints.task_of(cells, exercise) or hints.task_of(stub, exercise):
            asks.append(f"Exercise {exercise} asks: {task}.")
        text = hints.of_exercise(cells, exercise) or hints.of_exercise(stub, exercise)
    return [Hint(kind, said) for kind, said in ((TASK, "\n".join(asks)), (MODULE, text), (FAILURE, told)) if said]


def as_json(module: Module, given: Given | None, reasons: Sequence[str]) -> dict[str, Any]:
    """What was found out and said, as plain data; `reasons` say why the module didn't pass."""
    return {
        "module": module.number,
        "passed": not given and not reasons,
        "reasons": [] if given else list(reasons),
        "test": given and given.failed.test,
        "exercise": given and given.failed.to_work_on,
        "hints": [{"number": number, "kind": hint.kind, "text": hint.text} for number, hint in given.hints] if given else [],
        "shown": given.shown if given else 0,
        "of": given.of if given else 0,
    }
