"""From a working copy to a file of the student's package: which lines belong to it, and what its header says."""
from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

from pytest_tinytorch.state import transaction
from pytest_tinytorch.workspace import notebooks
from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace
from tinytorch import files
from tinytorch.errors import ExportError

_HASH = re.compile(r"^# sha256 of the code below: ([0-9a-f]{64})$", re.MULTILINE)
_UNPROVED = "# Exported with --force: this code has not passed its module's tests.\n"
_HEADER_END = "\n\n"


def export_text(workspace: Workspace, copy: WorkingCopy, *, passed: bool = True) -> str:
    """The exported file: a header, then the code of every cell that carries an exercise or the tag `export`.

    The same working copy always gives the same bytes. The header says so if the code has not `passed` its tests.

    Raises: ExportError if such a cell has a line that only IPython understands.
    """
    check_plain(workspace, copy)
    body = "\n\n\n".join(cell.source.strip("\n") for cell in copy.cells if cell.is_exported and cell.source.strip()) + "\n"
    return (
        f"# Exported from {workspace.relative(copy.path)} of the TinyTorch course, version {workspace.course.version}.\n"
        f"# Do not edit: change the module instead, and complete it again (tito module complete {copy.module.number}).\n"
        f"{'' if passed else _UNPROVED}"
        f"# sha256 of the code below: {files.sha256(body.encode('utf-8'))}{_HEADER_END}{body}"
    )


def check_plain(workspace: Workspace, copy: WorkingCopy) -> None:
    """Refuse what a notebook takes and a module doesn't, in cells that become part of the package.

    IPython's own syntax; and `from __future__` below other code, since the cells become one file.
    """
    above = ""
    for cell in (cell for cell in copy.cells if cell.is_exported):
        if line := notebooks.magic_line(cell):
            command = cell.source.split("\n")[line - 1].strip()
            raise ExportError(
                f"{place(workspace, copy, cell, line)}: {command!r} is a notebook command, "
                "and this cell becomes part of your package, which is plain Python. Move the line to a cell of its own."
            )
        if "__future__" in cell.source and _is_late(above, cell.source):
            line = 1 + cell.source.count("\n", 0, cell.source.index("__future__"))
            raise ExportError(
                f"{place(workspace, copy, cell, line)}: `from __future__ import` must stand above all other code of your "
                "package's file. Move the line to the first cell that becomes part of it."
            )
        above += cell.source + "\n"


def _is_late(above: str, source: str) -> bool:
    """Whether a cell could be compiled alone, but its `from __future__` not below the code above it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string is for the run to tell
            compile(above + source, "cells", "exec", dont_inherit=True)
    except SyntaxError as error:
        return "__future__" in error.msg
    except ValueError:  # null bytes: the import tells
        return False
    return False


def place(workspace: Workspace, copy: WorkingCopy, cell: notebooks.Cell, line: int) -> str:
    """Where a line of a cell stands, as an editor or a reader finds it."""
    if copy.path.suffix == ".py":
        return f"{workspace.relative(copy.path)}:{cell.line + line - 1}"
    return f"{workspace.relative(copy.path)}:cell {cell.number}:{line}"


def is_untouched(path: Path) -> bool:
    """Whether an export still is what was exported: its code has the hash that its header names."""
    try:
        header, found, body = path.read_text("utf-8").partition(_HEADER_END)
    except (OSError, UnicodeDecodeError):
        return False
    match = _HASH.search(header)
    return bool(found and match and match[1] == files.sha256(body.encode("utf-8")))


def is_proved(path: Path) -> bool:
    """Whether an export is untouched and of code that had passed its module's tests."""
    return is_untouched(path) and _UNPROVED not in path.read_text("utf-8").partition(_HEADER_END)[0] + "\n"


def is_current(workspace: Workspace, copy: WorkingCopy) -> bool:
    """Whether the export on disk holds the working copy's code."""
    try:
        there = workspace.export(copy.module).read_bytes()
    except FileNotFoundError:
        return False
    there = there.replace(b"\r\n", b"\n")  # git may have changed the newlines; the code is the same
    return _body(there) == _body(export_text(workspace, copy).encode("utf-8"))


def _body(data: bytes) -> bytes:
    return data.partition(_HEADER_END.encode())[2]


def write_export(
    workspace: Workspace, copy: WorkingCopy, *, passed: bool = True, command: str = "", beside: Mapping[str, bytes] | None = None
) -> Path:
    """Put a working copy's code into the student's package, and `beside` it what is recorded of it, as one step.

    `beside` maps paths in the workspace to contents; `command` is what `tito undo` calls the change.

    Raises: ExportError as `export_text` does, StateError if a file can't be written.
    """
    path = workspace.export(copy.module)
    data = export_text(workspace, copy, passed=passed).encode("utf-8")
    transaction.replace(workspace, {workspace.relative(path): data} | dict(beside or {}), command=command)
    return path

