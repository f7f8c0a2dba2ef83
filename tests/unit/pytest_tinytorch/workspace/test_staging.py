"""A staged working copy runs as its export would, and keeps the lines that the student wrote."""
from __future__ import annotations

import importlib
import json
import sys
import tempfile
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

import tinytorch
from pytest_tinytorch.workspace import convert, staging
from pytest_tinytorch.workspace.export import export_text
from tests.plugin.conftest import ALPHA, BETA
from tinytorch import _overlay
from tinytorch.errors import ExportError


@pytest.fixture(autouse=True)
def bound_as_before():
    path, finders = list(tinytorch.__path__), list(sys.meta_path)
    yield
    _overlay.bind()
    tinytorch.__path__, sys.meta_path[:] = path, finders


@pytest.fixture(params=["py", "ipynb"])
def copy_of(request, workspace):
    def write(text, number="01"):
        module = workspace.course.module(number)
        for path in workspace.forms(module):
            path.unlink(missing_ok=True)
        path = next(path for path in workspace.forms(module) if path.suffix == f".{request.param}")
        path.write_text(text if request.param == "py" else convert.to_notebook(text), "utf-8")
        return workspace.working_copy(module)

    return write


def imported(workspace, folder, name="tinytorch.core.tensor"):
    _overlay.bind(workspace.root, folder)
    return importlib.import_module(name)


def test_a_staged_module_is_imported_before_its_export(workspace, copy_of, tmp_path):
    workspace.export(workspace.course.module("01")).parent.mkdir(parents=True)
    workspace.export(workspace.course.module("01")).write_text("def double(x): return 'export'\n")
    staging.stage(workspace, [copy_of(ALPHA), copy_of(BETA, "02")], tmp_path)
    assert imported(workspace, tmp_path).double(4) == 8
    assert importlib.import_module("tinytorch.core.activations").quadruple(1) == 4


def test_demonstrations_are_not_run(workspace, copy_of, tmp_path):
    staging.stage(workspace, [copy_of(ALPHA + "\n# %%\n1 / 0\n")], tmp_path)
    assert imported(workspace, tmp_path).root(9) == 3


def test_a_staged_module_and_its_export_define_the_same(workspace, copy_of, tmp_path):
    copy = copy_of(ALPHA)
    staging.stage(workspace, [copy], tmp_path)
    exported: dict[str, object] = {}
    exec(compile(export_text(workspace, copy), "export", "exec"), exported)
    names = {name for name in vars(imported(workspace, tmp_path)) if not name.startswith("__")}
    assert names == {name for name in exported if not name.startswith("__")} == {"double", "root", "math"}


def test_a_traceback_shows_the_students_own_line(workspace, copy_of, tmp_path):
    copy = copy_of(ALPHA.replace("return math.sqrt(x)", "return math.sqrt(-x)"))
    staging.stage(workspace, [copy], tmp_path)
    module = imported(workspace, tmp_path)
    with pytest.raises(ValueError, match=r"math domain error|expected a nonnegative") as raised:
        module.root(1)
    frame = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert frame.line == "return math.sqrt(-x)"
    if copy.path.suffix == ".py":
        assert frame.filename == str(copy.path)
        assert copy.path.read_text().split("\n")[frame.lineno - 1].strip() == frame.line
    else:
        assert (frame.filename, frame.lineno) == ("modules/01_tensor/01_tensor.ipynb:cell 4", 3)


def test_a_staged_file_says_which_lines_are_whose(workspace, copy_of, tmp_path):
    copy = copy_of(ALPHA)
    staging.stage(workspace, [copy], tmp_path)
    told = json.loads((tmp_path / "staging.json").read_text())["tinytorch.core.tensor"]
    assert told["file"] == "core/tensor.py"
    lines = (tmp_path / told["file"]).read_text("utf-8").split("\n")
    shown = ["\n".join(lines[first:last]).strip("\n") for _, first, last in told["pieces"]]
    sources = [cell.source for cell in copy.cells if cell.is_exported]
    if copy.path.suffix == ".ipynb":
        assert shown == sources
    else:
        assert [name for name, _, _ in told["pieces"]] == [str(copy.path)]
        assert all(source in shown[0] for source in sources)


def test_what_cannot_be_staged_is_refused_before_anything_runs(workspace, copy_of, tmp_path):
    """Already by `staged_lines`, so that a session can go on with the other modules."""
    exported = '# %% tags=["export"]\n'
    for text, message in {
        f"{exported}%timeit 1\n": "notebook command",
        f"{exported}x = 1\n{exported}from __future__ import division\n": "must stand above",
    }.items():
        for refuse in (
            lambda copy: staging.staged_lines(workspace, copy),
            lambda copy: staging.stage(workspace, [copy], tmp_path),
        ):
            with pytest.raises(ExportError, match=message):
                refuse(copy_of(text))


def test_a_working_copy_that_is_no_notebook_is_refused(workspace, copy_of, tmp_path):
    copy = replace(copy_of(ALPHA), data=b"\xff\xfe")
    with pytest.raises(ExportError, match=r"01_tensor\.(py|ipynb):1: byte 0xff is not UTF-8"):
        staging.stage(workspace, [copy], tmp_path)


def test_nothing_to_stage_is_an_empty_folder_with_a_map(workspace, tmp_path):
    staging.stage(workspace, [], tmp_path)
    assert json.loads((tmp_path / "staging.json").read_text()) == {}


def test_a_staging_folder_is_new_and_goes_when_it_is_removed(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one, two = staging.make_folder(), staging.make_folder()
    assert one != two
    assert one.name.startswith("tinytorch-staging-")
    (one / "core").mkdir()
    (one / "core" / "tensor.py").touch()
    for folder in (one, one, two):
        staging.remove_folder(folder)
    assert list(Path(tmp_path).iterdir()) == []
