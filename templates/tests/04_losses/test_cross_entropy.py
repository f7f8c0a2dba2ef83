"""The cross-entropy of one row of scores per sample: -log p of the right class, for scores of any size."""
import numpy as np
import pytest

from tinytorch.core.losses import CrossEntropyOp
from tinytorch.core.tensor import Context, Tensor

pytestmark = pytest.mark.exercise("cross_entropy_forward")

SHIFT = "exp of a raw score overflows: subtract each row's largest score first."


def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    """The operation under test, on arrays, as a network calls it."""
    options = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
    return CrossEntropyOp.apply(Tensor(logits), Tensor(target), **options).numpy()


def log_softmax(logits):
    z = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def expected_losses(logits, target, smoothing=0.0):
    log_p = log_softmax(logits)
    return -(1 - smoothing) * log_p[np.arange(len(target)), target] - smoothing * log_p.mean(axis=1)


def test_cross_entropy_by_hand(hint):
    """Worked in the module: scores 1, 2, 4 and class 1 right."""
    out = cross_entropy(np.array([[1.0, 2.0, 4.0]]), np.array([1]))
    hint("That is log p: the loss is -log p, which is never negative.", when=np.allclose(out, -2.16984602))
    hint(
        "The exponential of the score was subtracted, not the score: take z[t] before exp(z) is written over z.",
        when=np.allclose(out, 0.16984602 - np.exp(-2)),
    )
    assert out.shape == (1,)
    np.testing.assert_allclose(out, [2.16984602], rtol=1e-6)


def test_cross_entropy_with_label_smoothing_by_hand(hint):
    """Worked in the module: the same scores with a tenth of the target spread over the three classes."""
    out = cross_entropy(np.array([[1.0, 2.0, 4.0]]), np.array([1]), label_smoothing=0.1)
    others = 0.16984602 + 0.9 * 2 + 0.1 * 3 / 2
    hint("Label smoothing gives s/C to each of all C classes, the right one included.", when=np.allclose(out, others))
    hint("label_smoothing was not used.", when=np.allclose(out, 2.16984602))
    np.testing.assert_allclose(out, [2.13651269], rtol=1e-6)


@pytest.mark.parametrize("classes", [2, 10, 1000], ids=["two", "ten", "thousand"])
def test_cross_entropy_of_equal_scores(classes):
    """A network that knows nothing has the loss log C, whichever class is right."""
    out = cross_entropy(np.full((4, classes), 7.5, np.float32), np.array([0, 1, classes - 1, 0]))
    np.testing.assert_allclose(out, np.full(4, np.log(classes)), rtol=1e-5)


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-4), ("float64", 1e-11)], ids=["float32", "float64"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0], ids=["plain", "smooth", "uniform"])
def test_cross_entropy_of_random_scores(rng, hint, dtype, rtol, smoothing):
    """One loss for each row, in the dtype of the scores."""
    logits = (rng.normal(size=(9, 6)) * 3).astype(dtype)
    target = rng.integers(0, 6, size=9)
    out = cross_entropy(logits, target, label_smoothing=smoothing)
    hint("z[:, target] is a whole table: each row wants its own class, z[np.arange(M), target].", when=out.ndim == 2)
    assert out.shape == (9,) and out.dtype == dtype
    np.testing.assert_allclose(out, expected_losses(logits, target, smoothing), rtol=rtol, atol=rtol / 10)


def test_cross_entropy_of_an_impossible_answer(hint):
    """Worked in the module: a probability of e to the -200 is 0 in float32; the loss is 200, and not infinite."""
    out = cross_entropy(np.array([[0.0, 200.0], [0.0, 200.0]], np.float32), np.array([0, 1]))
    hint(
        "The probability was rounded to 0 before its logarithm was taken: log Σ exp(z) - z[t] needs no probability.",
        when=out[0] == np.inf and out[1] == 0,
    )
    hint("The probability was kept away from 0, and the loss with it: a loss of 200 is one of 200.", when=0 < out[0] < 199)
    np.testing.assert_allclose(out, [200, 0], rtol=1e-6)


def test_cross_entropy_of_large_scores(hint):
    """Two equal scores have the loss log 2, whatever they are, and whatever the other rows' are."""
    out = cross_entropy(np.array([[1000.0, 1000.0], [-1000.0, -1000.0]], np.float32), np.array([0, 1]))
    hint(SHIFT, when=not np.isfinite(out[0]))
    hint(
        "Each row has a largest score of its own: subtract that, not the largest of all rows.",
        when=np.isfinite(out[0]) and not np.isfinite(out[1]),
    )
    np.testing.assert_allclose(out, [0.69314718, 0.69314718], rtol=1e-5)


