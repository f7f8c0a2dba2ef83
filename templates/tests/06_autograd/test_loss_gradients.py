"""The slopes of the four losses, by the table: squared differences, a probability less the target, and nothing for ignored rows."""
import numpy as np
import pytest

from tinytorch.core.losses import BCEOp, BCEWithLogitsOp, CrossEntropyOp, SquaredErrorOp

pytestmark = pytest.mark.exercise("loss_gradients")

TWO = "The slope of d² is 2d: a factor of 2 is missing."
TARGET_SIGN = "The difference falls when the target grows: the target's gradient is -2 g d."
MINUS_ONE = "That is p itself: at each row's target, 1 less."
NO_G = "Each row of the gradient is to be multiplied by its own g."
WROTE_P = "The saved p was written into: p - ... makes a new array, where -= changes the old one, and p is needed again."
IGNORED = "A row that is ignored has no part in the loss: its gradient is 0."
IGNORED_NAN = "An ignored row has NaN: 0 times NaN is NaN, so put the 0 there, as in module 04."
SMOOTHED = "With label smoothing s the target takes 1 - s, and every class loses s/C of its probability as well."
DENOMINATOR = "x (1 - x) is 0 at both ends: keep the denominator at 1e-12 or above."
BCE_TARGET = "The loss moves with t as log(1 - x) - log x, with logarithms of -100 or above."
OVERFLOW = "σ(x) came out as NaN for a large score: use `SigmoidOp.forward(Context(), x)`."


def slopes(function, x, g, step=1e-5):
    """The central differences of the sum of function(x) · g, in float64."""
    x, grad = np.array(x, dtype=float), np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        center, sides = x[index], []
        for moved in (center + step, center - step):
            x[index] = moved
            sides.append((function(x) * g).sum())
        x[index] = center
        grad[index] = (sides[0] - sides[1]) / (2 * step)
    return grad


def cross_entropy(logits, target, ignore_index, smoothing):
    """Each row's loss: log Σ eˣ, less (1 - s) of the target's score, less s times the mean score; 0 for ignored rows."""
    kept = target != ignore_index
    chosen = logits[np.arange(len(target)), np.where(kept, target, 0)]
    losses = np.log(np.exp(logits).sum(axis=1)) - (1 - smoothing) * chosen - smoothing * logits.mean(axis=1)
    return np.where(kept, losses, 0)


def cross_entropy_rule(student_side, logits, target, g, ignore_index=-100, smoothing=0.0):
    return student_side.rule(CrossEntropyOp, logits, target, g=g, ignore_index=ignore_index, label_smoothing=smoothing)


def test_squared_error_by_hand(student_side, hint):
    """d = -0.5 and 1, g = 1 and 10: -1 and 20 for the input, and the same with the other sign for the target."""
    grad, for_target = student_side.rule(SquaredErrorOp, np.array([2.5, 0.0]), np.array([3.0, -1.0]), g=np.array([1.0, 10.0]))
    hint(TWO, when=np.allclose(grad, [-0.5, 10]))
    np.testing.assert_allclose(grad, [-1.0, 20.0], rtol=1e-12)
    hint(TARGET_SIGN, when=np.allclose(for_target, [-1, 20]))
    np.testing.assert_allclose(for_target, [1.0, -20.0], rtol=1e-12)


def test_cross_entropy_by_hand(student_side, hint):
    """p = (0.2, 0.8) and target 0: each class hears by how much its probability is too high, -0.8 and 0.8."""
    logits, target = np.log([[0.2, 0.8], [0.4, 0.6]]), np.array([0, 1])
    grad, none = cross_entropy_rule(student_side, logits, target, np.array([1.0, 10.0]))
    hint(MINUS_ONE, when=np.allclose(grad, [[0.2, 0.8], [4, 6]]))
    hint(NO_G, when=np.allclose(grad, [[-0.8, 0.8], [0.4, -0.4]]))
    np.testing.assert_allclose(grad, [[-0.8, 0.8], [4.0, -4.0]], rtol=1e-10)
    assert none is None


