"""What a student changed: two working copies compared by the sources of their cells, not by a notebook's JSON."""
from __future__ import annotations

import difflib
from collections.abc import Sequence

from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.workspace import create, notebooks
from pytest_tinytorch.workspace.layout import Workspace
from pytest_tinytorch.workspace.notebooks import Cell

_SHOWN_OPTIONS = ("exercise", "points", "tags")


def lines(cells: Sequence[Cell]) -> list[str]:
    """Cells as text: a heading for each, then its source. The same for a notebook and its percent twin."""
    found: list[str] = []
    for cell in cells:
        options = "".join(f" {name}={cell.metadata[name]}" for name in _SHOWN_OPTIONS if name in cell.metadata)
        found += [f"# %%{'' if cell.kind == 'code' else f' [{cell.kind}]'}{options}", *cell.source.split("\n"), ""]
    return found


def diff(before: Sequence[Cell], after: Sequence[Cell], *, names: tuple[str, str]) -> list[str]:
    """A unified diff, without lines if both say the same."""
    return list(difflib.unified_diff(lines(before), lines(after), *names, lineterm=""))


def count(before: Sequence[Cell], after: Sequence[Cell]) -> int:
    """How many lines were added, removed or modified."""
    matcher = difflib.SequenceMatcher(None, lines(before), lines(after), autojunk=False)
    return sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal")


def started_from(workspace: Workspace, module: Module) -> tuple[str, list[Cell]]:
    """The stub that the student started from, and its name: the copy in `.tito/`, else the installed course's.

    The second may be newer than what the student started from; its name says so.
    """
    for form in workspace.forms(module):
        stub = workspace.pristine / workspace.relative(form)
        if stub.is_file():
            return f"{form.name} as you started", notebooks.read_cells(stub)
    path = workspace.forms(module)[-1]
    data = create.stub_file(workspace.course, module, path.suffix[1:])
    return f"{path.stem} of the installed course", notebooks.parse(data, path)
