"""`tito update`: the flows of a term, on a tiny course of which a new version is installed."""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_tinytorch.update import trial
from pytest_tinytorch.workspace.convert import to_notebook
from tests.cli.conftest import Tito
from tests.cli.terminal import Terminal
from tests.plugin.conftest import ALPHA, BETA, REQUIRED, Student
from tests.update.histories import tree

DOUBLE, ROOT = "tests/01_tensor/test_double.py", "tests/01_tensor/test_root.py"
MILESTONE = "milestones/01_1958_perceptron/perceptron.py"
CHANGES = f'''\
[[change]]
version = "1.1.0"
kind = "fix"
files = ["{DOUBLE}", "modules/02_activations/02_activations.py"]
why = "Negative numbers were not tested."

[[change]]
version = "1.1.0"
kind = "feature"
files = ["{MILESTONE}"]
why = "The machine tells how fast it learns."
'''
Install = Callable[..., None]


@pytest.fixture
def install(student: Student, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Install:
    """Install a version of the course: texts by path, None for a file that goes."""

    def run(files: dict[str, str | None], version: str = "1.1.0") -> None:
        folder = tmp_path / f"course-{version}"
        shutil.copytree(student.course, folder)
        for path, text in (files | {"VERSION": version}).items():
            if text is None:
                (folder / path).unlink()
            else:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, "utf-8", newline="\n")
        student.course = folder
        monkeypatch.setenv("TINYTORCH_TEMPLATES", str(folder))

    return run


def text(student: Student, path: str) -> str:
    return (student.course / path).read_text("utf-8")


@pytest.fixture
def newer(student: Student, install: Install) -> None:
    """A fix of a test, a new feature of a milestone, and a fix of a module that the student has begun."""
    install({
        "CHANGES.toml": CHANGES,
        DOUBLE: text(student, DOUBLE) + "\n",
        MILESTONE: text(student, MILESTONE) + "# faster\n",
        "modules/02_activations/02_activations.py": BETA.replace("def quadruple(x):", "def quadruple(x, /):"),
    })
    student.solve("02_activations")


def version(student: Student) -> str:
    return student.state("version.json")["template_version"]


# --- the flows of the course's design ------------------------------------------------------------------------------


def test_check_lists_what_changed_and_why(newer: None, student: Student, tito: Tito):
    before = tree(student.root)
    assert tito("update", "--check").out == f"""\
Package version: 1.1.0 (you have 1.0.0)
Available updates:
   {MILESTONE} (new feature)
   {DOUBLE} (bug fix)

What changed:
   1.1.0, new feature: The machine tells how fast it learns.
   1.1.0, bug fix: Negative numbers were not tested.

Modules that changed, which 'tito update' does not touch:
   02 Activations (modified): tito update --module 02 --merge
      1.1.0, bug fix: Negative numbers were not tested.

Run 'tito update' to apply, or 'tito update --dry-run' to preview.
"""
    assert tito("update", "--dry-run").out.startswith(f"Would update {MILESTONE}\nWould update {DOUBLE}\nWould skip modules/02")
    assert tree(student.root) == before


@pytest.mark.parametrize("student", ["py", "ipynb"], indirect=True)
def test_the_reasons_of_a_module_stand_below_it_and_in_the_cell_to_settle(student: Student, install: Install, tito: Tito):
    student.solve("01_tensor")
    student.write(BETA.replace("def quadruple(x):", "def quadruple(x):  # mine"), "02_activations")
    install({"CHANGES.toml": CHANGES, "modules/02_activations/02_activations.py": BETA.replace("def quadruple(x):", "def quadruple(x, /):")})
    module = "   02 Activations (modified): tito update --module 02 --merge\n      1.1.0, bug fix: Negative numbers were not tested.\n"
    assert module in tito("update", "--check").out
    [facts] = json.loads(tito("update", "--check", "--json").out)["modules"]
    assert facts["reasons"] == [{"version": "1.1.0", "kind": "fix", "why": "Negative numbers were not tested."}]
    assert "to settle: quadruple." in tito("update", "--module", "02", "--merge").out
    assert "Negative numbers were not tested." in student.path("02_activations").read_text("utf-8")


def test_update_replaces_what_was_not_modified_and_names_the_rest(newer: None, student: Student, tito: Tito):
    answer = tito("update")
    assert answer.out == f"""\
Updated {MILESTONE}
Updated {DOUBLE}
Skipped modules/02_activations (student modified)

To merge the change into module 02: tito update --module 02 --merge
To reset a module to latest: tito module reset 02
To take this update back: tito update --rollback
"""
    assert (student.root / DOUBLE).read_text("utf-8") == text(student, DOUBLE)
    assert student.path("02_activations").read_text("utf-8") == BETA
    assert version(student) == "1.1.0"
    entry = student.state("version.json")["files"][DOUBLE]
    assert (entry["version"], entry["modified_by_student"]) == ("1.1.0", False)
    assert student.state("version.json")["files"]["modules/02_activations/02_activations.py"]["modified_by_student"]


