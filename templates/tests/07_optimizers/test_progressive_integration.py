"""Networks, losses, gradients and optimizers together: this is all that learning takes."""
import numpy as np
import pytest

from tinytorch.core.activations import Tanh
from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.losses import CrossEntropyLoss, MSELoss
from tinytorch.core.optimizers import SGD, Adam, AdamW
from tinytorch.core.tensor import Tensor

ADDED_UP = "Both gradients were to be added up: `step` leaves them alone, and only zero_grad clears them."


@pytest.fixture(autouse=True)
def seeded(student_side, rng):
    """What the layers draw is fixed by the test's own generator, and so the same at every run."""
    student_side.seed(int(rng.integers(2**31)))


def train(net, loss, optimizer, x, y, steps):
    """The losses of so many steps on the whole batch."""
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(net(x), y)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def numbers(net):
    """The parameters of a network in float64."""
    return [p.numpy().astype(float) for p in net.parameters()]


def slopes(w, b, x, y):
    """Of the mean squared error of x @ w.T + b, with respect to w and to b, by hand."""
    d = 2 * (x @ w.T + b - y) / y.size
    return d.T @ x, d.sum(axis=0)


OPTIMIZERS = {
    "sgd": lambda p: SGD(p, lr=0.3),
    "momentum": lambda p: SGD(p, lr=0.1, momentum=0.8),
    "nesterov": lambda p: SGD(p, lr=0.1, momentum=0.8, nesterov=True),
    "adam": lambda p: Adam(p, lr=0.1),
    "adamw": lambda p: AdamW(p, lr=0.1, weight_decay=0.0),
}
EXERCISES = {"sgd": "sgd", "momentum": "sgd", "nesterov": "sgd", "adam": "adam", "adamw": "adamw"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.exercise(EXERCISES[n])) for n in OPTIMIZERS])
def test_regression_finds_the_line(rng, name):
    """Fifty points of a plane without noise: every optimizer finds its slopes and its height."""
    x = rng.uniform(-1, 1, size=(50, 2)).astype(np.float32)
    w, b = rng.normal(size=(1, 2)).astype(np.float32), rng.normal(size=1).astype(np.float32)
    net = Linear(2, 1)
    losses = train(net, MSELoss(), OPTIMIZERS[name](net.parameters()), Tensor(x), Tensor(x @ w.T + b), 300)
    assert losses[-1] < 0.01 * losses[0]
    np.testing.assert_allclose(net.weight.numpy(), w, atol=0.05)
    np.testing.assert_allclose(net.bias.numpy(), b, atol=0.05)


@pytest.mark.exercise("adam")
def test_classifier_learns_a_ring(rng):
    """Points inside of a circle and outside: no line separates them, sixteen tanh do. Accuracy is counted by NumPy."""
    x = rng.uniform(-1.5, 1.5, size=(200, 2)).astype(np.float32)
    y = ((x**2).sum(axis=1) > 1).astype(np.int64)
    net = Sequential(Linear(2, 16), Tanh(), Linear(16, 2))
    train(net, CrossEntropyLoss(), Adam(net.parameters(), lr=0.05), Tensor(x), Tensor(y), 150)
    w1, b1, w2, b2 = numbers(net)
    scores = np.tanh(x @ w1.T + b1) @ w2.T + b2
    assert (scores.argmax(axis=1) == y).mean() > 0.9
    np.testing.assert_allclose(net(Tensor(x)).numpy(), scores, rtol=1e-3, atol=1e-4)


