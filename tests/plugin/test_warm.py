"""Runs that are ready in advance, as new processes: where there is no fork, and to compare. Forks are tested in tests/cli."""
from __future__ import annotations

import time
from pathlib import Path

import pytest

from pytest_tinytorch import warm
from pytest_tinytorch.warm import Ran, Run
from tests.plugin.conftest import ALPHA, Student

ARGUMENTS = ("-m", "module01", "-q", "-p", "no:random_order")


@pytest.fixture
def run(student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(warm, "CAN_FORK", False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("TINYTORCH_WORKSPACE", "TINYTORCH_STAGING", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TINYTORCH_TEMPLATES", str(student.course))
    return Run(ARGUMENTS, student.root, columns=80)


def ended(run: Run) -> Ran:
    run.go()
    while not run.has_ended:
        time.sleep(0.01)
    ran = run.result()
    run.close()
    return ran


def test_a_run_sees_what_there_is_when_it_goes(student: Student, run: Run):
    student.solve()
    ran = ended(run)
    assert ran.receipt and ran.receipt["verdicts"]["module01"]["done"] and ran.status == 0
    assert "4 of 4 tests passed" in ran.output and not run.folder.exists()
    assert not (student.root / ".pytest_cache").exists()


def test_a_run_that_ends_python_has_no_receipt(student: Student, run: Run):
    student.write(ALPHA.replace("return 2 * x", "import os; os._exit(3)"))
    ran = ended(run)
    assert (ran.status, ran.receipt, ran.at) == (3, None, "tests/01_tensor/test_double.py::test_double[one]")


def test_a_run_that_waits_can_be_closed(run: Run):
    assert not run.has_ended
    run.close()
    assert not run.folder.exists()


def test_a_usage_error_is_in_the_output(student: Student, run: Run):
    run.close()
    ran = ended(Run(["--no-such-option"], student.root, columns=80))
    assert ran.status == 4 and "--no-such-option" in ran.output
