"""What was learned in 1986, judged from the networks that the script left behind, not from what it printed.

Scores, losses and gradients are computed a second time, in NumPy, from the weights that the layers show; and the digits
of the exam are images that the script never saw.
"""
from pathlib import Path

import numpy as np
import pytest

from tinytorch.core.losses import BCEWithLogitsLoss, CrossEntropyLoss
from tinytorch.core.tensor import Tensor

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
XOR = np.array([[0], [1], [1], [0]], dtype=np.float32)
BENDS = {"xor": np.tanh, "digits": lambda h: np.maximum(h, 0)}
SLOPES = {"xor": lambda bent: 1 - bent**2, "digits": lambda bent: bent > 0}

both = pytest.mark.parametrize("name", ["xor", "digits"], ids=["XOR", "digits"])


def numbers(named):
    """The weights and biases of both layers as float64: w1 (H, in), b1 (H,), w2 (out, H), b2 (out,)."""
    return [np.asarray(value, dtype=np.float64) for _, value in sorted(named.items(), key=order_of_names)]


def order_of_names(pair):
    layer, kind = pair[0].split(".")
    return int(layer), kind == "bias"


def now(network):
    """The weights that a network shows, by name."""
    return {str(name): tensor.numpy().copy() for name, tensor in network.state_dict().items()}


def hidden(name, named, x):
    w1, b1, _, _ = numbers(named)
    return BENDS[name](x @ w1.T + b1)


def scores_of(name, named, x):
    """The scores in NumPy: x (B, in) -> (B, out)."""
    _, _, w2, b2 = numbers(named)
    return hidden(name, named, x) @ w2.T + b2


def probabilities(name, scores):
    """Sigmoid for XOR, softmax for the digits."""
    if name == "xor":
        return 1 / (1 + np.exp(-scores))
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def one_hot(name, target):
    return target if name == "xor" else np.eye(10)[target]


def loss_of(name, named, x, target):
    """The mean cross-entropy in NumPy."""
    p, t = probabilities(name, scores_of(name, named, x.astype(np.float64))), one_hot(name, target)
    return float(-(np.log(p) * t + (np.log(1 - p) * (1 - t) if name == "xor" else 0)).sum(axis=1).mean())


def gradients_of(name, named, x, target):
    """Backpropagation by hand: the gradients of w1, b1, w2, b2."""
    x = x.astype(np.float64)
    _, _, w2, _ = numbers(named)
    bent = hidden(name, named, x)
    at_scores = (probabilities(name, scores_of(name, named, x)) - one_hot(name, target)) / len(x)
    at_hidden = at_scores @ w2 * SLOPES[name](bent)
    return at_hidden.T @ x, at_hidden.sum(axis=0), at_scores.T @ bent, at_scores.sum(axis=0)


@pytest.fixture
def digits(course_data):
    """All digits: pixels (N, 64) in [0, 1], and labels."""
    data = course_data("digits")
    return data.images.reshape(-1, 64).astype(np.float32) / 16, data.labels


@pytest.fixture
def exam(digits):
    """Every fifth image: those that the script left out."""
    pixels, labels = digits
    return pixels[4::5], labels[4::5]


@pytest.fixture
def examples(exam):
    """Inputs and targets on which a network of this name is examined."""
    return {"xor": (INPUTS, XOR), "digits": exam}


def test_mlp_computes_xor(milestone):
    """4 of 4: the raw score is positive for 01 and 10, negative for 00 and 11, and far from 0."""
    scores = milestone["xor"]["network"](Tensor(INPUTS)).numpy()
    np.testing.assert_array_equal(scores > 0, XOR == 1)
    assert np.abs(scores).min() > 1


def test_mlp_computes_xor_of_noisy_inputs(milestone, rng):
    """Inputs that the script never saw, up to 0.1 away from a corner in each direction: still right, every one."""
    corner = rng.integers(4, size=400)
    points = INPUTS[corner] + rng.uniform(-0.1, 0.1, size=(400, 2)).astype(np.float32)
    scores = milestone["xor"]["network"](Tensor(points)).numpy()
    np.testing.assert_array_equal(scores > 0, XOR[corner] == 1)


def test_mlp_reads_digits(milestone, exam):
    """At least 95 % of 359 images that the network was not trained with, by its raw scores."""
    pixels, labels = exam
    scores = milestone["digits"]["network"](Tensor(pixels)).numpy()
    assert scores.shape == (359, 10)
    assert (scores.argmax(axis=1) == labels).mean() >= 0.95


