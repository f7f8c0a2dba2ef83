"""Log-softmax: the logarithm of a probability, where the probability itself may be too small to exist."""
import numpy as np
import pytest

from tinytorch.core.activations import LogSoftmax, LogSoftmaxOp
from tinytorch.core.tensor import Context, Tensor

pytestmark = pytest.mark.exercise("log_softmax_forward")

SHIFT = "exp of a raw score overflows: take the log-sum-exp of the scores minus their largest."
KEEPDIMS = "The log-sum-exp lost a dimension and does not line up with x: keepdims."


def expected_log_softmax(x, dim):
    x = x.astype(np.float64)
    return x - np.log(np.exp(x).sum(axis=dim, keepdims=True))


def test_log_softmax_of_one_and_two():
    """The logarithms of 0.269 and 0.731, which differ by 1 as the scores do."""
    out = LogSoftmax(dim=-1)(Tensor([1.0, 2.0])).numpy()
    np.testing.assert_allclose(out, [-1.31326169, -0.31326169], rtol=1e-6)


def test_log_softmax_of_unlikely_classes(hint):
    """Worked by hand in the module: a probability of e to the -200 is 0 in float32, its logarithm is -200."""
    out = LogSoftmax(dim=-1)(Tensor([0.0, 200.0])).numpy()
    hint(
        "The probability was rounded to 0 before its logarithm was taken: subtract the log-sum-exp, never divide.",
        when=not np.isclose(out[0], -200) and abs(out[1]) < 1e-4,
    )
    np.testing.assert_allclose(out, [-200.0, 0.0], rtol=1e-6)


def test_log_softmax_of_large_scores(hint):
    """Two equal scores share the probability, and log(1/2) = -0.6931 whatever they are."""
    out = LogSoftmax(dim=-1)(Tensor([[1000.0, 1000.0], [-1000.0, -1000.0]])).numpy()
    hint(SHIFT, when=not np.isfinite(out[0]).any())
    hint(
        "Each slice along dim has a largest score of its own: subtract that one, not the largest of the whole array.",
        when=np.isfinite(out[0]).all() and not np.isfinite(out[1]).any(),
    )
    hint(KEEPDIMS, when=not np.array_equal(out[:, 0], out[:, 1], equal_nan=True))  # two equal scores
    np.testing.assert_allclose(out, np.full((2, 2), -0.69314718), rtol=1e-5)


@pytest.mark.hint(FloatingPointError, SHIFT)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_softmax_does_not_overflow(student_side, dtype):
    """The same with overflows as errors, at both ends."""
    for scores in ([1000.0, 1001.0], [-1001.0, -1000.0]):
        out = student_side.strictly(LogSoftmaxOp, np.array(scores, dtype), dim=0)
        np.testing.assert_allclose(out, [-1.31326169, -0.31326169], rtol=1e-5)


@pytest.mark.hint(ValueError, KEEPDIMS)
@pytest.mark.parametrize("dim", [0, 1, 2, -2], ids=["first", "middle", "last", "middle-negative"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)], ids=["float32", "float64"])
def test_log_softmax_of_three_dimensions(rng, hint, dim, dtype, tolerance):
    """Each slice along dim by itself, in the dtype of the scores, whatever their order in memory."""
    x = (rng.normal(size=(5, 3, 4)) * 3).astype(dtype).transpose(1, 2, 0)
    out = LogSoftmax(dim=dim)(Tensor(x)).numpy()
    expected = expected_log_softmax(x, dim)
    hint(
        "The result is too large by the largest score: what was subtracted inside the sum is added to its logarithm.",
        when=np.allclose(out - expected, x.max(axis=dim, keepdims=True), atol=1e-4),
    )
    hint(
        f"dim={dim} was given, but the last dimension was reduced: pass dim on to max and sum.",
        when=dim != 2 and np.allclose(out, expected_log_softmax(x, 2), atol=1e-4),
    )
    assert out.dtype == dtype
    np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)


def test_log_softmax_is_a_logarithm_of_probabilities(rng):
    """Its exponentials sum to one, and adding a number to all scores changes nothing."""
    x = rng.normal(size=(4, 6)) * 50
    out = LogSoftmax(dim=1)(Tensor(x)).numpy()
    np.testing.assert_allclose(np.exp(out).sum(axis=1), np.ones(4), rtol=1e-12)
    np.testing.assert_allclose(LogSoftmax(dim=1)(Tensor(x + 700)).numpy(), out, atol=1e-9)


