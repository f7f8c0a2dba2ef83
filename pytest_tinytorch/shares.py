"""The tests of one session in several processes at once: forks of the one that has collected, each with a share.

What xdist does for a long run, without the seconds that its workers need to start: they import and collect again.
"""
from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

AT = "at"  # the file in which a process notes the test that it is at
T = TypeVar("T")
_MOST = 4  # processes
_FEWEST = 24  # tests for which another process is worth its fork
_GRACE = 1.0  # seconds for a helper to end its test, once the session is to stop
_TOGETHER = 8  # neighbours stay together, with the fixtures that they share


def shares(items: Sequence[T], count: int) -> list[list[T]]:
    """`items` dealt out in packets of neighbours, in order within each share; the first share is the smallest.

    >>> shares(range(20), 2)
    [[8, 9, 10, 11, 12, 13, 14, 15], [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19]]
    """
    dealt: list[list[T]] = [[] for _ in range(count)]
    for number, start in enumerate(range(0, len(items), _TOGETHER)):
        dealt[(number + 1) % count] += items[start : start + _TOGETHER]
    return dealt


class Shares:
    """Runs a session's tests in shares.

    Each process notes in `folder` which test it is at, for whoever waits and for the case that it doesn't live to tell. A
    helper that does not live takes the session with it, as the test that ended it would have without helpers. A process
    that stops before the end of its share (`session.shouldfail`) stops the others too.
    """

    session: pytest.Session

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parent = os.getppid()
        self.at = self._note(AT)
        self.reports: list[pytest.TestReport] | None = None  # a helper's
        self.stop = folder / "stop"  # is there once a process has stopped before its end

    def _note(self, name: str) -> int:
        return os.open(self.folder / name, os.O_WRONLY | os.O_CREAT, 0o600)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        os.lseek(self.at, 0, os.SEEK_SET)  # Windows has no pwrite
        os.write(self.at, nodeid.encode("utf-8") + b"\0")
        if os.getppid() != self.parent:
            os._exit(1)  # nobody waits for the verdict any more

    def _note_none(self) -> None:
        """Note that no test is running."""
        os.ftruncate(self.at, 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.reports is not None:
            self.reports.append(report)

    def pytest_runtest_logfinish(self) -> None:
        if self.session.shouldfail:
            self.stop.touch()
        elif self.stop.exists():
            self.session.shouldfail = "stopping: a test in another process ended the run"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        items = list(session.items)
        own, *others = shares(items, _count(session))
        self.session = session
        helpers: dict[int, int] = {}  # number to process
        for number, share in enumerate(others, start=1):
            pid = fork()
            if pid == 0:
                status = 1
                try:
                    self._become_a_helper(session, number)
                    session.items[:] = share
                    with suppress(session.Failed):
                        yield
                    self._note_none()
                    (self.folder / f"reports.{number}").write_bytes(pickle.dumps(self.reports))
                    status = 0
                except BaseException:  # it must not reach what the session does after its tests
                    traceback.print_exc()
                finally:
                    os._exit(status)
            helpers[number] = pid
        session.items[:] = own
        stopped, result = None, None
        try:
            result = yield
        except session.Failed as failed:
            stopped = failed
        finally:
            session.items[:] = items
        self._note_none()
        for number, pid in helpers.items():
            ended = self._end_of(pid, at_once=stopped is not None)
            if ended is not None:
                self._take(session.config, number, ended)
        if stopped:
            raise stopped
        return result

    def _end_of(self, pid: int, *, at_once: bool) -> int | None:
        """The exit status of a helper; None if it was to end at once, and had to be made to."""
        until = time.monotonic() + _GRACE
        while at_once and time.monotonic() < until:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(_GRACE / 100)
        if at_once:
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return None if at_once else status

    def _become_a_helper(self, session: pytest.Session, number: int) -> None:
        self.parent = os.getppid()
        self.at = self._note(f"{AT}.{number}")
        self.reports = []
        session.config.pluginmanager.unregister(name="terminalreporter")

    def _take(self, config: pytest.Config, number: int, status: int) -> None:
        """Let this session have the reports of a helper, or end as the helper did."""
        file = self.folder / f"reports.{number}"
        if not file.exists():
            (self.folder / f"{AT}.{number}").replace(self.folder / AT)
            sys.stdout.flush()
            if status < 0:
                os.kill(os.getpid(), -status)
            os._exit(status)
        for report in pickle.loads(file.read_bytes()):
            config.hook.pytest_runtest_logreport(report=report)


def fork() -> int:
    """`os.fork`, without its warning of threads: NumPy's idle ones know what a fork is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _count(session: pytest.Session) -> int:
    """How many processes to use: one, where several would not do the same."""
    option = session.config.option
    alone = (
        sys.platform != "linux"  # Windows can't fork, and macOS's Accelerate, which NumPy uses, can't be forked
        or threading.active_count() > 1  # the student's: a fork would not have it
        or session.testsfailed or option.collectonly or option.maxfail or option.usepdb
        or getattr(option, "numprocesses", None)
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 1 if alone else max(1, min(cores, _MOST, len(session.items) // _FEWEST))
