"""Which strategy suits data and machine, with which parameters, and why: `recommend`."""
from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.errors import DataError
from tinytorch.files import free_space
from tinytorch.loading.cache import default_folder
from tinytorch.loading.loader import Loader
from tinytorch.loading.machine import FITS, UNKNOWN_MEMORY, cores, free_memory, is_network_mount
from tinytorch.loading.mapped import PreWarmed
from tinytorch.loading.memory import InMemory
from tinytorch.loading.shards import INDEX, Index, read_index
from tinytorch.loading.stores import FolderStore, HttpStore, S3Store, Store, open_store
from tinytorch.loading.streamed import WINDOW, WORKERS, DirectS3, LocalCache
from tinytorch.measure import duration, memory

__all__ = ["Advice", "Facts", "advise", "called", "recommend"]

PLACES = {"local": "a disk of this machine", "network": "a mounted network", "http": "a web server", "s3": "an object store"}
SMALL = 0.25  # of free memory: data up to this is simply read into it
SLOW = 50e6  # bytes a second: below it, more threads fetch
MEASURED_BYTES = 64 * 2**20
MEASURED_SECONDS = 2.0
NEEDS_SHARDS = "Write it as shards first: tinytorch.loading.write_shards"
_MAKERS: dict[str, Callable[..., Loader]] = {  # by strategy, what makes its loader of a place with shards
    "InMemory": InMemory.from_shards, "PreWarmed": PreWarmed, "LocalCache": LocalCache, "DirectS3": DirectS3,
}  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What a recommendation is made from."""

    place: str
    kind: str  # one of PLACES
    form: str  # shards, array (one .npy file), or files (a folder of something else)
    nbytes: int
    samples: int | None  # None: unknown
    shards: int
    largest: int  # bytes of the largest shard
    memory: int | None  # bytes that are free; None: unknown
    disk: int  # bytes that are free where a cache would be
    cores: int
    ranges: bool = True  # whether parts of files can be read
    throughput: float | None = None  # bytes a second, measured; None: not measured
    epochs: int | None = None  # None: several


@dataclass(frozen=True)
class Advice:
    """A strategy with its parameters, and the reasons in sentences."""

    strategy: str
    parameters: dict[str, Any]
    reasons: tuple[str, ...]
    facts: Facts

    @property
    def _is_loaded(self) -> bool:
        """Whether the data is an array that the loader gets as it is; else it has to be in shards."""
        return self.facts.form == "array" and self.strategy == "InMemory"

    @property
    def function(self) -> str:
        """What makes the loader of a place with shards, as it is called in `tinytorch.loading`."""
        return _MAKERS[self.strategy].__qualname__

    def call(self) -> str:
        """How a program makes the loader; of data that has to be written as shards first, with where these may be."""
        place, parameters = self.facts.place, {"batch_size": 128, "shuffle": True} | self.parameters
        if self._is_loaded:
            return called("tinytorch.loading.InMemory", f"np.load({place!r})", "labels", **parameters)
        shards = place if self.facts.form == "shards" else f"{Path(place).with_suffix('')}-shards"
        return called(f"tinytorch.loading.{self.function}", repr(shards), **parameters)

    def loader(self, batch_size: int = 1, shuffle: bool = False, **options: Any) -> Loader:
        """The loader that is recommended; `options` are further arguments of it. A `.npy` file is inputs without labels.

        Raises: DataError if the data has to be written as shards first.
        """
        place, options = self.facts.place, self.parameters | options
        if self._is_loaded:
            return InMemory(np.load(place), None, batch_size, shuffle, **options)
        if self.facts.form != "shards":
            raise DataError(f"{place} isn't in the shard format. {NEEDS_SHARDS}")
        return _MAKERS[self.strategy](place, batch_size, shuffle, **options)


def called(function: str, *arguments: str, **parameters: Any) -> str:
    """A call as it stands in a program."""
    return f"{function}({', '.join([*arguments, *(f'{name}={value!r}' for name, value in parameters.items())])})"


def recommend(
    place: str | PathLike[str], *, epochs: int | None = None, measure: bool = False, cache: str | PathLike[str] | None = None
) -> Advice:
    """Which strategy suits the data at `place` on this machine, with which parameters, and why.

    `place` is a folder or an address of shards, a `.npy` file, or a folder of other files, which would have to be
    written as shards. `epochs` is how often the data will be read, if that is known. With `measure` some of it is read
    for up to two seconds, to know how fast that is. `cache` is the folder that a cache would be in.

    Raises: DataError if there is no data, or it can't be reached.
    """
    machine: dict[str, Any] = {"memory": free_memory(), "disk": free_space(default_folder() if cache is None else Path(cache)), "cores": cores()}
    with closing(open_store(place)) as store:
        if isinstance(store, FolderStore) and (found := _unsharded(store.path)):
            form, nbytes, samples = found
            return advise(Facts(store.place, _kind(store), form, nbytes, samples, 0, 0, **machine, epochs=epochs))
        index = read_index(store)
        ranges = store.has_ranges(index.shards[0].file) if isinstance(store, HttpStore) and index.shards else True
        return advise(Facts(
            store.place, _kind(store), "shards", index.nbytes, index.count, len(index.shards), index.largest, **machine, ranges=ranges,
            throughput=_throughput(store, index, ranges) if measure and index.shards else None, epochs=epochs,
        ))  # fmt: skip


def _kind(store: Store) -> str:
    if isinstance(store, FolderStore):
        return "network" if is_network_mount(store.path) else "local"
    return "s3" if isinstance(store, S3Store) else "http"


def _unsharded(path: Path) -> tuple[str, int, int | None] | None:
    """Form, bytes and samples of data here that isn't in the shard format; None for shards."""
    try:
        if path.is_file():
            return "array", path.stat().st_size, _rows(path)
        if (path / INDEX).is_file():
            return None
        nbytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    if not nbytes:
        raise DataError(f"{path}: there is no {'data' if path.exists() else 'such file or folder'}")
    return "files", nbytes, None


