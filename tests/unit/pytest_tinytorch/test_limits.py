"""Code that takes too long is interrupted where it is, and code that doesn't never notices."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress

import pytest

from pytest_tinytorch import limits
from pytest_tinytorch.limits import TookTooLong, time_limit

SHORT = 0.05


def loop():
    while True:
        pass


def stubborn():
    """Swallows whatever interrupts it, once."""
    try:
        loop()
    except:  # noqa: E722  # what students write
        loop()


@pytest.fixture(params=["alarm", "no alarm"])
def system(request, monkeypatch):
    """A system with an alarm signal, and one without, as Windows."""
    if request.param == "alarm" and not hasattr(signal, "setitimer"):
        pytest.skip("this system has no alarm signal")
    if request.param == "no alarm":
        monkeypatch.delattr(signal, "setitimer", raising=False)
    return request.param


def test_a_loop_is_interrupted_and_told(system):
    with (
        pytest.raises(
            TookTooLong, match=r"^interrupted after 0\.05 seconds \(tito_timeout\): does a loop never end\?$"
        ) as raised,
        time_limit(SHORT),
    ):
        loop()
    assert "loop" in [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)] or system == "no alarm"


def test_a_loop_is_interrupted_where_ctrl_c_is_ignored(system):
    """A shell's background job is started so."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(TookTooLong), time_limit(SHORT):
            loop()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_sleep_is_interrupted():
    with pytest.raises(TookTooLong), time_limit(SHORT):
        time.sleep(60)


def test_no_except_exception_swallows_it(system):
    def careful():
        try:
            loop()
        except Exception:
            pytest.fail("caught")

    with pytest.raises(TookTooLong), time_limit(SHORT):
        careful()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs the alarm signal")
def test_who_swallows_it_is_interrupted_again():
    with pytest.raises(TookTooLong), time_limit(SHORT):
        stubborn()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs the alarm signal")
def test_who_swallows_it_again_and_again_is_ended(monkeypatch):
    monkeypatch.setattr(limits, "_RINGS", 0)
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException), time_limit(SHORT):
            loop()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGALRM


@pytest.mark.parametrize("seconds", [0, -1])
def test_zero_is_no_limit(seconds):
    with time_limit(seconds):
        time.sleep(2 * SHORT)


def test_what_ends_in_time_notices_nothing(system):
    with time_limit(SHORT):
        value = 1
    time.sleep(2 * SHORT)
    assert value == 1


def test_an_error_of_the_code_stays_its_own(system):
    with pytest.raises(ZeroDivisionError), time_limit(10):
        1 / 0  # noqa: B018  # for its error
    with pytest.raises(KeyboardInterrupt), time_limit(10):
        raise KeyboardInterrupt


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs the alarm signal")
@pytest.mark.parametrize("ends", [lambda: 1 / 0, loop], ids=["an error", "interrupted"])
def test_afterwards_the_signal_is_as_it_was(ends):
    def mine(number, frame):
        """Nobody's alarm."""

    before = signal.signal(signal.SIGALRM, mine)
    try:
        with pytest.raises((ZeroDivisionError, TookTooLong)), time_limit(SHORT):
            ends()
        assert signal.getsignal(signal.SIGALRM) is mine
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_other_threads_have_no_limit():
    """Signals reach the main thread only."""
    done = []

    def run():
        with time_limit(SHORT):
            time.sleep(2 * SHORT)
        done.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [True]


def test_the_error_is_no_exception_that_code_catches():
    assert not issubclass(limits.TookTooLong, Exception)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit on memory")
def test_an_allocation_beyond_the_limit_on_memory_fails_until_it_is_lifted():
    code = """
from pytest_tinytorch.limits import lift_memory_limit, limit_memory
import os
machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
take = lambda: bytes(max(machine // 7, 2 << 30))  # zeros that nobody reads take no memory
limit_memory()
bytes(900 << 20)
try:
    take()
except MemoryError:
    lift_memory_limit()
    take()
    print("as it should be")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.stdout == "as it should be\n", done.stderr
