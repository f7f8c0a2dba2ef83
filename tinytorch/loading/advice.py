"""Which strategy suits data and machine, with which parameters, and why: `recommend`."""
from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.errors import DataError
from tinytorch.loading.cache import default_folder
from tinytorch.loading.loader import Loader
from tinytorch.loading.machine import free_memory, is_network_mount
from tinytorch.loading.mapped import PreWarmed
from tinytorch.loading.memory import InMemory
from tinytorch.loading.shards import INDEX, read_index
from tinytorch.loading.stores import FolderStore, HttpStore, S3Store, Store, open_store
from tinytorch.loading.streamed import WINDOW, WORKERS, DirectS3, LocalCache
from tinytorch.measure import duration, memory

__all__ = ["Advice", "Facts", "advise", "recommend"]

SMALL = 0.25  # of free memory: data up to this is simply read into it
FITS = 0.8  # of free memory, or of free disk: data up to this can stay there
UNKNOWN_MEMORY = 2 * 2**30
SLOW = 50e6  # bytes a second: below it, more threads fetch
MEASURED_BYTES = 64 * 2**20
MEASURED_SECONDS = 2.0
_WRITE = "Write it as shards first: tinytorch.loading.write_shards"


@dataclass(frozen=True)
class Facts:
    """What a recommendation is made from."""

    place: str
    kind: str  # local, network (a mounted one), http or s3
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
    def _needs_shards(self) -> bool:
        return self.facts.form != "shards" and not (self.facts.form == "array" and self.strategy == "InMemory")

    def call(self) -> str:
        """How a program makes the loader; of data that has to be written as shards first, with where these may be."""
        listed = "".join(f", {name}={value!r}" for name, value in self.parameters.items())
        if self.facts.form == "array" and self.strategy == "InMemory":
            return f"tinytorch.loading.InMemory(np.load({self.facts.place!r}), labels, batch_size=128, shuffle=True{listed})"
        place = f"{Path(self.facts.place).with_suffix('')}-shards" if self._needs_shards else self.facts.place
        function = "InMemory.from_shards" if self.strategy == "InMemory" else self.strategy
        return f"tinytorch.loading.{function}({place!r}, batch_size=128, shuffle=True{listed})"

    def loader(self, batch_size: int = 1, shuffle: bool = False, **options: Any) -> Loader:
        """The loader that is recommended; `options` are further arguments of it. A `.npy` file is inputs without labels.

        Raises: DataError if the data has to be written as shards first.
        """
        options = self.parameters | options
        place = self.facts.place
        if self._needs_shards:
            raise DataError(f"{place} isn't in the shard format. {_WRITE}")
        if self.facts.form == "array":
            return InMemory(np.load(place), None, batch_size, shuffle, **options)
        if self.strategy == "InMemory":
            return InMemory.from_shards(place, batch_size, shuffle, **options)
        strategy = {"PreWarmed": PreWarmed, "LocalCache": LocalCache, "DirectS3": DirectS3}[self.strategy]
        return strategy(place, batch_size, shuffle, **options)


def recommend(
    place: str | PathLike[str], *, epochs: int | None = None, measure: bool = False, cache: str | PathLike[str] | None = None
) -> Advice:
    """Which strategy suits the data at `place` on this machine, with which parameters, and why.

    `place` is a folder or an address of shards, a `.npy` file, or a folder of other files, which would have to be
    written as shards. `epochs` is how often the data will be read, if that is known. With `measure` some of it is read
    for up to two seconds, to know how fast that is. `cache` is the folder that a cache would be in.

    Raises: DataError if there is no data, or it can't be reached.
    """
    return advise(replace(_facts(place, measure=measure, cache=default_folder() if cache is None else Path(cache)), epochs=epochs))


def _facts(place: str | PathLike[str], *, measure: bool, cache: Path) -> Facts:
    """What is known about data and machine; with `measure`, also how fast data can be read.

    Raises: DataError if there is no data, or it can't be reached.
    """
    store = open_store(place)
    try:
        known = _local_facts(store.path, cache) if isinstance(store, FolderStore) else None
        if known is None or known.form == "shards":
            known = _shards(store, known.kind if known else "s3" if isinstance(store, S3Store) else "http", cache)
            if measure and known.shards:
                known = replace(known, throughput=_throughput(store, known.ranges))
        return known
    finally:
        store.close()


