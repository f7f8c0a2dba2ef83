"""What killed processes left behind, and its removal. Nothing that a process may still use counts as left behind."""
from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pytest_tinytorch.health.check import NOTE, TIDY, Check
from pytest_tinytorch.state import backups
from pytest_tinytorch.workspace import staging as stage
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files

DAY = 24 * 3600.0
HOUR = 3600.0  # an atomic write takes milliseconds; a machine may have slept in between


def staging() -> Iterator[Check]:
    """Staging folders in the temporary folder whose session is over."""
    yield from _told(staging_folders(), "in the temporary folder")


def found(workspace: Workspace) -> Iterator[Check]:
    """Staging folders, and what interrupted writes left in the workspace."""
    yield from staging()
    yield from _told(unfinished(workspace), "in the workspace")


def _told(paths: list[Path], where: str) -> Iterator[Check]:
    if paths:
        names = ", ".join(path.name for path in paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        yield Check(NOTE, f"Runs that were killed left something {where}: {names}", TIDY)


def remove(workspace: Workspace | None) -> list[str]:
    """Remove what was left behind; returns what was done, in sentences.

    Raises: StateError if something in the workspace can't be removed.
    """
    done = []
    for folder in staging_folders():
        stage.remove_folder(folder)
        if not folder.exists():
            done.append(f"Removed {folder.name} from the temporary folder.")
    if workspace is None:
        return done
    with workspace.store.locked():  # whoever writes here holds the lock
        for path in unfinished(workspace):
            with workspace.store.writing(str(path)):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            done.append(f"Removed {workspace.relative(path)}, which was never finished.")
    return done


def lock(workspace: Workspace) -> Iterator[Check]:
    """A lock file is no lock: the system releases the lock of a process that ends. One that is held has a holder."""
    path = workspace.tito / "lock"
    if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
        return
    try:
        with files.lock(path, timeout=0):
            pass
    except TimeoutError:
        yield Check(
            NOTE, "Another process holds the workspace's lock at this moment", "Wait for it to end. If it was stopped with Ctrl-Z: fg"
        )


def staging_folders() -> list[Path]:
    """Those that are older than a day, of this user, and of a process that is gone."""
    old = time.time() - DAY
    left = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{stage.PREFIX}*")):
        process = stage.process_of(folder)
        if process is None or folder.is_symlink() or not folder.is_dir() or _is_running(process):
            continue
        facts = folder.stat()
        if facts.st_mtime < old and facts.st_uid == _user():
            left.append(folder)
    return left


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0  # Windows: all files are of user 0


def _is_running(process: int) -> bool:
    if os.name == "nt":  # it has no question that does no harm; the system clears its temporary folder
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def unfinished(workspace: Workspace) -> list[Path]:
    """Unfinished whole-state backups and temporary files of atomic writes, older than an hour."""
    old = time.time() - HOUR
    folders = [workspace.root / name for name in ("modules", "tests", "milestones", "tinytorch")]
    candidates = [*workspace.root.glob(".*.tmp"), *(path for folder in (workspace.tito, *folders) for path in folder.rglob(".*.tmp"))]
    written = sorted(path for path in candidates if files.TEMPORARY_NAME.fullmatch(path.name) and path.is_file())
    return [path for path in (*backups.unfinished(workspace), *written) if path.stat().st_mtime < old]
