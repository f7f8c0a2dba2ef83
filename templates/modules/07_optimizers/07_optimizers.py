# %% [markdown]
# # Module 07: Optimizers
#
# After `loss.backward()` every weight knows in which direction the loss rises. So take a step the other way. How long a
# step? Too short, and training takes for ever; too long, and it jumps over the valley. This module builds the three
# answers that nearly everybody uses: plain gradient descent with momentum, Adam, and AdamW. They change the weights *in
# place*, in pieces that fit into the processor's cache, and what they remember can be saved with the network.

# %% tags=["export"]
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinytorch.core.tensor import Tensor

# %% [markdown]
# ## 1. A step downhill
#
# Take f(w) = w², whose slope is 2w, at w = 1. A step of lr · 2w against the slope, with the *learning rate* lr = 0.1,
# leads to 1 - 0.1 · 2 = 0.8, and f falls from 1 to 0.64. Each further step multiplies w by 0.8 again. With lr = 1.1 it
# multiplies by 1 - 2.2 = -1.2: w jumps over the minimum, lands higher than before, and flies away. Nothing is wrong
# with the gradient then; the step is longer than the distance over which the slope stays what it is.

# %%
def descend(w: float, lr: float, steps: int) -> float:
    for _ in range(steps):
        w -= lr * 2 * w
    return w


assert descend(1, 0.1, 1) == 0.8 and abs(descend(1, 0.1, 50)) < 1e-4
assert abs(descend(1, 1.1, 1) + 1.2) < 1e-9 and abs(descend(1, 1.1, 50)) > 9000

# %% [markdown]
# ## 2. Which weights, and how?
#
# An optimizer is given `net.parameters()` once, and holds on to these very tensors. Sometimes not all are to be treated
# alike: biases without weight decay, say, or a lower rate for the first layers. So parameters come in *groups*: a
# dictionary with the list `params` and the settings that hold for them. What a group leaves out is taken from the
# optimizer's defaults:
#
# ```python
# SGD(net.parameters(), lr=0.1)                                    # one group
# SGD([{"params": [w1, w2]}, {"params": [b], "lr": 0.01}], lr=0.1)  # two, the second with a rate of its own
# ```
#
# Settings stand in the group and nowhere else; a schedule (module 08) changes `group["lr"]`, and the next step uses it.
#
# Four slips deserve a clear error, before anything is stored. No parameters at all: `parameters()` is a generator, and
# whoever has looped over it before finds it empty. A tensor instead of a list of them. Something in the list that is no
# tensor, or that was computed (it has a `_node`): a step would move it, and not the weights that it came from. And a
# parameter that is in the optimizer already, which would be moved twice a step.
#
# **Exercise `param_groups`.** Write `add_param_group`: append a new dictionary with the defaults, the group's own
# settings, and `params` as a list. A single tensor as `params` counts as a list of one, as in PyTorch. Raise a
# TypeError that says 'tensor' for what is none; a ValueError that says 'empty', 'leaf' or 'twice' for no parameters, a
# computed one, and one that is there already or stands twice in the list (compare by `id`: `==` compares elements).
# `zero_grad` clears the gradients before the next backward pass: sets them to None, or, if `set_to_none` is False,
# fills the arrays that are there with zeros.

# %% exercise="param_groups" points=4 task="check and append a group of parameters; clear the gradients of all"
class ParamGroups:
    """Parameters in groups, each with settings of its own."""

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError("optimizer: params is a Tensor; give a list of tensors, [w], or net.parameters()")
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups or not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Take in further parameters: `group` has `params`, and settings that differ from the defaults.

        Raises: TypeError or ValueError if one of the parameters can't be optimized; then nothing has changed.
        """
        ### BEGIN SOLUTION
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        if not params:
            raise ValueError("optimizer: empty list of parameters; was a generator used up before?")
        seen = {id(p) for known in self.param_groups for p in known["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer: parameters are tensors, got {type(p).__name__}")
            if p._node is not None:
                raise ValueError("optimizer: got the result of a computation; only a leaf can be optimized")
            if id(p) in seen:
                raise ValueError(f"optimizer: a parameter of shape {p.shape} was given twice")
            seen.add(id(p))
        self.param_groups.append({**self.defaults, **group, "params": params})
        ### END SOLUTION

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters, so that the next backward pass doesn't add to them."""
        ### BEGIN SOLUTION
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad.data[...] = 0
        ### END SOLUTION

