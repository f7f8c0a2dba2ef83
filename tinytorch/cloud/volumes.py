"""Volumes of EBS by name: one of a name, made once, deleted only when nobody needs it.

AWS lets any number of volumes have one name. So a new one carries a claim, a tag with the request's own token, until its
maker has looked again and found no other. Of two that are made at once, the one whose id is larger gives way; the other
waits for that, and gives way itself to one that is already settled. Whoever sees nobody settles: whoever comes later sees
that. The order of ids alone would not do, since the one with the larger id may have looked, and gone, before the other
was there.
"""
from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tinytorch.cloud.aws import Aws, Volume, tags_of
from tinytorch.cloud.resource import GOING, PROTECTED_TAG, TAG, CloudResource, NotFound, has_tags
from tinytorch.errors import CloudError

__all__ = ["CLAIM_TAG", "Duplicate", "Kept", "Volumes", "described"]

R = TypeVar("R", bound=CloudResource)

CLAIM_TAG = "tinytorch:claim"
_POLL = 1.0  # seconds between two looks
_TOP = 65536  # GB of the largest volume that any type allows; AWS says of each what it allows


class Duplicate(CloudError):
    """A volume of that name exists; `volume` is it."""

    def __init__(self, message: str, volume: Volume) -> None:
        super().__init__(message)
        self.volume = volume


class Kept(CloudError):
    """A resource that may not be removed, and why."""


def described(volume: Volume) -> str:
    """A volume in a line: id, size, state, zone, when it was made."""
    made = f", made {volume.created:%Y-%m-%d %H:%M} UTC" if volume.created else ""
    attached = f", attached to {volume.attached_to}" if volume.attached_to else ""
    return f"{volume.id} ({volume.size_gb:g} GB, {volume.type}, {volume.state}{attached}, {volume.zone}{made})"


