"""HTTP as the project uses it: what can go wrong with a request ends in one typed error that knows whether to try again."""
from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tinytorch.errors import DataError

if TYPE_CHECKING:
    import requests

__all__ = ["TIMEOUT", "TRANSIENT", "chunks", "request", "retry_after"]

TIMEOUT = (10.0, 30.0)  # seconds to connect; seconds without a byte
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}  # statuses after which the same request may succeed


@contextmanager
def request(
    url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None,
    session: requests.Session | None = None, timeout: tuple[float, float] = TIMEOUT, answers: Collection[int] = (),
) -> Iterator[requests.Response]:
    """The answer to a request, its body still to be read inside the `with` block.

    No status from 400 on gets there, but those that are `answers` to the caller's question as well.

    The bytes come as they are stored (`Accept-Encoding: identity`), so that offsets and checksums mean something.

    Raises: DataError, also when the connection fails while the body is read: retryable if the server is overloaded,
        slow, or gone, with `retry_after` if it said when to come back.
    """
    import requests
    import urllib3

    failures = (requests.RequestException, urllib3.exceptions.HTTPError)
    try:
        asked = (session or requests).request(
            method, url, headers={"Accept-Encoding": "identity", **(headers or {})}, stream=True, timeout=timeout
        )
    except (*failures, ValueError) as error:  # ValueError: a redirect to what is no address
        raise _failed(url, error) from error
    try:
        with asked as response:
            if response.status_code >= 400 and response.status_code not in answers:
                raise _refused(url, response)
            yield response
    except failures as error:
        raise _failed(url, error) from error


def chunks(response: requests.Response, largest: int = 1 << 18) -> Iterator[bytes]:
    """The body in the pieces in which it arrives, of up to `largest` bytes.

    Each piece is given as soon as it is there: nothing that came before a connection dropped is lost.
    """
    while chunk := response.raw.read1(largest, decode_content=False):
        yield chunk


def _failed(url: str, error: Exception) -> DataError:
    return DataError(f"{url}: {_reason(error)}", retryable=_may_pass(error))


def _refused(url: str, response: requests.Response) -> DataError:
    error = DataError(
        f"{url}: the server answered {response.status_code} {response.reason}", retryable=response.status_code in TRANSIENT
    )
    error.retry_after = retry_after(response.headers.get("Retry-After"))
    return error


def retry_after(value: str | None) -> float | None:
    """Seconds from a `Retry-After` header: a number or a date. None where there is none, or no sense in it.

    >>> retry_after("120"), retry_after("soon")
    (120.0, None)
    """
    import urllib3

    if value is None:
        return None
    try:
        return float(urllib3.Retry().parse_retry_after(value))
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


def _may_pass(error: Exception) -> bool:
    """Whether a request that failed in the network may work later: not with a wrong address or certificate."""
    import requests
    import urllib3

    if isinstance(error, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
        return False
    passing = (
        requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.ProtocolError, urllib3.exceptions.TimeoutError,
    )  # fmt: skip
    return isinstance(error, passing)


def _reason(error: Exception) -> str:
    """The innermost cause, which is what a person can act on; requests wraps it three times."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    if type(causes[-1]).__name__ == "IncompleteRead":  # http.client's or urllib3's, whose texts are no sentences
        return "the connection ended before the answer did"
    return getattr(causes[-1], "strerror", None) or str(causes[-1]) or type(causes[-1]).__name__
