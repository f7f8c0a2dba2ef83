"""A file or folder as it was seen, and its removal only if it is still that.

Whatever is to go gets another name in its folder first, and is looked at once more: from then on nobody else's file is
under the name that is deleted. A kill leaves it under that name, from which the next run goes on. Links aren't followed.
"""
from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tinytorch.errors import DataError
from tinytorch.files import TEMPORARY_SUFFIX, sha256


class Changed(DataError):
    """Something isn't any more what was planned to be removed."""


class Unsafe(DataError):
    """Something that is never removed: a link, or what another file system or a link leads to."""


@dataclass(frozen=True)
class Seen:
    """What a path was at one moment."""

    identity: str  # 16 hexadecimal digits: which file or folder it is, and what is in it
    top: str  # device and number of the file or folder itself
    size: int  # bytes of all files
    used: float  # epoch seconds: the newest change of the path or of anything in it
    within: tuple[str, ...]  # what a folder holds, relative to it


def look(path: Path) -> Seen | None:
    """What is at a path; None if there is nothing.

    Raises: Unsafe for a link, for what lies behind one, and for a folder in which another file system is mounted.
    """
    if os.path.realpath(path.parent) != str(path.parent):
        raise Unsafe(f"{path}: a link leads there")
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(facts.st_mode):
        raise Unsafe(f"{path} is a link")
    digest, size, used, within = hashlib.sha256(_top(facts).encode("ascii")), 0, facts.st_mtime, []
    for name, entry in _entries(path, facts):
        if entry.st_dev != facts.st_dev:
            raise Unsafe(f"{path / name}: another file system is mounted there")
        is_file = stat.S_ISREG(entry.st_mode)
        size += entry.st_size if is_file else 0
        used = max(used, entry.st_mtime)
        state = (entry.st_size, entry.st_mtime_ns) if is_file else ()
        digest.update(f"{name}\0{stat.S_IFMT(entry.st_mode)} {entry.st_ino} {state}\n".encode("utf-8", "surrogateescape"))
        if name:
            within.append(name)
    return Seen(digest.hexdigest()[:16], _top(facts), size, used, tuple(within))


def _entries(path: Path, facts: os.stat_result) -> Iterator[tuple[str, os.stat_result]]:
    """A path ("") and everything in it, in a fixed order."""
    yield "", facts
    if not stat.S_ISDIR(facts.st_mode):
        return
    left = [""]
    while left:
        folder = left.pop()
        for name in sorted(os.listdir(path / folder)):  # noqa: PTH208  # names only
            inner = f"{folder}/{name}" if folder else name
            entry = (path / inner).lstat()
            yield inner, entry
            if stat.S_ISDIR(entry.st_mode) and entry.st_dev == facts.st_dev:
                left.append(inner)


def _top(facts: os.stat_result) -> str:
    return f"{facts.st_dev}:{facts.st_ino}"


def aside(path: Path) -> Path:
    """The name that a path gets before it is deleted."""
    return path.with_name(f".{path.name[:40]}.{sha256(os.fsencode(path))[:8]}{TEMPORARY_SUFFIX}")


def remove(path: Path, seen: Seen) -> bool:
    """Remove a file or folder that was `seen` so; False if there is nothing any more.

    Raises: Changed if it is another one, or holds something else, and then it stays; Unsafe; OSError if the system refuses,
        in which case a folder may be half gone, under its other name: the next try goes on.
    """
    away, here = aside(path), look(path)
    left = look(away)
    if here is None:
        if left is None or left.top != seen.top:
            return False
        _delete(away)  # begun by a run that was killed
        return True
    if here.identity != seen.identity:
        raise Changed(f"{path} has changed since the plan was made, and stays")
    if left is not None:
        _delete(away)
    path.rename(away)
    try:
        moved = look(away)
    except Unsafe:  # the path, or a folder on its way, became a link in the meantime
        moved = None
    if moved is None or moved.identity != seen.identity:
        _put_back(away, path)
        raise Changed(f"{path} changed at this very moment, and stays")
    _delete(away)
    return True


def _put_back(away: Path, path: Path) -> None:
    if os.path.lexists(path):
        raise Changed(f"{path} was replaced at this very moment. The new one stays, and what was in its place is {away}")
    away.rename(path)


def _delete(path: Path) -> None:
    if stat.S_ISDIR(path.lstat().st_mode):
        shutil.rmtree(path)
    else:
        path.unlink()
