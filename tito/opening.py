"""What every command does first."""
from __future__ import annotations

from pytest_tinytorch.state.recovery import recover
from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace, current
from tito import render


def workspace() -> Workspace:
    """The workspace of this command, made whole; what that took is told on standard error.

    Raises: WorkspaceError outside of one.
    """
    here = current()
    for notice in recover(here):
        render.notice(notice)
    return here


def tell_of_two_forms(workspace: Workspace, copy: WorkingCopy) -> None:
    """Say so if a notebook and a script of a module differ."""
    if copy.older:
        render.notice(f"{workspace.relative(copy.older)} differs from {copy.path.name}, which is newer and is used.")
