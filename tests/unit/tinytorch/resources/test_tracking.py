from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tinytorch import jobs, resources
from tinytorch.errors import ConfigError, DataError
from tinytorch.resources import gpu, ledger, tracking, usage
from tinytorch.resources.usage import Meter

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps the figures of a process that has ended until it is asked for")
posix = pytest.mark.skipif(os.name != "posix", reason="Windows ends a process without a signal")


def test_a_block_is_measured_and_recorded() -> None:
    with resources.track("training", tags={"team": "a"}, record=True) as tracked:
        block = bytearray(64 << 20)
        ending = time.process_time() + 0.2
        while time.process_time() < ending:
            pass
        del block
    (run,) = ledger.read().runs.values()
    assert (run.name, run.tags, run.machine, run.exit, run.state()) == ("training", {"team": "a"}, "local", 0, "ended")
    assert run.usage == tracked.usage
    assert 0.15 < run.usage.cpu_seconds < 1.5 and run.usage.wall_seconds >= 0.2  # type: ignore[operator]
    assert run.usage.memory_peak > 64 << 20  # type: ignore[operator]


def test_what_a_block_used_before_it_began_doesnt_count() -> None:
    with resources.track("nothing", record=False) as tracked:
        pass
    assert tracked.usage.cpu_seconds < 0.2  # type: ignore[operator]


def test_nothing_is_recorded_unless_it_is_asked_for(folder: Path) -> None:
    with resources.track("training") as tracked:
        pass
    assert tracked.usage.wall_seconds > 0 and not folder.exists()


def test_a_job_is_recorded_where_that_is_switched_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.delenv("PYTEST_VERSION", raising=False)
    jobs.Job(tmp_path / "features").run([jobs.Item("a", "1")], lambda item: 1)
    monkeypatch.setenv("TINYTORCH_RESOURCES", "off")
    jobs.Job(tmp_path / "others").run([jobs.Item("a", "1")], lambda item: 1)
    monkeypatch.setenv("TINYTORCH_RESOURCES", str(tmp_path / "a ledger 🙂"))
    assert [(run.name, run.exit) for run in ledger.read().runs.values()] == [("job features", 0)]


NESTED = "from tinytorch import resources\nwith resources.track('inner', record=True): pass\n"


def test_a_run_inside_another_says_so_also_in_a_process_that_it_starts() -> None:
    resources.run_command([sys.executable, "-c", NESTED], name="program")
    with resources.track("block", record=True), resources.track("inner block", record=True):
        pass
    with resources.track("alone", record=True):
        pass
    with resources.track("not recorded", record=False), resources.track("in what isn't recorded", record=True):
        pass
    book = ledger.read()
    names = {run.id: run.name for run in book.runs.values()}
    assert {run.name: names.get(book.whole_of(run) or "") for run in book.runs.values()} == {
        "program": None, "inner": "program", "block": None, "inner block": "block", "alone": None, "in what isn't recorded": None,
    }  # fmt: skip
    assert tracking.WITHIN_VARIABLE not in os.environ


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = {"numpy", "requests", "psutil", "filelock", "platformdirs", "matplotlib", "pynvml"}
    code = f"import sys; import tinytorch.resources; print(sorted({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(("error", "exit"), [(ValueError("x"), 1), (SystemExit(3), 3), (SystemExit("text"), 1), (SystemExit(), 0), (KeyboardInterrupt(), 130)], ids=repr)
def test_a_block_that_fails_is_recorded_with_the_exit_status_that_it_gives(error: BaseException, exit: int) -> None:
    with pytest.raises(type(error)), resources.track("training", record=True):
        raise error
    assert [run.exit for run in ledger.read().runs.values()] == [exit]


def test_a_ledger_that_breaks_meanwhile_is_a_warning_and_no_error(folder: Path) -> None:
    def break_it() -> resources.Usage:
        with resources.track("training", record=True) as tracked:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            folder.write_text("in the way", "utf-8")
        return tracked.usage

    with pytest.warns(RuntimeWarning, match="the end of training is not recorded"):
        used = break_it()
    assert used.wall_seconds > 0


def test_a_ledger_that_cant_be_written_is_told_before_the_work_begins(folder: Path) -> None:
    folder.write_text("in the way", "utf-8")
    with pytest.raises(DataError), resources.track("training", record=True):
        pytest.fail("the block has begun")


