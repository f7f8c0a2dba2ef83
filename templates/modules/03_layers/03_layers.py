# %% [markdown]
# # Module 03: Layers
#
# A layer is a function that owns its numbers. A network that reads handwritten digits fits on one line:
# `y = relu(x @ W1.T + b1) @ W2.T + b2`. With a hidden layer of 128 for images of 784 pixels and 10 classes, W1, b1, W2
# and b2 hold 101,770 numbers. Training has to visit every one of them, a checkpoint has to save every one under a name
# that can be found again, and the very first values must be chosen so that a signal survives the trip through the
# layers. This module builds the objects that see to it. Their names, arguments and defaults are PyTorch's.

# %% tags=["export"]
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinytorch import random
from tinytorch.core.tensor import Tensor

Rng = np.random.Generator | None  # None: the one that `tinytorch.random.manual_seed` seeds

# %%
assert (128 * 784 + 128) + (10 * 128 + 10) == 101_770

# %% [markdown]
# ## Parameter: a tensor that wants to be trained
#
# An input, a mask and a weight are all tensors, but only the weight is there to be learned. `Parameter` says so by its
# type, and asks for a gradient, which module 06 will compute.

# %% tags=["export"]
class Parameter(Tensor):
    """A Tensor that belongs to a module and is trained. It requires a gradient unless told otherwise.

    `data` is a tensor, array or list. Arrays keep their dtype, so what is to be float32 must come as float32.
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad=requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

# %% [markdown]
# ## Whose parameters are these, and what are they called?
#
# You write a network by assigning attributes, and nothing else:
#
# ```python
# class Net(Module):
#     def __init__(self):
#         super().__init__()
#         self.hidden = Linear(784, 128)      # a module in a module
#         self.scale = Parameter(np.ones(1))  # a parameter of its own
# ```
#
# So the parameters form a tree: `Net` holds `hidden`, which holds `weight` and `bias`. The way down to one of them is
# its name, `hidden.weight`. Modules are listed parents first, children in the order in which they were assigned, and of
# each module first its own tensors. The names of `Net` are `scale`, `hidden.weight`, `hidden.bias`.
#
# Two things need care. A *buffer* is a tensor that is saved with the module but not trained, such as the running mean
# of batch normalisation in module 09; `register_buffer` notes its name. And one tensor may sit at two places of the
# tree: language models use one table both to read tokens and to predict them. Trained twice per step it would move
# twice as far, so everybody who asks for parameters must get it once. "Once" means the same *object*: `id(t)` tells
# objects apart, `t == u` compares their elements and can't.

# %%
table = Parameter(np.ones((2, 2), dtype=np.float32))
twin = Parameter(np.ones((2, 2), dtype=np.float32))
assert (table.numpy() == twin.numpy()).all() and id(table) != id(twin)  # equal, and yet two parameters

# %% [markdown]
# **Exercise `parameter_tree`.** Three short generators, from which every other question about the tree is answered.
#
# - `first_of_each` drops what has already come under another name.
# - `_walk` yields this module under the path it is given, then all below it: child `fc` of the module at path `net` is
#   at `net.fc`, and a child of the root, whose path is empty, is just `fc`.
# - `_named_tensors` yields the parameters and then the buffers of each module of the walk. Neither drops anything.
#
# *Hint.* `vars(self)` is the dictionary of an object's attributes, in the order of their assignment. A generator hands
# over to another one with `yield from`.

# %% exercise="parameter_tree" points=4 task="list modules and tensors below a module, under their dotted names"
def first_of_each(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The pairs (name, thing) of `named` in their order, without those whose thing, the same object, came before."""
    ### BEGIN SOLUTION
    seen = set()
    for name, thing in named:
        if id(thing) not in seen:
            seen.add(id(thing))
            yield name, thing
    ### END SOLUTION


