"""A plan is carried out exactly, recorded, and goes on after a kill."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pytest_tinytorch.cleanup import carrying, removal
from pytest_tinytorch.cleanup import plan as planning
from pytest_tinytorch.cleanup.carrying import PlanChanged, Result, carry_out, history
from pytest_tinytorch.cleanup.kinds import DAY
from pytest_tinytorch.cleanup.plan import Options, make
from pytest_tinytorch.workspace.layout import Workspace
from tests.unit.pytest_tinytorch.cleanup.conftest import age
from tests.unit.tinytorch.cloud.account import Account, Refused
from tests.unit.tinytorch.cloud.conftest import account, aws, opened, running  # noqa: F401  # fixtures
from tinytorch import files
from tinytorch.cloud.aws import Aws
from tinytorch.errors import ConfigError, DataError


def names(workspace: Workspace, event: str) -> list[str]:
    return sorted(Path(entry[3]).name for entry in history(workspace) if entry[0] == event)


def test_exactly_the_plan_is_removed_and_recorded(workspace: Workspace, shards: list[Path]):
    plan = make(workspace, Options(keep=(shards[0].name,)))
    told: list[str] = []
    result = carry_out(workspace, plan, on_change=lambda item, event: told.append(f"{event} {Path(item.id).name}"))
    assert result.size == 2000 and [Path(item.id) for item in result.removed] == shards[1:] and not result.failed and str(result.per_hour) == "nothing"
    assert [path.exists() for path in shards] == [True, False, False]
    assert names(workspace, "removing") == names(workspace, "removed") == [path.name for path in shards[1:]]
    assert told == [f"removed {path.name}" for path in shards[1:]]
    again = carry_out(workspace, plan)
    assert again.processed == 0 and again.removed == result.removed and len(history(workspace)) == 4


@pytest.mark.parametrize("change", ["gone", "changed", "protected", "used"])
def test_a_world_that_changed_is_told_and_nothing_is_removed(workspace: Workspace, shards: list[Path], change: str):
    plan = make(workspace, Options())
    if change == "gone":
        shards[0].unlink()
    elif change == "changed":
        shards[0].write_bytes(b"more")
        age(shards[0], 40 * DAY)
    elif change == "used":
        os.utime(shards[0])
    else:
        (workspace.root / ".tito-protect").write_text(shards[0].name, "utf-8")
    says = {"gone": "is gone", "changed": "has changed", "protected": "stays now: .tito-protect, line 1", "used": "stays now: used or made under an hour ago"}
    with pytest.raises(PlanChanged, match=rf"(?s)Nothing was removed.*{shards[0].name} {says[change]}.*tito cleanup") as caught:
        carry_out(workspace, plan)
    assert len(caught.value.changes) == 1 and all(path.exists() for path in shards[1:]) and history(workspace) == []


def test_what_is_protected_since_is_told_of_a_forced_plan_too(workspace: Workspace, shards: list[Path]):
    plan = make(workspace, Options(force=True))
    (workspace.root / ".tito-protect").write_text(shards[0].name, "utf-8")
    with pytest.raises(PlanChanged, match="is protected now: .tito-protect, line 1"):
        carry_out(workspace, plan)
    forced = make(workspace, Options(force=True))
    (workspace.root / ".tito-protect").unlink()
    with pytest.raises(PlanChanged, match="isn't protected any more"):
        carry_out(workspace, forced)
    assert all(path.exists() for path in shards)


def test_what_came_to_be_removable_since_is_no_reason_to_refuse(workspace: Workspace, shards: list[Path]):
    age(shards[0], DAY)
    plan = make(workspace, Options())
    age(shards[0], 40 * DAY)
    assert len(carry_out(workspace, plan).removed) == 2 and shards[0].exists()


def test_one_that_fails_stops_nobody_and_is_tried_again(workspace: Workspace, shards: list[Path], monkeypatch: pytest.MonkeyPatch):
    plan, original = make(workspace, Options()), removal.remove

    def refuse(path: Path, seen: Any) -> bool:
        if path == shards[1]:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, seen)

    with monkeypatch.context() as patched:
        patched.setattr(removal, "remove", refuse)
        result = carry_out(workspace, plan)
    assert len(result.removed) == 2 and list(result.failed) == [str(shards[1])] and "Permission denied" in result.failed[str(shards[1])]
    again = carry_out(workspace, plan)
    assert len(again.removed) == 3 and not again.failed and again.processed == 1


def test_a_file_that_is_replaced_while_it_runs_stays(workspace: Workspace, shards: list[Path]):
    plan = make(workspace, Options())

    def meanwhile(item: Any, event: str) -> None:
        if Path(item.id) == shards[0]:
            shards[1].write_bytes(b"precious")

    result = carry_out(workspace, plan, on_change=meanwhile)
    assert shards[1].read_bytes() == b"precious" and "has changed since the plan was made" in result.failed[str(shards[1])] and len(result.removed) == 2


def test_a_cache_at_work_is_left_alone(workspace: Workspace, cache: Path, monkeypatch: pytest.MonkeyPatch):
    from tinytorch.datasets import cache as datasets
    from tinytorch.datasets import registry

    mnist = registry.dataset("mnist")
    part = cache / "datasets" / "mnist" / f"{mnist.files[0].name}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"123")
    age(part, 40 * DAY)
    plan = make(workspace, Options())
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with datasets.locked(mnist, mnist.files[0].name, timeout=0):
            holding.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(60)
    try:
        result = carry_out(workspace, plan)
    finally:
        done.set()
        thread.join()
    assert part.exists() and "another process downloads mnist" in result.failed[str(part)]
    assert len(carry_out(workspace, plan).removed) == 1 and not part.exists()


def test_what_a_transfer_at_work_needs_is_left_alone(workspace: Workspace, cache: Path):
    folder = cache / "transfers" / "0123456789abcdef"
    (folder / "parts").mkdir(parents=True)
    for name in ("journal.jsonl", "progress.json", "parts/1.jsonl", ".lock"):
        (folder / name).write_bytes(b"123")
    age(folder, 40 * DAY)
    plan = make(workspace, Options())
    with files.lock(folder / ".lock", timeout=0, again=False):
        result = carry_out(workspace, plan)
    assert len(result.failed) == 3 and all("another process is at work there" in why for why in result.failed.values()) and (folder / "parts" / "1.jsonl").exists()
    assert len(carry_out(workspace, plan).removed) == 3 and [path.name for path in folder.iterdir()] == [".lock"]


def test_two_at_once_are_one(workspace: Workspace, shards: list[Path]):
    plan = make(workspace, Options())
    (workspace.tito / "cleanup").mkdir()
    with files.lock(workspace.tito / "cleanup" / ".lock", timeout=0, again=False), pytest.raises(DataError, match="Another cleanup is at work"):
        carry_out(workspace, plan)
    assert all(path.exists() for path in shards)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_cleanup_goes_on_and_its_record_is_whole(workspace: Workspace, cache: Path, shards: list[Path], temporary: Path):
    """Killed when a file has its other name and isn't deleted yet, which is the worst moment."""
    plan = make(workspace, Options())
    planning.save(workspace, plan)
    program = f"""
import os, signal
from pathlib import Path
from pytest_tinytorch.cleanup import carrying, plan, removal
from pytest_tinytorch.course.curriculum import read_course
from pytest_tinytorch.workspace.layout import Workspace
original, count = removal._delete, []
def delete(path):
    count.append(path)
    if len(count) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    original(path)
removal._delete = delete
workspace = Workspace(Path({str(workspace.root)!r}), read_course(Path({os.environ["TINYTORCH_TEMPLATES"]!r})))
carrying.carry_out(workspace, plan.load(workspace, None))
"""
    killed = subprocess.run([sys.executable, "-c", program], env=os.environ | {"TMPDIR": str(temporary)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.exists() for path in shards] == [False, False, True] and removal.aside(shards[1]).exists()
    result = carry_out(workspace, plan)
    assert len(result.removed) == 3 and not result.failed and not any((cache / "shards").glob("*.shard")) and not removal.aside(shards[1]).exists()
    assert names(workspace, "removed") == [path.name for path in shards]


def test_a_removal_that_was_not_recorded_any_more_is_known_from_its_beginning(workspace: Workspace, shards: list[Path], monkeypatch: pytest.MonkeyPatch):
    plan, original = make(workspace, Options()), carrying._Record.add

    def killed(self: Any, event: str, plan: str, one: Any) -> None:
        if event == "removed":
            raise KeyboardInterrupt
        original(self, event, plan, one)

    with monkeypatch.context() as patched:
        patched.setattr(carrying._Record, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            carry_out(workspace, plan)
    assert not shards[0].exists()
    result = carry_out(workspace, plan)
    assert len(result.removed) == 3 and not result.gone


def test_what_somebody_else_removes_meanwhile_is_told_apart(workspace: Workspace, shards: list[Path]):
    plan = make(workspace, Options())
    result = carry_out(workspace, plan, on_change=lambda item, event: shards[1].unlink(missing_ok=True))
    assert [Path(item.id) for item in result.gone] == [shards[1]] and len(result.removed) == 2 and not result.failed


def test_a_torn_record_is_gone_on_with(workspace: Workspace, shards: list[Path]):
    plan = make(workspace, Options())
    path = workspace.tito / "cleanup" / carrying.RECORD
    path.parent.mkdir()
    path.write_bytes(b"01234567 [\"remov")
    assert len(carry_out(workspace, plan).removed) == 3 and len(history(workspace)) == 6


# --- at a provider ----------------------------------------------------------------------------------------------------

MINE = {"tinytorch": "course"}
CLOUD = Options(cloud=True, project="course")


def test_what_has_the_tag_goes_and_nothing_else(workspace: Workspace, account: Account, aws: Aws):  # noqa: F811
    ec2 = account.client("ec2")
    mine, named = account.volume(MINE), account.volume(MINE | {"Name": "data"})
    others = [account.volume({"tinytorch": value}) for value in ("course-2", "Course", "cours", "*", "")] + [account.volume({"Name": "course"})]
    protected = account.volume(MINE | {"tinytorch:protected": ""})
    attached = account.volume(MINE)
    account.attach(attached)
    snapshot = ec2.create_snapshot(VolumeId=mine, TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": "tinytorch", "Value": "course"}]}])["SnapshotId"]
    machine = account.instance(MINE)
    account.client("s3").create_bucket(Bucket="mine")
    account.client("s3").put_bucket_tagging(Bucket="mine", Tagging={"TagSet": [{"Key": "tinytorch", "Value": "course"}]})
    plan = make(workspace, Options(cloud=True, project="course", keep=("data",)), providers=[aws])
    assert {item.id for item in plan.items} == {mine, snapshot}
    why = {one.candidate.id: one.why for one in plan.kept}
    assert why[named] == "--keep says data" and why[protected] == "it has the tag tinytorch:protected" and "attached to i-" in why[attached]
    assert why[machine] == "it is running" and "may exist nowhere else" in why["mine"] and len(why) == 5
    result = carry_out(workspace, plan, providers=[aws])
    assert {item.id for item in result.removed} == {mine, snapshot} and str(result.per_hour) == "at least 0.00033 USD" and result.per_hour.unknown == 1 and result.size == 0
    assert set(account.volumes()) >= {named, protected, attached, *others} and mine not in account.volumes()


def test_force_takes_what_is_protected_or_running_and_never_what_is_attached(workspace: Workspace, account: Account, aws: Aws):  # noqa: F811
    protected, attached, machine = account.volume(MINE | {"tinytorch:protected": ""}), account.volume(MINE), account.instance(MINE)
    account.attach(attached)
    plan = make(workspace, Options(cloud=True, project="course", force=True), providers=[aws])
    assert plan.needs_confirmation and {item.id for item in plan.items} == {protected, machine}
    assert {item.id for item in carry_out(workspace, plan, providers=[aws]).removed} == {protected, machine}
    assert attached in account.volumes() and protected not in account.volumes() and list(aws.instances(MINE)) == []


@pytest.mark.parametrize("by", ["tag", "rule"])
def test_an_instance_whose_end_deletes_a_protected_volume_stays(workspace: Workspace, account: Account, aws: Aws, by: str):  # noqa: F811
    machine, plain = account.instance(MINE), account.instance(MINE)
    (disk,) = next(found for found in aws.instances(MINE) if found.id == machine).takes_along
    ec2 = account.client("ec2")
    ec2.stop_instances(InstanceIds=[machine, plain])
    if by == "tag":
        ec2.create_tags(Resources=[disk], Tags=[{"Key": "tinytorch", "Value": "course"}, {"Key": "tinytorch:protected", "Value": ""}])
    plan = make(workspace, Options(cloud=True, project="course", only=("instance",), keep=(disk,) if by == "rule" else ()), providers=[aws])
    says = "it has the tag tinytorch:protected" if by == "tag" else f"--keep says {disk}"
    assert [item.id for item in plan.items] == [plain] and [one.why for one in plan.kept] == [f"its volume {disk} would be deleted with it: {says}"]


def test_what_is_protected_since_stays_when_a_forced_plan_goes_on(workspace: Workspace, shards: list[Path]):
    """The word for the plan was given for other things."""
    (workspace.root / ".tito-protect").write_text(shards[0].name, "utf-8")
    plan = make(workspace, Options(force=True))
    with pytest.raises(KeyboardInterrupt):
        carry_out(workspace, plan, on_change=_interrupt)
    (workspace.root / ".tito-protect").write_text(f"{shards[0].name}\n{shards[2].name}", "utf-8")
    with pytest.raises(PlanChanged, match=f"{shards[2].name} is protected now: .tito-protect, line 2"):
        carry_out(workspace, plan)
    assert [path.exists() for path in shards] == [False, True, True]


def _interrupt(item: Any, event: str) -> None:
    raise KeyboardInterrupt


def test_credentials_that_expire_in_the_middle_lose_nothing_and_the_plan_goes_on(workspace: Workspace, account: Account, aws: Aws):  # noqa: F811
    made = {account.volume(MINE) for _ in range(3)}
    plan = make(workspace, CLOUD, providers=[aws])
    account.plan(Refused("RequestLimitExceeded", 503, action="DeleteVolume"), *[Refused("RequestExpired", action="DeleteVolume")] * 2)
    result = carry_out(workspace, plan, providers=[aws])
    assert len(result.failed) == 2 and all("the credentials have expired" in why for why in result.failed.values()) and set(account.volumes()) == result.failed.keys() < made
    again = carry_out(workspace, plan, providers=[aws])
    assert len(again.removed) == 3 and not again.failed and account.volumes() == {}


def test_a_volume_attached_since_stays(workspace: Workspace, account: Account, aws: Aws):  # noqa: F811
    volume = account.volume(MINE)
    plan = make(workspace, CLOUD, providers=[aws])
    account.attach(volume)
    with pytest.raises(PlanChanged, match=f"{volume} stays now: it is attached to i-"):
        carry_out(workspace, plan, providers=[aws])
    assert volume in account.volumes()


@pytest.mark.parametrize("change", ["attached", "protected", "given away"])
def test_a_volume_that_changes_while_it_runs_stays(workspace: Workspace, account: Account, aws: Aws, change: str):  # noqa: F811
    first, second = sorted([account.volume(MINE | {"Name": "a"}), account.volume(MINE | {"Name": "b"})])
    plan = make(workspace, CLOUD, providers=[aws])
    ids = [item.id for item in plan.items]
    assert sorted(ids) == [first, second]

    def meanwhile(item: Any, event: str) -> None:
        if item.id == ids[0]:
            if change == "attached":
                account.attach(ids[1])
            else:
                tag = {"Key": "tinytorch:protected", "Value": ""} if change == "protected" else {"Key": "tinytorch", "Value": "other"}
                account.client("ec2").create_tags(Resources=[ids[1]], Tags=[tag])

    result = carry_out(workspace, plan, providers=[aws], on_change=meanwhile)
    assert list(result.failed) == [ids[1]] and "has changed since the plan was made, and stays" in result.failed[ids[1]] and ids[1] in account.volumes()


def test_an_age_at_a_provider(workspace: Workspace, account: Account, aws: Aws):  # noqa: F811
    account.volume(MINE)
    plan = make(workspace, Options(cloud=True, project="course", older_than=DAY), providers=[aws])
    assert plan.items == () and plan.kept[0].why == "made under an hour ago; it goes after 1 day"


def test_a_prefix_of_a_tagged_bucket_goes_and_its_neighbours_stay(workspace: Workspace, account: Account, aws: Aws):  # noqa: F811
    s3 = account.client("s3")
    for bucket, value in (("mine", "course"), ("theirs", "course-2")):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "tinytorch", "Value": value}]})
        for key in ("tmp/a 🙂", "tmp/b/c", "tmp2/d", "tmp"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"12345")
    options = Options(cloud=True, project="course", prefixes=("s3://mine/tmp", "s3://theirs/tmp/", "s3://mine/none/"), only=("prefix",))
    plan = make(workspace, options, providers=[aws])
    assert [(item.id, item.size) for item in plan.items] == [("s3://mine/tmp/", 10)]
    assert [(one.candidate.id, one.why) for one in plan.kept] == [("s3://theirs/tmp/", "it isn't course's: its tag tinytorch is 'course-2'")]
    s3.put_object(Bucket="mine", Key="tmp/new", Body=b"1")
    with pytest.raises(PlanChanged, match="s3://mine/tmp/ has changed"):
        carry_out(workspace, plan, providers=[aws])
    plan = make(workspace, options, providers=[aws])
    assert len(carry_out(workspace, plan, providers=[aws]).removed) == 1
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="mine")["Contents"]] == ["tmp", "tmp2/d"]
    assert s3.list_objects_v2(Bucket="theirs")["KeyCount"] == 4


