"""The journal of a job: a file to which lines are added, each with a checksum, so that a kill can tear at most the last.

    3a692029 ["done","traj_001","a1b2c3d4e5f60718",3,1764.25]

Eight hexadecimal digits of CRC-32, a space, and a JSON array; its first element says what kind of entry it is. What the
kinds mean is `record.py`'s business.
"""
from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

from tinytorch import files

Entry = list[Any]

SYNC_EVERY = 0.05  # seconds
_BLOCK = 256 << 10  # bytes to read at a time: what is parsed together fits the cache of a processor
_PREFIX = 9  # characters of checksum and space
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def line(entry: Entry) -> bytes:
    r"""The line that stands for an entry.

    Raises: TypeError or ValueError if it holds something that JSON can't.

    >>> line(["reset"])
    b'dd89c70e ["reset"]\n'
    """
    body = _encode(entry).encode("ascii")
    return b"%08x %b\n" % (crc32(body), body)


class Reader:
    """The entries of a journal in order. Damaged lines are left out, and counted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged: list[int] = []  # numbers of lines, from 1
        self.whole = 0  # bytes up to the end of the last line that ends
        self.size = 0  # bytes read

    @property
    def is_torn(self) -> bool:
        """Whether the last line has no end: what a kill or a full disk leaves behind."""
        return self.size > self.whole

    def blocks(self) -> Iterator[list[Entry]]:
        """The entries, a few thousand at a time; raises what `bodies` does."""
        return map(decoded, self.bodies())

    def bodies(self) -> Iterator[list[bytes]]:
        """The entries as JSON, a few thousand at a time.

        Raises: OSError if the file can't be read; one that isn't there is empty.
        """
        number, rest = 0, b""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            while block := file.read(_BLOCK):
                self.size += len(block)
                *lines, rest = (rest + block).split(b"\n")
                yield self._whole(lines, number)
                number += len(lines)
        self.whole = self.size - len(rest)

    def _whole(self, lines: list[bytes], before: int) -> list[bytes]:
        bodies = [line[_PREFIX:] for line in lines]
        if [b"%08x " % crc32(body) for body in bodies] != [line[:_PREFIX] for line in lines]:
            whole = [line[:_PREFIX] == b"%08x " % crc32(body) for line, body in zip(lines, bodies, strict=True)]
            self.damaged += [before + number for number, good in enumerate(whole, start=1) if not good]
            bodies = [body for body, good in zip(bodies, whole, strict=True) if good]
        return bodies


def decoded(bodies: list[bytes]) -> list[Entry]:
    """Entries from their JSON, in one call, which takes a tenth of the time of one for each."""
    entries: list[Entry] = json.loads(b"[%b]" % b",".join(bodies))
    return entries


class Writer:
    """Adds entries to a journal. The caller holds the job's lock, and has had a torn end cut off (`whole`, of a Reader).

    An entry has reached the operating system when `append` returns: a kill can't take it back. It has reached the disk
    at the latest with the first entry that comes `SYNC_EVERY` after the last flush.
    """

    def __init__(self, path: Path, *, whole: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.clock = clock
        self.end = whole
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self.descriptor = os.open(path, flags, 0o666)
        os.ftruncate(self.descriptor, whole)
        os.lseek(self.descriptor, whole, os.SEEK_SET)
        self.synced_at = -SYNC_EVERY
        self.is_synced = True

    def append(self, entry: Entry) -> None:
        """Add one entry.

        Raises: OSError if it could not be written, in which case nothing of it is there; TypeError or ValueError if JSON
            can't hold it.
        """
        data = line(entry)
        try:
            written = os.write(self.descriptor, data)
            while written < len(data):
                written += os.write(self.descriptor, data[written:])
        except OSError:
            os.ftruncate(self.descriptor, self.end)
            os.lseek(self.descriptor, self.end, os.SEEK_SET)
            raise
        self.end += written
        self.is_synced = False
        if self.clock() - self.synced_at >= SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Have everything on the disk."""
        if not self.is_synced:
            files.flush(self.descriptor)
            self.is_synced = True
        self.synced_at = self.clock()

    def close(self) -> None:
        try:
            self.sync()
        finally:
            os.close(self.descriptor)


def damaged_lines(numbers: list[int]) -> str:
    """Damaged lines in words.

    >>> damaged_lines([3]), damaged_lines([1, 2, 3, 4, 5, 6])
    ('1 damaged line (3)', '6 damaged lines (1, 2, 3, 4, 5, ...)')
    """
    return f"{len(numbers)} damaged line{'s' * (len(numbers) > 1)} ({', '.join(map(str, numbers[:5]))}{', ...' * (len(numbers) > 5)})"


def leave_out(path: Path, damaged: list[int]) -> Path:
    """Make a journal without its damaged lines; returns the path of the one with them, which stays beside it.

    Raises: OSError if the folder can't be written.
    """
    data = path.read_bytes()
    aside = set_aside(path, "corrupt", data)
    bad = set(damaged)
    files.write_atomic(path, b"\n".join(line for number, line in enumerate(data.split(b"\n"), start=1) if number not in bad))
    return aside


def set_aside(path: Path, why: str, data: bytes) -> Path:
    """Keep a copy of a file beside it, under a name that is free."""
    stem = f"{path.name}.{why}-{time.strftime('%Y%m%d-%H%M%S')}"
    names = (stem if not number else f"{stem}_{number}" for number in range(1000))
    aside = next(free for name in names if not (free := path.with_name(name)).exists())
    files.write_atomic(aside, data)
    return aside
