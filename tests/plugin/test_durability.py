"""A kill at any write, a full disk at any write, fifty processes at once: files are old or new, and no update is lost."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_tinytorch.state.store import STATE_FILES, Store
from tests.plugin.conftest import Student

SABOTEUR = Path(__file__).parents[1] / "saboteur"
COMPLETE = ("-m", "module01", "--tito-complete", "-q", "-o", "tito_notebook_check=false")
MOST_WRITES = 120


def copies(student: Student, tmp_path: Path):
    """Workspaces to break, numbered from 1."""
    for at in range(1, MOST_WRITES):
        root = tmp_path / f"broken-{at}"
        shutil.copytree(student.root, root)
        yield at, replace(student, root=root)
        shutil.rmtree(root)
    pytest.fail(f"no run got through within {MOST_WRITES} writes")


def check_whole(student: Student) -> None:
    """Every state file is valid, and no record is without its export."""
    store = Store(student.root / ".tito")
    for name in STATE_FILES:
        if (student.root / ".tito" / name).exists():
            store.read(name)
    assert student.completed == [] or student.export().is_file()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_kill_at_any_write_leaves_whole_files_and_the_next_run_completes(student: Student, tmp_path: Path):
    student.solve()
    for at, broken in copies(student, tmp_path):
        done = broken.pytest(*COMPLETE, PYTHONPATH=str(SABOTEUR), SABOTAGE=f"kill:{at}:{broken.root}")
        check_whole(broken)
        if done.returncode == 0:
            assert at > 8, "the kills never met the writes of a completion"
            break
        assert done.returncode < 0, done.stdout
        if at % 3 == 0:
            assert broken.pytest(*COMPLETE).returncode == 0 and broken.completed == [1]


def test_a_full_disk_at_any_write_is_told_and_leaves_whole_files(student: Student, tmp_path: Path):
    student.solve()
    for at, broken in copies(student, tmp_path):
        done = broken.pytest(*COMPLETE, "-p", "no:cacheprovider", PYTHONPATH=str(SABOTEUR), SABOTAGE=f"full:{at}:{broken.root}")
        check_whole(broken)
        if done.returncode == 0:
            assert at > 5, "the disk was never full while something was written"
            break
        told = done.stdout + done.stderr
        assert done.returncode == 1 and "No space left" in told and "INTERNALERROR" not in told, told
        assert broken.completed == []


def test_fifty_processes_at_once_lose_no_update(student: Student):
    script = (
        "import sys; from pathlib import Path; from pytest_tinytorch.state.store import Store; n = int(sys.argv[2])\n"
        "def add(state): state['completed_modules'].append(n)\n"
        "Store(Path(sys.argv[1])).update('progress.json', add)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(student.root / ".tito"), str(n)]) for n in range(100, 150)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0] * 50
    assert sorted(student.completed) == list(range(100, 150))


@pytest.mark.skipif(os.name == "nt", reason="permissions of folders are other on Windows")
def test_a_read_only_state_folder_is_told_and_nothing_is_recorded(student: Student):
    student.solve()
    tito = student.root / ".tito"
    for path in (tito, *tito.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    # root may write anyway, unless it gives up that capability
    become = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-all"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*become, sys.executable, "-m", "pytest", *COMPLETE, "-p", "no:cacheprovider"], cwd=student.root,
        env=student.environment(), stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=120, check=False,
    )
    for path in (tito, *tito.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    told = done.stdout + done.stderr
    assert done.returncode == 1 and "can't be written: Permission denied" in told and "INTERNALERROR" not in told, told
    assert student.completed == []


def test_a_clock_that_runs_backwards_loses_nothing(student: Student):
    student.solve()
    future = {"version": "1.0", "completed_modules": [1], "completion_dates": {"1": "2999-01-01T00:00:00"}}
    (student.root / ".tito" / "progress.json").write_text(json.dumps(future), "utf-8")
    assert student.pytest(*COMPLETE).returncode == 0
    assert student.state("progress.json")["completion_dates"] == {"1": "2999-01-01T00:00:00"}
    assert "Last Activity: Module 01 (2999-01-01 00:00)" in student.pytest("--tito-status").stdout
