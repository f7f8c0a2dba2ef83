"""Shards from elsewhere: fetched ahead by a few threads, through a cache on this machine's disk or without keeping any."""
from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.errors import DataError
from tinytorch.loading.blocks import Blocks, checked_window
from tinytorch.loading.cache import ShardCache, default_folder
from tinytorch.loading.loader import Loader
from tinytorch.loading.shards import Index, read_index
from tinytorch.loading.stores import Store, stop_with, store_at

__all__ = ["DirectS3", "LocalCache", "StreamedShards"]

WINDOW = 4  # blocks whose samples are shuffled together
WORKERS = 4  # threads that fetch
CACHE_LIMIT = 10 * 2**30  # bytes
BLOCK_BYTES = 2**20

Arrays = tuple[np.ndarray, ...]


class LocalCache(Loader):
    """Batches of shards from elsewhere, each fetched whole and kept on this machine's disk.

    `place` is a folder, an address (`file://`, `http://`, `https://`, `s3://bucket/prefix`) or an open store. `cache`
    is the folder for what is kept, which processes and datasets may share; never more than `limit` bytes are, and what
    was used least recently goes first. `workers` threads fetch as many shards ahead. The samples of `window` shards are
    shuffled together. Further arguments are those of `Loader`.

    Raises: DataError if the shards can't be reached, or if the largest is larger than the limit.
    """

    def __init__(
        self, place: str | PathLike[str] | Store, batch_size: int = 1, shuffle: bool = False, *,
        cache: str | PathLike[str] | None = None, limit: int = CACHE_LIMIT, window: int = WINDOW, workers: int = WORKERS,
        **options: Any,
    ) -> None:  # fmt: skip
        with store_at(place) as store:
            source = _cached_shards(store, default_folder() if cache is None else Path(cache), limit, window, workers)
            super().__init__(source, batch_size, shuffle, **options)


class DirectS3(Loader):
    """Batches of parts of shards from elsewhere, read by ranges; nothing is kept, for data that is read once.

    `place` is that of `LocalCache`; S3, most web servers and folders serve ranges. Blocks of about `block_bytes` are
    read, as many ahead as there are `workers`, and the samples of `window` blocks shuffled together: at most
    2 * window + workers blocks are in memory. A part has no checksum of its own: only its length is checked. Further
    arguments are those of `Loader`.

    Raises: DataError if the shards can't be reached, or the server has no ranges.
    """

    def __init__(
        self, place: str | PathLike[str] | Store, batch_size: int = 1, shuffle: bool = False, *,
        block_bytes: int = BLOCK_BYTES, window: int = WINDOW, workers: int = WORKERS, **options: Any,
    ) -> None:  # fmt: skip
        with store_at(place) as store:
            super().__init__(_direct_shards(store, block_bytes, window, workers), batch_size, shuffle, **options)


