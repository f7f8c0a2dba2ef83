"""A job of many items that is killed at random instants, and what must be true of it at each of them and in the end.

    python -m tests.jobs.killed --count 1000000 --kills 100

Every entry that was in the journal before a kill is there after it; no item is entered twice; in the end all are done.
Each item leaves its number in a file of its process before it is entered, so it can be told how many were processed again.
"""
from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tinytorch.jobs import Item, Job
from tinytorch.jobs.journal import Reader

_ENTRY = 58  # bytes of an item's entry, about
_START = 0.5  # seconds in which a run loads, and reads the journal of a small job
_PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class Found:
    """What came of it."""

    items: int
    kills: int
    again: int  # items that were processed more than once, at most one for each kill without workers
    seconds: float


def items(count: int) -> Iterator[Item]:
    for n in range(count):
        yield Item(f"item_{n:07}", f"{n:016x}", n)


class _Marks:
    """The work: notes the number of each item, at once, and returns 1."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __call__(self, item: Item) -> int:
        os.write(self.descriptor, b"%07d\n" % item.data)
        return 1


def entered(journal: Path) -> list[str]:
    """The ids of the items that a journal says are done, in order."""
    return [entry[1] for block in Reader(journal).blocks() for entry in block if entry[0] == "done"]


def _wait(process: subprocess.Popen[bytes], journal: Path, most: int, rng: random.Random) -> None:
    """Wait for a random instant of a run: of its first moments, or when the journal has grown by up to `most` bytes."""
    deadline = time.monotonic() + (rng.uniform(0, _START) if rng.random() < 0.2 else _PATIENCE)
    end = _size(journal) + rng.randrange(most)
    while process.poll() is None and time.monotonic() < deadline and _size(journal) <= end:
        time.sleep(0.0005)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def check(folder: Path, count: int, kills: int, rng: random.Random) -> Found:
    """Run a job in `folder`, kill it `kills` times, let it finish, and look.

    Raises: AssertionError if something is lost or entered twice.
    """
    began = time.monotonic()
    journal = folder / "job" / "journal.jsonl"
    command = [sys.executable, "-m", "tests.jobs.killed", "--run", str(folder), "--count", str(count)]
    killed, before = 0, b""
    while True:
        with subprocess.Popen(command) as process:
            if killed < kills:
                _wait(process, journal, 2 * count * _ENTRY // (kills + 1), rng)
                process.kill()
                killed += process.wait() < 0
        if process.returncode == 0:
            break
        assert process.returncode < 0, f"the run ended with {process.returncode}"
        after = journal.read_bytes() if journal.exists() else b""
        whole = before[: before.rfind(b"\n") + 1]
        assert after.startswith(whole), "an entry was lost"
        before = after
    ids = entered(journal)
    assert len(ids) == count == len(set(ids)), f"{len(ids)} entries of {len(set(ids))} items"
    record = Job(folder / "job").record()
    assert (len(record.done), record.failed, record.units) == (count, {}, count)
    marks = (folder / "marks").read_bytes().splitlines()
    assert {int(mark) for mark in marks} == set(range(count))
    return Found(count, killed, len(marks) - count, time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        options.run.mkdir(parents=True, exist_ok=True)
        Job(options.run / "job").run(items(options.count), _Marks(options.run / "marks"), total=options.count)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = check(Path(folder), options.count, options.kills, random.Random(options.seed))
    print(
        f"{found.items:,} items, killed {found.kills} times: each is done once in the journal, none is lost; "
        f"{found.again} were in hand at a kill and processed again ({found.seconds:.0f} s)"
    )


if __name__ == "__main__":
    main()
