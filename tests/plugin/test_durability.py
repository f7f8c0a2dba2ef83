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

from pytest_tinytorch.course.curriculum import read_course
from pytest_tinytorch.state.recovery import recover
from pytest_tinytorch.state.store import STATE_FILES, Store
from pytest_tinytorch.workspace.layout import Workspace
from tests.plugin.conftest import Student
from tests.update.histories import tree

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


UNSEEN = (".tito/undo", ".tito/lock", ".tito/transaction", ".tito/backups", "tests/__pycache__")


def command(student: Student, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tito", *arguments], cwd=student.root, env=student.environment(**environment),
        stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=120, check=False,
    )


@pytest.fixture
def updatable(student: Student, tmp_path: Path) -> Student:
    """A workspace for which a newer course is installed: files that change, come and go, and a module with a fix."""
    student.solve()
    newer = tmp_path / "newer"
    shutil.copytree(student.course, newer)
    (newer / "VERSION").write_text("1.1.0", "utf-8")
    (newer / "tests" / "01_tensor" / "test_root.py").unlink()
    (newer / "tests" / "01_tensor" / "test_new.py").write_text("x = 1\n", "utf-8")
    for path in ("tests/01_tensor/test_double.py", "milestones/01_1958_perceptron/perceptron.py"):
        (newer / path).write_text((newer / path).read_text("utf-8") + "# new\n", "utf-8")
    source = newer / "modules" / "01_tensor" / "01_tensor.py"
    source.write_text(source.read_text("utf-8").replace("import math", "import math\nimport sys"), "utf-8")
    student.course = newer
    return student


@pytest.mark.parametrize("arguments", [("update",), ("update", "--module", "01", "--yes"), ("update", "--rollback")], ids=" ".join)
@pytest.mark.parametrize("way", ["kill", "full"])
def test_an_update_that_is_killed_or_meets_a_full_disk_is_all_or_nothing(
    updatable: Student, tmp_path: Path, arguments: tuple[str, ...], way: str
):
    if way == "kill" and os.name == "nt":
        pytest.skip("Windows has no SIGKILL")
    if arguments == ("update", "--rollback"):
        assert command(updatable, "update").returncode == 0
    before = tree(updatable.root, but=UNSEEN)
    whole = replace(updatable, root=tmp_path / "whole")
    shutil.copytree(updatable.root, whole.root)
    assert command(whole, *arguments).returncode == 0
    after = tree(whole.root, but=UNSEEN)
    for at, broken in copies(updatable, tmp_path):
        done = command(broken, *arguments, PYTHONPATH=str(SABOTEUR), SABOTAGE=f"{way}:{at}:{broken.root}")
        if way == "full" and done.returncode:
            assert done.returncode == 1 and "No space left" in done.stderr and "Traceback" not in done.stderr, done.stderr
        notices = recover(Workspace(broken.root, read_course(broken.course)))  # what any command does first
        there = without_times(tree(broken.root, but=UNSEEN))
        assert there in (without_times(before), without_times(after)), f"neither the old state nor the new after {way} {at}"
        assert any("was interrupted" in notice for notice in notices) <= (there == without_times(after))
        if done.returncode == 0:
            assert at > 10, "it never met the writes of an update"
            break


def without_times(files: dict[str, bytes]) -> dict[str, bytes]:
    versions = json.loads(files[".tito/version.json"].partition(b"\0")[0])
    return files | {".tito/version.json": json.dumps(versions | {"last_updated": ""}).encode()}


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
