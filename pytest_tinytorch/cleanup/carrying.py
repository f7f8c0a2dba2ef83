"""A plan carried out: each thing is looked at once more, removed, and recorded, so that a kill loses nothing.

The work is a job (`tinytorch.jobs`) in the plan's folder: what is done isn't done again, what failed is tried again by the
next run. `removed.jsonl` beside the plans records every removal, before and after it: lines are only added.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pytest_tinytorch.cleanup import plan as planning
from pytest_tinytorch.cleanup import removal
from pytest_tinytorch.cleanup.kinds import FOLDER, KINDS
from pytest_tinytorch.cleanup.plan import Candidate, Plan
from pytest_tinytorch.cleanup.removal import Changed, Seen
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files
from tinytorch.cloud.resource import GOING, TAG, CloudResource, RemovingProvider
from tinytorch.errors import ConfigError, DataError, StateError, TinyTorchError
from tinytorch.jobs import Item, Job, Outcome, Progress
from tinytorch.jobs.journal import Entry, Reader, Writer
from tinytorch.resources.cost import Sum

RECORD = "removed.jsonl"
_KINDS = {kind.name: kind for kind in KINDS}


class PlanChanged(StateError):
    """The world isn't any more the one that a plan was made for; `changes` says how."""

    def __init__(self, plan: Plan, changes: Sequence[str]) -> None:
        super().__init__(
            f"Nothing was removed, since this has changed since plan {plan.id} was made:\n"
            + "\n".join(f"  {change}" for change in changes)
            + "\nMake a new plan, and look at it: tito cleanup"
        )
        self.changes = list(changes)


@dataclass
class Result:
    """What came of a plan, over all its runs."""

    plan: Plan
    removed: list[Candidate] = field(default_factory=list)
    gone: list[Candidate] = field(default_factory=list)  # removed by somebody else
    failed: dict[str, str] = field(default_factory=dict)  # id to why
    processed: int = 0  # things, in this run
    stopped: str | None = None  # the signal that ended the run early

    @property
    def size(self) -> int:
        """Bytes that are free now on this machine."""
        return sum(item.size or 0 for item in self.removed if not item.provider)

    @property
    def per_hour(self) -> Sum:
        """What is saved per hour."""
        return per_hour(self.removed)


def per_hour(items: Iterable[Candidate]) -> Sum:
    """What costs per hour at a provider, as far as prices are known."""
    total = Sum()
    for item in items:
        if item.provider:
            total.add(item.cost)
    return total


def carry_out(
    workspace: Workspace, plan: Plan, *, providers: Iterable[RemovingProvider] = (), report: Callable[[Progress], None] | None = None,
    notice: Callable[[str], None] = lambda text: None, on_change: Callable[[Candidate, str], None] = lambda item, event: None,
) -> Result:
    """Remove what a plan names, each thing only if it is still what it was.

    A plan that was interrupted goes on. `on_change(item, "removed")` is told of each removal.

    Raises: PlanChanged, with nothing removed, if the plan doesn't fit any more; DataError if another cleanup is at work;
        ConfigError without the credentials that it needs.
    """
    asked = list(providers)
    at_provider = {provider.name: provider for provider in asked}
    if lacking := sorted({item.provider for item in plan.items if item.provider} - at_provider.keys()):
        raise ConfigError(f"Plan {plan.id} removes something at {' and '.join(lacking)}, and no credentials for that are found here. Nothing was removed")
    folder = planning.folder(workspace, plan.id)
    with _record(workspace) as record:
        job = Job(folder, dataset_name="cleanup", config={"plan": plan.id}, notice=notice)
        before = job.record()
        now = planning.make(workspace, plan.options, providers=asked)
        is_resumed = before.config is not None
        if found := planning.changes(_left(plan, before.done), now, is_resumed=is_resumed):
            raise PlanChanged(plan, found)
        if before.failed:
            job.reset_failed()
        result = Result(plan)
        begun = {entry[3] for entry in record.entries if entry[0] == "removing" and entry[2] == plan.id}

        def work(item: Item) -> int:
            one: Candidate = item.data
            record.add("removing", plan.id, one)
            if _removed(workspace, plan, one, at_provider) or one.key in begun:
                record.add("removed", plan.id, one)
                on_change(one, "removed")
                return one.size or 0
            record.add("gone", plan.id, one)
            return 0

        def finished(outcome: Outcome) -> None:
            if outcome.error is not None:
                one: Candidate = outcome.item.data
                result.failed[one.id] = outcome.error.partition(": ")[2] or outcome.error

        progress = job.run([Item(one.key, one.identity, one) for one in plan.items], work, report=report, finished=finished)
        came = {entry[3]: entry[0] for entry in record.entries if entry[2] == plan.id}
        result.removed = [one for one in plan.items if came.get(one.key) == "removed"]
        result.gone = [one for one in plan.items if came.get(one.key) == "gone"]
        result.processed, result.stopped = progress.processed, progress.stopped
    return result


