"""Module 02 gives PyTorch's values for inputs of any size."""
import numpy as np
import pytest
import torch

ELEMENTWISE = {
    "relu": (lambda m: m.ReLU(), torch.nn.ReLU()),
    "sigmoid": (lambda m: m.Sigmoid(), torch.nn.Sigmoid()),
    "tanh": (lambda m: m.Tanh(), torch.nn.Tanh()),
    "gelu": (lambda m: m.GELU(), torch.nn.GELU()),
    "gelu-tanh": (lambda m: m.GELU(approximate="tanh"), torch.nn.GELU(approximate="tanh")),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 30.0, 1e4], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elementwise(course, rng, agree, name, scale, dtype):
    make, theirs = ELEMENTWISE[name]
    x = np.asarray(rng.normal(size=(5, 40)) * scale, dtype)
    agree(make(course.activations)(course.tensor.Tensor(x)), theirs(torch.tensor(x)), rtol=2e-5, atol=1e-6 * min(scale, 1))


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_integers(course, rng, agree, name):
    make, theirs = ELEMENTWISE[name]
    x = rng.integers(-9, 9, size=20)
    agree(make(course.activations)(course.tensor.Tensor(x)), theirs(torch.tensor(x)))


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("dim", [0, 1, -1], ids=str)
@pytest.mark.parametrize("scale", [1.0, 1e4], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax(course, rng, agree, name, dim, scale, dtype):
    x = np.asarray(rng.normal(size=(3, 4, 5)) * scale, dtype)
    ours, theirs = getattr(course.activations, name)(dim=dim), getattr(torch.nn, name)(dim=dim)
    agree(ours(course.tensor.Tensor(x)), theirs(torch.tensor(x)), rtol=1e-5)


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_softmax_with_masked_scores(course, rng, agree, name):
    x = rng.normal(size=(4, 6)).astype(np.float32)
    x[:, 3:] = -np.inf
    ours, theirs = getattr(course.activations, name)(dim=-1), getattr(torch.nn, name)(dim=-1)
    agree(ours(course.tensor.Tensor(x)), theirs(torch.tensor(x)), rtol=1e-5)
