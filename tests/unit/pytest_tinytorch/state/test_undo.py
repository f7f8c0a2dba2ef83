"""What a command changed is taken back, and nothing that came after it is lost."""
from __future__ import annotations

import json
import os

import pytest

from pytest_tinytorch.health.check import FAULT
from pytest_tinytorch.health.repair import set_aside_plans
from pytest_tinytorch.health.workspace import undo_plans
from pytest_tinytorch.state import config, progress, transaction
from pytest_tinytorch.state import undo as undo_module
from pytest_tinytorch.state.undo import taken_back, undo
from tinytorch import files
from tinytorch.errors import StateError


def change(workspace, contents, command="tito change", **how):
    transaction.replace(workspace, contents, command=command, **how)


def content(workspace):
    return {
        path.relative_to(workspace.root).as_posix(): path.read_bytes()
        for path in sorted(workspace.root.rglob("*"))
        if path.is_file() and not {"undo", "lock"} & set(path.relative_to(workspace.root).parts)
    }


def test_files_are_as_they_were(workspace):
    before = content(workspace)
    module = workspace.course.module("01")
    path = workspace.relative(workspace.existing_forms(module)[0])
    change(workspace, {path: b"new", "tests/new/test_a.py": b"", "README.md": None})
    done = undo(workspace)
    assert content(workspace) == before
    assert (sorted(done.restored), done.removed, done.kept) == (sorted([path, "README.md"]), ["tests/new/test_a.py"], [])
    assert not (workspace.root / "tests" / "new").exists(), "a folder that came with it goes with it"


def test_the_last_change_goes_first_then_the_one_before(workspace):
    before = content(workspace)
    change(workspace, {"a.txt": b"1"}, "one")
    change(workspace, {"a.txt": b"2", "b.txt": b"2"}, "two")
    assert [plan.command for plan in transaction.undoable(workspace)] == ["two", "one"]
    assert undo(workspace).plan.command == "two"
    assert (workspace.root / "a.txt").read_bytes() == b"1"
    assert undo(workspace).plan.command == "one"
    assert content(workspace) == before
    with pytest.raises(StateError, match="There is nothing to take back"):
        undo(workspace)


def test_a_change_can_be_named_by_how_it_begins(workspace):
    change(workspace, {"a.txt": b"1"}, "tito update")
    change(workspace, {"b.txt": b"1"}, "tito module reset 01")
    assert undo(workspace, of="tito update").removed == ["a.txt"]
    assert [plan.command for plan in transaction.undoable(workspace)] == ["tito module reset 01"]
    with pytest.raises(StateError, match="no `tito update` is among the last 20 changes"):
        undo(workspace, of="tito update")


def test_a_working_copy_that_was_edited_since_is_backed_up_and_goes_back(workspace):
    form = workspace.existing_forms(workspace.course.module("01"))[0]
    before = form.read_bytes()
    change(workspace, {workspace.relative(form): b"reset"})
    form.write_bytes(b"an hour's work")
    done = undo(workspace)
    assert form.read_bytes() == before
    assert [path.read_bytes() for path in done.backups] == [b"an hour's work"]


def test_another_file_that_was_edited_since_stays_and_is_named(workspace):
    change(workspace, {"a.txt": b"1", "b.txt": b"1"})
    (workspace.root / "a.txt").write_bytes(b"mine")
    done = undo(workspace)
    assert (done.kept, done.removed) == (["a.txt"], ["b.txt"])
    assert (workspace.root / "a.txt").read_bytes() == b"mine"
    assert transaction.undoable(workspace) == [], "it is not offered again"


def test_of_a_state_file_only_what_the_command_changed_goes_back(workspace):
    one, two = workspace.course.modules[:2]
    transaction.change_state(workspace, "progress.json", lambda state: progress.mark_complete(state, one), command="complete")
    progress.record_result(workspace.store, two, ["a test"], "hash")
    undo(workspace)
    state = workspace.store.read("progress.json")
    assert (state["completed_modules"], state["completion_dates"]) == ([], {})
    assert state["results"]["2"]["failed"] == ["a test"]


