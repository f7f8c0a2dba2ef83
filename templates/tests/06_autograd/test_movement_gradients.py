"""What was moved is moved back; what was selected gets its gradient, and the rest zero."""
import numpy as np
import pytest

from tinytorch.core.tensor import MaskedFill, Permute, Reshape, Slice, Transpose, Where

pytestmark = pytest.mark.exercise("movement_gradients")

PERMUTED_AGAIN = "The gradient was permuted by dims once more. It has to be undone: np.argsort(dims) says where each came from."
NEGATIVE = "Negative dimensions sort before all others: count them from the front first, dim % g.ndim."
LAST_ONLY = "An element that was selected twice got one of its two gradients: np.add.at adds one by one."
WHERE_BOTH = "Both got all of g: an element of the result came from one of the two, and the other one gets 0 for it."
WHERE_SWAPPED = "a gets g where the condition is True, and b where it is False: here it is the other way round."
WHERE_SHAPE = "The gradient of a broadcast a, or b, has g's shape: let `unbroadcast` sum it."
MASK = "What the mask overwrote is gone from the result: its gradient is 0."
MASK_TURNED = "Where the mask is True, x was overwritten: there the gradient is 0, and g elsewhere."


def swapped(x, dim0, dim1):
    """x with two dimensions swapped, by indices."""
    order = list(range(x.ndim))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return x.transpose(order)


def selected(x, index):
    """x[index], where the text "..." stands for `...`."""
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(... if isinstance(part, str) else part for part in parts)
    return x[parts if isinstance(index, tuple) else parts[0]]


def moved_back(x_shape, g, move):
    """For each element of x, the sum of g over the places that `move` takes it to."""
    places = np.arange(int(np.prod(x_shape))).reshape(x_shape)
    return np.bincount(np.asarray(move(places)).ravel(), weights=g.ravel(), minlength=places.size).reshape(x_shape)


RESHAPES = [
    ((2, 3), (6,)), ((6,), (3, 2)), ((2, 6), (3, 4)), ((3,), (1, 3, 1)), ((1, 1), ()), ((), (1,)), ((2, 3, 4), (-1, 4)), ((0, 3), (3, 0)),
]


def test_reshape_goes_back(student_side, rng):
    """Element after element, in the shape that x had."""
    for before, after in RESHAPES:
        x = np.asarray(rng.normal(size=before))
        g = np.asarray(rng.normal(size=x.reshape(after).shape))
        (grad,) = student_side.rule(Reshape, x, g=g, shape=after)
        assert grad.shape == before
        np.testing.assert_array_equal(grad, g.reshape(before))


def test_transpose_goes_back(student_side, rng):
    """Two dimensions swapped are swapped again; negative ones count from the end."""
    x = rng.normal(size=(2, 3, 4))
    for dims in ((0, 1), (1, 2), (2, 0), (-1, 0), (-2, -1), (1, 1)):
        g = rng.normal(size=swapped(x, *dims).shape)
        (grad,) = student_side.rule(Transpose, x, g=g, dim0=dims[0], dim1=dims[1])
        assert grad.shape == (2, 3, 4)
        np.testing.assert_array_equal(grad, moved_back(x.shape, g, lambda places, dims=dims: swapped(places, *dims)))


def test_permute_goes_back(student_side, rng, hint):
    """Dimension j of x is where j stands in dims: (2, 0, 1) is undone by (1, 2, 0)."""
    x = rng.normal(size=(3, 3, 3))
    for dims in ((2, 0, 1), (1, 2, 0), (0, 1, 2), (2, 1, 0), (0, 2, 1)):
        g = rng.normal(size=(3, 3, 3))
        (grad,) = student_side.rule(Permute, x, g=g, dims=dims)
        expected = moved_back(x.shape, g, lambda places, dims=dims: places.transpose(dims))
        hint(PERMUTED_AGAIN, when=np.array_equal(grad, g.transpose(dims)) and not np.array_equal(grad, expected))
        np.testing.assert_array_equal(grad, expected)


