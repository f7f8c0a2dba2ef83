"""Whether a module or milestone can be worked on, and what happens when work on a module starts."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_tinytorch.course.curriculum import Milestone, Module, as_ranges
from pytest_tinytorch.state import backups, progress
from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace
from pytest_tinytorch.workspace.stubbed import is_begun
from tinytorch.errors import ConfigError, PrerequisiteError, WorkspaceError


@dataclass(frozen=True)
class Started:
    """A module that is ready to be worked on."""

    copy: WorkingCopy
    backups: list[Path]  # of work that was there already


def start(workspace: Workspace, module: Module) -> Started:
    """Check that a module can be worked on, and back up the work that is there.

    Raises: ConfigError, PrerequisiteError or WorkspaceError, and then nothing was written.
    """
    check_here(workspace, module)
    check_needs(workspace, module)
    copy = workspace.working_copy(module)
    saved = backups.backups_of(workspace, module)
    if not is_begun(workspace, module) or (saved and saved[0].path.read_bytes() == copy.data):
        return Started(copy, [])
    return Started(copy, backups.back_up_working_copy(workspace, module))


def check_written(workspace: Workspace, part: Module | Milestone) -> None:
    """Raises: ConfigError if the course has only the title of a module or milestone yet."""
    if not workspace.course.is_written(part):
        raise ConfigError(
            f"{type(part).__name__} {part.label} is planned: version {workspace.course.version} of the course has its "
            "title and not its content yet. A later version may have it."
        )


def check_here(workspace: Workspace, part: Module | Milestone) -> None:
    """Raises: ConfigError if the course has only the title of a module or milestone, WorkspaceError if it is newer than the workspace."""
    check_written(workspace, part)
    if not workspace.has(part):
        raise WorkspaceError(workspace.to_bring_in(part))


def check_needs(workspace: Workspace, part: Module | Milestone) -> None:
    """Raises: PrerequisiteError, with every module that is missing, if `part` is locked."""
    missing = progress.missing_needs(part, {module.number for module in progress.complete(workspace)})
    if not missing:
        return
    names = ", ".join(workspace.course.module(number).label for number in missing)
    raise PrerequisiteError(
        f"{type(part).__name__} {part.label} needs module{'s' if len(missing) > 1 else ''} {as_ranges(missing)} first: "
        f"{names}. Next: tito module start {missing[0]}"
    )
