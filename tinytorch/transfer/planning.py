"""What a transfer would do: found out by looking at both sides, before anything is written."""
from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tinytorch.errors import ConfigError, TransferError
from tinytorch.files import readable_size
from tinytorch.transfer import etags
from tinytorch.transfer.listing import Found, Listing, Store, excluded
from tinytorch.transfer.local import LocalStore
from tinytorch.transfer.location import DataLocation

__all__ = ["Plan", "Step", "planned"]

_AT_ONCE = 8  # files whose contents are compared at the same time


@dataclass(frozen=True)
class Step:
    """A file that is to be sent."""

    name: str  # at the source; "" if the source is a file
    target: str  # at the destination; "" if that is a file's name
    found: Found

    @property
    def title(self) -> str:
        """The name as people read it."""
        return self.target or self.name or "the file"


@dataclass(frozen=True)
class Plan:
    """What would be sent, left out and deleted."""

    source: str
    destination: str
    send: tuple[Step, ...]
    unchanged: int  # files
    compared: str  # how it is known that they are
    extra: tuple[str, ...]  # files that are at the destination only
    delete: tuple[str, ...]  # those of them that are to be deleted
    left_out: dict[str, str]  # name to reason: links, and folders without a file
    engine: str = ""
    reason: str = ""  # why that engine

    @property
    def nbytes(self) -> int:
        """Bytes that are to be sent."""
        return sum(step.found.size for step in self.send)

    def as_json(self) -> dict[str, Any]:
        """The plan as plain data."""
        return {
            "source": self.source, "destination": self.destination, "engine": self.engine, "reason": self.reason,
            "send": [{"name": step.title, "bytes": step.found.size} for step in self.send], "bytes": self.nbytes,
            "unchanged": self.unchanged, "compared": self.compared, "extra": list(self.extra), "delete": list(self.delete), "left_out": self.left_out,
        }  # fmt: skip


def planned(
    source: Store, target: Store, places: tuple[DataLocation, DataLocation], *,
    include: Iterable[str] = (), exclude: Iterable[str] = (), checksum: bool = False, delete: bool = False,
) -> Plan:
    """Look at both sides, and say what a transfer would do.

    Raises: TransferError if a side can't be read, or what is at the destination is in the way; ConfigError if the two are one.
    """
    if not _apart(*places):
        raise ConfigError(f"{places[0]} and {places[1]} are one place, or one is inside the other. Name two that have nothing in common")
    here, there = source.listing(), target.listing()
    if not here.files and not here.folders and not here.links:
        raise TransferError(f"{places[0]}: there is no such file or folder", retryable=False)
    out = excluded(include, exclude)
    wanted = {name: found for name, found in here.files.items() if not (name and out(name))}
    names = _targets(here, there, places, wanted)
    _check_names(target, there, names)
    steps, unchanged, ways = _differing(source, target, wanted, names, there, checksum=checksum)
    _check_room(target, steps)
    taken = set(names.values())
    extra = () if here.is_file else tuple(sorted(name for name in there.files if name not in taken and not out(name)))
    left = {name: why for name, why in here.links.items() if not out(name)} | {name: "a folder without files" for name in sorted(here.empty) if not out(name)}
    return Plan(
        str(places[0]), str(places[1]), tuple(steps), unchanged, " or ".join(sorted(ways)) or "nothing", extra, extra if delete else (), left
    )  # fmt: skip


def _apart(source: DataLocation, target: DataLocation) -> bool:
    if (source.kind, source.bucket, source.host, source.port) != (target.kind, target.bucket, target.host, target.port) or source.user != target.user:
        return True
    one, other = (os.path.realpath(place.path) if place.kind == "local" else f"/{place.path}".rstrip("/") for place in (source, target))
    separator = os.sep if source.kind == "local" else "/"
    return not f"{one}{separator}".startswith(f"{other}{separator}") and not f"{other}{separator}".startswith(f"{one}{separator}")


def _targets(here: Listing, there: Listing, places: tuple[DataLocation, DataLocation], wanted: dict[str, Found]) -> dict[str, str]:
    """Source name to target name."""
    if not here.is_file:
        if there.is_file:
            raise TransferError(f"{places[1]} is a file, and {places[0]} is a folder. Name a folder, or one that isn't there yet", retryable=False)
        return {name: name for name in wanted}
    into = places[1].is_folder or there.folders or there.links or (there.files and not there.is_file)
    base = places[0].path.replace("\\", "/").rpartition("/")[2] if places[0].kind == "local" else places[0].path.rpartition("/")[2]
    return dict.fromkeys(wanted, base if into else "")


