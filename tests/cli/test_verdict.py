"""What the window of `tito module watch` says of a run."""
from __future__ import annotations

import signal
from typing import Any

import pytest

from pytest_tinytorch.course.curriculum import Module, load
from pytest_tinytorch.warm import Ran
from tito import verdict
from tito.verdict import Verdict
from tito.window import wrapper

TOLD = """Twice as much.

    x0 = 0
    x1 = 1
    x2 = 2
    assert got == 2 * x

expected  2
got       1
with      x1 = 1
          x2 = 2
          x3 = 3
          x4 = 4
          x5 = 5

tests/01_tensor/test_double.py:9: AssertionError
"""
DOUBLE = {
    "test": "tests/01_tensor/test_double.py::test_double[one]", "exercise": "double", "empty": None, "asks": "Twice as much.",
    "told": TOLD, "hints": ["You squared it."], "place": "", "printed": [],
}  # fmt: skip
NEEDED = ["1 of 4 tests passed, 0.20 s", "test_double[one]", "Twice as much.", "assert got == 2 * x", "expected  2", "got       1", "your code: modules/01_tensor/01_tensor.py:9", "You squared it."]


def count(exercise: str, passed: int, missing: str = "") -> dict[str, Any]:
    return {"exercise": exercise, "passed": passed, "tests": 2, "failed": 0, "missing": missing, "place": "modules/01_tensor/01_tensor.py:9"}


def ran(
    told: dict[str, Any] | None = None, *failures: dict[str, Any], status: int = 1, output: str = "", at: str = "", has_ended_itself: bool = False
) -> Ran:
    return Ran(status, has_ended_itself, {"verdicts": {"module01": told}, "failures": failures} if told else None, output, at)


COUNTS = [*(count(f"done{n}", 2) for n in range(6)), count("double", 1), *(count(f"empty{n}", 0, "not written yet") for n in range(6))]


def judged() -> dict[str, Any]:
    return {"done": False, "passed": 1, "tests": 4, "required": 4, "not_run": 0, "exercises": COUNTS, "to_settle": []}


def failed(**changes: Any) -> Ran:
    return ran(judged(), DOUBLE | changes)


@pytest.fixture(scope="module")
def module() -> Module:
    return load().module("01")


def text(shown: Verdict, columns: int = 80, height: int | None = None) -> str:
    return "\n".join(line for line, _ in shown.lines(wrapper(columns), height))


def test_all_that_a_student_needs_is_there(module: Module):
    told = text(verdict.of(module, failed(), 0.2), columns=120)
    for needed in [*NEEDED, "x5 = 5", "  done0                  2 of   2", "  empty0                 0 of   2  not written yet"]:
        assert needed in told


@pytest.mark.parametrize("height", range(1, 60))
@pytest.mark.parametrize("columns", [20, 80, 120])
def test_it_fits_into_any_window(module: Module, height: int, columns: int):
    lines = text(verdict.of(module, failed(), 0.2), columns, height).splitlines()
    assert len(lines) <= height and max(map(len, lines)) < columns


def test_what_matters_most_stays_in_a_low_window(module: Module):
    told = text(verdict.of(module, failed(), 0.2), 80, 21)
    for needed in [*NEEDED, "done: done0, done1", "  double                 1 of   2", "not written yet: empty0"]:
        assert needed in told


def test_nothing_that_a_students_text_holds_moves_the_cursor(module: Module):
    told = text(verdict.of(module, failed(told="Twice as much.\n\n\x1b[2Jassert \u4f60\u597d\U0001f393\r\x07"), 0.2), 40, 30)
    assert all(line.isprintable() for line in told.splitlines()) and "\r" not in told
    assert "\u4f60\u597d\U0001f393" in told


def test_wide_characters_take_two_columns():
    from rich.cells import cell_len

    assert [cell_len(row) for row in wrapper(11)("\u4f60" * 12)] == [10, 10, 4]


RAISED = """Twice as much.

    x = make()
    assert double(x) == 2

ZeroDivisionError: float division by zero
  tests/01_tensor/test_double.py:6, in test_double
  modules/01_tensor/01_tensor.py:11, in outer
    return inner(x)
  modules/01_tensor/01_tensor.py:17, in inner
    return 1 / x
with      x = 0
          y = 1

modules/01_tensor/01_tensor.py:17: ZeroDivisionError
"""


@pytest.mark.parametrize("height", [7, 11, 20])
def test_the_students_line_and_the_message_are_the_last_to_go(module: Module, height: int):
    told = text(verdict.of(module, failed(told=RAISED), 0.2), 59, height)
    for needed in ["1 of 4 tests passed", "test_double[one]", "float division by zero", "01_tensor.py:17, in inner", "return 1 / x"]:
        assert needed in told, told


