"""The shard format: a folder, or a place in the network, with `index.json` and files of raw rows.

A shard is the inputs of some samples one after another, zeros up to a multiple of 64 bytes, then their labels: numbers
in C order, little-endian. What the rows are, how many each shard has, how long it is and its SHA-256 stand in the index:

    {"version": 1, "count": 50000,
     "inputs": {"shape": [3, 32, 32], "dtype": "|u1"}, "labels": {"shape": [], "dtype": "<i8"},
     "shards": [{"file": "00000.shard", "count": 21788, "bytes": 67107040, "sha256": "..."}, ...]}

`labels` is null where there are none. Nothing in a shard is code, and no reader ever unpickles.
"""
from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch.errors import DataError
from tinytorch.files import lock, sha256, write_atomic

if TYPE_CHECKING:
    from tinytorch.loading.stores import Store

__all__ = ["INDEX", "Index", "Rows", "Shard", "check", "read_index", "write_shards"]

INDEX = "index.json"
SHARD_BYTES = 64 * 2**20
_VERSION = 1
_ALIGNMENT = 64  # bytes: labels begin where any of their dtypes may
_LARGEST = 2**40  # bytes of a shard; a reader makes room for what an index says, so it doesn't believe everything
_DTYPES = {"|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8"}
_FILE = re.compile(r"\d{5,}\.shard")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Rows:
    """What a sample's inputs are, or its labels."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of one sample."""
        return math.prod(self.shape) * self.dtype.itemsize

    def of(self, data: np.ndarray, start: int, count: int) -> np.ndarray:
        """`count` rows, (count, *shape), which begin at byte `start` of `data`, (bytes,) uint8; nothing is copied."""
        return data[start : start + count * self.nbytes].view(self.dtype).reshape(count, *self.shape)


