"""All samples in memory, as arrays."""
from __future__ import annotations

from contextlib import closing
from os import PathLike
from typing import Any

import numpy as np

from tinytorch.errors import DataError
from tinytorch.files import readable_size, sha256
from tinytorch.loading.loader import Loader
from tinytorch.loading.order import full_order
from tinytorch.loading.shards import check, read_index
from tinytorch.loading.stores import Store, store_at

__all__ = ["InMemory"]


class InMemory(Loader):
    """Batches of arrays.

    Shapes: inputs (N, ...), labels (N, ...), of any dtype but objects; a memory-mapped array is one too. Further
    arguments are those of `Loader`. Without labels a batch is `(inputs,)`.

    Raises: ValueError, naming both, if the lengths differ; TypeError for objects.

    >>> loader = InMemory(np.array([[0], [51], [255]], np.uint8), np.array([7, 8, 9]), batch_size=2)
    >>> [(x.dtype.name, float(x.max()) <= 1, y.tolist()) for x, y in loader]
    [('float32', True, [7, 8]), ('float32', True, [9])]
    """

    def __init__(
        self, inputs: np.ndarray, labels: np.ndarray | None = None, batch_size: int = 1, shuffle: bool = False, **options: Any
    ) -> None:
        super().__init__(_Arrays(inputs, labels), batch_size, shuffle, **options)

    @classmethod
    def from_shards(
        cls, place: str | PathLike[str] | Store, batch_size: int = 1, shuffle: bool = False, **options: Any
    ) -> InMemory:
        """Read all shards at `place`, a folder, an address or an open store, and check them.

        Raises: DataError, naming the shard, if one is damaged, or if memory can't hold them; whatever the store raises if
            it can't be read.
        """
        with store_at(place) as store, closing(store):
            index = read_index(store)
            try:
                columns = [np.empty((index.count, *rows.shape), rows.dtype) for rows in index.rows]
            except MemoryError as error:
                raise DataError(f"{store.place}: {readable_size(index.nbytes)} don't fit into memory. Use PreWarmed or LocalCache") from error
            at = 0
            for shard in index.shards:
                data = store.read(shard.file)
                check(shard, store.place, len(data), sha256(data))
                for column, part in zip(columns, index.arrays(np.frombuffer(data, np.uint8), shard.count), strict=True):
                    column[at : at + shard.count] = part
                at += shard.count
        return cls(columns[0], columns[1] if len(columns) > 1 else None, batch_size, shuffle, **options)


class _Arrays:
    """Columns of equal length, and every epoch of them."""

    def __init__(self, inputs: np.ndarray, labels: np.ndarray | None) -> None:
        # asarray: a gather from NumPy's memmap class would make another one
        self.columns = [_checked("inputs", inputs)] if labels is None else [_checked("inputs", inputs), _checked("labels", labels)]
        if labels is not None and len(inputs) != len(labels):
            raise ValueError(f"InMemory: {len(inputs)} inputs and {len(labels)} labels; each sample has one of each")
        self.count = len(self.columns[0])
        self.described: dict[str, Any] = {}

    def order(self, shuffle: bool, rng: np.random.Generator) -> np.ndarray:
        return full_order(self.count, shuffle, rng)

    def epoch(self, order: np.ndarray) -> _Arrays:
        return self

    def take(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple([_native(column.take(indices, axis=0)) for column in self.columns])

    def end(self) -> None: ...

    def close(self) -> None: ...


def _checked(name: str, column: np.ndarray) -> np.ndarray:
    array = np.asarray(column)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"InMemory: {name} are {array.dtype}; expected bools, integers or floats")
    if array.ndim == 0:
        raise ValueError(f"InMemory: {name} are one number; expected an array whose first dimension counts the samples")
    return array


def _native(batch: np.ndarray) -> np.ndarray:
    """In this machine's byte order, which is the only one that is fast."""
    return batch if batch.dtype.isnative else batch.astype(batch.dtype.newbyteorder("="))
