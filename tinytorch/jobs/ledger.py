"""A job's folder while one process has it: the journal to add to, what it says, and the `progress.json` made from it."""
from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinytorch import files
from tinytorch.errors import DataError
from tinytorch.jobs.journal import Entry, Reader, Writer, damaged_lines, leave_out, set_aside
from tinytorch.jobs.record import Record, problem_with_view

JOURNAL = "journal.jsonl"
VIEW = "progress.json"
LOCK = ".lock"
_VIEW_EVERY = 5.0  # seconds
_VIEW_SHARE = 50  # making the view may cost a fiftieth of the time
_QUIET = ("run", "end")  # entries that change nothing that the view shows


def read(folder: Path) -> Record:
    """What is recorded in a folder, without changing anything.

    Raises: DataError if the journal can't be read.
    """
    with _explained(folder):
        record, _ = _read(folder / JOURNAL)
    return record


def _read(journal: Path, record: Record | None = None) -> tuple[Record, Reader]:
    record, reader = record or Record(), Reader(journal)
    with _no_collection():
        for bodies in reader.bodies():
            record.take_json(bodies)
            if record.needs_counts and record.counts is None:
                return _read(journal, Record(counts={}))
    return record, reader


@contextmanager
def _no_collection() -> Iterator[None]:
    """Let Python not look for garbage: a million lists that live for a moment would have it look again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def opened(folder: Path, *, notice: Callable[[str], None], clock: Callable[[], float]) -> Iterator[Ledger]:
    """The ledger of a folder, which is made, and mended where a kill or somebody's hand has broken it.

    Raises: DataError if another process has it, or it can't be read or written.
    """
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = files.lock(folder / LOCK, timeout=0, again=False)
        try:
            lock.__enter__()
        except TimeoutError as error:
            raise DataError(f"{folder}: another run is at work here; wait until it has ended, or end it") from error
    try:
        ledger = Ledger(folder, notice, clock)
        try:
            yield ledger
        finally:
            ledger.close()
    finally:
        lock.__exit__(None, None, None)


class Ledger:
    """The journal, open for adding; `record` is always what it says."""

    def __init__(self, folder: Path, notice: Callable[[str], None], clock: Callable[[], float]) -> None:
        self.folder = folder
        self.notice = notice
        self.clock = clock
        with _explained(folder):
            self.record, reader = _read(folder / JOURNAL)
            is_new = reader.size == 0
            if reader.damaged:
                self._leave_out(reader.damaged)
                self.record, reader = _read(folder / JOURNAL)
            if reader.is_torn:
                notice(f"{folder / JOURNAL}: the last line was cut off in the middle, and is removed; its item is processed again.")
            self.writer = Writer(folder / JOURNAL, whole=reader.whole, clock=clock)
        self.is_broken = False  # nothing more can be written
        self.view_is_old = False
        self.view_at = clock()  # when the view was made
        self.view_seconds = 0.0  # how long that took
        self._compare_view(is_new=is_new)

    def enter(self, entry: Entry) -> None:
        """Add an entry, and let it happen in the record.

        Raises: DataError if it can't be written; TypeError or ValueError if JSON can't hold it.
        """
        try:
            with _explained(self.folder):
                if self.record.counts is None and self._changes_what_is_done(entry):
                    self.record.counts = _read(self.folder / JOURNAL, Record(counts={}))[0].counts
                self.writer.append(entry)
        except DataError:
            self.is_broken = True
            raise
        self.record.take([entry])
        self.view_is_old = self.view_is_old or entry[0] not in _QUIET

    def _changes_what_is_done(self, entry: Entry) -> bool:
        if entry[0] == "queued":
            return not self.record.done.keys().isdisjoint(entry[1])
        return entry[0] in ("done", "failed") and entry[1] in self.record.done

    def show(self, *, now: bool = True) -> None:
        """Bring `progress.json` up to date; unless it must be `now`, only if it is time to.

        Raises: DataError if it can't be written.
        """
        due = self.view_at + max(_VIEW_EVERY, _VIEW_SHARE * self.view_seconds)
        began = self.clock()
        if not self.view_is_old or not (now or began >= due):
            return
        data = json.dumps(self.record.view(), indent=2).encode("ascii") + b"\n"
        self.enter(["view", hashlib.sha256(data).hexdigest()])  # first: a view that the journal doesn't know is somebody's edit
        try:
            with _explained(self.folder):
                files.write_atomic(self.folder / VIEW, data)
        except DataError:
            self.is_broken = True
            raise
        self.view_is_old = False
        self.view_at = self.clock()
        self.view_seconds = self.view_at - began

    def close(self) -> None:
        with _explained(self.folder):
            self.writer.close()

    def _leave_out(self, damaged: list[int]) -> None:
        path = self.folder / JOURNAL
        aside = leave_out(path, damaged)
        self.notice(f"{path}: {damaged_lines(damaged)} left out; what they said is done again. The file with them is kept as {aside.name}.")

    def _compare_view(self, *, is_new: bool) -> None:
        """See whether `progress.json` is the one made here; without a journal, go on from it."""
        path = self.folder / VIEW
        with _explained(self.folder):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                self.view_is_old = not is_new
                if self.record.views:
                    self.notice(f"{path} was missing: made again from the journal.")
                return
            digest = hashlib.sha256(data).hexdigest()
            if is_new:
                self._adopt(path, data)
            elif digest not in self.record.views:
                aside = set_aside(path, "set-aside", data)
                self.notice(f"{path} was changed or restored by somebody. The journal beside it counts; the other file is kept as {aside.name}.")
                self.view_is_old = True
            else:
                self.view_is_old = digest != self.record.views[-1]

    def _adopt(self, path: Path, data: bytes) -> None:
        try:
            view: Any = json.loads(data)
            problem = problem_with_view(view)
        except (ValueError, RecursionError) as error:
            problem = str(error)
        if problem:
            raise DataError(
                f"{path}: there is no journal beside it, and it can't be gone on from: {problem}. Put a whole one in its place, "
                "or remove it to do everything again"
            )
        self.enter(["adopted", view])
        self.notice(f"{self.folder / JOURNAL} is missing: going on from {path.name}, {len(self.record.done)} completed.")


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn an operating system's error into one that says what to do."""
    try:
        yield
    except DataError:
        raise
    except OSError as error:
        raise DataError(
            f"{folder}: {error.strerror or error}. What is recorded there is whole: mend that, and run again to go on"
        ) from error