CHILDREN = """
import subprocess, sys, time
burn = "import time\\nend = time.process_time() + 0.15\\nwhile time.process_time() < end: pass"
for _ in range(2):
    subprocess.run([sys.executable, "-S", "-c", burn])
sys.exit(3)
"""


@posix
def test_a_program_is_measured_with_the_children_that_it_has_waited_for() -> None:
    code, tracked = resources.run_command([sys.executable, "-c", CHILDREN], name="three")
    assert code == 3 and [run.exit for run in ledger.read().runs.values()] == [3]
    assert 0.3 <= tracked.usage.cpu_seconds < 2  # type: ignore[operator]


@linux
def test_what_a_program_wrote_to_the_disk_counts_also_if_it_was_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_SHORTEST", 1e9)  # between the first look and the last
    monkeypatch.setattr(tracking, "_LONGEST", 1e9)
    write = f"import os; f = open({str(tmp_path / 'file')!r}, 'wb'); f.write(bytes(3 << 20)); f.flush(); os.fsync(f.fileno())"
    _, tracked = resources.run_command([sys.executable, "-c", write])
    assert tracked.usage.disk_written is None or 3 << 20 <= tracked.usage.disk_written < 4 << 20


@posix
def test_the_time_of_a_program_that_was_never_seen_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Meter, "sample", lambda self: resources.Usage(1.0))
    burn = "import time\nwhile time.process_time() < 0.15: pass"
    _, tracked = resources.run_command([sys.executable, "-c", burn])
    assert 0.1 < tracked.usage.cpu_seconds < 1  # type: ignore[operator]


def test_a_kill_loses_at_most_a_tenth_of_a_run_or_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[float] = []
    monkeypatch.setattr(ledger, "append", lambda entry, *, place: recorded.append(entry[3]["wall_seconds"]) if entry[0] == "seen" else None)
    tracked = tracking.Tracked("n", "", {}, "local", is_recorded=True)
    tracked._begin(psutil.Process(), is_new=False)
    for second in range(2000):
        monkeypatch.setattr(tracked.meter, "sample", lambda now=second: resources.Usage(float(now)))
        tracked._look()
    assert recorded[:10] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] and len(recorded) < 90
    assert all(later - now <= min(60, max(1, now / 10) + 1) for now, later in pairwise(recorded))


