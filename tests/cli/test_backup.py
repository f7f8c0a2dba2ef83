"""`tito backup list|diff|restore`."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tito
from tests.plugin.conftest import Student


@pytest.fixture
def saved(student: Student) -> Student:
    """Two backups of module 01, one of module 02, one of the whole state, and a file that is none of them."""
    folder = student.root / ".tito" / "backups"
    (folder / "01_tensor_20251115_180000.py").write_text("# %%\nold = 1\n", "utf-8")
    (folder / "01_tensor_20251116_143000.py").write_text("# %%\nnew = 1\n", "utf-8")
    (folder / "02_activations_20251116_100000.py").write_text("# %%\n", "utf-8")
    (folder / "notes.txt").write_text("mine", "utf-8")
    (student.root / ".tito_backup_20251116" / ".tito").mkdir(parents=True)
    return student


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_list_shows_the_newest_first(saved: Student, tito: Tito):
    rows = [line.split()[0] for line in tito("backup", "list").out.splitlines()[1:]]
    assert rows == [
        "01_tensor_20251116_143000.py", "02_activations_20251116_100000.py", "01_tensor_20251115_180000.py", ".tito_backup_20251116",
    ]  # fmt: skip
    data = json.loads(tito("backup", "list", "tensor", "--json").out)
    assert [entry["path"] for entry in data["backups"]] == [
        ".tito/backups/01_tensor_20251116_143000.py", ".tito/backups/01_tensor_20251115_180000.py",
    ]
    assert data["backups"][0]["made"] == "2025-11-16T14:30:00" and data["whole_state"] == []


def test_list_without_backups(student: Student, tito: Tito):
    assert "no backups yet" in tito("backup", "list").out


def test_diff_is_from_a_backup_to_the_working_copy(saved: Student, tito: Tito):
    saved.path().write_text("# %%\nnewest = 1\n", "utf-8")
    assert "-new = 1\n+newest = 1" in tito("backup", "diff", "01").out
    assert "-old = 1\n+newest = 1" in tito("backup", "diff", "01", "20251115_180000").out
    saved.path().write_text("# %%\nnew = 1\n", "utf-8")
    assert "Nothing changed" in tito("backup", "diff", "01").out


@pytest.mark.parametrize("name", ["01_tensor_20251115_180000.py", "01_tensor_20251115_180000", "20251115_180000"])
def test_restore_backs_up_first(saved: Student, tito: Tito, name: str):
    saved.path().write_text("# %%\nnewest = 1\n", "utf-8")
    answer = tito("backup", "restore", "01", name)
    assert answer.status == 0 and "Restored modules/01_tensor/01_tensor.py" in answer.out
    assert saved.path().read_text("utf-8") == "# %%\nold = 1\n"
    made = set(names(saved.root / ".tito" / "backups")) - {"01_tensor_20251115_180000.py", "01_tensor_20251116_143000.py"}
    [before] = [name for name in made if name.startswith("01_tensor")]
    assert (saved.root / ".tito" / "backups" / before).read_text("utf-8") == "# %%\nnewest = 1\n" and before in answer.out


def test_restore_takes_the_newest_and_can_be_taken_back(saved: Student, tito: Tito):
    mine = saved.path().read_bytes()
    assert tito("backup", "restore", "01").status == 0 and saved.path().read_text("utf-8") == "# %%\nnew = 1\n"
    assert tito("backup", "restore", "01").status == 0 and saved.path().read_bytes() == mine


@pytest.mark.parametrize("student", ["ipynb"], indirect=True)
def test_restore_brings_the_form_of_the_backup(saved: Student, tito: Tito):
    answer = tito("backup", "restore", "01")
    assert answer.status == 0 and "Removed modules/01_tensor/01_tensor.ipynb" in answer.out
    assert [name for name in names(saved.path().parent) if name.startswith("01_tensor.")] == ["01_tensor.py"]
    assert any(name.endswith(".ipynb") for name in names(saved.root / ".tito" / "backups"))


def test_restore_without_a_working_copy(saved: Student, tito: Tito):
    saved.path().unlink()
    assert tito("backup", "restore", "01").status == 0 and saved.path().is_file()


def test_a_wrong_name_gets_a_suggestion_and_changes_nothing(saved: Student, tito: Tito):
    before = saved.path().read_bytes()
    answer = tito("backup", "restore", "01", "01_tensor_20251115_18000.py")
    assert answer.status == 2 and "Did you mean 01_tensor_20251115_180000.py?" in answer.err
    assert saved.path().read_bytes() == before and len(names(saved.root / ".tito" / "backups")) == 4


@pytest.mark.parametrize("command", ["restore", "diff"])
def test_without_backups_there_is_nothing_to_restore(student: Student, tito: Tito, command: str):
    answer = tito("backup", command, "01")
    assert answer.status == 1 and "no backups yet" in answer.err
