"""One file from one place to another: in parts, several at a time, each recorded when it has arrived."""
from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytorch.errors import TransferError
from tinytorch.files import sha256
from tinytorch.jobs.journal import Reader, Writer
from tinytorch.jobs.stopping import Stop
from tinytorch.retry import RetryPolicy
from tinytorch.transfer.listing import Arrival, Digest, Store, digest_of, spans
from tinytorch.transfer.planning import Step

__all__ = ["Counter", "Mover", "Progress", "Stopped", "Throttle"]

_LOOK = 0.1  # seconds between two looks at whether to stop
_CHECKS = 2  # parts that are compared on their own at a time, while others are sent
_TINY = 1 << 20  # bytes of a file up to which it is no matter how many are under way


class Stopped(TransferError):
    """The transfer was asked to stop in the middle of a file, which is gone on with by the next run."""

    retryable = False


class _Unproved(TransferError):
    """What was read isn't what the source says that it has."""

    retryable = False


@dataclass(frozen=True)
class Progress:
    """How far a transfer is."""

    arrived: int  # bytes of this and earlier runs
    nbytes: int  # all that are to be sent
    files: int  # finished in this run
    total: int  # files
    remaining: float | None  # seconds; None while nothing is known
    text: str = ""  # what went wrong, and is tried again