def test_a_second_update_finds_nothing_and_says_so(student: Student, install: Install, tito: Tito):
    install({DOUBLE: text(student, DOUBLE) + "\n"})
    tito("update")
    before = tree(student.root)
    assert tito("update").out == "Everything is up to date: version 1.1.0.\n"
    assert tito("update", "--check").out == "Package version: 1.1.0 (you have 1.1.0)\nEverything is up to date.\n"
    assert tree(student.root) == before


def test_the_status_says_that_there_is_an_update(newer: None, tito: Tito):
    step = "See what version 1.1.0 of the course changed: tito update --check"
    assert step in tito("status").out
    tito("update")
    assert step not in tito("status").out


def test_rollback_is_the_way_back(newer: None, student: Student, tito: Tito):
    before = tree(student.root, but=(".tito/undo", ".tito/lock"))
    tito("update")
    assert f"Restored {DOUBLE}\n" in tito("update", "--rollback").out
    assert tree(student.root, but=(".tito/undo", ".tito/lock")) == before
    answer = tito("update", "--rollback")
    assert answer.status == 1 and "There is nothing to take back: no `tito update`" in answer.err


def test_json_has_the_same_facts(newer: None, tito: Tito):
    facts = json.loads(tito("update", "--check", "--json").out)
    assert (facts["workspace_version"], facts["package_version"]) == ("1.0.0", "1.1.0")
    assert [(file["action"], file["path"]) for file in facts["files"]] == [("update", MILESTONE), ("update", DOUBLE)]
    assert facts["files"][1]["reasons"] == [{"version": "1.1.0", "kind": "fix", "why": "Negative numbers were not tested."}]
    assert [(module["number"], module["state"]) for module in facts["modules"]] == [("02", "modified")]


# --- files ---------------------------------------------------------------------------------------------------------


def test_files_that_come_go_and_change_their_name(student: Student, install: Install, tito: Tito):
    install({ROOT: None, "tests/01_tensor/test_sqrt.py": text(student, ROOT), "tests/02_activations/new.py": "x = 1\n"})
    (student.root / DOUBLE).unlink()
    answer = tito("update")
    assert f"Added {DOUBLE}\n" in answer.out and f"Removed {ROOT}\n" in answer.out
    assert not (student.root / ROOT).exists()
    assert (student.root / "tests/01_tensor/test_sqrt.py").is_file() and (student.root / "tests/02_activations/new.py").is_file()


def test_a_modified_file_stays_also_if_the_course_drops_or_renames_it(student: Student, install: Install, tito: Tito):
    for path in (ROOT, DOUBLE):
        (student.root / path).write_text("mine\n", "utf-8")
    install({ROOT: None, DOUBLE: text(student, DOUBLE) + "\n"})
    assert f"Skipped {DOUBLE} (student modified)\n" in tito("update").out
    assert [(student.root / path).read_text("utf-8") for path in (ROOT, DOUBLE)] == ["mine\n", "mine\n"]
    assert ROOT not in student.state("version.json")["files"], "it is the student's own now"
    assert student.state("version.json")["files"][DOUBLE]["version"] == "1.0.0", "and is offered again"


@pytest.mark.parametrize("mine", ["tests/01_tensor/test_new.py", "tests/01_tensor/TEST_NEW.py", "tests/01_tensor/test_new.py/a.txt"])
def test_a_file_of_the_students_own_is_not_overwritten(student: Student, install: Install, tito: Tito, mine: str):
    install({"tests/01_tensor/test_new.py": "x = 1\n"})
    (student.root / mine).parent.mkdir(exist_ok=True)
    (student.root / mine).write_text("mine\n", "utf-8")
    assert "Skipped tests/01_tensor/test_new.py (a file of yours is in the way)\n" in tito("update").out
    assert (student.root / mine).read_text("utf-8") == "mine\n"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_is_not_followed(student: Student, install: Install, tito: Tito, tmp_path: Path):
    outside = tmp_path / "shared.py"
    outside.write_bytes((student.root / DOUBLE).read_bytes())
    (student.root / DOUBLE).unlink()
    (student.root / DOUBLE).symlink_to(outside)
    before = outside.read_bytes()
    install({DOUBLE: text(student, DOUBLE) + "\n"})
    assert f"Skipped {DOUBLE} (it is a link)\n" in tito("update").out
    assert outside.read_bytes() == before and (student.root / DOUBLE).is_symlink()


