"""`tito status`, `tito module list|status|view`, `tito milestone list|status|info`."""
from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pytest_tinytorch.course.curriculum import read_course
from tests.cli.conftest import TEMPLATES, Answer, Tito
from tests.plugin.conftest import Student


@pytest.fixture
def seven_of_twenty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The seeds' student: modules 01 to 07 and milestone 03 are done, the last of them two hours ago.

    The course has every module and milestone, as the seeds' has.
    """
    root, course = tmp_path / "workspace", read_course(written(tmp_path / "course"))
    monkeypatch.setenv("TINYTORCH_TEMPLATES", str(course.folder))
    (root / ".tito" / "backups").mkdir(parents=True)
    for part in course.parts:
        (root / part.test_folder).mkdir(parents=True)
    now = datetime.now()
    dates = {str(n): (now - timedelta(hours=16 - 2 * n, minutes=5)).isoformat(timespec="seconds") for n in range(1, 8)}
    then = (now - timedelta(days=1)).isoformat(timespec="seconds")
    state = {
        "progress.json": {"version": "1.0", "completed_modules": [1, 2, 3, 4, 5, 6, 7], "completion_dates": dates},
        "milestones.json": {"version": "1.0", "completed_milestones": ["03"], "completion_dates": {"03": then}},
        "config.json": {"logo_theme": "standard"},
        "version.json": {"workspace_version": "1.0", "template_version": "1.0.0", "files": {}},
    }
    for name, content in state.items():
        (root / ".tito" / name).write_text(json.dumps(content), "utf-8")
    for module in course.modules[:7]:
        (root / module.export_path).parent.mkdir(parents=True, exist_ok=True)
        (root / module.export_path).touch()
    monkeypatch.chdir(root)
    return root


def written(folder: Path) -> Path:
    """A course with the real one's curriculum, and an empty file for each module and milestone."""
    folder.mkdir()
    for name in ("curriculum.toml", "VERSION"):
        (folder / name).write_bytes((TEMPLATES / name).read_bytes())
    course = read_course(folder)
    for path in (*map(course.source, course.modules), *(folder / m.test_folder / "test.py" for m in course.milestones)):
        path.parent.mkdir(parents=True)
        path.touch()
    return folder


SEED = """\
TinyTorch Progress
Modules Completed: 7/20 (35%)
Milestones Achieved: 1/6 (17%)
Last Activity: Module 07 (2 hours ago)
Next Steps:
\N{BULLET} Complete modules 08-09 to unlock Milestone 04
Module Progress:
01 Tensor
02 Activations
03 Layers
04 Losses
05 DataLoader
06 Autograd
07 Optimizers
08 Training
09 Convolutions
10 Tokenization
Milestone Achievements:
03 - MLP Revival (1986)
04 - CNN Revolution (1998) [Ready after modules 08-09]
05 - Transformer Era (2017)
06 - MLPerf (2018)
"""


@pytest.mark.parametrize("command", [["status"], ["module", "status"]], ids="-".join)
def test_the_panel_of_the_seed(seven_of_twenty: Path, tito: Tito, command: list[str]):
    answer = tito(*command)
    rest = answer.out
    for line in SEED.splitlines():  # every line of it, in its order
        _, found, rest = rest.partition(line)
        assert found, f"{line!r} is not in:\n{answer.out}"
    marks = {line[:5] for line in answer.out.splitlines() if line[6:8].isdigit() and int(line[6:8]) <= 7 and "-" not in line[8:10]}
    assert marks == {"  [x]"}


def test_what_the_course_has_not_written_is_called_so_and_is_nothing_to_work_for(student: Student, tito: Tito):
    shutil.rmtree(student.course / "milestones")
    shutil.rmtree(student.course / "modules" / "02_activations")
    said, planned = tito("status").out, "not in this version of the course"
    assert f"  [-] 02-03 [{planned}]\n" in said and f"  [-] 01 - Perceptron (1958) [{planned}]\n" in said
    assert "to unlock" not in said + tito("milestone", "status").out + tito("milestone", "info", "01").out
    assert all(planned in tito("milestone", *words).out for words in (["status"], ["info", "01"]))
    assert "planned" in tito("milestone", "list").out
    run = tito("milestone", "run", "01")
    assert run.status == 1 and "Milestone 01 - Perceptron (1958) is planned" in run.err and "Next:" not in run.err
    for words in (["status"], ["milestone", "status"], ["module", "status"]):
        assert [row["state"] for row in json.loads(tito(*words, "--json").out)["milestones"]] == ["planned"]


def test_milestone_status_at_one_of_six(seven_of_twenty: Path, tito: Tito):
    answer = tito("milestone", "status")
    assert "Milestones Achieved: 1/6 (17%)" in answer.out
    assert "Complete modules 08-09 to unlock Milestone 04" in answer.out
    assert "Complete modules 08, 10-13 to unlock Milestone 05" in answer.out
    data = json.loads(tito("milestone", "status", "--json").out)
    assert (data["milestones_achieved"], data["milestones_total"], data["milestones_percent"]) == (1, 6, 17)
    assert data["milestones"][3]["missing"] == ["08", "09"]


