"""Each check of `tito system health`, on a workspace in which one thing is wrong; and what repair makes of it."""
from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from pytest_tinytorch import health
from pytest_tinytorch.health import environment
from pytest_tinytorch.health.check import FAULT, GOOD, NOTE
from pytest_tinytorch.health.repair import repair
from pytest_tinytorch.state import backups, progress
from pytest_tinytorch.state.recovery import recover
from pytest_tinytorch.workspace.export import write_export
from pytest_tinytorch.workspace.layout import Workspace
from tests.plugin.conftest import SOLUTIONS


def found(workspace: Workspace, state: str = FAULT) -> list[str]:
    return [check.text for check in health.health(workspace) if check.state == state]


def completed(workspace: Workspace, *numbers: str) -> None:
    """Solve, export and record modules, as completing them does."""
    for number in numbers:
        module = workspace.course.module(number)
        workspace.forms(module)[-1].write_text(SOLUTIONS[module.folder], "utf-8")
        copy = workspace.working_copy(module)
        write_export(workspace, copy)
        workspace.store.update("progress.json", partial(progress.mark_complete, module=module))


def test_a_new_workspace_is_healthy(workspace: Workspace):
    assert {check.state for check in health.health(workspace)} == {GOOD}


@pytest.mark.parametrize("name", ["progress.json", "milestones.json", "config.json", "version.json"])
def test_a_broken_state_file_is_named_with_its_line(workspace: Workspace, name: str):
    (workspace.tito / name).write_text('{\n"version": \n', "utf-8")
    assert found(workspace) == ["Data files corrupted", f".tito/{name} is malformed: line 3, column 1: Expecting value"]


@pytest.mark.parametrize("name", ["tinytorch/__init__.py", "tinytorch/core/__init__.py", "tinytorch/perf/__init__.py", "tinytorch.py"])
def test_a_file_that_hides_the_package_is_a_fault(workspace: Workspace, name: str):
    path = workspace.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert found(workspace) == [f"{name} hides other parts of tinytorch"]


def test_a_file_of_the_name_of_a_base_module_is_a_fault(workspace: Workspace):
    (workspace.root / "tinytorch").mkdir()
    (workspace.root / "tinytorch" / "random.py").touch()
    assert found(workspace) == ["tinytorch/random.py is never imported: tinytorch.random is the installed one"]


@pytest.mark.parametrize("name", ["random.py", "numpy.py", "code/__init__.py"])
def test_a_file_that_hides_a_module_of_others_is_a_fault(workspace: Workspace, name: str):
    path = workspace.root / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    top = Path(name).parts[0]
    assert found(workspace) == [f"{top} hides the module {Path(top).stem}, which others import"]


def test_files_and_folders_of_the_students_own_are_no_faults(workspace: Workspace):
    (workspace.root / "experiment_of_mine.py").touch()
    (workspace.root / "code").mkdir()  # without __init__.py, Python finds its own `code`
    (workspace.root / "tinytorch").mkdir()
    (workspace.root / "tinytorch" / "ideas.py").touch()
    assert found(workspace) == []


def test_an_edited_export_is_a_fault(workspace: Workspace):
    completed(workspace, "01")
    assert found(workspace) == []
    export = workspace.export(workspace.course.module("01"))
    export.write_text(export.read_text("utf-8") + "x = 1\n", "utf-8")
    assert found(workspace) == ["tinytorch/core/tensor.py is not what was exported: its code has another hash"]


def test_odd_entries_are_notes_and_no_faults(workspace: Workspace):
    state = {"version": "1.0", "completed_modules": [1, 1, 99], "completion_dates": {}}
    (workspace.tito / "progress.json").write_text(json.dumps(state), "utf-8")
    assert found(workspace) == []
    assert found(workspace, NOTE) == [
        ".tito/progress.json: completed_modules has 99, which the course doesn't have",
        ".tito/progress.json: completed_modules has 1 twice",
        ".tito/progress.json: completion_dates has no date for module 1",
    ]


def test_missing_dependencies_are_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    wanted = ["numpy>=999", "no-such-package-of-ours>=1", "only-elsewhere; python_version < '3'", "an-extra; extra == 'report'"]
    monkeypatch.setattr(environment.metadata, "requires", lambda name: wanted)
    [text] = found(workspace)
    assert "numpy>=999 (installed: " in text and "no-such-package-of-ours>=1 (not installed)" in text
    assert "elsewhere" not in text and "extra" not in text


def test_an_environment_without_the_plugin_is_a_fault(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment.metadata, "entry_points", lambda group: [])
    assert found(workspace) == ["Environment: pytest doesn't know the plugin"]


# --- repair ------------------------------------------------------------------------------------------------------


