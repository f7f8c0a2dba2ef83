"""The published files as arrays: right, kept, and never more than they should be, whatever an archive holds."""
from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.unit.tinytorch.datasets.conftest import GOOD, HEAD, RECORDS, entry, packed, put
from tinytorch import datasets
from tinytorch.datasets import arrays, cache, registry
from tinytorch.datasets.arrays import verify
from tinytorch.errors import ConfigError, DataError
from tinytorch.places import cache_folder

PIXELS = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)
LABELS = np.array([0, 2, 1, 0], np.uint8)


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def pair(own_registry, cache: Path):
    """`pair(images, labels)`: a dataset of two IDX files, downloaded."""

    def make(images: bytes | None = None, labels: bytes | None = None) -> Path:
        files = {"i.gz": gzip.compress(idx(PIXELS)) if images is None else images, "l.gz": gzip.compress(idx(LABELS)) if labels is None else labels}
        parts = {"i.gz": "images", "l.gz": "labels"}
        own_registry(HEAD.format(name="pair", reader="idx", shape=[2, 3]) + "samples = {test = 4}\n", *(entry("pair", files[name], name=name, split="test", part=part) for name, part in parts.items()))
        put(cache / "datasets" / "pair", files)
        return cache / "datasets" / "pair"

    return make


def test_idx_files_become_arrays(pair):
    pair()
    images, labels = datasets.load("pair", "test")
    assert images.dtype == np.uint8 and labels.dtype == np.int64
    assert np.array_equal(images, PIXELS) and labels.tolist() == LABELS.tolist()


def test_records_become_arrays(archive):
    archive(packed({"d/readme.html": b"hello", **GOOD}))
    train, test = datasets.load("rec"), datasets.load("rec", "test")
    assert train.labels.tolist() == [0, 1, 2, 2] and test.labels.tolist() == [1, 0]
    assert np.array_equal(train.images, RECORDS[:4, 1:].reshape(4, 3, 2, 2)) and np.array_equal(test.images, RECORDS[4:, 1:].reshape(2, 3, 2, 2))


def test_members_in_another_order_are_put_where_they_belong(archive):
    archive(packed(dict(reversed(GOOD.items()))))
    assert datasets.load("rec").labels.tolist() == [0, 1, 2, 2]


def test_the_second_load_reads_no_published_file(archive, monkeypatch: pytest.MonkeyPatch):
    folder = archive(packed(GOOD))
    first = datasets.load("rec")
    (folder / "r.tar.gz").unlink()
    second = datasets.load("rec")
    assert np.array_equal(first.images, second.images) and np.array_equal(first.labels, second.labels)
    assert type(second.images) is np.ndarray


def test_changing_arrays_changes_nobody_elses(archive):
    archive(packed(GOOD))
    for _ in range(3):  # read, then mapped twice
        images, labels = datasets.load("rec")
        assert images[0, 0, 0, 0] == RECORDS[0, 1] and labels[1] == 1
        images[:] = 77
        labels[:] = 77


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\x93NUMPY\x01\x00"], ids=["empty", "text", "header"])
def test_a_damaged_array_is_made_again(archive, damage: bytes):
    folder = archive(packed(GOOD))
    datasets.load("rec")
    (kept,) = folder.glob("train-images-*.npy")
    kept.write_bytes(damage)
    assert np.array_equal(datasets.load("rec").images, RECORDS[:4, 1:].reshape(4, 3, 2, 2))
    assert np.load(kept).shape == (4, 3, 2, 2)


def test_arrays_of_another_version_of_the_files_are_not_used(archive):
    archive(packed(GOOD))
    datasets.load("rec")
    archive(packed(GOOD | {"d/1.bin": RECORDS[4:].tobytes()}))
    assert datasets.load("rec").labels.tolist() == [1, 0, 2, 2]


