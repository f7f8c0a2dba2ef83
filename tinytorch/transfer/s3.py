"""A prefix or an object of a bucket in S3, or in another service that speaks its protocol (`AWS_ENDPOINT_URL`)."""
from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tinytorch.cloud import boto
from tinytorch.errors import CloudError, TransferError
from tinytorch.retry import RetryPolicy
from tinytorch.transfer import etags
from tinytorch.transfer.listing import Data, Digest, Found, Listing, changed, part_bytes_for, spans
from tinytorch.transfer.location import DataLocation

__all__ = ["S3Arrival", "S3Store"]

_MTIME = "mtime"  # the metadata that rclone and s3fs keep a file's time under
_CONNECTIONS = 32  # that are kept for the next request
_LARGEST_PART = 64 << 20  # bytes that are read at a time to prove an object by the parts it was sent in


class S3Store:
    """Objects below a prefix; an object of exactly that key is a file, if nothing is below it."""

    mtime_step = 1e-3

    def __init__(self, place: DataLocation, verify: str, policy: RetryPolicy) -> None:
        self.place = str(place)
        self.bucket, self.prefix, self.verify, self.policy = place.bucket, place.path, verify, policy
        try:
            self.client: Any = boto.client(
                "s3", self.place, max_pool_connections=_CONNECTIONS,
                s3={"payload_signing_enabled": False},  # what is sent has its SHA-256 in a signed header, and needs none besides
            )  # fmt: skip
        except CloudError as error:
            raise _ours(error) from error
        self.opening = threading.Lock()
        self.heads: dict[str, dict[str, Any]] = {}  # what is known of objects besides the listing

    def key(self, name: str) -> str:
        return "/".join(part for part in (self.prefix, name) if part)

    @contextmanager
    def answered(self, key: str) -> Iterator[None]:
        """Turn boto3's errors into ours."""
        try:
            with boto.answered(f"s3://{self.bucket}/{key}"):
                yield
        except CloudError as error:
            raise _ours(error) from error

    # --- what is there ------------------------------------------------------------------------------------------------

    def listing(self) -> Listing:
        below = self._objects(f"{self.prefix}/" if self.prefix else "")
        if self.prefix and not below.files and not below.empty:
            with self.answered(self.prefix):
                exact = self.policy.call(lambda: self._listed(self.prefix, None))
            for item in exact.get("Contents", ()):
                if item["Key"] == self.prefix:
                    return Listing(files={"": _found(item)}, is_file=True)
        return below

    def _listed(self, prefix: str, token: str | None) -> dict[str, Any]:
        with self.answered(prefix):
            more = {"ContinuationToken": token} if token else {}
            return dict(self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, **more))

    def _objects(self, prefix: str) -> Listing:
        found, token = Listing(), None
        while True:
            answer = self.policy.call(lambda token=token: self._listed(prefix, token))  # type: ignore[misc]
            for item in answer.get("Contents", ()):
                name = item["Key"][len(prefix) :]
                if name.endswith("/") or not name:  # what consoles make to show a folder
                    found.folders.add(name.rstrip("/"))
                    if name:
                        found.empty.add(name.rstrip("/"))
                else:
                    found.files[name] = _found(item)
            token = answer.get("NextContinuationToken")
            if not token:
                break
        full = {name[:at] for name in found.files for at, character in enumerate(name) if character == "/"}
        found.empty -= full
        found.folders = {""} if found.files or found.folders else set()  # a key may be a file and a folder here
        return found

    def detailed(self, name: str, found: Found) -> Found:
        head = self._head(name, found)
        try:
            mtime = float({name.lower(): value for name, value in head.get("Metadata", {}).items()}.get(_MTIME, found.mtime))
        except ValueError:
            mtime = found.mtime
        return Found(found.size, mtime, found.etag)

    def _head(self, name: str, found: Found) -> dict[str, Any]:
        """What S3 says of an object, and how large its first part is if it has several."""
        key = self.key(name)
        parts = etags.parts_in(found.etag) or 0

        def ask() -> dict[str, Any]:
            with self.answered(key):
                return dict(self.client.head_object(Bucket=self.bucket, Key=key, **({"PartNumber": 1} if parts else {})))

        with self.opening:
            known = self.heads.get(key)
        if known is None:
            known = self.policy.call(ask)
            with self.opening:
                self.heads[key] = known
        return known

    def sha256(self, name: str, found: Found) -> str:
        hashed = hashlib.sha256()
        for start, end in spans(found.size, part_bytes_for(found.size)):
            hashed.update(self.policy.call(lambda start=start, end=end: self.read(name, start, end, found)))  # type: ignore[misc]
        return hashed.hexdigest()

    def merges_case(self) -> bool:
        return False

    def free(self) -> int | None:
        return None

    def refusal(self, name: str) -> str | None:
        return "S3's keys end at 1,024 bytes" if len(self.key(name).encode("utf-8", "surrogateescape")) > 1024 else _unwritable(name)

    # --- out of it ----------------------------------------------------------------------------------------------------

    def read(self, name: str, start: int, end: int, found: Found) -> Data:
        key = self.key(name)
        if start == end:
            return b""
        with self.answered(key):
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={start}-{end - 1}", IfMatch=f'"{found.etag}"')
            except self.client.exceptions.ClientError as error:
                if error.response["ResponseMetadata"].get("HTTPStatusCode") in (412, 416):
                    raise changed(f"s3://{self.bucket}/{key}") from error
                raise
            with answer["Body"] as body:
                data: bytes = body.read()
        with self.opening:
            self.heads.setdefault(key, {"Metadata": answer.get("Metadata", {}), "ServerSideEncryption": answer.get("ServerSideEncryption", "AES256")})
        if len(data) != end - start:
            raise TransferError(f"s3://{self.bucket}/{key}: the connection ended after {len(data):,} of {end - start:,} bytes")
        return data

    def part_bytes(self, name: str, found: Found) -> int:
        parts, usual = etags.parts_in(found.etag) or 0, part_bytes_for(found.size)
        if not parts:
            return max(usual, found.size) if found.size <= _LARGEST_PART and etags.parts_in(found.etag) == 0 else usual
        first = int(self._head(name, found).get("ContentLength", 0))
        return first if 0 < first <= _LARGEST_PART and len(spans(found.size, first)) == parts else usual

    def unproved(self, name: str, found: Found, digests: Mapping[int, Digest]) -> str | None:
        parts = etags.parts_in(found.etag)
        if parts is None or len(digests) != max(parts, 1):
            return None  # encrypted with a key of KMS, or sent in parts that are too large to keep
        etag = etags.etag_of((digests[number].md5 for number in sorted(digests)), in_parts=parts > 0)
        if etag == found.etag or self._head(name, found).get("ServerSideEncryption", "AES256") != "AES256":
            return None
        return f"what came from s3://{self.bucket}/{self.key(name)} isn't what its ETag says"

    # --- into it ------------------------------------------------------------------------------------------------------

    def begin(self, name: str, found: Found, part_bytes: int, state: Mapping[str, Any] | None) -> S3Arrival:
        return S3Arrival(self, self.key(name), found, part_bytes, state)

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        if "upload" in state:
            self.abort(self.key(name), str(state["upload"]))

    def abort(self, key: str, upload: str) -> None:
        """Remove the parts of an upload that isn't wanted any more: they cost money, and nobody sees them."""
        from botocore.exceptions import BotoCoreError, ClientError

        with suppress(ClientError, BotoCoreError):  # it is gone, or the next call will say what is wrong
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)

    def between(self, first: str, last: str) -> dict[str, Found]:
        """The objects from one name to another in the order of their keys, both included."""
        start = self.key(first)[:-1]  # sorts before it, and next to it
        below = f"{self.prefix}/" if self.prefix else ""
        found: dict[str, Found] = {}
        while True:
            with self.answered(start):
                answer = self.policy.call(lambda start=start: self.client.list_objects_v2(Bucket=self.bucket, Prefix=below, StartAfter=start))  # type: ignore[misc]
            items = answer.get("Contents", ())
            found.update((item["Key"][len(below) :], _found(item)) for item in items)
            if not answer.get("IsTruncated") or max(found) >= last:
                return found
            start = items[-1]["Key"]

    def delete(self, name: str) -> None:
        with self.answered(self.key(name)):
            self.client.delete_object(Bucket=self.bucket, Key=self.key(name))

    def close(self) -> None:
        self.client.close()


