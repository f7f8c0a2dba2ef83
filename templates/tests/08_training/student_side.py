"""What has to run beside your code: losses, metrics and callbacks that it calls, whole trainings, files, signals."""
import contextlib
import json
import signal
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from tinytorch import random
from tinytorch.core import training
from tinytorch.core.activations import Tanh
from tinytorch.core.dataloader import DataLoader, TensorDataset
from tinytorch.core.layers import Dropout, Linear, Module, Parameter, Sequential
from tinytorch.core.optimizers import SGD, Adam
from tinytorch.core.tensor import Tensor


def seed(number):
    random.manual_seed(number)


def generator(number):
    return np.random.default_rng(number)


def random_state():
    return random.get_state()


# Gradients, and learning rates


def parameters(grads):
    """A tensor for each gradient, with that gradient; None for one without."""
    made = []
    for grad in grads:
        made.append(Tensor(np.zeros(() if grad is None else np.shape(grad)), requires_grad=True))
        made[-1].grad = None if grad is None else Tensor(grad)
    return made


def clipped(grads, *arguments, **options):
    """Clip copies of `grads`: what is returned, the gradients after it, and the arrays that held them before it."""
    made = parameters([None if grad is None else np.array(grad) for grad in grads])
    held = [None if p.grad is None else p.grad.data for p in made]
    norm = training.clip_grad_norm_(made, *arguments, **options)
    return norm, [None if p.grad is None else p.grad.numpy() for p in made], held


def clipped_from_generator(grads, max_norm):
    """The same, with the parameters from a generator."""
    made = parameters([np.array(grad) for grad in grads])
    norm = training.clip_grad_norm_((p for p in made), max_norm)
    return norm, [p.grad.numpy() for p in made]


def optimizer(*rates):
    """An optimizer with a group for each rate."""
    return SGD([{"params": [Tensor([0.0], requires_grad=True)], "lr": rate} for rate in rates])


