# %% [markdown]
# # Module 08: Training
#
# A training step is five lines: a batch, a loss, its gradient, a step, and away with the gradient. Repeat it ten
# thousand times, and questions come up that those lines don't answer. What if one bad batch throws the weights far
# away? Should the last steps be as long as the first? What if the batch doesn't fit into memory? How good is the
# network on data that it hasn't seen? And when the power fails in the night, does the run go on where it was, or nearly
# there? This module builds the loop that answers them.

# %% tags=["export"]
from __future__ import annotations

import copy
import io
import json
import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch import random
from tinytorch.core.autograd import no_grad
from tinytorch.core.layers import Module
from tinytorch.core.optimizers import Optimizer
from tinytorch.core.tensor import Tensor
from tinytorch.files import write_atomic

# %% [markdown]
# ## 1. A limit for the step
#
# Gradients (3, 0) for one parameter and (0, 4) for another: together they are one long vector of length
# √(3² + 4²) = 5, the *global norm*. A single strange batch can make it a thousand times longer than usual, and the step
# with it. Clipping keeps the direction and limits the length: with a limit of 1, everything is multiplied by 1/5.

# %%
assert math.sqrt(3**2 + 4**2) == 5

# %% [markdown]
# **Exercise `clip_grad_norm`.** Scale all gradients by one factor, in place, so that their global norm is at most
# `max_norm`, and return the norm that they had, a float (PyTorch's is a tensor). The factor is max_norm / (norm +
# 1e-6), as in PyTorch, and only used if it is below 1. Parameters without a gradient are passed over; where none has
# one, 0.0 is returned. For `norm_type=math.inf`, the norm is the largest absolute value of all elements; otherwise the
# p-norm, (Σ |g|ᵖ)^(1/p). *Hint.* `np.linalg.norm(x, p)` of a vector knows all of them, and a norm of norms is the norm
# of the whole: take that of each `g.ravel()`, then that of the results.

