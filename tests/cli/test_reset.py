"""`tito module reset` with its dialog, and `tito reset`."""
from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Tito
from tests.cli.terminal import CTRL_C, CTRL_D, Terminal
from tests.cli.test_manners import on_a_terminal
from tests.cli.test_module import backups
from tests.plugin.conftest import ALPHA, Student

SABOTEUR = Path(__file__).parents[1] / "saboteur"
in_both_formats = pytest.mark.parametrize("student", ["py", "ipynb"], indirect=True)


@pytest.fixture
def completed(student: Student) -> Student:
    """Modules 01 and 02 are complete, with results, and 01's tests were edited."""
    student.solve("01_tensor", "02_activations")
    progress = {
        "version": "1.0",
        "completed_modules": [1, 2],
        "completion_dates": {"1": "2025-11-16T10:00:00", "2": "2025-11-16T11:00:00"},
        "results": {"1": {"outcome": "passed"}, "2": {"outcome": "passed"}},
        "tests_modified": {"1": ["tests/01_tensor/test_root.py"]},
        "note": "kept",
    }
    (student.root / ".tito" / "progress.json").write_text(json.dumps(progress), "utf-8")
    for module in ("01_tensor", "02_activations"):
        student.export(module).parent.mkdir(parents=True, exist_ok=True)
        student.export(module).write_text(f"# {module}\n", "utf-8")
    return student


def all_files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != "lock"}


@in_both_formats
def test_reset_backs_up_writes_the_stub_and_clears_this_module_only(completed: Student, tito: Tito):
    mine = completed.path().read_bytes()
    stub = (completed.root / ".tito" / "pristine" / completed.path().relative_to(completed.root)).read_bytes()
    answer = tito("module", "reset", "01", "--yes")
    assert answer.status == 0 and not answer.err
    [backup] = backups(completed)
    assert backup.read_bytes() == mine and completed.path().read_bytes() == stub
    for text in (f"Backed up to .tito/backups/{backup.name}", "to version 1.0.0", "Reset Complete!", "Run: tito module start 01"):
        assert text in answer.out
    progress = completed.state("progress.json")
    assert progress["completed_modules"] == [2] and progress["completion_dates"] == {"2": "2025-11-16T11:00:00"}
    assert list(progress["results"]) == ["2"] and "tests_modified" not in progress and progress["note"] == "kept"
    assert list(progress["reset"]) == ["1"], "so that repair does not adopt the export again"
    assert completed.export().is_file() and len(backups(completed, "02_activations")) == 0


def test_reset_takes_the_installed_courses_version(completed: Student, tito: Tito):
    (completed.course / "VERSION").write_text("1.1.0\n", "utf-8")
    source = completed.course / "modules" / "01_tensor" / "01_tensor.py"
    source.write_text(ALPHA.replace("# # Alpha", "# # Alpha, corrected"), "utf-8")
    from pytest_tinytorch.course.curriculum import read_course

    read_course.cache_clear()
    assert "to version 1.1.0" in tito("module", "reset", "01", "--yes").out
    assert "corrected" in completed.path().read_text("utf-8")
    entry = completed.state("version.json")["files"]["modules/01_tensor/01_tensor.py"]
    assert entry["version"] == "1.1.0" and entry["modified_by_student"] is False
    assert "is as you started" in tito("module", "diff", "01").out


def test_other_files_of_the_folder_stay(completed: Student, tito: Tito):
    notes = completed.path().with_name("notes.txt")
    notes.write_text("mine", "utf-8")
    assert tito("module", "reset", "01", "--yes").status == 0 and notes.read_text("utf-8") == "mine"


def test_reset_brings_back_a_missing_working_copy(completed: Student, tito: Tito):
    completed.path().unlink()
    assert tito("module", "reset", "01", "--yes").status == 0
    assert "NotImplementedError" in completed.path().read_text("utf-8") and backups(completed) == []


def test_reset_of_two_forms_leaves_both_as_the_course_has_them(completed: Student, tito: Tito):
    completed.path().with_suffix(".ipynb").write_text("{broken", "utf-8")
    assert tito("module", "reset", "01", "--yes").status == 0
    assert sorted(path.suffix for path in backups(completed)) == [".ipynb", ".py"]
    assert "is as you started" in tito("module", "diff", "01").out


