"""Samples in blocks, which are shards or parts of them: which block has a sample, and a batch out of several."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinytorch.loading.order import full_order, window_order
from tinytorch.loading.shards import Rows

__all__ = ["Blocks", "checked_window"]


def checked_window(window: int | None, name: str) -> int | None:
    """The window, if it is one.

    Raises: ValueError, naming the strategy, if it is below 1.
    """
    if window is not None and window < 1:
        raise ValueError(f"{name}: window is the number of blocks whose samples are shuffled together, at least 1, got {window}")
    return window


class Blocks:
    """How many samples each block has."""

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts = np.asarray(counts, np.int64)
        self.ends = np.cumsum(self.counts)
        self.starts = self.ends - self.counts

    def order(self, shuffle: bool, window: int | None, rng: np.random.Generator) -> np.ndarray:
        """The order of an epoch: shuffled within `window` blocks, or, if that is None, all over."""
        if not shuffle or window is None:
            return full_order(int(self.counts.sum()), shuffle, rng)
        return window_order(self.counts, window, rng)

    def of(self, indices: np.ndarray) -> np.ndarray:
        """The block of each sample, as `indices` are shaped."""
        return self.ends.searchsorted(indices, "right")

    def gather(
        self, rows: Sequence[Rows], indices: np.ndarray, arrays: Callable[[int], tuple[np.ndarray, ...]]
    ) -> tuple[np.ndarray, ...]:
        """The samples of `indices`, in new arrays, one for each of `rows`; `arrays(block)` has those of a block."""
        blocks = self.of(indices)
        by_block = blocks.argsort(kind="stable")
        found, starts = np.unique(blocks[by_block], return_index=True)
        own = indices[by_block] - self.starts[blocks[by_block]]
        sorted_batch = [np.empty((len(indices), *part.shape), part.dtype) for part in rows]
        for block, start, end in zip(found.tolist(), starts.tolist(), [*starts[1:].tolist(), len(indices)], strict=True):
            for part, column in zip(sorted_batch, arrays(block), strict=True):
                # "clip" lets take write in place; no index needs it
                column.take(own[start:end], axis=0, out=part[start:end], mode="clip")
        places = np.empty_like(by_block)
        places[by_block] = np.arange(len(indices))
        return tuple([part.take(places, axis=0) for part in sorted_batch])
