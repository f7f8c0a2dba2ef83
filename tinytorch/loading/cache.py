"""Shards that were fetched, kept on this machine's disk, under a limit, for all processes.

A shard is kept under its SHA-256, so equal shards of two datasets are one file, and a file is never another's. What
was not used for longest goes first. Changes are made under a lock; readers need none: a file that goes while it is
read stays readable to whoever has it open.
"""
from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np

from tinytorch.errors import DataError
from tinytorch.files import TEMPORARY_NAME, lock, sha256, write_atomic
from tinytorch.loading.shards import Shard, check
from tinytorch.loading.stores import pause
from tinytorch.places import cache_folder

__all__ = ["ShardCache", "default_folder"]

_PATIENCE = 60.0  # seconds for another process to publish a shard
_SUFFIX = ".shard"


def default_folder() -> Path:
    """Where shards are kept unless somebody says otherwise."""
    return cache_folder() / "shards"


class ShardCache:
    """A folder that holds at most `limit` bytes of shards.

    Raises: DataError if the folder can't be made or written.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._good: set[str] = set()  # hashes of files that this process has checked
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._refused(error) from error

    def get(self, shard: Shard, fetch: Callable[[], bytes], place: str) -> np.ndarray:
        """The bytes of a shard, (bytes,) uint8, read-only: kept ones, or what `fetch` returns, which is kept then.

        Raises: DataError if what was fetched isn't what the index says (it isn't kept), or if it can't be kept.
        """
        kept = self._kept(shard)
        if kept is not None:
            return kept
        with self._fetching(shard):
            kept = self._kept(shard)
            if kept is not None:  # another process fetched it meanwhile
                return kept
            data = fetch()
            check(shard, place, len(data), sha256(data))
            self._keep(shard, data)
        kept = self._kept(shard)
        return np.frombuffer(data, np.uint8) if kept is None else kept  # gone again, or no room: then in memory only

    @contextmanager
    def _fetching(self, shard: Shard) -> Iterator[None]:
        """Hold the right to fetch this shard: one process and thread at a time."""
        with ExitStack() as held:
            while True:
                try:
                    # few names, since lock files can't be removed safely: now and then two shards wait for each other
                    held.enter_context(lock(self.folder / f".fetch-{shard.sha256[:2]}.lock", timeout=1.0))
                    break
                except TimeoutError:
                    pause(0)
                except OSError as error:
                    raise self._refused(error) from error
            yield

    def _path(self, shard: Shard) -> Path:
        return self.folder / f"{shard.sha256}{_SUFFIX}"

    def _kept(self, shard: Shard) -> np.ndarray | None:
        """A kept shard, mapped; checked once by each process, and removed if it is damaged."""
        path = self._path(shard)
        try:
            with path.open("rb") as file:
                data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
            with suppress(OSError):  # another user's cache: then it ages
                os.utime(path)
        except (FileNotFoundError, ValueError):  # not kept; an empty file can't be mapped
            return None
        except OSError as error:
            raise self._refused(error) from error
        if shard.sha256 not in self._good:
            if sha256(data.data) != shard.sha256:
                del data  # Windows removes no file that is mapped
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:  # a cache that others fill and we may only read
                    raise self._refused(error) from error
                return None
            self._good.add(shard.sha256)
        elif len(data) != shard.nbytes:  # cut short since
            self._good.discard(shard.sha256)
            return None
        return data

    def _keep(self, shard: Shard, data: bytes) -> None:
        try:
            with lock(self.folder / ".lock", timeout=_PATIENCE):
                if self._makes_room(shard.nbytes):
                    write_atomic(self._path(shard), data)
        except (OSError, TimeoutError) as error:
            raise self._refused(error) from error

    def _makes_room(self, nbytes: int) -> bool:
        """Remove what was used least recently until `nbytes` fit; whether they do. The lock is held."""
        kept = []
        for path in self.folder.iterdir():
            if TEMPORARY_NAME.fullmatch(path.name):  # of a process that was killed: nobody else writes now
                path.unlink(missing_ok=True)
            elif path.suffix == _SUFFIX:
                with suppress(FileNotFoundError):
                    status = path.stat()
                    kept.append((status.st_mtime_ns, path.name, status.st_size))
        total = sum(size for *_, size in kept)
        for _, name, size in sorted(kept):
            if total + nbytes <= self.limit:
                break
            try:
                (self.folder / name).unlink(missing_ok=True)
            except PermissionError:  # Windows keeps a file that somebody has mapped
                continue
            total -= size
        return total + nbytes <= self.limit

    def _refused(self, error: OSError) -> DataError:
        return DataError(
            f"{self.folder}: shards can't be kept here ({error.strerror or error}). "
            f"Name another folder with cache= or TINYTORCH_CACHE, or make the limit smaller if the disk is full"
        )
