"""What a session in a workspace tests, what it leaves out, and how it tells a student what went wrong."""
from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.plugin.conftest import ALPHA, BETA, Student

in_both_formats = pytest.mark.parametrize("student", ["py", "ipynb"], indirect=True)


def passed(text: str) -> int:
    found = re.search(r"(\d+) passed", text)
    return int(found[1]) if found else 0


def test_a_plain_run_tests_what_is_begun_and_says_what_it_left_out(student: Student):
    untouched = student.pytest()
    assert untouched.returncode == 5 and "left out, not begun yet: modules 01-02" in untouched.stdout
    student.solve()
    done = student.pytest()
    assert done.returncode == 0 and passed(done.stdout) == 4 and "left out, not begun yet: modules 02" in done.stdout


def test_an_argument_that_points_into_the_tests_stages_the_module(student: Student):
    student.solve()
    assert passed(student.pytest("tests/01_tensor/test_root.py::test_root").stdout) == 1
    assert passed(student.pytest("tests/01_tensor", "-n", "2").stdout) == 4


def test_the_marker_means_the_same_in_every_folder(student: Student):
    student.solve()
    assert passed(student.pytest("-m", "module01", cwd=student.path().parent).stdout) == 4


@pytest.mark.parametrize("expression, count", [("module01", 4), ("module01 and not module02", 4), ("(module01)", 4),
                                               ("not(module01)", 0), ("module01 or slow", 4), ("not slow", 4)])
def test_expressions_select_before_files_are_imported(student: Student, expression: str, count: int):
    student.solve()
    (student.root / "tests" / "02_activations" / "test_root.py").write_text("raise RuntimeError('imported')\n", "utf-8")
    (student.root / "conftest.py").write_text("def pytest_configure(config): config.addinivalue_line('markers', 'slow')\n", "utf-8")
    done = student.pytest("-m", expression)
    assert passed(done.stdout) == count and "imported" not in done.stdout, done.stdout


def test_the_working_copy_is_tested_and_not_the_export(student: Student):
    student.solve()
    assert student.pytest("-m", "module01", "--tito-complete").returncode == 0
    student.write(ALPHA.replace("2 * x", "x * x"))
    done = student.pytest("-m", "module01")
    assert done.returncode == 1 and "You squared it." in done.stdout
    assert "hint: Double takes any number." not in done.stdout
    assert "2 * x" in student.export().read_text("utf-8") and student.completed == [1]


@in_both_formats
@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_empty_exercises_are_counted_by_themselves(student: Student, arguments: tuple[str, ...]):
    """A new module is no screenful of failures; what is written and wrong is."""
    student.write(ALPHA.replace("return 2 * x", "return x * x").replace("return math.sqrt(x)", "raise NotImplementedError('exercise root: return the square root of x')"))
    done = student.pytest("-m", "module01", *arguments)
    assert done.returncode == 1 and "2 failed, 1 passed, 1 not written yet" in done.stdout, done.stdout
    assert re.search(r"double +1 of +3\n +root +0 of +1  not written yet", done.stdout), done.stdout
    assert "test_root.py::test_root" not in done.stdout
    assert "failed: tests/01_tensor/test_double.py::test_double[one]" in done.stdout
    assert student.state("progress.json")["results"]["1"]["outcome"] == "failed"


@in_both_formats
@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_an_exercise_that_waits_for_another_says_for_which(student: Student, arguments: tuple[str, ...]):
    """`root` is written, and calls `double`, which is not."""
    stub = "raise NotImplementedError('exercise double: return twice x')"
    student.write(ALPHA.replace("return 2 * x", stub).replace("math.sqrt(x)", "math.sqrt(double(x) / 2)"))
    done = student.pytest("-m", "module01", *arguments)
    assert done.returncode == 1 and "4 not written yet" in done.stdout, done.stdout
    assert re.search(r"double +0 of +3  not written yet\n +root +0 of +1  waits for double\n", done.stdout), done.stdout


@in_both_formats
def test_a_failure_points_at_the_students_own_line(student: Student):
    student.write(ALPHA.replace("return math.sqrt(x)", "return math.sqrt(x) / 0"))
    done = student.pytest("-m", "module01")
    if student.format == "py":
        line = student.path().read_text("utf-8").split("\n").index("    return math.sqrt(x) / 0") + 1
        assert f"modules/01_tensor/01_tensor.py:{line}: ZeroDivisionError" in done.stdout.replace("\\", "/")
    else:
        assert "modules/01_tensor/01_tensor.ipynb:cell 4:3: ZeroDivisionError" in done.stdout
    assert ">       return math.sqrt(x) / 0" in done.stdout or ">   return math.sqrt(x) / 0" in done.stdout or "return math.sqrt(x) / 0" in done.stdout


