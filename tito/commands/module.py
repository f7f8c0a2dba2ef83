"""`tito module ...`."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tito import opening, render
from tito.group import Group
from tito.options import json_option, pytest_arguments

if TYPE_CHECKING:
    from pytest_tinytorch.course.curriculum import Module
    from pytest_tinytorch.workspace.layout import Workspace

name_argument = click.argument("name", metavar="NN")


@click.group(cls=Group, example="tito module start 05")
def module() -> None:
    """Build the modules of the course. NN is a number or a name: 05, 5, dataloader or data."""


def _opened(name: str) -> tuple[Workspace, Module]:
    workspace = opening.workspace()
    return workspace, workspace.course.module(name)


@module.command("list", example="tito module list")
@json_option
def list_modules(as_json: bool) -> None:
    """List the modules: goal, needs and state."""
    from pytest_tinytorch.course.curriculum import as_ranges
    from pytest_tinytorch.status import status
    from pytest_tinytorch.views import module_row

    rows = status(opening.workspace()).modules
    if as_json:
        render.data([module_row(row) for row in rows])
        return
    render.table(
        ("module", "state", "needs", "goal"),
        [(row.part.label, row.dated_state, as_ranges(row.part.needs) or "-", row.part.goal) for row in rows],
    )


@module.command("status", example="tito module status --json")
@json_option
def show_status(as_json: bool) -> None:
    """Show where you stand, and what comes next.

    The same report as `pytest --tito-status`.
    """
    from pytest_tinytorch.status import status

    render.status(status(opening.workspace()), as_json=as_json)


@module.command(example="tito module start 05")
@name_argument
def start(name: str) -> None:
    """Begin or go on with a module.

    Checks what it needs, backs up your work, and names the file and the commands.
    """
    from pytest_tinytorch import starting

    workspace, module = _opened(name)
    started = starting.start(workspace, module)
    opening.tell_of_two_forms(workspace, started.copy)
    file = workspace.relative(started.copy.path)
    render.say(f"Module {module.label}: {module.goal}.", bold=True)
    _say_saved(workspace, started.backups)
    render.say()
    render.say(f"  edit it      {file}")
    if started.copy.path.suffix == ".ipynb":
        render.say(f"               in your editor, or with: jupyter lab {file}")
    render.say(f"  test it      pytest -m {module.marker}")
    render.say(f"  complete it  pytest -m {module.marker} --tito-complete")


@module.command(example="tito module view 05")
@name_argument
@json_option
def view(name: str, as_json: bool) -> None:
    """Show a module's exercises, tests and state."""
    from pytest_tinytorch.views import module_facts, module_view

    workspace, module = _opened(name)
    seen = module_view(workspace, module)
    if as_json:
        render.data(seen)
        return
    render.panel(f"Module {module.label}", module_facts(seen))
    if seen["exercises"]:
        render.say()
        render.table(
            ("exercise", "points", "task"), [(e["name"], str(e["points"]), e["task"]) for e in seen["exercises"]]
        )


@module.command(example="tito module test 05\ntito module test 05 -- -x -k shuffle")
@name_argument
@pytest_arguments
def test(name: str, arguments: tuple[str, ...]) -> int:
    """Test what you have written. What follows `--` goes to pytest."""
    from tito import running

    workspace, module = _opened(name)
    return running.run(workspace, "test", module, arguments)


@module.command(example="tito module watch 05")
@name_argument
def watch(name: str) -> int:
    """Test a module whenever you save it.

    Shows the verdict, and the failure to look at first. Ends with q or Ctrl-C; it completes nothing by itself.
    """
    from pytest_tinytorch.starting import check_written

    workspace, module = _opened(name)
    check_written(workspace, module)
    from tito import watch as watching

    return watching.watch(workspace, module)


@module.command(example="tito module complete 05")
@name_argument
@pytest_arguments
def complete(name: str, arguments: tuple[str, ...]) -> int:
    """Test a module, export it and record it.

    If all of it passes, your work is backed up and exported into your package. What follows `--` goes to pytest.
    """
    from tito import running

    return running.complete(*_opened(name), arguments)


