"""Module 03 names, shapes and initialises its parameters as PyTorch does, and computes the same with them."""
import math

import numpy as np
import pytest
import torch


def networks(course):
    """The same network twice, with PyTorch's weights in both."""
    layers, activations = course.layers, course.activations
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Sequential(torch.nn.Linear(5, 3, bias=False)))
    ours = layers.Sequential(layers.Linear(4, 5), activations.Tanh(), layers.Sequential(layers.Linear(5, 3, bias=False)))
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize("shape", [(4,), (7, 4), (2, 3, 4)], ids=str)
def test_network_computes_the_same(course, rng, agree, shape):
    ours, theirs = networks(course)
    x = rng.normal(size=shape).astype(np.float32)
    agree(ours(course.tensor.Tensor(x)), theirs(torch.tensor(x)), rtol=1e-5)


def test_parameters_have_the_same_names_and_shapes(course):
    ours, theirs = networks(course)
    assert [(name, p.shape) for name, p in ours.named_parameters()] == [
        (name, tuple(p.shape)) for name, p in theirs.named_parameters()
    ]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_modules()] == [name for name, m in theirs.named_modules() if name != "1"]


@pytest.mark.parametrize("nonlinearity", ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gain(course, nonlinearity):
    assert math.isclose(course.layers.calculate_gain(nonlinearity), torch.nn.init.calculate_gain(nonlinearity))


INITS = {
    "kaiming_normal_": {"nonlinearity": "relu"},
    "kaiming_uniform_": {"a": math.sqrt(5)},
    "kaiming_uniform_ fan_out": {"mode": "fan_out", "nonlinearity": "tanh"},
    "xavier_normal_": {"gain": 2.0},
    "xavier_uniform_": {},
    "normal_": {"mean": 1.0, "std": 3.0},
    "uniform_": {"a": -1.0, "b": 2.0},
}


@pytest.mark.parametrize("name", INITS)
@pytest.mark.parametrize("shape", [(300, 200), (40, 30, 7, 7)], ids=str)
def test_initialisation_draws_from_the_same_distribution(course, rng, name, shape):
    function, options = name.split()[0], INITS[name]
    ours = course.tensor.Tensor(np.empty(shape, np.float32))
    theirs = torch.empty(shape)
    getattr(course.layers, function)(ours, **options, rng=rng)
    getattr(torch.nn.init, function)(theirs, **options, generator=torch.Generator().manual_seed(0))
    spread = float(theirs.std())
    np.testing.assert_allclose(ours.numpy().std(), spread, rtol=0.02)
    np.testing.assert_allclose(ours.numpy().mean(), float(theirs.mean()), atol=0.03 * spread)
    quantiles = np.linspace(0.05, 0.95, 7)
    expected = np.quantile(theirs.numpy(), quantiles)
    np.testing.assert_allclose(np.quantile(ours.numpy(), quantiles), expected, atol=0.05 * spread)


def test_linear_starts_as_pytorchs(course, rng):
    ours, theirs = course.layers.Linear(400, 300, rng=rng), torch.nn.Linear(400, 300)
    for name in ("weight", "bias"):
        mine, others = getattr(ours, name).numpy(), getattr(theirs, name).detach().numpy()
        np.testing.assert_allclose(np.abs(mine).max(), np.abs(others).max(), rtol=0.03)
        np.testing.assert_allclose(mine.std(), others.std(), rtol=0.1)


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0], ids=str)
def test_dropout(course, rng, agree, p):
    x = rng.normal(size=(50, 60)).astype(np.float32) + 5
    ours, theirs = course.layers.Dropout(p, rng=rng), torch.nn.Dropout(p)
    mine, others = ours(course.tensor.Tensor(x)).numpy(), theirs(torch.tensor(x)).numpy()
    assert mine.dtype == others.dtype
    assert abs((mine == 0).mean() - (others == 0).mean()) < 0.05
    kept = (mine != 0) & (others != 0)
    np.testing.assert_allclose(mine[kept], others[kept], rtol=1e-6)
    agree(ours.eval()(course.tensor.Tensor(x)), theirs.eval()(torch.tensor(x)))
