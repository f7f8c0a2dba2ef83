"""`tito init --config`, `--modules` and `--templates`, and a student's road through a course that an instructor made."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_tinytorch.state import transaction
from tests.cli.conftest import Tito
from tests.plugin.conftest import (
    ALPHA,
    BETA,
    COURSE_YML,
    OWN_MODULE,
    TRIPLING,
    Student,
    write_course,
    write_instructors_course,
)
from tests.update.histories import tree

DATES = "due: {1: 2024-10-01, 2: 2099-10-01T12:00}\npoints: {1: 10, 51: {triple: 5}}\n"


@pytest.fixture
def mine(tmp_path: Path, tito: Tito, monkeypatch: pytest.MonkeyPatch) -> Student:
    """A student in a workspace of the instructor's course, whose folder is gone; its path has blanks and an emoji."""
    write_course(tmp_path / "course")
    monkeypatch.setenv("TINYTORCH_TEMPLATES", str(tmp_path / "course"))
    config = write_instructors_course(tmp_path / "instructor", COURSE_YML + DATES)
    root = tmp_path / "my work \N{SNAKE}"
    made = tito("init", str(root), "--config", str(config), "--format", "py")
    assert made.status == 0 and "It has modules 01-02, 51 of CS 249r, spring, version 1.0.0." in made.out
    for folder in ("instructor", "shared"):
        shutil.rmtree(tmp_path / folder)
    monkeypatch.chdir(root)
    return Student(root, tmp_path / "course", "py")


def solve_all(student: Student) -> None:
    for module, text in {"01_tensor": ALPHA, "02_activations": BETA, "51_tripling": TRIPLING}.items():
        student.write(text, module)


def test_the_whole_road(mine: Student, tito: Tito):
    """In the instructor's order: 01, 51, which is its own, then 02, and the milestone that they unlock."""
    assert "Module 51 Tripling needs module 01 first" in tito("module", "start", "tripling").err
    solve_all(mine)
    for number in ("01", "51", "02"):
        done = mine.pytest("-m", f"module{number}", "--tito-complete", "-o", "tito_notebook_check=false")
        assert done.returncode == 0 and "is complete." in done.stdout, done.stdout
        if number == "01":
            assert "  unlocked: 51 Tripling, tito module start 51\n  unlocked: 02 Activations" in done.stdout
    assert (mine.root / "tinytorch" / "extra" / "tripling.py").is_file()
    done = mine.pytest("-m", "milestone01", "--tito-complete")
    assert done.returncode == 0 and "Milestone 01 - Perceptron (1958) is achieved." in done.stdout
    report = json.loads(tito("status", "--json").out)
    assert (report["course"], report["modules_completed"], report["modules_total"]) == ("CS 249r, spring", 3, 3)
    assert report["next_steps"] == ["Everything is done."]
    assert tito("module", "reset", "51", "--yes").status == 0
    assert "raise NotImplementedError" in mine.path("51_tripling").read_text("utf-8") and mine.completed == [1, 2]


def test_required_tests_of_the_instructors_module_are_all_of_them(mine: Student):
    solve_all(mine)
    chosen = mine.pytest("-m", "module01 or module51", "--tito-complete", "-k", "not two", "-o", "tito_notebook_check=false")
    assert chosen.returncode == 1 and "1 of 2 required tests was not run: tests/51_tripling" in chosen.stdout


def test_a_plain_run_collects_no_test_twice(mine: Student):
    solve_all(mine)
    for number in ("01", "51"):
        assert mine.pytest("-m", f"module{number}", "--tito-complete", "-o", "tito_notebook_check=false").returncode == 0
    ran = mine.pytest("-q")
    assert "extra" not in ran.stdout and ran.returncode == 0
    assert "extra" not in mine.pytest("--collect-only", "-q", "extra").stdout


