"""What `tito doctor` looks at: everything of `tito system health`, and more; and it survives what it is there to find."""
from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_tinytorch import health
from pytest_tinytorch.health import GROUPS, environment
from pytest_tinytorch.health import workspace as workspace_checks
from pytest_tinytorch.health.check import FAULT, GOOD
from pytest_tinytorch.workspace.layout import Workspace


def test_a_new_workspace_on_a_sound_machine_has_nothing_wrong(workspace: Workspace):
    found = health.doctor(workspace)
    assert {group: [check.text for check in checks] for group, checks in found.items()} == {group: [text] for group, text in GROUPS.items()}


def test_outside_of_a_workspace_the_environment_is_looked_at():
    assert list(health.doctor(None)) == ["Python", "Commands", "pytest", "Jupyter", "Machine", "Leftovers"]


def test_what_health_finds_the_doctor_finds(workspace: Workspace):
    (workspace.tito / "progress.json").write_text("{", "utf-8")
    (workspace.root / "random.py").touch()
    (workspace.root / "tests" / "01_tensor" / "test_root.py").unlink()
    wrong = {check for check in health.health(workspace) if check.state != GOOD}
    assert len(wrong) == 4
    assert wrong <= {check for checks in health.doctor(workspace).values() for check in checks}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(13, "Permission denied", "/a/folder"), "/a/folder can't be looked at: Permission denied"),
        (ModuleNotFoundError("No module named 'numpy'", name="numpy"), "numpy can't be imported: No module named 'numpy'"),
    ],
    ids=["a folder that is closed", "a package that is gone"],
)
def test_a_check_that_cannot_look_is_a_fault_and_no_end(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str):
    def fails(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(workspace_checks, "data", fails)
    found = health.doctor(workspace)
    assert [(check.state, check.text) for check in found["State"]] == [(FAULT, told)]
    assert list(found) == list(GROUPS)


def test_a_python_that_is_too_old_is_a_fault(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment, "OLDEST_PYTHON", (99, 0))
    [check] = health.doctor(None)["Python"]
    assert (check.state, check.text) == (FAULT, f"Environment: Python {sys.version.split()[0]}") and "99.0" in check.fix


def test_the_doctor_changes_nothing(workspace: Workspace):
    def state() -> dict[Path, tuple[int, bytes]]:
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in workspace.root.rglob("*") if path.is_file()}

    (workspace.tito / "progress.json").write_text("{", "utf-8")
    before = state()
    health.doctor(workspace)
    assert state() == before
