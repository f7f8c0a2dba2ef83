"""The one process-wide random generator, behind `manual_seed`.

Everything in the course that draws numbers takes an optional `rng` (a `numpy.random.Generator`) and falls back to
`generator()`. No module keeps a generator of its own, so one seed fixes a whole run.
"""
from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["generator", "get_state", "manual_seed", "set_state"]

_generator = np.random.default_rng()


def manual_seed(seed: int) -> None:
    """Start the process-wide generator anew; two runs with one seed draw the same numbers on one machine.

    Raises: ValueError if `seed` is negative.

    >>> manual_seed(0); first = generator().random()
    >>> manual_seed(0); generator().random() == first
    True
    """
    if seed < 0:
        raise ValueError(f"manual_seed: a seed is 0 or more, got {seed}")
    _generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state


def generator() -> np.random.Generator:
    """The process-wide generator itself: drawing from it advances it for everybody."""
    return _generator


def get_state() -> dict[str, Any]:
    """Where the generator stands, as plain data, for a checkpoint."""
    return dict(_generator.bit_generator.state)


def set_state(state: dict[str, Any]) -> None:
    """Put the generator back to where `get_state` found it."""
    _generator.bit_generator.state = state