def test_it_works_with_xdist(mine: Student):
    solve_all(mine)
    done = mine.pytest("-n2", "-m", "module01 or module51", "--tito-complete", "-o", "tito_notebook_check=false")
    assert done.returncode == 0 and mine.completed == [1, 51], done.stdout


def test_a_clone_without_the_state_is_a_workspace_of_the_course(mine: Student, tito: Tito, monkeypatch: pytest.MonkeyPatch):
    clone = mine.root.parent / "clone"
    shutil.copytree(mine.root, clone, ignore=shutil.ignore_patterns(".tito"))
    monkeypatch.chdir(clone)
    listed = tito("module", "list")
    assert "Created .tito/ again" in listed.err
    assert [line.split()[0] for line in listed.out.splitlines()] == ["module", "01", "51", "02"]
    assert tito("system", "health").status == 0


def test_the_order_dates_and_points_are_shown(mine: Student, tito: Tito):
    rows = tito("module", "list").out.splitlines()
    assert rows[0].split() == ["module", "state", "points", "due", "needs", "goal"]
    assert rows[1].split()[2:7] == ["open", "10", "2024-10-01", "23:59", "(late)"]
    assert rows[2].split()[:4] == ["51", "Tripling", "locked", "5"]
    said = tito("status").out
    assert "  Course: CS 249r, spring\n" in said
    assert "  [ ] 01 Tensor [due 2024-10-01 23:59 (late)] [10 points]\n  [-] 51 Tripling [needs 01] [5 points]\n" in said
    assert "  [-] 02 Activations [needs 01] [due 2099-10-01 12:00]\n" in said
    viewed = tito("module", "view", "1").out
    assert "Due:      2024-10-01 23:59 (late)\n  Points:   10, shared out as the points of its exercises\n" in viewed
    assert "triple    5" in tito("module", "view", "51").out


@pytest.mark.parametrize("arguments", [["module", "list"], ["module", "status"], ["module", "view", "NN"]], ids="-".join)
def test_dates_and_points_are_data_too(mine: Student, tito: Tito, arguments: list[str]):
    seen = []
    for number in ("01", "51", "02"):
        data = json.loads(tito(*[number if word == "NN" else word for word in arguments], "--json").out)
        rows = data if isinstance(data, list) else data.get("modules", [data])
        seen.append(next((row["due"], row["late"], row["points"]) for row in rows if row["number"] == number))
    assert seen == [("2024-10-01T23:59", True, 10), (None, False, 5), ("2099-10-01T12:00", False, None)]


def test_a_module_that_was_done_in_time_is_not_late(mine: Student, tito: Tito):
    progress = {"version": "1.0", "completed_modules": [1], "completion_dates": {"1": "2024-09-30T10:00:00"}}
    (mine.root / ".tito" / "progress.json").write_text(json.dumps(progress), "utf-8")
    mine.export().parent.mkdir(parents=True)
    mine.export().touch()
    assert "  [x] 01 Tensor  2024-09-30 [10 points]\n" in tito("status").out
    progress["completion_dates"] = {"1": "2024-10-02T10:00:00"}
    (mine.root / ".tito" / "progress.json").write_text(json.dumps(progress), "utf-8")
    assert "  [x] 01 Tensor  2024-10-02 [due 2024-10-01 23:59 (late)] [10 points]\n" in tito("status").out


def test_the_solution_of_the_instructors_module_is_not_there(mine: Student, tito: Tito):
    answer = tito("module", "solution", "51", "--give-up", "--yes")
    assert answer.status == 1 and "its solution is not in this workspace" in answer.err and not answer.out


def test_no_hint_offers_a_solution_that_is_not_there(mine: Student, tito: Tito):
    mine.write(TRIPLING.replace("secret + x", "secret"), "51_tripling")
    mine.solve("01_tensor")
    assert mine.pytest("-m", "module01", "--tito-complete", "-o", "tito_notebook_check=false").returncode == 0
    said = [tito("module", "hint", "51").out for _ in range(3)][-1]
    assert "tito module diff 51" in said and "solution" not in said