def rates(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


def set_rates(optimizer, rate):
    for group in optimizer.param_groups:
        group["lr"] = rate


# Models, losses and metrics


class Affine(Module):
    """x @ weight.T + bias, in the dtype of its arrays; what it computed, and in which mode, stands in `outputs`."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight, self.bias = Parameter(np.array(weight)), Parameter(np.array(bias))
        self.outputs = []

    def forward(self, x):
        out = x @ self.weight.T + self.bias
        self.outputs.append((out.numpy(), self.training, out.requires_grad))
        return out


class Thinned(Module):
    """x * weight, of which half is dropped while training."""

    def __init__(self, weight):
        super().__init__()
        self.weight, self.dropout = Parameter(np.array(weight)), Dropout(0.5)

    def forward(self, x):
        return self.dropout(x * self.weight)


class Slope(Module):
    """weight * x, for one number as its weight."""

    def __init__(self, weight, spare=0.0):
        super().__init__()
        self.weight, self.spare = Parameter(np.array([weight])), Parameter(np.array([spare]))

    def forward(self, x):
        return x * self.weight


def mean(output, target):
    """A loss that falls with the output alone: its gradient is the mean of what the weight is multiplied with."""
    return output.mean()


def mean_of_shape_one(output, target):
    return output.mean().reshape(1)


def mean_square(output, target):
    return ((output - target) ** 2).mean()


def broken(output, target):
    raise ValueError("the loss is broken")


def largest_loss(output, target):
    """A loss for class numbers: minus the mean of the largest scores."""
    return -output.max(axis=1).mean()


class Noting:
    """Mean square, which notes the targets that it saw: [[those of a batch], ...]."""

    def __init__(self):
        self.seen = []

    def __call__(self, output, target):
        self.seen.append(target.numpy().reshape(-1).tolist())
        return mean_square(output, target)


def largest(output, target):
    return float(output.numpy().max())


def furthest(output, target):
    """How far output is above target at most; the other way round it has another value."""
    return float((output.numpy() - target.numpy()).max())


def modes(model):
    """Of each call of an Affine: whether it was in training, and whether its output required a gradient."""
    return [training for _, training, _ in model.outputs], [recorded for _, _, recorded in model.outputs]


def is_training(model):
    return [module.training for module in model.modules()] == [True] * len(list(model.modules()))


def is_recording():
    x = Tensor([1.0], requires_grad=True)
    return (x * x).requires_grad


def state_of(trainer):
    """Weights, gradients, learning rate, and samples that wait."""
    grads = [None if p.grad is None else p.grad.numpy().copy() for p in trainer.model.parameters()]
    return {"weights": weights(trainer.model), "grads": grads, "lr": rates(trainer.optimizer), "samples": trainer.samples}


def weights(model):
    return [p.numpy().copy() for p in model.parameters()]


def batches(x, t, size):
    """A list of (inputs, target), `size` samples each; the last may have fewer."""
    return [(Tensor(x[at : at + size]), Tensor(t[at : at + size])) for at in range(0, len(x), size)]


def waiting(model):
    """The gradients that are there, zeros for those that are not."""
    return [np.zeros(p.shape) if p.grad is None else p.grad.numpy().copy() for p in model.parameters()]


# Checkpoints


def with_tensors(tree):
    """The same tree, with a Tensor for each array."""
    if isinstance(tree, dict):
        return {key: with_tensors(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [with_tensors(value) for value in tree]
    return Tensor(tree) if isinstance(tree, np.ndarray) else tree


def packed(tree, arrays=()):
    """What `pack` gives, as it comes out of JSON, and the list of arrays."""
    arrays = list(arrays)
    return json.loads(json.dumps(training.pack(tree, arrays))), arrays


def round_trip(tree, tensors=False):
    """Packed, through JSON, and unpacked; if asked for, with a tensor in the place of each array."""
    return training.unpack(*packed(with_tensors(tree) if tensors else tree))


def packed_then_changed(array):
    """What a packed array is after the original was set to zero; and the same for a tensor."""
    found = []
    for original in (array.copy(), Tensor(array.copy())):
        arrays = []
        training.pack({"weight": original}, arrays)
        (original.data if isinstance(original, Tensor) else original)[...] = 0
        found.append(arrays[0])
    return found


REFUSED = {"set": {1, 2}, "bytes": b"abc", "complex": 1j, "object": object(), "function": seed, "range": range(3)}


def pack_refused(name, inside):
    """Pack something of a type that can't be packed, by itself or inside of what can."""
    return training.pack({"a": [1, (REFUSED[name],)]} if inside else REFUSED[name], [])


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def through_file(tree, name="run.npz", tensors=False):
    """Saved twice under one name, first something else; loaded, and the names in the folder."""
    tree = with_tensors(tree) if tensors else tree
    with folder() as path:
        training.save_checkpoint(path / name, {"old": 1})
        training.save_checkpoint(str(path / name), tree)
        return training.load_checkpoint(path / name), sorted(file.name for file in path.iterdir())


def save_objects(array):
    """Save an array beside one of Python objects, which NumPy would pickle."""
    with folder() as path:
        training.save_checkpoint(path / "run.npz", {"a": array, "b": np.array([{}], dtype=object)})


def file_with(tree):
    """The bytes of a checkpoint with tensors, the kinds of array in it, and the names of its parts."""
    with folder() as path:
        training.save_checkpoint(path / "run.npz", with_tensors(tree))
        with np.load(path / "run.npz", allow_pickle=False) as archive:
            kinds = {str(name): archive[name].dtype.kind for name in archive.files}
        with zipfile.ZipFile(path / "run.npz") as archive:
            names = archive.namelist()
        return (path / "run.npz").read_bytes(), kinds, names


def errors_of(contents):
    """For each of several contents of a file what `load_checkpoint` says: (error's class, whether it has the path)."""
    said = []
    with folder() as path:
        for content in contents:
            (path / "damaged.npz").write_bytes(content)
            try:
                training.load_checkpoint(path / "damaged.npz")
                said.append(("none", False))
            except Exception as error:
                said.append((type(error).__name__, str(path / "damaged.npz") in str(error)))
    return said


def other_files():
    """An array by itself, an archive without a tree, one whose tree is no JSON, and one whose tree lacks an array."""
    contents = []
    with folder() as path:
        np.save(path / "array.npy", np.zeros(3))
        np.savez(path / "arrays.npz", array0=np.zeros(3))
        np.savez(path / "text.npz", tree=np.array("{"), array0=np.zeros(3))
        np.savez(path / "lacking.npz", tree=np.array('{"list": [{"array": 1}]}'), array0=np.zeros(3))
        contents += [file.read_bytes() for file in sorted(path.iterdir())]
    return contents


def failed_save(tree, refused):
    """What is in the file after a second save that failed, and the names in the folder."""
    with folder() as path:
        training.save_checkpoint(path / "run.npz", tree)
        with contextlib.suppress(TypeError):
            training.save_checkpoint(path / "run.npz", refused)
        return training.load_checkpoint(path / "run.npz"), sorted(file.name for file in path.iterdir())


def arrays_of(state):
    """A state dict with arrays in the place of tensors, and a list in that of a tuple."""
    if isinstance(state, dict):
        return {key: arrays_of(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [arrays_of(value) for value in state]
    return state.numpy().copy() if isinstance(state, Tensor) else np.array(state) if isinstance(state, np.ndarray) else state


class Steps:
    """A trainer of a class of yours with a small network, and two batches of four samples, in turn, for its steps."""

    def __init__(self, kind, x, schedule=True, hidden=5, groups=1, bias=True, dropout=0.3):
        model = Sequential(Linear(3, hidden, bias=bias), Dropout(dropout), Linear(hidden, 1))
        params = list(model.parameters())
        optimizer = Adam([{"params": params[i::groups]} for i in range(groups)], lr=0.1)
        schedule = training.CosineSchedule(optimizer, 6) if schedule else None
        self.trainer = kind(model, mean_square, optimizer, schedule)
        self.x = np.asarray(x, np.float32)

    def add(self, number):
        """The gradients of four samples."""
        part = self.x[4 * (number % 2) :][:4]
        self.trainer.add_batch(Tensor(part), Tensor(part[:, :1]))
        return self

    def take(self, count, first=0):
        for number in range(first, first + count):
            self.add(number).trainer.take_step()
        return self

    def record(self, entry):
        """An entry in the history, as the end of an epoch makes one."""
        self.trainer.progress["history"].append(entry)
        return self


def gives_state(trainer):
    """Whether a trainer in the middle of a step gives its state all the same."""
    with contextlib.suppress(ValueError):
        return bool(trainer.state_dict())
    return False


def draw():
    random.generator().random()


def set_random_state(state):
    random.set_state(state)


def through_trainers_file(one, other):
    """Save one trainer, and load the file into another one, after the generator has moved on."""
    with folder() as path:
        one.save(path / "run.npz")
        random.generator().random()
        other.load(path / "run.npz")


# Whole trainings


def noise(inputs, rng):
    """A transform that draws."""
    return inputs + Tensor(rng.normal(size=inputs.shape).astype(np.float32))


class Watcher(training.Callback):
    """Notes the progress after each batch and epoch; keeps the states from which a run could go on."""

    def __init__(self):
        self.batches, self.epochs, self.states = [], [], []

    def on_batch_end(self, trainer):
        progress = trainer.progress
        self.batches.append((progress["epoch"], progress["batch"], progress["samples"], trainer.samples))
        if not trainer.samples:
            self.states.append(trainer.state_dict())

    def on_epoch_end(self, trainer):
        self.epochs.append((trainer.progress["epoch"], trainer.progress["batch"], len(trainer.history)))
        self.states.append(trainer.state_dict())


class StopAfter(training.Callback):
    """Ends the training after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, trainer):
        trainer.stop = trainer.progress["epoch"] == self.epoch


class Drawing(training.Callback):
    """Draws from the process-wide generator after each epoch, as one does who writes a sample."""

    def on_epoch_end(self, trainer):
        random.generator().random(3)


class Ending(training.Callback):
    """Ends the training by an error after so many batches, as a power failure does."""

    def __init__(self, batches):
        self.left = batches

    def on_batch_end(self, trainer):
        self.left -= 1
        if self.left == 0:
            raise StopIteration


class Looking(training.Callback):
    """Looks into the checkpoint after the first batch of an epoch: (epoch, batch), or None if there is none."""

    def __init__(self, path):
        self.path, self.places = path, []

    def on_batch_end(self, trainer):
        if trainer.progress["batch"] == 1:
            progress = training.load_checkpoint(self.path)["progress"] if self.path.exists() else None
            self.places.append(progress and (progress["epoch"], progress["batch"]))


class Totals(training.Callback):
    """Notes the sum of the losses after each batch."""

    def __init__(self):
        self.totals = []

    def on_batch_end(self, trainer):
        self.totals.append(trainer.progress["total"])


class Signalling(training.Callback):
    """Sends this process a signal, `times` in a row, after a batch."""

    def __init__(self, number, batch, times=1):
        self.number, self.batch, self.times, self.count = number, batch, times, 0

    def on_batch_end(self, trainer):
        self.count += 1
        for _ in range(self.times if self.count == self.batch else 0):
            signal.raise_signal(self.number)


class Lazy:
    """A loader without `batches`, which draws its order when the first batch is asked for."""

    def __init__(self, *arrays):
        self.arrays = arrays

    def __iter__(self):
        order = random.generator().permutation(len(self.arrays[0]))
        for at in range(0, len(order), 3):
            yield tuple(Tensor(array[order[at : at + 3]]) for array in self.arrays)


class Run:
    """A small network with dropout, Adam and a schedule on 10 samples (target i belongs to sample i), in batches of 3."""

    def __init__(
        self, *, shuffle=True, dropout=0.3, transform=False, prefetch=0, own=None, accumulate=1, plain=False, lazy=False, callbacks=(),
    ):
        x = np.arange(30, dtype=np.float32).reshape(10, 3) % 7 / 7
        numbers = np.arange(10, dtype=np.float32)[:, None]
        rng = None if own is None else np.random.default_rng(own)
        self.loader = DataLoader(
            TensorDataset(Tensor(x), Tensor(numbers)), 3, shuffle, transform=noise if transform else None,
            prefetch=prefetch, rng=rng,
        )
        if plain:
            self.loader = batches(x, numbers, 3)
        if lazy:
            self.loader = Lazy(x, numbers)
        self.rng = rng
        self.loss = Noting()
        self.watcher = Watcher()
        model = Sequential(Linear(3, 5), Tanh(), Dropout(dropout), Linear(5, 1))
        optimizer = Adam(model.parameters(), lr=0.05)
        schedule = training.CosineSchedule(optimizer, 8)
        self.trainer = training.Trainer(
            model, self.loss, optimizer, schedule, accumulate=accumulate, clip_norm=5.0,
            callbacks=[self.watcher, *callbacks],
        )

    def fit(self, epochs, **options):
        self.trainer.fit(self.loader, epochs, **options)
        return self

    def result(self):
        """Everything that two equal runs have in common."""
        own = None if self.rng is None else self.rng.bit_generator.state
        return {
            "weights": weights(self.trainer.model), "history": list(self.trainer.history), "own": own,
            "random": random.get_state(), "lr": rates(self.trainer.optimizer),
        }


def on_another_day(state, number, epochs, **options):
    """A new run, as in another process, that goes on from `state` until `epochs` are done.

    With it (epoch, batch) where it began, and whether the process-wide generator then stood where it had stood.
    """
    random.manual_seed(number + 1)
    own = {} if options.get("own") is None else {"own": options["own"] + 1}
    made = Run(**options | own)
    made.trainer.load_state_dict(state)
    place = made.trainer.progress["epoch"], made.trainer.progress["batch"]
    drawing = random.get_state() == state["random"]
    return made.fit(epochs), place, drawing


def resumed_runs(number, epochs=2, **options):
    """A run with the seed `number`, and for each place where it could be saved one that goes on from there.

    Of each: its result and the batches it saw; of the others also what `on_another_day` says.
    """
    random.manual_seed(number)
    whole = Run(**options).fit(epochs)
    first, others = (whole.result(), whole.loss.seen), []
    for state in whole.watcher.states[:-1]:  # at the last one nothing is left
        made, *where = on_another_day(state, number, epochs, **options)
        others.append((made.result(), made.loss.seen, *where))
    return first, others


def relay(number):
    """A run of two epochs, and one that five trainers share, 1, 2, 3, 1 and 1 batches each, by way of a file."""
    random.manual_seed(number)
    whole = Run(transform=True).fit(2).result()
    random.manual_seed(number)
    made = Run(transform=True, callbacks=[Ending(1)])
    with folder() as path:
        for batches in (2, 3, 1, 9):
            with contextlib.suppress(StopIteration):
                made.fit(2)
            made.trainer.save(path / "run.npz")
            random.manual_seed(number + 1)
            made = Run(transform=True, callbacks=[Ending(batches)])
            made.trainer.load(path / "run.npz")
        made.fit(2)
    return whole, made.result()


def run(number, epochs, again=None, between=None, **options):
    """A run with the seed `number`: result, batches seen, and what its watcher noted. `again`: fit a second time."""
    random.manual_seed(number)
    made = Run(**options)
    random.manual_seed(number)
    made.fit(epochs)
    if between is not None:
        random.manual_seed(between)
    if again is not None:
        made.fit(again)
    return made.result(), made.loss.seen, made.watcher.batches, made.watcher.epochs


def with_validation(number):
    """A run that is validated after each epoch, on samples of its own."""
    random.manual_seed(number)
    made = Run()
    random.manual_seed(number)
    x = np.linspace(0, 1, 15, dtype=np.float32).reshape(5, 3)
    made.trainer.metrics = {"largest": largest}
    made.fit(2, validation=DataLoader(TensorDataset(Tensor(x), Tensor(x[:, :1])), 2))
    return made.result()


def interrupted(number, seed, batch, accumulate=1, checkpoint=True, times=1, epochs=2):
    """A run that gets a signal after a batch, and its end.

    Returns the exception's name and code, the (epoch, batch) in the checkpoint (None without one), whether the handlers
    are those from before, how many batches were seen, and the results of going on, and of a run without a signal.
    """
    def ours(number, frame):
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit("ended by our own handler")

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {known: signal.signal(known, ours) for known in numbers}
    try:
        random.manual_seed(seed)
        stopped = Run(accumulate=accumulate)
        stopped.trainer.callbacks = [Signalling(number, batch, times)]
        with folder() as path:
            end, code = "none", None
            try:
                stopped.fit(epochs, **{"checkpoint": path / "run.npz"} if checkpoint else {})
            except (KeyboardInterrupt, SystemExit) as error:
                end, code = type(error).__name__, getattr(error, "code", None)
            restored = [signal.getsignal(known) is ours for known in numbers]
            resumed, place = None, None
            if (path / "run.npz").exists():
                random.manual_seed(seed + 1)
                other = Run(accumulate=accumulate)
                other.trainer.load(path / "run.npz")
                place = other.trainer.progress["epoch"], other.trainer.progress["batch"]
                resumed = other.fit(epochs).result()
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
    random.manual_seed(seed)
    whole = Run(accumulate=accumulate).fit(epochs).result()
    return {
        "end": end, "code": code, "place": place, "restored": restored, "batches": len(stopped.loss.seen),
        "resumed": resumed, "whole": whole,
    }


def saved_by_fit(number):
    """Where the file of a run stands when an epoch begins; and results of going on from it, and of the run itself."""
    with folder() as path:
        looking = Looking(path / "run.npz")
        random.manual_seed(number)
        whole = Run(callbacks=[looking]).fit(3, checkpoint=str(path / "run.npz"))
        state, places = training.load_checkpoint(path / "run.npz"), looking.places[:3]
    whole = whole.fit(4).result()
    return places, whole, on_another_day(state, number, 4)[0].result()
