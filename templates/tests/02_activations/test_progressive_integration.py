"""Modules 01 and 02 together: tensors in all their layouts, and the first networks whose layers do not collapse."""
import math

import numpy as np
import pytest

from tinytorch.core.activations import GELU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from tinytorch.core.tensor import Tensor


def softmax(x, dim):
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


def normal_cdf(x):
    return np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in x.ravel()]).reshape(x.shape)


def case(exercise, name, make, expected):
    return pytest.param(name, make, expected, id=name, marks=pytest.mark.exercise(exercise))


every_activation = pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        case("relu_forward", "ReLU()", lambda: ReLU(), lambda x: np.maximum(x, 0)),
        case("sigmoid_forward", "Sigmoid()", lambda: Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        case("tanh_forward", "Tanh()", lambda: Tanh(), lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1)),
        case("gelu_forward", "GELU(approximate='none')", lambda: GELU(), lambda x: x * normal_cdf(x)),
        case("softmax_forward", "Softmax(dim=1)", lambda: Softmax(dim=1), lambda x: softmax(x, 1)),
        case("log_softmax_forward", "LogSoftmax(dim=0)", lambda: LogSoftmax(dim=0), lambda x: np.log(softmax(x, 0))),
    ],
)


@every_activation
def test_activations_of_views(rng, name, make, expected):
    """A transposed tensor, or one with every other column, is a view: its numbers lie elsewhere than in index order."""
    x = rng.normal(size=(4, 6))
    transposed, sliced = make()(Tensor(x.copy()).T), make()(Tensor(x.copy())[:, ::2])
    np.testing.assert_allclose(transposed.numpy(), expected(x.T), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(sliced.numpy(), expected(x[:, ::2]), rtol=1e-9, atol=1e-12)


@every_activation
def test_activations_pass_the_wish_for_a_gradient_on(rng, name, make, expected):
    """A result requires a gradient if its input does, so that module 06 finds its way back; and only then."""
    x = rng.normal(size=(3, 5))
    with_gradient, without = make()(Tensor(x.copy(), requires_grad=True)), make()(Tensor(x.copy()))
    np.testing.assert_allclose(with_gradient.numpy(), expected(x), rtol=1e-9, atol=1e-12)
    assert (with_gradient.requires_grad, without.requires_grad) == (True, False)


@every_activation
def test_activations_say_what_they_are(rng, name, make, expected):
    """An activation prints as in PyTorch, and one object serves any number of calls."""
    activation = make()
    assert str(activation) == name
    for shape in [(2, 3), (4, 1)]:
        x = rng.normal(size=shape)
        np.testing.assert_allclose(activation(Tensor(x.copy())).numpy(), expected(x), rtol=1e-9, atol=1e-12)


@pytest.mark.exercise("relu_forward")
def test_relu_between_two_layers_computes_xor():
    """No single line separates XOR's answers; two corners do: relu(a + b) - 2 relu(a + b - 1)."""
    inputs = Tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    hidden = ReLU()(inputs @ Tensor([[1.0, 1.0], [1.0, 1.0]]) + Tensor([0.0, -1.0]))
    out = hidden @ Tensor([1.0, -2.0])
    np.testing.assert_array_equal(out.numpy(), [0.0, 1.0, 1.0, 0.0])


@pytest.mark.exercise("softmax_forward")
def test_a_classifier_of_two_layers(rng):
    """Five samples of four features through a hidden layer of six to the probabilities of three classes."""
    x, W, b, V = rng.normal(size=(5, 4)), rng.normal(size=(4, 6)), rng.normal(size=6), rng.normal(size=(6, 3))
    hidden = Tanh()(Tensor(x) @ Tensor(W) + Tensor(b))
    probabilities = Softmax(dim=1)(hidden @ Tensor(V)).numpy()
    np.testing.assert_allclose(probabilities, softmax(np.tanh(x @ W + b) @ V, 1), rtol=1e-9)
    np.testing.assert_allclose(probabilities.sum(axis=1), np.ones(5), rtol=1e-12)


@pytest.mark.exercise("sigmoid_forward")
def test_sigmoid_is_the_softmax_of_two_scores(rng):
    """With scores x and 0, the first probability is e^x / (e^x + 1): a sigmoid."""
    x = rng.normal(size=8)
    out = Sigmoid()(Tensor(x)).numpy()
    pairs = Softmax(dim=1)(Tensor(np.stack([x, np.zeros(8)], axis=1))).numpy()
    np.testing.assert_allclose(out, softmax(np.stack([x, np.zeros(8)], axis=1), 1)[:, 0], rtol=1e-12)
    np.testing.assert_allclose(out, pairs[:, 0], rtol=1e-12)


@pytest.mark.exercise("log_softmax_forward")
def test_the_loss_of_a_confident_mistake_is_finite(rng):
    """The mean of -log p of the right classes, as module 04 will need it: they have the lowest of far apart scores."""
    scores = (rng.normal(size=(4, 3)) * 300).astype(np.float32)
    right = scores.argmin(axis=1)
    picked = LogSoftmax(dim=1)(Tensor(scores))[[0, 1, 2, 3], right]
    wide = scores.astype(np.float64)
    log_p = wide - wide.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    np.testing.assert_allclose((-picked).mean().item(), -log_p[range(4), right].mean(), rtol=1e-5)


@pytest.mark.exercise("softmax_forward")
def test_softmax_after_masked_fill(rng):
    """Scores filled with -inf above the diagonal: every row looks at itself and at what came before."""
    scores = rng.normal(size=(4, 4))
    future = np.triu(np.ones((4, 4), bool), k=1)
    out = Softmax(dim=-1)(Tensor(scores).masked_fill(Tensor(future), -math.inf)).numpy()
    np.testing.assert_allclose(out, softmax(np.where(future, -np.inf, scores), 1), rtol=1e-12)
    assert (out[future] == 0).all()


@pytest.mark.exercise("gelu_forward")
def test_gelu_lies_between_zero_and_relu(rng):
    """GELU(x) - GELU(-x) = x, since the two gates add up to one; far from 0 it is ReLU."""
    x = rng.normal(size=(3, 5)) * 2
    out, mirrored = GELU()(Tensor(x)), GELU()(Tensor(-x))
    np.testing.assert_allclose((out - mirrored).numpy(), x, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(GELU()(Tensor([-12.0, 12.0])).numpy(), [0, 12], atol=1e-6)
