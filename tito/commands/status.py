"""`tito status`."""
from __future__ import annotations

import click

from tito import render
from tito.group import Command
from tito.options import json_option

LOGOS = {"standard": "TinyTorch, written by you", "minimal": "TinyTorch", "none": ""}


@click.command(cls=Command, example="tito status\ntito status --prompt")
@click.option("--prompt", "as_prompt", is_flag=True, help="Print a few words for your shell's prompt; nothing outside of a workspace.")
@json_option
def status(as_prompt: bool, as_json: bool) -> None:
    """Show where you stand, and what comes next."""
    if as_prompt and as_json:
        raise click.UsageError("--prompt and --json are two forms of the report: use one.")
    if as_prompt:
        render.exact(_prompt())
        return
    from pytest_tinytorch.status import status
    from tito import opening

    workspace = opening.workspace()
    report = status(workspace)
    if not as_json and render.is_colourful():
        from pytest_tinytorch.state import config

        if logo := LOGOS[config.chosen(workspace.store, "logo_theme")]:
            render.say(logo, fg="yellow", bold=True)
    render.status(report, as_json=as_json)


def _prompt() -> str:
    """What stands in a prompt. It ends without a newline, and imports and reads as little as it can; it writes nothing."""
    from pytest_tinytorch.status import status
    from pytest_tinytorch.workspace.layout import find

    try:
        workspace = find()
        return status(workspace).prompt if workspace else ""
    except Exception:  # a prompt is no place for an error; every other command tells it
        return "tt ?"