@dataclass(frozen=True)
class Shard:
    """A file of the dataset."""

    file: str
    count: int  # samples
    nbytes: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """What is in a dataset of shards."""

    inputs: Rows
    labels: Rows | None
    shards: tuple[Shard, ...]

    @cached_property
    def count(self) -> int:
        """Samples."""
        return sum(shard.count for shard in self.shards)

    @cached_property
    def nbytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.nbytes for shard in self.shards)

    @cached_property
    def largest(self) -> int:
        """Bytes of the largest shard."""
        return max((shard.nbytes for shard in self.shards), default=0)

    @property
    def rows(self) -> tuple[Rows, ...]:
        """Those of the inputs and, if there are any, of the labels."""
        return (self.inputs,) if self.labels is None else (self.inputs, self.labels)

    def starts(self, count: int) -> tuple[int, ...]:
        """The byte at which each of `rows` begins in a shard of `count` samples."""
        return (0, _aligned(count * self.inputs.nbytes))[: len(self.rows)]

    def length(self, count: int) -> int:
        """Bytes of a shard of `count` samples."""
        return self.starts(count)[-1] + count * self.rows[-1].nbytes

    def arrays(self, data: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
        """Inputs, (count, ...), and labels, if there are any, of a shard's bytes, (bytes,) uint8; nothing is copied."""
        return tuple(rows.of(data, start, count) for rows, start in zip(self.rows, self.starts(count), strict=True))

    def as_json(self) -> dict[str, Any]:
        """As it is written to `index.json`."""
        described = [{"shape": list(rows.shape), "dtype": rows.dtype.str} for rows in self.rows]
        return {
            "version": _VERSION,
            "count": self.count,
            "inputs": described[0],
            "labels": described[1] if self.labels else None,
            "shards": [{"file": s.file, "count": s.count, "bytes": s.nbytes, "sha256": s.sha256} for s in self.shards],
        }


def _aligned(nbytes: int) -> int:
    return -(-nbytes // _ALIGNMENT) * _ALIGNMENT


def write_shards(
    folder: str | PathLike[str], inputs: np.ndarray, labels: np.ndarray | None = None, *,
    shard_bytes: int = SHARD_BYTES, report: Callable[[int, int], None] | None = None,
) -> Index:
    """Write a dataset as shards of about `shard_bytes`, the index last: what was killed is no dataset, and can be repeated.

    Shapes: inputs (N, ...), labels (N, ...); bools, integers or floats of any byte order, also memory-mapped ones: no
    more than a shard is in memory. `report` is told of the samples written and of all there are.

    Raises: TypeError for other dtypes (objects would need pickle); ValueError if the lengths differ, or rows are empty;
        DataError if the folder holds a dataset, can't be written, or another process is writing there.
    """
    if shard_bytes < 1:
        raise ValueError(f"write_shards: shard_bytes is at least 1, got {shard_bytes}")
    columns = [("inputs", inputs)] if labels is None else [("inputs", inputs), ("labels", labels)]
    rows = [_rows(name, np.asanyarray(column)) for name, column in columns]
    if labels is not None and len(inputs) != len(labels):
        raise ValueError(f"write_shards: {len(inputs)} inputs and {len(labels)} labels; each sample has one of each")
    layout = Index(rows[0], rows[1] if labels is not None else None, ())
    per_shard = max(1, shard_bytes // sum(part.nbytes for part in rows))
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with lock(path / ".lock", timeout=0):
            if (path / INDEX).exists():
                raise DataError(f"{path} holds a dataset already. Write to another folder, or delete this one first")
            for left in path.iterdir():  # by a writer that was killed
                if _FILE.fullmatch(left.name):
                    left.unlink()
            shards: list[Shard] = []
            for start in range(0, len(inputs), per_shard):
                shard, data = _shard(layout, len(shards), [column[start : start + per_shard] for _, column in columns])
                write_atomic(path / shard.file, data)
                shards.append(shard)
                if report:
                    report(start + shard.count, len(inputs))
            index = Index(layout.inputs, layout.labels, tuple(shards))
            write_atomic(path / INDEX, (json.dumps(index.as_json(), indent=1) + "\n").encode())
    except TimeoutError as error:
        raise DataError(f"{path}: another process is writing shards there") from error
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: the shards can't be written ({error.strerror or error})") from error
    return index


def _rows(name: str, column: np.ndarray) -> Rows:
    stored = column.dtype.newbyteorder("<")
    if stored.str not in _DTYPES:
        raise TypeError(f"write_shards: {name} are {column.dtype}; shards hold bools, integers and floats, never objects")
    if column.ndim == 0 or 0 in column.shape[1:]:
        raise ValueError(f"write_shards: {name} have shape {column.shape}; expected (samples, ...), with something in each")
    return Rows(column.shape[1:], stored)


def _shard(layout: Index, number: int, columns: list[np.ndarray]) -> tuple[Shard, bytes]:
    parts = [np.asarray(column, rows.dtype).tobytes() for column, rows in zip(columns, layout.rows, strict=True)]
    if layout.labels is not None:
        parts.insert(1, bytes(_aligned(len(parts[0])) - len(parts[0])))
    data = b"".join(parts)
    return Shard(f"{number:05d}.shard", len(columns[0]), len(data), sha256(data)), data


def read_index(store: Store) -> Index:
    """The index of the dataset in `store`.

    Raises: DataError if there is none, or if it isn't one; whatever the store raises if it can't be reached.
    """
    data = store.read(INDEX)
    try:
        return _index(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        said = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{store.place}/{INDEX} is no index of shards ({said}). Write the dataset again with tinytorch.loading.write_shards"
        ) from error


def _index(found: dict[str, Any]) -> Index:
    if found["version"] != _VERSION:
        raise ValueError(f"version {found['version']!r}, and this TinyTorch reads {_VERSION}")
    labels = found["labels"]
    layout = Index(_read_rows(found["inputs"]), None if labels is None else _read_rows(labels), ())
    shards = tuple(_read_shard(layout, entry) for entry in found["shards"])
    if len({shard.file for shard in shards}) != len(shards):
        raise ValueError("a file is listed twice")
    index = Index(layout.inputs, layout.labels, shards)
    if index.count != found["count"]:
        raise ValueError(f"count {found['count']!r}, and the shards have {index.count}")
    return index


def _read_rows(found: dict[str, Any]) -> Rows:
    if found["dtype"] not in _DTYPES:
        raise ValueError(f"dtype {found['dtype']!r}; expected one of {', '.join(sorted(_DTYPES))}")
    rows = Rows(tuple(_positive(size, "a size in shape") for size in found["shape"]), np.dtype(found["dtype"]))
    np.empty((0, *rows.shape), rows.dtype)  # raises ValueError where NumPy has no such arrays
    return rows


def _read_shard(layout: Index, found: dict[str, Any]) -> Shard:
    file, digest = found["file"], found["sha256"]
    if not (isinstance(file, str) and _FILE.fullmatch(file) and isinstance(digest, str) and _SHA256.fullmatch(digest)):
        raise ValueError(f"shard {file!r} with SHA-256 {digest!r}; expected names like '00000.shard' and 64 digits")
    shard = Shard(file, _positive(found["count"], "count"), _positive(found["bytes"], "bytes"), digest)
    if shard.nbytes != layout.length(shard.count):
        raise ValueError(f"{file} with {shard.count} samples has {layout.length(shard.count)} bytes, not {shard.nbytes}")
    if shard.nbytes > _LARGEST:
        raise ValueError(f"{file} has {shard.nbytes} bytes, and a shard {_LARGEST} at most")
    return shard


def _positive(value: object, what: str) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{what} is a number from 1 on, got {value!r}")
    return value


def check(shard: Shard, place: str, length: int, digest: str | None = None) -> None:
    """Compare what was found in `place`, its bytes and, unless it is None, its SHA-256, with the index.

    Raises: DataError, naming the shard, if they differ.
    """
    if length != shard.nbytes:
        raise DataError(f"{place}: {shard.file} is damaged: {length} bytes, not {shard.nbytes}. {_REPAIR}")
    if digest not in (None, shard.sha256):
        raise DataError(f"{place}: {shard.file} is damaged: its SHA-256 isn't the index's. {_REPAIR}")


_REPAIR = "Copy this file again, or write the dataset again"
