"""Another try after a failure that may pass: exponential backoff with full jitter.

Every network call of the project goes through a `RetryPolicy`. Which failures may pass, the errors say themselves
(`retryable`); what a server says about when to come back (`Retry-After`) is honoured.

Source: M. Brooker, *Exponential Backoff and Jitter* (2015), AWS Architecture Blog. The loop is tenacity's.
"""
from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from tinytorch.errors import TinyTorchError

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["ExponentialBackoffPolicy", "RetryPolicy", "is_retryable"]

T = TypeVar("T")


def is_retryable(error: BaseException) -> bool:
    """Whether the call that raised `error` may work a moment later.

    >>> is_retryable(ConnectionResetError()), is_retryable(FileNotFoundError())
    (True, False)
    """
    if isinstance(error, TinyTorchError):
        return error.retryable
    return isinstance(error, ConnectionError | TimeoutError)


class RetryPolicy(Protocol):
    """Says how often, and how soon after one another, a call is tried."""

    def call(self, work: Callable[[], T], *, report: Callable[[BaseException, float], None] | None = None) -> T:
        """What `work()` returns, at the first try that returns; else the error of the last one.

        `report` is told of each error that another try follows, and of the seconds until then.
        """


@dataclass(frozen=True)
class ExponentialBackoffPolicy:
    """Waits a random time before each further try, from a range that doubles.

    Before try n+1 it waits between 0 and `first_delay * 2**(n-1)` seconds, at most `longest_delay`: a thousand clients
    that a server has thrown out together don't come back together. If the server asked for a longer pause, that is what
    it gets, unless `total` doesn't allow it.

    Work that can go on where it stopped returns whenever it got further, and is called again until it is done: then
    the limits hold for each stretch without any progress, and a long download survives any number of interruptions.
    """

    attempts: int = 6  # tries altogether
    first_delay: float = 0.5  # seconds
    longest_delay: float = 30.0  # seconds
    total: float = 300.0  # seconds after the beginning in which a further try may begin
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform

    def __post_init__(self) -> None:
        if self.attempts < 1 or min(self.first_delay, self.longest_delay, self.total) < 0:
            raise ValueError(f"{self}: attempts must be at least 1, and no time negative")

    def call(self, work: Callable[[], T], *, report: Callable[[BaseException, float], None] | None = None) -> T:
        """What `work()` returns, at the first try that returns.

        Raises: the error of the last try, if it isn't retryable or the limits are reached.
        """
        import tenacity  # 50 ms, which only those who use the network pay

        began = self.clock()

        def is_last(state: RetryCallState) -> bool:
            elapsed = self.clock() - began
            return state.attempt_number >= self.attempts or elapsed + state.upcoming_sleep > self.total

        def tell(state: RetryCallState) -> None:
            if report:
                report(_error(state), state.upcoming_sleep)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_retryable), wait=lambda state: self._delay(state.attempt_number, _error(state)),
            stop=is_last, before_sleep=tell, sleep=self.sleep, reraise=True,
        )  # fmt: skip
        return retrying(work)

    def _delay(self, attempt: int, error: BaseException) -> float:
        """Seconds to wait after try number `attempt`, which failed with `error`."""
        range_end = min(self.longest_delay, self.first_delay * 2.0 ** min(attempt - 1, 1000))
        return max(self.uniform(0.0, range_end), getattr(error, "retry_after", None) or 0.0)


def _error(state: RetryCallState) -> BaseException:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert error is not None
    return error
