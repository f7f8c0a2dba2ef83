"""Tensors, activations, layers and losses together: the gradients of whole networks, against small steps of NumPy's."""
import numpy as np
import pytest

from tinytorch.core.activations import GELU, ReLU, Tanh
from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from tinytorch.core.tensor import Tensor, where


@pytest.fixture(autouse=True)
def seeded(student_side, rng):
    """What the layers draw is fixed by the test's own generator, and so the same at every run."""
    student_side.seed(int(rng.integers(2**31)))


def slopes(function, arrays, step=1e-5):
    """For each array, the central differences of function(*arrays), a number, in float64."""
    arrays, grads = [np.array(x, dtype=float) for x in arrays], []
    for x in arrays:
        grad = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            center, sides = x[index], []
            for moved in (center + step, center - step):
                x[index] = moved
                sides.append(function(*arrays))
            x[index] = center
            grad[index] = (sides[0] - sides[1]) / (2 * step)
        grads.append(grad)
    return grads


def log_softmax(x):
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def drawn(rng):
    """The numbers of a network 4 → 5 → 3."""
    return [rng.normal(size=shape) for shape in ((5, 4), (5,), (3, 5), (3,))]


@pytest.mark.exercise("loss_gradients")
def test_gradients_of_a_classifier(student_side, rng):
    """Two layers, tanh, cross-entropy with an ignored sample and label smoothing: every parameter against small steps."""
    arrays, x, target = drawn(rng), rng.normal(size=(6, 4)), np.array([0, 2, 1, -100, 2, 0])
    kept = target != -100

    def loss(w1, b1, w2, b2):
        log_p = log_softmax(np.tanh(x @ w1.T + b1) @ w2.T + b2)[kept]
        return -(0.9 * log_p[np.arange(5), target[kept]] + 0.1 * log_p.mean(axis=1)).mean()

    net = Sequential(student_side.linear(*arrays[:2]), Tanh(), student_side.linear(*arrays[2:]))
    found = CrossEntropyLoss(label_smoothing=0.1)(net(Tensor(x)), Tensor(target))
    np.testing.assert_allclose(found.item(), loss(*arrays), rtol=1e-10)
    found.backward()
    for parameter, expected in zip(net.parameters(), slopes(loss, arrays), strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-5, atol=1e-8)


@pytest.mark.exercise("activation_gradients")
def test_gradients_of_a_regression(student_side, rng):
    """Two layers, the exact GELU, the mean squared error: parameters and the input itself against small steps."""
    arrays, x, target = drawn(rng), rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 3))
    hidden = student_side.linear(*arrays[:2])

    def loss(w1, b1, w2, b2, x):
        h = x @ w1.T + b1
        gate = (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3))) / 2
        return (((h * gate) @ w2.T + b2 - target) ** 2).mean()

    net = Sequential(hidden, GELU("tanh"), student_side.linear(*arrays[2:]))
    given = Tensor(x, requires_grad=True)
    MSELoss()(net(given), Tensor(target)).backward()
    for tensor, expected in zip([*net.parameters(), given], slopes(loss, [*arrays, x]), strict=True):
        np.testing.assert_allclose(tensor.grad.numpy(), expected, rtol=1e-5, atol=1e-8)


@pytest.mark.exercise("movement_gradients")
def test_gradients_of_token_scores(student_side, rng):
    """Scores (N, C, T), of which some are masked, come from (N, T, C) by a permutation; the loss is cross-entropy."""
    w, b = rng.normal(size=(5, 4)), rng.normal(size=5)
    x, target = rng.normal(size=(2, 3, 4)), rng.integers(0, 4, size=(2, 3))
    mask = np.array([False, False, False, False, True])

    def loss(w, b):
        scores = np.where(mask, -50.0, x @ w.T + b).reshape(6, 5)
        return -log_softmax(scores)[np.arange(6), target.ravel()].mean()

    layer = student_side.linear(w, b)
    scores = layer(Tensor(x)).masked_fill(Tensor(mask), -50.0)
    CrossEntropyLoss()(scores.permute(0, 2, 1), Tensor(target)).backward()
    for parameter, expected in zip(layer.parameters(), slopes(loss, [w, b]), strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-5, atol=1e-8)