def test_a_healthy_workspace_needs_no_repair(workspace: Workspace):
    completed(workspace, "01")
    before = {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}
    assert repair(workspace) == []
    assert before == {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("bad", [b"", b"{", b"[1, 2]", b'{"version": "1.0", "completed_modules": "all"}', b"\x00\xff"], ids=str)
def test_a_broken_file_is_set_aside_byte_for_byte(workspace: Workspace, bad: bytes):
    (workspace.tito / "progress.json").write_bytes(bad)
    done = repair(workspace)
    [aside] = workspace.tito.glob("progress.json.corrupt-*")
    assert aside.read_bytes() == bad and done[0] == f"Set the broken .tito/progress.json aside as .tito/{aside.name}."
    assert found(workspace) == [] and repair(workspace) == []


def test_two_broken_files_of_one_second_are_both_kept(workspace: Workspace):
    for text in ("{1", "{2", "{3"):
        (workspace.tito / "progress.json").write_text(text, "utf-8")
        repair(workspace)
    assert sorted(path.read_text("utf-8") for path in workspace.tito.glob("*.corrupt-*")) == ["{1", "{2", "{3"]


def test_the_newest_valid_backup_takes_the_place_of_a_broken_file(workspace: Workspace):
    completed(workspace, "01")
    saved = backups.back_up_state(workspace)
    broken = workspace.root / ".tito_backup_99991231" / ".tito"
    shutil.copytree(saved / ".tito", broken)
    (broken / "progress.json").write_text("{", "utf-8")
    wanted = workspace.store.read("progress.json")
    (workspace.tito / "progress.json").write_text("{", "utf-8")
    assert f"Restored .tito/progress.json from {saved.name}/.tito/progress.json." in repair(workspace)
    assert workspace.store.read("progress.json") == wanted


def test_without_a_backup_the_exports_prove_what_was_complete(workspace: Workspace):
    completed(workspace, "01", "02")
    path = workspace.export(workspace.course.module("02"))
    path.write_text(path.read_text("utf-8") + "edited = True\n", "utf-8")
    (workspace.tito / "progress.json").write_text("{", "utf-8")
    assert "Recorded module 01 as complete: the exports prove it." in repair(workspace)
    state = workspace.store.read("progress.json")
    assert state["completed_modules"] == [1] and list(state["completion_dates"]) == ["1"]


def test_an_adopted_module_has_the_date_of_its_export(workspace: Workspace):
    import os
    from datetime import datetime

    completed(workspace, "01")
    then = datetime(2025, 11, 16, 10).timestamp()
    os.utime(workspace.export(workspace.course.module("01")), (then, then))
    shutil.rmtree(workspace.tito)
    recover(workspace)
    repair(workspace)
    assert workspace.store.read("progress.json")["completion_dates"] == {"1": "2025-11-16T10:00:00"}


def test_a_module_that_was_reset_is_not_adopted(workspace: Workspace):
    from pytest_tinytorch.reset import reset_module

    completed(workspace, "01")
    reset_module(workspace, workspace.course.module("01"))
    assert repair(workspace) == [] and workspace.store.read("progress.json")["completed_modules"] == []


def test_a_broken_version_file_is_made_again_from_the_files(workspace: Workspace):
    test = workspace.root / "tests" / "01_tensor" / "test_root.py"
    test.write_text("# mine\n", "utf-8")
    (workspace.tito / "version.json").write_text("{", "utf-8")
    repair(workspace)
    entries = workspace.store.read("version.json")["files"]
    assert entries["tests/01_tensor/test_double.py"]["version"] == "1.0.0"
    assert entries["tests/01_tensor/test_root.py"]["modified_by_student"] is True


def test_a_deleted_test_folder_is_a_fault_and_comes_back(workspace: Workspace):
    folder = workspace.root / "tests" / "01_tensor"
    before = {path.name: path.read_bytes() for path in folder.glob("*.py")}
    shutil.rmtree(folder)
    missing = [f"tests/01_tensor/{name}" for name in ("student_side.py", "test_double.py", "test_root.py")]
    assert found(workspace) == ["Module 01 Tensor has no tests here: tests/01_tensor is missing"]
    assert [check.fix for check in health.health(workspace) if check.state == FAULT] == ["tito update"]
    assert repair(workspace) == [f"Brought back {path}, which was missing." for path in missing]
    assert {path.name: path.read_bytes() for path in folder.glob("*.py")} == before and found(workspace) == []


def test_one_deleted_test_file_is_a_fault_and_comes_back(workspace: Workspace):
    path = workspace.root / "tests" / "01_tensor" / "test_root.py"
    before = path.read_bytes()
    path.unlink()
    assert found(workspace) == ["tests/01_tensor/test_root.py is missing, so its tests can't pass"]
    assert repair(workspace) == ["Brought back tests/01_tensor/test_root.py, which was missing."]
    assert path.read_bytes() == before and found(workspace) == []


def test_a_file_that_cannot_be_read_stops_repair(workspace: Workspace):
    from tinytorch.errors import StateError

    (workspace.tito / "progress.json").unlink()
    (workspace.tito / "progress.json").mkdir()
    with pytest.raises(StateError, match=r"progress\.json can't be read"):
        repair(workspace)
