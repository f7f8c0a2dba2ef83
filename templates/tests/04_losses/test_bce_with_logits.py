"""The binary cross-entropy of scores: the sigmoid and the logarithm in one formula, for scores of any size."""
import numpy as np
import pytest

from tinytorch.core.losses import BCEWithLogitsLoss, BCEWithLogitsOp
from tinytorch.core.tensor import Context, Tensor

pytestmark = pytest.mark.exercise("bce_logits_forward")

OVERFLOW = "exp of a large score overflows: the exponent has to be -|x|, which is never positive."
THROUGH_SIGMOID = "The probability was rounded to 0 or 1 before its logarithm was taken: compute the loss from the score directly."
DIGITS = "1 + exp(-|x|) rounds to 1, and its logarithm to 0: np.log1p(y) is log(1 + y) without the sum."


def bce_with_logits(x, t):
    """The operation under test, on arrays, as a network calls it."""
    return BCEWithLogitsOp.apply(Tensor(x), Tensor(t)).numpy()


def expected_losses(x, t):
    x, t = x.astype(np.float64), t.astype(np.float64)
    return np.logaddexp(0, x) - x * t


def test_logits_by_hand(hint):
    """A score of 0 leaves it open, and costs log 2; one of 2 costs 0.127 if yes is right, and 2.127 if no is."""
    out = bce_with_logits(np.array([0.0, 2.0, 2.0]), np.array([1.0, 1.0, 0.0]))
    hint("A high score makes yes dearer here: x t is subtracted.", when=out[1] > out[2])
    np.testing.assert_allclose(out, [0.69314718, 0.12692801, 2.12692801], rtol=1e-6)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3, 4), (0, 3)], ids=["number", "one", "row", "3-d", "empty"])
def test_logits_of_random_numbers(rng, shape):
    """Each element by itself, in any shape, in the dtype of the operands; targets may lie between 0 and 1."""
    for dtype in ("float32", "float64"):
        x, t = np.asarray(rng.normal(size=shape) * 3, dtype), np.asarray(rng.random(size=shape), dtype)
        out = bce_with_logits(x, t)
        assert out.shape == shape
        assert out.dtype == dtype or shape == ()  # NumPy 1 widens a float32 without dimensions
        np.testing.assert_allclose(out, expected_losses(x, t), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(bce_with_logits(np.array([1.0]), np.array([0.0])), [1.31326169], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_of_sure_and_wrong_scores(hint, dtype):
    """A score of 20 for the answer no costs 20, one of 200 costs 200, one of 1000 costs 1000, on both sides."""
    x = np.array([20, 200, 1000, -20, -200, -1000], dtype)
    out = bce_with_logits(x, np.array([0, 0, 0, 1, 1, 1], dtype))
    lost = out[0 if dtype == "float32" else 1]  # 1 - sigmoid is 0 for 20 in float32, and for 200 in float64
    hint(OVERFLOW, when=np.isinf(out[2]) and lost in (20, 200))
    hint(THROUGH_SIGMOID, when=lost in (100, np.inf))
    np.testing.assert_allclose(out, np.abs(x), rtol=1e-6)


@pytest.mark.hint(
    FloatingPointError, "Somewhere exp is taken of a large number. Both sides of an np.where are computed, also where not chosen."
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_do_not_overflow(student_side, dtype):
    """A right answer that comes by way of infinity is luck; run with overflows as errors."""
    x = np.array([-1000, -89, 89, 1000], dtype)
    out = student_side.strictly(BCEWithLogitsOp, x, np.array([0, 1, 1, 0], dtype))
    np.testing.assert_allclose(out, [0, 89, 0, 1000], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_of_sure_and_right_scores(hint, dtype):
    """The loss of a right answer falls like e to the -|x|: small, but with all its digits."""
    x = np.array([-40, -80], dtype)
    out = bce_with_logits(x, np.zeros(2, dtype))
    hint(DIGITS, when=(out == 0).all())
    np.testing.assert_allclose(out, np.exp([-40.0, -80.0]), rtol=1e-5)


def test_logits_are_symmetric(rng):
    """Yes at x costs what no costs at -x, and the two answers at x differ by x."""
    x = rng.normal(size=12) * 4
    yes, no = bce_with_logits(x, np.ones(12)), bce_with_logits(x, np.zeros(12))
    np.testing.assert_allclose(bce_with_logits(-x, np.zeros(12)), yes, rtol=1e-12)
    np.testing.assert_allclose(no - yes, x, rtol=1e-9)
    np.testing.assert_allclose(yes, np.logaddexp(0, -x), rtol=1e-10)


def test_logits_leave_their_operands_alone(rng, hint):
    """A function that changes its argument breaks whoever still holds it."""
    x, t = rng.normal(size=6), rng.random(6)
    given, target = Tensor(x.copy()), Tensor(t.copy())
    out = BCEWithLogitsOp.apply(given, target).numpy()
    hint("The scores were changed: work on a new array.", when=not np.array_equal(given.numpy(), x))
    np.testing.assert_array_equal(given.numpy(), x)
    np.testing.assert_array_equal(target.numpy(), t)
    np.testing.assert_allclose(out, expected_losses(x, t), rtol=1e-10)


def test_logits_save_both_operands(rng, hint):
    """The slope is sigmoid(x) - t: compared here with a small step to both sides."""
    x, t = rng.normal(size=5), rng.random(5)
    ctx = Context()
    BCEWithLogitsOp.forward(ctx, x.copy(), t.copy())
    saved = ctx.saved
    hint("Save the score and the target, in this order, before you return.", when=len(saved) != 2)
    assert len(saved) == 2
    hint("You saved the probability: save input, the score.", when=np.allclose(saved[0], 1 / (1 + np.exp(-x))))
    np.testing.assert_array_equal(saved[0], x)
    np.testing.assert_array_equal(saved[1], t)
    step = 1e-6
    right, left = BCEWithLogitsOp.forward(Context(), x + step, t), BCEWithLogitsOp.forward(Context(), x - step, t)
    np.testing.assert_allclose(1 / (1 + np.exp(-saved[0])) - saved[1], (right - left) / (2 * step), atol=1e-8)


def test_logits_loss(rng):
    """The class around it: reductions, integer targets, and shapes that have to be equal."""
    x, answers = rng.normal(size=(4, 3)), rng.integers(0, 2, size=(4, 3))
    expected = expected_losses(x, answers)
    for reduction, value in (("mean", expected.mean()), ("sum", expected.sum()), ("none", expected)):
        for target in (answers, answers == 1, answers.astype(np.float32)):
            out = BCEWithLogitsLoss(reduction=reduction)(Tensor(x), Tensor(target)).numpy()
            np.testing.assert_allclose(out, value, rtol=1e-9)
    assert str(BCEWithLogitsLoss(reduction="sum")) == "BCEWithLogitsLoss(reduction='sum')"
    with pytest.raises(ValueError, match=r"\(4, 3\)"):
        BCEWithLogitsLoss()(Tensor(x), Tensor(answers[0]))
    with pytest.raises(TypeError, match=r"BCEWithLogitsLoss.*int64"):
        BCEWithLogitsLoss()(Tensor(answers), Tensor(answers))
