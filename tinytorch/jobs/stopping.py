"""SIGINT and SIGTERM as a request: what is in hand is finished, then the run ends. The second one ends it at once."""
from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop", "asked_to_stop"]


class Stop:
    """Whether a run was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def asked_to_stop(stop: Stop | None = None) -> Iterator[Stop]:
    """Catch the signals while the block runs. Outside the main thread they can't be caught, and nothing changes.

    Raises: KeyboardInterrupt inside the block at the second signal.
    """
    stop = Stop() if stop is None else stop
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.signal = signal.Signals(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:  # as nohup wants it
                signal.signal(number, note)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
