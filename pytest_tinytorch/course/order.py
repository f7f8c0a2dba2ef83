"""In which order a module's tests lead through its exercises, and which failure to look at first."""
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


def urgency(
    test: str, exercise: str | None, empty: str | None, exercises: Sequence[str], *, took_too_much: bool, is_required: bool, has_hint: bool
) -> tuple[bool, bool, bool, int, int, bool]:
    """How soon to look at a failure; the least comes first, and what is equal keeps the order of the run.

    `empty` is the exercise that isn't written yet and that the test met. Those come last: nothing is wrong with them; the
    first empty exercise's own tests come before others that need it. Of the others those of the first exercise come
    first, and among these one of which a hint knows what is wrong; before all one that took too much time or memory,
    which may have ended the run. Nothing here depends on an earlier run: the same code always has the same first failure.
    """
    needed = place(test, empty or exercise, exercises)
    return not took_too_much, empty is not None, not is_required, needed, place(test, exercise, exercises), bool(empty) or not has_hint
