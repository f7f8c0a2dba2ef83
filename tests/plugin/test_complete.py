"""`pytest -m module01 --tito-complete`: what is recorded, and every way of not being recorded."""
from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.conftest import ALPHA, Student

in_both_formats = pytest.mark.parametrize("student", ["py", "ipynb"], indirect=True)
COMPLETE = ("-m", "module01", "--tito-complete")


@in_both_formats
def test_a_solved_module_is_backed_up_exported_and_recorded(student: Student):
    student.solve()
    done = student.pytest(*COMPLETE)
    assert done.returncode == 0, done.stdout
    assert student.completed == [1]
    [backup] = (student.root / ".tito" / "backups").iterdir()
    assert re.fullmatch(rf"01_tensor_\d{{8}}_\d{{6}}\.{student.format}", backup.name)
    assert backup.read_bytes() == student.path().read_bytes()
    assert "unlocked: 02 Activations" in done.stdout
    assert not list(Path(student.root / ".tito").rglob("*.tmp"))


@in_both_formats
def test_an_export_has_a_header_the_students_code_and_no_demonstration(student: Student):
    student.solve()
    assert student.pytest(*COMPLETE).returncode == 0
    text = student.export().read_text("utf-8")
    assert f"modules/01_tensor/01_tensor.{student.format}" in text.splitlines()[0]
    assert "version 1.0.0" in text.splitlines()[0] and "Do not edit" in text.splitlines()[1]
    assert "def double(x):" in text and "import math" in text and "demonstration" not in text


def test_an_export_is_byte_stable_and_left_alone_when_nothing_changed(student: Student):
    student.solve()
    assert student.pytest(*COMPLETE).returncode == 0
    before = student.export().read_bytes(), student.export().stat().st_mtime_ns
    assert student.pytest(*COMPLETE).returncode == 0
    assert (student.export().read_bytes(), student.export().stat().st_mtime_ns) == before


@in_both_formats
def test_a_stub_fails_and_its_result_is_recorded(student: Student):
    done = student.pytest(*COMPLETE)
    assert done.returncode == 1
    assert student.completed == [] and not student.export().exists()
    result = student.state("progress.json")["results"]["1"]
    assert result["outcome"] == "failed" and "tests/01_tensor/test_root.py::test_root" in result["failed"]


def test_a_plain_run_records_its_result_but_no_completion(student: Student):
    student.solve()
    done = student.pytest("-m", "module01")
    assert done.returncode == 0 and "To complete it: pytest -m module01 --tito-complete" in done.stdout
    assert student.completed == [] and student.state("progress.json")["results"]["1"]["outcome"] == "passed"


def test_a_partial_run_records_no_result(student: Student):
    student.solve()
    assert student.pytest("-m", "module01", "-k", "root").returncode == 0
    assert "results" not in student.state("progress.json")


@pytest.mark.parametrize(
    "arguments", [("-k", "root"), ("tests/01_tensor/test_root.py",), ("--collect-only",), ("--setup-plan",), ("--ignore=tests",), ("--deselect", "tests/01_tensor/test_root.py")],
    ids=["keyword", "one file", "collect only", "setup plan", "ignored", "deselected"],
)
def test_a_run_that_leaves_tests_out_is_refused(student: Student, arguments: tuple[str, ...]):
    student.solve()
    done = student.pytest(*COMPLETE, *arguments)
    assert done.returncode == 1 and "required tests" in done.stdout and "not run" in done.stdout, done.stdout
    assert student.completed == []


@pytest.mark.parametrize("mark, said", [("skip", "skipped"), ("xfail", "expected to fail")])
def test_a_skipped_or_xfailed_test_is_no_pass(student: Student, mark: str, said: str):
    student.solve()
    tests = student.root / "tests" / "01_tensor" / "test_root.py"
    tests.write_text(tests.read_text("utf-8").replace("@pytest.mark.exercise", f"@pytest.mark.{mark}\n@pytest.mark.exercise"), "utf-8")
    done = student.pytest(*COMPLETE)
    assert done.returncode == 1 and f"1 of 4 required tests was {said}" in done.stdout, done.stdout
    assert student.completed == []


