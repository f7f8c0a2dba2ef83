"""What a cleanup would remove and what it would keep, decided before anything happens, and kept under an id.

The id is a hash of what would be removed, so two plans with one id remove the same.
"""
from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_tinytorch.cleanup import protection
from pytest_tinytorch.cleanup.kinds import DAY, FOLDER, HOUR, KINDS, Kind
from pytest_tinytorch.cleanup.protection import Protection
from pytest_tinytorch.cleanup.removal import Unsafe, look
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files
from tinytorch.cloud import resource as cloud
from tinytorch.cloud.aws import Aws, Instance, Volume
from tinytorch.cloud.resource import GOING, TAG, CloudResource, RemovingProvider
from tinytorch.cloud.volumes import CLAIM_TAG
from tinytorch.errors import ConfigError, StateError
from tinytorch.resources import prices
from tinytorch.resources.prices import Money, Prices

CLOUD_KINDS = (*cloud.KINDS, "prefix")
_FILE = "plan.json"


@dataclass(frozen=True)
class Options:
    """What a plan is to look at."""

    cloud: bool = False
    project: str = ""  # the value of the tag of what may be removed at a provider
    older_than: float = 0.0  # seconds: what was used, or made, more lately stays
    prefixes: tuple[str, ...] = ()  # s3://bucket/prefix/: what is below them goes, if the bucket has the project's tag
    only: tuple[str, ...] = ()  # kinds; all without any
    keep: tuple[str, ...] = ()  # rules of protection besides those of the file
    force: bool = False  # plan what is protected, too


@dataclass(frozen=True)
class Candidate:
    """One thing that may go."""

    kind: str
    id: str  # its path, or the provider's id
    name: str  # as people know it
    identity: str  # what it was when it was seen
    top: str  # of a file or folder: which one it is
    size: int | None  # bytes; None: not known
    used: float | None  # epoch seconds of its last use, or when it was made; None: not known
    provider: str = ""  # "" for what is on this machine
    per_hour: float | None = None  # what it costs per hour, which ends with it; None: not known
    currency: str = ""
    forced: str | None = None  # why it is protected, if the plan removes it all the same

    @property
    def cost(self) -> Money | None:
        """What it costs per hour."""
        return None if self.per_hour is None else Money(Decimal(str(self.per_hour)), self.currency)

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.provider}:{self.id}"


@dataclass(frozen=True)
class Kept:
    """One thing that stays, and why."""

    candidate: Candidate
    why: str
    can_be_forced: bool = True


@dataclass(frozen=True)
class Plan:
    """What would go, and what would stay."""

    options: Options
    made: str  # ISO 8601, UTC
    items: tuple[Candidate, ...]
    kept: tuple[Kept, ...]

    @cached_property
    def id(self) -> str:
        """12 hexadecimal digits of what would be removed."""
        return files.sha256(json.dumps(sorted([item.key, item.identity] for item in self.items)).encode("utf-8", "surrogateescape"))[:12]

    @property
    def size(self) -> int:
        return sum(item.size or 0 for item in self.items if not item.provider)

    @cached_property
    def needs_confirmation(self) -> bool:
        return any(item.forced for item in self.items)


def seconds(text: str) -> float:
    """An age such as 30d, 12h or 2w.

    Raises: ValueError if it is none.

    >>> seconds("2d") / 3600
    48.0
    """
    units = {"h": HOUR, "d": DAY, "w": 7 * DAY}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdecimal():
        raise ValueError(f"{text!r} is no age; write 12h, 30d or 2w")
    return int(number) * units[unit]


