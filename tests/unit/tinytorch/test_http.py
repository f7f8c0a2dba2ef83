"""A request's failures are one error that names the address and knows whether to try again; the body comes as it is stored."""
from __future__ import annotations

import gzip
import os
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from tests.unit.tinytorch.server import Drop, Fault, Server, Stall, Status, in_seconds
from tinytorch import http
from tinytorch.errors import DataError

DATA = os.urandom(100_000)
SOON = (5.0, 0.2)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        server.put("a", DATA, etag='"1"')
        yield server


def body(url: str, **options: object) -> bytes:
    with http.request(url, timeout=SOON, **options) as response:  # type: ignore[arg-type]
        return b"".join(http.chunks(response))


def failure(url: str, **options: object) -> DataError:
    with pytest.raises(DataError) as raised:
        body(url, **options)
    assert str(raised.value).startswith(f"{url}: ")
    return raised.value


def test_the_body_comes_whole(server: Server) -> None:
    assert body(server.url + "a") == DATA


def test_a_range_and_a_session_go_with_it(server: Server) -> None:
    with requests.Session() as session:
        session.headers["X-Mine"] = "1"
        assert body(server.url + "a", headers={"Range": "bytes=99990-"}, session=session) == DATA[99990:]
    assert server.asked[0].headers["X-Mine"] == "1"


def test_the_head_only(server: Server) -> None:
    with http.request(server.url + "a", method="HEAD", timeout=SOON) as response:
        assert response.headers["Content-Length"] == "100000" and server.sent == 0


def test_compressed_bytes_are_left_as_they_are(server: Server) -> None:
    """A server that says `Content-Encoding: gzip` of a `.gz`: offsets and checksums are those of the file."""
    packed = gzip.compress(DATA)
    server.put("b.gz", packed)
    server.plan(Fault(headers=(("Content-Encoding", "gzip"),)))
    assert body(server.url + "b.gz") == packed
    assert server.asked[0].headers["Accept-Encoding"] == "identity"


def test_what_came_before_a_drop_is_given(server: Server) -> None:
    server.plan(Drop(50_001))
    got: list[bytes] = []
    with pytest.raises(DataError, match="the connection ended before the answer did") as raised, http.request(server.url + "a") as response:
        got.extend(http.chunks(response))
    assert b"".join(got) == DATA[:50_001] and raised.value.retryable


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_statuses_that_pass_are_retryable(server: Server, status: int) -> None:
    server.plan(Status(status))
    error = failure(server.url + "a")
    assert error.retryable and f"the server answered {status}" in str(error)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416, 501])
def test_statuses_that_stay_are_not(server: Server, status: int) -> None:
    server.plan(Status(status))
    assert not failure(server.url + "a").retryable


def test_a_status_that_is_an_answer_gets_to_the_caller(server: Server) -> None:
    with http.request(server.url + "a", headers={"Range": "bytes=100000-"}, answers=(416,)) as response:
        assert response.status_code == 416


def test_retry_after_in_seconds_and_as_a_date(server: Server) -> None:
    server.plan(Status(503, retry_after="7"), Status(429, retry_after=in_seconds(60)), Status(503, retry_after=in_seconds(-60)), Status(503, retry_after="soon"), Status(503))
    waits = [failure(server.url + "a").retry_after for _ in range(5)]
    assert waits[0] == 7 and waits[2:] == [0, None, None]
    assert waits[1] is not None and 55 < waits[1] <= 61


def test_a_stall_is_a_timeout_and_retryable(server: Server) -> None:
    server.plan(Stall(10))
    began = time.monotonic()
    error = failure(server.url + "a")
    assert error.retryable and "timed out" in str(error) and time.monotonic() - began < 5


def test_a_server_that_does_not_answer_at_all_is_retryable(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert failure(f"http://127.0.0.1:{silent.getsockname()[1]}/a").retryable
        address = silent.getsockname()
    assert failure(f"http://127.0.0.1:{address[1]}/a").retryable, "nobody listens there any more"


def test_a_reset_is_retryable(server: Server) -> None:
    server.plan(Drop(0, resets=True))
    assert failure(server.url + "a").retryable


def test_a_wrong_address_is_not_retryable(server: Server) -> None:
    assert not failure("nonsense").retryable
    assert not failure("ftp://127.0.0.1/a").retryable


def test_a_redirect_to_what_is_no_address_is_told(server: Server) -> None:
    server.plan(Fault(location="http://[::1"))
    assert "Invalid IPv6 URL" in str(failure(server.url + "a"))


def test_redirects_are_followed_but_not_forever(server: Server) -> None:
    server.plan(Fault(location="/a"))
    assert body(server.url + "b") == DATA
    server.always(Fault(location="/a"))
    assert not failure(server.url + "a").retryable


def test_a_certificate_that_is_none_is_not_retryable(server: Server) -> None:
    """What answers there speaks no TLS: asking again changes nothing."""
    assert not failure(server.url.replace("http://", "https://") + "a").retryable


def test_chunks_without_a_length(server: Server) -> None:
    server.plan(Fault(length=lambda length: None))
    assert body(server.url + "a") == DATA
    server.plan(Drop(50_000, length=lambda length: None))
    assert failure(server.url + "a").retryable


def test_an_error_of_the_caller_is_left_alone(server: Server) -> None:
    with pytest.raises(ZeroDivisionError), http.request(server.url + "a"):
        raise ZeroDivisionError
