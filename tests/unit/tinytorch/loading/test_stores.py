from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.tinytorch import object_store
from tests.unit.tinytorch.loading.conftest import AT_ONCE, Arrays
from tests.unit.tinytorch.loading.range_server import RangeServer
from tinytorch import loading
from tinytorch.errors import ConfigError, DataError
from tinytorch.loading.stores import HttpStore, S3Store, Store, open_store


@pytest.fixture(params=["folder", "file", "http"])
def store(request: pytest.FixtureRequest, folder: Path, server: RangeServer) -> Iterator[Store]:
    place = {"folder": folder, "file": folder.as_uri(), "http": server.url}[request.param]
    opened = open_store(place, retry=AT_ONCE)
    yield opened
    opened.close()


@pytest.fixture
def http(server: RangeServer) -> Iterator[HttpStore]:
    opened = open_store(server.url, retry=AT_ONCE)
    assert isinstance(opened, HttpStore)
    yield opened
    opened.close()


@pytest.mark.parametrize("start, end", [(0, None), (0, 10), (7, 100), (100, None)])
def test_a_part_of_a_file_is_what_was_asked_for(store: Store, folder: Path, start: int, end: int | None) -> None:
    whole = (folder / "00001.shard").read_bytes()
    assert store.read("00001.shard", start, end) == whole[start:end]
    assert store.size("00001.shard") == len(whole)


def test_a_file_that_isnt_there_is_named(store: Store) -> None:
    with pytest.raises(DataError, match="00099.shard"):
        store.read("00099.shard")
    with pytest.raises(DataError, match="00099.shard"):
        store.size("00099.shard")


def test_a_part_beyond_the_end_is_an_error(store: Store) -> None:
    with pytest.raises(DataError):
        store.read("00001.shard", 10, 10**6)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 100 bytes, as small beside a shard here as they are elsewhere."""
    monkeypatch.setattr("tinytorch.loading.stores._PIECE", 100)


def test_a_connection_that_drops_goes_on_where_it_was(server: RangeServer, http: HttpStore, folder: Path) -> None:
    whole = (folder / "00000.shard").read_bytes()
    server.drops = [300] * 5  # more than the attempts: each brings something
    assert http.read("00000.shard") == whole
    assert server.sent == len(whole)
    assert [asked for _, asked in server.asked][:3] == [None, "bytes=300-", "bytes=600-"]


def test_a_server_that_is_busy_is_asked_again_and_one_that_stays_so_is_told(server: RangeServer, http: HttpStore, folder: Path) -> None:
    server.statuses = [503, 429]
    assert http.read("00000.shard") == (folder / "00000.shard").read_bytes()
    server.statuses = [503, 503, 503, 503]
    with pytest.raises(DataError, match="answered 503"):
        http.read("00000.shard")
    assert server.statuses == [503]


def test_connections_that_bring_nothing_use_up_the_attempts(server: RangeServer, http: HttpStore) -> None:
    server.drops = [0] * 10
    with pytest.raises(DataError):
        http.read("00000.shard")
    assert len(server.asked) == 3


def test_a_server_without_ranges_serves_whole_files_also_after_a_drop(server: RangeServer, http: HttpStore, folder: Path) -> None:
    server.ranges = False
    server.drops = [300, 500]
    assert http.read("00000.shard") == (folder / "00000.shard").read_bytes()
    assert not http.has_ranges("00000.shard")
    with pytest.raises(DataError, match=r"doesn't serve parts of files \(Range\), which DirectS3 needs. Use LocalCache"):
        http.read("00000.shard", 5, 10)


def test_a_server_without_ranges_that_always_drops_is_given_up(server: RangeServer, http: HttpStore) -> None:
    server.ranges = False
    server.drops = [300] * 100
    with pytest.raises(DataError):
        http.read("00000.shard")
    assert len(server.asked) <= 6


def test_a_part_that_isnt_the_one_asked_for_is_refused(server: RangeServer, http: HttpStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.tinytorch.loading.range_server._Handler.send_header", _lying(server))
    with pytest.raises(DataError, match="asked for bytes from 5 on, the server sent bytes 0-4/"):
        http.read("00000.shard", 5, 10)


def _lying(server: RangeServer) -> Any:
    original = server.RequestHandlerClass.send_header  # type: ignore[attr-defined]

    def send_header(self: Any, name: str, value: str) -> None:
        original(self, name, "bytes 0-4/1000" if name == "Content-Range" else value)

    return send_header


def test_nobody_there_is_a_retryable_error_that_is_told(server: RangeServer) -> None:
    store = open_store("http://127.0.0.1:9", retry=AT_ONCE)  # the discard port: nobody listens
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/index\.json.*[Rr]efused"):
        loading.shards.read_index(store)
    store.close()


# --- S3 ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with object_store.running() as address:
        yield address


@pytest.fixture(scope="module")
def bucket(endpoint: str, tmp_path_factory: pytest.TempPathFactory, arrays: Arrays) -> Iterator[Path]:
    """A bucket of that name with shards under `train/`, which are also in a folder here, and an environment to reach it."""
    import boto3

    folder = tmp_path_factory.mktemp("bucket")
    loading.write_shards(folder, *arrays, shard_bytes=30 * 56)
    with pytest.MonkeyPatch.context() as monkeypatch:
        object_store.reach(endpoint, folder, monkeypatch)
        client = boto3.session.Session().client("s3")
        client.create_bucket(Bucket="bucket")
        for path in (folder / "index.json", *folder.glob("*.shard")):
            client.put_object(Bucket="bucket", Key=f"train/{path.name}", Body=path.read_bytes())
        client.close()
        yield folder


@pytest.fixture(scope="module")
def s3(bucket: Path) -> Iterator[S3Store]:
    store = open_store("s3://bucket/train/", retry=AT_ONCE)
    assert isinstance(store, S3Store)
    yield store
    store.close()


def test_parts_of_objects_are_read(s3: S3Store, bucket: Path) -> None:
    whole = (bucket / "00001.shard").read_bytes()
    assert s3.read("00001.shard") == whole and s3.read("00001.shard", 7, 100) == whole[7:100]
    assert s3.size("00001.shard") == len(whole)


@pytest.mark.parametrize("strategy", [loading.LocalCache, loading.DirectS3])
def test_both_strategies_load_from_an_object_store(s3: S3Store, tmp_path: Path, strategy: Any) -> None:
    options = {"cache": tmp_path / "cache"} if strategy is loading.LocalCache else {"block_bytes": 500}
    with strategy(s3, 32, shuffle=True, seed=1, **options) as loader:
        assert sorted(label for _, labels in loader for label in labels) == list(range(200))


def test_a_bucket_or_key_that_isnt_there_is_named(s3: S3Store, bucket: Path) -> None:
    with pytest.raises(DataError, match=r"s3://bucket/train/x: there is no such object\. Check the prefix"):
        s3.read("x")
    with pytest.raises(DataError, match=r"s3://bucket/train/x: there is no such object"):
        s3.size("x")
    s3.bucket, before = "no-such-bucket-here", s3.bucket
    try:
        with pytest.raises(DataError, match="there is no bucket 'no-such-bucket-here'"):
            s3.read("index.json")
    finally:
        s3.bucket = before


def test_an_address_without_a_bucket_is_refused() -> None:
    with pytest.raises(ConfigError, match="no bucket"):
        open_store("s3:///x")