@in_both_formats
@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_a_module_that_does_not_import_is_one_failure(student: Student, arguments: tuple[str, ...]):
    student.write(ALPHA + '\n# %% tags=["export"]\nraise RuntimeError("broken now")\n')
    done = student.pytest("-m", "module01", *arguments)
    assert done.returncode == 1 and "1 failed" in done.stdout and "RuntimeError: broken now" in done.stdout, done.stdout
    place = r"01_tensor\.py:\d+" if student.format == "py" else r"01_tensor\.ipynb:cell 6:1"
    assert re.search(place, done.stdout)
    assert "session.py" not in done.stdout and "importlib" not in done.stdout, "none of the machinery is shown"


@pytest.mark.parametrize("code, said", [
    ("x = (", "SyntaxError"), ("import sys; sys.exit()", "ends Python by itself"), ("while True: pass", "tito_timeout"),
    ("%timeit 1", "notebook command"),
], ids=["syntax", "exit", "loop", "magic"])
@in_both_formats
def test_what_is_wrong_with_a_module_is_told(student: Student, code: str, said: str):
    student.write(ALPHA + f'\n# %% tags=["export"]\n{code}\n')
    done = student.pytest("-m", "module01", "-o", "tito_timeout=1")
    assert done.returncode == 1 and said in done.stdout, done.stdout


def test_one_module_that_cannot_be_staged_leaves_the_others_alone(student: Student):
    student.solve()
    student.write(BETA + '\n# %% tags=["export"]\n%timeit 1\n', "02_activations")
    done = student.pytest("-m", "module01 or module02")
    assert done.returncode == 1 and "4 passed" in done.stdout and "1 failed" in done.stdout and "notebook command" in done.stdout


@pytest.mark.parametrize("file", ["test_double.py", "test_root.py"])
@pytest.mark.parametrize("more", [(), ("-m", "module01"), ("-x",)], ids=["alone", "marker", "x"])
def test_one_file_of_a_broken_module_says_why(student: Student, file: str, more: tuple[str, ...]):
    student.write("# %% tags=[\"export\"]\n1 / 0\n")
    done = student.pytest(f"tests/01_tensor/{file}", *more)
    assert done.returncode == 1 and "1 failed" in done.stdout and "ZeroDivisionError" in done.stdout, done.stdout


def test_failures_with_one_hint_are_told_together(student: Student):
    student.write(ALPHA.replace("return 2 * x", "return 'no number'"))
    tests = student.root / "tests" / "01_tensor" / "test_double.py"
    tests.write_text(tests.read_text("utf-8").replace('"You squared it.", when=got == x * x', '"Numbers, please."'), "utf-8")
    done = student.pytest("-m", "module01")
    assert done.stdout.count("    hint: Numbers, please.") == 1 and "test_double[one] and 1 more with the same hint" in done.stdout


def test_one_named_test_of_a_broken_module_fails_with_the_reason(student: Student):
    student.write("# %% tags=[\"export\"]\n1 / 0\n")
    done = student.pytest("tests/01_tensor/test_root.py::test_root")
    assert done.returncode == 1 and "ZeroDivisionError" in done.stdout and "not found" not in done.stdout + done.stderr


def test_a_loop_in_an_exercise_is_a_failure_with_its_line(student: Student):
    student.write(ALPHA.replace("return math.sqrt(x)", "while x: pass"))
    done = student.pytest("-m", "module01", "-o", "tito_timeout=1")
    assert done.returncode == 1 and "does a loop never end?" in done.stdout and passed(done.stdout) == 3, done.stdout


def test_future_imports_hold_for_later_cells_of_a_notebook(tmp_path: Path, student: Student):
    student.format = "ipynb"
    student.root.joinpath("modules/01_tensor/01_tensor.py").unlink()
    student.write(ALPHA.replace("import math", "from __future__ import annotations\nimport math").replace("def double(x)", "def double(x: Unknown)"))
    assert student.pytest("-m", "module01").returncode == 0


def test_the_folder_of_milestones_means_all_of_them(student: Student):
    student.solve("01_tensor", "02_activations")
    assert student.pytest("-m", "module01 or module02", "--tito-complete").returncode == 0
    assert passed(student.pytest("milestones").stdout) == 1
    assert "attempts" not in student.state("milestones.json"), "only --tito-complete counts"