def test_a_module_that_is_left_out_is_unknown(mine: Student, tito: Tito):
    answer = tito("module", "start", "3")
    assert answer.status == 2 and "There is no module '3'. Modules are 01 to 02, 51;" in answer.err
    refused = mine.pytest("-m", "module03")
    assert refused.returncode == 4 and "-m names module03, which the course doesn't have: use module01 to module02, module51" in refused.stderr


def test_a_missing_export_names_the_instructors_module(mine: Student):
    for name, said in (("extra.tripling", "tito module complete 51"), ("core.layers", "which the course of this workspace leaves out")):
        done = subprocess.run(
            [sys.executable, "-c", f"import tinytorch.{name}"], cwd=mine.root, env=mine.environment(), capture_output=True,
            encoding="utf-8", check=False,
        )  # fmt: skip
        assert said in done.stderr


def test_a_broken_course_yml_stops_every_command_and_changes_nothing(mine: Student, tito: Tito):
    path = mine.root / "course.yml"
    path.write_text(path.read_text("utf-8").replace("modules", "modulse"), "utf-8")
    answer = tito("status")
    assert answer.status == 1 and "course.yml:2: there is no key 'modulse'. Did you mean modules?" in answer.err
    assert "To bring back the course as you got it: tito doctor --repair" in answer.err
    done = mine.pytest("-m", "module01")
    assert done.returncode == 4 and "there is no key 'modulse'" in done.stderr


def test_a_date_that_is_changed_in_the_workspace_counts(mine: Student, tito: Tito):
    """Windows' newlines, as git gives them, do no harm."""
    path = mine.root / "course.yml"
    path.write_bytes(path.read_bytes().replace(b"2024-10-01", b"2098-10-01").replace(b"\n", b"\r\n"))
    assert "[due 2098-10-01 23:59]" in tito("status").out


# --- changes in mid-term ------------------------------------------------------------------------------------------

NEW_TEST = "\n\ndef test_triple_of_nothing():\n    assert triple(0) == 0\n"
NINE = {name.replace("51_tripling", "52_nining"): text.replace("51", "52").replace("tripl", "nin").replace("Tripl", "Nin") for name, text in OWN_MODULE.items()}


@pytest.fixture
def changed(mine: Student, tmp_path: Path) -> Callable[..., str]:
    """The instructor changes the course and hands it out again: `changed(course_yml, files)`; returns its course.yml."""

    def change(course_yml: str = COURSE_YML + DATES, files: dict[str, str] | None = None) -> str:
        config = write_instructors_course(tmp_path / "instructor", course_yml)
        for path, text in (files or {}).items():
            (tmp_path / "shared" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "shared" / path).write_text(text, "utf-8", newline="\n")
        return str(config)

    return change


def required(student: Student, number: str) -> int:
    path = next((student.root / "extra").glob(f"{number}_*")) / "required_tests.json"
    return len(json.loads(path.read_text("utf-8"))[f"module{number}"])


def test_a_changed_date_is_taken_in(mine: Student, tito: Tito, changed: Callable[..., str]):
    answer = tito("update", "--config", changed(COURSE_YML + DATES.replace("2024-10-01", "2098-10-01")))
    assert answer.out == "Updated course.yml\nTo take this update back: tito update --rollback\n"
    assert "[due 2098-10-01 23:59]" in tito("status").out
    assert "Everything is up to date" in tito("update").out
    assert tito("undo").status == 0 and "[due 2024-10-01 23:59 (late)]" in tito("status").out


