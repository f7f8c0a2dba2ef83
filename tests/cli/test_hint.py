"""`tito module hint`: the tests are really run, the next hint is shown and remembered."""
from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Tito
from tests.plugin.conftest import ALPHA, Student

Real = Callable[..., subprocess.CompletedProcess[str]]
in_both_formats = pytest.mark.parametrize("student", ["py", "ipynb"], indirect=True)
SQUARED = ALPHA.replace("return 2 * x", "return x * x")
ONE = "tests/01_tensor/test_double.py::test_double[one]"


def hints(student: Student) -> Any:
    return student.state("progress.json").get("hints")


@in_both_formats
def test_hints_come_one_at_a_time(student: Student, real_tito: Real):
    student.write(SQUARED)
    first, second, third, again = (real_tito("module", "hint", "01", *more) for more in ([], [], [], ["--again"]))
    assert first.returncode == 0 and first.stdout == (
        "pytest -m module01 --tito-in-order --tito-quick -q --tb=auto\n"
        f"First failing test: {ONE}\n\n"
        "Hint 1 of 2\n\n"
        "The test says: Twice as much.\nExercise double asks: return twice x.\n\n"
        "The next one: tito module hint 01\n"
    )
    assert second.returncode == 0 and "Hint 2 of 2" in second.stdout and "expected  2\ngot       1\n" in second.stdout
    assert "A likely mistake: You squared it." in second.stdout
    assert third.returncode == 1 and "Hint" not in third.stdout and "There are no more hints for it." in third.stdout
    for way_on in (second, third):
        assert "tito module diff 01" in way_on.stdout and "tito module solution 01 --give-up" in way_on.stdout
    assert again.returncode == 0 and "Hint 1 of 2" in again.stdout and "Hint 2 of 2" in again.stdout
    assert [(test.split(" ")[0], count) for test, count in hints(student)["1"].items()] == [(ONE, 1), (ONE, 1)], "of what it asks; of how it failed"


def test_each_test_has_its_own_hints_and_a_pass_forgets_nothing(student: Student, real_tito: Real):
    student.write(SQUARED)
    real_tito("module", "hint", "01")
    student.write(ALPHA.replace("math.sqrt(x)", "x"))
    assert "Hint 1 of 2" in real_tito("module", "hint", "01").stdout
    assert hints(student) == {"1": {ONE: 1, "tests/01_tensor/test_root.py::test_root": 1}}
    student.write(SQUARED)
    assert "Hint 2 of 2" in real_tito("module", "hint", "01").stdout


@pytest.mark.parametrize("command", [["module", "reset", "01", "--yes"], ["reset", "--yes"]], ids=" ".join)
def test_a_reset_forgets_the_hints(student: Student, real_tito: Real, tito: Tito, command: list[str]):
    real_tito("module", "hint", "01")
    assert hints(student)
    assert tito(*command).status == 0 and hints(student) is None


def test_tests_are_run_in_the_order_of_the_exercises(student: Student, real_tito: Real):
    """`root` stands above `double` here; its test file comes later."""
    cells = ALPHA.split("# %% ")
    student.write("# %% ".join([*cells[:3], cells[4], cells[3], *cells[5:]]).replace("2 * x", "x").replace("math.sqrt(x)", "x"))
    assert "First failing test: tests/01_tensor/test_root.py::test_root" in real_tito("module", "hint", "01").stdout


def test_a_module_that_passes_is_told_how_to_be_completed(student: Student, real_tito: Real):
    student.solve()
    done = real_tito("module", "hint", "01")
    assert done.returncode == 0 and "All tests of 01 Tensor pass. To complete it: tito module complete 01\n" in done.stdout
    assert json.loads(real_tito("module", "hint", "01", "--json").stdout)["passed"] is True


def test_json_has_nothing_beside_it(student: Student, real_tito: Real):
    told = json.loads(real_tito("module", "hint", "1", "--json").stdout)
    assert (told["test"], told["exercise"], told["shown"], told["of"]) == (ONE, "double", 1, 1)
    assert told["hints"][0]["kind"] == "task"


