"""What there is to know of one module, one milestone or the installation, as plain data and as lines."""
from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import Any

import tinytorch
from pytest_tinytorch import exporting
from pytest_tinytorch.course import curriculum, points
from pytest_tinytorch.course.curriculum import Module, as_ranges
from pytest_tinytorch.health.environment import installation
from pytest_tinytorch.state import progress
from pytest_tinytorch.status import DONE, Row, Status, due_and_points, status
from pytest_tinytorch.workspace.layout import Workspace


def module_view(workspace: Workspace, module: Module) -> dict[str, Any]:
    """A module's goal, exercises, tests, state and files."""
    course = workspace.course
    row = next(row for row in status(workspace).modules if row.part == module)
    return module_row(row) | {
        "means": row.means,
        "exercises": [
            {"name": exercise.name, "points": exercise.points, "task": exercise.task}
            for exercise in points.exercises(course, module)
        ],
        "tests": len(course.required(module)),
        "test_folder": module.test_folder,
        "last_run": workspace.store.read(progress.PROGRESS).get("results", {}).get(module.key),
        "working_copy": [workspace.relative(form) for form in workspace.existing_forms(module)],
        "export": str(module.export_path),
        "export_state": exporting.look(workspace, module).state,
    }


def module_facts(seen: dict[str, Any]) -> list[str]:
    """A `module_view` as lines, without its exercises."""
    said = [seen["date"][:10]] if seen["date"] and seen["state"] == DONE else []
    said += [seen["means"]] if seen["means"] else []
    said += [f"needs {as_ranges(seen['missing'])}"] if seen["missing"] else []
    said += [seen["note"]] if seen["note"] else []
    lines = [
        seen["goal"],
        "",
        f"State:    {seen['state']}" + (f" ({'; '.join(said)})" if said else ""),
        f"Tests:    {seen['tests']} in {seen['test_folder']}",
    ]
    if seen["due"]:
        lines.append(f"Due:      {seen['due'].replace('T', ' ')}{' (late)' if seen['late'] else ''}")
    if seen["points"] is not None:
        shares = seen["points"] != sum(exercise["points"] for exercise in seen["exercises"])
        lines.append(f"Points:   {seen['points']}{', shared out as the points of its exercises' if shares else ''}")
    if last := seen["last_run"]:
        lines.append(f"Last run: {last['outcome']}, {last['at']}")
        lines += [f"          failed: {test}" for test in last["failed"]]
    lines.append(f"Work:     {' and '.join(seen['working_copy']) or 'no file yet'}")
    return [*lines, f"Export:   {seen['export']} ({seen['export_state']})"]


def module_row(row: Row) -> dict[str, Any]:
    """A module's facts in a list."""
    part = row.part
    return {
        "number": part.number,
        "slug": part.slug,
        "title": part.title,
        "goal": part.goal,
        "state": row.state,
        "date": row.date,
        "note": row.note,
        "needs": list(part.needs),
        "missing": list(row.missing),
    } | (due_and_points(row) if isinstance(part, Module) else {})


def milestone_row(row: Row) -> dict[str, Any]:
    """A milestone's facts in a list."""
    return module_row(row) | {"attempts": row.attempts, "folder": row.part.test_folder}


def milestone_lines(report: Status) -> list[str]:
    """Every milestone, and below each that isn't achieved what it still takes."""
    lines = [report.counts[1], ""]
    for row in report.milestones:
        lines.append(row.marked_title)
        if row.state != DONE:
            lines.append(f"    {_next_step(row)}")
    return lines


def milestone_facts(row: Row) -> list[str]:
    """A milestone's goal, state and how to run it."""
    part = row.part
    lines = [part.goal, "", f"State:    {row.dated_state}", f"Needs:    {as_ranges(part.needs)}", f"Attempts: {row.attempts}"]
    lines.append(f"Script:   {part.test_folder}/{part.slug}.py")
    return [*lines, "", _next_step(row)]


def _next_step(row: Row) -> str:
    return row.means or (row.to_unlock if row.missing else f"Run it: tito milestone run {row.part.number}")


def system_facts(workspace: Workspace | None) -> dict[str, Any]:
    """Versions and places."""
    course = workspace.course if workspace else curriculum.load()
    return {
        "tinytorch": f"{tinytorch.__version__} ({installation()})",
        "course": course.version + (f" ({course.title})" if course.title else ""),
        "templates": str(course.folder),
        "workspace": str(workspace.root) if workspace else "none here",
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        **{name: metadata.version(name) for name in ("numpy", "pytest", "pytest-xdist", "nbval", "jupytext", "click", "rich")},
    }
