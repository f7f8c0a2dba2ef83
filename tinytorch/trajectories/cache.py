"""The cache of a dataset's features: one folder for each trajectory, one file for each of its chunks.

    CACHE/
      progress.json  journal.jsonl     where the work stands (`tinytorch.jobs`)
      chunks/ID/index.json             what the folder holds
      chunks/ID/0000.npz ...           features (n, d), poses (n, 5 or 9), frames (n,), distances (n,)

A chunk's `poses` have the columns of the trajectory's (`tinytorch.trajectories.reading.COLUMNS`), `frames` are the numbers
of its frames, `distances` the metres travelled from the trajectory's start. A trajectory's folder appears when it is
whole, by one rename; a name in `chunks/` that begins with a dot is unfinished, and goes when its trajectory is
processed again.
"""
from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch import files
from tinytorch.errors import DataError
from tinytorch.trajectories import chunking, reading
from tinytorch.trajectories.chunking import Chunk
from tinytorch.trajectories.config import CacheConfig
from tinytorch.trajectories.features import Features, extract
from tinytorch.trajectories.reading import Frames

__all__ = [
    "CHUNKS", "CachedChunk", "StoredChunk", "TrajectoryCache", "cache_trajectory", "feature_chunks", "is_cached", "open_cache", "remove_chunks",
]  # fmt: skip

CHUNKS = "chunks"  # the folder of a cache that holds them
_INDEX = "index.json"
_VERSION = 1


@dataclass(frozen=True)
class StoredChunk:
    """What a trajectory's index says of a chunk; its file is named by its number."""

    frames: int
    dimensions: int  # of a feature vector
    distance_m: float
    sha256: str


@dataclass(frozen=True)
class CachedChunk:
    """A chunk as it is read: n frames of one trajectory, in order."""

    trajectory: str
    number: int  # of the chunk in its trajectory, from 0
    features: np.ndarray  # (n, d) float16 or float32
    poses: np.ndarray  # (n, 5) or (n, 9) float64
    frames: np.ndarray  # (n,) int64
    distances: np.ndarray  # (n,) float64, metres from the trajectory's start


# --- writing ------------------------------------------------------------------------------------------------------


def cache_trajectory(path: Path, name: str, config: CacheConfig, features: Features) -> int:
    """Write the chunks of a trajectory, in the place of those it had; returns how many there are.

    In memory are the frames of one batch and the features of one chunk.

    Raises: DataError if the trajectory is damaged or hardly moves; it then has no chunks in the cache.
    """
    chunks_folder = config.cache_dir / CHUNKS
    folder, unfinished = chunks_folder / name, chunks_folder / f".{files.sha256(name.encode('utf-8', 'surrogateescape'))[:16]}"
    for old in (folder, unfinished):
        _remove(old)
    unfinished.mkdir(parents=True)
    try:
        with reading.open_trajectory(path) as trajectory:
            stored = list(_written(trajectory, config, features, unfinished))
        index = {"version": _VERSION, "processing_config": config.processing, "chunks": list(map(asdict, stored))}
        files.write_atomic(unfinished / _INDEX, json.dumps(index, indent=1).encode("ascii"))
        files.move(unfinished, folder)
    except BaseException:
        _remove(unfinished)
        raise
    return len(stored)


def _written(trajectory: reading.Trajectory, config: CacheConfig, features: Features, folder: Path) -> Iterator[StoredChunk]:
    distances = chunking.travelled(trajectory.poses.positions)
    found = chunking.chunks(distances, config.limits)
    if not found:
        raise DataError(
            f"{trajectory.path}: insufficient movement: {distances[-1]:.2f} m in {len(distances)} poses, "
            f"and a chunk is at least {config.limits.min_chunk_distance_m} m long"
        )
    made = feature_chunks(trajectory.frames, found, features, np.dtype(config.feature_dtype), config.frames_per_batch)
    for number, (chunk, vectors) in enumerate(made):
        rows, stream = slice(chunk.start, chunk.stop), io.BytesIO()
        poses, frames = trajectory.poses.table[rows], trajectory.poses.frames[rows]
        np.savez(stream, features=vectors, poses=poses, frames=frames, distances=distances[rows])
        data = stream.getvalue()
        files.write_atomic(folder / _file(number), data)
        yield StoredChunk(len(chunk), vectors.shape[1], float(distances[rows][-1] - distances[rows][0]), files.sha256(data))


def _file(number: int) -> str:
    return f"{number:04}.npz"


