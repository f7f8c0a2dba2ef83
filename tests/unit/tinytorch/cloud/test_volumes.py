"""Volumes by name: one of a name whoever races, and deleted only when that harms nobody."""
from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.tinytorch.cloud.account import Account, Lost, Refused
from tests.unit.tinytorch.cloud.conftest import AT_ONCE
from tinytorch.cloud.aws import Aws, Volume
from tinytorch.cloud.resource import CloudResource, NotFound
from tinytorch.cloud.volumes import CLAIM_TAG, Duplicate, Kept, Volumes
from tinytorch.errors import CloudError

LIMIT = 20.0  # seconds for what takes a moment


def volumes_of(aws: Aws, **options: Any) -> Volumes:
    return Volumes(aws, "course", sleep=lambda seconds: time.sleep(0.01), **{"timeout": LIMIT} | options)


@pytest.fixture
def volumes(aws: Aws) -> Volumes:
    return volumes_of(aws)


# --- create -----------------------------------------------------------------------------------------------------------


def test_a_volume_is_made_with_its_tags_and_waited_for(account: Account, aws: Aws) -> None:
    told: list[tuple[str, str]] = []
    made = volumes_of(aws, on_change=lambda resource, event: told.append((resource.id, event))).create("data 🙂", 12, type="gp2", zone="us-east-1c")
    assert (made.name, made.size_gb, made.type, made.state, made.zone) == ("data 🙂", 12.0, "gp2", "available", "us-east-1c")
    assert account.volumes() == {made.id: {"Name": "data 🙂", "tinytorch": "course"}} and told == [(made.id, "created")]


@pytest.mark.parametrize("tags", [{"tinytorch": "course"}, {"tinytorch": "other"}, {}], ids=["ours", "another project's", "untagged"])
def test_a_name_that_is_taken_is_refused_and_the_volume_shown(account: Account, volumes: Volumes, tags: dict[str, str]) -> None:
    there = account.volume({"Name": "data", **tags})
    with pytest.raises(Duplicate, match=rf"called data already: {there} \(3 GB, gp3, available, us-east-1b, made \d{{4}}-.* UTC\)") as caught:
        volumes.create("data", 12)
    assert caught.value.volume.id == there and list(account.volumes()) == [there]
    assert volumes.create("dat", 1).name == "dat", "a name that begins alike is another one"


@pytest.mark.parametrize("name, size", [("", 1), (" data", 1), ("x" * 256, 1), ("vol-1", 1), ("data", 0), ("data", -5), ("data", 99999)])
def test_a_wrong_name_or_size_is_refused_before_anything_is_asked(account: Account, volumes: Volumes, name: str, size: int) -> None:
    with pytest.raises(CloudError, match="can't be"):
        volumes.create(name, size)
    assert account.asked == []


def test_a_lost_answer_leaves_one_volume(account: Account, volumes: Volumes) -> None:
    """moto ignores the token that makes a second try harmless at AWS, so the second look has to do it."""
    account.plan(Lost("CreateVolume"))
    made = volumes.create("data", 12)
    assert account.asked.count("CreateVolume") == 2 and list(account.volumes()) == [made.id]
    assert len(account.tokens) == 2 and len(set(account.tokens)) == 1
    volumes.create("more", 1)
    assert len(set(account.tokens)) == 2, "a token that came back would give back a volume that was deleted"


def test_a_volume_that_is_being_deleted_does_not_hold_its_name(account: Account, volumes: Volumes, monkeypatch: pytest.MonkeyPatch) -> None:
    going, original = account.volume({"Name": "data", "tinytorch": "course"}), Aws.volume
    monkeypatch.setattr(Aws, "volume", lambda self, entry: original(self, entry | ({"State": "deleting"} if entry["VolumeId"] == going else {})))
    assert volumes.create("data", 1).id != going


