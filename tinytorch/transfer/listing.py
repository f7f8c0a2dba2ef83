"""What is at a place, in words that hold for folders, buckets and hosts alike."""
from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tinytorch.errors import TransferError

__all__ = [
    "Arrival",
    "Data",
    "Digest",
    "Found",
    "Listing",
    "Store",
    "changed",
    "digest_of",
    "excluded",
    "is_part_name",
    "part_bytes_for",
    "part_name",
    "spans",
]

PART = 8 << 20  # bytes of a file that are sent at a time: what a kill costs, for each of those that are under way
_MOST_PARTS = 10_000  # that S3 takes of a file
Data = bytes | bytearray  # of a file; as it was read, since another copy of 8 MiB takes time
_PART_NAME = re.compile(r"\..*\.[0-9a-f]{8}\.part")


@dataclass(frozen=True)
class Found:
    """A file at a place."""

    size: int  # bytes
    mtime: float  # seconds since 1970
    etag: str = ""  # of an object: what S3 says about its content

    @property
    def identity(self) -> str:
        """A text that differs if the file was changed, as far as the place can tell."""
        return f"{self.size}-{self.etag or f'{self.mtime:.6f}'}"


@dataclass
class Listing:
    """All that is at a place, by names with `/` that don't begin with the place."""

    files: dict[str, Found] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)  # with "" for the place itself; S3 has none
    links: dict[str, str] = field(default_factory=dict)  # that weren't followed, and why
    empty: set[str] = field(default_factory=set)  # folders without a file
    is_file: bool = False  # the place is a file, the only one in `files`


@dataclass(frozen=True)
class Digest:
    """What was sent, to be compared with what is there."""

    sha256: str
    md5: str  # empty where nobody needs it


def digest_of(data: Data, *, md5: bool) -> Digest:
    """The digests of some bytes; MD5 only where S3 is on one side, since it is what S3 tells of its objects."""
    return Digest(hashlib.sha256(data).hexdigest(), hashlib.md5(data, usedforsecurity=False).hexdigest() if md5 else "")


class Arrival(Protocol):
    """A file that is on its way to a place, and seen there by nobody."""

    state: dict[str, Any]  # with which another run goes on

    def write(self, number: int, start: int, data: Data, digest: Digest) -> bool | None:
        """Put part `number`, from 0, where it belongs. Called from several threads.

        Returns whether it is there as it was sent; None where that takes a question of its own, which is `wrong`.
        """

    def wrong(self, digests: Mapping[int, Digest]) -> list[int]:
        """The numbers of the parts that aren't there as they were sent, in this run or an earlier one."""

    def finish(self, digests: Mapping[int, Digest], mtime: float) -> None:
        """Let the file appear under its name, in one step."""


class Store(Protocol):
    """A place, opened. Its methods raise TransferError, and are called from several threads."""

    place: str
    mtime_step: float  # seconds: how exactly it keeps times

    def listing(self) -> Listing:
        """All that is there; empty if the place isn't."""

    def read(self, name: str, start: int, end: int, found: Found) -> Data:
        """Bytes `start` to `end` of a file, not included, if it is still the one that was found."""

    def part_bytes(self, name: str, found: Found) -> int:
        """How much of a file to read at a time, where that decides about what can be proved."""

    def detailed(self, name: str, found: Found) -> Found:
        """A file with the time that it had before it came there, which a listing of S3 doesn't tell."""

    def unproved(self, name: str, found: Found, digests: Mapping[int, Digest]) -> str | None:
        """Why what was read can't be the file: another checksum than the place tells; None if nothing speaks against it."""

    def begin(self, name: str, found: Found, part_bytes: int, state: Mapping[str, Any] | None) -> Arrival:
        """Get ready for a file. With the state of an earlier run, for what that has left; else what it left is gone."""

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        """Remove what an earlier run left of another version of a file."""

    def delete(self, name: str) -> None:
        """Remove a file."""

    def sha256(self, name: str, found: Found) -> str:
        """Of a file's content."""

    def merges_case(self) -> bool:
        """Whether `a` and `A` are one file there."""

    def free(self) -> int | None:
        """Bytes that there is room for, if that is known."""

    def refusal(self, name: str) -> str | None:
        """Why there can't be a file of that name; None if there can."""

    def close(self) -> None:
        """Let go of connections, and have all names on the disk."""


def spans(size: int, part_bytes: int) -> list[tuple[int, int]]:
    """Where each part of a file begins and ends; an empty file has one part.

    >>> spans(10, 4), spans(0, 4)
    ([(0, 4), (4, 8), (8, 10)], [(0, 0)])
    """
    return [(start, min(start + part_bytes, size)) for start in range(0, size, part_bytes)] or [(0, 0)]


def part_bytes_for(size: int) -> int:
    """How many bytes of a file of this size are sent at a time."""
    return max(PART, -(-size // _MOST_PARTS))


def part_name(name: str, key: str) -> str:
    """The name, beside a file's, of what has arrived of it."""
    short = name.encode("utf-8", "surrogateescape")[:120].decode("utf-8", "ignore")  # names end at 255 bytes
    return f".{short}.{key[:8]}.part"


def is_part_name(name: str) -> bool:
    """Whether a file is what a transfer has left."""
    return _PART_NAME.fullmatch(name.rpartition("/")[2]) is not None


def excluded(include: Iterable[str], exclude: Iterable[str]) -> Callable[[str], bool]:
    """Whether a name is left out: it matches a pattern of `exclude`, or none of `include` if there are any.

    A pattern without `/` is compared with each part of a name, so `cache` means a folder too; another one with the whole
    name and its folders. `*` also stands for `/`.

    >>> out = excluded(["*.npy"], ["tmp"])
    >>> out("a/x.npy"), out("a/x.txt"), out("tmp/x.npy")
    (False, True, True)
    """
    wanted, unwanted = list(include), list(exclude)

    def matches(name: str, pattern: str) -> bool:
        parts = name.split("/")
        if "/" not in pattern.rstrip("/"):
            return any(fnmatch.fnmatchcase(part, pattern.rstrip("/")) for part in parts)
        heads = ("/".join(parts[: end + 1]) for end in range(len(parts)))
        return any(fnmatch.fnmatchcase(head, pattern.strip("/")) for head in heads)

    def out(name: str) -> bool:
        return any(matches(name, pattern) for pattern in unwanted) or bool(wanted and not any(matches(name, pattern) for pattern in wanted))

    return out


def changed(place: str) -> TransferError:
    """What to raise if a file isn't the one any more that was found."""
    return TransferError(f"{place} was changed while it was read. Run the same again when nobody writes to it", retryable=False)
