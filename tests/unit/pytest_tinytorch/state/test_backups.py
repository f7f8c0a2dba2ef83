"""What is backed up can be found again, and nothing that is young, or not ours, is ever pruned."""
from __future__ import annotations

import json
import os
import shutil
import threading
from datetime import datetime, timedelta

import pytest

from pytest_tinytorch.state import backups
from pytest_tinytorch.state.backups import (
    back_up,
    back_up_state,
    back_up_working_copy,
    backups_of,
    prune,
    whole_backups,
)
from tinytorch import files
from tinytorch.errors import StateError

NOW = datetime(2025, 11, 16, 14, 30)


class Clock(datetime):
    """datetime with a `now` that a test sets."""

    at = NOW

    @classmethod
    def now(cls, tz=None):
        return cls.at


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(backups, "datetime", Clock)
    monkeypatch.setattr(Clock, "at", NOW)
    return Clock


@pytest.fixture
def module(workspace):
    return workspace.course.module("01")


def names(paths):
    return [path.name for path in paths]


def old_backup(workspace, days, name="01_tensor", suffix=".py"):
    made = NOW - timedelta(days=days)
    path = workspace.tito / "backups" / f"{name}_{made:%Y%m%d_%H%M%S}{suffix}"
    path.write_text("old")
    return path


# --- one module ---------------------------------------------------------------------------------------------------


def test_a_backup_says_what_and_when(workspace, module):
    [path] = back_up(workspace, module, [(".py", b"x = 1\n")])
    assert path == workspace.tito / "backups" / "01_tensor_20251116_143000.py"
    assert path.read_bytes() == b"x = 1\n"


def test_backups_of_one_second_are_counted(workspace, module):
    written = [back_up(workspace, module, [(".py", b"%d" % n)])[0] for n in range(12)]
    assert names(written)[:3] == [
        "01_tensor_20251116_143000.py",
        "01_tensor_20251116_143000_1.py",
        "01_tensor_20251116_143000_2.py",
    ]
    assert [backup.path for backup in backups_of(workspace, module)] == written[::-1], (
        "newest first, the tenth after the ninth"
    )
    assert [path.read_bytes() for path in written] == [b"%d" % n for n in range(12)]


def test_both_forms_get_one_name_which_is_free_for_both(workspace, module):
    old_backup(workspace, 0, suffix=".ipynb")
    written = back_up(workspace, module, [(".py", b"1"), (".ipynb", b"2")])
    assert names(written) == ["01_tensor_20251116_143000_1.py", "01_tensor_20251116_143000_1.ipynb"]


def test_the_working_copy_is_saved_byte_by_byte(workspace, module):
    script, notebook = workspace.forms(module)[1], workspace.forms(module)[0]
    script.write_bytes(b"\xef\xbb\xbfx = '\xff'\r\n")
    notebook.write_bytes(b"{ broken")
    written = back_up_working_copy(workspace, module)
    assert {path.suffix: path.read_bytes() for path in written} == {".py": script.read_bytes(), ".ipynb": b"{ broken"}


def test_without_a_working_copy_nothing_is_saved(workspace, module):
    shutil.rmtree(workspace.root / "modules")
    assert back_up_working_copy(workspace, module) == []


def test_backups_at_once_are_all_kept(workspace, module):
    threads = [threading.Thread(target=back_up, args=(workspace, module, [(".py", b"%d" % n)])) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(backup.path.read_bytes() for backup in backups_of(workspace, module)) == [
        b"0",
        b"1",
        b"2",
        b"3",
        b"4",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "01_tensor.py",
        "01_tensor_20251116.py",
        "01_tensor_20251116_143000.txt",
        "01_tensor_20251316_143000.py",
        "01_tensor_20251116_143000.py.tmp",
        ".01_tensor_20251116_143000.py.ab12.tmp",
        "01_tensor_99999999_999999.py",
        "my_01_tensor_20251116_143000.py",
    ],
)
def test_files_of_other_names_are_nobodys_backups(workspace, module, name):
    (workspace.tito / "backups" / name).touch()
    assert backups_of(workspace) == []
    assert prune(workspace, module) == []


