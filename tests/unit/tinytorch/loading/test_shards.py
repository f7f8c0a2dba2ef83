from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tinytorch.loading.conftest import Arrays
from tinytorch import loading
from tinytorch.errors import ConfigError, DataError
from tinytorch.files import lock
from tinytorch.loading.shards import read_index
from tinytorch.loading.stores import open_store


def read_back(folder: Path) -> list[np.ndarray]:
    with loading.PreWarmed(folder, 10**6, scale=False, warm=False) as loader:
        return list(next(iter(loader)))


def test_a_shard_can_be_read_by_what_the_index_says(folder: Path, arrays: Arrays) -> None:
    """As another program would."""
    index = json.loads((folder / "index.json").read_text("utf-8"))
    assert index["count"] == 200 and len(index["shards"]) == 7
    shard = index["shards"][1]
    data = (folder / shard["file"]).read_bytes()
    inputs = np.frombuffer(data, index["inputs"]["dtype"], 30 * 48).reshape(30, *index["inputs"]["shape"])
    labels = np.frombuffer(data, index["labels"]["dtype"], offset=-(-30 * 48 // 64) * 64)
    assert np.array_equal(inputs, arrays.inputs[30:60]) and labels.tolist() == list(range(30, 60))


@settings(max_examples=30, deadline=None)  # the disk decides how long it takes
@given(
    count=st.integers(1, 10), shard_bytes=st.integers(1, 500),
    shape=st.lists(st.integers(1, 3), max_size=3), dtype=st.sampled_from(["?", "i1", ">i2", "<u4", ">f8", "f2"]),
    labels=st.sampled_from([None, "u1", ">i4", "f8"]),
)  # fmt: skip
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, count: int, shard_bytes: int, shape: list[int], dtype: str, labels: str | None
) -> None:
    rng = np.random.default_rng(count)
    columns = [rng.integers(0, 2, (count, *shape)).astype(dtype)]
    columns += [] if labels is None else [rng.integers(0, 100, count).astype(labels)]
    folder = tmp_path_factory.mktemp("shards")
    loading.write_shards(folder, *columns, shard_bytes=shard_bytes)
    for found, column in zip(read_back(folder), columns, strict=True):
        assert np.array_equal(found, column) and found.dtype == column.dtype.newbyteorder("=")


def test_progress_is_told_in_samples(tmp_path: Path, arrays: Arrays) -> None:
    told: list[tuple[int, int]] = []
    loading.write_shards(tmp_path, *arrays, shard_bytes=90 * 56, report=lambda *at: told.append(at))
    assert told == [(90, 200), (180, 200), (200, 200)]


def test_an_empty_dataset_can_be_written(tmp_path: Path) -> None:
    loading.write_shards(tmp_path, np.zeros((0, 3), np.uint8), np.zeros(0))
    with loading.PreWarmed(tmp_path, 4, shuffle=True) as loader:
        assert len(loader) == 0 and list(loader) == []
    with loading.LocalCache(tmp_path, 4, shuffle=True, cache=tmp_path / "cache") as cached:
        assert list(cached) == []
    assert list(loading.InMemory.from_shards(tmp_path)) == []


@pytest.mark.parametrize(
    "columns, error, says",
    [
        ((np.array([{}]),), TypeError, "inputs are object; shards hold bools, integers and floats, never objects"),
        ((np.zeros(1), np.array(["a"])), TypeError, "labels are <U1"),
        ((np.zeros(1), np.zeros(2)), ValueError, "1 inputs and 2 labels"),
        ((np.zeros((2, 0)),), ValueError, "inputs have shape (2, 0)"),
        ((np.array(1),), ValueError, "inputs have shape ()"),
    ],
    ids=["objects", "text", "lengths", "empty-rows", "number"],
)
def test_what_cant_be_written_leaves_no_folder(tmp_path: Path, columns: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=re.escape(says)):
        loading.write_shards(tmp_path / "shards", *columns)
    assert not (tmp_path / "shards").exists()


def test_a_dataset_is_not_written_over(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.glob("*.*")}
    with pytest.raises(DataError, match="holds a dataset already"):
        loading.write_shards(folder, np.zeros(3))
    assert {path.name: path.read_bytes() for path in folder.glob("*.*")} == before


def test_two_writers_of_one_folder_are_kept_apart(tmp_path: Path) -> None:
    program = "import sys; from tinytorch import loading; import numpy as np; loading.write_shards(sys.argv[1], np.zeros(3))"
    with lock(tmp_path / ".lock", timeout=1):
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, encoding="utf-8", check=False)
    assert "another process is writing shards there" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_writer_that_was_killed_leaves_no_dataset_and_is_repeated(tmp_path: Path, arrays: Arrays) -> None:
    program = """
import os, signal, sys
import numpy as np
from tinytorch import loading
loading.write_shards(sys.argv[1], np.ones((100, 8), np.uint8), shard_bytes=80, report=lambda done, _: done < 50 or os.kill(os.getpid(), signal.SIGKILL))
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL and len(list(tmp_path.glob("*.shard"))) == 5
    with pytest.raises(DataError, match="Is this the folder that tinytorch.loading.write_shards wrote, whole"):
        loading.PreWarmed(tmp_path)
    loading.write_shards(tmp_path, *arrays, shard_bytes=60 * 56)
    assert np.array_equal(read_back(tmp_path)[0], arrays.inputs)
    assert len(list(tmp_path.glob("*.shard"))) == 4  # none of the others is left


def test_a_folder_that_cant_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(DataError, match="file: the shards can't be written"):
        loading.write_shards(tmp_path / "file", np.zeros(3))


GOOD = {
    "version": 1, "count": 2, "inputs": {"shape": [3], "dtype": "|u1"}, "labels": None,
    "shards": [{"file": "00000.shard", "count": 2, "bytes": 6, "sha256": "0" * 64}],
}  # fmt: skip


@pytest.mark.parametrize(
    "change, says",
    [
        ({"version": 2}, "version 2, and this TinyTorch reads 1"),
        ({"count": 3}, "count 3, and the shards have 2"),
        ({"inputs": {"shape": [3], "dtype": "|O"}}, "dtype '|O'"),
        ({"inputs": {"shape": [-3], "dtype": "|u1"}}, "a size in shape is a number from 1 on, got -3"),
        ({"shards": [GOOD["shards"][0] | {"file": "../../etc/passwd"}]}, "shard '../../etc/passwd'"),  # type: ignore[index]
        ({"shards": [GOOD["shards"][0] | {"bytes": 7}]}, "has 6 bytes, not 7"),  # type: ignore[index]
        ({"shards": [GOOD["shards"][0] | {"count": True}]}, "got True"),  # type: ignore[index]
        ({"shards": GOOD["shards"] * 2, "count": 4}, "a file is listed twice"),  # type: ignore[operator]
        ({"inputs": {"shape": [1] * 99 + [3], "dtype": "|u1"}}, "maximum supported dimension"),
        ({"inputs": {"shape": [2**62, 2**62], "dtype": "<f8"}}, "too big"),
        ({"shards": [GOOD["shards"][0] | {"count": 2**40, "bytes": 3 * 2**40}], "count": 2**40}, "and a shard 1099511627776 at most"),  # type: ignore[index]
        ({"shards": 5}, "not iterable"),
        ({"labels": []}, "list indices"),
    ],
    ids=["version", "count", "dtype", "shape", "path", "bytes", "bool", "twice", "dimensions", "size", "large", "number", "list"],
)
def test_an_index_that_isnt_one_is_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    (tmp_path / "index.json").write_text(json.dumps(GOOD | change), "utf-8")
    with pytest.raises(DataError, match=re.escape(says)) as raised:
        read_index(open_store(tmp_path))
    assert str(tmp_path / "index.json") in str(raised.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1', "[" * 100_000, "\xff"], ids=["empty", "list", "object", "cut", "deep", "bytes"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="is no index of shards"):
        read_index(open_store(tmp_path))


def test_an_index_with_carriage_returns_is_read(folder: Path) -> None:
    text = (folder / "index.json").read_bytes()
    (folder / "index.json").write_bytes(text.replace(b"\n", b"\r\n"))
    assert read_index(open_store(folder)).count == 200


def test_an_unknown_kind_of_address_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gs:// isn't known\. Name a folder"):
        open_store("gs://bucket/x")
