"""Work for jobs in tests: functions that worker processes can import, and the items for them."""
from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tinytorch.jobs import Item, Job


def items(count: int, *, folder: Path | None = None, version: str = "") -> list[Item]:
    """So many items, each with its number and a folder to leave something in."""
    return [Item(f"item_{n:07}", checksum(f"{n}{version}"), (n, folder)) for n in range(count)]


def checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def number(item: Item) -> int:
    n: int = item.data[0]
    return n


def note(item: Item) -> int:
    """Leave a line for each time that an item is processed."""
    n, folder = item.data
    with (folder / item.id).open("a") as file:
        file.write(f"{os.getpid()}\n")
    return int(n)


def fail_on_odd(item: Item) -> int:
    if number(item) % 2:
        raise ValueError(f"{item.id} is odd\nand that is that")
    return 1


def leave_on_three(item: Item) -> int:
    if number(item) == 3:
        sys.exit("enough")
    return number(item)


def die_on_three(item: Item) -> int:
    if number(item) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number(item)


def die_once_on_three(item: Item) -> int:
    """Kill the process that is at item 3, and let the second try succeed."""
    n, folder = item.data
    if n == 3 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return int(n)


def slow_first(item: Item) -> int:
    """Let the first item take until another one is recorded in the job's folder, or a minute."""
    n, folder = item.data
    journal = folder / "journal.jsonl"
    until = time.monotonic() + 60
    while n == 0 and '"done"' not in journal.read_text("utf-8") and time.monotonic() < until:
        time.sleep(0.01)
    return int(n)


def whole_disk(item: Item) -> int:
    if number(item) == 2:
        raise OSError(28, "No space left on device")
    return number(item)


def run_noting(folder: str, count: str, workers: str) -> None:
    """`python -m tests.jobs.chores FOLDER COUNT WORKERS`: a job for tests to kill."""
    seen = Path(folder) / "seen"
    seen.mkdir(parents=True, exist_ok=True)
    progress = Job(folder, config={"a": 1}).run(items(int(count), folder=seen), note, workers=int(workers))
    print(progress.stopped)


if __name__ == "__main__":
    arguments: Sequence[str] = sys.argv[1:]
    run_noting(*arguments)
