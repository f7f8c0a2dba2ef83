"""Milestone 03, 1986: backpropagation finds the weights that nobody could find by hand.

Run it in your workspace: python milestones/03_1986_mlp/mlp.py

Everything that learns here is yours: Tensor (module 01), Tanh and ReLU (02), Linear, Dropout and Sequential (03), the
losses (04), DataLoader (05), backward (06) and SGD (07). README.md tells the story.
"""
from pathlib import Path

import numpy as np

from tinytorch import datasets, measure, random
from tinytorch.core.activations import ReLU, Tanh
from tinytorch.core.autograd import no_grad
from tinytorch.core.dataloader import DataLoader, TensorDataset
from tinytorch.core.layers import Dropout, Linear, Sequential
from tinytorch.core.losses import BCEWithLogitsLoss, CrossEntropyLoss
from tinytorch.core.optimizers import SGD
from tinytorch.core.tensor import Tensor

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
XOR = np.array([[0], [1], [1], [0]], dtype=np.float32)
XOR_RATE, XOR_EPOCHS = 0.3, 300
RATE, EPOCHS = 0.1, 30


def split():
    """The digits to learn from: pixels (N, 64), float32 in [0, 1], and labels (N,), int64.

    Every fifth image is left out: test_mlp.py examines the network on those 359. Of the rest, every eighth is for
    validation, 179 images, and 1,259 are for training. Returns the pairs for training and for validation.
    """
    digits = datasets.load("digits")
    pixels = digits.images.reshape(-1, 64).astype(np.float32) / 16
    seen = np.flatnonzero(np.arange(len(pixels)) % 5 != 4)
    validation = np.arange(len(seen)) % 8 == 7
    return [(pixels[part], digits.labels[part]) for part in (seen[~validation], seen[validation])]


def copied(network):
    """The numbers of a network as they are now, by name."""
    return {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}


def learn_xor():
    """Two layers from random weights, all four examples in every step.

    Returns the network, the loss before each step, and the weights at the start, after one step, and at the end.
    """
    network = Sequential(Linear(2, 8), Tanh(), Linear(8, 1))
    loss_fn, optimizer = BCEWithLogitsLoss(), SGD(network.parameters(), lr=XOR_RATE, momentum=0.9)
    weights, losses = [copied(network)], []
    for epoch in range(1, XOR_EPOCHS + 1):
        optimizer.zero_grad()
        loss = loss_fn(network(Tensor(INPUTS)), Tensor(XOR))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if epoch in (1, XOR_EPOCHS):
            weights.append(copied(network))
        if epoch == 1 or epoch % 60 == 0:
            print(f"XOR     epoch {epoch:3}  loss {losses[-1]:.4f}", flush=True)
    return {"network": network, "losses": losses, "weights": weights}


def digit_reader():
    """64 pixels, of which a tenth is hidden in training, one layer of 64 units, and ten scores: 4,810 weights."""
    return Sequential(Dropout(0.1), Linear(64, 64), ReLU(), Linear(64, 10))


def examine(network, pixels, labels):
    """The loss on these images, and the share of them that get the highest score for the right digit."""
    network.eval()
    with no_grad():
        scores = network(Tensor(pixels))
        loss = CrossEntropyLoss()(scores, Tensor(labels)).item()
    network.train()
    return loss, float((scores.numpy().argmax(axis=1) == labels).mean())


def learn_digits():
    """Batches of 32 in a new order each epoch, with steps that get shorter. Returns what the tests judge it by."""
    (pixels, labels), exam = split()
    numbers = np.arange(len(pixels))  # so that it can be told afterwards which images came when
    loader = DataLoader(TensorDataset(Tensor(pixels), Tensor(labels), Tensor(numbers)), batch_size=32, shuffle=True)
    network = digit_reader()
    loss_fn, optimizer = CrossEntropyLoss(), SGD(network.parameters(), lr=RATE, momentum=0.9)
    before, history, orders = copied(network), [examine(network, *exam)], []
    print(f"digits  untrained  validation {history[0][0]:.4f}  right {history[0][1]:6.1%}", flush=True)
    losses = []
    for epoch in range(1, EPOCHS + 1):
        optimizer.param_groups[0]["lr"] = RATE * (1 - (epoch - 1) / EPOCHS)
        total, order = 0.0, []
        for batch, target, numbers in loader:
            optimizer.zero_grad()
            loss = loss_fn(network(batch), target)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
            order += numbers.numpy().tolist()
        losses.append(total / len(pixels))
        orders.append(order)
        history.append(examine(network, *exam))
        line = f"train {losses[-1]:.4f}  validation {history[-1][0]:.4f}  right {history[-1][1]:6.1%}"
        print(f"digits  epoch {epoch:3}  {line}", flush=True)
    network.eval()
    return {"network": network, "before": before, "losses": losses, "history": history, "orders": orders}


def run():
    """Learn both, print, plot, and return what test_mlp.py needs to judge them for itself."""
    random.manual_seed(1986)
    xor = learn_xor()
    print()
    digits = learn_digits()

    scores = xor["network"](Tensor(INPUTS)).numpy()
    (loss, share), (last_loss, last_share) = digits["history"][0], digits["history"][-1]
    rows = [
        ["XOR: loss", xor["losses"][0], xor["losses"][-1]],
        ["XOR: right", "", f"{((scores > 0) == (XOR == 1)).sum()} of 4"],
        ["digits: validation loss", loss, last_loss],
        ["digits: right", f"{share:.1%}", f"{last_share:.1%}"],
    ]
    print()
    measure.table(["", "before", "after"], rows)

    print()
    curves = {"train": digits["losses"], "validation": [loss for loss, _ in digits["history"][1:]]}
    names = {"title": "Handwritten digits", "x": "epoch", "y": "cross-entropy"}
    measure.plot(curves, **names)
    picture = measure.save_plot(Path(__file__).with_name("losses.png"), curves, **names)
    print(f"\nPlot: {picture}")
    return {"xor": xor, "digits": digits, "plot": str(picture)}


if __name__ == "__main__":
    run()
