"""Backups of working copies in `.tito/backups/`, and of the whole state beside `.tito/`.

A backup is a plain copy under a name that says what and when: `03_layers_20251116_143000.py`, `.tito_backup_20251116/`.
Deleting one is never a fault.
"""
from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files
from tinytorch.errors import StateError

KEPT_PER_MODULE = 10
KEPT_AGE = timedelta(days=30)
KEPT_WHOLE = 5

_STAMP = "%Y%m%d_%H%M%S"
_WHOLE_NAME = re.compile(r"\.tito_backup_\d{8}(?:_\d{6}(?:_\d+)?)?")
_NAME = re.compile(r"(?P<folder>\d\d_\w+?)_(?P<stamp>\d{8}_\d{6})(?:_(?P<extra>\d+))?\.(?P<format>py|ipynb)")


@dataclass(frozen=True)
class Backup:
    """One saved working copy."""

    path: Path
    folder: str  # 03_layers
    made: datetime
    extra: int  # counts the backups of one second

    @property
    def order(self) -> tuple[datetime, int, str]:
        return self.made, self.extra, self.path.suffix


def backups_of(workspace: Workspace, module: Module | None = None) -> list[Backup]:
    """The backups of a module, or of all, newest first. Files of other names are nobody's backups."""
    found = []
    for path in (workspace.tito / "backups").glob("*"):
        match = _NAME.fullmatch(path.name)
        if not match or (module and match["folder"][:2] != module.number):  # its slug may have been another one
            continue
        try:
            made = datetime.strptime(match["stamp"], _STAMP)
        except ValueError:  # digits that are no date: not one of ours
            continue
        found.append(Backup(path, match["folder"], made, int(match["extra"] or 0)))
    return sorted(found, key=lambda backup: backup.order, reverse=True)


def back_up(workspace: Workspace, module: Module, forms: Iterable[tuple[str, bytes]]) -> list[Path]:
    """Save what a module's working copy holds, given as (suffix, content) of each form, then prune old backups.

    All forms of one backup get one name. Returns the paths written.
    """
    folder = workspace.tito / "backups"
    stamp = datetime.now().strftime(_STAMP)
    with workspace.store.locked(), workspace.store.writing("backups"):
        taken = {path.stem for path in folder.glob(f"{module.folder}_{stamp}*")}
        name = f"{module.folder}_{stamp}"
        extra = 0
        while name in taken:
            extra += 1
            name = f"{module.folder}_{stamp}_{extra}"
        written = []
        for suffix, data in forms:
            written.append(folder / f"{name}{suffix}")
            files.write_atomic(written[-1], data)
        prune(workspace, module)
    return written


def back_up_working_copy(workspace: Workspace, module: Module) -> list[Path]:
    """Save every form of the module's working copy, as it is on the disk."""
    return back_up(workspace, module, [(path.suffix, path.read_bytes()) for path in workspace.existing_forms(module)])


def stale(workspace: Workspace, module: Module | None = None) -> list[Path]:
    """The backups of a module, or of each, that may go: beyond its newest ten, and older than thirty days."""
    oldest = datetime.now() - KEPT_AGE
    newer: Counter[str] = Counter()  # of the same module
    found = []
    for backup in backups_of(workspace, module):
        if newer[backup.folder] >= KEPT_PER_MODULE and backup.made < oldest:
            found.append(backup.path)
        newer[backup.folder] += 1
    return found


def prune(workspace: Workspace, module: Module) -> list[Path]:
    """Delete the backups of a module that may go; returns them."""
    return delete(workspace, stale(workspace, module))


def delete(workspace: Workspace, paths: Iterable[Path]) -> list[Path]:
    """Delete backups, of modules or of the whole state; returns those that were there.

    A folder gets the name of an unfinished one first: a kill on the way leaves no half of a backup.
    """
    there = [path for path in paths if path.exists()]
    with workspace.store.locked():
        for path in there:
            with workspace.store.writing(str(path)):
                if path.is_dir():
                    shutil.rmtree(path.rename(_unfinished_name(path)))
                else:
                    path.unlink(missing_ok=True)
    return there


def whole_backups(workspace: Workspace) -> list[Path]:
    """The backups of the whole state, newest first. Folders of other names are nobody's backups."""
    folders = [path for path in workspace.root.glob(".tito_backup_*") if _WHOLE_NAME.fullmatch(path.name)]
    return sorted((path for path in folders if (path / ".tito").is_dir()), reverse=True)


def back_up_state(workspace: Workspace) -> Path:
    """Copy the whole of `.tito/` to `.tito_backup_YYYYMMDD/.tito/` beside it, and keep the newest five such copies."""
    with workspace.store.locked():
        for left in unfinished(workspace):
            shutil.rmtree(left)
        today = datetime.now()
        day = f".tito_backup_{today:%Y%m%d}"
        # not the day's first name again after it was deleted: backups are sorted by their names
        first = not any(workspace.root.glob(f"{day}*"))
        target = workspace.root / (day if first else f".tito_backup_{today:{_STAMP}}")
        extra = 0
        while target.exists():
            extra += 1
            target = workspace.root / f".tito_backup_{today:{_STAMP}}_{extra}"
        growing = _unfinished_name(target)
        try:
            shutil.copytree(workspace.tito, growing / ".tito", ignore=_not_state)
            growing.rename(target)
        except OSError as error:
            shutil.rmtree(growing, ignore_errors=True)
            raise StateError(f"The state can't be backed up to {target}: {error}. Nothing was changed.") from error
        delete(workspace, stale_whole(workspace, sparing=target))
    return target


def stale_whole(workspace: Workspace, sparing: Path | None = None) -> list[Path]:
    """The backups of the whole state beyond the newest five; `sparing` is one of the five, also if the clock ran backwards."""
    others = [path for path in whole_backups(workspace) if path != sparing]
    return others[KEPT_WHOLE - (sparing is not None) :]


def unfinished(workspace: Workspace) -> list[Path]:
    """What killed processes left of backups of the whole state. Whoever makes or deletes one holds the lock."""
    return sorted(workspace.root.glob(f".tito_backup_*{files.TEMPORARY_SUFFIX}"))


def _unfinished_name(path: Path) -> Path:
    return path.with_name(f"{path.name}{files.TEMPORARY_SUFFIX}")


def size(path: Path) -> int:
    """The bytes of a backup: a file, or all files of a folder."""
    found = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in found if file.is_file())


def _not_state(folder: str, names: list[str]) -> list[str]:
    """Locks, unfinished files, and changes under way or to be taken back: they belong to the state of that moment."""
    return [name for name in names if name in ("lock", "transaction", "undo") or name.endswith(files.TEMPORARY_SUFFIX) or name.startswith(".tito")]
