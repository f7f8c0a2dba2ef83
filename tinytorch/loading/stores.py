"""Where shards are: a folder, a web server, an object store. One small interface, and one way to fail.

A read that is interrupted goes on where it was, and whatever may pass is tried again (`tinytorch.retry`).
"""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlsplit

from tinytorch.cloud import NotFound, boto
from tinytorch.errors import ConfigError, DataError, TinyTorchError
from tinytorch.places import local_path
from tinytorch.retry import ExponentialBackoffPolicy, RetryPolicy

if TYPE_CHECKING:
    import requests

__all__ = ["FolderStore", "HttpStore", "S3Store", "Store", "open_store", "pause", "stop_with", "store_at"]

_PIECE = 2**16  # bytes received at a time: no more than that is lost when a connection drops
_CONNECTIONS = 32  # that are kept for the next request
_thread = threading.local()  # its `stopping` says that nobody waits any more for what the thread reads


def stop_with(stopping: threading.Event) -> None:
    """Let what this thread reads end soon after `stopping` is set, also while it waits for another try."""
    _thread.stopping = stopping


def pause(seconds: float) -> None:
    """Wait; a thread whose `stop_with` is set ends here, with a DataError that nobody sees any more."""
    stopping = getattr(_thread, "stopping", None) or threading.Event()
    if stopping.wait(seconds):
        raise DataError("the read was stopped")


class Store(Protocol):
    """Files by name, which don't change while they are read."""

    place: str  # as people name it

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes `start` to `end` (not included, or the end of the file) of a file.

        Raises: DataError or CloudError, saying what was wrong and what to do.
        """

    def size(self, name: str) -> int:
        """Bytes of a file."""

    def close(self) -> None:
        """Let go of connections."""


def open_store(place: str | PathLike[str], *, retry: RetryPolicy | None = None) -> Store:
    """The store at a path, a `file://`, `http://` or `https://` address, or `s3://bucket/prefix`.

    `retry` says how often a call over the network is tried.

    Raises: ConfigError for another kind of address, or if S3 is asked for and boto3 isn't installed.
    """
    retry = retry or ExponentialBackoffPolicy(sleep=pause)
    text = str(place)
    scheme = text.partition("://")[0] if "://" in text else ""
    if scheme == "s3":
        return S3Store(text, retry)
    if scheme in ("http", "https"):
        return HttpStore(text, retry)
    if scheme == "file":
        return FolderStore(local_path(text))
    if scheme:
        raise ConfigError(f"{text}: {scheme}:// isn't known. Name a folder, or file://, http://, https:// or s3://bucket/prefix")
    return FolderStore(Path(place))


@contextmanager
def store_at(place: str | PathLike[str] | Store) -> Iterator[Store]:
    """An open store, or the one at `place`, which is closed if the block fails."""
    if not isinstance(place, str | PathLike):
        yield place
        return
    store = open_store(place)
    try:
        yield store
    except BaseException:
        store.close()
        raise


class FolderStore:
    """A folder, also on a mounted network."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        try:
            with (self.path / name).open("rb") as file:
                file.seek(start)
                data = file.read(-1 if end is None else end - start)
        except OSError as error:
            raise self._unreadable(name, error) from error
        if end is not None and len(data) < end - start:
            raise _ended(f"{self.path / name}", start + len(data), end, retryable=False)
        return data

    def size(self, name: str) -> int:
        try:
            return (self.path / name).stat().st_size
        except OSError as error:
            raise self._unreadable(name, error) from error

    def _unreadable(self, name: str, error: OSError) -> DataError:
        hint = "" if (self.path / name).exists() else ". Is this the folder that tinytorch.loading.write_shards wrote, whole?"
        return DataError(f"{self.path / name}: {error.strerror or error}{hint}")

    def close(self) -> None: ...


class _NetworkStore:
    """Reads that go on where they were interrupted."""

    def __init__(self, place: str, retry: RetryPolicy) -> None:
        self.place = place.rstrip("/")
        self.retry = retry

    def receive(self, name: str, start: int, end: int | None, into: bytearray) -> None:
        """Append bytes `start` to `end` of a file to `into`, piece by piece; one try.

        A server without ranges can only send all: where all is wanted, `into` is emptied first.
        """
        raise NotImplementedError

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        received = bytearray()
        furthest, done = 0, False

        def go_on() -> None:
            nonlocal furthest, done
            try:
                self.receive(name, start + len(received), end, received)
                if end is not None and len(received) != end - start:
                    raise _ended(f"{self.place}/{name}", start + len(received), end, retryable=True)
            except TinyTorchError as error:
                if not error.retryable or len(received) <= furthest:
                    raise
                furthest = len(received)  # it got further than ever: that is no failed try
            else:
                done = True

        while not done:
            self.retry.call(go_on)
        return bytes(received)


