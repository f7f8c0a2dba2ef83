"""Both facts of 1969, judged from the layers that the script left behind, not from what it printed.

Every score is computed a second time, in NumPy, from the weights that the layers show.
"""
from pathlib import Path

import numpy as np
import pytest

from tinytorch.core.tensor import Tensor

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
OR, XOR = (0, 1, 1, 1), (0, 1, 1, 0)


def weights_of(layer):
    """A layer's weights (out, in) and biases (out,), as plain float64."""
    return layer.weight.numpy().astype(np.float64), layer.bias.numpy().astype(np.float64)


def two_layers(milestone, points, bend):
    """The network computed again in NumPy: points (B, 2) -> scores (B, 1), with `bend` between the layers."""
    (w1, b1), (w2, b2) = weights_of(milestone["hidden"]), weights_of(milestone["output"])
    return bend(points @ w1.T + b1) @ w2.T + b2


def rosenblatt(targets, epochs):
    """The rule in plain Python: the path of (w1, w2, b), and the mistakes in each epoch."""
    w1 = w2 = b = 0.0
    path, mistakes = [(w1, w2, b)], []
    for _ in range(epochs):
        wrong = 0
        for (x1, x2), target in zip(INPUTS.tolist(), targets):
            error = target - (w1 * x1 + w2 * x2 + b > 0)
            w1, w2, b = w1 + error * x1, w2 + error * x2, b + error
            wrong += error != 0
            path.append((w1, w2, b))
        mistakes.append(wrong)
    return path, mistakes


def test_xor_single_units_are_their_weights(milestone, rng, hint):
    """Each of the units in the search scores w1 x1 + w2 x2 + b, anywhere in the plane."""
    weight, bias = weights_of(milestone["units"])
    points = rng.uniform(-2, 2, size=(20, 2)).astype(np.float32)
    scores = milestone["units"](Tensor(points)).numpy()
    biasless = np.allclose(scores, points @ weight.T)
    hint("Linear's output is x @ weight.T + bias. Its bias is missing here.", when=biasless)
    np.testing.assert_allclose(scores, points @ weight.T + bias, rtol=1e-4, atol=1e-5)


def test_xor_no_single_unit_computes_it(milestone):
    """Of more than a thousand different units the best is right for three inputs of four: 75 %."""
    weight, bias = weights_of(milestone["units"])
    assert len(np.unique(np.column_stack([weight, bias]), axis=0)) > 1000
    fires = milestone["units"](Tensor(INPUTS)).numpy() > 0
    np.testing.assert_array_equal(fires, INPUTS @ weight.T + bias > 0)
    assert (fires == np.array(XOR, dtype=bool)[:, None]).mean(axis=0).max() == 0.75


def test_xor_single_units_compute_everything_else(milestone):
    """The search was a fair one: it finds 14 of the 16 functions of two bits, all but XOR and its opposite."""
    fires = milestone["units"](Tensor(INPUTS)).numpy() > 0
    found = {tuple(column) for column in fires.T.astype(int).tolist()}
    every = {tuple(int(bit) for bit in f"{number:04b}") for number in range(16)}
    assert every - found == {(0, 1, 1, 0), (1, 0, 0, 1)}


@pytest.mark.parametrize(("name", "targets"), [("or", OR), ("xor", XOR)], ids=["OR", "XOR"])
def test_xor_perceptron_follows_rosenblatts_rule(milestone, name, targets):
    """From zero, through your Linear and your Tensor's + and -, the weights take the path that plain Python takes."""
    path, mistakes = rosenblatt(targets, epochs=len(milestone[name]["mistakes"]))
    np.testing.assert_array_equal(milestone[name]["path"], path)
    assert milestone[name]["mistakes"] == mistakes


def test_xor_perceptron_learns_or(milestone):
    """The control: on OR, which a line separates, the same rule ends without mistakes, at weights that compute OR."""
    assert milestone["or"]["mistakes"][-1] == 0
    w1, w2, b = milestone["or"]["path"][-1]
    np.testing.assert_array_equal(INPUTS @ [w1, w2] + b > 0, np.array(OR) == 1)


def test_xor_perceptron_goes_round_for_ever(milestone):
    """On XOR every epoch has a mistake, and one begins with the weights of an earlier one: from there it repeats.

    Until then, and so for ever, the weights stay inside a small ball: the perceptron cycling theorem, measured.
    """
    assert min(milestone["xor"]["mistakes"]) > 0
    beginnings = [tuple(weights) for weights in milestone["xor"]["path"][::4]]
    assert len(set(beginnings)) < len(beginnings)
    assert 0 < np.linalg.norm(milestone["xor"]["path"], axis=1).max() < 3


def test_xor_two_layers_compute_it(milestone, hint):
    """100 %: the network's raw scores for the four inputs are 0, 1, 1, 0, as the same weights give in NumPy."""
    scores = milestone["network"](Tensor(INPUTS)).numpy()
    hint(
        "The scores are those without a bend between the layers: does ReLU turn negative numbers into 0?",
        when=np.allclose(scores, two_layers(milestone, INPUTS, bend=lambda h: h)),
    )
    np.testing.assert_allclose(scores, [[0], [1], [1], [0]], atol=1e-5)
    np.testing.assert_allclose(two_layers(milestone, INPUTS, bend=lambda h: np.maximum(h, 0)), scores, atol=1e-5)


def test_xor_two_layers_are_their_weights(milestone, rng):
    """Anywhere in the plane the network is Linear, ReLU, Linear, with the weights that the two layers show."""
    points = rng.uniform(-3, 3, size=(200, 2)).astype(np.float32)
    expected = two_layers(milestone, points, bend=lambda h: np.maximum(h, 0))
    np.testing.assert_allclose(milestone["network"](Tensor(points)).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_xor_two_layers_forgive_noise(milestone, rng):
    """Inputs that the script never saw, up to 0.2 away from a corner in each direction: still right, every one."""
    corner = rng.integers(4, size=400)
    points = INPUTS[corner] + rng.uniform(-0.2, 0.2, size=(400, 2)).astype(np.float32)
    scores = milestone["network"](Tensor(points)).numpy()[:, 0]
    np.testing.assert_array_equal(scores > 0.5, np.array(XOR)[corner] == 1)


def test_xor_two_layers_without_a_bend_are_one(milestone, rng):
    """Without the ReLU, opposite corners of any rectangle have equal sums, as on any plane: so XOR is out of reach."""
    x, y = rng.uniform(-2, 2, size=(2, 50, 2)).astype(np.float32)  # one corner of each rectangle, and the opposite one
    flat = milestone["without_relu"]
    a, b = flat(Tensor(x)).numpy(), flat(Tensor(y)).numpy()
    c, d = (flat(Tensor(np.stack(pair, axis=1))).numpy() for pair in ((x[:, 0], y[:, 1]), (y[:, 0], x[:, 1])))
    np.testing.assert_allclose(a + b, c + d, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(a, two_layers(milestone, x, bend=lambda h: h), rtol=1e-4, atol=1e-5)


def test_xor_saves_its_curves(milestone):
    """A plot of the mistakes in each epoch lies beside the script."""
    picture = Path(milestone["plot"])
    assert picture.parent == Path(__file__).parent
    assert picture.stat().st_size > 0
