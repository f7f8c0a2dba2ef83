import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinytorch import datasets
from tinytorch.datasets.digits import load_digits
from tinytorch.errors import DataError


def test_digits_have_the_shapes_types_and_ranges_that_the_docstring_says():
    images, labels = datasets.load("digits")
    assert (images.shape, images.dtype, images.min(), images.max()) == ((1797, 8, 8), np.uint8, 0, 16)
    assert (labels.shape, labels.dtype, labels.min(), labels.max()) == ((1797,), np.int64, 0, 9)


def test_digits_have_the_class_counts_that_uci_publishes():
    """The table of optdigits.names: 178 zeros, 182 ones, and so on."""
    _, labels = datasets.load("digits")
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_have_not_changed_by_a_bit():
    images, labels = datasets.load("digits")
    content = hashlib.sha256(images.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    assert content == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


def test_load_gives_fresh_arrays_each_time():
    first = datasets.load("digits")
    first.images[:] = 0
    first.labels[:] = 0
    second = datasets.load("digits")
    assert second.images.any()
    assert second.labels.any()


@pytest.mark.parametrize("given", ["digit", "Digits", "digts"], ids=["singular", "capital", "letter missing"])
def test_load_suggests_the_nearest_name(given):
    with pytest.raises(ValueError, match=f"no dataset '{given}'.*Did you mean 'digits'\\?"):
        datasets.load(given)


def test_load_of_an_unrelated_name_lists_what_there_is():
    with pytest.raises(ValueError, match=r"no dataset 'imagenet'; there is 'cifar10', 'digits', .*'tinyshakespeare'\.$"):
        datasets.load("imagenet")


def test_names_are_those_of_the_registry():
    assert datasets.names() == ["cifar10", "digits", "fashion-mnist", "mnist", "tinyshakespeare"]
    assert type(datasets.load("digits")).__name__ == "Digits"


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "flipped", "text", "other arrays"])
def test_damaged_digits_are_an_error_that_says_what_to_do(tmp_path, damage):
    file = tmp_path / "digits.npz"
    good = (Path(datasets.__file__).parent / "bundled" / "digits.npz").read_bytes()
    if damage == "other arrays":
        np.savez(file, pixels=np.zeros(3))
    elif damage != "missing":
        half = len(good) // 2
        flipped = good[:half] + bytes([good[half] ^ 0xFF]) + good[half + 1 :]
        damaged = {"empty": b"", "truncated": good[:half], "flipped": flipped, "text": b"not an archive"}
        file.write_bytes(damaged[damage])
    with pytest.raises(DataError, match=r"digits\.npz: the bundled digits can't be read .*pip install"):
        load_digits(file)


def test_the_licence_lies_beside_the_data_and_attributes_it():
    notice = (Path(datasets.__file__).parent / "bundled" / "digits.LICENSE.txt").read_text("utf-8")
    for part in ("Alpaydin", "Kaynak", "UCI", "https://doi.org/10.24432/C50P49", "CC BY 4.0", "Changes:"):
        assert part in notice
    assert "https://creativecommons.org/licenses/by/4.0/" in notice


def test_importing_datasets_loads_nothing_that_downloads_or_unpacks():
    heavy = {"requests", "urllib3", "tenacity", "filelock", "platformdirs", "tarfile", "PIL"}
    code = f"import sys; from tinytorch import datasets; datasets.load('digits'); print(sorted({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_importing_datasets_reads_no_data():
    code = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(args[0]) if event == 'open' else None)\n"
        "from tinytorch import datasets; print(any(str(name).endswith('.npz') for name in opened))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