def race(account: Account, aws: Aws, makers: int) -> list[CloudResource | CloudError]:
    """What several `create` end in that all have looked before any has made anything."""
    together = threading.Barrier(makers)
    account.before = lambda action: together.wait(LIMIT) if action == "CreateVolume" else None  # type: ignore[return-value]
    ends: list[CloudResource | CloudError] = []

    def create() -> None:
        try:
            ends.append(volumes_of(aws).create("data", 12))
        except CloudError as error:
            ends.append(error)

    threads = [threading.Thread(target=create) for _ in range(makers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


@pytest.mark.parametrize("makers", [2, 3])
def test_of_several_at_once_one_makes_it_and_the_others_say_so(account: Account, aws: Aws, makers: int) -> None:
    ends = race(account, aws, makers)
    (made,) = [end for end in ends if isinstance(end, CloudResource)]
    assert account.volumes() == {made.id: {"Name": "data", "tinytorch": "course"}}
    lost = [end for end in ends if not isinstance(end, CloudResource)]
    assert len(lost) == makers - 1
    assert all(isinstance(end, Duplicate) and f"already: {made.id}" in str(end) and "is deleted again" in str(end) for end in lost)


@pytest.mark.parametrize("comes", range(6))
def test_whoever_looked_before_the_other_was_finished_gives_way(account: Account, aws: Aws, comes: int) -> None:
    """By ids alone the second would stay too, in every other case: hence six times."""
    first: list[CloudResource] = []

    def meanwhile(action: str) -> None:
        if action == "CreateVolume":
            account.before = lambda action: None
            first.append(volumes_of(aws).create("data", 12))

    account.before = meanwhile
    with pytest.raises(Duplicate, match="at the same time"):
        volumes_of(aws).create("data", 12)
    assert list(account.volumes()) == [first[0].id]


def test_a_claim_of_a_killed_process_is_not_waited_for_forever(account: Account, aws: Aws) -> None:
    ticks = itertools.count()

    def meanwhile(action: str) -> None:
        if action == "CreateVolume":
            account.before = lambda action: None
            for _ in range(30):  # one of them has the larger id
                account.volume({"Name": "data", "tinytorch": "course", "tinytorch:claim": "dead"})

    account.before = meanwhile
    with pytest.raises(CloudError, match=r"at the same time|may have been killed.*is deleted again. To remove the other: tito cloud volume delete vol-"):
        volumes_of(aws, timeout=3, clock=lambda: next(ticks)).create("data", 12)
    assert {tags[CLAIM_TAG] for tags in account.volumes().values()} == {"dead"}


# --- waiting ------------------------------------------------------------------------------------------------------------


def test_a_wait_that_runs_out_says_what_to_do_and_changes_nothing(account: Account, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    original = Aws.volume

    def creating(self: Aws, entry: dict[str, Any]) -> Volume:
        return original(self, entry | {"State": "creating"})

    monkeypatch.setattr(Aws, "volume", creating)
    told: list[str] = []
    changes: list[str] = []
    with pytest.raises(CloudError, match=r"is still creating after 3 seconds, not available. Nothing more was done.*tito cloud volume list"):
        volumes_of(aws, timeout=3, clock=lambda: next(ticks), report=told.append, on_change=lambda resource, event: changes.append(event)).create("data", 12)
    assert changes == ["created"], "it costs, whether it was waited for or not"
    assert len(account.volumes()) == 1 and "waiting until it is available" in told[-1] and "DeleteVolume" not in account.asked


def test_a_volume_that_is_not_listed_in_time_is_told_and_costs(account: Account, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks, told = itertools.count(), []
    monkeypatch.setattr(Aws, "volumes", lambda self, *arguments, **more: iter(()))
    with pytest.raises(CloudError, match=r"AWS made vol-\w+, and doesn't list it after 3 seconds. Nothing more was done; look later"):
        volumes_of(aws, timeout=3, clock=lambda: next(ticks), on_change=lambda resource, event: told.append((resource.id, event))).create("data", 12)
    assert told == [(id, "created") for id in account.volumes()] and len(told) == 1


def test_expired_credentials_in_the_middle_are_told(account: Account, volumes: Volumes) -> None:
    account.plan(Refused("RequestExpired", action="CreateVolume"))
    with pytest.raises(CloudError, match="credentials have expired"):
        volumes.create("data", 12)
    assert account.volumes() == {}


# --- delete and snapshot ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_volume_is_deleted_by_name_or_id(account: Account, aws: Aws, by: str) -> None:
    told: list[tuple[str, str]] = []
    volumes = volumes_of(aws, on_change=lambda resource, event: told.append((resource.id, event)))
    mine, other = account.volume({"Name": "data", "tinytorch": "course"}), account.volume({"Name": "data-2", "tinytorch": "course"})
    assert volumes.delete("data" if by == "name" else mine).id == mine
    assert list(account.volumes()) == [other] and told == [(mine, "deleted")]


def _protected(account: Account) -> None:
    account.volume({"Name": "data", "tinytorch": "course", "tinytorch:protected": ""})


def _attached(account: Account) -> None:
    account.attach(account.volume({"Name": "data", "tinytorch": "course"}))


@pytest.mark.parametrize(
    "prepare, error, says",
    [
        (_protected, Kept, "is protected, and was not deleted: it has the tag tinytorch:protected"),
        (_attached, Kept, "attached to i-.* is attached, and was not deleted. Detach it first: aws ec2 detach-volume"),
        (lambda account: account.volume({"Name": "data", "tinytorch": "course-2"}), Kept, "isn't this project's: its tag tinytorch is 'course-2', not 'course'"),
        (lambda account: account.volume({"Name": "data"}), Kept, "its tag tinytorch is None"),
        (lambda account: [account.volume({"Name": "data", "tinytorch": "course"}) for _ in range(2)], CloudError, "2 volumes are called data; say which by its id: vol-.*; vol-"),
        (lambda account: account.volume({"Name": "data-2", "tinytorch": "course"}), NotFound, "no volume data in us-east-1"),
    ],
    ids=["protected", "attached", "another project's", "untagged", "two", "none"],
)  # fmt: skip
def test_what_must_stay_stays(account: Account, volumes: Volumes, prepare: Callable[[Account], object], error: type[CloudError], says: str) -> None:
    prepare(account)
    before = account.volumes()
    with pytest.raises(error, match=says):
        volumes.delete("data")
    assert {id: tags for id, tags in account.volumes().items() if id in before} == before and "DeleteVolume" not in account.asked


def test_a_rule_of_the_caller_protects_too(account: Account, aws: Aws) -> None:
    account.volume({"Name": "data", "tinytorch": "course"})
    with pytest.raises(Kept, match="not deleted: a rule"):
        volumes_of(aws, protection=lambda volume: f"a rule about {volume.name}").delete("data")


def test_a_volume_that_is_attached_at_the_last_moment_stays(account: Account, volumes: Volumes) -> None:
    mine = account.volume({"Name": "data", "tinytorch": "course"})
    account.before = lambda action: account.attach(mine) if action == "DeleteVolume" else None  # type: ignore[return-value]
    with pytest.raises(CloudError, match="it is in use"):
        volumes.delete("data")
    assert mine in account.volumes()


def test_a_snapshot_is_made_once_also_if_the_answer_is_lost(account: Account, volumes: Volumes) -> None:
    account.volume({"Name": "data", "tinytorch": "course"})
    account.plan(Lost("CreateSnapshot"))
    made = volumes.snapshot("data")
    found = account.client("ec2").describe_snapshots(OwnerIds=["self"], Filters=[{"Name": "tag:tinytorch", "Values": ["course"]}])["Snapshots"]
    assert [snapshot["SnapshotId"] for snapshot in found] == [made.id]
    assert {tag["Key"]: tag["Value"] for tag in found[0]["Tags"]} == {"Name": "data", "tinytorch": "course"}


def test_the_list_is_the_projects(account: Account, volumes: Volumes) -> None:
    account.volume({"Name": "b", "tinytorch": "course"})
    account.volume({"Name": "a", "tinytorch": "course"})
    account.volume({"Name": "c", "tinytorch": "other"})
    assert [volume.name for volume in volumes.all()] == ["a", "b"]


def test_the_retries_are_our_own(account: Account, volumes: Volumes) -> None:
    account.plan(*[Refused("RequestLimitExceeded", 503)] * 3)
    with pytest.raises(CloudError, match="AWS is busy"):
        volumes.all()
    assert len(account.asked) == AT_ONCE.attempts