def test_mlp_could_not_read_before(milestone, exam):
    """The weights that training began with know nothing: fewer than 40 % right, computed in NumPy."""
    pixels, labels = exam
    scores = scores_of("digits", milestone["digits"]["before"], pixels)
    assert (scores.argmax(axis=1) == labels).mean() < 0.4


@both
def test_mlp_is_its_weights(milestone, examples, name):
    """The network's scores are those that its weights give in NumPy: two sums, and a bend between them."""
    x, _ = examples[name]
    network = milestone[name]["network"]
    np.testing.assert_allclose(network(Tensor(x)).numpy(), scores_of(name, now(network), x), rtol=1e-3, atol=1e-4)


@both
def test_mlp_weights_moved(milestone, hint, name):
    """Every layer's weights and biases are others than before training."""
    before = milestone[name]["weights"][0] if name == "xor" else milestone[name]["before"]
    after = now(milestone[name]["network"])
    moved = {key: float(np.linalg.norm(after[key] - before[key])) for key in after}
    still = [key for key, distance in moved.items() if distance < 0.01]
    hint("No weight moved: does the optimizer's step write into p.data, in place?", when=len(still) == len(moved))
    assert len(moved) == 4 and not still, moved


@both
def test_mlp_gradients_are_those_of_calculus(milestone, examples, hint, name):
    """Of all four parameters: not zero, and equal to backpropagation written out in NumPy."""
    x, target = examples[name]
    network, loss_fn = milestone[name]["network"], {"xor": BCEWithLogitsLoss, "digits": CrossEntropyLoss}[name]()
    parameters = dict(network.named_parameters())
    for parameter in parameters.values():
        parameter.grad = None
    loss_fn(network(Tensor(x)), Tensor(target)).backward()
    found = {str(key): parameter.grad.numpy().copy() for key, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = None
    expected = gradients_of(name, now(network), x, target)
    assert len(found) == 4
    for (key, mine), right in zip(sorted(found.items(), key=order_of_names), expected):
        hint(f"The gradient of {key} is zero: does its operation pass one on?", when=not mine.any())
        assert np.any(mine), key
        scale = np.abs(right).max()
        np.testing.assert_allclose(mine / scale, right / scale, atol=2e-3, err_msg=key)


def test_mlp_first_step_goes_against_the_gradient(milestone, hint):
    """The first step for XOR: w - 0.3 g, with g computed in NumPy from the weights at the start."""
    start, first, _ = milestone["xor"]["weights"]
    gradients = gradients_of("xor", start, INPUTS, XOR)
    steps = [b - a for a, b in zip(numbers(start), numbers(first))]
    uphill = all(np.allclose(step, 0.3 * g, atol=1e-5) for step, g in zip(steps, gradients))
    hint("The step goes uphill: subtract lr times the gradient.", when=uphill)
    for step, g in zip(steps, gradients):
        np.testing.assert_allclose(step, -0.3 * g, rtol=1e-3, atol=1e-6)


def test_mlp_xor_losses_are_real(milestone):
    """The first loss that was recorded is that of the weights at the start; the last is below a hundredth of it."""
    losses, (start, first, _) = milestone["xor"]["losses"], milestone["xor"]["weights"]
    np.testing.assert_allclose(losses[:2], [loss_of("xor", named, INPUTS, XOR) for named in (start, first)], rtol=1e-4)
    assert losses[-1] < losses[0] / 100


def test_mlp_digits_losses_are_real(milestone, digits):
    """The validation losses at the start and at the end are those that the weights give in NumPy."""
    pixels, labels = (part[np.arange(len(part)) % 5 != 4][7::8] for part in digits)
    history = milestone["digits"]["history"]
    for named, (loss, share) in ((milestone["digits"]["before"], history[0]), (now(milestone["digits"]["network"]), history[-1])):
        np.testing.assert_allclose(loss, loss_of("digits", named, pixels, labels), rtol=1e-3)
        scores = scores_of("digits", named, pixels)
        assert abs(share - (scores.argmax(axis=1) == labels).mean()) < 0.01
    assert milestone["digits"]["losses"][-1] < milestone["digits"]["losses"][0] / 5


def test_mlp_saw_every_digit_once_an_epoch(milestone, hint):
    """1,259 images in every epoch, each once, and in another order each time."""
    orders = milestone["digits"]["orders"]
    hint("The order is the same in every epoch: draw a new one when an epoch begins.", when=orders[0] == orders[1])
    for order in orders:
        assert sorted(order) == list(range(1259))
    assert len({tuple(order) for order in orders}) == len(orders)


def test_mlp_saves_its_curves(milestone):
    """A plot of the losses lies beside the script."""
    picture = Path(milestone["plot"])
    assert picture.parent == Path(__file__).parent
    assert picture.stat().st_size > 0