def test_backups_of_another_module_are_not_mine(workspace, module):
    theirs, mine = old_backup(workspace, 1, "02_activations"), old_backup(workspace, 2)
    assert [backup.path for backup in backups_of(workspace, module)] == [mine]
    assert [backup.path for backup in backups_of(workspace)] == [theirs, mine]


def test_a_module_that_had_another_name_keeps_its_backups(workspace, module):
    paths = [old_backup(workspace, 1, "01_tensor"), old_backup(workspace, 2, "01_array_2")]
    assert [backup.path for backup in backups_of(workspace, module)] == paths


@pytest.mark.parametrize("folder", ["missing", "a file"])
def test_a_missing_backups_folder_holds_none(workspace, module, folder):
    (workspace.tito / "backups").rmdir()
    if folder == "a file":
        (workspace.tito / "backups").touch()
    assert backups_of(workspace) == []
    if folder == "missing":
        assert len(back_up(workspace, module, [(".py", b"")])) == 1
    else:
        with pytest.raises(StateError, match=r"\.tito/backups can't be written: File exists"):
            back_up(workspace, module, [(".py", b"")])


@pytest.mark.parametrize(
    ("days", "kept"),
    [
        ([31] * 1, 1),
        (range(31, 41), 10),
        (range(31, 46), 10),
        (range(29), 29),
        ([*range(10), 29, 30, 31, 32], 12),
        ([*range(5), *range(40, 50)], 10),
    ],
    ids=["one old", "ten old", "fifteen old", "all young", "the border", "some young"],
)
def test_ten_and_everything_younger_than_thirty_days_are_kept(workspace, module, days, kept):
    for day in days:
        old_backup(workspace, day)
    other = [old_backup(workspace, 100 + n, "02_activations") for n in range(12)]
    stale = prune(workspace, module)
    left = {backup.path for backup in backups_of(workspace, module)}
    assert len(left) == kept
    assert not left & set(stale)
    assert all(path.exists() for path in other)


def test_pruning_keeps_the_newest(workspace, module):
    made = {day: old_backup(workspace, day) for day in range(40, 60)}
    assert set(prune(workspace, module)) == {made[day] for day in range(50, 60)}


def test_a_new_backup_survives_a_clock_that_ran_backwards(workspace, module, clock):
    for day in range(12):
        old_backup(workspace, day)
    clock.at = NOW - timedelta(days=400)
    [path] = back_up(workspace, module, [(".py", b"new")])
    assert path.read_bytes() == b"new"


# --- the whole state ----------------------------------------------------------------------------------------------


def test_a_whole_backup_holds_the_state_and_not_its_lock(workspace):
    back_up(workspace, workspace.course.module("01"), [(".py", b"mine")])
    (workspace.tito / ".progress.json.ab12.tmp").touch()
    (workspace.tito / ".tito").mkdir()
    target = back_up_state(workspace)
    assert target == workspace.root / ".tito_backup_20251116"
    kept = {path.relative_to(target / ".tito") for path in (target / ".tito").rglob("*") if path.is_file()}
    here = {path.relative_to(workspace.tito) for path in workspace.tito.rglob("*") if path.is_file()}
    assert {path.as_posix() for path in here - kept} == {"lock", ".progress.json.ab12.tmp"}
    assert (target / ".tito" / "backups" / "01_tensor_20251116_143000.py").read_bytes() == b"mine"


def test_the_seeds_first_command_restores_one_file(workspace):
    """cp .tito_backup_D/.tito/progress.json .tito/"""
    workspace.store.update("progress.json", lambda state: state["completed_modules"].append(1))
    target = back_up_state(workspace)
    workspace.store.update("progress.json", lambda state: state["completed_modules"].clear())
    shutil.copy(target / ".tito" / "progress.json", workspace.tito)
    assert workspace.store.read("progress.json")["completed_modules"] == [1]


