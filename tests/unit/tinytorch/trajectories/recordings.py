"""Small trajectories for tests."""
from __future__ import annotations

import numpy as np

from tinytorch.trajectories import synthetic
from tinytorch.trajectories.config import CacheConfig

COLOURS = "tinytorch.trajectories.features:colour_means"


def straight(count=5, step=20.0, quaternion=True):
    """Poses along the x axis, `step` metres apart, and frames that are each of one colour."""
    zero, numbers = np.zeros(count), np.arange(count)
    columns = [numbers * 2, numbers * 0.1, numbers * step, zero, zero] + ([zero, zero, zero, zero + 1] if quaternion else [])
    frames = np.zeros((count, 6, 8, 3), np.uint8) + numbers.astype(np.uint8)[:, None, None, None]
    return np.column_stack(columns), frames


def record(folder, name, form="npz", **options):
    """Write a straight trajectory; returns its path."""
    return synthetic.write(folder / name, *straight(**options), form)


def config(folder, **options):
    """A cache of the trajectories in `folder/trajectories`, of mean colours."""
    facts = {"dataset": folder / "trajectories", "cache_dir": folder / "cache", "features": COLOURS} | options
    return CacheConfig(**facts)
