"""Makes `.tito/` whole: missing files, a backup that was copied in by hand, a command that was killed half way.

Every command looks here first. It costs a few `stat` calls when nothing is amiss. What was done is returned as
sentences for whoever asked; nothing is ever written over a file that can't be read.
"""
from __future__ import annotations

from pathlib import Path

from pytest_tinytorch.state import transaction
from pytest_tinytorch.state.pristine import is_same_content
from pytest_tinytorch.state.store import STATE_FILES, State, Store, empty
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files
from tinytorch.errors import StateError


def recover(workspace: Workspace) -> list[str]:
    """Make `.tito/` whole; returns what was done, in sentences.

    Raises: StateError if something is to be written and can't be.
    """
    try:
        unfinished = (workspace.tito / transaction.FOLDER).is_dir()
        nested = _copied_in(workspace.tito)
        missing = [name for name in STATE_FILES if not (workspace.tito / name).exists()]
    except PermissionError as error:
        raise StateError(
            f"{workspace.tito} can't be read: {error.strerror}. Give yourself the right: chmod u+rwx {workspace.tito}"
        ) from error
    if not unfinished and not nested and not missing and (workspace.tito / "backups").is_dir():
        return []
    with workspace.store.locked():
        notices = transaction.finish(workspace) if unfinished else []
        notices += [_restore(workspace, folder) for folder in _copied_in(workspace.tito)]
        return notices + _recreate(workspace)


def _copied_in(tito: Path) -> list[Path]:
    """What `cp -r .tito_backup_D/ .tito/` leaves: `.tito/.tito`, or `.tito/.tito_backup_D/.tito` if `.tito` was there."""
    found = [tito / ".tito", *sorted(tito.glob(".tito_backup_*/.tito"))]
    return [folder for folder in found if folder.is_dir()]


def _restore(workspace: Workspace, folder: Path) -> str:
    """Put a copied-in state in the place of the present one, which is backed up first if it holds anything."""
    import shutil

    from pytest_tinytorch.state import backups

    outermost = workspace.tito / folder.relative_to(workspace.tito).parts[0]
    for name in STATE_FILES:
        if fault := Store(folder).fault(name):
            raise StateError(
                f"The backup that was copied to {workspace.relative(outermost)} can't be restored: {folder / name}, {fault}. "
                f"Nothing was changed. Remove it, and copy another one: rm -r {workspace.relative(outermost)}"
            )
    saved = ""
    if any((workspace.tito / name).exists() for name in STATE_FILES):
        saved = f"; what was there before is in {workspace.relative(backups.back_up_state(workspace))}"
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with workspace.store.writing(path.name):
            files.write_atomic(workspace.tito / path.relative_to(folder), path.read_bytes())
    with workspace.store.writing(outermost.name):
        shutil.rmtree(outermost)
    return f"Restored the backup that was copied to {workspace.relative(outermost)}{saved}."


def _recreate(workspace: Workspace) -> list[str]:
    whole = not any((workspace.tito / name).exists() for name in STATE_FILES)
    made = []
    for name in STATE_FILES:
        if not (workspace.tito / name).exists():
            workspace.store.write(name, known_versions(workspace) if name == "version.json" else empty(name))
            made.append(name)
    with workspace.store.writing("backups"):
        (workspace.tito / "backups").mkdir(exist_ok=True)
    if whole:
        again = any(workspace.export(module).is_file() for module in workspace.course.modules)
        return [
            "Created .tito/ again, with empty progress: it was missing. Your modules and your package are as they were."
            + (" To take up the modules you had exported: tito system health --repair" if again else "")
        ]
    return [f"Created .tito/{name} again: it was missing." for name in made]


def known_versions(workspace: Workspace) -> State:
    """A `version.json` made by comparing the workspace's files with the installed course.

    A file that is what a version of the course had is at that version. One that is in none counts as modified: its
    version is unknown, and no pristine copy is kept of it, so that a merge has nothing to start from.
    """
    from pytest_tinytorch.update.releases import history, known_version
    from pytest_tinytorch.workspace import create

    contents, released = create.files_here(workspace), history(workspace.course)
    state = create.versions(workspace.course, contents)
    for path, entry in state["files"].items():
        here = transaction.content(workspace.root / path)
        version = None
        if here is not None:
            same = is_same_content(contents[path], here)
            version = workspace.course.version if same else known_version(released.get(path, {}), here)
        if here is None or version is None:
            entry |= {"version": "unknown", "modified_by_student": True}
            continue
        entry |= {"version": version, "sha256": files.sha256(here)}
        with workspace.store.writing(path):
            files.write_atomic(workspace.pristine / path, here)
    return state
