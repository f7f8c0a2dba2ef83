"""Softmax turns scores into probabilities, along any dimension, for scores of any size."""
import numpy as np
import pytest

from tinytorch.core.activations import Softmax, SoftmaxOp
from tinytorch.core.tensor import Context, Tensor

pytestmark = pytest.mark.exercise("softmax_forward")

SHIFT = "Subtract the largest score along dim before exponentiating: the result is the same and cannot overflow."
KEEPDIMS = "Use keepdims=True: without it the sums have lost a dimension and do not line up with x."
NOTHING_ADDED = (
    "The probabilities sum to a little less than 1: divide by the sum alone. The shift makes it at least 1, never 0."
)


def expected_softmax(x, dim):
    e = np.exp(x.astype(np.float64))
    return e / e.sum(axis=dim, keepdims=True)


def something_was_added(p, dim):
    """Whether every denominator was a little too large."""
    missing = 1 - p.sum(axis=dim)
    return p.dtype == np.float64 and ((missing > 1e-12) & (missing < 1e-3)).all()


def test_softmax_of_one_and_two():
    """Worked by hand in the module: 0.269 and 0.731."""
    out = Softmax(dim=-1)(Tensor([1.0, 2.0])).numpy()
    np.testing.assert_allclose(out, [0.26894142, 0.73105858], rtol=1e-6)


def test_softmax_of_large_scores(hint):
    """1000 and 1001 differ by one, as 1 and 2 do, so the probabilities are the same."""
    out = Softmax(dim=-1)(Tensor([1000.0, 1001.0])).numpy()
    hint(SHIFT, when=np.isnan(out).any())
    np.testing.assert_allclose(out, [0.26894142, 0.73105858], rtol=1e-5)


@pytest.mark.hint(FloatingPointError, SHIFT)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_does_not_overflow(student_side, dtype):
    """The same with overflows as errors, at both ends."""
    for scores in ([1000.0, 1001.0], [-1001.0, -1000.0]):
        out = student_side.strictly(SoftmaxOp, np.array(scores, dtype), dim=0)
        np.testing.assert_allclose(out, [0.26894142, 0.73105858], rtol=1e-5)


@pytest.mark.parametrize("dim", [0, 1], ids=["columns", "rows"])
def test_softmax_shifts_each_slice_by_its_own_largest(hint, dim):
    """Low scores next to high ones: had the second row only the first row's shift, it would become 0 / 0."""
    x = np.array([[1000.0, 1001.0], [-1000.0, -1001.0]], np.float32)
    out = Softmax(dim=dim)(Tensor(x if dim == 1 else x.T)).numpy()
    out = out if dim == 1 else out.T
    hint(
        "One shift for the whole array does not do: each slice along dim has a largest score of its own.",
        when=np.isnan(out[1]).any() and not np.isnan(out[0]).any(),
    )
    np.testing.assert_allclose(out, [[0.26894142, 0.73105858], [0.73105858, 0.26894142]], rtol=1e-5)


@pytest.mark.hint(ValueError, KEEPDIMS)
@pytest.mark.parametrize("dim", [0, 1, -1], ids=["columns", "rows", "last"])
def test_softmax_sums_to_one_along_dim(rng, hint, dim):
    """Whatever the dimension: everything is positive and sums to one along it."""
    x = rng.normal(size=(3, 4)).astype(np.float32) * 10
    out = Softmax(dim=dim)(Tensor(x)).numpy()
    assert out.shape == (3, 4) and out.dtype == np.float32
    assert (out > 0).all()
    hint("The whole array sums to one, not each slice along dim: pass dim on to sum.", when=np.isclose(out.sum(), 1))
    np.testing.assert_allclose(out.sum(axis=dim), np.ones(4 if dim == 0 else 3), rtol=1e-5)


@pytest.mark.hint(ValueError, KEEPDIMS)
@pytest.mark.parametrize("dim", [0, 1, 2, -2], ids=["first", "middle", "last", "middle-negative"])
@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-5), ("float64", 1e-12)], ids=["float32", "float64"])
def test_softmax_of_three_dimensions(rng, hint, dim, dtype, rtol):
    """Each slice along dim by itself, in the dtype of the scores, whatever their order in memory."""
    x = (rng.normal(size=(5, 3, 4)) * 3).astype(dtype).transpose(1, 2, 0)
    expected = expected_softmax(x, dim)
    out = Softmax(dim=dim)(Tensor(x)).numpy()
    assert out.dtype == dtype
    hint(NOTHING_ADDED, when=something_was_added(out, dim))
    np.testing.assert_allclose(out, expected, rtol=rtol)


