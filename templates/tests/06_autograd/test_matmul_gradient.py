"""The matrix product's gradients are two more products: g @ bᵀ and aᵀ @ g."""
import numpy as np
import pytest

from tinytorch.core.autograd import matrix_gradients
from tinytorch.core.tensor import MatMul

pytestmark = pytest.mark.exercise("matmul_gradient")

TRANSPOSES = "The shapes fit, but the numbers don't: the gradients are g @ bᵀ for a, and aᵀ @ g for b, in this order."
SUMMED = "b was used by every sample, so its gradient is summed over them: flatten a and g to rows, and one product does it."
BATCH = "This makes an array for each sample and adds them up: flatten a to (-1, K) and g to (-1, N), for one product."
ORDER = "b's gradient is not in b's memory order: np.matmul(..., out=np.empty_like(b)) writes it so."
ASKED = "A product that nobody asked for was computed: where for_a or for_b is False, give None."


def slopes(function, arrays, g, step=1e-5):
    """For each array, the central differences of the sum of function · g, in float64."""
    arrays, grads = [np.array(x, dtype=float) for x in arrays], []
    for x in arrays:
        grad = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            center, sides = x[index], []
            for moved in (center + step, center - step):
                x[index] = moved
                sides.append((function(*arrays) * g).sum())
            x[index] = center
            grad[index] = (sides[0] - sides[1]) / (2 * step)
        grads.append(grad)
    return grads


SHAPES = {
    "matrices": [((2, 3), (3, 4)), ((3, 3), (3, 3)), ((1, 3), (3, 4)), ((2, 3), (3, 1)), ((1, 1), (1, 1))],
    "vectors": [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4))],
    "batch-left": [((5, 2, 3), (3, 4)), ((2, 5, 2, 3), (3, 4)), ((2, 3, 3), (3, 3))],
    "batch-and-vector": [((5, 2, 3), (3,)), ((3,), (5, 3, 4))],
    "batch-right": [((2, 3), (5, 3, 4)), ((2, 3), (2, 1, 3, 4))],
    "both-batches": [((5, 2, 3), (5, 3, 4)), ((2, 1, 2, 3), (5, 3, 2)), ((1, 2, 3), (5, 3, 2)), ((5, 2, 3), (1, 3, 2))],
    "empty": [((0, 3), (3, 4)), ((0, 2, 3), (3, 4)), ((0, 2, 3), (0, 3, 4))],
}


@pytest.mark.parametrize("cases", SHAPES.values(), ids=SHAPES)
def test_matmul_against_small_steps(student_side, rng, cases):
    """Vectors, matrices and batches, broadcast or not: both gradients, in the shapes of a and b."""
    for shapes in cases:
        a, b = (rng.normal(size=shape) for shape in shapes)
        g = np.asarray(rng.normal(size=(a @ b).shape))
        grads = student_side.rule(MatMul, a, b, g=g)
        assert [grad.shape for grad in grads] == list(shapes)
        for grad, expected in zip(grads, slopes(np.matmul, (a, b), g), strict=True):
            np.testing.assert_allclose(grad, expected, rtol=1e-6, atol=1e-8, err_msg=f"for shapes {shapes}")


def test_matmul_by_hand(student_side):
    """y = 1·5 + 2·7 = 19 and g = 10: a's gradient is 50 and 70, b's is 10 and 20."""
    a, b = np.array([[1.0, 2.0]]), np.array([[5.0], [7.0]])
    grad_a, grad_b = student_side.rule(MatMul, a, b, g=np.array([[10.0]]))
    np.testing.assert_array_equal(grad_a, [[50.0, 70.0]])
    np.testing.assert_array_equal(grad_b, [[10.0], [20.0]])


def test_matmul_of_squares(rng, hint):
    """With squares every product fits, and only one is right."""
    a, b, g = rng.normal(size=(3, 3, 3))
    grad_a, grad_b = matrix_gradients(a, b, g, True, True)
    for_a = [g @ b, b @ g, b.T @ g, a.T @ g]
    for_b = [a @ g, g @ a, g @ a.T, g @ b.T]
    hint(TRANSPOSES, when=any(np.allclose(grad_a, x) for x in for_a) or any(np.allclose(grad_b, x) for x in for_b))
    np.testing.assert_allclose(grad_a, g @ b.T, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grad_b, a.T @ g, rtol=1e-10, atol=1e-12)


