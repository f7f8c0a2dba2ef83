"""A module's working copy as a list of cells, whether it is a notebook or a percent script.

Notebooks are read as the JSON that they are: nbformat and jupytext cost more to import than a run of the tests takes.
"""
from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_tinytorch.workspace import commands, markers, percent
from tinytorch.errors import ExportError, WorkspaceError

KINDS = ("code", "markdown", "raw")
CONFLICT = "conflict"  # metadata of a cell that shows what an update could not put together
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NUMBERED = re.compile(r"(?P<number>\d\d)_")
_CONFLICT = re.compile(r"^(?:<<<<<<<|>>>>>>>)", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """One cell, the same whichever form it was read from."""

    kind: str  # "code", "markdown" or "raw"
    source: str  # up to its last line that isn't blank; commands such as %timeit are no comments here
    metadata: dict[str, Any]  # exercise, points, task, tags, ...
    id: str  # unique in its file; derived from the exercise or the content where the file has none
    number: int  # position among all cells of the file, from 1
    line: int  # where the source begins in a script, from 1; 1 in a notebook

    @property
    def exercise(self) -> str | None:
        name = self.metadata.get("exercise")
        return name if self.kind == "code" and isinstance(name, str) and name else None

    @property
    def conflict(self) -> str | None:
        """What both the course and the student changed, of a cell that an update put there to tell."""
        title = self.metadata.get(CONFLICT)
        return title if isinstance(title, str) else None

    def unsettled(self, place: str) -> str:
        """What to do about a conflict, in a sentence without its full stop; `place` is where the cell stands."""
        return (
            f"{place} shows a change of the course's that isn't settled: {self.conflict}. Bring over what you need from it, "
            "then delete it"
        )

    @property
    def is_exported(self) -> bool:
        """Whether the cell belongs to the student's package."""
        return self.kind == "code" and percent.is_exported(self.metadata)


def read_cells(path: Path) -> list[Cell]:
    """The cells of a notebook or a percent script.

    Raises: WorkspaceError if the file can't be read, ExportError if it is no notebook or script.
    """
    try:
        return parse(path.read_bytes(), path)
    except OSError as error:
        raise WorkspaceError(f"{path} can't be read: {error.strerror or error}. {_ways_out(str(path))}") from error


def parse(data: bytes, path: Path) -> list[Cell]:
    """The cells in a file's content; the path says which form it has, and goes into messages.

    Raises: ExportError if the content is no notebook or percent script.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ExportError(
            f"{path}:{line}: byte {data[error.start]:#04x} is not UTF-8. Save the file as UTF-8. {_ways_out(str(path))}"
        ) from error
    if path.suffix == ".py":
        return parse_percent(text, str(path))
    return parse_notebook(text, str(path))


def parse_percent(text: str, name: str = "the script") -> list[Cell]:
    """The cells of a percent script; `name` is for messages.

    Raises: ExportError if a marker's options can't be read.
    """
    _, blocks = percent.split(text, name)
    return _cells(
        [
            (
                block.kind,
                percent.without_blank_end(percent.source(block)),
                markers.metadata(block.options),
                block.options.get("id"),
                block.first - bool(percent.language(block.options)),
            )
            for block in blocks
        ]
    )


def parse_notebook(text: str, name: str = "the notebook") -> list[Cell]:
    """The cells of a notebook of format 4; `name` is for messages.

    Raises: ExportError if the text is no such notebook.
    """
    return cells_of(notebook_json(text, name))


def cells_of(notebook: Mapping[str, Any]) -> list[Cell]:
    """The cells of what `notebook_json` has checked."""
    return _cells(
        [
            (
                cell["cell_type"],
                percent.without_blank_end(cell["source"]),
                {name: value for name, value in cell["metadata"].items() if name != markers.GAP},
                cell.get("id"),
                1,
            )
            for cell in notebook["cells"]
        ]
    )


def _cells(read: list[tuple[str, str, dict[str, Any], object, int]]) -> list[Cell]:
    """Cells from kind, source, metadata, the id that stands in the file if any, and line."""
    ids = unique_ids(
        [id for *_, id, _ in read], [derived_id(kind, source, metadata) for kind, source, metadata, *_ in read]
    )
    return [
        Cell(kind, source, metadata, id, number, line)
        for number, ((kind, source, metadata, _, line), id) in enumerate(zip(read, ids, strict=True), start=1)
    ]


def notebook_json(text: str, name: str = "the notebook") -> dict[str, Any]:
    """A notebook's JSON, checked as far as the course uses it: each cell has a kind, metadata and one text.

    Raises: ExportError if the text is no notebook of format 4.
    """
    if not text.strip():
        raise ExportError(f"{name} is empty. {_ways_out(name)}")
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        if conflict := _CONFLICT.search(text):
            line = text.count("\n", 0, conflict.start()) + 1
            raise ExportError(
                f"{name}:{line}: a git conflict is in the notebook. Take one side whole (git checkout --ours FILE, or "
                "--theirs), then bring over what you miss."
            ) from error
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise ExportError(f"{name}:{line}: this is not JSON, so it is no notebook ({error}). {_ways_out(name)}") from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("nbformat"), int):
        raise ExportError(f"{name}:1: this is JSON but no notebook: it has no number nbformat. {_ways_out(name)}")
    if notebook["nbformat"] != 4:
        raise ExportError(
            f"{name}: the notebook has format {notebook['nbformat']}, and format 4 is read. "
            f"Convert it with: jupyter nbconvert --to notebook --inplace {name}"
        )
    if not isinstance(notebook.get("cells"), list) or not isinstance(notebook.setdefault("metadata", {}), dict):
        raise ExportError(f"{name}: the notebook has no list of cells, or metadata of the wrong type. {_ways_out(name)}")
    return notebook | {
        "cells": [_checked(cell, f"{name}: cell {number}") for number, cell in enumerate(notebook["cells"], start=1)],
    }


def _ways_out(name: str) -> str:
    """How to get a working copy back, with the number of its module if the file's name begins with it."""
    begins = _NUMBERED.match(re.split(r"[/\\\\]", name)[-1])
    number = begins["number"] if begins else "NN"
    return f"Bring a working copy back with `tito backup restore {number}`, or start the module again with `tito module reset {number}`."


def _checked(cell: Any, place: str) -> dict[str, Any]:
    if not isinstance(cell, dict) or cell.get("cell_type") not in KINDS:
        raise ExportError(f"{place} has no cell_type of {', '.join(KINDS)}. {_ways_out(place)}")
    source = cell.get("source", "")
    lines = [source] if isinstance(source, str) else source
    metadata = cell.get("metadata") or {}
    if (
        not isinstance(lines, list)
        or not all(isinstance(line, str) for line in lines)
        or not isinstance(metadata, dict)
    ):
        raise ExportError(f"{place} has a source or metadata of the wrong type. {_ways_out(place)}")
    text = percent.normal("".join(lines))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise ExportError(f"{place}, line {line}: half a character, {text[error.start]!r}. Delete it.") from error
    return cell | {"source": text, "metadata": metadata}


def magic_line(cell: Cell) -> int | None:
    """The line of the cell's first line that only IPython understands, counted from 1."""
    return commands.first_command(cell.source)


def derived_id(kind: str, source: str, metadata: dict[str, Any]) -> str:
    """The id that a cell has if nothing gives it one: from its exercise, else from its content."""
    id = f"exercise-{metadata.get('exercise')}"
    if kind == "code" and "exercise" in metadata and _ID.fullmatch(id):
        return id
    return hashlib.sha256(f"{kind}\n{source}".encode()).hexdigest()[:12]


def unique_ids(given: Sequence[object], derived: Iterable[str]) -> list[str]:
    """An id for each cell: the one given, if it is valid and no cell above has it, else the derived one.

    >>> unique_ids(["a", "a", None, None], ["p", "q", "r", "r"])
    ['a', 'q', 'r', 'r-2']
    """
    first = {id: number for number, id in reversed(list(enumerate(given))) if isinstance(id, str) and _ID.fullmatch(id)}
    taken = set(first)
    repeats: dict[str, int] = {}
    ids: list[str] = []
    for number, (id, base) in enumerate(zip(given, derived, strict=True)):
        if isinstance(id, str) and first.get(id) == number:
            ids.append(id)
            continue
        candidate = base
        while candidate in taken:
            repeats[base] = repeats.get(base, 1) + 1
            candidate = f"{base[:56]}-{repeats[base]}"
        taken.add(candidate)
        ids.append(candidate)
    return ids
