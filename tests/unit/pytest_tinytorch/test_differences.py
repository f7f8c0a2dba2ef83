"""How two values are shown, and what is said of two arrays that differ."""
from __future__ import annotations

import numpy as np
import pytest

from pytest_tinytorch.differences import difference, is_plain, shown

SIX = np.arange(6.0).reshape(2, 3)


class Rude:
    """Of the student's: nothing of it may be called."""

    def __eq__(self, other):
        raise AssertionError("asked")

    def __repr__(self):
        raise AssertionError("shown")

    __hash__ = None


@pytest.mark.parametrize(
    "value", [1, None, "x", [1, (2.0, {"a": SIX})], np.float32(2), np.dtype("int8"), float, slice(2), np.bool_(True)], ids=str
)
def test_plain_values(value):
    assert is_plain(value)


@pytest.mark.parametrize(
    "value", [Rude(), [Rude()], {"a": Rude()}, np.array([Rude()], object), type("Mine", (float,), {})(1)],
    ids=["object", "list", "dictionary", "array", "number"],
)
def test_values_that_hold_code_of_the_students_are_not_plain(value):
    assert not is_plain(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.5), "0.5"),
        ((np.dtype("int64"), np.float32), "(int64, float32)"),
        ((1,), "(1,)"),
        (np.array([1, 2]), "[1, 2], int64"),
        (np.zeros((0, 3), "float32"), "shape (0, 3), float32"),
        (np.array([0.0] * 20 + [2.5, np.nan]), "shape (22,), float64, from 0 to 2.5, nan in it"),
        ([np.array([1.5]), np.zeros((9, 9))], "[array([1.5], float64), array of shape (9, 9), float64]"),
        ({"a": np.array([1])}, "{'a': array([1], int64)}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_shown(value, text):
    assert shown(value) == text


def test_a_long_value_is_cut():
    assert len(shown("x" * 10_000)) == len(shown(list(range(10_000)))) == 200


@pytest.mark.parametrize(
    ("got", "expected", "said"),
    [
        (SIX.T, SIX, "expected shape (2, 3), got (3, 2): transposed"),
        (np.zeros(3), np.zeros((3, 1)), "expected shape (3, 1), got (3,): a dimension of length 1 is missing"),
        (np.zeros((1, 3)), np.zeros(3), "expected shape (3,), got (1, 3): a dimension of length 1 too many"),
        (np.zeros((2, 3, 4)), np.zeros((3, 2, 4)), "expected shape (3, 2, 4), got (2, 3, 4): the same lengths in another order"),
        (np.zeros(6), SIX, "expected shape (2, 3), got (6,): as many elements, in another shape"),
        (np.zeros((2, 2)), SIX, "expected shape (2, 3), got (2, 2)"),
        ([1, 2], [1, 2, 3], "expected shape (3,), got (2,)"),
        (SIX.astype("float32"), SIX, "expected dtype float64, got float32"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_shapes_and_dtypes(got, expected, said):
    assert difference(got, expected) == [said]


@pytest.mark.parametrize(
    ("got", "expected", "said"),
    [
        (2 * SIX, SIX, "got is 2 x expected everywhere"),
        (-SIX, SIX, "got is -expected everywhere: the sign"),
        (SIX - 1.5, SIX, "got is expected - 1.5 everywhere"),
        (np.zeros((2, 3)), SIX, "got is 0 everywhere"),
        (np.array([[1, 2], [3, 4]]), np.array([[1, 3], [2, 4]]), "got is expected transposed"),
        ([3, 2, 1], [1, 2, 3], "got is expected in reverse order"),
        ([2.0, 3.0, 1.0], [1.0, 2.0, 3.0], "got has the same elements in another order"),
        ([np.nan, np.nan], [1.0, 2.0], "got has nan in every element"),
        ([1.0, -np.inf], [1.0, 2.0], "got has -inf in 1 of 2 elements"),
        ([0.0, 2.0], [np.nan, 2.0], "nan was expected in 1 of 2 elements where got has none"),
        (np.uint8([1, 2]), np.uint8([2, 4]), "got is 0.5 x expected everywhere"),
        (6.9, 2.3, "got is 3 x expected"),
        (-2.3, 2.3, "got is -expected: the sign"),
        ([-2.3], [2.3], "got is -expected: the sign"),
        (0.10000000149011612, 0.1, "the difference is 1.49012e-09"),
        ([0.10000000149011612], [0.1], "the difference is 1.49012e-09"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_patterns(got, expected, said):
    assert said in difference(got, expected)


def test_numbers_that_are_nearly_equal_are_no_multiples():
    for got, expected in ((0.10000000149011612, 0.1), (np.float32(SIX + 0.1).astype(float), SIX + 0.1)):
        assert not any(" x expected" in line for line in difference(got, expected))


def test_the_elements_that_differ_are_counted_placed_and_listed():
    got = SIX.copy()
    got[0, 1], got[1, 2] = 1.5, 9
    assert difference(got, SIX) == [
        "2 of 6 elements differ; the largest difference is 4, at [1, 2]",
        "  index   expected  got",
        "  [0, 1]  1         1.5",
        "  [1, 2]  5         9",
    ]


def test_a_long_list_of_elements_ends():
    lines = difference(np.arange(100.0) ** 2, np.arange(100.0))
    assert lines[0].startswith("98 of 100 elements differ") and lines[-1] == "  and 93 more" and len(lines) == 8


def test_numbers_that_look_the_same_get_more_digits():
    lines = difference([1.0, 1 + 1e-12, 3.0], [1.0, 1.0, 3.0])
    assert lines[-1].split() == ["[1]", "1.0", "1.000000000001"]


def test_tolerance_is_numpys():
    got, expected = SIX * (1 + 1e-6) + 1e-9, SIX
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-8)
    assert difference(got, expected, rtol=1e-5, atol=1e-8) == []
    assert difference(got, expected, rtol=1e-8)[0].startswith("6 of 6 elements differ")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float64", "complex64"])
def test_every_dtype_can_be_compared(dtype):
    assert "1 of 3 elements differs" in difference(np.array([0, 1, 1], dtype), np.array([0, 1, 0], dtype))[0]


@pytest.mark.parametrize(
    ("got", "expected"), [((2, 3), (3, 2)), ("a", "b"), ([1, [2]], [1]), (None, 2.5), (SIX, None), (2, 4), (np.array(["x"]), 1)], ids=str
)
def test_what_is_no_array_has_no_difference(got, expected):
    assert difference(got, expected) == []


def test_a_number_stands_for_every_element():
    assert difference(np.array([1.0, 2.0]), 1.0)[0] == "1 of 2 elements differs; the largest difference is 1, at [1]"
