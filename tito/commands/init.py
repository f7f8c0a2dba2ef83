"""`tito init`."""
from __future__ import annotations

import shlex
from pathlib import Path

import click

from pytest_tinytorch.course import curriculum
from pytest_tinytorch.course.curriculum import as_ranges
from pytest_tinytorch.workspace.layout import FORMATS
from tito import render
from tito.group import Command


@click.command(cls=Command, example="tito init my-tinytorch --format py")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, help="What you write in: notebooks or Python files.")
def init(directory: Path, form: str) -> None:
    """Make a workspace in DIR, which may be new.

    Files that exist are never overwritten.
    """
    from pytest_tinytorch.workspace.create import create

    course = curriculum.load()
    workspace = create(directory, course, format=form)
    written = [module.number for module in course.modules if course.is_written(module)]
    render.say(f"Your workspace is {workspace.root}", bold=True)
    render.say(f"It has modules {as_ranges(written)} of the course, version {course.version}.")
    render.say("\nNext:")
    if workspace.root != Path.cwd():
        render.say(f"  cd {shlex.quote(str(directory))}")
    render.say("  tito status")
