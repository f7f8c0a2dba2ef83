"""Turns a module's working copy into its other form, after a backup."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.state import backups, transaction
from pytest_tinytorch.state.store import encoded, utc_now
from pytest_tinytorch.workspace import convert, notebooks
from pytest_tinytorch.workspace.layout import FORMATS, Workspace
from tinytorch import files
from tinytorch.errors import ConfigError


@dataclass(frozen=True)
class Conversion:
    """What a conversion did."""

    path: Path  # the working copy now
    removed: list[Path]
    dropped: list[str]  # what the new form can't hold, as phrases; the backup has it
    backups: list[Path]

    @property
    def changed(self) -> bool:
        return bool(self.backups)


def convert_module(workspace: Workspace, module: Module, to: str) -> Conversion:
    """Write the working copy in the form `to` ("py" or "ipynb") and remove the other one, as one step, after a backup.

    The stub that the student started from is kept in the new form too, so that comparing them stays possible.

    Raises: ConfigError for another form, WorkspaceError without a working copy, ExportError if it can't be read.
    """
    if to not in FORMATS:
        raise ConfigError(f"There is no format {to!r}: a working copy is one of {', '.join(FORMATS)}")
    with workspace.store.locked():
        copy = workspace.working_copy(module)
        target = copy.path.with_suffix(f".{to}")
        others = [form for form in workspace.existing_forms(module) if form != target]
        if not others:
            return Conversion(target, [], [], [])
        data, dropped = (copy.data, list[str]()) if copy.path == target else converted(copy.data, copy.path)
        saved = backups.back_up_working_copy(workspace, module)
        contents: dict[str, bytes | None] = {workspace.relative(target): data}
        for form in others:
            contents[workspace.relative(form)] = None
        contents |= _with_pristine(workspace, target, others)
        transaction.replace(workspace, contents, command=f"tito module convert {module.number} --to {to}")
    return Conversion(target, others, dropped, saved)


def converted(data: bytes, path: Path) -> tuple[bytes, list[str]]:
    """A file's content in the other form, and what that could not hold, as phrases."""
    notebooks.parse(data, path)  # names the file, if it can't be read
    text = data.decode("utf-8-sig")
    if path.suffix == ".py":
        return convert.to_notebook(text).encode("utf-8"), []
    script, dropped = convert.to_percent(text)
    return script.encode("utf-8"), dropped


def _with_pristine(workspace: Workspace, target: Path, others: list[Path]) -> dict[str, bytes | None]:
    """The stub in the new form, and a `version.json` that knows it by its new path."""
    versions = workspace.store.read("version.json")
    wanted = workspace.relative(target)
    contents: dict[str, bytes | None] = {}
    for form in others:
        old = workspace.relative(form)
        stub = workspace.pristine / old
        if not stub.is_file():
            continue
        data, _ = converted(stub.read_bytes(), form)
        contents[workspace.relative(workspace.pristine / old)] = None
        contents[workspace.relative(workspace.pristine / wanted)] = data
        versions["files"][wanted] = versions["files"].pop(old, {"version": "unknown"}) | {"sha256": files.sha256(data)}
    versions["last_updated"] = utc_now()
    return contents | {".tito/version.json": encoded(versions)} if contents else {}
