"""Work on many items that can be interrupted at any instant, and goes on where it stopped."""
from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tinytorch.errors import ConfigError, DataError
from tinytorch.jobs import ledger
from tinytorch.jobs.journal import Reader
from tinytorch.jobs.ledger import JOURNAL, Ledger
from tinytorch.jobs.pace import Pace
from tinytorch.jobs.record import VERSION, Record, fingerprint, first_line
from tinytorch.jobs.stopping import Stop, asked_to_stop
from tinytorch.jobs.workers import Attempt, place

if TYPE_CHECKING:
    import distributed

_REPORT_EVERY = 0.1  # seconds
Config = dict[str, Any]


class Item(NamedTuple):
    """One item of a job. A million are made to find that nothing is left to do, so it is a tuple."""

    id: str
    checksum: str  # of what the item is made from: with another one it is processed again
    data: Any = None  # what the work needs to find it; it is pickled for workers, so a path rather than the bytes


@dataclass(frozen=True)
class Outcome:
    """What came of an item that was processed in this run."""

    item: Item
    value: Any = None
    error: str | None = None  # its first line; None: the item is done


@dataclass(frozen=True)
class Progress:
    """Where a job stands."""

    total: int | None  # items; None: not known
    done: int  # items, in all runs
    failed: int  # items, in all runs
    units: int  # what the done items counted together
    processed: int  # items, in this run
    seconds: float  # of work, in all runs
    rate: float | None  # items in a second, lately; None before the first
    remaining: float | None  # seconds; None while nothing is known
    stopped: str | None  # the name of the signal that asked the run to end

    @property
    def fraction(self) -> float | None:
        """Of the items that are finished, done or failed; None if their number isn't known."""
        return (self.done + self.failed) / self.total if self.total else None


