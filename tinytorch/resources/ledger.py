"""The ledger: one file to which runs, cloud resources that were seen, and budgets are added, by any number of processes at once.

Its lines are those of `tinytorch.jobs.journal`. Entries (times are UTC, ISO 8601):

    ["started", run, {"name", "command", "tags", "machine", "host", "pid", "created", "at", "within": run or null}]
    ["seen", run, at, usage]
    ["ended", run, at, usage, exit]
    ["cloud", at, provider, [resource, ...]]      all that a provider has
    ["made", at, provider, resource]              one that was made from here
    ["gone", at, provider, kind, id]              one that was removed from here
    ["budget", name, {"amount", "currency", "tags", "per"}]       null takes the budget away

Kinds that aren't known are those of a later version, and are left alone.
"""
from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tinytorch import files
from tinytorch.errors import DataError
from tinytorch.jobs.journal import Entry, Reader, Writer, damaged_lines, leave_out
from tinytorch.resources.usage import Usage

__all__ = ["Book", "Run", "Seen", "append", "folder", "is_on", "merge", "now", "read", "stamp", "time_of"]

VARIABLE = "TINYTORCH_RESOURCES"
JOURNAL = "ledger.jsonl"
LOCK = ".lock"
_SWITCHES = {"": False, "off": False, "0": False, "false": False, "no": False, "on": True, "1": True, "true": True, "yes": True}
_PATIENCE = 60.0  # seconds that an entry waits for others to be written
_SILENCE = timedelta(minutes=10)  # after which a run on another machine that says nothing more counts as lost
_UNSEEN = timedelta(minutes=1)  # that a run goes on without a record, at most
_SAME = 1.0  # seconds; two processes that were created closer together don't have one process id
_BLOCK = 64 << 10
_FACTS = ("kind", "id", "name", "region", "type", "state", "created", "tags", "size_gb", "attached_to")
_OF_RUNS = ("started", "seen", "ended")


@dataclass(frozen=True)
class Run:
    """One run that was tracked."""

    id: str
    name: str
    command: str
    tags: Mapping[str, str]
    machine: str  # provider/region/type, or "local"
    host: str
    pid: int
    created: float  # when its process was, in seconds since 1970
    started: datetime
    last_seen: datetime
    usage: Usage = field(default_factory=Usage)
    ended: datetime | None = None
    exit: int | None = None  # its exit status; -9: ended by signal 9
    within: str | None = None  # the run that its process was part of when it began

    def state(self, at: datetime | None = None) -> str:
        """`ended`; `running`; or `lost`: it has no end and is gone, killed for instance."""
        if self.ended:
            return "ended"
        if self.host != platform.node():
            return "running" if (at or now()) - self.last_seen < _SILENCE else "lost"
        return "running" if _is_alive(self.pid, self.created) else "lost"


def _is_alive(pid: int, created: float) -> bool:
    """Whether a process still runs, and it is that process and not a later one with its number."""
    import psutil

    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < _SAME and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@dataclass(frozen=True)
class Seen:
    """What one provider had at one time: all of it, or one resource that was made or removed then."""

    at: datetime
    provider: str
    resources: tuple[Mapping[str, Any], ...]
    is_all: bool = True  # what isn't among them isn't there any more
    gone: tuple[str, str] | None = None  # the kind and id of what was removed


@dataclass
class Book:
    """What the ledger says."""

    runs: dict[str, Run] = field(default_factory=dict)
    cloud: list[Seen] = field(default_factory=list)
    budgets: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    strange: int = 0  # entries of a known kind that don't hold what they should

    def whole_of(self, run: Run) -> str | None:
        """The run that a run is part of: the one in which it began, if that one was there to its end, on the same machine."""
        whole = self.runs.get(run.within or "")
        is_part = whole and whole.machine == run.machine and whole.started <= run.last_seen <= whole.last_seen + _UNSEEN
        return run.within if is_part else None

    def take(self, entries: Iterable[Entry]) -> None:
        for kind, *rest in entries:
            if kind not in _TAKE:
                continue
            try:
                _TAKE[kind](self, *rest)
            except (AttributeError, KeyError, TypeError, ValueError):
                self.strange += 1

    def _started(self, run: str, facts: dict[str, Any]) -> None:
        at = time_of(facts["at"])
        known = {name: facts[name] for name in ("name", "command", "tags", "machine", "host", "pid", "created")}
        self.runs[run] = Run(run, **known, started=at, last_seen=at, within=facts.get("within"))

    def _seen(self, run: str, at: str, usage: dict[str, Any]) -> None:
        if run in self.runs:
            self.runs[run] = replace(self.runs[run], last_seen=time_of(at), usage=Usage.from_json(usage))

    def _ended(self, run: str, at: str, usage: dict[str, Any], exit: int | None) -> None:
        self._seen(run, at, usage)
        if run in self.runs:
            self.runs[run] = replace(self.runs[run], ended=time_of(at), exit=exit)

    def _cloud(self, at: str, provider: str, resources: list[dict[str, Any]]) -> None:
        self.cloud.append(Seen(time_of(at), provider, tuple(map(_facts, resources))))

    def _made(self, at: str, provider: str, resource: dict[str, Any]) -> None:
        self.cloud.append(Seen(time_of(at), provider, (_facts(resource),), is_all=False))

    def _gone(self, at: str, provider: str, kind: str, id: str) -> None:
        self.cloud.append(Seen(time_of(at), provider, (), is_all=False, gone=(kind, id)))

    def _budget(self, name: str, facts: dict[str, Any] | None) -> None:
        self.budgets.pop(name, None)
        if facts is not None:
            self.budgets[name] = facts