@pytest.mark.parametrize(
    "before, after, now, expected",
    [
        ({"a": 1}, {"a": 2}, {"a": 3}, {"a": 3}),
        ({}, {"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"x": 2, "y": 1}}, {"a": {"x": 2, "y": 5}}, {"a": {"x": 1, "y": 5}}),
        ({"a": 1}, {}, {}, {"a": 1}),
        ({"a": 1}, {}, {"a": 7}, {"a": 7}),
    ],
    ids=["changed since", "filled since", "nested", "brought back", "made again since"],
)
def test_entries_go_back_unless_they_changed_since(before, after, now, expected):
    assert taken_back(before, after, now) == expected


def test_only_the_newest_changes_are_kept(workspace):
    for number in range(transaction.KEPT + 5):
        change(workspace, {"a.txt": str(number).encode()}, f"change {number}")
    kept = [plan.command for plan in transaction.undoable(workspace)]
    assert (len(kept), kept[0], kept[-1]) == (transaction.KEPT, f"change {transaction.KEPT + 4}", "change 5")


def test_a_clock_that_was_set_back_does_not_change_the_order(workspace):
    (workspace.tito / "undo" / "29990101_000000_000").mkdir(parents=True)
    change(workspace, {"a.txt": b"1"}, "one")
    change(workspace, {"a.txt": b"2"}, "two")
    assert [plan.command for plan in transaction.undoable(workspace)] == ["two", "one"]


def test_a_change_that_changes_nothing_is_no_change(workspace):
    config.choose(workspace, "logo_theme", "standard")
    assert transaction.undoable(workspace) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no executable bit")
def test_an_executable_bit_comes_and_goes(workspace):
    path = workspace.root / "README.md"
    data, mode = path.read_bytes(), path.stat().st_mode
    change(workspace, {"README.md": data}, executable={"README.md": True})
    assert path.stat().st_mode == mode | 0o111
    undo(workspace)
    assert path.stat().st_mode == mode


@pytest.fixture
def linked(workspace, tmp_path):
    """A file in the workspace that is a link to one outside of it; the latter."""
    (tmp_path / "shared").mkdir()
    outside = tmp_path / "shared" / "notes \U0001f600.md"
    outside.write_bytes(b"old")
    (workspace.root / "notes.md").symlink_to(outside)
    return outside


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_stays_one_and_its_target_changes_and_goes_back(workspace, linked):
    change(workspace, {"notes.md": b"new"})
    assert linked.read_bytes() == b"new"
    undo(workspace)
    assert (workspace.root / "notes.md").is_symlink() and linked.read_bytes() == b"old"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("then", [b"old", b"edited meanwhile", None], ids=["as it was", "edited", "gone"])
def test_a_link_that_was_removed_is_made_again_and_its_target_keeps_what_it_got_since(workspace, linked, then):
    change(workspace, {"notes.md": None, "other.md": b"new"})
    assert linked.read_bytes() == b"old" and not os.path.lexists(workspace.root / "notes.md")
    linked.write_bytes(then) if then else linked.unlink()
    undo(workspace)
    assert (workspace.root / "notes.md").readlink() == linked
    assert linked.read_bytes() == (then or b"old")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_an_error_on_the_way_makes_a_removed_link_again(workspace, linked, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "move", fail)
    with pytest.raises(StateError, match="No space left"):
        change(workspace, {"notes.md": None, "other.md": b"new"})
    assert (workspace.root / "notes.md").readlink() == linked and linked.read_bytes() == b"old"
    assert not (workspace.root / "other.md").exists() and transaction.undoable(workspace) == []


def test_a_broken_plan_is_told_and_nothing_is_changed(workspace):
    change(workspace, {"a.txt": b"1"})
    [plan] = (workspace.tito / "undo").glob("*/plan.json")
    plan.write_text(json.dumps({"changes": [{}]}), "utf-8")
    with pytest.raises(StateError, match=r"plan\.json can't be read.*rm -r"):
        undo(workspace)
    assert (workspace.root / "a.txt").read_bytes() == b"1"


def break_plan(folder):
    (folder / "plan.json").write_text("{", "utf-8")


def lose_what_was_kept(folder):
    next(folder.glob("*.old")).unlink()


@pytest.mark.parametrize("damage", [break_plan, lose_what_was_kept])
def test_what_blocks_undo_is_found_and_set_aside_and_nothing_of_it_is_lost(workspace, damage):
    (workspace.root / "a.txt").write_bytes(b"before")
    change(workspace, {"b.txt": b"1"}, "first")
    change(workspace, {"a.txt": b"after"}, "second")
    assert undo_module.broken(workspace) == {}
    folder = max((workspace.tito / "undo").iterdir())
    damage(folder)
    there = sorted(path.name for path in folder.iterdir())
    assert list(undo_module.broken(workspace)) == [folder]
    [check] = undo_plans(workspace)
    assert check.state == FAULT and str(folder) in check.text and check.fix == "tito doctor --repair"
    [said] = set_aside_plans(workspace)
    [aside] = workspace.tito.glob(f"{folder.name}.corrupt-*")
    assert aside.name in said and sorted(path.name for path in aside.iterdir()) == there
    assert undo(workspace).plan.command == "first" and set_aside_plans(workspace) == []


@pytest.mark.parametrize("damage", ["truncated", "removed"])
def test_what_was_kept_is_checked_before_it_is_put_back(workspace, damage):
    (workspace.root / "a.txt").write_bytes(b"before")
    change(workspace, {"a.txt": b"after"})
    [kept] = (workspace.tito / "undo").glob("*/*.old")
    kept.write_bytes(b"bef") if damage == "truncated" else kept.unlink()
    with pytest.raises(StateError, match=r"`tito change` can't be taken back.*Nothing was changed"):
        undo(workspace)
    assert (workspace.root / "a.txt").read_bytes() == b"after"


def test_a_change_under_a_later_one_of_the_same_file_is_not_taken_back_alone(workspace):
    change(workspace, {"a.txt": b"1", "b.txt": b"1"}, "first")
    change(workspace, {"b.txt": b"2"}, "second")
    with pytest.raises(StateError, match="`second`, which came later"):
        undo(workspace, of="first")
    undo(workspace)
    undo(workspace, of="first")
    assert not (workspace.root / "a.txt").exists()
