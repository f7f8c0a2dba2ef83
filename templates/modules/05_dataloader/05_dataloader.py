# %% [markdown]
# # Module 05: DataLoader
#
# Training shows a network the same samples again and again, some at a time, each time in another order. For 50,000
# colour images of 32 x 32 pixels, 128 at a time, one round through all of them (an *epoch*) takes 391 steps, the last
# with the 80 images that are left. How do 128 images, scattered over 154 MB, get to the network before it has to wait
# for them? This module builds the way: datasets, collation, epochs, a loader, and transforms, with PyTorch's names.

# %% tags=["export"]
from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinytorch import random
from tinytorch.core.tensor import Tensor, as_array, wrap

Rng = np.random.Generator | None  # None: the one that `tinytorch.random.manual_seed` seeds
Transform = Callable[[Tensor, Rng], Tensor]

# %%
assert 390 * 128 + 80 == 50_000
assert 50_000 * 3 * 32 * 32 == 153_600_000

# %% [markdown]
# ## 1. A dataset answers two questions
#
# How many samples are there, and what is sample number i? Whoever can say that is a dataset: a subclass of `Dataset`
# that writes `__len__` and `__getitem__`, or simply a list. Training asks a third question, for many samples at once.
# Asking for them one by one takes a round through Python for each. A dataset that keeps its samples in arrays can do
# better: NumPy's `take` walks through a list of numbers in compiled code and copies row after row, a *gather*.

# %%
rows = np.array([[0, 0], [10, 11], [20, 21], [30, 31]])
assert rows.take([3, 1], axis=0).tolist() == [[30, 31], [10, 11]]  # as rows[[3, 1]] does, a little slower
assert rows.take([-1], axis=0).tolist() == [[30, 31]]

# %% [markdown]
# So `Dataset` has a method for a whole batch, `__getitems__`, which asks one by one unless a subclass knows better.
# (PyTorch looks for a method of this name too; there it returns a list of samples, which are then collated.)

# %% tags=["export"]
class Dataset:
    """Samples by number: subclasses write `__getitem__(index)` and `__len__`."""

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__: write one that returns sample `index`")

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Any:
        """The samples of `indices` as one batch."""
        return default_collate([self[index] for index in np.asarray(indices).tolist()])


def fetch(dataset: Any, indices: Sequence[int] | np.ndarray) -> Any:
    """A batch from any dataset: by its own `__getitems__` if it has one; a list, for instance, is asked one by one."""
    if hasattr(dataset, "__getitems__"):
        return dataset.__getitems__(indices)
    return Dataset.__getitems__(dataset, indices)


def require_same(values: Sequence[Any], what: str) -> None:
    """Raise a ValueError that names the first two values that differ, if any do."""
    for value in values:
        if value != values[0]:
            raise ValueError(f"{what}: {values[0]} and {value} are in one batch or dataset, and must be the same")

# %% [markdown]
# **Exercise `tensor_dataset`.** A dataset of tensors, images and labels for instance, whose first dimension counts the
# samples. The constructor raises a ValueError that names both lengths if two tensors differ in it; `require_same` does.
# Sample i is the tuple of the tensors' rows i, views that copy nothing. Beyond the end that is an IndexError: NumPy
# raises it, and `for sample in dataset` needs it to know where to stop. A batch is gathered, once per tensor.
#
# *Hint.* `tensor.data` is the array of a tensor; module 01's `wrap` makes a Tensor around an array, sharing its memory.

