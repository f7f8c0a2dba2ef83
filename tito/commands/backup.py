"""`tito backup ...`."""
from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tito import opening, render, tab
from tito.dialogs import confirmed
from tito.group import Group
from tito.options import json_option

if TYPE_CHECKING:
    from pathlib import Path

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
            "backups": [
                {"path": workspace.relative(b.path), "module": b.folder, "made": b.made.isoformat(), "size": backups.size(b.path)}
                for b in found
            ],
            "whole_state": [{"path": workspace.relative(path), "size": backups.size(path)} for path in whole],
        })
    elif not found and not whole:
        render.say("There are no backups yet. One is made when you start, reset, convert or complete a module.")
    else:
        rows = [(b.path.name, f"{b.made:%Y-%m-%d %H:%M:%S}", render.size(backups.size(b.path))) for b in found]
        rows += [(path.name, "whole state", render.size(backups.size(path))) for path in whole]
        render.table(("backup", "made", "size"), rows)


@backup.command(example="tito backup prune --dry-run\ntito backup prune --yes")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@json_option
def prune(dry_run: bool, yes: bool, as_json: bool) -> int:
    """Delete old backups, after a question.

    Of each module the newest 10 stay and all that are younger than 30 days; of the whole state the newest 5 stay.
    """
    from pytest_tinytorch.state import backups

    if as_json and not (dry_run or yes):
        raise click.UsageError("--json can't ask; add --dry-run or --yes.")
    workspace = opening.workspace()
    old = [*backups.stale(workspace), *backups.stale_whole(workspace)]
    every = [*(b.path for b in backups.backups_of(workspace)), *backups.whole_backups(workspace)]
    sizes = {path: backups.size(path) for path in every}
    kept = [path for path in every if path not in old]
    delete = bool(old) and not dry_run
    if not as_json:
        _say_prunable(workspace, {path: sizes[path] for path in old}, {path: sizes[path] for path in kept})
    if delete and not yes and not confirmed(f"Delete {_counted(len(old))}?", otherwise="tito backup prune --yes"):
        return 1
    deleted = backups.delete(workspace, old) if delete else []
    if as_json:
        render.data({
            "old": [{"path": workspace.relative(path), "size": sizes[path]} for path in old],
            "kept": {"count": len(kept), "size": sum(sizes[path] for path in kept)},
            "deleted": [workspace.relative(path) for path in deleted],
        })
    elif delete:
        render.say(f"Deleted {_counted(len(deleted))}, {render.size(sum(sizes[path] for path in deleted))}.", bold=True)
    return 0


def _say_prunable(workspace: Workspace, old: dict[Path, int], kept: dict[Path, int]) -> None:
    if old:
        render.table(("old backup", "size"), [(workspace.relative(path), render.size(size)) for path, size in old.items()])
        render.say()
    else:
        render.say("There is nothing to delete: the newest 10 of each module stay, all that are younger than 30 days, and the newest 5 of the whole state.")
    render.say(f"Kept: {_counted(len(kept))}, {render.size(sum(kept.values()))}.")


def _counted(count: int) -> str:
    return f"{count} backup{'' if count == 1 else 's'}"


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
