"""Shards on a disk of this machine, mapped into memory, and read ahead of their use."""
from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from os import PathLike
from typing import Any

import numpy as np

from tinytorch.errors import DataError
from tinytorch.loading.blocks import Blocks, checked_window
from tinytorch.loading.loader import Loader
from tinytorch.loading.machine import FITS, UNKNOWN_MEMORY, free_memory
from tinytorch.loading.shards import Shard, check, read_index
from tinytorch.loading.stores import FolderStore, open_store

__all__ = ["MappedShards", "PreWarmed"]

Report = Callable[[int, int], None]
_PIECE = 4 * 2**20  # bytes read at a time


class PreWarmed(Loader):
    """Batches of the shards in a folder, mapped into memory: the system keeps what fits, and every process shares it.

    A thread reads the shards from beginning to end (`warm`), as long as they fit into free memory, so that no batch
    waits for a disk that seeks; `report` is told of the bytes read and of those to read, from that thread. `window` None
    shuffles all samples; a number, those of so many shards at a time, for data that is larger than memory. Each shard's
    length is checked now, and its SHA-256 when it is warmed or first used, unless `verify` is False. Further arguments
    are those of `Loader`.

    Raises: DataError, naming the shard, if one is missing or damaged.
    """

    source: MappedShards

    def __init__(
        self, folder: str | PathLike[str], batch_size: int = 1, shuffle: bool = False, *, window: int | None = None,
        warm: bool = True, verify: bool = True, report: Report | None = None, **options: Any,
    ) -> None:
        super().__init__(MappedShards(folder, window=window, verify=verify), batch_size, shuffle, **options)
        if warm:
            self.source.warm(report)

    def wait(self) -> int:
        """Wait until all is read that will be, and return its bytes.

        Raises: DataError, naming the shard, if one turned out to be damaged.
        """
        return self.source.wait()


class MappedShards:
    """The source behind `PreWarmed`, which is also every epoch of it."""

    def __init__(self, folder: str | PathLike[str], *, window: int | None = None, verify: bool = True) -> None:
        store = open_store(folder)
        if not isinstance(store, FolderStore):
            store.close()
            raise DataError(f"{store.place} is not on this machine, and can't be mapped. Use LocalCache, which keeps shards here")
        self.window = checked_window(window, "PreWarmed")
        self.folder, self.index = store.path, read_index(store)
        for shard in self.index.shards:
            check(shard, store.place, store.size(shard.file))
        self.count = self.index.count
        self._blocks = Blocks([shard.count for shard in self.index.shards])
        self._locks = [threading.Lock() for _ in self.index.shards]
        self._good = [not verify] * len(self.index.shards)
        self._maps: dict[int, tuple[np.ndarray, ...]] = {}
        self._warming: _Warming | None = None

    @property
    def described(self) -> dict[str, Any]:
        return {"window": self.window, "shards": len(self.index.shards)}

    def order(self, shuffle: bool, rng: np.random.Generator) -> np.ndarray:
        return self._blocks.order(shuffle, self.window, rng)

    def epoch(self, order: np.ndarray) -> MappedShards:
        return self

    def end(self) -> None: ...  # the shards stay mapped for the next epoch

    def take(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        """Inputs and, if there are any, labels of some samples, in new arrays."""
        return self._blocks.gather(self.index.rows, indices, self.arrays)

    def arrays(self, number: int) -> tuple[np.ndarray, ...]:
        """Inputs and labels of a whole shard, mapped; checked before it is used for the first time."""
        if number not in self._maps:
            with self._locks[number]:  # the warming may be reading it
                if not self._good[number]:
                    self._read_through(number, lambda nbytes: True)
                self._maps[number] = self._mapped(number)
        return self._maps[number]

    def _mapped(self, number: int) -> tuple[np.ndarray, ...]:
        shard = self.index.shards[number]
        with self._opened(shard) as file:
            check(shard, str(self.folder), os.fstat(file.fileno()).st_size)
            data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        return self.index.arrays(data, shard.count)

    @contextmanager
    def _opened(self, shard: Shard) -> Iterator[FileIO]:
        """The file of a shard; what goes wrong with it becomes a DataError that names it."""
        try:
            with (self.folder / shard.file).open("rb", buffering=0) as file:
                yield file
        except DataError:
            raise
        except OSError as error:
            raise DataError(f"{self.folder / shard.file}: {error.strerror or error}") from error

    def read(self, number: int, go_on: Callable[[int], bool]) -> None:
        """Read a shard from beginning to end, and check it. `go_on` gets the bytes of each piece, and may end it.

        Raises: DataError if the shard is damaged.
        """
        with self._locks[number]:
            self._read_through(number, go_on)

    def _read_through(self, number: int, go_on: Callable[[int], bool]) -> None:
        """Read and check a shard, whose lock is held."""
        import hashlib

        shard, length, buffer = self.index.shards[number], 0, bytearray(_PIECE)
        digest = None if self._good[number] else hashlib.sha256()
        with self._opened(shard) as file:
            while got := file.readinto(buffer):
                length += got
                if digest:
                    digest.update(memoryview(buffer)[:got])
                if not go_on(got):
                    return
        check(shard, str(self.folder), length, digest.hexdigest() if digest else None)
        self._good[number] = True

    def warm(self, report: Report | None = None) -> None:
        """Begin to read what fits into free memory, in a thread that `close` ends; once it has begun, do nothing."""
        if self._warming is None:
            self._warming = _Warming(self, report)

    def wait(self) -> int:
        """Wait until what was to be warmed is, and return its bytes; 0 if nothing was."""
        return self._warming.wait() if self._warming else 0

    def close(self) -> None:
        if self._warming:
            self._warming.stop()
        self._maps.clear()


class _Warming:
    """A thread that reads shards, so that the system has them in memory when they are asked for."""

    def __init__(self, source: MappedShards, report: Report | None) -> None:
        self.source, self.report = source, report
        self.shards = _fitting(source.index.shards)
        self.total = sum(shard.nbytes for shard in self.shards)
        self.bytes = 0
        self.error: Exception | None = None
        self.stopping = threading.Event()
        # a daemon: a program that ends doesn't wait for a disk
        self.thread = threading.Thread(target=self._run, name="tinytorch-warming", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for number in range(len(self.shards)):
            try:
                self.source.read(number, self._go_on)
            except DataError as error:  # whoever uses this shard is told too
                self.error = self.error or error
            except Exception as error:  # from the report: it ends the warming, and no more
                self.error = error
                return
            if self.stopping.is_set():
                return

    def _go_on(self, nbytes: int) -> bool:
        self.bytes += nbytes
        if self.report:
            self.report(self.bytes, self.total)
        return not self.stopping.is_set()

    def wait(self) -> int:
        self.thread.join()
        if self.error:
            raise self.error
        return self.bytes

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()


def _fitting(shards: Sequence[Shard]) -> Sequence[Shard]:
    """The first shards that fit into free memory: reading more would push out of it what was read before."""
    free = free_memory()
    ends = np.cumsum([shard.nbytes for shard in shards])
    return shards[: int(np.searchsorted(ends, FITS * (UNKNOWN_MEMORY if free is None else free), "right"))]
