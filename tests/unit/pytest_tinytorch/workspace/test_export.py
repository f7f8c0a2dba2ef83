"""An export is the student's code and nothing else, always the same bytes, and says who touched it since."""
from __future__ import annotations

import ast
import os
import re

import pytest

from pytest_tinytorch.workspace import convert, export
from pytest_tinytorch.workspace.export import export_text, is_current, is_proved, is_untouched, write_export
from tests.plugin.conftest import ALPHA
from tinytorch.errors import ExportError, StateError

EXPORTED = '# %% tags=["export"]\n'


@pytest.fixture
def module(workspace):
    return workspace.course.module("01")


@pytest.fixture(params=["py", "ipynb"])
def copy_of(request, workspace, module):
    """The working copy that holds a percent source, in both forms."""

    def write(text):
        for path in workspace.forms(module):
            path.unlink(missing_ok=True)
        path = next(path for path in workspace.forms(module) if path.suffix == f".{request.param}")
        path.write_text(text if request.param == "py" else convert.to_notebook(text), "utf-8", newline="")
        return workspace.working_copy(module)

    return write


def body(text):
    return text.partition("\n\n")[2]


def test_an_export_has_the_exported_cells_in_order(workspace, copy_of):
    text = export_text(workspace, copy_of(ALPHA))
    assert [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)] == ["double", "root"]
    assert ast.get_docstring(ast.parse(text)) == "The first module."
    assert "demonstration" not in text
    assert "# %%" not in text
    assert text.endswith("### END SOLUTION\n")


def test_the_header_says_where_it_is_from(workspace, copy_of):
    copy = copy_of(ALPHA)
    first, second, third, blank, *_ = export_text(workspace, copy).split("\n")
    assert first == f"# Exported from modules/01_tensor/{copy.path.name} of the TinyTorch course, version 1.0.0."
    assert second == "# Do not edit: change the module instead, and complete it again (tito module complete 01)."
    assert third.startswith("# sha256 of the code below: ")
    assert blank == ""


def test_both_forms_and_all_newlines_export_the_same_code(workspace, module):
    script, notebook = workspace.forms(module)[1], workspace.forms(module)[0]
    texts = set()
    for path, data in [
        (script, ALPHA),
        (script, "\ufeff" + ALPHA.replace("\n", "\r\n")),
        (notebook, convert.to_notebook(ALPHA)),
    ]:
        script.unlink(missing_ok=True)
        path.write_text(data, "utf-8", newline="")
        texts.add(body(export_text(workspace, workspace.working_copy(module))))
    assert len(texts) == 1


@pytest.mark.parametrize(
    "text", ["", "# %%\nx = 1\n", EXPORTED, EXPORTED + "\n\n"], ids=["empty", "no export", "empty cell", "blank cell"]
)
def test_a_module_without_code_exports_an_empty_file(workspace, module, text):
    workspace.forms(module)[1].write_text(text)
    assert body(export_text(workspace, workspace.working_copy(module))) == "\n"


@pytest.mark.parametrize(
    "line",
    ["s = '\u2028 é \N{SNAKE}'", "# -*- coding: latin-1 -*-", "s = '''\n\n# sha256 of the code below: 0\n'''"],
    ids=["unicode", "cookie", "looks like a header"],
)
def test_odd_code_is_exported_as_it_is_and_proved(workspace, copy_of, line):
    path = write_export(workspace, copy_of(f"{EXPORTED}{line}\n"))
    assert line in path.read_text("utf-8")
    assert is_proved(path)
    compile(path.read_bytes(), "export", "exec")


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["%timeit double(1)", "!ls", "double?", "%%time"])
def test_a_notebook_command_in_the_package_is_refused_with_its_place(workspace, copy_of, command):
    source = f"{command}\nx = 1" if command.startswith("%%") else f"x = 1\n{command}"
    copy = copy_of(f"{EXPORTED}y = 1\n\n{EXPORTED}{source}\n")
    place = r"01_tensor\.py:\d+" if copy.path.suffix == ".py" else r"01_tensor\.ipynb:cell 2:\d"
    with pytest.raises(
        ExportError,
        match=rf"^modules/01_tensor/{place}: {re.escape(repr(command))} is a notebook command, .* a cell of its own",
    ):
        export_text(workspace, copy)


def test_the_command_is_shown_even_below_odd_line_ends(workspace, module):
    workspace.forms(module)[1].write_text(f"{EXPORTED}s = '\u2028'\n\f\n%timeit s\n", "utf-8")
    with pytest.raises(ExportError, match=r"01_tensor\.py:4: '%timeit s' is a notebook command"):
        export_text(workspace, workspace.working_copy(module))


def test_a_notebook_command_in_a_demonstration_is_nobodys_business(workspace, copy_of):
    assert "timeit" not in export_text(workspace, copy_of("# %%\n# %timeit x\n" + EXPORTED + "x = 1\n"))