def test_a_name_that_changes_its_case_only(student: Student, install: Install, tito: Tito):
    install({ROOT: None, "tests/01_tensor/Test_root.py": text(student, ROOT) + "\n"})
    tito("update")
    names = {path.name for path in (student.root / "tests" / "01_tensor").glob("*.py")}
    assert "Test_root.py" in names and "test_root.py" not in names


def test_newlines_of_windows_are_no_modification(student: Student, install: Install, tito: Tito):
    path = student.root / DOUBLE
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    install({DOUBLE: text(student, DOUBLE) + "\n"})
    assert f"Updated {DOUBLE}\n" in tito("update").out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no executable bit")
def test_an_executable_bit_arrives_and_the_students_stays(student: Student, install: Install, tito: Tito):
    (student.root / DOUBLE).chmod(0o755)
    install({DOUBLE: text(student, DOUBLE) + "\n"})
    (student.course / MILESTONE).chmod(0o755)
    assert f"Updated {MILESTONE}\n" in tito("update").out
    assert [os.access(student.root / path, os.X_OK) for path in (MILESTONE, DOUBLE)] == [True, True]


def test_a_module_that_gets_another_name_takes_the_work_with_it(student: Student, install: Install, tito: Tito):
    student.solve("02_activations")
    (student.root / ".tito" / "backups" / "02_activations_20251115_120000.py").write_text(BETA, "utf-8")
    curriculum = text(student, "curriculum.toml").replace('slug = "activations"', 'slug = "nonlinear"')
    install({
        "curriculum.toml": curriculum,
        "modules/02_activations/02_activations.py": None, "modules/02_nonlinear/02_nonlinear.py": BETA,
        "tests/02_activations/test_root.py": None,
        "tests/02_nonlinear/test_root.py": text(student, "tests/02_activations/test_root.py"),
    })
    assert "Moved modules/02_activations/02_activations.py to modules/02_nonlinear/02_nonlinear.py\n" in tito("update").out
    assert student.path("02_nonlinear").read_text("utf-8") == BETA
    assert not (student.root / "modules" / "02_activations").exists() and not (student.root / "tests" / "02_activations").exists()
    assert tito("backup", "list", "02").out.count("02_activations_") == 1


def test_a_renamed_module_leaves_an_edited_test_which_stops_nothing(student: Student, install: Install, tito: Tito):
    student.solve("01_tensor", "02_activations")
    other = student.path("02_activations").with_suffix(".ipynb")
    other.write_text(to_notebook(BETA), "utf-8")
    edited = student.root / "tests" / "02_activations" / "test_root.py"
    edited.write_text(edited.read_text("utf-8") + "# mine\n", "utf-8")
    install({
        "curriculum.toml": text(student, "curriculum.toml").replace('slug = "activations"', 'slug = "nonlinear"'),
        "modules/02_activations/02_activations.py": None, "modules/02_nonlinear/02_nonlinear.py": BETA,
        "tests/02_activations/test_root.py": None,
        "tests/02_nonlinear/test_root.py": text(student, "tests/02_activations/test_root.py"),
    })
    assert "Kept tests/02_activations/test_root.py (the course no longer has it, and it is yours now)\n" in tito("update").out
    assert sorted(path.name for path in (student.root / "modules" / "02_nonlinear").iterdir()) == ["02_nonlinear.ipynb", "02_nonlinear.py"]
    assert student.pytest("-m", "module01", "--tito-complete", "-o", "tito_notebook_check=no").returncode == 0
    assert student.pytest("-q").returncode == 0


# --- what only the installed course has ------------------------------------------------------------------------------


@pytest.fixture
def with_layers(student: Student, install: Install) -> None:
    """A version of the course in which module 03 and milestone 02 are written, and which the workspace isn't of."""
    curriculum = text(student, "curriculum.toml").replace('needs = ["01", "02"]\ngoal = "Not', 'needs = ["01"]\ngoal = "Not')
    install({
        "curriculum.toml": curriculum + CROSSING,
        "modules/03_layers/03_layers.py": BETA.replace("quadruple", "layer"),
        "modules/03_layers/README.md": "Layers.\n",
        "tests/03_layers/test_layer.py": "def test_layer():\n    pass\n",
        "milestones/02_1969_xor/xor.py": "def run():\n    return {}\n",
        "required_tests.json": json.dumps(REQUIRED | {"module03": ["tests/03_layers/test_layer.py::test_layer"]}),
    })


CROSSING = '''
[[milestone]]
number = "02"
slug = "xor"
title = "XOR"
year = 1969
needs = ["01"]
goal = "The second"
'''


