"""What a session tells whoever started it."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.conftest import ALPHA, Student

in_both_formats = pytest.mark.parametrize("student", ["py", "ipynb"], indirect=True)


def verdict(student: Student, folder: Path, *arguments: str) -> dict[str, Any]:
    """What the receipt of a run of module 01 says of it."""
    path = folder / "receipt.json"
    student.pytest("-m", "module01", *arguments, TINYTORCH_RECEIPT=str(path))
    return json.loads(path.read_text("utf-8"))["verdicts"]["module01"]


def test_a_module_that_passes_has_no_failure(student: Student, tmp_path: Path):
    student.solve()
    told = verdict(student, tmp_path)
    assert told["done"] and (told["passed"], told["tests"], told["first"]) == (4, 4, None)
    assert told["exercises"] == [
        {"exercise": "double", "passed": 3, "tests": 3, "missing": ""},
        {"exercise": "root", "passed": 1, "tests": 1, "missing": ""},
    ]


@in_both_formats
@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_the_first_failure_has_what_a_student_needs(student: Student, tmp_path: Path, arguments: tuple[str, ...]):
    student.write(ALPHA.replace("2 * x", "x * x"))
    first = verdict(student, tmp_path, *arguments)["first"]
    assert first["test"] == "tests/01_tensor/test_double.py::test_double[one]"
    assert (first["claim"], first["exercise"]) == ("Twice as much.", "double")
    assert first["source"] == ["got = double(x)", "assert got == 2 * x"]
    assert first["values"] == {"got": "1", "x": "1"} and first["error"][0] == "assert 1 == (2 * 1)"
    assert first["hints"] == ["You squared it."]
    lines = ALPHA.splitlines()
    begins = lines.index("def double(x):") + 1
    where = f"modules/01_tensor/01_tensor.{student.format}:" + ("cell 3:1" if student.format == "ipynb" else str(begins))
    assert first["place"] == where and first["line"] == "", "nothing of the student's raised: the exercise is named"


@in_both_formats
def test_an_error_in_the_students_code_names_its_line(student: Student, tmp_path: Path):
    student.write(ALPHA.replace("return 2 * x", "return None + x"))
    first = verdict(student, tmp_path)["first"]
    assert first["line"] == "return None + x" and first["source"] == ["got = double(x)"]
    assert first["place"].endswith("01_tensor.py:11" if student.format == "py" else "01_tensor.ipynb:cell 3:3")
    assert first["error"] == ["TypeError: unsupported operand type(s) for +: 'NoneType' and 'int'"]


def test_an_exercise_that_is_not_written_comes_last(student: Student, tmp_path: Path):
    first = verdict(student, tmp_path)["first"]
    assert first["empty"] and first["exercise"] == "double" and first["error"] == ["exercise double: return twice x"]
    stub = student.path().read_text("utf-8")
    student.path().write_text(stub.replace('raise NotImplementedError("exercise root: return the square root of x")', "return x"), "utf-8")
    assert verdict(student, tmp_path)["first"]["test"] == "tests/01_tensor/test_root.py::test_root"


def test_what_failed_before_comes_first(student: Student, tmp_path: Path):
    student.write(ALPHA.replace("math.sqrt(x)", "x"))
    assert verdict(student, tmp_path)["first"]["exercise"] == "root"
    student.write(ALPHA.replace("math.sqrt(x)", "x").replace("2 * x", "x * x"))
    assert verdict(student, tmp_path)["first"]["exercise"] == "root", "double is broken now too, but root was first"


def test_a_module_that_does_not_import_says_where(student: Student, tmp_path: Path):
    student.write(ALPHA.replace("import math", "import nomath"))
    told = verdict(student, tmp_path)
    assert (told["passed"], told["not_run"]) == (0, 4)
    assert "modules/01_tensor/01_tensor.py:6: ModuleNotFoundError: No module named 'nomath'" in told["first"]["error"]


def test_only_plain_values_are_shown():
    from pytest_tinytorch.receipt import plain_values

    class Students:
        def __repr__(self) -> str:
            raise AssertionError

    loop: list[object] = []
    loop.append(loop)
    names = {"x": (1, [2.5]), "mine": Students(), "deep": [Students()], "loop": loop, "long": "x" * 999, "_": 1, "@py": 2}
    assert plain_values(names) == {"x": "(1, [2.5])"}
