"""Working copies as cells: whatever a student's editor did to the file is read, or refused with its place."""
from __future__ import annotations

import doctest
import json
import subprocess
import sys

import pytest

from pytest_tinytorch.workspace import markers, notebooks, percent
from tinytorch.errors import ExportError, WorkspaceError

SCRIPT = '''\
# %% [markdown]
# # Sums
#
# They add up.

# %% tags=["export"]
import numpy as np

# %% exercise="add" points=3 task="return \\"a + b\\""
def add(a, b):
    """Their sum.

# %% not a marker: it stands in a string
    """
    return a + b

# %% A demonstration
# %timeit add(1, 2)
'''


def notebook_text(*cells, **keys):
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)} | keys)


def code(source, **keys):
    return {"cell_type": "code", "source": source, "metadata": {}} | keys


def test_script_is_read_as_cells():
    prose, given, add, demonstration = notebooks.parse_percent(SCRIPT)
    assert (prose.kind, prose.source, prose.line) == ("markdown", "# Sums\n\nThey add up.", 2)
    assert (given.is_exported, given.exercise, given.source) == (True, None, "import numpy as np")
    assert (add.is_exported, add.exercise, add.id) == (True, "add", "exercise-add")
    assert add.metadata == {"exercise": "add", "points": 3, "task": 'return "a + b"'}
    assert (demonstration.is_exported, demonstration.source) == (False, "%timeit add(1, 2)")
    assert [cell.number for cell in (prose, given, add, demonstration)] == [1, 2, 3, 4]


def test_line_is_where_an_editor_shows_the_source():
    lines = SCRIPT.split("\n")
    for cell in notebooks.parse_percent(SCRIPT)[1:3]:
        assert "\n".join(lines[cell.line - 1 :]).startswith(cell.source)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_newlines_and_byte_order_marks_make_no_difference(tmp_path, newline, start):
    path = tmp_path / "01_sums.py"
    path.write_bytes(start + SCRIPT.rstrip("\n").replace("\n", newline).encode())
    assert notebooks.read_cells(path) == notebooks.parse_percent(SCRIPT)


def test_text_above_the_first_marker_is_a_cell():
    assert [(cell.source, cell.line) for cell in notebooks.parse_percent("\n\nx = 1\n# %%\ny = 2")] == [
        ("x = 1", 3),
        ("y = 2", 5),
    ]


@pytest.mark.parametrize("text", ["", "\n", "   \n\n"], ids=["empty", "newline", "blanks"])
def test_script_without_anything_has_no_cells(text):
    assert notebooks.parse_percent(text) == []


@pytest.mark.parametrize("form", [list, "".join], ids=["lines", "string"])
def test_notebook_sources_may_be_lines_or_a_string(form):
    (cell,) = notebooks.parse_notebook(notebook_text(code(form(["x = 1\r\n", "y = 2\n", "\n"]))))
    assert (cell.source, cell.line) == ("x = 1\ny = 2", 1)


def test_notebook_of_format_4_0_gets_ids_that_do_not_depend_on_the_others():
    first, second = notebooks.parse_notebook(notebook_text(code("x"), code("y"), nbformat_minor=0))
    (alone,) = notebooks.parse_notebook(notebook_text(code("y"), nbformat_minor=0))
    assert first.id != second.id == alone.id


def test_ids_that_are_taken_or_invalid_are_derived_anew():
    add = {"metadata": {"exercise": "add"}}
    cells = [
        code("x", id="mine"),
        code("x", id="mine"),
        code("x", id="not valid"),
        code("x"),
        code("f", **add),
        code("g", **add),
    ]
    ids = [cell.id for cell in notebooks.parse_notebook(notebook_text(*cells))]
    derived = ids[1]
    assert ids == ["mine", derived, f"{derived}-2", f"{derived}-3", "exercise-add", "exercise-add-2"]


def test_many_equal_cells_have_different_ids():
    ids = [cell.id for cell in notebooks.parse_notebook(notebook_text(*[code("")] * 3000))]
    assert len(set(ids)) == 3000


FAULTS = {
    "empty": (b"", r"nb\.ipynb is empty"),
    "not utf-8": (b"{\n\xff", r"nb\.ipynb:2: byte 0xff is not UTF-8"),
    "not json": (b'{\n "cells": [}', r"nb\.ipynb:2: this is not JSON"),
    "nested absurdly": (b"[" * 100_000, r"nb\.ipynb:1: this is not JSON"),
    "conflict": (b'{\n<<<<<<< HEAD\n "a": 1', r"nb\.ipynb:2: a git conflict"),
    "other json": (b"[1]", "no notebook: it has no number nbformat"),
    "format 3": (b'{"nbformat": 3, "worksheets": []}', "nbconvert --to notebook --inplace .*nb.ipynb"),
    "no cells": (b'{"nbformat": 4}', "no list of cells"),
    "metadata of the wrong type": (b'{"nbformat": 4, "cells": [], "metadata": 1}', "metadata of the wrong type"),
    "odd cell": (
        b'{"nbformat": 4, "cells": [{"cell_type": "heading"}]}',
        "cell 1 has no cell_type of code, markdown, raw",
    ),
    "odd source": (
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}',
        "cell 1 has a source .* wrong type",
    ),
    "half a character": (
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "x\\n\'\\ud83d\'"}]}',
        "cell 1, line 2: half a character",
    ),
}


