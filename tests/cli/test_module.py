"""`tito init`, `tito module start|test|complete|solution|diff|convert` and the pytest command lines behind them."""
from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_tinytorch.workspace.layout import Workspace
from tests.cli.conftest import Tito
from tests.cli.terminal import CTRL_C, Terminal
from tests.cli.test_manners import on_a_terminal
from tests.plugin.conftest import ALPHA, Student
from tito import running

Real = Callable[..., subprocess.CompletedProcess[str]]
in_both_formats = pytest.mark.parametrize("student", ["py", "ipynb"], indirect=True)


def backups(student: Student, folder: str = "01_tensor") -> list[Path]:
    return sorted((student.root / ".tito" / "backups").glob(f"{folder}_*"))


# --- init --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "suffix"), [([], "ipynb"), (["--format", "py"], "py")], ids=["notebooks", "scripts"])
def test_init_makes_a_workspace_and_says_what_is_next(student: Student, tito: Tito, options: list[str], suffix: str):
    target = student.root.parent / "second"
    answer = tito("init", "../second", *options)
    assert answer.status == 0 and "cd ../second" in answer.out and "tito status" in answer.out
    assert (target / "modules" / "01_tensor" / f"01_tensor.{suffix}").is_file()


def test_init_again_changes_nothing_and_overwrites_nothing(student: Student, tito: Tito):
    assert tito("init", "--format", "py").status == 0
    student.path().write_text("my_work = 1\n", "utf-8")
    answer = tito("init", "--format", "py")
    assert answer.status == 1 and "modules/01_tensor/01_tensor.py" in answer.err
    assert student.path().read_text("utf-8") == "my_work = 1\n"


def test_init_inside_a_workspace_is_refused(student: Student, tito: Tito):
    answer = tito("init", "inner")
    assert answer.status == 1 and "inside the workspace" in answer.err and not (student.root / "inner").exists()


# --- start -------------------------------------------------------------------------------------------------------


@in_both_formats
def test_start_names_goal_file_and_command(student: Student, tito: Tito):
    answer = tito("module", "start", "01")
    assert answer.status == 0 and backups(student) == []
    for text in ("Numbers", f"modules/01_tensor/01_tensor.{student.format}", "pytest -m module01"):
        assert text in answer.out
    assert ("jupyter" in answer.out) == (student.format == "ipynb")


def test_start_backs_up_work_once(student: Student, tito: Tito):
    student.solve()
    assert "Backed up to .tito/backups/01_tensor_" in tito("module", "start", "01").out
    assert "Backed up" not in tito("module", "start", "01").out, "the same work is saved already"
    assert [path.read_text("utf-8") for path in backups(student)] == [ALPHA]


def test_start_names_what_is_missing(student: Student, tito: Tito):
    answer = tito("module", "start", "02")
    assert answer.status == 1 and "needs module 01 first: 01 Tensor. Next: tito module start 01" in answer.err


def test_a_planned_module_cannot_be_started(student: Student, tito: Tito):
    answer = tito("module", "start", "03")
    assert answer.status == 1 and "Module 03 Layers is planned" in answer.err


def test_start_without_a_working_copy_says_how_to_get_one(student: Student, tito: Tito):
    student.path().unlink()
    answer = tito("module", "start", "01")
    assert answer.status == 1 and "tito module reset 01" in answer.err


# --- pytest's command lines --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "more", "wanted"),
    [
        ("test", [], ["-m", "module02"]),
        ("test", ["-x", "-k", "add or sub"], ["-m", "module02", "-x", "-k", "add or sub"]),
        ("complete", [], ["-m", "module02", "--tito-complete"]),
        ("complete", ["-n", "2"], ["-m", "module02", "--tito-complete", "-n", "2"]),
        ("try", [], ["-m", "module02", "--tito-working-copy"]),
    ],
    ids=["test", "test-more", "complete", "complete-more", "try"],
)
def test_pytest_args(workspace: Workspace, command: str, more: list[str], wanted: list[str]):
    assert running.pytest_args(command, workspace.course.module("02"), more) == wanted


def test_pytest_args_of_a_milestone(workspace: Workspace):
    assert running.pytest_args("complete", workspace.course.milestone("01")) == ["-m", "milestone01", "--tito-complete"]


