from __future__ import annotations

import pytest

from tinytorch.errors import DataError
from tinytorch.retry import ExponentialBackoffPolicy, is_retryable


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


class Flaky:
    """Fails with each of the errors, then works."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture
def time() -> Time:
    return Time()


def policy(time: Time, **limits: float) -> ExponentialBackoffPolicy:
    return ExponentialBackoffPolicy(clock=lambda: time.now, sleep=time.sleep, uniform=lambda low, high: high, **limits)  # type: ignore[arg-type]


def passing(retry_after: float | None = None) -> DataError:
    error = DataError("busy", retryable=True)
    error.retry_after = retry_after
    return error


def test_what_works_at_once_is_called_once_and_nobody_waits(time: Time) -> None:
    work = Flaky()
    assert policy(time).call(work) == "done"
    assert (work.calls, time.naps) == (1, [])


def test_the_range_of_the_delay_doubles_up_to_the_longest(time: Time) -> None:
    policy(time, attempts=7, first_delay=1, longest_delay=10).call(Flaky(*(passing() for _ in range(6))))
    assert time.naps == [1, 2, 4, 8, 10, 10]


def test_the_delay_is_drawn_from_the_whole_range_down_to_zero(time: Time) -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    ExponentialBackoffPolicy(first_delay=3, sleep=time.sleep, uniform=uniform).call(Flaky(passing(), passing()))
    assert asked == [(0, 3), (0, 6)]
    assert time.naps == [0, 0]


def test_an_error_that_will_not_pass_ends_it_at_once(time: Time) -> None:
    work = Flaky(DataError("gone for good"))
    with pytest.raises(DataError, match="gone for good"):
        policy(time).call(work)
    assert work.calls == 1


def test_the_error_of_the_last_attempt_is_raised_itself(time: Time) -> None:
    errors = [passing() for _ in range(3)]
    with pytest.raises(DataError) as raised:
        policy(time, attempts=3).call(Flaky(*errors))
    assert raised.value is errors[2]
    assert len(time.naps) == 2


def test_no_attempt_begins_after_the_total_time(time: Time) -> None:
    work = Flaky(*(passing() for _ in range(50)))
    with pytest.raises(DataError):
        policy(time, attempts=50, first_delay=1, longest_delay=100, total=10).call(work)
    assert time.naps == [1, 2, 4]  # the next would end after 15
    assert work.calls == 4


def test_slow_attempts_count_towards_the_total_time(time: Time) -> None:
    def work() -> None:
        time.now += 6
        raise passing()

    with pytest.raises(DataError):
        policy(time, total=10, first_delay=0).call(work)
    assert time.now == 1012  # two tries


def test_retry_after_lengthens_the_delay_beyond_the_longest(time: Time) -> None:
    policy(time, first_delay=1, longest_delay=5).call(Flaky(passing(retry_after=60)))
    assert time.naps == [60]


def test_retry_after_does_not_shorten_the_delay(time: Time) -> None:
    policy(time, first_delay=4).call(Flaky(passing(retry_after=1)))
    assert time.naps == [4]


def test_a_pause_that_total_does_not_allow_is_not_begun(time: Time) -> None:
    with pytest.raises(DataError):
        policy(time, total=30).call(Flaky(passing(retry_after=3600)))
    assert time.naps == []


def test_each_failure_that_another_try_follows_is_reported(time: Time) -> None:
    told: list[tuple[str, float]] = []
    policy(time, first_delay=1).call(
        Flaky(ConnectionResetError("dropped"), passing()), report=lambda error, delay: told.append((str(error), delay))
    )
    assert told == [("dropped", 1), ("busy", 2)]


def test_an_interrupt_is_no_failure(time: Time) -> None:
    work = Flaky(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        policy(time).call(work)
    assert work.calls == 1


@pytest.mark.parametrize("limits", [{"attempts": 0}, {"first_delay": -1}, {"longest_delay": -1}, {"total": -0.1}])
def test_limits_without_sense_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="attempts must be at least 1"):
        ExponentialBackoffPolicy(**limits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error, expected",
    [(ConnectionRefusedError(), True), (TimeoutError(), True), (DataError("", retryable=True), True), (DataError(""), False), (ValueError(), False), (PermissionError(), False)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_errors_know_whether_they_may_pass(error: Exception, expected: bool) -> None:
    assert is_retryable(error) is expected
