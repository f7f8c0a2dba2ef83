"""Sequential calls its layers one after the other, and names them by their numbers."""
import numpy as np
import pytest

from tinytorch.core.activations import ReLU
from tinytorch.core.layers import Dropout, Linear, Sequential
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("sequential")

NOT_KEPT = "The layers are not where the tree and `for layer in self` look: setattr(self, str(i), layer)."
FIRST_INPUT = "Each layer was given the first input: the output of one layer is the input of the next."


@pytest.fixture(autouse=True)
def seeded(student_side, rng):
    """What the layers draw is fixed by the test's own generator, and so the same at every run."""
    student_side.seed(int(rng.integers(2**31)))


def test_sequential_by_hand(student_side, hint):
    """3 doubled is 6, plus one 7; the other way round, 4 doubled is 8."""
    x = Tensor([3.0])
    out = Sequential(student_side.double, student_side.increment)(x).item()
    hint(NOT_KEPT, when=out == 3)
    hint(FIRST_INPUT, when=out == 4)
    assert out == 7
    assert Sequential(student_side.increment, student_side.double)(x).item() == 8


def test_sequential_of_layers(rng, hint):
    """Linear, ReLU, Linear against NumPy."""
    net = Sequential(Linear(4, 8), ReLU(), Linear(8, 3))
    hint(NOT_KEPT, when=len(net) == 0)
    assert len(net) == 3
    x = rng.normal(size=(5, 4)).astype(np.float32)
    w1, b1, w2, b2 = (tensor.numpy() for i in (0, 2) for tensor in (net[i].weight, net[i].bias))
    np.testing.assert_allclose(net(Tensor(x)).numpy(), np.maximum(x @ w1.T + b1, 0) @ w2.T + b2, rtol=1e-4, atol=1e-5)


def test_sequential_names_its_parameters(rng, hint):
    """By the numbers of the layers: 1 is the ReLU, which has none. A chain in a chain has two numbers."""
    net = Sequential(Linear(4, 8), ReLU(), Sequential(Linear(8, 3, bias=False)))
    found = [(str(name), p.shape) for name, p in net.named_parameters()]
    hint(NOT_KEPT, when=len(found) == 0)
    assert found == [("0.weight", (8, 4)), ("0.bias", (8,)), ("2.0.weight", (3, 8))]
    x = rng.normal(size=4).astype(np.float32)
    w, b, v = (p.numpy() for p in net.parameters())
    np.testing.assert_allclose(net(Tensor(x)).numpy(), np.maximum(x @ w.T + b, 0) @ v.T, rtol=1e-4, atol=1e-5)


def test_sequential_is_indexed(student_side, rng):
    """Layers by number, also from the end; a slice is a chain of the same layers; iteration has them in order."""
    net = Sequential(student_side.double, student_side.increment, student_side.double)
    value = float(rng.uniform(1, 2))
    x = Tensor(np.array([value]))
    assert len(net) == 3
    assert [net[i](x).item() for i in (0, 1, -1, -2)] == pytest.approx([2 * value, value + 1, 2 * value, value + 1])
    assert [layer(x).item() for layer in net] == pytest.approx([2 * value, value + 1, 2 * value])
    assert len(net[:2]) == 2
    assert net[:2](x).item() == pytest.approx(2 * value + 1)
    assert net[1:](x).item() == pytest.approx(2 * (value + 1))
    with pytest.raises(IndexError, match="range"):
        net[3]


def test_sequential_can_be_changed(student_side, rng):
    """A layer that is replaced by name is replaced in the chain: the chain has no second list of its layers."""
    net = Sequential(student_side.double, student_side.double)
    value = float(rng.uniform(1, 2))
    student_side.set_attribute(net, "0", student_side.increment)
    assert net(Tensor(np.array([value]))).item() == pytest.approx(2 * (value + 1))


def test_sequential_switches_its_layers(rng):
    """eval() reaches a dropout in a chain in a chain."""
    net = Sequential(ReLU(), Sequential(Dropout(0.5)))
    x = rng.uniform(1, 2, size=200).astype(np.float32)
    assert (net(Tensor(x)).numpy() == 0).any()
    np.testing.assert_array_equal(net.eval()(Tensor(x)).numpy(), x)
    assert (net.train()(Tensor(x)).numpy() == 0).any()


def test_sequential_with_one_layer_twice(rng):
    """A layer that stands in the chain twice is called twice and has its parameters once."""
    layer = Linear(3, 3)
    net = Sequential(layer, layer)
    assert [str(name) for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    assert [str(name) for name in net.state_dict()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    x, w, b = rng.normal(size=(2, 3)).astype(np.float32), layer.weight.numpy(), layer.bias.numpy()
    np.testing.assert_allclose(net(Tensor(x)).numpy(), (x @ w.T + b) @ w.T + b, rtol=1e-4, atol=1e-5)


def test_sequential_without_layers(student_side, rng):
    """Returns its input; with a layer it doesn't."""
    x = rng.normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_array_equal(Sequential()(Tensor(x)).numpy(), x)
    assert len(Sequential()) == 0
    np.testing.assert_array_equal(Sequential(student_side.double)(Tensor(x)).numpy(), 2 * x)


@pytest.mark.parametrize("slip", ["class", "list", "number"])
def test_sequential_refuses_what_is_no_layer(student_side, rng, slip):
    """A class, a list of layers or a number is a TypeError with the number of the layer."""
    wrong = {"class": ReLU, "list": [ReLU()], "number": 3}[slip]
    with pytest.raises(TypeError, match="1"):
        Sequential(student_side.double, wrong)
    with pytest.raises(TypeError, match="0"):
        Sequential(wrong)
    x = rng.normal(size=3).astype(np.float32)
    np.testing.assert_array_equal(Sequential(student_side.double, ReLU())(Tensor(x)).numpy(), np.maximum(2 * x, 0))


def test_sequential_is_drawn_as_in_pytorch(hint):
    """One line a layer, and a chain in a chain is indented."""
    net = Sequential(Linear(2, 3), ReLU(), Sequential(Linear(3, 1, bias=False)))
    hint(NOT_KEPT, when=str(net) == "Sequential()")
    assert str(net).split("\n") == [
        "Sequential(",
        "  (0): Linear(in_features=2, out_features=3, bias=True)",
        "  (1): ReLU()",
        "  (2): Sequential(",
        "    (0): Linear(in_features=3, out_features=1, bias=False)",
        "  )",
        ")",
    ]