class Job:
    """The items of one folder, and what is recorded of them there.

    `journal.jsonl` is the truth: a checksummed line for each item that is done or has failed. `progress.json` is made
    from it every few seconds, for people and for other programs.

    Args:
        folder: where the record is, and usually the results; made when a run begins.
        dataset_name: what the items are, for people; else the folder's name.
        config: what, besides an item's own bytes, decides about its result: plain JSON.
        notice: told, in a sentence each, of what was found broken and is mended.
    """

    def __init__(
        self, folder: str | Path, *, dataset_name: str | None = None, config: Mapping[str, Any] | None = None,
        notice: Callable[[str], None] = lambda text: None,
        clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time,
    ) -> None:
        self.folder = Path(folder)
        self.dataset_name = self.folder.resolve().name if dataset_name is None else dataset_name
        self.config = dict(config or {})
        try:
            self.fingerprint = fingerprint(self.config)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the configuration of a job is plain JSON: {error}") from error
        self.notice = notice
        self.clock = clock
        self.now = now

    def record(self) -> Record:
        """What is recorded, without changing anything.

        Raises: DataError if it can't be read.
        """
        return ledger.read(self.folder)

    def error(self, item: str) -> dict[str, str] | None:
        """The type, message and traceback of a failed item; None if it hasn't failed."""
        found = None
        for entry in itertools.chain.from_iterable(Reader(self.folder / JOURNAL).blocks()):
            if entry[0] in ("done", "failed") and entry[1] == item:
                found = entry[3] if entry[0] == "failed" else None
            elif entry[0] == "reset" or (entry[0] == "queued" and item in entry[1]):
                found = None
        return found

    def reset_failed(self) -> list[str]:
        """Have the failed items tried again by the next run. Returns their ids.

        Raises: DataError if a run is at work, or the folder can't be written.
        """
        with self._opened() as opened:
            if failed := sorted(opened.record.failed):
                opened.enter(["queued", failed])
            opened.show()
        return failed

    def queue(self, items: Sequence[str]) -> None:
        """Have these items processed again by the next run, because what came of them is gone for instance.

        Raises: DataError if a run is at work, or the folder can't be written.
        """
        with self._opened() as opened:
            opened.enter(["queued", list(items)])
            opened.show()

    def reset(self) -> None:
        """Have everything done again by the next run.

        Raises: DataError if a run is at work, or the folder can't be written.
        """
        with self._opened() as opened:
            opened.enter(["reset", self.now()])
            opened.show()

    def run(
        self, items: Iterable[Item], work: Callable[[Item], Any], *, report: Callable[[Progress], None] | None = None,
        finished: Callable[[Outcome], None] = lambda outcome: None, **options: Any,
    ) -> Progress:
        """Process the items that are not done yet, and say where that led; see `outcomes` for the options and errors.

        `finished` is told what came of each item.
        """
        last: list[Progress] = []

        def keep(progress: Progress) -> None:
            last[:] = [progress]
            if report:
                report(progress)

        for outcome in self.outcomes(items, work, report=keep, **options):
            finished(outcome)
        return last[0]

    def outcomes(
        self, items: Iterable[Item], work: Callable[[Item], Any], *,
        total: int | None = None, workers: int = 0, threads: int = 0, client: distributed.Client | None = None, ordered: bool = False,
        stop: Stop | None = None, report: Callable[[Progress], None] | None = None,
        confirm: Callable[[Config, Config], bool] | None = None, force_rebuild: bool = False,
    ) -> Iterator[Outcome]:
        """Process the items that are not done yet, and give what came of each, which is recorded by then.

        An item is left out if it is done, or has failed before, with the same checksum. One that fails is recorded with
        its error, and the run goes on. SIGINT and SIGTERM end the run when the items in hand are finished; a second one
        abandons these, with a KeyboardInterrupt.

        Args:
            items: taken one at a time, so they may be made as they are needed.
            work: gets an item and returns a small value that JSON holds. Integers are summed up as `units`. With workers
                it must be a function of a module that they can import.
            total: how many items there are, where `len(items)` doesn't tell.
            workers: processes besides this one.
            threads: of this process, which share the work if it waits more than it computes; not with workers.
            client: of a Dask cluster, which then does the work.
            ordered: outcomes come in the order of the items, not as they are finished.
            stop: becomes true when the run is asked to end, so that work in this process can end in the middle of an item.
            report: told at the beginning and the end, and at most ten times in a second.
            confirm: asked with the recorded and the present configuration if they differ: whether to keep what is done
                and do the rest with the new one.
            force_rebuild: do everything again.

        Raises: ConfigError if the configuration has changed and nobody confirms that; DataError if another run is at
            work in the folder, two items have one id, the disk is full, or the folder can't be written.
        """
        total = len(items) if total is None and isinstance(items, Sized) else total
        with self._opened() as opened, asked_to_stop(stop) as stop, self._tracked():
            self._begin(opened, total, confirm, force_rebuild=force_rebuild)
            run = _Run(self, opened, items, total, stop, report)
            try:
                for item, came in place(workers, threads, client).attempts(work, run.todo(), run.enter, ordered=ordered):
                    yield Outcome(item, came.value, first_line(came.error) if came.error else None)
            finally:
                run.end()

    def _tracked(self) -> AbstractContextManager[object]:
        """Records what the run uses, where its user has switched that on."""
        from tinytorch import resources

        return resources.track(f"job {self.dataset_name}"[:200]) if resources.is_on() else nullcontext()

    def _opened(self) -> AbstractContextManager[Ledger]:
        return ledger.opened(self.folder, notice=self.notice, clock=self.clock)

    def _begin(self, opened: Ledger, total: int | None, confirm: Callable[[Config, Config], bool] | None, *, force_rebuild: bool) -> None:
        """Enter the beginning of a run, if the configuration allows it."""
        record = opened.record
        if force_rebuild and (record.done or record.failed):
            opened.enter(["reset", self.now()])
        changed = record.config is not None and fingerprint(record.config) != self.fingerprint
        if changed and (record.done or record.failed) and not (confirm and confirm(dict(record.config or {}), self.config)):
            raise ConfigError(
                f"{self.folder}: the configuration has changed since {len(record.done)} items were done: "
                f"{'; '.join(differences(record.config or {}, self.config))}. Confirm that the rest is to be done with the new one, "
                "go back to the old one, or do everything again (force_rebuild, or reset)"
            )
        opened.view_is_old |= changed or record.config is None
        opened.enter(["run", {
            "version": VERSION, "dataset_name": self.dataset_name, "config": self.config, "fingerprint": self.fingerprint,
            "total": total, "at": self.now(),
        }])  # fmt: skip


