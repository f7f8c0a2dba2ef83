"""`tito milestone ...`."""
from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tito import opening, render
from tito.group import Group
from tito.options import json_option, pytest_arguments
from tito.tab import milestones

if TYPE_CHECKING:
    from pytest_tinytorch.course.curriculum import Milestone
    from pytest_tinytorch.workspace.layout import Workspace

name_argument = click.argument("name", metavar="ID", shell_complete=milestones)


@click.group(cls=Group, example="tito milestone run 03")
def milestone() -> None:
    """Run history's results on your package. ID is a number or a name: 03, 3 or mlp."""


def _opened(name: str) -> tuple[Workspace, Milestone]:
    workspace = opening.workspace()
    return workspace, workspace.course.milestone(name)


@milestone.command("list", example="tito milestone list")
@json_option
def list_milestones(as_json: bool) -> None:
    """List the milestones: goal, needs and state."""
    from pytest_tinytorch.course.curriculum import as_ranges
    from pytest_tinytorch.status import status
    from pytest_tinytorch.views import milestone_row

    rows = status(opening.workspace()).milestones
    if as_json:
        render.data([milestone_row(row) for row in rows])
        return
    render.table(
        ("milestone", "state", "needs", "goal"),
        [(row.part.label, row.dated_state, as_ranges(row.part.needs), row.part.goal) for row in rows],
    )


@milestone.command("status", example="tito milestone status")
@json_option
def show_status(as_json: bool) -> None:
    """Show what is achieved, and what the rest needs."""
    from pytest_tinytorch.status import status
    from pytest_tinytorch.views import milestone_lines, milestone_row

    report = status(opening.workspace())
    if as_json:
        counts = {name: value for name, value in report.as_json().items() if name.startswith("milestones_")}
        render.data(counts | {"milestones": [milestone_row(row) for row in report.milestones]})
        return
    render.panel("TinyTorch Milestones", milestone_lines(report))


@milestone.command(example="tito milestone info 03")
@name_argument
@json_option
def info(name: str, as_json: bool) -> None:
    """Show a milestone's goal, needs and attempts."""
    from pytest_tinytorch.status import status
    from pytest_tinytorch.views import milestone_facts, milestone_row

    workspace, milestone = _opened(name)
    row = next(row for row in status(workspace).milestones if row.part == milestone)
    if as_json:
        render.data(milestone_row(row))
        return
    render.panel(f"Milestone {milestone.label}", milestone_facts(row))


@milestone.command(example="tito milestone run 03")
@name_argument
@click.option("--working-copy", is_flag=True, help="Run it on what you are writing, not on your exports. Records nothing.")
@pytest_arguments
def run(name: str, working_copy: bool, arguments: tuple[str, ...]) -> int:
    """Run a milestone on your package.

    It is achieved if all its checks pass. What follows `--` goes to pytest.
    """
    from pytest_tinytorch.starting import check_here, check_needs
    from tito import running

    workspace, milestone = _opened(name)
    check_here(workspace, milestone)
    if working_copy:
        return running.run(workspace, "try", milestone, arguments)
    check_needs(workspace, milestone)
    return running.complete(workspace, milestone, arguments)
