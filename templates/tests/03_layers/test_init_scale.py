"""Fans count what a neuron sums over; the standard deviations of Kaiming and Xavier follow from them."""
import math

import numpy as np
import pytest

from tinytorch.core.layers import fans, kaiming_std, xavier_std
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("init_scale")

EXCHANGED = "The two are exchanged: fan_in comes from shape[1], since a weight has the shape (out, in)."
NO_KERNEL = "A kernel sums over in·height·width products: multiply both fans by the number of positions, here 25."
VARIANCE = "That is the variance, gain² / fan: the standard deviation is its square root, gain / √fan."
SQUARE = "That is 2 / (fan_in + fan_out), the variance: Xavier's standard deviation is its square root."
SUM = "Xavier's method takes the mean of the fans, their sum over 2, so that a 2 stands above the sum."


def weight(*shape):
    return Tensor(np.zeros(shape, dtype=np.float32))


def fans_of(tensor):
    fan_in, fan_out = fans(tensor)
    return int(fan_in), int(fan_out)


def test_fans_of_a_linear_weight(rng, hint):
    """A weight (out, in): each output sums over `in` inputs, each input reaches `out` outputs."""
    outputs, inputs = 2 + rng.permutation(50)[:2]
    got = fans_of(weight(outputs, inputs))
    hint(EXCHANGED, when=got == (outputs, inputs))
    assert got == (inputs, outputs)


def test_fans_of_a_kernel(rng, hint):
    """By hand: a kernel (8, 3, 5, 5) sums over 3·25 = 75 products, and each input reaches 8·25 = 200 outputs."""
    got = fans_of(weight(8, 3, 5, 5))
    hint(NO_KERNEL, when=got == (3, 8))
    hint(EXCHANGED, when=got == (200, 75))
    assert got == (75, 200)
    a, b, c, d, e = (int(n) for n in rng.integers(2, 6, size=5))
    assert fans_of(weight(a, b, c, d, e)) == (b * c * d * e, a * c * d * e)
    assert fans_of(weight(a, b, c)) == (b * c, a * c)


def test_fans_of_a_bias():
    """A bias has no fans; a weight with one output has."""
    assert fans_of(weight(1, 9)) == (9, 1)
    with pytest.raises(ValueError, match=r"\(7,\)"):
        fans(weight(7))


def test_kaiming_std_by_hand(hint):
    """256 inputs and a ReLU: √2 / √256 = 0.0884."""
    got = float(kaiming_std(weight(128, 256), nonlinearity="relu"))
    hint(VARIANCE, when=math.isclose(got, 2 / 256, rel_tol=1e-6))
    assert got == pytest.approx(0.0883883, rel=1e-5)


CASES = [
    ({}, 2.0), ({"a": 1.0}, 1.0), ({"a": math.sqrt(5)}, 1 / 3), ({"nonlinearity": "relu"}, 2.0),
    ({"nonlinearity": "tanh"}, 25 / 9), ({"nonlinearity": "linear", "a": 3.0}, 1.0),
]
GAINS = ["default", "slope-1", "slope-root-5", "relu", "tanh", "linear"]


@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize(("options", "squared"), CASES, ids=GAINS)
def test_kaiming_std_of_every_gain(rng, options, squared, mode):
    """The square of gain / √fan is gain² / fan, with the fan that `mode` names."""
    outputs, inputs = 3 + rng.permutation(60)[:2]
    tensor, fan = weight(outputs, inputs), inputs if mode == "fan_in" else outputs
    assert float(kaiming_std(tensor, mode=mode, **options)) ** 2 == pytest.approx(squared / fan, rel=1e-6)


def test_kaiming_std_refuses_what_it_does_not_know(rng):
    """A misspelt mode or nonlinearity is a ValueError that shows it. The default mode is fan_in."""
    outputs, inputs = 3 + rng.permutation(60)[:2]
    tensor = weight(outputs, inputs)
    assert float(kaiming_std(tensor)) == pytest.approx(math.sqrt(2 / inputs), rel=1e-6)
    with pytest.raises(ValueError, match="fan_max"):
        kaiming_std(tensor, mode="fan_max")
    with pytest.raises(ValueError, match="rellu"):
        kaiming_std(tensor, nonlinearity="rellu")


def test_xavier_std_by_hand(rng, hint):
    """Fans 30 and 20: √(2 / 50) = 0.2; a gain multiplies."""
    got = float(xavier_std(weight(20, 30)))
    hint(SQUARE, when=math.isclose(got, 0.04, rel_tol=1e-6))
    hint(SUM, when=math.isclose(got, math.sqrt(1 / 50), rel_tol=1e-6))
    assert got == pytest.approx(0.2, rel=1e-6)
    a, b, gain = *(2 + rng.permutation(50)[:2]), rng.uniform(0.5, 3)
    assert float(xavier_std(weight(a, b), gain)) == pytest.approx(gain * math.sqrt(2 / (a + b)), rel=1e-6)
    assert float(xavier_std(weight(b, a), gain=gain)) == pytest.approx(gain * math.sqrt(2 / (a + b)), rel=1e-6)
