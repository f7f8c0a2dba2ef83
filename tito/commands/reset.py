"""`tito reset`."""
from __future__ import annotations

import click

from tito import opening, render
from tito.group import Command


@click.command(cls=Command, example="tito reset")
@click.option("--yes", is_flag=True, help="Don't ask.")
def reset(yes: bool) -> int:
    """Forget all progress, after a backup.

    The whole state is backed up first. Your modules and your package stay as they are.
    """
    from pytest_tinytorch.reset import reset_all
    from tito.dialogs import confirmed

    workspace = opening.workspace()
    if not yes:
        render.say("Warning: This will reset all progress: every completion, result and achievement.", bold=True)
        render.say("The whole of .tito/ is backed up first. Your code in modules/ and tinytorch/ is not touched.")
        if not confirmed("Continue?", otherwise="tito reset --yes"):
            return 1
    saved = workspace.relative(reset_all(workspace))
    render.say(f"Backed up .tito/ to {saved}")
    render.say("Reset Complete!", bold=True)
    render.say("To take it back at once: tito undo")
    render.say(f"To take it back: cp {saved}/.tito/progress.json {saved}/.tito/milestones.json .tito/")
    return 0
