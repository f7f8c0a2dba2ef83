"""Trajectories of a camera, cut into chunks by travelled distance, and a cache of features of their frames.

`tito data cache build` fills a cache as a configuration says; `open_cache` reads it:

    for chunk in open_cache("cache"):
        chunk.features, chunk.poses          # (n, d), (n, 5 or 9)
"""
from __future__ import annotations

from tinytorch.trajectories.building import Built, build
from tinytorch.trajectories.cache import CachedChunk, TrajectoryCache, open_cache
from tinytorch.trajectories.chunking import Limits
from tinytorch.trajectories.config import CacheConfig, read_config
from tinytorch.trajectories.reading import open_trajectory

__all__ = ["Built", "CacheConfig", "CachedChunk", "Limits", "TrajectoryCache", "build", "open_cache", "open_trajectory", "read_config"]
