"""`tito cleanup`: plans first, acts second."""
from __future__ import annotations

import json
import os
import re
import tempfile
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Tito
from tests.cli.terminal import Terminal
from tests.cli.test_manners import on_a_terminal
from tests.plugin.conftest import Student
from tests.unit.tinytorch.cloud.account import Account
from tests.unit.tinytorch.cloud.conftest import account, running  # noqa: F401  # fixtures

MINE = {"tinytorch": "workspace"}


@pytest.fixture(autouse=True)
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two shards that nobody has used for forty days, and no temporary folder of others."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("TINYTORCH_CACHE", str(tmp_path / "my cache 🙂"))
    folder = tmp_path / "my cache 🙂" / "shards"
    folder.mkdir(parents=True)
    made, then = [folder / ("a" * 64 + ".shard"), folder / ("b" * 64 + ".shard")], time.time() - 40 * 24 * 3600
    for path in made:
        path.write_bytes(b"x" * 2048)
        os.utime(path, (then, then))
    return made


def plan_of(tito: Tito, *options: str) -> str:
    return str(json.loads(tito("cleanup", "--json", *options).out)["plan"])


def test_nothing_is_removed_without_yes(student: Student, tito: Tito, shards: list[Path]):
    answer = tito("cleanup", "--keep", "bbb*")
    id = plan_of(tito, "--keep", "bbb*")
    assert answer.status == 0 and f"Plan {id}: 1 thing, 2.0 KB on this machine." in answer.out
    assert f"Nothing was removed. To remove exactly these: tito cleanup --yes {id}" in answer.out and "--keep says bbb*" in answer.out
    assert all(path.exists() for path in shards) and tito("cleanup", "--dry-run").status == 0
    done = tito("cleanup", "--yes", id)
    assert done.status == 0 and done.out.startswith("Removed 1 thing, 2.0 KB on this machine:")
    assert [path.exists() for path in shards] == [False, True]
    assert shards[0].name in tito("cleanup", "--history").out
    assert "There was nothing left to do" in tito("cleanup", "--yes", id).out


def test_yes_takes_the_newest_plan_and_says_how_it_went_as_json(student: Student, tito: Tito, shards: list[Path]):
    none = tito("cleanup", "--yes")
    assert none.status == 1 and "There is no plan to carry out. Make one, and look at it: tito cleanup" in none.err
    id = plan_of(tito)
    done = json.loads(tito("cleanup", "--yes", "--json").out)
    assert done["plan"] == id and done["bytes"] == 4096 and done["per_hour"] == {"amounts": {}, "unknown": 0} and done["failed"] == [] and len(done["removed"]) == 2


def test_a_world_that_changed_is_told(student: Student, tito: Tito, shards: list[Path]):
    id = plan_of(tito)
    shards[0].unlink()
    answer = tito("cleanup", "--yes", id)
    assert answer.status == 1 and f"{shards[0].name} is gone" in answer.err and shards[1].exists()


def test_force_needs_the_plan_typed_or_given(student: Student, tito: Tito, shards: list[Path]):
    (student.root / ".tito-protect").write_text("*.shard\n", "utf-8")
    assert plan_of(tito) == "None" and "There is nothing to remove." in tito("cleanup").out
    id = plan_of(tito, "--force")
    refused = tito("cleanup", "--yes", id)
    assert refused.status == 1 and "2 things that are protected. Nobody is here to ask" in refused.err and f"--yes {id} --confirm {id}" in refused.err
    assert tito("cleanup", "--yes", id, "--confirm", id[:6]).status == 2 and all(path.exists() for path in shards)
    assert tito("cleanup", "--yes", id, "--confirm", id).status == 0 and not any(path.exists() for path in shards)


@on_a_terminal
@pytest.mark.parametrize("typed", ["y", "plan"])
def test_force_on_a_terminal(student: Student, tito: Tito, shards: list[Path], typed: str):
    (student.root / ".tito-protect").write_text("*.shard\n", "utf-8")
    id = plan_of(tito, "--force")
    with Terminal(["cleanup", "--yes", id], cwd=student.root, environment=student.environment(TMPDIR=tempfile.gettempdir(), TINYTORCH_CACHE=os.environ["TINYTORCH_CACHE"])) as terminal:
        terminal.wait_for(f"Type {id} to go on: ")
        terminal.type(f"{id if typed == 'plan' else 'y'}\r")
        assert terminal.end() == (0 if typed == "plan" else 1)
    assert any(path.exists() for path in shards) == (typed == "y")


def test_rubbish_in_the_protect_file_stops_it(student: Student, tito: Tito, shards: list[Path]):
    id = plan_of(tito)
    (student.root / ".tito-protect").write_bytes(b"\xff\xfe*")
    for arguments in (("cleanup",), ("cleanup", "--yes", id)):
        answer = tito(*arguments)
        assert answer.status == 1 and "line 1: not UTF-8 text. Nothing was removed" in answer.err
    assert all(path.exists() for path in shards)


def test_the_cloud(student: Student, account: Account, tito: Tito):  # noqa: F811
    mine, other = account.volume(MINE | {"Name": "data"}), account.volume({"tinytorch": "workspace-2"})
    planned = json.loads(tito("cleanup", "--cloud", "--only", "volume", "--json").out)
    assert [item["id"] for item in planned["remove"]] == [mine] and planned["per_hour"] == {"amounts": {"USD": 0.000329}, "unknown": 0}
    account.client("ec2").create_snapshot(VolumeId=mine, TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": "tinytorch", "Value": "workspace"}]}])
    both, snapshot = (tito("cleanup", "--cloud", *(word for kind in kinds for word in ("--only", kind))).out for kinds in (("volume", "snapshot"), ("snapshot",)))
    assert "; at least 0.00033 USD an hour would be saved (the price of 1 isn't known)." in both and "what would be saved is unknown" in snapshot
    assert re.search(r"volume +vol-\w+ data +3 GB +under an hour +0\.00033 USD\n", both) and re.search(r"snapshot +snap-\w+ +3 GB +under an hour +unknown\n", both)
    done = tito("cleanup", "--yes", planned["plan"])
    assert done.status == 0 and f"{mine} data" in done.out and "3 GB" in done.out and "; 0.00033 USD an hour is saved" in done.out
    assert list(account.volumes()) == [other]


def test_a_prefix_and_its_bucket_are_called_by_their_names_and_sizes_are_those_of_files(student: Student, account: Account, tito: Tito):  # noqa: F811
    s3 = account.client("s3")
    s3.create_bucket(Bucket="mine")
    s3.put_bucket_tagging(Bucket="mine", Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in MINE.items()]})
    s3.put_object(Bucket="mine", Key="tmp/a", Body=b"x" * 2048)
    answer = tito("cleanup", "--cloud", "--only", "prefix", "--only", "bucket", "--prefix", "s3://mine/tmp/")
    lines = [line.split("  ") for line in answer.out.splitlines()]
    assert ["prefix", "s3://mine/tmp/", "2.0 KB", "under an hour"] in [line[:4] for line in lines], answer
    assert any(line[0] == "bucket" and [part for part in line if part][1] == "mine" for line in lines)
    assert "1 thing; what would be saved is unknown." in answer.out, "nothing of it is on this machine"
    done = tito("cleanup", "--yes").out
    assert "s3://mine/tmp/  2.0 KB" in done and done.startswith("Removed 1 thing; what is saved is unknown:")


def test_the_cloud_without_credentials(student: Student, account: Account, tito: Tito, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    answer = tito("cleanup", "--cloud")
    assert answer.status == 1 and "No credentials for a cloud provider are found" in answer.err
