"""Trajectories on the disk: poses and pictures of a camera that moves, in one of three forms.

A dataset is a folder; everything in it that is a folder, or a file named `.npz`, `.h5` or `.hdf5`, is a trajectory, and
its name without the ending is the trajectory's id. Names that begin with a dot are left out, and so are other files.

| form | poses | frames |
|---|---|---|
| folder | `poses.csv` (a line of column names first) or `poses.npy` | `frames/` with PNG or JPEG files, each named by its frame's number, or `frames.npy` |
| `.npz` | the array `poses` | the array `frames` |
| `.h5`, `.hdf5` | the dataset `poses` | the dataset `frames` |

Poses have the columns `COLUMNS`, the last four of which may be missing: the frame's number, seconds, metres, and a unit
quaternion. As an array they are (n, 5) or (n, 9). Frames are (n, h, w, 3) uint8, RGB, one for each pose. Arrays are in
C order and without Python objects, so that nothing in them can run.

Frames are read when they are asked for, and never kept.
"""
from __future__ import annotations

import csv
import hashlib
import io
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from tinytorch.errors import ConfigError, DataError

__all__ = [
    "COLUMNS", "Frames", "Poses", "Trajectory", "check_packages", "checksum", "find", "hdf5_package", "open_trajectory", "picture_package",
]  # fmt: skip

COLUMNS = ("frame", "timestamp", "x", "y", "z", "qx", "qy", "qz", "qw")
_NEEDED = 5  # columns; the quaternion may be missing
_LAST_FRAME = 2.0**53  # of which a float64 tells the next
_FURTHEST = 1e12  # metres from the origin: where no camera is, and no sum of ways overflows
_PICTURES = {".png", ".jpg", ".jpeg"}
_HDF5 = {".h5", ".hdf5"}
_ARCHIVES = {".npz", *_HDF5}
_BLOCK = 1 << 20  # bytes to hash or to skip at a time
UNREADABLE: tuple[type[Exception], ...] = (  # what reading damaged files raises
    OSError, EOFError, ValueError, KeyError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error, tokenize.TokenError, csv.Error,
)  # fmt: skip


@dataclass(frozen=True)
class Poses:
    """Where the camera was. `table` is (n, 5) or (n, 9) float64, its columns `COLUMNS`."""

    table: np.ndarray

    def __len__(self) -> int:
        return len(self.table)

    @property
    def frames(self) -> np.ndarray:
        """Numbers of the frames, (n,) int64, increasing."""
        return self.table[:, 0].astype(np.int64)

    @property
    def positions(self) -> np.ndarray:
        """(n, 3), in metres."""
        return self.table[:, 2:5]


class Frames(Protocol):
    """The pictures of a trajectory, read as they are asked for."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> np.ndarray:
        """Those from `start` to before `stop`: (stop - start, h, w, 3) uint8. Raises: DataError."""


@dataclass(frozen=True)
class Trajectory:
    """An open trajectory, as many frames as poses."""

    path: Path
    poses: Poses
    frames: Frames


# --- which there are ----------------------------------------------------------------------------------------------


def find(dataset: Path) -> dict[str, Path]:
    """The trajectories of a dataset by their ids, sorted.

    Raises: DataError if there is no such folder, if two have the same id, or if there is none.
    """
    try:
        paths = sorted(path for path in dataset.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{dataset}: this folder of trajectories can't be read ({error.strerror})") from error
    found: dict[str, Path] = {}
    for path in paths:
        if not path.is_dir() and path.suffix.lower() not in _ARCHIVES:
            continue
        name = path.name if path.is_dir() else path.stem
        if name in found:
            raise DataError(f"{path}: {found[name].name} has the same id {name!r}. Rename one of them")
        found[name] = path
    if not found:
        raise DataError(f"{dataset}: there is no trajectory in it: no folder, and no file named .npz, .h5 or .hdf5")
    return dict(sorted(found.items()))


def checksum(path: Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 over a trajectory's bytes: of the file, or of a folder's files with their names.

    What can't be read counts as its error: whoever works on the trajectory will meet it again.
    """
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_dir():
            continue
        try:
            if file != path:
                digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
        except OSError as error:
            digest.update(f"\0{error.errno}".encode())
    return digest.hexdigest()[:16]