@pytest.mark.parametrize(
    ("code", "arguments", "status"),
    [(0, [], 0), (1, [], 1), (2, [], 1), (3, [], 1), (4, [], 1), (4, ["-y"], 2), (5, [], 1), (-9, [], 1)],
    ids=["passed", "failed", "broken collection", "internal", "usage", "own usage", "nothing", "killed"],
)
def test_exit_status(code: int, arguments: list[str], status: int):
    assert running.exit_status(code, arguments) == status


def test_test_shows_the_command_line_and_runs_it(student: Student, real_tito: Real):
    stub = real_tito("module", "test", "tensor")
    assert stub.returncode == 1 and stub.stdout.startswith("pytest -m module01\n") and "4 not written yet" in stub.stdout
    student.solve()
    solved = real_tito("module", "test", "1", "--", "-k", "test_double and one")
    assert solved.returncode == 0 and solved.stdout.startswith("pytest -m module01 -k 'test_double and one'\n")
    assert "1 passed" in solved.stdout and student.completed == []


@on_a_terminal
def test_ctrl_c_is_pytests_to_handle(student: Student):
    student.write(ALPHA.replace("return 2 * x", "while True: pass"))
    with Terminal(["module", "test", "01"], cwd=student.root, environment=student.environment()) as terminal:
        terminal.wait_for("test_double.py")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert "KeyboardInterrupt" in terminal.text and "subprocess" not in terminal.text


def test_a_wrong_option_for_pytest_is_a_wrong_command_line(student: Student, real_tito: Real):
    done = real_tito("module", "test", "01", "--", "--no-such-option")
    assert done.returncode == 2 and "Traceback" not in done.stderr


@in_both_formats
def test_complete_records_and_exits_0(student: Student, real_tito: Real):
    student.solve()
    done = real_tito("module", "complete", "01", "--", "-o", "tito_notebook_check=no")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("pytest -m module01 --tito-complete -o tito_notebook_check=no\n")
    assert student.completed == [1] and student.export().is_file()


def test_complete_of_a_failing_module_exits_1(student: Student, real_tito: Real):
    assert real_tito("module", "complete", "01").returncode == 1 and student.completed == []


def test_complete_of_a_planned_module_exits_1(student: Student, real_tito: Real):
    done = real_tito("module", "complete", "03")
    assert done.returncode == 1 and "planned" in done.stdout + done.stderr


def test_a_module_that_ends_python_is_not_complete(student: Student, real_tito: Real):
    student.write(ALPHA + '\n# %% tags=["export"]\nimport os; os._exit(0)\n')
    done = real_tito("module", "complete", "01")
    assert done.returncode == 1 and student.completed == []
    assert "os._exit()" in done.stderr


def test_a_partial_run_is_not_complete(student: Student, real_tito: Real):
    student.solve()
    assert real_tito("module", "complete", "01", "--", "-k", "one").returncode == 1
    assert student.completed == []


def test_a_receipt_without_the_module_is_not_a_completion(student: Student, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def pytest_that_recorded_another(workspace: Workspace, arguments: object, environment: dict[str, str]) -> int:
        Path(environment[running.RECEIPT_VARIABLE]).write_text(json.dumps({"recorded": ["module02"]}), "utf-8")
        return 0

    monkeypatch.setattr(running, "_run", pytest_that_recorded_another)
    assert running.complete(workspace, workspace.course.module("01"), []) == 1
    assert "not recorded" in capsys.readouterr().err


# --- solution ----------------------------------------------------------------------------------------------------


def test_the_solution_waits_for_the_students_own(student: Student, tito: Tito):
    answer = tito("module", "solution", "01")
    assert answer.status == 1 and "--give-up" in answer.err and "2 * x" not in answer.out


def test_the_solution_of_a_complete_module_is_shown(student: Student, tito: Tito):
    path = student.root / ".tito" / "progress.json"
    path.write_text(json.dumps({"version": "1.0", "completed_modules": [1], "completion_dates": {}}), "utf-8")
    student.export().parent.mkdir(parents=True)
    student.export().touch()
    answer = tito("module", "solution", "01")
    assert answer.status == 0 and "return 2 * x" in answer.out and "SOLUTION" not in answer.out


def test_giving_up_needs_a_yes(student: Student, tito: Tito):
    assert tito("module", "solution", "01", "--give-up").status == 1
    answer = tito("module", "solution", "01", "--give-up", "--yes")
    assert answer.status == 0 and "return 2 * x" in answer.out


@on_a_terminal
@pytest.mark.parametrize(("typed", "status"), [("y\n", 0), ("\n", 1), ("n\n", 1)], ids=["yes", "enter", "no"])
def test_giving_up_asks(student: Student, typed: str, status: int):
    with Terminal(["module", "solution", "01", "--give-up"], cwd=student.root, environment=student.environment()) as terminal:
        terminal.wait_for("[y/N]: ")
        terminal.type(typed)
        assert terminal.end() == status
        assert ("return 2 * x" in terminal.text) == (status == 0)


# --- diff --------------------------------------------------------------------------------------------------------


@in_both_formats
def test_diff_shows_sources(student: Student, tito: Tito):
    assert "is as you started" in tito("module", "diff", "01").out
    student.solve()
    said = tito("module", "diff", "01").out
    assert "\n+    return 2 * x\n" in said and "\n-    raise NotImplementedError(" in said
    assert "cell_type" not in said and "# %% exercise=double" in said


@pytest.mark.parametrize("student", ["ipynb"], indirect=True)
def test_diff_ignores_outputs(student: Student, tito: Tito):
    notebook = json.loads(student.path().read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 1000}]
    student.path().write_text(json.dumps(notebook), "utf-8")
    assert "is as you started" in tito("module", "diff", "01").out