def _left(plan: Plan, done: Iterable[str]) -> Plan:
    """The plan without what is done."""
    gone = set(done)
    return Plan(plan.options, plan.made, tuple(item for item in plan.items if item.key not in gone), ())


def _removed(workspace: Workspace, plan: Plan, one: Candidate, providers: dict[str, RemovingProvider]) -> bool:
    """Remove one thing; False if it is gone already."""
    if one.provider:
        return _removed_there(one, providers[one.provider], plan.options.project)
    with _KINDS[one.kind].held(workspace, Path(one.id)):
        return removal.remove(Path(one.id), Seen(one.identity, one.top, one.size or 0, one.used or 0.0, ()))


def _removed_there(one: Candidate, provider: RemovingProvider, project: str) -> bool:
    """Remove what is at a provider, if it is still what was planned and the project's."""
    now = provider.current(CloudResource(one.provider, one.kind, one.id, one.name, "", "", "", None, {}, None, None))
    if now is None or now.state.lower() in GOING:
        return False
    if planning.candidate(now, None).identity != one.identity or now.tags.get(TAG) != project:
        attached = f", attached to {now.attached_to}" if now.attached_to else ""
        raise Changed(f"{one.id} has changed since the plan was made, and stays: it is {now.state}{attached}")
    provider.remove(now)
    return True


# --- the record -------------------------------------------------------------------------------------------------------


class _Record:
    """`removed.jsonl`, open for adding."""

    def __init__(self, path: Path) -> None:
        reader = Reader(path)
        self.entries: list[Entry] = [entry for block in reader.blocks() for entry in block]
        self.writer = Writer(path, whole=reader.whole)

    def add(self, event: str, plan: str, one: Candidate) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        entry: Entry = [event, at, plan, one.key, one.name, one.size, one.per_hour, one.currency]
        self.writer.append(entry)
        self.entries.append(entry)


@contextmanager
def _record(workspace: Workspace) -> Iterator[_Record]:
    """The record, while no other cleanup of this workspace is at work."""
    folder = workspace.tito / FOLDER
    lock = files.lock(folder / ".lock", timeout=0, again=False)
    with workspace.store.writing(FOLDER):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.__enter__()
        except TimeoutError:
            is_free = False
        else:
            is_free = True
    if not is_free:
        raise DataError("Another cleanup is at work in this workspace. Nothing was removed; wait until it has ended")
    try:
        with workspace.store.writing(f"{FOLDER}/{RECORD}"):
            record = _Record(folder / RECORD)
        try:
            yield record
        finally:
            record.writer.close()
    finally:
        lock.__exit__(None, None, None)


def history(workspace: Workspace) -> list[Entry]:
    """Every removal that was begun or done: event, time, plan, what, name, bytes, cost per hour, its currency.

    Raises: StateError if the record can't be read.
    """
    try:
        return [entry for block in Reader(workspace.tito / FOLDER / RECORD).blocks() for entry in block]
    except (OSError, ValueError) as error:
        if isinstance(error, TinyTorchError):
            raise
        raise StateError(f"{workspace.tito / FOLDER / RECORD} can't be read: {error}") from error
