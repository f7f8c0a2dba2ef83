"""Several files changed as one step: all of them or none, whatever ends the process.

What is to be written lies ready in `.tito/transaction/` before a plan is put beside it. From then on the change is
decided: it is carried out here, or by the next command if this process is killed. An error on the way takes back
what was done.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files
from tinytorch.errors import StateError

FOLDER = "transaction"
_PLAN = "plan.json"


def replace(workspace: Workspace, contents: Mapping[str, bytes | None]) -> None:
    """Give files, named by their paths in the workspace, new content, or remove those whose content is None.

    Raises: StateError if a file can't be written or removed; all are then as they were.
    """
    folder = workspace.tito / FOLDER
    with workspace.store.locked():
        try:
            before = {path: _content(workspace.root / path) for path in contents}
            _prepare(folder, {path: data for path, data in contents.items() if data != before[path]}, before)
        except OSError as error:
            _remove(folder)
            raise _failed(error) from error
        try:
            _carry_out(workspace.root, folder)
        except OSError as error:
            _take_back(workspace.root, folder, before)
            raise _failed(error) from error


def finish(workspace: Workspace) -> list[str]:
    """Carry out what a killed process had decided; returns what was done, in sentences."""
    folder = workspace.tito / FOLDER
    with workspace.store.locked(), workspace.store.writing(FOLDER):
        if not (folder / _PLAN).exists():  # it was not decided yet
            _remove(folder)
            return []
        kept = _carry_out(workspace.root, folder)
    return ["Finished a command that was interrupted.", *(f"Left {path} alone: it was edited since." for path in kept)]


def _prepare(folder: Path, changes: Mapping[str, bytes | None], before: Mapping[str, bytes | None]) -> None:
    plan = []
    for number, (path, data) in enumerate(changes.items()):
        if data is not None:
            files.write_atomic(folder / str(number), data)
        plan.append({"path": path, "staged": str(number), "before": _hash(before[path]), "after": _hash(data)})
    files.write_atomic(folder / _PLAN, json.dumps(plan, indent=1).encode("utf-8"))


def _carry_out(root: Path, folder: Path) -> list[str]:
    """Put every file in place; safe to repeat. Returns the paths of files that somebody edited in the meantime."""
    kept = []
    for entry in json.loads((folder / _PLAN).read_bytes()):
        path = root / entry["path"]
        now = _hash(_content(path))
        if now == entry["after"]:
            continue
        if now != entry["before"]:
            kept.append(entry["path"])
        elif entry["after"] is None:
            path.unlink()
        else:
            files.move(folder / entry["staged"], path)
    _forget(folder)
    return kept


def _take_back(root: Path, folder: Path, before: Mapping[str, bytes | None]) -> None:
    """Give files their content of before. If that fails too, the plan stays, and the next command carries it out."""
    for path, data in before.items():
        if _content(root / path) == data:
            continue
        if data is None:
            (root / path).unlink()
        else:
            files.write_atomic(root / path, data)
    _forget(folder)


def _forget(folder: Path) -> None:
    (folder / _PLAN).unlink()  # first: what is left without it counts for nothing
    _remove(folder)


def _remove(folder: Path) -> None:
    import shutil  # here, since every command imports this file and hardly any has something to remove

    shutil.rmtree(folder, ignore_errors=True)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _hash(data: bytes | None) -> str | None:
    return None if data is None else files.sha256(data)


def _failed(error: OSError) -> StateError:
    return StateError(
        f"{error.filename or FOLDER} can't be written: {error.strerror or error}. Nothing was changed. "
        "Make room or give yourself the right to write there, then run the command again."
    )
