"""A course's new version of a module and a student's work put together, cell by cell.

Three sides: the base, which the student started from; ours, the student's working copy; theirs, the new stub. Cells of
the base are found again on the other sides by id, by exercise, by content, and at last by likeness. A change of one side is taken. Where both changed the same place the student's cell stays as it is, and a
cell above it shows what the course changed. Nothing that a student wrote is left out.

Scripts are merged as the notebooks that they stand for, so there is one merge.
"""
from __future__ import annotations

import ast
import difflib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_tinytorch.update import lines
from pytest_tinytorch.workspace import convert, notebooks, percent
from pytest_tinytorch.workspace.notebooks import CONFLICT, Cell

_ALIKE = 0.5  # of a cell's words must be in another, for that to be the same cell, changed
_OF_THE_COURSE = ("exercise", "points", "task", "tags")  # metadata that the course decides
_STUB = re.compile(r"^(?P<indent>[ \t]*)(?P<stub>raise NotImplementedError\(\"exercise .*\"\))$", re.MULTILINE)
_WORD = re.compile(r"\w+")
_ANY_STUB = "\0"  # in the place of a stub's line: no text has it

Pair = tuple["int | None", "int | None"]  # positions of a cell on our side and on theirs


@dataclass(frozen=True)
class Side:
    """One file: its notebook, its cells, and which of their ids stand in the file."""

    notebook: dict[str, Any]
    cells: list[Cell]
    written: list[bool]

    def raw(self, index: int) -> dict[str, Any]:
        cell: dict[str, Any] = self.notebook["cells"][index]
        return cell


@dataclass(frozen=True)
class Conflict:
    """A place that both changed: the student's cell stays, and a cell above it tells."""

    title: str  # the exercise, or how the cell begins
    diff: list[str]  # what the course changed