@pytest.mark.parametrize("command", [
    ["module", "start", "03"], ["module", "reset", "03", "--yes"], ["module", "test", "03"], ["module", "complete", "03"],
    ["module", "watch", "03"], ["module", "hint", "03"], ["module", "diff", "03"], ["module", "convert", "03", "--to", "ipynb"],
    ["update", "--module", "03", "--merge"], ["milestone", "run", "02"], ["export", "03"],
], ids=" ".join)  # fmt: skip
def test_what_a_newer_course_brings_is_got_by_an_update(with_layers: None, student: Student, real_tito: Callable[..., Any], command: list[str]):
    before = tree(student.root, but=(".tito/lock",))
    answer = real_tito(*command)
    assert answer.returncode == 1 and re.search(r"Bring (it|them) in with: tito update\n", answer.stdout + answer.stderr)
    assert tree(student.root, but=(".tito/lock",)) == before


def test_a_completion_and_the_status_say_how_to_get_what_a_newer_course_brings(with_layers: None, student: Student, tito: Tito):
    student.solve("01_tensor")
    done = student.pytest("-m", "module01", "--tito-complete", "-o", "tito_notebook_check=no")
    assert "  unlocked: 03 Layers, tito update brings it in\n" in done.stdout
    assert "  unlocked: Milestone 02 - XOR (1969), tito update brings it in\n" in done.stdout
    said = tito("status").out
    assert "Bring in module 03, milestone 02: tito update\n" in said
    assert "[-] 03 Layers [not in this workspace yet: tito update]\n" in said
    assert "left out" not in student.pytest("-q").stdout
    tito("update")
    assert "[ ] 03 Layers\n" in tito("status").out and tito("module", "start", "03").status == 0


def test_a_module_that_was_reset_to_the_installed_course_is_current(student: Student, install: Install, tito: Tito):
    install({"modules/02_activations/README.md": "Read me.\n", DOUBLE: text(student, DOUBLE) + "\n"})
    student.path("02_activations").unlink()
    tito("module", "reset", "02", "--yes")
    assert tito("update").out == f"""\
Added modules/02_activations/README.md
Updated {DOUBLE}
To take this update back: tito update --rollback
"""


def test_tests_that_are_gone_are_named_and_brought_in(student: Student, tito: Tito):
    student.solve("01_tensor")
    shutil.rmtree(student.root / "tests" / "01_tensor")
    told = student.pytest("-m", "module01", "--tito-complete")
    assert told.returncode == 4 and "module01 (Tensor) has no tests in this workspace" in told.stderr and student.completed == []
    tito("update")
    assert student.pytest("-m", "module01", "-q").returncode == 0


def test_without_a_record_of_what_was_begun_check_and_merge_agree(student: Student, tito: Tito):
    student.solve("01_tensor")
    shutil.rmtree(student.root / ".tito")
    said = tito("update", "--check").out
    assert "What you started from isn't known any more" in said and "   01 Tensor (modified): tito update --module 01\n" in said
    assert "--merge" not in said + tito("update").out
    assert tito("update", "--module", "01", "--merge").status == 1
    [module] = json.loads(tito("update", "--check", "--json").out)["modules"]
    assert (module["has_base"], module["command"]) == (False, "tito update --module 01")


# --- one module ----------------------------------------------------------------------------------------------------


def test_a_module_is_replaced_after_a_backup(newer: None, student: Student, tito: Tito):
    answer = tito("update", "--module", "02", "--yes")
    assert "Its exercises are empty again; what you wrote is in the backup.\n" in answer.out
    assert "Updated modules/02_activations/02_activations.py to version 1.1.0\n" in answer.out
    assert "def quadruple(x, /):\n    raise NotImplementedError" in student.path("02_activations").read_text("utf-8")
    [backup] = (student.root / ".tito" / "backups").glob("02_*")
    assert backup.read_text("utf-8") == BETA
    assert version(student) == "1.0.0", "the rest of the course is as it was"
    assert tito("update", "--rollback").status == 0 and student.path("02_activations").read_text("utf-8") == BETA


@pytest.mark.parametrize("state", ["written", "complete"])
def test_a_module_with_work_in_it_is_not_replaced_unasked(newer: None, student: Student, tito: Tito, state: str):
    if state == "complete":
        progress = {"version": "1.0", "completed_modules": [2], "completion_dates": {"2": "2025-11-16T11:00:00"}}
        (student.root / ".tito" / "progress.json").write_text(json.dumps(progress), "utf-8")
        shutil.copy(student.root / ".tito" / "pristine" / student.path("02_activations").relative_to(student.root), student.path("02_activations"))
    before = tree(student.root)
    answer = tito("update", "--module", "02")
    assert answer.status == 1 and "In a script: tito update --module 02 --yes\n" in answer.err
    head, _, rest = answer.out.partition("This will:\n")
    assert "To keep your work and take in what the course changed: tito update --module 02 --merge\n" in head and "Clear module completion" in rest
    asked = tito("update", "--module", "02", "--json")
    assert asked.status == 2 and "--json can't ask" in asked.err and not asked.out
    assert tree(student.root) == before