class ParameterTree:
    """An object whose attributes may be parameters, buffers, and further objects of this kind."""

    _buffer_names: tuple[str, ...] = ()

    def _walk(self, path: str = "") -> Iterator[tuple[str, ParameterTree]]:
        """(dotted path, module): this one at `path`, then every child and what is below it, as often as it occurs."""
        ### BEGIN SOLUTION
        yield path, self
        for name, child in vars(self).items():
            if isinstance(child, ParameterTree):
                yield from child._walk(f"{path}.{name}" if path else name)
        ### END SOLUTION

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, tensor): for each module of the walk its parameters, then the buffers in `_buffer_names`."""
        ### BEGIN SOLUTION
        for path, module in self._walk():
            prefix = path + "." if path else ""
            for name, value in vars(module).items():
                if isinstance(value, Parameter):
                    yield prefix + name, value
            for name in module._buffer_names:
                yield prefix + name, getattr(module, name)
        ### END SOLUTION

    def named_modules(self) -> Iterator[tuple[str, ParameterTree]]:
        """(dotted path, module) for this module, whose path is empty, and all below it; each once."""
        return first_of_each(self._walk())

    def named_children(self) -> Iterator[tuple[str, ParameterTree]]:
        """(name, module) for the modules directly below this one; each once."""
        return first_of_each((name, it) for name, it in vars(self).items() if isinstance(it, ParameterTree))

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter) for every parameter of this module and of those below it; a shared one once."""
        return first_of_each((name, t) for name, t in self._named_tensors() if isinstance(t, Parameter))

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, buffer), like `named_parameters`."""
        return first_of_each((name, t) for name, t in self._named_tensors() if not isinstance(t, Parameter))

    def modules(self) -> Iterator[ParameterTree]:
        return (module for _, module in self.named_modules())

    def children(self) -> Iterator[ParameterTree]:
        return (child for _, child in self.named_children())

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter once: what an optimizer is given."""
        return (parameter for _, parameter in self.named_parameters())

    def buffers(self) -> Iterator[Tensor]:
        return (buffer for _, buffer in self.named_buffers())

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """Make `tensor` the attribute `name`, which is saved and loaded with the parameters but not trained."""
        if name not in self._buffer_names:
            self._buffer_names += (name,)
        setattr(self, name, tensor)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a plain Tensor in the place of a Parameter is refused, since nobody would train it.

        Raises: TypeError, for `self.weight = self.weight * 0.9` and the like.
        """
        replaces_parameter = isinstance(vars(self).get(name), Parameter)
        if replaces_parameter and isinstance(value, Tensor) and not isinstance(value, Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name} is a Parameter, and no optimizer would see a plain Tensor in its place: "
                f"write into {name}.data, or assign a Parameter or None"
            )
        super().__setattr__(name, value)

# %% [markdown]
# Parameters in a plain list are not found, here as in PyTorch: the list is the attribute, and it is not a module. That
# is a common reason why a network doesn't learn. `Sequential`, below, is the way to hold a list of layers.

# %%
block, net = ParameterTree(), ParameterTree()
block.weight = table
net.first, net.second, net.forgotten = block, block, [twin]
assert [name for name, _ in net._named_tensors()] == ["first.weight", "second.weight"]
assert [name for name, _ in net.named_parameters()] == ["first.weight"]

# %% [markdown]
# ## A network on disk is a dictionary
#
# What must be saved to get a trained network back? Not the classes, which are your program, but every tensor under its
# name. `state_dict()` returns that dictionary, and `load_state_dict` writes one into a network of the same
# architecture. A tensor with two names stands under both, as in PyTorch.
#
# Should the dictionary hold the network's own arrays, or copies? Suppose you keep the best weights of a run and go on
# training. If the arrays are shared, the kept ones change with every step, and "best" turns into "latest".

# %%
weights = np.array([1.0, 2.0])
best_shared, best_copied = weights, weights.copy()
weights -= 0.5  # one step of training, in place
assert best_shared.tolist() == [0.5, 1.5] and best_copied.tolist() == [1.0, 2.0]

# %% [markdown]
# PyTorch's `state_dict()` shares, for the sake of memory, and its users learn to write `copy.deepcopy`. Ours copies.
# Loading has a choice too: give the parameter a new array, or write into the one it has? Optimizers and views hold on
# to that array, so it must stay. But NumPy writes anything that *broadcasts*: a bias of shape (1,) would fill a bias of
# shape (128,) without a word. So shapes are compared first. And all of them before anything is written, so that a
# dictionary that doesn't fit leaves the network as it was, not half new and half old.
#
# **Exercise `state_dict`.** `state_dict` returns plain tensors, which need no gradient. `load_state_dict` raises a
# ValueError, with the network unchanged, if a shape differs (the message has the name and both shapes), or, when
# `strict`, if a name is missing from the dictionary or unknown to the network (the message has the names). It returns
# the names missing and the names unexpected, two lists, which are empty when everything fits.

# %% exercise="state_dict" points=4 task="copy every tensor under its name; check names and shapes, then write in place"
class LoadResult(NamedTuple):
    """What `load_state_dict` found: names it wanted and didn't get, and names it got and doesn't know."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class SavedTree(ParameterTree):
    """A tree of parameters that can be saved and loaded."""

    def state_dict(self) -> dict[str, Tensor]:
        """A copy of every parameter and buffer by its dotted name; later training doesn't change it."""
        ### BEGIN SOLUTION
        return {name: Tensor(tensor.data.copy()) for name, tensor in self._named_tensors()}
        ### END SOLUTION

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> LoadResult:
        """Write the tensors (or arrays) of `state_dict` into this module's own, which keep their memory and dtype.

        Without `strict`, what is missing stays as it is and what is unexpected is ignored; shapes must agree even so.
        Raises: ValueError for names or shapes that don't fit; then nothing was written.
        """
        ### BEGIN SOLUTION
        own = dict(self._named_tensors())
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        if strict and (missing or unexpected):
            raise ValueError(f"load_state_dict: missing {missing}, unexpected {unexpected}; strict=False allows it")
        arrays = {name: Tensor(state_dict[name]).data for name in own if name in state_dict}
        for name, array in arrays.items():
            if array.shape != own[name].shape:
                raise ValueError(
                    f"load_state_dict: {name} has shape {array.shape} in the dictionary and {own[name].shape} in "
                    f"{type(self).__name__}; build the network with the sizes it was saved with"
                )
        for name, array in arrays.items():
            own[name].data[...] = array
        return LoadResult(missing, unexpected)
        ### END SOLUTION

