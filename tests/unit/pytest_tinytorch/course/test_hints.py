"""The hints in a module's own text."""
from __future__ import annotations

import re

import pytest

from pytest_tinytorch.course import curriculum, hints
from pytest_tinytorch.workspace import notebooks

CODE = '\n\n# %% exercise="add" points=1 task="return the sum"\ndef add(): ...\n'


def of(*prose):
    text = "".join("# %% [markdown]\n" + "\n".join(f"# {line}".rstrip() for line in part.split("\n")) + "\n\n" for part in prose)
    return hints.of_exercise(notebooks.parse_percent(text + CODE), "add")


@pytest.mark.parametrize(
    ("prose", "found"),
    [
        ("Add. *Hint.* Use sum,\nor a loop.\n\nMore text.", "Use sum,\nor a loop."),
        ("*Hint:* use `sum`.", "use `sum`."),
        ("**Hint**: use sum.", "use sum."),
        ("*Hints.* One. Two.", "One. Two."),
        ("Add.\n\n<details><summary>Hint</summary>\n\nFirst.\n\nSecond.\n\n</details>\n\nMore.", "First.\n\nSecond."),
        ("<details open>\n<summary> Hints </summary>\nFirst.\n</details>", "First."),
        ("<details><summary>Hint</summary>\n\nNot closed.", "Not closed."),
        ("*Hint.* One.\n\n<details><summary>Hint</summary>Two.</details>", "One.\n\nTwo."),
        ("<details><summary>Proof</summary>Long.</details>", None),
        ("A hint of blue. *Hinted.* No.", None),
        ("", None),
    ],
)
def test_hints_in_prose(prose, found):
    assert of(prose) == found


def test_hints_stand_in_any_of_the_cells_right_above():
    assert of("*Hint.* Far.", "Near.") == "Far."


def test_a_hint_above_another_exercise_is_not_taken():
    text = f"# %% [markdown]\n# *Hint.* Of sub.\n\n{CODE.replace('add', 'sub')}{CODE}"
    cells = notebooks.parse_percent(text)
    assert (hints.of_exercise(cells, "sub"), hints.of_exercise(cells, "add"), hints.of_exercise(cells, "mul")) == ("Of sub.", None, None)


def test_task():
    cells = notebooks.parse_percent(CODE)
    assert (hints.task_of(cells, "add"), hints.task_of(cells, "sub")) == ("return the sum", None)


COURSE = curriculum.load()


@pytest.mark.parametrize("module", [m for m in COURSE.modules if COURSE.is_written(m)], ids=lambda module: module.folder)
def test_every_hint_of_the_course_is_found(module):
    cells = notebooks.read_cells(COURSE.source(module))
    written = sum(len(re.findall(r"\*Hint|<summary>Hint", cell.source)) for cell in cells if cell.kind == "markdown")
    assert sum(hints.of_exercise(cells, cell.exercise) is not None for cell in cells if cell.exercise) == written