def test_a_module_without_work_is_replaced_as_it_is_typed(student: Student, install: Install, tito: Tito):
    install({"modules/02_activations/02_activations.py": BETA.replace("def quadruple(x):", "def quadruple(x, /):")})
    answer = tito("update", "--module", "02")
    assert answer.status == 0 and "Updated modules/02_activations/02_activations.py to version 1.1.0\n" in answer.out
    assert "empty again" not in answer.out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminal")
@pytest.mark.parametrize(("key", "said"), [("1", "Updated modules/02_activations/02_activations.py to version 1.1.0"), ("3", "Nothing was changed.")])
def test_on_a_terminal_it_asks_before_it_replaces_work(newer: None, student: Student, key: str, said: str):
    with Terminal(["update", "--module", "02"], cwd=student.root, environment=student.environment()) as terminal:
        terminal.wait_for("Choice [1]: ")
        terminal.type(f"{key}\n")
        assert terminal.end() == (key == "3")
        assert said in terminal.text
    assert (student.path("02_activations").read_text("utf-8") == BETA) == (key == "3")


@pytest.mark.parametrize("student", ["py", "ipynb"], indirect=True)
def test_a_merge_is_tested_and_a_complete_module_exported_again(student: Student, install: Install, tito: Tito):
    student.solve("01_tensor")
    assert student.pytest("-m", "module01", "--tito-complete", "-o", "tito_notebook_check=no").returncode == 0
    install({"modules/01_tensor/01_tensor.py": ALPHA.replace("import math\n", "import math\nimport operator\n")})
    assert "   01 Tensor (completed): tito update --module 01 --merge\n" in tito("update", "--check").out
    answer = tito("update", "--module", "01", "--merge")
    assert "All tests pass; exported again to tinytorch/core/tensor.py\n" in answer.out
    assert "import operator" in student.export().read_text("utf-8") and "return 2 * x" in student.export().read_text("utf-8")
    assert student.completed == [1]
    assert student.pytest("-m", "module01", "-q").returncode == 0
    assert "tito export 01" not in tito("export", "--all", "--check").both


@pytest.mark.parametrize("student", ["py", "ipynb"], indirect=True)
def test_a_dry_run_of_a_merge_tests_and_shows_it_and_changes_nothing(student: Student, install: Install, tito: Tito):
    student.write(ALPHA.replace("def root(x):", "def root(x):  # mine"))
    install({"modules/01_tensor/01_tensor.py": ALPHA.replace("def root(x):", "def root(x, /):").replace("import math\n", "import math\nimport sys\n")})
    before = tree(student.root, but=(".tito/lock",))
    said = tito("update", "--module", "01", "--merge", "--dry-run").out
    for line in (f"Would merge modules/01_tensor/01_tensor.{student.format} with version 1.1.0", "All tests of the module pass.", "+import sys", "Nothing was changed."):
        assert f"{line}\n" in said
    assert "  to settle: root." in said
    facts = json.loads(tito("update", "--module", "01", "--merge", "--dry-run", "--json").out)
    assert [conflict["title"] for conflict in facts["conflicts"]] == ["root"] and "+import sys" in facts["diff"]
    assert tree(student.root, but=(".tito/lock",)) == before


def test_a_dry_run_of_a_merge_that_breaks_what_works_leaves_nothing(student: Student, install: Install, tito: Tito):
    student.solve("01_tensor")
    install({"modules/01_tensor/01_tensor.py": ALPHA.replace("import math\n", "import math\nmath = None\n")})
    before = tree(student.root, but=(".tito/lock",))
    answer = tito("update", "--module", "01", "--merge", "--dry-run")
    assert answer.status == 1 and "tests fail that pass with your file" in answer.err and ".tito/merge" not in answer.err
    assert tree(student.root, but=(".tito/lock",)) == before


def test_a_merge_that_breaks_what_works_is_refused(student: Student, install: Install, tito: Tito):
    student.solve("01_tensor")
    install({"modules/01_tensor/01_tensor.py": ALPHA.replace("import math\n", "import math\nmath = None\n")})
    before = tree(student.root, but=(".tito/lock", ".tito/merge", ".tito/undo"))
    answer = tito("update", "--module", "01", "--merge")
    assert answer.status == 1 and "tests fail that pass with your file: tests/01_tensor/test_root.py::test_root" in answer.err
    assert tree(student.root, but=(".tito/lock", ".tito/merge", ".tito/undo")) == before
    assert "math = None" in (student.root / ".tito" / "merge" / "01_tensor.py").read_text("utf-8")