@module.command(example="tito module reset 05")
@name_argument
@click.option("--yes", is_flag=True, help="Back up and reset without asking.")
def reset(name: str, yes: bool) -> int:
    """Start a module over, after a backup.

    Backs up your work, then puts the course's version in its place. Clears this module's completion and no other. Your export stays.
    """
    from pytest_tinytorch.reset import reset_module
    from pytest_tinytorch.starting import check_written
    from tito.dialogs import reset_is_wanted

    workspace, module = _opened(name)
    check_written(workspace, module)
    if not yes and not reset_is_wanted(workspace, module):
        return 1
    done = reset_module(workspace, module)
    _say_saved(workspace, done.backups)
    for path in done.written:
        render.say(f"Reset {workspace.relative(path)} to version {done.version}")
    if done.was_complete:
        render.say(f"Module {module.number} is no longer recorded as complete; its export stays until you complete it again.")
    render.say()
    render.say("Reset Complete!", bold=True)
    render.say()
    render.say(f"You're ready to start fresh on Module {module.number}.")
    render.say(f"Run: tito module start {module.number}")
    return 0


@module.command(example="tito module solution 05")
@name_argument
@click.option("--give-up", is_flag=True, help="Show it before the module is complete.")
@click.option("--yes", is_flag=True, help="With --give-up: don't ask.")
def solution(name: str, give_up: bool, yes: bool) -> int:
    """Show the course's solution, once yours is complete."""
    from pytest_tinytorch.course import stubs
    from pytest_tinytorch.starting import check_written
    from pytest_tinytorch.state import progress
    from tito.dialogs import confirmed

    workspace, module = _opened(name)
    check_written(workspace, module)
    if module not in progress.complete(workspace):
        if not give_up:
            render.error(
                f"Module {module.label} isn't complete yet; the solution is shown when it is. "
                f"To see it all the same: tito module solution {module.number} --give-up"
            )
            return 1
        if not yes and not confirmed("The solution ends what you can find out by yourself. Show it?", otherwise="--give-up --yes"):
            return 1
    render.code(stubs.solution(workspace.course.source(module).read_text("utf-8")))
    return 0


@module.command(example="tito module diff 05")
@name_argument
def diff(name: str) -> None:
    """Show what you changed since you started.

    Sources are compared, cell by cell; outputs are not.
    """
    from pytest_tinytorch.starting import check_written
    from pytest_tinytorch.workspace import changes

    workspace, module = _opened(name)
    check_written(workspace, module)
    copy = workspace.working_copy(module)
    opening.tell_of_two_forms(workspace, copy)
    before, cells = changes.started_from(workspace, module)
    render.diff(changes.diff(cells, copy.cells, names=(before, copy.path.name)) or [f"{copy.path.name} is as you started."])


@module.command(example="tito module convert 05 --to py")
@name_argument
@click.option("--to", "form", type=click.Choice(("py", "ipynb")), required=True, help="The form you want.")
def convert(name: str, form: str) -> None:
    """Turn a notebook into a Python file, or back.

    The old form is backed up, then removed.
    """
    from pytest_tinytorch.starting import check_written
    from pytest_tinytorch.workspace.conversion import convert_module

    workspace, module = _opened(name)
    check_written(workspace, module)
    done = convert_module(workspace, module, form)
    if not done.changed:
        render.say(f"{workspace.relative(done.path)} is what the module has already.")
        return
    _say_saved(workspace, done.backups)
    render.say(f"Wrote {workspace.relative(done.path)}, removed {', '.join(map(workspace.relative, done.removed))}")
    if done.dropped:
        render.say(f"Not kept, but in the backup: {', '.join(done.dropped)}")


def _say_saved(workspace: Workspace, paths: list[Path]) -> None:
    for path in paths:
        render.say(f"Backed up to {workspace.relative(path)}")