@pytest.mark.hint(FloatingPointError, SHIFT)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_does_not_overflow(student_side, dtype):
    """A right answer that comes by way of infinity is luck; run with overflows as errors."""
    for scores in ([1000.0, 1001.0], [-1001.0, -1000.0]):
        for smoothing, expected in ((0.0, 1.31326169), (0.5, 1.06326169)):
            options = {"ignore_index": -100, "label_smoothing": smoothing}
            out = student_side.strictly(CrossEntropyOp, np.array([scores], dtype), np.array([0]), **options)
            np.testing.assert_allclose(out, [expected], rtol=1e-5)


def test_cross_entropy_of_masked_scores(hint):
    """A score of -inf says that a class is impossible. The others' losses are as if it were not there."""
    out = cross_entropy(np.array([[-np.inf, 1.0, 2.0], [1.0, -np.inf, 2.0]]), np.array([1, 1]))
    hint(
        "0 times -inf is NaN: without label smoothing, leave the mean of z out altogether.",
        when=np.isnan(out[0]),
    )
    np.testing.assert_allclose(out, [1.31326169, np.inf], rtol=1e-6)


def test_cross_entropy_of_ignored_rows(rng, hint):
    """Their loss is 0, even if their scores are NaN; the other rows' is what it always is."""
    logits = rng.normal(size=(6, 4))
    target = np.array([3, -100, 0, -100, 1, 2])
    kept = target != -100
    logits[3] = np.nan
    out = cross_entropy(logits, target)
    assert out.shape == (6,)
    np.testing.assert_allclose(out[kept], expected_losses(logits[kept], target[kept]), rtol=1e-11)
    hint("The loss of an ignored row is not 0: its target was replaced by class 0, and counted.", when=0 < out[1] < np.inf)
    assert out[1] == 0
    hint("NaN times 0 is NaN: set the losses of ignored rows to 0 instead of multiplying.", when=np.isnan(out[3]))
    assert out[3] == 0


def test_cross_entropy_ignores_another_number_with_smoothing(rng):
    """ignore_index may be a class, and label smoothing does not bring ignored rows back."""
    logits, target = rng.normal(size=(7, 4)), rng.permutation([0, 1, 2, 3, 1, 1, 0])
    out = cross_entropy(logits, target, ignore_index=1, label_smoothing=0.2)
    np.testing.assert_allclose(out, np.where(target == 1, 0, expected_losses(logits, target, 0.2)), rtol=1e-11, atol=1e-15)


def test_cross_entropy_of_one_class_and_of_no_rows():
    """One class alone is certain and costs nothing; a batch without rows has no losses."""
    assert cross_entropy(np.array([[3.0], [5.0]]), np.array([0, 0])).tolist() == [0, 0]
    assert cross_entropy(np.empty((0, 4)), np.empty(0, np.int64)).shape == (0,)
    np.testing.assert_allclose(cross_entropy(np.array([[3.0, 3.0]]), np.array([0])), [0.69314718], rtol=1e-6)


def test_cross_entropy_depends_on_differences_only(rng):
    """Adding a number to a whole row changes nothing."""
    logits, target = rng.normal(size=(5, 3)), rng.integers(0, 3, size=5)
    out, moved = cross_entropy(logits, target), cross_entropy(logits + rng.normal(size=(5, 1)) * 500, target)
    np.testing.assert_allclose(out, expected_losses(logits, target), rtol=1e-11)
    np.testing.assert_allclose(moved, out, rtol=1e-9, atol=1e-9)


def test_cross_entropy_refuses_what_is_no_score_and_no_class():
    """Scores are floats; targets are checked by class_targets, with as many classes as there are columns."""
    logits = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(cross_entropy(logits, np.array([2, 0])), [1.09861229] * 2, rtol=1e-6)
    with pytest.raises(IndexError, match="out of bounds"):
        cross_entropy(logits, np.array([3, 0]))
    with pytest.raises(TypeError, match="integers"):
        cross_entropy(logits, np.array([2.0, 0.0]))
    with pytest.raises(TypeError, match="CrossEntropyLoss.*int64"):
        cross_entropy(logits.astype(np.int64), np.array([2, 0]))


