"""What is shown of a dataset is what is in it."""
from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.tinytorch.datasets.conftest import GOOD, RECORDS, packed, text_dataset
from tinytorch import datasets
from tinytorch.datasets import registry, sheet
from tinytorch.errors import ConfigError, DataError

DIGITS = registry.dataset("digits")


def test_facts_of_images():
    facts = sheet.facts(DIGITS)["splits"]["train"]
    assert facts["samples"] == 1797 and facts["classes"]["0"] == 178 and (facts["lowest"], facts["highest"], facts["mean"]) == (0, 16, 4.88)


def test_facts_of_a_text(own_registry, cache: Path):
    text = "To be,\nor not to be\n" + "\n" * 20
    own_registry(text_dataset(text.encode(), "file:///nowhere/text.txt"))
    (cache / "datasets" / "text").mkdir(parents=True)
    (cache / "datasets" / "text" / "text.txt").write_text(text, "utf-8", newline="\n")
    facts = sheet.facts(registry.dataset("text"))
    assert (facts["characters"], facts["words"], facts["lines"]) == (len(text), 6, 22) and facts["first_lines"][:2] == ["To be,", "or not to be"]


def test_examples_are_the_first_of_each_class_as_bright_as_can_be():
    shown = sheet.examples(DIGITS, 3)
    images, labels = datasets.load("digits")
    assert shown.shape == (10, 3, 8, 8, 3) and shown.max() == 255
    assert np.array_equal(shown[7, 2, :, :, 0], (images[np.flatnonzero(labels == 7)[2]] * (255 / 16)).astype(np.uint8))


def test_examples_in_colour_have_their_channels_last_and_their_own_brightness(archive):
    archive(packed(GOOD | {"d/1.bin": bytes([0]) + bytes(range(12)) + bytes([2]) + bytes([101]) * 12}))
    shown = sheet.examples(registry.dataset("rec"), 3)
    assert shown.shape == (3, 3, 2, 2, 3) and shown[0, 0, 0, 1].tolist() == [1, 5, 9]
    assert shown[2, 1].transpose(2, 0, 1).tobytes() == RECORDS[2, 1:].tobytes(), "the second of its class"
    assert not shown[1].any(), "there is none of that class"


@pytest.mark.parametrize("shape", [(2, 4, 4), (3, 4, 4, 1), (4,)], ids=str)
def test_images_of_another_kind_are_not_drawn(shape):
    with pytest.raises(ConfigError, match=r"digits can't be drawn: its shape is \("):
        sheet.examples(replace(DIGITS, shape=shape), 1)


def test_shrunk_images_are_means():
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1).repeat(3, axis=-1)
    assert sheet.shrunk(image, 2)[0, :, :, 0].tolist() == [[2, 4], [10, 12]]
    assert sheet.shrunk(image[:, :3], 2).shape == (1, 1, 2, 3)


def test_a_contact_sheet_has_a_row_for_each_class(tmp_path: Path):
    image = pytest.importorskip("PIL.Image")
    path = sheet.save_png(DIGITS, tmp_path / "a sheet \N{SNAKE}")
    assert path == tmp_path / "a sheet \N{SNAKE}.png"
    with image.open(path) as picture:
        left = picture.width - 10 * 50
        assert picture.height == 10 * 50
        tile = np.asarray(picture)[7 * 50 : 7 * 50 + 48 : 6, left + 2 * 50 : left + 2 * 50 + 48 : 6]
    assert np.array_equal(tile, sheet.examples(DIGITS, 3)[7, 2])


def test_captions_of_a_contact_sheet_have_room(tmp_path: Path):
    image = pytest.importorskip("PIL.Image")
    inked = []
    for name in ("0", "a name of many letters"):
        path = sheet.save_png(replace(DIGITS, classes=(name, *DIGITS.classes[1:])), tmp_path / "sheet.png")
        with image.open(path) as picture:
            left = picture.width - 10 * 50
            inked.append(np.flatnonzero((np.asarray(picture)[:48, :left] < 128).any(axis=(0, 2))))
            assert inked[-1][0] >= 4 and left - 12 <= inked[-1][-1] < left - 4
    assert len(inked[1]) > 5 * len(inked[0])


def test_a_png_that_can_not_be_written_is_told(tmp_path: Path):
    pytest.importorskip("PIL")
    with pytest.raises(DataError, match="sheet.png can't be written: No such file"):
        sheet.save_png(DIGITS, tmp_path / "nowhere" / "sheet.png")


def test_without_pillow_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigError, match=r"pip install 'tinytorch\[report\]'"):
        sheet.save_png(DIGITS, tmp_path / "sheet.png")
