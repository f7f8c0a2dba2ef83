"""Chunks on the disk: written whole or not at all, and read one at a time."""
from __future__ import annotations

import json
import pickle
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tinytorch.trajectories.recordings import config, record, straight
from tinytorch import files
from tinytorch.errors import DataError
from tinytorch.trajectories import synthetic
from tinytorch.trajectories.cache import cache_trajectory, feature_chunks, open_cache
from tinytorch.trajectories.chunking import Limits, chunks, travelled
from tinytorch.trajectories.features import colour_means


def cached(folder, name="t", form="npz", **options):
    """A cache of one trajectory of five poses, 20 m apart."""
    settings = {key: options.pop(key) for key in ("limits", "feature_dtype", "frames_per_batch") if key in options}
    made = config(folder, **settings)
    cache_trajectory(record(folder / "trajectories", name, form, **options), name, made, colour_means)
    return made.cache_dir


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("form", synthetic.FORMS)
def test_a_chunk_has_features_poses_frames_and_distances(tmp_path, form):
    first, second = open_cache(cached(tmp_path, form=form))
    table, frames = straight()
    assert (first.trajectory, first.number, second.number) == ("t", 0, 1)
    assert np.array_equal(first.poses, table[:4]) and np.array_equal(second.poses, table[3:])
    assert second.frames.tolist() == [6, 8] and second.distances.tolist() == [60.0, 80.0]
    assert first.features.dtype == np.float16 and np.array_equal(first.features, colour_means(frames[:4]).astype(np.float16))


def test_the_type_of_the_features_is_chosen(tmp_path):
    assert open_cache(cached(tmp_path, feature_dtype="float32"))[0].features.dtype == np.float32


def test_a_trajectory_that_is_processed_again_has_no_chunk_of_before(tmp_path):
    cached(tmp_path, count=12)
    assert len(open_cache(tmp_path / "cache")) == 4
    cached(tmp_path, count=3)
    assert names(tmp_path / "cache") == ["chunks/t/0000.npz", "chunks/t/index.json"]


def test_a_trajectory_that_fails_has_no_chunk_of_before_either(tmp_path):
    cached(tmp_path)
    with pytest.raises(DataError, match=r"t.npz: insufficient movement: 0\.08 m in 5 poses"):
        cached(tmp_path, step=0.02)
    assert names(tmp_path / "cache") == []
    assert len(open_cache(tmp_path / "cache")) == 0


def test_what_a_kill_left_is_no_trajectory_and_goes(tmp_path):
    folder = cached(tmp_path)
    whole = folder / "chunks" / "t"
    whole.rename(whole.with_name(f".{files.sha256(b't')[:16]}"))
    assert len(open_cache(folder)) == 0
    cached(tmp_path)
    assert names(folder) == ["chunks/t/0000.npz", "chunks/t/0001.npz", "chunks/t/index.json"]


def test_the_same_trajectory_gives_the_same_bytes(tmp_path):
    one, other = cached(tmp_path / "one"), cached(tmp_path / "other")
    for name in names(one):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_lengths_are_known_without_reading_chunks_and_a_number_may_be_negative(tmp_path):
    folder = cached(tmp_path)
    cached(tmp_path, "another one \N{CAMERA}", count=3)
    cache = open_cache(folder)
    assert cache.lengths == [3, 4, 2] and len(cache) == 3
    assert [(c.trajectory, c.number) for c in cache] == [("another one \N{CAMERA}", 0), ("t", 0), ("t", 1)]
    assert cache[-1].trajectory == "t" and cache[-1].number == 1
    with pytest.raises(IndexError):
        cache[3]


def test_a_cache_is_what_a_dataset_of_pytorch_holds(tmp_path):
    from torch.utils.data import DataLoader

    cache = pickle.loads(pickle.dumps(open_cache(cached(tmp_path))))
    loader = DataLoader(cache, batch_size=None, num_workers=0)
    assert [chunk.features.shape for chunk in loader] == [(4, 48), (2, 48)]