def test_cross_entropy_leaves_its_input_alone(rng, hint, student_side):
    """The scores are still needed by whoever made them, and so are the targets."""
    logits, target = rng.normal(size=(4, 3)), np.array([1, -100, 2, 0])
    scores, classes = Tensor(logits.copy()), Tensor(target.copy())
    out = CrossEntropyOp.apply(scores, classes, ignore_index=-100, label_smoothing=0.1).numpy()
    changed = not np.array_equal(scores.numpy(), logits)
    hint("The scores were changed: logits - largest makes a new array, logits -= largest does not.", when=changed)
    np.testing.assert_array_equal(scores.numpy(), logits)
    np.testing.assert_array_equal(classes.numpy(), target)
    np.testing.assert_allclose(out[2:], expected_losses(logits, np.array([1, 0, 2, 0]), 0.1)[2:], rtol=1e-11)
    shared = student_side.shares_memory(CrossEntropyOp, logits, target, ignore_index=-100, label_smoothing=0.1)
    assert not shared, "something that was saved or returned lies in the memory of the scores"


@pytest.mark.parametrize("smoothing", [0.0, 0.2], ids=["plain", "smooth"])
def test_cross_entropy_saves_what_its_gradient_needs(rng, hint, smoothing):
    """The gradient is p - s/C, less 1 - s at the target, for kept rows: compared with a small step to both sides."""
    logits, g = rng.normal(size=(2, 6, 4))
    target = rng.permutation([0, 1, 2, 3, 1, -100])
    kept, g = target != -100, g[:, 0]
    ctx = Context()
    CrossEntropyOp.forward(ctx, logits.copy(), target.copy(), ignore_index=-100, label_smoothing=smoothing)
    saved = ctx.saved
    hint("Nothing was saved: call ctx.save before you return.", when=len(saved) == 0)
    hint(
        "Save four things: p, the targets and the mask from class_targets, and label_smoothing.", when=len(saved) not in (0, 4)
    )
    assert len(saved) == 4
    p, classes, mask, saved_smoothing = saved
    hint("forward takes and returns arrays: you saved a Tensor.", when=isinstance(p, Tensor))
    assert isinstance(p, np.ndarray) and p.shape == (6, 4)
    z = logits - logits.max(axis=1, keepdims=True)
    hint("You saved the logarithms of the probabilities: save p itself.", when=np.allclose(p, log_softmax(logits)))
    hint(
        "You saved exp(z), whose rows do not sum to 1: divide by the sums.",
        when=np.allclose(p, np.exp(z)),
    )
    hint("You saved the scores: the gradient needs the probabilities.", when=np.allclose(p, logits) or np.allclose(p, z))
    np.testing.assert_allclose(p, np.exp(log_softmax(logits)), rtol=1e-11)
    hint("You saved the targets as they came: save those in which 0 stands for ignored ones.", when=-100 in classes)
    np.testing.assert_array_equal(classes, np.where(kept, target, 0))
    np.testing.assert_array_equal(mask, kept)
    assert mask.dtype == bool and saved_smoothing == smoothing
    gradient = p - smoothing / 4
    gradient[np.arange(6), classes] -= 1 - smoothing
    gradient *= (g * mask)[:, None]
    direction, step, losses = rng.normal(size=(6, 4)), 1e-6, []
    for moved in (logits + step * direction, logits - step * direction):
        losses.append(CrossEntropyOp.forward(Context(), moved, target, ignore_index=-100, label_smoothing=smoothing))
    np.testing.assert_allclose((gradient * direction).sum(), (g * (losses[0] - losses[1])).sum() / (2 * step), atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1], ids=["plain", "smooth"])
def test_cross_entropy_holds_no_more_than_two_large_arrays(rng, hint, student_side, smoothing):
    """For 400 samples of 500 classes the scores are 800 kB. The loss gets by with twice that, at any moment."""
    logits, target = rng.standard_normal((400, 500), dtype=np.float32), rng.integers(0, 500, size=400)
    options = {"ignore_index": -100, "label_smoothing": smoothing}
    out, peak = student_side.with_peak(CrossEntropyOp, logits, target, **options)
    hint(
        f"At its peak the operation held {peak / logits.nbytes:.1f} times the memory of the scores. A table of ones and "
        "zeros, a float64 array or a division that is not in place is as large as they are, or larger.",
        when=np.shape(out) == (400,) and peak > 2.2 * logits.nbytes,
    )
    assert peak < 2.2 * logits.nbytes
    np.testing.assert_allclose(out, expected_losses(logits, target, smoothing), rtol=1e-4)
