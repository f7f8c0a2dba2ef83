"""Whether what is on this machine of a dataset is what it should be."""
from __future__ import annotations

from tinytorch.datasets import arrays, cache
from tinytorch.datasets.cache import Checked
from tinytorch.datasets.registry import Dataset

__all__ = ["verify"]


def verify(dataset: Dataset) -> list[Checked]:
    """Each file of the dataset, with its checksum compared, and each array that `load` has kept, compared with its file.

    Raises: DataError if a file can't be read.
    """
    found = [cache.checked(cache.folder(dataset) / file.name, file) for file in dataset.files]
    if all(file.state == "whole" for file in found):
        found += [Checked(path, "whole" if is_same else "damaged") for path, is_same in arrays.compared(dataset)]
    return found
