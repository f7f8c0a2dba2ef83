"""The order of an epoch: of all samples at once, or of blocks of them and then within a window.

An order is drawn when an epoch begins. It depends on the generator and on nothing else: not on threads, on what was
loaded ahead, or on what a cache holds.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["full_order", "window_order"]


def full_order(count: int, shuffle: bool, rng: np.random.Generator) -> np.ndarray:
    """The numbers 0 to count - 1, (count,): `rng.permutation(count)`, or in order, and then nothing is drawn."""
    return rng.permutation(count) if shuffle else np.arange(count)


def window_order(counts: Sequence[int] | np.ndarray, window: int, rng: np.random.Generator) -> np.ndarray:
    """The numbers of all samples, (sum of counts,), of blocks with `counts` samples each.

    The blocks are shuffled; then the samples of the first `window` of them among each other, of the next `window`, and
    so on. So at most 2 * `window` blocks are in use at a time (at the seam of two windows), and each is read once.

    >>> window_order([2, 2, 2], 1, np.random.default_rng(0)).tolist()
    [5, 4, 0, 1, 2, 3]
    """
    ends = np.cumsum(counts)
    blocks = rng.permutation(len(counts))
    order = np.empty(int(ends[-1]) if len(ends) else 0, np.int64)
    at = 0
    for first in range(0, len(blocks), window):
        samples = np.concatenate([np.arange(ends[b] - counts[b], ends[b]) for b in blocks[first : first + window]])
        order[at : at + len(samples)] = rng.permutation(samples)
        at += len(samples)
    return order