@pytest.mark.parametrize(("content", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_file_that_is_no_notebook_is_refused_with_its_place(tmp_path, content, message):
    path = tmp_path / "nb.ipynb"
    path.write_bytes(content)
    with pytest.raises(ExportError, match=message):
        notebooks.read_cells(path)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(WorkspaceError, match=r"nb\.py can't be read: No such file"):
        notebooks.read_cells(tmp_path / "nb.py")


@pytest.mark.parametrize(
    "options",
    ["exercise=add points=3", 'exercise="add" points=three', 'exercise = "add"', 'tags=["export"', "Title task=x"],
    ids=str,
)
def test_options_of_the_course_that_are_mistyped_are_refused(options):
    with pytest.raises(ExportError, match=r"sums\.py:3: the option (exercise|task|tags) can't be read.*name=JSON"):
        notebooks.parse_percent(f"# %%\nx\n# %% {options}\n", "sums.py")


@pytest.mark.parametrize("title", ["y = f(x)", "a=b", "{x}", "f(x, id=3)", "a=[[[", "=", "points of view"], ids=str)
def test_other_equal_signs_belong_to_the_title(title):
    assert markers.read(title) == ("code", {"title": title})


def test_title_of_thousands_of_equal_signs_is_read_at_once():
    title = "a=1 b " * 10_000 + "!"
    assert markers.read(title) == ("code", {"title": title})


@pytest.mark.parametrize(
    ("tags", "exported"), [(["export"], True), (["exports"], False), ("export", False), (None, False)], ids=str
)
def test_only_the_tag_export_exports(tags, exported):
    (cell,) = notebooks.parse_notebook(notebook_text(code("x", metadata={"tags": tags})))
    assert cell.is_exported is exported
    (prose,) = notebooks.parse_notebook(
        notebook_text({"cell_type": "markdown", "source": "x", "metadata": {"tags": tags}})
    )
    assert not prose.is_exported


COMMANDS = {
    "%timeit f()": 1,
    "x = 1\n%matplotlib inline": 2,
    "%%time\nx = 1": 1,
    "if x:\n    !ls": 2,
    "files = !ls": 1,
    "np.argmax?": 1,
    "?np.argmax": 1,
    '"""\n%timeit f()\n"""\n!ls': 4,
    "x = 1  # %timeit\n# !ls": None,
    '"""\n%timeit f()\n"""': None,
    "y = (a\n     %b)": None,  # a remainder, written over two lines
    "def f(:\n": None,  # a mistake, but Python's to explain
}


@pytest.mark.parametrize(("source", "line"), COMMANDS.items(), ids=[repr(source) for source in COMMANDS])
def test_magic_line_is_the_first_that_only_ipython_understands(source, line):
    (cell,) = notebooks.parse_notebook(notebook_text(code(source)))
    assert notebooks.magic_line(cell) == line


def test_comments_of_an_exercise_stay_comments():
    """A comment that begins as a command does must not become one on the way into a notebook."""
    script = '# %% exercise="add" points=1 task="x"\n# %timeit is a command\n# !\n\n# %%\n# copy x\n# why?\n'
    assert [cell.source for cell in notebooks.parse_percent(script)] == [
        "# %timeit is a command\n# !",
        "# copy x\n# why?",
    ]


def test_reading_does_not_import_the_slow_packages():
    program = (
        "import sys; from pytest_tinytorch.workspace import notebooks; notebooks.parse_percent('# %%\\nx'); "
        "print(sorted({'jupytext', 'nbformat', 'numpy', 'yaml', 'pytest'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("module", [markers, notebooks, percent], ids=lambda module: module.__name__)
def test_examples_in_docstrings_hold(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    "name, number", [("modules/05_dataloader/05_dataloader.ipynb", "05"), (r"C:\modules\05_dataloader\05_dataloader.ipynb", "05"), ("notes.ipynb", "NN")]
)
def test_the_ways_out_name_the_module(name: str, number: str):
    with pytest.raises(ExportError, match=f"tito backup restore {number}`"):
        notebooks.parse_notebook("{", name)