def test_log_softmax_of_masked_scores():
    """A score of -inf means: impossible. The logarithm of its probability is -inf too."""
    out = LogSoftmax(dim=-1)(Tensor([-np.inf, 1.0, 2.0])).numpy()
    np.testing.assert_allclose(out, [-np.inf, -1.31326169, -0.31326169], rtol=1e-6)


def test_log_softmax_of_a_number_and_of_no_rows():
    """One score alone is certain, and log(1) = 0; a batch without rows has none to answer."""
    out = LogSoftmax(dim=0)(Tensor(3.0)).numpy()
    assert out.shape == () and out == 0
    np.testing.assert_allclose(LogSoftmax(dim=0)(Tensor([3.0, 3.0])).numpy(), [-0.69314718, -0.69314718], rtol=1e-6)
    assert LogSoftmax(dim=-1)(Tensor(np.empty((0, 3), np.float32))).numpy().shape == (0, 3)


def test_log_softmax_refuses_integers():
    """As in PyTorch, integers are no scores; floats of the same values are."""
    np.testing.assert_allclose(LogSoftmax(dim=0)(Tensor([1.0, 2.0])).numpy(), [-1.31326169, -0.31326169], rtol=1e-6)
    with pytest.raises(TypeError, match=r"log-softmax.*int64"):
        LogSoftmax(dim=0)(Tensor([1, 2]))


def test_log_softmax_leaves_its_input_alone(rng, hint):
    """A function that changes its argument breaks whoever still holds it."""
    x = rng.normal(size=(2, 3))
    scores = Tensor(x.copy())
    out = LogSoftmax(dim=-1)(scores).numpy()
    hint("The input was changed: work on a new array.", when=not np.array_equal(scores.numpy(), x))
    np.testing.assert_array_equal(scores.numpy(), x)
    np.testing.assert_allclose(out, expected_log_softmax(x, -1), rtol=1e-12)


@pytest.mark.parametrize("dim", [0, 1], ids=["columns", "rows"])
def test_log_softmax_saves_what_its_gradient_needs(rng, hint, student_side, dim):
    """For a loss sum(g * y) the gradient is g - exp(y) sum(g): compared here with a small step to both sides."""
    x, g = rng.normal(size=(2, 3, 4))
    ctx = Context()
    LogSoftmaxOp.forward(ctx, x.copy(), dim)
    saved = ctx.saved
    hint("Nothing was saved: call ctx.save before you return.", when=len(saved) == 0)
    hint("dim was not saved: the gradient sums along it once more.", when=len(saved) == 1)
    hint("Save the result and dim, and nothing else.", when=len(saved) > 2)
    assert len(saved) == 2
    hint("forward takes and returns arrays: you saved a Tensor.", when=isinstance(saved[0], Tensor))
    hint("Save the result first, then dim.", when=isinstance(saved[1], np.ndarray))
    assert isinstance(saved[0], np.ndarray)
    y, saved_dim = saved
    assert saved_dim == dim
    hint("You saved the scores: the gradient needs the result.", when=np.array_equal(y, x))
    hint(
        "You saved the probabilities: save the result, whose exponentials they are.",
        when=np.allclose(y, np.exp(expected_log_softmax(x, dim))),
    )
    np.testing.assert_allclose(y, expected_log_softmax(x, dim), rtol=1e-12)
    gradient = g - np.exp(y) * g.sum(axis=dim, keepdims=True)
    direction, step = rng.normal(size=(3, 4)), 1e-6
    right = LogSoftmaxOp.forward(Context(), x + step * direction, dim)
    left = LogSoftmaxOp.forward(Context(), x - step * direction, dim)
    np.testing.assert_allclose((gradient * direction).sum(), (g * (right - left)).sum() / (2 * step), atol=1e-7)
    with_input, with_saved = student_side.shared(LogSoftmaxOp, x, dim=dim)
    assert not with_input, "the result lies in the input's memory"
    assert with_saved, "what was saved is a copy of the result: save the result itself"
