"""Several files changed as one step: all of them or none, whatever ends the process; and taken back by `tito undo`.

What is to be written lies ready in `.tito/transaction/`, with a copy of what was there, before a plan is put beside
it. From then on the change is decided: it is carried out here, or by the next command if this process is killed. An
error on the way takes back what was done. A change that a command made becomes the newest folder of `.tito/undo/`:
the plan, and what was there before.

A link stays a link: the file that it points to gets the new content. One that is removed leaves that file as it is,
and is made again, to the same place, when the change is taken back.
"""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from dataclasses import replace as with_changes
from datetime import datetime
from pathlib import Path

from pytest_tinytorch.state.store import STATE_FILES, State, encoded, now, way_out
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files
from tinytorch.errors import StateError

FOLDER, UNDO_FOLDER = "transaction", "undo"
KEPT = 20  # changes that can be taken back
PLAN = "plan.json"
_REPAIR = "tito doctor --repair"
_EXECUTABLE = 0o111


@dataclass(frozen=True)
class Change:
    """One file of a plan. Hashes of content; None where there is no file."""

    path: str  # below the workspace
    before: str | None
    after: str | None
    executable: bool | None = None  # what it is made; None leaves that as it is
    was_executable: bool | None = None  # None on Windows, which has no such thing
    link: str | None = None  # where the link points that it is made; None for a file, or a link that is there
    was_link: str | None = None  # where the link pointed that is removed

    def now(self, root: Path) -> str | None:
        data = content(root / self.path)
        return None if data is None else files.sha256(data)


@dataclass(frozen=True)
class Plan:
    """A change that was decided, or one that can be taken back."""

    folder: Path
    command: str  # what made it, as it is typed; "" for one that isn't taken back
    at: str
    changes: tuple[Change, ...]
    undoes: str | None = None  # the name of the folder in `.tito/undo/` that this takes back

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """Raises: StateError if the plan was broken by hand."""
        try:
            read = json.loads((folder / PLAN).read_bytes())
            return cls(folder, **read | {"changes": tuple(Change(**change) for change in read["changes"])})
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(
                f"{folder / PLAN} can't be read: {error}. Nothing was changed. What it describes can't be finished or taken "
                f"back; to go on without it, with a copy set aside: {_REPAIR}, or without: rm -r {folder}"
            ) from error

    def write(self) -> None:
        plan = asdict(self)
        del plan["folder"]
        files.write_atomic(self.folder / PLAN, json.dumps(plan, indent=1).encode("utf-8"))

    def new(self, number: int) -> Path:
        """Where a file's new content lies until it is put in place."""
        return self.folder / f"{number}.new"

    def old(self, number: int) -> Path:
        """Where the content lies that a file had before."""
        return self.folder / f"{number}.old"

    def made(self, number: int) -> Path:
        """Where a copy lies of the content that a state file got: others will change it, entry by entry."""
        return self.folder / f"{number}.made"


def replace(
    workspace: Workspace, contents: Mapping[str, bytes | None], *, command: str = "",
    executable: Mapping[str, bool] | None = None, links: Mapping[str, str] | None = None, undoes: str | None = None,
) -> None:
    """Give files, named by their paths in the workspace, new content, or remove those whose content is None.

    `command`, as it is typed, is what `tito undo` calls the change; without one it isn't taken back. `executable`
    says of files whether they may be run, and `links` of those that aren't there where they point, as links. `undoes` names a change that is forgotten once this one is made.

    Raises: StateError if a file can't be written or removed; all are then as they were.
    """
    folder = workspace.tito / FOLDER
    with workspace.store.locked():
        try:
            if command:  # here: once the change is decided, nothing of it may need room
                (workspace.tito / UNDO_FOLDER).mkdir(exist_ok=True)
            before = {path: content(workspace.root / path) for path in contents}
            empty = Plan(folder, command, now(), (), undoes)
            plan = _prepared(workspace.root, empty, contents, before, executable or {}, links or {})
            if plan is None:
                return
        except OSError as error:
            _remove(folder)
            raise _failed(workspace, error) from error
        try:
            _carry_out(workspace, plan)
        except OSError as error:
            _take_back(workspace.root, plan)
            raise _failed(workspace, error) from error


def change_state(workspace: Workspace, name: str, change: Callable[[State], None], *, command: str) -> State:
    """Change a state file in place, as one step for all processes that `tito undo` can take back."""
    with workspace.store.locked():
        state = workspace.store.read(name)
        change(state)
        replace(workspace, {f".tito/{name}": encoded(state)}, command=command)
    return state


def finish(workspace: Workspace) -> list[str]:
    """Carry out what a killed process had decided; returns what was done, in sentences."""
    folder = workspace.tito / FOLDER
    with workspace.store.locked(), workspace.store.writing(FOLDER):
        if not (folder / PLAN).exists():  # it was not decided yet
            _remove(folder)
            return []
        plan = Plan.read(folder)
        kept = _carry_out(workspace, plan)
    done = f"Finished `{plan.command}`, which was interrupted." if plan.command else "Finished a command that was interrupted."
    return [done, *(f"Left {path} alone: it was edited since." for path in kept)]


def undoable(workspace: Workspace) -> list[Plan]:
    """The changes that can be taken back, newest first."""
    folders = sorted((workspace.tito / UNDO_FOLDER).glob("*"), reverse=True)
    return [Plan.read(folder) for folder in folders if (folder / PLAN).is_file()]


