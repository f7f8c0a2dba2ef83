"""What transfers keep in the cache folder so that they can go on: listed, and removed where none is at work."""
from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tinytorch import files
from tinytorch.errors import DataError
from tinytorch.jobs import ledger
from tinytorch.places import cache_folder

__all__ = ["Kept", "entries", "folders", "kept", "remove"]


@dataclass(frozen=True)
class Kept:
    """What is kept of the transfers between two places."""

    folder: Path
    title: str  # both places; the folder's name if they can't be read
    size: int  # bytes


def folders() -> list[Path]:
    """The folders of all transfers that something is kept of; `running.job_folder` says of which. A link is none."""
    return sorted(path for path in (cache_folder() / "transfers").glob("[0-9a-f]" * 16) if path.is_dir() and not path.is_symlink() and entries(path))


def entries(folder: Path) -> list[Path]:
    """What is in a transfer's folder, without the lock file, which stays; the journal last, since the rest means nothing without it."""
    return sorted((path for path in folder.glob("*") if path.name != ledger.LOCK), key=lambda path: (path.name == ledger.JOURNAL, path.name))


def kept() -> Iterator[Kept]:
    """What is kept of each pair of places."""
    for folder in folders():
        yield Kept(folder, _title(folder), sum(map(_length, folder.rglob("*"))))


def _length(path: Path) -> int:
    """Bytes of a file; 0 of a folder, and of what a transfer at work has just removed."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return 0
    return facts.st_size if stat.S_ISREG(facts.st_mode) else 0


def _title(folder: Path) -> str:
    try:
        places = ledger.read(folder).config or {}
    except DataError:
        places = {}
    return f"{places['source']} -> {places['destination']}" if places.keys() >= {"source", "destination"} else folder.name


def remove(one: Kept) -> None:
    """Remove what is kept of a pair of places. The next transfer between them looks at both, and begins large files anew.

    Raises: DataError, with nothing removed, while one is at work; or if something can't be removed.
    """
    try:
        with files.lock(one.folder / ledger.LOCK, timeout=0, again=False):
            for path in entries(one.folder):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    except TimeoutError as error:
        raise DataError(f"{one.title}: a transfer is at work; what is kept of it stays") from error
    except OSError as error:
        raise DataError(f"{error.filename or one.folder} can't be removed: {error.strerror or error}") from error