def test_permute_of_negative_dimensions(student_side, rng, hint):
    """Counted from the end, some of them or all; the shapes differ here, so that they have to come back too."""
    x = rng.normal(size=(2, 3, 4))
    for dims in ((2, -3, 1), (-1, 0, -2), (-2, -1, 0), (-1, -3, -2)):
        g = rng.normal(size=x.transpose(dims).shape)
        (grad,) = student_side.rule(Permute, x, g=g, dims=dims)
        hint(NEGATIVE, when=grad.shape != x.shape and np.array_equal(grad, g.transpose(np.argsort(dims))))
        assert grad.shape == (2, 3, 4)
        np.testing.assert_array_equal(grad, moved_back(x.shape, g, lambda places, dims=dims: places.transpose(dims)))


MASK_OF_ROWS = np.array([True, False, True, True])
TABLE = np.arange(12).reshape(4, 3) % 5 == 0
INDICES = {
    "numbers": [1, -1, np.int64(2), (2, 1), ([0, 2], 1)],
    "slices": [slice(1, 3), slice(None, None, 2), slice(None, None, -1), "...", slice(4, None), (slice(None), 1), ("...", -1), (None, 2)],
    "lists": [[0, 2], np.array([3, 1]), np.array([[0, 1], [2, 3]]), np.array([], dtype=int), (slice(1, 3), np.array([2, 0]))],
    "pairs": [(np.array([0, 1]), np.array([2, 0]))],
    "masks": [MASK_OF_ROWS, TABLE, [True, False, False, True], (slice(None), np.array([True, False, True]))],
}
REPEATED = {
    "list": [[0, 2, 0], np.array([1, 1, 1]), np.array([[0, 0], [3, 0]]), np.array([-1, 3])],
    "tuple": [(np.array([0, 0, 1]), np.array([2, 2, 0])), (slice(None), np.array([1, 1])), ([2, 2], 1), ("...", [0, 0, 2])],
}


@pytest.mark.parametrize("indices", INDICES.values(), ids=INDICES)
def test_slice_of_each_element_once(student_side, rng, indices):
    """Numbers, slices, lists, arrays and masks: what was selected gets its gradient, and the rest 0."""
    x = rng.normal(size=(4, 3))
    for index in indices:
        g = np.asarray(rng.normal(size=selected(x, index).shape))
        grad = student_side.sliced_back(x, index, g)
        assert grad.shape == (4, 3)
        expected = moved_back(x.shape, g, lambda places, index=index: selected(places, index))
        np.testing.assert_array_equal(grad, expected, err_msg=f"for index {index}")


@pytest.mark.parametrize("indices", REPEATED.values(), ids=REPEATED)
def test_slice_of_elements_that_come_twice(student_side, rng, hint, indices):
    """An element that was selected several times gets the sum of the gradients."""
    x = rng.normal(size=(4, 3))
    for index in indices:
        g = rng.uniform(1, 2, size=selected(x, index).shape)
        grad = student_side.sliced_back(x, index, g)
        expected = moved_back(x.shape, g, lambda places, index=index: selected(places, index))
        hint(LAST_ONLY, when=grad.shape == (4, 3) and (grad <= 2).all() and (grad[expected > 0] >= 1).all() and (expected > 2).any())
        np.testing.assert_allclose(grad, expected, rtol=1e-12, err_msg=f"for index {index}")


def test_where_by_hand(student_side, hint):
    """A list of three: the condition took the first and the last from a, and the middle from b."""
    condition, a, b, g = np.array([True, False, True]), np.zeros(3), np.ones(3), np.array([1.0, 2.0, 4.0])
    none, grad_a, grad_b = student_side.rule(Where, condition, a, b, g=g)
    hint(WHERE_BOTH, when=np.array_equal(grad_a, g) and np.array_equal(grad_b, g))
    hint(WHERE_SWAPPED, when=np.array_equal(grad_a, [0, 2, 0]))
    np.testing.assert_array_equal(grad_a, [1.0, 0.0, 4.0])
    np.testing.assert_array_equal(grad_b, [0.0, 2.0, 0.0])
    assert none is None


WHERES = [
    ((2, 3), (2, 3), (2, 3)), ((2, 3), (3,), (2, 3)), ((2, 3), (2, 3), ()), ((3,), (2, 3), (2, 1)), ((2, 1, 1), (3, 1), (4,)),
    ((0, 3), (3,), (1, 3)),
]


