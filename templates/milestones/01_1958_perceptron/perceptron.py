"""Milestone 01, 1958: a machine that learns from its mistakes.

Run it in your workspace: python milestones/01_1958_perceptron/perceptron.py

Everything that computes here is yours: Tensor (module 01), Sigmoid (02) and Linear (03). README.md tells the story.
"""
from pathlib import Path

import numpy as np

from tinytorch import measure
from tinytorch.core.activations import Sigmoid
from tinytorch.core.layers import Linear
from tinytorch.core.tensor import Tensor

CENTRES = np.array([[1.0, 3.0], [2.5, 5.0]])  # of class 0 and of class 1, 2.5 apart
EPOCHS = 100  # an honest framework needs fewer than 10; a broken one would go on for ever


def clusters(count=100):
    """Points of two discs of radius 1 with a gap of 0.5 between them, so that a line can separate them.

    Returns points (count, 2), float32, and labels (count,), 0 or 1, half of each, shuffled; the same in every run.
    """
    rng = np.random.default_rng(1958)
    labels = rng.permutation(np.arange(count) % 2)
    radius = np.sqrt(rng.random(count))  # the root spreads the points evenly over the disc
    angle = 2 * np.pi * rng.random(count)
    points = CENTRES[labels] + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return points.astype(np.float32), labels


def fires(layer, x):
    """Whether the weighted sum of one input x (1, 2) is positive: Rosenblatt's threshold unit."""
    return layer(x).item() > 0


def correct(layer, x, label):
    """Rosenblatt's rule: a unit that should have fired adds x to its weights, one that should not have subtracts it.

    Either way the score of x moves in the right direction, by exactly |x|^2 + 1.
    """
    if label == 1:
        layer.load_state_dict({"weight": layer.weight + x, "bias": layer.bias + 1})
    else:
        layer.load_state_dict({"weight": layer.weight - x, "bias": layer.bias - 1})


def train(layer, points, labels):
    """Show the examples again and again, and correct each mistake at once, until an epoch has none.

    Returns the number of mistakes in each epoch, and the examples that were corrected, in order.
    """
    mistakes, corrected = [], []
    for epoch in range(1, EPOCHS + 1):
        before = len(corrected)
        for i, (point, label) in enumerate(zip(points, labels)):
            x = Tensor(point.reshape(1, 2))
            if fires(layer, x) != bool(label):
                correct(layer, x, label)
                corrected.append(i)
        mistakes.append(len(corrected) - before)
        print(f"epoch {epoch:3}: {mistakes[-1]:3} mistakes   boundary: {boundary(layer)}", flush=True)
        if mistakes[-1] == 0:
            break
    return mistakes, corrected


def boundary(layer):
    """The line on which the unit hesitates, as text."""
    (w1, w2), (b,) = layer.weight.numpy()[0], layer.bias.numpy()
    return f"{w1:+.2f} x1 {w2:+.2f} x2 {b:+.2f} = 0"


def judged(layer, points, labels):
    """What a layer makes of all points: how many it gets right, and the mean probability that it gives to the truth."""
    scores = layer(Tensor(points))  # (B, 1)
    probability = Sigmoid()(scores).numpy()[:, 0]  # of class 1: the threshold, made smooth
    right = (scores.numpy()[:, 0] > 0) == (labels == 1)
    return int(right.sum()), float(np.where(labels == 1, probability, 1 - probability).mean())


def run():
    """Train, print, plot, and return what test_perceptron.py needs to judge the result for itself."""
    points, labels = clusters()
    layer = Linear(2, 1)  # two weights and a bias: three numbers to learn
    layer.load_state_dict({"weight": Tensor(np.zeros((1, 2), np.float32)), "bias": Tensor(np.zeros(1, np.float32))})
    start = layer.weight.numpy().copy()

    right_before, probability_before = judged(layer, points, labels)
    mistakes, corrected = train(layer, points, labels)
    right_after, probability_after = judged(layer, points, labels)

    print()
    measure.table(
        ["", "before", "after"],
        [
            ["right answers", f"{right_before} of {len(points)}", f"{right_after} of {len(points)}"],
            ["probability of the right class", probability_before, probability_after],
            ["corrections made", 0, len(corrected)],
        ],
    )
    print()
    curve, names = {"mistakes": mistakes}, {"title": "The perceptron learns", "x": "epoch", "y": "mistakes"}
    measure.plot(curve, **names)
    picture = measure.save_plot(Path(__file__).with_name("mistakes.png"), curve, **names)
    print(f"\nPlot: {picture}")
    return {
        "points": points,
        "labels": labels,
        "start": start,  # the weights before the first example
        "layer": layer,
        "sigmoid": Sigmoid(),
        "mistakes": mistakes,  # in each epoch
        "corrected": corrected,  # positions of the examples that were corrected, in order
        "plot": str(picture),
    }


if __name__ == "__main__":
    run()
