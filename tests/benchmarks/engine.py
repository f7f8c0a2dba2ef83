"""What the resumable engine costs: `python -m tests.benchmarks.engine FOLDER` prints seconds, as JSON; twice, it resumes.

Items that are processed by doing nothing, so that only the engine is timed, with its journal on the disk.
"""
from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from statistics import median

from tests.benchmarks.pairs import Ratio
from tinytorch.jobs import Item, Job

COUNT = 1_000_000
_PART = 100_000  # items at the beginning and the end whose times are compared
_RUNS = 3
ITEM_SECONDS = 25e-6
RESUME_SECONDS = 2.0


def items() -> Iterator[Item]:
    for n in range(COUNT):
        yield Item(f"traj_{n:07}", f"{n:016x}", n)


def work(item: Item) -> int:
    return 1


def timed(folder: Path) -> dict[str, float]:
    """Seconds for an item, for one of the first and one of the last; or for the whole run, if all were done before it."""
    marks = [time.perf_counter()]
    for number, _ in enumerate(Job(folder).outcomes(items(), work, total=COUNT), start=1):
        if number % _PART == 0:
            marks.append(time.perf_counter())
    whole = time.perf_counter() - marks[0]
    if len(marks) == 1:
        return {"resume": whole}
    return {"item": whole / COUNT, "first": (marks[1] - marks[0]) / _PART, "last": (marks[-1] - marks[-2]) / _PART}


@cache  # three rows are of the same runs
def _measured() -> list[dict[str, float]]:
    found = []
    for _ in range(_RUNS):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "tests.benchmarks.engine", folder]
            run, again = (json.loads(subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout) for _ in range(2))
        found.append(run | again)
    return found


def _ratio(seconds: Callable[[dict[str, float]], float], base: Callable[[dict[str, float]], float]) -> Ratio:
    found = _measured()
    ratios = sorted(seconds(one) / base(one) for one in found)
    return Ratio(median(ratios), ratios[0], ratios[-1], median(map(seconds, found)), median(map(base, found)), _RUNS)


def cost_of_an_item() -> Ratio:
    return _ratio(lambda found: found["item"], lambda found: ITEM_SECONDS)


def growth() -> Ratio:
    return _ratio(lambda found: found["last"], lambda found: found["first"])


def resume() -> Ratio:
    return _ratio(lambda found: found["resume"], lambda found: RESUME_SECONDS)


if __name__ == "__main__":
    print(json.dumps(timed(Path(sys.argv[1]))))
