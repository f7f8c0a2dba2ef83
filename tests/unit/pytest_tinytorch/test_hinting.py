"""Which hint comes next, and what is remembered."""
from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_tinytorch import hinting
from pytest_tinytorch.hinting import FAILURE, MODULE, TASK, Failed
from pytest_tinytorch.state import progress
from tests.plugin.conftest import ALPHA
from tinytorch.errors import StateError

ONE = "tests/01_tensor/test_double.py::test_double[one]"
ROOT = "tests/01_tensor/test_root.py::test_root"
WRONG = Failed(ONE, "double", None, "Twice as much.", "expected 2, got 1", ("You squared it.",))
EMPTY = Failed(ROOT, "root", "root", "", "exercise root: return the square root of x", ())
HINTED = ALPHA.replace('# %% exercise="double"', '# %% [markdown]\n# *Hint.* Add it to itself.\n\n# %% exercise="double"')


@pytest.fixture
def module(workspace):
    return workspace.course.module("01")


def write(workspace, module, text):
    workspace.working_copy(module).path.write_text(text, "utf-8")


def kinds(given):
    return [hint.kind for _, hint in given.hints]


def test_hints_go_from_general_to_specific_one_at_a_time(workspace, module):
    write(workspace, module, HINTED)
    seen = [hinting.give(workspace, module, WRONG) for _ in range(4)]
    assert [kinds(given) for given in seen] == [[TASK], [MODULE], [FAILURE], []]
    assert [(given.shown, given.of) for given in seen] == [(1, 3), (2, 3), (3, 3), (3, 3)]
    assert [hint.text for given in seen for _, hint in given.hints] == [
        "The test says: Twice as much.\nExercise double asks: return twice x.",
        "Add it to itself.",
        "expected 2, got 1\n\nA likely mistake: You squared it.",
    ]


def test_hints_that_there_are_none_of_are_left_out(workspace, module):
    assert [kinds(hinting.give(workspace, module, WRONG)) for _ in range(3)] == [[TASK], [FAILURE], []]


def test_an_empty_exercise_has_no_failure_to_tell(workspace, module):
    given = hinting.give(workspace, module, EMPTY)
    assert (kinds(given), given.of) == ([TASK], 1)
    assert given.hints[0][1].text == "Exercise root asks: return the square root of x."


def test_a_test_that_waits_for_another_exercise_speaks_of_that_one(workspace, module):
    given = hinting.give(workspace, module, Failed(ROOT, "root", "double", "", "", ()))
    assert "It needs exercise double, which isn't written yet.\nExercise double asks: return twice x." in given.hints[0][1].text
    assert given.failed.to_work_on == "double"


def test_shown_hints_come_again_and_count_nothing(workspace, module):
    assert kinds(hinting.give(workspace, module, WRONG, again=True)) == []
    assert "hints" not in workspace.store.read("progress.json")
    hinting.give(workspace, module, WRONG)
    hinting.give(workspace, module, WRONG)
    for _ in range(2):
        given = hinting.give(workspace, module, WRONG, again=True)
        assert (kinds(given), given.shown) == ([TASK, FAILURE], 2)


def test_a_hint_in_the_stub_is_given_where_the_students_file_lacks_it(workspace, module):
    pristine = workspace.pristine / workspace.relative(workspace.working_copy(module).path)
    pristine.write_text(HINTED, "utf-8")
    assert hinting.give(workspace, module, WRONG).of == 3
    write(workspace, module, "# %% metadata=broken [")
    assert hinting.give(workspace, module, WRONG).of == 3


def test_another_failure_of_the_same_test_is_another_question(workspace, module):
    """The test asks the same, so only what the failure tells comes again; that of a failure which was told doesn't."""
    write(workspace, module, HINTED)
    other, hinted = replace(WRONG, told="expected 2, got 3"), replace(WRONG, hints=("You halved it.",))
    for _ in range(4):
        hinting.give(workspace, module, WRONG)
    for failed in (other, hinted):
        given = hinting.give(workspace, module, failed)
        assert (kinds(given), given.shown, given.of) == ([FAILURE], 3, 3)
        assert kinds(hinting.give(workspace, module, failed)) == []
    assert kinds(hinting.give(workspace, module, WRONG)) == []
    assert kinds(hinting.give(workspace, module, other, again=True)) == [TASK, MODULE, FAILURE]


def test_an_address_makes_no_other_question():
    assert replace(WRONG, told="<object at 0x7f00>").question == replace(WRONG, told="<object at 0x7fff>").question


def test_a_module_that_cannot_be_imported_tells_why_each_time(workspace, module):
    broken = Failed("tests/01_tensor/test_double.py::import_01_tensor", None, None, "", "SyntaxError", ())
    for _ in range(2):
        given = hinting.give(workspace, module, broken)
        assert [hint.text for _, hint in given.hints] == ["SyntaxError"]
    assert "hints" not in workspace.store.read("progress.json")


def test_a_hint_that_cannot_be_remembered_is_not_given(workspace, module):
    (workspace.tito / "progress.json").write_text("{broken", "utf-8")
    with pytest.raises(StateError, match="progress.json is malformed"):
        hinting.give(workspace, module, WRONG)
    assert (workspace.tito / "progress.json").read_text("utf-8") == "{broken"


def test_as_json(workspace, module):
    assert hinting.as_json(module, None, []) == {
        "module": "01", "passed": True, "reasons": [], "test": None, "exercise": None, "hints": [], "shown": 0, "of": 0,
    }  # fmt: skip
    assert hinting.as_json(module, None, ["skipped"])["passed"] is False
    said = hinting.as_json(module, hinting.give(workspace, module, WRONG), ["failed"])
    assert (said["passed"], said["reasons"], said["test"], said["exercise"]) == (False, [], ONE, "double")
    assert said["hints"] == [{"number": 1, "kind": TASK, "text": "The test says: Twice as much.\nExercise double asks: return twice x."}]
    assert progress.hints_shown(workspace.store, module, ONE) == 1
