"""Runs of a module's tests, one after another, each in a process of its own that is ready before it is wanted.

A `Run` is made in advance: its process has loaded pytest, NumPy and the plugins, read the configuration, and waits. It
has not looked at the student's code or the tests. `go` lets it, so what a run sees is what there is at that moment.

On Linux the process is a fork of this one, which `warm_up` has load what every run needs; that takes milliseconds, so a
run that is wanted before one is ready loses nothing. Elsewhere it is a new Python: Windows can't fork, and on macOS the
system's own libraries, NumPy's Accelerate among them, don't survive it.
"""
from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Generator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest

from pytest_tinytorch.completion import RECEIPT_VARIABLE
from pytest_tinytorch.shares import AT, Shares, fork

CAN_FORK = sys.platform == "linux"
_NEEDED = (
    "filelock", "numpy.random", "numpy.testing", "pytest_tinytorch.failures", "pytest_tinytorch.reporting",
    "pytest_tinytorch.session", "pytest_tinytorch.workspace.notebooks", "pytest_tinytorch.workspace.staging",
)  # fmt: skip  # what a run in a workspace loads
_ENDED = "ended"  # the file that is there when pytest has come to its end
_BROKE = 70  # the exit status of a run that could not even begin


@dataclass(frozen=True)
class Ran:
    """How a run ended."""

    status: int  # pytest's exit status; negative: the signal that ended the process
    has_ended_itself: bool  # whether pytest came to its end, whatever that was; otherwise something ended it
    receipt: dict[str, Any] | None  # None: it ended before everything was done
    output: str
    at: str  # the test that it was at when it ended, or nothing


class Run:
    """One run of pytest in `root`: waiting, going on, or ended. What it writes beside its results is in a folder of its own."""

    def __init__(self, arguments: Sequence[str], root: Path, *, columns: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tinytorch-watch-")).resolve()
        self.output = self.folder / "output.txt"
        self.receipt = self.folder / "receipt.json"
        self.root = root
        self.arguments = [
            *arguments,
            "-Wignore::pytest.PytestAssertRewriteWarning",  # of the plugins, which are loaded already
            "-o", f"cache_dir={self.folder / 'cache'}",  # pytest writes its cache in place: a run that is ended would break it
        ]  # fmt: skip
        self.environment = {
            RECEIPT_VARIABLE: str(self.receipt), "COLUMNS": str(columns), "PYTHONUTF8": "1",
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self.folder)),
        }  # fmt: skip
        self.output.touch()
        try:
            self.process: _Process = _Forked(self) if CAN_FORK else _Spawned(self)
        except OSError:  # no memory, or too many processes
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._status: int | None = None

    def go(self) -> None:
        """Let the process, which has waited, run the tests."""
        with suppress(OSError):  # it has ended already, and `result` tells
            self.process.go()

    @property
    def has_ended(self) -> bool:
        if self._status is None:
            self._status = self.process.poll()
        return self._status is not None

    @property
    def at(self) -> str:
        """The test that it is at, of several the one that takes longest; nothing between tests."""
        found: list[tuple[float, str]] = []
        for file in self.folder.glob(f"{AT}*"):
            with suppress(OSError):
                if test := file.read_text("utf-8", errors="replace").partition("\0")[0]:
                    found.append((file.stat().st_mtime, test))
        return min(found, default=(0.0, ""))[1]

    def result(self) -> Ran:
        """What came of a run that has ended."""
        assert self._status is not None, "asked for the result of a run that goes on"
        receipt, at = None, ""
        with suppress(OSError, ValueError):
            receipt = json.loads(self.receipt.read_text("utf-8"))
        with suppress(OSError):
            at = (self.folder / AT).read_text("utf-8").partition("\0")[0]
        return Ran(self._status, (self.folder / _ENDED).exists(), receipt, self.output.read_text("utf-8", errors="replace"), at)

    def close(self) -> None:
        """End the process and whatever it has started, and remove the folder."""
        if not self.has_ended:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)  # a file that is still open on Windows: the system clears its temp folder


class _Process(Protocol):
    def go(self) -> None: ...
    def poll(self) -> int | None: ...
    def kill(self) -> None: ...


