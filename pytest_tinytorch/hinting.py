"""The next hint for a failing test: from what it asks for, over what the module's text says, to what the failure tells.

How many were shown is kept for each test, and for each failure of it (`hints` in progress.json) until the module is reset.
"""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pytest_tinytorch.course import hints
from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.state import progress
from pytest_tinytorch.workspace import changes
from pytest_tinytorch.workspace.layout import Workspace
from pytest_tinytorch.workspace.notebooks import Cell
from tinytorch.errors import TinyTorchError
from tinytorch.files import sha256

_DIGITS = 12  # of a hash, which tell the failures of one test apart

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
        known = {field.name: data[field.name] for field in fields(cls)}
        return cls(**known | {"hints": tuple(data["hints"])})

    @property
    def to_work_on(self) -> str | None:
        """An exercise."""
        return self.empty or self.exercise

    @property
    def question(self) -> str:
        """The test and how it failed: another failure, or another hint, is another question. Addresses are the same."""
        told = re.sub(r"0x[0-9a-fA-F]+", "0x", "\n".join([self.told, *self.hints]))
        return f"{self.test} {sha256(told.encode('utf-8', 'replace'))[:_DIGITS]}"


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


def give(workspace: Workspace, module: Module, failed: Failed, *, again: bool = False) -> Given:
    """The next hint for a failed test, remembered as shown; with `again` those shown so far.

    What is told of a failure is told anew for each other failure of the test; what the test and its exercise ask stays
    the same.

    Raises: StateError if it can't be remembered; then it isn't given.
    """
    grades = list(enumerate(_grades(workspace, module, failed, _cells(workspace, module)), start=1))
    if failed.test not in workspace.course.required(module):  # an error at import is another one each time
        return Given(failed, grades, len(grades), len(grades))
    general = [grade for grade in grades if grade[1].kind != FAILURE]
    shown = min(progress.hints_shown(workspace.store, module, failed.test), len(general))
    has_told = shown == len(general) and progress.hints_shown(workspace.store, module, failed.question) > 0
    shown += has_told and len(grades) > len(general)
    if again or shown >= len(grades):
        return Given(failed, grades[:shown] if again else [], len(grades), shown)
    kind = grades[shown][1].kind
    progress.record_hints(workspace.store, module, *((failed.question, 1) if kind == FAILURE else (failed.test, shown + 1)))
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
