"""To S3, from it, and inside it: against a server that speaks its protocol."""
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.tinytorch.transfer.conftest import AT_ONCE, contents, objects
from tests.unit.tinytorch.transfer.line import Line
from tinytorch.errors import TinyTorchError, TransferError
from tinytorch.transfer import sync, transfer
from tinytorch.transfer.s3 import S3Arrival, S3Store

PARTS = 5 << 20  # S3's smallest part


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of four parts, with parts of 5 MiB."""
    monkeypatch.setattr("tinytorch.transfer.listing.PART", PARTS)
    path = tmp_path / "large" / "file"
    path.parent.mkdir()
    path.write_bytes(os.urandom(3 * PARTS + 11))
    return path


def test_there_and_back_is_the_same(s3: Any, source: Path, tmp_path: Path) -> None:
    result = transfer(str(source), "s3://bucket/my data", policy=AT_ONCE)
    assert objects(s3) == {f"my data/{name}": data for name, data in contents(source).items()} and not result.failed
    assert result.plan.engine == "boto3"
    transfer("s3://bucket/my data", str(tmp_path / "back"), policy=AT_ONCE)
    assert contents(tmp_path / "back") == contents(source)
    assert {path.stat().st_mtime for path in (tmp_path / "back").rglob("*") if path.is_file()} == {1_600_000_000}


def test_what_is_unchanged_is_known_by_its_checksum(s3: Any, source: Path, tmp_path: Path) -> None:
    transfer(str(source), "s3://bucket/x")
    os.utime(source / "empty")
    (source / "sub" / "-rf").write_bytes(b"+")
    os.utime(source / "sub" / "-rf", (1_600_000_000, 1_600_000_000))
    result = transfer(str(source), "s3://bucket/x")
    assert [step.name for step in result.plan.send] == ["sub/-rf"] and result.plan.compared == "size and checksum"
    assert transfer("s3://bucket/x", str(source)).sent == 0


def test_a_large_file_is_sent_in_parts_and_known_again(s3: Any, large: Path, tmp_path: Path) -> None:
    transfer(str(large), "s3://bucket/file")
    assert objects(s3) == {"file": large.read_bytes()}
    assert s3.head_object(Bucket="bucket", Key="file")["ETag"].endswith('-4"')
    assert transfer(str(large), "s3://bucket/file").sent == 0
    transfer("s3://bucket/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == large.read_bytes()


def test_from_bucket_to_bucket(s3: Any, source: Path) -> None:
    transfer(str(source), "s3://bucket/a")
    transfer("s3://bucket/a", "s3://bucket/b")
    there = objects(s3)
    assert {name: there[f"b/{name}"] for name in contents(source)} == contents(source)
    assert s3.head_object(Bucket="bucket", Key="b/empty")["Metadata"] == {"mtime": "1600000000.000000"}
    assert transfer("s3://bucket/a", "s3://bucket/b").plan.unchanged == 5


def test_sync_deletes_below_its_prefix_only(s3: Any, source: Path) -> None:
    for key in ("x/old", "xy/other", "other"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"old")
    assert sync(str(source), "s3://bucket/x", delete=True).deleted == ("old",)
    assert {"xy/other", "other"} < objects(s3).keys()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_upload_goes_on_with_the_parts_that_are_there(s3: Any, large: Path) -> None:
    program = (
        "import os, sys\nfrom tinytorch.transfer import listing, transfer\n"
        f"listing.PART = {PARTS}\n"
        f"transfer(sys.argv[1], 's3://bucket/file', jobs=1, report=lambda now: now.arrived >= {2 * PARTS} and os.kill(os.getpid(), 9))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(large)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert objects(s3) == {}
    assert transfer(str(large), "s3://bucket/file").nbytes == PARTS + 11
    assert objects(s3) == {"file": large.read_bytes()}
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="bucket")


def test_a_line_that_drops_costs_parts(s3: Any, large: Path, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(endpoint.rpartition(":")[2])
    line = Line(lambda: socket.create_connection(("127.0.0.1", port)))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{line.port}")
    line.drops = [PARTS // 2, 10, 2 * PARTS]
    up = transfer(str(large), "s3://bucket/file", jobs=2, policy=AT_ONCE)
    assert not up.failed and line.drops == [] and objects(s3) == {"file": large.read_bytes()}
    line.drops = [PARTS // 2, 10, 100]
    down = transfer("s3://bucket/file", str(tmp_path / "back"), jobs=2, policy=AT_ONCE)
    assert not down.failed and line.drops == [] and (tmp_path / "back").read_bytes() == large.read_bytes()
    line.close()


def test_parts_of_another_version_are_not_used_and_not_left(s3: Any, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = S3Arrival.write

    def broken(self: S3Arrival, number: int, *rest: Any) -> None:
        if number == 3:
            raise TransferError("broken", retryable=False)
        write(self, number, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(S3Arrival, "write", broken)
        assert transfer(str(large), "s3://bucket/file", jobs=1).failed == {"the file": "broken"}
    assert len(s3.list_multipart_uploads(Bucket="bucket")["Uploads"]) == 1
    large.write_bytes(os.urandom(3 * PARTS + 11))
    assert transfer(str(large), "s3://bucket/file").nbytes == 3 * PARTS + 11
    assert objects(s3) == {"file": large.read_bytes()}
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="bucket")


def test_a_part_that_s3_has_otherwise_is_sent_again(s3: Any, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This server takes a wrong SHA-256, as others may: what it has is compared here."""
    write, damaged = S3Arrival.write, []

    def flip(self: S3Arrival, number: int, start: int, data: bytes, digest: Any) -> bool | None:
        if number == 1 and not damaged:
            damaged.append(number)
            data = b"\0" * len(data)
        return write(self, number, start, data, digest)

    monkeypatch.setattr(S3Arrival, "write", flip)
    assert not transfer(str(large), "s3://bucket/file", policy=AT_ONCE).failed
    assert damaged and objects(s3) == {"file": large.read_bytes()}


