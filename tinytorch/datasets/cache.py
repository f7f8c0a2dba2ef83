"""Where datasets lie on this machine, what of them is there, and whether it is what it should be."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinytorch import files
from tinytorch.datasets.registry import Dataset, File
from tinytorch.errors import DataError
from tinytorch.places import cache_folder

__all__ = ["Checked", "arrived", "checked", "folder", "is_there", "is_whole", "leftovers", "length", "locked", "made", "missing", "remove"]

_ARRAYS = re.compile(r"[a-z]+-(images|labels)-[0-9a-f]{8}\.npy")  # what `load` keeps


@dataclass(frozen=True)
class Checked:
    """A file of a dataset, and whether its checksum is right."""

    path: Path
    state: str  # "whole", "missing", "damaged"


def folder(dataset: Dataset) -> Path:
    """Where the dataset's files are, or would be."""
    return Path(__file__).parent / "bundled" if dataset.is_bundled else cache_folder() / "datasets" / dataset.name


def is_there(dataset: Dataset, file: File) -> bool:
    """Whether the file is there, by its size only."""
    path = folder(dataset) / file.name
    return path.is_file() and file.size in (None, path.stat().st_size)


def missing(dataset: Dataset) -> list[File]:
    """The files that aren't there, or not with their size."""
    return [file for file in dataset.files if not is_there(dataset, file)]


def arrived(dataset: Dataset) -> int:
    """Bytes of the dataset's files that are there, of unfinished downloads too."""
    paths = [folder(dataset) / name for file in dataset.files for name in (file.name, f"{file.name}.part")]
    return sum(map(length, paths))


def length(path: Path) -> int:
    """Bytes of a file; 0 if it isn't there, or not any more, since another process is at work too."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def checked(path: Path, file: File) -> Checked:
    """What became of a file, by its checksum.

    Raises: DataError if it is there and can't be read.
    """
    if not path.is_file():
        return Checked(path, "missing")
    try:
        right = file.size in (None, path.stat().st_size) and files.hash_of(path, file.algorithm).hexdigest() == file.checksum
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error
    return Checked(path, "whole" if right else "damaged")


def is_whole(dataset: Dataset, file: File) -> bool:
    """Whether the file is there with the right checksum; raises as `checked` does."""
    return checked(folder(dataset) / file.name, file).state == "whole"


@contextmanager
def locked(dataset: Dataset, name: str, *, timeout: float) -> Iterator[None]:
    """Hold the lock on one of the dataset's files.

    Raises: TimeoutError if another process still holds it after `timeout` seconds; DataError if nothing can be written to
        the cache.
    """
    path = cache_folder() / "locks" / f"{dataset.name}-{name}.lock"  # apart: a lock file that somebody deletes is no lock
    with ExitStack() as held:
        try:
            for needed in (path.parent, folder(dataset)):
                needed.mkdir(parents=True, exist_ok=True)
            held.enter_context(files.lock(path, timeout=timeout))
        except TimeoutError:
            raise
        except OSError as error:
            raise DataError(
                f"the cache {cache_folder()} can't be written to: {error.strerror or error}. "
                "Mend that, or choose another folder: TINYTORCH_CACHE=DIR"
            ) from error
        yield


def made(dataset: Dataset) -> list[Path]:
    """What downloading and loading have left in the dataset's folder; not what somebody else put there."""
    if dataset.is_bundled:
        return []
    names = {file.name + end for file in dataset.files for end in ("", ".part", ".part.json", ".part.json.part")}
    there = sorted(folder(dataset).glob("*")) if folder(dataset).is_dir() else []
    return [path for path in there if path.name in names or _ARRAYS.fullmatch(path.name.removesuffix(".part"))]


def leftovers(dataset: Dataset) -> list[Path]:
    """Of these, what belongs to downloads that were not finished."""
    return [path for path in made(dataset) if path.name.endswith((".part", ".part.json"))]


def remove(dataset: Dataset, listed: Callable[[Dataset], list[Path]] = made) -> list[Path]:
    """Remove what `made`, or `leftovers`, lists.

    Raises: DataError, with nothing removed, while another process downloads the dataset; or if a file can't be removed.
    """
    with ExitStack() as locks:
        for file in dataset.files:
            try:
                locks.enter_context(locked(dataset, file.name, timeout=0))
            except TimeoutError as error:
                raise DataError(f"{dataset.name} is being downloaded by another process; nothing of it was removed") from error
        gone = listed(dataset)
        for path in gone:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise DataError(f"{path} can't be removed: {error.strerror or error}") from error
        if folder(dataset).is_dir() and not any(folder(dataset).iterdir()):
            folder(dataset).rmdir()
    return gone