def damage(data):
    return data[: len(data) // 2]


def flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("change", [damage, flip, lambda data: b""], ids=["cut", "bit", "empty"])
def test_a_damaged_chunk_is_named_with_what_to_do(tmp_path, change):
    folder = cached(tmp_path, count=40)
    file = folder / "chunks" / "t" / "0001.npz"
    file.write_bytes(change(file.read_bytes()))
    cache = open_cache(folder)
    assert cache.verify() == [file]
    with pytest.raises(DataError, match=r"0001\.npz: this chunk can't be read .*Delete the folder chunks/t and build"):
        cache[1]


@pytest.mark.parametrize("seed", range(3))
def test_a_bit_that_flips_in_a_chunk_is_told_or_harmless(tmp_path, seed):
    folder, rng = cached(tmp_path), np.random.default_rng(seed)
    file = folder / "chunks" / "t" / "0000.npz"
    data, cache = file.read_bytes(), open_cache(folder)
    for at in [data.find(b"PK\x01\x02") + 10, *rng.integers(len(data), size=200)]:  # the first: how the member is compressed
        file.write_bytes(data[:at] + bytes([data[at] ^ 1 << rng.integers(8)]) + data[at + 1 :])
        with suppress(DataError):
            assert cache[0].features.shape == (4, 48)


def test_a_file_among_the_chunks_is_no_trajectory(tmp_path):
    folder = cached(tmp_path)
    (folder / "chunks" / "Thumbs.db").write_bytes(b"what a file manager leaves")
    assert len(open_cache(folder)) == 2


def test_a_missing_chunk_is_found(tmp_path):
    folder = cached(tmp_path)
    (folder / "chunks" / "t" / "0000.npz").unlink()
    assert [path.name for path in open_cache(folder).verify()] == ["0000.npz"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"version": 2, "chunks": []}', '{"version": 1}', '{"version": 1, "chunks": 5}', '{"version": 1, "chunks": [{"file": "a"}]}', "[" * 100_000],
    ids=["empty", "cut", "list", "null", "version", "no chunks", "number", "other keys", "deep"],
)  # fmt: skip
def test_a_damaged_index_is_named(tmp_path, text):
    folder = cached(tmp_path)
    (folder / "chunks" / "t" / "index.json").write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"index\.json: this index can't be read"):
        open_cache(folder)


def test_a_folder_that_is_no_cache_is_told(tmp_path):
    with pytest.raises(DataError, match="there are no chunks .* tito data cache build"):
        open_cache(tmp_path)


def test_the_index_says_how_the_features_were_made(tmp_path):
    index = json.loads((cached(tmp_path) / "chunks" / "t" / "index.json").read_text("utf-8"))
    assert index["processing_config"] == config(tmp_path).processing
    assert [(c["frames"], c["distance_m"]) for c in index["chunks"]] == [(4, 60.0), (2, 20.0)]


# --- features of chunks -------------------------------------------------------------------------------------------


class Recorded:
    """Frames that note what was read."""

    def __init__(self, frames):
        self.frames, self.read_from = frames, []

    def __len__(self):
        return len(self.frames)

    def read(self, start, stop):
        self.read_from += range(start, stop)
        return self.frames[start:stop]


@given(st.lists(st.floats(0.0, 9.0), min_size=1, max_size=40), st.integers(1, 7))
def test_each_frame_is_read_once_and_stands_in_its_chunk(steps, batch):
    way = travelled(np.column_stack([np.cumsum([0.0, *steps]), np.zeros((len(steps) + 1, 2))]))
    found = chunks(way, Limits(max_chunk_distance_m=10.0, overlap_distance_m=3.0))
    frames = Recorded(np.arange(len(way), dtype=np.uint8).reshape(-1, 1, 1, 1))
    if not found:
        return
    made = list(feature_chunks(frames, found, lambda batch: batch.reshape(-1, 1), np.dtype("float32"), batch))
    assert [chunk for chunk, _ in made] == found
    assert all(vectors[:, 0].tolist() == list(range(chunk.start, chunk.stop)) for chunk, vectors in made)
    assert frames.read_from == list(range(found[-1].stop))


def test_features_that_change_their_length_are_refused():
    lengths = iter([2, 3])
    frames, found = Recorded(np.zeros((4, 2, 2, 3), np.uint8)), chunks(np.arange(4.0), Limits())
    with pytest.raises(DataError, match="vectors of 2 numbers, and then of 3"):
        list(feature_chunks(frames, found, lambda batch: np.zeros((len(batch), next(lengths))), np.dtype("float32"), 2))


def test_memory_is_that_of_a_batch_and_a_chunk(tmp_path):
    """A trajectory of 30 MB, in an archive that is compressed."""
    table, _ = straight(1000, step=0.5)
    (tmp_path / "trajectories").mkdir()
    path = tmp_path / "trajectories" / "long.npz"
    np.savez_compressed(path, poses=table, frames=np.zeros((1000, 100, 100, 3), np.uint8))
    made = config(tmp_path, frames_per_batch=10)
    tracemalloc.start()
    try:
        assert cache_trajectory(path, "long", made, colour_means) == 11
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
