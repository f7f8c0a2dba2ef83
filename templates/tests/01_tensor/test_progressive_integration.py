"""The whole of module 01 at work: the forward half of a network, and tensors among Python's own things."""

import numpy as np
import pytest

from tinytorch.core.tensor import Tensor, where


@pytest.mark.exercise("matmul")
def test_a_layer(rng):
    """A batch of 5 samples with 4 features through a layer of 3: x @ W.T + b, with one bias for each."""
    x, W, b = rng.normal(size=(5, 4)), rng.normal(size=(3, 4)), rng.normal(size=3)
    out = (Tensor(x) @ Tensor(W).T + Tensor(b)).numpy()
    expected = [[sum(x[i, k] * W[j, k] for k in range(4)) + b[j] for j in range(3)] for i in range(5)]
    np.testing.assert_allclose(out, expected, rtol=1e-9)


@pytest.mark.exercise("reductions")
def test_each_row_divided_by_its_sum(rng):
    """keepdims lines the sums up with their rows: every row then sums to one."""
    x = rng.uniform(1, 2, size=(3, 4))
    t = Tensor(x)
    out = (t / t.sum(axis=1, keepdims=True)).numpy()
    np.testing.assert_allclose(out, [row / row.sum() for row in x], rtol=1e-12)
    np.testing.assert_allclose(out.sum(axis=1), [1, 1, 1], rtol=1e-12)


@pytest.mark.exercise("reductions")
def test_standardised_columns(rng):
    """Mean 0 and variance 1 in each column, from means and powers."""
    x = rng.normal(3, 2, size=(50, 3))
    t = Tensor(x)
    centred = t - t.mean(axis=0)
    out = (centred / (centred**2).mean(axis=0) ** 0.5).numpy()
    np.testing.assert_allclose(out, (x - x.mean(axis=0)) / x.std(axis=0), rtol=1e-9)


@pytest.mark.exercise("shapes")
def test_heads_of_attention(rng):
    """(batch, time, 2 heads * 3) to (batch, head, time, 3) and back: reshapes and transposes that undo each other."""
    x = rng.normal(size=(2, 4, 6))
    heads = Tensor(x).reshape(2, 4, 2, 3).transpose(1, 2)
    for batch in range(2):
        for head in range(2):
            np.testing.assert_array_equal(heads.numpy()[batch, head], x[batch, :, 3 * head : 3 * head + 3])
    back = heads.permute(0, 2, 1, 3).reshape(2, 4, -1)
    np.testing.assert_array_equal(back.numpy(), x)


@pytest.mark.exercise("selection")
def test_clipping_with_a_comparison(rng, student_side):
    """What is above 1 becomes 1, what is below 0 becomes 0."""
    x = rng.normal(size=(4, 5)) * 2
    t = Tensor(x)
    out = where(student_side.compare("gt", t, 1.0), 1.0, t)
    out = out.masked_fill(student_side.compare("lt", out, 0.0), 0.0)
    np.testing.assert_array_equal(out.numpy(), np.clip(x, 0, 1))


@pytest.mark.exercise("dtypes")
def test_comparisons_are_elementwise(rng, student_side):
    """All six, with broadcasting, as booleans."""
    a, b = rng.integers(0, 3, size=(3, 4)), rng.integers(0, 3, size=4)
    a[:, 0] = [b[0] - 1, b[0], b[0] + 1]
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        out = student_side.compare(name, Tensor(a), Tensor(b)).numpy()
        np.testing.assert_array_equal(out, student_side.compare(name, a, b))
        assert out.dtype == bool


@pytest.mark.exercise("dtypes")
def test_tensors_as_python_values(rng, student_side):
    """One element converts to a number or a truth; several don't."""
    assert student_side.as_python(Tensor([2.5])) == (2.5, 2, True, "yes")
    assert student_side.as_python(Tensor(0)) == (0.0, 0, False, "no")
    assert [type(Tensor(value).item()) for value in (1.5, 1, True)] == [float, int, bool]
    several = Tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="element"):
        several.item()
    with pytest.raises(ValueError, match="ambiguous"):
        student_side.truth(several)


