"""Which folder is the workspace, and which file of a module is the working copy."""
from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pytest_tinytorch.workspace import convert, layout
from pytest_tinytorch.workspace.layout import Workspace
from tests.plugin.conftest import ALPHA
from tinytorch.errors import ConfigError, ExportError, WorkspaceError

posix = pytest.mark.skipif(
    os.name == "nt", reason="links need rights on Windows, and a working directory can't be deleted"
)


# --- finding ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "modules/01_tensor", "tests", ".tito/backups"])
def test_a_workspace_is_found_from_every_folder_below_it(workspace, monkeypatch, below):
    monkeypatch.chdir(workspace.root / below)
    assert layout.current() == workspace
    assert layout.find(workspace.root / below) == workspace


def test_a_workspace_whose_tito_was_deleted_is_still_one(workspace):
    shutil.rmtree(workspace.tito)
    assert layout.find(workspace.root / "tests") == workspace


def test_of_two_workspaces_the_inner_one_is_meant(workspace, course):
    inner = workspace.root / "modules" / "inner"
    (inner / ".tito").mkdir(parents=True)
    assert layout.find(inner) == Workspace(inner, course)


def test_outside_there_is_none(tmp_path, monkeypatch, course):
    monkeypatch.chdir(tmp_path)
    assert layout.find() is None
    with pytest.raises(WorkspaceError, match=r"No workspace here: .*tito init my-tinytorch"):
        layout.current()


@posix
def test_in_a_deleted_folder_there_is_none(tmp_path, monkeypatch, course):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert layout.find() is None
    monkeypatch.chdir(tmp_path)


def test_the_order_is_variable_option_folder(workspace, course, tmp_path, monkeypatch):
    roots = {name: Workspace(tmp_path / name, course) for name in ("variable", "option")}
    for one in roots.values():
        one.tito.mkdir(parents=True)
    assert layout.find(workspace.root, named=None) == workspace
    assert layout.find(workspace.root, named=str(roots["option"].root)) == roots["option"]
    monkeypatch.setenv("TINYTORCH_WORKSPACE", str(roots["variable"].root))
    assert layout.find(workspace.root, named=str(roots["option"].root)) == roots["variable"]
    monkeypatch.setenv("TINYTORCH_WORKSPACE", "")
    assert layout.find(workspace.root, named=str(roots["option"].root)) == roots["option"]


@pytest.mark.parametrize("named", ["nowhere", "~nobody-of-this-name/x"])
@pytest.mark.parametrize("by", ["variable", "option"])
def test_a_name_that_points_nowhere_is_told(course, tmp_path, monkeypatch, by, named):
    monkeypatch.chdir(tmp_path)
    if by == "variable":
        monkeypatch.setenv("TINYTORCH_WORKSPACE", named)
    with pytest.raises(
        WorkspaceError,
        match=rf"There is no folder .*{named}, which TINYTORCH_WORKSPACE or tito_workspace names\. .*tito init",
    ):
        layout.find(named=named if by == "option" else None)


def test_a_name_of_a_folder_that_is_no_workspace_is_told(course, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYTORCH_WORKSPACE", str(tmp_path))
    with pytest.raises(
        WorkspaceError,
        match=rf"{tmp_path} is no workspace: it has no \.tito folder\. Make one with: tito init {tmp_path}",
    ):
        layout.find()


def test_a_workspace_of_a_course_that_is_none_is_told(workspace, monkeypatch, tmp_path):
    monkeypatch.setenv("TINYTORCH_TEMPLATES", str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"nothing is no course: No such file"):
        layout.find(workspace.root)


@posix
def test_a_workspace_behind_a_link_is_the_one_it_points_to(workspace, tmp_path):
    (tmp_path / "link").symlink_to(workspace.root)
    assert layout.find(tmp_path / "link" / "tests") == workspace


# --- paths --------------------------------------------------------------------------------------------------------


def test_paths_are_told_from_the_workspace_with_slashes(workspace):
    assert workspace.relative(workspace.root / "tests" / "a.py") == "tests/a.py"
    assert workspace.relative(workspace.root) == "."
    assert workspace.relative(workspace.root.parent / "workspace2" / "a.py") == str(
        workspace.root.parent / "workspace2" / "a.py"
    )


# --- the working copy ---------------------------------------------------------------------------------------------


@pytest.fixture
def module(workspace):
    return workspace.course.module("01")


def write(workspace, module, *, script=None, notebook=None, newer="py"):
    """Both forms, one of them a minute newer."""
    for path, text in zip(workspace.forms(module), (notebook, script), strict=True):
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text, "utf-8")
            seconds = 1_700_000_000 + 60 * (path.suffix == f".{newer}")
            os.utime(path, (seconds, seconds))


