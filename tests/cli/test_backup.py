"""`tito backup list|diff|restore|prune`."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tito
from tests.cli.terminal import Terminal
from tests.cli.test_manners import on_a_terminal
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
    assert [entry["size"] for entry in data["backups"]] == [13, 13]


def test_list_shows_the_size_of_whole_backups(saved: Student, tito: Tito):
    folder = saved.root / ".tito_backup_20251116" / ".tito"
    (folder / "backups").mkdir()
    for path in (folder / "progress.json", folder / "backups" / "x.py"):
        path.write_bytes(b"x" * 1024)
    assert tito("backup", "list").out.splitlines()[-1].split() == [".tito_backup_20251116", "whole", "state", "2.0", "KB"]
    assert json.loads(tito("backup", "list", "--json").out)["whole_state"] == [{"path": ".tito_backup_20251116", "size": 2048}]


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


# --- prune -------------------------------------------------------------------------------------------------------


@pytest.fixture
def full(saved: Student) -> tuple[Student, set[str]]:
    """Backups enough that some may go, which are named."""
    folder = saved.root / ".tito" / "backups"
    for day in range(1, 13):  # with the two of `saved`, fourteen of module 01
        (folder / f"01_tensor_202001{day:02}_120000.py").write_text("x" * 1024, "utf-8")
    for day in range(1, 7):  # with the one of `saved`, seven of the whole state
        (saved.root / f".tito_backup_2020010{day}" / ".tito").mkdir(parents=True)
    modules = {f".tito/backups/01_tensor_202001{day:02}_120000.py" for day in range(1, 5)}
    return saved, modules | {".tito_backup_20200101", ".tito_backup_20200102"}


def everything(student: Student) -> set[str]:
    found = [*(student.root / ".tito" / "backups").iterdir(), *student.root.glob(".tito_backup_*")]
    return {path.relative_to(student.root).as_posix() for path in found}


def test_prune_deletes_what_is_beyond_the_newest_and_old(full: tuple[Student, set[str]], tito: Tito):
    student, old = full
    before = everything(student)
    answer = tito("backup", "prune", "--yes")
    assert answer.status == 0 and "Deleted 6 backups, 4.0 KB." in answer.out and "Kept: 16 backups, 8.0 KB." in answer.out
    assert before - everything(student) == old
    assert "nothing to delete" in tito("backup", "prune", "--yes").out and before - everything(student) == old


def test_a_dry_run_deletes_nothing_and_names_all(full: tuple[Student, set[str]], tito: Tito):
    student, old = full
    before = everything(student)
    answer = tito("backup", "prune", "--dry-run")
    assert answer.status == 0 and {line.split()[0] for line in answer.out.splitlines()[1:7]} == old
    assert everything(student) == before


def test_without_anybody_to_ask_nothing_is_pruned(full: tuple[Student, set[str]], tito: Tito):
    before = everything(full[0])
    answer = tito("backup", "prune")
    assert answer.status == 1 and "tito backup prune --yes" in answer.err and everything(full[0]) == before


def test_prune_as_data(full: tuple[Student, set[str]], tito: Tito):
    data = json.loads(tito("backup", "prune", "--dry-run", "--json").out)
    assert {entry["path"] for entry in data["old"]} == full[1] and data["deleted"] == []
    assert data["kept"] == {"count": 16, "size": 8 * 1024 + 13 * 2 + 5} and sum(entry["size"] for entry in data["old"]) == 4096
    assert set(json.loads(tito("backup", "prune", "--yes", "--json").out)["deleted"]) == full[1]
    assert json.loads(tito("backup", "prune", "--yes", "--json").out)["old"] == []


@on_a_terminal
@pytest.mark.parametrize("columns", [30, 50, 60])
def test_a_name_that_is_typed_is_whole_also_in_a_narrow_terminal(student: Student, columns: int):
    name = "01_tensor_20251116_143000.py"
    (student.root / ".tito" / "backups" / name).write_text("x", "utf-8")
    with Terminal(["backup", "list"], cwd=student.root, environment=student.environment(), columns=columns) as terminal:
        assert terminal.end() == 0
        assert name in terminal.text and "\N{HORIZONTAL ELLIPSIS}" not in terminal.text
        assert max(map(len, terminal.text.splitlines())) <= columns


@on_a_terminal
@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("\n", 1)])
def test_prune_asks_and_does_nothing_unless_told_yes(full: tuple[Student, set[str]], answer: str, status: int):
    student, old = full
    before = everything(student)
    with Terminal(["backup", "prune"], cwd=student.root, environment=student.environment()) as terminal:
        terminal.wait_for("Delete 6 backups? [y/N]: ")
        terminal.type(answer)
        assert terminal.end() == status
    assert before - everything(student) == (set() if status else old)
