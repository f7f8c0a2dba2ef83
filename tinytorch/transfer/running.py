"""A transfer from its beginning to its end: look, plan, send, record."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinytorch.errors import ConfigError, DataError, TransferError
from tinytorch.files import sha256
from tinytorch.places import cache_folder
from tinytorch.transfer.location import DataLocation

if TYPE_CHECKING:
    from tinytorch.jobs import Item, Outcome
    from tinytorch.jobs.stopping import Stop
    from tinytorch.retry import RetryPolicy
    from tinytorch.transfer.engines import Engine
    from tinytorch.transfer.listing import Store
    from tinytorch.transfer.moving import Progress
    from tinytorch.transfer.planning import Plan

__all__ = ["Result", "job_folder", "sync", "transfer"]

LINKS = ("skip", "follow", "refuse")
VERIFY = ("parts", "read")
_LOOK = 0.1  # seconds between two looks at whether to stop
_TINY_AT_ONCE = 32  # tiny files between here and S3, where a file is little more than waiting for an answer
ENGINES = ("auto", "boto3", "sftp", "s5cmd", "rsync")


@dataclass(frozen=True)
class Result:
    """What came of a transfer."""

    plan: Plan
    sent: int  # files
    nbytes: int  # that went over, without those that an earlier run had sent
    deleted: tuple[str, ...]
    failed: dict[str, str]  # name to the error's first line
    seconds: float
    stopped: str | None = None  # the name of the signal that ended it
    is_done: bool = True  # False: it was only planned

    def as_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "plan": self.plan.as_json(), "done": self.is_done, "sent": self.sent, "bytes": self.nbytes, "deleted": list(self.deleted),
            "failed": self.failed, "seconds": round(self.seconds, 3), "stopped": self.stopped,
        }  # fmt: skip


def transfer(
    source: str | DataLocation, destination: str | DataLocation, *,
    include: Iterable[str] = (), exclude: Iterable[str] = (), links: str = "skip", checksum: bool = False, verify: str = "parts",
    delete: bool = False, dry_run: bool = False, jobs: int = 4, bandwidth: float | None = None, engine: str = "auto",
    confirm: Callable[[Plan], bool] = lambda plan: True, report: Callable[[Progress], None] = lambda progress: None,
    notice: Callable[[str], None] = lambda text: None, policy: RetryPolicy | None = None,
) -> Result:
    """Send what is at `source` to `destination`, except for what is there unchanged.

    A folder's content goes into the folder that the destination names; a file goes to the path that it names, or into it
    if it is a folder, or ends with a slash. No file is seen under its name before it is whole and compared. Interrupted
    at any instant, the same call goes on, also in the middle of a large file.

    Args:
        source: a place, or its text; see `DataLocation.parse`.
        destination: another one.
        include: patterns; if there are any, only files that match one are sent.
        exclude: patterns of what isn't sent, and isn't deleted at the destination either.
        links: what is done with symbolic links: "skip" them, "follow" those that stay inside, "refuse" to begin.
        checksum: compare contents where only times are compared otherwise.
        verify: "parts" compares the checksums of the parts; "read" reads back from S3 too what went there.
        delete: remove what is at the destination only, once everything has arrived.
        dry_run: only plan.
        jobs: parts and files that are under way at a time; with S3, four times as many files of up to 1 MiB, though not more than 32.
        bandwidth: bytes in a second at most, for all of them together.
        engine: one of `ENGINES`; "auto" takes what suits and is there, and the plan says which, and why.
        confirm: asked with the plan before anything is written.
        report: told of progress, from several threads, one at a time.
        notice: told, in a sentence each, of what was found broken and is mended.
        policy: how often a call over the network is tried.

    Raises: ConfigError if something is asked for that can't be; TransferError if it can't begin. A file that fails later
        is in the result's `failed`, and the others go on.
    """
    from tinytorch.jobs.stopping import Stop
    from tinytorch.transfer import engines
    from tinytorch.transfer.planning import planned

    places = _place(source), _place(destination)
    _check(links=links, verify=verify, jobs=jobs, bandwidth=bandwidth, engine=engine)
    began = time.monotonic()
    with ExitStack() as stack:
        stop = Stop()
        policy = policy or _policy(stop)
        opened = tuple(stack.enter_context(closing(_opened(place, links, verify, policy))) for place in places)
        plan = planned(opened[0], opened[1], places, include=include, exclude=exclude, checksum=checksum, delete=delete)
        chosen = engines.chosen(engine, places, plan.send, bandwidth=bandwidth)
        plan = replace(plan, engine=chosen.name, reason=chosen.reason)
        if dry_run or not confirm(plan):
            return Result(plan, 0, 0, (), {}, time.monotonic() - began, is_done=False)
        run = _Run(opened[0], opened[1], places, plan, chosen, policy, stop)
        run.send(jobs, bandwidth, report, notice)
        deleted = run.delete()
    return Result(plan, run.sent, run.nbytes, deleted, run.failed, time.monotonic() - began, run.stop.signal.name if run.stop.signal else None)


def sync(source: str | DataLocation, destination: str | DataLocation, *, delete: bool = False, **options: Any) -> Result:
    """Make the destination what the source is. With `delete`, also remove what is there only; see `transfer`."""
    return transfer(source, destination, delete=delete, **options)


class _Run:
    """The part of a transfer that changes something."""

    def __init__(
        self, source: Store, target: Store, places: tuple[DataLocation, DataLocation], plan: Plan, engine: Engine, policy: RetryPolicy, stop: Stop
    ) -> None:
        self.source, self.target, self.places, self.plan, self.engine, self.policy = source, target, places, plan, engine, policy
        self.folder = job_folder(*places)
        self.stop = stop
        self.failed: dict[str, str] = {}
        self.sent = self.nbytes = 0

    def send(self, jobs: int, bandwidth: float | None, report: Callable[[Progress], None], notice: Callable[[str], None]) -> None:
        if not self.plan.send:
            return
        from tinytorch.jobs import Item, Job
        from tinytorch.transfer.moving import Counter, Mover, Throttle

        kinds = {place.kind for place in self.places}
        threads = max(jobs, min(_TINY_AT_ONCE, 4 * jobs)) if kinds in ({"s3"}, {"s3", "local"}) else jobs
        counter = Counter(self.plan.nbytes, len(self.plan.send), report)
        names = {"source": str(self.places[0]), "destination": str(self.places[1])}
        job = Job(self.folder, dataset_name=names["destination"], config=names, notice=notice)
        steps = {step.title: step for step in self.plan.send}
        try:
            job.queue(list(steps))  # both sides were looked at: what is recorded of these files isn't so any more
            mover = Mover(
                self.source, self.target, self.folder / "parts", jobs=jobs, stop=self.stop, throttle=Throttle(bandwidth, self.stop),
                counter=counter, policy=self.policy, md5="s3" in kinds,
            )  # fmt: skip
            with closing(mover), self.engine.at_work(mover, self.plan.send) as work:
                items = [Item(name, step.found.identity, step) for name, step in steps.items()]

                def one(item: Item) -> str:
                    return str(work(item.data))

                job.run(items, one, threads=threads, stop=self.stop, finished=self._finished)
        except DataError as error:
            raise TransferError(str(error), retryable=False) from error
        finally:
            self.nbytes = counter.sent

    def _finished(self, outcome: Outcome) -> None:
        if outcome.error is None:
            self.sent += 1
        elif not outcome.error.startswith("Stopped:"):
            self.failed[outcome.item.id] = outcome.error.partition(": ")[2] or outcome.error

    def delete(self) -> tuple[str, ...]:
        """Remove what is at the destination only, unless a file is missing there."""
        if self.failed or self.stop:
            return ()
        for name in self.plan.delete:
            self.policy.call(lambda name=name: self.target.delete(name))  # type: ignore[misc]
        return self.plan.delete


def job_folder(source: DataLocation, destination: DataLocation) -> Path:
    """Where the record of transfers between two places is."""
    return cache_folder() / "transfers" / sha256(f"{source}\0{destination}".encode("utf-8", "surrogateescape"))[:16]


def _place(given: str | DataLocation) -> DataLocation:
    return given if isinstance(given, DataLocation) else DataLocation.parse(str(given))


def _policy(stop: Stop) -> RetryPolicy:
    """The usual one, which doesn't wait for another try once the transfer is to stop."""
    from tinytorch.retry import ExponentialBackoffPolicy

    def sleep(seconds: float) -> None:
        until = time.monotonic() + seconds
        while not stop and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK))

    return ExponentialBackoffPolicy(sleep=sleep)


def _check(*, links: str, verify: str, jobs: int, bandwidth: float | None, engine: str) -> None:
    for what, value, known in (("links", links, LINKS), ("verify", verify, VERIFY), ("engine", engine, ENGINES)):
        if value not in known:
            raise ConfigError(f"{what} is {value!r}; it is one of {', '.join(known)}")
    if not 1 <= jobs <= 64:
        raise ConfigError(f"jobs is {jobs}; it is the number of parts that are under way at a time, 1 to 64")
    if bandwidth is not None and not bandwidth > 0:
        raise ConfigError(f"bandwidth is {bandwidth}; it is bytes in a second, more than 0")


def _opened(place: DataLocation, links: str, verify: str, policy: RetryPolicy) -> Store:
    if place.kind == "local":
        from tinytorch.transfer.local import LocalStore

        return LocalStore(Path(place.path), links)
    if place.kind == "ssh":
        from tinytorch.transfer.ssh import SshStore

        return SshStore(place, links, policy)
    from tinytorch.transfer.s3 import S3Store

    return S3Store(place, verify, policy)