# %% exercise="tensor_dataset" points=3 task="return row i of each tensor, and a batch by one gather per tensor"
class TensorDataset(Dataset):
    """Tensors whose first dimension counts the samples.

    Shapes: tensors (N, ...); a sample is a tuple of (...), a batch a tuple of (B, ...), each in its tensor's dtype.
    Raises: ValueError, naming both, if two first lengths differ.
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset: got no tensors; give at least one")
        ### BEGIN SOLUTION
        require_same([len(tensor) for tensor in tensors], "TensorDataset, first lengths")
        self.tensors = tensors
        ### END SOLUTION

    def __len__(self) -> int:
        ### BEGIN SOLUTION
        return len(self.tensors[0])
        ### END SOLUTION

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        ### BEGIN SOLUTION
        return tuple([tensor[index] for tensor in self.tensors])
        ### END SOLUTION

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        """The rows of `indices`, in their order; negative ones count from the end."""
        ### BEGIN SOLUTION
        return tuple([wrap(tensor.data.take(indices, axis=0)) for tensor in self.tensors])
        ### END SOLUTION

# %%
pairs = TensorDataset(Tensor(rows), Tensor([0, 1, 2, 3]))
assert [label.item() for _, label in pairs] == [0, 1, 2, 3]
assert [x.numpy().tolist() for x in pairs.__getitems__([3, 1])] == [[[30, 31], [10, 11]], [3, 1]]

# %% [markdown]
# ## 2. From samples to a batch
#
# And where the samples are files, or made up on the fly? Then they come one by one, and have to be put together. Two
# samples (image, label), with images of shape (3, 32, 32), become *one* pair: images (2, 3, 32, 32) and labels (2,).
# The outside turns inwards: a list of pairs becomes a pair of batches.

# %%
samples = [("cat", 0), ("dog", 1), ("cat", 0)]
assert list(zip(*samples)) == [("cat", "dog", "cat"), (0, 1, 0)]

# %% [markdown]
# What stands inside a pair may be a pair again, or a dictionary, so collation calls itself. Three things differ from
# PyTorch: tuples and lists become a tuple, there a list; Python floats become float32, as everywhere in this course,
# there float64; and of two dtypes there is no batch, where PyTorch picks one.
#
# **Exercise `collate`.** Put samples together by the rules in the docstring. `require_same` raises the ValueErrors.
#
# <details><summary>Hint</summary>
#
# Look at the first sample to see what all of them are. Module 01's `as_array` makes an array of the right dtype out of
# a number or an array, or raises the TypeError; a Tensor has one. `np.stack` adds a dimension in front.
#
# </details>

# %% exercise="collate" points=3 task="stack tensors and numbers, and collate what is inside tuples and dictionaries"
def default_collate(samples: Sequence[Any]) -> Any:
    """One batch out of B samples of one kind, at least one.

    What `Tensor` takes, of one shape (...) and one dtype: a Tensor (B, ...). Text: a list.
    Tuples or lists of one length: a tuple, with a batch of all first items, of all second items, and so on.
    Dictionaries: a dictionary with a batch for each key of the first sample.
    Raises: ValueError, naming both, if two shapes, dtypes or lengths differ; TypeError, saying 'number', for the rest.
    """
    ### BEGIN SOLUTION
    first = samples[0]
    if isinstance(first, str):
        return list(samples)
    if isinstance(first, dict):
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple | list):
        require_same([len(sample) for sample in samples], "collate, lengths of samples")
        return tuple([default_collate(items) for items in zip(*samples)])
    arrays = [sample.data if isinstance(sample, Tensor) else as_array(sample) for sample in samples]
    require_same([array.shape for array in arrays], "collate, shapes of samples")
    require_same([array.dtype for array in arrays], "collate, dtypes of samples")
    return Tensor(np.stack(arrays))
    ### END SOLUTION

# %%
words, numbers = default_collate(samples)
assert words == ["cat", "dog", "cat"] and numbers.numpy().tolist() == [0, 1, 0]

# %% [markdown]
# ## 3. Parts of a dataset
#
# A network is judged on samples that it hasn't seen in training, so some are set aside. Copying them would double the
# memory. A `Subset` is a list of numbers: its sample i is the dataset's sample `indices[i]`, and 10,000 of 50,000
# images are 80 KB of numbers instead of 31 MB of pixels. A batch of a subset needs no loop either: gather the numbers,
# then let the dataset gather the samples.

# %%
numbers = np.array([40, 10, 30])
assert numbers[[2, 0]].tolist() == [30, 40]
assert 10_000 * 8 == 80_000 and 10_000 * 3072 == 30_720_000

# %% [markdown]
# The parts should be drawn at random, since datasets often come sorted by class, and no sample may be in two of them:
# cut *one* permutation into pieces. Sizes are given as numbers or as fractions. Of 10 samples, thirds would be 3.33:
# each part gets 3, rounded down, and what remains goes to the first parts, one each. That makes 4, 3 and 3.
#
# **Exercise `subset_and_split`.** Write `Subset` and `random_split`. Lengths whose sum is 1 (`math.isclose`) are
# fractions. The permutation is `rng.permutation(len(dataset))`, the first part gets its first numbers, and so on.
#
# *Hint.* `fetch` gets a batch from any dataset.

# %% exercise="subset_and_split" points=3 task="pick samples through a list of numbers; cut one permutation into parts"
class Subset(Dataset):
    """The samples of `dataset` at `indices`, in that order. Sample `index` is found as in a list: -1 is the last one.

    The dataset is asked for a single sample by a Python int, and for a batch by an array.
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        ### BEGIN SOLUTION
        return self.dataset[int(self.indices[index])]
        ### END SOLUTION

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Any:
        ### BEGIN SOLUTION
        return fetch(self.dataset, self.indices[indices])
        ### END SOLUTION