class _Spawned:
    """A new Python, which reads from its standard input when to go."""

    def __init__(self, run: Run) -> None:
        with run.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pytest_tinytorch.warm", str(run.folder), *run.arguments], cwd=run.root,
                env=os.environ | run.environment, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=os.name != "nt",
            )  # fmt: skip

    def go(self) -> None:
        assert self.process.stdin is not None
        with self.process.stdin as pipe:
            pipe.write(b".")

    def poll(self) -> int | None:
        return self.process.poll()

    def kill(self) -> None:
        if os.name != "nt":
            os.killpg(self.process.pid, signal.SIGKILL)
        with self.process:  # which closes the pipe, and waits
            self.process.kill()


class _Forked:
    """A copy of this process, which reads from a pipe when to go."""

    def __init__(self, run: Run) -> None:
        self.status: int | None = None
        waits, self.pipe = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = fork()
        if self.pid == 0:
            os.close(self.pipe)
            _become(run, waits)
        os.close(waits)

    def go(self) -> None:
        os.write(self.pipe, b".")

    def poll(self) -> int | None:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._ended(status)
        return self.status

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # it has no group of its own yet
            os.killpg(self.pid, signal.SIGKILL)
        os.kill(self.pid, signal.SIGKILL)
        self._ended(os.waitpid(self.pid, 0)[1])

    def _ended(self, status: int) -> None:
        self.status = os.waitstatus_to_exitcode(status)
        os.close(self.pipe)


def _become(run: Run, waits: int) -> NoReturn:
    """In a fork: leave everything of the parent's behind, be a run, and end before anything of the parent's goes on."""
    status = _BROKE
    try:
        os.setsid()  # no terminal, and a group that can be ended as one
        for name in ("SIGTERM", "SIGHUP", "SIGTSTP"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        output = os.open(run.output, os.O_WRONLY | os.O_APPEND)
        for descriptor, number in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
            os.dup2(descriptor, number)
        # Python's own streams on these: those of the parent may have been a terminal's, or a test's
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # a descriptor
        sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        os.environ.update(run.environment)
        tempfile.tempdir = None  # the environment's, from now on
        os.chdir(run.root)
        sys.modules["numpy.random"].seed()  # a new process would have another one
        status = int(pytest.main(run.arguments, plugins=_plugins(waits, run.folder)))
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else _BROKE
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _plugins(waits: int, folder: Path) -> list[object]:
    return [_Waiting(waits, folder), Shares(folder)]


class _Waiting:
    """Holds a session, which is configured, until it is wanted."""

    def __init__(self, waits: int, folder: Path) -> None:
        self.waits = waits
        self.folder = folder

    @pytest.hookimpl(wrapper=True)  # before any other looks at the workspace
    def pytest_sessionstart(self, session: pytest.Session) -> Generator[None, None, None]:
        _find_fixtures(session)
        gc.collect()
        gc.freeze()
        wanted = os.read(self.waits, 1)
        os.close(self.waits)
        if not wanted:
            shutil.rmtree(self.folder, ignore_errors=True)  # whoever could want it has gone
            os._exit(_BROKE)
        yield

    def pytest_unconfigure(self) -> None:
        (self.folder / _ENDED).touch()


def _find_fixtures(session: pytest.Session) -> None:
    """Have pytest look for fixtures in its plugins now.

    It does so when a session starts, in every attribute of some fifty plugins: a tenth of a run, and none of it depends
    on what is saved. This process has one session, so what it finds is kept for that.
    """
    from _pytest import fixtures

    found = fixtures.FixtureManager(session)
    fixtures.FixtureManager = lambda session: found  # type: ignore[assignment, misc]


def load() -> None:
    """Import what every run needs."""
    for name in _NEEDED:
        importlib.import_module(name)


def warm_up(root: Path) -> None:
    """Load what every run needs into this process, if runs are forks of it.

    Plugins load more when they run, so this runs pytest under the workspace's configuration, on a test of its own.
    """
    if not CAN_FORK:
        return
    load()
    with tempfile.TemporaryDirectory(prefix="tinytorch-watch-") as folder, redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        test = Path(folder, "test_nothing.py")
        test.write_text("def test_nothing():\n    pass\n", "utf-8")
        configured = ["-c", str(root / "pyproject.toml")] if (root / "pyproject.toml").is_file() else []
        pytest.main([str(test), *configured, "--rootdir", folder, "--noconftest", "-q", "-p", "no:cacheprovider"])
    gc.collect()
    gc.freeze()  # a run's garbage collector need not look at what is here


if __name__ == "__main__":
    load()
    _waits = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.exit(pytest.main(sys.argv[2:], plugins=_plugins(_waits, Path(sys.argv[1]))))