# %% [markdown]
# ## 3. In place, and in pieces
#
# `w = w - lr * g` would make a new array, and everybody who held the old one (the layer, a view, this optimizer) would
# keep it. `w -= lr * g` writes into the array that is there. And it saves memory: for a model of a gigabyte, one
# gigabyte.
#
# But not all of it. lr * g is a temporary array, as large as the weights, and Adam's formula makes one with nearly
# every operation. They are written to memory and read back, and that is what such a formula waits for: it does one or
# two operations a number. A core's cache is several times as fast, and holds a megabyte or so. So do the *whole*
# formula for a piece of 32,768 numbers, 128 KiB, before going on to the next: the temporaries are small, and stay in
# the cache. That is all `blocks` does, and the formulas can be written as they stand in the book; section 9 measures
# what it saves. (`np.nditer` hands out the pieces: views if all arrays lie in memory in the same order, copies that are
# written back if they don't.)

# %% tags=["export"]
BLOCK = 32_768  # numbers in a piece: 128 KiB in float32


def blocks(g: np.ndarray, *arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Flat pieces of g, which is only read, and of `arrays`: what is written into these is written into the arrays.

    Shapes: all alike, any; the pieces of one turn are (n,) with n at most BLOCK, and cover the same elements.
    """
    flags = [["readonly"], *[["readwrite"]] * len(arrays)]
    with np.nditer((g, *arrays), ["external_loop", "buffered", "zerosize_ok"], flags, buffersize=BLOCK) as pieces:
        yield from pieces


class Optimizer(ParamGroups):
    """The base of all optimizers. A derived class writes `update`; `state` has what it remembers of each parameter.

    PyTorch's options `closure` (of `step`), `maximize`, `foreach` and the like are left out.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if defaults["lr"] < 0 or defaults["weight_decay"] < 0:
            raise ValueError(f"optimizer: lr={defaults['lr']}, weight_decay={defaults['weight_decay']}; both are >= 0")
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)  # tensors are told apart by identity
        super().__init__(params, defaults)

    def update(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change `p` in place by its gradient `g`, which stays as it is; `state` is empty at the first step."""
        raise NotImplementedError(f"{type(self).__name__} has no update: write one that changes p in place")

    def step(self) -> None:
        """Change every parameter that has a gradient; the others, and what is remembered of them, stay."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p.data, p.grad.data, self.state[p], group)

    def state_dict(self) -> dict[str, Any]:
        """A copy of all settings, and of what is remembered of each parameter (section 7)."""
        return saved_state(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over settings and state from `state_dict`; the parameters stay. ValueError if it doesn't fit."""
        restore_state(self, state_dict)

# %%
flat = np.zeros(100_000, dtype=np.float32)
assert [len(piece) for _, piece in blocks(np.ones(100_000, dtype=np.float32), flat)] == [32_768] * 3 + [1_696]
for g, piece in blocks(np.ones((2, 3)), flat[:6].reshape(3, 2).T):
    piece += g
assert flat[:6].tolist() == [1] * 6 and 4 * BLOCK == 128 * 1024

# %% [markdown]
# ## 4. SGD, and a ball that rolls
#
# In a long narrow valley the slope points across, not along. The rate must be small enough for the steep direction, and
# the shallow one then takes for ever. *Momentum* helps (Polyak, 1964): keep a velocity, and let each gradient change
# that,
#
#     v ← momentum · v + g,    w ← w - lr · v
#
# Gradients across the valley change their sign and cancel; those along it add up. If the gradient is always 1, and the
# momentum 0.9, the velocity grows to 1 + 0.9 + 0.81 + ... = 1 / (1 - 0.9) = 10: steps ten times as long.
#
# *Nesterov's* variant looks ahead: it steps by g + momentum · v, with the new v, where v alone would be the step.
#
# *Weight decay* pulls every weight towards zero, so that only those that earn it stay large. Add weight_decay · w to
# the gradient: it is the gradient of weight_decay · w² / 2.

# %%
velocity = 0.0
for _ in range(100):
    velocity = 0.9 * velocity + 1
assert abs(velocity - 10) < 1e-3

# %% [markdown]
# **Exercise `sgd`.** Write `update` with `blocks`: first the weight decay, then the momentum, then the step. The
# velocity is `state["momentum_buffer"]`, zeros like `p` at first, and exists only if the momentum isn't 0. `g` belongs
# to others (the parameter's `grad`): g + ... makes a new piece, g += ... is refused.

# %% exercise="sgd" points=4 task="step against the gradient, with weight decay, momentum and Nesterov's look ahead"
class SGD(Optimizer):
    """w ← w - lr · v, with v ← momentum · v + g: `torch.optim.SGD`, without `dampening`.

    Source: Polyak, *Some methods of speeding up the convergence of iteration methods* (1964); Sutskever and others,
    *On the importance of initialization and momentum in deep learning* (2013), for Nesterov's variant.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.0, *, weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        if momentum < 0 or (nesterov and momentum == 0):
            raise ValueError(f"SGD: momentum={momentum}, nesterov={nesterov}; it is >= 0, and > 0 for Nesterov's")
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov})

    def update(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        ### BEGIN SOLUTION
        if momentum and not state:
            state["momentum_buffer"] = np.zeros_like(p)
        for g, p, *velocity in blocks(g, p, *state.values()):
            if decay:
                g = g + decay * p
            if momentum:
                (v,) = velocity
                v *= momentum
                v += g
                g = g + momentum * v if group["nesterov"] else v
            p -= lr * g
        ### END SOLUTION

# %%
w = Tensor([1.0], requires_grad=True)
(w * w).sum().backward()
SGD([w], lr=0.1).step()
assert np.allclose(w.numpy(), 0.8)

# %% [markdown]
# ## 5. Adam: a rate for every weight
#
# Some weights have gradients of 1000, others of 0.001, and one rate can't suit both. Adam (Kingma and Ba, *Adam: A
# Method for Stochastic Optimization*, 2015) keeps two running means for every weight, of the gradient and of its
# square,
#
#     m ← β₁ m + (1 - β₁) g,    v ← β₂ v + (1 - β₂) g²
#
# and steps by lr · m / √v: the mean divided by the typical size. If all gradients have the same sign and size, that is
# ±lr, whether they are 1000 or 0.001. If the signs change, m is small, and so is the step.
#
# But m and v start at 0. After the first step m = 0.1 g and v = 0.001 g², with the usual β₁ = 0.9 and β₂ = 0.999, and
# m / √v = 0.1 / √0.001 = 3.16: the first steps would be three times too long, just when nothing is known yet. After t
# steps the weights of the mean sum to 1 - βᵗ, where they should sum to 1, so divide by that: m / (1 - β₁ᵗ) and
# v / (1 - β₂ᵗ). In the first step that gives g and g² exactly. A small ε in the denominator keeps it from being zero:
#
#     w ← w - lr · m̂ / (√v̂ + ε)

# %%
assert abs(0.1 / math.sqrt(0.001) - 3.16) < 0.003
assert abs(0.1 / (1 - 0.9**1) - 1) < 1e-12 and abs(0.001 / (1 - 0.999**1) - 1) < 1e-9

# %% [markdown]
# **Exercise `adam`.** Write `update`. `state` gets `step`, a counter that is 1 in the first step, and `exp_avg` and
# `exp_avg_sq`, m and v, zeros like `p` at first. Each piece of the gradient goes through `self.decayed` before anything
# else. Compute what is the same for all pieces once, before the loop. Multiply the last formula's numerator and
# denominator by √(1 - β₂ᵗ): then both corrections stand in lr and ε, and no piece is divided for them.
#
# *Hint.* m ← β₁ m + (1 - β₁) g is the same as m += (1 - β₁) (g - m): one pass less.

# %% exercise="adam" points=5 task="keep the means of g and g squared, correct them, and step by m / (sqrt(v) + eps)"
class Adam(Optimizer):
    """w ← w - lr · m̂ / (√v̂ + eps): `torch.optim.Adam`, without `amsgrad`."""

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not all(0 <= beta < 1 for beta in betas) or eps < 0:
            raise ValueError(f"{type(self).__name__}: betas={betas}, eps={eps}; betas lie in [0, 1), and eps is >= 0")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def decayed(self, p: np.ndarray, g: np.ndarray, group: dict[str, Any]) -> np.ndarray:
        """The gradient of a piece, weight decay included."""
        return g + group["weight_decay"] * p if group["weight_decay"] else g

    def update(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any]) -> None:
        ### BEGIN SOLUTION
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        root = math.sqrt(1 - beta2 ** state["step"])
        rate, eps = group["lr"] * root / (1 - beta1 ** state["step"]), group["eps"] * root
        for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
            g = self.decayed(p, g, group)
            m += (1 - beta1) * (g - m)
            v += (1 - beta2) * (g * g - v)
            p -= rate * m / (np.sqrt(v) + eps)  # numerator and denominator times root
        ### END SOLUTION

# %%
small, large = Tensor([1.0], requires_grad=True), Tensor([1.0], requires_grad=True)
(0.001 * small + 1000 * large).sum().backward()
Adam([small, large], lr=0.1).step()
assert np.allclose([small.item(), large.item()], [0.9, 0.9], atol=1e-5)

# %% [markdown]
# ## 6. AdamW: decay that is not divided away
#
# In SGD, adding weight_decay · w to the gradient shrinks every weight by the same factor, 1 - lr · weight_decay. In
# Adam it doesn't: the decay goes through m and v with the gradient, and is divided by its typical size. A weight with
# gradients of 1000 feels a thousandth of the decay that one with gradients of 1 feels; the decay is weakest where the
# network learns most. Loshchilov and Hutter (*Decoupled Weight Decay Regularization*, 2019) take it out of the gradient
# again: shrink the weight itself, by that factor, and leave g alone. PyTorch's default for it is 0.01, and most large
# models are trained so.
#
# **Exercise `adamw`.** Write `decayed` for AdamW: multiply `p` in place by 1 - lr · weight_decay, and return `g`.

# %% exercise="adamw" points=2 task="shrink p itself, in place, and return g as it is"
class AdamW(Adam):
    """Adam with decoupled weight decay: `torch.optim.AdamW`."""

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def decayed(self, p: np.ndarray, g: np.ndarray, group: dict[str, Any]) -> np.ndarray:
        ### BEGIN SOLUTION
        p *= 1 - group["lr"] * group["weight_decay"]
        return g
        ### END SOLUTION

# %%
moved = {}
for kind in (Adam, AdamW):
    still, busy = Tensor([1.0], requires_grad=True), Tensor([1.0], requires_grad=True)
    optimizer = kind([still, busy], lr=0.01, weight_decay=0.1)
    for sign in (1, -1) * 50:  # `busy` is pushed to and fro, `still` is left alone
        optimizer.zero_grad()
        (0 * still + sign * 1000 * busy).sum().backward()
        optimizer.step()
    moved[kind] = still.item(), busy.item()
assert moved[Adam][0] < 0.3 and moved[Adam][1] > 0.98  # Adam lets only the weight that is left alone decay
assert np.allclose(moved[AdamW], (1 - 0.01 * 0.1) ** 100, atol=0.02)  # AdamW both by the same factor

# %% [markdown]
# ## 7. Going on tomorrow
#
# A training run that was interrupted needs more than the weights: with m and v lost, Adam's first steps would be those
# of a beginner. `state_dict()` has it all, in PyTorch's form. Parameters are numbered through all groups, since names
# and objects don't survive a restart, but the order does:
#
# ```python
# {"state": {0: {"step": 3, "exp_avg": ..., "exp_avg_sq": ...}, 1: ...},
#  "param_groups": [{"lr": 0.001, ..., "params": [0, 1]}]}
# ```
#
# Arrays are copies here, as in module 03, and plain NumPy (PyTorch has tensors, which it shares). Only parameters of
# which something is remembered stand in `state`. Loading takes over settings and state, not the parameters, and checks
# first that they fit.
#
# **Exercise `optimizer_state`.** Write both functions. `restore_state` raises a ValueError, with nothing changed, if
# the groups differ in size (the message has both lists of sizes, such as [2, 1]), or if an array's shape isn't that of
# its parameter (both shapes). It copies what it takes, and forgets what was remembered before. The saved numbers may
# be any: their places in the saved groups say whose they are.

# %% tags=["export"]
def copied(state: dict[str, Any]) -> dict[str, Any]:
    """The state of one parameter, with arrays of its own."""
    return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in state.items()}


# %% exercise="optimizer_state" points=4 task="copy settings and state under numbers; check them, then take them over"
def saved_state(optimizer: Optimizer) -> dict[str, Any]:
    """Settings and state of an optimizer as plain data, with numbers in the place of parameters."""
    ### BEGIN SOLUTION
    params = [p for group in optimizer.param_groups for p in group["params"]]
    numbers = {id(p): number for number, p in enumerate(params)}
    return {
        "state": {numbers[id(p)]: copied(optimizer.state[p]) for p in params if optimizer.state.get(p)},
        "param_groups": [
            {**group, "params": [numbers[id(p)] for p in group["params"]]} for group in optimizer.param_groups
        ],
    }
    ### END SOLUTION


def restore_state(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Take over settings and state from what `saved_state` gave for an optimizer of the same groups.

    Raises: ValueError if `saved` doesn't fit; then nothing has changed.
    """
    ### BEGIN SOLUTION
    groups, saved_groups = optimizer.param_groups, saved["param_groups"]
    sizes, saved_sizes = ([len(group["params"]) for group in found] for found in (groups, saved_groups))
    if sizes != saved_sizes:
        raise ValueError(f"load_state_dict: groups of {saved_sizes} parameters don't fit an optimizer with {sizes}")
    state = {}
    for group, saved_group in zip(groups, saved_groups):
        for p, number in zip(group["params"], saved_group["params"]):
            if number in saved["state"]:
                state[p] = copied(saved["state"][number])
                for name, value in state[p].items():
                    if isinstance(value, np.ndarray) and value.shape != p.shape:
                        raise ValueError(f"load_state_dict: {name} has shape {value.shape}, its parameter {p.shape}")
    optimizer.state.clear()
    optimizer.state.update(state)
    for group, saved_group in zip(groups, saved_groups):
        group.update({**saved_group, "params": group["params"]})
    ### END SOLUTION

# %%
tomorrow = AdamW([still, busy], lr=0.5)
tomorrow.load_state_dict(optimizer.state_dict())
assert tomorrow.param_groups[0]["lr"] == 0.01 and tomorrow.state[busy]["step"] == 100

# %% [markdown]
# ## 8. Which one?
#
# A valley 100 times steeper in one direction than in the other: f = (x² + 100 y²) / 2, from (10, 1). Plain descent
# can't go faster than the steep direction allows, lr < 2/100, and crawls along the other. On your own tensors:

# %%
from tinytorch import measure


def race(kind: type[Optimizer], steps: int = 200, **settings: Any) -> list[float]:
    """log10 of f after each step."""
    place = Tensor([10.0, 1.0], dtype="float64", requires_grad=True)
    optimizer, heights = kind([place], **settings), []
    for _ in range(steps):
        optimizer.zero_grad()
        f = (place * place * np.array([0.5, 50.0])).sum()
        f.backward()
        optimizer.step()
        heights.append(math.log10(max(f.item(), 1e-12)))
    return heights


curves = {
    "SGD": race(SGD, lr=0.018),
    "momentum": race(SGD, lr=0.018, momentum=0.9),
    "Adam": race(Adam, lr=0.3),
}
measure.plot(curves, title="a valley", x="step", y="log10 f")
assert curves["momentum"][-1] < curves["SGD"][-1] < 0

# %% [markdown]
# Adam's path doesn't depend on how steep the valley is, only on lr. Which optimizer is best depends on the problem, and
# each needs its own rate; there is no answer but to try.
#
# ## 9. What does it cost?
#
# Memory first. Beside its parameters a network in training has a gradient for each, 1x, and what the optimizer
# remembers: nothing for SGD, a velocity for momentum, m and v for Adam. That makes 1x, 2x and 3x the parameters, O(n):

# %%
rng = np.random.default_rng(7)
w = Tensor(rng.standard_normal((1000, 1000), dtype=np.float32), requires_grad=True)
w.grad = Tensor(rng.standard_normal((1000, 1000), dtype=np.float32))
rows = []
for name, optimizer in {"SGD": SGD([w]), "momentum": SGD([w], momentum=0.9), "Adam": Adam([w])}.items():
    optimizer.step()
    state = sum(value.nbytes for value in optimizer.state[w].values() if isinstance(value, np.ndarray))
    peak, seconds = measure.allocation(optimizer.step).peak, measure.time(optimizer.step)
    ratio = f"{(w.grad.nbytes + state) / w.nbytes:.0f}x"
    rows.append([name, measure.memory(state), ratio, measure.memory(peak), measure.duration(seconds)])
measure.table(["optimizer", "state", "beside w", "for a moment", "a step"], rows, title="1,000,000 parameters")
assert [row[2] for row in rows] == ["1x", "2x", "3x"] and measure.memory(w.nbytes) == "3.81 MiB"

# %% [markdown]
# "For a moment" is what a step needs besides, and hardly grows with w: a few pieces. And time: the same step with
# pieces of other sizes. Small ones pay for a Python loop around few numbers; one piece of the whole size pays for
# memory.

# %%
rows = []
for size in (1_024, 8_192, BLOCK, 262_144, 1_000_000):
    default, BLOCK = BLOCK, size
    rows.append([size, measure.memory(4 * size), measure.duration(measure.time(optimizer.step))])
    BLOCK = default
measure.table(["numbers", "piece", "a step of Adam"], rows)

# %% [markdown]
# A network, a loss, a gradient, a step: that is all that learning takes, and milestone 03 lets yours read handwritten
# digits with it. Module 08 builds the loop around it.
