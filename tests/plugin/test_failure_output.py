"""Failures of course tests as a student reads them, and what else reads them: xdist, JUnit, GitHub, pytest's own options."""
from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.plugin.conftest import ALPHA, Student
from tests.plugin.test_session import in_both_formats

SQUARED = ALPHA.replace("return 2 * x", "return x * x")
TOLD = '''\
Twice as much.

    got = double(x)
    assert got == 2 * x

expected  2
got       1
with      x = 1

tests/01_tensor/test_double.py:11: AssertionError
'''


@pytest.mark.parametrize("arguments", [(), ("-n", "2"), ("--tb=auto",), ("-v",)], ids=["plain", "xdist", "auto", "verbose"])
def test_a_failure_tells_what_counts(student: Student, arguments: tuple[str, ...]):
    student.write(SQUARED)
    done = student.pytest("-m", "module01", *arguments)
    assert done.returncode == 1 and TOLD in done.stdout, done.stdout
    assert "hint(" not in done.stdout and done.stdout.count("You squared it.") == 2, "where it happened, and in the summary"
    assert "FAILED tests/01_tensor/test_double.py::test_double[one] - assert 1 == (2 * 1)" in done.stdout


@pytest.mark.parametrize("option", ["--tb=long", "--tb=short", "--tb=native", "--tb=line", "--tb=no", "--full-trace", "-l"])
def test_whoever_asks_for_pytests_tracebacks_gets_them(student: Student, option: str):
    student.write(SQUARED)
    done = student.pytest("-m", "module01", option)
    assert "expected  2" not in done.stdout and "assert 1 == (2 * 1)" in done.stdout
    assert "assert got == 2 * x" in done.stdout or option in ("--tb=no", "--tb=line")


@in_both_formats
@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_an_error_of_the_students_shows_their_lines(student: Student, arguments: tuple[str, ...]):
    student.write(ALPHA.replace("return math.sqrt(x)", "return math.sqrt(x) / 0"))
    done = student.pytest("-m", "module01", *arguments)
    place = "01_tensor.py:17" if student.format == "py" else "01_tensor.ipynb:cell 4:3"
    told = "ZeroDivisionError: float division by zero\n  tests/01_tensor/test_root.py:6, in test_root\n"
    told += f"  modules/01_tensor/{place}, in root\n    return math.sqrt(x) / 0\n"
    assert told in done.stdout, done.stdout
    assert "    assert root(student_side.NINE) == 3\n" in done.stdout


def test_arrays_are_compared_element_by_element(student: Student):
    (student.root / "tests/01_tensor/test_array.py").write_text(
        "import numpy as np\nfrom tinytorch.core.tensor import double\n\n"
        "def test_array(rng):\n    x = rng.normal(size=(5, 6))\n    np.testing.assert_allclose(double(x), 2 * x)\n", "utf-8",
    )  # fmt: skip
    student.write(ALPHA.replace("return 2 * x", "return 6 * x"))
    done = student.pytest("tests/01_tensor/test_array.py")
    assert "30 of 30 elements differ; the largest difference is" in done.stdout
    assert "got is 3 x expected everywhere" in done.stdout and "  and 25 more" in done.stdout


def test_a_comparison_of_another_test_is_not_told(student: Student):
    (student.root / "tests/01_tensor/test_array.py").write_text(
        "import pytest\n\ndef test_a():\n    with pytest.raises(AssertionError):\n        assert 111 == 222\n\n"
        "def test_b():\n    assert 333 == 444\n", "utf-8",
    )  # fmt: skip
    student.solve()
    done = student.pytest("tests/01_tensor/test_array.py")
    assert "expected  444\ngot       333\n" in done.stdout and "222" not in done.stdout, done.stdout


def test_junit_and_github_get_message_and_place(student: Student):
    student.write(SQUARED)
    done = student.pytest("-m", "module01", "--junitxml=report.xml", "--tito-github")
    assert "::error file=tests/01_tensor/test_double.py,line=" in done.stdout and "::assert 1 == (2 * 1)%0A" in done.stdout.replace("AssertionError: ", "")
    failure = ElementTree.parse(student.root / "report.xml").find(".//failure")
    assert failure is not None and "assert 1 == (2 * 1)" in failure.get("message", "")
    assert failure.text is not None and "expected  2\ngot       1\n" in failure.text


def test_tests_that_are_not_the_courses_look_as_always(student: Student):
    (student.root / "tests/test_mine.py").write_text("def test_mine():\n    mine = 1\n    assert mine == 2\n", "utf-8")
    done = student.pytest("tests/test_mine.py")
    assert ">       assert mine == 2" in done.stdout and "expected" not in done.stdout


def test_a_milestone_tells_what_it_expected(student: Student):
    student.write(SQUARED)
    student.solve("02_activations")
    done = student.pytest("-m", "milestone01", "--tito-working-copy")
    assert "expected  12\ngot       81\n" in done.stdout, done.stdout


def test_a_test_without_its_source_is_told_all_the_same(student: Student):
    path: Path = student.root / "tests/01_tensor/test_made.py"
    path.write_text("exec('def test_made():\\n    wanted = 3\\n    assert [] and wanted')\n", "utf-8")
    done = student.pytest(str(path))
    assert done.returncode == 1 and "INTERNALERROR" not in done.stdout and "1 failed" in done.stdout, done.stdout


def test_a_value_that_cannot_be_shown_is_left_to_pytest(student: Student):
    student.write(ALPHA.replace("return 2 * x", "return 10**5000"))  # Python refuses to write so many digits
    done = student.pytest("-m", "module01")
    assert done.returncode == 1 and "INTERNALERROR" not in done.stdout and "1 of 4 tests passed" in done.stdout, done.stdout


def test_plain_assertions_need_no_rewriting(student: Student):
    student.write(SQUARED)
    done = student.pytest("-m", "module01", "--assert=plain")
    assert "    assert got == 2 * x\n\nwith      got = 1\n          x = 1\n" in done.stdout, done.stdout


@in_both_formats
@pytest.mark.parametrize("use", ["double(x).real", "double(x) + 1", "double(x)"], ids=["attribute", "operand", "value"])
def test_a_forgotten_return_is_named(student: Student, use: str):
    student.write(ALPHA.replace("def double(x):", "def double(x) -> float:").replace("return 2 * x", "2 * x"))
    (student.root / "tests/01_tensor/test_none.py").write_text(
        f"from tinytorch.core.tensor import double\n\ndef test_none():\n    x = 3\n    got = {use}\n    assert got == 6\n", "utf-8"
    )
    done = student.pytest("tests/01_tensor/test_none.py")
    assert done.stdout.count("double can end without a return, which gives None: is it missing?") == 1, done.stdout