def test_what_a_high_window_shows_of_an_error_is_all(module: Module):
    told = text(verdict.of(module, failed(told=RAISED), 0.2))
    assert RAISED.partition("\n\n")[2].rpartition("\n\n")[0] in told


def test_what_the_shown_test_printed_is_there_if_there_is_room(module: Module):
    shown = verdict.of(module, failed(printed=["shape (2, 3)", "now here"]), 0.2)
    assert "printed by the test and your code:\n  shape (2, 3)\n  now here\n" in text(shown, height=60)
    assert "now here" not in text(shown, height=21) and "You squared it." in text(shown, height=21)


def test_changes_to_settle_are_named(module: Module):
    told = judged() | {"to_settle": ["modules/01_tensor/01_tensor.py:40 shows a change of the course's to root"]}
    assert "to settle: modules/01_tensor/01_tensor.py:40 shows" in text(verdict.of(module, ran(told, DOUBLE), 0.2), height=21)


def test_an_exercise_that_is_not_written_is_what_comes_next(module: Module):
    empty = failed(empty="double", told="exercise double: return twice x", hints=[], place="modules/01_tensor/01_tensor.py:13")
    told = text(verdict.of(module, empty, 0.2))
    assert "Next: exercise double\n  return twice x\nyour code: modules/01_tensor/01_tensor.py:13\n" in told and "hint" not in told


def test_a_module_that_passes_names_the_next_command(module: Module):
    done = ran({"done": True, "passed": 4, "tests": 4, "required": 4, "not_run": 0, "exercises": [], "to_settle": []}, status=0)
    told = text(verdict.of(module, done, 0.1))
    assert "4 of 4 tests passed" in told and "pytest -m module01 --tito-complete" in told
    told = text(verdict.of(module, done, 0.1, "Module 01 Tensor is complete. Next: tito module start 02"))
    assert "is complete. Next: tito module start 02" in told and "To complete" not in told


@pytest.mark.skipif(not hasattr(signal, "SIGSEGV"), reason="this system has no such signal")
def test_a_crash_names_the_signal_and_the_test(module: Module):
    told = text(verdict.of(module, ran(status=-signal.SIGSEGV, at="tests/x.py::test_y"), 0.2))
    assert f"ended by signal {int(signal.SIGSEGV)} (SIGSEGV) in tests/x.py::test_y" in told


def test_an_end_by_the_module_itself_is_named(module: Module):
    told = text(verdict.of(module, ran(status=0), 0.2), 120)
    assert "exit status 0 before the first test" in told and "os._exit()" in told


def test_what_pytest_says_is_shown_where_it_could_not_begin(module: Module):
    assert "ERROR: no such option" in text(verdict.of(module, ran(status=4, output="\nERROR: no such option\n"), 0.2))


def test_the_end_of_a_traceback_of_an_import_stays_in_a_low_window(module: Module):
    frames = "\n".join(f'  File "modules/01_tensor/01_tensor.py", line {n}, in f{n}\n    f{n + 1}()' for n in range(9))
    told = f"Module 01 Tensor can't be tested:\n\nmodules/01_tensor/01_tensor.py:8: NameError: x\n\n{frames}\nNameError: x"
    broken = ran(judged() | {"tests": 5, "not_run": 4, "exercises": []}, DOUBLE | {"asks": "", "told": told, "exercise": None})
    shown = text(verdict.of(module, broken, 0.1), height=8)
    assert "01_tensor.py:8: NameError: x" in shown and "line 8, in f8\n    f9()\nNameError: x" in shown and "in f0" not in shown


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no such signal")
def test_code_that_caught_each_interruption_is_told_so(module: Module):
    assert "an `except:` without a name" in text(verdict.of(module, ran(status=-signal.SIGALRM, at="tests/x.py::test_y"), 0.2), 120)


def test_why_a_session_refused_is_told_from_its_beginning_and_blames_nobody(module: Module):
    output = "ERROR: .tito/progress.json:1 is malformed.\n" + "\n".join(f"way out {n}" for n in range(20))
    told = text(verdict.of(module, ran(status=1, output=output, has_ended_itself=True), 0.2), height=12)
    assert "progress.json:1 is malformed" in told and "os._exit" not in told and "Python was ended" not in told


def test_a_module_that_cannot_be_tested_is_no_failed_test(module: Module):
    told = "Module 01 Tensor can't be tested:\n\nmodules/01_tensor/01_tensor.py:3: NameError: x\n\n  File ...\n    x"
    broken = ran(judged() | {"tests": 5, "not_run": 4, "exercises": []}, DOUBLE | {"asks": "", "told": told, "exercise": None})
    assert text(verdict.of(module, broken, 0.1)).startswith("Module 01 Tensor can't be tested, 0.10 s\n\nmodules/01_tensor/01_tensor.py:3: NameError: x\n")
    assert not verdict.has_tests(module, broken) and verdict.has_tests(module, failed())
