"""A limit on the time that the student's code may take, so that a loop without end becomes a failure with its line."""
from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TookTooLong(BaseException):
    """Raised in the middle of the code that ran too long; no `except Exception` of that code can catch it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the block after `seconds`; 0 means no limit.

    Works in the main thread. Where the system has no alarm signal (Windows), Python code is interrupted but a single
    long call into a library is not.

    Raises: TookTooLong
    """
    if seconds <= 0 or threading.current_thread() is not threading.main_thread():
        yield
    elif hasattr(signal, "setitimer"):
        with _alarm(seconds):
            yield
    else:
        with _interrupt(seconds):
            yield


def _message(seconds: float) -> str:
    return f"interrupted after {seconds:g} seconds (tito_timeout): does a loop never end?"


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def on_alarm(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(_message(seconds))

    before = signal.signal(signal.SIGALRM, on_alarm)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # and again each second, should a bare `except:` swallow it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)  # pytest-timeout's, say, which starts anew


@contextmanager
def _interrupt(seconds: float) -> Iterator[None]:
    import _thread

    rang = threading.Event()

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if rang.is_set():
            raise TookTooLong(_message(seconds))
        if callable(before):  # a real Ctrl-C, for whoever listened to it; perhaps nobody did
            before(number, frame)

    def ring() -> None:
        rang.set()
        _thread.interrupt_main()

    before = signal.signal(signal.SIGINT, on_interrupt)
    timer = threading.Timer(seconds, ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
