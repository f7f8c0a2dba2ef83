"""What has to run beside your code: modules that derive from yours, seeds, and looks at memory."""
import numpy as np

from tinytorch import random
from tinytorch.core.layers import Linear, Module, Parameter
from tinytorch.core.tensor import Tensor


class Affine(Module):
    """x * scale + shift."""

    def __init__(self, scale, shift):
        super().__init__()
        self.scale = Parameter(scale)
        self.shift = Parameter(shift)

    def forward(self, x):
        return x * self.scale + self.shift


class Pair(Module):
    """Two modules and a parameter of its own, which is assigned last and listed first."""

    def __init__(self, first, second, gain):
        super().__init__()
        self.first = first
        self.second = second
        self.gain = Parameter(gain)

    def forward(self, x):
        return self.second(self.first(x)) * self.gain


class Running(Module):
    """A weight, a buffer registered before it and one after it, and a tensor that is neither."""

    def __init__(self, mean, weight, count):
        super().__init__()
        self.register_buffer("mean", Tensor(mean))
        self.weight = Parameter(weight)
        self.register_buffer("count", Tensor(count))
        self.scratch = Tensor(weight)
        self.steps = 3


class Frozen(Affine):
    """Stays in evaluation, whatever the network around it does."""

    def train(self, mode=True):
        return super().train(False)


class Mode(Module):
    """Doubles while training, and adds `extra` at evaluation."""

    def forward(self, x, extra=0.0):
        return x * 2.0 if self.training else x + extra


def double(x):
    return x * 2.0


def increment(x):
    return x + 1.0


def tied(scale, shift, other):
    """Two Affines with one scale: the same object under two names."""
    first, second = Affine(scale, shift), Affine(scale, other)
    second.scale = first.scale
    return Pair(first, second, shift)


def twice(module, gain):
    """One module under two names."""
    return Pair(module, module, gain)


def named(pairs):
    """What a generator of (name, tensor) yields, as names and arrays."""
    return [(name, tensor.numpy().copy()) for name, tensor in pairs]


def set_attribute(module, name, value):
    setattr(module, name, value)


def parameter(array):
    return Parameter(array)


def trained(module, step):
    """Move all parameters in place, as an optimizer does."""
    for parameter in module.parameters():
        parameter.data -= step


def loaded_in_place(module, state):
    """Load, then return what stands in the arrays that the parameters had before."""
    held = {name: parameter.data for name, parameter in module.named_parameters()}
    module.load_state_dict(state)
    return held


def filled(function, array, *arguments, **options):
    """Fill a tensor around `array`: the array, the tensor's array, and the array of what was returned."""
    tensor = Tensor(array)
    returned = function(tensor, *arguments, **options)
    return array, tensor.data, returned.data


def linear(weight, bias):
    """A Linear with these numbers."""
    layer = Linear(weight.shape[1], weight.shape[0])
    layer.weight.data[...] = weight
    layer.bias.data[...] = bias
    return layer


def seed(number):
    random.manual_seed(number)


def generator(number):
    return np.random.default_rng(number)
