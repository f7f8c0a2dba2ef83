"""Working copies compared by their cells."""
from __future__ import annotations

import pytest

from pytest_tinytorch.workspace import changes
from pytest_tinytorch.workspace.convert import to_notebook
from pytest_tinytorch.workspace.notebooks import parse_notebook, parse_percent

STUB = '# %% [markdown]\n# # Title\n\n# %% exercise="f" points=1 task="one"\ndef f():\n    raise NotImplementedError\n'


def test_a_notebook_and_its_script_say_the_same():
    assert changes.lines(parse_notebook(to_notebook(STUB))) == changes.lines(parse_percent(STUB))
    assert changes.diff(parse_notebook(to_notebook(STUB)), parse_percent(STUB), names=("a", "b")) == []


def test_a_diff_shows_the_lines_and_the_cell_that_they_are_in():
    after = STUB.replace("raise NotImplementedError", "return 1")
    lines = changes.diff(parse_percent(STUB), parse_percent(after), names=("before", "after"))
    assert lines[:2] == ["--- before", "+++ after"]
    assert (
        "-    raise NotImplementedError" in lines and "+    return 1" in lines and " # %% exercise=f points=1" in lines
    )


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [("", "", 0), ("raise NotImplementedError", "return 1", 1), ("def f", "x = 1\n\ndef f", 2), ("# # Title\n", "# # Title\n# more\n# text\n", 2),
     ("    raise NotImplementedError\n", "", 1)],
    ids=["nothing", "a line modified", "two added", "prose added", "one removed"],
)  # fmt: skip
def test_lines_are_counted_once(old: str, new: str, count: int):
    assert changes.count(parse_percent(STUB), parse_percent(STUB.replace(old, new, 1))) == count
