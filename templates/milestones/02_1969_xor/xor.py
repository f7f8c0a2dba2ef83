"""Milestone 02, 1969: what one layer can't do, and two can.

Run it in your workspace: python milestones/02_1969_xor/xor.py

Everything that computes here is yours: Tensor (module 01), ReLU (02), Linear and Sequential (03). README.md tells the
story.
"""
from itertools import product
from pathlib import Path

import numpy as np

from tinytorch import measure
from tinytorch.core.activations import ReLU
from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.tensor import Tensor

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
OR = np.array([0, 1, 1, 1])
XOR = np.array([0, 1, 1, 0])
EPOCHS = 12


def linear(weight, bias):
    """A Linear layer with these weights (out, in) and biases (out,)."""
    weight, bias = np.array(weight, dtype=np.float32), np.array(bias, dtype=np.float32)
    layer = Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": Tensor(weight), "bias": Tensor(bias)})
    return layer


def search():
    """Every threshold unit on a grid of weights and biases, side by side in one layer: 2,366 units, one forward.

    The biases lie halfway between the sums that the weights can make, so that no score is zero.
    """
    weights = np.arange(-3, 3.5, 0.5)  # 13 values
    biases = np.arange(-3.25, 3.5, 0.5)  # 14 values
    settings = np.array(list(product(weights, weights, biases)))
    return linear(settings[:, :2], settings[:, 2])


def perceptron(targets, name):
    """Rosenblatt's rule, as in milestone 01, for EPOCHS epochs.

    Returns the mistakes in each epoch, and the path of the weights (w1, w2, b): zeros, then one entry per input shown.
    """
    layer = linear([[0, 0]], [0])
    mistakes, path = [], [numbers(layer)]
    for epoch in range(1, EPOCHS + 1):
        wrong = 0
        for row, target in zip(INPUTS, targets):
            x = Tensor(row.reshape(1, 2))
            if (layer(x).item() > 0) != bool(target):
                wrong += 1
                if target == 1:
                    layer.load_state_dict({"weight": layer.weight + x, "bias": layer.bias + 1})
                else:
                    layer.load_state_dict({"weight": layer.weight - x, "bias": layer.bias - 1})
            path.append(numbers(layer))
        mistakes.append(wrong)
        print(f"{name:3}  epoch {epoch:2}  mistakes: {wrong} of 4  w1, w2, b = {path[-1]}", flush=True)
    return mistakes, path


def numbers(layer):
    """The three numbers that a unit with two inputs consists of."""
    return (*layer.weight.numpy()[0].tolist(), *layer.bias.numpy().tolist())


def cycle(path):
    """The first two epochs (counted from 0) that begin with the same weights, or None.

    The rule draws no random numbers: from the same weights it goes the same way again, for ever.
    """
    beginnings = path[:: len(INPUTS)]
    for later, weights in enumerate(beginnings):
        if weights in beginnings[:later]:
            return beginnings.index(weights), later
    return None


def run():
    """Show both facts, print, plot, and return what test_xor.py needs to judge them for itself."""
    units = search()
    answers = units(Tensor(INPUTS)).numpy() > 0  # (4, units): a column is what one unit says to the four inputs
    right = (answers == (XOR == 1)[:, None]).sum(axis=0)
    functions = {tuple(column) for column in answers.T.tolist()}
    print(f"{answers.shape[1]:,} single units compute {len(functions)} of the 16 functions of two bits.")
    print(f"The best for XOR is right for {right.max()} of 4 inputs.\n")

    or_mistakes, or_path = perceptron(OR, "OR")
    xor_mistakes, xor_path = perceptron(XOR, "XOR")
    largest = max(np.linalg.norm(weights) for weights in xor_path)
    if found := cycle(xor_path):
        earlier, later = (epoch + 1 for epoch in found)
        print(f"\nXOR: epoch {later} begins with the weights of epoch {earlier}, so it goes round for ever.")
    print(f"The weights for XOR are never longer than {largest:.2f}, and never right.\n")

    # The first hidden unit counts the ones; the second is there only when there are two, and takes them back.
    hidden = linear([[1, 1], [1, 1]], [0, -1])
    output = linear([[1, -2]], [0])
    network = Sequential(hidden, ReLU(), output)
    scores = network(Tensor(INPUTS)).numpy()[:, 0]
    without_relu = Sequential(hidden, output)  # two layers without a bend between them: a straight line again
    flat = without_relu(Tensor(INPUTS)).numpy()[:, 0]

    best = answers[:, right.argmax()].astype(int)
    columns = {"best single unit": best, "two layers, no ReLU": flat, "two layers": scores}
    rows = [
        [f"{row[0]:.0f} xor {row[1]:.0f} = {target}", *values]
        for row, target, *values in zip(INPUTS, XOR, *columns.values())
    ]
    correct = [f"{((values > 0.5) == (XOR == 1)).sum()} of 4" for values in columns.values()]
    measure.table(["", *columns], [*rows, ["right (above 0.5)", *correct]])

    print()
    curves = {"XOR": xor_mistakes, "OR": or_mistakes}
    names = {"title": "One unit learns OR, and never XOR", "x": "epoch", "y": "mistakes of 4"}
    measure.plot(curves, **names)
    picture = measure.save_plot(Path(__file__).with_name("mistakes.png"), curves, **names)
    print(f"\nPlot: {picture}")
    return {
        "units": units,
        "or": {"mistakes": or_mistakes, "path": or_path},
        "xor": {"mistakes": xor_mistakes, "path": xor_path},
        "hidden": hidden,
        "output": output,
        "network": network,
        "without_relu": without_relu,
        "plot": str(picture),
    }


if __name__ == "__main__":
    run()
