"""Module 06 gives PyTorch's gradients: of each operation, of losses, and of whole networks."""
import operator
from itertools import pairwise

import numpy as np
import pytest
import torch

DTYPES = ["float32", "float64"]
TOLERANCE = {"float32": {"rtol": 2e-4, "atol": 2e-5}, "float64": {"rtol": 1e-9, "atol": 1e-10}}


def compare(course, rng, ours, theirs, *arrays):
    """The results and the gradients of two functions on leaves with these arrays, for a gradient drawn at random."""
    dtype = str(arrays[0].dtype)
    mine = [course.tensor.Tensor(array.copy(), requires_grad=True) for array in arrays]
    others = [torch.tensor(array, requires_grad=True) for array in arrays]
    y, z = ours(*mine), theirs(*others)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), **TOLERANCE[dtype])
    g = np.asarray(rng.normal(size=y.shape), dtype)
    y.backward(g)
    z.backward(torch.tensor(g))
    for one, other in zip(mine, others, strict=True):
        assert one.grad.shape == tuple(other.grad.shape)
        assert str(one.grad.dtype) == str(other.grad.numpy().dtype) == dtype
        np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), **TOLERANCE[dtype])


def drawn(rng, dtype, *shapes):
    return [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]


SHAPES = [((), ()), ((3,), ()), ((2, 3), (3,)), ((4, 1), (1, 5)), ((2, 1, 3), (4, 1)), ((0, 3), (3,))]
ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv]


@pytest.mark.parametrize("operation", ARITHMETIC, ids=[f.__name__ for f in ARITHMETIC])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_arithmetic(course, rng, operation, shapes, dtype):
    a, b = drawn(rng, dtype, *shapes)
    compare(course, rng, operation, operation, a, np.sign(b) + b)


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_power(course, rng, shapes, dtype):
    a, b = drawn(rng, dtype, *shapes)
    compare(course, rng, operator.pow, operator.pow, np.abs(a) + np.asarray(0.5, dtype), b)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, 0.5], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_power_of_a_number(course, rng, exponent, dtype):
    """Negative bases and 0 too, where that has a derivative."""
    (a,) = drawn(rng, dtype, (3, 4))
    if exponent in (-1, 0.5):
        a = np.abs(a) + np.asarray(0.1, dtype)
    else:
        a[0, 0] = 0
    compare(course, rng, lambda x: x**exponent, lambda x: x**exponent, a)


def test_zero_to_a_power(course, rng):
    """0² changes with its exponent not at all, and 0⁰ not with its base."""
    b = np.array([2.0, 3.0, 0.5])
    compare(course, rng, lambda b: course.tensor.Tensor(np.zeros(3)) ** b, lambda b: torch.zeros(3, dtype=torch.float64) ** b, b)
    compare(course, rng, lambda a: a ** course.tensor.Tensor([0.0, 1.0, 2.0]), lambda a: a ** torch.tensor([0.0, 1.0, 2.0]), np.zeros(3))


FUNCTIONS = {
    "neg": (lambda x: -x, lambda x: -x),
    "exp": (lambda x: x.exp(), lambda x: x.exp()),
    "log": (lambda x: (x * x + 1).log(), lambda x: (x * x + 1).log()),
    "reshape": (lambda x: x.reshape(4, -1), lambda x: x.reshape(4, -1)),
    "transpose": (lambda x: x.transpose(0, -1), lambda x: x.transpose(0, -1)),
    "permute": (lambda x: x.permute(2, -3, 1), lambda x: x.permute(2, -3, 1)),
    "permute-negative": (lambda x: x.permute(-1, -3, -2), lambda x: x.permute(-1, -3, -2)),
    "slice": (lambda x: x[1:, ::2, -1], lambda x: x[1:, ::2, -1]),
    "new-axis": (lambda x: x[:, None, 1, ...], lambda x: x[:, None, 1, ...]),
    "mask": (lambda x: x[x > 0].sum(), lambda x: x[x > 0].sum()),
    "masked-fill": (lambda x: x.masked_fill(x > 0, 2.0), lambda x: x.masked_fill(x > 0, 2.0)),
    "masked-fill-infinity": (lambda x: x.masked_fill(x > 9, -np.inf), lambda x: x.masked_fill(x > 9, -np.inf)),
    "sum": (lambda x: x.sum(), lambda x: x.sum()),
    "reused": (lambda x: x * x.exp() + (x - x.mean()) * x, lambda x: x * x.exp() + (x - x.mean()) * x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_of_one_tensor(course, rng, name, dtype):
    ours, theirs = FUNCTIONS[name]
    compare(course, rng, ours, theirs, *drawn(rng, dtype, (2, 3, 4)))


@pytest.mark.parametrize("index", [[0, 2, 0], [-1, 3], [[1, 1], [0, 1]]], ids=str)
def test_repeated_indices(course, rng, index):
    compare(course, rng, lambda x: x[np.array(index)], lambda x: x[torch.tensor(index)], *drawn(rng, "float64", (4, 3)))
    a, b = np.zeros_like(index), np.array(index) % 3
    compare(course, rng, lambda x: x[a, b], lambda x: x[torch.tensor(a), torch.tensor(b)], *drawn(rng, "float64", (4, 3)))


@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((3,), (2, 1)), ((), (2, 3))], ids=str)
def test_where(course, rng, shapes):
    condition = rng.random((2, 3)) < 0.5
    arrays = drawn(rng, "float64", *shapes)
    compare(course, rng, lambda a, b: course.tensor.where(condition, a, b), lambda a, b: torch.where(torch.tensor(condition), a, b), *arrays)


