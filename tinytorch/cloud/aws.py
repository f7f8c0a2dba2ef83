"""Amazon's cloud: instances, volumes and snapshots of EC2 in one region, and the buckets of S3.

Each call goes through `tinytorch.retry`.
"""
from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tinytorch.cloud import boto
from tinytorch.cloud.resource import CloudResource, NotFound, has_tags
from tinytorch.errors import CloudError, ConfigError
from tinytorch.files import sha256
from tinytorch.retry import ExponentialBackoffPolicy, RetryPolicy

__all__ = ["Aws", "Instance", "Prefix", "Volume", "is_configured", "tags_of"]

T = TypeVar("T")
Answer = dict[str, Any]

KINDS = ("instance", "volume", "snapshot", "bucket")
_AT_ONCE = 1000  # objects that S3 deletes with one call
_PLACES = ("iam-role", "container-role")  # credentials that are asked for over the network
_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")


def is_configured() -> bool:
    """Whether credentials are found on this machine. What only an instance's role gives isn't looked for."""
    if any(os.environ.get(name) for name in _VARIABLES):
        return True
    try:
        import botocore.session
        from botocore.exceptions import BotoCoreError
    except ImportError:  # the first call says what is missing
        return Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser().is_file()
    try:
        session = botocore.session.Session()
        found = session.get_component("credential_provider")
        for place in _PLACES:
            found.remove(place)
        return found.load_credentials() is not None
    except (BotoCoreError, ValueError):  # a profile that isn't there, half a key: the first call says so
        return True


@dataclass(frozen=True)
class Volume(CloudResource):
    """A volume of EBS; its zone decides which instances it can be attached to."""

    zone: str = ""


@dataclass(frozen=True)
class Instance(CloudResource):
    """An instance of EC2."""

    takes_along: tuple[str, ...] = ()  # the ids of the volumes that are deleted when it is terminated


@dataclass(frozen=True)
class Prefix(CloudResource):
    """What is below a prefix of a bucket."""

    objects: tuple[str, ...] = ()  # s3://bucket/prefix/name


