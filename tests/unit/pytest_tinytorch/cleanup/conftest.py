"""A workspace, a cache and a temporary folder of one's own, with things in them that may go."""
from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from pytest_tinytorch.cleanup.kinds import DAY

NAME = "a" * 64 + ".shard"


def age(path: Path, seconds: float) -> Path:
    then = time.time() - seconds
    for inner in [*path.rglob("*"), path] if path.is_dir() else [path]:
        os.utime(inner, (then, then))
    return path


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary 🙂"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "my cache 🙂"
    monkeypatch.setenv("TINYTORCH_CACHE", str(folder))
    return folder


@pytest.fixture
def shards(cache: Path) -> list[Path]:
    """Three shards that nobody has used for forty days."""
    (cache / "shards").mkdir(parents=True)
    made = []
    for letter in "abc":
        path = cache / "shards" / (letter * 64 + ".shard")
        path.write_bytes(b"x" * 1000)
        made.append(age(path, 40 * DAY))
    return made