# %% exercise="clip_grad_norm" points=3 task="scale all gradients in place to a global norm of at most max_norm"
def clip_grad_norm_(parameters: Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> float:
    """Limit the length of all gradients together; returns the length before: `torch.nn.utils.clip_grad_norm_`."""
    ### BEGIN SOLUTION
    grads = [p.grad.data for p in parameters if p.grad is not None]
    norm = float(np.linalg.norm([np.linalg.norm(g.ravel(), norm_type) for g in grads], norm_type)) if grads else 0.0
    factor = max_norm / (norm + 1e-6)
    if factor < 1:
        for g in grads:
            g *= factor
    return norm
    ### END SOLUTION

# %% [markdown]
# ## 2. Long steps first, short ones later
#
# Far from the minimum long steps are right; near it they jump to and fro over it. So the learning rate follows a
# *schedule*, a function of the number of steps done, t. Three that are used:
#
# - *Step*: the rate is multiplied by gamma every `step_size` steps. With 0.1, gamma 0.5 and 10: 0.1, and from t = 10 on
#   0.05, from t = 20 on 0.025.
# - *Cosine*: from the rate down to eta_min along half a cosine, eta_min + (base - eta_min) (1 + cos(π t / T_max)) / 2.
#   Halfway it is in the middle between the two. After T_max it stays at eta_min (PyTorch's CosineAnnealingLR rises
#   again).
# - *Warmup*: Adam's means know little at first, so begin with short steps. In `warmup_steps` steps the rate grows
#   evenly, base · (t + 1) / warmup_steps; after that comes another schedule, which starts counting there, or the rate
#   stays.
#
# A function of t alone can be resumed by knowing t, and computes no rate from an earlier one.

# %%
assert 0.1 * 0.5 ** (25 // 10) == 0.025
assert abs(0.5 * (1 + math.cos(math.pi * 5 / 10)) - 0.5) < 1e-12

# %% [markdown]
# The given base class writes the rate into each group of the optimizer. `base` is what stood there when the schedule
# was made, so make the schedule before a checkpoint is loaded.
#
# **Exercise `schedules`.** Write `rate` for all three.

# %% tags=["export"]
class Schedule:
    """The learning rate as a function of the number of steps done. A derived class writes `rate`."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.steps = 0
        self.apply()

    def rate(self, base: float, t: int) -> float:
        """The rate after t steps, for a group that began with the rate `base`."""
        raise NotImplementedError(f"{type(self).__name__} has no rate: write one that gives it for step t")

    def apply(self) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs):
            group["lr"] = self.rate(base, self.steps)

    def step(self) -> None:
        """Count a step of the optimizer, and set the rate of the next."""
        self.steps += 1
        self.apply()

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps, self.base_lrs = state_dict["steps"], list(state_dict["base_lrs"])
        self.apply()

# %% exercise="schedules" points=3 task="compute the learning rate after t steps"
class StepSchedule(Schedule):
    """Multiply the rate by `gamma` every `step_size` steps: `torch.optim.lr_scheduler.StepLR`."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        ### BEGIN SOLUTION
        return base * self.gamma ** (t // self.step_size)
        ### END SOLUTION


class CosineSchedule(Schedule):
    """Half a cosine from the rate down to `eta_min` in `T_max` steps, and `eta_min` from there on.

    Source: Loshchilov and Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts* (2017), without restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        ### BEGIN SOLUTION
        progress = min(t / self.T_max, 1)
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * progress)) / 2
        ### END SOLUTION


class WarmupSchedule(Schedule):
    """Grow evenly to the full rate in `warmup_steps` steps; then `after`, counted from there, or the full rate."""

    def __init__(self, optimizer: Optimizer, warmup_steps: int, after: Schedule | None = None) -> None:
        self.warmup_steps, self.after = warmup_steps, after
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        ### BEGIN SOLUTION
        if t < self.warmup_steps:
            return base * (t + 1) / self.warmup_steps
        return self.after.rate(base, t - self.warmup_steps) if self.after else base
        ### END SOLUTION

# %%
from tinytorch import measure
from tinytorch.core.optimizers import SGD, Adam

optimizer = SGD([Tensor([0.0], requires_grad=True)], lr=0.1)
schedules = {
    "step": StepSchedule(optimizer, 30, gamma=0.5),
    "warmup, then cosine": WarmupSchedule(optimizer, 10, CosineSchedule(optimizer, 90)),
}
curves = {name: [schedule.rate(0.1, t) for t in range(100)] for name, schedule in schedules.items()}
measure.plot(curves, title="learning rate", x="step")
assert curves["step"][29:31] == [0.1, 0.05] and abs(curves["warmup, then cosine"][0] - 0.01) < 1e-12

# %% [markdown]
# ## 3. One step, of as many batches as you like
#
# A batch of 256 that doesn't fit can be four of 64: gradients *add up* until somebody clears them, so run four forward
# and backward passes, and take one step. That is *gradient accumulation*. It costs the memory of 64, and gives the
# gradient of 256, if the parts are weighted rightly. Each loss is a mean over its batch. Say that the means are 2 over
# 64 samples and 5 over the last 16: the mean over all 80 is (64 · 2 + 16 · 5) / 80 = 2.6, and not (2 + 5) / 2 = 3.5. So
# send the gradient n · loss back for a batch of n samples, and divide by the number of all samples before the step.

# %%
assert (64 * 2 + 16 * 5) / 80 == 2.6 and (2 + 5) / 2 == 3.5

# %% [markdown]
# A loss that is not finite has no gradient worth following, and after a step by it no weight is finite either. Stop
# before.
#
# **Exercise `training_step`.** `add_batch` runs model and loss, and then the loss's backward pass, with an array of its
# shape and dtype, full of n, as the gradient; n is the length of `inputs`. It adds n to `self.samples`, and returns the
# loss as a float; one that isn't finite is a ValueError that says 'not finite', before the backward pass. `take_step`
# divides the gradients by `self.samples`, clips them if `self.clip_norm` isn't None, steps the optimizer, clears the
# gradients, steps the schedule if there is one, and sets `self.samples` to 0. The optimizer knows the parameters:
# `self.parameters()` lists them.

# %% exercise="training_step" points=4 task="add up the gradients of batches, then step by their mean"
class TrainingStep:
    """A model, a loss and an optimizer: gradients of one or several batches, then a step."""

    def __init__(
        self, model: Module, loss_fn: Callable[[Tensor, Tensor], Tensor], optimizer: Optimizer,
        schedule: Schedule | None = None, *, clip_norm: float | None = None, accumulate: int = 1,
        metrics: dict[str, Callable[[Tensor, Tensor], float]] | None = None, callbacks: Sequence[Callback] = (),
    ) -> None:
        if accumulate < 1:
            raise ValueError(f"Trainer: accumulate is a number of batches, at least 1, got {accumulate}")
        self.model, self.loss_fn, self.optimizer, self.schedule = model, loss_fn, optimizer, schedule
        self.clip_norm, self.accumulate, self.metrics, self.callbacks = clip_norm, accumulate, metrics or {}, callbacks
        self.samples = 0  # whose gradients were added up since the last step

    def parameters(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def add_batch(self, inputs: Tensor, target: Tensor) -> float:
        """Add to the gradients those of a batch's loss, times its samples. Returns the loss.

        Raises: ValueError if the loss is not finite; then nothing has changed.
        """
        ### BEGIN SOLUTION
        loss = self.loss_fn(self.model(inputs), target)
        value = loss.item()
        if not math.isfinite(value):
            raise ValueError(f"Trainer: the loss is {value}, not finite; lower the learning rate, or set clip_norm")
        loss.backward(np.full(loss.shape, len(inputs), loss.dtype))
        self.samples += len(inputs)
        return value
        ### END SOLUTION

    def take_step(self) -> None:
        """Step by the mean gradient of all samples since the last step."""
        ### BEGIN SOLUTION
        for p in self.parameters():
            if p.grad is not None:
                p.grad.data /= self.samples
        if self.clip_norm is not None:
            clip_grad_norm_(self.parameters(), self.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.schedule is not None:
            self.schedule.step()
        self.samples = 0
        ### END SOLUTION

# %% [markdown]
# ## 4. How good is it?
#
# On data that the network was not trained with, in evaluation mode (no dropout), and without a graph. Means are over
# samples again: a last batch of 16 weighs 16 and not 64. Afterwards the model is back in the mode that it was in;
# whoever evaluates in the middle of training and forgets that, trains on without dropout.
#
# **Exercise `evaluation`.** Return a dictionary with the mean loss under "loss", and the mean of each of
# `self.metrics`, functions of (output, target) that give a float, under its name. A loader without batches is a
# ValueError that says 'no batches'. The model's mode is restored also after an error.

# %% tags=["export"]
def accuracy(output: Tensor, target: Tensor) -> float:
    """The part of the samples whose largest score is that of their class: output (B, C), target (B,)."""
    return float((output.numpy().argmax(axis=1) == target.numpy()).mean())

# %% exercise="evaluation" points=3 task="mean loss and metrics over all samples, in evaluation mode, without a graph"
class Evaluation(TrainingStep):
    """Measures the model."""

    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """The mean loss, and the mean of each metric, over all samples of `loader`."""
        ### BEGIN SOLUTION
        totals, samples, training = {}, 0, self.model.training
        self.model.eval()
        try:
            with no_grad():
                for inputs, target in loader:
                    output = self.model(inputs)
                    values = {"loss": self.loss_fn(output, target).item()}
                    values |= {name: metric(output, target) for name, metric in self.metrics.items()}
                    for name, value in values.items():
                        totals[name] = totals.get(name, 0.0) + value * len(inputs)
                    samples += len(inputs)
        finally:
            self.model.train(training)
        if not samples:
            raise ValueError("evaluate: the loader has no batches")
        return {name: total / samples for name, total in totals.items()}
        ### END SOLUTION

# %% [markdown]
# ## 5. A file that holds everything
#
# What is needed to go on? Weights, the optimizer's memory, the schedule's count, the state of the random generator: a
# tree of dictionaries, lists, numbers, and arrays. `pickle` would write it as it is, but loading a pickle runs whatever
# code is in it, and checkpoints are passed around. NumPy's `.npz` holds arrays, and nothing that runs; JSON holds the
# rest, but knows no tuples, and no keys but texts. So *pack* the tree: arrays go to a list, and their place is taken by
# {"array": number}. A dictionary becomes {"dict": [[key, value], ...]}, a list {"list": [...]} and a tuple {"tuple":
# [...]}, with all that is in them packed, keys too. None, bools, numbers and texts stay. `unpack` turns it round.

# %%
assert json.loads(json.dumps({"betas": (0.9, 0.999), 0: "a"})) == {"betas": [0.9, 0.999], "0": "a"}  # not what it was

# %% [markdown]
# **Exercise `checkpoint_file`.** Write `pack` and `unpack`. A Tensor is packed as its array, and comes back as an
# array. NumPy's numbers are packed as arrays too. Anything else is a TypeError that names its type. What you pack may
# change later, as weights do, so put copies into `arrays`.

# %% exercise="checkpoint_file" points=4 task="turn a tree into plain JSON and a list of arrays, and back"
def pack(tree: Any, arrays: list[np.ndarray]) -> Any:
    """`tree` with plain data only; its arrays are appended to `arrays`, copied."""
    ### BEGIN SOLUTION
    if isinstance(tree, Tensor | np.ndarray | np.generic):  # before float, since np.float64 is one
        arrays.append(np.array(tree))
        return {"array": len(arrays) - 1}
    if isinstance(tree, int | float | str | None):
        return tree
    if isinstance(tree, dict):
        return {"dict": [[pack(key, arrays), pack(value, arrays)] for key, value in tree.items()]}
    if isinstance(tree, list | tuple):
        return {"tuple" if isinstance(tree, tuple) else "list": [pack(value, arrays) for value in tree]}
    raise TypeError(f"checkpoint: can't hold a {type(tree).__name__}; use numbers, texts, arrays, lists and dicts")
    ### END SOLUTION


def unpack(packed: Any, arrays: Sequence[np.ndarray]) -> Any:
    """The tree that `pack` was given."""
    ### BEGIN SOLUTION
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == "array":
        return arrays[content]
    if kind == "dict":
        return {unpack(key, arrays): unpack(value, arrays) for key, value in content}
    values = [unpack(value, arrays) for value in content]
    return tuple(values) if kind == "tuple" else values
    ### END SOLUTION

# %% tags=["export"]
def save_checkpoint(path: str | Path, tree: Any) -> None:
    """Write a tree of plain data, arrays and tensors to `path`: whole, or the old file stays."""
    arrays: list[np.ndarray] = []
    text = json.dumps(pack(tree, arrays))
    if any(array.dtype.hasobject for array in arrays):
        raise TypeError("checkpoint: can't hold an array of Python objects; NumPy would pickle it")
    buffer = io.BytesIO()
    np.savez(buffer, tree=np.array(text), **{f"array{number}": array for number, array in enumerate(arrays)})
    write_atomic(Path(path), buffer.getvalue())


def load_checkpoint(path: str | Path) -> Any:
    """The tree in the file at `path`, with tensors as arrays. ValueError, naming the file, if it isn't whole."""
    data = io.BytesIO(Path(path).read_bytes())
    try:
        with np.load(data, allow_pickle=False) as archive:
            arrays = [archive[f"array{number}"] for number in range(len(archive.files) - 1)]
            return unpack(json.loads(str(archive["tree"])), arrays)
    except Exception as error:  # NumPy and zipfile raise a dozen kinds, depending on where the damage is
        raise ValueError(f"{path} is no whole checkpoint: {error}") from error

# %% [markdown]
# ## 6. Where were we?
#
# Two runs with one seed are bit-identical. A run that was interrupted and resumed should be bit-identical to one that
# wasn't: then nobody has to ask whether a result depends on the power failing. What the file still lacks is *where* the
# run stands. `self.progress` knows: a dictionary with the epoch, the next batch in it, the sum of the losses so far and
# their samples, and the history. The loop keeps it up to date.
#
# **Exercise `resume`.** `state_dict` returns a dictionary: "model", "optimizer" and "schedule" with their states (None
# for a schedule that isn't there), "random" with `random.get_state()`, and "progress" with a `copy.deepcopy` of it. In
# the middle of a step, with samples waiting, their gradients would be lost: a ValueError that says 'step'.
# `load_state_dict` puts all of it in place (`random.set_state`), a copy of the progress too, and drops gradients that
# wait for a step. If only one side has a schedule, it raises a ValueError that says so, before anything else. If model
# or optimizer refuse, the trainer is as it was; for the optimizer, that means to put the model's old weights back.

# %% exercise="resume" points=3 task="return everything that is needed to go on, and put it in place"
class Resumable(Evaluation):
    """Saves and loads where a training stands."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.progress = {"epoch": 0, "batch": 0, "total": 0.0, "samples": 0, "order": None, "history": []}

    @property
    def history(self) -> list[dict[str, float]]:
        """For each epoch that is done: its number, the next step's learning rate, the losses and the metrics."""
        return self.progress["history"]

    def state_dict(self) -> dict[str, Any]:
        """All that a trainer of the same parts needs to go on from here."""
        ### BEGIN SOLUTION
        if self.samples:
            raise ValueError("state_dict: gradients are waiting for a step and would be lost; save after the step")
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "random": random.get_state(),
            "progress": copy.deepcopy(self.progress),
        }
        ### END SOLUTION

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken. ValueError, with nothing changed, if it doesn't fit."""
        ### BEGIN SOLUTION
        if (self.schedule is None) != (state_dict["schedule"] is None):
            raise ValueError("load_state_dict: either the trainer or the state has a schedule, and the other has none")
        before = self.model.state_dict()
        self.model.load_state_dict(state_dict["model"])
        try:
            self.optimizer.load_state_dict(state_dict["optimizer"])
        except ValueError:
            self.model.load_state_dict(before)
            raise
        if self.schedule:
            self.schedule.load_state_dict(state_dict["schedule"])
        random.set_state(state_dict["random"])
        self.progress = copy.deepcopy(state_dict["progress"])
        self.optimizer.zero_grad()
        self.samples = 0
        ### END SOLUTION

    def save(self, path: str | Path) -> None:
        save_checkpoint(path, self.state_dict())

    def load(self, path: str | Path) -> None:
        self.load_state_dict(load_checkpoint(path))

# %% [markdown]
# ## 7. The loop
#
# In the middle of epoch 3, after 17 batches, the rest of *this* epoch has to come, in its order. The order was drawn at
# the beginning of the epoch. So note the state of the generator before each epoch, in `progress["order"]`; to go on,
# put it back, draw the same order again, and skip 17 batches without loading them: `loader.batches(17)`, from module
# 05. But then the generator stands where it stood after the drawing, and dropout has drawn from it since: put the state
# back that it had before you began.
#
# A loader can have a generator of its own; `order_rng` tells from which it draws. Its own has to be put back at the
# beginning of an epoch as well, where the process-wide one already is what it should be.
#
# **Exercise `fit`.** `epoch_batches` returns the batches of the epoch that are left. If `progress["order"]` isn't None,
# and either `progress["batch"]` is above 0 or the loader's generator is its own, `order_rng(loader)` gets that state
# (`.bit_generator.state`). Note its state in `progress["order"]`, take the batches (`batches_from`), and if `batch` is
# above 0, set the process-wide generator back to where it was at the call.
#
# `train_epoch` goes through them: add the batch; in `progress`, add 1 to "batch", its samples to "samples" and loss ·
# samples to "total"; step when `accumulate` batches have come since the last step; call `self.after_batch()`. At the
# end of the epoch step once more if samples are waiting.

# %% tags=["export"]
class Callback:
    """Is told how training goes; derive from it, write what you need. `trainer.stop = True` ends it with the epoch."""

    def on_batch_end(self, trainer: Trainer) -> None: ...
    def on_epoch_end(self, trainer: Trainer) -> None: ...


def order_rng(loader: Any) -> np.random.Generator:
    """The generator from which a loader draws the order of an epoch."""
    return getattr(loader, "rng", None) or random.generator()


def batches_from(loader: Any, start: int) -> Iterator[Any]:
    """The batches of a new epoch from number `start` on; a loader without `batches` has to make the others, too."""
    if hasattr(loader, "batches"):
        return loader.batches(start)
    batches = iter(loader)
    for _ in range(start):
        next(batches)
    return batches


@contextmanager
def stop_signals(active: bool) -> Iterator[list[int]]:
    """A list that gets the number of an interrupt (Ctrl-C, or SIGTERM), which then doesn't end the program at once.

    The second one does. Where signals can't be caught, outside the main thread, the list stays empty.
    """
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    active = active and threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)} if active else {}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