def test_where_broadcasts(student_side, rng, hint):
    """Condition, a and b may each be broadcast: a's gradient is the sum of g where the condition took a, in a's shape."""
    for shapes in WHERES:
        condition, a, b = rng.random(shapes[0]) < 0.5, *(np.asarray(rng.normal(size=shape)) for shape in shapes[1:])
        g = rng.normal(size=np.broadcast_shapes(*shapes))
        none, *grads = student_side.rule(Where, condition, a, b, g=g)
        assert none is None
        for grad, shape, took in zip(grads, shapes[1:], (condition, ~condition), strict=True):
            expected = moved_back(shape, g * took, lambda places, g=g: np.broadcast_to(places, g.shape))
            hint(WHERE_SHAPE, when=shape == (3,) and grad.shape == (2, 3) and np.array_equal(grad, g * took))
            assert grad.shape == shape
            np.testing.assert_allclose(grad, expected, rtol=1e-10, atol=1e-12)


def test_where_of_infinite_gradients(student_side):
    """0 is 0, not 0 · ∞: chosen, not multiplied."""
    condition, g = np.array([True, False]), np.array([np.inf, -np.inf])
    _, grad_a, grad_b = student_side.rule(Where, condition, np.zeros(2), np.ones(2), g=g)
    np.testing.assert_array_equal(grad_a, [np.inf, 0.0])
    np.testing.assert_array_equal(grad_b, [0.0, -np.inf])


MASKS = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 3), ()), ((3,), (2, 3)), ((2, 1), (2, 3)), ((0, 3), (3,))]


def test_masked_fill_by_hand(student_side, hint):
    """Three numbers, of which the first and the last were overwritten."""
    x, mask, g = np.ones(3), np.array([True, False, True]), np.array([1.0, 2.0, 4.0])
    grad, none = student_side.rule(MaskedFill, x, mask, g=g, value=0.0)
    hint(MASK, when=np.array_equal(grad, [1, 2, 4]))
    hint(MASK_TURNED, when=np.array_equal(grad, [1, 0, 4]))
    np.testing.assert_array_equal(grad, [0.0, 2.0, 0.0])
    assert none is None


def test_masked_fill_broadcasts(student_side, rng):
    """0 where the mask is True and g elsewhere, in the shape of x; the mask has no gradient."""
    for shapes in MASKS:
        x, mask = rng.normal(size=shapes[0]), np.asarray(rng.random(shapes[1]) < 0.5)
        g = rng.normal(size=np.broadcast_shapes(*shapes))
        grad, none = student_side.rule(MaskedFill, x, mask, g=g, value=-7.0)
        assert none is None
        assert grad.shape == shapes[0]
        expected = moved_back(shapes[0], g * ~mask, lambda places, g=g: np.broadcast_to(places, g.shape))
        np.testing.assert_allclose(grad, expected, rtol=1e-10, atol=1e-12)


CALLS = {
    "reshape": (Reshape, {"shape": (6,)}), "transpose": (Transpose, {"dim0": 0, "dim1": 1}), "permute": (Permute, {"dims": (1, 0)}),
    "slice": (Slice, {"index": slice(1, 2)}), "list": (Slice, {"index": [0, 0, 1]}),
    "where": (Where, {}), "masked-fill": (MaskedFill, {"value": 0.5}),
}


def test_movement_keeps_float32_and_writes_into_nothing(student_side, rng):
    """The gradient has the dtype of g; g and what was saved stay as they are. All of g arrives, but for what was overwritten."""
    for name in CALLS:
        operation, options = CALLS[name]
        x, mask = rng.normal(size=(2, 3)).astype(np.float32), np.array([[True, False, True], [False, False, True]])
        operands = {"where": (mask, x, x + 1), "masked-fill": (x, mask)}.get(name, (x,))
        shape = {"reshape": (6,), "transpose": (3, 2), "permute": (3, 2), "slice": (1, 3), "list": (3, 3)}.get(name, (2, 3))
        g = rng.normal(size=shape).astype(np.float32)
        assert student_side.written(operation, *operands, g=g.copy(), **options) == (False, False)
        grads = [grad for grad in student_side.rule(operation, *operands, g=g, **options) if grad is not None]
        assert {str(grad.dtype) for grad in grads} == {"float32"}
        total = g[~mask].sum() if name == "masked-fill" else g.sum()
        np.testing.assert_allclose(sum(grad.sum() for grad in grads), total, rtol=1e-4, atol=1e-5)