# %% [markdown]
# ## Module: call it, and tell it whether this is training
#
# Calling a module runs its `forward`, which every subclass writes. Some layers behave differently while training:
# dropout, at the end of this module, throws values away then and only then. So each module has a flag `training`, true
# at first; `train()` and `eval()` set it for a module *and everything below it*. A child may have its own idea of
# training (a frozen layer, say, that stays in evaluation) and override `train`: ask children, don't overrule them.
#
# **Exercise `train_mode`.** Set the flag here and by `train` in every child. Return the module, so that
# `net = Net().eval()` works.

# %% exercise="train_mode" points=2 task="set training here and in all children, and return self"
class Module(SavedTree):
    """The base of all layers and networks: assign parameters and modules in `__init__`, and write `forward`.

    PyTorch's Module notes parameters as they are assigned, and needs `super().__init__()` before the first of them.
    This one looks through its attributes when asked, and does without; write the call all the same, for PyTorch's sake.
    """

    training = True

    def train(self, mode: bool = True) -> Module:
        """Switch this module and all below it to training (or, if `mode` is False, to evaluation). Returns self."""
        ### BEGIN SOLUTION
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self
        ### END SOLUTION

    def eval(self) -> Module:
        """Switch this module and all below it to evaluation. Returns self."""
        return self.train(False)

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward: write one that computes its output")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self.forward(*inputs, **options)

    def extra_repr(self) -> str:
        """What `repr` shows of this module besides its children."""
        return ""

    def __repr__(self) -> str:
        # a Sequential's layers are named by their numbers, and may be plain functions
        parts = [(name, it) for name, it in vars(self).items() if isinstance(it, Module) or name.isdigit()]
        if not parts:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [self.extra_repr()] if self.extra_repr() else []
        lines += [f"({name}): {part!r}".replace("\n", "\n  ") for name, part in parts]
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"

