"""Wherever broadcasting repeated an input, its gradient is the sum over the copies, in the input's shape."""
import numpy as np
import pytest

from tinytorch.core.autograd import unbroadcast

pytestmark = pytest.mark.exercise("unbroadcast")

ONES = "Only the dimensions in front were summed. Sum also those in which `shape` has 1 and g has more."
LOST = "A dimension of length 1 is lost: keep those (keepdims=True), and drop only those that were added in front."
MEAN = "The gradients of the copies add up: that is their sum, not their mean."
COPY = "Nothing was repeated here: return g itself. A sum over no dimension makes a copy."
UNSUMMED = "The result still has the shape of g: sum over what was repeated."


def summed(g, shape):
    """The sum over copies, by asking of each element of g which element of the input it is a copy of."""
    size = int(np.prod(shape))
    source = np.broadcast_to(np.arange(size).reshape(shape), g.shape)
    return np.bincount(source.ravel(), weights=g.ravel(), minlength=size).reshape(shape)


def test_unbroadcast_by_hand(hint):
    """Two rows of a (2, 3) came from one row of three: they add up to 11, 22, 33."""
    g = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    out = unbroadcast(g, (3,))
    hint(UNSUMMED, when=out.shape == (2, 3))
    hint(MEAN, when=out.shape == (3,) and out[0] == 5.5)
    np.testing.assert_array_equal(out, [11.0, 22.0, 33.0])


def test_unbroadcast_of_a_column(hint):
    """A column (2, 1) was repeated along its second dimension: each row adds up, and the result is a column."""
    out = unbroadcast(np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]), (2, 1))
    hint(ONES, when=out.shape == (2, 3))
    hint(LOST, when=out.shape == (2,))
    np.testing.assert_array_equal(out, [[6.0], [60.0]])


CASES = {
    "row": [((2, 3), (3,)), ((3, 2), (2,)), ((1, 3), (3,))],
    "column": [((2, 3), (2, 1)), ((2, 3), (1, 3)), ((2, 3, 4), (2, 1, 4))],
    "number": [((2, 3), ()), ((2, 3), (1,)), ((2, 3), (1, 1)), ((1, 1), ())],
    "several-added": [((2, 3, 4), (4,)), ((5, 2, 3, 4), (3, 4))],
    "added-and-ones": [((2, 3, 4), (3, 1)), ((3, 2, 2), (2, 1)), ((5, 2, 3, 4), (2, 1, 4)), ((5, 2, 3), (1, 2, 1))],
    "same": [((2, 3), (2, 3)), ((1, 3, 1), (1, 3, 1)), ((), ()), ((2, 1), (1,))],
}


@pytest.mark.parametrize("cases", CASES.values(), ids=CASES)
def test_unbroadcast_sums_over_copies(rng, cases):
    """Every element of the input gets the sum of the gradients of its copies, and the result has its shape."""
    for of_g, shape in cases:
        g = np.asarray(rng.normal(size=of_g))
        before = g.copy()
        out = unbroadcast(g, shape)
        assert out.shape == shape, f"from {of_g} to {shape}"
        np.testing.assert_allclose(out, summed(before, shape), rtol=1e-12, atol=1e-12, err_msg=f"from {of_g} to {shape}")
        np.testing.assert_array_equal(g, before)


def test_unbroadcast_keeps_the_dtype(rng):
    """float32 stays float32, summed or not."""
    g = rng.normal(size=(4, 3)).astype(np.float32)
    for shape in ((3,), (4, 1), (4, 3)):
        out = unbroadcast(g, shape)
        assert out.dtype == np.float32
        np.testing.assert_allclose(out, summed(g.astype(float), shape), rtol=1e-5, atol=1e-6)


def test_unbroadcast_of_nothing(rng):
    """A row that was repeated no times gets zeros; what has no elements has none before and after."""
    np.testing.assert_array_equal(unbroadcast(np.empty((0, 3)), (3,)), np.zeros(3))
    np.testing.assert_array_equal(unbroadcast(np.empty((0, 3)), (1, 3)), np.zeros((1, 3)))
    assert unbroadcast(np.empty((2, 0)), (1, 0)).shape == (1, 0)
    g = rng.normal(size=(2, 2))
    np.testing.assert_allclose(unbroadcast(g, (1, 2)), g.sum(axis=0)[None], rtol=1e-12)


def test_unbroadcast_returns_g_itself(student_side, rng, hint):
    """Where nothing was repeated there is nothing to do, and a copy of a large array would cost time and memory."""
    for shape in ((2, 3), (1, 3), ()):
        g = np.asarray(rng.normal(size=shape))
        same = student_side.returns_the_same(g, shape)
        np.testing.assert_array_equal(unbroadcast(g, shape), g)
        hint(COPY, when=same is False)
        assert same is True
        row = rng.normal(size=(2, *shape))
        np.testing.assert_allclose(unbroadcast(row, shape), row[0] + row[1], rtol=1e-12)