def test_matmul_sums_over_samples(rng, hint):
    """One matrix b for five samples: its gradient is the sum of theirs, in b's shape."""
    a, b, g = rng.normal(size=(5, 2, 3)), rng.normal(size=(3, 4)), rng.normal(size=(5, 2, 4))
    grad_a, grad_b = matrix_gradients(a, b, g, True, True)
    hint(SUMMED, when=grad_b.shape == (5, 3, 4))
    assert grad_a.shape == (5, 2, 3) and grad_b.shape == (3, 4)
    np.testing.assert_allclose(grad_a, g @ b.T, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grad_b, sum(x.T @ y for x, y in zip(a, g)), rtol=1e-10, atol=1e-12)


def test_matmul_of_a_batch_in_any_memory_order(rng):
    """a and g as views, with their samples last in memory: the rows are found all the same."""
    a, b, g = rng.normal(size=(2, 3, 5)).transpose(2, 0, 1), rng.normal(size=(4, 3)).T, rng.normal(size=(2, 4, 5)).transpose(2, 0, 1)
    grad_a, grad_b = matrix_gradients(a, b, g, True, True)
    np.testing.assert_allclose(grad_a, np.einsum("smn,kn->smk", g, b), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grad_b, np.einsum("smk,smn->kn", a, g), rtol=1e-10, atol=1e-12)


def test_matmul_is_one_product_for_a_batch(student_side, rng, hint):
    """64 samples with one b: b's gradient takes no room for 64 products that are then added up."""
    a, b, g = rng.normal(size=(64, 8, 20)), rng.normal(size=(20, 30)), rng.normal(size=(64, 8, 30))
    peak, result = student_side.peak(MatMul, a, b, g=g, needs=(False, True))
    assert result == b.nbytes
    hint(BATCH, when=peak > 10 * b.nbytes)
    assert peak < 4 * b.nbytes
    (_, grad) = student_side.rule(MatMul, a, b, g=g, needs=(False, True))
    np.testing.assert_allclose(grad, np.einsum("smk,smn->kn", a, g), rtol=1e-9, atol=1e-10)


def test_matmul_keeps_the_memory_order_of_b(student_side, rng, hint):
    """b as it is, and b as the transposed view of a weight, as in Linear: the gradient lies in memory as b does."""
    for leading in ((), (4,)):
        a, g = rng.normal(size=(*leading, 5, 3)), rng.normal(size=(*leading, 5, 2))
        for b in (rng.normal(size=(3, 2)), rng.normal(size=(2, 3)).T):
            _, strides = student_side.strides_of_gradients(MatMul, a, b, g=g)
            hint(ORDER, when=strides != b.strides)
            assert strides == b.strides
            _, grad = student_side.rule(MatMul, a, b, g=g)
            rows, rows_of_g = a.reshape(-1, 3), g.reshape(-1, 2)
            np.testing.assert_allclose(grad, rows.T @ rows_of_g, rtol=1e-10, atol=1e-12)


def test_matmul_computes_what_is_asked_for(student_side, rng, hint):
    """The data needs no gradient, and half of the work falls away: what isn't asked for is None."""
    for shapes in (((2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4))):
        a, b = (rng.normal(size=shape) for shape in shapes)
        g = rng.normal(size=(a @ b).shape)
        for needs in ((True, False), (False, True), (False, False)):
            grads = student_side.rule(MatMul, a, b, g=g, needs=needs)
            hint(ASKED, when=any(grad is not None and not need for grad, need in zip(grads, needs)))
            assert [grad is not None for grad in grads] == list(needs)
            for grad, need, expected in zip(grads, needs, (g @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ g), strict=True):
                if need:
                    np.testing.assert_allclose(grad, expected, rtol=1e-10, atol=1e-12)


def test_matmul_keeps_float32_and_its_operands(student_side, rng):
    """float32 in, float32 out; and neither g nor the operands are written into."""
    for shapes in (((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4))):
        a, b = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
        g = rng.normal(size=(a @ b).shape).astype(np.float32)
        assert student_side.written(MatMul, a, b, g=g.copy()) == (False, False)
        grads = student_side.rule(MatMul, a, b, g=g)
        assert [str(grad.dtype) for grad in grads] == ["float32", "float32"]
        for grad, expected in zip(grads, slopes(np.matmul, (a, b), g.astype(float)), strict=True):
            np.testing.assert_allclose(grad, expected, rtol=1e-3, atol=1e-4)