@pytest.mark.parametrize(
    "shapes",
    [
        ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)),
        ((5, 1, 2, 3), (6, 3, 4)), ((2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((0, 3), (3, 4)),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul(course, rng, shapes, dtype):
    compare(course, rng, operator.matmul, operator.matmul, *drawn(rng, dtype, *shapes))


@pytest.mark.parametrize("function", ["sum", "mean", "max"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (-1, 1)], ids=str)
@pytest.mark.parametrize("keepdims", [False, True], ids=["dropped", "kept"])
@pytest.mark.parametrize("ties", [False, True], ids=["different", "ties"])
def test_reductions(course, rng, function, axis, keepdims, ties):
    (a,) = drawn(rng, "float64", (2, 3, 4))
    a = np.round(a) if ties else a
    dims, name = (0, 1, 2) if axis is None else axis, "amax" if function == "max" else function
    compare(
        course, rng, lambda x: getattr(x, function)(axis=axis, keepdims=keepdims),
        lambda x: getattr(x, name)(dim=dims, keepdim=keepdims), a,
    )


ACTIVATIONS = {
    "relu": (lambda m: m.ReLU(), torch.nn.ReLU()),
    "sigmoid": (lambda m: m.Sigmoid(), torch.nn.Sigmoid()),
    "tanh": (lambda m: m.Tanh(), torch.nn.Tanh()),
    "gelu": (lambda m: m.GELU(), torch.nn.GELU()),
    "gelu-tanh": (lambda m: m.GELU(approximate="tanh"), torch.nn.GELU(approximate="tanh")),
    "softmax": (lambda m: m.Softmax(dim=-1), torch.nn.Softmax(dim=-1)),
    "softmax-first": (lambda m: m.Softmax(dim=0), torch.nn.Softmax(dim=0)),
    "log-softmax": (lambda m: m.LogSoftmax(dim=-1), torch.nn.LogSoftmax(dim=-1)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_activations(course, rng, name, scale, dtype):
    make, theirs = ACTIVATIONS[name]
    (x,) = drawn(rng, dtype, (3, 4, 5))
    compare(course, rng, make(course.activations), theirs, x * np.asarray(scale, dtype))


LOSSES = ["MSELoss", "BCELoss", "BCEWithLogitsLoss"]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_elementwise_losses(course, rng, name, reduction, dtype):
    x, t = (np.asarray(rng.uniform(0.05, 0.95, size=(3, 4)), dtype) for _ in range(2))
    compare(course, rng, getattr(course.losses, name)(reduction), getattr(torch.nn, name)(reduction=reduction), x, t)


def test_bce_at_both_ends(course, rng):
    ours, theirs = course.losses.BCELoss("none"), torch.nn.BCELoss(reduction="none")
    x, t = np.array([0.0, 1.0, 0.0, 1.0], np.float32), np.array([0.0, 1.0, 1.0, 0.0], np.float32)
    compare(course, rng, lambda x: ours(x, course.tensor.Tensor(t)), lambda x: theirs(x, torch.tensor(t)), x)


@pytest.mark.parametrize("scale", [30.0, 1e4], ids=str)
def test_bce_with_logits_of_large_scores(course, rng, scale):
    ours, theirs = course.losses.BCEWithLogitsLoss(), torch.nn.BCEWithLogitsLoss()
    t = np.asarray(rng.random((3, 4)) < 0.5, "float32")
    (x,) = drawn(rng, "float32", (3, 4))
    x *= np.float32(scale)
    compare(course, rng, lambda x: ours(x, course.tensor.Tensor(t)), lambda x: theirs(x, torch.tensor(t)), x)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 4, 5), (2, 4, 3, 2)], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1], ids=["plain", "smoothed"])
