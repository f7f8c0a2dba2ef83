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
        "exercise": "double", "passed": 3, "tests": 3, "missing": "", "place": f"{file}:{begins if student.format == 'py' else 'cell 3:1'}",
    }  # fmt: skip
    assert [count["exercise"] for count in told["exercises"]] == ["double", "root"]


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_what_failed_before_is_named(student: Student, tmp_path: Path, arguments: tuple[str, ...]):
    student.write(ALPHA.replace("math.sqrt(x)", "x"))
    assert verdict(student, tmp_path, *arguments)["failed_before"] == []
    student.write(ALPHA.replace("math.sqrt(x)", "x").replace("2 * x", "x * x"))
    assert verdict(student, tmp_path, *arguments)["failed_before"] == ["tests/01_tensor/test_root.py::test_root"]


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