def test_a_changed_test_is_taken_in_and_required(mine: Student, tito: Tito, changed: Callable[..., str]):
    solve_all(mine)
    config = changed(files={"tripling/tests/test_triple.py": OWN_MODULE["tests/test_triple.py"] + NEW_TEST})
    before = tree(mine.root)
    assert "Would update tests/51_tripling/test_triple.py" in tito("update", "--config", config, "--dry-run").out
    assert "Available updates:\n   extra/51_tripling/required_tests.json" in tito("update", "--config", config, "--check").out
    assert tree(mine.root) == before
    assert tito("update", "--config", config).status == 0
    assert required(mine, "51") == 3 and mine.path("51_tripling").read_text("utf-8") == TRIPLING
    assert mine.pytest("-m", "module51", "-k", "not nothing", "--tito-complete", "--tito-force", "-p", "no:cacheprovider").returncode == 1
    assert tito("undo").out.startswith("Took back `tito update --config ")
    assert tree(mine.root, but=(".tito",)) == {p: d for p, d in before.items() if not p.startswith(".tito")}


def test_a_module_is_added_and_dropped_again(mine: Student, tito: Tito, changed: Callable[..., str]):
    files = {f"nines/{name}": text for name, text in NINE.items()}
    config = changed(COURSE_YML.replace("51, 2", "51, 2, 52").replace('tripling"', 'tripling", "../shared/nines"'), files)
    answer = tito("update", "--config", config)
    assert answer.status == 0 and "Added modules/52_nining/52_nining.py" in answer.out
    assert [row["number"] for row in json.loads(tito("module", "list", "--json").out)] == ["01", "51", "02", "52"]
    assert mine.path("52_nining").is_file() and required(mine, "52") == 2
    assert tito("system", "health").status == 0
    mine.write(NINE["52_nining.py"] + "# mine\n", "52_nining")
    (mine.root / "extra" / "52_nining" / "README.md").write_text("# Mine\n", "utf-8")
    assert tito("update", "--config", changed()).status == 0
    assert not (mine.root / "extra" / "52_nining").exists() and not (mine.root / "tests" / "52_nining").exists()
    assert mine.path("52_nining").read_text("utf-8").endswith("# mine\n"), "the student's work stays"


def test_a_course_with_a_fault_is_not_taken_in(mine: Student, tito: Tito, changed: Callable[..., str]):
    config, before = changed(files={"tripling/tests/test_triple.py": "import nothing_of_this_name\n"}), tree(mine.root)
    answer = tito("update", "--config", config)
    assert answer.status == 1 and "nothing_of_this_name" in answer.err and tree(mine.root) == before


def test_what_the_student_changed_of_the_course_gives_way_and_of_the_tests_stays(mine: Student, tito: Tito, changed: Callable[..., str]):
    for path in ("course.yml", "tests/51_tripling/test_triple.py"):
        (mine.root / path).write_text((mine.root / path).read_text("utf-8") + "# mine\n", "utf-8")
    answer = tito("update", "--config", changed(COURSE_YML, {"tripling/tests/test_triple.py": OWN_MODULE["tests/test_triple.py"] + NEW_TEST}))
    assert "Updated course.yml" in answer.out and "Skipped tests/51_tripling/test_triple.py (student modified)" in answer.out
    assert "# mine" not in (mine.root / "course.yml").read_text("utf-8")


