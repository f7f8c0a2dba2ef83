"""ReLU: max(x, 0), element by element, for everything that a number can be."""
import numpy as np
import pytest

from tinytorch.core.activations import ReLU, ReLUOp
from tinytorch.core.tensor import Context, Tensor

pytestmark = pytest.mark.exercise("relu_forward")


def test_relu_of_four_numbers():
    """Negative numbers become 0, the others pass."""
    out = ReLU()(Tensor([-2.0, -0.5, 0.0, 3.0])).numpy()
    np.testing.assert_array_equal(out, [0.0, 0.0, 0.0, 3.0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8"])
def test_relu_keeps_shape_and_dtype(rng, hint, dtype):
    """Each element by itself, whatever the shape; the dtype that goes in comes out."""
    x = (rng.normal(size=(3, 4, 5)) * 20).astype(dtype)
    out = ReLU()(Tensor(x)).numpy()
    hint(
        f"ReLU of {dtype} came out as {out.dtype}: use the integer 0, which fits any dtype, where 0.0 makes floats.",
        when=out.dtype != x.dtype,
    )
    assert out.dtype == x.dtype
    np.testing.assert_array_equal(out, np.where(x > 0, x, 0))


def test_relu_of_a_number_and_of_nothing():
    """A 0-d tensor stays 0-d, and an empty one stays empty."""
    for x, expected in [(-2.5, 0.0), (2.5, 2.5)]:
        out = ReLU()(Tensor(x)).numpy()
        assert out.shape == () and out == expected
    assert ReLU()(Tensor(np.empty((0, 3), np.float32))).numpy().shape == (0, 3)


def test_relu_lets_nan_through(hint):
    """NaN shows that something went wrong earlier; it must not be turned into an innocent 0."""
    out = ReLU()(Tensor([np.nan, -1.0, 2.0])).numpy()
    hint(
        "NaN became 0: any comparison with NaN is false. np.maximum keeps NaN, a choice by x > 0 does not.",
        when=out[0] == 0,
    )
    np.testing.assert_array_equal(out, [np.nan, 0.0, 2.0])


def test_relu_of_infinity(hint):
    """The largest numbers are numbers too: -inf becomes 0, and inf stays."""
    out = ReLU()(Tensor([-np.inf, -1.0, np.inf])).numpy()
    hint("Infinity times 0 is NaN: take the larger of x and 0 instead of multiplying by x > 0.", when=np.isnan(out[0]))
    np.testing.assert_array_equal(out, [0.0, 0.0, np.inf])


def test_relu_leaves_its_input_alone(rng, hint):
    """A function that changes its argument breaks whoever still holds it."""
    x = rng.normal(size=(4, 6)).astype(np.float32)
    given = Tensor(x.copy())
    out = ReLU()(given).numpy()
    left = given.numpy()
    hint("ReLU wrote into the array it was given: make a new one.", when=not (left < 0).any())
    np.testing.assert_array_equal(left, x)
    np.testing.assert_array_equal(out, np.maximum(x, 0))


def test_relu_saves_its_result(rng, hint, student_side):
    """The slope is 1 where the result is positive, and 0 elsewhere. Saving the result takes no memory of its own."""
    x = rng.normal(size=(5, 7))
    ctx = Context()
    ReLUOp.forward(ctx, x.copy())
    saved = ctx.saved
    hint("Nothing was saved: call ctx.save before you return.", when=len(saved) == 0)
    hint("Save the result alone: the slope needs nothing else.", when=len(saved) > 1)
    assert len(saved) == 1
    hint("forward takes and returns arrays: you saved a Tensor.", when=isinstance(saved[0], Tensor))
    assert isinstance(saved[0], np.ndarray)
    hint("You saved the input of ReLU: the result says as much, and is kept anyway.", when=np.array_equal(saved[0], x))
    np.testing.assert_array_equal(saved[0], np.maximum(x, 0))
    with_input, with_saved = student_side.shared(ReLUOp, x)
    assert not with_input, "the result lies in the input's memory"
    assert with_saved, "what was saved is a copy of the result: save the result itself"