def test_what_comes_otherwise_than_its_etag_says_is_not_put_in_place(s3: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer(str(source), "s3://bucket/x")
    read = S3Store.read
    monkeypatch.setattr(S3Store, "read", lambda self, name, *rest: b"?" if name == "sub/-rf" else read(self, name, *rest))
    result = transfer("s3://bucket/x", str(tmp_path / "back"))
    assert "isn't what its ETag says" in result.failed["sub/-rf"] and not (tmp_path / "back" / "sub" / "-rf").exists()
    assert len(contents(tmp_path / "back")) == 4


def test_parts_that_didnt_prove_right_are_not_gone_on_with(s3: Any, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer(str(large), "s3://bucket/file")
    read = S3Store.read
    with monkeypatch.context() as patched:
        patched.setattr(S3Store, "read", lambda self, name, start, end, found: b"?" * (end - start) if start else read(self, name, start, end, found))
        assert "isn't what its ETag says" in transfer("s3://bucket/file", str(tmp_path / "back")).failed["the file"]
    assert not transfer("s3://bucket/file", str(tmp_path / "back")).failed
    assert (tmp_path / "back").read_bytes() == large.read_bytes()


def test_reading_back_finds_what_an_etag_hides(s3: Any, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = S3Store.read
    monkeypatch.setattr(S3Store, "read", lambda self, name, *rest: b"?" if name.endswith("-rf") else read(self, name, *rest))
    assert not transfer(str(source), "s3://bucket/x").failed
    result = transfer(str(source), "s3://bucket/y", verify="read")
    assert list(result.failed) == ["sub/-rf"] and "gives back" in result.failed["sub/-rf"]


def test_an_object_that_was_sent_in_one_piece_is_proved_in_one_piece(s3: Any, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put_object(Bucket="bucket", Key="file", Body=large.read_bytes())
    assert not transfer("s3://bucket/file", str(tmp_path / "good")).failed
    assert (tmp_path / "good").read_bytes() == large.read_bytes()
    monkeypatch.setattr(S3Store, "read", lambda self, name, start, end, found: b"?" * (end - start))
    assert "isn't what its ETag says" in transfer("s3://bucket/file", str(tmp_path / "bad")).failed["the file"]
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize("key", ["../out", "a//b", "/etc/x", "a/../../b"])
def test_a_key_that_leads_elsewhere_is_refused_before_anything_is_written(s3: Any, tmp_path: Path, key: str) -> None:
    s3.put_object(Bucket="bucket", Key="fine", Body=b"")
    s3.put_object(Bucket="bucket", Key=key, Body=b"evil")
    with pytest.raises(TransferError, match="lead to another place"):
        transfer("s3://bucket", str(tmp_path / "there" / "deep"))
    assert not (tmp_path / "there").exists()


def test_a_key_that_is_a_file_and_a_folder_is_refused_here(s3: Any, tmp_path: Path) -> None:
    for key in ("a", "a/b"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"")
    with pytest.raises(TransferError, match="a is to be a folder"):
        transfer("s3://bucket", str(tmp_path / "there"))


def test_an_object_as_a_file_and_consoles_folders(s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket="bucket", Key="a/file", Body=b"file")
    s3.put_object(Bucket="bucket", Key="a/none/", Body=b"")
    transfer("s3://bucket/a/file", f"{tmp_path}/there/")
    assert contents(tmp_path / "there") == {"file": b"file"}
    assert transfer("s3://bucket/a", str(tmp_path / "all")).plan.left_out == {"none": "a folder without files"}


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [("ExpiredToken", 400, "credentials"), ("AccessDenied", 403, "not allowed"), ("PermanentRedirect", 301, "another region"), ("SlowDown", 503, "SlowDown")],
)
def test_what_s3_refuses_says_what_to_do(s3: Any, source: Path, monkeypatch: pytest.MonkeyPatch, code: str, status: int, says: str) -> None:
    from botocore.exceptions import ClientError

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")  # type: ignore[typeddict-item]

    make = S3Store.__init__

    def made(self: S3Store, *arguments: Any) -> None:
        make(self, *arguments)
        monkeypatch.setattr(self.client, "put_object", refuse)

    monkeypatch.setattr(S3Store, "__init__", made)
    failed = transfer(str(source), "s3://bucket/x", policy=AT_ONCE).failed
    assert len(failed) == 5 and all(says in why for why in failed.values())


def test_a_bucket_that_isnt_there(s3: Any, source: Path) -> None:
    with pytest.raises(TransferError, match="there is no bucket 'nobody'"):
        transfer(str(source), "s3://nobody/x")


def test_no_credentials(s3: Any, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TransferError, match="aws configure"):
        transfer(str(source), "s3://bucket/x")


def test_without_boto3_the_command_that_installs_it_is_named(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(TinyTorchError, match=r"tinytorch\[s3\]"):
        transfer(str(source), "s3://bucket/x")


