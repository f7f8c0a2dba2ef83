"""`tito system ...`."""
from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tito import opening, render
from tito.group import Group
from tito.options import json_option

if TYPE_CHECKING:
    from pytest_tinytorch.health.check import Check

_MARKS = {"good": "ok", "note": "note", "fault": "FAULT"}


@click.group(cls=Group, example="tito system health")
def system() -> None:
    """Check the installation and the workspace."""


@system.command(example="tito system health --repair")
@click.option("--repair", is_flag=True, help="Set broken state files aside and bring back what can be proved. Deletes nothing.")
@json_option
def health(repair: bool, as_json: bool) -> int:
    """Check the installation and this workspace.

    Is everything there, readable and what it claims to be? Exits 1 on a fault.
    """
    from pytest_tinytorch import health as room

    workspace = opening.workspace()
    repairs: list[str] = []
    if repair:
        from pytest_tinytorch.health.repair import repair as put_right

        repairs = put_right(workspace) or ["There was nothing to repair."]
    found = room.health(workspace)
    healthy = room.is_healthy(found)
    if as_json:
        render.data({"healthy": healthy, "repairs": repairs, "checks": [asdict(check) for check in found]})
    else:
        for sentence in repairs:
            render.say(sentence)
        render.panel("TinyTorch System Check", [line for check in found for line in _lines(check)])
        render.say()
        render.say("All systems ready!" if healthy else "There are faults; what to do stands below each.", bold=True)
    return 0 if healthy else 1


def _lines(check: Check) -> list[str]:
    first, *others = [line for text in (check.text, check.fix) if text for line in text.splitlines()]
    width = max(map(len, _MARKS.values()))
    return [f"{_MARKS[check.state]:<{width}} {first}", *(f"{'':{width}} {line}" for line in others)]


@system.command(example="tito system info")
@json_option
def info(as_json: bool) -> None:
    """Show versions and places, for a bug report."""
    from pytest_tinytorch.views import system_facts
    from pytest_tinytorch.workspace.layout import find

    facts = system_facts(find())
    if as_json:
        render.data(facts)
        return
    render.panel("TinyTorch", render.aligned([(f"{name}:", str(value)) for name, value in facts.items()]))
