"""Tracking a run: a block of Python with `track`, another program with `run_command`."""
from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinytorch.errors import ConfigError, DataError
from tinytorch.jobs.stopping import asked_to_stop
from tinytorch.resources import ledger
from tinytorch.resources.usage import Meter, Usage

if TYPE_CHECKING:
    import psutil

__all__ = ["Tracked", "checked_tags", "is_test_session", "machine_of", "named", "run_command", "safe_command", "track"]

MACHINE_VARIABLE = "TINYTORCH_MACHINE"
WITHIN_VARIABLE = "TINYTORCH_RUN"  # the id of the recorded run that this process is part of
LOCAL = "local"
_SHORTEST, _LONGEST = 0.05, 1.0  # seconds between two looks at the processes
_FIRST, _SELDOM = 1.0, 60.0  # seconds until what was seen is first recorded, and at most between two records
_SHARE = 10  # a kill loses at most a tenth of a run's time
_WAIT = 0.02  # seconds between two looks at whether a program has ended
_PYTHON = re.compile(r"(python|pypy)[0-9.]*(\.exe)?", re.IGNORECASE)
_COURSE_COMMANDS = ("module", "milestone")


class Tracked:
    """A run that is being tracked; `usage` is what was seen last, and the whole when it has ended."""

    def __init__(self, name: str, command: str, tags: Mapping[str, str], machine: str, *, is_recorded: bool) -> None:
        self.id = secrets.token_hex(4)
        self.name = name
        self.command = command
        self.tags = dict(tags)
        self.machine = machine
        self.is_recorded = is_recorded
        self.usage = Usage()

    def _begin(self, root: psutil.Process, *, is_new: bool) -> None:
        self.meter = Meter(root, is_new=is_new)
        self.next_record = _FIRST
        self.place = ledger.folder()  # now: the block may change the working directory
        if self.is_recorded:
            started = {
                "name": self.name, "command": self.command, "tags": self.tags, "machine": self.machine,
                "host": platform.node(), "pid": root.pid, "created": root.create_time(), "at": ledger.stamp(ledger.now()),
                "within": os.environ.get(WITHIN_VARIABLE),
            }  # fmt: skip
            ledger.append(["started", self.id, started], place=self.place)

    def _look(self) -> float:
        """Measure, and record if it is time to; returns the seconds until the next look."""
        self.usage = self.meter.sample()
        seconds = self.usage.wall_seconds
        if self.is_recorded and seconds >= self.next_record:
            self.next_record = seconds + min(_SELDOM, max(_FIRST, seconds / _SHARE))
            with suppress(DataError):  # a full disk may have room again at the end, which says so if it hasn't; the run goes on
                ledger.append(["seen", self.id, ledger.stamp(ledger.now()), self.usage.as_json()], place=self.place)
        return min(_LONGEST, max(_SHORTEST, seconds / 20))

    def _end(self, exit: int) -> None:
        if self.is_recorded:
            try:
                ledger.append(["ended", self.id, ledger.stamp(ledger.now()), self.usage.as_json(), exit], place=self.place)
            except DataError as error:  # what was tracked is worth more than its record
                warnings.warn(f"the end of {self.name} is not recorded: {error}", RuntimeWarning, stacklevel=4)


@contextmanager
def track(name: str, *, tags: Mapping[str, str] | None = None, machine: str | None = None, record: bool | None = None) -> Iterator[Tracked]:
    """Measure what this process and its children use while the block runs.

    It is recorded if `TINYTORCH_RESOURCES` says so, or with `record=True`. `machine` is what its price is looked up by:
    `provider/region/type`; without it the one that `TINYTORCH_MACHINE` names, else `local`.

    Raises: ConfigError for a name, tags or machine that can't be recorded; DataError if the ledger can't be written when
        the block begins. Once it has begun, nothing of this stops it.

    >>> with track("sum", record=False) as tracked:
    ...     total = sum(range(1000))
    >>> tracked.usage.wall_seconds > 0
    True
    """
    import psutil

    program = " ".join(["python", Path(sys.argv[0]).name] if sys.argv and sys.argv[0] not in ("", "-c", "-m") else ["python"])
    tracked = Tracked(named(name), program, checked_tags(tags or {}), machine_of(machine), is_recorded=ledger.is_on() if record is None else record)
    tracked._begin(psutil.Process(), is_new=False)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(tracked._look()):
            pass

    watcher = threading.Thread(target=watch, name=f"track {name}", daemon=True)
    watcher.start()
    exit = 0
    try:
        with _within(tracked):
            yield tracked
    except BaseException as error:
        exit = _exit_status(error)
        raise
    finally:
        over.set()
        watcher.join()
        tracked.usage = tracked.meter.sample()
        tracked._end(exit)


@contextmanager
def _within(tracked: Tracked) -> Iterator[None]:
    """Runs that begin meanwhile, in this process or one that it starts, are recorded as part of this one."""
    before = os.environ.get(WITHIN_VARIABLE)
    if tracked.is_recorded:
        os.environ[WITHIN_VARIABLE] = tracked.id
    try:
        yield
    finally:
        if before is not None:
            os.environ[WITHIN_VARIABLE] = before
        elif tracked.is_recorded:
            os.environ.pop(WITHIN_VARIABLE, None)


