"""Items in worker processes. What is true of a job without them is `test_job.py`."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.jobs import chores
from tinytorch.errors import ConfigError
from tinytorch.jobs import Job
from tinytorch.jobs import workers as workers_module
from tinytorch.jobs.stopping import Stop


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path / "job")


def test_every_item_is_processed_once_by_several_processes(job, tmp_path):
    (tmp_path / "seen").mkdir()
    progress = job.run(chores.items(30, folder=tmp_path / "seen"), chores.note, workers=2)
    assert (progress.done, progress.units) == (30, sum(range(30)))
    lines = [path.read_text().split() for path in (tmp_path / "seen").iterdir()]
    assert [len(line) for line in lines] == [1] * 30
    assert str(os.getpid()) not in {line[0] for line in lines}


def test_ordered_outcomes_come_in_the_order_of_the_items(job):
    outcomes = job.outcomes(chores.items(8, folder=job.folder), chores.slow_first, workers=2, ordered=True)
    assert [outcome.value for outcome in outcomes] == list(range(8))


def test_unordered_outcomes_do_not_wait_for_the_slowest(job):
    values = [outcome.value for outcome in job.outcomes(chores.items(8, folder=job.folder), chores.slow_first, workers=2)]
    assert sorted(values) == list(range(8))
    assert values[0] != 0


def test_ordered_outcomes_are_recorded_when_they_are_finished(job):
    outcomes = job.outcomes(chores.items(2, folder=job.folder), chores.slow_first, workers=2, ordered=True)
    assert next(outcomes).value == 0
    done = [line for line in (job.folder / "journal.jsonl").read_text().splitlines() if '"done"' in line]
    assert "item_0000001" in done[0]
    outcomes.close()


@pytest.mark.parametrize("ordered", [True, False])
def test_no_more_items_are_taken_than_the_workers_can_hold(job, ordered):
    taken = []

    def source():
        for item in chores.items(100):
            taken.append(item.id)
            yield item

    for given, _ in enumerate(job.outcomes(source(), chores.number, workers=2, ordered=ordered)):
        assert len(taken) <= given + 4


def test_a_failure_in_a_worker_brings_its_traceback(job):
    job.run(chores.items(3), chores.fail_on_odd, workers=1)
    assert 'raise ValueError(f"{item.id} is odd' in job.error("item_0000001")["traceback"]


@pytest.mark.parametrize("ordered", [True, False])
def test_an_item_that_kills_its_worker_fails_alone(job, ordered):
    outcomes = list(job.outcomes(chores.items(12), chores.die_on_three, workers=2, ordered=ordered))
    failed = [outcome.item.id for outcome in outcomes if outcome.error]
    assert failed == ["item_0000003"]
    assert "WorkerDied: the worker process ended at it" in next(outcome.error for outcome in outcomes if outcome.error)
    assert sorted(outcome.value for outcome in outcomes if not outcome.error) == [n for n in range(12) if n != 3]
    if ordered:
        assert [outcome.item.id for outcome in outcomes] == [item.id for item in chores.items(12)]


def test_work_that_workers_cannot_import_is_refused_before_anything_is_recorded(job):
    with pytest.raises(ConfigError, match="workers can't be given the work"):
        job.run(chores.items(3), lambda item: 1, workers=2)
    assert (job.record().done, job.record().failed) == ({}, {})


def test_a_negative_number_of_workers_is_refused(job):
    with pytest.raises(ConfigError, match="workers is -1"):
        job.run(chores.items(3), chores.number, workers=-1)


def test_a_script_without_a_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from tests.jobs import chores\nfrom tinytorch.jobs import Job\n"
        f"Job({str(tmp_path / 'job')!r}).run(chores.items(3), chores.number, workers=1)\n",
        "utf-8",
    )
    result = subprocess.run([sys.executable, str(script)], env=environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert 'below `if __name__ == "__main__":`' in result.stderr


def environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])}


def started(folder, count, workers):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.chores", str(folder), str(count), str(workers)], env=environment(), stdout=subprocess.PIPE, text=True
    )


def wait_for_an_item(process, folder):
    while not list(folder.glob("seen/*")):
        assert process.poll() is None
        time.sleep(0.01)


def state(pid):
    """The state and the parent of a process, on Linux; None if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1])


def below(pid):
    """The processes that one has started, and those that these have."""
    every = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    own = [one for one in every if (found := state(one)) and found[1] == pid]
    return own + [further for one in own for further in below(one)]


def test_workers_end_with_a_run_that_is_killed(tmp_path):
    if sys.platform != "linux":
        pytest.skip("processes are found in /proc")
    process = started(tmp_path, 10**6, 2)
    wait_for_an_item(process, tmp_path)
    started_by_it = below(process.pid)
    assert len(started_by_it) >= 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while alive := [pid for pid in started_by_it if (found := state(pid)) and found[0] != "Z"]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.02)


def test_ctrl_c_reaches_the_run_and_not_the_workers(tmp_path):
    if os.name == "nt":
        pytest.skip("a group of processes gets SIGINT on POSIX only")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.chores", str(tmp_path), str(10**6), "2"],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for_an_item(process, tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (output, errors, process.returncode) == ("SIGINT\n", "", 0)
    record = Job(tmp_path, config={"a": 1}).record()
    seen = list((tmp_path / "seen").iterdir())
    assert len(record.done) == len(seen)  # what was in hand was finished
    assert record.failed == {}


def test_the_window_follows_the_number_of_workers():
    assert workers_module.Processes(3).window == 6


def test_threads_share_the_work_and_hear_of_a_stop(tmp_path):
    """Work in this process can end in the middle of an item: it looks at the `stop` that it shares with the run."""
    stop = Stop()
    meet = threading.Barrier(3, timeout=10)
    first = {item.id for item in chores.items(3)}

    def work(item):
        if item.id in first:
            meet.wait()  # three at a time, or it breaks
            stop.signal = signal.SIGTERM
        return item.id

    progress = Job(tmp_path / "job").run(chores.items(30), work, threads=3, stop=stop)
    assert progress.stopped == "SIGTERM" and progress.failed == 0 and 3 <= progress.processed < 30