class S3Arrival:
    """An object that appears when it is whole: in one request, or by completing an upload of parts."""

    def __init__(self, store: S3Store, key: str, found: Found, part_bytes: int, state: Mapping[str, Any] | None) -> None:
        self.store, self.key, self.found, self.part_bytes = store, key, found, part_bytes
        self.is_single = found.size <= part_bytes
        self.single: Data | None = None
        self.state: dict[str, Any] = {}
        if not self.is_single:
            upload = str(state["upload"]) if state else ""
            if not upload or self._parts(upload) is None:
                with store.answered(key):
                    upload = store.client.create_multipart_upload(Bucket=store.bucket, Key=key, Metadata=_metadata(found.mtime), ChecksumAlgorithm="SHA256")["UploadId"]
            self.state = {"upload": upload}

    def _parts(self, upload: str) -> dict[int, tuple[int, str]] | None:
        """Number to size and MD5 of the parts that S3 has; None if it knows no such upload."""
        from botocore.exceptions import ClientError

        found: dict[int, tuple[int, str]] = {}
        marker = 0
        with self.store.answered(self.key):
            while True:
                try:
                    answer = self.store.client.list_parts(Bucket=self.store.bucket, Key=self.key, UploadId=upload, PartNumberMarker=marker)
                except ClientError as error:
                    if error.response.get("Error", {}).get("Code") == "NoSuchUpload":
                        return None
                    raise
                for part in answer.get("Parts", ()):
                    found[part["PartNumber"] - 1] = part["Size"], part["ETag"].strip('"')
                if not answer.get("IsTruncated"):
                    return found
                marker = answer["NextPartNumberMarker"]

    def write(self, number: int, start: int, data: Data, digest: Digest) -> bool:
        if self.is_single:
            self.single = data  # it is compared when it is put
            return True
        with self.store.answered(self.key):
            answer = self.store.client.upload_part(
                Bucket=self.store.bucket, Key=self.key, UploadId=self.state["upload"], PartNumber=number + 1, Body=data, ChecksumSHA256=_base64(digest)
            )  # fmt: skip
        return _fits(answer["ETag"].strip('"'), digest)

    def wrong(self, digests: Mapping[int, Digest]) -> list[int]:
        there = self._parts(self.state["upload"]) or {}
        return [number for number, digest in digests.items() if not self._is_there(number, digest, there.get(number))]

    def _is_there(self, number: int, digest: Digest, part: tuple[int, str] | None) -> bool:
        start = number * self.part_bytes
        if part is None or part[0] != min(self.part_bytes, self.found.size - start):
            return False
        return _fits(part[1], digest)

    def finish(self, digests: Mapping[int, Digest], mtime: float) -> None:
        client, where = self.store.client, {"Bucket": self.store.bucket, "Key": self.key}
        etag = etags.etag_of((digests[number].md5 for number in sorted(digests)), in_parts=not self.is_single)
        with self.store.answered(self.key):
            if self.is_single:
                if self.single is None:
                    raise AssertionError("a part that was written")
                answer = client.put_object(**where, Body=self.single, Metadata=_metadata(mtime), ChecksumSHA256=_base64(digests[0]))
            else:
                there = self._parts(self.state["upload"])
                if there is None:  # the answer to an earlier try was lost: it is complete
                    answer = client.head_object(**where)
                else:
                    parts = [{"PartNumber": number + 1, "ETag": there[number][1], "ChecksumSHA256": _base64(digests[number])} for number in sorted(digests)]
                    answer = client.complete_multipart_upload(**where, UploadId=self.state["upload"], MultipartUpload={"Parts": parts})
        got = answer["ETag"].strip('"')
        if got != etag and answer.get("ServerSideEncryption", "AES256") == "AES256":
            raise TransferError(f"s3://{self.store.bucket}/{self.key}: S3 has an object with the ETag {got}, and {etag} was sent. Send it again, and don't use what is there", retryable=False)
        if self.store.verify == "read":
            self._read_back(Found(self.found.size, self.found.mtime, got), digests)

    def _read_back(self, found: Found, digests: Mapping[int, Digest]) -> None:
        name = self.key[len(self.store.prefix) :].lstrip("/")
        for number, (start, end) in enumerate(spans(found.size, self.part_bytes)):
            data = self.store.policy.call(lambda start=start, end=end: self.store.read(name, start, end, found))  # type: ignore[misc]
            if hashlib.sha256(data).hexdigest() != digests[number].sha256:
                raise TransferError(f"s3://{self.store.bucket}/{self.key}: what S3 gives back isn't what was sent. Send it again, and don't use what is there", retryable=False)


def _fits(etag: str, digest: Digest) -> bool:
    """Whether S3 has of a part what was sent."""
    return etag == digest.md5 or etags.parts_in(etag) is None  # not an MD5: S3 encrypted it, and compared SHA-256 itself


def _found(item: Mapping[str, Any]) -> Found:
    return Found(int(item["Size"]), item["LastModified"].timestamp(), item["ETag"].strip('"'))


def _metadata(mtime: float) -> dict[str, str]:
    return {_MTIME: f"{mtime:.6f}"}


def _base64(digest: Digest) -> str:
    return base64.b64encode(bytes.fromhex(digest.sha256)).decode()


def _unwritable(name: str) -> str | None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "the name isn't UTF-8"
    return None


def _ours(error: CloudError) -> TransferError:
    ours = TransferError(str(error), retryable=error.retryable)
    ours.retry_after = error.retry_after
    return ours


