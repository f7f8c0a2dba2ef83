"""GELU: x times the probability that a standard normal number is below x, exactly or by tanh."""
import math

import numpy as np
import pytest

from tinytorch.core.activations import GELU, GELUOp
from tinytorch.core.tensor import Context, Tensor

pytestmark = pytest.mark.exercise("gelu_forward")

both = pytest.mark.parametrize("approximate", ["none", "tanh"])


def gate(x, approximate):
    """Expected: the factor of x, in float64."""
    x = np.asarray(x, dtype=np.float64)
    if approximate == "none":
        return np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in x.ravel()]).reshape(x.shape)
    return (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def test_gelu_of_three_numbers():
    """0.8413 of a standard normal distribution lies below 1, and 0.1587 below -1."""
    out = GELU()(Tensor([-1.0, 0.0, 1.0])).numpy()
    np.testing.assert_allclose(out, [-0.15865525, 0.0, 0.84134475], rtol=1e-5)


def test_gelu_by_tanh_of_three_numbers(hint):
    """Worked by hand in the module: 0.8412 at 1, and 1 less at -1."""
    out = GELU(approximate="tanh")(Tensor([-1.0, 0.0, 1.0])).numpy()
    root = math.sqrt(2) / math.pi
    hint(
        "The factor is √(2/π) = 0.798, the root of the whole fraction; √2/π is 0.450.",
        when=np.allclose(out[2], (1 + math.tanh(root * 1.044715)) / 2, atol=1e-5),
    )
    hint(
        "This is x sigmoid(1.702 x), another approximation than the one that PyTorch calls tanh.",
        when=np.allclose(out[2], 1 / (1 + math.exp(-1.702)), atol=1e-5),
    )
    np.testing.assert_allclose(out, [-0.15880801, 0.0, 0.84119199], rtol=1e-5)


@both
@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-6), ("float64", 1e-12)], ids=["float32", "float64"])
def test_gelu_of_random_numbers(rng, hint, approximate, dtype, atol):
    """Each element by itself, in its own dtype."""
    x = np.append(rng.normal(size=(3, 20)) * 3, [[-2.2] * 20], axis=0).astype(dtype)  # at -2.2 the two differ most
    out = GELU(approximate)(Tensor(x)).numpy()
    other = x * gate(x, "tanh" if approximate == "none" else "none")
    hint(
        f"This is the other GELU: approximate={approximate!r} was given, and has to decide which one it is.",
        when=np.allclose(out, other, rtol=0, atol=1e-6),
    )
    hint(
        "float32 came out as float64: the probabilities need the dtype of x.",
        when=dtype == "float32" and out.dtype == np.float64,
    )
    assert out.dtype == dtype
    np.testing.assert_allclose(out, x * gate(x, approximate), rtol=0, atol=atol)


@both
@pytest.mark.hint(FloatingPointError, "x cubed overflowed: clip x before the cube, since tanh is 1 long before.")
def test_gelu_of_huge_numbers(student_side, approximate):
    """Far to the right it is x, far to the left 0, without infinity on the way."""
    x = np.array([-1e30, -300, 300, 1e30], np.float32)
    out = student_side.strictly(GELUOp, x, approximate=approximate)
    np.testing.assert_array_equal(out, [0, 0, x[2], x[3]])


@pytest.mark.hint(
    pytest.fail.Exception, "approximate='tan' was accepted: anything but 'none' and 'tanh' has to be a ValueError."
)
@pytest.mark.hint(AssertionError, "The message of the ValueError has to name both choices, 'none' and 'tanh'.")
def test_gelu_refuses_an_unknown_approximation():
    """A misspelt choice must not quietly become one of the two; the message names both."""
    with pytest.raises(ValueError, match=r"(?s)(?=.*none)(?=.*tanh)"):
        GELU(approximate="tan")(Tensor([1.0]))


def test_gelu_refuses_integers():
    """As in PyTorch, integers are no input for GELU; floats of the same values are."""
    np.testing.assert_allclose(GELU()(Tensor([1.0, 2.0])).numpy(), [0.84134475, 1.95449974], rtol=1e-5)
    with pytest.raises(TypeError, match=r"GELU.*int64"):
        GELU()(Tensor([1, 2]))


@both
def test_gelu_of_a_number_and_of_nothing(approximate):
    """A 0-d tensor stays 0-d, and an empty one stays empty; NaN stays NaN."""
    out = GELU(approximate)(Tensor(1.0)).numpy()
    assert out.shape == ()
    np.testing.assert_allclose(out, 0.8413, atol=5e-4)
    assert GELU(approximate)(Tensor(np.empty((0, 3), np.float32))).numpy().shape == (0, 3)
    assert np.isnan(GELU(approximate)(Tensor([np.nan])).numpy()).all()


@both
def test_gelu_leaves_its_input_alone(rng, hint, approximate):
    """A function that changes its argument breaks whoever still holds it."""
    x = rng.normal(size=(4, 6)) * 10
    given = Tensor(x.copy())
    out = GELU(approximate)(given).numpy()
    hint("The input was changed: work on a new array.", when=not np.array_equal(given.numpy(), x))
    np.testing.assert_array_equal(given.numpy(), x)
    np.testing.assert_allclose(out, x * gate(x, approximate), atol=1e-12)


@both
def test_gelu_saves_what_its_slope_needs(rng, hint, approximate):
    """The slope of x c is c + x c', and c' follows from x and c: compared here with a small step to both sides."""
    x = rng.normal(size=(5, 7))
    ctx = Context()
    GELUOp.forward(ctx, x.copy(), approximate=approximate)
    saved = ctx.saved
    hint("Nothing was saved: call ctx.save before you return.", when=len(saved) == 0)
    hint("The slope needs x, c and approximate: save these three, in this order.", when=len(saved) not in (0, 3))
    assert len(saved) == 3
    saved_x, c, choice = saved
    hint("Save x, c and approximate in this order.", when=not isinstance(choice, str))
    hint(
        "forward takes and returns arrays: you saved a Tensor.",
        when=isinstance(saved_x, Tensor) or isinstance(c, Tensor),
    )
    assert isinstance(saved_x, np.ndarray) and isinstance(c, np.ndarray)
    assert choice == approximate
    hint("x and c are in each other's place: save x, c and approximate in this order.", when=np.array_equal(c, x))
    np.testing.assert_array_equal(saved_x, x)
    hint("You saved the result x c: save the factor c alone, without x.", when=np.allclose(c, x * gate(x, approximate)))
    np.testing.assert_allclose(c, gate(x, approximate), atol=1e-12)
    if approximate == "none":
        slope_of_c = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    else:
        slope_of_c = 2 * c * (1 - c) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    step = 1e-6
    right = GELUOp.forward(Context(), x + step, approximate=approximate)
    left = GELUOp.forward(Context(), x - step, approximate=approximate)
    np.testing.assert_allclose(c + x * slope_of_c, (right - left) / (2 * step), atol=1e-8)