def test_a_merge_into_unfinished_work_fails_no_more_than_before(student: Student, install: Install, tito: Tito):
    student.write(ALPHA.replace("return math.sqrt(x)", "return 0"))
    install({"modules/01_tensor/01_tensor.py": ALPHA.replace("import math\n", "import math\nimport sys\n")})
    answer = tito("update", "--module", "01", "--merge")
    assert answer.status == 0 and "1 test of the module fails, with the change as without it." in answer.out


def test_a_complete_module_with_a_conflict_keeps_its_record_and_the_status_says_so(student: Student, install: Install, tito: Tito):
    student.write(ALPHA.replace("def root(x):", "def root(x):  # mine"))
    assert student.pytest("-m", "module01", "--tito-complete", "-o", "tito_notebook_check=no").returncode == 0
    install({"modules/01_tensor/01_tensor.py": ALPHA.replace("def root(x):", "def root(x, /):").replace("import math\n", "import math\nimport sys\n")})
    answer = tito("update", "--module", "01", "--merge")
    assert "to settle: root." in answer.out and "its export is older than the change" in answer.out
    assert "[x] 01 Tensor" in (status := tito("status").out) and "[export older than the fix]" in status
    told = student.pytest("-m", "module01", "--tito-complete", "-o", "tito_notebook_check=no")
    found = re.search(r"  to settle: (modules/01_tensor/01_tensor.py:(\d+)) shows a change of the course's to root\n", told.stdout)
    assert found and "conflict=" in student.path().read_text("utf-8").splitlines()[int(found[2]) - 2]
    assert told.returncode == 1 and f"{found[1]} shows a change of the course's that isn't settled: root" in told.stdout
    text = student.path().read_text("utf-8")
    head, _, rest = text.partition("# %% [markdown] conflict=")
    student.path().write_text(head + rest[rest.index("# %% exercise=") :], "utf-8")
    assert student.pytest("-m", "module01", "--tito-complete", "-o", "tito_notebook_check=no").returncode == 0
    assert "[export older than the fix]" not in tito("status").out


def test_a_save_while_the_tests_run_is_never_lost(
    student: Student, install: Install, tito: Tito, monkeypatch: pytest.MonkeyPatch
):
    student.solve("01_tensor")
    install({"modules/01_tensor/01_tensor.py": ALPHA.replace("import math\n", "import math\nimport sys\n")})
    saved = ALPHA + "\n# %%\ntyped = 'meanwhile'\n"
    tested = trial.run

    def run(*arguments: object) -> trial.Trial:
        student.write(saved)
        return tested(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trial, "run", run)
    answer = tito("update", "--module", "01", "--merge")
    assert answer.status == 1 and "was saved while its tests ran. Nothing was changed." in answer.err
    assert student.path().read_text("utf-8") == saved


def test_a_merge_with_nothing_to_merge_says_so_and_changes_nothing(student: Student, install: Install, tito: Tito):
    student.solve("01_tensor")
    install({"modules/01_tensor/01_tensor.py": ALPHA.replace("import math\n", "import math\nimport sys\n")})
    tito("update", "--module", "01", "--merge")
    before = tree(student.root)
    answer = tito("update", "--module", "01", "--merge")
    assert answer.out == "There is nothing to merge: your module 01 Tensor has all of version 1.1.0.\n"
    assert tree(student.root) == before


@pytest.mark.parametrize("student", ["py", "ipynb"], indirect=True)
def test_a_restored_backup_is_known_to_be_of_an_older_version(student: Student, install: Install, tito: Tito):
    student.solve("01_tensor")
    install({"modules/01_tensor/01_tensor.py": ALPHA.replace("import math\n", "import math\nimport sys\nimport operator\n")})
    tito("update", "--module", "01", "--merge")
    assert "import operator" in student.path().read_text("utf-8")
    tito("backup", "restore", "01")
    assert "   01 Tensor (modified): tito update --module 01 --merge\n" in tito("update", "--check").out
    tito("update", "--module", "01", "--merge")
    text = student.path().read_text("utf-8")
    assert "import operator" in text and "return 2 * x" in text and "conflict" not in text


def test_a_module_is_not_taken_back_to_an_older_version_unless_asked_for(student: Student, install: Install, tito: Tito):
    install({"modules/01_tensor/01_tensor.py": ALPHA + "\n# %%\nnew = 1\n"})
    tito("update", "--module", "01")
    install({"modules/01_tensor/01_tensor.py": ALPHA}, version="0.9.0")
    student.path().write_text(student.path().read_text("utf-8") + "# mine\n", "utf-8")
    for merges in ((), ("--merge",)):
        answer = tito("update", "--module", "01", *merges)
        assert answer.status == 1 and "module 01 Tensor is of 1.1.0 here, which is newer" in answer.err and not answer.out
    assert "new = 1" in student.path().read_text("utf-8")
    assert tito("update", "--module", "01", "--downgrade", "--yes").status == 0
    assert "new = 1" not in student.path().read_text("utf-8")


