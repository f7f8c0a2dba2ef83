"""`tito module ...`."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tito import opening, render
from tito.group import Group
from tito.options import json_option, pytest_arguments
from tito.tab import modules

if TYPE_CHECKING:
    from pytest_tinytorch.course.curriculum import Module
    from pytest_tinytorch.editors import Editor
    from pytest_tinytorch.hinting import Given
    from pytest_tinytorch.workspace.layout import Workspace

name_argument = click.argument("name", metavar="NN", shell_complete=modules)


@click.group(cls=Group, example="tito module start 05")
def module() -> None:
    """Build the modules of the course. NN is a number or a name: 05, 5, dataloader or data."""


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
    columns = {
        "module": [row.part.label for row in rows],
        "state": [row.dated_state for row in rows],
        "points": ["" if row.points is None else str(row.points) for row in rows],
        "due": [row.due_text for row in rows],
        "needs": [as_ranges(row.part.needs) or "-" for row in rows],
        "goal": [row.part.goal for row in rows],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}  # points and dates are an instructor's to give
    render.table(list(shown), list(zip(*shown.values(), strict=True)))


@module.command("status", example="tito module status --json")
@json_option
def show_status(as_json: bool) -> None:
    """Show where you stand, and what comes next.

    The same report as `pytest --tito-status`.
    """
    from pytest_tinytorch.status import status

    render.status(status(opening.workspace()), as_json=as_json)


@module.command(example="tito module start 05\ntito module start 05 --open")
@name_argument
@click.option("--open/--no-open", "is_opened", default=None, help="Open the file, or don't, whatever the preference `editor` is.")
def start(name: str, is_opened: bool | None) -> int:
    """Begin or go on with a module.

    Checks what it needs, backs up your work, and names the file and the commands. Opens the file if you have chosen
    an editor: tito config set editor vscode
    """
    from pytest_tinytorch import starting

    workspace, module = opening.module_workspace(name)
    editor = _editor(workspace, is_opened)
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
    if editor is None:
        return 0
    from tito import running

    return running.edit(workspace, editor, started.copy.path)


def _editor(workspace: Workspace, is_opened: bool | None) -> Editor | None:
    """The editor to open a module with, if it is to be opened: by default where somebody sees it and has chosen one."""
    if is_opened is False or (is_opened is None and not render.is_interactive()):
        return None
    from pytest_tinytorch import editors
    from pytest_tinytorch.state import config
    from tinytorch.errors import ConfigError

    choice = config.chosen(workspace.store, "editor")
    if choice == editors.NONE and is_opened is None:
        return None
    editor = editors.find(choice)
    if editor.waits and not render.is_interactive():
        raise ConfigError(f"{editor.command} needs a terminal, and there is none here: leave out --open.")
    return editor


@module.command(example="tito module view 05")
@name_argument
@json_option
def view(name: str, as_json: bool) -> None:
    """Show a module's exercises, tests and state."""
    from pytest_tinytorch.views import module_facts, module_view

    workspace, module = opening.module_workspace(name)
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

    workspace, module = opening.module_workspace(name)
    return running.run(workspace, "test", module, arguments)


@module.command(example="tito module watch 05")
@name_argument
def watch(name: str) -> int:
    """Test a module whenever you save it.

    Shows the verdict, and the failure to look at first. Ends with q or Ctrl-C; it completes nothing by itself.
    """
    from pytest_tinytorch.starting import check_here

    workspace, module = opening.module_workspace(name)
    check_here(workspace, module)
    from tito.watch import watch_module

    return watch_module(workspace, module)


@module.command(example="tito module complete 05")
@name_argument
@pytest_arguments
def complete(name: str, arguments: tuple[str, ...]) -> int:
    """Test a module, export it and record it.

    If all of it passes, your work is backed up and exported into your package. What follows `--` goes to pytest.
    """
    from tito import running

    return running.complete(*opening.module_workspace(name), arguments)


