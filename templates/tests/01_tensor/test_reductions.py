"""Sum, mean and max: over everything, one axis or several, with PyTorch's dtypes."""

import numpy as np
import pytest

from tinytorch.core.tensor import Max, Mean, Sum, Tensor

pytestmark = pytest.mark.exercise("reductions")

REDUCTIONS = {"sum": Sum, "mean": Mean, "max": Max}
reductions = pytest.mark.parametrize("name", REDUCTIONS)


def test_reductions_by_hand():
    """Of a (2, 3) matrix: down the rows, along the columns, and all."""
    t = Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]])
    assert t.sum(axis=0).numpy().tolist() == [5, 7, 12]
    assert t.mean(axis=1).numpy().tolist() == [2, 6]
    assert t.max(axis=1, keepdims=True).numpy().tolist() == [[3], [9]]
    assert [t.sum().item(), t.mean().item(), t.max().item()] == [24, 4, 9]


@reductions
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (-1, 1), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("keepdims", [False, True], ids=["dropped", "kept"])
def test_reductions_along_axes(rng, hint, name, axis, keepdims):
    """The axis disappears, or stays with length 1. All numbers are negative, so nothing starts from 0."""
    x = -rng.uniform(1, 2, size=(2, 3, 4)).astype(np.float32)
    out = getattr(Tensor(x), name)(axis=axis, keepdims=keepdims).numpy()
    expected = getattr(x.astype(np.float64), name)(axis=axis, keepdims=keepdims)
    hint("keepdims was ignored: with it the axis stays, with length 1.", when=keepdims and out.ndim < 3)
    hint("The axis should be gone: only keepdims=True keeps it, with length 1.", when=not keepdims and out.ndim == 3)
    hint("axis was ignored: this is the whole tensor reduced.", when=out.shape == () != expected.shape)
    assert out.shape == expected.shape and out.dtype == np.float32
    hint(
        "Divide by the number of elements that were added, not by len(x), the length of the first dimension.",
        when=name == "mean" and np.allclose(out, x.sum(axis=axis, keepdims=keepdims) / len(x)),
    )
    np.testing.assert_allclose(out, expected, rtol=1e-5)


@reductions
def test_reductions_without_options(rng, student_side, name):
    """Everything, dimensions dropped: for the forward as for the method."""
    x = rng.normal(size=(3, 5))
    expected = getattr(x, name)()
    out, by_forward = getattr(Tensor(x), name)().numpy(), student_side.run(REDUCTIONS[name], x)[0]
    assert out.shape == np.shape(by_forward) == ()
    np.testing.assert_allclose([out, by_forward], [expected, expected], rtol=1e-9)


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8", "bool"])
def test_sum_of_integers_is_int64(rng, dtype):
    """It doesn't overflow where the dtype of the input would; `max` stays in that dtype."""
    x = rng.integers(100, 120, size=(3, 4)).astype(dtype)
    out, largest = Tensor(x).sum(axis=1).numpy(), Tensor(x).max(axis=0).numpy()
    np.testing.assert_array_equal(out, x.astype(np.int64).sum(axis=1))
    np.testing.assert_array_equal(largest, x.max(axis=0))
    assert (out.dtype.name, largest.dtype.name) == ("int64", dtype)


@pytest.mark.hint(AssertionError, "You raised TypeError, but its message must say what mean wants: 'float'.")
@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8", "bool"])
def test_mean_of_integers_is_refused(dtype):
    """The mean of 1 and 2 is no integer, and which float it should be nobody said."""
    t = Tensor(np.ones(3, dtype))
    with pytest.raises(TypeError, match="float"):
        t.mean()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_reductions_of_floats_keep_the_dtype(rng, dtype):
    """Also where the result is one number."""
    x = rng.normal(size=(3, 4)).astype(dtype)
    for name in REDUCTIONS:
        out = getattr(Tensor(x), name)().numpy()
        assert out.dtype == dtype
        np.testing.assert_allclose(out, getattr(x.astype("float64"), name)(), rtol=0.02, atol=0.02)


def test_reductions_of_nothing_and_of_nan():
    """The sum of nothing is 0; the largest of nothing is an error; a nan stays visible."""
    assert Tensor(np.zeros((0, 3))).sum(axis=0).numpy().tolist() == [0, 0, 0]
    assert str(Tensor([1.0, np.nan, 2.0]).max().item()) == "nan"
    empty = Tensor(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="(?i)empty|zero-size|no elements|identity"):
        empty.max(axis=0)


def test_an_axis_that_is_not_there():
    """A matrix has no axis 2."""
    t = Tensor([[1.0, 2.0], [3.0, 5.0]])
    assert t.sum(axis=-2).numpy().tolist() == [4, 7]
    for name in REDUCTIONS:
        with pytest.raises((ValueError, IndexError), match="axis"):
            getattr(t, name)(axis=2)


@pytest.mark.parametrize("name", ["sum", "mean"])
@pytest.mark.parametrize(("axis", "keepdims"), [(1, True), ((0, 2), False), (None, False)], ids=["one", "two", "all"])
def test_sum_and_mean_save_how_they_reduced(rng, student_side, hint, name, axis, keepdims):
    """The gradient of every element is the same, so only the shape has to be known."""
    x = rng.normal(size=(2, 3, 4))
    out, saved, _ = student_side.run(REDUCTIONS[name], x, axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(out, getattr(x, name)(axis=axis, keepdims=keepdims), rtol=1e-9)
    hint("Save x.shape, axis and keepdims, in this order.", when=str(saved) != str(((2, 3, 4), axis, keepdims)))
    assert str(saved) == str(((2, 3, 4), axis, keepdims))


@pytest.mark.parametrize(("axis", "keepdims"), [(1, True), ((0, 2), False), (None, False)], ids=["one", "two", "all"])
def test_max_saves_what_it_compared(rng, student_side, hint, axis, keepdims):
    """x and its largest elements, with dimensions kept, so that x == largest finds them."""
    x = rng.normal(size=(2, 3, 4))
    out, saved, _ = student_side.run(Max, x, axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(out, x.max(axis=axis, keepdims=keepdims))
    hint(
        "Save x, the result with its dimensions kept, axis and keepdims, in this order.",
        when=len(saved) != 4 or str(saved[2:]) != str((axis, keepdims)) or not np.array_equal(saved[0], x),
    )
    assert len(saved) == 4
    hint(
        "Max saved its result without the reduced dimensions: it no longer lines up with x.",
        when=np.ndim(saved[1]) != 3 and np.array_equal(saved[1], out),
    )
    assert str(saved[2:]) == str((axis, keepdims))
    np.testing.assert_array_equal(saved[0], x)
    np.testing.assert_array_equal(saved[1], x.max(axis=axis, keepdims=True))
    assert student_side.saved_by_reference(Max, x)[0], "x is saved itself, not a copy"