def test_a_failing_teardown_is_no_pass(student: Student):
    student.solve()
    (student.root / "tests" / "01_tensor" / "conftest.py").write_text(
        "import pytest\n@pytest.fixture(autouse=True)\ndef broken():\n    yield\n    assert False\n", "utf-8"
    )
    assert student.pytest(*COMPLETE).returncode == 1 and student.completed == []


def test_a_students_own_failing_test_is_no_pass(student: Student):
    student.solve()
    (student.root / "tests" / "01_tensor" / "test_mine.py").write_text("def test_mine():\n    assert 0\n", "utf-8")
    done = student.pytest(*COMPLETE)
    assert done.returncode == 1 and "test_mine.py::test_mine" in done.stdout and student.completed == []


def test_edited_tests_are_recorded_with_the_completion(student: Student):
    student.solve()
    tests = student.root / "tests" / "01_tensor" / "test_root.py"
    tests.write_text(tests.read_text("utf-8").replace("== 3", "== 3.0"), "utf-8")
    (student.root / "tests" / "conftest.py").write_text("", "utf-8")
    done = student.pytest(*COMPLETE)
    assert done.returncode == 0 and "edited tests" in done.stdout
    assert student.state("progress.json")["tests_modified"] == {"1": ["tests/01_tensor/test_root.py", "tests/conftest.py"]}
    assert "completed with edited tests" in student.pytest("--tito-status").stdout


def test_deleted_tests_are_missed(student: Student):
    student.solve()
    for path in (student.root / "tests" / "01_tensor").glob("*.py"):
        path.unlink()
    done = student.pytest(*COMPLETE)
    assert done.returncode == 1 and "4 of 4 required tests were not run" in done.stdout


def test_prerequisites_come_first_unless_forced(student: Student):
    student.solve("02_activations")
    student.write(ALPHA)
    refused = student.pytest("-m", "module02", "--tito-complete")
    assert refused.returncode == 1 and "it needs 01 Tensor first" in refused.stdout, refused.stdout
    assert student.pytest(*COMPLETE).returncode == 0
    progress = student.state("progress.json") | {"completed_modules": [], "completion_dates": {}}
    (student.root / ".tito" / "progress.json").write_text(json.dumps(progress), "utf-8")
    forced = student.pytest("-m", "module02", "--tito-complete", "--tito-force")
    assert forced.returncode == 0 and student.completed == [2], forced.stdout
    assert student.state("progress.json")["forced"] == {"2": ["01"]}


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_modules_of_one_session_satisfy_each_other_and_are_recorded_once(student: Student, arguments: tuple[str, ...]):
    student.solve("01_tensor", "02_activations")
    done = student.pytest("-m", "module01 or module02", "--tito-complete", *arguments)
    assert done.returncode == 0 and student.completed == [1, 2], done.stdout
    assert len(list((student.root / ".tito" / "backups").iterdir())) == 2


def test_those_that_passed_are_recorded_even_if_a_later_one_fails(student: Student):
    student.solve()
    done = student.pytest("-m", "module01 or module02", "--tito-complete")
    assert done.returncode == 1 and student.completed == [1], done.stdout


def test_the_first_date_and_unknown_keys_stay(student: Student):
    student.solve()
    progress = student.state("progress.json") | {"mine": 1, "completed_modules": [1, 99], "completion_dates": {"1": "2025-01-01T10:00:00"}}
    (student.root / ".tito" / "progress.json").write_text(json.dumps(progress), "utf-8")
    assert student.pytest(*COMPLETE).returncode == 0
    after = student.state("progress.json")
    assert after["mine"] == 1 and after["completed_modules"] == [1, 99] and after["completion_dates"]["1"] == "2025-01-01T10:00:00"


