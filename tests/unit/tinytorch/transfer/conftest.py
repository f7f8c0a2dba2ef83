"""A folder with names that break programs, a record of its own for each test, and the places that aren't here."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.tinytorch import object_store
from tinytorch.retry import ExponentialBackoffPolicy
from tinytorch.transfer import listing

AT_ONCE = ExponentialBackoffPolicy(attempts=4, first_delay=0.01, longest_delay=0.05)
PART = 64 << 10


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYTORCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Parts of 64 KiB, so that a file of a megabyte is a large one."""
    monkeypatch.setattr(listing, "PART", PART)
    return PART


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Five files, one in parts if parts are small."""
    folder = tmp_path / "my data 🙂"
    for name, data in {
        "empty": b"", "big.bin": os.urandom(20 * PART + 7), "sub/ü 🙂.txt": b"text\r\n", "sub/-rf": b"-", "sub/a#b?c%20d+e'f": b"odd",
    }.items():  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by its name, also those that a transfer may have left."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with object_store.running() as address:
        yield address


@pytest.fixture
def s3(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client, in an environment that reaches a server with one new bucket, `bucket`."""
    import boto3

    object_store.reach(endpoint, tmp_path, monkeypatch)
    object_store.reset(endpoint)
    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket="bucket")
    yield client
    client.close()


def objects(client: Any) -> dict[str, bytes]:
    """Every object of the bucket by its key."""
    listed = client.list_objects_v2(Bucket="bucket").get("Contents", [])
    return {item["Key"]: client.get_object(Bucket="bucket", Key=item["Key"])["Body"].read() for item in listed}
