"""A stub has a hole where each solution stood, and nothing of the solutions."""
from __future__ import annotations

import pytest

from pytest_tinytorch.course import curriculum, stubs
from pytest_tinytorch.workspace import notebooks
from tinytorch.errors import ConfigError

COURSE = curriculum.load()
SOURCES = [COURSE.source(module) for module in COURSE.modules if COURSE.is_written(module)]

MODULE = '''\
# %% [markdown]
# A solution stands between ### BEGIN SOLUTION and its end.

# %% exercise="add" points=3 task="return the \\"sum\\" of 'a' and b\\\\c"
class Add:
    def forward(self, a, b):
        """Their sum."""
        ### BEGIN SOLUTION
        total = a + b
        return total
        ### END SOLUTION

    def backward(self):
        ### BEGIN SOLUTION
        return 1, 1
        ### END SOLUTION

# %%
Add()
'''


def test_stub_has_an_error_in_place_of_each_solution():
    hole = '        raise NotImplementedError("exercise add: return the \\"sum\\" of \'a\' and b\\\\c")\n'
    assert stubs.stub(MODULE) == (
        MODULE.split("        ### BEGIN")[0] + hole + "\n    def backward(self):\n" + hole + "\n# %%\nAdd()\n"
    )


def test_stub_runs_and_says_which_exercise_and_what_to_do():
    namespace: dict[str, type] = {}
    exec(stubs.stub(MODULE), namespace)
    with pytest.raises(NotImplementedError, match=r"""^exercise add: return the "sum" of 'a' and b\\c$"""):
        namespace["Add"]().forward(1, 2)


def test_solution_is_the_module_without_the_marker_lines():
    lines = [line for line in MODULE.split("\n") if line.strip() not in (stubs.BEGIN, stubs.END)]
    assert stubs.solution(MODULE) == "\n".join(lines)
    assert len(lines) == len(MODULE.split("\n")) - 4


def test_exercises_are_listed_with_their_points_and_tasks():
    assert stubs.exercises(notebooks.parse_percent(MODULE)) == [
        stubs.Exercise("add", 3, "return the \"sum\" of 'a' and b\\c", cell_number=2)
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_stubs_of_the_course_keep_the_exercises_and_hide_the_solutions(path):
    text = path.read_text("utf-8")
    stub = stubs.stub(text, path.name)
    exercises = stubs.exercises(notebooks.parse_percent(text))
    assert exercises
    assert stubs.exercises(notebooks.parse_percent(stub)) == exercises
    assert [cell.id for cell in notebooks.parse_percent(stub) if cell.exercise] == [
        f"exercise-{exercise.name}" for exercise in exercises
    ]
    assert all(f'NotImplementedError("exercise {exercise.name}: ' in stub for exercise in exercises)
    assert "SOLUTION" not in stub + stubs.solution(text)
    compile(stub, path.name, "exec")
    compile(stubs.solution(text), path.name, "exec")


@pytest.mark.parametrize("text", [MODULE, *(path.read_text("utf-8") for path in SOURCES)], ids=["small", *(path.stem for path in SOURCES)])
def test_an_emptied_module_gives_the_same_stub_and_no_solution(text):
    emptied = stubs.emptied(text)
    assert stubs.stub(emptied) == stubs.stub(text) == stubs.solution(emptied)
    assert stubs.emptied(emptied) == emptied != text


EXERCISE = '# %% exercise="add" points=3 task="add"\n'
SOLVED = "def add():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n"
FAULTS = {
    "no end": (
        EXERCISE + "    ### BEGIN SOLUTION\n    return 1\n# %%\nx\n",
        "m.py:2: ### BEGIN SOLUTION has no twin in its cell",
    ),
    "no beginning": (EXERCISE + "    return 1\n    ### END SOLUTION\n", "m.py:3: ### END SOLUTION has no twin"),
    "nested": (EXERCISE + "    ### BEGIN SOLUTION\n    ### BEGIN SOLUTION\n", "m.py:3: ### BEGIN SOLUTION has no twin"),
    "over two cells": (
        EXERCISE + "    ### BEGIN SOLUTION\n" + EXERCISE.replace("add", "sub") + "    ### END SOLUTION\n",
        "m.py:2: ### BEGIN SOLUTION has no twin in its cell",
    ),
    "mistyped": (
        EXERCISE + SOLVED + "    # Begin solution\n",
        "m.py:6: '# Begin solution' would leave a solution in the stub",
    ),
    "outside": ("# %%\n" + SOLVED, "m.py:3: ### BEGIN SOLUTION stands outside of an exercise"),
    "no solution": (EXERCISE + "def add(): ...\n", "m.py:2: exercise add has no ### BEGIN SOLUTION"),
    "twice": (EXERCISE + SOLVED + EXERCISE + SOLVED, "m.py:7: exercise add is in cell 1 already"),
    "no points": ('# %% exercise="add" task="add"\n' + SOLVED, "m.py:2: exercise add has points=None"),
    "points in quotes": ('# %% exercise="add" points="3" task="add"\n' + SOLVED, "m.py:2: exercise add has points='3'"),
    "points of zero": ('# %% exercise="add" points=0 task="add"\n' + SOLVED, "m.py:2: exercise add has points=0"),
    "no task": ('# %% exercise="add" points=3\n' + SOLVED, "m.py:2: exercise add has no task"),
    "blank task": ('# %% exercise="add" points=3 task=" "\n' + SOLVED, "m.py:2: exercise add has no task"),
    "name with a blank": (EXERCISE.replace('"add"', '"a b"', 1) + SOLVED, "m.py:2: 'a b' names no exercise"),
    "in prose": ('# %% [markdown] exercise="add" points=3 task="add"\n# text\n', "m.py:2: 'add' names no exercise"),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_of_a_module_are_named_with_their_line(text, message):
    for of in (stubs.stub, stubs.solution, stubs.emptied):
        with pytest.raises(ConfigError) as raised:
            of(text, "m.py")
        assert str(raised.value).startswith(message)
