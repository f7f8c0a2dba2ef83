"""A loader script for PyTorch: the recommended strategy behind a Dataset, with the DataLoader's options chosen."""
from __future__ import annotations

import os
from pathlib import Path
from string import Template

from tinytorch.errors import DataError
from tinytorch.loading.advice import NEEDS_SHARDS, Advice, called

__all__ = ["pytorch_script"]

_SCRIPT = Template('''"""Batches of $count samples for PyTorch. Made by: tito data recommend --script

$reasons

    from $module import Batches

    batches = Batches(batch_size=128, seed=0)
    for epoch in range(10):
        for inputs, labels in batches.epoch(epoch):
            ...

`python $file` reads one epoch and says how fast that was. Needs: pip install torch "tinytorch$extra"
"""
import os
import time

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from tinytorch.loading import $strategy

PLACE = $place


def open_source():
    """The samples behind tinytorch's loader: `count`, `order(shuffle, generator)`, and `take(indices)`."""
    return $opened.source


class Shards(Dataset):
    """Samples by number. PyTorch asks for a whole batch at once (`__getitems__`), which is one gather."""

    def __init__(self):
        self.source, self.process = None, None

    def opened(self):
        if self.process != os.getpid():  # each worker process opens it for itself: connections can't be shared
            self.source, self.process = open_source(), os.getpid()
        return self.source

    def __len__(self):
        return self.opened().count

    def __getitems__(self, indices):
        inputs, *labels = [torch.from_numpy(column) for column in self.opened().take(np.asarray(indices))]
        if inputs.dtype == torch.uint8:
            # With a GPU, do this there instead: bytes are a quarter of what has to be sent.
            inputs = inputs.to(torch.float32).mul_(1 / 255)
        return inputs, *labels

    def __getstate__(self):
        return {"source": None, "process": None}  # what a worker that isn't forked is sent


class Order(Sampler):
    """The order of an epoch, drawn from the seed and the epoch's number alone.

    $order
    """

    def __init__(self, shards, seed):
        self.shards, self.seed, self.epoch = shards, seed, 0

    def __len__(self):
        return len(self.shards)

    def __iter__(self):
        generator = np.random.default_rng([self.seed, self.epoch])
        return iter(self.shards.opened().order(True, generator).tolist())


def as_it_is(batch):
    """Nothing to collate: the dataset makes whole batches. (A lambda couldn't be sent to a worker.)"""
    return batch


class Batches:
    def __init__(self, batch_size=128, seed=0, drop_last=False):
        self.order = Order(Shards(), seed)
        self.loader = DataLoader(
            self.order.shards,
            batch_size=batch_size,
            sampler=self.order,
            drop_last=drop_last,
            collate_fn=as_it_is,
            # Memory that a GPU can copy from while it computes; then use inputs.to(device, non_blocking=True).
            pin_memory=torch.cuda.is_available(),
$options
        )

    def epoch(self, number):
        """The batches (inputs, labels) of an epoch; the same for the same number and seed."""
        self.order.epoch = number
        return iter(self.loader)


def main():
    batches = Batches()
    began, samples = time.perf_counter(), 0
    for inputs, *labels in batches.epoch(0):
        samples += len(inputs)
    seconds = time.perf_counter() - began
    print(f"{samples} samples in {seconds:.2f} s, {samples / seconds:.0f} a second")


if __name__ == "__main__":  # worker processes import this file again
    main()
''')

_NO_WORKERS = """\
            # None: samples are in memory, and one gather makes a batch. Sending batches from process to process would
            # cost more than making them. If you add slow transforms in Python, try 2 and persistent_workers=True.
            num_workers=0,"""
_WORKERS = """\
            # The data comes from elsewhere: while one process waits for the network, others load.
            num_workers={workers},
            persistent_workers=True,  # starting them costs more than a second, also for the next epoch
            prefetch_factor=4,  # batches that each has ready: a slow shard is not felt at once"""


def pytorch_script(advice: Advice, file: str = "loader.py") -> str:
    """The source of a script, to be saved as `file`, that loads what the advice is about.

    Raises: DataError if the data isn't in the shard format, which the script reads.
    """
    known = advice.facts
    if known.form != "shards":
        raise DataError(f"{known.place} holds no shards, which the script reads. {NEEDS_SHARDS}")
    place = known.place if "://" in known.place else os.path.abspath(known.place)  # noqa: PTH100  # resolves no link
    parameters = {name: value for name, value in advice.parameters.items() if name != "prefetch"}
    is_streamed = advice.strategy in ("LocalCache", "DirectS3")
    window = parameters.get("window")
    unit = "shards" if advice.strategy != "DirectS3" else "blocks"
    return _SCRIPT.substitute(
        count=f"{known.samples:,}", reasons="\n".join(advice.reasons), module=Path(file).stem, file=file, strategy=advice.strategy,
        extra="[s3]" if known.kind == "s3" else "", place=repr(place), opened=called(advice.function, "PLACE", **parameters),
        order=f"The samples of {window} {unit} are shuffled together, so that few are in use at a time." if window else "All samples are shuffled together.",
        options=_WORKERS.format(workers=min(4, known.cores)) if is_streamed else _NO_WORKERS,
    )  # fmt: skip