def test_a_cache_that_can_not_be_written_to_is_no_reason_to_fail(archive, monkeypatch: pytest.MonkeyPatch):
    folder = archive(packed(GOOD))

    def full(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert datasets.load("rec").labels.tolist() == [0, 1, 2, 2]
    assert [path.name for path in folder.iterdir()] == ["r.tar.gz"]


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (idx(PIXELS), "can't be read: Not a gzipped file"),
        (gzip.compress(idx(PIXELS))[:-9], "can't be read: "),
        (gzip.compress(idx(PIXELS)[:-1]), "39 bytes, 40 were expected"),
        (gzip.compress(idx(PIXELS) + b"x"), "more than 40 bytes, 40 were expected"),
        (gzip.compress(idx(PIXELS.transpose(0, 2, 1))), r"its header is .*unsigned bytes of shape \(4, 2, 3\)"),
        (gzip.compress(idx(LABELS)), "its header is 00 00 08 01"),
        (gzip.compress(b""), "its header is , and"),
        (gzip.compress(bytes([0, 0, 13, 3]) + idx(PIXELS)[4:]), "its header is 00 00 0d 03"),
    ],
    ids=["not gzip", "cut off", "short", "long", "other shape", "other axes", "empty", "floats"],
)
def test_an_idx_file_that_lies_is_refused(pair, images: bytes, says: str):
    pair(images)
    with pytest.raises(DataError, match=rf"i\.gz.*{says}"):
        datasets.load("pair", "test")


def test_labels_beyond_the_classes_are_refused(pair):
    pair(labels=gzip.compress(idx(np.array([0, 3, 1, 0], np.uint8))))
    with pytest.raises(DataError, match="pair: labels from 0 to 3, and there are 3 classes"):
        datasets.load("pair", "test")


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"d/1.bin": GOOD["d/1.bin"]}, "d/2.bin is not in the archive"),
        (GOOD | {"d/1.bin": GOOD["d/1.bin"][:-1]}, r"d/1\.bin has 25 bytes, 26 were expected"),
        (GOOD | {"d/2.bin": GOOD["d/2.bin"] * 2}, r"d/2\.bin has 52 bytes, 26 were expected"),
        (GOOD | {"d/1.bin": special("d/1.bin", tarfile.SYMTYPE, "/etc/passwd")}, r"d/1\.bin is no plain file"),
        (GOOD | {"d/1.bin": special("d/1.bin", tarfile.LNKTYPE, "d/2.bin")}, r"d/1\.bin is no plain file"),
        (GOOD | {"d/1.bin": special("d/1.bin", tarfile.CHRTYPE)}, r"d/1\.bin is no plain file"),
        (GOOD | {"d/1.bin": special("d/1.bin", tarfile.DIRTYPE)}, r"d/1\.bin is no plain file"),
        ({"bomb": bytes(5 << 20)} | GOOD, "it unpacks to more than"),
        ({}, "is not in the archive"),
    ],
    ids=["missing", "short", "long", "link", "hard link", "device", "folder", "bomb", "empty"],
)
def test_an_archive_that_is_not_what_it_should_be_is_refused(archive, members, says: str):
    archive(packed(members))
    with pytest.raises(DataError, match=rf"r\.tar\.gz: .*{says}"):
        datasets.load("rec")


@pytest.mark.parametrize("data", [b"nonsense", gzip.compress(b"no archive" * 100), packed(GOOD)[:100]], ids=["not gzip", "no tar", "cut off"])
def test_a_broken_archive_is_refused(archive, data: bytes):
    archive(data)
    with pytest.raises(DataError, match=r"r\.tar\.gz"):
        datasets.load("rec")


def test_members_that_lead_elsewhere_write_nothing(archive, tmp_path: Path):
    folder = archive(packed({"../../escaped": b"x", "/absolute": b"x", "link": special("link", tarfile.SYMTYPE, "/")} | GOOD))
    before = {path for path in tmp_path.rglob("*") if "locks" not in path.parts}
    assert datasets.load("rec").labels.tolist() == [0, 1, 2, 2]
    assert {path.parent for path in {path for path in tmp_path.rglob("*") if "locks" not in path.parts} - before} == {folder}