@in_both_formats
def test_what_does_not_run_from_top_to_bottom_is_not_complete(student: Student):
    student.write(ALPHA + "\n# %%\nprint(undefined_name)\n")
    done = student.pytest(*COMPLETE)
    assert done.returncode == 1 and "from top to bottom" in done.stdout and "name 'undefined_name' is not defined" in done.stdout, done.stdout
    assert "x1B" not in done.stdout and "\x1b" not in done.stdout
    if student.format == "ipynb":
        assert "modules/01_tensor/01_tensor.ipynb:cell 6:1 fails" in done.stdout
    assert student.completed == [] and not student.export().exists()
    assert student.pytest(*COMPLETE, "-o", "tito_notebook_check=false").returncode == 0


@in_both_formats
def test_a_notebook_may_import_its_own_module(student: Student):
    student.write(ALPHA + "\n# %%\nfrom tinytorch.core import tensor\nassert tensor.double(4) == 8\n")
    done = student.pytest(*COMPLETE)
    assert done.returncode == 0, done.stdout


@in_both_formats
def test_a_notebook_finds_the_files_beside_it(student: Student):
    student.path().with_name("numbers.txt").write_text("7", "utf-8")
    student.write(ALPHA + "\n# %%\nassert open('numbers.txt').read() == '7'\n")
    done = student.pytest(*COMPLETE)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("student", ["ipynb"], indirect=True)
def test_a_notebook_with_outputs_of_50_megabytes_and_no_home(student: Student):
    student.solve()
    notebook = json.loads(student.path().read_text("utf-8"))
    code = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    code["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["x" * 50_000_000]}]
    student.path().write_text(json.dumps(notebook), "utf-8")
    environment = {name: value for name, value in student.environment().items() if name not in ("HOME", "USERPROFILE")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *COMPLETE], cwd=student.root, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, encoding="utf-8", timeout=120, check=False,
    )
    assert done.returncode == 0 and student.completed == [1], done.stdout
    assert len(student.export().read_bytes()) < 1000


def test_windows_newlines_in_the_tests_are_no_edit(student: Student):
    student.solve()
    tests = student.root / "tests" / "01_tensor" / "test_root.py"
    tests.write_bytes(tests.read_bytes().replace(b"\n", b"\r\n"))
    assert student.pytest(*COMPLETE).returncode == 0
    assert "tests_modified" not in student.state("progress.json")


@pytest.mark.parametrize("code", ["raise SystemExit(0)", "while True: pass", "import os; os._exit(0)", "x = (", "1 / 0"],
                         ids=["sys.exit", "loop", "os._exit", "syntax", "error"])
def test_a_module_that_does_not_import_is_not_complete(student: Student, code: str):
    student.write(ALPHA + f'\n# %% tags=["export"]\n{code}\n')
    student.pytest(*COMPLETE, "-o", "tito_timeout=1")
    assert student.completed == [] and not student.export().exists()


def test_complete_needs_a_name(student: Student):
    done = student.pytest("--tito-complete")
    assert done.returncode == 4 and "-m module01 --tito-complete" in done.stderr


@pytest.mark.parametrize("mark, said", [("module77", "use module01 to module03"), ("module03", "planned")])
def test_a_module_that_is_not_there_is_named(student: Student, mark: str, said: str):
    done = student.pytest("-m", mark, "--tito-complete")
    assert done.returncode == 4 and said in done.stderr


def test_complete_outside_a_workspace_says_how_to_make_one(student: Student, tmp_path: Path):
    done = student.pytest(*COMPLETE, cwd=tmp_path)
    assert done.returncode == 4 and "tito init" in done.stderr


def test_a_receipt_names_what_was_recorded_and_what_failed(student: Student, tmp_path: Path):
    receipt = tmp_path / "receipt.json"
    student.pytest(*COMPLETE, TINYTORCH_RECEIPT=str(receipt))
    told = json.loads(receipt.read_text("utf-8"))
    assert told["recorded"] == [] and told["not_passed"]["module01"][0].startswith("4 of 4 required tests met an exercise that is not written yet")
    assert told["failures"][0] == {
        "test": "tests/01_tensor/test_double.py::test_double[one]", "exercise": "double", "empty": "double",
        "asks": "Twice as much.", "told": "exercise double: return twice x", "hints": [],
        "place": "modules/01_tensor/01_tensor.py:10", "printed": [],
    }  # fmt: skip
    student.solve()
    student.pytest(*COMPLETE, TINYTORCH_RECEIPT=str(receipt))
    told = json.loads(receipt.read_text("utf-8"))
    assert told["recorded"] == ["module01"] and told["not_passed"] == {"module01": []} and told["failures"] == []


