"""`tito doctor`."""
from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinytorch.errors import TinyTorchError
from tito import opening, render
from tito.group import Command
from tito.options import json_option

if TYPE_CHECKING:
    from pytest_tinytorch.health.check import Check
    from pytest_tinytorch.workspace.layout import Workspace

_MARKS = {"fault": ("FAULT", "red"), "note": ("note", "yellow"), "good": ("ok", "green")}
_MARGIN = 7  # columns before the text: the longest mark and two blanks


@click.command(cls=Command, example="tito doctor\ntito doctor --repair")
@click.option("--repair", is_flag=True, help="Bring back what can be proved, remove what killed runs left. Never deletes work.")
@json_option
def doctor(repair: bool, as_json: bool) -> int:
    """Find out what is wrong, and what to do.

    Looks at Python, its packages, pytest, Jupyter and the machine, and in a workspace at all that `tito system health`
    checks, at your modules, the folder, and what runs left behind. Exits 1 on a fault.
    """
    from pytest_tinytorch import health
    from pytest_tinytorch.health.check import FAULT, Check

    patient = opening.for_a_doctor()
    repairs: list[str] = []
    failure = ""
    if repair:
        try:
            repairs = _repaired(patient) or ["There was nothing to repair."]
        except (TinyTorchError, ImportError) as failed:
            failure = str(failed)
        else:
            patient = opening.for_a_doctor()
    workspace = patient.workspace
    groups = health.doctor(workspace, knows_course=patient.knows_course)
    if error := failure or patient.error:
        groups = {"Workspace": [Check(FAULT, error)], **groups}
    healthy = health.is_healthy(check for found in groups.values() for check in found)
    if as_json:
        render.data({
            "healthy": healthy,
            "python": sys.executable,
            "workspace": str(workspace.root) if workspace else None,
            "repairs": repairs,
            "checks": [{"group": group, **asdict(check)} for group, found in groups.items() for check in found],
        })
    else:
        _say(workspace, repairs, groups)
    return 0 if healthy else 1


def _repaired(patient: opening.Patient) -> list[str]:
    from pytest_tinytorch.health import leftovers, repair

    if patient.workspace and not patient.knows_course and (brought_back := repair.bring_back_course(patient.workspace)):
        return [*brought_back, *_repaired(opening.for_a_doctor())]
    if patient.error and patient.workspace and (aside := repair.set_aside_plans(patient.workspace)):
        return [*aside, *_repaired(opening.for_a_doctor())]
    workspace = None if patient.error else patient.workspace
    return [*_brought_over(workspace), *(repair.repair(workspace) if workspace else ()), *leftovers.remove(workspace)]


def _brought_over(workspace: Workspace | None) -> list[str]:
    """Bring over what is there of the older layout; what was done, in sentences."""
    from pytest_tinytorch.course import curriculum
    from pytest_tinytorch.update import older

    folder = workspace.root if workspace and older.signs(workspace) else None if workspace else older.find(Path.cwd())
    return older.migrate(folder, curriculum.load()).said if folder else []


def _say(workspace: Workspace | None, repairs: Sequence[str], groups: Mapping[str, Sequence[Check]]) -> None:
    """Faults first, then notes, each with what to do; a line for each group in which nothing is wrong; what to do now."""
    from pytest_tinytorch.health.check import FAULT, GOOD, NOTE

    for sentence in repairs:
        render.say(sentence)
    render.say("TinyTorch Doctor", bold=True)
    render.say(f"  Python     {sys.version.split()[0]}, {sys.executable}")
    render.say(f"  Workspace  {workspace.root if workspace else 'none here: only the environment is checked'}")
    render.say()
    found = {state: [c for checks in groups.values() for c in checks if c.state == state] for state in (FAULT, NOTE)}
    for check in (*found[FAULT], *found[NOTE]):
        first, *others = _wrapped(check.text)
        _say_marked(check.state, first)
        for line in [*others, *(f"  {line}" for line in _wrapped(check.fix, commands=True))]:
            render.say(" " * _MARGIN + line, whole=True)
        render.say()
    good = {group: checks[0].text for group, checks in groups.items() if checks[0].state == GOOD}
    width = max(map(len, groups))
    for group, text in good.items():
        _say_marked(GOOD, f"{group:<{width}}  {text}")
    render.say()
    render.say(_what_now(found[FAULT], found[NOTE]), bold=True)


def _say_marked(state: str, text: str) -> None:
    mark, colour = _MARKS[state]
    blanks = " " * (_MARGIN - len(mark))
    print(f"{click.style(mark, fg=colour, bold=True) if render.is_colourful() else mark}{blanks}{text}")


def _wrapped(text: str, *, commands: bool = False) -> list[str]:
    """Lines that fit a terminal; a command, which is what doesn't end as a sentence, stays whole to be copied."""
    columns = render.columns(sys.stdout)
    width = max(columns - _MARGIN - 2, 20) if columns else 0
    lines = []
    for line in text.splitlines():
        whole = commands and (not line.endswith(".") or line.endswith(" ."))
        lines += [line] if whole else render.wrapped(line, width).splitlines()
    return lines


def _what_now(faults: Sequence[Check], notes: Sequence[Check]) -> str:
    from pytest_tinytorch.health.check import REPAIR, TIDY

    def is_repaired(check: Check) -> bool:
        return REPAIR in check.fix or TIDY in check.fix

    if faults:
        counted = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}."
        return f"{counted} Now: {TIDY if is_repaired(faults[0]) else 'what stands below the first one.'}"
    if any(map(is_repaired, notes)):
        return f"Nothing is broken. To tidy up: {TIDY}"
    return "Nothing is broken; what is noted can wait." if notes else "Everything is in order."