def age(passed: float) -> str:
    """Seconds in words.

    >>> age(90000.0), age(5.0)
    ('1 day', 'under an hour')
    """
    for unit, length in (("day", DAY), ("hour", HOUR)):
        if passed >= length:
            count = int(passed // length)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "under an hour"


def make(
    workspace: Workspace, options: Options, *, providers: Iterable[RemovingProvider] = (), now: Callable[[], float] = time.time,
) -> Plan:
    """Look at everything, and decide.

    Raises: ConfigError if the rules of protection, or a file of prices, can't be read; CloudError if a provider can't be asked.
    """
    rules = protection.read(workspace.root, options.keep)
    at = now()
    found = [*_local(workspace, options, rules, at)]
    if options.cloud:
        table = prices.load()
        for provider in providers:
            found += _at(provider, options, rules, table, at)
    items = [one if isinstance(one, Candidate) else replace(one.candidate, forced=one.why) for one in found if _goes(one, options)]
    kept = [one for one in found if isinstance(one, Kept) and not _goes(one, options)]
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    return Plan(options, made, tuple(items), tuple(kept))


def _goes(one: Candidate | Kept, options: Options) -> bool:
    return isinstance(one, Candidate) or (options.force and one.can_be_forced)


# --- on this machine --------------------------------------------------------------------------------------------------


def _local(workspace: Workspace, options: Options, rules: Protection, at: float) -> Iterator[Candidate | Kept]:
    for kind in KINDS:
        if not options.only or kind.name in options.only:
            for path in sorted(set(kind.find(workspace))):
                yield from _judged(kind, _without_links_above(path, workspace), options, rules, at)


def _judged(kind: Kind, path: Path, options: Options, rules: Protection, at: float) -> Iterator[Candidate | Kept]:
    try:
        seen = look(path)
    except (Unsafe, OSError) as error:
        yield Kept(Candidate(kind.name, str(path), path.name, "", "", None, None), str(error), can_be_forced=False)
        return
    if seen is None:
        return
    one = Candidate(kind.name, str(path), path.name, seen.identity, seen.top, seen.size, seen.used)
    idle, needed = at - seen.used, max(kind.age, options.older_than)
    if why := rules.of_path(path, seen.within):
        yield Kept(one, why)
    elif idle < kind.age and not kind.tells_young:
        return
    elif idle < needed:
        # what a process may still be using isn't removed by force either
        yield Kept(one, f"used or made {age(idle)} ago; it goes after {age(needed)}", can_be_forced=idle >= kind.age)
    else:
        yield one


def _without_links_above(path: Path, workspace: Workspace) -> Path:
    """A path whose cache folder, workspace or temporary folder is named without links.

    Those may be links, since somebody has put them where they are; below them none is followed.
    """
    import tempfile

    from tinytorch.places import cache_folder

    for root in (workspace.root, cache_folder(), Path(tempfile.gettempdir())):
        if path.is_relative_to(root):
            return root.resolve() / path.relative_to(root)
    return path


# --- at a provider ----------------------------------------------------------------------------------------------------


def _at(provider: RemovingProvider, options: Options, rules: Protection, table: Prices, at: float) -> Iterator[Candidate | Kept]:
    found = provider.resources(tags={TAG: options.project})
    found += [below for address in options.prefixes if isinstance(provider, Aws) and (below := provider.prefix(address))]
    volumes = {resource.id: resource for resource in found if isinstance(resource, Volume)}
    for resource in found:
        if (options.only and resource.kind not in options.only) or resource.state.lower() in GOING:
            continue
        one = candidate(resource, table.cost_per_hour(resource))
        idle = None if one.used is None else at - one.used
        if resource.tags.get(TAG) != options.project:  # of a prefix; and whatever a provider has answered
            yield Kept(one, f"it isn't {options.project}'s: its tag {TAG} is {resource.tags.get(TAG)!r}", can_be_forced=False)
        elif why := _held(resource, idle):
            yield Kept(one, why, can_be_forced=False)
        elif why := rules.of_resource(resource) or _of_disks(resource, volumes, rules):
            yield Kept(one, why)
        elif resource.state.lower() == "running":
            yield Kept(one, "it is running")
        elif options.older_than and (idle is None or idle < options.older_than):
            yield Kept(one, f"made {age(idle)} ago; it goes after {age(options.older_than)}" if idle is not None else "nobody knows when it was made")
        else:
            yield one


def _of_disks(resource: CloudResource, volumes: Mapping[str, Volume], rules: Protection) -> str | None:
    """Why an instance must stay for the sake of a volume that would be deleted with it; None if there is none."""
    for id in resource.takes_along if isinstance(resource, Instance) else ():
        disk = volumes.get(id) or replace(resource, kind="volume", id=id, name="", tags={})  # of another project, or without a tag
        if why := rules.of_resource(disk):
            return f"its volume {id} would be deleted with it: {why}"
    return None


def _held(resource: CloudResource, idle: float | None) -> str | None:
    """Why a resource can't go now, whatever anybody wants; None if it can."""
    if resource.attached_to or resource.state == "in-use":
        return f"it is attached to {resource.attached_to or 'an instance'}"
    if resource.kind == "bucket":
        return f"what is in a bucket may exist nowhere else. To remove it with all that: aws s3 rb --force s3://{resource.id}"
    if resource.state in ("pending", "creating") or (CLAIM_TAG in resource.tags and (idle is None or idle < HOUR)):
        return "it is being made"
    return None


def candidate(resource: CloudResource, per_hour: Money | None) -> Candidate:
    """A resource as something that may go, and what it costs per hour."""
    said = [
        resource.kind, resource.id, resource.name, resource.state, resource.attached_to, resource.size_gb,
        resource.created.isoformat() if resource.created else None, sorted(resource.tags.items()),
    ]  # fmt: skip
    return Candidate(
        resource.kind, resource.id, resource.name, files.sha256(json.dumps(said).encode("ascii"))[:16], "",
        None if resource.size_gb is None else int(resource.size_gb * 2**30), resource.created.timestamp() if resource.created else None,
        resource.provider, *((float(per_hour.amount), per_hour.currency) if per_hour else ()),
    )  # fmt: skip


# --- kept for later ---------------------------------------------------------------------------------------------------


def folder(workspace: Workspace, id: str) -> Path:
    return workspace.tito / FOLDER / id


def save(workspace: Workspace, plan: Plan) -> None:
    """Keep a plan, so that it can be carried out.

    Raises: StateError if it can't be written.
    """
    data = {"made": plan.made, "options": asdict(plan.options), "items": [asdict(item) for item in plan.items]}
    with workspace.store.writing(FOLDER):
        files.write_atomic(folder(workspace, plan.id) / _FILE, json.dumps(data, indent=1).encode("ascii"))


def load(workspace: Workspace, id: str | None) -> Plan:
    """A plan that was kept: of this id, or of a beginning of it that only one has; the newest without one.

    Raises: ConfigError if there is none; StateError if it can't be read.
    """
    kept = sorted((workspace.tito / FOLDER).glob(f"*/{_FILE}"), key=lambda path: (path.stat().st_mtime_ns, path.parent.name))
    fitting = [path for path in kept if path.parent.name.startswith(id or "")]
    if not fitting or (id is not None and (len(fitting) > 1 or not id)):
        known = ", ".join(path.parent.name for path in reversed(kept[-5:]))
        raise ConfigError(
            f"There is no plan{f' {id}' if id else ''} to carry out{f'; there are {known}' if known else ''}. Make one, and look at it: tito cleanup"
        )
    return _read(fitting[-1])


def _read(path: Path) -> Plan:
    try:
        data = json.loads(path.read_bytes())
        options: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data["options"].items()}
        plan = Plan(
            Options(**options), data["made"], tuple(Candidate(**item) for item in data["items"]), (),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{path} can't be read: {error}. Nothing was removed. Make a new plan: tito cleanup") from error
    if plan.id != path.parent.name:
        raise StateError(f"{path} was changed since it was made. Nothing was removed. Make a new plan: tito cleanup")
    return plan


def changes(plan: Plan, now: Plan, *, is_resumed: bool = False) -> list[str]:
    """What has happened to the things of a plan since, in sentences; `now` is the plan of this moment.

    Of a plan that is resumed, what is gone or half gone is its own doing.
    """
    going = {item.key: item for item in now.items}
    kept = {one.candidate.key: one for one in now.kept}
    said = []
    for item in plan.items:
        if item.key in kept:
            said.append(f"{item.id} stays now: {kept[item.key].why}")
        elif item.key in going and going[item.key].forced != item.forced:
            said.append(f"{item.id} is protected now: {going[item.key].forced}" if going[item.key].forced else f"{item.id} isn't protected any more")
        elif is_resumed:
            continue
        elif item.key not in going:
            said.append(f"{item.id} is gone")
        elif going[item.key].identity != item.identity:
            said.append(f"{item.id} has changed")
    return said
