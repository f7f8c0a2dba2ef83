"""The matrix product: of matrices, vectors and batches, and a good error when shapes don't fit."""

import re

import numpy as np
import pytest

from tinytorch.core.tensor import MatMul, Tensor

pytestmark = pytest.mark.exercise("matmul")

ROWS = "The rows of b are its dimension -2, whatever stands before; of a vector, its only one."


def has_product(a, b):
    try:
        _ = Tensor(np.zeros(a)) @ Tensor(np.zeros(b))
    except ValueError:
        return False
    return True


def test_matmul_by_hand(hint):
    """In the module: row (1, 2) times column (5, 7) is 19."""
    out = (Tensor([[1.0, 2.0], [3.0, 4.0]]) @ Tensor([[5.0, 6.0], [7.0, 8.0]])).numpy().tolist()
    hint(
        "This multiplies element by element. The matrix product adds up rows times columns: a @ b.",
        when=out == [[5, 12], [21, 32]],
    )
    assert out == [[19, 22], [43, 50]]


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3), (3, 4)),
        ((4,), (4,)),
        ((2, 3), (3,)),
        ((3,), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((6, 1, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((2, 0), (0, 3)),
        ((1, 1), (1, 1)),
    ],
    ids=str,
)
def test_matmul_of_matrices_vectors_and_batches(rng, hint, shapes):
    """A vector is a row at the left and a column at the right; what stands before two dimensions broadcasts."""
    hint(ROWS, when=len(shapes[1]) == 3 and has_product((2, 5), (5, 5, 4)) and not has_product((2, 3), (5, 3, 4)))
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    out = (Tensor(a) @ Tensor(b)).numpy()
    expected = np.matmul(a.astype(np.float64), b.astype(np.float64))
    assert out.shape == expected.shape and out.dtype == np.float32
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)
    if out.size == 0:
        assert (Tensor(np.float32([[2]])) @ Tensor(np.float32([[3]]))).item() == 6


@pytest.mark.hint(ValueError, ROWS)
@pytest.mark.parametrize(("batch", "n"), [(5, 3), (2, 4)], ids=["five", "two"])
def test_matmul_of_two_batches(rng, batch, n):
    """As many products as the batch is long, each of two square matrices."""
    a, b = rng.normal(size=(2, batch, n, n))
    out = (Tensor(a) @ Tensor(b)).numpy()
    np.testing.assert_allclose(out, [x.dot(y) for x, y in zip(a, b)], rtol=1e-9, atol=1e-12)


def test_matmul_of_views(rng, student_side):
    """Columns that are rows in memory."""
    x = rng.normal(size=(3, 4))
    t = student_side.laid_out(x, "transposed")
    np.testing.assert_allclose((t @ Tensor(x)).numpy(), x.T @ x, rtol=1e-12)


def test_matmul_dtypes(rng, student_side):
    """Integers give integers; with float32 they give float32. An array may stand at the left."""
    a, b = rng.integers(-5, 5, size=(2, 3)), rng.normal(size=(3, 2)).astype(np.float32)
    whole, mixed = (Tensor(a) @ Tensor(a.T)).numpy(), (Tensor(a) @ Tensor(b)).numpy()
    np.testing.assert_array_equal(whole, a @ a.T)
    np.testing.assert_allclose(mixed, a @ b.astype(np.float64), rtol=1e-4, atol=1e-5)
    assert (whole.dtype, mixed.dtype) == (np.int64, np.float32)
    np.testing.assert_allclose(student_side.reflected("matmul", b.T, Tensor(b)).numpy(), b.T @ b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3), (4, 5)),
        ((2, 3), (2, 3)),
        ((3,), (4,)),
        ((2, 3), (2,)),
        ((2,), (3, 2)),
        ((5, 2, 3), (3, 4, 5)),
        ((2, 3), (1, 4)),
        ((2, 1), (3, 4)),
    ],
    ids=str,
)
def test_matmul_of_shapes_that_do_not_fit(hint, shapes):
    """A length of 1 is not repeated here. The error names both shapes, left and right."""
    hint(
        "NumPy's message doesn't name both shapes. Compare columns of a and rows of b, and raise one that does.",
        when=len(shapes[1]) < 3,
    )
    a, b = Tensor(np.zeros(shapes[0])), Tensor(np.zeros(shapes[1]))
    names = f"{shapes[0]}.*{shapes[1]}".replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=names):
        _ = a @ b


def test_matmul_offers_the_transpose_where_it_fits():
    """A forgotten transpose is the usual reason; but a hint that doesn't work is worse than none."""
    for right, fits in [((4, 3), True), ((4, 5), False), ((2, 3), True), ((2, 2), False)]:
        a, b = Tensor(np.zeros((2, 3))), Tensor(np.zeros(right))
        with pytest.raises(ValueError, match="2, 3") as caught:
            _ = a @ b
        assert (re.search(r"(?i)\.T\b|transpos", str(caught.value)) is not None) == fits


def test_matmul_of_a_number():
    """A number has neither rows nor columns."""
    for a, b in [((), (3, 4)), ((2, 3), ()), ((), ())]:
        x, y = Tensor(np.zeros(a)), Tensor(np.zeros(b))
        with pytest.raises(ValueError, match=f"{a}.*{b}".replace("(", r"\(").replace(")", r"\)")):
            _ = x @ y


def test_matmul_saves_both_operands(rng, student_side, hint):
    """Each is needed for the gradient of the other; by reference."""
    a, b = rng.normal(size=(2, 3)), rng.normal(size=(3, 4))
    out, saved, inputs = student_side.run(MatMul, a, b)
    np.testing.assert_allclose(out, np.einsum("ik,kj->ij", a, b), rtol=1e-9, atol=1e-12)
    hint(
        "Save a and b, in this order: module 06 unpacks them.",
        when=[np.shape(value) for value in saved] != [(2, 3), (3, 4)],
    )
    assert len(saved) == 2
    for value, after, before in zip(saved, inputs, (a, b)):
        np.testing.assert_array_equal(value, before)
        np.testing.assert_array_equal(after, before)
    assert student_side.saved_by_reference(MatMul, a, b) == [True, True]
