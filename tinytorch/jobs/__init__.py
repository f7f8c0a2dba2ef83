"""Work on many items that survives any interruption: a journal says what is done, and the next run does the rest.

A `Job` has a folder and a configuration; `run` processes its `Item`s with a function of yours, here, in worker
processes, or on a Dask cluster.
"""
from __future__ import annotations

from tinytorch.jobs.job import Item, Job, Outcome, Progress, differences
from tinytorch.jobs.record import Record
from tinytorch.jobs.stopping import asked_to_stop
from tinytorch.jobs.workers import connect

__all__ = ["Item", "Job", "Outcome", "Progress", "Record", "asked_to_stop", "connect", "differences"]