def test_a_published_file_that_is_damaged_is_never_read(archive):
    folder = archive(packed(GOOD))
    data = (folder / "r.tar.gz").read_bytes()
    (folder / "r.tar.gz").write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
    with pytest.raises(DataError, match=r"r\.tar\.gz is damaged: its SHA256 is wrong\. Get it with: tito data download rec"):
        datasets.load("rec")


def test_a_split_that_there_is_not_is_told(pair):
    pair()
    with pytest.raises(ConfigError, match="pair has no split 'train'; there is 'test'"):
        datasets.load("pair")
    with pytest.raises(ValueError, match="digits has no split 'test'; there is 'train'"):
        datasets.load("digits", "test")


# --- verify, and what is in the folder -----------------------------------------------------------------------------


def states(name: str) -> dict[str, str]:
    return {file.path.name.partition("-")[0]: file.state for file in verify(registry.dataset(name))}


def test_verify_tells_whole_damaged_and_missing(archive):
    folder = archive(packed(GOOD))
    assert states("rec") == {"r.tar.gz": "whole"}
    datasets.load("rec", "test")
    assert states("rec") == {"r.tar.gz": "whole", "test": "whole"}
    (kept,) = folder.glob("test-labels-*.npy")
    kept.write_bytes(kept.read_bytes()[:-1] + b"\x01")
    assert states("rec")["test"] == "damaged"
    (folder / "r.tar.gz").write_bytes(b"x" * (folder / "r.tar.gz").stat().st_size)
    assert states("rec") == {"r.tar.gz": "damaged"}
    (folder / "r.tar.gz").unlink()
    assert states("rec") == {"r.tar.gz": "missing"}


def test_remove_takes_what_was_made_and_leaves_what_is_somebodys(archive):
    folder = archive(packed(GOOD))
    datasets.load("rec")
    put(folder, {"r.tar.gz.part": b"", "r.tar.gz.part.json": b"", "r.tar.gz.part.json.part": b"", "train-images-01234567.npy.part": b"", "mine.npy": b"", "notes.txt": b""})
    dataset = registry.dataset("rec")
    assert {path.name for path in cache.leftovers(dataset)} == {"r.tar.gz.part", "r.tar.gz.part.json", "r.tar.gz.part.json.part", "train-images-01234567.npy.part"}
    assert len(cache.remove(dataset)) == 7
    assert {path.name for path in folder.iterdir()} == {"mine.npy", "notes.txt"}


def test_remove_takes_the_folder_too_when_nothing_else_is_in_it(archive):
    folder = archive(packed(GOOD))
    cache.remove(registry.dataset("rec"))
    assert not folder.exists() and folder.parent.exists()


def test_nothing_of_a_download_that_goes_on_is_removed(archive):
    from tests.unit.tinytorch.test_files import held_elsewhere

    folder = archive(packed(GOOD))
    dataset = registry.dataset("rec")
    with cache.locked(dataset, "r.tar.gz", timeout=0):
        pass
    (lock,) = (cache_folder() / "locks").iterdir()
    with held_elsewhere(lock), pytest.raises(DataError, match="rec is being downloaded by another process; nothing of it was removed"):
        cache.remove(dataset)
    assert (folder / "r.tar.gz").exists()


def test_the_arrays_of_the_bundled_digits_are_not_kept():
    assert states("digits") == {"digits.npz": "whole"}
    assert cache.made(registry.dataset("digits")) == [] and arrays.Images._fields == ("images", "labels")


def test_the_cache_is_where_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert cache.folder(registry.dataset("mnist")) == tmp_path / "a cache \N{SNAKE}" / "datasets" / "mnist"
    monkeypatch.delenv("TINYTORCH_CACHE")
    assert cache_folder().name == "tinytorch" or "tinytorch" in cache_folder().parts