def _rows(path: Path) -> int:
    """Of the array in a .npy file."""
    if path.suffix != ".npy":
        raise DataError(f"{path} is neither a folder of shards nor a .npy file. {NEEDS_SHARDS}")
    try:
        return len(np.lib.format.open_memmap(path, mode="r"))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is no array that can be loaded ({error})") from error


def _throughput(store: Store, index: Index, ranges: bool) -> float:
    """Bytes a second of reading shards one after another, for a moment."""
    read, began = 0, time.perf_counter()
    for shard in index.shards:
        step = 2**22 if ranges else shard.nbytes
        for at in range(0, shard.nbytes, step):
            read += len(store.read(shard.file, at, min(at + step, shard.nbytes)) if ranges else store.read(shard.file))
            if read >= MEASURED_BYTES or time.perf_counter() - began > MEASURED_SECONDS:
                return read / (time.perf_counter() - began)
    return read / (time.perf_counter() - began)


def advise(known: Facts) -> Advice:
    """The recommendation that follows from facts: nothing is looked up."""
    free = UNKNOWN_MEMORY if known.memory is None else known.memory
    reasons = [_size_and_memory(known)]
    if known.throughput is not None:
        reasons.append(
            f"Reading was measured at {memory(known.throughput)} a second, so all of it takes at least {duration(known.nbytes / known.throughput)}"
            + (" (more if what was measured was in memory already, as files read lately are)." if known.kind in ("local", "network") else ".")
        )
    prefetch = 2 if known.cores > 1 else 0
    if known.form == "files":
        reasons.append(f"It isn't in the shard format. {NEEDS_SHARDS}.")
    if known.kind in ("local", "network") and known.nbytes <= SMALL * free:
        return Advice("InMemory", {"prefetch": prefetch}, (*reasons, "That is small: read once, it stays in memory, and no batch waits."), known)
    if known.kind == "local":
        return _pre_warmed(known, free, reasons, prefetch)
    return _streamed(known, reasons)


def _size_and_memory(known: Facts) -> str:
    free = f"nobody says how much memory is free ({memory(UNKNOWN_MEMORY)} are assumed)" if known.memory is None else f"{memory(known.memory)} of memory are free"
    return f"The data has {memory(known.nbytes)}, and {free}."


def _pre_warmed(known: Facts, free: int, reasons: list[str], prefetch: int) -> Advice:
    parameters: dict[str, Any] = {"prefetch": prefetch}
    if known.form == "array":
        reasons.append(f"It is one array, which is neither checked nor read ahead. {NEEDS_SHARDS}.")
    if known.nbytes <= FITS * free:
        reasons.append("It is on a disk of this machine and fits into free memory: mapped and read ahead once, it is read from memory.")
        reasons.append("All samples can be shuffled together.")
    else:
        parameters["window"] = max(1, int(SMALL * free) // max(known.largest, 1)) if known.largest else WINDOW
        reasons.append("It is on a disk of this machine and larger than free memory: mapped, what is in use stays in memory.")
        shards = "each shard" if parameters["window"] == 1 else f"{parameters['window']} shards"
        reasons.append(f"The samples of {shards} are shuffled together, so that the disk is read in long stretches.")
    return Advice("PreWarmed", parameters, tuple(reasons), known)


def _streamed(known: Facts, reasons: list[str]) -> Advice:
    workers = 2 * WORKERS if known.throughput is not None and known.throughput < SLOW else WORKERS
    where = f"It comes from {PLACES[known.kind]}"
    if workers > WORKERS:
        reasons.append(f"That is slow: {workers} threads fetch at the same time.")
    parameters: dict[str, Any] = {"workers": workers, "window": WINDOW, "prefetch": 2}
    room = int(min(FITS * known.disk, max(known.nbytes, 1)))
    in_use = min((2 * WINDOW + workers) * known.largest, known.nbytes)
    if known.epochs == 1 and known.ranges:
        reasons.append(f"{where} and is read once: keeping it would cost a write and bring nothing.")
        return Advice("DirectS3", parameters, tuple(reasons), known)
    if room < in_use and known.ranges:
        reasons.append(
            f"{where}, and the disk for a cache has {memory(known.disk)} free, too little for the {memory(in_use)} that are in use "
            "at a time: nothing is kept."
        )
        return Advice("DirectS3", parameters, tuple(reasons), known)
    parameters["limit"] = max(room, known.largest)
    if room >= known.nbytes:
        reasons.append(f"{where} and fits on this machine's disk: each shard is fetched once, and the next epochs and runs read it here.")
    else:
        reasons.append(f"{where}, and of it {memory(room)} fit on this machine's disk: the rest, at least, is fetched again in each epoch.")
    if not known.ranges:
        reasons.append("The server has no ranges, so shards have to be fetched whole.")
    return Advice("LocalCache", parameters, tuple(reasons), known)
