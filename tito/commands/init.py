"""`tito init`."""
from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from pytest_tinytorch.course import curriculum
from pytest_tinytorch.course.curriculum import COURSE_FILE, TEMPLATES_VARIABLE, as_ranges
from pytest_tinytorch.workspace.layout import FORMATS, Workspace
from tito import render
from tito.group import Command


@click.command(cls=Command, example="tito init my-tinytorch --format py\ntito init my-tinytorch --modules 1-8\ntito init my-tinytorch --config course.yml")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, help="What you write in: notebooks or Python files.")
@click.option("--modules", metavar="LIST", help="Only these modules of the course: 1-8, or 1-6,8.")
@click.option("--config", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="An instructor's course.yml.")
def init(directory: Path, form: str, modules: str | None, config: Path | None) -> None:
    """Make a workspace in DIR, which may be new.

    Files that exist are never overwritten. A course.yml in DIR is used as --config is.
    """
    if modules is not None and config is not None:
        raise click.UsageError("--modules and --config both say which modules there are: use one of them.")
    workspace = _made(directory, form, modules, config)
    course = workspace.course
    written = [module.number for module in course.modules if course.is_written(module)]
    render.say(f"Your workspace is {workspace.root}", bold=True)
    render.say(f"It has modules {as_ranges(written)} of {course.title or 'the course'}, version {course.version}.")
    if folder := os.environ.get(TEMPLATES_VARIABLE):
        render.say(f"The course is that in {folder}; commands find it if {TEMPLATES_VARIABLE} or --templates names it.")
    render.say("\nNext:")
    if workspace.root != Path.cwd():
        render.say(f"  cd {shlex.quote(str(directory))}")
    render.say("  tito status")


def _made(directory: Path, form: str, modules: str | None, config: Path | None) -> Workspace:
    from pytest_tinytorch.workspace import create, handout
    from tinytorch._overlay import named_folder

    course = curriculum.load()
    here = named_folder(str(directory)) / COURSE_FILE
    if modules is not None:
        return handout.hand_out_modules(directory, course, modules, format=form)
    if config is not None or here.is_file():
        return handout.hand_out(directory, course, config or here, format=form)
    return create.create(directory, course, format=form)