# %% exercise="fit" points=5 task="take up the epoch's batches, and go through them, step by step"
class Trainer(Resumable):
    """Trains a model.

    `schedule` is stepped with the optimizer. `clip_norm` limits the gradients' norm. `accumulate` batches make a step.
    `metrics` are functions of (output, target) for `evaluate`. `callbacks` are told about batches and epochs.
    """

    stop, checkpoint, interrupts = False, None, ()

    def epoch_batches(self, loader: Any) -> Iterator[Any]:
        """The batches (inputs, target) that are left of this epoch, in its order."""
        ### BEGIN SOLUTION
        rng, now, progress = order_rng(loader), random.get_state(), self.progress
        in_the_middle = progress["batch"] > 0
        if progress["order"] is not None and (in_the_middle or rng is not random.generator()):
            rng.bit_generator.state = progress["order"]
        progress["order"] = rng.bit_generator.state
        batches = batches_from(loader, progress["batch"])
        if in_the_middle:
            random.set_state(now)
        return batches
        ### END SOLUTION

    def train_epoch(self, loader: Any) -> None:
        """Train on the batches that are left of this epoch."""
        self.model.train()
        ### BEGIN SOLUTION
        for inputs, target in self.epoch_batches(loader):
            loss = self.add_batch(inputs, target)
            self.progress["batch"] += 1
            self.progress["samples"] += len(inputs)
            self.progress["total"] += loss * len(inputs)
            if self.progress["batch"] % self.accumulate == 0:
                self.take_step()
            self.after_batch()
        if self.samples:
            self.take_step()
        ### END SOLUTION

    def fit(
        self, loader: Any, epochs: int, validation: Iterable[Any] | None = None, checkpoint: str | Path | None = None
    ) -> list[dict[str, float]]:
        """Train until `epochs` are done, those before a resumption included; returns the history.

        `loader` and `validation` give batches (inputs, target). With a `checkpoint`, the trainer is saved there after
        each epoch; and at an interrupt the step in hand is finished, the trainer saved, and the program ended.
        Raises: ValueError if a loss is not finite, or if there are no batches.
        """
        self.stop, self.checkpoint = False, checkpoint
        with stop_signals(checkpoint is not None) as self.interrupts:
            while self.progress["epoch"] < epochs and not self.stop:
                self.train_epoch(loader)
                self.end_epoch(loader, validation)
        return self.history

    def after_batch(self) -> None:
        for callback in self.callbacks:
            callback.on_batch_end(self)
        if self.interrupts and not self.samples:  # between two steps
            self.end_early()

    def end_epoch(self, loader: Any, validation: Iterable[Any] | None) -> None:
        progress = self.progress
        if not progress["samples"]:
            raise ValueError("fit: the loader has no batches")
        record = {"epoch": progress["epoch"] + 1, "lr": self.optimizer.param_groups[0]["lr"]}
        record["loss"] = progress["total"] / progress["samples"]
        if validation is not None:
            record |= {f"val_{name}": value for name, value in self.evaluate(validation).items()}
        order = order_rng(loader).bit_generator.state
        progress.update(epoch=progress["epoch"] + 1, batch=0, total=0.0, samples=0, order=order)
        self.history.append(record)
        for callback in self.callbacks:
            callback.on_epoch_end(self)
        if self.checkpoint is not None:
            self.save(self.checkpoint)
        if self.interrupts:
            self.end_early()

    def end_early(self) -> None:
        self.save(self.checkpoint)
        print(
            f"Interrupted after epoch {self.progress['epoch']}, batch {self.progress['batch']}, and saved. To go on: "
            f"trainer.load({str(self.checkpoint)!r}), then fit as before."
        )
        if self.interrupts[0] == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self.interrupts[0])