def random_split(dataset: Any, lengths: Sequence[float], rng: Rng = None) -> list[Subset]:
    """Random parts of `dataset` that don't overlap, of the given lengths or, if these sum to 1, fractions.

    Fractions are rounded down; what remains is handed out to the first parts, one each.
    Raises: ValueError, saying 'lengths', if they don't sum to len(dataset), or if one is negative.
    """
    rng = rng or random.generator()
    ### BEGIN SOLUTION
    total = len(dataset)
    if math.isclose(sum(lengths), 1):
        lengths = [math.floor(total * fraction) for fraction in lengths]
        for part in range(total - sum(lengths)):
            lengths[part] += 1
    if sum(lengths) != total or min(lengths) < 0:
        raise ValueError(f"random_split: lengths {lengths} for {total} samples; each is at least 0, the sum is {total}")
    ends = np.cumsum(lengths)[:-1]
    return [Subset(dataset, indices) for indices in np.split(rng.permutation(total), ends)]
    ### END SOLUTION

# %%
assert [len(part) for part in random_split(range(10), [1 / 3, 1 / 3, 1 / 3])] == [4, 3, 3]

# %% [markdown]
# ## 4. An epoch is an order, cut into batches
#
# Why not draw 128 samples at random for each step? In 50,000 draws a given sample is missed with probability
# (1 - 1/50,000)^50,000 = 0.368, nearly 1/e. More than a third of the data would not be seen in an epoch, and some of
# it several times. A permutation visits each sample once, and a new one for each epoch puts other samples together.
#
# The images stay where they are. The order is 50,000 numbers, 400 KB, and a batch's numbers are a slice of it, a view.
# Ten samples by four make batches of 4, 4 and 2; `drop_last` leaves out the 2, for code that needs batches of one size.
# Twelve by four are three batches, with `drop_last` or without.

# %%
assert abs((1 - 1 / 50_000) ** 50_000 - 0.368) < 5e-4 and abs(1 / math.e - 0.368) < 5e-4
assert 50_000 * 8 == 400_000
order = np.arange(10)
assert [len(order[at : at + 4]) for at in (0, 4, 8)] == [4, 4, 2]  # a slice ends where its array ends

# %% [markdown]
# **Exercise `batch_order`.** Draw the order, count the batches, and cut the order into them.

# %% exercise="batch_order" points=2 task="order the samples of an epoch, count its batches, cut the order into them"
def epoch_order(total: int, shuffle: bool, rng: np.random.Generator) -> np.ndarray:
    """The numbers 0 to total - 1, shape (total,): `rng.permutation(total)`, or in order, and then nothing is drawn."""
    ### BEGIN SOLUTION
    return rng.permutation(total) if shuffle else np.arange(total)
    ### END SOLUTION