def _cached_shards(store: Store, folder: Path, limit: int, window: int, workers: int) -> StreamedShards:
    """The source behind `LocalCache`."""
    index = read_index(store)
    if index.largest > limit:
        raise DataError(f"{store.place}: its largest shard has {index.largest} bytes, more than the cache's limit of {limit}. Raise limit=")
    cache = ShardCache(folder, limit)

    def fetch(number: int) -> Arrays:
        shard = index.shards[number]
        return index.arrays(cache.get(shard, lambda: store.read(shard.file), store.place), shard.count)

    # what doesn't fit beside the shards in use would push them out
    ahead = workers if limit >= index.nbytes else max(0, min(workers, limit // index.largest - 2 * window))
    return StreamedShards(store, index, [shard.count for shard in index.shards], fetch, "LocalCache", window, workers, ahead)


def _direct_shards(store: Store, block_bytes: int, window: int, workers: int) -> StreamedShards:
    """The source behind `DirectS3`."""
    if block_bytes < 1:
        raise ValueError(f"DirectS3: block_bytes is at least 1, got {block_bytes}")
    index = read_index(store)
    per_block = max(1, block_bytes // sum(rows.nbytes for rows in index.rows))
    blocks = [
        (shard, first, min(per_block, shard.count - first)) for shard in index.shards for first in range(0, shard.count, per_block)
    ]

    def fetch(number: int) -> Arrays:
        shard, first, count = blocks[number]
        columns = []
        for rows, start in zip(index.rows, index.starts(shard.count), strict=True):
            at = start + first * rows.nbytes
            data = store.read(shard.file, at, at + count * rows.nbytes)
            columns.append(rows.of(np.frombuffer(data, np.uint8), 0, count))
        return tuple(columns)

    return StreamedShards(store, index, [count for *_, count in blocks], fetch, "DirectS3", window, workers, workers)


class StreamedShards:
    """Blocks of samples that are fetched; `ahead` of them before they are needed."""

    def __init__(
        self, store: Store, index: Index, counts: list[int], fetch: Callable[[int], Arrays], name: str, window: int,
        workers: int, ahead: int,
    ) -> None:
        if workers < 1:
            raise ValueError(f"{name}: workers is the number of threads that fetch, at least 1, got {workers}")
        self.store, self.index, self.fetch = store, index, fetch
        self.window, self.workers, self.ahead = checked_window(window, name), workers, ahead
        self.blocks, self.count = Blocks(counts), index.count
        self._recent = lru_cache(maxsize=2 * window)(fetch)  # as many as a window's seam has in use

    @property
    def described(self) -> dict[str, Any]:
        return {"window": self.window, "blocks": len(self.blocks.counts)}

    def order(self, shuffle: bool, rng: np.random.Generator) -> np.ndarray:
        return self.blocks.order(shuffle, self.window, rng)

    def epoch(self, order: np.ndarray) -> _Fetching:
        return _Fetching(self, order)

    def take(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        """Samples outside of any epoch, for whoever has an order of their own; nothing is fetched ahead."""
        return self.blocks.gather(self.index.rows, indices, self._recent)

    def close(self) -> None:
        self._recent.cache_clear()
        self.store.close()


class _Fetching:
    """An epoch: its blocks in the order of their first use, fetched ahead and dropped after their last sample."""

    def __init__(self, source: StreamedShards, order: np.ndarray) -> None:
        self.source = source
        needed = source.blocks.of(order)
        found, first = np.unique(needed, return_index=True)
        self.sequence = found[first.argsort()].tolist()
        self.place = {block: place for place, block in enumerate(self.sequence)}
        self.left = np.bincount(needed, minlength=len(source.blocks.counts))  # samples still to be asked for, by block
        self.lock = threading.Lock()  # an epoch may be ended while its thread submits
        self.submitted = 0
        self.futures: dict[int, Future[Arrays]] = {}
        self.stopping = threading.Event()
        self.pool = ThreadPoolExecutor(
            source.workers, thread_name_prefix="tinytorch-fetching", initializer=stop_with, initargs=(self.stopping,)
        )

    def take(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        blocks, counts = np.unique(self.source.blocks.of(indices), return_counts=True)
        self._fetch(blocks.tolist())
        batch = self.source.blocks.gather(self.source.index.rows, indices, lambda block: self.futures[block].result())
        self.left[blocks] -= counts
        for block in blocks[self.left[blocks] == 0].tolist():
            del self.futures[block]
        return batch

    def _fetch(self, blocks: list[int]) -> None:
        """Let these blocks be fetched, and as many after them as shall be ahead."""
        with self.lock:
            if self.stopping.is_set():
                raise RuntimeError("the epoch has ended")  # nobody is there to see it
            end = max((self.place[block] + self.source.ahead + 1 for block in blocks), default=0)
            for block in self.sequence[self.submitted : end]:
                self.futures[block] = self.pool.submit(self.source.fetch, block)
                self.submitted += 1

    def end(self) -> None:
        with self.lock:
            self.stopping.set()
        self.pool.shutdown(cancel_futures=True)
