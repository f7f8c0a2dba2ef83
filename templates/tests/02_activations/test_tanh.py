"""The hyperbolic tangent, from the tiniest numbers to the largest."""
import numpy as np
import pytest

from tinytorch.core.activations import Tanh, TanhOp
from tinytorch.core.tensor import Context, Tensor

pytestmark = pytest.mark.exercise("tanh_forward")


def test_tanh_of_three_numbers():
    """Worked by hand in the module: 0.7616, and the same with a minus."""
    out = Tanh()(Tensor([-1.0, 0.0, 1.0])).numpy()
    np.testing.assert_allclose(out, [-0.76159416, 0.0, 0.76159416], rtol=1e-6)


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-5), ("float64", 1e-12)], ids=["float32", "float64"])
def test_tanh_of_random_numbers(rng, dtype, rtol):
    """Each element by itself, in its own dtype; e to the 2x gives the expected values."""
    x = (rng.uniform(0.5, 3, size=(3, 4, 5)) * rng.choice([-1, 1], size=(3, 4, 5))).astype(dtype)
    out = Tanh()(Tensor(x)).numpy()
    e = np.exp(2 * x.astype(np.float64))
    assert out.dtype == dtype
    np.testing.assert_allclose(out, (e - 1) / (e + 1), rtol=rtol)


def test_tanh_of_tiny_numbers(rng, hint):
    """Close to 0 the curve is the line y = x, so nothing may be lost to rounding; at 1 it has left that line."""
    x = np.append(rng.uniform(1, 9, size=6) * 1e-9, 1).astype(np.float32)
    out = Tanh()(Tensor(x)).numpy()
    is_quotient = np.isnan(Tanh()(Tensor([-1000.0, 1000.0])).numpy()).any()
    hint(
        "2 sigmoid(2x) - 1 cancels all digits of a tiny x. NumPy has a tanh that does not.",
        when=(out == 0).any() and not is_quotient,
    )
    hint(
        "For a tiny x both exponentials round to 1 and their difference to 0; for a large x the quotient is ∞/∞. "
        "NumPy has a tanh that avoids both.",
        when=(out == 0).any() and is_quotient,
    )
    np.testing.assert_allclose(out, [*x[:-1], 0.76159416], rtol=1e-6)


@pytest.mark.hint(FloatingPointError, "exp(x) overflowed on the way to tanh(x), which is at most 1: use NumPy's tanh.")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tanh_does_not_overflow(student_side, dtype):
    """It ends in -1 and in 1, without infinity on the way."""
    out = student_side.strictly(TanhOp, np.array([-1e30, -1000, 1000, 1e30], dtype))
    np.testing.assert_array_equal(out, [-1, -1, 1, 1])


def test_tanh_of_integers():
    """As in PyTorch, integers give float32."""
    out = Tanh()(Tensor([-1, 0, 1])).numpy()
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [-0.76159416, 0.0, 0.76159416], rtol=1e-6)


def test_tanh_of_a_number_and_of_nothing():
    """A 0-d tensor stays 0-d, and an empty one stays empty; NaN stays NaN."""
    out = Tanh()(Tensor(1.0)).numpy()
    assert out.shape == ()
    np.testing.assert_allclose(out, 0.76159416, rtol=1e-6)
    assert Tanh()(Tensor(np.empty((0, 3), np.float32))).numpy().shape == (0, 3)
    assert np.isnan(Tanh()(Tensor([np.nan])).numpy()).all()


def test_tanh_leaves_its_input_alone(rng, hint):
    """A function that changes its argument breaks whoever still holds it."""
    x = rng.normal(size=(4, 6))
    given = Tensor(x.copy())
    out = Tanh()(given).numpy()
    hint("The input was changed: work on a new array.", when=not np.array_equal(given.numpy(), x))
    np.testing.assert_array_equal(given.numpy(), x)
    np.testing.assert_allclose(out, 1 - 2 / (np.exp(2 * x) + 1), rtol=1e-9, atol=1e-12)


def test_tanh_saves_its_result(rng, hint, student_side):
    """With t for the result, the slope is 1 - t * t: compared here with a small step to both sides."""
    x = rng.normal(size=(5, 7))
    ctx = Context()
    TanhOp.forward(ctx, x.copy())
    saved = ctx.saved
    hint("Nothing was saved: call ctx.save before you return.", when=len(saved) == 0)
    hint("Save the result alone: the slope needs nothing else.", when=len(saved) > 1)
    assert len(saved) == 1
    hint("forward takes and returns arrays: you saved a Tensor.", when=isinstance(saved[0], Tensor))
    assert isinstance(saved[0], np.ndarray)
    hint(
        "You saved the input of tanh: save its result, which gives the slope without another exponential.",
        when=np.array_equal(saved[0], x),
    )
    t = 1 - 2 / (np.exp(2 * x) + 1)
    hint(
        "You saved the slope of tanh: save its result, from which module 06 computes it.",
        when=np.allclose(saved[0], 1 - t * t),
    )
    np.testing.assert_allclose(saved[0], t, rtol=1e-9, atol=1e-12)
    step = 1e-6
    right, left = TanhOp.forward(Context(), x + step), TanhOp.forward(Context(), x - step)
    np.testing.assert_allclose(1 - saved[0] ** 2, (right - left) / (2 * step), atol=1e-8)
    with_input, with_saved = student_side.shared(TanhOp, x)
    assert not with_input, "the result lies in the input's memory"
    assert with_saved, "what was saved is a copy of the result: save the result itself"
