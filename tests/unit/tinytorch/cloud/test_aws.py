"""What is at AWS: against moto over HTTP, with faults in between."""
from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.tinytorch.cloud.account import Account, Lost, Refused
from tinytorch import cloud
from tinytorch.cloud.aws import Aws, tags_of
from tinytorch.errors import CloudError

MINE = {"tinytorch": "course"}


def test_everything_with_the_tag_is_listed_and_nothing_else(account: Account, aws: Aws) -> None:
    ec2, s3 = account.client("ec2"), account.client("s3")
    volume = account.volume({**MINE, "Name": "data"}, zone="us-east-1a")
    for other in ("other", "course-2", "COURSE", ""):
        account.volume({"tinytorch": other})
    account.volume({"Name": "untagged"})
    machine = account.instance(MINE, Placement={"AvailabilityZone": "us-east-1a"})
    ec2.attach_volume(VolumeId=volume, InstanceId=machine, Device="/dev/sdf")
    snapshot = ec2.create_snapshot(VolumeId=volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags_of(MINE)}])["SnapshotId"]
    for name in ("mine", "theirs"):
        s3.create_bucket(Bucket=name)
    s3.put_bucket_tagging(Bucket="mine", Tagging={"TagSet": [{"Key": "tinytorch", "Value": "course"}]})
    found = {resource.kind: resource for resource in aws.resources(tags=MINE)}
    assert {kind: resource.id for kind, resource in found.items()} == {"instance": machine, "volume": volume, "snapshot": snapshot, "bucket": "mine"}
    disk = found["volume"]
    assert (disk.name, disk.region, disk.type, disk.state, disk.size_gb, disk.attached_to) == ("data", "us-east-1", "gp3", "in-use", 3.0, machine)
    assert all(resource.created and resource.created.tzinfo for resource in found.values())
    assert len(aws.resources()) > len(found)


def test_a_value_with_wildcards_means_itself(account: Account, aws: Aws) -> None:
    account.volume(MINE)
    assert list(aws.resources(tags={"tinytorch": "c*"})) == []


def test_all_pages_are_read_and_one_that_fails_is_asked_for_again(account: Account, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {account.instance(MINE) for _ in range(7)}
    monkeypatch.setattr(Aws, "page", 3)
    account.plan(Refused("RequestLimitExceeded", 503), Lost())
    assert sorted(machine.id for machine in aws.instances(MINE)) == sorted(made)
    assert account.asked == ["DescribeInstances"] * 5


def test_a_resource_that_is_gone_is_none_and_removing_it_again_is_no_error(account: Account, aws: Aws) -> None:
    account.volume(MINE)
    (volume,) = aws.volumes(MINE)
    assert aws.current(volume) == volume
    account.plan(Lost("DeleteVolume"))
    aws.remove(volume)
    assert account.asked.count("DeleteVolume") == 2, "the first one's answer was lost"
    assert aws.current(volume) is None


def test_a_bucket_is_not_removed(account: Account, aws: Aws) -> None:
    account.client("s3").create_bucket(Bucket="mine")
    (bucket,) = aws.buckets()
    with pytest.raises(CloudError, match="mine: a bucket isn't removed from here"):
        aws.remove(bucket)


def test_a_bucket_whose_tags_cannot_be_asked_for_is_not_taken_for_one_without(account: Account, aws: Aws) -> None:
    account.client("s3").create_bucket(Bucket="mine")
    account.plan(*[Refused("SlowDown", 503, action="GET /mine")] * 3)
    with pytest.raises(CloudError, match="get_bucket_tagging.*AWS is busy"):
        list(aws.buckets())
    account.plan(Refused("AccessDenied", 403, action="GET /mine"))
    assert [bucket.tags for bucket in aws.buckets()] == [{}]


def test_what_was_written_below_a_prefix_since_stays(account: Account, aws: Aws) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="mine")
    s3.put_object(Bucket="mine", Key="tmp/new", Body=b"1")
    below = aws.prefix("s3://mine/tmp")
    assert below is not None and below.created is not None
    aws.remove(replace(below, created=below.created - timedelta(seconds=1)))
    assert aws.prefix("s3://mine/tmp/") == below
    aws.remove(below)
    assert aws.prefix("s3://mine/tmp/") is None


# --- before the first call -----------------------------------------------------------------------------------------


def test_without_credentials_there_is_no_provider(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert cloud.providers() == []


def test_providers_are_those_with_credentials_and_nothing_is_asked(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [provider.name for provider in cloud.providers()] == ["aws"]
    monkeypatch.setenv("RUNPOD_API_KEY", "key")
    assert [provider.name for provider in cloud.providers()] == ["aws", "runpod"]
    assert all(isinstance(provider, cloud.RemovingProvider) for provider in cloud.providers())
    assert account.asked == []


def test_credentials_in_a_file_are_found(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    file = tmp_path / "my keys 🙂"
    file.write_text("[default]\r\naws_access_key_id = a\r\naws_secret_access_key = b\r\n", "utf-8")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    assert [provider.name for provider in cloud.providers()] == ["aws"]


def test_importing_it_loads_nothing_heavy() -> None:
    program = "import sys, tinytorch.cloud.aws, tinytorch.cloud.runpod; sys.exit(any(name in sys.modules for name in ('boto3', 'requests', 'tenacity')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
