"""Did the perceptron learn? Judged from the layer that it left behind, not from what it printed.

Every score is computed a second time, in NumPy, from the weights that the layer shows.
"""
from pathlib import Path

import numpy as np
import pytest

from tinytorch.core.tensor import Tensor


@pytest.fixture(scope="module")
def weights(milestone):
    """What the layer learned, as plain float64: weight (2,) and bias."""
    layer = milestone["layer"]
    return layer.weight.numpy().astype(np.float64).reshape(2), float(layer.bias.numpy().reshape(()))


def unseen_points(milestone, rng, label, count=200):
    """Points that the script never saw: weighted means of three examples of one class.

    A line that separates the examples separates these too, whichever line it is.
    """
    examples = milestone["points"][milestone["labels"] == label]
    shares = rng.dirichlet(np.ones(3), size=count)  # (count, 3), each row positive and summing to 1
    return np.einsum("ns,nsd->nd", shares, examples[rng.integers(len(examples), size=(count, 3))]).astype(np.float32)


def test_perceptron_learns_the_separable_set(milestone, weights):
    """100 %: the scores of all examples have the right sign, the layer's own and those recomputed from its weights."""
    weight, bias = weights
    points, fires = milestone["points"], milestone["labels"] == 1
    np.testing.assert_array_equal(points @ weight + bias > 0, fires)
    np.testing.assert_array_equal(milestone["layer"](Tensor(points)).numpy()[:, 0] > 0, fires)


@pytest.mark.parametrize("label", [0, 1], ids=["class_0", "class_1"])
def test_perceptron_separates_points_it_never_saw(milestone, rng, label):
    """Means of examples of one class, and the layer's own raw scores of them: every one on the right side."""
    scores = milestone["layer"](Tensor(unseen_points(milestone, rng, label))).numpy()
    np.testing.assert_array_equal(scores > 0, np.full((200, 1), label == 1))


def test_perceptron_boundary_is_the_weights(milestone, weights, rng, hint):
    """Anywhere in the plane the score is w1 x1 + w2 x2 + b, with the weights that the layer shows."""
    weight, bias = weights
    points = rng.uniform(-10, 10, size=(100, 2)).astype(np.float32)
    scores = milestone["layer"](Tensor(points)).numpy()
    biasless = np.allclose(scores, (points @ weight)[:, None])
    hint("Linear's output is x @ weight.T + bias. Its bias is missing here.", when=biasless)
    np.testing.assert_allclose(scores, (points @ weight + bias)[:, None], rtol=1e-4, atol=1e-4)


def test_perceptron_weights_are_the_sum_of_its_corrections(milestone, weights, hint):
    """From zero, each correction added its example (label 1) or subtracted it (label 0): the weights are their sum."""
    corrected = milestone["corrected"]
    signs = np.where(milestone["labels"][corrected] == 1, 1.0, -1.0)
    examples = milestone["points"][corrected].astype(np.float64)
    weight, bias = weights
    hint("Zeros were loaded, and the weights were others: does load_state_dict write?", when=milestone["start"].any())
    np.testing.assert_array_equal(milestone["start"], [[0, 0]])
    np.testing.assert_allclose(weight, signs @ examples, rtol=1e-4, atol=1e-3)
    assert bias == signs.sum()


def test_perceptron_made_mistakes_and_then_none(milestone):
    """It had to learn: mistakes in the first epoch, none in the last, and each one was a correction."""
    mistakes = milestone["mistakes"]
    assert mistakes[0] > 0 and mistakes[-1] == 0
    assert sum(mistakes) == len(milestone["corrected"])


def test_perceptron_needs_no_more_corrections_than_novikoff_allows(milestone):
    """At most (R / margin)^2, for any line that separates the classes: here the one halfway between the centres."""
    signs = np.where(milestone["labels"] == 1, 1.0, -1.0)
    examples = np.column_stack([milestone["points"], np.ones(100)])  # the bias is the weight of a constant 1
    line = np.array([1.5, 2.0, -(1.5 * 1.75 + 2.0 * 4.0)])
    margin = (signs * (examples @ line)).min() / np.linalg.norm(line)
    bound = (examples**2).sum(axis=1).max() / margin**2
    assert 0 < margin and bound < 12_000  # as the README says
    assert 0 < len(milestone["corrected"]) <= bound
    assert milestone["mistakes"][-1] == 0  # and it stopped for want of mistakes


def test_perceptron_examples_are_the_two_discs(milestone):
    """The data is as the README describes it: 50 points in each of two discs of radius 1, 2.5 apart."""
    points, labels = milestone["points"], milestone["labels"]
    assert np.bincount(labels).tolist() == [50, 50]
    centres = np.array([[1.0, 3.0], [2.5, 5.0]])[labels]
    assert (np.linalg.norm(points - centres, axis=1) <= 1 + 1e-5).all()
    assert len(np.unique(points, axis=0)) == 100
    assert milestone["layer"].weight.numpy().any()  # and a layer learned from it


def test_perceptron_sigmoid_agrees_with_the_threshold(milestone, rng):
    """The sigmoid of a score is 1 / (1 + e^-score): above one half exactly where the unit fires."""
    scores = milestone["layer"](Tensor(rng.uniform(0, 6, size=(100, 2)).astype(np.float32)))
    probability, z = milestone["sigmoid"](scores).numpy(), scores.numpy().astype(np.float64)
    np.testing.assert_allclose(probability, np.exp(-np.logaddexp(0, -z)), rtol=1e-4)
    sure = np.abs(z) > 1e-3  # nearer to zero float32 may round the probability to one half
    np.testing.assert_array_equal(probability[sure] > 0.5, z[sure] > 0)


def test_perceptron_saves_its_curve(milestone):
    """A plot of the mistakes in each epoch lies beside the script."""
    picture = Path(milestone["plot"])
    assert picture.parent == Path(__file__).parent
    assert picture.stat().st_size > 0
