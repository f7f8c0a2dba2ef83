"""A server with files, an empty cache, and a registry of datasets that the server has."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.unit.tinytorch.server import Server
from tinytorch.datasets.registry import File
from tinytorch.retry import ExponentialBackoffPolicy

QUICK = ExponentialBackoffPolicy(attempts=3, first_delay=0.001)
TIMEOUT = (5.0, 0.3)  # seconds: to connect, without a byte


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("TINYTORCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TINYTORCH_CACHE", str(tmp_path / "a cache \N{SNAKE}"))
    return tmp_path / "a cache \N{SNAKE}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def file_of(data: bytes, name: str = "data.bin", *, algorithm: str = "sha256", size: int | None = -1) -> File:
    """The facts of a file with this content; `size=None` leaves its size out."""
    return File(name, algorithm, hashlib.new(algorithm, data).hexdigest(), len(data) if size == -1 else size)


def entry(name: str, data: bytes, /, **facts: object) -> str:
    """A `[[NAME.files]]` table with the file's facts."""
    stated = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} | facts
    return f"[[{name}.files]]\n" + "".join(f"{key} = {value!r}\n" for key, value in stated.items() if value is not None)


def text_dataset(data: bytes, *mirrors: str, name: str = "text", **facts: object) -> str:
    """A dataset of one text, as TOML."""
    head = f'[{name}]\ntitle = "A text"\nreader = "text"\nlicence = "none"\ncitation = "nobody"\nmirrors = {list(mirrors)!r}\n'
    return head + entry(name, data, name="text.txt", **facts)


@pytest.fixture
def own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """`own_registry(TOML)`: datasets beside the course's."""

    def add(*tables: str) -> Path:
        path = tmp_path / "own.toml"
        path.write_text("\n".join(tables), "utf-8")
        monkeypatch.setenv("TINYTORCH_DATASETS", str(path))
        return path

    return add
