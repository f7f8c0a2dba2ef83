"""`tito doctor`."""
from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

import tinytorch
from tests.cli.conftest import Tito
from tests.cli.terminal import Terminal
from tests.cli.test_manners import on_a_terminal
from tests.machine import make_sound
from tests.plugin.conftest import Student


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_sound(monkeypatch, tmp_path)


def test_a_sound_workspace_gets_a_line_for_each_group(student: Student, tito: Tito):
    answer = tito("doctor")
    title, _, workspace, _, *good, _, now = answer.out.splitlines()
    assert (answer.status, answer.err, title, now) == (0, "", "TinyTorch Doctor", "Everything is in order.")
    assert workspace.endswith(str(student.root)) and len(good) == 10
    assert all(line.startswith("ok     ") and len(line) <= 80 for line in good)


def test_faults_come_first_then_notes_then_what_is_good(student: Student, tito: Tito):
    (student.root / "pytest.ini").touch()
    (student.root / ".tito" / "config.json").write_text('{"theme": 1}', "utf-8")
    answer = tito("doctor")
    marks = [line.split()[0] for line in answer.out.splitlines() if line and line[0] != " "][1:]
    assert answer.status == 1 and marks == ["FAULT", "note", *["ok"] * 8, "1"]
    assert "\n         Move your options from pytest.ini to pyproject.toml, and delete it.\n" in answer.out
    assert answer.out.endswith("\n1 fault. Now: what stands below the first one.\n")


def test_notes_alone_are_no_reason_to_fail(student: Student, tito: Tito):
    (student.root / ".tito" / "config.json").write_text('{"theme": 1}', "utf-8")
    answer = tito("doctor")
    assert answer.status == 0 and answer.out.endswith("\nNothing is broken; what is noted can wait.\n")


@pytest.mark.parametrize("broken", [False, True], ids=["sound", "with a fault"])
def test_outside_of_a_workspace_the_environment_is_checked(
    student: Student, tito: Tito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
):
    monkeypatch.chdir(tmp_path)
    if broken:
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    before = set(tmp_path.iterdir())
    answer = tito("doctor")
    assert answer.status == int(broken) and "Workspace  none here: only the environment is checked" in answer.out
    data = json.loads(tito("doctor", "--json").out)
    assert data["workspace"] is None and data["healthy"] is not broken and {check["group"] for check in data["checks"]} >= {"Python", "Jupyter"}
    assert set(tmp_path.iterdir()) == before


def test_json_has_every_check_with_its_group(student: Student, tito: Tito):
    (student.root / "pytest.ini").touch()
    data = json.loads(tito("doctor", "--json").out)
    assert data["healthy"] is False and data["workspace"] == str(student.root) and data["repairs"] == []
    [fault] = [check for check in data["checks"] if check["state"] != "good"]
    assert fault == {
        "group": "pytest", "state": "fault", "text": "pytest reads pytest.ini instead of the options in pyproject.toml",
        "fix": "Move your options from pytest.ini to pyproject.toml, and delete it.",
    }  # fmt: skip


def test_repair_brings_back_and_tidies_up_and_is_safe_to_repeat(student: Student, tito: Tito):
    (student.root / ".tito" / "progress.json").write_text("{", "utf-8")
    (student.root / "pyproject.toml").unlink()
    shutil.rmtree(student.root / "tests" / "01_tensor")
    half = student.root / ".tito" / ".progress.json.0123abcd.tmp"
    half.touch()
    os.utime(half, (time.time() - 7200,) * 2)
    sick = tito("doctor")
    assert sick.status == 1 and "4 faults. Now: tito doctor --repair\n" in sick.out and half.exists()
    repaired = tito("doctor", "--repair")
    assert repaired.status == 0 and "Everything is in order." in repaired.out
    for sentence in ("Set the broken .tito/progress.json aside", "Brought back pyproject.toml", "Brought back tests/01_tensor/test_root.py", "Removed .tito/.progress.json"):
        assert sentence in repaired.out
    files = {path: path.read_bytes() for path in student.root.rglob("*") if path.is_file()}
    again = tito("doctor", "--repair")
    assert again.status == 0 and again.out.startswith("There was nothing to repair.\n")
    assert {path: path.read_bytes() for path in student.root.rglob("*") if path.is_file()} == files


