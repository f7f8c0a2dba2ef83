"""The binary cross-entropy of probabilities: -log of what was given to the right answer, yes or no."""
import numpy as np
import pytest

from tinytorch.core.losses import BCELoss, BCEOp
from tinytorch.core.tensor import Context, Tensor

pytestmark = pytest.mark.exercise("bce_forward")

CLAMP = "The logarithm of 0 is -inf, and times 0 it is NaN: keep each logarithm at -100 or above."


def bce(x, t):
    """The operation under test, on arrays, as a network calls it."""
    return BCEOp.apply(Tensor(x), Tensor(t)).numpy()


def test_bce_by_hand(hint):
    """Worked in the module: 0.9 for yes costs 0.105 if yes is right, and 2.303 if no is."""
    out = bce(np.array([0.9, 0.9]), np.array([1.0, 0.0]))
    hint("The answer no costs nothing here: the second part, (1 - t) log(1 - x), is missing.", when=out[1] == 0)
    np.testing.assert_allclose(out, [0.10536052, 2.30258509], rtol=1e-6)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3, 4), (0, 3)], ids=["number", "one", "row", "3-d", "empty"])
def test_bce_of_random_numbers(rng, shape):
    """Each element by itself, in any shape, in the dtype of the operands; targets may lie between 0 and 1."""
    for dtype in ("float32", "float64"):
        x, t = (rng.random(size=(2, *shape)) * 0.8 + 0.1).astype(dtype)
        out = bce(x, t)
        assert out.shape == shape
        assert out.dtype == dtype or shape == ()  # NumPy 1 widens a float32 without dimensions
        wide, target = x.astype(float), t.astype(float)
        np.testing.assert_allclose(out, -(target * np.log(wide) + (1 - target) * np.log(1 - wide)), rtol=1e-4)
    np.testing.assert_allclose(bce(np.array([0.25]), np.array([1.0])), [1.38629436], rtol=1e-6)


def test_bce_of_perfect_answers(hint):
    """A sure answer that is right has the loss 0, with either answer."""
    out = bce(np.array([1.0, 0.0, 0.5], np.float32), np.array([1.0, 0.0, 1.0], np.float32))
    hint(CLAMP, when=np.isnan(out).any())
    hint("Nothing is added to x or clipped: a perfect answer has the loss 0.", when=0 < out[0] < 0.1)
    np.testing.assert_allclose(out, [0, 0, 0.69314718], rtol=1e-6, atol=0)


def test_bce_of_surely_wrong_answers(hint):
    """A sure answer that is wrong has the loss 100, as in PyTorch: no logarithm is below -100."""
    out = bce(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    hint("A surely wrong answer costs 100: it is the logarithm that is kept at -100 or above, not x.", when=10 < out[0] < 40)
    np.testing.assert_array_equal(out, [100, 100])
    np.testing.assert_allclose(bce(np.array([1e-60, 0.0]), np.array([1.0, 0.25])), [100, 25], rtol=1e-12)
    np.testing.assert_allclose(bce(np.array([1e-40]), np.array([1.0])), [92.1034037], rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bce_of_tiny_probabilities(hint, dtype):
    """For a tiny x and the answer no, the loss is x: small, but with all its digits."""
    x = np.array([1e-9, 1e-18, 0.5], dtype)
    out = bce(x, np.zeros(3, dtype))
    hint("1 - x rounds to 1 for a tiny x, and its logarithm to 0: np.log1p(-x) does without the difference.", when=out[1] == 0 < out[2])
    np.testing.assert_allclose(out, [1e-9, 1e-18, 0.69314718], rtol=1e-6)


OUTSIDE = [-0.001, 1.001, 20.0, -np.inf, np.inf]


@pytest.mark.hint(
    pytest.fail.Exception, "A number below 0 or above 1 was accepted as a probability: it has to be a ValueError."
)
@pytest.mark.parametrize("value", OUTSIDE, ids=["below", "above", "score", "minus-inf", "inf"])
def test_bce_refuses_what_is_no_probability(value):
    """A score in the place of a probability is the common mistake; the message says what was wanted."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        bce(np.array([0.5, value]), np.array([1.0, 1.0]))


@pytest.mark.hint(
    pytest.fail.Exception, "NaN was accepted: every comparison with it is false, so ask whether x is inside, not whether it is outside."
)
def test_bce_refuses_nan():
    """NaN is not between 0 and 1, and shows a mistake further up."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        bce(np.array([0.5, np.nan]), np.array([1.0, 1.0]))


def test_bce_leaves_its_operands_alone(rng, hint):
    """A function that changes its argument breaks whoever still holds it."""
    x, t = rng.random((2, 6))
    given, target = Tensor(x.copy()), Tensor(t.copy())
    out = BCEOp.apply(given, target).numpy()
    hint("The probabilities were changed: work on a new array.", when=not np.array_equal(given.numpy(), x))
    np.testing.assert_array_equal(given.numpy(), x)
    np.testing.assert_array_equal(target.numpy(), t)
    np.testing.assert_allclose(out, -(t * np.log(x) + (1 - t) * np.log(1 - x)), rtol=1e-9)


def test_bce_saves_both_operands(rng, hint):
    """The slope is (x - t) / (x (1 - x)): compared here with a small step to both sides."""
    x, t = rng.random((2, 5)) * 0.8 + 0.1
    ctx = Context()
    BCEOp.forward(ctx, x.copy(), t.copy())
    saved = ctx.saved
    hint("Save input and target, in this order, before you return.", when=len(saved) != 2)
    assert len(saved) == 2
    hint("input and target are in each other's place.", when=np.array_equal(saved[0], t))
    np.testing.assert_array_equal(saved[0], x)
    np.testing.assert_array_equal(saved[1], t)
    step = 1e-7
    right, left = BCEOp.forward(Context(), x + step, t), BCEOp.forward(Context(), x - step, t)
    np.testing.assert_allclose((saved[0] - saved[1]) / (x * (1 - x)), (right - left) / (2 * step), atol=1e-6)


def test_bce_loss(rng):
    """The class around it: reductions, integer targets, and shapes that have to be equal."""
    x, answers = rng.random((4, 3)) * 0.8 + 0.1, rng.integers(0, 2, size=(4, 3))
    expected = -np.log(np.where(answers == 1, x, 1 - x))
    for loss, value in ((BCELoss(), expected.mean()), (BCELoss(reduction="sum"), expected.sum()), (BCELoss(reduction="none"), expected)):
        for target in (answers, answers == 1, answers.astype(np.float32)):
            np.testing.assert_allclose(loss(Tensor(x), Tensor(target)).numpy(), value, rtol=1e-9)
    assert str(BCELoss()) == "BCELoss(reduction='mean')"
    with pytest.raises(ValueError, match=r"\(4, 1\)"):
        BCELoss()(Tensor(x), Tensor(answers[:, :1]))
    with pytest.raises(TypeError, match=r"BCELoss.*int64"):
        BCELoss()(Tensor(answers), Tensor(answers))
