"""`tito backup ...`."""
from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tito import opening, render, tab
from tito.group import Group
from tito.options import json_option

if TYPE_CHECKING:
    from pytest_tinytorch.course.curriculum import Module
    from pytest_tinytorch.workspace.layout import Workspace

module_argument = click.argument("module_name", metavar="NN", shell_complete=tab.modules)
backup_argument = click.argument("name", metavar="[NAME]", required=False, shell_complete=tab.backups)


@click.group(cls=Group, example="tito backup list 05")
def backup() -> None:
    """Look at the backups of your work, bring one back.

    NAME is a backup's file name or its time, 20251116_143000; without one it is the newest.
    """


def _opened(module_name: str) -> tuple[Workspace, Module]:
    workspace = opening.workspace()
    return workspace, workspace.course.module(module_name)


@backup.command("list", example="tito backup list 05")
@click.argument("module_name", metavar="[NN]", required=False, shell_complete=tab.modules)
@json_option
def list_backups(module_name: str | None, as_json: bool) -> None:
    """List backups, newest first.

    Those of one module, or of all modules and of the whole state.
    """
    from pytest_tinytorch.state import backups

    workspace = opening.workspace()
    found = backups.backups_of(workspace, workspace.course.module(module_name) if module_name else None)
    whole = [] if module_name else backups.whole_backups(workspace)
    if as_json:
        render.data({
            "backups": [{"path": workspace.relative(b.path), "module": b.folder, "made": b.made.isoformat()} for b in found],
            "whole_state": [workspace.relative(path) for path in whole],
        })
    elif not found and not whole:
        render.say("There are no backups yet. One is made when you start, reset, convert or complete a module.")
    else:
        rows = [(b.path.name, f"{b.made:%Y-%m-%d %H:%M:%S}", f"{b.path.stat().st_size / 1024:.1f} KB") for b in found]
        render.table(("backup", "made", "size"), rows + [(path.name, "whole state", "") for path in whole])


@backup.command(example="tito backup diff 05")
@module_argument
@backup_argument
def diff(module_name: str, name: str | None) -> None:
    """Show what changed since a backup."""
    from pytest_tinytorch import restoring

    render.diff(restoring.diff(*_opened(module_name), name) or ["Nothing changed since this backup."])


@backup.command(example="tito backup restore 05 20251116_143000")
@module_argument
@backup_argument
def restore(module_name: str, name: str | None) -> None:
    """Put a backup in the place of your work.

    What is there now is backed up first. What is recorded stays.
    """
    from pytest_tinytorch import restoring

    workspace, module = _opened(module_name)
    done = restoring.restore(workspace, module, name)
    for path in done.backups:
        render.say(f"Backed up what was there to {workspace.relative(path)}")
    for path in done.written:
        render.say(f"Restored {workspace.relative(path)}", bold=True)
    for path in done.removed:
        render.say(f"Removed {workspace.relative(path)}, which the backup does not have")
    render.say(f"Test it: pytest -m {module.marker}")