def test_cross_entropy_against_small_steps(student_side, rng, hint):
    """Rows with a g of their own, with and without ignored targets and label smoothing; the target's gradient is None."""
    for shape in ((5, 4), (1, 3), (3, 1)):
        logits, g = rng.normal(size=shape), rng.uniform(1, 2, size=shape[0])
        for ignore_index in (-100, 0):
            for smoothing in (0.0, 0.1, 1.0):
                target = rng.integers(0, shape[1], size=shape[0])
                target[0] = ignore_index
                grad, none = cross_entropy_rule(student_side, logits, target, g, ignore_index, smoothing)
                expected = slopes(lambda x: cross_entropy(x, target, ignore_index, smoothing), logits, g)
                hint(IGNORED, when=shape == (5, 4) and smoothing == 0 and grad[0].any() and not expected[0].any())
                plain = slopes(lambda x: cross_entropy(x, target, ignore_index, 0.0), logits, g)
                hint(SMOOTHED, when=shape == (5, 4) and smoothing == 0.1 and np.allclose(grad, plain, atol=1e-6))
                np.testing.assert_allclose(grad, expected, rtol=1e-6, atol=1e-8)
                assert none is None


def test_cross_entropy_of_ignored_rows(student_side, hint):
    """A row that isn't kept gets 0 whatever its scores: padding may hold anything, infinity and NaN too."""
    logits = np.array([[0.0, 0.0], [np.inf, 0.0], [np.nan, 1.0], [5.0, 0.0]])
    grad, _ = cross_entropy_rule(student_side, logits, np.array([1, -1, -1, -1]), np.array([4.0, 1.0, 1.0, 1.0]), ignore_index=-1)
    hint(IGNORED_NAN, when=np.isnan(grad[1:3]).any() and not grad[3].any())
    np.testing.assert_allclose(grad, [[2.0, -2.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], rtol=1e-12)


def test_cross_entropy_leaves_what_was_saved(student_side, rng, hint):
    """Whoever retains the graph will need p again, and g may belong to others."""
    logits, target, g = rng.normal(size=(3, 4)), np.array([1, 0, 3]), rng.uniform(1, 2, size=3)
    for smoothing in (0.0, 0.2):
        options = {"ignore_index": -100, "label_smoothing": smoothing}
        into_g, into_saved = student_side.written(CrossEntropyOp, logits, target, g=g.copy(), **options)
        hint(WROTE_P, when=into_saved and not into_g)
        assert (into_g, into_saved) == (False, False)
    grad, _ = cross_entropy_rule(student_side, logits, target, g)
    np.testing.assert_allclose(grad, slopes(lambda x: cross_entropy(x, target, -100, 0.0), logits, g), rtol=1e-6, atol=1e-8)


def test_cross_entropy_of_large_scores(student_side):
    """Scores of 1000 and more: the wrong class is pushed down with all of g, and the right one up."""
    logits = np.array([[1000.0, -1000.0], [1e30, 0.0]], np.float32)
    grad, _ = cross_entropy_rule(student_side, logits, np.array([1, 0]), np.array([2.0, 3.0], np.float32))
    np.testing.assert_allclose(grad, [[2.0, -2.0], [0.0, 0.0]], atol=1e-12)
    assert grad.dtype == np.float32


ELEMENTWISE = {
    "squared-error": (SquaredErrorOp, lambda x, t: (x - t) ** 2),
    "bce": (BCEOp, lambda x, t: -(t * np.log(x) + (1 - t) * np.log(1 - x))),
    "bce-with-logits": (BCEWithLogitsOp, lambda x, t: np.log(1 + np.exp(x)) - x * t),
}
NAMES = list(ELEMENTWISE)


@pytest.mark.parametrize("name", NAMES, ids=NAMES)
def test_elementwise_losses_against_small_steps(student_side, rng, hint, name):
    """The gradients of input and target, in any shape, for targets between 0 and 1 as well."""
    operation, function = ELEMENTWISE[name]
    for shape in ((4,), (2, 3), (), (0, 2)):
        x, t = np.asarray(rng.uniform(0.1, 0.9, size=shape)), np.asarray(rng.uniform(0, 1, size=shape))
        g = np.asarray(rng.normal(size=shape))
        grad, for_target = student_side.rule(operation, x, t, g=g)
        assert grad.shape == for_target.shape == shape
        np.testing.assert_allclose(grad, slopes(lambda x, t=t: function(x, t), x, g), rtol=1e-6, atol=1e-8)
        expected = slopes(lambda t, x=x: function(x, t), t, g)
        hint(BCE_TARGET, when=name == "bce" and shape == (4,) and np.allclose(for_target, -expected))
        np.testing.assert_allclose(for_target, expected, rtol=1e-6, atol=1e-8)


def test_elementwise_losses_keep_float32_and_write_into_nothing(student_side, rng):
    """float32 in, float32 out; g and what was saved stay as they are."""
    for name in NAMES:
        operation, function = ELEMENTWISE[name]
        x, t, g = (rng.uniform(0.1, 0.9, size=(2, 3)).astype(np.float32) for _ in range(3))
        assert student_side.written(operation, x, t, g=g.copy()) == (False, False)
        grads = student_side.rule(operation, x, t, g=g)
        assert [str(grad.dtype) for grad in grads] == ["float32", "float32"]
        np.testing.assert_allclose(grads[0], slopes(lambda x: function(x, t.astype(float)), x, g.astype(float)), rtol=1e-4, atol=1e-5)


def test_cross_entropy_keeps_float32(student_side, rng):
    """float32 in, float32 out, smoothed or not, for small integers as targets."""
    logits, g = rng.normal(size=(3, 4)).astype(np.float32), rng.uniform(1, 2, size=3).astype(np.float32)
    target = np.array([1, 0, 3], np.uint8)
    for smoothing in (0.0, 0.1):
        grad, _ = cross_entropy_rule(student_side, logits, target, g, smoothing=smoothing)
        assert grad.dtype == np.float32
        expected = slopes(lambda x, s=smoothing: cross_entropy(x, target, -100, s), logits, g.astype(float))
        np.testing.assert_allclose(grad, expected, rtol=1e-4, atol=1e-5)


def test_bce_at_both_ends(student_side, hint):
    """Surely right: 0. Surely wrong: 1 / 1e-12, as in PyTorch, and not infinity. The target's slope is at most 100."""
    x, t, g = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0]), np.array([1.0, 2.0, 3.0, 4.0])
    grad, for_target = student_side.rule(BCEOp, x, t, g=g)
    hint(DENOMINATOR, when=not np.isfinite(grad).all())
    np.testing.assert_allclose(grad, [0.0, 0.0, -3e12, 4e12], rtol=1e-9)
    np.testing.assert_allclose(for_target, [100.0, -200.0, 300.0, -400.0], rtol=1e-9)


def test_bce_with_logits_of_large_scores(student_side, hint):
    """σ(1000) is 1 and σ(-1000) is 0, and neither is NaN; in float32 too."""
    x, t = np.array([1000.0, -1000.0, 100.0, 0.0]), np.array([0.0, 1.0, 1.0, 0.25])
    for dtype in ("float64", "float32"):
        grad, for_target = student_side.rule(BCEWithLogitsOp, x.astype(dtype), t.astype(dtype), g=np.array([1, 2, 3, 4], dtype))
        hint(OVERFLOW, when=np.isnan(grad).any())
        np.testing.assert_allclose(grad, [1.0, -2.0, 0.0, 1.0], atol=1e-12)
        np.testing.assert_allclose(for_target, [-1000.0, 2000.0, -300.0, 0.0], rtol=1e-12)
