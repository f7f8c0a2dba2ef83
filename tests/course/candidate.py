"""Runs a module's course tests against a candidate for its source: the reference, a mutant, a mistake, a liar, a stub.

A warm process has NumPy and pytest loaded and forks for every candidate (a fresh process where there is no fork), so
that a thousand candidates cost a thousand runs of the tests and not a thousand starts of Python. A candidate may loop
for ever, eat memory or leave the process: it has limits, and however it ends, the verdict says so.
"""
from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from types import TracebackType

import pytest

from pytest_tinytorch import plugin as tinytorch_plugin
from pytest_tinytorch.course import curriculum
from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.workspace import convert, create
from pytest_tinytorch.workspace.export import write_export
from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace
from tests.course.source import read, written_modules

_MEMORY = 4 * 2**30  # bytes of address space for a candidate
_TEST_LIMIT = 10  # seconds for one of its tests
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Verdict:
    """What the tests said of a candidate."""

    rounds: dict[int, dict[str, str]]  # seed -> test id -> passed, failed (in its call) or error (anywhere else)
    exercises: dict[str, str]  # test id -> the exercise that it is about
    hints: list[str]  # that were shown, of all failures
    output: str
    end: str  # finished, out of time, or died
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Everything ran and passed, for every seed."""
        return self.end == "finished" and bool(self.rounds) and all(
            outcomes and set(outcomes.values()) == {"passed"} for outcomes in self.rounds.values()
        )

    @property
    def passed(self) -> set[str]:
        """The tests that passed for at least one seed."""
        return {test for outcomes in self.rounds.values() for test, outcome in outcomes.items() if outcome == "passed"}

    @property
    def not_passed(self) -> set[str]:
        return {test for outcomes in self.rounds.values() for test, outcome in outcomes.items() if outcome != "passed"}

    @property
    def clean_seeds(self) -> list[int]:
        """The seeds for which every test that ran passed: what a wrong candidate must not have."""
        return [seed for seed, outcomes in self.rounds.items() if outcomes and set(outcomes.values()) == {"passed"}]


@dataclass(frozen=True)
class _Request:
    workspace: Workspace
    module: Module
    stop: bool
    quiet: bool
    strict: bool
    first: str | None
    seeds: tuple[int, ...]
    output: Path
    keep_bytecode: bool


@dataclass(eq=False)  # pytest 8.0 keeps its plugins in a set
class _Rounds:
    """A pytest plugin: runs the tests once per seed, those of one exercise first, and keeps what happened.

    After the first seed, only the tests that draw random inputs are run.
    """

    request: _Request
    rounds: dict[int, dict[str, str]] = field(default_factory=dict)
    exercises: dict[str, str] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)
    seed: int = 0

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._outcomes[report.nodeid] = "error"

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            mark = item.get_closest_marker("exercise")
            if mark:
                self.exercises[item.nodeid] = mark.args[0]
        items.sort(key=lambda item: self.exercises.get(item.nodeid) != self.request.first)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.testsfailed:
            return None  # pytest says why nothing runs
        items = list(session.items)
        for seed in self.request.seeds:
            self.seed = seed
            session.config.option.tito_seed = self.seed
            self._outcomes.clear()
            self._run(items)
            if not self.request.stop:  # the others say the same for every seed
                items = [item for item in items if "rng" in getattr(item, "fixturenames", ())]
        return True

    def _run(self, items: list[pytest.Item]) -> None:
        for item, after in zip(items, [*items[1:], None], strict=True):
            # `nextitem=None` ends the fixtures of the whole session, so that the next round may begin anywhere
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None if self.request.stop else after)
            if self.request.stop and self._outcomes[item.nodeid] != "passed":
                items.remove(item)
                items.insert(0, item)  # likely to fail for the next seed as well
                return

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.hints += [text for title, text in report.sections if title == "hint"]
        if report.when == "call":
            self._outcomes[report.nodeid] = report.outcome
        elif not report.passed:
            self._outcomes[report.nodeid] = "error"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport | None:
        """Where nobody reads the output, no traceback: making one takes longer than most tests."""
        if not self.request.quiet or call.excinfo is None or call.when == "collect":
            return None
        return pytest.TestReport(
            item.nodeid, item.location, {}, "failed", None, call.when, duration=call.duration, start=call.start, stop=call.stop
        )

    @property
    def _outcomes(self) -> dict[str, str]:
        return self.rounds.setdefault(self.seed, {})


class Examiner:
    """A workspace with the reference in every module, and the warm process that runs candidates in it."""

    def __init__(self) -> None:
        self._context = _warm_context()
        self._folder = tempfile.TemporaryDirectory(prefix="tinytorch-course-")
        self.workspace = make_workspace(Path(self._folder.name) / "workspace")
        self._references: dict[str, Verdict] = {}

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._folder.cleanup()

    def examine(
        self,
        module: Module,
        text: str,
        *,
        stop: bool = False,
        quiet: bool = False,
        strict: bool = False,
        first: str | None = None,
        seeds: Sequence[int] = (0,),
        form: str = "py",
        others: Mapping[str, str] | None = None,
        limit: float | None = None,
    ) -> Verdict:
        """Run the module's tests on `text` in the place of its source.

        `stop` ends each round at the first failure, `quiet` leaves out what pytest says of failures,
        `strict` makes warnings errors, `first` is the exercise whose tests come first, `others` has the
        sources of other modules by number (the reference stands for those left out). `limit` is in seconds; left out,
        it is what the reference needs, tenfold.

        Raises: RuntimeError if the reference itself fails, or if no test was run: then nothing is said of a candidate.
        """
        if limit is None:
            reference = self.reference(module)
            if not reference.is_clean:
                raise RuntimeError(f"{module.label}: the reference does not pass its tests\n{reference.output}")
            limit = (10 + 10 * reference.seconds) * len(seeds)
        output = Path(self._folder.name) / "output.txt"
        # bytecode is kept once, for the tests: later sources could be taken for earlier ones of their second and size
        keep = module.number not in self._references
        request = _Request(self.workspace, module, stop, quiet, strict, first, tuple(seeds), output, keep)
        _write_working_copy(self.workspace, module, text, form)
        with _exported(self.workspace, others or {}):
            return self._run(request, limit)

    def _run(self, request: _Request, limit: float) -> Verdict:
        request.output.write_bytes(b"")
        began = time.monotonic()
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_examine, args=(request, theirs), daemon=True)  # type: ignore[attr-defined]
        process.start()
        theirs.close()
        rounds: dict[int, dict[str, str]] = {}
        exercises: dict[str, str] = {}
        hints: list[str] = []
        end = "out of time"
        if ours.poll(limit):
            try:
                rounds, exercises, hints = ours.recv()
                end = "finished"
            except EOFError:
                end = "died"
        process.join(0 if end == "out of time" else 1)
        if process.is_alive():  # it loops, or a thread of its own keeps it from ending
            _kill(process.pid)
            process.join()
        ours.close()
        seconds = time.monotonic() - began
        if end == "finished" and not any(rounds.values()):
            raise RuntimeError(f"{request.module.label}: no test ran\n{request.output.read_text('utf-8', errors='replace')}")
        return Verdict(rounds, exercises, hints, request.output.read_text("utf-8", errors="replace"), end, seconds)

    def reference(self, module: Module) -> Verdict:
        """What the tests say of the module as it is; they are run once."""
        if module.number not in self._references:
            self._references[module.number] = self.examine(module, read(module).text, strict=True, limit=300)
        return self._references[module.number]


def _warm_context() -> BaseContext:
    if "fork" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["numpy", "numpy.testing", "tinytorch", "pytest_tinytorch.session", "tests.course.warm"])
    with _environment(_ONE_THREAD):  # the server keeps the environment that it starts with
        forkserver.ensure_running()
    return context


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _kill(pid: int | None) -> None:
    """End a candidate with every process that it started."""
    if pid is None or not hasattr(os, "killpg"):
        return
    with contextlib.suppress(ProcessLookupError):  # it has ended, or it is still being born
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _examine(request: _Request, connection: Connection) -> None:
    """In the candidate's process."""
    if hasattr(os, "setsid"):
        os.setsid()
    with request.output.open("wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    rounds = _Rounds(request)
    _run_tests(request, rounds)
    sys.stdout.flush()
    sys.stderr.flush()
    connection.send((rounds.rounds, rounds.exercises, rounds.hints))


# How a candidate becomes the module under test: the project's own workspace, working copy and staging.


def make_workspace(folder: Path) -> Workspace:
    """A workspace in which every module is the reference, as working copy and as export."""
    workspace = create.create(folder, curriculum.load(), format="py")
    for module in written_modules():
        _write_working_copy(workspace, module, read(module).text)
        write_export(workspace, workspace.working_copy(module))
    return workspace


def _write_working_copy(workspace: Workspace, module: Module, text: str, form: str = "py") -> None:
    for path in workspace.forms(module):
        if path.suffix == f".{form}":
            path.write_text(text if form == "py" else convert.to_notebook(text), "utf-8")
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _exported(workspace: Workspace, sources: Mapping[str, str]) -> Iterator[None]:
    """Other sources as the exports of some modules, by number, for a while."""
    before = {}
    for number, text in sources.items():
        module = workspace.course.module(number)
        before[workspace.export(module)] = workspace.export(module).read_bytes()
        write_export(workspace, WorkingCopy(module, workspace.forms(module)[1], text.encode("utf-8")))
    try:
        yield
    finally:
        for path, data in before.items():
            path.write_bytes(data)


def _run_tests(request: _Request, plugin: _Rounds) -> None:
    """`pytest -m moduleNN`, in a process that ends afterwards."""
    os.chdir(request.workspace.root)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.dont_write_bytecode = not request.keep_bytecode
    tempfile.tempdir = str(request.output.parent)  # a staging folder that is left behind goes with the examiner's
    arguments = ["-m", request.module.marker, "-o", f"tito_timeout={_TEST_LIMIT}"]
    arguments += ["-p", "no:cacheprovider", "-p", "no:tinytorch-recorder"]  # nothing of a candidate is kept
    if request.quiet:
        arguments += ["-q", "--tb=no", "--no-header", "--no-summary"]
    if request.strict:
        arguments += ["-W", "error"]
    pytest.main(arguments, plugins=[tinytorch_plugin, plugin])