def is_state(path: str) -> bool:
    """Whether a path of the workspace is that of a state file."""
    folder, _, name = path.rpartition("/")
    return folder == ".tito" and name in STATE_FILES


def content(path: Path) -> bytes | None:
    """What a file holds; None if there is none of this very name, also where Name and name are one to the system."""
    if not path.is_file() or path.name not in os.listdir(path.parent):  # noqa: PTH208  # names only
        return None
    return path.read_bytes()


def _prepared(
    root: Path, plan: Plan, contents: Mapping[str, bytes | None], before: Mapping[str, bytes | None], executable: Mapping[str, bool],
    links: Mapping[str, str],
) -> Plan | None:
    """The plan with its files written beside it; None if nothing is to be done."""
    changes: list[Change] = []
    # what goes comes first: where Name and name are one file, the new one must not be removed with the old
    for path, data in sorted(contents.items(), key=lambda item: item[1] is not None):
        old = before[path]
        was_executable = files.is_executable(root / path)
        becomes = executable.get(path) if data is not None and was_executable is not None else None
        if data == old and becomes in (None, was_executable):
            continue
        if data is not None and data != old:
            files.write_atomic(plan.new(len(changes)), data)
        if old is not None:
            files.write_atomic(plan.old(len(changes)), old)
        if data is not None and plan.command and is_state(path):
            files.write_atomic(plan.made(len(changes)), data)
        was_link = str((root / path).readlink()) if data is None and (root / path).is_symlink() else None
        link = links.get(path) if data is not None and old is None else None
        changes.append(Change(path, _hash(old), _hash(data), becomes, was_executable, link, was_link))
    if not changes and not plan.undoes:
        return None
    plan = with_changes(plan, changes=tuple(changes))
    plan.write()
    return plan


def _carry_out(workspace: Workspace, plan: Plan) -> list[str]:
    """Put every file in place; safe to repeat. Returns the paths of files that somebody edited in the meantime."""
    kept = []
    for number, change in enumerate(plan.changes):
        path = workspace.root / change.path
        _make_link(path, change.link)
        here = change.now(workspace.root)
        if here not in (change.before, change.after):
            kept.append(change.path)
            continue
        if here != change.after:
            try:
                if change.after is None:
                    path.unlink()
                    _remove_empty_folders(path.parent, workspace.root)
                else:
                    files.move(plan.new(number), path)
            except OSError as error:
                if error.filename == str(plan.new(number)):
                    error.filename = str(path)
                raise
        if change.executable is not None:
            mode = path.stat().st_mode
            path.chmod(mode | _EXECUTABLE if change.executable else mode & ~_EXECUTABLE)
    if plan.undoes:
        _forget(workspace.tito / UNDO_FOLDER / plan.undoes)
    if plan.command:
        _keep(workspace, plan)
    else:
        _forget(plan.folder)
    return kept


def _keep(workspace: Workspace, plan: Plan) -> None:
    """Turn a plan that was carried out into one that can be taken back, and forget the oldest of those."""
    folder = workspace.tito / UNDO_FOLDER
    newest = max((path.name for path in folder.glob("*")), default="")
    stamp = f"{datetime.now():%Y%m%d_%H%M%S}_000"
    if stamp <= newest:  # two in one second, or a clock that was set back: the order is that of the names
        stem, _, count = newest.rpartition("_")
        stamp = f"{stem}_{int(count) + 1:03d}"
    plan.folder.rename(folder / stamp)
    for stale in sorted(folder.glob("*"))[:-KEPT]:
        _forget(stale)


def _take_back(root: Path, plan: Plan) -> None:
    """Give files their content of before. If that fails too, the plan stays, and the next command carries it out."""
    for number, change in reversed(list(enumerate(plan.changes))):
        path = root / change.path
        _make_link(path, change.was_link)
        if change.now(root) == change.before:
            continue
        if change.before is None:
            path.unlink()
            _remove_empty_folders(path.parent, root)
        else:
            files.move(plan.old(number), path)
    _forget(plan.folder)


def _make_link(path: Path, target: str | None) -> None:
    """Make a link where there is nothing. Where the system refuses one, as Windows may, a file takes its place."""
    if target is None or os.path.lexists(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        path.symlink_to(target)


def _forget(folder: Path) -> None:
    (folder / PLAN).unlink(missing_ok=True)  # first: what is left without it counts for nothing
    _remove(folder)


def _remove(folder: Path) -> None:
    import shutil  # here, since every command imports this file and hardly any has something to remove

    shutil.rmtree(folder, ignore_errors=True)


def _remove_empty_folders(folder: Path, root: Path) -> None:
    """Remove what held nothing but the file that has gone."""
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _hash(data: bytes | None) -> str | None:
    return None if data is None else files.sha256(data)


def _failed(workspace: Workspace, error: OSError) -> StateError:
    """What is said of a failed write; one of the files that only this module knows is called `.tito/`."""
    path = Path(error.filename) if error.filename else workspace.tito
    if path.is_relative_to(workspace.tito / FOLDER):
        path = workspace.tito
    return StateError(f"{path} can't be written: {error.strerror or error}. Nothing was changed. {way_out(error)}")
