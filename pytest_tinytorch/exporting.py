"""Exports apart from completing: whether one is current, and making it again for code that has passed its tests."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.starting import check_written
from pytest_tinytorch.state import progress
from pytest_tinytorch.workspace.export import is_current, is_untouched, place, write_export
from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace
from tinytorch.errors import ExportError, TinyTorchError

CURRENT, OLDER, EDITED, MISSING, UNREADABLE = (
    "current", "older than the working copy", "edited by hand", "missing", "the working copy can't be read"
)


@dataclass(frozen=True)
class Export:
    """The export of one module, as it lies there."""

    module: Module
    path: Path
    state: str


def look(workspace: Workspace, module: Module) -> Export:
    """Whether a module's export holds what its working copy says."""
    path = workspace.export(module)
    if not path.is_file():
        return Export(module, path, MISSING)
    if not is_untouched(path):
        return Export(module, path, EDITED)
    try:
        current = is_current(workspace, workspace.working_copy(module))
    except TinyTorchError:
        return Export(module, path, UNREADABLE)
    return Export(module, path, CURRENT if current else OLDER)


def export_again(workspace: Workspace, module: Module, *, force: bool) -> tuple[Path, bool]:
    """Export a module's working copy; returns the export and whether its code has passed the module's tests.

    Raises: ExportError if it hasn't, unless `force`.
    """
    check_written(workspace, module)
    with workspace.store.locked():
        copy = workspace.working_copy(module)
        passed = has_passed(workspace, copy)
        if copy.conflicts and not force:
            first = copy.conflicts[0]
            raise ExportError(f"Module {module.label} is not exported: {first.unsettled(place(workspace, copy, first, 1))}.")
        if not passed and not force:
            raise ExportError(
                f"Module {module.label} is not exported: {workspace.relative(copy.path)} is not the code that last passed its "
                f"tests. Test and export it: tito module complete {module.number}. Or export it as it is: "
                f"tito export {module.number} --force"
            )
        return write_export(workspace, copy, passed=passed, command=f"tito export {module.number}"), passed


def has_passed(workspace: Workspace, copy: WorkingCopy) -> bool:
    """Whether the newest run of all the module's tests was on this code, and passed."""
    result = workspace.store.read(progress.PROGRESS).get("results", {}).get(copy.module.key, {})
    return result.get("outcome") == "passed" and result.get("code") == copy.code_hash