class Counter:
    """Adds up what has arrived, and tells of it."""

    def __init__(self, nbytes: int, total: int, report: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.nbytes, self.total, self.report, self.clock = nbytes, total, report, clock
        self.lock = threading.Lock()
        self.began = clock()
        self.sent = self.before = self.files = 0

    def add(self, sent: int = 0, before: int = 0, files: int = 0, text: str = "") -> None:
        with self.lock:
            self.sent, self.before, self.files = self.sent + sent, self.before + before, self.files + files
            left = max(0, self.nbytes - self.sent - self.before)
            elapsed = self.clock() - self.began
            remaining = left * elapsed / self.sent if self.sent else None
            with suppress(BrokenPipeError):  # whoever was told has gone, and the files are to arrive all the same
                self.report(Progress(self.sent + self.before, self.nbytes, self.files, self.total, remaining, text))


class Throttle:
    """Keeps all threads together below a rate, on average."""

    def __init__(self, rate: float | None, stop: Stop, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        self.rate, self.stop, self.clock, self.sleep = rate, stop, clock, sleep
        self.lock = threading.Lock()
        self.free_at = clock()

    def take(self, count: int) -> None:
        """Wait until so many bytes more may have been sent."""
        if self.rate is None:
            return
        with self.lock:
            self.free_at = max(self.free_at, self.clock()) + count / self.rate
            until = self.free_at
        while (left := until - self.clock()) > 0:
            if self.stop:
                raise Stopped("stopped")
            self.sleep(min(left, _LOOK))


class _Parts:
    """Which parts of a file have arrived, in a journal of its own, so that a kill costs those that are under way."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self.identity = identity
        self.state: dict[str, Any] | None = None  # of what has arrived
        self.old: dict[str, Any] | None = None  # of what has arrived of another version
        self.digests: dict[int, Digest] = {}
        self.lock = threading.Lock()
        self.writer: Writer | None = None
        reader = Reader(path)
        for block in reader.blocks():
            for entry in block:
                if entry[0] == "file":
                    self.state, self.old, self.digests = (entry[2], None, {}) if entry[1] == identity else (None, entry[2], {})
                elif entry[0] == "part":
                    self.digests[entry[1]] = Digest(entry[2], entry[3])
        if self.state is None:
            self.digests = {}
        self.whole = reader.whole

    def begin(self, state: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.writer = Writer(self.path, whole=self.whole)
        if state != self.state:
            self.digests = {}
            self.writer.append(["file", self.identity, state])

    def note(self, number: int, digest: Digest) -> None:
        with self.lock:
            self.digests[number] = digest
            if self.writer:
                self.writer.append(["part", number, digest.sha256, digest.md5])

    def forget(self, state: dict[str, Any]) -> None:
        """Let none of the parts be used again."""
        self.digests = {}
        if self.writer:
            self.writer.append(["file", self.identity, state])

    def close(self, *, is_done: bool) -> None:
        if self.writer:
            self.writer.close()
        if is_done:
            self.path.unlink(missing_ok=True)


class Mover:
    """Moves files. `jobs` parts, or files of one part, are under way at a time, and one tiny file for each thread that calls."""

    def __init__(
        self, source: Store, target: Store, folder: Path, *, jobs: int, stop: Stop, throttle: Throttle, counter: Counter, policy: RetryPolicy, md5: bool
    ) -> None:
        self.source, self.target, self.folder = source, target, folder
        self.jobs, self.stop, self.throttle, self.counter, self.policy, self.md5 = jobs, stop, throttle, counter, policy, md5
        self.pool = ThreadPoolExecutor(jobs, thread_name_prefix="tinytorch-part")
        self.checks = ThreadPoolExecutor(_CHECKS, thread_name_prefix="tinytorch-check")

    def close(self) -> None:
        for pool in (self.pool, self.checks):
            pool.shutdown(cancel_futures=True)

    def move(self, step: Step) -> str:
        """Send a file. Returns the SHA-256 of its content, or that of its parts' where it had several.

        Raises: TransferError; Stopped. What has arrived stays for the next run.
        """
        part_bytes = self.source.part_bytes(step.name, step.found)
        pieces = spans(step.found.size, part_bytes)
        with self._recorded(step, part_bytes, pieces) as parts:
            if parts.old is not None:
                self.target.discard(step.target, parts.old)
            if len(pieces) > 1:
                digest = self._in_parts(step, part_bytes, pieces, parts)
            elif step.found.size > _TINY:
                digest = self.pool.submit(self._whole, step, part_bytes).result()
            else:
                digest = self._whole(step, part_bytes)
        self.counter.add(files=1)
        return digest

    def _whole(self, step: Step, part_bytes: int) -> str:
        """Send a file of one part, which is begun anew whenever something interrupts it."""
        state: dict[str, Any] = {}

        def once() -> Digest:
            self._may_take(step.found.size)
            arrival = self.target.begin(step.target, step.found, part_bytes, None)
            state.update(arrival.state)
            for _ in range(2):
                data = self.source.read(step.name, 0, step.found.size, step.found)
                digest = digest_of(data, md5=self.md5)
                is_there = arrival.write(0, 0, data, digest)
                if is_there or (is_there is None and not arrival.wrong({0: digest})):
                    self._finish(step, arrival, {0: digest})
                    return digest
            raise self._not_arrived(step, 1, 1)

        try:
            digest = self.policy.call(once, report=self._tell)
        except BaseException:
            with suppress(TransferError):  # there is nothing to go on with
                self.target.discard(step.target, state)
            raise
        self.counter.add(sent=step.found.size)
        return digest.sha256

    def _in_parts(self, step: Step, part_bytes: int, pieces: list[tuple[int, int]], parts: _Parts) -> str:
        """Send what isn't there yet of a file of several parts."""
        found = self.source.detailed(step.name, step.found)
        arrival = self.policy.call(lambda: self.target.begin(step.target, found, part_bytes, parts.state))
        parts.begin(arrival.state)
        for number in self._wrong(arrival, parts.digests):
            del parts.digests[number]
        self.counter.add(before=sum(pieces[number][1] - pieces[number][0] for number in parts.digests))
        todo = [number for number in range(len(pieces)) if number not in parts.digests]
        for _ in range(2):
            todo = self._send(step, pieces, todo, arrival, parts)
            if not todo:
                break
        else:
            raise self._not_arrived(step, len(todo), len(pieces))
        try:
            self.policy.call(lambda: self._finish(step, arrival, parts.digests))
        except _Unproved:
            parts.forget(arrival.state)
            raise
        return hashlib.sha256("".join(parts.digests[number].sha256 for number in range(len(pieces))).encode()).hexdigest()

    def _finish(self, step: Step, arrival: Arrival, digests: dict[int, Digest]) -> None:
        """Let a file appear, if nothing speaks against what was read."""
        if why := self.source.unproved(step.name, step.found, digests):
            raise _Unproved(f"{step.title}: {why}. Nothing was put in place")
        arrival.finish(digests, self.source.detailed(step.name, step.found).mtime)  # known by now: it comes with what is read

    def _may_take(self, count: int) -> None:
        """Wait until so many bytes may be sent, and say if none may any more."""
        if self.stop:
            raise Stopped("stopped")
        self.throttle.take(count)

    def _tell(self, error: BaseException, delay: float) -> None:
        self.counter.add(text=f"{error}; again in {delay:.1f} s")

    def _not_arrived(self, step: Step, count: int, total: int) -> TransferError:
        return TransferError(
            f"{step.title}: {count} of {total} parts are not at {self.target.place} as they were sent, twice. Nothing was put in place. "
            "Look at that disk or network", retryable=False
        )  # fmt: skip

    def _wrong(self, arrival: Arrival, digests: dict[int, Digest]) -> list[int]:
        """The numbers of the parts that aren't there as they were sent; of large files several are compared at a time."""
        if not digests:
            return []
        if len(digests) < 2 * self.jobs:
            return self.policy.call(lambda: arrival.wrong(digests))
        slices = [dict(itertools.islice(sorted(digests.items()), at, None, self.jobs)) for at in range(self.jobs)]
        return sorted(itertools.chain(*self.pool.map(lambda some: self.policy.call(lambda: arrival.wrong(some)), slices)))

    def is_begun(self, step: Step) -> bool:
        """Whether an earlier run has left something of the file, or of another version of it."""
        return self._journal(step).exists()

    def _journal(self, step: Step) -> Path:
        return self.folder / f"{sha256(step.target.encode('utf-8', 'surrogateescape'))[:32]}.jsonl"

    @contextmanager
    def _recorded(self, step: Step, part_bytes: int, pieces: list[tuple[int, int]]) -> Iterator[_Parts]:
        identity = {"name": step.target, "identity": step.found.identity, "part_bytes": part_bytes}
        parts = _Parts(self._journal(step), identity)
        is_done = False
        try:
            yield parts
            is_done = True
        finally:
            parts.close(is_done=is_done and (len(pieces) > 1 or parts.whole > 0))

    def _send(self, step: Step, pieces: list[tuple[int, int]], todo: list[int], arrival: Arrival, parts: _Parts) -> list[int]:
        """Send parts, and compare them meanwhile. Returns the numbers of those that aren't there as they were sent."""
        came: dict[int, bool | None] = {}
        checks: list[Future[list[int]]] = []

        def part(number: int) -> None:
            start, end = pieces[number]

            def once() -> Digest:
                self._may_take(end - start)
                data = self.source.read(step.name, start, end, step.found)
                digest = digest_of(data, md5=self.md5)
                came[number] = arrival.write(number, start, data, digest)
                return digest

            digest = self.policy.call(once, report=self._tell)
            if came[number] is not False:
                parts.note(number, digest)
            if came[number] is None:
                checks.append(self.checks.submit(self._wrong, arrival, {number: digest}))
            self.counter.add(sent=end - start)

        under_way: set[Future[None]] = set()
        try:
            for number in todo:
                if len(under_way) >= self.jobs:
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    for one in done:
                        one.result()
                under_way.add(self.pool.submit(part, number))
            for one in under_way:
                one.result()
        finally:
            wait(under_way)
        return [number for number, is_there in came.items() if is_there is False] + [number for check in checks for number in check.result()]
