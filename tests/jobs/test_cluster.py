"""Items on a Dask cluster: a real scheduler, and workers in processes of their own."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import dask
import distributed
import pytest

from tests.jobs import chores
from tinytorch.errors import DataError
from tinytorch.jobs import Job

pytestmark = pytest.mark.xdist_group("dask")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path / "job")


def test_every_item_is_processed_by_the_cluster(job, client, tmp_path):
    (tmp_path / "seen").mkdir()
    progress = job.run(chores.items(20, folder=tmp_path / "seen"), chores.note, client=client)
    assert (progress.done, progress.units) == (20, sum(range(20)))
    processes = {path.read_text().strip() for path in (tmp_path / "seen").iterdir()}
    assert str(os.getpid()) not in processes


def test_ordered_outcomes_come_in_order(job, client):
    outcomes = job.outcomes(chores.items(6, folder=job.folder), chores.slow_first, client=client, ordered=True)
    assert [outcome.value for outcome in outcomes] == list(range(6))


def test_a_failure_is_the_items(job, client):
    progress = job.run(chores.items(4), chores.fail_on_odd, client=client)
    assert (progress.done, progress.failed) == (2, 2)
    assert job.error("item_0000001")["type"] == "ValueError"


def test_a_worker_that_is_lost_costs_nothing_and_nothing_is_done_twice_in_the_record(job, client, tmp_path):
    outcomes = list(job.outcomes(chores.items(12, folder=tmp_path), chores.die_once_on_three, client=client))
    assert (tmp_path / "died").exists()
    assert sorted(outcome.value for outcome in outcomes) == list(range(12))
    entries = (job.folder / "journal.jsonl").read_text("utf-8").splitlines()
    done = [line for line in entries if '"done"' in line]
    assert len(done) == len(job.record().done) == 12


def test_an_item_that_workers_are_lost_with_again_and_again_fails(job, client):
    outcomes = list(job.outcomes(chores.items(6), chores.die_on_three, client=client))
    (failed,) = [outcome for outcome in outcomes if outcome.error]
    assert failed.item.id == "item_0000003"
    assert "WorkerDied: several workers died at it" in failed.error
    assert len(job.record().done) == 5


def test_a_caller_that_stops_early_leaves_a_cluster_that_works(job, client):
    outcomes = job.outcomes(chores.items(50), chores.number, client=client)
    next(outcomes)
    outcomes.close()
    assert job.run(chores.items(50), chores.number, client=client).done == 50


@pytest.fixture
def processes(tmp_path):
    """A scheduler and a worker that can be killed, and the file by which a client finds them."""
    file = tmp_path / "scheduler.json"
    options = ["--scheduler-file", str(file), "--no-dashboard"]
    commands = [["dask_scheduler", "--port", "0", "--host", "127.0.0.1", *options], ["dask_worker", "--nthreads", "1", "--no-nanny", *options]]
    started = [
        subprocess.Popen([sys.executable, "-m", f"distributed.cli.{name}", *rest], stderr=subprocess.DEVNULL, cwd=Path.cwd())
        for name, *rest in commands
    ]
    yield file, started
    for process in started:
        process.kill()
        process.wait()


def test_a_scheduler_that_dies_ends_the_run_and_what_is_done_is_recorded(job, processes, tmp_path):
    file, (scheduler, _) = processes
    while not file.exists():
        assert scheduler.poll() is None
        time.sleep(0.05)
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), distributed.Client(scheduler_file=str(file)) as client:
        outcomes = job.outcomes(chores.items(10**6), chores.number, client=client)
        next(outcomes)
        scheduler.kill()
        with pytest.raises(DataError, match="run again to go on"):
            list(outcomes)
    assert len(job.record().done) >= 1
