"""A sum's gradient goes to all elements, a mean's is divided by their number, and a maximum's goes to the largest."""
import numpy as np
import pytest

from tinytorch.core.tensor import Max, Mean, Sum

pytestmark = pytest.mark.exercise("reduction_gradients")

OPERATIONS = {"sum": (Sum, np.sum), "mean": (Mean, np.mean), "max": (Max, np.max)}
NAMES = list(OPERATIONS)
AXES = [None, 0, 1, -1, (0, 2), (-1, 1), (0, 1, 2), (1,), ()]

WIDENED = "float32 divided by integers makes float64: count the largest elements in x's dtype."
UNDIVIDED = "An element is an n-th of the mean: divide g by the number of elements that were averaged."
DIVIDED_BY_ALL = "The mean along an axis divides by that axis' length, not by the number of all elements."
ALL_TIES = "Several largest elements all got the whole of g: they share it equally."
ONE_TIE = "Of several largest elements one got all of g: they share it equally."
ALL_SLICES = "Every slice has a largest element of its own, and g goes to that, not only to the largest of all."
DIMENSIONS = "Along which dimension was that? Bring the reduced one back as length 1 (`with_axes`), or it lines up with another."


def slopes(function, x, g, step=1e-6):
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


def spread(rng, shape):
    """Numbers in random order that are at least 0.1 apart, so that no small step changes which is the largest."""
    return rng.permutation(int(np.prod(shape))).reshape(shape) / 10 - 0.7


@pytest.mark.parametrize("keepdims", [False, True], ids=["dropped", "kept"])
@pytest.mark.parametrize("name", NAMES, ids=NAMES)
def test_reductions_against_small_steps(student_side, rng, name, keepdims):
    """Along all dimensions, one, or several, counted from either end, with the reduced ones dropped or kept."""
    operation, function = OPERATIONS[name]
    x = spread(rng, (2, 3, 4))
    for axis in AXES:
        g = np.asarray(rng.normal(size=x.sum(axis=axis, keepdims=keepdims).shape))
        (grad,) = student_side.rule(operation, x, g=g, axis=axis, keepdims=keepdims)
        assert grad.shape == (2, 3, 4)
        expected = slopes(lambda x, axis=axis: function(x, axis=axis, keepdims=keepdims), x, g)
        np.testing.assert_allclose(grad, expected, rtol=1e-6, atol=1e-7, err_msg=f"for axis={axis}")


def test_sum_by_hand(student_side, hint):
    """The sums of rows have gradients 1 and 10: every element of the first row gets 1, of the second 10."""
    x, g = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 10.0])
    (grad,) = student_side.rule(Sum, x, g=g, axis=1)
    hint(DIMENSIONS, when=np.array_equal(grad, [[1, 10], [1, 10]]))
    np.testing.assert_array_equal(grad, [[1.0, 1.0], [10.0, 10.0]])


def test_mean_by_hand(student_side, hint):
    """Six elements, g = 12: each gets 2. Along rows of three, each gets a third of its row's."""
    x = np.arange(6.0).reshape(2, 3)
    (grad,) = student_side.rule(Mean, x, g=np.array(12.0))
    hint(UNDIVIDED, when=grad.shape == (2, 3) and (grad == 12).all())
    np.testing.assert_array_equal(grad, np.full((2, 3), 2.0))
    (grad,) = student_side.rule(Mean, x, g=np.array([3.0, 6.0]), axis=1)
    hint(DIVIDED_BY_ALL, when=np.array_equal(grad, [[0.5] * 3, [1.0] * 3]))
    np.testing.assert_allclose(grad, [[1.0] * 3, [2.0] * 3], rtol=1e-12)


def test_max_by_hand(student_side, hint):
    """Each row's largest gets the row's g, and the others nothing."""
    x, g = np.array([[1.0, 5.0, 2.0], [9.0, 7.0, 8.0]]), np.array([10.0, 20.0])
    (grad,) = student_side.rule(Max, x, g=g, axis=1)
    hint(ALL_SLICES, when=np.array_equal(grad, [[0, 0, 0], [20, 0, 0]]))
    np.testing.assert_array_equal(grad, [[0.0, 10.0, 0.0], [20.0, 0.0, 0.0]])


def test_max_shares_among_the_largest(student_side, rng, hint):
    """If several are the largest, they share g equally, as in PyTorch's amax."""
    for axis in (None, 0, 1, (0, 1)):
        x = np.array([[3.0, 3.0, 1.0], [3.0, 2.0, 1.0]])
        largest = {None: x == 3, 0: np.array([[1, 1, 1], [1, 0, 1]]), 1: x == 3, (0, 1): x == 3}[axis]
        g = rng.uniform(1, 2, size=x.sum(axis=axis, keepdims=True).shape)
        (grad,) = student_side.rule(Max, x, g=g, axis=axis, keepdims=True)
        whole = largest * g
        hint(ALL_TIES, when=np.allclose(grad, whole))
        hint(ONE_TIE, when=((grad == whole) | (grad == 0)).all() and not np.allclose(grad, whole))
        np.testing.assert_allclose(grad, whole / largest.sum(axis=axis, keepdims=True), rtol=1e-12)


def test_reductions_keep_float32_and_write_into_nothing(student_side, rng, hint):
    """float32 in, float32 out; g and what was saved stay as they are."""
    for name in NAMES:
        operation, function = OPERATIONS[name]
        x = spread(rng, (3, 4)).astype(np.float32)
        for axis in (None, 1, (0,)):
            g = np.asarray(rng.normal(size=x.sum(axis=axis).shape).astype(np.float32))
            assert student_side.written(operation, x, g=g.copy(), axis=axis) == (False, False)
            (grad,) = student_side.rule(operation, x, g=g, axis=axis)
            hint(WIDENED, when=name == "max" and grad.dtype == np.float64)
            assert grad.dtype == np.float32 or g.ndim == 0  # NumPy 1 widens what has no dimensions, and `backward` narrows it
            np.testing.assert_allclose(grad, slopes(lambda x: function(x, axis=axis), x, g.astype(float)), rtol=1e-4, atol=1e-5)


def test_reductions_of_nothing(student_side):
    """No rows of three, or two rows of none: gradients in the shape of x, without an element, and without an error."""
    assert student_side.rule(Sum, np.zeros((0, 3)), g=np.zeros(0), axis=1)[0].shape == (0, 3)
    assert student_side.rule(Mean, np.zeros((0, 3)), g=np.zeros(0), axis=1)[0].shape == (0, 3)
    assert student_side.rule(Sum, np.zeros((2, 0)), g=np.ones(2), axis=1)[0].shape == (2, 0)
    for operation in (Sum, Mean):
        (grad,) = student_side.rule(operation, np.zeros((2, 1)), g=np.array([3.0, 4.0]), axis=1)
        np.testing.assert_array_equal(grad, [[3.0], [4.0]])
