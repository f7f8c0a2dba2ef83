"""Which tests a student changed follows from hashes, never from what version.json claims."""
from __future__ import annotations

import pytest

from pytest_tinytorch.state.pristine import differing
from pytest_tinytorch.workspace.create import create


@pytest.fixture
def tests(workspace):
    return workspace.root / "tests" / "01_tensor"


def edited(workspace, number="01"):
    return differing(workspace, workspace.course.module(number))


def test_a_new_workspace_differs_in_nothing(workspace):
    assert [differing(workspace, part) for part in workspace.course.parts] == [[], [], [], []]


def test_changed_removed_and_added_files_are_named_in_order(workspace, tests):
    (tests / "test_root.py").write_text("def test_root(): pass\n")
    (tests / "student_side.py").unlink()
    (tests / "test_mine.py").touch()
    (tests / "deep").mkdir()
    (tests / "deep" / "conftest.py").touch()
    assert edited(workspace) == [
        f"tests/01_tensor/{name}" for name in ("deep/conftest.py", "student_side.py", "test_mine.py", "test_root.py")
    ]
    assert edited(workspace, "02") == []


@pytest.mark.parametrize("folder", ["", "tests/", "milestones/"])
def test_a_conftest_above_counts_for_every_part(workspace, folder):
    (workspace.root / folder / "conftest.py").touch()
    for part in workspace.course.parts:
        assert differing(workspace, part) == [f"{folder}conftest.py"]


def test_what_programs_leave_behind_and_prose_do_not_count(workspace, tests):
    for name in ("__pycache__/test_root.cpython-311.py", ".pytest_cache/x.py", "notes.txt", "README.md"):
        (tests / name).parent.mkdir(exist_ok=True)
        (tests / name).touch()
    assert edited(workspace) == []


def test_the_claim_of_version_json_is_not_believed(workspace, tests):
    (tests / "test_root.py").write_text("")

    def claim(state):
        for entry in state["files"].values():
            entry["modified_by_student"] = False

    workspace.store.update("version.json", claim)
    assert edited(workspace) == ["tests/01_tensor/test_root.py"]


def test_a_file_of_another_kind_that_the_course_put_there_counts_too(course, tmp_path):
    data = course.folder / "tests" / "01_tensor" / "values.json"
    data.write_text("[1]")
    workspace = create(tmp_path / "w", course, format="py")
    assert edited(workspace) == []
    (workspace.root / "tests" / "01_tensor" / "values.json").write_text("[2]")
    assert edited(workspace) == ["tests/01_tensor/values.json"]


def test_odd_entries_of_version_json_are_no_reason_to_fail(workspace):
    def odd(state):
        state["files"] |= {
            "tests/01_tensor/gone.py": {"sha256": 5},
            "tests/01_tensor/": {},
            "../x": {"sha256": "0"},
            "tests/01_tensor/none.py": {},
        }

    workspace.store.update("version.json", odd)
    assert edited(workspace) == ["tests/01_tensor/gone.py"]