@pytest.mark.parametrize("ignored", [False, True], ids=["all-kept", "some-ignored"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy(course, rng, shape, reduction, smoothing, ignored, dtype):
    classes_at = min(len(shape) - 1, 1)
    target = np.asarray(rng.integers(0, 4, size=shape[:classes_at] + shape[classes_at + 1 :]))
    if ignored and target.ndim:
        target.flat[0] = 3
    options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": 3 if ignored and target.ndim else -100}
    if ignored and (target == 3).all():
        target.flat[-1] = 0
    ours, theirs = course.losses.CrossEntropyLoss(**options), torch.nn.CrossEntropyLoss(**options)
    x = drawn(rng, dtype, shape)
    compare(course, rng, lambda x: ours(x, course.tensor.Tensor(target)), lambda x: theirs(x, torch.tensor(target)), *x)


def networks(course, widths, dtype):
    """The same network twice, with PyTorch's weights in both, in one dtype."""
    layers, activations = course.layers, course.activations
    theirs, ours = [], []
    for i, (n, m) in enumerate(pairwise(widths)):
        theirs += [torch.nn.Linear(n, m), (torch.nn.Tanh(), torch.nn.GELU("tanh"), torch.nn.Sigmoid())[i % 3]]
        ours += [layers.Linear(n, m), (activations.Tanh(), activations.GELU("tanh"), activations.Sigmoid())[i % 3]]
    theirs, ours = torch.nn.Sequential(*theirs[:-1]).to(getattr(torch, dtype)), layers.Sequential(*ours[:-1])
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        parameter.data = other.detach().numpy().copy()
    return ours, theirs


def targets(rng, name, dtype):
    return rng.integers(0, 3, size=8) if name == "CrossEntropyLoss" else np.asarray(rng.random((8, 3)) < 0.5, dtype)


@pytest.mark.parametrize("name", ["MSELoss", "CrossEntropyLoss", "BCEWithLogitsLoss", "BCELoss"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_networks(course, rng, name, reduction, dtype):
    """Three layers, a loss, ten steps of gradient descent: parameters and losses stay together."""
    torch.manual_seed(int(rng.integers(2**31)))
    ours, theirs = networks(course, (5, 8, 6, 3), dtype)
    (x,) = drawn(rng, dtype, (8, 5))
    t = targets(rng, name, dtype)
    mine, others = getattr(course.losses, name)(reduction=reduction), getattr(torch.nn, name)(reduction=reduction)
    squash, others_squash = (course.activations.Sigmoid(), torch.nn.Sigmoid()) if name == "BCELoss" else (lambda y: y, lambda y: y)
    for _ in range(10):
        loss = mine(squash(ours(course.tensor.Tensor(x))), course.tensor.Tensor(t))
        other = others(others_squash(theirs(torch.tensor(x))), torch.tensor(t))
        np.testing.assert_allclose(loss.item(), other.item(), **TOLERANCE[dtype])
        loss.backward()
        other.backward()
        for parameter, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert parameter.grad.dtype == parameter.dtype == dtype
            np.testing.assert_allclose(parameter.grad.numpy(), expected.grad.numpy(), **TOLERANCE[dtype])
            parameter.data -= np.asarray(0.05, dtype) * parameter.grad.data
            parameter.grad = None
            expected.data -= 0.05 * expected.grad
            expected.grad = None


def test_graphs_over_one_leaf(course, rng):
    """Two walks add up; a retained graph is walked twice; a freed one is refused, by PyTorch with a RuntimeError."""
    (a,) = drawn(rng, "float64", (3,))
    x, z = course.tensor.Tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    for leaf in (x, z):
        y = (leaf * leaf).sum()
        y.backward(retain_graph=True)
        y.backward()
        (leaf * 3.0).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), z.grad.numpy(), rtol=1e-12)
    for leaf, error in ((x, ValueError), (z, RuntimeError)):
        y = (leaf * leaf).sum()
        y.backward()
        with pytest.raises(error, match="freed"):
            y.backward()


def test_no_grad(course):
    x, z = course.tensor.Tensor([1.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)
    for leaf, module in ((x, course.autograd), (z, torch)):
        with module.no_grad():
            assert not (leaf * 2).requires_grad
        assert (leaf * 2).requires_grad
        assert not module.no_grad()(lambda leaf=leaf: leaf * 2)().requires_grad


def test_grad_check(course, rng):
    """`torch.autograd.gradcheck` says the same of the same functions."""
    a, b = drawn(rng, "float64", (2, 3), (3, 4))
    mine = [course.tensor.Tensor(array, requires_grad=True) for array in (a, b)]
    others = [torch.tensor(array, requires_grad=True) for array in (a, b)]
    assert course.autograd.grad_check(lambda a, b: (a @ b).exp() / 2, mine)
    assert torch.autograd.gradcheck(lambda a, b: (a @ b).exp() / 2, others)