# %% [markdown]
# Real digits, for the first time: 1,797 images of 8 x 8, of which the last 297 are kept for the test. One run of four
# epochs; and another that stops in the middle of the third, is saved, and goes on in a new trainer, with a new network.

# %%
import tempfile

from tinytorch import datasets
from tinytorch.core.activations import ReLU
from tinytorch.core.dataloader import DataLoader, TensorDataset
from tinytorch.core.layers import Dropout, Linear, Sequential
from tinytorch.core.losses import CrossEntropyLoss

digits = datasets.load("digits")
images = digits.images.reshape(-1, 64).astype(np.float32) / 16
train = TensorDataset(Tensor(images[:1500]), Tensor(digits.labels[:1500]))
test = TensorDataset(Tensor(images[1500:]), Tensor(digits.labels[1500:]))

class StopAt(Callback):
    def __init__(self, epoch: int, batch: int, path: str) -> None:
        self.place, self.path = (epoch, batch), path

    def on_batch_end(self, trainer: Trainer) -> None:
        if (trainer.progress["epoch"], trainer.progress["batch"]) == self.place:
            trainer.save(self.path)
            raise StopIteration  # the power fails

def make_trainer(callbacks: Sequence[Callback] = ()) -> Trainer:
    model = Sequential(Linear(64, 64), ReLU(), Dropout(0.1), Linear(64, 10))
    optimizer = Adam(model.parameters(), lr=0.01)
    options = {"clip_norm": 1.0, "metrics": {"accuracy": accuracy}, "callbacks": callbacks}
    return Trainer(model, CrossEntropyLoss(), optimizer, CosineSchedule(optimizer, T_max=4 * 24), **options)

