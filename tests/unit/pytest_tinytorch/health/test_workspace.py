"""The student's files: what can't be read, what differs, what git would take."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from pytest_tinytorch.health import workspace as checks
from pytest_tinytorch.health.check import FAULT, NOTE
from pytest_tinytorch.state import progress
from pytest_tinytorch.workspace import convert
from pytest_tinytorch.workspace.export import write_export
from pytest_tinytorch.workspace.layout import Workspace
from tests.plugin.conftest import ALPHA

BROKEN = ALPHA.replace("return 2 * x", "return 2 *")


def test_a_script_with_a_syntax_error_is_told_with_its_line(workspace: Workspace):
    script = workspace.forms(workspace.course.module("01"))[1]
    script.write_text(BROKEN, "utf-8")
    line = BROKEN[: BROKEN.index("return 2 *")].count("\n") + 1
    [check] = checks.working_copies(workspace)
    assert check.state == FAULT and check.text == f"modules/01_tensor/01_tensor.py:{line}: SyntaxError: invalid syntax"


def test_a_notebook_with_a_syntax_error_is_told_with_cell_and_line(workspace: Workspace):
    notebook, script = workspace.forms(workspace.course.module("01"))
    script.unlink()
    notebook.write_text(convert.to_notebook(BROKEN), "utf-8")
    [check] = checks.working_copies(workspace)
    assert check.state == FAULT and check.text == "modules/01_tensor/01_tensor.ipynb:cell 3:3: SyntaxError: invalid syntax"


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("01_tensor.ipynb", b"{", "modules/01_tensor/01_tensor.ipynb:1: this is not JSON"),
        ("01_tensor.ipynb", b"", "modules/01_tensor/01_tensor.ipynb is empty"),
        ("02_activations.py", b"# %%\nx = '\xff'\n", "modules/02_activations/02_activations.py:2: byte 0xff is not UTF-8"),
        ("02_activations.py", b'# %% tags=["export"]\nx = 1\n%timeit x\n', "modules/02_activations/02_activations.py:3: '%timeit x' is a notebook command"),
        ("02_activations.py", b'# %% tags=["export"]\nx = "\x00"\n', "modules/02_activations/02_activations.py:2: "),
    ],
    ids=["no notebook", "empty", "another encoding", "a command", "null bytes"],
)
def test_a_file_that_cannot_be_read_is_told(workspace: Workspace, name: str, data: bytes, told: str):
    path = workspace.root / "modules" / Path(name).stem / name
    for form in path.parent.glob("0*"):
        form.unlink()
    path.write_bytes(data)
    [check] = checks.working_copies(workspace)
    assert check.state == FAULT and check.text.startswith(told)


def test_cells_that_stay_in_the_notebook_may_hold_commands(workspace: Workspace):
    workspace.forms(workspace.course.module("01"))[1].write_text(ALPHA + "\n# %%\n# %timeit double(2)\nawait nothing\n", "utf-8")
    assert list(checks.working_copies(workspace)) == []


def test_two_forms_that_differ_are_a_note(workspace: Workspace):
    notebook, script = workspace.forms(workspace.course.module("01"))
    script.write_text(ALPHA, "utf-8")
    notebook.write_text(convert.to_notebook(ALPHA), "utf-8")
    assert list(checks.working_copies(workspace)) == []
    script.write_text(ALPHA + "\nx = 1\n", "utf-8")
    os.utime(notebook, (time.time() - 60, time.time() - 60))
    [check] = checks.working_copies(workspace)
    assert check.state == NOTE and check.text.startswith("modules/01_tensor/01_tensor.py and 01_tensor.ipynb differ")


def test_an_export_older_than_the_working_copy_is_a_note(workspace: Workspace):
    module = workspace.course.module("01")
    script = workspace.forms(module)[1]
    script.write_text(ALPHA, "utf-8")
    write_export(workspace, workspace.working_copy(module))
    script.write_text(ALPHA.replace("2 * x", "x + x"), "utf-8")
    assert list(checks.older_exports(workspace)) == [], "nobody says that the module is complete"
    workspace.store.update("progress.json", partial(progress.mark_complete, module=module))
    [check] = checks.older_exports(workspace)
    assert check.state == NOTE and check.text.startswith("tinytorch/core/tensor.py is older") and check.fix == "tito module complete 01"
    write_export(workspace, workspace.working_copy(module))
    assert list(checks.older_exports(workspace)) == []
    (workspace.tito / "progress.json").write_text("{", "utf-8")
    assert list(checks.older_exports(workspace)) == [], "that is for the check of state files to tell"


def test_a_course_newer_than_the_workspace_is_a_note(workspace: Workspace):
    assert list(checks.course_version(workspace)) == []
    workspace.store.update("version.json", lambda state: state.update(template_version="0.9.0"))
    [check] = checks.course_version(workspace)
    assert (check.state, check.text) == (NOTE, "The course is at version 1.0.0, and this workspace was made from 0.9.0")
    (workspace.tito / "version.json").write_text(json.dumps([]), "utf-8")
    assert list(checks.course_version(workspace)) == [], "that is for the check of state files to tell"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("inside", [False, True], ids=["the repository", "a folder of it"])
def test_a_state_that_git_does_not_ignore_is_a_note(workspace: Workspace, inside: bool):
    assert list(checks.git(workspace)) == []
    root = workspace.root.parent if inside else workspace.root
    subprocess.run(["git", "init", "--quiet", str(root)], check=True, capture_output=True)
    assert list(checks.git(workspace)) == []
    (workspace.root / ".gitignore").write_text("data/\n", "utf-8")
    [check] = checks.git(workspace)
    assert check.state == NOTE and "git doesn't ignore .tito/" in check.text


def test_without_git_there_is_nothing_to_tell(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    (workspace.root / ".git").mkdir()
    monkeypatch.setattr(checks.shutil, "which", lambda name: None)
    assert list(checks.git(workspace)) == []
