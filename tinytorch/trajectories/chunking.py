"""Where a trajectory is cut: into chunks of so many metres travelled, each beginning a little before the last one's end."""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinytorch.errors import ConfigError

__all__ = ["Chunk", "Limits", "chunks", "travelled"]


@dataclass(frozen=True)
class Limits:
    """Distances in metres. Raises ConfigError for ones that no trajectory could be cut by."""

    max_chunk_distance_m: float = 50.0
    overlap_distance_m: float = 1.0
    min_chunk_distance_m: float = 0.3

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not math.isfinite(value) or value < 0:
                raise ConfigError(f"{name} is {value}; a finite distance from 0 on was expected, in metres")
        if not self.max_chunk_distance_m:
            raise ConfigError("max_chunk_distance_m is 0: every pose would be a chunk. Give the metres that a chunk is long")
        for name in ("overlap_distance_m", "min_chunk_distance_m"):
            if getattr(self, name) >= self.max_chunk_distance_m:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}, max_chunk_distance_m {self.max_chunk_distance_m}: "
                    "it must be smaller, or no chunk would get further than the one before"
                )


@dataclass(frozen=True)
class Chunk:
    """The poses from `start` to before `stop`."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def travelled(positions: np.ndarray) -> np.ndarray:
    """Metres travelled up to each pose, along straight lines from pose to pose.

    Shapes: positions (n, 3) in metres, n at least 1; the result (n,) float64, which begins with 0.

    >>> travelled(np.array([[0.0, 0, 0], [3, 4, 0], [3, 4, 2]]))
    array([0., 5., 7.])
    """
    steps = np.linalg.norm(np.diff(positions.astype(np.float64), axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def chunks(distances: np.ndarray, limits: Limits) -> list[Chunk]:
    """The chunks of a trajectory, in order; none if it hardly moves.

    A chunk ends with the first pose that is further than the maximum from its start. The next begins with the first
    pose that is no more than the overlap before that end: at the latest with the end itself, so that no piece of the
    way is lost between two. What is left at the end is a chunk if it is at least the minimum long. Poses that only
    stand still after a chunk's end are no chunk.

    Shapes: distances (n,), metres travelled up to each pose, as `travelled` gives them.

    >>> chunks(np.arange(8.0), Limits(max_chunk_distance_m=3.0, overlap_distance_m=1.0))
    [Chunk(start=0, stop=5), Chunk(start=3, stop=8)]
    """
    found: list[Chunk] = []
    start, count = 0, len(distances)
    while start < count:
        end = int(np.searchsorted(distances, distances[start] + limits.max_chunk_distance_m, side="right"))
        if end >= count:
            if distances[-1] - distances[start] >= limits.min_chunk_distance_m and distances[-1] > distances[start]:
                found.append(Chunk(start, count))
            break
        found.append(Chunk(start, end + 1))
        if distances[-1] <= distances[end]:
            break
        overlapping = int(np.searchsorted(distances, distances[end] - limits.overlap_distance_m, side="left"))
        start = max(overlapping, start + 1)  # at 1e17 metres, floats of a metre's difference are equal
    return found