def batch_count(total: int, batch_size: int, drop_last: bool) -> int:
    """How many batches `total` samples make; a last one that isn't full counts unless `drop_last`."""
    ### BEGIN SOLUTION
    full, left = divmod(total, batch_size)
    return full if drop_last or left == 0 else full + 1
    ### END SOLUTION


def cut(order: np.ndarray, batch_size: int, drop_last: bool) -> list[np.ndarray]:
    """The batches of `order`, views of `batch_size` numbers each; the last one may be shorter."""
    ### BEGIN SOLUTION
    count = batch_count(len(order), batch_size, drop_last)
    return [order[number * batch_size : (number + 1) * batch_size] for number in range(count)]
    ### END SOLUTION

# %%
assert [batch.tolist() for batch in cut(order, 4, False)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
assert batch_count(50_000, 128, False) == 391

# %% [markdown]
# ## 5. The loader
#
# `for images, labels in DataLoader(dataset, batch_size=128, shuffle=True):` is an epoch, and the next such loop is
# another one, in another order. The loader draws the order, and turns each batch's numbers into a batch.
#
# A *transform*, at last, changes the inputs on their way: from bytes to floats, or by a random shift, so that the
# network hardly ever sees the same input twice. PyTorch leaves that to the dataset, one sample at a time. Ours is an
# argument of the loader, `transform(inputs, rng)`: one call for a whole batch, and the training and the test part of
# one dataset can have different ones.
#
# What must hold, so that a run can be repeated, and (in module 08) resumed in the middle of an epoch?
#
# 1. *When* is the order drawn? At the call of `batches()`. A function with `yield` in it would do nothing until its
#    first batch is asked for, and whatever is drawn before that would change the order. So `batches` draws, and then
#    returns a generator expression, `(... for ...)`, in which only the loading waits.
# 2. *What* does an epoch draw? With `shuffle` the order; then, with a transform, one seed, `rng.integers(2**63)`. A
#    loader with neither, as for evaluation, draws nothing, so that training goes on the same with it and without it.
# 3. *How* does batch number 7 get its random numbers? From a generator of its own, `np.random.default_rng([seed, 7])`.
#    So it doesn't matter whether batches 0 to 6 were loaded at all, or whether they are being loaded in another thread.

# %%
def eager(log):
    log.append("drawn")
    return (number for number in range(3))

def lazy(log):
    log.append("drawn")
    yield from range(3)

log = []
lazy(log), eager(log)
assert log == ["drawn"]  # by one of the two

# %% [markdown]
# **Exercise `data_loader`.** Write `load`, one batch, and `batches`, an epoch. Both docstrings say what must hold.
#
# *Hint.* `partial(self.load, indices, seed, number)` is a function without arguments that loads a batch when called.

# %% exercise="data_loader" points=4 task="draw the epoch's order and seed, and load each batch when it is asked for"
class DataLoader:
    """Batches of a dataset, epoch after epoch; `len(loader)` is their number.

    `dataset` has `len` and `[index]`. `shuffle` draws a new order for each epoch from `rng`. `drop_last` leaves out a
    last batch that isn't full. `collate_fn` makes a batch out of a list of samples. `transform(inputs, rng)` changes
    the inputs, a batch's first item. `prefetch` is how many batches another thread loads ahead; for 0 there is none.
    Raises: ValueError, naming the argument, if batch_size is below 1 or prefetch is negative.
    """

    def __init__(
        self, dataset: Any, batch_size: int = 1, shuffle: bool = False, *, drop_last: bool = False,
        collate_fn: Callable[[list], Any] | None = None, prefetch: int = 0, transform: Transform | None = None,
        rng: Rng = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size is at least 1, got {batch_size}")
        if prefetch < 0:
            raise ValueError(f"DataLoader: prefetch is the number of batches loaded ahead, 0 or more, got {prefetch}")
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, batch_size, shuffle, drop_last
        self.collate_fn, self.prefetch, self.transform, self.rng = collate_fn, prefetch, transform, rng

    def __len__(self) -> int:
        return batch_count(len(self.dataset), self.batch_size, self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        return self.batches()

    def load(self, indices: np.ndarray, seed: int | None, number: int) -> Any:
        """The batch of the samples `indices`, which is batch `number` of its epoch.

        `collate_fn` gets a list of the samples, each asked for by a Python int (`indices.tolist()`). Without one,
        `fetch` makes the batch. A transform gets the first item of the batch, or the batch itself if it is a single
        Tensor, and the batch's own generator; then a batch that isn't a single Tensor comes back as a tuple.
        """
        ### BEGIN SOLUTION
        if self.collate_fn is None:
            batch = fetch(self.dataset, indices)
        else:
            batch = self.collate_fn([self.dataset[index] for index in indices.tolist()])
        if self.transform is None:
            return batch
        rng = np.random.default_rng([seed, number])
        if isinstance(batch, Tensor):
            return self.transform(batch, rng)
        inputs, *rest = batch
        return self.transform(inputs, rng), *rest
        ### END SOLUTION

    def batches(self, start: int = 0) -> Iterator[Any]:
        """The batches of a new epoch from number `start` on; those before it are not loaded.

        Order and seed are drawn now, from `self.rng` or else `random.generator()`; a batch is loaded when it is asked
        for, or ahead of that by `prefetched` (section 6) if `self.prefetch` isn't 0.
        """
        if start < 0:
            raise ValueError(f"batches: start is the number of a batch, 0 or more, got {start}")
        ### BEGIN SOLUTION
        rng = self.rng or random.generator()
        order = epoch_order(len(self.dataset), self.shuffle, rng)
        seed = rng.integers(2**63) if self.transform is not None else None
        parts = enumerate(cut(order, self.batch_size, self.drop_last))
        jobs = [partial(self.load, indices, seed, number) for number, indices in parts if number >= start]
        if self.prefetch:
            return prefetched(jobs, self.prefetch)
        return (job() for job in jobs)
        ### END SOLUTION

# %%
loader = DataLoader(TensorDataset(Tensor(np.arange(10))), batch_size=4)
assert [x.numpy().tolist() for x, in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
assert [x.numpy().tolist() for x, in loader.batches(start=2)] == [[8, 9]]

# %% [markdown]
# ## 6. Loading ahead
#
# While the network computes, nothing is loaded, and while a batch is loaded, nothing is computed. If loading takes 2 ms
# and computing 5 ms, a step takes 7 ms. With a second thread that loads the next batch meanwhile, it takes 5.
#
# Python runs one thread at a time, but NumPy lets go of that lock while it gathers, converts and multiplies, so a
# thread is enough for us. PyTorch's loaders start processes (`num_workers`), since their samples are made by Python
# code, and pay for it by sending every batch from one process to another.
#
# A `ThreadPoolExecutor(1)` is one thread with a queue. `submit(job)` returns at once, with a *future*; its `result()`
# waits for what the job returned, or raises what it raised. So: keep a `deque` of futures, and before handing out a
# batch, have `count` more submitted. Not all of them: each batch that is ready takes memory.

# %%
assert max(2, 5) == 5 and 2 + 5 == 7
with ThreadPoolExecutor(1) as pool:
    futures = deque([pool.submit(pow, 2, exponent) for exponent in (1, 2, 3)])
assert [futures.popleft().result() for _ in range(3)] == [2, 4, 8]

# %% [markdown]
# **Exercise `prefetch`.** Yield the results of the jobs in order, with `count` jobs after the one that is handed out
# already submitted (fewer at the end). What a job raises comes out in its place. A loop over batches may also end
# early, by `break` or an error in it. That closes the generator, with an exception at its `yield`; so that no thread is
# left at work, put into a `finally` the pool's `shutdown(cancel_futures=True)`, which drops the jobs that haven't begun
# and waits for the one that has.

# %% exercise="prefetch" points=3 task="yield the results of jobs in order, while one thread works ahead"
def prefetched(jobs: Iterable[Callable[[], Any]], count: int) -> Iterator[Any]:
    """The results of `jobs`, functions without arguments, in order; one thread runs up to `count` jobs ahead.

    However the iteration ends, the thread ends with it, and jobs that haven't begun never do.
    """
    ### BEGIN SOLUTION
    pool, futures = ThreadPoolExecutor(1), deque()
    try:
        for job in jobs:
            futures.append(pool.submit(job))
            if len(futures) > count:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
    ### END SOLUTION

# %%
assert list(prefetched([partial(pow, 2, exponent) for exponent in range(5)], count=2)) == [1, 2, 4, 8, 16]

# %% [markdown]
# ## 7. Transforms: what a number means
#
# Images are bytes, 0 to 255, and networks want floats near zero. Convert the dataset beforehand? It would take 614 MB
# instead of 154. Convert each batch: the scattered reading is then of bytes, a quarter of the traffic, and only 128
# images at a time exist as floats. Division by 255, the largest byte, gives [0, 1]: 51 becomes 0.2. (torchvision
# multiplies by 1/255 instead, and so do we: the last bit may differ.)
#
# Then `Normalize` subtracts each channel's mean over the training set and divides by its standard deviation: 0.2, in a
# channel of mean 0.5 and deviation 0.25, becomes -1.2. Images are (..., C, H, W): the numbers for the channels have
# shape (C,), and need two more dimensions to line up with C.

# %%
assert 50_000 * 3072 * 4 == 614_400_000
assert abs(51 / 255 - 0.2) < 1e-12 and abs((0.2 - 0.5) / 0.25 - -1.2) < 1e-12
assert (np.zeros((8, 3, 32, 32)) - np.zeros(3)[:, None, None]).shape == (8, 3, 32, 32)

# %% [markdown]
# All our transforms take a Tensor (..., C, H, W), one image or many, and return a new one without a graph.
#
# **Exercise `pixel_values`.** Write the two calls.
#
# *Hint.* Make one new array and go on in place, with `*=` and `/=`: at some megabytes the memory for another one costs
# more than the arithmetic. `np.iinfo(x.dtype).max` is an integer dtype's largest number.

# %% exercise="pixel_values" points=2 task="convert to a dtype, to [0, 1] if asked; normalise channel by channel"
class ToDtype:
    """Convert to `dtype`; with `scale`, integers are also multiplied by 1 / the largest number of their dtype.

    torchvision's `v2.ToDtype`, except that `scale` is only for floats: ValueError for another `dtype`.
    """

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        self.dtype, self.scale = np.dtype(dtype), scale
        if scale and self.dtype.kind != "f":
            raise ValueError(f"ToDtype: scale=True makes numbers from 0 to 1, and {self.dtype} can't hold them")

    def __call__(self, images: Tensor, rng: Rng = None) -> Tensor:
        x = images.data
        ### BEGIN SOLUTION
        y = x.astype(self.dtype)  # a copy, whatever the dtype was
        if self.scale and np.issubdtype(x.dtype, np.integer):
            y *= 1 / np.iinfo(x.dtype).max  # in place: another large array would cost more than the product
        return wrap(y)
        ### END SOLUTION


class Normalize:
    """(x - mean) / std, with one mean and one std per channel, in the dtype of x.

    Shapes: mean and std (C,), images (..., C, H, W). Raises: TypeError, saying 'float', for integers.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = np.asarray(mean), np.asarray(std)
        if (self.std == 0).any():
            raise ValueError(f"Normalize: std is {std}, and can't be divided by 0")

    def __call__(self, images: Tensor, rng: Rng = None) -> Tensor:
        x = images.data
        ### BEGIN SOLUTION
        if x.dtype.kind != "f":
            raise TypeError(f"Normalize: expected float images, got {x.dtype}; use ToDtype before")
        mean, std = [values.astype(x.dtype)[:, None, None] for values in (self.mean, self.std)]
        y = x - mean
        y /= std
        return wrap(y)
        ### END SOLUTION

# %% [markdown]
# ## 8. Transforms: more images than you have
#
# A cat is a cat in the mirror, and two pixels further left. To say so to a network, show it each image a little
# differently in every epoch. With 4 rows and columns of zeros around it, an image of 32 x 32 is one of 40 x 40, and a
# window of 32 x 32 has 40 - 32 + 1 = 9 places in each direction: 81 crops, mirrored 162 images out of one.
#
# How are 128 windows, each at its own place, cut out without a loop? A view can hold *all* of them at once, since the
# window at (i, j) begins i rows and j columns after the first: the strides of rows and columns simply appear twice.
# `sliding_window_view` makes it, without a copy, and a gather picks one window per image. Arrays as indices are matched
# element by element, like `zip`:

# %%
images = np.arange(2 * 1 * 3 * 3).reshape(2, 1, 3, 3)
windows = sliding_window_view(images, (2, 2), axis=(-2, -1))  # (B, C, rows, columns, h, w)
assert windows.shape == (2, 1, 2, 2, 2, 2) and windows.strides[-2:] == windows.strides[-4:-2]
picked = windows[[0, 1], :, [0, 1], [1, 0]]  # image 0 at (0, 1), image 1 at (1, 0)
assert picked.tolist() == [[[[1, 2], [4, 5]]], [[[12, 13], [15, 16]]]]
assert 40 - 32 + 1 == 9 and 2 * 9 * 9 == 162

# %% [markdown]
# Every image gets a draw of its own; torchvision's transforms, given a batch, draw once for all of it. Order and number
# of the draws are up to you.
#
# **Exercise `augmentation`.** Write the three calls. Shape (but for the crop's) and dtype stay, also for a single image
# (C, H, W), and the images that were given stay as they are.
#
# <details><summary>Hints</summary>
#
# Flip: of a copy, replace those images for which a draw from [0, 1) is below p, all in one assignment. A boolean array
# of shape (B,) selects images, and a single boolean selects the only one there is.
#
# Crop: bring the batch dimensions down to one, (B, C, H, W), pad with zeros, gather, and restore them at the end.
#
# </details>

# %% exercise="augmentation" points=4 task="flip and crop every image by its own draw, and chain transforms"
class RandomHorizontalFlip:
    """Mirror each image left to right with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"RandomHorizontalFlip: p is a probability, from 0 to 1, got {p}")
        self.p = p

    def __call__(self, images: Tensor, rng: Rng = None) -> Tensor:
        rng = rng or random.generator()
        ### BEGIN SOLUTION
        x = images.data.copy()
        chosen = rng.random(x.shape[:-3]) < self.p
        x[chosen] = x[chosen, ..., ::-1]
        return wrap(x)
        ### END SOLUTION


class RandomCrop:
    """A window of `size` out of each image, after `padding` with zeros; every place is equally likely.

    `size` is (height, width) or one int for both. `padding` is one int or, in torchvision's order, (columns left and
    right, rows above and below). Raises: ValueError, naming both, if `size` is larger than the padded image.
    """

    def __init__(self, size: int | tuple[int, int], padding: int | tuple[int, int] = 0) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.padding = (padding, padding) if isinstance(padding, int) else tuple(padding)

    def __call__(self, images: Tensor, rng: Rng = None) -> Tensor:
        rng = rng or random.generator()
        (*batch, channels, height, width), (side, top) = images.shape, self.padding
        padded_size = height + 2 * top, width + 2 * side
        if padded_size[0] < self.size[0] or padded_size[1] < self.size[1]:
            raise ValueError(f"RandomCrop: size {self.size} is larger than the padded image, {padded_size}")
        ### BEGIN SOLUTION
        x = images.data.reshape(math.prod(batch), channels, height, width)
        padded = np.zeros((len(x), channels, *padded_size), x.dtype)
        padded[:, :, top : top + height, side : side + width] = x
        windows = sliding_window_view(padded, self.size, axis=(-2, -1))  # (B, C, rows, columns, h, w)
        row = rng.integers(windows.shape[2], size=len(x))
        column = rng.integers(windows.shape[3], size=len(x))
        crops = windows[np.arange(len(x)), :, row, column]  # (B, C, h, w)
        return wrap(crops.reshape(*batch, channels, *self.size))
        ### END SOLUTION


class Compose:
    """One transform after another; all of them draw from the same `rng`."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = transforms

    def __call__(self, images: Tensor, rng: Rng = None) -> Tensor:
        ### BEGIN SOLUTION
        for transform in self.transforms:
            images = transform(images, rng)
        return images
        ### END SOLUTION

# %% [markdown]
# ## 9. What does it cost?
#
# A batch of B samples of S bytes moves B · S bytes whichever way it is made, O(B · S). What differs is what Python adds
# per sample. Below, the loop asks for 256 samples and collates them, and the gather takes them at once, for images that
# grow. The loop's time per sample hardly changes as long as Python dominates; the gather's is that of copying.

# %%
from tinytorch import measure

rng, table = np.random.default_rng(0), []
indices = rng.permutation(8192)[:256]
for side in (4, 8, 16, 32):
    images = TensorDataset(Tensor(rng.integers(0, 256, size=(8192, 3, side, side), dtype=np.uint8)))
    loop, gather = measure.time(Dataset.__getitems__, images, indices), measure.time(images.__getitems__, indices)
    size, factor = measure.memory(3 * side * side), f"{loop / gather:.0f}x"
    table.append([f"{side} x {side}", size, measure.duration(loop / 256), measure.duration(gather / 256), factor])
measure.table(["image", "size", "loop, a sample", "gather, a sample", "gain"], table, title="One by one, or at once")

# %% [markdown]
# Now a whole pipeline, 8,192 images of 32 x 32 in batches of 256, each line with more to do. Shuffling costs the
# drawing of the order, and reading in leaps instead of straight on: compare the first two lines, and what is left of
# the difference once every byte must become a float.

# %%
images = TensorDataset(Tensor(rng.integers(0, 256, size=(8192, 3, 32, 32), dtype=np.uint8)), Tensor(np.arange(8192)))
to_float = ToDtype(np.float32, scale=True)
normal = Normalize([0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
augment = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip(), to_float, normal])


def epoch(work=len, **options):
    """Load all batches, and do something with each batch's inputs."""
    for inputs, _ in DataLoader(images, 256, rng=rng, **options):
        work(inputs)


stages = {
    "bytes, in order": {},
    "bytes, shuffled": {"shuffle": True},
    "floats, shuffled": {"shuffle": True, "transform": to_float},
    "crop, flip, floats, normalise": {"shuffle": True, "transform": augment},
}
seconds = {name: measure.time(partial(epoch, **options)) for name, options in stages.items()}
measure.table(["epoch", "time", "images/s"], [[n, measure.duration(s), round(8192 / s)] for n, s in seconds.items()])

# %% [markdown]
# Last, what does `prefetch` hide? A matrix product stands for the network. If a second core is free, an epoch with
# `prefetch` takes about as long as the slower of the two, loading or computing, instead of their sum; on one core
# nothing is gained. More than one or two batches ahead bring nothing, unless loading is sometimes slow, as from a disk.

# %%
weight = Tensor(rng.standard_normal((3072, 64), dtype=np.float32))
batch = Tensor(np.ones((256, 3072), np.float32))
rows = [["computing alone", measure.duration(32 * measure.time(lambda: batch @ weight))]]
rows += [["loading alone", measure.duration(seconds["crop, flip, floats, normalise"])]]
for count in (0, 1, 4):
    run = partial(epoch, lambda x: x.reshape(-1, 3072) @ weight, shuffle=True, transform=augment, prefetch=count)
    rows.append([f"both, prefetch={count}", measure.duration(measure.time(run, budget=0.3))])
measure.table(["epoch of 32 batches", "time"], rows)

# %% [markdown]
# ## What this makes possible
#
# Nothing here knows what a network is. In module 08 the training loop takes any loader, saves where in an epoch it
# stands, and goes on from there, with the same batches, on the strength of section 5. With the convolutions of module
# 09 it will be photographs that go through these transforms.
