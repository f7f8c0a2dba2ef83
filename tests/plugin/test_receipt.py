"""What a session tells whoever started it of a module."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.conftest import ALPHA, Student

in_both_formats = pytest.mark.parametrize("student", ["py", "ipynb"], indirect=True)


def receipt(student: Student, folder: Path, *arguments: str) -> dict[str, Any]:
    path = folder / "receipt.json"
    student.pytest("-m", "module01", *arguments, TINYTORCH_RECEIPT=str(path))
    return json.loads(path.read_text("utf-8"))


def verdict(student: Student, folder: Path, *arguments: str) -> dict[str, Any]:
    return receipt(student, folder, *arguments)["verdicts"]["module01"]


@in_both_formats
def test_counts_are_in_the_order_of_the_exercises_and_name_their_places(student: Student, tmp_path: Path):
    student.solve()
    told = verdict(student, tmp_path)
    assert told["done"] and (told["passed"], told["tests"], told["not_run"]) == (4, 4, 0)
    begins = ALPHA.splitlines().index("def double(x):") + 1
    file = f"modules/01_tensor/01_tensor.{student.format}"
    assert told["exercises"][0] == {
        "exercise": "double", "passed": 3, "tests": 3, "failed": 0, "missing": "", "place": f"{file}:{begins if student.format == 'py' else 'cell 3:1'}",
    }  # fmt: skip
    assert [count["exercise"] for count in told["exercises"]] == ["double", "root"]


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_the_failure_to_look_at_first_depends_on_no_earlier_run(student: Student, tmp_path: Path, arguments: tuple[str, ...]):
    both = ALPHA.replace("2 * x", "x * x").replace("math.sqrt(x)", "x")
    for text in (both, both.replace("x * x", "import_sys()"), both):
        student.write(text)
        told = receipt(student, tmp_path, *arguments)["failures"]
    assert told[0]["test"].endswith("test_double[one]") and told[0]["hints"] == ["You squared it."]


def test_real_failures_and_empty_exercises_are_counted_apart(student: Student, tmp_path: Path):
    student.write(ALPHA.replace("return 2 * x", 'if x == 1: return 3\n    raise NotImplementedError("exercise double: return twice x")'))
    told = receipt(student, tmp_path)
    double = told["verdicts"]["module01"]["exercises"][0]
    assert (double["failed"], double["missing"]) == (1, "1 failed, 2 not written yet")
    assert told["not_passed"]["module01"] == [
        "1 of 4 required tests failed: tests/01_tensor/test_double.py::test_double[one]",
        "2 of 4 required tests met an exercise that is not written yet: "
        "tests/01_tensor/test_double.py::test_double[two], tests/01_tensor/test_double.py::test_double_of_random_numbers",
    ]


def test_an_empty_exercise_is_told_with_the_students_line_and_what_was_printed(student: Student, tmp_path: Path):
    student.write(ALPHA.replace("return 2 * x", 'print("here", x)\n    raise NotImplementedError("exercise double: return twice x")'))
    first = receipt(student, tmp_path)["failures"][0]
    line = ALPHA.splitlines().index("def double(x):") + 4
    assert first["place"] == f"modules/01_tensor/01_tensor.py:{line}" and first["printed"] == ["here 1"]


@pytest.mark.parametrize("text", ["import nomath", "def ("], ids=["import", "syntax"])
@in_both_formats
def test_a_module_that_does_not_import_has_tests_that_did_not_run(student: Student, tmp_path: Path, text: str):
    student.write(ALPHA.replace("import math", text))
    told = receipt(student, tmp_path)
    judged = told["verdicts"]["module01"]
    assert judged["not_run"] == judged["required"] == 4 and judged["exercises"] == []
    assert "can't be tested" in told["failures"][0]["told"]


def test_a_stub_costs_no_tracebacks(student: Student, tmp_path: Path):
    """pytest's own take longer than most tests, and one line takes their place."""
    (student.root / "conftest.py").write_text(
        "from _pytest._code.code import ExceptionInfo\n"
        "def refuse(*arguments, **options):\n    raise AssertionError('a traceback was made')\n"
        "ExceptionInfo.getrepr = refuse\n", "utf-8"
    )
    assert verdict(student, tmp_path)["exercises"][0]["missing"] == "not written yet"
