"""What modules and their exercises are worth: the points in the exercises' cells, unless a `course.yml` says otherwise."""
from __future__ import annotations

from dataclasses import replace

from pytest_tinytorch.course import stubs
from pytest_tinytorch.course.curriculum import Course, Module
from pytest_tinytorch.course.stubs import Exercise
from pytest_tinytorch.workspace import notebooks


def exercises(course: Course, module: Module) -> list[Exercise]:
    """A module's exercises with the points that they have in this course; none if the module is not written yet."""
    if not course.is_written(module):
        return []
    source = course.source(module)
    changed = dict(module.exercise_points)
    found = stubs.exercises(notebooks.read_cells(source), str(source))
    return [replace(exercise, points=changed.get(exercise.name, exercise.points)) for exercise in found]


def worth(course: Course, module: Module) -> int:
    """What a whole module is worth.

    If `course.yml` gives the module points, the points of its exercises are their shares of these.
    """
    return sum(exercise.points for exercise in exercises(course, module)) if module.points is None else module.points