def _machine(cache: Path) -> dict[str, Any]:
    there = next(folder for folder in (cache.absolute(), *cache.absolute().parents) if folder.is_dir())
    return {"memory": free_memory(), "disk": shutil.disk_usage(there).free, "cores": _cores()}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _local_facts(path: Path, cache: Path) -> Facts:
    """Of a folder or file here; of shards no more than that they are some."""
    kind = "network" if is_network_mount(path) else "local"
    form, samples = "shards", None
    try:
        if path.is_file():
            if path.suffix != ".npy":
                raise DataError(f"{path} is neither a folder of shards nor a .npy file. {_WRITE}")
            try:
                samples = len(np.load(path, mmap_mode="r"))
            except (ValueError, TypeError, EOFError) as error:
                raise DataError(f"{path} is no array that can be loaded ({error})") from error
            form, nbytes = "array", path.stat().st_size
        elif (path / INDEX).is_file():
            nbytes = 0
        elif not path.exists():
            raise DataError(f"{path}: there is no such file or folder")
        else:
            form, nbytes = "files", sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            if not nbytes:
                raise DataError(f"{path}: there is no data")
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    return Facts(str(path), kind, form, nbytes, samples, 0, 0, **_machine(cache))


def _shards(store: Store, kind: str, cache: Path) -> Facts:
    index = read_index(store)
    ranges = store.has_ranges(index.shards[0].file) if isinstance(store, HttpStore) and index.shards else True
    return Facts(
        store.place, kind, "shards", index.nbytes, index.count, len(index.shards), index.largest, **_machine(cache), ranges=ranges
    )


def _throughput(store: Store, ranges: bool) -> float:
    """Bytes a second of reading shards one after another, for a moment."""
    read, began = 0, time.perf_counter()
    for shard in read_index(store).shards:
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
        reasons.append(f"It isn't in the shard format. {_WRITE}.")
    if known.kind in ("local", "network") and known.nbytes <= SMALL * free:
        return Advice("InMemory", {"prefetch": prefetch}, (*reasons, "That is small: read once, it stays in memory, and no batch waits."), known)
    if known.kind == "local":
        return _pre_warmed(known, free, reasons, prefetch)
    return _streamed(known, reasons)


def _size_and_memory(known: Facts) -> str:
    free = "nobody says how much memory is free (2 GiB are assumed)" if known.memory is None else f"{memory(known.memory)} of memory are free"
    return f"The data has {memory(known.nbytes)}, and {free}."


def _pre_warmed(known: Facts, free: int, reasons: list[str], prefetch: int) -> Advice:
    parameters: dict[str, Any] = {"prefetch": prefetch}
    if known.form == "array":
        reasons.append(f"It is one array, which is neither checked nor read ahead. {_WRITE}.")
    if known.nbytes <= FITS * free:
        reasons.append("It is on a disk of this machine and fits into free memory: mapped and read ahead once, it is read from memory.")
        reasons.append("All samples can be shuffled together.")
    else:
        parameters["window"] = max(1, int(SMALL * free) // max(known.largest, 1)) if known.largest else WINDOW
        reasons.append("It is on a disk of this machine and larger than free memory: mapped, what is in use stays in memory.")
        reasons.append(f"The samples of {parameters['window']} shards are shuffled together, so that the disk is read in long stretches.")
    return Advice("PreWarmed", parameters, tuple(reasons), known)


def _streamed(known: Facts, reasons: list[str]) -> Advice:
    workers = 2 * WORKERS if known.throughput is not None and known.throughput < SLOW else WORKERS
    where = {"network": "on a mounted network", "http": "on a web server", "s3": "in an object store"}[known.kind]
    if workers > WORKERS:
        reasons.append(f"That is slow: {workers} threads fetch at the same time.")
    parameters: dict[str, Any] = {"workers": workers, "window": WINDOW, "prefetch": 2}
    room = int(min(FITS * known.disk, max(known.nbytes, 1)))
    in_use = min((2 * WINDOW + workers) * known.largest, known.nbytes)
    if known.epochs == 1 and known.ranges:
        reasons.append(f"It is {where} and read once: keeping it would cost a write and bring nothing.")
        return Advice("DirectS3", parameters, tuple(reasons), known)
    if room < in_use and known.ranges:
        reasons.append(
            f"It is {where}, and the disk for a cache has {memory(known.disk)} free, too little for the {memory(in_use)} that are in use "
            "at a time: nothing is kept."
        )
        return Advice("DirectS3", parameters, tuple(reasons), known)
    parameters["limit"] = max(room, known.largest)
    if room >= known.nbytes:
        reasons.append(f"It is {where} and fits on this machine's disk: each shard is fetched once, and the next epochs and runs read it here.")
    else:
        reasons.append(f"It is {where}, and of it {memory(room)} fit on this machine's disk: the rest, at least, is fetched again in each epoch.")
    if not known.ranges:
        reasons.append("The server has no ranges, so shards have to be fetched whole.")
    return Advice("LocalCache", parameters, tuple(reasons), known)