def test_a_command_that_was_killed_is_finished_first(student: Student, tito: Tito):
    from pytest_tinytorch.state import transaction

    (student.root / ".tito" / transaction.FOLDER).mkdir()
    assert tito("doctor").status == 0 and not (student.root / ".tito" / transaction.FOLDER).exists()


@pytest.mark.parametrize("place", ["undo/20251116_143000_000", "transaction"])
def test_a_plan_that_somebody_broke_is_told_and_set_aside(student: Student, tito: Tito, place: str):
    folder = student.root / ".tito" / place
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text("{", "utf-8")
    sick = tito("doctor")
    assert sick.status == 1 and str(folder / "plan.json") in sick.out and "tito doctor --repair" in sick.out
    repaired = tito("doctor", "--repair")
    assert repaired.status == 0 and f"Set .tito/{place} aside as .tito/{folder.name}.corrupt-" in repaired.out
    assert tito("undo").err.startswith("Error: There is nothing to take back")


@pytest.mark.parametrize("arguments", [[], ["--repair"]], ids=["look", "repair"])
def test_a_state_that_cannot_be_made_whole_is_a_fault_among_others(
    student: Student, tito: Tito, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
):
    from tinytorch import files

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    (student.root / ".tito" / "config.json").unlink()
    (student.root / "pytest.ini").touch()
    monkeypatch.setattr(files, "write_atomic", full)
    answer = tito("doctor", *arguments)
    assert answer.status == 1 and "config.json can't be written: No space left on device" in answer.out
    assert "pytest reads pytest.ini" in answer.out and "2 faults." in answer.out


def test_a_repair_that_fails_is_a_fault(student: Student, tito: Tito):
    path = student.root / ".tito" / "progress.json"
    path.unlink()
    path.mkdir()
    answer = tito("doctor", "--repair")
    assert answer.status == 1 and "progress.json can't be read: Is a directory" in answer.out and "ok     Jupyter" in answer.out


def test_a_package_that_is_gone_is_a_fault_and_no_traceback(student: Student, tito: Tito, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    answer = tito("doctor", "--repair")
    assert answer.status == 1 and "import of filelock halted" in answer.out and "--force-reinstall tinytorch" in answer.out


def test_a_workspace_that_is_named_and_not_there_is_a_fault(student: Student, tito: Tito, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TINYTORCH_WORKSPACE", str(tmp_path / "gone"))
    answer = tito("doctor")
    assert answer.status == 1 and f"There is no folder {tmp_path / 'gone'}" in answer.out and "ok     Jupyter" in answer.out


def test_a_workspace_of_any_name(student: Student, tito: Tito, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    folder = tmp_path / "my course \N{SNAKE}"
    student.root.rename(folder)
    monkeypatch.chdir(folder)
    for path in (*folder.rglob("*.py"), folder / "pyproject.toml", folder / ".gitignore"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    answer = tito("doctor")
    assert answer.status == 0 and str(folder) in answer.out and answer.out.endswith("Everything is in order.\n")


@on_a_terminal
def test_a_terminal_gets_lines_that_fit_and_whole_commands(student: Student):
    (student.root / "pytest.ini").touch()
    student.write("# %% tags=[\"export\"]\nx = (\n")
    environment = student.environment(PYTHONPATH=str(Path(tinytorch.__file__).parents[1]))
    with Terminal(["doctor"], cwd=student.root, environment=environment, columns=60) as terminal:
        assert terminal.end() == 1
        lines = terminal.text.splitlines()
    assert "\x1b[31m\x1b[1mFAULT" in terminal.seen and "FAULT  pytest reads pytest.ini instead of the options in" in lines
    assert "       pyproject.toml" in lines and "         Move your options from pytest.ini to" in lines
    assert "         Correct that line, then: pytest -m module01" in lines
