"""In which order a module's tests lead through its exercises."""
from __future__ import annotations

from collections.abc import Sequence

_LAST = "test_progressive_integration.py"  # each module has one: it needs all exercises


def place(test: str, exercise: str | None, exercises: Sequence[str]) -> int:
    """Where a test comes, among those of its module whose exercises are given in order.

    >>> [place(test, "add", ["sub", "add"]) for test in ("test_add.py::test", "test_progressive_integration.py::test")]
    [1, 2]
    """
    known = exercise in exercises and not test.partition("::")[0].endswith(_LAST)
    return exercises.index(exercise) if known and exercise else len(exercises)
