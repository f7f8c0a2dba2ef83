"""What a student reads of one failed test."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_tinytorch.failures import Comparison, explain

HERE = Path(__file__).parent


class Rude:
    def __eq__(self, other):
        raise AssertionError("asked")

    def __repr__(self):
        raise AssertionError("shown")

    __hash__ = None


def told(function, *arguments, comparisons=()):
    with pytest.raises(BaseException) as raised:  # noqa: PT011  # whatever the test under test ends with
        function(*arguments)
    return explain(raised.value, function, comparisons, HERE)


def test_docstring_statements_values_and_place_are_told():
    def of_one(x):
        """One line,
        and another.
        """
        y = x + 1
        raise AssertionError(f"assert {y} == 1")

    found = told(of_one, 2, comparisons=[Comparison("==", 3, 1)])
    line = of_one.__code__.co_firstlineno + 5
    assert found.asks == "One line, and another."
    assert found.text.splitlines() == [
        "One line, and another.", "",
        "    y = x + 1", '    raise AssertionError(f"assert {y} == 1")', "",
        "expected  1", "got       3", "with      y = 3", "          x = 2", "",
        f"test_failures.py:{line}: AssertionError",
    ]  # fmt: skip


def test_the_false_comparison_is_told_and_not_the_true_ones_beside_it():
    def both():
        raise AssertionError("assert (2 == 2 and (1,) == (3,))")

    text = told(both, comparisons=[Comparison("==", 2, 2), Comparison("==", (1,), (3,))]).text
    assert "expected  (3,)\ngot       (1,)\n" in text


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        (Comparison("<", 3, 2), "< 2"),
        (Comparison("is", None, True), "True"),
        (Comparison("not in", 1, [1]), "not in [1]"),
        (Comparison("==", 1.5, pytest.approx(1.0)), "about 1.0"),
        (Comparison("==", [1.5], pytest.approx([1.0])), "about [1.0]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_relations(comparison, expected):
    assert comparison.is_false and comparison.lines()[0] == f"expected  {expected}"


def test_nothing_of_the_students_is_asked():
    rude = Rude()
    assert not Comparison("==", rude, 1).is_false

    def meets(it):
        raise AssertionError("assert <it> == 1")

    text = told(meets, rude, comparisons=[Comparison("==", rude, 1)]).text
    assert "assert <it> == 1" in text


def test_a_function_of_numpy_testing_shows_its_arrays_and_its_tolerance():
    def close(x):
        np.testing.assert_allclose(x, [1.0, 2.0], rtol=0.2)

    text = told(close, np.array([1.1, 4.0])).text
    assert "expected  [1., 2.], float64\ngot       [1.1, 4. ], float64\n1 of 2 elements differs; the largest difference is 2, at [1]\n" in text


def test_the_authors_message_is_told():
    def fails():
        ok = False
        assert ok, "it lies in the input's memory"

    def fails_as_pytest_says_it():
        raise AssertionError("it lies in the input's memory\nassert False")

    for function in (fails, fails_as_pytest_says_it):
        assert "\nit lies in the input's memory\n" in told(function).text


def test_no_error_where_one_is_expected():
    def nothing():
        with pytest.raises(ValueError, match="x"):
            pass

    assert "expected  ValueError\ngot       no error\n" in told(nothing).text


def test_an_error_in_a_test_is_told():
    def calls(layer):
        layer()

    assert "TypeError: 'NoneType' object is not callable\nwith      layer = None\n" in told(calls, None).text


def test_an_error_whose_text_cannot_be_said_is_told():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    def fails():
        raise Mute

    assert "Mute: (its text can't be shown: RuntimeError)" in told(fails).text


def test_an_error_outside_of_the_test_is_not_ours():
    def fails():
        raise ValueError

    def another():
        pass

    with pytest.raises(ValueError) as raised:  # noqa: PT011  # has no text
        fails()
    assert explain(raised.value, another, [], HERE) is None
