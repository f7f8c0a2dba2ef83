"""A script and a notebook hold the same cells, and jupytext reads our scripts as we do."""
from __future__ import annotations

import json
from pathlib import Path

import jupytext
import nbformat
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_tinytorch.course import curriculum, stubs
from pytest_tinytorch.workspace import convert, notebooks, percent

COURSE = curriculum.load()
SOURCES = [COURSE.source(module) for module in COURSE.modules if COURSE.is_written(module)]

LINES = [
    "x = 1", "def f():", "    return 1", "\ty", "", " ", "x \\", "# a comment", "#", "#:", "# +", "# ---",
    "é ☃ \u2028 \x85 \x0c.",
    "# %%", "# %% [markdown]", "#%% x", "  # %% x", "# # %% x", "%% x", "%%", "# <codecell>", "# In[3]:",
    '"""', "'''", 'x = """', "'it''s", "r'''\\", '"# %%"', '# """', "\\'''",
    "%timeit x", "# %timeit x", "# # %timeit x", "    !ls -l \\", "!ls \\", "x = !ls", "# x = !ls", "?f", "f?",
    "# why?", "% y",
    "%%bash", "%%bash -e", "%%bash ", "%%time", "%%unknown it", "%%python", "# copy x", "<<<<<<< HEAD",
]  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SOURCE = st.lists(st.sampled_from(LINES) | TEXT, max_size=6).map("\n".join).map(percent.normal)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=3,
)
OWN_NAMES = ["id", "language", "metadata", "magic_args", "trailing", "unfinished"]
NAMES = [*OWN_NAMES, "title", "task", "cell_depth", "a=b", "a b", "ä", ".", ""]
METADATA = (
    st.just({})
    | st.just({"tags": ["export"]})
    | st.just({"exercise": "add", "points": 3, "task": 'return "a + b"'})
    | st.dictionaries(st.sampled_from(NAMES) | TEXT, VALUE, max_size=3)
)
TITLES = st.sampled_from(["A title", "x = 1", "a=1", "{", "[raw]", "% x", " x ", "points=", "a  b", "# a"])
KIND = st.sampled_from(notebooks.KINDS)
CELL = st.fixed_dictionaries(
    {"cell_type": KIND, "source": SOURCE, "metadata": METADATA | st.fixed_dictionaries({"title": TITLES})},
    optional={"id": st.sampled_from(["a", "b", "exercise-add", "not valid", "", "exercise-add-2"])},
)
NOTEBOOK_METADATA = st.just({}) | st.dictionaries(
    st.sampled_from(["kernelspec", "authors", "title"]) | TEXT, VALUE, max_size=2
)


def notebook_text(cells, metadata=None):
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": metadata or {}, "cells": cells})


def said(text):
    """What a notebook says: id, kind, exact source and metadata of each cell."""
    cells = notebooks.parse_notebook(text)
    exact = [cell["source"] for cell in notebooks.notebook_json(text)["cells"]]
    return [(cell.id, cell.kind, source, cell.metadata) for cell, source in zip(cells, exact, strict=True)]


@given(st.lists(CELL, max_size=5), NOTEBOOK_METADATA)
@settings(max_examples=400, deadline=None)
@example(
    [{"cell_type": "code", "source": "x = '''", "metadata": {}}, {"cell_type": "code", "source": "", "metadata": {}}],
    {},
)
@example([{"cell_type": "code", "source": "!ls \\\n%% x", "metadata": {}}], {})
def test_notebook_to_script_and_back_keeps_everything(cells, metadata):
    metadata = {name: value for name, value in metadata.items() if name not in ("tinytorch", "language_info")}
    text = notebook_text(cells, metadata)
    script, dropped = convert.to_percent(text)
    back = convert.to_notebook(script)
    assert said(back) == said(text)
    assert json.loads(back)["metadata"] == convert.USUAL_METADATA | metadata
    assert dropped == []
    assert convert.to_percent(back) == (script, [])


@given(st.lists(CELL, max_size=5))
@settings(deadline=None)
def test_script_and_notebook_read_alike(cells):
    """Which form a working copy has makes no difference to what is tested and exported."""
    text = notebook_text(cells)
    script, _ = convert.to_percent(text)
    from_notebook = [(cell.id, cell.kind, cell.source, cell.metadata) for cell in notebooks.parse_notebook(text)]
    assert [
        (cell.id, cell.kind, cell.source, cell.metadata) for cell in notebooks.parse_percent(script)
    ] == from_notebook


