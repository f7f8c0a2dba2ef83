"""The course's registry is right, and a fault in an instructor's is told with its line."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.tinytorch.datasets.conftest import entry, text_dataset
from tinytorch import files
from tinytorch.datasets import cache, registry
from tinytorch.errors import ConfigError

SHA = "0" * 64


def test_the_course_has_its_datasets():
    assert list(registry.datasets()) == ["digits", "mnist", "fashion-mnist", "cifar10", "tinyshakespeare"]


def test_facts_of_the_official_files():
    """From the publishers and TensorFlow Datasets' checksums; a digit that changes here is a mistake."""
    facts = {
        (d.name, f.name): (f.size, f.checksum[:8]) for d in registry.datasets().values() for f in d.files
    }  # fmt: skip
    assert facts == {
        ("digits", "digits.npz"): (45_394, "b2dab7b5"),
        ("mnist", "train-images-idx3-ubyte.gz"): (9_912_422, "440fcabf"),
        ("mnist", "train-labels-idx1-ubyte.gz"): (28_881, "3552534a"),
        ("mnist", "t10k-images-idx3-ubyte.gz"): (1_648_877, "8d422c7b"),
        ("mnist", "t10k-labels-idx1-ubyte.gz"): (4_542, "f7ae60f9"),
        ("fashion-mnist", "train-images-idx3-ubyte.gz"): (26_421_880, "3aede38d"),
        ("fashion-mnist", "train-labels-idx1-ubyte.gz"): (29_515, "a04f1713"),
        ("fashion-mnist", "t10k-images-idx3-ubyte.gz"): (4_422_102, "346e55b9"),
        ("fashion-mnist", "t10k-labels-idx1-ubyte.gz"): (5_148, "67da17c7"),
        ("cifar10", "cifar-10-binary.tar.gz"): (170_052_171, "c4a38c50"),
        ("tinyshakespeare", "tinyshakespeare.txt"): (1_115_394, "86c4e6aa"),
    }


def test_the_bundled_file_is_the_one_in_the_registry():
    (file,) = registry.dataset("digits").files
    path = cache.folder(registry.dataset("digits")) / file.name
    assert (path.stat().st_size, files.sha256(path.read_bytes())) == (file.size, file.checksum)


def test_addresses_are_folders_and_whole_ones():
    mnist, text = registry.dataset("mnist"), registry.dataset("tinyshakespeare")
    assert mnist.addresses(mnist.files[3])[0] == "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz"
    assert text.addresses(text.files[0])[0].endswith("/input.txt")


def test_a_file_of_ones_own_adds_datasets(own_registry):
    own_registry("\N{BYTE ORDER MARK}" + text_dataset(b"abc", "https://example.org/", name="poems"))
    assert list(registry.datasets())[-1] == "poems" and registry.dataset("poems").size == 3


def test_an_md5_may_stand_without_a_size(own_registry):
    own_registry(text_dataset(b"abc", "https://example.org/", sha256=None, size=None, md5="900150983cd24fb0d6963f7d28e17f72"))
    (file,) = registry.dataset("text").files
    assert (file.algorithm, file.size, registry.dataset("text").size) == ("md5", None, None)


