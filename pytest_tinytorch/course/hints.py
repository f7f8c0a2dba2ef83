"""The hints that a module's own text gives for its exercises.

They stand in the prose above an exercise's cell: a paragraph's end that begins with `*Hint.*` or `*Hint:*`, or what is
folded away below `<details><summary>Hint</summary>`.
"""
from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from pytest_tinytorch.workspace.notebooks import Cell

_FOLDED = re.compile(
    r"<details[^>]*>\s*<summary[^>]*>\s*hints?\W*</summary>(?P<text>.*?)(?:</details>|\Z)", re.IGNORECASE | re.DOTALL
)
_INLINE = re.compile(r"\*+hints?[.:]?\*+[.:]?\s+(?P<text>.+?)(?=\n\s*\n|\Z)", re.IGNORECASE | re.DOTALL)


def of_exercise(cells: Sequence[Cell], exercise: str) -> str | None:
    """The hints in the prose right above an exercise's cell, or None.

    >>> prose, code = "Add up. *Hint.* Use sum.", "def add(xs): ..."
    >>> cells = [Cell("markdown", prose, {}, "a", 1, 1), Cell("code", code, {"exercise": "add"}, "b", 2, 3)]
    >>> of_exercise(cells, "add")
    'Use sum.'
    """
    at = next((number for number, cell in enumerate(cells) if cell.exercise == exercise), 0)
    above = list(takewhile(lambda cell: cell.kind == "markdown", reversed(cells[:at])))
    prose = "\n\n".join(cell.source for cell in reversed(above))
    found = [*_INLINE.finditer(_FOLDED.sub("", prose)), *_FOLDED.finditer(prose)]
    return "\n\n".join(match["text"].strip() for match in found) or None


def task_of(cells: Sequence[Cell], exercise: str) -> str | None:
    """What an exercise asks for, in the words of its cell."""
    task = next((cell.metadata.get("task") for cell in cells if cell.exercise == exercise), None)
    return task if isinstance(task, str) else None
