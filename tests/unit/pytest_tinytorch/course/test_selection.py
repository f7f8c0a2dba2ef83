"""No test that pytest would select is left out before it is imported, and as many others as possible are."""
from __future__ import annotations

import itertools

import pytest
from _pytest.mark.expression import Expression
from hypothesis import given
from hypothesis import strategies as st

from pytest_tinytorch.course.selection import may_select, named_marks

OURS = ["module01", "module02", "milestone01"]
OTHERS = ["slow", "gpu", "windows"]


def joined(inner):
    two_or_more = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(
        inner.map("not {}".format),
        inner.map("({})".format),
        inner.map("not({})".format),
        two_or_more.map(" and ".join),
        two_or_more.map(" or ".join),
        two_or_more.map(lambda parts: " and ".join(f"({part})" for part in parts)),
    )


expressions = st.recursive(st.sampled_from(OURS + OTHERS), joined, max_leaves=8)


def selects(expression, mark):
    """Whether pytest selects a test with this mark of ours and some others: all truth assignments are tried."""
    compiled = Expression.compile(expression)
    subsets = itertools.chain.from_iterable(itertools.combinations(OTHERS, size) for size in range(len(OTHERS) + 1))
    return any(compiled.evaluate(lambda name, has=(mark, *others), **_: name in has) for others in subsets)


@given(expressions, st.sampled_from(OURS))
def test_what_pytest_may_select_is_never_left_out(expression, mark):
    assert may_select(expression, mark) or not selects(expression, mark)


@given(expressions.filter(lambda text: all(text.count(other) <= 1 for other in OTHERS)), st.sampled_from(OURS))
def test_what_pytest_cannot_select_is_left_out(expression, mark):
    """Exactly, as long as no unknown mark occurs twice: `slow and not slow` isn't seen through."""
    assert may_select(expression, mark) == selects(expression, mark)


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ("", True),
        ("  \n", True),
        ("module01", True),
        ("module02", False),
        ("not module01", False),
        ("not(module01)", False),
        ("not not module01", True),
        ("module02 and slow", False),
        ("module02 or slow", True),
        ("module01 and not slow", True),
        ("(module01)and(slow)", True),
        ("module1", False),
        ("module001", False),
        ("module01x", True),
        ('device(kind="gpu")', True),
        ('module02 and device(kind="a (b) or module01")', False),
        ("module01(x=1)", True),
        ('module02 and device (kind="gpu") or module01', True),
        ("not (module01)", False),
        ("slow or (module02)", True),
        ("(module02) and (slow)", False),
        ("module01 and", True),
        ("and module01", True),
        ("(module01", True),
        ("module01) or (", True),
        ("not", True),
        (")", True),
    ],
)
def test_may_select_module01(expression, selected):
    """Unknown words may be true; an expression that pytest refuses is left to pytest."""
    assert may_select(expression, "module01") is selected


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("module01 or not module02 and slow", {"module01", "module02"}),
        ("(milestone03)", {"milestone03"}),
        ("modules or module or my_module01 or module01x", set()),
        ('device(kind="module01")', set()),
        ("", set()),
    ],
)
def test_named_marks_are_the_courses_own(expression, names):
    assert named_marks(expression) == names