# --- convert -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("student", "to"), [("py", "ipynb"), ("ipynb", "py")], indirect=["student"], ids=["to notebook", "to script"])
def test_convert_backs_up_and_keeps_what_can_be_compared(student: Student, tito: Tito, to: str):
    student.solve()
    before = student.path().read_bytes()
    answer = tito("module", "convert", "01", "--to", to)
    assert answer.status == 0 and [path.read_bytes() for path in backups(student)] == [before]
    assert [path.name for path in (student.root / "modules" / "01_tensor").iterdir() if path.stem == "01_tensor"] == [f"01_tensor.{to}"]
    assert "\n+    return 2 * x\n" in tito("module", "diff", "01").out
    versions = student.state("version.json")["files"]
    assert f"modules/01_tensor/01_tensor.{to}" in versions and f"modules/01_tensor/01_tensor.{student.format}" not in versions


@pytest.mark.parametrize("student", ["ipynb"], indirect=True)
def test_convert_names_what_it_dropped(student: Student, tito: Tito):
    notebook = json.loads(student.path().read_text("utf-8"))
    code = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    code["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "seen"}]
    student.path().write_text(json.dumps(notebook), "utf-8")
    assert "Not kept, but in the backup: outputs of 1 cell" in tito("module", "convert", "01", "--to", "py").out


def test_convert_to_what_it_is_already_does_nothing(student: Student, tito: Tito):
    answer = tito("module", "convert", "01", "--to", "py")
    assert answer.status == 0 and "already" in answer.out and backups(student) == []


def test_a_broken_notebook_is_not_converted(student: Student, tito: Tito):
    notebook = student.path().with_suffix(".ipynb")
    student.path().rename(notebook)
    notebook.write_text("{broken", "utf-8")
    answer = tito("module", "convert", "01", "--to", "py")
    assert answer.status == 1 and "01_tensor.ipynb" in answer.err
    assert notebook.read_text("utf-8") == "{broken" and backups(student) == []


def test_two_forms_that_differ_are_reported_and_the_newer_is_used(student: Student, tito: Tito):
    from pytest_tinytorch.workspace.convert import to_notebook

    notebook = student.path().with_suffix(".ipynb")
    notebook.write_text(to_notebook(ALPHA), "utf-8")
    later = student.path().stat().st_mtime + 10
    os.utime(notebook, (later, later))
    for command in ("start", "diff"):
        answer = tito("module", command, "01")
        assert answer.status == 0 and "modules/01_tensor/01_tensor.py differs from 01_tensor.ipynb, which is newer and is used" in answer.err
    assert "modules/01_tensor/01_tensor.ipynb and modules/01_tensor/01_tensor.py" in tito("module", "view", "01").out


@pytest.mark.parametrize(
    "command", [["module", "diff", "3"], ["module", "convert", "3", "--to", "py"], ["module", "solution", "3"], ["export", "3"]], ids="-".join
)
def test_a_planned_module_has_nothing_to_work_with(student: Student, tito: Tito, command: list[str]):
    answer = tito(*command)
    assert answer.status == 1 and "Module 03 Layers is planned" in answer.err
