"""Datasets as arrays: read from the files as they were published, checked, and kept as `.npy` for the next time.

Nothing that is read can run (no pickles), nothing is unpacked to the disk (so that no member of an archive can land
elsewhere), and no more is read than the registry says there is.
"""
from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

import numpy as np

from tinytorch import files
from tinytorch.datasets import cache
from tinytorch.datasets.cache import Checked
from tinytorch.datasets.registry import Dataset, File
from tinytorch.errors import DataError

__all__ = ["Images", "Text", "images", "text", "verify"]

_AROUND = 4 << 20  # bytes of an archive beside the members that are wanted
_DAMAGE = (OSError, EOFError, zlib.error, tarfile.TarError)


class Images(NamedTuple):
    """Images and what they show."""

    images: np.ndarray  # (samples, *shape) uint8, 0 to 255
    labels: np.ndarray  # (samples,) int64, a number in the dataset's classes


class Text(NamedTuple):
    """A text."""

    text: str


def text(dataset: Dataset) -> Text:
    """The whole text.

    Raises: DataError if it is missing, damaged, or no UTF-8.
    """
    (file,) = dataset.files
    path = _sound(dataset, file)
    try:
        return Text(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no UTF-8 text: {error}") from error


def images(dataset: Dataset, split: str) -> Images:
    """The images and labels of a split.

    The first time, the files are checked and read, and the arrays kept beside them if there is room and permission.
    From then on they are mapped: what isn't looked at isn't read, and writing changes only the caller's copy.

    Raises: DataError if a file is missing or damaged, or doesn't hold what the registry says.
    """
    places = _places(dataset, split)
    stored = [_stored(path, shape, dtype) for path, shape, dtype in places]
    if stored[0] is None or stored[1] is None:
        read = _read(dataset, split)
        _keep(dataset, {path: array for (path, _, _), array in zip(places, read, strict=True)})
        return read
    return Images(stored[0], stored[1])


def verify(dataset: Dataset) -> list[Checked]:
    """Each file of the dataset, its checksum compared, and, if all are whole, each kept array, compared with its file.

    Raises: DataError if a file can't be read.
    """
    found = [cache.checked(cache.folder(dataset) / file.name, file) for file in dataset.files]
    if dataset.is_bundled or any(file.state != "whole" for file in found):
        return found
    for split in dataset.samples:
        places = _places(dataset, split)
        if any(path.exists() for path, _, _ in places):
            for (path, shape, dtype), array in zip(places, _read(dataset, split), strict=True):
                if path.exists():
                    stored = _stored(path, shape, dtype)
                    found.append(Checked(path, "damaged" if stored is None or not np.array_equal(stored, array) else "whole"))
    return found


def _places(dataset: Dataset, split: str) -> list[tuple[Path, tuple[int, ...], type]]:
    """Path, shape and type of the kept images and labels. The name changes with the files that they are made from."""
    fingerprint = hashlib.sha256("".join(file.checksum for file in dataset.files).encode()).hexdigest()[:8]
    count = dataset.samples[split]
    shapes = {"images": ((count, *dataset.shape), np.uint8), "labels": ((count,), np.int64)}
    return [(cache.folder(dataset) / f"{split}-{part}-{fingerprint}.npy", *kind) for part, kind in shapes.items()]


def _stored(path: Path, shape: tuple[int, ...], dtype: type) -> np.ndarray | None:
    """A kept array, mapped; None if there is none that can be used."""
    try:
        found = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return np.asarray(found) if found.shape == shape and found.dtype == dtype else None


def _keep(dataset: Dataset, made: dict[Path, np.ndarray]) -> None:
    """Store arrays for the next time. If they can't be, they are made again then."""
    try:
        with cache.locked(dataset, "arrays", timeout=60):
            for path, array in made.items():
                part = path.with_name(f"{path.name}.part")
                try:
                    with part.open("wb") as file:
                        np.save(file, array, allow_pickle=False)
                    files.publish(part, path)
                except OSError:
                    part.unlink(missing_ok=True)
                    raise
    except OSError:  # a full disk, a cache that others fill and we may only read
        return


# --- the files as they were published -------------------------------------------------------------------------------


def _read(dataset: Dataset, split: str) -> Images:
    read = _records(dataset, split) if dataset.reader == "records" else _idx_pair(dataset, split)
    if read.labels.size and not 0 <= read.labels.min() <= read.labels.max() < len(dataset.classes):
        raise DataError(f"{dataset.name}: labels from {read.labels.min()} to {read.labels.max()}, and there are {len(dataset.classes)} classes")
    return read


def _sound(dataset: Dataset, file: File) -> Path:
    """The path of a file that is there with the right checksum.

    Raises: DataError that names the command which gets it.
    """
    path = cache.folder(dataset) / file.name
    again = f"Get it with: tito data download {dataset.name}"
    if not path.is_file():
        raise DataError(f"{dataset.name} is not downloaded: {file.name} is missing from {path.parent}. {again}")
    if not cache.is_whole(dataset, file):
        raise DataError(f"{path} is damaged: its {file.algorithm.upper()} is wrong. {again}")
    return path


def _idx_pair(dataset: Dataset, split: str) -> Images:
    parts = {file.part: _sound(dataset, file) for file in dataset.files if file.split == split}
    count = dataset.samples[split]
    pixels = _idx(parts["images"], (count, *dataset.shape))
    return Images(pixels, _idx(parts["labels"], (count,)).astype(np.int64))


def _idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The array of unsigned bytes in an IDX file: two zeros, 8 for the type, the number of axes, the axes, the bytes.

    Source: Y. LeCun, *The MNIST database*, "file formats".
    """
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    wanted = len(header) + prod(shape)
    try:
        with gzip.open(path) as file:
            data = file.read(wanted + 1)
    except _DAMAGE as error:
        _damaged(path, error)
    if data[: len(header)] != header:
        raise DataError(f"{path}: its header is {data[:len(header)].hex(' ')}, and {header.hex(' ')} was expected: unsigned bytes of shape {shape}")
    if len(data) != wanted:
        raise DataError(f"{path}: {'more than ' if len(data) > wanted else ''}{min(len(data), wanted):,} bytes, {wanted:,} were expected")
    return np.frombuffer(bytearray(data), np.uint8, offset=len(header)).reshape(shape)


def _records(dataset: Dataset, split: str) -> Images:
    """Images from the members of an archive: one byte for the label, then the pixels, for each."""
    (file,) = dataset.files
    path = _sound(dataset, file)
    names, count, pixels = dataset.members[split], dataset.samples[split], prod(dataset.shape)
    each = count // len(names)
    read = Images(np.empty((count, *dataset.shape), np.uint8), np.empty(count, np.int64))
    for name, data in _members(path, set(names), each * (1 + pixels), sum(map(len, dataset.members.values()))):
        rows = np.frombuffer(data, np.uint8).reshape(each, 1 + pixels)
        start = names.index(name) * each
        read.labels[start : start + each] = rows[:, 0]
        read.images[start : start + each] = rows[:, 1:].reshape(each, *dataset.shape)
    return read


def _members(path: Path, names: set[str], size: int, count: int) -> Iterator[tuple[str, bytes]]:
    """The wanted members of a `.tar.gz`, each a plain file of `size` bytes; nothing is written anywhere."""
    missing = set(names)
    try:
        with gzip.open(path) as packed:
            limited = _Limited(packed, path, size * count + _AROUND)
            archive = tarfile.open(fileobj=limited, mode="r|")  # type: ignore[call-overload]  # noqa: SIM115  # a stream, only read
            for member in archive:
                if member.name not in missing:
                    continue
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    raise DataError(f"{path}: {member.name} is no plain file in the archive")
                if member.size != size:
                    raise DataError(f"{path}: {member.name} has {member.size:,} bytes, {size:,} were expected")
                data = content.read()
                if len(data) != size:
                    raise DataError(f"{path}: {member.name} ends after {len(data):,} of {size:,} bytes")
                missing.remove(member.name)
                yield member.name, data
                if not missing:
                    return
    except DataError:
        raise
    except _DAMAGE as error:
        _damaged(path, error)
    raise DataError(f"{path}: {min(missing)} is not in the archive")


class _Limited:
    """What tarfile reads from: ends with an error where an archive unpacks to more than it may."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, path: Path, limit: int) -> None:
        self.file, self.path, self.limit, self.left = file, path, limit, limit

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise DataError(f"{self.path}: it unpacks to more than {self.limit:,} bytes")
        return data


def _damaged(path: Path, error: BaseException) -> NoReturn:
    raise DataError(f"{path} can't be read: {error or type(error).__name__}") from error