def test_whole_backups_of_one_day_and_one_second_get_names_of_their_own(workspace, clock):
    made = [back_up_state(workspace)]
    clock.at = NOW + timedelta(seconds=5)
    made += [back_up_state(workspace), back_up_state(workspace)]
    assert names(made) == [".tito_backup_20251116", ".tito_backup_20251116_143005", ".tito_backup_20251116_143005_1"]
    assert whole_backups(workspace) == made[::-1]


@pytest.mark.parametrize(
    "step", [timedelta(seconds=1), timedelta(hours=1), timedelta(days=1), -timedelta(days=1), timedelta(0)], ids=str
)
def test_a_new_whole_backup_is_never_the_one_that_is_pruned(workspace, clock, step):
    """A dozen resets in one day: each has its backup when it goes on."""
    for number in range(12):
        (workspace.tito / "mine.txt").write_text(str(number))
        target = back_up_state(workspace)
        assert (target / ".tito" / "mine.txt").read_text() == str(number)
        assert len(whole_backups(workspace)) == min(number + 1, 5)
        clock.at += step


def test_a_deleted_first_backup_leaves_its_name_unused(workspace, clock):
    first = back_up_state(workspace)
    clock.at += timedelta(hours=1)
    second = back_up_state(workspace)
    shutil.rmtree(first)
    clock.at += timedelta(hours=1)
    third = back_up_state(workspace)
    assert whole_backups(workspace) == [third, second], "names sort as the times do"


def test_folders_of_other_names_are_never_pruned(workspace, clock):
    kept = [workspace.root / f".tito_backup_{name}" for name in ("before_exam", "00", "2024", "20240101 copy")]
    for folder in kept:
        shutil.copytree(workspace.tito, folder / ".tito")
    for _ in range(7):
        clock.at += timedelta(days=1)
        back_up_state(workspace)
    assert all(folder.is_dir() for folder in kept)
    assert len(whole_backups(workspace)) == 5


def test_what_a_killed_backup_left_counts_for_nothing_and_goes(workspace):
    leftover = workspace.root / ".tito_backup_20251115.tmp"
    shutil.copytree(workspace.tito, leftover / ".tito")
    assert whole_backups(workspace) == []
    back_up_state(workspace)
    assert not leftover.exists()


def test_a_whole_backup_that_fails_leaves_nothing_behind(workspace, monkeypatch):
    def full(*arguments, **keywords):
        (workspace.root / ".tito_backup_20251116.tmp").mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(
        StateError,
        match=r"can't be backed up to .*\.tito_backup_20251116: .*No space left on device.*Nothing was changed",
    ):
        back_up_state(workspace)
    assert sorted(path.name for path in workspace.root.glob(".tito*")) == [".tito"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_state_behind_a_link_is_copied_not_linked(workspace, tmp_path):
    workspace.tito.rename(tmp_path / "disk")
    workspace.tito.symlink_to(tmp_path / "disk")
    target = back_up_state(workspace)
    assert not (target / ".tito").is_symlink()
    assert json.loads((target / ".tito" / "progress.json").read_text())["version"] == "1.0"
    assert files.TEMPORARY_SUFFIX not in target.name


def test_a_whole_backup_that_is_deleted_is_none_before_its_files_go(workspace, monkeypatch):
    """A kill while its files are deleted leaves something unfinished, which counts for nothing."""
    target = back_up_state(workspace)

    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        backups.delete(workspace, [target])
    monkeypatch.undo()
    assert whole_backups(workspace) == []
    assert names(backups.unfinished(workspace)) == [".tito_backup_20251116.tmp"]


def test_what_may_go_is_counted_for_each_module(workspace):
    for name in ("01_tensor", "02_activations"):
        for day in range(31, 42):
            old_backup(workspace, day, name)
    assert len(backups.stale(workspace)) == 2