def _check_names(target: Store, there: Listing, names: dict[str, str]) -> None:
    """Raises: TransferError if two files would become one, or one can't be where it should."""
    refused = {name: why for name in names.values() if name and (why := target.refusal(name))}
    if refused:
        name, why = next(iter(refused.items()))
        raise TransferError(
            f"{target.place} can't have a file {name!r}: {why}{f', and {len(refused) - 1} more' if len(refused) > 1 else ''}. "
            "Leave it out (--exclude), or rename it. Nothing was sent", retryable=False
        )  # fmt: skip
    targets = set(names.values())
    for name in targets:
        heads = [name[:at] for at, character in enumerate(name) if character == "/"]
        for head in heads:
            if head in there.files or head in targets:
                raise TransferError(f"{head} is to be a folder (for {name}), and {target.place} has, or would get, a file of that name. Rename one of them. Nothing was sent", retryable=False)
            if head in there.links:
                raise TransferError(f"{name}: at {target.place}, {head} is {there.links[head]}, and links are not followed there. Remove it, or send to where it leads. Nothing was sent", retryable=False)
        if name in there.folders:
            raise TransferError(f"{name} is a file here and a folder at {target.place}. Rename one of them. Nothing was sent", retryable=False)
        if name in there.links:
            raise TransferError(f"{name}: at {target.place} that is {there.links[name]}, and links are not followed there. Remove it. Nothing was sent", retryable=False)
    if len(names) > 1 and target.merges_case():
        _check_case(target, there, targets)


def _check_case(target: Store, there: Listing, names: set[str]) -> None:
    seen: dict[str, str] = {}
    for name in (*sorted(there.files), *sorted(names)):
        parts = name.split("/")
        for end in range(1, len(parts) + 1):
            head = "/".join(parts[:end])
            before = seen.setdefault(unicodedata.normalize("NFC", head).casefold(), head)
            if before != head and name in names:
                raise TransferError(
                    f"{before} and {head} are one file or folder at {target.place}, which doesn't tell upper case from lower. "
                    "Rename one of them. Nothing was sent", retryable=False
                )  # fmt: skip


def _differing(
    source: Store, target: Store, wanted: dict[str, Found], names: dict[str, str], there: Listing, *, checksum: bool
) -> tuple[list[Step], int, set[str]]:
    """The files that aren't at the destination as they are at the source, how many are, and how that is known."""
    ways: set[str] = set()

    def step(name: str) -> Step | None:
        found, at = wanted[name], there.files.get(names[name])
        if at is None or at.size != found.size:
            return Step(name, names[name], found)
        is_same, way = _compared(source, target, name, names[name], found, at, checksum=checksum)
        ways.add(way)
        return None if is_same else Step(name, names[name], found)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="tinytorch-compare") as pool:
        steps = [one for one in pool.map(step, sorted(wanted)) if one]
    return steps, len(wanted) - len(steps), ways


def _compared(source: Store, target: Store, name: str, target_name: str, found: Found, at: Found, *, checksum: bool) -> tuple[bool, str]:
    """Whether two files of the same size are the same, and how that is known."""
    sides = ((source, name, found), (target, target_name, at))
    if found.etag and found.etag == at.etag:
        return True, "size and checksum"
    for (one, one_name, facts), (_, _, tagged) in (sides, sides[::-1]):
        if isinstance(one, LocalStore) and etags.parts_in(tagged.etag) is not None:  # S3 tells its checksum
            return etags.matches(one.path(one_name), tagged.etag, facts.size), "size and checksum"
    if checksum:
        return source.sha256(name, found) == target.sha256(target_name, at), "size and checksum"
    step = max(source.mtime_step, target.mtime_step)
    times = [one.detailed(one_name, facts).mtime for one, one_name, facts in sides]
    return abs(times[0] - times[1]) <= step, "size and time of modification"


def _check_room(target: Store, steps: list[Step]) -> None:
    needed = sum(step.found.size for step in steps)
    free = target.free() if steps else None
    if free is not None and needed > free:
        raise TransferError(f"{target.place}: {readable_size(needed)} are to be sent, and there is room for {readable_size(free)}. Make room. Nothing was sent", retryable=False)
