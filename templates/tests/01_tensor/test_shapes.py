"""Other shapes for the same numbers: reshape, view, transpose, permute, without moving any."""

import numpy as np
import pytest

from tinytorch.core.tensor import Permute, Reshape, Tensor, Transpose

pytestmark = pytest.mark.exercise("shapes")

COPIED = "The numbers were copied: reshape, swapaxes and transpose of an array give views by themselves."


def test_reshape_of_six_numbers(hint):
    """In the module: six numbers as (-1, 2) are (3, 2), in the order they had."""
    out = Tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]).reshape(-1, 2).numpy()
    hint(
        "reshape changed the order of the numbers, as if the matrix had been transposed.",
        when=out.tolist() == [[0, 3], [1, 4], [2, 5]],
    )
    assert out.tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("shape", [(24,), (4, 6), (2, 3, 4), (-1, 8), (3, -1, 2), (1, 24, 1)], ids=str)
def test_reshape_keeps_the_order(rng, student_side, hint, shape):
    """Of a contiguous tensor `reshape` and `view` are the same: its memory in another shape."""
    x = rng.normal(size=(4, 3, 2)).astype(np.float32)
    t = Tensor(x)
    for out in (t.reshape(*shape), t.reshape(shape), t.view(*shape), t.view(shape)):
        np.testing.assert_array_equal(out.numpy(), x.reshape(shape))
        shared = student_side.same_memory(out, t)
        hint(COPIED, when=not shared)
        assert shared
        assert out.numpy().dtype == np.float32


@pytest.mark.parametrize("requires_grad", [True, False], ids=["requires a gradient", "requires none"])
def test_view_remembers_where_it_came_from(rng, student_side, hint, requires_grad):
    """`view` is a reshape that never copies, and module 06 follows it back like any other."""
    x = rng.normal(size=(2, 3))
    t = Tensor(x, requires_grad=requires_grad)
    for out in (t.view(3, 2), t.reshape(3, 2)):
        np.testing.assert_array_equal(out.numpy(), x.reshape(3, 2))
    out = t.view(3, 2)
    known = str(out.requires_grad), str(student_side.history(out))
    hint(
        "view lost track of its tensor: check, then return self.reshape(*shape), which records the operation.",
        when=known == ("False", "[]") and requires_grad,
    )
    assert known == (("True", "['Reshape']") if requires_grad else ("False", "[]"))


def test_view_of_part_of_the_memory(rng, student_side):
    """Whole rows from the middle of a matrix have no gaps: they are contiguous, and have views."""
    x = rng.normal(size=(5, 4))
    rows = student_side.laid_out(x, "lower rows")
    np.testing.assert_array_equal(rows.view(2, -1).numpy(), x[1:].reshape(2, 8))
    assert student_side.same_memory(rows, rows.view(2, -1))


def test_reshape_of_a_transpose_copies(rng, student_side):
    """The order in memory is another one, so `reshape` makes new memory, with the numbers in index order."""
    x = rng.normal(size=(3, 4))
    transposed = student_side.laid_out(x, "transposed")
    out = transposed.reshape(2, 6)
    np.testing.assert_array_equal(out.numpy(), x.T.reshape(2, 6))
    assert not student_side.same_memory(out, transposed)


@pytest.mark.parametrize("shape", [(4,), (7, 1), (-1, 5), (-1, -1)], ids=str)
def test_reshape_to_another_size(shape):
    """Six numbers stay six."""
    t = Tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    with pytest.raises(ValueError, match="(?i)shape|size|dimension"):
        t.reshape(*shape)


@pytest.mark.hint(ValueError, "NumPy's transpose wants all axes; swapaxes swaps two.")
@pytest.mark.parametrize("dims", [(0, 1), (1, 0), (0, 2), (1, 2), (-1, -2), (0, -1), (-3, 1)], ids=str)
def test_transpose_swaps_two_dimensions(rng, student_side, hint, dims):
    """The others stay where they are, and no number moves."""
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    t = Tensor(x)
    out = t.transpose(*dims)
    hint(
        "This reverses all dimensions. Swap only the two: axes dim0 and dim1.",
        when=out.shape == (4, 3, 2) and set(np.mod(dims, 3)) != {0, 2},
    )
    hint(
        "A reshape is no transpose: the shape is right, and the numbers are not.",
        when=np.array_equal(out.numpy().ravel(), x.ravel()),
    )
    np.testing.assert_array_equal(out.numpy(), np.swapaxes(x, *dims))
    shared = student_side.same_memory(out, t)
    hint(COPIED, when=not shared)
    assert shared


def test_T_is_for_matrices(rng):
    """Of two dimensions everybody knows which to swap; of any other number, `T` asks for names."""
    x = rng.normal(size=(2, 5))
    np.testing.assert_array_equal(Tensor(x).T.numpy(), x.T)
    for shape in [(5,), (2, 3, 4)]:
        with pytest.raises(ValueError, match="transpose"):
            _ = Tensor(np.zeros(shape)).T


@pytest.mark.parametrize("dims", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (0, 2, 1), (-1, 0, 1), (2, -2, 0)], ids=str)
def test_permute_orders_the_dimensions(rng, student_side, hint, dims):
    """Dimension i of the result is dimension dims[i] of the input: (5, 7, 3) by (2, 0, 1) is (3, 5, 7)."""
    x = rng.normal(size=(5, 7, 3)).astype(np.float32)
    t = Tensor(x)
    out = t.permute(*dims)
    inverse = tuple(int(i) for i in np.argsort(np.mod(dims, 3)))
    hint(
        "This is the inverse permutation: dimension i of the result should be dimension dims[i] of the input.",
        when=out.shape == x.transpose(inverse).shape != x.transpose(dims).shape,
    )
    np.testing.assert_array_equal(out.numpy(), x.transpose(dims))
    np.testing.assert_array_equal(t.permute(dims).numpy(), x.transpose(dims))
    shared = student_side.same_memory(out, t)
    hint(COPIED, when=not shared)
    assert shared


@pytest.mark.parametrize("dims", [(0, 1), (0, 0, 1), (0, 1, 3)], ids=["too few", "twice", "out of range"])
def test_permute_wants_every_dimension_once(dims):
    """Anything else is no permutation."""
    t = Tensor(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="(?i)ax[ei]s|dim|permut"):
        t.permute(*dims)


def test_shapes_save_what_undoing_them_needs(rng, student_side, hint):
    """A reshape the shape it came from, the other two their dimensions."""
    x = rng.normal(size=(2, 3, 4))
    for operation, names, options, expected, saved in [
        (Reshape, "Reshape saves x.shape", {"shape": (4, 6)}, x.reshape(4, 6), "((2, 3, 4),)"),
        (Transpose, "Transpose saves dim0 and dim1", {"dim0": 1, "dim1": -1}, x.swapaxes(1, 2), "(1, -1)"),
        (Permute, "Permute saves dims", {"dims": (2, 0, 1)}, x.transpose(2, 0, 1), "((2, 0, 1),)"),
    ]:
        out, kept, _ = student_side.run(operation, x, **options)
        np.testing.assert_array_equal(out, expected)
        hint(f"{names}, in this order: here ctx.saved should be {saved}.", when=str(kept) != saved)
        assert str(kept) == saved