def test_a_workspace_of_the_whole_course_becomes_one_of_the_instructors(
    student: Student, tito: Tito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = write_instructors_course(tmp_path / "instructor")
    refused = tito("init", ".", "--config", str(config), "--format", "py")
    assert refused.status == 1 and "take the other course in, from there, with: tito update --config FILE" in refused.err
    assert tito("update", "--config", str(config)).status == 0
    assert "Course: CS 249r, spring" in tito("status").out and student.path("51_tripling").is_file()


def test_files_that_are_copied_into_the_workspace_are_taken_in_by_an_update(mine: Student, tito: Tito):
    """As git brings them: course.yml and extra/ as they are handed out."""
    with (mine.root / "extra" / "51_tripling" / "tests" / "test_triple.py").open("a", encoding="utf-8") as file:
        file.write(NEW_TEST)
    assert "tests/51_tripling/test_triple.py" in tito("update", "--check").out
    assert "Updated tests/51_tripling/test_triple.py" in tito("update").out and required(mine, "51") == 3
    assert "Everything is up to date" in tito("update").out


def test_an_instructors_folder_that_is_copied_into_the_workspace_is_taken_in_by_an_update(mine: Student, tito: Tito, changed: Callable[..., str]):
    changed(files={"tripling/tests/test_triple.py": OWN_MODULE["tests/test_triple.py"] + NEW_TEST})
    shutil.copytree(mine.root.parent / "shared" / "tripling", mine.root / "extra" / "tripling")
    (mine.root / "course.yml").write_text(COURSE_YML.replace('"../shared/tripling"', "extra/tripling"), "utf-8")
    assert tito("update").status == 0 and required(mine, "51") == 3
    assert "extra/51_tripling" in (mine.root / "course.yml").read_text("utf-8")
    assert tito("system", "health").status == 0 and "Everything is up to date" in tito("update").out


def test_a_course_yml_as_the_instructor_has_it_finds_the_modules_of_the_workspace(mine: Student, tito: Tito):
    path = mine.root / "course.yml"
    path.write_text(path.read_text("utf-8").replace("extra/51_tripling", "../own/tripling"), "utf-8")
    assert "51 Tripling" in tito("status").out
    path.write_text(path.read_text("utf-8").replace("../own/tripling", "../own/triples"), "utf-8")
    answer = tito("status")
    assert answer.status == 1 and "course.yml:3: there is no folder" in answer.err and "tito update --config FILE" in answer.err


def test_an_update_that_was_killed_between_two_files_is_finished(mine: Student, tito: Tito, changed: Callable[..., str], monkeypatch: pytest.MonkeyPatch):
    """Also where course.yml names a module that isn't there yet."""
    files = {f"nines/{name}": text for name, text in NINE.items()}
    config = changed(COURSE_YML.replace("51, 2", "51, 2, 52").replace('tripling"', 'tripling", "../shared/nines"'), files)
    move, moved = transaction.files.move, []

    def killed(source: Path, target: Path) -> None:
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        move(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(transaction.files, "move", killed)
        assert tito("update", "--config", config).status == 130
    assert moved == [mine.root / "course.yml"]
    assert tito("system", "health").status == 0 and mine.path("52_nining").is_file()


def test_a_command_that_finishes_a_killed_update_is_of_the_new_course(
    mine: Student, tito: Tito, changed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    config = changed(COURSE_YML + DATES.replace("2024-10-01", "2098-10-01"))

    def killed(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(transaction.files, "move", killed)
        assert tito("update", "--config", config).status == 130
    answer = tito("status")
    assert "Finished `tito update --config" in answer.err and "[due 2098-10-01 23:59]" in answer.out


# --- init ---------------------------------------------------------------------------------------------------------


def test_modules_alone(student: Student, tito: Tito, monkeypatch: pytest.MonkeyPatch):
    answer = tito("init", "../second", "--modules", "1")
    assert answer.status == 0 and "It has modules 01 of the course, version 1.0.0." in answer.out
    monkeypatch.chdir("../second")
    assert "Modules Completed: 0/1" in tito("status").out
    assert tito("init").status == 0, "a second run finishes the same course"
    assert "Modules Completed: 0/1" in tito("status").out


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--modules", "1-9"], 2, "--modules 1-9: there is no module 04"),
        (["--modules", "1", "--config", "course.yml"], 2, "use one of them"),
        (["--config", "nowhere.yml"], 2, "nowhere.yml"),
        (["--config", "course.yml"], 1, "course.yml:1: there is no key 'modulse'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_course_that_there_is_not_makes_no_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tito: Tito, arguments: list[str], status: int, says: str
):
    write_course(tmp_path / "course")
    monkeypatch.setenv("TINYTORCH_TEMPLATES", str(tmp_path / "course"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "course.yml").write_text("modulse: [1]\n", "utf-8")
    answer = tito("init", "new", *arguments)
    assert answer.status == status and says in answer.err and not answer.out
    assert not (tmp_path / "new").exists()


def test_a_course_yml_in_the_folder_is_the_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tito: Tito):
    write_course(tmp_path / "course")
    monkeypatch.setenv("TINYTORCH_TEMPLATES", str(tmp_path / "course"))
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "course.yml").write_text("modules: [1]  # so far\n", "utf-8")
    assert "It has modules 01 of the course" in tito("init", str(tmp_path / "new")).out
    assert (tmp_path / "new" / "course.yml").read_text("utf-8") == "modules: [1]  # so far\n"


def test_what_is_handed_out_makes_a_workspace_where_it_lies(mine: Student, tmp_path: Path, tito: Tito, monkeypatch: pytest.MonkeyPatch):
    """A folder with course.yml and extra/ of a workspace."""
    new = tmp_path / "new"
    shutil.copytree(mine.root / "extra", new / "extra")
    shutil.copy(mine.root / "course.yml", new)
    monkeypatch.chdir(new)
    answer = tito("init", "--format", "py")
    assert answer.status == 0 and "It has modules 01-02, 51 of CS 249r, spring" in answer.out
    assert tree(new, but=(".tito",)) == tree(mine.root, but=(".tito",))


def test_an_instructors_folder_is_no_workspace_and_stays_as_it_is(tmp_path: Path, tito: Tito, monkeypatch: pytest.MonkeyPatch):
    write_course(tmp_path / "course")
    monkeypatch.setenv("TINYTORCH_TEMPLATES", str(tmp_path / "course"))
    config = write_instructors_course(tmp_path / "mine")
    before = tree(tmp_path)
    answer = tito("init", str(config.parent))
    assert answer.status == 1 and "course.yml:3: this folder is an instructor's" in answer.err
    assert "Make the workspace in another folder: tito init DIR --config course.yml" in answer.err and tree(tmp_path) == before


# --- --templates --------------------------------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A course that no variable names."""
    write_course(tmp_path / "other")
    (tmp_path / "other" / "VERSION").write_text("9.9.9\n", "utf-8")
    return tmp_path / "other"


@pytest.mark.parametrize(
    "arguments",
    [["--templates", "DIR", "init", "new"], ["init", "--templates", "DIR", "new"], ["init", "new", "--templates=DIR"]],
    ids="-".join,
)
def test_templates_names_the_course_anywhere_before_pytests_words(
    other: Path, tito: Tito, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    answer = tito(*[word.replace("DIR", "other") for word in arguments])
    assert answer.status == 0 and "version 9.9.9" in answer.out
    assert f"The course is that in {other}; commands find it if TINYTORCH_TEMPLATES or --templates names it." in answer.out
    assert "TINYTORCH_TEMPLATES" not in os.environ, "the option holds for one command"


def test_templates_reaches_the_pytest_that_a_command_starts(other: Path, student: Student, monkeypatch: pytest.MonkeyPatch):
    """And is relative to where the command was typed."""
    student.solve()
    environment = student.environment()
    del environment["TINYTORCH_TEMPLATES"]
    done = subprocess.run(
        [sys.executable, "-m", "tito", "module", "complete", "01", "--templates", "../other", "--", "-o", "tito_notebook_check=false"],
        cwd=student.root, env=environment, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "version 9.9.9" in student.export().read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["module", "list", "--templates", "nowhere"], 1, "nowhere is no course: "),
        (["module", "list", "--templates", "."], 1, "curriculum.toml"),
        (["module", "list", "--templates"], 2, "--templates needs the folder of a course"),
    ],
    ids=["nowhere", "no course", "no folder"],
)
def test_templates_that_are_no_course_are_told(student: Student, tito: Tito, arguments: list[str], status: int, says: str):
    answer = tito(*arguments)
    assert answer.status == status and says in answer.err and not answer.out
