"""What a job's journal says: which items are done, which failed, and under which configuration.

The kinds of entries, with what follows the kind:

    run      {"version", "dataset_name", "config", "fingerprint", "total", "at"}     a run begins, at a time in epoch seconds
    done     id, checksum, value, seconds since the run began
    failed   id, checksum, {"type", "message", "traceback"}, seconds since the run began
    end      seconds since the run began
    queued   [id, ...]         items that are to be processed again
    reset    at                everything is to be done again
    adopted  a progress.json   the journal was missing, and this was there
    view     SHA-256           of the progress.json that is about to be written
"""
from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinytorch.jobs.journal import Entry, decoded

VERSION = 1
_DONE = b'["done",'  # how the JSON of such an entry begins; in a text, its quotes would have a backslash
_VIEWS = 2  # a kill may fall between the journal's note of a view and the view


def fingerprint(config: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that differ if the configuration does; the order of the keys doesn't count.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(config, sort_keys=True, allow_nan=False).encode("ascii")).hexdigest()[:16]


@dataclass
class Record:
    """The state that a journal's entries lead to."""

    dataset_name: str = ""
    config: dict[str, Any] | None = None  # of the last run; None: there was none
    fingerprints: list[str] = field(default_factory=list)  # of the runs that the items were done in, oldest first
    total: int | None = None  # items, as the last run saw them
    done: dict[str, str] = field(default_factory=dict)  # id to checksum
    failed: dict[str, tuple[str, str]] = field(default_factory=dict)  # id to checksum, and the error's first line
    units: int = 0  # what the done items counted together
    counts: dict[str, int] | None = None  # what each counted; None: nobody needed to know (a million cost half a second)
    needs_counts: bool = False  # whether an item was done twice, so that `units` is only right with `counts`
    began: float | None = None  # epoch seconds
    run_at: float = 0.0  # when the last run began, in epoch seconds
    run_seconds: float = 0.0  # how long it has gone on
    seconds: float = 0.0  # of all runs before it
    views: list[str] = field(default_factory=list)  # hashes of the newest `progress.json`

    def take(self, entries: Iterable[Entry]) -> None:
        """Let the entries happen, in order."""
        for entry in entries:
            getattr(self, f"_{entry[0]}", self._unknown)(*entry[1:])

    def take_json(self, bodies: list[bytes]) -> None:
        """Let entries happen that are JSON still. Of those that are done no lists are made, which takes a quarter less."""
        if len(bodies) > 1 and [body[: len(_DONE)] for body in bodies].count(_DONE) == len(bodies):
            text = b",".join(bodies)
            if text.count(_DONE) == len(bodies):  # so it is nowhere else in them, and all become one list
                flat = json.loads(text.replace(b"]," + _DONE, b"," + _DONE[1:]))
                self._all_done(flat[1::5], flat[2::5], flat[3::5], flat[4::5])
                return
        self.take(decoded(bodies))

    def _all_done(self, items: list[str], checksums: list[str], values: list[Any], seconds: list[float]) -> None:
        before = len(self.done)
        self.done.update(zip(items, checksums, strict=True))
        self.needs_counts |= len(self.done) != before + len(items)
        for item in self.failed.keys() & set(items) if self.failed else ():
            del self.failed[item]
        if self.counts is None and set(map(type, values)) == {int}:
            self.units += sum(values)
        else:
            for item, value in zip(items, values, strict=True):
                self._count(item, value)
        self.run_seconds = seconds[-1]

    def _done(self, item: str, checksum: str, value: Any, seconds: float) -> None:
        self.needs_counts |= item in self.done
        self.done[item] = checksum
        self.failed.pop(item, None)
        self._count(item, value)
        self.run_seconds = seconds

    def _count(self, item: str, value: Any) -> None:
        """An item counts `value` now, if that is an integer, and whatever it counted before no more."""
        count = value if type(value) is int else 0
        self.units += count
        if self.counts is not None:
            self.units -= self.counts.get(item, 0)
            self.counts[item] = count

    def _run(self, run: dict[str, Any]) -> None:
        self.seconds, self.run_seconds = self.seconds + self.run_seconds, 0.0
        self.dataset_name, self.config, self.total, self.run_at = run["dataset_name"], run["config"], run["total"], run["at"]
        if run["fingerprint"] not in self.fingerprints:
            self.fingerprints.append(run["fingerprint"])
        self.began = self.run_at if self.began is None else self.began

    def _failed(self, item: str, checksum: str, error: dict[str, str], seconds: float) -> None:
        self.needs_counts |= self.done.pop(item, None) is not None
        self._count(item, None)
        self.failed[item] = checksum, first_line(error)
        self.run_seconds = seconds

    def _end(self, seconds: float) -> None:
        self.run_seconds = seconds

    def _queued(self, items: list[str]) -> None:
        for item in items:
            self.needs_counts |= self.done.pop(item, None) is not None
            self._count(item, None)
            self.failed.pop(item, None)

    def _reset(self, at: float) -> None:
        for what in (self.done, self.failed, self.counts or {}, self.fingerprints):
            what.clear()
        self.config = self.total = self.began = None
        self.units, self.seconds, self.run_seconds, self.run_at = 0, 0.0, 0.0, at

    def _adopted(self, view: dict[str, Any]) -> None:
        checksums = view["trajectory_checksums"]
        self.dataset_name, self.config = view["dataset_name"], view["processing_config"]
        self.done.update((item, checksums.get(item, "")) for item in view["completed_trajectories"])
        self.failed.update((item, (checksums.get(item, ""), "")) for item in view["failed_trajectories"])
        self.units, self.began, self.run_at = view["total_chunks"], view["start_time"], view["last_update"]
        self.seconds = max(0.0, view["last_update"] - view["start_time"])

    def _view(self, digest: str) -> None:
        self.views = [*self.views, digest][-_VIEWS:]

    def _unknown(self, *rest: object) -> None:
        """An entry of a newer version, which an older one can't act on."""

    def view(self) -> dict[str, Any]:
        """What `progress.json` holds: the keys are fixed, lists and checksums sorted, times in epoch seconds."""
        checksums = {item: checksum for item, (checksum, _) in self.failed.items()} | self.done
        return {
            "dataset_name": self.dataset_name,
            "start_time": self.began,
            "last_update": self.run_at + self.run_seconds,
            "completed_trajectories": sorted(self.done),
            "failed_trajectories": sorted(self.failed),
            "total_chunks": self.units,
            "processing_config": self.config or {},
            "trajectory_checksums": dict(sorted(checksums.items())),
        }


def first_line(error: Mapping[str, str]) -> str:
    r"""An error as one line.

    >>> first_line({"type": "ValueError", "message": "too short\nby far", "traceback": ""})
    'ValueError: too short'
    """
    message = error["message"].strip().splitlines()
    return f"{error['type']}: {message[0]}" if message else error["type"]


def problem_with_view(view: object) -> str | None:
    """Why something that stands in a `progress.json` can't be gone on from; None if it can."""
    if not isinstance(view, dict):
        return "it is not an object"
    kinds = {
        "dataset_name": str, "start_time": int | float, "last_update": int | float, "completed_trajectories": list, "failed_trajectories": list,
        "total_chunks": int, "processing_config": dict, "trajectory_checksums": dict,
    }  # fmt: skip
    for key, kind in kinds.items():
        if key not in view:
            return f"{key} is missing"
        if not isinstance(view[key], kind) or isinstance(view[key], bool) or (isinstance(view[key], float) and not math.isfinite(view[key])):
            return f"{key} is {view[key]!r}"
    names = [*view["completed_trajectories"], *view["failed_trajectories"], *view["trajectory_checksums"].values()]
    return None if all(isinstance(name, str) for name in names) else "an id or a checksum is not a text"