def _facts(resource: dict[str, Any]) -> dict[str, Any]:
    """What is known of a cloud resource; KeyError if something is missing that every entry has."""
    return {name: resource[name] for name in _FACTS} | {"usd_per_hour": resource.get("usd_per_hour")}


_TAKE: dict[str, Callable[..., None]] = {
    "started": Book._started, "seen": Book._seen, "ended": Book._ended, "cloud": Book._cloud, "made": Book._made, "gone": Book._gone, "budget": Book._budget,
}  # fmt: skip


def now() -> datetime:
    return datetime.now(timezone.utc)


def stamp(at: datetime) -> str:
    """A time as the ledger writes it: UTC, to the millisecond."""
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_of(text: str) -> datetime:
    """A time as the ledger writes it.

    >>> time_of("2026-01-02T03:04:05Z").isoformat()
    '2026-01-02T03:04:05+00:00'
    """
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def is_on() -> bool:
    """Whether runs are to be recorded that nobody asked for one by one. Never in a test session."""
    asked = os.environ.get(VARIABLE, "")
    return _SWITCHES.get(asked.strip().lower(), True) and "PYTEST_CURRENT_TEST" not in os.environ and "PYTEST_VERSION" not in os.environ


def folder() -> Path:
    """Where the ledger is: the folder that `TINYTORCH_RESOURCES` names, unless it is a switch, else the user's place for data."""
    named = os.environ.get(VARIABLE, "")
    if named.strip().lower() not in _SWITCHES:
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("tinytorch", appauthor=False)) / "resources"


def append(*entries: Entry, place: Path | None = None) -> None:
    """Add entries to the ledger, which is in `place`, else in `folder()`; when it returns they are on the disk.

    Raises: DataError if the ledger can't be written, in which case nothing of the entry is there.
    """
    path = (place or folder()) / JOURNAL
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.lock(path.with_name(LOCK), timeout=_PATIENCE, again=False):
            writer = Writer(path, whole=_whole(path))
            try:
                for entry in entries:
                    writer.append(entry)
            finally:
                writer.close()
    except OSError as error:  # TimeoutError is one
        raise DataError(f"{path}: {error.strerror or error}. What is recorded there is whole; mend that, or name another folder: {VARIABLE}=DIR") from error


def _whole(path: Path) -> int:
    """Bytes up to the end of the last line that ends: what comes after it was torn by a kill or a full disk."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            while end > 0:
                start = max(0, end - _BLOCK)
                file.seek(start)
                at = file.read(end - start).rfind(b"\n")
                if at >= 0:
                    return start + at + 1
                end = start
    except FileNotFoundError:
        pass
    return 0


def read(notice: Callable[[str], None] = lambda text: None) -> Book:
    """What the ledger says. Damaged lines are named and left out; the file with them is kept beside it.

    Raises: DataError if it can't be read.
    """
    path = folder() / JOURNAL
    try:
        book, reader = _read(path)
        if reader.damaged:
            book = _mended(path, notice)
        if book.strange:
            notice(f"{path}: {book.strange} entr{'y is' if book.strange == 1 else 'ies are'} not understood and left out; of another version, perhaps.")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}. Mend that, or name another folder: {VARIABLE}=DIR") from error
    return book


def merge(other: Path, notice: Callable[[str], None] = lambda text: None) -> int:
    """Take in what a ledger of another machine (its folder, or the file) says of runs; returns of how many it was new.

    What was taken in before isn't taken in again. What that machine knew of cloud resources and budgets stays there.

    Raises: DataError if there is no ledger, it can't be read, or this machine's can't be written.
    """
    path = other / JOURNAL if other.is_dir() else other
    if not path.is_file():
        raise DataError(f"{path}: there is no ledger. Name the folder with the {JOURNAL} of the other machine, or that file")
    mine = folder() / JOURNAL
    try:
        known = {json.dumps(entry) for entry in _about_runs(Reader(mine))}
        theirs = Reader(path)
        there = list(_about_runs(theirs))
    except OSError as error:
        raise DataError(f"{error.filename or path}: {error.strerror or error}. Mend that; nothing was taken in") from error
    if theirs.damaged and not there:
        raise DataError(f"{path} is no ledger, or nothing of it is whole: {damaged_lines(theirs.damaged)}. Bring it again from the other machine; nothing was taken in")
    if theirs.damaged:
        notice(f"{path}: {damaged_lines(theirs.damaged)}; the rest counts.")
    new = [entry for entry in there if json.dumps(entry) not in known]
    append(*new)
    return len({entry[1] for entry in new})


def _about_runs(reader: Reader) -> Iterator[Entry]:
    """The entries about runs that say what they should, of runs whose beginning is there."""
    book = Book()
    for entries in reader.blocks():
        for entry in entries:
            strange = book.strange
            book.take([entry])
            if entry[0] in _OF_RUNS and book.strange == strange and entry[1] in book.runs:
                yield entry


def _read(path: Path) -> tuple[Book, Reader]:
    book, reader = Book(), Reader(path)
    for entries in reader.blocks():
        book.take(entries)
    return book, reader


def _mended(path: Path, notice: Callable[[str], None]) -> Book:
    """Read once more, while nobody writes; what is damaged then is taken out, if that can be done."""
    kept = ""
    with ExitStack() as held:
        with suppress(OSError):  # in a folder that can't be written, nobody else writes either
            held.enter_context(files.lock(path.with_name(LOCK), timeout=_PATIENCE, again=False))
        book, reader = _read(path)
        if reader.damaged:
            with suppress(OSError):
                kept = f" The file with them is kept as {leave_out(path, reader.damaged).name}."
            notice(f"{path}: {damaged_lines(reader.damaged)}; the rest counts.{kept}")
    return book