def test_a_rollback_does_not_pass_over_what_came_later(student: Student, install: Install, tito: Tito):
    student.solve("01_tensor")
    install({"modules/01_tensor/01_tensor.py": ALPHA.replace("import math\n", "import math\nimport sys\n")})
    tito("update", "--module", "01", "--merge")
    tito("module", "convert", "01", "--to", "ipynb")
    before = tree(student.root)
    answer = tito("update", "--rollback")
    assert answer.status == 1 and "`tito module convert 01 --to ipynb`, which came later" in answer.err
    assert tree(student.root) == before
    assert tito("undo").status == 0 and tito("update", "--rollback").status == 0
    assert student.path().read_text("utf-8") == ALPHA


def test_an_export_waits_until_conflicts_are_settled(student: Student, install: Install, tito: Tito):
    student.write(ALPHA.replace("def root(x):", "def root(x):  # mine"))
    install({"modules/01_tensor/01_tensor.py": ALPHA.replace("def root(x):", "def root(x, /):")})
    tito("update", "--module", "01", "--merge")
    assert student.pytest("-m", "module01", "-q").returncode == 0
    answer = tito("export", "01")
    assert answer.status == 1 and "shows a change of the course's that isn't settled: root" in answer.err


@pytest.mark.skipif(os.name == "nt", reason="permissions are other on Windows")
def test_a_file_that_was_made_read_only_can_be_merged(student: Student, install: Install, tito: Tito):
    student.solve("01_tensor")
    student.path().chmod(0o444)
    install({"modules/01_tensor/01_tensor.py": ALPHA.replace("import math\n", "import math\nimport sys\n")})
    assert tito("update", "--module", "01", "--merge").status == 0
    assert "import sys" in student.path().read_text("utf-8")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("command", [
    ["update", "--module", "02", "--yes"], ["update", "--module", "02", "--merge"], ["module", "reset", "02", "--yes"],
    ["module", "convert", "02", "--to", "ipynb"], ["update"],
], ids=" ".join)  # fmt: skip
def test_a_working_copy_that_is_a_link_stays_one_and_undo_brings_it_and_its_content_back(
    newer: None, student: Student, install: Install, tito: Tito, tmp_path: Path, command: list[str]
):
    if command == ["update"]:  # of a course in which the module has another name
        install({
            "curriculum.toml": text(student, "curriculum.toml").replace('slug = "activations"', 'slug = "nonlinear"'),
            "modules/02_activations/02_activations.py": None, "modules/02_nonlinear/02_nonlinear.py": BETA,
        }, version="1.2.0")  # fmt: skip
    outside, path = tmp_path / "mein Ordner" / "02.py", student.path("02_activations")
    outside.parent.mkdir()
    path.rename(outside)
    path.symlink_to(outside)
    before = tree(student.root, but=(".tito",))
    assert tito(*command).status == 0
    assert tree(student.root, but=(".tito",)) != before
    links = [found for found in student.root.rglob("02_*.*") if found.is_symlink()]
    assert [link.readlink() for link in links] == ([] if "convert" in command else [outside])
    assert tito("undo").status == 0
    assert path.readlink() == outside and outside.read_text("utf-8") == BETA
    assert tree(student.root, but=(".tito",)) == before


# --- what goes wrong -----------------------------------------------------------------------------------------------


def test_a_downgrade_is_refused_unless_asked_for(student: Student, install: Install, tito: Tito):
    install({DOUBLE: text(student, DOUBLE) + "\n"}, version="0.9.0")
    answer = tito("update")
    assert answer.status == 1 and "The installed course is version 0.9.0, and this workspace has 1.0.0" in answer.err
    assert tito("update", "--downgrade").status == 0 and version(student) == "0.9.0"


def test_a_merge_without_a_base_says_so(newer: None, student: Student, tito: Tito):
    (student.root / ".tito/pristine/modules/02_activations/02_activations.py").unlink()
    answer = tito("update", "--module", "02", "--merge")
    assert answer.status == 1 and "there is no copy of what you started from" in answer.err
    assert student.path("02_activations").read_text("utf-8") == BETA


def test_a_working_copy_that_is_no_notebook_is_refused(student: Student, install: Install, tito: Tito):
    student.path().write_bytes(b"\xff")
    install({"modules/01_tensor/01_tensor.py": ALPHA + "\n# %%\n1\n"})
    answer = tito("update", "--module", "01", "--merge")
    assert answer.status == 1 and "is not UTF-8" in answer.err and student.path().read_bytes() == b"\xff"