# %% [markdown]
# ## How large should the first weights be?
#
# A neuron adds up n products w·x. If the weights are independent draws with mean 0, the mean square of its sum is
#
# E[y²] = n · Var(w) · E[x²],
#
# and a ReLU, which sets the negative half to zero, keeps half of that. Each layer therefore multiplies the mean square
# of the signal by n · Var(w) / 2. Anything but 1 is raised to the number of layers: with weights half as large as they
# should be it is 1/4, and twenty layers leave 4⁻²⁰, about 1e-12, of the signal. Twice as large, and it grows 1e12
# times. Both are the end of training, since the gradients on the way back pass through the same weights.

# %%
rng = np.random.default_rng(0)
x, w = rng.normal(size=(256, 100)), rng.normal(0, math.sqrt(2 / 256), size=(1000, 256))  # E[x²] = 1, n · Var(w) = 2
y = w @ x
assert abs((y**2).mean() - 2) < 0.05 and abs((np.maximum(y, 0) ** 2).mean() - 1) < 0.05
assert 9e-13 < 0.25**20 < 1e-12 and 1e12 < 4.0**20 < 1.1e12

# %% [markdown]
# The right variance is thus 2/n, where n is the number of inputs that a neuron sums over, its *fan-in*. This is
# Kaiming initialisation (He, Zhang, Ren and Sun, *Delving Deep into Rectifiers*, 2015). The factor 2 makes up for the
# ReLU; other nonlinearities need another one, and PyTorch calls its square root the *gain*: the standard deviation is
#
# gain / √fan_in.
#
# The gradient on the way back sums over a neuron's *outputs*, the fan-out. Glorot and Bengio (*Understanding the
# difficulty of training deep feedforward neural networks*, 2010), whose first name Xavier became the name of the
# method, take the mean of both:
#
# gain · √(2 / (fan_in + fan_out)).
#
# A weight of shape (out, in) has fan-in `in` and fan-out `out`. A convolution's kernel in module 09 has the shape
# (out, in, height, width), and each output sums over in · height · width products: both fans are multiplied by the
# number of positions. For shape (8, 3, 5, 5) they are 75 and 200.

# %% tags=["export"]
def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor on the standard deviation that makes up for what a nonlinearity takes away. PyTorch's table.

    `param` is the negative slope of a leaky_relu, 0.01 if it isn't given.
    Raises: ValueError for a nonlinearity that the table doesn't have.
    """
    slope = 0.01 if param is None else param
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "selu": 3 / 4}
    gains |= {"relu": math.sqrt(2), "leaky_relu": math.sqrt(2 / (1 + slope**2))}
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: no gain for {nonlinearity!r}, only for {', '.join(gains)}")
    return gains[nonlinearity]

# %%
assert calculate_gain("leaky_relu", 0) == calculate_gain("relu") == math.sqrt(2)
assert math.isclose(calculate_gain("leaky_relu", math.sqrt(5)), math.sqrt(1 / 3))

# %% [markdown]
# **Exercise `init_scale`.** Return the two fans of a weight, and the two standard deviations of the formulas above.

# %% exercise="init_scale" points=3 task="count the fans of a weight, and compute the standard deviation from them"
def fans(weight: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs each output sums over, and how many outputs each input reaches.

    Shapes: weight (out, in, ...), where the rest, if any, are a kernel's positions.
    Raises: ValueError for a weight with fewer than two dimensions, which has no fans.
    """
    if weight.ndim < 2:
        raise ValueError(f"fans: expected a weight (out, in, ...), got shape {weight.shape}; for a bias use uniform_")
    ### BEGIN SOLUTION
    out_features, in_features, *kernel = weight.shape
    positions = math.prod(kernel)
    return in_features * positions, out_features * positions
    ### END SOLUTION


