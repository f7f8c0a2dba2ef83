"""One small dataset as arrays, as shards in a folder, and on a web server; and each strategy over it."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.unit.tinytorch.loading.range_server import RangeServer, serving
from tinytorch import loading
from tinytorch.loading.loader import Loader
from tinytorch.retry import ExponentialBackoffPolicy

SHARD_SAMPLES = 30
STRATEGIES = ("InMemory", "PreWarmed", "LocalCache", "DirectS3")
AT_ONCE = ExponentialBackoffPolicy(attempts=3, first_delay=0, longest_delay=0)


class Arrays(NamedTuple):
    """200 images of 3 x 4 x 4 bytes and their labels."""

    inputs: np.ndarray
    labels: np.ndarray


@pytest.fixture(scope="session")
def arrays() -> Arrays:
    rng = np.random.default_rng(0)
    return Arrays(rng.integers(0, 256, (200, 3, 4, 4), dtype=np.uint8), np.arange(200))


@pytest.fixture
def folder(tmp_path: Path, arrays: Arrays) -> Path:
    """The arrays as seven shards, in a folder with a name that not every program likes."""
    path = tmp_path / "my shards 🙂"
    loading.write_shards(path, *arrays, shard_bytes=SHARD_SAMPLES * (48 + 8))
    return path


@pytest.fixture
def server(folder: Path) -> Iterator[RangeServer]:
    with serving(folder) as running:
        yield running


@pytest.fixture
def make(folder: Path, arrays: Arrays, tmp_path: Path) -> Iterator[Callable[..., Loader]]:
    """`make("LocalCache", batch_size=7)`: a loader of the strategy over the dataset, closed at the end."""
    made: list[Loader] = []

    def of(strategy: str, **options: Any) -> Loader:
        if strategy == "InMemory":
            loader: Loader = loading.InMemory(*arrays, **options)
        elif strategy == "PreWarmed":
            loader = loading.PreWarmed(folder, **options)
        elif strategy == "LocalCache":
            loader = loading.LocalCache(folder, cache=tmp_path / "cache", **options)
        else:
            loader = loading.DirectS3(folder, block_bytes=10 * (48 + 8), **options)
        made.append(loader)
        return loader

    yield of
    for loader in made:
        loader.close()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Whatever a test does, the threads that load are gone when it is over."""
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("tinytorch-")]
    assert left == []
