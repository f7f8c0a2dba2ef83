from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.unit.tinytorch.loading.conftest import Arrays
from tinytorch import loading
from tinytorch.errors import DataError


def test_lengths_that_differ_are_named() -> None:
    with pytest.raises(ValueError, match="InMemory: 3 inputs and 2 labels"):
        loading.InMemory(np.zeros((3, 2)), np.zeros(2))


@pytest.mark.parametrize("column", [np.array([{}, {}]), np.array(["a", "b"]), np.array([1j, 2j])], ids=["objects", "text", "complex"])
def test_arrays_of_anything_but_numbers_are_refused(column: np.ndarray) -> None:
    with pytest.raises(TypeError, match="inputs are"):
        loading.InMemory(column)
    with pytest.raises(TypeError, match="labels are"):
        loading.InMemory(np.zeros(2), column)


def test_a_number_is_no_dataset() -> None:
    with pytest.raises(ValueError, match="first dimension counts the samples"):
        loading.InMemory(np.array(3))


def test_an_empty_dataset_has_no_batches() -> None:
    loader = loading.InMemory(np.zeros((0, 3), np.uint8), np.zeros(0), 4, shuffle=True)
    assert len(loader) == 0 and list(loader) == []


def test_big_endian_arrays_become_native_with_their_values() -> None:
    inputs, labels = next(iter(loading.InMemory(np.arange(4.0).astype(">f4"), np.arange(4, dtype=">i8"), 4)))
    assert inputs.dtype == np.float32 and inputs.dtype.isnative and labels.dtype.isnative
    assert inputs.tolist() == [0, 1, 2, 3] and labels.tolist() == [0, 1, 2, 3]


def test_a_mapped_array_is_one_too(tmp_path: Path, arrays: Arrays) -> None:
    np.save(tmp_path / "x.npy", arrays.inputs)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    (inputs,) = next(iter(loading.InMemory(mapped, batch_size=200, scale=False)))
    assert type(inputs) is np.ndarray and np.array_equal(inputs, arrays.inputs)


def test_all_shards_of_a_folder_or_address_can_be_read_into_memory(folder: Path, arrays: Arrays) -> None:
    for place in (folder, folder.as_uri()):
        inputs, labels = next(iter(loading.InMemory.from_shards(place, 200, scale=False)))
        assert np.array_equal(inputs, arrays.inputs) and np.array_equal(labels, arrays.labels)


def test_a_damaged_shard_is_found_when_it_is_read_into_memory(folder: Path) -> None:
    data = bytearray((folder / "00003.shard").read_bytes())
    data[100] ^= 1
    (folder / "00003.shard").write_bytes(data)
    with pytest.raises(DataError, match="00003.shard is damaged: its SHA-256"):
        loading.InMemory.from_shards(folder)


def test_shards_that_memory_cant_hold_are_told_before_any_is_read(tmp_path: Path) -> None:
    loading.write_shards(tmp_path, np.zeros((1, 2**20), np.uint8))
    index = json.loads((tmp_path / "index.json").read_text("utf-8"))
    index["shards"] = [index["shards"][0] | {"file": f"{number:05}.shard", "count": 2**20, "bytes": 2**40} for number in range(1000)]
    (tmp_path / "index.json").write_text(json.dumps(index | {"count": 1000 * 2**20}), "utf-8")
    with pytest.raises(DataError, match="don't fit into memory. Use PreWarmed or LocalCache"):
        loading.InMemory.from_shards(tmp_path)
