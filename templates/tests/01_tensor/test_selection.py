"""Selecting elements: by index, by condition, by mask."""

import numpy as np
import pytest

from tinytorch.core.tensor import MaskedFill, Slice, Tensor, Where, where

pytestmark = pytest.mark.exercise("selection")

NUMBERS = "A mask of integers or floats is a TypeError: compare first, so that it holds booleans."

VIEWS = {
    "a row": 1,
    "the last row": -1,
    "rows": slice(1, 3),
    "every other row": slice(None, None, 2),
    "a column": (slice(None), 2),
    "a block": (slice(0, 2), slice(1, 4)),
    "a new dimension": (None, slice(0, 2)),
}
COPIES = {
    "a list of rows": [2, 0, 2],
    "an array of rows": np.array([3, 1]),
    "pairs": ([0, 3], [1, 2]),
    "a mask of rows": np.array([True, False, True, False]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_numbers_and_slices_give_views(rng, student_side, hint, name):
    """Part of the same memory: nothing is copied, whatever the size."""
    x = rng.normal(size=(4, 5)).astype(np.float32)
    t = Tensor(x)
    out = t[VIEWS[name]]
    np.testing.assert_array_equal(out.numpy(), x[VIEWS[name]])
    shared = student_side.same_memory(out, t)
    hint("A slice is a view: x[index] alone, without a copy.", when=not shared)
    assert shared


@pytest.mark.parametrize("name", COPIES)
def test_lists_arrays_and_masks_give_copies(rng, student_side, name):
    """Rows in any order have no common stride."""
    x = rng.normal(size=(4, 5)).astype(np.float32)
    t = Tensor(x)
    out = t[COPIES[name]]
    np.testing.assert_array_equal(out.numpy(), x[COPIES[name]])
    np.testing.assert_array_equal(student_side.run(Slice, x, index=COPIES[name])[0], x[COPIES[name]])
    assert not student_side.same_memory(out, t)


def test_tensors_as_indices(rng, student_side):
    """A tensor of integers picks rows, a boolean one filters, and a tuple may hold them."""
    x, rows, columns = rng.normal(size=(4, 5)), rng.integers(0, 4, size=3), rng.integers(0, 5, size=3)
    t = Tensor(x)
    np.testing.assert_array_equal(t[Tensor(rows)].numpy(), x[rows])
    np.testing.assert_array_equal(t[Tensor(rows), Tensor(columns)].numpy(), x[rows, columns])
    np.testing.assert_array_equal(t[student_side.compare("gt", t, 0.5)].numpy(), x[x > 0.5])
    np.testing.assert_array_equal(student_side.last_of_each(t).numpy(), x[:, -1])


def test_one_element(rng):
    """Two numbers index a matrix down to a tensor without dimensions; a row too many is an error."""
    x = rng.normal(size=(4, 5)).astype(np.float32)
    t = Tensor(x)
    out = t[2, -1]
    assert out.shape == () and out.item() == x[2, -1]
    with pytest.raises(IndexError, match="(?i)out of bounds|too many|range"):
        _ = t[4]
    with pytest.raises(IndexError, match="(?i)out of bounds|too many|range"):
        _ = t[0, 0, 0]


def test_slice_saves_shape_and_index(rng, student_side, hint):
    """The gradient goes back to where the elements came from; the rest of that shape gets zero."""
    x = rng.normal(size=(4, 5))
    for index in (2, (slice(1, 3), 4), (0, 0)):
        out, saved, _ = student_side.run(Slice, x, index=index)
        np.testing.assert_array_equal(out, x[index])
        hint("Save x.shape and the index, in this order.", when=str(saved) != str(((4, 5), index)))
        assert str(saved) == str(((4, 5), index))


def test_where_takes_from_two(rng, hint):
    """From the first where the condition is True, from the second elsewhere."""
    condition, a, b = rng.random((3, 4)) < 0.5, rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    condition[0, :2] = [True, False]
    out = where(Tensor(condition), Tensor(a), Tensor(b)).numpy()
    hint("The two branches are swapped: a is for True.", when=np.array_equal(out, np.where(condition, b, a)))
    np.testing.assert_array_equal(out, np.where(condition, a, b))


def test_where_broadcasts_and_promotes(rng):
    """All three shapes meet, and the two branches meet in a dtype: a Python number gives way."""
    condition = np.array([[True], [False], [True]])
    a = rng.normal(size=4).astype(np.float32)
    out = where(Tensor(condition), Tensor(a), 0.5).numpy()
    np.testing.assert_array_equal(out, np.where(condition, a, np.float32(0.5)))
    mixed = where(condition, Tensor([[2], [3], [4]]), Tensor(a)).numpy()
    np.testing.assert_array_equal(mixed, np.where(condition, np.float32([[2], [3], [4]]), a))
    assert (out.dtype, mixed.dtype) == (np.float32, np.float32)


def test_masked_fill(rng, hint):
    """In the module: with -inf wherever the mask is True."""
    x = rng.normal(size=(4, 4)).astype(np.float32)
    mask = np.triu(np.ones((4, 4), bool), k=1)
    out = Tensor(x.copy()).masked_fill(Tensor(mask), -np.inf).numpy()
    hint("This fills where the mask is False.", when=np.array_equal(out, np.where(mask, x, -np.inf)))
    np.testing.assert_array_equal(out, np.where(mask, -np.inf, x))
    assert out.dtype == np.float32


def test_masked_fill_broadcasts_and_keeps_the_dtype(rng, hint):
    """One mask for every row; and whatever the value, the dtype of x."""
    x, mask = rng.integers(1, 9, size=(3, 4)), np.array([True, False, False, True])
    for dtype in ("int64", "int8", "float16", "float64"):
        out = Tensor(x.astype(dtype)).masked_fill(mask, 2.0).numpy()
        np.testing.assert_array_equal(out, np.where(mask, 2, x))
        hint(
            "masked_fill keeps the dtype of x: give the value that dtype before np.where sees it.",
            when=out.dtype != dtype,
        )
        assert out.dtype == dtype


def test_masked_fill_leaves_its_input_alone(rng, student_side, hint):
    """The mask writes into a new array."""
    x, mask = rng.normal(size=(3, 4)), np.eye(3, 4, dtype=bool)
    out, saved, inputs = student_side.run(MaskedFill, x, mask, value=7.0)
    np.testing.assert_array_equal(out, np.where(mask, 7.0, x))
    hint(
        "masked_fill wrote into x. np.where makes a new array, x[mask] = value does not.", when=(inputs[0] == 7.0).any()
    )
    np.testing.assert_array_equal(inputs[0], x)
    np.testing.assert_array_equal(inputs[1], mask)


def test_masked_fill_and_where_save_mask_and_shapes(rng, student_side, hint):
    """Where the mask is True no gradient passes; the shapes undo the broadcasting. The mask is no copy."""
    x, mask, b = rng.normal(size=(3, 4)), rng.random(4) < 0.5, rng.normal(size=(3, 1))
    out, saved, _ = student_side.run(MaskedFill, x, mask, value=7.0)
    np.testing.assert_array_equal(out, np.where(mask, 7.0, x))
    hint(
        "MaskedFill saves the mask and x.shape, in this order.",
        when=len(saved) != 2 or not np.array_equal(saved[0], mask) or str(saved[1]) != "(3, 4)",
    )
    assert len(saved) == 2
    np.testing.assert_array_equal(saved[0], mask)
    assert str(saved[1]) == "(3, 4)"
    out, saved, _ = student_side.run(Where, mask, x, b)
    np.testing.assert_array_equal(out, np.where(mask, x, b))
    hint(
        "Where saves the condition, a.shape and b.shape, in this order.",
        when=len(saved) != 3 or not np.array_equal(saved[0], mask) or str(saved[1:]) != "((3, 4), (3, 1))",
    )
    assert len(saved) == 3
    np.testing.assert_array_equal(saved[0], mask)
    assert str(saved[1:]) == "((3, 4), (3, 1))"


@pytest.mark.hint(AssertionError, "You raised TypeError, but its message must say what is expected: 'bool'.")
@pytest.mark.hint(pytest.fail.Exception, NUMBERS)
@pytest.mark.parametrize("mask", [[1, 0, 1], [1.0, 0.0, 1.0]], ids=["integers", "floats"])
def test_masks_are_booleans(mask):
    """Ones and zeros may be a mask, or numbers by mistake: PyTorch asks, and so do we."""
    t = Tensor([1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="(?i)bool"):
        t.masked_fill(Tensor(mask), 0.0)
    with pytest.raises(TypeError, match="(?i)bool"):
        where(Tensor(mask), t, t)