@dataclass
class Merged:
    """The result of a merge."""

    data: bytes = b""
    conflicts: list[Conflict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was decided without a conflict, in sentences


def read(data: bytes, path: Path) -> Side:
    """A file's content as a side of a merge.

    Raises: ExportError if it is no notebook or percent script.
    """
    cells = notebooks.parse(data, path)
    text = data.decode("utf-8-sig")
    if path.suffix == ".py":
        _, blocks = percent.split(text)
        notebook = notebooks.notebook_json(convert.to_notebook(text, str(path)), str(path))
        return Side(notebook, cells, ["id" in block.options for block in blocks])
    notebook = notebooks.notebook_json(text, str(path))
    return Side(notebook, cells, [True] * len(cells))


def merge(base: bytes, ours: bytes, theirs: bytes, path: Path, *, about: str = "") -> Merged:
    """Merge three contents of the working copy at `path`; `about` goes into the conflicts' cells, a sentence.

    Raises: ExportError if one of them is no notebook or percent script.
    """
    return _Merge(read(base, path), read(ours, path), read(theirs, path), about).run(path, ours)


class _Merge:
    """One merge; positions in the sides' lists of cells are called by their side, `our` and `their`."""

    def __init__(self, base: Side, ours: Side, theirs: Side, about: str) -> None:
        self.base, self.ours, self.theirs, self.about = base, ours, theirs, about
        self.result = Merged()
        self.to_ours = matched(base.cells, ours.cells)
        self.to_theirs = matched(base.cells, theirs.cells)
        new_ours = [cell for cell in ours.cells if cell.number - 1 not in self.to_ours.values()]
        new_theirs = [cell for cell in theirs.cells if cell.number - 1 not in self.to_theirs.values()]
        # both added it: the student by hand, from a forum say, before the update brought it
        self.added_by_both = {
            new_ours[i].number - 1: new_theirs[j].number - 1 for i, j in matched(new_ours, new_theirs, alike=False).items()
        }

    def run(self, path: Path, ours: bytes) -> Merged:
        merged: list[tuple[dict[str, Any], bool]] = []  # cells, and whether their id stands in the file
        for our, their in self._order():
            merged += self._cell(our, their)
        notebook = self.ours.notebook | {"cells": [cell for cell, _ in merged], "nbformat_minor": 5}
        _give_ids(notebook["cells"], [written for _, written in merged])
        if path.suffix == ".py":
            text, _ = convert.to_percent(json.dumps(notebook))
            if b"\r\n" in ours:
                text = text.replace("\n", "\r\n")
        else:
            for cell in notebook["cells"]:
                cell["source"] = cell["source"].splitlines(keepends=True)
            text = json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        self.result.data = text.encode("utf-8")
        return self.result

    # --- the order -----------------------------------------------------------------------------------------------

    def _order(self) -> list[Pair]:
        """Pairs of cells, ours and theirs, in the merged order; None where a side has none."""
        base_of_ours = {our: base for base, our in self.to_ours.items()}
        base_of_theirs = {their: base for base, their in self.to_theirs.items()}
        pairs_of_ours: list[Pair] = [
            (our, self.to_theirs.get(base_of_ours[our]) if our in base_of_ours else self.added_by_both.get(our))
            for our in range(len(self.ours.cells))
        ]
        our_of_theirs = {their: our for our, their in self.added_by_both.items()}
        pairs_of_theirs: list[Pair] = [
            (self.to_ours.get(base_of_theirs[their]) if their in base_of_theirs else our_of_theirs.get(their), their)
            for their in range(len(self.theirs.cells))
        ]
        shared = [our for base, our in sorted(self.to_ours.items()) if base in self.to_theirs]
        if shared == sorted(shared):  # the student moved nothing: the course's order
            return _woven(pairs_of_theirs, pairs_of_ours)
        return _woven(pairs_of_ours, pairs_of_theirs)

    # --- a cell --------------------------------------------------------------------------------------------------

    def _cell(self, our: int | None, their: int | None) -> list[tuple[dict[str, Any], bool]]:
        base_index = self._base(our, their)
        base = None if base_index is None else self.base.cells[base_index]
        if our is None and their is not None:
            return self._only_theirs(their, base)
        if our is not None and their is None:
            return self._only_ours(our, base)
        assert our is not None and their is not None
        return self._both(our, their, base)

    def _base(self, our: int | None, their: int | None) -> int | None:
        for table, index in ((self.to_ours, our), (self.to_theirs, their)):
            for base, other in table.items():
                if other == index:
                    return base
        return None

    def _only_theirs(self, their: int, base: Cell | None) -> list[tuple[dict[str, Any], bool]]:
        cell = self.theirs.cells[their]
        if base is None:
            return [(dict(self.theirs.raw(their)), self.theirs.written[their])]
        if _says_the_same(base, cell) or not cell.is_exported:
            return []  # the student deleted it
        self.result.notes.append(f"{_title(cell)}: you had deleted this cell; the course changed it, so it is there again.")
        return [(dict(self.theirs.raw(their)), self.theirs.written[their])]

    def _only_ours(self, our: int, base: Cell | None) -> list[tuple[dict[str, Any], bool]]:
        cell = self.ours.cells[our]
        if base is not None and _says_the_same(base, cell):
            return []  # the course took it away
        if base is not None:
            self.result.notes.append(f"{_title(cell)}: the course no longer has this cell; yours, which you changed, stays.")
        return [(dict(self.ours.raw(our)), self.ours.written[our])]

    def _both(self, our: int, their: int, base: Cell | None) -> list[tuple[dict[str, Any], bool]]:
        cell, theirs = self.ours.cells[our], self.theirs.cells[their]
        raw, written = dict(self.ours.raw(our)), self.ours.written[our]
        if base and _says_the_same(base, cell):  # it is the course's cell, and goes by the course's name
            raw["id"], written = self.theirs.raw(their)["id"], self.theirs.written[their]
        raw["metadata"] = _merged_metadata(base.metadata if base else {}, raw["metadata"], self.theirs.raw(their)["metadata"])
        kind = theirs.kind if base and cell.kind == base.kind else cell.kind
        source = _merged_source(base, cell, theirs)
        above: list[tuple[dict[str, Any], bool]] = []
        if source is None:
            source, kind = cell.source, cell.kind
            started = base.source if base else cell.source
            diff = [*difflib.unified_diff(started.split("\n"), theirs.source.split("\n"), lineterm="")][2:]
            conflict = Conflict(_title(cell), diff)
            self.result.conflicts.append(conflict)
            above = [(_conflict_cell(conflict, self.about), False)]
        if source != cell.source or kind != cell.kind:
            raw |= {"source": source, "cell_type": kind}
            for name in ("outputs", "execution_count"):  # of the source that was
                raw.pop(name, None)
            if kind == "code":
                raw |= {"outputs": [], "execution_count": None}
        return [*above, (raw, written)]


def matched(base: Sequence[Cell], other: Sequence[Cell], *, alike: bool = True) -> dict[int, int]:
    """Which cell of `base` is which of `other`, by position: by id, exercise, content, and likeness if `alike`."""
    found: dict[int, int] = {}

    def pair(key: Any) -> None:
        free: dict[Any, list[int]] = {}
        for index, cell in enumerate(other):
            if index not in found.values() and (value := key(cell)) is not None:
                free.setdefault(value, []).append(index)
        for index, cell in enumerate(base):
            if index not in found and free.get(key(cell)):
                found[index] = free[key(cell)].pop(0)

    pair(lambda cell: cell.id)
    pair(lambda cell: cell.exercise)
    pair(lambda cell: (cell.kind, cell.source))
    for anywhere in (False, True) if alike else ():  # between the same neighbours first, then wherever it was moved
        for index, cell in enumerate(base):
            if index in found:
                continue
            below = max((there for here, there in found.items() if here < index), default=-1)
            above = min((there for here, there in found.items() if here > index), default=len(other))
            places = range(len(other)) if anywhere else range(below + 1, above)
            free = [place for place in places if place not in found.values()]
            if (near := _most_alike(cell, other, free)) is not None:
                found[index] = near
    return found


def _most_alike(cell: Cell, other: Sequence[Cell], places: Sequence[int]) -> int | None:
    """The place of the cell that has most of this one's words in their order; None if none has half of them."""
    words = _WORD.findall(cell.source)
    best: tuple[int, int | None] = (max(math.ceil(_ALIKE * len(words)), 1) - 1, None)
    for there in places:
        candidate = other[there]
        if candidate.kind != cell.kind or candidate.exercise != cell.exercise:
            continue
        matcher = difflib.SequenceMatcher(None, words, _WORD.findall(candidate.source), autojunk=False)
        if (shared := sum(block.size for block in matcher.get_matching_blocks())) > best[0]:
            best = (shared, there)
    return best[1]


def _woven(backbone: list[Pair], other: list[Pair]) -> list[Pair]:
    """The backbone, with what only the other has put behind what it stands behind there."""
    order = list(backbone)
    place = 0
    for pair in other:
        if pair in order:
            place = order.index(pair) + 1
        else:
            order.insert(place, pair)
            place += 1
    return order


def _says_the_same(one: Cell, other: Cell) -> bool:
    return (one.kind, one.source) == (other.kind, other.source)


def _title(cell: Cell) -> str:
    begins = cell.source.strip().split("\n")[0][:60]
    return cell.exercise or begins or f"cell {cell.number}"


def _merged_metadata(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    merged = dict(ours)
    for name in [*theirs, *(name for name in base if name not in theirs)]:
        changed_here = ours.get(name) != base.get(name)
        if theirs.get(name) == base.get(name) or (changed_here and name not in _OF_THE_COURSE):
            continue
        if name in theirs:
            merged[name] = theirs[name]
        else:
            merged.pop(name, None)
    return merged


def _merged_source(base: Cell | None, ours: Cell, theirs: Cell) -> str | None:
    """The text with the changes of both sides, None for a conflict."""
    if ours.source == theirs.source:
        return ours.source
    if base is None:
        return None
    # a stub's line says the exercise's task: a new wording of it is no change of what stands in its place
    started, mine, new = (_STUB.sub(rf"\g<indent>{_ANY_STUB}", cell.source) for cell in (base, ours, theirs))
    if mine == started:
        return theirs.source
    if new == started and ours.source == mine:
        return ours.source
    merged = lines.merge(started.split("\n"), mine.split("\n"), new.split("\n"))
    if merged is None:
        return None
    text = "\n".join(merged)
    if stub := _STUB.search(theirs.source) or _STUB.search(base.source):
        text = text.replace(_ANY_STUB, stub["stub"])
    if ours.kind == "code" and _is_python(ours.source) and _is_python(theirs.source) and not _is_python(text):
        return None
    return text


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def _conflict_cell(conflict: Conflict, about: str) -> dict[str, Any]:
    text = "\n".join([
        f"## Settle this: {conflict.title}",
        "",
        f"The course changed the cell below, and so did you. It is as you wrote it. {about}".rstrip(),
        "This is what the course changed:",
        "",
        "~~~~~diff",
        *conflict.diff,
        "~~~~~",
        "",
        "Bring over what your cell needs, then delete this one. Until then the module can't be completed.",
    ])
    return {"cell_type": "markdown", "metadata": {CONFLICT: conflict.title}, "source": text}


def _give_ids(cells: list[dict[str, Any]], written: Sequence[bool]) -> None:
    """Give every cell an id that is its own; one that did not stand in the file is derived anew."""
    derived = [
        notebooks.derived_id(cell["cell_type"], percent.without_blank_end(cell["source"]), cell["metadata"]) for cell in cells
    ]
    given = [cell.get("id") if keep else None for cell, keep in zip(cells, written, strict=True)]
    for cell, id in zip(cells, notebooks.unique_ids(given, derived), strict=True):
        cell["id"] = id
