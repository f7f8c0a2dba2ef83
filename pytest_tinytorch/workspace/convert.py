"""From script to notebook and back, without losing a cell, an id, an option or the notebook's metadata.

What a script can't hold (outputs, execution counts, attachments) is dropped and named.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_tinytorch.workspace import markers, notebooks, percent

USUAL_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


def to_notebook(text: str, name: str = "the script") -> str:
    """A percent script as a notebook of format 4.5; the same script always gives the same bytes.

    `name` is for messages.

    Raises: ExportError if the script can't be read.
    """
    cells = notebooks.parse_percent(text, name)
    header, blocks = percent.split(text)
    metadata: dict[str, Any] = USUAL_METADATA | _header_metadata(header)
    if _header(metadata) != header:
        metadata["tinytorch"] = {"header": header}
    notebook = {
        "cells": [
            _notebook_cell(block, cell.id, is_last=cell.number == len(cells))
            for block, cell in zip(blocks, cells, strict=True)
        ],
        "metadata": metadata,
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _notebook_cell(block: percent.Block, id: str, *, is_last: bool) -> dict[str, Any]:
    metadata = markers.metadata(block.options)
    if block.gap != _usual_gap(is_last):
        metadata[markers.GAP] = block.gap
    cell: dict[str, Any] = {
        "cell_type": block.kind,
        "id": id,
        "metadata": metadata,
        "source": percent.source(block).splitlines(keepends=True),
    }
    return cell | {"execution_count": None, "outputs": []} if block.kind == "code" else cell


def to_percent(text: str, name: str = "the notebook") -> tuple[str, list[str]]:
    """A notebook as a percent script, and what the script could not hold, as phrases; `name` is for messages.

    Raises: ExportError if the notebook can't be read.
    """
    notebook = notebooks.notebook_json(text, name)
    cells = notebooks.cells_of(notebook)
    blocks = []
    for cell, entry, id in zip(cells, notebook["cells"], _ids_to_write(cells), strict=True):
        gap = _gap(entry["metadata"], is_last=cell.number == len(cells))
        blocks.append(percent.block(cell.kind, cell.metadata, entry["source"], id=id, gap=gap))
    header, dropped = _header_of(notebook["metadata"])
    if notebook["metadata"].get("language_info", usual := USUAL_METADATA["language_info"]) != usual:
        dropped.append("the kernel's language_info, which it writes again")
    return percent.joined(header, blocks), [*_dropped(notebook["cells"]), *dropped]


def _ids_to_write(cells: list[notebooks.Cell]) -> list[str | None]:
    """The ids that a reader of the script could not derive; None where it can."""
    derived = [notebooks.derived_id(cell.kind, cell.source, cell.metadata) for cell in cells]
    written: list[str | None] = [None] * len(cells)
    while True:
        read = notebooks.unique_ids(written, derived)
        missing = {cell.number for cell, id in zip(cells, read, strict=True) if cell.id != id}
        if not missing:
            return written
        written = [cell.id if cell.number in missing else id for cell, id in zip(cells, written, strict=True)]


def _usual_gap(is_last: bool) -> int:
    return 0 if is_last else 1


def _gap(metadata: Mapping[str, Any], *, is_last: bool) -> int:
    lines = metadata.get(markers.GAP)
    return lines if type(lines) is int and lines in range(10) else _usual_gap(is_last)


def _dropped(cells: list[dict[str, Any]]) -> list[str]:
    phrases = []
    if executed := sum(bool(cell.get("outputs")) for cell in cells):
        phrases.append(f"outputs of {executed} cell{'s' if executed > 1 else ''}")
    for number, cell in enumerate(cells, start=1):
        if attachments := cell.get("attachments"):
            phrases.append(f"attachments of cell {number} ({', '.join(map(str, attachments))})")
    return phrases


def _header_of(metadata: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The header for a notebook's metadata, and what of it was dropped.

    A header that a script came with is kept as it was written, unless the notebook's metadata has changed since.
    """
    ours = metadata.get("tinytorch")
    kept = ours.get("header") if isinstance(ours, dict) else None
    if not isinstance(kept, str):
        return _header(metadata), []
    header = _header({name: value for name, value in metadata.items() if name != "tinytorch"})
    if header == _header(USUAL_METADATA | _header_metadata(kept)):
        return kept, []
    return header, ["what the script's header held besides the notebook's metadata"]


def _header(metadata: Mapping[str, Any]) -> str:
    """A YAML header, as jupytext writes it, for the metadata that isn't the usual one."""
    import yaml

    usual = USUAL_METADATA.items()
    unusual = {
        name: value for name, value in metadata.items() if (name, value) not in usual and name != "language_info"
    }
    if not unusual:
        return ""
    lines = ["---", *yaml.safe_dump({"jupyter": unusual}).splitlines(), "---"]
    return "".join(f"# {line}\n" if line else "#\n" for line in lines) + "\n"


def _header_metadata(header: str) -> dict[str, Any]:
    """The notebook's metadata in a script's header."""
    import yaml

    lines = [line.removeprefix("#").removeprefix(" ") for line in header.split("\n") if line.startswith("#")]
    fences = [number for number, line in enumerate(lines) if line.strip() == "---"]
    if not fences:
        return {}
    try:
        found = yaml.safe_load("\n".join(lines[fences[0] + 1 : fences[-1]]))
        jupyter = found.get("jupyter") if isinstance(found, dict) else None
        # YAML has dates, JSON has not
        plain: object = json.loads(json.dumps(jupyter, default=str, skipkeys=True))
    except (yaml.YAMLError, ValueError):  # not for us to judge: the header is kept as it was written
        return {}
    return plain if isinstance(plain, dict) else {}
