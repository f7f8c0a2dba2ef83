"""Tensors, activations and layers together: networks that compute, save, load, and keep their signal alive."""
import math

import numpy as np
import pytest

from tinytorch.core.activations import LogSoftmax, ReLU, Softmax, Tanh
from tinytorch.core.layers import Dropout, Linear, Sequential, kaiming_normal_, normal_
from tinytorch.core.tensor import Tensor


@pytest.fixture(autouse=True)
def seeded(student_side, rng):
    """What the layers draw is fixed by the test's own generator, and so the same at every run."""
    student_side.seed(int(rng.integers(2**31)))


def parameters(net):
    """The numbers of a network in float64."""
    return [p.numpy().astype(float) for p in net.parameters()]


@pytest.mark.exercise("sequential")
def test_mlp_forward(rng):
    """A digit reader in small: two hidden layers, and probabilities at the end, against NumPy in float64."""
    net = Sequential(Linear(20, 16), ReLU(), Linear(16, 12), Tanh(), Linear(12, 5), Softmax(dim=-1))
    x = rng.normal(size=(7, 20)).astype(np.float32)
    w1, b1, w2, b2, w3, b3 = parameters(net)
    scores = np.tanh(np.maximum(x @ w1.T + b1, 0) @ w2.T + b2) @ w3.T + b3
    expected = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    out = net(Tensor(x))
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-4, atol=1e-6)
    assert out.requires_grad is True


@pytest.mark.exercise("sequential")
def test_samples_do_not_see_each_other(rng):
    """What a network says of one input doesn't depend on the others in the batch, in any arrangement."""
    net = Sequential(Linear(6, 9), Tanh(), Linear(9, 4), LogSoftmax(dim=-1))
    x = rng.normal(size=(2, 3, 6)).astype(np.float32)
    w1, b1, w2, b2 = parameters(net)
    together = net(Tensor(x)).numpy()
    assert together.shape == (2, 3, 4)
    for i in range(2):
        for j in range(3):
            alone = net(Tensor(x[i, j])).numpy()
            np.testing.assert_allclose(alone, together[i, j], rtol=1e-4, atol=1e-5)
            scores = np.tanh(x[i, j] @ w1.T + b1) @ w2.T + b2
            np.testing.assert_allclose(alone, scores - np.log(np.exp(scores).sum()), rtol=1e-4, atol=1e-5)


@pytest.mark.exercise("state_dict")
def test_network_saved_and_loaded(student_side, rng):
    """Another network with the loaded state computes the same, and goes on by itself when it is trained."""
    nets = [Sequential(Linear(5, 8), ReLU(), Dropout(0.5), Linear(8, 2)).eval() for _ in range(2)]
    x = Tensor(rng.normal(size=(4, 5)).astype(np.float32))
    first = nets[0](x).numpy()
    assert not np.allclose(nets[1](x).numpy(), first)
    nets[1].load_state_dict(nets[0].state_dict())
    np.testing.assert_array_equal(nets[1](x).numpy(), first)
    student_side.trained(nets[1], 0.1)
    np.testing.assert_array_equal(nets[0](x).numpy(), first)
    assert not np.allclose(nets[1](x).numpy(), first)


@pytest.mark.exercise("linear")
def test_one_seed_fixes_a_network(student_side, rng):
    """Parameters, masks and so outputs are bit-identical for one seed, and differ for two."""
    x = Tensor(rng.normal(size=(4, 5)).astype(np.float32))
    outputs = []
    for number in (1, 1, 2):
        student_side.seed(number)
        outputs.append(Sequential(Linear(5, 30), Dropout(0.5), Linear(30, 2))(x).numpy())
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.allclose(outputs[0], outputs[2])


@pytest.mark.exercise("dropout")
def test_dropout_keeps_the_mean_of_the_next_layer(rng):
    """Averaged over 4,000 masks, a linear layer behind a dropout sees what it sees without one."""
    layer, dropout = Linear(10, 1), Dropout(0.3)
    x = rng.uniform(1, 2, size=(1, 10)).astype(np.float32)
    w, b = parameters(layer)
    many = layer(dropout(Tensor(np.repeat(x, 4000, axis=0)))).numpy()
    spread = np.sqrt((0.3 / 0.7 * (x * w) ** 2).sum() / 4000)  # sigma of the average
    assert abs(many.mean() - (x @ w.T + b).item()) < 7 * spread
    np.testing.assert_allclose(layer(dropout.eval()(Tensor(x))).numpy(), x @ w.T + b, rtol=1e-4, atol=1e-5)


@pytest.mark.exercise("init_fill")
def test_kaiming_keeps_the_signal_alive(rng):
    """Through twenty layers of 256 with ReLU, the mean square stays near 1; with weights half as large it is gone."""
    x = rng.normal(size=(64, 256)).astype(np.float32)
    squares = []
    for fill in (lambda w: kaiming_normal_(w, nonlinearity="relu"), lambda w: normal_(w, 0.0, math.sqrt(2 / 256) / 2)):
        signal, layer, relu = Tensor(x), Linear(256, 256, bias=False), ReLU()
        for _ in range(20):
            fill(layer.weight)
            signal = relu(layer(signal))
        squares.append(float((signal.numpy().astype(float) ** 2).mean()))
    assert 0.02 < squares[0] < 50
    assert 0.02 < squares[1] * 4**20 < 50


@pytest.mark.exercise("parameter_tree")
def test_counts_of_a_network(rng):
    """By hand: 4·6 + 6, 6·6 + 6 for the layer that stands at two places, and 6·2 + 2 make 86 numbers."""
    shared = Linear(6, 6)
    net = Sequential(Linear(4, 6), shared, ReLU(), shared, Linear(6, 2))
    assert sum(p.size for p in net.parameters()) == 86
    normal_(shared.bias, 100.0, 0.1)
    out = net[:4](Tensor(rng.normal(size=(1, 4)).astype(np.float32))).numpy()
    w1, b1, w2, b2, _, _ = parameters(net)
    assert (b2 > 90).all() and out.shape == (1, 6) and w1.shape == (6, 4) and w2.shape == (6, 6)