@pytest.mark.exercise("dtypes")
def test_tensors_print_as_in_pytorch():
    """The dtype is shown where it isn't the usual one."""
    assert str(Tensor([1.0, 2.5])) == "Tensor([1. , 2.5])"
    assert str(Tensor([[1, 2], [3, 4]])) == "Tensor([[1, 2],\n        [3, 4]])"
    assert str(Tensor([1, 2], dtype="int8")) == "Tensor([1, 2], dtype=int8)"
    assert str(Tensor(0.5, requires_grad=True)) == "Tensor(0.5, requires_grad=True)"


@pytest.mark.exercise("selection")
def test_a_loop_over_a_tensor(rng, student_side):
    """It sees the rows, as many as the tensor is long; a tensor without dimensions has none."""
    x = rng.normal(size=(3, 2))
    rows, length = student_side.rows(Tensor(x))
    np.testing.assert_array_equal(rows, x)
    assert length == 3
    number = Tensor(1.5)
    with pytest.raises(TypeError, match="first dimension"):
        student_side.rows(number)


@pytest.mark.exercise("arithmetic")
def test_tensors_as_keys(rng, student_side):
    """A dictionary tells tensors apart by who they are, as optimizers will need, though == compares their elements."""
    x = rng.normal(size=3)
    keys = [Tensor(x), Tensor(x), Tensor(x)]
    assert [str(student_side.found(keys, key)) for key in (*keys, Tensor(x))] == ["0", "1", "2", "None"]
    np.testing.assert_allclose((keys[0] - 3 * keys[1]).numpy(), -2 * x, rtol=1e-9)


@pytest.mark.exercise("arithmetic")
def test_a_result_remembers_how_it_was_computed(rng, student_side):
    """If an input requires a gradient, so does the result, and its operations can be followed back."""
    x, y = rng.normal(size=(2, 3)), rng.normal(size=3)
    w, plain = Tensor(x, requires_grad=True), Tensor(y)
    out = -((w - plain).exp() * 2.0)
    np.testing.assert_allclose(out.numpy(), -2 * np.exp(x - y), rtol=1e-12)
    assert str(student_side.history(out)) == "['Neg', 'Mul', 'Exp', 'Sub']"
    assert str(student_side.history(plain * w)) == "['Mul']"
    made = (out, plain * w, plain * plain, out.detach(), student_side.compare("lt", w, plain))
    assert str([t.requires_grad for t in made]) == "[True, True, False, False, False]"
    unrecorded = student_side.without_recording(student_side.compare, "mul", w, plain)
    np.testing.assert_allclose(unrecorded.numpy(), x * y, rtol=1e-12)
    assert str(unrecorded.requires_grad) == "False"
    assert student_side.same_memory(out, out.detach())


@pytest.mark.exercise("dtypes")
def test_an_operation_returns_an_array(rng, student_side):
    """`apply` makes the Tensor; a forward that returns one, or nothing, is told so."""
    x = rng.normal(size=3)
    np.testing.assert_array_equal(student_side.result_of(lambda ctx, array: array + 1, Tensor(x)).numpy(), x + 1)
    t = Tensor(x)
    with pytest.raises(TypeError, match="forward.*array.*Tensor"):
        student_side.tensor_as_result(t)
    with pytest.raises(TypeError, match="forward.*array.*None"):
        student_side.result_of(lambda ctx, array: None, t)


@pytest.mark.exercise("dtypes")
def test_only_floats_require_a_gradient():
    """A small step in an integer doesn't exist."""
    assert str(Tensor([1, 2], dtype="float32", requires_grad=True)) == "Tensor([1., 2.], requires_grad=True)"
    for data in ([1, 2], True, np.ones(2, np.int8)):
        with pytest.raises(TypeError, match="float"):
            Tensor(data, requires_grad=True)


@pytest.mark.exercise("strides")
def test_bytes_and_shapes_of_a_view(rng, student_side):
    """What a tensor is made of: the size in numbers, the bytes in its dtype, the strides of whatever it views."""
    x = rng.normal(size=(3, 4)).astype(np.float32)
    t = student_side.laid_out(x, "every other column")
    assert str((t.shape, t.ndim, t.size, t.nbytes, str(t.dtype), t.stride())) == "((3, 2), 2, 6, 24, 'float32', (4, 2))"
    np.testing.assert_array_equal(t.numpy(), x[:, ::2])