def _exit_status(error: BaseException) -> int:
    """What Python ends with if nobody catches the exception."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def run_command(
    command: Sequence[str], *, name: str | None = None, tags: Mapping[str, str] | None = None, machine: str | None = None, record: bool = True
) -> tuple[int, Tracked]:
    """Run a program and measure it with all processes that it starts; returns its exit status (-9: ended by signal 9).

    Its input and output are this process's. A request to stop (SIGTERM) is passed on to it; a second one kills it.

    Raises: ConfigError if it can't be started, or is a test session of a course, which is never recorded; DataError if the
        ledger can't be written.
    """
    import psutil

    shown = safe_command(command)
    if is_test_session(command):
        raise ConfigError(f"{shown}: test sessions of a course are never recorded. Run it without `tito resources track`")
    if shutil.which(command[0]) is None:
        raise ConfigError(f"{shown} can't be started: there is no such program")
    tracked = Tracked(named(name or shown), shown, checked_tags(tags or {}), machine_of(machine), is_recorded=record)
    if record:
        ledger.append()  # is there a place to record it?
    own = _children_seconds()
    with asked_to_stop() as stop:
        try:
            with _within(tracked):
                process = subprocess.Popen(command)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{shown} can't be started: {getattr(error, 'strerror', None) or error}") from error
        try:
            try:
                tracked._begin(psutil.Process(process.pid), is_new=True)
            except DataError as error:  # there was a place a moment ago; the program is running, and nothing is gained by ending it
                tracked.is_recorded = False
                warnings.warn(f"{tracked.name} is not recorded: {error}", RuntimeWarning, stacklevel=2)
            code = _waited(process, tracked, lambda: stop.signal is not None and stop.signal.name == "SIGTERM")
        except BaseException as error:
            process.kill()
            code = process.wait()
            if isinstance(error, KeyboardInterrupt):  # the second request to stop
                tracked._end(code)
            raise
    more = _children_seconds() - own  # exact, where a process was too short to be seen
    if tracked.usage.cpu_seconds is None or tracked.usage.cpu_seconds < more:
        tracked.usage = replace(tracked.usage, cpu_seconds=more)
    tracked._end(code)
    return code, tracked


def _waited(process: subprocess.Popen[bytes], tracked: Tracked, is_to_end: Callable[[], bool]) -> int:
    """Look at the program until it ends; returns its exit status."""
    is_told = False
    due = 0.0
    while True:
        if is_to_end() and not is_told:
            process.terminate()
            is_told = True
        if time.monotonic() >= due:
            due = time.monotonic() + tracked._look()
        if _has_ended(process):
            tracked.usage = tracked.meter.sample()  # on Linux its figures are still there, until somebody asks for its status
            return process.wait()
        time.sleep(_WAIT)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    if sys.platform == "linux":
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return process.poll() is not None


def _children_seconds() -> float:
    """CPU seconds of all children that have ended; 0 on Windows."""
    times = os.times()
    return times.children_user + times.children_system


def safe_command(command: Sequence[str]) -> str:
    """A command line without its arguments, which may hold a password: the program, and which script or module Python runs.

    >>> safe_command(["/usr/bin/python3.11", "-u", "src/train.py", "--token", "hunter2"])
    'python3.11 train.py'
    >>> safe_command(["python", "-m", "my.train", "x"]), safe_command(["curl", "-u", "me:secret"])
    ('python -m my.train', 'curl')
    """
    program = _last_part(command[0])
    if not _PYTHON.fullmatch(program):
        return program
    words = list(command[1:])
    while words and words[0].startswith("-") and words[0] not in ("-m", "-c"):
        words.pop(0)
    if words[:1] == ["-m"] and len(words) > 1:
        return f"{program} -m {words[1]}"
    if words and words[0] not in ("-m", "-c"):
        return f"{program} {_last_part(words[0])}"
    return program


def _last_part(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]


def is_test_session(command: Sequence[str]) -> bool:
    """Whether a command line is pytest's, or tito's for a module or milestone.

    >>> is_test_session(["python3", "-m", "pytest", "-m", "module01"]), is_test_session(["pytest.exe"]), is_test_session(["python", "train.py"])
    (True, True, False)
    """
    words = safe_command(command).replace(".exe", "").split()
    program = words[0] if len(words) < 3 else words[2]
    return program in ("pytest", "py.test") or (program == "tito" and any(word in _COURSE_COMMANDS for word in command))


def named(name: str) -> str:
    """Raises: ConfigError if it isn't a name."""
    if not isinstance(name, str) or not name.strip() or len(name) > 200 or not name.isprintable():
        raise ConfigError(f"a run's name is 1 to 200 characters that can be printed; it is {name!r:.100}")
    return name


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Raises: ConfigError with what is wrong."""
    for key, value in tags.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ConfigError(f"tags are texts; {key!r}: {value!r} is not. Write {str(key)!r}: {str(value)!r}")
        if not key.strip() or "=" in key or not (key + value).isprintable() or len(key) > 128 or len(value) > 256:
            raise ConfigError(f"a tag is key=value, the key 1 to 128 printable characters and the value up to 256; it is {f'{key}={value}'!r:.100}")
    return dict(tags)


def machine_of(machine: str | None) -> str:
    """The machine that a run is recorded with.

    Raises: ConfigError if it isn't `local` or `provider/region/type`.
    """
    text = machine or os.environ.get(MACHINE_VARIABLE) or LOCAL
    if text != LOCAL and not re.fullmatch(r"[^/]+/[^/]+/.+", text):
        whence = "" if machine else f" ({MACHINE_VARIABLE})"
        raise ConfigError(f"a machine{whence} is local, or provider/region/type like aws/us-east-1/g5.xlarge; it is {text!r}")
    return text

