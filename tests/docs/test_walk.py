"""`docs/walk.md` is walked as it stands, among other people's things; and what holds at its end."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.docs.page import ROOT, steps
from tests.docs.reader import Reader
from tests.unit.tinytorch.transfer.sshd import needs_sshd
from tinytorch.files import sha256

PAGE = ROOT / "docs" / "walk.md"
MINE = "my-tinytorch"
EPOCHS = 60


class Walker(Reader):
    """Shares the account with others, and knows what there was before anything was rented."""

    def open_account(self):
        super().open_account()
        account, s3 = self.at_aws, self.at_aws.client("s3")
        s3.create_bucket(Bucket="theirs")
        s3.put_object(Bucket="theirs", Key="digits/00000.shard", Body=b"precious")
        account.volume({"Name": "digits-2", "tinytorch": f"{MINE}-2"})
        account.volume({"Name": MINE})
        account.attach(account.volume({}))
        account.instance({"tinytorch": "other"})
        self.before = self.there()

    def there(self):
        """The instances, volumes and buckets that there are, with the project that their tag names, and all objects."""
        ec2, s3 = self.at_aws.client("ec2"), self.at_aws.client("s3")
        instances = [one for reservation in ec2.describe_instances()["Reservations"] for one in reservation["Instances"]]
        found = {one["InstanceId"]: one for one in instances if one["State"]["Name"] != "terminated"}
        found |= {one["VolumeId"]: one for one in ec2.describe_volumes()["Volumes"]}
        tags = {id: {tag["Key"]: tag["Value"] for tag in one.get("Tags", [])}.get("tinytorch") for id, one in found.items()}
        buckets = [one["Name"] for one in s3.list_buckets()["Buckets"]]
        return tags | {name: [item["Key"] for item in s3.list_objects_v2(Bucket=name).get("Contents", [])] for name in buckets}

    def json_of(self, command):
        return json.loads(self.output(f"{command} --json 2>/dev/null"))


@pytest.mark.skipif(os.name == "nt", reason="the pages are written for a POSIX shell")
@needs_sshd
def test_the_walk(tmp_path):
    (tmp_path / "walker").mkdir()
    with Walker(tmp_path / "walker", PAGE.name) as walker:
        walker.follow(steps(PAGE.read_text("utf-8")))
        assert "\n\n".join(walker.wrong) == ""
        check_that_the_interruption_was_graceful_and_in_the_middle(walker)
        check_that_the_numbers_are_those_of_a_run_that_nobody_interrupted(walker, tmp_path / "another")
        check_that_the_results_are_what_the_host_has(walker)
        check_that_the_cost_is_in_the_ledger(walker)
        check_that_nothing_of_ours_is_left_and_everything_of_the_others(walker)
        check_that_ctrl_c_is_the_same_request(walker)


def check_that_the_interruption_was_graceful_and_in_the_middle(walker):
    runs = [run for run in walker.json_of("tito resources list --kind run")["records"] if run["name"] == "digits"]
    assert [run["state"] for run in sorted(runs, key=lambda run: run["began"])] == ["exit 143", "exit 0"]
    first, *epochs, summary = (walker.folder / "results" / "digits.log").read_text("utf-8").splitlines()
    before = int(first.split("Going on after epoch ")[1].split(",")[0])
    assert 3 <= before < EPOCHS and summary.startswith("digits: ")
    assert [line.split(":")[0] for line in epochs] == [f"epoch {number}" for number in range(before + 1, EPOCHS + 1)]


def check_that_the_numbers_are_those_of_a_run_that_nobody_interrupted(walker, folder):
    folder.mkdir()
    for name in ("data", "tinytorch", "pyproject.toml", "train.py"):
        source = walker.folder / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    subprocess.run([sys.executable, "train.py", str(EPOCHS)], cwd=folder, env=walker.environment(), check=True, stdout=subprocess.DEVNULL)
    here, there = folder / "results", walker.folder / "results"
    assert (here / "history.json").read_bytes() == (there / "history.json").read_bytes()
    with np.load(here / "run.npz") as whole, np.load(there / "run.npz") as resumed:
        arrays = [name for name in whole.files if whole[name].dtype == np.float32]
        assert len(arrays) >= 4 and all(np.array_equal(whole[name], resumed[name]) for name in arrays)


def check_that_the_results_are_what_the_host_has(walker):
    folders = walker.home / "rented" / "home" / MINE / "results", walker.folder / "results"
    there, here = ({path.relative_to(folder): sha256(path.read_bytes()) for path in folder.rglob("*") if path.is_file()} for folder in folders)
    predictions = list(folders[1].glob("predictions/*.shard.txt"))
    assert here == there and len(predictions) == 8 and sum(len(path.read_text("utf-8").split()) for path in predictions) == 1797


def check_that_the_cost_is_in_the_ledger(walker):
    """What isn't known is None, and never 0."""
    every = walker.json_of("tito resources list")["records"]
    costs = {kind: [one["cost"] for one in every if one["kind"] == kind and one["tags"].get("tinytorch") == MINE] for kind in ("run", "instance", "volume", "bucket")}
    assert len(costs["run"]) == 3 and min(*costs["run"], *costs["instance"], *costs["volume"]) > 0 and costs["bucket"] == [None]
    total = walker.json_of(f"tito resources cost --tag tinytorch={MINE}")["total"]
    assert total["amounts"]["USD"] == pytest.approx(sum(costs["instance"] + costs["volume"]), rel=0.1) and total["unknown"] == 1


def check_that_nothing_of_ours_is_left_and_everything_of_the_others(walker):
    assert walker.there() == walker.before and MINE not in walker.before.values() and walker.before["theirs"] == ["digits/00000.shard"]
    assert walker.at_aws.client("ec2").describe_volumes(Filters=[{"Name": "attachment.status", "Values": ["attached"]}])["Volumes"]


def check_that_ctrl_c_is_the_same_request(walker):
    """`ssh -t`, as the page says: a person's Ctrl-C reaches the program on the host, which ends as it should."""
    import pty

    (command,) = [text for text in PAGE.read_text("utf-8").split("`") if text.startswith("ssh -t ")]
    checkpoint = walker.home / "rented" / "home" / MINE / "results" / "run.npz"
    checkpoint.unlink()
    ours, terminal = pty.openpty()
    with subprocess.Popen(["bash", "-c", command], stdin=terminal, stdout=terminal, stderr=terminal, env=walker.environment(), start_new_session=True) as process:
        os.close(terminal)
        printed = b""
        for awaited, typed in ((b"epoch 2:", b"\x03"), (b"then fit as before.", b"")):
            while awaited not in printed:
                printed += os.read(ours, 4096)
            os.write(ours, typed)
        assert process.wait(timeout=60) and checkpoint.exists()
    os.close(ours)