@pytest.mark.parametrize("address", ["s3://mine", "s3://mine/", "s3:///tmp/", "mine/tmp", "https://mine/tmp"])
def test_a_whole_bucket_is_no_prefix(workspace: Workspace, account: Account, aws: Aws, address: str):  # noqa: F811
    with pytest.raises(ConfigError, match="no prefix of a bucket; write s3://bucket/prefix/"):
        make(workspace, Options(cloud=True, project="course", prefixes=(address,)), providers=[aws])


def test_a_volume_that_is_just_being_made_stays(workspace: Workspace, account: Account, aws: Aws):  # noqa: F811
    account.volume(MINE | {"tinytorch:claim": "another process"})
    plan = make(workspace, Options(cloud=True, project="course", force=True), providers=[aws])
    assert plan.items == () and plan.kept[0].why == "it is being made"


def test_a_plan_without_its_credentials_removes_nothing(workspace: Workspace, account: Account, aws: Aws, shards: list[Path]):  # noqa: F811
    account.volume(MINE)
    plan = make(workspace, CLOUD, providers=[aws])
    with pytest.raises(ConfigError, match="removes something at aws, and no credentials for that are found"):
        carry_out(workspace, plan)
    assert all(path.exists() for path in shards) and len(account.volumes()) == 1


def test_unknown_prices_are_unknown_and_never_zero_and_currencies_stay_apart():
    def item(per_hour: float | None, currency: str = "USD") -> planning.Candidate:
        return planning.Candidate("pod", "x", "", "", "", None, None, "runpod", per_hour, currency)

    plan = planning.Plan(Options(), "", (), ())
    assert str(Result(plan, [item(None)]).per_hour) == "unknown"
    assert str(Result(plan, [item(0.5), item(None), item(0.25)]).per_hour) == "at least 0.75 USD"
    assert str(Result(plan, [item(0.5), item(2.0, "EUR")]).per_hour) == "2.00 EUR + 0.50 USD"


def test_a_plan_that_is_kept_knows_what_it_saves(workspace: Workspace, account: Account, aws: Aws):  # noqa: F811
    account.volume(MINE)
    plan = make(workspace, CLOUD, providers=[aws])
    planning.save(workspace, plan)
    assert str(carrying.per_hour(planning.load(workspace, None).items)) == str(carrying.per_hour(plan.items)) == "0.00033 USD"
    carry_out(workspace, plan, providers=[aws])
    assert history(workspace)[-1][6:] == [pytest.approx(3 * 0.08 / 730), "USD"]
