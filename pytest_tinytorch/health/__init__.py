"""What is looked at by `tito system health` and `tito doctor`: is everything there, and what it claims to be?

Checks look and tell; none of them changes anything. `repair` and `leftovers.remove` do.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from pytest_tinytorch.health import environment, jupyter, leftovers, machine, sessions, workspace
from pytest_tinytorch.health.check import FAULT, GOOD, Check
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch.errors import TinyTorchError

# the groups of the doctor's report, the causes of other faults first, and what is said of one in which nothing is wrong
GROUPS = {
    "Python": "new enough; its packages are there and installed once",
    "Commands": "tito and pytest belong to this Python",
    "pytest": "finds the course's plugin, and no option is in its way",
    "Jupyter": "notebooks run on this Python",
    "Machine": "the disks have room, and text is UTF-8",
    "Folder": "yours to write to; dates agree with the clock",
    "State": "every file in .tito/ is valid",
    "Modules": "every notebook or script can be read, and has its tests",
    "Package": "every export is up to date, and nothing hides it",
    "Leftovers": "no killed run left anything",
}


class Row(NamedTuple):
    """A check, and where its answer is shown."""

    group: str  # of the doctor's report
    look: Callable[[], Iterable[Check]]
    in_health: bool = False  # whether `tito system health` shows it too
    of_course: bool = False  # whether it tells what a workspace of its course should have, and so has to know that course


def _rows(here: Workspace | None) -> list[Row]:
    """Every check that there is, in order; outside of a workspace those of the environment."""
    rows = [
        Row("Python", environment.setup, in_health=True),
        Row("Python", environment.dependencies, in_health=True),
        Row("Python", environment.installed, in_health=True),
        Row("Python", environment.installations),
        Row("Python", environment.python_path),
        Row("Commands", environment.commands),
        Row("pytest", sessions.plugins),
        Row("pytest", sessions.variables),
        Row("Jupyter", jupyter.kernel),
        Row("Machine", partial(machine.disk, here)),
        Row("Machine", machine.encoding),
    ]
    if here is None:
        return [*rows, Row("Leftovers", leftovers.staging)]
    in_workspace = [
        ("State", workspace.data, True),
        ("State", workspace.state_files, True),
        ("State", workspace.backups_folder, True),
        ("State", workspace.undo_plans, False),
        ("Package", workspace.hidden, True),
        ("Modules", workspace.missing_tests, True),
        ("Modules", workspace.required_tests, True),
        ("Package", workspace.edited_exports, True),
        ("State", workspace.oddities, True),
        ("State", workspace.course_version, False),
        ("Modules", workspace.working_copies, False),
        ("Package", workspace.older_exports, False),
        ("pytest", sessions.options, False),
        ("Folder", machine.permissions, False),
        ("Folder", machine.clock, False),
        ("Folder", machine.path_length, False),
        ("Folder", machine.synchronised, False),
        ("Folder", workspace.git, False),
        ("Folder", workspace.older_layout, False),
        ("Leftovers", leftovers.found, False),
        ("Leftovers", leftovers.lock, False),
    ]
    of_course = (workspace.missing_tests, workspace.required_tests, workspace.oddities)
    return rows + [Row(group, partial(look, here), in_health, look in of_course) for group, look, in_health in in_workspace]


def health(here: Workspace) -> list[Check]:
    """What `tito system health` shows, in its order."""
    return [check for row in _rows(here) if row.in_health for check in _looked(row.look)]


def doctor(here: Workspace | None, *, knows_course: bool = True) -> dict[str, list[Check]]:
    """What `tito doctor` shows, by group: what is wrong, or that nothing is. Outside of a workspace, of the environment.

    Of a workspace whose `course.yml` can't be read, and which comes with the installed course, only what holds for any
    is looked at (`knows_course=False`).
    """
    groups: dict[str, list[Check]] = {}
    for row in _rows(here):
        if row.of_course and not knows_course:
            continue
        wrong = [check for check in _looked(row.look) if check.state != GOOD]
        groups.setdefault(row.group, []).extend(wrong)
    return {group: groups[group] or [Check(GOOD, said)] for group, said in GROUPS.items() if group in groups}


def is_healthy(found: Iterable[Check]) -> bool:
    return all(check.state != FAULT for check in found)


def _looked(look: Callable[[], Iterable[Check]]) -> list[Check]:
    """What a check tells; one that can't look, since a file can't be read or a package is broken, tells that."""
    try:
        return list(look())
    except TinyTorchError as error:
        return [Check(FAULT, str(error))]
    except ImportError as error:
        return [Check(FAULT, f"{error.name or 'A package'} can't be imported: {error}", environment.reinstall())]
    except OSError as error:
        return [Check(FAULT, f"{error.filename or 'A file'} can't be looked at: {error.strerror or error}", "Give yourself the right to read it.")]
