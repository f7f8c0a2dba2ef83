"""`tito undo`."""
from __future__ import annotations

import click

from tito import opening, render
from tito.group import Command
from tito.options import json_option


@click.command(cls=Command, example="tito undo\ntito undo --list")
@click.option("--list", "lists", is_flag=True, help="Show what can be taken back, newest first, and change nothing.")
@json_option
def undo(lists: bool, as_json: bool) -> int:
    """Take back what the last command changed.

    Another `tito undo` takes back the one before. Work that you have changed since is backed up first.
    """
    from pytest_tinytorch.state import transaction
    from pytest_tinytorch.state.undo import undo as take_back

    workspace = opening.workspace()
    if lists:
        plans = transaction.undoable(workspace)
        if as_json:
            render.data([{"command": p.command, "at": p.at, "paths": [c.path for c in p.changes]} for p in plans])
        elif plans:
            render.table(("command", "at", "files"), [(p.command, p.at, str(len(p.changes))) for p in plans])
        else:
            render.say("There is nothing to take back.")
        return 0
    render.undone(workspace, take_back(workspace), as_json=as_json)
    return 0