loader, exam = DataLoader(train, 64, shuffle=True), DataLoader(test, 100)
random.manual_seed(8)
whole = make_trainer()
whole.fit(loader, 4, exam)
measure.table(list(whole.history[0]), [record.values() for record in whole.history])

with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/run.npz"
    random.manual_seed(8)
    try:
        make_trainer([StopAt(2, 17, path)]).fit(loader, 4, exam)
    except StopIteration:
        random.manual_seed(99)  # another day
    resumed = make_trainer()
    resumed.load(path)
    resumed.fit(loader, 4, exam)

assert len(loader) == 24 and len(test) == 297
assert resumed.history == whole.history and whole.history[-1]["val_accuracy"] > 0.85
for mine, others in zip(resumed.model.parameters(), whole.model.parameters()):
    assert np.array_equal(mine.numpy(), others.numpy())  # to the last bit

# %% [markdown]
# ## 8. What does it cost?
#
# Where does the time of a step go? Measured part by part, for a batch of 64 of a larger network:

# %%
wide = Sequential(Linear(64, 512), ReLU(), Linear(512, 512), ReLU(), Linear(512, 10))
trainer = Trainer(wide, CrossEntropyLoss(), Adam(wide.parameters()))
inputs, target = next(iter(DataLoader(train, 64)))
trainer.add_batch(inputs, target)