def feature_chunks(
    frames: Frames, chunks: Sequence[Chunk], features: Features, dtype: np.dtype[Any], batch: int
) -> Iterator[tuple[Chunk, np.ndarray]]:
    """Each chunk with its features (n, d), computed once for each frame, also where chunks overlap.

    Frames are read in order, `batch` at a time.
    """
    position, held_from = chunks[0].start, chunks[0].start
    held: list[np.ndarray] = []
    for chunk in chunks:
        while position < chunk.stop:
            stop = min(position + batch, chunks[-1].stop)
            vectors = extract(features, frames.read(position, stop), dtype)
            if held and vectors.shape[1] != held[0].shape[1]:
                raise DataError(f"features gave vectors of {held[0].shape[1]} numbers, and then of {vectors.shape[1]}")
            held.append(vectors)
            position = stop
        kept = np.concatenate(held)[chunk.start - held_from :]
        held, held_from = [kept], chunk.start
        yield chunk, kept[: len(chunk)]


def is_cached(folder: Path, name: str) -> bool:
    """Whether a trajectory has its chunks in the cache `folder`."""
    return (folder / CHUNKS / name / _INDEX).is_file()


def remove_chunks(folder: Path) -> None:
    """Remove all chunks of the cache `folder`."""
    _remove(folder / CHUNKS)


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


# --- reading ------------------------------------------------------------------------------------------------------


class TrajectoryCache:
    """The chunks of a cache, in the order of their trajectories' ids; each is read when it is asked for.

    It can be pickled, so it is what a PyTorch `Dataset` holds, whatever the number of its workers.
    """

    def __init__(self, folder: Path, chunks: Sequence[tuple[str, int, StoredChunk]]) -> None:
        self.folder, self.chunks = folder, chunks  # of each the trajectory, the number in it, and what the index says

    @property
    def lengths(self) -> list[int]:
        """Frames of each chunk, known without reading any."""
        return [stored.frames for *_, stored in self.chunks]

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, index: int) -> CachedChunk:
        """A chunk by its number, from the end if that is negative.

        Raises: IndexError; DataError if the file is missing or damaged.
        """
        return self._read(*self.chunks[index])

    def __iter__(self) -> Iterator[CachedChunk]:
        return (self._read(*chunk) for chunk in self.chunks)

    def verify(self) -> list[Path]:
        """The files that are missing or aren't what was written, all of them read for that."""
        return [path for name, number, stored in self.chunks if not _is_whole(path := self._path(name, number), stored)]

    def _path(self, name: str, number: int) -> Path:
        return self.folder / CHUNKS / name / _file(number)

    def _read(self, name: str, number: int, stored: StoredChunk) -> CachedChunk:
        path = self._path(name, number)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                read = CachedChunk(name, number, **{key: arrays[key] for key in ("features", "poses", "frames", "distances")})
        except reading.UNREADABLE as error:
            raise DataError(f"{path}: this chunk can't be read ({error}). {_again(name)}") from error
        if read.features.shape != (stored.frames, stored.dimensions):
            raise DataError(f"{path}: its features are {read.features.shape}, and the index says {(stored.frames, stored.dimensions)}. {_again(name)}")
        return read


def _is_whole(path: Path, stored: StoredChunk) -> bool:
    with suppress(OSError):
        return files.sha256(path.read_bytes()) == stored.sha256
    return False


def open_cache(folder: Path | str) -> TrajectoryCache:
    """The finished trajectories of a cache, also while others are still worked on.

    Reads one small file for each trajectory, and no chunk.

    Raises: DataError if there is no cache, or an index is damaged.
    """
    folder = Path(folder)
    chunks: list[tuple[str, int, StoredChunk]] = []
    try:
        names = sorted(path.name for path in (folder / CHUNKS).iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: there are no chunks ({error.strerror}). Build the cache: tito data cache build --config FILE") from error
    for name in names:
        path = folder / CHUNKS / name / _INDEX
        try:
            index = json.loads(path.read_text("utf-8"))
            if index["version"] != _VERSION:
                raise ValueError(f"it is of version {index['version']}, and {_VERSION} is known")
            chunks += [(name, number, StoredChunk(**stored)) for number, stored in enumerate(index["chunks"])]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{path}: this index can't be read ({error}). {_again(name)}") from error
    return TrajectoryCache(folder, chunks)


def _again(name: str) -> str:
    return f"Delete the folder {CHUNKS}/{name} and build the cache again"
