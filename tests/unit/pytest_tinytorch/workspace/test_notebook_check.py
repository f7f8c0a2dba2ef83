"""The working copy runs from top to bottom in a fresh process, or the student reads where it stops."""
from __future__ import annotations

import json

import pytest

from pytest_tinytorch.workspace import convert, notebook_check, staging
from tests.plugin.conftest import ALPHA, BETA


@pytest.fixture
def copy_of(workspace):
    def write(text, format="py", number="01"):
        module = workspace.course.module(number)
        for path in workspace.forms(module):
            path.unlink(missing_ok=True)
        path = next(path for path in workspace.forms(module) if path.suffix == f".{format}")
        path.write_text(text, "utf-8")
        return workspace.working_copy(module)

    return write


def fault(workspace, copy, tmp_path, *others):
    folder = tmp_path / "staging"
    folder.mkdir(exist_ok=True)
    staging.stage(workspace, [copy, *others], folder)
    return notebook_check.fault(workspace, copy, folder)


def test_a_script_that_runs_has_no_fault(workspace, copy_of, tmp_path):
    assert fault(workspace, copy_of(ALPHA), tmp_path) is None


def test_a_script_sees_the_staged_modules_and_its_own_folder(workspace, copy_of, tmp_path):
    (workspace.root / "modules" / "02_activations" / "notes.txt").write_text("mine")
    alpha = copy_of(ALPHA.replace("2 * x", "2 * x + 0"))
    beta = copy_of(BETA + "\n# %%\nassert quadruple(2) == 8\nassert open('notes.txt').read() == 'mine'\n", number="02")
    assert fault(workspace, beta, tmp_path, alpha) is None


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit('enough')", "enough"),
        ("x = (", "SyntaxError"),
        ("raise RuntimeError('größer \N{SNAKE}')", "größer \N{SNAKE}"),
    ],
    ids=["error", "exit", "syntax", "unicode"],
)
def test_a_script_that_stops_is_told_with_the_students_own_file(workspace, copy_of, tmp_path, code, said):
    told = fault(workspace, copy_of(ALPHA + f"\n# %%\n{code}\n"), tmp_path)
    assert told.startswith("modules/01_tensor/01_tensor.py does not run from top to bottom (exit status 1):\n")
    assert said in told
    assert "tinytorch-check-" not in told, "the temporary copy is nobody's business"


def test_a_script_that_never_ends_is_told(workspace, copy_of, tmp_path, monkeypatch):
    monkeypatch.setattr(notebook_check, "RUN_LIMIT", 1)
    told = fault(workspace, copy_of("# %%\nwhile True: pass\n"), tmp_path)
    assert told == "modules/01_tensor/01_tensor.py does not run to its end within 0 minutes: does a cell loop?"


def test_a_script_that_asks_gets_no_answer(workspace, copy_of, tmp_path):
    assert "EOFError" in fault(workspace, copy_of("# %%\ninput('name?')\n"), tmp_path)


def notebook_of(text, **changes):
    notebook = json.loads(convert.to_notebook(text))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "a result of before"}]
    return json.dumps(notebook | changes)


def test_a_notebook_with_old_outputs_and_a_foreign_kernel_has_no_fault(workspace, copy_of, tmp_path):
    """Cells must run; what they print may differ, and the kernel is that of this environment."""
    foreign = {"kernelspec": {"display_name": "My Env", "language": "python", "name": "no-such-kernel"}}
    text = notebook_of(
        ALPHA + "\n# %%\nfrom tinytorch.core import tensor\nassert tensor.double(2) == 4\n", metadata=foreign
    )
    copy = copy_of("\ufeff" + text, "ipynb")
    assert fault(workspace, copy, tmp_path) is None
    assert copy.path.read_bytes() == copy.data, "the student's file stays as it is"


def test_a_notebook_that_stops_is_told_with_its_error(workspace, copy_of, tmp_path):
    told = fault(workspace, copy_of(notebook_of(ALPHA + "\n# %%\nundefined_name\n"), "ipynb"), tmp_path)
    first, *rest = told.splitlines()
    assert first == "modules/01_tensor/01_tensor.ipynb:cell 6:1 fails when the notebook is run from top to bottom:"
    assert rest[-1] == "NameError: name 'undefined_name' is not defined"
    assert "x1B" not in told and "In[" not in told


def test_a_check_that_cannot_be_made_is_no_pass(workspace, copy_of, tmp_path, monkeypatch):
    """nbval is missing, for instance."""
    monkeypatch.setattr(notebook_check.sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\necho no module named nbval >&2\nexit 4\n")
    (tmp_path / "python").chmod(0o755)
    told = fault(workspace, copy_of(notebook_of(ALPHA), "ipynb"), tmp_path)
    assert (
        told == "modules/01_tensor/01_tensor.ipynb can't be checked: nbval ended with status 4.\nno module named nbval"
    )