def _ended(what: str, at: int, end: int, *, retryable: bool) -> DataError:
    return DataError(f"{what} ends at byte {at}, and {end} were expected", retryable=retryable)


class HttpStore(_NetworkStore):
    """A folder on a web server."""

    def __init__(self, place: str, retry: RetryPolicy) -> None:
        super().__init__(place, retry)
        self._opening = threading.Lock()
        self._opened: requests.Session | None = None

    def _session(self) -> requests.Session:
        import requests

        with self._opening:
            if self._opened is None:
                self._opened = requests.Session()
                for scheme in ("http://", "https://"):
                    self._opened.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=_CONNECTIONS))
            return self._opened

    def receive(self, name: str, start: int, end: int | None, into: bytearray) -> None:
        from tinytorch import http

        all_is_wanted = end is None and start == len(into)
        ranged = start > 0 or end is not None
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if ranged else {}
        with http.request(self._url(name), headers=headers, session=self._session()) as response:
            if ranged and response.status_code == 200:
                if not all_is_wanted:
                    raise DataError(
                        f"{self._url(name)}: the server doesn't serve parts of files (Range), which DirectS3 needs. "
                        "Use LocalCache, which fetches whole shards"
                    )
                into.clear()
            elif ranged and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise DataError(
                    f"{self._url(name)}: asked for bytes from {start} on, the server sent "
                    f"{response.headers.get('Content-Range', 'none of them')}"
                )
            for piece in http.chunks(response, _PIECE):
                into += piece
                pause(0)

    def has_ranges(self, name: str) -> bool:
        """Whether the server serves parts of a file."""
        from tinytorch import http

        def ask() -> bool:
            with http.request(self._url(name), headers={"Range": "bytes=0-0"}, session=self._session()) as response:
                return response.status_code == 206

        return self.retry.call(ask)

    def size(self, name: str) -> int:
        from tinytorch import http

        def ask() -> int:
            with http.request(self._url(name), method="HEAD", session=self._session()) as response:
                length = response.headers.get("Content-Length", "")
            if not length.isdigit():
                raise DataError(f"{self._url(name)}: the server doesn't say how long it is")
            return int(length)

        return self.retry.call(ask)

    def _url(self, name: str) -> str:
        return f"{self.place}/{quote(name)}"

    def close(self) -> None:
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


class S3Store(_NetworkStore):
    """A prefix in a bucket of S3, or of another service that speaks its protocol (`AWS_ENDPOINT_URL`)."""

    def __init__(self, place: str, retry: RetryPolicy) -> None:
        super().__init__(place, retry)
        parts = urlsplit(self.place)
        if not parts.netloc:
            raise ConfigError(f"{place}: no bucket; expected s3://bucket/prefix")
        self.bucket, self.prefix = parts.netloc, parts.path.strip("/")
        self.client: Any = boto.client("s3", place, max_pool_connections=_CONNECTIONS)

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def receive(self, name: str, start: int, end: int | None, into: bytearray) -> None:
        ranged = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        with self.answered(name):
            body = self.client.get_object(Bucket=self.bucket, Key=self._key(name), **ranged)["Body"]
            try:
                for piece in body.iter_chunks(_PIECE):
                    into += piece
                    pause(0)
            finally:
                body.close()

    def size(self, name: str) -> int:
        def ask() -> int:
            with self.answered(name):
                return int(self.client.head_object(Bucket=self.bucket, Key=self._key(name))["ContentLength"])

        return self.retry.call(ask)

    def close(self) -> None:
        self.client.close()

    @contextmanager
    def answered(self, name: str) -> Iterator[None]:
        """Turn whatever goes wrong with boto3 in the block into an error about a file that says what to do.

        Raises: DataError if it isn't there, as in other stores; CloudError.
        """
        try:
            with boto.answered(f"s3://{self.bucket}/{self._key(name)}"):
                yield
        except NotFound as error:
            raise DataError(str(error)) from error