@pytest.mark.parametrize("newer", ["py", "ipynb"])
def test_of_two_forms_that_agree_the_newer_is_used(workspace, module, newer):
    write(workspace, module, script=ALPHA, notebook=convert.to_notebook(ALPHA), newer=newer)
    copy = workspace.working_copy(module)
    assert (copy.path.suffix, copy.older) == (f".{newer}", None)
    assert copy.data == copy.path.read_bytes()


@pytest.mark.parametrize("newer", ["py", "ipynb"])
def test_of_two_forms_that_differ_the_older_is_named(workspace, module, newer):
    write(workspace, module, script=ALPHA, notebook=convert.to_notebook(ALPHA + "# %%\nx = 1\n"), newer=newer)
    copy = workspace.working_copy(module)
    assert copy.path.suffix == f".{newer}"
    assert copy.older.suffix != copy.path.suffix
    assert copy.older in workspace.forms(module)


@pytest.mark.parametrize("newer", ["py", "ipynb"])
def test_of_two_forms_one_that_cannot_be_read_differs(workspace, module, newer):
    """A notebook that was cut off must not keep the newer script from being tested."""
    write(workspace, module, script=ALPHA, notebook='{"cells": [', newer=newer)
    copy = workspace.working_copy(module)
    assert (copy.path.suffix, copy.older.suffix) == (f".{newer}", ".py" if newer == "ipynb" else ".ipynb")
    if newer == "ipynb":
        with pytest.raises(ExportError, match=r"01_tensor\.ipynb:1: this is not JSON"):
            _ = copy.cells
    else:
        assert copy.cells


def test_forms_that_differ_in_newlines_and_outputs_agree(workspace, module):
    notebook = convert.to_notebook(ALPHA).replace(
        '"outputs": []', '"outputs": [{"output_type": "stream", "name": "stdout", "text": "x"}]'
    )
    write(workspace, module, script=ALPHA.replace("\n", "\r\n"), notebook=notebook)
    assert workspace.working_copy(module).older is None


def test_a_missing_working_copy_says_how_to_get_one(workspace, module):
    write(workspace, module)
    message = (
        r"Module 01 Tensor has no working copy: modules/01_tensor/01_tensor\.ipynb or "
        r"modules/01_tensor/01_tensor\.py is missing in .*workspace\. "
        r"Bring one back with: tito module reset 01$"
    )
    with pytest.raises(WorkspaceError, match=message):
        workspace.working_copy(module)
    (workspace.tito / "backups" / "01_tensor_20251116_143000.py").touch()
    with pytest.raises(WorkspaceError, match=r"tito module reset 01, or: tito backup restore 01$"):
        workspace.working_copy(module)


def test_a_folder_in_its_place_is_no_working_copy(workspace, module):
    write(workspace, module)
    workspace.forms(module)[1].mkdir()
    with pytest.raises(WorkspaceError, match="has no working copy"):
        workspace.working_copy(module)


def test_a_working_copy_that_cannot_be_read_is_told(workspace, module, monkeypatch):
    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", closed)
    with pytest.raises(WorkspaceError, match=r"01_tensor\.py can't be read: Permission denied\."):
        workspace.working_copy(module)


@posix
def test_a_working_copy_behind_a_link_keeps_its_name(workspace, module, tmp_path):
    script = workspace.forms(module)[1]
    script.replace(tmp_path / "elsewhere.py")
    script.symlink_to(tmp_path / "elsewhere.py")
    copy = workspace.working_copy(module)
    assert copy.path == script
    assert copy.data == (tmp_path / "elsewhere.py").read_bytes()


def test_saving_in_the_middle_of_a_run_changes_nothing_in_it(workspace, module):
    write(workspace, module, script=ALPHA)
    copy = workspace.working_copy(module)
    write(workspace, module, script="# %%\n1 / 0\n")
    assert copy.data == ALPHA.encode()
    assert len(copy.cells) == 5


def test_the_hash_is_of_the_exported_code_alone(workspace, module):
    def hash_of(script=None, notebook=None):
        write(workspace, module, script=script, notebook=notebook)
        return workspace.working_copy(module).code_hash

    first = hash_of(ALPHA)
    assert len(first) == 64
    assert hash_of(notebook=convert.to_notebook(ALPHA)) == first
    assert hash_of(ALPHA.replace("\n", "\r\n")) == first
    assert hash_of("\ufeff" + ALPHA) == first
    assert hash_of(ALPHA.replace("demonstration only", "something else")) == first
    assert hash_of(ALPHA.replace("# # Alpha", "# # Omega")) == first
    assert hash_of(ALPHA.replace("2 * x", "3 * x")) != first
    moved = ALPHA.replace('# %% exercise="root"', '    y = 1\n# %% exercise="root"')
    assert hash_of(moved) != first