def check_packages(paths: Iterable[Path]) -> None:
    """Raises: ConfigError if reading one of the trajectories needs a package that is missing."""
    for path in paths:
        if path.suffix.lower() in _HDF5 and not path.is_dir():
            hdf5_package(path)
        elif (path / "frames").is_dir():
            picture_package(path)


# --- opening ------------------------------------------------------------------------------------------------------


@contextmanager
def open_trajectory(path: Path) -> Iterator[Trajectory]:
    """A trajectory, whose frames are read inside the `with` block.

    Raises: DataError that names the file and the reason if poses or frames are missing, damaged, or don't fit together;
        ConfigError if a package is missing that this form needs.
    """
    with ExitStack() as stack:
        if path.is_dir():
            poses, frames = _open_folder(path, stack)
        elif path.suffix.lower() in _HDF5:
            poses, frames = _open_hdf5(path, stack)
        else:
            poses, frames = _open_npz(path, stack)
        if len(poses) != len(frames):
            raise DataError(f"{path}: it has {len(poses)} poses and {len(frames)} frames; there must be one frame for each pose")
        yield Trajectory(path, poses, frames)


@contextmanager
def _readable(path: Path, *others: type[Exception]) -> Iterator[None]:
    """What goes wrong in reading `path` becomes a DataError that names it."""
    try:
        yield
    except (DataError, ConfigError):
        raise
    except UNREADABLE + others as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).strip("'\"") or type(error).__name__
        raise DataError(f"{path}: it can't be read: {reason}") from error


def _open_folder(folder: Path, stack: ExitStack) -> tuple[Poses, Frames]:
    file = _only(folder, "poses.csv", "poses.npy")
    poses = _text_poses(file) if file.suffix == ".csv" else _array_poses(_open_array(file, stack), file)
    file = _only(folder, "frames", "frames.npy")
    return poses, _ArrayFrames(_open_array(file, stack), file) if file.suffix else _PictureFrames(file, poses.frames)


def _only(folder: Path, one: str, other: str) -> Path:
    """The one of two that is there."""
    there = [folder / name for name in (one, other) if (folder / name).exists()]
    if len(there) != 1:
        raise DataError(f"{folder}: it has {f'both {one} and' if there else f'neither {one} nor'} {other}; one was expected")
    return there[0]


def _open_npz(path: Path, stack: ExitStack) -> tuple[Poses, Frames]:
    with _readable(path):
        archive = stack.enter_context(zipfile.ZipFile(path))
        arrays = []
        for name in ("poses", "frames"):
            if f"{name}.npy" not in archive.namelist():
                raise DataError(f"{path}: it has no array {name!r}; there is: {', '.join(archive.namelist()) or 'nothing'}")
            info = archive.getinfo(f"{name}.npy")
            arrays.append(_StoredArray(stack.enter_context(archive.open(info)), info.file_size, path))
        return _array_poses(arrays[0], path), _ArrayFrames(arrays[1], path)


def _open_hdf5(path: Path, stack: ExitStack) -> tuple[Poses, Frames]:
    h5py = hdf5_package(path)
    with _readable(path):
        file = stack.enter_context(h5py.File(path, "r"))
        arrays = []
        for name in ("poses", "frames"):
            if not isinstance(file.get(name), h5py.Dataset):
                raise DataError(f"{path}: it has no dataset {name!r}; there is: {', '.join(map(str, file)) or 'nothing'}")
            arrays.append(file[name])
        return _array_poses(arrays[0], path), _ArrayFrames(arrays[1], path)  # also a dtype that nobody can have is found only here