@pytest.mark.parametrize("command", [["module", "reset", "01"], ["reset"]], ids="-".join)
def test_without_a_terminal_nothing_is_changed(completed: Student, tito: Tito, command: list[str]):
    before = all_files(completed.root)
    answer = tito(*command)
    assert answer.status == 1 and "--yes" in answer.err
    assert all_files(completed.root) == before


def test_a_planned_module_cannot_be_reset(student: Student, tito: Tito):
    assert "planned" in tito("module", "reset", "03", "--yes").err


# --- the dialog --------------------------------------------------------------------------------------------------


@on_a_terminal
def test_the_dialog_shows_what_is_at_stake_and_enter_backs_up(completed: Student):
    with Terminal(["module", "reset", "01"], cwd=completed.root, environment=completed.environment()) as terminal:
        terminal.wait_for("Choice [1]: ")
        for text in ("This will reset Module 01 (Tensor)", "Current file: modules/01_tensor/01_tensor.py", "1. Backup and reset (recommended)"):
            assert text in terminal.text
        assert re.search(r"Last modified: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n", terminal.text)
        assert re.search(r"Size: \d+\.\d KB\n", terminal.text)
        assert re.search(r"Changes: 6 lines added/modified\n", terminal.text)
        terminal.type("\n")
        assert terminal.end() == 0
    assert completed.completed == [2] and len(backups(completed)) == 1


@on_a_terminal
def test_the_dialog_shows_the_diff_and_asks_again(completed: Student):
    with Terminal(["module", "reset", "01"], cwd=completed.root, environment=completed.environment()) as terminal:
        terminal.wait_for("Choice [1]: ")
        terminal.type("2\n")
        terminal.wait_for("Choice [1]: ")
        assert "+    return 2 * x" in terminal.text
        terminal.type("what?\n")
        terminal.wait_for("Type 1, 2 or 3.")
        terminal.type("1\n")
        assert terminal.end() == 0
    assert completed.completed == [2]


@on_a_terminal
@pytest.mark.parametrize("typed", ["3\n", CTRL_C, CTRL_D], ids=["3", "ctrl-c", "end of input"])
def test_the_dialog_can_be_left(completed: Student, typed: str):
    before = all_files(completed.root)
    with Terminal(["module", "reset", "01"], cwd=completed.root, environment=completed.environment()) as terminal:
        terminal.wait_for("Choice [1]: ")
        terminal.type(typed)
        assert terminal.end(again=typed) == 1
        assert "Nothing was changed" in terminal.text and "Traceback" not in terminal.text
    assert all_files(completed.root) == before


@on_a_terminal
def test_a_terminal_that_must_not_be_asked(completed: Student):
    environment = completed.environment(TITO_NONINTERACTIVE="1")
    with Terminal(["module", "reset", "01"], cwd=completed.root, environment=environment) as terminal:
        assert terminal.end() == 1 and "Choice" not in terminal.text
    assert completed.completed == [1, 2]


@on_a_terminal
def test_a_broken_working_copy_can_be_reset_too(completed: Student):
    completed.path().with_suffix(".ipynb").write_text("{broken", "utf-8")
    completed.path().unlink()
    with Terminal(["module", "reset", "01"], cwd=completed.root, environment=completed.environment()) as terminal:
        terminal.wait_for("Choice [1]: ")
        assert "Changes: can't be counted" in terminal.text
        terminal.type("1\n")
        assert terminal.end() == 0


# --- one transaction ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_killed_at_every_write_it_is_done_or_not_done(
    completed: Student, tmp_path: Path, tito: Tito, monkeypatch: pytest.MonkeyPatch
):
    """The next command finds the state of before or of after, and the student's work safe in either."""
    mine = completed.path().read_bytes()
    for at in range(1, 60):
        root = tmp_path / f"killed at {at}"
        shutil.copytree(completed.root, root)
        environment = completed.environment(SABOTAGE=f"kill:{at}:{root}", PYTHONPATH=str(SABOTEUR))
        command = [sys.executable, "-m", "tito", "module", "reset", "01", "--yes"]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, check=False)
        monkeypatch.chdir(root)
        assert tito("module", "status").status == 0
        files = all_files(root)
        work = files["modules/01_tensor/01_tensor.py"]
        numbers = json.loads(files[".tito/progress.json"])["completed_modules"]
        assert (numbers == [1, 2]) == (work == mine), f"killed at write {at}: half of it was done"
        assert work == mine or mine in [data for name, data in files.items() if name.startswith(".tito/backups/")]
        assert not (root / ".tito" / "transaction").exists()
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert done.returncode == 0 and at > 10, "the kills never met a write, or never ended"


