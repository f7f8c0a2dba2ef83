"""Starting over: one module, or all progress. Nothing is lost: what was there is backed up first."""
from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.starting import check_here
from pytest_tinytorch.state import backups, progress, transaction
from pytest_tinytorch.state.store import State, encoded, utc_now
from pytest_tinytorch.update import bases
from pytest_tinytorch.workspace import changes, create
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files
from tinytorch.errors import TinyTorchError


@dataclass(frozen=True)
class AtRisk:
    """The file that a reset would replace."""

    path: Path
    modified: datetime
    size: int  # bytes
    changed_lines: int | None  # None if the file can't be read as a working copy


@dataclass(frozen=True)
class Reset:
    """What a module's reset did."""

    backups: list[Path]
    written: list[Path]
    version: str  # of the course
    was_complete: bool


def at_risk(workspace: Workspace, module: Module) -> AtRisk | None:
    """The file that a reset of the module replaces, or None if there is no working copy."""
    forms = workspace.existing_forms(module)
    if not forms:
        return None
    path = max(forms, key=lambda form: form.stat().st_mtime_ns)
    stat = path.stat()
    try:
        _, stub = changes.started_from(workspace, module)
        count = changes.count(stub, workspace.working_copy(module).cells)
    except TinyTorchError:
        count = None  # a broken file can be reset too, and the dialog says that its lines can't be counted
    return AtRisk(path, datetime.fromtimestamp(stat.st_mtime), stat.st_size, count)


def reset_module(workspace: Workspace, module: Module) -> Reset:
    """Back up a module's working copy, then put the course's stub in its place and forget its completion, as one step.

    Other files of the folder stay, and so does the export.
    """
    check_here(workspace, module)
    with workspace.store.locked():
        state, versions = workspace.store.read(progress.PROGRESS), workspace.store.read("version.json")
        was_complete = int(module.number) in state["completed_modules"]
        saved = backups.back_up_working_copy(workspace, module)
        known = dict(versions["files"])
        contents, written = reset_contents(workspace, module, versions, state)
        if versions["files"] != known:
            versions["last_updated"] = utc_now()
        contents[".tito/version.json"] = encoded(versions)
        contents[".tito/progress.json"] = encoded(state)
        transaction.replace(workspace, contents, command=f"tito module reset {module.number}")
    return Reset(saved, written, workspace.course.version, was_complete)


def reset_contents(
    workspace: Workspace, module: Module, versions: State, state: State
) -> tuple[dict[str, bytes | None], list[Path]]:
    """The contents that start a module over, by path, and the paths of its working copies; both states are told."""
    contents: dict[str, bytes | None] = {}
    written = workspace.existing_forms(module) or [_form_wanted(workspace, module)]
    for path in written:
        stub = create.stub_file(workspace.course, module, path.suffix[1:])
        relative = workspace.relative(path)
        contents |= bases.superseded(workspace, module, relative, versions, stub)
        contents[relative] = contents[workspace.relative(workspace.pristine / relative)] = stub
        versions["files"][relative] = {
            "version": workspace.course.version, "modified_by_student": False, "sha256": files.sha256(stub),
        }
    progress.clear(state, module, exported=workspace.export(module).is_file())
    return contents, written


def reset_all(workspace: Workspace) -> Path:
    """Back up the whole state, then forget every completion, result and achievement, as one step; returns the backup.

    Modules, exports, preferences and backups stay.
    """
    with workspace.store.locked():
        done, achieved = workspace.store.read(progress.PROGRESS), workspace.store.read(progress.MILESTONES)
        saved = backups.back_up_state(workspace)
        progress.clear_all(done, achieved, [m for m in workspace.course.modules if workspace.export(m).is_file()])
        transaction.replace(
            workspace, {f".tito/{progress.PROGRESS}": encoded(done), f".tito/{progress.MILESTONES}": encoded(achieved)},
            command="tito reset",
        )
    return saved


def _form_wanted(workspace: Workspace, module: Module) -> Path:
    """Where a module without a working copy gets one: in the form that it started in, else in that of its neighbours."""
    known = [form for form in workspace.forms(module) if (workspace.pristine / workspace.relative(form)).is_file()]
    if known:
        return known[0]
    notebook, script = workspace.forms(module)
    neighbours = [form.suffix for other in workspace.course.modules for form in workspace.existing_forms(other)]
    return script if script.suffix in neighbours else notebook
