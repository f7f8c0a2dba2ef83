"""What warming brings: an epoch from mapped shards that are not in memory, and from warmed ones.

`python -m tests.benchmarks.warming FOLDER --megabytes 512` writes shards below FOLDER, which says which disk is
measured, and prints the median of several rounds. The system is told to forget the shards before each round
(`posix_fadvise`, which needs no rights, and which only Linux and some BSDs have).
"""
from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import numpy as np

from tinytorch import loading
from tinytorch.measure import duration, memory

IMAGE = (3, 32, 32)
BATCH = 128


def forget(folder: Path) -> None:
    """Let the system drop a folder's files from memory; they were flushed when they were written."""
    for path in folder.glob("*.shard"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def seconds(loader: Iterable[object]) -> float:
    began = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - began


def first_batch(loader: loading.Loader) -> float:
    began = time.perf_counter()
    batches = iter(loader)
    next(batches)
    taken = time.perf_counter() - began
    batches.close()  # type: ignore[attr-defined]
    return taken


def one_round(folder: Path) -> dict[str, float]:
    """Seconds of each thing, without checksums on either side: these would read a cold shard from beginning to end too."""
    found = {}
    options = {"batch_size": BATCH, "shuffle": True, "seed": 0, "verify": False}
    forget(folder)
    with loading.PreWarmed(folder, warm=False, **options) as cold:
        found["epoch, cold"] = seconds(cold)
    forget(folder)
    began = time.perf_counter()
    with loading.PreWarmed(folder, **options) as warmed:
        warmed.wait()
        found["warming"] = time.perf_counter() - began
        found["epoch, warmed"] = seconds(warmed)
    forget(folder)
    with loading.PreWarmed(folder, warm=False, **options) as cold:
        found["first batch, cold"] = first_batch(cold)
    with loading.PreWarmed(folder, **options) as warmed:
        warmed.wait()
        found["first batch, warmed"] = first_batch(warmed)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.warming", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not hasattr(os, "posix_fadvise"):
        sys.exit("This system can't be told to forget files (posix_fadvise), so there is no cold start to measure.")
    count = options.megabytes * 10**6 // 3072
    images = np.random.default_rng(0).integers(0, 256, (count, *IMAGE), dtype=np.uint8)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        loading.write_shards(folder, images, np.zeros(count, np.int64))
        del images
        rounds = [one_round(folder) for _ in range(options.rounds)]
    middle = {what: median(found[what] for found in rounds) for what in rounds[0]}
    for what, taken in middle.items():
        print(f"{what:20} {duration(taken):>8}")
    print(f"{memory(count * 3072)} of images; an epoch is {middle['epoch, cold'] / middle['epoch, warmed']:.1f} times as fast when warmed")


if __name__ == "__main__":
    main()
