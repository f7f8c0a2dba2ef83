"""Several files changed as one step."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_tinytorch.course.curriculum import Course
from pytest_tinytorch.state import transaction
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files
from tinytorch.errors import StateError

BEFORE = {"a.txt": b"old a", "b/c.txt": b"old c", "gone.txt": b"going", "same.txt": b"same"}
CHANGE = {
    "a.txt": b"new a",
    "b/c.txt": b"new c",
    "new/d.txt": b"new d",
    "gone.txt": None,
    "same.txt": b"same",
    "never.txt": None,
}
AFTER = {"a.txt": b"new a", "b/c.txt": b"new c", "new/d.txt": b"new d", "same.txt": b"same"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    for name, data in BEFORE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return Workspace(tmp_path, Course(tmp_path, "1.0.0", (), ()))


def content(workspace: Workspace) -> dict[str, bytes]:
    return {
        path.relative_to(workspace.root).as_posix(): path.read_bytes()
        for path in workspace.root.rglob("*") if path.is_file() and path != workspace.tito / "lock"
    }  # fmt: skip


def test_every_file_is_changed_and_nothing_is_left_behind(workspace: Workspace):
    transaction.replace(workspace, CHANGE)
    assert content(workspace) == AFTER


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_an_error_on_the_way_takes_everything_back(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, fails_at: int
):
    moves: list[Path] = []
    move = files.move

    def failing(source: Path, path: Path) -> None:
        moves.append(path)
        if len(moves) == fails_at:
            raise PermissionError(13, "Permission denied", str(path))
        move(source, path)

    monkeypatch.setattr(files, "move", failing)
    with pytest.raises(StateError, match=r"Permission denied\. Nothing was changed"):
        transaction.replace(workspace, CHANGE)
    assert content(workspace) == BEFORE


def test_an_error_before_the_decision_changes_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "write_atomic", full)
    with pytest.raises(StateError, match=r"\.tito can't be written: No space left on device\. Nothing was changed\. Make room, then"):
        transaction.replace(workspace, CHANGE)
    assert content(workspace) == BEFORE


@pytest.fixture
def interrupted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The process was killed when the first file was in place."""

    class Killed(BaseException):
        pass

    moved: list[Path] = []
    move = files.move

    def once(source: Path, path: Path) -> None:
        if moved:
            raise Killed
        moved.append(path)
        move(source, path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "move", once)
        with pytest.raises(Killed):
            transaction.replace(workspace, CHANGE)
    assert (workspace.root / "a.txt").read_bytes() == b"new a" and (workspace.root / "b/c.txt").read_bytes() == b"old c"
    return workspace


def test_the_next_command_finishes_what_was_decided(interrupted: Workspace):
    assert transaction.finish(interrupted) == ["Finished a command that was interrupted."]
    assert content(interrupted) == AFTER
    assert transaction.finish(interrupted) == []


def test_a_file_that_was_edited_since_is_left_alone(interrupted: Workspace):
    (interrupted.root / "b/c.txt").write_bytes(b"my edit")
    assert transaction.finish(interrupted)[1:] == ["Left b/c.txt alone: it was edited since."]
    assert content(interrupted) == AFTER | {"b/c.txt": b"my edit"}


def test_what_was_not_decided_is_forgotten(workspace: Workspace):
    folder = workspace.tito / transaction.FOLDER
    folder.mkdir(parents=True)
    (folder / "0").write_bytes(b"half")
    assert transaction.finish(workspace) == [] and not folder.exists() and content(workspace) == BEFORE


def test_recovery_finishes_it(interrupted: Workspace):
    from pytest_tinytorch.state.recovery import recover
    from pytest_tinytorch.state.store import empty

    (interrupted.tito / "backups").mkdir()
    for name in ("progress.json", "milestones.json", "config.json"):
        interrupted.store.write(name, empty(name))
    versions = {"workspace_version": "1.0", "template_version": "1.0.0", "files": {}}
    (interrupted.tito / "version.json").write_text(json.dumps(versions), "utf-8")
    assert recover(interrupted) == ["Finished a command that was interrupted."]
    assert (interrupted.root / "new/d.txt").read_bytes() == b"new d" and recover(interrupted) == []