def test_softmax_of_masked_scores():
    """A score of -inf means: impossible. Its probability is exactly 0, and the others share the 1."""
    out = Softmax(dim=-1)(Tensor([[-np.inf, 1.0, 2.0], [0.0, -np.inf, -np.inf]])).numpy()
    np.testing.assert_allclose(out, [[0, 0.26894142, 0.73105858], [1, 0, 0]], rtol=1e-6, atol=0)


def test_softmax_of_a_number_and_of_no_rows():
    """One score alone is certain; a batch without rows has none to answer."""
    out = Softmax(dim=0)(Tensor(3.0)).numpy()
    assert out.shape == () and out == 1
    np.testing.assert_array_equal(Softmax(dim=0)(Tensor([3.0, 3.0])).numpy(), [0.5, 0.5])
    assert Softmax(dim=-1)(Tensor(np.empty((0, 3), np.float32))).numpy().shape == (0, 3)


def test_softmax_refuses_integers():
    """As in PyTorch, integers are no scores; floats of the same values are."""
    np.testing.assert_allclose(Softmax(dim=0)(Tensor([1.0, 2.0])).numpy(), [0.26894142, 0.73105858], rtol=1e-6)
    with pytest.raises(TypeError, match=r"softmax.*int64"):
        Softmax(dim=0)(Tensor([1, 2]))


def test_softmax_leaves_its_input_alone(rng, hint):
    """A function that changes its argument breaks whoever still holds it."""
    x = rng.normal(size=(2, 3)).astype(np.float32)
    scores = Tensor(x.copy())
    out = Softmax(dim=-1)(scores).numpy()
    hint(
        "The input was changed. Work on a new array: x - x.max(...) makes one, x -= x.max(...) does not.",
        when=not np.array_equal(scores.numpy(), x),
    )
    np.testing.assert_array_equal(scores.numpy(), x)  # the test's own x, so that an honest Tensor is needed too
    np.testing.assert_allclose(out.sum(axis=-1), [1, 1], rtol=1e-5)


@pytest.mark.parametrize("dim", [0, 1], ids=["columns", "rows"])
def test_softmax_saves_what_its_gradient_needs(rng, hint, student_side, dim):
    """For a loss sum(g * p) the gradient is p (g - sum(g p)): compared here with a small step to both sides."""
    x, g = rng.normal(size=(2, 3, 4))
    ctx = Context()
    SoftmaxOp.forward(ctx, x.copy(), dim)
    saved = ctx.saved
    hint("Nothing was saved: call ctx.save before you return.", when=len(saved) == 0)
    hint("dim was not saved: the gradient sums along it once more.", when=len(saved) == 1)
    hint("Save the result and dim, and nothing else.", when=len(saved) > 2)
    assert len(saved) == 2
    hint("forward takes and returns arrays: you saved a Tensor.", when=isinstance(saved[0], Tensor))
    hint("Save the result first, then dim.", when=isinstance(saved[1], np.ndarray))
    assert isinstance(saved[0], np.ndarray)
    p, saved_dim = saved
    assert saved_dim == dim
    hint("You saved the scores: the gradient needs the probabilities, the result.", when=np.array_equal(p, x))
    hint(NOTHING_ADDED, when=something_was_added(p, dim))
    np.testing.assert_allclose(p, expected_softmax(x, dim), rtol=1e-12)
    gradient = p * (g - (g * p).sum(axis=dim, keepdims=True))
    direction, step = rng.normal(size=(3, 4)), 1e-6
    right = SoftmaxOp.forward(Context(), x + step * direction, dim)
    left = SoftmaxOp.forward(Context(), x - step * direction, dim)
    np.testing.assert_allclose((gradient * direction).sum(), (g * (right - left)).sum() / (2 * step), atol=1e-7)
    with_input, with_saved = student_side.shared(SoftmaxOp, x, dim=dim)
    hint("The input was changed. Work on a new array, x - x.max(...) makes one.", when=with_input)
    assert not with_input, "the result lies in the input's memory"
    assert with_saved, "what was saved is a copy of the result: save the result itself"
