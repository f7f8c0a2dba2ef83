"""Batches for training, from memory, a disk, or elsewhere, through one interface.

`InMemory`, `PreWarmed`, `LocalCache` and `DirectS3` are loaders that a Trainer takes; `write_shards` writes the format
that the last three read; `recommend` says which one suits the data and the machine, and why.
"""
from __future__ import annotations

from tinytorch.loading.advice import Advice, Facts, recommend
from tinytorch.loading.loader import Loader
from tinytorch.loading.mapped import PreWarmed
from tinytorch.loading.memory import InMemory
from tinytorch.loading.shards import write_shards
from tinytorch.loading.streamed import DirectS3, LocalCache

__all__ = ["Advice", "DirectS3", "Facts", "InMemory", "Loader", "LocalCache", "PreWarmed", "recommend", "write_shards"]
