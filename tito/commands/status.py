"""`tito status`."""
from __future__ import annotations

import click

from tito import opening, render
from tito.group import Command
from tito.options import json_option

LOGOS = {"standard": "TinyTorch, written by you", "minimal": "TinyTorch", "none": ""}


@click.command(cls=Command, example="tito status")
@json_option
def status(as_json: bool) -> None:
    """Show where you stand, and what comes next."""
    from pytest_tinytorch.status import status

    workspace = opening.workspace()
    report = status(workspace)
    if not as_json and render.is_colourful():
        from pytest_tinytorch.state import config

        if logo := LOGOS[config.chosen(workspace.store, "logo_theme")]:
            render.say(logo, fg="yellow", bold=True)
    render.status(report, as_json=as_json)