def test_a_future_import_below_other_code_is_refused_with_its_place(workspace, copy_of):
    """Cell by cell it would run, and the tests would pass; the export is one file and could not be imported."""
    late = f"{EXPORTED}x = 1\n\n{EXPORTED}# first\nfrom __future__ import annotations\n"
    copy = copy_of(late)
    place = r"01_tensor\.py:6" if copy.path.suffix == ".py" else r"01_tensor\.ipynb:cell 2:2"
    with pytest.raises(
        ExportError, match=rf"{place}: `from __future__ import` must stand above all other code.*the first cell"
    ):
        export_text(workspace, copy)


@pytest.mark.parametrize(
    "text",
    [
        f"{EXPORTED}from __future__ import annotations\n\n{EXPORTED}x = 1\n",
        f'{EXPORTED}"""The docstring."""\n\n{EXPORTED}from __future__ import annotations\n',
        f"{EXPORTED}from __future__ import annotations\n\n{EXPORTED}from __future__ import division\n",
        f"{EXPORTED}x = 1  # no __future__ in it\n",
        f"# %%\nx = 1\n\n{EXPORTED}from __future__ import annotations\n",
    ],
    ids=["first", "below the docstring", "two", "a comment", "below a demonstration"],
)
def test_a_future_import_above_other_code_is_fine(workspace, copy_of, text):
    compile(export_text(workspace, copy_of(text)), "export", "exec")


# --- what is known of an export -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "untouched"),
    [
        (lambda data: data, True),
        (lambda data: data.replace(b"\n", b"\r\n"), True),
        (lambda data: data.replace(b"version 1.0.0", b"version 2.0.0"), True),
        (lambda data: data + b"\n", False),
        (lambda data: data.replace(b"2 * x", b"3 * x"), False),
        (lambda data: data.replace(b"code below: ", b"code below: 0"), False),
        (lambda data: b"x = 1\n", False),
        (lambda data: b"", False),
        (lambda data: data[: len(data) // 2], False),
        (lambda data: data + b"\xff", False),
    ],
    ids=[
        "as written",
        "git's newlines",
        "other header",
        "a blank line",
        "other code",
        "other hash",
        "no header",
        "empty",
        "cut off",
        "not utf-8",
    ],
)
def test_an_export_proves_its_code_by_its_hash(workspace, copy_of, change, untouched):
    path = write_export(workspace, copy_of(ALPHA))
    path.write_bytes(change(path.read_bytes()))
    assert is_untouched(path) is untouched
    assert is_proved(path) is untouched


def test_an_export_of_code_that_did_not_pass_says_so(workspace, copy_of):
    copy = copy_of(ALPHA)
    path = write_export(workspace, copy, passed=False)
    assert is_untouched(path)
    assert not is_proved(path)
    assert "# Exported with --force: this code has not passed its module's tests.\n" in path.read_text()
    assert is_current(workspace, copy)
    assert is_proved(write_export(workspace, copy)), "exported again once it passed"


@pytest.mark.parametrize("there", ["nothing", "a folder"])
def test_what_is_not_there_proves_nothing(workspace, copy_of, there):
    path = workspace.export(workspace.course.module("01"))
    if there == "a folder":
        path.mkdir(parents=True)
    assert not is_untouched(path)
    assert not is_proved(path)


def test_an_export_is_current_as_long_as_its_code_is(workspace, copy_of):
    assert not is_current(workspace, copy_of(ALPHA))
    path = write_export(workspace, copy_of(ALPHA))
    assert is_current(workspace, copy_of(ALPHA.replace("demonstration only", "other")))
    assert not is_current(workspace, copy_of(ALPHA.replace("2 * x", "3 * x")))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert is_current(workspace, copy_of(ALPHA)), "git changed the newlines"


# --- writing ------------------------------------------------------------------------------------------------------


def test_an_export_that_is_the_same_is_not_touched(workspace, copy_of):
    path = write_export(workspace, copy_of(ALPHA))
    os.utime(path, (0, 0))
    write_export(workspace, copy_of(ALPHA))
    assert path.stat().st_mtime == 0


def test_an_export_goes_to_the_folder_of_its_package(workspace, copy_of):
    assert write_export(workspace, copy_of(ALPHA)) == workspace.root / "tinytorch" / "core" / "tensor.py"
    assert not (workspace.root / "tinytorch" / "__init__.py").exists()
    assert not (workspace.root / "tinytorch" / "core" / "__init__.py").exists()


def test_an_export_that_cannot_be_written_is_told(workspace, copy_of):
    (workspace.root / "tinytorch").mkdir()
    (workspace.root / "tinytorch" / "core").touch()
    with pytest.raises(
        StateError,
        match=r"tinytorch/core can't be written: (File exists|Not a directory)\. Nothing was changed",
    ):
        write_export(workspace, copy_of(ALPHA))


def test_a_full_disk_is_told(workspace, copy_of, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export.files, "write_atomic", full)
    with pytest.raises(StateError, match=r"can't be written: No space left on device"):
        write_export(workspace, copy_of(ALPHA))