def kaiming_std(weight: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> float:
    """gain / sqrt(fan): `mode` says which fan, and `calculate_gain` knows the gain of `nonlinearity` with slope `a`."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"kaiming_std: mode is 'fan_in' or 'fan_out', got {mode!r}")
    ### BEGIN SOLUTION
    fan_in, fan_out = fans(weight)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)
    ### END SOLUTION


def xavier_std(weight: Tensor, gain: float = 1.0) -> float:
    """gain * sqrt(2 / (fan_in + fan_out))."""
    ### BEGIN SOLUTION
    return gain * math.sqrt(2 / sum(fans(weight)))
    ### END SOLUTION

# %% [markdown]
# Now the draws. Functions whose PyTorch name ends in an underscore work *in place*: the parameter that an optimizer may
# already hold keeps its array, its float32 and its identity, and only the numbers in it change.
#
# A uniform distribution on [-b, b] has variance b²/3: so for a standard deviation of σ, how wide is it? b = √3 · σ.

# %%
sample = np.random.default_rng(0).uniform(-1, 1, size=100_000)
assert abs(sample.var() - 1 / 3) < 0.005

# %% [markdown]
# **Exercise `init_fill`.** Fill `tensor` in place from `rng`, or, if none is given, from `random.generator()`, the
# one that `tinytorch.random.manual_seed` seeds, so that one seed fixes a whole network. Return `tensor`. Kaiming's and
# Xavier's normal draws are given; write the uniform ones.
#
# *Hint.* `tensor.data[...] = values` writes into the array; `tensor.data = values` would put another one in its place.

# %% exercise="init_fill" points=3 task="fill the tensor in place with draws of the right width, and return it"
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, rng: Rng = None) -> Tensor:
    """Fill `tensor` in place with draws from [a, b), and return it."""
    ### BEGIN SOLUTION
    rng = rng or random.generator()
    tensor.data[...] = rng.uniform(a, b, size=tensor.shape)
    return tensor
    ### END SOLUTION


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, rng: Rng = None) -> Tensor:
    """Fill `tensor` in place with normal draws, and return it."""
    ### BEGIN SOLUTION
    rng = rng or random.generator()
    tensor.data[...] = rng.normal(mean, std, size=tensor.shape)
    return tensor
    ### END SOLUTION


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", rng: Rng = None
) -> Tensor:
    """Fill with normal draws around 0 of standard deviation `kaiming_std`, and return the tensor."""
    return normal_(tensor, 0.0, kaiming_std(tensor, a, mode, nonlinearity), rng)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, rng: Rng = None) -> Tensor:
    """Fill with normal draws around 0 of standard deviation `xavier_std`, and return the tensor."""
    return normal_(tensor, 0.0, xavier_std(tensor, gain), rng)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", rng: Rng = None
) -> Tensor:
    """Fill with uniform draws around 0 of standard deviation `kaiming_std`, and return the tensor."""
    ### BEGIN SOLUTION
    bound = math.sqrt(3) * kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, rng)
    ### END SOLUTION


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, rng: Rng = None) -> Tensor:
    """Fill with uniform draws around 0 of standard deviation `xavier_std`, and return the tensor."""
    ### BEGIN SOLUTION
    bound = math.sqrt(3) * xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, rng)
    ### END SOLUTION

# %% [markdown]
# ## Linear: every output a weighted sum of all inputs
#
# y = x Wᵀ + b. PyTorch stores the weight as (out, in), one row for each output, so `weight[0]` is what the first output
# looks for. By hand, for two inputs and three outputs:

# %%
x = np.array([[1.0, 2.0]])  # (B, in) = (1, 2)
w = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])  # (out, in) = (3, 2)
b = np.array([0.0, 0.0, 10.0])  # (out,)
assert (x @ w.T + b).tolist() == [[1.0, 2.0, 13.0]]

# %% [markdown]
# The matrix product takes the last dimension and leaves those in front alone, so the same line serves one input (in,),
# a batch (B, in) and a batch of sequences (B, T, in).
#
# How does PyTorch fill a Linear? By `kaiming_uniform_` with `a=math.sqrt(5)`, whose gain is √(1/3): the standard
# deviation is √(1/3) / √in, and the bound, √3 times that, is simply 1/√in. The bias gets the same bound. That is a
# habit from older libraries rather than a theorem; what it does to a deep network we measure at the end.
#
# **Exercise `linear`.** Make the two float32 parameters, weight first, filled as PyTorch does, both from `rng`; without
# `bias` the attribute is None. `forward` raises a ValueError with the shape of `x` and with `in_features` if the two
# don't fit.

# %% exercise="linear" points=3 task="fill a weight (out, in) and a bias (out,), and return x @ weight.T + bias"
class Linear(Module):
    """y = x @ weight.T + bias.

    Shapes: x (..., in_features), y (..., out_features), weight (out_features, in_features), bias (out_features,).
    Weight and bias start uniform on [-k, k] with k = 1 / sqrt(in_features).
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, rng: Rng = None) -> None:
        if in_features < 1 or out_features < 1:
            raise ValueError(f"Linear: in_features={in_features}, out_features={out_features}; both are at least 1")
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        ### BEGIN SOLUTION
        bound = 1 / math.sqrt(in_features)
        self.weight = Parameter(np.empty((out_features, in_features), dtype=np.float32))
        self.bias = Parameter(np.empty(out_features, dtype=np.float32)) if bias else None
        kaiming_uniform_(self.weight, a=math.sqrt(5), rng=rng)
        if self.bias is not None:
            uniform_(self.bias, -bound, bound, rng)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(f"Linear: x has shape {x.shape}, its last length must be in_features={self.in_features}")
        y = x @ self.weight.T  # (..., in) @ (in, out)
        return y if self.bias is None else y + self.bias
        ### END SOLUTION

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