@pytest.mark.exercise("param_groups")
def test_gradients_add_up_until_they_are_cleared(rng, hint):
    """Two backward passes without zero_grad are one of twice the gradient; after zero_grad it is one again."""
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    w, b = rng.normal(size=(2, 3)), rng.normal(size=2)
    net = Linear(3, 2)
    net.load_state_dict({"weight": w, "bias": b})
    optimizer = SGD(net.parameters(), lr=0.1)
    w, b = numbers(net)
    for times in (1, 2, 1):
        optimizer.zero_grad()
        for _ in range(times):
            MSELoss()(net(Tensor(x)), Tensor(y)).backward()
        optimizer.step()
        one, two = slopes(w, b, x, y)
        hint(ADDED_UP, when=times == 2 and np.allclose(net.weight.numpy(), w - 0.1 * one, atol=1e-6))
        w, b = w - 0.1 * times * one, b - 0.1 * times * two
        np.testing.assert_allclose(net.weight.numpy(), w, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(net.bias.numpy(), b, rtol=1e-4, atol=1e-5)


@pytest.mark.exercise("sgd")
def test_weights_decay_and_biases_do_not(rng):
    """Two groups in one optimizer, as large models are trained: no decay for biases, and a rate of their own."""
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    net = Linear(3, 2)
    (w, b), (one, two) = numbers(net), slopes(*numbers(net), x, y)
    weights = {"params": [net.weight], "weight_decay": 0.5}
    optimizer = SGD([weights, {"params": net.bias, "lr": 0.02}], lr=0.1)
    train(net, MSELoss(), optimizer, Tensor(x), Tensor(y), 1)
    np.testing.assert_allclose(net.weight.numpy(), w - 0.1 * (one + 0.5 * w), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(net.bias.numpy(), b - 0.02 * two, rtol=1e-4, atol=1e-5)


@pytest.mark.exercise("sgd")
def test_a_layer_that_nobody_gave_to_the_optimizer_stays(rng):
    """Fine-tuning: the first layer is frozen, and the loss falls by the second alone."""
    x, y = Tensor(rng.normal(size=(20, 3)).astype(np.float32)), Tensor(rng.normal(size=(20, 1)).astype(np.float32))
    net = Sequential(Linear(3, 8), Tanh(), Linear(8, 1))
    before = numbers(net)
    losses = train(net, MSELoss(), SGD(net[2].parameters(), lr=0.05), x, y, 20)
    after = numbers(net)
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1], before[1])
    assert not np.allclose(after[2], before[2]) and not np.allclose(after[3], before[3])


@pytest.mark.exercise("param_groups")
def test_a_layer_that_stands_at_two_places_is_moved_once(rng):
    """`parameters()` has it once, so it isn't given twice; its gradient is the sum of both uses."""
    shared = Linear(2, 2, bias=False)
    net = Sequential(shared, shared)
    (w,), x = numbers(net), rng.normal(size=(4, 2))
    (net(Tensor(x)).sum()).backward()
    SGD(net.parameters(), lr=0.1).step()
    ones = np.ones((4, 2))
    slope = ones.T @ (x @ w.T) + (ones @ w).T @ x
    np.testing.assert_allclose(shared.weight.numpy(), w - 0.1 * slope, rtol=1e-4, atol=1e-5)


@pytest.mark.exercise("adamw")
def test_one_seed_fixes_a_whole_training(student_side, rng):
    """Bit by bit the same losses and weights for one seed, and others for another."""
    x, y = Tensor(rng.normal(size=(20, 3)).astype(np.float32)), Tensor(rng.integers(0, 2, size=20))
    results = []
    for number in (1, 1, 2):
        student_side.seed(number)
        net = Sequential(Linear(3, 8), Tanh(), Linear(8, 2))
        losses = train(net, CrossEntropyLoss(), AdamW(net.parameters(), lr=0.05), x, y, 10)
        assert losses[-1] < losses[0]
        results.append([np.array(losses), *numbers(net)])
    for first, second, other in zip(*results):
        np.testing.assert_array_equal(first, second)
        assert not np.allclose(first, other, rtol=1e-5, atol=1e-8)


@pytest.mark.exercise("optimizer_state")
def test_training_interrupted_and_continued(rng):
    """Network and optimizer saved, and loaded into new ones: ten steps on, they are where twenty in a row lead."""
    x, y = Tensor(rng.normal(size=(20, 3)).astype(np.float32)), Tensor(rng.normal(size=(20, 1)).astype(np.float32))
    nets = [Sequential(Linear(3, 8), Tanh(), Linear(8, 1)) for _ in range(2)]
    optimizers = [Adam(net.parameters(), lr=0.05) for net in nets]
    train(nets[0], MSELoss(), optimizers[0], x, y, 10)
    nets[1].load_state_dict(nets[0].state_dict())
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    halfway = numbers(nets[0])
    losses = [train(net, MSELoss(), optimizer, x, y, 10) for net, optimizer in zip(nets, optimizers)]
    np.testing.assert_array_equal(losses[1], losses[0])
    assert len(set(losses[0])) == 10
    for before, one, other in zip(halfway, *map(numbers, nets)):
        np.testing.assert_array_equal(other, one)
        assert not np.allclose(one, before, rtol=1e-5, atol=1e-8)