def hdf5_package(path: Path) -> Any:
    """h5py. Raises: ConfigError if it is missing, which `path` needs."""
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(f"{path}: HDF5 needs h5py: pip install 'tinytorch[dino]'") from error
    return h5py


def picture_package(path: Path) -> Any:
    """Pillow's `Image`. Raises: ConfigError if it is missing, which `path` needs."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError(f"{path}: pictures need Pillow: pip install 'tinytorch[dino]'") from error
    return Image


def _open_array(path: Path, stack: ExitStack) -> _StoredArray:
    with _readable(path):
        return _StoredArray(stack.enter_context(path.open("rb")), path.stat().st_size, path)


# --- poses --------------------------------------------------------------------------------------------------------


def _text_poses(path: Path) -> Poses:
    with _readable(path):
        first, _, rest = path.read_text("utf-8-sig").partition("\n")
        names = [name.strip() for name in next(csv.reader([first]), [])]
        wanted = COLUMNS if len(names) > _NEEDED else COLUMNS[:_NEEDED]
        if sorted(names) != sorted(wanted):
            unknown = [name for name in names if name not in COLUMNS]
            what = f"unknown columns {', '.join(map(repr, unknown))}" if unknown else f"the columns {', '.join(names) or 'of nothing'}"
            raise DataError(f"{path}:1: {what}; expected were {','.join(COLUMNS[:_NEEDED])} and, if known, {','.join(COLUMNS[_NEEDED:])}")
        if not rest.strip():
            raise DataError(f"{path}: it has no pose")
        table = np.loadtxt(io.StringIO(rest), delimiter=",", ndmin=2, comments=None, dtype=np.float64)
        if table.shape[1] != len(names):
            raise DataError(f"{path}: lines have {table.shape[1]} values, and there are {len(names)} column names")
    return _checked(table[:, [names.index(name) for name in wanted]], path)


def _array_poses(array: Any, path: Path) -> Poses:
    if len(array.shape) != 2 or array.shape[1] not in (_NEEDED, len(COLUMNS)) or array.dtype.kind not in "fiu":
        raise DataError(f"{path}: poses are {array.shape} {array.dtype}; numbers of the shape (n, {_NEEDED}) or (n, {len(COLUMNS)}) were expected")
    with _readable(path):
        table: np.ndarray = np.asarray(array[0 : array.shape[0]], dtype=np.float64)
    return _checked(table, path)


def _checked(table: np.ndarray, path: Path) -> Poses:
    """The poses of a table, if all of it makes sense."""
    if not len(table):
        raise DataError(f"{path}: it has no pose")
    with np.errstate(all="ignore"):  # what overflows is refused
        faults = {
            "has a value that is no finite number": ~np.isfinite(table).all(axis=1),
            "has no whole number from 0 to 2**53 as its frame": (table[:, 0] < 0) | (table[:, 0] > _LAST_FRAME) | (table[:, 0] != np.floor(table[:, 0])),
            "has a frame that doesn't come after the one before": np.diff(table[:, 0], prepend=-1.0) <= 0,
            "has a timestamp before that of the one before": np.diff(table[:, 1], prepend=table[0, 1]) < 0,
            f"is more than {_FURTHEST:g} metres from the origin": np.abs(table[:, 2:5]).max(axis=1) > _FURTHEST,
        }
        if table.shape[1] > _NEEDED:
            faults["has a quaternion that isn't of length 1"] = np.abs(np.linalg.norm(table[:, _NEEDED:], axis=1) - 1) > 0.01
    for fault, rows in faults.items():
        if rows.any():
            raise DataError(f"{path}: pose {int(np.argmax(rows)) + 1} of {len(table)} {fault}")
    return Poses(table)


# --- frames -------------------------------------------------------------------------------------------------------


class _StoredArray:
    """The array in an .npy file or in a member of an .npz, of which rows are read one batch at a time.

    Reading on is one pass; going back in a compressed member starts at its beginning.
    """

    def __init__(self, stream: IO[bytes], size: int, path: Path) -> None:
        self.stream, self.path = stream, path
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"an array of format {version[0]}.{version[1]}; 1.0 and 2.0 are known")
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        self.shape, fortran, self.dtype = header(stream)
        if self.dtype.hasobject:
            raise ValueError("an array of Python objects, which could run code; save numbers")
        if fortran and len(self.shape) > 1:
            raise ValueError("an array in Fortran order; save np.ascontiguousarray(array)")
        if min(self.shape, default=0) < 0:
            raise ValueError(f"an array of the shape {self.shape}")
        self.begin = stream.tell()
        self.row = int(np.prod(self.shape[1:], dtype=object)) * self.dtype.itemsize  # bytes
        expected = self.begin + (self.shape[0] if self.shape else 1) * self.row
        if size != expected:
            raise ValueError(f"it has {size} bytes, and its shape {self.shape} needs {expected}")

    def __getitem__(self, rows: slice) -> np.ndarray:
        self.stream.seek(self.begin + rows.start * self.row)
        wanted = (rows.stop - rows.start) * self.row
        data = self.stream.read(wanted)
        if len(data) != wanted:
            raise EOFError(f"it ends after {self.begin + rows.start * self.row + len(data)} bytes")
        return np.frombuffer(data, self.dtype).reshape(-1, *self.shape[1:])


class _ArrayFrames:
    """The rows of an array."""

    def __init__(self, array: Any, path: Path) -> None:
        if len(array.shape) != 4 or array.shape[3] != 3 or array.dtype != np.uint8 or 0 in array.shape[1:]:
            raise DataError(f"{path}: frames are {array.shape} {array.dtype}; (n, height, width, 3) uint8 was expected")
        self.array, self.path = array, path

    def __len__(self) -> int:
        return int(self.array.shape[0])

    def read(self, start: int, stop: int) -> np.ndarray:
        with _readable(self.path):
            rows: np.ndarray = self.array[start:stop]
            return rows


class _PictureFrames:
    """Files that are named by their frame's number: 12.png, 000012.jpg."""

    def __init__(self, folder: Path, numbers: np.ndarray) -> None:
        with _readable(folder):
            files = {path for path in folder.iterdir() if path.suffix.lower() in _PICTURES and not path.name.startswith(".")}
        by_number: dict[int, Path] = {}
        for path in sorted(files):
            if not path.stem.isdecimal() or not path.stem.isascii():
                raise DataError(f"{path}: the name of a picture is its frame's number, such as 000012.png")
            if int(path.stem) in by_number:
                raise DataError(f"{path}: {by_number[int(path.stem)].name} is the same frame")
            by_number[int(path.stem)] = path
        for number in numbers.tolist():
            if number not in by_number:
                raise DataError(f"{folder}: there is no picture of frame {number}, which has a pose")
        self.folder = folder
        self.paths = [by_number[number] for number in numbers.tolist()]
        if len(by_number) != len(self.paths):
            raise DataError(f"{folder}: it has {len(by_number)} pictures, and there are {len(self.paths)} poses")
        self.shape: tuple[int, ...] | None = None  # of the first picture; all are alike

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, start: int, stop: int) -> np.ndarray:
        return np.stack([self._picture(path) for path in self.paths[start:stop]])

    def _picture(self, path: Path) -> np.ndarray:
        image = picture_package(path)
        with _readable(path, SyntaxError, image.DecompressionBombError), image.open(path) as picture:
            array = np.asarray(picture.convert("RGB"))
        if self.shape not in (None, array.shape):
            raise DataError(f"{path}: it is {array.shape[1]}x{array.shape[0]}, the pictures before it {self.shape[1]}x{self.shape[0]}")
        self.shape = array.shape
        return array
