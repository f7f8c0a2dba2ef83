"""The working copies under test, written where the overlay finds them before any export.

A staged file has the lines of its working copy, so that a traceback shows what the student wrote: dropped cells of a
percent script are blank lines, and the cells of a notebook are compiled one by one under names such as
`modules/05_dataloader/05_dataloader.ipynb:cell 7`. `staging.json` tells the overlay which lines are whose.
"""
from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pytest_tinytorch.workspace.export import check_plain, place
from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace
from tinytorch._overlay import STAGING_MAP

PREFIX = "tinytorch-staging-"

Piece = tuple[str, int, int]  # the name that tracebacks show, first line, line after the last (counted from 0)


def make_folder() -> Path:
    """An empty staging folder of this session, named after its process; whoever makes it removes it."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")).resolve()


def process_of(folder: Path) -> int | None:
    """The process whose session made a staging folder, or None if the name is nobody's."""
    match = re.fullmatch(rf"{PREFIX}(\d+)-\w+", folder.name)
    return int(match[1]) if match else None


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # a file that is still open on Windows: the system clears its temp folder


def stage(workspace: Workspace, copies: Iterable[WorkingCopy], folder: Path) -> None:
    """Write working copies into a staging folder.

    Raises: ExportError if one is no notebook or percent script, or has a cell of the package that is no plain Python.
    """
    staged = {}
    for copy in copies:
        lines, pieces = staged_lines(workspace, copy)
        path = folder.joinpath(*copy.module.exports.split(".")[1:]).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", "utf-8", newline="\n")
        staged[copy.module.exports] = {"file": path.relative_to(folder).as_posix(), "pieces": pieces}
    (folder / STAGING_MAP).write_text(json.dumps(staged), "utf-8")


def staged_lines(workspace: Workspace, copy: WorkingCopy) -> tuple[list[str], list[Piece]]:
    """The lines of the staged file, and how they are compiled.

    Raises: ExportError, as `stage` does.
    """
    check_plain(workspace, copy)
    exported = [cell for cell in copy.cells if cell.is_exported]
    lines: list[str] = []
    if copy.path.suffix == ".py":
        for cell in exported:
            lines += [""] * (cell.line - 1 - len(lines))  # so that line numbers stay
            lines += cell.source.split("\n")
        return lines, [(str(copy.path), 0, len(lines))]
    pieces: list[Piece] = []
    for cell in exported:
        first = len(lines)
        lines += cell.source.split("\n")
        pieces.append((place(workspace, copy, cell, 1).rpartition(":")[0], first, len(lines)))
    return lines, pieces