@given(st.lists(CELL, max_size=5), NOTEBOOK_METADATA)
@settings(deadline=None, max_examples=50)
def test_notebook_is_valid_and_as_nbformat_writes_it(cells, metadata):
    tagless = [
        cell | {"metadata": {name: cell["metadata"][name] for name in cell["metadata"] if name == "task"}}
        for cell in cells
    ]
    script, _ = convert.to_percent(notebook_text(tagless))
    text = convert.to_notebook(script)
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert nbformat.writes(notebook) + "\n" == text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_module_to_notebook_and_back_is_the_same_file(path):
    for text in (path.read_text("utf-8"), stubs.stub(path.read_text("utf-8"))):
        assert convert.to_percent(convert.to_notebook(text)) == (text, [])


HEADERS = {
    "none": "",
    "jupytext's own": (
        "# ---\n# jupyter:\n#   jupytext:\n#     text_representation:\n#       extension: .py\n"
        "#   kernelspec:\n#     display_name: mine\n#     language: python\n#     name: mine\n# ---\n\n"
    ),
    "other keys and odd blanks": (
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# ---\n# title: x\n# jupyter: {a: 1}\n# ---\n\n\n"
    ),
    "a date": "# ---\n# jupyter:\n#   date: 2024-01-01\n# ---\n\n",
    "no date": "# ---\n# jupyter:\n#   date: 2024-13-01\n# ---\n\n",
    "not yaml": "# ---\n# a: [\n# ---\n",
    "blank lines": "\n\n",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_header_is_kept_as_it_was_written(header):
    script = header + "# %%\nx = 1\n"
    assert [cell.source for cell in notebooks.parse_percent(script)] == ["x = 1"]
    assert convert.to_percent(convert.to_notebook(script)) == (script, [])


def test_header_gives_the_notebook_its_kernel():
    notebook = json.loads(convert.to_notebook(HEADERS["jupytext's own"] + "# %%\n"))
    assert notebook["metadata"]["kernelspec"]["name"] == "mine"
    assert json.loads(convert.to_notebook("# %%\n"))["metadata"]["kernelspec"]["display_name"] == "Python 3 (ipykernel)"


def test_header_is_written_anew_when_the_notebook_has_changed():
    notebook = json.loads(convert.to_notebook("# ---\n# title: x\n# ---\n\n# %%\n"))
    notebook["metadata"]["authors"] = ["me"]
    script, dropped = convert.to_percent(json.dumps(notebook))
    assert script == "# ---\n# jupyter:\n#   authors:\n#   - me\n# ---\n\n# %%\n"
    assert dropped == ["what the script's header held besides the notebook's metadata"]


@pytest.mark.parametrize("gaps", [(0, 0, 0), (1, 1, 0), (2, 3, 1), (1, 0, 2)], ids=str)
def test_blank_lines_between_cells_are_kept(gaps):
    script = "".join(f"# %%\nx = {gap}\n" + "\n" * gap for gap in gaps)
    assert [cell.source for cell in notebooks.parse_percent(script)] == [f"x = {gap}" for gap in gaps]
    assert convert.to_percent(convert.to_notebook(script)) == (script, [])


def test_what_a_script_cannot_hold_is_named():
    output = {"output_type": "stream", "name": "stdout", "text": "1"}
    cells = [
        {"cell_type": "code", "source": "print(1)", "metadata": {}, "outputs": [output], "execution_count": 1},
        {"cell_type": "code", "source": "print(1)", "metadata": {}, "outputs": [output], "execution_count": 2},
        {"cell_type": "code", "source": "", "metadata": {}, "outputs": [], "execution_count": None},
        {
            "cell_type": "markdown",
            "source": "![](attachment:image.png)",
            "metadata": {},
            "attachments": {"image.png": {}},
        },
    ]
    language = {"language_info": {"name": "python", "version": "3.11.4"}}
    _, dropped = convert.to_percent(notebook_text(cells, language))
    assert dropped == [
        "outputs of 2 cells",
        "attachments of cell 4 (image.png)",
        "the kernel's language_info, which it writes again",
    ]
    assert convert.to_percent(notebook_text(cells[:1]))[1] == ["outputs of 1 cell"]


def test_script_of_a_notebook_with_commands_is_plain_python():
    sources = ["%timeit f()", "x = !ls \\\n-l", "if 1:\n    pass\n    %time f()"]
    sources += ["%%bash -e\nls | wc", "%%html\n<p>", "%%time\ny = 1"]
    cells = [{"cell_type": "code", "source": source, "metadata": {}} for source in sources]
    script, _ = convert.to_percent(notebook_text(cells))
    namespace: dict[str, int] = {}
    exec(script, namespace)
    assert namespace["y"] == 1  # what stands below %%time is Python, and runs
    assert "# %% language=\"bash\" magic_args=\"-e\"\n# ls | wc\n" in script


def test_ids_are_written_only_where_they_cannot_be_derived():
    cells = [
        {"cell_type": "code", "source": "def add(): ...", "metadata": {"exercise": "add"}, "id": "exercise-add"},
        {"cell_type": "code", "source": "x", "metadata": {}, "id": "mine"},
    ]
    assert convert.to_percent(notebook_text(cells))[0] == '# %% exercise="add"\ndef add(): ...\n\n# %% id="mine"\nx\n'


# --- jupytext, the reader that we must agree with ---

JUPYTEXT_OWN = {"lines_to_next_cell", "cell_marker", "region_name"}
EXPORTED = ('# %% exercise="f" points=3 task="return \\"x\\" # %%"', '# %% tags=["export"]')
DOCUMENT_LINES = [
    "# %%", "# %% [markdown]", "# %% [raw]", "# %% [md]", "#%%", "# %% A title", "# %% Title [markdown]", "  # %% deep",
    *EXPORTED, '# %% [markdown] tags=["a", "b"] x={"y": null}',
    "# %% a='b' c=True d=['e', 'f']", '# %% {"a": [1]}', "# %% a=1 flag", "# <codecell>", "# In[3]:",
    '# %% id="x-1"', "# %%% sub",
    "x = 1", "def f():", '    """Text.', '    """', "y = '''", "'''", "# comment", "#comment", "#", "", "  ", "é",
    "x = '#'  # it's",
    "# # Heading", "# text", '"""', "a = 'it\\'s'", "\tb",
]  # fmt: skip
COMMANDS = ["# %timeit x", "# %%time", "# !ls -l", '# %% language="bash"', '# %% language="bash" magic_args="-e"']
DEMONSTRATION = [line for line in DOCUMENT_LINES if line not in EXPORTED] + COMMANDS


def as_jupytext_reads(text):
    cells = jupytext.reads(text, fmt="py:percent").cells
    return [
        (
            cell.cell_type,
            percent.without_blank_end(cell.source),
            {name: value for name, value in cell.metadata.items() if name not in JUPYTEXT_OWN},
        )
        for cell in cells
    ]


def as_we_read(text):
    _, blocks = percent.split(text)
    own = [{"id": block.options["id"]} if "id" in block.options else {} for block in blocks]  # metadata to jupytext
    return [
        (cell.kind, cell.source, cell.metadata | id)
        for cell, id in zip(notebooks.parse_percent(text), own, strict=True)
    ]


@given(st.lists(st.sampled_from(DOCUMENT_LINES), max_size=12) | st.lists(st.sampled_from(DEMONSTRATION), max_size=12))
@settings(max_examples=400, deadline=None)
def test_jupytext_reads_a_script_as_we_do(lines):
    """But for commands in exported cells, which jupytext uncomments; an exercise's comments stay comments here."""
    text = "\n".join(["# %%", *lines, ""])
    assert as_we_read(text) == as_jupytext_reads(text)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_jupytext_reads_the_modules_as_we_do(path: Path):
    text = path.read_text("utf-8")
    assert as_we_read(text) == as_jupytext_reads(text)


TAME = st.fixed_dictionaries(
    {
        "cell_type": KIND,
        "source": st.lists(st.sampled_from(["x = 1", "# a", "'''", "%timeit x", "é", "    y"]), max_size=4).map(
            "\n".join
        ),
        "metadata": st.dictionaries(st.sampled_from(["task", "title"]), st.just("a b"), max_size=2),
    }
)


@given(st.lists(TAME, max_size=4))
@settings(deadline=None)
def test_we_read_what_jupytext_writes(cells):
    notebook = nbformat.from_dict(json.loads(notebook_text(cells)))
    text = jupytext.writes(notebook, fmt="py:percent")
    assert [(cell.kind, cell.source, cell.metadata) for cell in notebooks.parse_percent(text)] == as_jupytext_reads(
        text
    )