def test_a_module_that_does_not_import_says_why_and_offers_nothing_else(student: Student, real_tito: Real):
    student.write(ALPHA + '\n# %% tags=["export"]\nraise RuntimeError("broken now")\n')
    for _ in range(2):
        done = real_tito("module", "hint", "01")
        assert done.returncode == 0 and "RuntimeError: broken now" in done.stdout and "solution" not in done.stdout


def test_a_skipped_test_is_no_success(student: Student, real_tito: Real):
    student.solve()
    path = student.root / "tests/01_tensor/test_root.py"
    path.write_text(path.read_text("utf-8").replace("@pytest.mark.exercise", "@pytest.mark.skip\n@pytest.mark.exercise"), "utf-8")
    done = real_tito("module", "hint", "01")
    assert done.returncode == 1 and "1 of 4 required tests was skipped" in done.stderr


@pytest.mark.parametrize(
    ("code", "said"), [("import os; os._exit(0)", "exit status 0"), ("import os; os.kill(os.getpid(), 9)", "exit status ")], ids=["exit", "killed"]
)
def test_a_run_that_does_not_end_is_told(student: Student, real_tito: Real, code: str, said: str):
    student.write(ALPHA + f'\n# %% tags=["export"]\n{code}\n')
    done = real_tito("module", "hint", "01")
    assert done.returncode == 1 and said in done.stderr and "tito module test 01" in done.stderr
    assert "Traceback" not in done.stderr and hints(student) is None


def test_what_pytest_said_is_told_if_it_did_not_start(student: Student, real_tito: Real):
    done = real_tito("module", "hint", "01", PYTEST_ADDOPTS="--no-such-option")
    assert done.returncode == 1 and "--no-such-option" in done.stderr


def test_a_planned_module_and_a_wrong_name(student: Student, tito: Tito):
    assert tito("module", "hint", "03").status == 1 and tito("module", "hint", "tensr").status == 2


def test_order_of_a_session_with_several_modules(student: Student):
    student.solve("01_tensor", "02_activations")
    swapped = ALPHA.split("# %% ")
    student.write("# %% ".join([*swapped[:3], swapped[4], swapped[3], *swapped[5:]]))
    done = student.pytest("-m", "module01 or module02", "--tito-in-order", "--collect-only", "-q")
    order = [line for line in done.stdout.splitlines() if "::" in line]
    assert order[0] == "tests/01_tensor/test_root.py::test_root" and order[-1].startswith("tests/02") and len(order) == 5
    assert student.pytest("-m", "module01", "--tito-in-order", "-n", "2").returncode == 0


@pytest.mark.parametrize("name", ["progress.json", "milestones.json"])
def test_a_broken_state_is_told_once(student: Student, real_tito: Real, name: str):
    (student.root / ".tito" / name).write_text("{", "utf-8")
    done = real_tito("module", "hint", "01")
    assert done.returncode == 1 and (done.stdout + done.stderr).count(f"{name} is malformed") == 1
    assert done.stderr.startswith("Error: ") and "It said" not in done.stderr


def test_a_complete_module_names_the_next_one(student: Student, real_tito: Real):
    student.solve()
    student.pytest("-m", "module01", "--tito-complete")
    assert "Module 01 Tensor is complete. Next: tito module start 02\n" in real_tito("module", "hint", "01").stdout
    student.write(ALPHA.replace("return 2 * x", "return x + x"))
    assert "All tests of 01 Tensor pass. To complete it: tito module complete 01\n" in real_tito("module", "hint", "01").stdout


def test_another_mistake_in_the_same_test_is_another_question(student: Student, real_tito: Real):
    student.write(SQUARED)
    for _ in range(3):
        told = real_tito("module", "hint", "01")
    assert told.returncode == 1
    student.write(ALPHA.replace("return 2 * x", "return 3 * x"))
    told = real_tito("module", "hint", "01")
    assert told.returncode == 0 and "Hint 2 of 2" in told.stdout and "got       3" in told.stdout


def test_a_loop_without_end_is_told_after_one_limit(student: Student, real_tito: Real):
    student.write(ALPHA.replace("return 2 * x", "while True: pass"))
    student.pytest_ini("tito_patience", "1")
    real_tito("module", "hint", "01")
    told = real_tito("module", "hint", "01")
    assert "interrupted after 1 seconds (tito_patience)" in told.stdout and "in double\n    while True: pass" in told.stdout
