"""`tito milestone run`."""
from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.cli.conftest import Tito
from tests.plugin.conftest import Student

Real = Callable[..., subprocess.CompletedProcess[str]]
QUICK = ("-o", "tito_notebook_check=no")


def test_a_locked_milestone_names_what_is_missing_and_is_no_attempt(student: Student, tito: Tito):
    answer = tito("milestone", "run", "01")
    assert answer.status == 1 and "needs modules 01-02 first: 01 Tensor, 02 Activations" in answer.err
    assert student.state("milestones.json") == {"version": "1.0", "completed_milestones": [], "completion_dates": {}}


@pytest.fixture
def ready(student: Student) -> Student:
    """Both modules are complete."""
    student.solve("01_tensor", "02_activations")
    done = student.pytest("-m", "module01 or module02", "--tito-complete", *QUICK)
    assert done.returncode == 0, done.stdout
    return student


def test_running_it_counts_attempts_and_records(ready: Student, real_tito: Real):
    for attempt in (1, 2):
        done = real_tito("milestone", "run", "perceptron")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith("pytest -m milestone01 --tito-complete\n") and "the machine learns" in done.stdout
        record = ready.state("milestones.json")
        assert record["completed_milestones"] == ["01"] and record["attempts"] == {"01": attempt}


def test_on_the_working_copies_nothing_is_recorded(ready: Student, real_tito: Real):
    done = real_tito("milestone", "run", "01", "--working-copy")
    assert done.returncode == 0 and done.stdout.startswith("pytest -m milestone01 --tito-working-copy\n"), done.stdout
    assert ready.state("milestones.json")["completed_milestones"] == []


def test_a_milestone_that_fails_exits_1(ready: Student, real_tito: Real):
    (ready.root / "milestones" / "01_1958_perceptron" / "perceptron.py").write_text("def run():\n    return {'answer': 0}\n", "utf-8")
    assert real_tito("milestone", "run", "01").returncode == 1
    assert ready.state("milestones.json")["attempts"] == {"01": 1}
