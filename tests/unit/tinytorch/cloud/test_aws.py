"""What is at AWS, and what its errors become: against moto over HTTP, with faults in between."""
from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.tinytorch.cloud.account import Account, Lost, Refused
from tests.unit.tinytorch.cloud.conftest import AT_ONCE
from tinytorch import cloud
from tinytorch.cloud.aws import Aws, tags_of
from tinytorch.errors import CloudError, ConfigError

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


@pytest.mark.parametrize(
    "fault, says, tries",
    [
        (Refused("ExpiredToken"), "the credentials have expired. Get new ones", 1),
        (Refused("RequestExpired"), "the credentials have expired", 1),
        (Refused("AuthFailure", 401), "aren't accepted \\(AuthFailure\\). Check the keys", 1),
        (Refused("UnauthorizedOperation", 403), "not allowed \\(UnauthorizedOperation\\). Ask whoever manages", 1),
        (Refused("OptInRequired", 401), "can't be used|aren't accepted", 1),
        (Refused("RequestLimitExceeded", 503), "AWS is busy", 3),
        (Refused("Throttling", 400), "AWS is busy", 3),
        (Refused("InternalError", 500), "AWS is busy", 3),
        (Refused("InvalidParameterValue", 400, "the size is wrong"), "the size is wrong \\(InvalidParameterValue\\)$", 1),
        (Lost(), "onnection", 3),
    ],
    ids=lambda value: getattr(value, "code", None),
)  # fmt: skip
def test_what_aws_answers_becomes_an_error_that_says_what_to_do(account: Account, aws: Aws, fault: Refused | Lost, says: str, tries: int) -> None:
    account.plan(*[fault] * 3)
    with pytest.raises(CloudError, match=says) as caught:
        list(aws.volumes())
    assert account.asked == ["DescribeVolumes"] * tries and caught.value.retryable == (tries > 1)


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


def test_no_credentials(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert cloud.providers() == []
    with pytest.raises(CloudError, match="no credentials. Run `aws configure`"):
        Aws(retry=AT_ONCE).resources()


def test_no_region(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(CloudError, match="no region is chosen. Set AWS_REGION"):
        Aws().resources()
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert Aws().region == "eu-north-1"


def test_a_profile_that_is_not_there(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(CloudError, match="nobody.*Correct AWS_PROFILE"):
        Aws().resources()


def test_nobody_there(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # the discard port: nobody listens
    with pytest.raises(CloudError, match="us-east-1 can't be used.*Check the network, and AWS_REGION"):
        Aws(retry=AT_ONCE).resources()


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


def test_without_boto3_the_command_that_installs_it_is_named(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigError, match=r'pip install "tinytorch\[aws\]"'):
        Aws().resources()


def test_importing_it_loads_nothing_heavy() -> None:
    program = "import sys, tinytorch.cloud.aws, tinytorch.cloud.runpod; sys.exit(any(name in sys.modules for name in ('boto3', 'requests', 'tenacity')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
