"""`tito export`."""
from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tito import opening, render
from tito.group import Command
from tito.options import json_option
from tito.tab import modules

if TYPE_CHECKING:
    from pytest_tinytorch.course.curriculum import Module
    from pytest_tinytorch.workspace.layout import Workspace


@click.command(cls=Command, example="tito export 05\ntito export --all --check")
@click.argument("name", metavar="[NN]", required=False, shell_complete=modules)
@click.option("--all", "every", is_flag=True, help="All modules that are complete.")
@click.option("--check", is_flag=True, help="Only say whether the exports are current; exit 1 if one isn't.")
@click.option("--force", is_flag=True, help="Export code that has not passed its tests. The export says so.")
@json_option
def export(name: str | None, every: bool, check: bool, force: bool, as_json: bool) -> int:
    """Export a module again, or check its export.

    Only code that has passed its module's tests is exported; completing a module does it by itself.
    """
    if (name is None) == (not every):
        raise click.UsageError("Name one module, or use --all: tito export 05")
    if as_json and not check:
        raise click.UsageError("--json goes with --check.")
    workspace = opening.workspace()
    if check:
        return _check(workspace, _wanted(workspace, name), as_json=as_json)
    return _export(workspace, _wanted(workspace, name), force=force)


def _wanted(workspace: Workspace, name: str | None) -> list[Module]:
    from pytest_tinytorch.state import progress

    return progress.recorded(workspace) if name is None else [workspace.course.module(name)]


def _check(workspace: Workspace, modules: list[Module], *, as_json: bool) -> int:
    from pytest_tinytorch import exporting

    found = [exporting.look(workspace, module) for module in modules]
    if as_json:
        render.data([{"number": e.module.number, "path": workspace.relative(e.path), "state": e.state} for e in found])
    for export in () if as_json else found:
        render.say(f"{workspace.relative(export.path)}: {export.state}")
    return 0 if all(export.state == exporting.CURRENT for export in found) else 1


def _export(workspace: Workspace, modules: list[Module], *, force: bool) -> int:
    from pytest_tinytorch.exporting import export_again
    from tinytorch.errors import TinyTorchError

    refused = 0
    for module in modules:
        try:
            path, passed = export_again(workspace, module, force=force)
        except TinyTorchError as error:
            render.error(str(error))
            refused += 1
            continue
        untested = "" if passed else ", though this code has not passed its tests"
        render.say(f"Exported {workspace.relative(path)}{untested}")
    return 1 if refused else 0
