"""A server with files, an empty cache, a registry of datasets that the server has, and an archive of images."""
from __future__ import annotations

import hashlib
import io
import os
import tarfile
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


# --- images in an archive -------------------------------------------------------------------------------------------

HEAD = '[{name}]\ntitle = "t"\nreader = "{reader}"\nlicence = "l"\ncitation = "c"\nshape = {shape}\nclasses = ["a", "b", "c"]\nmirrors = ["file:///nowhere/"]\n'
RECORDS = np.arange(6 * 13, dtype=np.uint8).reshape(6, 13)
RECORDS[:, 0] = [0, 1, 2, 2, 1, 0]
GOOD = {"d/1.bin": RECORDS[:2].tobytes(), "d/2.bin": RECORDS[2:4].tobytes(), "d/t.bin": RECORDS[4:].tobytes()}


def packed(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def put(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.fixture
def archive(own_registry, cache: Path):
    """`archive(bytes)`: a dataset of records, downloaded."""

    def make(data: bytes) -> Path:
        own_registry(
            HEAD.format(name="rec", reader="records", shape=[3, 2, 2]) + 'samples = {train = 4, test = 2}\nmembers = {train = ["d/1.bin", "d/2.bin"], test = ["d/t.bin"]}\n',
            entry("rec", data, name="r.tar.gz"),
        )
        put(cache / "datasets" / "rec", {"r.tar.gz": data})
        return cache / "datasets" / "rec"

    return make
