"""Limits on the time and memory that the student's code may take, so that a loop without end becomes a failure with its line."""
from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_RINGS = 4  # interruptions, a second apart, that code may catch
_PART = 8  # of the machine's memory may a process have: a run that somebody waits for has four at most
_LEAST = 1 << 30  # bytes


class TookTooLong(BaseException):
    """Raised in the middle of the code that ran too long; no `except Exception` of that code can catch it."""


TOO_MUCH = (TookTooLong, MemoryError)  # how code ends that takes more than it may


@contextmanager
def time_limit(seconds: float, setting: str = "tito_timeout") -> Iterator[None]:
    """Interrupt the block after `seconds`, which `setting` gives; 0 means no limit.

    Code that catches every interruption, as a bare `except:` inside of an endless loop does, ends the process with the
    signal SIGALRM a few seconds later. Works in the main thread. Where the system has no alarm signal (Windows), Python code is interrupted but a single
    long call into a library is not.

    Raises: TookTooLong
    """
    message = f"interrupted after {seconds:g} seconds ({setting}): does a loop never end?"
    if seconds <= 0 or threading.current_thread() is not threading.main_thread():
        yield
    elif hasattr(signal, "setitimer"):
        with _alarm(seconds, message):
            yield
    else:
        with _interrupt(seconds, message):
            yield


@contextmanager
def _alarm(seconds: float, message: str) -> Iterator[None]:
    rang = 0

    def on_alarm(number: int, frame: FrameType | None) -> None:
        nonlocal rang
        rang += 1
        if rang > _RINGS:  # nothing that is raised here gets out: not even Ctrl-C would
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise TookTooLong(message)

    before = signal.signal(signal.SIGALRM, on_alarm)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # and again each second, should a bare `except:` swallow it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)  # pytest-timeout's, say, which starts anew


@contextmanager
def _interrupt(seconds: float, message: str) -> Iterator[None]:
    import _thread

    rang = threading.Event()

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if rang.is_set():
            raise TookTooLong(message)
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


def limit_memory() -> None:
    """Let an allocation fail, as a MemoryError, that takes this process beyond an eighth of the machine's memory, or 1 GB.

    What it has already doesn't count. On Linux only: macOS doesn't keep such a limit, and Windows has none.
    """
    if sys.platform != "linux":
        return
    import resource

    page = os.sysconf("SC_PAGE_SIZE")
    has = int(Path("/proc/self/statm").read_text("ascii").split()[5]) * page
    wanted = has + max(os.sysconf("SC_PHYS_PAGES") * page // _PART, _LEAST)
    now, most = resource.getrlimit(resource.RLIMIT_DATA)
    stricter = [limit for limit in (now, most) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *stricter]), most))


def lift_memory_limit() -> None:
    """Let this process have memory again, to tell of the failure."""
    if sys.platform == "linux":
        import resource

        most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