def test_the_prompt_names_the_next_module_and_the_count(seven_of_twenty: Path, tito: Tito):
    answer = tito("status", "--prompt")
    assert answer == Answer(0, "tt 08 training 7/20", ""), "no newline: it stands inside a line"


def test_the_prompt_is_empty_outside_of_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tito: Tito):
    monkeypatch.chdir(tmp_path)
    assert tito("status", "--prompt") == Answer(0, "", "")


@pytest.mark.parametrize("name", ["progress.json", "milestones.json"])
@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]"], ids=["half", "binary", "list"])
def test_the_prompt_never_holds_an_error(student: Student, tito: Tito, name: str, content: bytes):
    (student.root / ".tito" / name).write_bytes(content)
    assert tito("status", "--prompt") == Answer(0, "tt ?", "")


def test_the_prompt_writes_nothing(student: Student, tito: Tito):
    (student.root / ".tito" / "progress.json").unlink()
    before = sorted(student.root.rglob("*"))
    assert tito("status", "--prompt").out == "tt 01 tensor 0/3"
    assert sorted(student.root.rglob("*")) == before


def test_the_prompt_when_nothing_is_open(student: Student, tito: Tito):
    shutil.rmtree(student.course / "modules")
    assert tito("status", "--prompt").out == "tt 0/3"


def test_the_prompt_is_not_json(student: Student, tito: Tito):
    answer = tito("status", "--prompt", "--json")
    assert answer.status == 2 and "use one" in answer.err


def test_module_status_is_what_pytest_prints(student: Student, tito: Tito):
    plain, data = student.pytest("--tito-status"), student.pytest("--tito-status", "--tito-format", "json")
    assert tito("module", "status").out == plain.stdout
    assert tito("module", "status", "--json").out == data.stdout


def test_module_list_shows_every_module_and_what_is_planned(student: Student, tito: Tito):
    rows = tito("module", "list").out.splitlines()
    assert [row.split()[:3] for row in rows[1:]] == [
        ["01", "Tensor", "open"], ["02", "Activations", "locked"], ["03", "Layers", "planned"],
    ]  # fmt: skip
    data = json.loads(tito("module", "list", "--json").out)
    assert [(row["number"], row["needs"], row["state"]) for row in data] == [
        ("01", [], "open"), ("02", ["01"], "locked"), ("03", ["01", "02"], "planned"),
    ]  # fmt: skip


def test_module_list_shows_the_completion_date(student: Student, tito: Tito, done: None):
    assert "done 2025-11-16" in tito("module", "list").out


@pytest.fixture
def done(student: Student) -> None:
    """Module 01 was completed."""
    path = student.root / ".tito" / "progress.json"
    progress = json.loads(path.read_text("utf-8"))
    progress |= {"completed_modules": [1], "completion_dates": {"1": "2025-11-16T10:00:00"}}
    path.write_text(json.dumps(progress), "utf-8")
    student.export().parent.mkdir(parents=True)
    student.export().touch()


def test_view_shows_goal_exercises_tests_state_and_paths(student: Student, tito: Tito):
    said = tito("module", "view", "tensor").out
    for text in ("Numbers", "double", "return twice x", "State:    open", "4 in tests/01_tensor", "modules/01_tensor/01_tensor.py",
                 "tinytorch/core/tensor.py (missing)"):
        assert text in said
    data = json.loads(tito("module", "view", "tensor", "--json").out)
    assert data["exercises"] == [
        {"name": "double", "points": 2, "task": "return twice x"}, {"name": "root", "points": 1, "task": "return the square root of x"},
    ]
    assert data["tests"] == 4 and data["last_run"] is None and data["working_copy"] == ["modules/01_tensor/01_tensor.py"]


def test_view_shows_what_failed_last_time(student: Student, tito: Tito):
    assert student.pytest("-m", "module01").returncode == 1
    said = tito("module", "view", "1").out
    assert "Last run: failed" in said and "failed: tests/01_tensor/test_root.py::test_root" in said


def test_view_of_a_module_that_is_not_written(student: Student, tito: Tito):
    said = tito("module", "view", "3")
    assert said.status == 0 and "State:    planned (not in this version of the course; needs 01-02)" in said.out and "exercise" not in said.out


def test_milestone_info(student: Student, tito: Tito):
    said = tito("milestone", "info", "perceptron").out
    assert "Milestone 01 - Perceptron (1958)" in said and "Complete modules 01-02 to unlock Milestone 01" in said
    data = json.loads(tito("milestone", "info", "01", "--json").out)
    assert data["missing"] == ["01", "02"] and data["attempts"] == 0


def test_milestone_list(student: Student, tito: Tito):
    assert tito("milestone", "list").out.splitlines()[1].split() == ["01", "-", "Perceptron", "(1958)", "locked", "01-02", "The", "first"]
    assert json.loads(tito("milestone", "list", "--json").out)[0]["needs"] == ["01", "02"]