@pytest.mark.exercise("reduction_gradients")
def test_gradients_of_an_expression(rng):
    """Everything of module 01 in one line, against small steps: broadcasting, reductions, powers, indices, choices."""
    a, b = rng.uniform(0.5, 2, size=(3, 4)), rng.uniform(0.5, 2, size=4)
    rows = np.array([0, 2, 0])

    def value(a, b):
        c = np.where(a > 1.1, a / b, (a * b).mean(axis=1, keepdims=True))
        d = (c[rows, 1:] - b[1:]) ** 2 + np.log(a.max(axis=0)[:3])
        return (np.exp(-d) * (a @ b)[:, None] ** b[:3]).sum() - (a.T @ a).max()

    a[np.abs(a - 1.1) < 0.01] = 1.0
    s, t = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    c = where(a > 1.1, s / t, (s * t).mean(axis=1, keepdims=True))
    d = (c[rows, 1:] - t[1:]) ** 2 + s.max(axis=0)[:3].log()
    y = ((-d).exp() * (s @ t).reshape(3, 1) ** t[:3]).sum() - (s.transpose(0, 1) @ s).max()
    np.testing.assert_allclose(y.item(), value(a, b), rtol=1e-10)
    y.backward()
    for tensor, expected in zip((s, t), slopes(value, [a, b], step=1e-6), strict=True):
        np.testing.assert_allclose(tensor.grad.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.exercise("backward")
def test_steps_against_the_gradient_lower_the_loss(student_side, rng):
    """Twenty steps of gradient descent on eight samples, in float32: the loss falls at the first, and in all."""
    net = Sequential(Linear(4, 16), ReLU(), Linear(16, 1))
    x = rng.normal(size=(8, 4)).astype(np.float32)
    target = Tensor((x[:, :1] > 0).astype(np.float32))
    losses = []
    for _ in range(20):
        loss = BCEWithLogitsLoss()(net(Tensor(x)), target)
        losses.append(loss.item())
        loss.backward()
        student_side.moved_along_gradients(net.parameters(), 0.2)
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.95 * losses[0]
    assert losses[1] < losses[0]


@pytest.mark.exercise("backward")
def test_halves_of_a_batch_add_up(student_side, rng):
    """The sum of losses over a batch has the gradient of its halves together, and these add up in `grad`."""
    arrays, x, target = drawn(rng), rng.normal(size=(8, 4)), rng.normal(size=(8, 3))

    def loss(w1, b1, w2, b2):
        return ((np.maximum(x @ w1.T + b1, 0) @ w2.T + b2 - target) ** 2).sum()

    net = Sequential(student_side.linear(*arrays[:2]), ReLU(), student_side.linear(*arrays[2:]))
    for half in (slice(0, 3), slice(3, 8)):
        MSELoss("sum")(net(Tensor(x[half])), Tensor(target[half])).backward()
    for parameter, expected in zip(net.parameters(), slopes(loss, arrays, step=1e-6), strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.exercise("backward")
def test_shared_layer_gets_the_sum(student_side, rng):
    """A layer at two places of a network: its weight gets what both places send."""
    w, b, x = rng.normal(size=(4, 4)) / 2, rng.normal(size=4), rng.normal(size=(3, 4))
    layer = student_side.linear(w, b)
    Sequential(layer, Tanh(), layer)(Tensor(x)).sum().backward()
    expected = slopes(lambda w, b: (np.tanh(x @ w.T + b) @ w.T + b).sum(), [w, b])
    np.testing.assert_allclose(layer.weight.grad.numpy(), expected[0], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(layer.bias.grad.numpy(), expected[1], rtol=1e-5, atol=1e-8)


@pytest.mark.exercise("arithmetic_gradients")
def test_dropout_sends_gradients_through_its_mask(student_side, rng):
    """What was dropped gets nothing, and what was scaled up by 1 / (1 - p) gets that: the mask of the forward."""
    layer = student_side.dropout(0.25, int(rng.integers(2**31)))
    x, g = rng.uniform(1, 2, size=(8, 8)), rng.normal(size=(8, 8))
    given = Tensor(x, requires_grad=True)
    out = layer(given)
    mask = out.numpy() / x
    assert (mask == 0).any() and (mask > 1.3).any()
    out.backward(g)
    np.testing.assert_allclose(given.grad.numpy(), g * mask, rtol=1e-10)


@pytest.mark.exercise("matmul_gradient")
def test_gradients_of_linear_lie_as_its_weight_does(student_side, rng):
    """The gradient of a Linear's weight has its shape, its dtype and its order in memory, for an optimizer to run through."""
    layer = Linear(4, 3)
    x, g = rng.normal(size=(2, 5, 4)).astype(np.float32), rng.normal(size=(2, 5, 3)).astype(np.float32)
    layer(Tensor(x)).backward(g)
    assert student_side.is_contiguous_gradient(layer.weight) is True
    grad = layer.weight.grad.numpy()
    assert grad.shape == (3, 4) and grad.dtype == np.float32
    np.testing.assert_allclose(grad, np.einsum("bto,bti->oi", g, x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer.bias.grad.numpy(), g.sum(axis=(0, 1)), rtol=1e-4, atol=1e-4)


@pytest.mark.exercise("grad_check")
def test_grad_check_of_a_network(student_side, rng):
    """The check that the course gives you agrees with the one here: a whole network passes, and its gradients are right."""
    w, b, x = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=(2, 4))
    result, grads = student_side.checked_network(w, b, x)
    assert result is True
    expected = slopes(lambda w, b: (np.tanh(x @ w.T + b) ** 2).sum(), [w, b])
    for grad, slope in zip(grads, expected, strict=True):
        np.testing.assert_allclose(grad, slope, rtol=1e-5, atol=1e-8)


@pytest.mark.exercise("no_grad")
def test_evaluation_between_two_steps(student_side, rng):
    """A network that is evaluated in `no_grad` leaves no trace: the step after it has the same gradients."""
    arrays, x = drawn(rng), rng.normal(size=(4, 4))
    net = Sequential(student_side.linear(*arrays[:2]), Tanh(), student_side.linear(*arrays[2:]))
    value, is_recorded = student_side.evaluated(net, Tensor(x))
    w1, b1, w2, b2 = arrays
    np.testing.assert_allclose(value, np.tanh(x @ w1.T + b1) @ w2.T + b2, rtol=1e-10, atol=1e-12)
    assert is_recorded is False
    net(Tensor(x)).sum().backward()
    expected = slopes(lambda *arrays: (np.tanh(x @ arrays[0].T + arrays[1]) @ arrays[2].T + arrays[3]).sum(), arrays)
    for parameter, slope in zip(net.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), slope, rtol=1e-5, atol=1e-8)
