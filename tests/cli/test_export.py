"""`tito export`."""
from __future__ import annotations

import json

import pytest

from pytest_tinytorch.state import progress
from pytest_tinytorch.workspace.layout import Workspace
from tests.cli.conftest import Tito
from tests.plugin.conftest import ALPHA, Student


@pytest.fixture
def passed(student: Student, workspace: Workspace) -> Student:
    """Module 01 has passed its tests and is recorded, without an export."""
    student.solve()
    module = workspace.course.module("01")
    progress.record_result(workspace.store, module, [], workspace.working_copy(module).code_hash)
    workspace.store.update("progress.json", lambda state: progress.mark_complete(state, module))
    return student


def test_code_that_has_passed_is_exported(passed: Student, tito: Tito):
    answer = tito("export", "01")
    assert answer.status == 0 and answer.out == "Exported tinytorch/core/tensor.py\n"
    assert "return 2 * x" in passed.export().read_text("utf-8") and "--force" not in passed.export().read_text("utf-8")
    assert tito("export", "--all").status == 0


def test_other_code_is_refused(passed: Student, tito: Tito):
    passed.write(ALPHA.replace("2 * x", "x + x"))
    for arguments in (["01"], ["--all"]):
        answer = tito("export", *arguments)
        assert answer.status == 1 and "not the code that last passed" in answer.err and "tito module complete 01" in answer.err
    assert not passed.export().exists()


def test_prose_and_demonstrations_are_not_other_code(passed: Student, tito: Tito):
    passed.write(ALPHA.replace("# # Alpha", "# # My notes").replace("demonstration only", "something else"))
    assert tito("export", "01").status == 0


def test_a_failed_run_is_no_proof(student: Student, workspace: Workspace, tito: Tito):
    module = workspace.course.module("01")
    progress.record_result(workspace.store, module, ["t::a"], workspace.working_copy(module).code_hash)
    assert tito("export", "01").status == 1


def test_force_says_so_in_the_export_too(student: Student, tito: Tito):
    answer = tito("export", "01", "--force")
    assert answer.status == 0 and "has not passed its tests" in answer.out
    assert "Exported with --force" in student.export().read_text("utf-8").splitlines()[2]
    assert tito("system", "health", "--repair").status == 0 and student.completed == [], "such an export proves nothing"


def test_check_says_whether_an_export_is_current(passed: Student, tito: Tito):
    def states() -> tuple[int, str]:
        answer = tito("export", "--all", "--check", "--json")
        [entry] = json.loads(answer.out)
        assert f"tinytorch/core/tensor.py: {entry['state']}\n" == tito("export", "01", "--check").out
        return answer.status, entry["state"]

    assert states() == (1, "missing")
    assert tito("export", "01").status == 0 and states() == (0, "current")
    passed.write(ALPHA.replace("2 * x", "x + x"))
    assert states() == (1, "older than the working copy")
    passed.path().write_text("# %% tags=[oops\n", "utf-8")
    assert states() == (1, "the working copy can't be read")
    passed.solve()
    passed.export().write_text(passed.export().read_text("utf-8") + "# mine\n", "utf-8")
    assert states() == (1, "edited by hand")


def test_check_of_nothing_is_in_order(student: Student, tito: Tito):
    assert tito("export", "--all", "--check").status == 0