@posix
def test_the_exit_status_of_a_program_that_was_killed_is_its_signal() -> None:
    code, _ = resources.run_command([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert code == -9 and [run.exit for run in ledger.read().runs.values()] == [-9]


TRACKS = """
import sys
from tinytorch import resources
from tinytorch.resources import tracking
tracking._FIRST = 0.05
resources.run_command([sys.executable, "-c", sys.argv[1]])
"""
WAITS = "print('here', flush=True); input()"


def tracks(program: str = WAITS) -> subprocess.Popen[bytes]:
    """A process that tracks another one, which waits; returned when that has been recorded as seen."""
    process = subprocess.Popen([sys.executable, "-c", TRACKS, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ)
    assert process.stdout is not None and process.stdout.readline() == b"here\n"
    deadline = time.monotonic() + 30
    while not any(run.usage.wall_seconds for run in ledger.read().runs.values()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    return process


@posix
def test_a_run_whose_tracker_was_killed_ends_with_what_was_last_seen() -> None:
    with tracks() as process:
        (run,) = ledger.read().runs.values()
        process.kill()
        process.wait()
        assert ledger.read().runs[run.id].state() == "running"  # the program itself goes on
        psutil.Process(run.pid).kill()
        deadline = time.monotonic() + 30
        while (last := ledger.read().runs[run.id]).state() == "running":
            assert time.monotonic() < deadline
    assert last.state() == "lost" and last.usage.wall_seconds > 0 and last.ended is None and last.exit is None


STUBBORN = "import os, signal; signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'told')); print('here', flush=True); input()"


@posix
def test_the_second_request_to_stop_kills_the_program_and_its_record_ends() -> None:
    with tracks(STUBBORN) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None and process.stdout.read(4) == b"told"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) != 0
    (run,) = ledger.read().runs.values()
    assert run.exit == -signal.SIGKILL


@posix
def test_a_request_to_stop_is_passed_on_and_the_record_has_its_end() -> None:
    with tracks() as process:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    (run,) = ledger.read().runs.values()
    assert run.state() == "ended" and run.exit == -signal.SIGTERM


def test_a_program_that_isnt_there_is_an_error_and_no_record(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no-such-program can't be started"):
        resources.run_command(["/nowhere/no-such-program", "--password", "x"])
    assert not folder.exists()


def test_a_program_that_was_started_runs_to_its_end_also_if_it_cant_be_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(self: object, entry: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tinytorch.jobs.journal.Writer.append", full)
    with pytest.warns(RuntimeWarning, match="python.* is not recorded: .*No space left on device"):
        code, tracked = resources.run_command([sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"])
    assert code == 0 and tracked.usage.wall_seconds > 0 and (tmp_path / "ran").exists() and ledger.read().runs == {}


@posix
def test_a_program_that_isnt_one_is_an_error_and_no_record(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    with pytest.raises(ConfigError, match="program can't be started: Exec format error"):
        resources.run_command([str(program)])
    assert ledger.read().runs == {}


def test_a_block_that_changes_the_working_directory_is_recorded_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYTORCH_RESOURCES", "here")
    (tmp_path / "elsewhere").mkdir()
    with resources.track("training", record=True):
        os.chdir("elsewhere")
    monkeypatch.chdir(tmp_path)
    assert [run.state() for run in ledger.read().runs.values()] == ["ended"] and not (tmp_path / "elsewhere" / "here").exists()


@pytest.mark.parametrize("command", [["pytest"], [sys.executable, "-m", "pytest", "-m", "module01"], ["tito", "module", "test", "01"]], ids=" ".join)
def test_a_test_session_of_a_course_is_never_recorded(folder: Path, command: list[str]) -> None:
    with pytest.raises(ConfigError, match="never recorded"):
        resources.run_command(command)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": ""}, "1 to 200 characters"),
        ({"name": "a\nb"}, "1 to 200 characters"),
        ({"tags": {"a=b": "c"}}, "key=value"),
        ({"tags": {"": "c"}}, "key=value"),
        ({"tags": {"a": 1}}, "Write 'a': '1'"),
        ({"machine": "aws"}, "provider/region/type"),
        ({"machine": "aws//g5"}, "provider/region/type"),
    ],
)
def test_what_cant_be_recorded_is_refused(folder: Path, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says), resources.track(**({"name": "n", "record": True} | arguments)):
        pytest.fail("the block has begun")
    assert not folder.exists()


def test_the_machine_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYTORCH_MACHINE", "aws/us-east-1/g5.xlarge")
    assert tracking.machine_of(None) == "aws/us-east-1/g5.xlarge" and tracking.machine_of("local") == "local"
    monkeypatch.setenv("TINYTORCH_MACHINE", "g5")
    with pytest.raises(ConfigError, match="TINYTORCH_MACHINE"):
        tracking.machine_of(None)


# --- the tree of processes, by stand-ins ----------------------------------------------------------------------------


class Process:
    """As much of a psutil.Process as is looked at."""

    def __init__(self, pid: int, parent: Process | None = None, *, seconds: float = 0.0, memory: int = 0) -> None:
        self.pid = pid
        self.parent = parent
        self.seconds, self.of_children, self.memory = seconds, 0.0, memory
        self.is_there = True
        self.below: list[Process] = []
        if parent:
            parent.below.append(self)

    def end(self, *, taken_over: bool) -> None:
        self.is_there = False
        assert self.parent
        self.parent.below.remove(self)
        if taken_over:
            self.parent.of_children += self.seconds + self.of_children

    def children(self, *, recursive: bool) -> list[Process]:
        return [found for child in self.below for found in (child, *child.children(recursive=True))]

    def is_running(self) -> bool:
        return self.is_there

    def oneshot(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def cpu_times(self) -> SimpleNamespace:
        if not self.is_there:
            raise psutil.NoSuchProcess(self.pid)
        return SimpleNamespace(user=self.seconds, system=0.0, children_user=self.of_children, children_system=0.0)

    def memory_info(self) -> SimpleNamespace:
        return SimpleNamespace(rss=self.memory)

    def ppid(self) -> int:
        return self.parent.pid if self.parent else 0

    def io_counters(self) -> SimpleNamespace:
        raise psutil.AccessDenied(self.pid)


@pytest.mark.parametrize("takes_over", [True, False], ids=["linux", "elsewhere"])
def test_what_a_child_used_before_it_ended_counts_once(monkeypatch: pytest.MonkeyPatch, takes_over: bool) -> None:
    monkeypatch.setattr(usage, "_TAKES_OVER", takes_over)
    root = Process(1, seconds=1.0)
    child = Process(2, root, seconds=2.0)
    meter = Meter(root, is_new=True)  # type: ignore[arg-type]
    assert meter.sample().cpu_seconds == 3.0
    child.end(taken_over=takes_over)
    assert meter.sample().cpu_seconds == 3.0 and meter.sample().cpu_seconds == 3.0


def test_a_child_whose_parent_has_ended_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_TAKES_OVER", True)
    root = Process(1, seconds=1.0)
    parent = Process(2, root, seconds=2.0)
    orphan = Process(3, parent, seconds=4.0, memory=10)
    meter = Meter(root, is_new=True)  # type: ignore[arg-type]
    assert meter.sample().cpu_seconds == 7.0
    parent.end(taken_over=True)
    orphan.seconds, orphan.memory = 5.0, 20
    seen = meter.sample()
    assert (seen.cpu_seconds, seen.memory_peak, seen.disk_read) == (8.0, 20, None)


def test_what_processes_used_before_counts_for_nobody() -> None:
    root = Process(1, seconds=100.0)
    child = Process(2, root, seconds=50.0)
    meter = Meter(root, is_new=False)  # type: ignore[arg-type]
    root.seconds, child.seconds = 101.0, 52.0
    assert meter.sample().cpu_seconds == 3.0


def test_bytes_that_never_left_the_machine_are_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def cards(*, pernic: bool) -> dict[str, SimpleNamespace]:
        return {name: SimpleNamespace(bytes_recv=received, bytes_sent=2 * received) for name, received in (("lo", next(counts)), ("eth0", next(counts)))}

    counts = iter([1000, 10, 5000, 17])
    monkeypatch.setattr(psutil, "net_io_counters", cards)
    seen = Meter(Process(1), is_new=True).sample()  # type: ignore[arg-type]
    assert (seen.network_received, seen.network_sent, seen.network_of) == (7, 14, "machine")


def test_the_peak_of_memory_stays_when_it_is_given_back() -> None:
    root = Process(1, memory=100)
    meter = Meter(root, is_new=True)  # type: ignore[arg-type]
    meter.sample()
    root.memory = 10
    assert meter.sample().memory_peak == 100


# --- GPUs, by a stand-in for NVML -----------------------------------------------------------------------------------


class NVMLError(Exception):
    pass


def nvml(processes: dict[int, list[Any]], *, busy: dict[int, int]) -> SimpleNamespace:
    return SimpleNamespace(
        NVMLError=NVMLError, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: len(busy), nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetUtilizationRates=lambda device: SimpleNamespace(gpu=busy[device]),
        nvmlDeviceGetMemoryInfo=lambda device: SimpleNamespace(used=1000),
        nvmlDeviceGetComputeRunningProcesses=lambda device: processes.get(device, []),
    )  # fmt: skip


def metered(monkeypatch: pytest.MonkeyPatch, module: object) -> resources.Usage:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    times = iter([10.0, 14.0, 14.0, 14.0])
    return Meter(psutil.Process(), is_new=True, clock=lambda: next(times)).sample()


def test_gpus_count_where_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = SimpleNamespace(pid=os.getpid(), usedGpuMemory=300)
    used = metered(monkeypatch, nvml({0: [SimpleNamespace(pid=1, usedGpuMemory=9)], 1: [ours]}, busy={0: 100, 1: 50}))
    assert (used.gpu_seconds, used.gpu_memory_peak, used.gpu_of) == (2.0, 300, "process")


def test_gpus_whose_processes_arent_known_count_for_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    used = metered(monkeypatch, nvml({}, busy={0: 100, 1: 50}))
    assert (used.gpu_seconds, used.gpu_memory_peak, used.gpu_of) == (6.0, 2000, "machine")


def test_without_gpus_their_use_is_unknown_and_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise NVMLError("Driver Not Loaded")

    for module in (None, nvml({}, busy={}), SimpleNamespace(NVMLError=NVMLError, nvmlInit=fails)):
        used = metered(monkeypatch, module)
        assert (used.gpu_seconds, used.gpu_memory_peak, used.gpu_of) == (None, None, None)


def test_a_gpu_that_stops_answering_is_no_error() -> None:
    def fails(device: object) -> None:
        raise NVMLError("GPU is lost")

    assert gpu.Gpus(SimpleNamespace(NVMLError=NVMLError, nvmlDeviceGetUtilizationRates=fails), [0]).read({1}) is None