def test_hooks_hear_of_exports_and_completions(student: Student):
    student.solve()
    (student.root / "conftest.py").write_text(
        "def pytest_tinytorch_exported(module, path):\n    print('HEARD', module.number, path.name)\n"
        "def pytest_tinytorch_completed(module, verdict):\n    print('HEARD', module.number, verdict.passed)\n", "utf-8"
    )
    done = student.pytest(*COMPLETE, "-s")
    assert "HEARD 01 tensor.py" in done.stdout and "HEARD 01 True" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent another way on Windows")
@in_both_formats
def test_an_interrupt_in_the_notebook_check_records_nothing_and_says_so(student: Student, tmp_path: Path):
    started = tmp_path / "started"
    student.write(ALPHA + f"\n# %%\nimport pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(60)\n")
    session = subprocess.Popen(
        [sys.executable, "-m", "pytest", *COMPLETE], cwd=student.root, env=student.environment(), encoding="utf-8",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not started.exists():
        assert session.poll() is None, session.communicate()[0]
    session.send_signal(signal.SIGINT)
    told, _ = session.communicate(timeout=60)
    assert session.returncode == 2 and "Interrupted. Recorded before that: nothing." in told and "Traceback" not in told, told
    assert student.completed == [] and not student.export().exists()


def test_a_changed_module_that_passes_says_that_the_export_is_older(student: Student):
    student.solve()
    assert student.pytest(*COMPLETE).returncode == 0
    student.write(ALPHA.replace("2 * x", "x + x"))
    assert "Your package still has the code from before." in student.pytest("-m", "module01").stdout


# --- milestones ----------------------------------------------------------------------------------------------------

RUN = ("-m", "milestone01", "--tito-complete")


def test_a_locked_milestone_names_what_it_needs_and_is_no_attempt(student: Student):
    done = student.pytest(*RUN)
    assert done.returncode == 1 and "complete modules 01-02 first" in done.stdout + done.stderr
    assert "attempts" not in student.state("milestones.json")


@pytest.mark.parametrize("arguments", [("-m", "milestone01"), ("milestones",)], ids=["named", "folder"])
def test_a_locked_milestone_is_told_in_any_run(student: Student, arguments: tuple[str, ...]):
    done = student.pytest(*arguments)
    assert done.returncode == 1 and (done.stdout + done.stderr).count("complete modules 01-02 first") == 1 and "FAILURES" not in done.stdout


def test_a_milestone_counts_attempts_and_keeps_its_first_date(student: Student):
    student.solve("01_tensor", "02_activations")
    assert student.pytest("-m", "module01 or module02", "--tito-complete").returncode == 0
    done = student.pytest(*RUN)
    assert done.returncode == 0 and "the machine learns" in done.stdout, done.stdout
    first = student.state("milestones.json")
    assert first["completed_milestones"] == ["01"] and first["attempts"] == {"01": 1}
    student.export("02_activations").write_text("def quadruple(x): return 0\n", "utf-8")
    failed = student.pytest(*RUN)
    assert failed.returncode == 1
    assert student.state("milestones.json") == first | {"attempts": {"01": 2}}, "a failed run takes nothing away"


def test_a_milestone_runs_exports_and_names_the_changed_module(student: Student):
    student.solve("01_tensor", "02_activations")
    assert student.pytest("-m", "module01 or module02", "--tito-complete").returncode == 0
    student.write(ALPHA.replace("2 * x", "3 * x"))
    done = student.pytest(*RUN)
    assert done.returncode == 0 and "module 01 Tensor was changed since its export" in done.stdout
    changed = student.pytest(*RUN, "--tito-working-copy")
    assert changed.returncode == 1, "with three times instead of twice the answer is wrong"
    assert student.state("milestones.json")["attempts"] == {"01": 1}