@pytest.mark.parametrize("at", range(1, 12))
def test_on_a_full_disk_nothing_is_changed_or_all(completed: Student, at: int):
    mine = completed.path().read_bytes()
    environment = completed.environment(SABOTAGE=f"full:{at}:{completed.root}", PYTHONPATH=str(SABOTEUR))
    done = subprocess.run(
        [sys.executable, "-m", "tito", "module", "reset", "01", "--yes"], cwd=completed.root, env=environment, capture_output=True,
        encoding="utf-8", check=False,
    )  # fmt: skip
    if done.returncode == 0:
        assert completed.completed == [2]
    else:
        assert done.returncode == 1 and "Traceback" not in done.stderr and "No space left" in done.stderr
        assert completed.path().read_bytes() == mine and completed.completed == [1, 2]


# --- all progress ------------------------------------------------------------------------------------------------


def test_reset_of_everything_touches_the_state_only_and_can_be_taken_back(completed: Student, tito: Tito):
    before = all_files(completed.root)
    answer = tito("reset", "--yes")
    assert answer.status == 0
    after = all_files(completed.root)
    assert {name for name in before if after.get(name) != before[name]} == {".tito/progress.json"}
    assert all(name.startswith((".tito_backup_", ".tito/undo/")) for name in set(after) - set(before))
    assert completed.completed == [] and sorted(completed.state("progress.json")["reset"]) == ["1", "2"]
    line = next(line for line in answer.out.splitlines() if line.startswith("To take it back: cp "))
    *sources, target = line.removeprefix("To take it back: cp ").split()
    for source in sources:
        (completed.root / target / Path(source).name).write_bytes((completed.root / source).read_bytes())
    assert all_files(completed.root)[".tito/progress.json"] == before[".tito/progress.json"]


def test_a_reset_of_everything_can_be_undone(completed: Student, tito: Tito):
    before = (completed.root / ".tito" / "progress.json").read_bytes()
    tito("reset", "--yes")
    assert "Restored .tito/progress.json\n" in tito("undo").out
    assert (completed.root / ".tito" / "progress.json").read_bytes() == before


def test_after_a_reset_of_everything_repair_does_not_bring_it_back(student: Student, tito: Tito):
    student.solve()
    assert student.pytest("-m", "module01", "--tito-complete", "-o", "tito_notebook_check=no").returncode == 0
    assert tito("reset", "--yes").status == 0
    assert tito("system", "health", "--repair").status == 0
    assert student.completed == []


@on_a_terminal
@pytest.mark.parametrize(("typed", "status"), [("y\n", 0), ("\n", 1), (CTRL_D, 1)], ids=["yes", "enter", "end of input"])
def test_reset_of_everything_asks(completed: Student, typed: str, status: int):
    with Terminal(["reset"], cwd=completed.root, environment=completed.environment()) as terminal:
        terminal.wait_for("[y/N]: ")
        terminal.type(typed)
        assert terminal.end() == status
    assert completed.completed == ([] if status == 0 else [1, 2])


def test_a_broken_state_stops_a_reset(completed: Student, tito: Tito):
    path = completed.root / ".tito" / "progress.json"
    path.write_text("{", "utf-8")
    before = all_files(completed.root)
    for command in (["reset", "--yes"], ["module", "reset", "01", "--yes"]):
        answer = tito(*command)
        assert answer.status == 1 and "progress.json is malformed" in answer.err
    assert all_files(completed.root) == before



def test_two_resets_side_by_side(completed: Student, real_tito: Callable[..., subprocess.CompletedProcess[str]]):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda number: real_tito("module", "reset", number, "--yes").returncode, ["01", "02"]))
    assert ends == [0, 0] and completed.completed == []