def test_two_forms_that_differ_are_reported_and_the_newer_is_used(student: Student):
    student.solve()
    notebook = student.path().with_suffix(".ipynb")
    from pytest_tinytorch.workspace.convert import to_notebook

    notebook.write_text(to_notebook(ALPHA.replace("2 * x", "x * x")), "utf-8")
    done = student.pytest("-m", "module01")
    assert done.returncode == 1 and "modules/01_tensor/01_tensor.py differs from 01_tensor.ipynb" in done.stdout


def test_seeds_are_fixed_for_students_and_others_on_request(student: Student):
    (student.root / "tests" / "01_tensor" / "test_double.py").write_text("def test_draw(rng):\n    print('DREW', rng.random())\n", "utf-8")
    student.solve()
    drawn = [re.search("DREW (.*)", student.pytest("-m", "module01", "-s", *extra).stdout)[1] for extra in ((), (), ("--tito-seed", "5"))]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_reports_carry_exercises_and_hints(student: Student, tmp_path: Path, arguments: tuple[str, ...]):
    student.write(ALPHA.replace("2 * x", "x * x"))
    done = student.pytest("-m", "module01", "--tito-github", "--junitxml", str(tmp_path / "report.xml"), *arguments)
    assert "    hint: You squared it." in done.stdout
    annotation = next(line for line in done.stdout.splitlines() if line.startswith("::error") and "[one]" in line)
    assert "file=tests/01_tensor/test_double.py" in annotation and "hint: You squared it." in annotation
    cases = {case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")} for case in ElementTree.parse(tmp_path / "report.xml").iter("testcase")}
    assert cases["test_double[one]"]["tito_module"] == "01" and cases["test_double[one]"]["tito_exercise"] == "double"
    assert cases["test_double[one]"]["tito_hint"] == "You squared it." and "tito_hint" not in cases["test_double[two]"]


@pytest.mark.parametrize("arguments", [("-x",), ("--lf",), ("-p", "no:terminal"), ("-p", "random_order", "--random-order"), ("-q", "-q"), ("--co",)])
def test_it_lives_with_pytests_own_options(student: Student, arguments: tuple[str, ...]):
    student.solve()
    done = student.pytest("-m", "module01", *arguments)
    assert done.returncode == 0 and "INTERNALERROR" not in done.stdout + done.stderr, done.stdout + done.stderr


def test_status_is_json_and_nothing_else(student: Student):
    report = student.pytest("--tito-status", "--tito-format", "json")
    assert report.returncode == 0 and json.loads(report.stdout)["modules_total"] == 3
    plain = student.pytest("--tito-status")
    assert "Modules Completed: 0/3 (0%)" in plain.stdout and "\x1b" not in plain.stdout


def test_no_staging_folder_is_left_behind(student: Student, tmp_path: Path):
    student.solve()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    assert student.pytest("-m", "module01", "--tito-complete", TMPDIR=str(temporary)).returncode == 0
    assert [path.name for path in temporary.iterdir() if "tinytorch" in path.name] == []


def test_a_workspace_init_that_hides_the_base_package_is_told(student: Student):
    (student.root / "tinytorch").mkdir(exist_ok=True)
    (student.root / "tinytorch" / "__init__.py").write_text("", "utf-8")
    done = student.pytest("-m", "module01")
    assert done.returncode != 0 and "tinytorch/__init__.py" in (done.stdout + done.stderr).replace("\\", "/")
    assert "Traceback" not in done.stdout + done.stderr


def test_a_broken_state_file_stops_a_session(student: Student):
    (student.root / ".tito" / "progress.json").write_text("{", "utf-8")
    done = student.pytest("-m", "module01")
    assert done.returncode == 1 and (done.stdout + done.stderr).count("progress.json is malformed: line 1") == 1
    assert (student.root / ".tito" / "progress.json").read_text("utf-8") == "{"


def test_outside_a_workspace_the_plugin_loads_nothing(tmp_path: Path):
    (tmp_path / "test_a.py").write_text("import sys\ndef test_a():\n    assert not [m for m in sys.modules if m.startswith('pytest_tinytorch.') and m not in ('pytest_tinytorch.plugin', 'pytest_tinytorch.hookspecs')]\n", "utf-8")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout


def test_left_out_when_blocked(student: Student):
    student.solve("01_tensor")
    done = student.pytest("-p", "no:tinytorch", "tests/01_tensor")
    assert done.returncode != 0 and "tinytorch:" not in done.stdout, "without the plugin there is no staging"


def test_beta_is_staged_beside_an_exported_alpha(student: Student):
    student.solve()
    assert student.pytest("-m", "module01", "--tito-complete").returncode == 0
    student.write(BETA, "02_activations")
    assert student.pytest("-m", "module02").returncode == 0