@module.command(example="tito module hint 05\ntito module hint 05 --again")
@name_argument
@click.option("--again", is_flag=True, help="Show the hints that you have seen, and no new one.")
@json_option
def hint(name: str, again: bool, as_json: bool) -> int:
    """Give the next hint for the first test that fails.

    Runs the tests and chooses the failure to look at first, as `tito module watch` does. Its hints come one at a time, from general to specific.
    """
    from pytest_tinytorch import hinting
    from pytest_tinytorch.completion import way_on
    from pytest_tinytorch.starting import check_here
    from tito import running

    workspace, module = opening.module_workspace(name)
    check_here(workspace, module)
    found = running.look(workspace, module, quiet=as_json)
    first = next(map(hinting.Failed.read, found["failures"]), None)
    given = hinting.give(workspace, module, first, again=again) if first else None
    reasons = found["not_passed"].get(module.marker, [])
    if as_json:
        render.data(hinting.as_json(module, given, reasons))
    elif given:
        _say_hints(workspace, module, given, again=again)
    elif reasons:
        render.error(f"No test of {module.label} failed, but: {'; '.join(reasons)}. See: tito module test {module.number}")
    else:
        render.say(
            way_on(workspace, module) or f"All tests of {module.label} pass. To complete it: tito module complete {module.number}"
        )
    return 0 if (given.hints if given else not reasons) else 1


def _say_hints(workspace: Workspace, module: Module, given: Given, *, again: bool) -> None:
    from pytest_tinytorch.course import stubs

    render.say(f"First failing test: {given.failed.test}")
    for number, hint in given.hints:
        render.say(f"\nHint {number} of {given.of}", bold=True)
        render.say(f"\n{hint.text}")
    if not given.failed.to_work_on:
        return  # a module that can't be imported: there is no more to say
    render.say()
    if given.shown < given.of:
        none = "No hint for it was shown yet. " if again and not given.hints else ""
        render.say(f"{none}The next one: tito module hint {module.number}")
        return
    render.say(f"There are no more hints for it. To see them again: tito module hint {module.number} --again")
    render.say(f"  what you changed:  tito module diff {module.number}")
    if stubs.tells(workspace.course.source(module).read_text("utf-8")):
        render.say(f"  the solution:      tito module solution {module.number} --give-up")


@module.command(example="tito module reset 05")
@name_argument
@click.option("--yes", is_flag=True, help="Back up and reset without asking.")
def reset(name: str, yes: bool) -> int:
    """Start a module over, after a backup.

    Backs up your work, then puts the course's version in its place. Clears this module's completion and no other. Your export stays.
    """
    from pytest_tinytorch.reset import reset_module
    from pytest_tinytorch.starting import check_here
    from tito.dialogs import reset_is_wanted

    workspace, module = opening.module_workspace(name)
    check_here(workspace, module)
    if not yes and not reset_is_wanted(workspace, module, command=f"tito module reset {module.number}"):
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
    from pytest_tinytorch.starting import check_here
    from pytest_tinytorch.state import progress
    from tito.dialogs import confirmed

    workspace, module = opening.module_workspace(name)
    check_here(workspace, module)
    source = workspace.course.source(module).read_text("utf-8")
    if not stubs.tells(source):
        render.error(f"Module {module.label} is your instructor's own, and its solution is not in this workspace.")
        return 1
    if module not in progress.complete(workspace):
        if not give_up:
            render.error(
                f"Module {module.label} isn't complete yet; the solution is shown when it is. "
                f"To see it all the same: tito module solution {module.number} --give-up"
            )
            return 1
        if not yes and not confirmed("The solution ends what you can find out by yourself. Show it?", otherwise="--give-up --yes"):
            return 1
    render.code(stubs.solution(source))
    return 0


@module.command(example="tito module diff 05")
@name_argument
def diff(name: str) -> None:
    """Show what you changed since you started.

    Sources are compared, cell by cell; outputs are not.
    """
    from pytest_tinytorch.starting import check_here
    from pytest_tinytorch.workspace import changes

    workspace, module = opening.module_workspace(name)
    check_here(workspace, module)
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
    from pytest_tinytorch.starting import check_here
    from pytest_tinytorch.workspace.conversion import convert_module

    workspace, module = opening.module_workspace(name)
    check_here(workspace, module)
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
