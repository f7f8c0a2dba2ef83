"""Module 01 gives PyTorch's values, shapes, dtypes and strides."""
import operator

import numpy as np
import pytest
import torch

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]
DTYPES = ["float32", "float64", "int64", "int32", "uint8", "bool"]
SHAPES = [((), ()), ((3,), ()), ((2, 3), (3,)), ((4, 1), (1, 5)), ((2, 1, 3), (4, 1)), ((0, 3), (3,))]


def names(functions):
    return [function.__name__ for function in functions]


def drawn(rng, shape, dtype="float32"):
    """Numbers of a dtype; no zeros, which division treats differently in integers."""
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.startswith("float"):
        return np.asarray(rng.normal(size=shape), dtype)
    return np.asarray(rng.integers(1, 6, size=shape), dtype)


@pytest.mark.parametrize("operation", ARITHMETIC, ids=names(ARITHMETIC))
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_arithmetic_broadcasts(course, rng, agree, operation, shapes):
    a, b = drawn(rng, shapes[0]), drawn(rng, shapes[1])
    agree(operation(course.tensor.Tensor(a), course.tensor.Tensor(b)), operation(torch.tensor(a), torch.tensor(b)))


@pytest.mark.parametrize("operation", ARITHMETIC, ids=names(ARITHMETIC))
@pytest.mark.parametrize("one", DTYPES)
@pytest.mark.parametrize("other", DTYPES)
def test_arithmetic_promotes_arrays(course, rng, agree, operation, one, other):
    if operation is operator.sub and "bool" in (one, other):
        return  # PyTorch refuses to subtract booleans, NumPy to subtract two of them
    a, b = drawn(rng, (2, 3), one), drawn(rng, (2, 3), other)
    agree(operation(course.tensor.Tensor(a), course.tensor.Tensor(b)), operation(torch.tensor(a), torch.tensor(b)))


@pytest.mark.parametrize("operation", ARITHMETIC, ids=names(ARITHMETIC))
@pytest.mark.parametrize("dtype", DTYPES[:-1])
@pytest.mark.parametrize("number", [2, 2.5, True], ids=["int", "float", "bool"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_arithmetic_with_a_python_number(course, rng, agree, operation, dtype, number, side):
    if operation is operator.sub and number is True:
        return  # PyTorch refuses
    a = drawn(rng, (4,), dtype)
    if dtype == "uint8" and operation is operator.sub:
        a += 10  # no wrap-around in one direction; in the other both wrap
    tensors = course.tensor.Tensor(a), torch.tensor(a)
    agree(*(operation(number, t) if side == "left" else operation(t, number) for t in tensors))


@pytest.mark.parametrize("dtypes", [("float32", "float32"), ("float64", "float32"), ("int64", "int64")], ids="-".join)
def test_power(course, rng, agree, dtypes):
    a, b = np.abs(drawn(rng, (3, 2), dtypes[0])), drawn(rng, (2,), dtypes[1])
    agree(course.tensor.Tensor(a) ** course.tensor.Tensor(b), torch.tensor(a) ** torch.tensor(b))
    agree(course.tensor.Tensor(a) ** 2, torch.tensor(a) ** 2)
    agree(2.0 ** course.tensor.Tensor(b), 2.0 ** torch.tensor(b))


@pytest.mark.parametrize("function", ["exp", "log", "__neg__"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_functions_of_one_tensor(course, rng, agree, function, dtype):
    a = np.abs(drawn(rng, (3, 4), dtype))
    agree(getattr(course.tensor.Tensor(a), function)(), getattr(torch.tensor(a), function)())


@pytest.mark.parametrize("operation", COMPARISONS, ids=names(COMPARISONS))
def test_comparisons(course, rng, agree, operation):
    a, b = rng.integers(0, 3, size=(3, 4)), rng.integers(0, 3, size=4)
    agree(operation(course.tensor.Tensor(a), course.tensor.Tensor(b)), operation(torch.tensor(a), torch.tensor(b)))
    agree(operation(course.tensor.Tensor(a), 1.5), operation(torch.tensor(a), 1.5))


@pytest.mark.parametrize(
    "shapes",
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 1, 2, 3), (6, 3, 4)), ((2, 0), (0, 3))],
    ids=str,
)
def test_matmul(course, rng, agree, shapes):
    a, b = (drawn(rng, shape) for shape in shapes)
    agree(course.tensor.Tensor(a) @ course.tensor.Tensor(b), torch.tensor(a) @ torch.tensor(b), rtol=1e-5)


@pytest.mark.parametrize("function", ["sum", "mean", "max"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (-1, 1)], ids=str)
@pytest.mark.parametrize("keepdims", [False, True], ids=["dropped", "kept"])
def test_reductions(course, rng, agree, function, axis, keepdims):
    a = drawn(rng, (2, 3, 4))
    ours = getattr(course.tensor.Tensor(a), function)(axis=axis, keepdims=keepdims)
    theirs = torch.tensor(a)
    dims = axis if axis is not None else (0, 1, 2)
    agree(ours, getattr(theirs, "amax" if function == "max" else function)(dim=dims, keepdim=keepdims), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_sum_of_integers(course, rng, agree, dtype):
    a = drawn(rng, (3, 4), dtype)
    agree(course.tensor.Tensor(a).sum(axis=0), torch.tensor(a).sum(dim=0))


def test_shapes_and_strides(course, rng, agree):
    a = drawn(rng, (2, 3, 4))
    ours, theirs = course.tensor.Tensor(a), torch.tensor(a)
    steps = [
        lambda t: t.reshape(6, -1), lambda t: t.transpose(0, 2), lambda t: t.permute(2, 0, 1), lambda t: t.view(4, 6),
        lambda t: t.reshape(3, 8).T, lambda t: t[1:, :, ::2], lambda t: t[..., 0], lambda t: t[1],
        lambda t: t.transpose(-1, 1).reshape(-1),
    ]
    for step in steps:
        agree(step(ours), step(theirs))
        assert step(ours).stride() == step(theirs).stride()
        assert step(ours).is_contiguous() == step(theirs).is_contiguous()


def test_selection(course, rng, agree):
    a, b, index = drawn(rng, (4, 3)), drawn(rng, (3,)), rng.integers(0, 4, size=5)
    ours, theirs = course.tensor.Tensor(a), torch.tensor(a)
    agree(ours[index], theirs[torch.tensor(index)])
    agree(ours[ours > 0], theirs[theirs > 0])
    agree(ours.masked_fill(ours > 0, -np.inf), theirs.masked_fill(theirs > 0, -np.inf))
    agree(course.tensor.where(ours > 0, ours, course.tensor.Tensor(b)), torch.where(theirs > 0, theirs, torch.tensor(b)))


@pytest.mark.parametrize("data", [1, 1.5, True, [1, 2], [1, 2.5], [[True], [False]], []], ids=str)
def test_dtype_of_python_data(course, agree, data):
    agree(course.tensor.Tensor(data), torch.tensor(data))