def forward() -> Tensor:
    return trainer.loss_fn(wide(inputs), target)

times = {"loading": measure.time(lambda: next(iter(loader))), "forward": measure.time(forward)}
times["backward"] = measure.time(lambda: forward().backward()) - times["forward"]
times["optimizer"] = measure.time(trainer.optimizer.step)
total = sum(times.values())
measure.table(["part", "time", "share"], [[k, measure.duration(t), f"{t / total:.0%}"] for k, t in times.items()])

# %% [markdown]
# What does accumulation save? 1,024 samples in one batch, or in parts. The memory of the graph is that of one part,
# O(batch); parameters and gradients stay what they are. The time is much the same, until the parts get so small that
# starting an operation weighs more than the operation. And so is the gradient, but for rounding.

# %%
rows, grads = [], []
for parts in (1, 4, 16):
    batches = list(DataLoader(train, 1024 // parts, drop_last=True))[:parts]

    def gradients(batches=batches):
        trainer.optimizer.zero_grad()
        trainer.samples = 0
        for batch in batches:
            trainer.add_batch(*batch)

    peak, seconds = measure.allocation(gradients).peak, measure.time(gradients)
    rows.append([f"{parts} x {1024 // parts}", measure.memory(peak), measure.duration(seconds)])
    grads.append(wide[0].weight.grad.numpy() / trainer.samples)
measure.table(["batches", "memory", "time"], rows, title="1,024 samples")
assert np.allclose(grads[0], grads[1], atol=1e-6) and np.allclose(grads[0], grads[2], atol=1e-6)

# %% [markdown]
# And how large is a checkpoint? The weights, and what the optimizer remembers: 1x, 2x and 3x the weights, O(n).

# %%
rows = []
for name, optimizer in {
    "SGD": SGD(wide.parameters()), "momentum": SGD(wide.parameters(), momentum=0.9), "Adam": Adam(wide.parameters()),
}.items():
    optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        Trainer(wide, CrossEntropyLoss(), optimizer).save(f"{folder}/run.npz")
        size = Path(f"{folder}/run.npz").stat().st_size
    weights = sum(p.nbytes for p in wide.parameters())
    rows.append([name, measure.memory(weights), measure.memory(size), f"{size / weights:.2f}x"])
measure.table(["optimizer", "weights", "checkpoint", "ratio"], rows)

# %% [markdown]
# From here on every network of the course is trained by this loop: convolutions in module 09 and milestone 04, a
# language model in milestone 05.
