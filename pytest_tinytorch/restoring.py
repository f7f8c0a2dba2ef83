"""Backups of working copies: found by the names people type, compared, and put back."""
from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from pytest_tinytorch.course.curriculum import Module, UnknownName
from pytest_tinytorch.state import backups, transaction
from pytest_tinytorch.state.backups import Backup
from pytest_tinytorch.workspace import changes, notebooks
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch.errors import WorkspaceError


@dataclass(frozen=True)
class Restored:
    """What putting a backup back did."""

    written: list[Path]
    removed: list[Path]
    backups: list[Path]  # of what was there before


def named(workspace: Workspace, module: Module, name: str | None) -> list[Backup]:
    """A module's backup by its name, with or without its suffix, or by its time; the newest if `name` is None.

    Two files if the module had both forms.

    Raises: WorkspaceError if there is no backup at all, UnknownName if none is called so.
    """
    found = backups.backups_of(workspace, module)
    if not found:
        raise WorkspaceError(
            f"Module {module.label} has no backups yet. One is made when you start, reset, convert or complete a module."
        )
    wanted = found[0].path.stem if name is None else name
    chosen = [b for b in found if wanted in (b.path.name, b.path.stem, b.path.stem.removeprefix(f"{module.folder}_"))]
    if not chosen:
        near = difflib.get_close_matches(wanted, [b.path.name for b in found], n=1, cutoff=0.3)
        raise UnknownName(
            f"Module {module.label} has no backup {wanted!r}.{f' Did you mean {near[0]}?' if near else ''} "
            f"List them with: tito backup list {module.number}"
        )
    return chosen


def diff(workspace: Workspace, module: Module, name: str | None) -> list[str]:
    """From a backup to the working copy, as a unified diff; no lines if both say the same."""
    backup = named(workspace, module, name)[0]
    copy = workspace.working_copy(module)
    return changes.diff(notebooks.read_cells(backup.path), copy.cells, names=(backup.path.name, copy.path.name))


def restore(workspace: Workspace, module: Module, name: str | None) -> Restored:
    """Put a backup in the place of the working copy, in the backup's form, as one step; what was there is backed up."""
    with workspace.store.locked():
        contents: dict[str, bytes | None] = {workspace.relative(form): None for form in workspace.existing_forms(module)}
        removable = set(contents)
        for backup in named(workspace, module, name):
            form = next(form for form in workspace.forms(module) if form.suffix == backup.path.suffix)
            contents[workspace.relative(form)] = backup.path.read_bytes()
        saved = backups.back_up_working_copy(workspace, module)
        transaction.replace(workspace, contents, command=f"tito backup restore {module.number}")
    removed = [workspace.root / path for path in sorted(removable) if contents[path] is None]
    return Restored([workspace.root / path for path, data in contents.items() if data is not None], removed, saved)
