"""Files that survive a kill, a full disk and a second process: atomic writes, locks, hashes.

The only place in the project that knows `fsync`.
"""
from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = [
    "TEMPORARY_NAME",
    "TEMPORARY_SUFFIX",
    "flush",
    "flush_folder",
    "free_space",
    "hash_of",
    "is_executable",
    "is_full",
    "lock",
    "move",
    "publish",
    "readable_size",
    "sha256",
    "write_atomic",
]

TEMPORARY_SUFFIX = ".tmp"
TEMPORARY_NAME = re.compile(r"\..+\.[0-9a-f]{8}" + re.escape(TEMPORARY_SUFFIX))  # what `write_atomic` writes to first


def sha256(data: bytes | memoryview) -> str:
    """The SHA-256 of `data`, 64 hexadecimal digits.

    >>> sha256(b"")[:8]
    'e3b0c442'
    """
    import hashlib  # loads OpenSSL, which most commands don't need

    return hashlib.sha256(data).hexdigest()


def hash_of(path: Path, algorithm: str = "sha256") -> _Hash:
    """The hash object of a file's content, to be compared or to go on with."""
    import hashlib

    digest = hashlib.new(algorithm, usedforsecurity=False)  # md5 too, where a machine's rules forbid it for secrets
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest


def readable_size(count: int) -> str:
    """A number of bytes as people read it.

    >>> readable_size(0), readable_size(1536), readable_size(3_000_000)
    ('0.0 KB', '1.5 KB', '2.9 MB')
    """
    return f"{count / 1024:.1f} KB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MB"


def free_space(folder: Path) -> int:
    """Bytes that are free on the disk where `folder` is, or would be made."""
    import shutil

    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    return shutil.disk_usage(there).free


def is_full(error: OSError) -> bool:
    """Whether a write failed since there is no room: a full disk, a quota, or a limit on the size of files."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if os.name != "nt" else error.errno == errno.ENOSPC


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path`, so that whoever looks sees the whole old file or the whole new one.

    The data goes to a temporary file in the same folder, which is flushed to the disk and then takes the place of
    `path`; the folder is flushed last. A kill leaves at most a temporary file behind, never half of `path`. Missing
    parent folders are made. A link is followed: the file that it points to is replaced. Permissions stay.

    Raises: OSError if the folder can't be written or the disk is full; `path` is then as it was.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:40]}.{os.urandom(4).hex()}{TEMPORARY_SUFFIX}")  # names end at 255 bytes
    try:
        with temporary.open("xb") as file:
            _keep_permissions(path, temporary)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105  # Path.replace binds os.replace early on Python 3.10, out of tests' reach
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def move(source: Path, path: Path, *, at_once: bool = True) -> None:
    """Put the file `source` at `path`, so that whoever looks sees the old file or the new one; needs no room.

    A folder is put where nothing is yet. Missing parent folders are made, a link is followed, and permissions stay. From
    another file system, a file `source` is copied and stays. Unless the name must be on the disk `at_once`, somebody calls
    `flush_folder` afterwards, for many files together.
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    _keep_permissions(path, source)
    try:
        source.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        write_atomic(path, source.read_bytes())
    if at_once:
        flush_folder(path.parent)


def publish(source: Path, path: Path, *, at_once: bool = True) -> None:
    """Flush the file `source` to the disk, then `move` it to `path`: after a power cut too it is there whole or not at all."""
    with source.open("rb+") as file:
        os.fsync(file.fileno())
    move(source, path, at_once=at_once)


def _keep_permissions(of: Path, file: Path) -> None:
    with suppress(FileNotFoundError):  # a new file gets the usual ones
        file.chmod(stat.S_IMODE(of.stat().st_mode))


def is_executable(path: Path) -> bool | None:
    """Whether a file, which may not be there yet, can be run; None where the system has no such thing."""
    if os.name == "nt":
        return None
    return path.exists() and bool(path.stat().st_mode & 0o111)


def flush_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    if os.name == "nt":  # Windows can't open a folder; its rename is journaled by NTFS
        return
    # The new file is in place, so only a failing disk is worth an error: callers say of one that nothing was changed.
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written to, but not read
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems can't flush a folder
            raise
    finally:
        os.close(handle)


def flush(descriptor: int) -> None:
    """Have what was written to an open file on the disk, and its length; times may follow later."""
    getattr(os, "fdatasync", os.fsync)(descriptor)  # macOS and Windows have only the whole flush


@contextmanager
def lock(path: Path, *, timeout: float, again: bool = True) -> Iterator[None]:
    """Hold the lock file `path`: one process at a time, and with `again` once more by whoever holds it already.

    The operating system releases the lock when its process ends, however it ends.

    Raises: TimeoutError if another process still holds it after `timeout` seconds.
    """
    import filelock

    try:
        with filelock.FileLock(path, timeout=timeout, is_singleton=again):
            yield
    except filelock.Timeout as error:
        raise TimeoutError(f"{path} is held by another process, still after {timeout:g} seconds") from error
