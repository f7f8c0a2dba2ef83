"""A workspace of the older layout is brought over once, with a backup, and nothing in it is lost."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_tinytorch.course.curriculum import read_course
from pytest_tinytorch.state import backups
from pytest_tinytorch.update import older
from pytest_tinytorch.workspace.layout import Workspace
from tests.cli.conftest import Tito
from tests.cli.terminal import Terminal
from tests.plugin.conftest import ALPHA, BETA, Student
from tests.update.histories import tree

OLD = {
    "progress.json": json.dumps({"completed_modules": [1, "05_activations", 9], "completion_dates": {"1": "2025-01-14T10:00:00"}}),
    ".tinytorch/version": "1.0.0\n",
    ".tinytorch/config.json": json.dumps({"logo_theme": "minimal", "editor_of_old": "x"}),
    ".tinytorch/backups/05_activations_20250115_103000/05_activations.py": "# saved\n",
    "modules/01_tensor/tensor_dev.py": "# %%\n#| export\nclass Tensor: ...\n",
    "modules/05_activations/05_activations.py": BETA,
    "tests/01_tensor/test_root.py": "# mine\n",
    "notes.txt": "my notes\n",
}


@pytest.fixture
def old(student: Student, monkeypatch: pytest.MonkeyPatch) -> Student:
    """A folder of the older layout, which is the current one."""
    shutil.rmtree(student.root)
    for name, text in OLD.items():
        (student.root / name).parent.mkdir(parents=True, exist_ok=True)
        (student.root / name).write_text(text, "utf-8")
    monkeypatch.chdir(student.root)
    return student


def migrate(student: Student) -> older.Migration:
    return older.migrate(student.root, read_course(student.course))


def test_progress_preferences_work_and_backups_come_along(old: Student):
    said = "\n".join(migrate(old).said)
    assert old.completed == [1, 2] and old.state("progress.json")["completion_dates"] == {"1": "2025-01-14T10:00:00"}
    assert "complete: 01 Tensor, 02 Activations." in said and "Not taken over: completed module 9" in said
    assert old.state("config.json")["logo_theme"] == "minimal"
    assert old.path("02_activations").read_text("utf-8") == BETA
    assert "modules/05_activations/05_activations.py is now modules/02_activations/02_activations.py." in said
    workspace = Workspace(old.root, read_course(old.course))
    saved = {backup.path.name[:12]: backup.path.read_text("utf-8") for backup in backups.backups_of(workspace)}
    assert saved == {"01_tensor_20": OLD["modules/01_tensor/tensor_dev.py"], "02_activatio": "# saved\n"}
    assert "has none of this course's exercises, so it is a backup now" in said


def test_what_the_course_has_is_added_and_what_is_there_stays(old: Student, tito: Tito):
    migrate(old)
    assert (old.root / "tests/01_tensor/test_root.py").read_text("utf-8") == "# mine\n"
    assert (old.root / "notes.txt").read_text("utf-8") == "my notes\n"
    assert "raise NotImplementedError" in old.path("01_tensor").read_text("utf-8")
    entry = old.state("version.json")["files"]["tests/01_tensor/test_root.py"]
    assert entry["modified_by_student"] and entry["version"] == "unknown"
    assert tito("status").status == 0 and tito("module", "test", "01").status == 1


def test_everything_as_it_was_lies_in_a_backup_and_the_old_state_is_gone(old: Student):
    done = migrate(old)
    for name in ("progress.json", ".tinytorch/version", ".tinytorch/config.json", "modules/01_tensor/tensor_dev.py"):
        assert (old.root / done.backup / name).read_text("utf-8") == OLD[name]
        assert not (old.root / name).exists()
    assert older.find(old.root) is None and older.signs(Workspace(old.root, read_course(old.course))) == []


def test_it_happens_once(old: Student, tito: Tito):
    migrate(old)
    before = tree(old.root)
    assert tito("status").status == 0 and tree(old.root) == before


def test_it_can_be_taken_back(old: Student, tito: Tito):
    before = tree(old.root)
    migrate(old)
    assert tito("undo").status == 0
    after = tree(old.root, but=(".tito",))
    assert after == before


def test_every_command_says_what_to_do(old: Student, tito: Tito):
    before = tree(old.root)
    for command in (("module", "start", "01"), ("status",), ("update",)):
        answer = tito(*command)
        assert answer.status == 1 and "has the layout of an older TinyTorch. Bring it over with: tito doctor --repair" in answer.err
    assert tree(old.root) == before


def test_on_a_terminal_it_is_offered(old: Student):
    with Terminal(["status"], cwd=old.root, environment=old.environment()) as terminal:
        terminal.wait_for("Bring it over now, with a backup?")
        terminal.type("y\n")
        assert terminal.end() == 0
    assert "TinyTorch Progress" in terminal.text and (old.root / ".tito").is_dir()


def test_a_progress_that_cannot_be_read_stops_it_and_changes_nothing(old: Student):
    (old.root / "progress.json").write_text("{", "utf-8")
    before = tree(old.root, but=(".tito/lock",))
    with pytest.raises(OSError, match=r"progress\.json can't be read.*Nothing was changed"):
        migrate(old)
    assert tree(old.root, but=(".tito/lock",)) == before


@pytest.mark.parametrize("name", ["modules/01_tensor/tensor_dev.py", "src/01_tensor/01_tensor.py"])
def test_a_working_copy_under_an_older_name_is_named_and_taken_up(student: Student, tito: Tito, name: str):
    path = student.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ALPHA, "utf-8")
    assert f"{name} is a working copy of an older layout, and isn't used." in tito("module", "start", "01").err
    stub = student.path().read_text("utf-8")
    done = migrate(student)
    assert student.path().read_text("utf-8") == ALPHA and not path.exists()
    assert (student.root / done.backup / "modules/01_tensor/01_tensor.py").read_text("utf-8") == stub
    assert student.completed == [] and Path(student.root / ".tito/pristine/modules/01_tensor/01_tensor.py").is_file()


def test_the_doctor_names_it_and_brings_it_over(old: Student, tito: Tito):
    told = tito("doctor")
    assert told.status == 1 and "has the layout of an older TinyTorch. Bring it over with: tito doctor --repair" in told.out
    repaired = tito("doctor", "--repair")
    assert "complete: 01 Tensor, 02 Activations." in repaired.out and (old.root / ".tito").is_dir()
    assert "older TinyTorch" not in (after := tito("doctor").out) and "older layout" not in after
    assert "There was nothing to repair." in tito("doctor", "--repair").out


def test_the_doctor_names_a_file_that_is_not_used(student: Student, tito: Tito):
    (student.root / "modules/01_tensor/tensor_dev.py").write_text(ALPHA, "utf-8")
    assert "Of an older layout, and not used: modules/01_tensor/tensor_dev.py" in tito("doctor").out
    assert "modules/01_tensor/tensor_dev.py is now modules/01_tensor/01_tensor.py." in tito("doctor", "--repair").out
    assert student.path().read_text("utf-8") == ALPHA
