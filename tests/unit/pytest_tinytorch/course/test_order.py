"""Which failure to look at first."""
from __future__ import annotations

from dataclasses import dataclass

import pytest

from pytest_tinytorch.course.order import urgency

EXERCISES = ["strides", "shapes", "matmul"]


@dataclass(frozen=True)
class Failure:
    exercise: str
    empty: str | None = None
    file: str = "test_x.py"
    took_too_much: bool = False
    is_required: bool = True
    has_hint: bool = False

    @property
    def urgency(self):
        flags = {"took_too_much": self.took_too_much, "is_required": self.is_required, "has_hint": self.has_hint}
        return urgency(f"tests/01_tensor/{self.file}::test", self.exercise, self.empty, EXERCISES, **flags)


STRIDES = Failure("strides")


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (STRIDES, Failure("shapes", has_hint=True)),
        (Failure("shapes", has_hint=True), Failure("shapes")),
        (Failure("matmul"), Failure("strides", empty="strides")),
        (Failure("matmul", empty="shapes"), Failure("shapes", empty="matmul")),
        (Failure("strides", empty="strides"), Failure("matmul", empty="strides", has_hint=True)),
        (Failure("matmul"), Failure("strides", is_required=False)),
        (Failure("matmul"), Failure("strides", file="test_progressive_integration.py", has_hint=True)),
        (Failure("matmul", took_too_much=True), STRIDES),
        (STRIDES, Failure("unknown", has_hint=True)),
    ],
    ids=["exercise", "hint", "written", "needed", "own", "required", "direct", "ended the run", "known"],
)
def test_what_comes_first(first, then):
    assert first.urgency < then.urgency


def test_the_same_stays_in_the_order_of_the_run():
    assert STRIDES.urgency == Failure("strides").urgency
    assert Failure("strides", empty="strides").urgency == Failure("strides", empty="strides", has_hint=True).urgency