@dataclass
class Volumes:
    """The volumes of a project in one region.

    `on_change(resource, event)` is told of what was "created", "deleted" or "snapshot" (the resource is then the snapshot):
    what cost is recorded from. `report(text)` is told where a wait stands.
    """

    aws: Aws
    project: str
    timeout: float = 300.0  # seconds of a wait
    on_change: Callable[[CloudResource, str], None] = lambda resource, event: None
    report: Callable[[str], None] = lambda text: None
    protection: Callable[[CloudResource], str | None] = lambda resource: None  # why a resource is protected
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def all(self) -> list[Volume]:
        """The project's volumes, sorted by name."""
        return sorted(self._with({TAG: self.project}), key=lambda volume: (volume.name, volume.id))

    def create(self, name: str, size_gb: int, *, type: str = "gp3", zone: str | None = None) -> Volume:
        """Make a volume, and wait until it can be attached.

        `zone` is that of the instance which will use it; else the first of the region.

        Raises: Duplicate if there is one of that name, whoever made it, also if it came up meanwhile: what was made here
            is deleted again. CloudError if AWS refuses, or the wait runs out.
        """
        _check(name, size_gb)
        if found := self._named(name):
            raise _duplicate(name, found[0])
        zone = zone or self._first_zone()
        token = uuid.uuid4().hex
        tags = {"Name": name, TAG: self.project, CLAIM_TAG: token}
        made = self.aws.volume(self.aws.call(
            "ec2", "create_volume", AvailabilityZone=zone, Size=size_gb, VolumeType=type, ClientToken=token,
            TagSpecifications=[{"ResourceType": "volume", "Tags": tags_of(tags)}],
        ))  # fmt: skip
        volume = self._settle(name, token, made)
        self.on_change(volume, "created")  # before the wait, which may fail: it costs from now on
        available = self._waited(volume.id, "available", f"{name} ({volume.id})")
        assert available is not None
        return available

    def deletable(self, name: str) -> Volume:
        """The project's volume of that name or id, if it may be deleted.

        Raises: NotFound if there is none; Kept if it is attached, protected, or not the project's; CloudError if there
            are several.
        """
        volume = self._mine(name)
        if volume.attached_to or volume.state == "in-use":
            raise Kept(f"{described(volume)} is attached, and was not deleted. Detach it first: aws ec2 detach-volume --volume-id {volume.id}")
        why = f"it has the tag {PROTECTED_TAG}" if PROTECTED_TAG in volume.tags else self.protection(volume)
        if why:
            raise Kept(f"{described(volume)} is protected, and was not deleted: {why}")
        return volume

    def delete(self, name: str) -> Volume:
        """Delete the project's volume of that name or id, and wait until it is gone.

        Raises: as `deletable` does; CloudError if AWS refuses, or the wait runs out.
        """
        volume = self.deletable(name)
        self.aws.remove(volume)
        self.on_change(volume, "deleted")
        self._waited(volume.id, None, f"{volume.name} ({volume.id})")
        return volume

    def snapshot(self, name: str) -> CloudResource:
        """Begin a snapshot of the project's volume of that name or id; AWS finishes it by itself.

        Raises: as `delete` does, but an attached or protected volume has its snapshot made.
        """
        volume = self._mine(name)
        token = uuid.uuid4().hex
        tags = {"Name": volume.name, TAG: self.project, CLAIM_TAG: token}
        tried: list[str] = []

        def make() -> CloudResource:
            # AWS takes no idempotency token here: another try looks for what the one before may have made
            if tried and (found := self.aws.resources_of("snapshot", {CLAIM_TAG: token})):
                return found[0]
            tried.append(token)
            client = self.aws.client("ec2")
            answer = self.aws.once(
                "create_snapshot", lambda: client.create_snapshot(
                    VolumeId=volume.id, Description=f"{volume.name} of {self.project}",
                    TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags_of(tags)}],
                ),
            )  # fmt: skip
            return self.aws.snapshot(answer)

        made = self._unclaimed(self.aws.retry.call(make))
        self.on_change(made, "snapshot")
        return made

    # --- which volume ----------------------------------------------------------------------------------------------

    def _with(self, tags: Mapping[str, str]) -> list[Volume]:
        """The volumes that have these tags and aren't being deleted."""
        return [volume for volume in self.aws.volumes(tags) if has_tags(volume, tags) and volume.state not in GOING | {"error"}]

    def _named(self, name: str) -> list[Volume]:
        """All volumes of a name, whoever made them; those that are settled first, then by id."""
        return sorted(self._with({"Name": name}), key=lambda volume: (CLAIM_TAG in volume.tags, volume.id))

    def _mine(self, name: str) -> Volume:
        named = self._named(name)
        if name.startswith("vol-"):
            named += [volume for volume in self._with({}) if volume.id == name]
        found = [volume for volume in named if volume.tags.get(TAG) == self.project]
        if not found and named:
            raise Kept(f"{described(named[0])} isn't this project's: its tag {TAG} is {named[0].tags.get(TAG)!r}, not {self.project!r}. Nothing was changed")
        if not found:
            raise NotFound(f"There is no volume {name} in {self.aws.region}. Those that there are: tito cloud volume list")
        if len(found) > 1:
            raise CloudError(f"{len(found)} volumes are called {name}; say which by its id: {'; '.join(map(described, found))}")
        return found[0]

    def _first_zone(self) -> str:
        zones = self.aws.call("ec2", "describe_availability_zones")["AvailabilityZones"]
        usable = sorted(zone["ZoneName"] for zone in zones if zone.get("State") == "available")
        if not usable:
            raise CloudError(f"{self.aws.region} has no zone that can be used. Choose another region: AWS_REGION")
        return str(usable[0])

    # --- waiting ---------------------------------------------------------------------------------------------------

    def _unclaimed(self, resource: R) -> R:
        """A resource after its claim was taken back."""
        self.aws.call("ec2", "delete_tags", Resources=[resource.id], Tags=[{"Key": CLAIM_TAG}])
        return replace(resource, tags={key: value for key, value in resource.tags.items() if key != CLAIM_TAG})

    def _settle(self, name: str, token: str, made: Volume) -> Volume:
        """The new volume, once it is the only one of its name; else it is deleted.

        Raises: Duplicate, or CloudError if that isn't clear in time.
        """
        deadline = self.clock() + self.timeout
        while True:
            found = self._named(name)
            mine = [volume for volume in found if volume.tags.get(CLAIM_TAG) == token]
            others = [volume for volume in found if volume not in mine]
            first = mine[0].id if mine else made.id  # a list may be older than the volume
            before = next((volume for volume in others if CLAIM_TAG not in volume.tags or volume.id < first), None)
            if before:
                self._give_way(mine)
                raise _duplicate(name, before, f" It was made at the same time; what was made here ({made.id}) is deleted again.")
            if mine and not others:
                self._give_way(mine[1:])  # of a try whose answer was lost, at a service that ignores the token
                return self._unclaimed(mine[0])
            if self.clock() >= deadline:
                if not others:
                    self.on_change(made, "created")
                    raise CloudError(f"{name}: AWS made {made.id}, and doesn't list it after {self.timeout:g} seconds. Nothing more was done; look later: tito cloud volume list")
                self._give_way(mine)
                raise CloudError(
                    f"{name}: another process, which may have been killed, has begun to make {described(others[0])}. What was made here "
                    f"({made.id}) is deleted again. To remove the other: tito cloud volume delete {others[0].id}"
                )
            self.report(f"{name}: another process makes one at the same time; waiting for it to give way" if others else f"{name}: AWS doesn't list it yet")
            self.sleep(_POLL)

    def _give_way(self, mine: list[Volume]) -> None:
        for volume in mine:
            self.aws.remove(volume)

    def _waited(self, id: str, state: str | None, what: str) -> Volume | None:
        """The volume once it is in a state; None for a volume that is to be gone.

        Raises: CloudError if that takes too long. Nothing is changed then.
        """
        deadline = self.clock() + self.timeout
        while True:
            try:
                volume = next(self.aws.volumes(VolumeIds=[id]), None)
            except NotFound:
                volume = None
            now = volume.state if volume else "gone"
            if (volume is None or now == "deleted") if state is None else now == state:
                return volume
            if now == "error":
                raise CloudError(f"{what}: AWS could not make it. Remove it, and try another zone: tito cloud volume delete {id}")
            if self.clock() >= deadline:
                raise CloudError(
                    f"{what} is still {now} after {self.timeout:g} seconds, not {state or 'gone'}. Nothing more was done. "
                    "AWS goes on by itself; look later: tito cloud volume list"
                )
            self.report(f"{what} is {now}; waiting until it is {state or 'gone'}")
            self.sleep(_POLL)


def _check(name: str, size_gb: int) -> None:
    if not name.strip() or name != name.strip() or len(name) > 255 or name.startswith("vol-"):
        raise CloudError(f"{name!r} can't be the name of a volume: up to 255 characters, no blanks at the ends, and not vol-..., which ids begin with")
    if not 1 <= size_gb <= _TOP:
        raise CloudError(f"{name}: a volume of {size_gb} GB can't be made; from 1 to {_TOP:,}")


def _duplicate(name: str, volume: Volume, more: str = "") -> Duplicate:
    return Duplicate(
        f"There is a volume called {name} already: {described(volume)}.{more} "
        f"Use that one, choose another name, or delete it first: tito cloud volume delete {volume.id}", volume,
    )  # fmt: skip