class Aws:
    """One region of AWS (`region`, else the one that `boto.client` finds), or of another service that speaks its protocol (`AWS_ENDPOINT_URL`)."""

    name = "aws"
    page = 500  # entries that are asked for at a time

    def __init__(self, region: str | None = None, *, retry: RetryPolicy | None = None) -> None:
        self.retry = retry or ExponentialBackoffPolicy()
        self._region = region
        self._clients: dict[str, Any] = {}
        self._opening = threading.Lock()

    @property
    def region(self) -> str:
        """The region that is asked.

        Raises: CloudError if none is chosen.
        """
        return str(self.client("ec2").meta.region_name)

    def client(self, service: str) -> Any:
        """A client of boto3, the same one for each call; raises as `boto.client` does."""
        with self._opening:
            if service not in self._clients:
                self._clients[service] = boto.client(service, "AWS", region=self._region)
            return self._clients[service]

    def call(self, service: str, operation: str, **arguments: Any) -> Answer:
        """What an operation of a service answers, such as `call("ec2", "describe_volumes")`.

        Raises: CloudError that says what to do; NotFound, of these, if what it is about isn't there.
        """
        client = self.client(service)
        return self.retry.call(lambda: self.once(operation, lambda: getattr(client, operation)(**arguments)))

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Answer]:
        """The entries of all pages of what an operation lists under `key`; each page is tried again by itself."""
        if not any(name.endswith("Ids") and name != "OwnerIds" for name in arguments):  # AWS allows one of the two
            arguments["MaxResults"] = self.page
        while True:
            answer = self.call(service, operation, **arguments)
            yield from answer.get(key, [])
            if not answer.get("NextToken"):
                return
            arguments["NextToken"] = answer["NextToken"]

    def once(self, operation: str, call: Callable[[], T]) -> T:
        """What one try of a call answers, for what must not simply be repeated; raises as `call` does."""
        with boto.answered(f"AWS {operation}"):
            return call()

    def close(self) -> None:
        """Let go of connections."""
        with self._opening:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    # --- what there is ---------------------------------------------------------------------------------------------

    def resources(self, *, tags: Mapping[str, str] | None = None) -> list[CloudResource]:
        return [resource for kind in KINDS for resource in self.resources_of(kind, tags)]

    def resources_of(self, kind: str, tags: Mapping[str, str] | None) -> list[CloudResource]:
        """Of `resources`, those of one kind."""
        listed: dict[str, Callable[..., Iterator[CloudResource]]] = {"instance": self.instances, "volume": self.volumes, "snapshot": self.snapshots, "bucket": self.buckets}
        return [resource for resource in listed[kind](tags) if has_tags(resource, tags)]

    def instances(self, tags: Mapping[str, str] | None = None, **more: Any) -> Iterator[Instance]:
        """The instances that aren't terminated."""
        for reservation in self.pages("ec2", "describe_instances", "Reservations", **_filtered(tags), **more):
            for entry in reservation["Instances"]:
                if entry["State"]["Name"] != "terminated":
                    plain = self._resource(
                        "instance", entry["InstanceId"], entry, type=entry["InstanceType"], state=entry["State"]["Name"], created=entry["LaunchTime"],
                    )  # fmt: skip
                    disks = [disk["Ebs"] for disk in entry.get("BlockDeviceMappings", []) if "Ebs" in disk]
                    yield Instance(**vars(plain), takes_along=tuple(disk["VolumeId"] for disk in disks if disk.get("DeleteOnTermination")))

    def volumes(self, tags: Mapping[str, str] | None = None, **more: Any) -> Iterator[Volume]:
        """The volumes of EBS."""
        for entry in self.pages("ec2", "describe_volumes", "Volumes", **_filtered(tags), **more):
            yield self.volume(entry)

    def volume(self, entry: Answer) -> Volume:
        """A volume as EC2 describes it."""
        attached = [found["InstanceId"] for found in entry.get("Attachments", []) if found.get("State") != "detached"]
        plain = self._resource(
            "volume", entry["VolumeId"], entry, type=entry.get("VolumeType", ""), state=entry.get("State", ""), created=entry.get("CreateTime"),
            size_gb=float(entry["Size"]), attached_to=attached[0] if attached else None,
        )  # fmt: skip
        return Volume(**vars(plain), zone=entry["AvailabilityZone"])

    def snapshots(self, tags: Mapping[str, str] | None = None, **more: Any) -> Iterator[CloudResource]:
        """The snapshots of this account."""
        for entry in self.pages("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], **_filtered(tags), **more):
            yield self.snapshot(entry)

    def snapshot(self, entry: Answer) -> CloudResource:
        """A snapshot as EC2 describes it."""
        return self._resource(
            "snapshot", entry["SnapshotId"], entry, type=entry.get("StorageTier", "standard"), state=entry.get("State", ""),
            created=entry.get("StartTime"), size_gb=float(entry["VolumeSize"]),
        )  # fmt: skip

    def buckets(self, tags: Mapping[str, str] | None = None) -> Iterator[CloudResource]:
        """The buckets of this account, in all regions. One whose tags may not be read has none."""
        for entry in self.call("s3", "list_buckets").get("Buckets", []):
            found = {"Tags": self._bucket_tags(entry["Name"])}
            yield self._resource("bucket", entry["Name"], found, name=entry["Name"], created=entry.get("CreationDate"), region=entry.get("BucketRegion", ""))

    def _bucket_tags(self, bucket: str) -> list[Answer]:
        try:
            tags: list[Answer] = self.call("s3", "get_bucket_tagging", Bucket=bucket).get("TagSet", [])
        except CloudError as error:
            if error.retryable:
                raise
            return []  # it has none, or they may not be read
        return tags

    def _resource(self, kind: str, id: str, entry: Answer, **facts: Any) -> CloudResource:
        tags = {tag["Key"]: tag["Value"] for tag in entry.get("Tags", [])}
        usual = {"name": tags.get("Name", ""), "region": self.region, "type": "", "state": "", "created": None, "size_gb": None, "attached_to": None}
        return CloudResource(provider=self.name, kind=kind, id=id, tags=tags, **usual | facts)

    def prefix(self, address: str) -> Prefix | None:
        """What is below `s3://bucket/prefix/`, as one resource with its bucket's tags; None if there is nothing.

        `created` is when the newest of it was written, and `state` differs if any of it does. `s3://bucket/tmp` means
        `tmp/`, and not `tmp2/` too.

        Raises: ConfigError for another kind of address; NotFound if there is no such bucket.
        """
        bucket, name = _bucket_and_prefix(address)
        found = list(self._objects(bucket, name))
        if not found:
            return None
        digest = sha256(json.dumps(sorted([entry["Key"], entry["ETag"], entry["Size"]] for entry in found)).encode("ascii"))
        plain = self._resource(
            "prefix", f"s3://{bucket}/{name}", {"Tags": self._bucket_tags(bucket)}, name=name, state=f"{len(found)} objects, {digest[:12]}",
            created=max(entry["LastModified"] for entry in found), size_gb=sum(entry["Size"] for entry in found) / 2**30,
        )  # fmt: skip
        return Prefix(**vars(plain), objects=tuple(f"s3://{bucket}/{entry['Key']}" for entry in found))

    def _objects(self, bucket: str, prefix: str) -> Iterator[Answer]:
        more: Answer = {}
        while True:
            answer = self.call("s3", "list_objects_v2", Bucket=bucket, Prefix=prefix, **more)
            yield from answer.get("Contents", [])
            if not answer.get("NextContinuationToken"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def _remove_prefix(self, resource: CloudResource) -> None:
        """Delete the objects that were there; what was written since stays."""
        bucket, name = _bucket_and_prefix(resource.id)
        keys = [entry["Key"] for entry in self._objects(bucket, name) if resource.created is None or entry["LastModified"] <= resource.created]
        for start in range(0, len(keys), _AT_ONCE):
            some = [{"Key": key} for key in keys[start : start + _AT_ONCE]]
            refused = self.call("s3", "delete_objects", Bucket=bucket, Delete={"Objects": some, "Quiet": True}).get("Errors", [])
            if refused:
                raise CloudError(f"s3://{bucket}/{refused[0]['Key']}: {refused[0].get('Message') or refused[0].get('Code')}, and {len(refused) - 1} more objects")

    # --- one of them -----------------------------------------------------------------------------------------------

    def current(self, resource: CloudResource) -> CloudResource | None:
        kinds: dict[str, Callable[[], Iterator[CloudResource]]] = {
            "instance": lambda: self.instances(InstanceIds=[resource.id]),
            "volume": lambda: self.volumes(VolumeIds=[resource.id]),
            "snapshot": lambda: self.snapshots(SnapshotIds=[resource.id]),
            "prefix": lambda: (found for found in [self.prefix(resource.id)] if found),
            "bucket": lambda: (bucket for bucket in self.buckets() if bucket.id == resource.id),
        }
        try:
            return next(kinds[resource.kind](), None)
        except NotFound:
            return None

    def remove(self, resource: CloudResource) -> None:
        """Delete a volume, a snapshot, or the objects below a prefix; terminate an instance.

        Raises: CloudError if it is in use, may not be removed, or is a bucket, which may hold what can't be made again.
        """
        calls: dict[str, tuple[str, Answer]] = {
            "instance": ("terminate_instances", {"InstanceIds": [resource.id]}),
            "volume": ("delete_volume", {"VolumeId": resource.id}),
            "snapshot": ("delete_snapshot", {"SnapshotId": resource.id}),
        }
        if resource.kind == "prefix":
            self._remove_prefix(resource)
            return
        if resource.kind not in calls:
            raise CloudError(f"{resource.id}: a {resource.kind} isn't removed from here")
        operation, arguments = calls[resource.kind]
        try:
            self.call("ec2", operation, **arguments)
        except NotFound:  # removed by the try before, whose answer was lost, or by somebody else
            return


def _bucket_and_prefix(address: str) -> tuple[str, str]:
    """The two parts of `s3://bucket/prefix/`, the second with a slash at its end."""
    parts = re.fullmatch(r"s3://([^/]+)/+(.*[^/])/*", address)
    if not parts:
        raise ConfigError(f"{address}: no prefix of a bucket; write s3://bucket/prefix/")
    return parts[1], f"{parts[2]}/"


def tags_of(tags: Mapping[str, str]) -> list[Answer]:
    """Tags as AWS writes them.

    >>> tags_of({"Name": "data"})
    [{'Key': 'Name', 'Value': 'data'}]
    """
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _filtered(tags: Mapping[str, str] | None) -> Answer:
    """The filter that leaves the service less to send. It takes `*` and `?` for wildcards, so what comes back is compared again."""
    return {"Filters": [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]} if tags else {}