def differences(old: Config, new: Config) -> list[str]:
    """Each key that differs, in words.

    >>> differences({"size": 1, "old": 0}, {"size": 2})
    ['old: 0 -> nothing', 'size: 1 -> 2']
    """
    def said(config: Config, key: str) -> str:
        return repr(config[key]) if key in config else "nothing"

    return [f"{key}: {said(old, key)} -> {said(new, key)}" for key in sorted({*old, *new}) if said(old, key) != said(new, key)]


class _Run:
    """One run of a job: which items it takes, and what it enters of them."""

    def __init__(
        self, job: Job, opened: Ledger, items: Iterable[Item], total: int | None, stop: Stop, report: Callable[[Progress], None] | None
    ) -> None:
        self.job = job
        self.ledger = opened
        self.record = record = opened.record
        self.items = items
        self.total = total
        self.stop = stop
        self.report = report
        self.began = job.clock()
        self.pace = Pace(job.clock)
        self.reported_at = self.began
        self.processed = 0
        # of a sequence it is known which of the recorded items there still are, as they were
        self.is_counted = isinstance(items, Sequence)
        self.done = sum(record.done.get(item.id) == item.checksum for item in items) if self.is_counted else len(record.done)
        self.failed = sum(_has_failed(record, item) for item in items) if self.is_counted else len(record.failed)
        self._tell()

    def todo(self) -> Iterator[Item]:
        """The items that are to be processed, until the run is asked to stop."""
        done = self.record.done
        left = done.copy()  # done items that were not seen yet: one search for each item of a million
        seen: set[str] = set()  # the others
        for item in self.items:
            name, checksum, _ = item
            recorded = left.pop(name, None)
            if recorded == checksum:
                continue
            if name in seen or (recorded is None and name in done):
                raise DataError(f"{self.job.folder}: two items have the id {name!r}; give each one of its own")
            seen.add(name)
            if _has_failed(self.record, item):
                continue
            if self.stop:
                return
            yield item

    def enter(self, item: Item, came: Attempt) -> Attempt:
        """Record what came of an item."""
        if came.is_of_the_run:
            assert came.error
            raise DataError(f"{self.job.folder}: {first_line(came.error)}, at {item.id}. What is finished is recorded: make room, and run again to go on")
        record, seconds = self.record, round(self.job.clock() - self.began, 3)
        was_done, was_failed = item.id in record.done, item.id in record.failed
        if came.error is None:
            try:
                self.ledger.enter(["done", item.id, item.checksum, came.value, seconds])
            except (TypeError, ValueError) as error:  # OSErrors are DataErrors by now
                came = Attempt(error={"type": type(error).__name__, "message": f"the work returned what JSON can't hold: {error}", "traceback": ""})
        if came.error is not None:
            self.ledger.enter(["failed", item.id, item.checksum, came.error, seconds])
        self.done += (came.error is None) - (was_done and not self.is_counted)
        self.failed += (came.error is not None) - (was_failed and not self.is_counted)
        self.processed += 1
        self.pace.note()
        if self.pace.last - self.reported_at >= _REPORT_EVERY:
            self._tell()
            self.ledger.show(now=False)
        return came

    def end(self) -> None:
        """Enter the end of the run, unless nothing more can be written."""
        if not self.ledger.is_broken:
            self.ledger.enter(["end", round(self.job.clock() - self.began, 3)])
            self.ledger.show()
        self._tell()

    def _tell(self) -> None:
        self.reported_at = self.job.clock()
        if self.report is None:
            return
        left = None if self.total is None else max(0, self.total - self.done - self.failed)
        self.report(Progress(
            self.total, self.done, self.failed, self.record.units, self.processed, self.record.seconds + self.job.clock() - self.began,
            self.pace.rate, None if left is None else self.pace.remaining(left),
            self.stop.signal.name if self.stop.signal else None,
        ))  # fmt: skip


def _has_failed(record: Record, item: Item) -> bool:
    """Whether the item, as it is, has failed before."""
    failed = record.failed.get(item.id)
    return failed is not None and failed[0] == item.checksum