# %% [markdown]
# ## Dropout: train many networks at once
#
# A network that can rely on every neuron lets neurons correct each other's mistakes in ways that only fit the training
# data. Dropout (Srivastava and others, *Dropout: A Simple Way to Prevent Neural Networks from Overfitting*, 2014) sets
# each value to zero with probability p, anew at every call. At evaluation nothing is dropped. So that the next layer
# sees the same mean in both, the survivors are divided by 1 - p while training: with p = 0.5 the value 3 becomes 0 or
# 6, and the mean is 3.

# %%
assert 0.5 * 0 + 0.5 * (3 / (1 - 0.5)) == 3

# %% [markdown]
# **Exercise `dropout`.** Return `x` itself in evaluation and for p = 0. While training, draw one uniform number per
# element from the layer's `rng`, or, if it has none, from `random.generator()`, and multiply `x` by a mask of 0 and
# 1 / (1 - p): a product of tensors, so that module 06 will send the gradient through the same mask. The result has the
# dtype of `x`; with p = 1 it is all zeros.

# %% exercise="dropout" points=3 task="multiply x by a fresh mask of 0 and 1 / (1 - p) while training"
class Dropout(Module):
    """Zeros each element with probability `p` while training, and scales the others by 1 / (1 - p).

    Shapes: x any; the result has its shape and dtype. `rng` draws the masks.
    """

    def __init__(self, p: float = 0.5, rng: Rng = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is a probability, from 0 to 1, got {p}")
        super().__init__()
        self.p = p
        self.rng = rng

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype.kind != "f":
            raise TypeError(f"Dropout: input of dtype {x.dtype}; 1 / (1 - p) is a real number, so give it real ones")
        ### BEGIN SOLUTION
        if not self.training or self.p == 0:
            return x
        rng = self.rng or random.generator()
        scale = 0.0 if self.p == 1 else 1 / (1 - self.p)
        mask = np.where(rng.random(x.shape, dtype=np.float32) < self.p, 0.0, scale).astype(x.dtype)
        return x * Tensor(mask)
        ### END SOLUTION

    def extra_repr(self) -> str:
        return f"p={self.p}"

# %% [markdown]
# ## Sequential: one after the other
#
# Most networks are chains: the output of a layer is the input of the next. `Sequential(Linear(784, 128), ReLU(),
# Linear(128, 10))` is such a chain, and a module like any other. Its layers need names: PyTorch takes their numbers, so
# that the parameters are `0.weight`, `0.bias`, `2.weight`, `2.bias`. Number 1 is the ReLU, which has none.
#
# In PyTorch an activation is a Module too. Ours, from module 02, are plain objects that can be called, and so
# Sequential takes anything that can be. Two slips are worth a clear error: a list of layers instead of the layers, and
# a class (`ReLU`) instead of an object of it (`ReLU()`), which could be called as well, and would return nonsense.
#
# **Exercise `sequential`.** Keep layer number i as the attribute whose name is `str(i)`, with `setattr`: then the tree
# finds its parameters. Raise a TypeError, with the layer's number, for a class and for what can't be called. `forward`
# sends x through all layers.

# %% exercise="sequential" points=3 task="keep layer i as attribute str(i), and call one after the other"
class Sequential(Module):
    """A chain of layers: modules, or anything else that can be called on a tensor. Without layers it returns its input.

    `chain[i]` is a layer, also counted from the end; `chain[i:j]` is a Sequential of the same layers, numbered from 0.
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        for number, layer in enumerate(layers):
            if isinstance(layer, type) or not callable(layer):
                raise TypeError(f"Sequential: layer {number} is {layer!r}; give objects to call, one by one, as ReLU()")
            setattr(self, str(number), layer)
        ### END SOLUTION

    def forward(self, x: Any) -> Any:
        ### BEGIN SOLUTION
        for layer in self:
            x = layer(x)
        return x
        ### END SOLUTION

    def __iter__(self) -> Iterator[Callable[[Any], Any]]:
        return (layer for name, layer in vars(self).items() if name.isdigit())

    def __len__(self) -> int:
        return sum(name.isdigit() for name in vars(self))

    def __getitem__(self, index: int | slice) -> Any:
        layers = list(self)
        return Sequential(*layers[index]) if isinstance(index, slice) else layers[index]

# %% [markdown]
# ## What does a network weigh, and where?
#
# A Linear has in · out + out numbers of 4 bytes. For a digit reader with hidden layers of 256 and 128 that makes:

# %%
from tinytorch import measure
from tinytorch.core.activations import ReLU

random.manual_seed(0)
mlp = Sequential(Linear(784, 256), ReLU(), Linear(256, 128), ReLU(), Dropout(0.2), Linear(128, 10))
print(mlp)
rows = [(name, str(p.shape), p.size, p.nbytes) for name, p in mlp.named_parameters()]
total = sum(p.size for p in mlp.parameters())
measure.table(["parameter", "shape", "numbers", "bytes"], [*rows, ("total", "", total, 4 * total)])

assert total == (784 * 256 + 256) + (256 * 128 + 128) + (128 * 10 + 10) == 235_146
assert sum(p.nbytes for p in mlp.parameters()) == 940_584
assert 0.85 < mlp[0].weight.size / total < 0.86
assert 16 * total == 3_762_336 and 16 * 7e9 == 112e9

# %% [markdown]
# The first weight alone is 85 % of it: images are wide. Training needs several times these 0.9 MB. A gradient per
# parameter doubles them, and Adam (module 07) keeps two more numbers for each: 16 bytes per parameter, 3.8 MB here, and
# 112 GB for a model of seven billion.

# %% [markdown]
# Computing costs one multiplication and one addition per weight and sample: 2 · in · out FLOPs, twice the weights. For
# one sample each weight is fetched from memory for just these two operations, and memory sets the pace. A batch of 64
# fetches it once for 128, so a sample gets cheaper. On your machine:

# %%
rows = []
for width in (256, 512, 1024, 2048):
    layer = Linear(width, width)
    one, many = Tensor(np.ones((1, width), dtype=np.float32)), Tensor(np.ones((64, width), dtype=np.float32))
    alone, shared = measure.time(layer, one), measure.time(layer, many) / 64
    size, flops = measure.memory(layer.weight.nbytes), 2 * width**2
    rows.append((width, size, flops, measure.duration(alone), measure.duration(shared), f"{alone / shared:.1f}x"))
measure.table(["width", "weight", "FLOPs/sample", "batch of 1", "of 64, per sample", "gain"], rows)

# %% [markdown]
# Weight and FLOPs grow with the square of the width: four times at every line of the table. The time follows once the
# layer is wide enough to outweigh the fixed cost of a call.
#
# ## Does the signal survive?
#
# Twenty layers of width 256, each with a ReLU behind it, built from your own functions. The curves show the logarithm
# of the mean square after each layer: a level one is alive.

# %%
def signal(fill: Callable[[Tensor], object], depth: int = 20, width: int = 256) -> list[float]:
    """log10 of the mean square of the signal after each Linear and ReLU, the weights filled by `fill`."""
    random.manual_seed(0)
    x, heights = normal_(Tensor(np.zeros((64, width), dtype=np.float32))), []
    for _ in range(depth):
        layer = Linear(width, width, bias=False)
        fill(layer.weight)
        x = ReLU()(layer(x))
        heights.append(float(np.log10((x.numpy() ** 2).mean())))
    return heights


curves = {
    "Kaiming": signal(lambda w: kaiming_normal_(w, nonlinearity="relu")),
    "Xavier": signal(xavier_normal_),
    "PyTorch's default": signal(lambda w: kaiming_uniform_(w, a=math.sqrt(5))),
    "twice Kaiming": signal(lambda w: normal_(w, std=2 * kaiming_std(w, nonlinearity="relu"))),
}
measure.plot(curves, title="mean square of the signal", x="layer", y="log10")
final = {name: curve[-1] for name, curve in curves.items()}
measure.table(["initialisation", "log10 after 20 layers"], [(name, f"{height:.1f}") for name, height in final.items()])

assert abs(final["Kaiming"]) < 1
assert abs(final["Xavier"] - 20 * math.log10(1 / 2)) < 1  # gain 1 does not make up for the ReLU: a half per layer
assert abs(final["PyTorch's default"] - 20 * math.log10(1 / 6)) < 1  # variance 1/(3n), and half of that
assert abs(final["twice Kaiming"] - 20 * math.log10(4)) < 1

# %% [markdown]
# PyTorch's default loses 5/6 of the signal's mean square at every layer, since its variance 1/(3n) is a sixth of the
# right 2/n. A network of three layers can live with that; through twenty, about 1e-15 of the signal arrives (the bias,
# left out here, puts a floor under it). That is why deep networks either fill their weights with care or normalise the
# signal on the way.
#
# ## What this makes possible
#
# Every later layer, from convolution to GPT, is a subclass of your `Module`, and the optimizers of module 07 are given
# `net.parameters()`. Already now, without any learning, milestones 01 and 02 can be reached: Rosenblatt's perceptron,
# and the network that computes XOR, which one layer cannot.
