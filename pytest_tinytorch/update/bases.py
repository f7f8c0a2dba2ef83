"""What a module's working copy was started from, version after version.

The newest lies in `.tito/pristine/`, those before it in `.tito/bases/NN/`. A backup that was restored, or an older commit
that was checked out, was started from one of them, which nobody records: it is the one that it differs from least.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.state.store import State
from pytest_tinytorch.workspace import changes, conversion, notebooks
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files
from tinytorch.errors import TinyTorchError

FOLDER = ".tito/bases"


@dataclass(frozen=True)
class Base:
    """A version of a stub, in the form of the working copy that was started from it."""

    version: str
    data: bytes

    @property
    def entry(self) -> State:
        """What `version.json` would say of it."""
        return {"version": self.version, "sha256": files.sha256(self.data)}


def superseded(workspace: Workspace, module: Module, path: str, versions: State, data: bytes) -> dict[str, bytes | None]:
    """The content that keeps a base when `data` takes its place; nothing if it is the same, or there is none."""
    old = workspace.pristine / path
    if not old.is_file() or old.read_bytes() == data:
        return {}
    version = versions["files"].get(path, {}).get("version", "unknown")
    return {f"{FOLDER}/{module.number}/{version}{PurePosixPath(path).suffix}": old.read_bytes()}


def newest(workspace: Workspace, versions: State, path: str) -> Base | None:
    """What `version.json` says that the working copy at `path` was started from."""
    file = workspace.pristine / path
    if not file.is_file():
        return None
    return Base(versions["files"].get(path, {}).get("version", "unknown"), file.read_bytes())


def of_older_work(workspace: Workspace, versions: State, path: str) -> Base | None:
    """The older base of the working copy at `path`, if what is there is nearer to it than to the newest; else None."""
    module, known = workspace.module_at(path), newest(workspace, versions, path)
    if module is None or known is None or not (workspace.root / path).is_file():
        return None
    folder = workspace.root / FOLDER / module.number
    if not folder.is_dir():
        return None
    try:
        cells = notebooks.read_cells(workspace.root / path)
        nearest, least = None, changes.count(notebooks.parse(known.data, Path(path)), cells)
        for file in sorted(folder.iterdir()):
            base = Base(file.stem, _in_form(file, PurePosixPath(path).suffix))
            count = changes.count(notebooks.parse(base.data, Path(path)), cells)
            if count < least:
                nearest, least = base, count
    except TinyTorchError:  # a file that can't be read: its own reader says why
        return None
    return nearest


def _in_form(file: Path, suffix: str) -> bytes:
    return file.read_bytes() if file.suffix == suffix else conversion.converted(file.read_bytes(), file)[0]
