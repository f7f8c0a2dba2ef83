"""The sigmoid: 1 / (1 + exp(-x)), without overflow, and exact where it is tiny."""
import numpy as np
import pytest

from tinytorch.core.activations import Sigmoid, SigmoidOp
from tinytorch.core.tensor import Context, Tensor

pytestmark = pytest.mark.exercise("sigmoid_forward")

EXPONENTS = (
    "exp of a large number overflows, also in the side of np.where that is not chosen: "
    "use exponents that are never positive."
)


def test_sigmoid_of_three_numbers():
    """Worked by hand in the module: 0.1192, a half, and 0.8808."""
    out = Sigmoid()(Tensor([-2.0, 0.0, 2.0])).numpy()
    np.testing.assert_allclose(out, [0.11920292, 0.5, 0.88079708], rtol=1e-6)


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-5), ("float64", 1e-12)], ids=["float32", "float64"])
def test_sigmoid_of_random_numbers(rng, hint, dtype, rtol):
    """Each element by itself, in its own dtype."""
    x = (rng.normal(size=(3, 4, 5)) * 3).astype(dtype)
    out = Sigmoid()(Tensor(x)).numpy()
    expected = 1 / (1 + np.exp(-x.astype(np.float64)))
    hint("This is the sigmoid of -x: large x must give numbers near 1.", when=np.allclose(out, 1 - expected))
    assert out.dtype == dtype
    np.testing.assert_allclose(out, expected, rtol=rtol)


def test_sigmoid_is_symmetric(rng):
    """sigmoid(-x) = 1 - sigmoid(x), and it grows with x."""
    x = np.sort(rng.normal(size=50) * 4)
    out, mirrored = Sigmoid()(Tensor(x)).numpy(), Sigmoid()(Tensor(-x)).numpy()
    np.testing.assert_allclose(out + mirrored, np.ones(50), rtol=1e-12)
    assert (np.diff(out) > 0).all()


def test_sigmoid_of_huge_numbers(hint):
    """It ends in 0 and in 1, whatever the size of x, and NaN stays NaN."""
    out = Sigmoid()(Tensor([-np.inf, -3e38, -1000.0, 1000.0, 3e38, np.inf])).numpy()
    hint(EXPONENTS, when=np.isnan(out).any())
    np.testing.assert_array_equal(out, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(Sigmoid()(Tensor([np.nan, 0.0])).numpy(), [np.nan, 0.5])


@pytest.mark.hint(FloatingPointError, EXPONENTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_does_not_overflow(student_side, dtype):
    """A right answer that comes by way of infinity is luck; run with overflows as errors."""
    out = student_side.strictly(SigmoidOp, np.array([-1000, -89, 89, 1000], dtype))
    np.testing.assert_allclose(out, [0, 0, 1, 1], atol=1e-30)


def test_sigmoid_of_very_negative_numbers(hint):
    """Far to the left it is e to the x: small, but with all its digits."""
    out = Sigmoid()(Tensor([-20.0, -40.0, -80.0])).numpy()
    hint(
        "sigmoid(-20) is 2.06e-9 in float32 too. Adding 1 to a tanh, or clipping x, rounds small probabilities away.",
        when=out[0] == 0 or out[1] == out[2] < 0.5,
    )
    np.testing.assert_allclose(out, np.exp([-20.0, -40.0, -80.0]), rtol=1e-5)


def test_sigmoid_of_integers():
    """As in PyTorch, integers give float32."""
    out = Sigmoid()(Tensor([-2, 0, 2])).numpy()
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [0.11920292, 0.5, 0.88079708], rtol=1e-6)


def test_sigmoid_of_a_number_and_of_nothing():
    """A 0-d tensor stays 0-d, and an empty one stays empty."""
    out = Sigmoid()(Tensor(2.0)).numpy()
    assert out.shape == ()
    np.testing.assert_allclose(out, 0.88079708, rtol=1e-6)
    assert Sigmoid()(Tensor(np.empty((0, 3), np.float32))).numpy().shape == (0, 3)


def test_sigmoid_leaves_its_input_alone(rng, hint):
    """A function that changes its argument breaks whoever still holds it."""
    x = rng.normal(size=(4, 6))
    given = Tensor(x.copy())
    out = Sigmoid()(given).numpy()
    hint("The input was changed: work on a new array.", when=not np.array_equal(given.numpy(), x))
    np.testing.assert_array_equal(given.numpy(), x)
    np.testing.assert_allclose(out, 1 / (1 + np.exp(-x)), rtol=1e-12)


def test_sigmoid_saves_its_result(rng, hint, student_side):
    """With s for the result, the slope is s (1 - s): compared here with a small step to both sides."""
    x = rng.normal(size=(5, 7))
    ctx = Context()
    SigmoidOp.forward(ctx, x.copy())
    saved = ctx.saved
    hint("Nothing was saved: call ctx.save before you return.", when=len(saved) == 0)
    hint("Save the result alone: the slope needs nothing else.", when=len(saved) > 1)
    assert len(saved) == 1
    hint("forward takes and returns arrays: you saved a Tensor.", when=isinstance(saved[0], Tensor))
    assert isinstance(saved[0], np.ndarray)
    hint(
        "You saved the input of the sigmoid: save its result, which gives the slope without another exponential.",
        when=np.array_equal(saved[0], x),
    )
    s = 1 / (1 + np.exp(-x))
    hint(
        "You saved the slope of the sigmoid: save its result, from which module 06 computes it.",
        when=np.allclose(saved[0], s * (1 - s)),
    )
    np.testing.assert_allclose(saved[0], s, rtol=1e-12)
    step = 1e-6
    right, left = SigmoidOp.forward(Context(), x + step), SigmoidOp.forward(Context(), x - step)
    np.testing.assert_allclose(saved[0] * (1 - saved[0]), (right - left) / (2 * step), atol=1e-8)
    with_input, with_saved = student_side.shared(SigmoidOp, x)
    assert not with_input, "the result lies in the input's memory"
    assert with_saved, "what was saved is a copy of the result: save the result itself"