GOOD = text_dataset(b"abc", "https://example.org/")
IDX = """[idx]
title = "t"
reader = "idx"
licence = "l"
citation = "c"
shape = [2, 2]
classes = ["a", "b"]
samples = { train = 3 }
mirrors = ["https://example.org/"]
""" + entry("idx", b"1", name="i.gz", split="train", part="images") + entry("idx", b"2", name="l.gz", split="train", part="labels")
RECORDS = """[rec]
title = "t"
reader = "records"
licence = "l"
citation = "c"
shape = [1]
classes = ["a"]
samples = { train = 3 }
members = { train = ["x.bin"] }
mirrors = ["https://example.org/"]
""" + entry("rec", b"1", name="r.tar.gz")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a = 1\nb = !\n", 0, r"can't be read: .*line 2"),
        ("a = " + "[" * 100_000, 0, "can't be read: it is nested too deeply"),
        ("text = 1", 1, "a dataset is a table"),
        (GOOD.replace("[text]", "[Text]").replace("[[text.", "[[Text."), 1, "small letters, digits and hyphens"),
        (GOOD.replace("title", "titel"), 2, "there is no key 'titel'. Did you mean title"),
        (GOOD.replace('title = "A text"\n', ""), 1, "title is missing"),
        (GOOD.replace('"A text"', "3"), 2, "title must be a text, found 3"),
        (GOOD.replace('reader = "text"', 'reader = "pickle"'), 3, "reader 'pickle' is none of bundled, idx, records, text"),
        (GOOD.replace("https://", "s3://"), 6, "must begin with https://, http:// or file://"),
        (GOOD.replace("['https://example.org/']", "[]"), 6, "mirrors must name at least one place"),
        (GOOD.replace("'text.txt'", "'../text.txt'"), 10, "'../text.txt' can't be a file's name"),
        (GOOD.replace("'text.txt'", "'text.part'"), 10, "can't be a file's name"),
        (GOOD.replace("sha256 = '", "sha256 = 'X"), 9, "sha256 must be 64 hexadecimal digits"),
        (GOOD.replace("sha256 = ", f"md5 = '{SHA[:32]}'\nsha256 = "), 9, "one checksum"),
        (GOOD.replace("size = 3\n", ""), 7, "needs its size in bytes"),
        (GOOD.replace("size = 3", "size = -3"), 8, "needs its size in bytes"),
        (GOOD.replace("size = 3", "split = 'train'\nsize = 3"), 8, "only files of reader idx have a split"),
        (GOOD + entry("text", b"x", name="two.txt"), 7, "reader text reads one file, and there are 2"),
        (GOOD + entry("text", b"x", name="text.txt"), 7, "two files are called text.txt"),
        (GOOD + entry("text", b"x", nam="two.txt"), 14, "there is no key 'nam'. Did you mean name"),
        (IDX.replace("shape = [2, 2]", "shape = [2, 0]"), 6, "shape must be a list of numbers from 1 on"),
        (IDX.replace("train = 3", "train = true"), 8, "samples must say how many"),
        (IDX.replace("train = 3", "test = 3"), 8, "each split of samples"),
        (IDX.replace("part = 'labels'", "part = 'label'"), 21, 'a part, "images" or "labels"'),
        (IDX.replace("example.org/", "example.org/x"), 9, "must end with a slash"),
        (RECORDS.replace("members = { train", "members = { test"), 9, "the same splits"),
        (RECORDS.replace('["x.bin"]', '["x.bin", "y.bin"]'), 9, "of equal size: 3 samples in 2 members"),
        (RECORDS.replace('members = { train = ["x.bin"] }\n', ""), 1, "members must name the files in the archive"),
        (RECORDS.replace('members = { train = ["x.bin"] }\n', "").replace("[[rec", "[rec.members]\ntrain = []\n[[rec"), 10, "members must name"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_file_line_and_what_was_meant(own_registry, text: str, line: int, says: str):
    path = own_registry(text)
    with pytest.raises(ConfigError, match=says) as raised:
        registry.datasets()
    assert re.match(re.escape(f"{path}:{line}: " if line else f"{path}: "), str(raised.value)), raised.value


@pytest.mark.parametrize("good", [GOOD, IDX, RECORDS], ids=["text", "idx", "records"])
def test_the_examples_of_this_file_are_good(own_registry, good: str):
    own_registry(good)
    assert len(registry.datasets()) == 6


def test_a_name_of_the_courses_is_taken(own_registry):
    own_registry(text_dataset(b"", "https://example.org/", name="mnist", size=1))
    with pytest.raises(ConfigError, match="there is a dataset 'mnist' already"):
        registry.datasets()


def test_only_the_package_bundles(own_registry):
    own_registry(RECORDS.replace('"records"', '"bundled"').replace('members = { train = ["x.bin"] }\n', ""))
    with pytest.raises(ConfigError, match="rec: reader bundled is for what comes with the package"):
        registry.datasets()


def test_a_registry_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TINYTORCH_DATASETS", str(tmp_path / "nowhere.toml"))
    with pytest.raises(ConfigError, match=r"nowhere\.toml: the registry of datasets can't be read: No such file"):
        registry.dataset("mnist")


def test_a_wrong_name_gets_the_nearest():
    with pytest.raises(registry.UnknownDataset, match=r"there is no dataset 'imagenet'; there is 'cifar10', 'digits', .*'tinyshakespeare'\.$"):
        registry.dataset("imagenet")
    with pytest.raises(registry.UnknownDataset, match=r"Did you mean 'cifar10'\?"):
        registry.dataset("CIFAR-10")