def test_a_notebook_that_both_sides_deleted_is_forgotten(student: Student, install: Install, tito: Tito):
    shutil.rmtree(student.root / "modules" / "02_activations")
    install({"modules/02_activations/02_activations.py": None})
    assert tito("update").status == 0
    assert version(student) == "1.1.0" and not (student.root / "modules" / "02_activations").exists()


@pytest.mark.parametrize(
    "broken, told",
    [
        ({"template_version": "one"}, "version.json: 'one' is no version such as 1.2.0"),
        ({"files": {DOUBLE: {"sha256": 7}}}, ""),
        ({"files": {DOUBLE: {}}}, ""),
        ({"files": []}, "'files' must be a table of versions by path"),
    ],
    ids=["a version that is none", "a hash that is none", "an empty entry", "no table"],
)
def test_a_version_json_that_was_edited_by_hand(newer: None, student: Student, tito: Tito, broken: dict, told: str):
    path = student.root / ".tito" / "version.json"
    path.write_text(json.dumps(student.state("version.json") | broken), "utf-8")
    before = (student.root / DOUBLE).read_bytes()
    answer = tito("update")
    assert told in answer.err and answer.status == (1 if told else 0)
    assert (student.root / DOUBLE).read_bytes() == before, "what is not known to be as the course gave it stays"


def test_a_folder_that_is_no_course(student: Student, tito: Tito, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TINYTORCH_TEMPLATES", str(tmp_path))
    answer = tito("update")
    assert answer.status == 1 and f"{tmp_path} is no course" in answer.err


@pytest.mark.parametrize(
    "changes, told",
    [
        ('[[change]]\nversion = "1.1.0"\n', "must have the keys"),
        ('[[change]]\nversion = "x"\nkind = "fix"\nfiles = ["a"]\nwhy = "b"\n', "'x' is no version"),
        ('[[change]]\nversion = "1.1.0"\nkind = "bug"\nfiles = ["a"]\nwhy = "b"\n', "kind is 'bug'"),
        ('[[change]]\nversion = "1.1.0"\nkind = "fix"\nfiles = "a"\nwhy = "b"\n', "files must be a list"),
        ('[[change]]\nversion = "1.1.0"\nkind = "fix"\nfiles = ["a"]\nwhy = " "\n', "why must be a sentence"),
        ("[[", "CHANGES.toml: "),
    ],
)
def test_reasons_that_cannot_be_read_are_named(student: Student, install: Install, tito: Tito, changes: str, told: str):
    install({"CHANGES.toml": changes, DOUBLE: text(student, DOUBLE) + "\n"})
    answer = tito("update", "--check")
    assert answer.status == 1 and told in answer.err


@pytest.mark.parametrize("arguments", [("--check", "--rollback"), ("--merge",), ("--check", "--module", "01")])
def test_options_that_do_not_go_together(tito: Tito, arguments: tuple[str, ...]):
    assert tito("update", *arguments).status == 2


def test_two_updates_at_once_are_one(newer: None, student: Student, real_tito: object):
    command = [sys.executable, "-m", "tito", "update"]
    both = [
        subprocess.Popen(command, cwd=student.root, env=student.environment(), stdout=subprocess.PIPE, encoding="utf-8")
        for _ in range(2)
    ]
    told = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(f"Updated {DOUBLE}\n" in said for said in told) == 1 and version(student) == "1.1.0"


def test_an_update_during_a_test_session_is_noticed_when_it_completes(newer: None, student: Student, tito: Tito):
    student.solve("01_tensor")
    (student.root / "conftest.py").write_text(
        "import subprocess, sys\n"
        "def pytest_collection_finish(session):\n"
        "    subprocess.run([sys.executable, '-m', 'tito', 'update'], check=True)\n", "utf-8",
    )
    done = student.pytest("-m", "module01", "--tito-complete", "-o", "tito_notebook_check=no")
    assert done.returncode == 1 and "the course was updated while its tests ran" in done.stdout
    assert student.completed == [] and "results" not in student.state("progress.json")


def test_tests_of_an_older_course_are_named_when_a_completion_is_refused(newer: None, student: Student, install: Install):
    (student.course / "required_tests.json").write_text(
        json.dumps({"module01": ["tests/01_tensor/test_new.py::test_new"]}), "utf-8"
    )
    student.solve("01_tensor")
    done = student.pytest("-m", "module01", "--tito-complete", "-o", "tito_notebook_check=no")
    assert done.returncode == 1
    assert "the course is version 1.1.0, and your workspace has 1.0.0: tito update --check\n" in done.stdout
