"""What is in a dataset, to look at: counts and ranges, and a contact sheet of its images by class."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinytorch import datasets
from tinytorch.datasets.registry import Dataset
from tinytorch.errors import ConfigError, DataError

__all__ = ["examples", "facts", "save_png", "shrunk"]

_FIRST_LINES = 8
_ENLARGED = 48  # pixels that an image has at least in a PNG
_LETTERS = 14  # pixels that a caption's are high
_GAP = 8  # pixels around a caption


def facts(dataset: Dataset) -> dict[str, Any]:
    """What a dataset has, as plain data: of each split the samples, classes and range; of a text its length and beginning."""
    if dataset.reader == "text":
        text = datasets.load(dataset.name).text  # type: ignore[union-attr]
        lines = text.splitlines()
        return {
            "characters": len(text), "different_characters": len(set(text)), "words": len(text.split()), "lines": len(lines),
            "first_lines": lines[:_FIRST_LINES],
        }  # fmt: skip
    return {"shape": list(dataset.shape), "splits": {split: _split_facts(dataset, split) for split in dataset.splits}}


def _split_facts(dataset: Dataset, split: str) -> dict[str, Any]:
    images, labels = _images(dataset, split)
    counts = np.bincount(labels, minlength=len(dataset.classes)).tolist()
    values = {"lowest": int(images.min()), "highest": int(images.max()), "mean": round(float(images.mean()), 2)}
    return {"samples": len(labels), "classes": dict(zip(dataset.classes, counts, strict=True)), **values}


def examples(dataset: Dataset, count: int) -> np.ndarray:
    """The first `count` images of each class: (classes, count, height, width, 3) uint8, as they are seen.

    Raises: ConfigError for a text, or images of another kind than (height, width) and (1 or 3, height, width).
    """
    if len(dataset.shape) not in (2, 3) or (len(dataset.shape) == 3 and dataset.shape[0] not in (1, 3)):
        raise ConfigError(f"{dataset.name} can't be drawn: its shape is {dataset.shape}, and images are (height, width) or (1 or 3, height, width)")
    images, labels = _images(dataset, dataset.splits[0])
    height, width = dataset.shape[-2:]
    images = images.reshape(len(images), -1, height, width).transpose(0, 2, 3, 1)  # one channel or three, last
    sheet = np.zeros((len(dataset.classes), count, height, width, 3), np.uint8)
    brightest = max(int(images.max()), 1)
    for number in range(len(dataset.classes)):
        found = images[np.flatnonzero(labels == number)[:count]]
        sheet[number, : len(found)] = found if brightest > 100 else found.astype(np.float64) * 255 / brightest
    return sheet


def _images(dataset: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = datasets.load(dataset.name, split)  # type: ignore[misc]
    return images, labels


def shrunk(images: np.ndarray, factor: int) -> np.ndarray:
    """Images (..., height, width, 3) of which each `factor` x `factor` pixels became one, their mean."""
    *rest, height, width, channels = images.shape
    height, width = height // factor, width // factor
    blocks = images[..., : height * factor, : width * factor, :].reshape(*rest, height, factor, width, factor, channels)
    return blocks.mean(axis=(-4, -2)).round().astype(np.uint8)


def save_png(dataset: Dataset, path: Path, *, columns: int = 10) -> Path:
    """Write a contact sheet, a row of images for each class, and return its path, which ends in `.png`.

    Raises: ConfigError without Pillow; DataError if the file can't be written.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise ConfigError("a PNG needs Pillow: pip install 'tinytorch[report]'") from error
    sheet = examples(dataset, columns)
    size = -(-_ENLARGED // sheet.shape[3])
    height, width = sheet.shape[2] * size + 2, sheet.shape[3] * size + 2
    font = ImageFont.load_default(_LETTERS)
    left = int(max(map(font.getlength, dataset.classes))) + 2 * _GAP
    picture = Image.new("RGB", (left + columns * width, len(sheet) * height), "white")
    draw = ImageDraw.Draw(picture)
    for row, (name, images) in enumerate(zip(dataset.classes, sheet, strict=True)):
        draw.text((_GAP, row * height + height // 2), name, fill="black", font=font, anchor="lm")
        for column, image in enumerate(images):
            tile = Image.fromarray(image).resize((width - 2, height - 2), Image.Resampling.NEAREST)
            picture.paste(tile, (left + column * width, row * height))
    path = path if path.suffix.lower() == ".png" else path.with_name(f"{path.name}.png")
    try:
        picture.save(path, format="PNG")
    except OSError as error:
        raise DataError(f"{path} can't be written: {error.strerror or error}") from error
    return path
