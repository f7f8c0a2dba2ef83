"""What killed processes left is found and removed; what may still be in use never is."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_tinytorch.health import leftovers
from pytest_tinytorch.health.check import NOTE
from pytest_tinytorch.health.leftovers import DAY, HOUR
from pytest_tinytorch.state import backups
from pytest_tinytorch.workspace import staging
from pytest_tinytorch.workspace.layout import Workspace

not_on_windows = pytest.mark.skipif(os.name == "nt", reason="on Windows staging folders are left to the system")


def age(path: Path, seconds: float) -> Path:
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


@pytest.fixture(scope="session")
def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def staged(folder: Path, process: int, seconds: float) -> Path:
    path = folder / f"{staging.PREFIX}{process}-ab12"
    (path / "core").mkdir(parents=True)
    (path / "core" / "tensor.py").touch()
    return age(path, seconds)


# --- staging folders ---------------------------------------------------------------------------------------------


@not_on_windows
def test_a_staging_folder_of_a_process_that_is_gone(workspace: Workspace, temporary: Path, gone: int):
    folder = staged(temporary, gone, DAY + 60)
    [check] = leftovers.found(workspace)
    assert check.state == NOTE and folder.name in check.text and check.fix == "tito doctor --repair"
    assert leftovers.remove(workspace) == [f"Removed {folder.name} from the temporary folder."]
    assert leftovers.remove(workspace) == [] and list(temporary.iterdir()) == [] and list(leftovers.found(workspace)) == []


@not_on_windows
def test_staging_folders_are_found_outside_of_a_workspace_too(temporary: Path, gone: int):
    staged(temporary, gone, DAY + 60)
    assert len(list(leftovers.staging())) == 1 and len(leftovers.remove(None)) == 1 and leftovers.remove(None) == []


def test_a_young_or_running_or_nameless_staging_folder_stays(workspace: Workspace, temporary: Path, gone: int):
    staged(temporary, gone, DAY - 60)
    staged(temporary, os.getpid(), 10 * DAY)
    (temporary / f"{staging.PREFIX}notes").mkdir()
    (temporary / f"{staging.PREFIX}{gone}-file").touch()
    for path in temporary.iterdir():
        if not path.name.endswith("ab12"):
            age(path, 10 * DAY)
    before = set(temporary.rglob("*"))
    assert list(leftovers.found(workspace)) == [] and leftovers.remove(workspace) == []
    assert set(temporary.rglob("*")) == before


@not_on_windows
def test_a_staging_folder_of_another_user_stays(temporary: Path, gone: int, monkeypatch: pytest.MonkeyPatch):
    staged(temporary, gone, 10 * DAY)
    monkeypatch.setattr(leftovers.os, "getuid", lambda: 4711)
    assert leftovers.remove(None) == []


@not_on_windows
def test_a_link_to_a_folder_stays(temporary: Path, tmp_path: Path, gone: int):
    (tmp_path / "mine").mkdir()
    (temporary / f"{staging.PREFIX}{gone}-ab12").symlink_to(age(tmp_path / "mine", 10 * DAY))
    assert leftovers.remove(None) == [] and (tmp_path / "mine").is_dir()


def test_a_session_names_its_folder_after_its_process():
    folder = staging.make_folder()
    assert staging.process_of(folder) == os.getpid()


# --- the workspace -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        ".progress.json.0123abcd.tmp", ".tito/.progress.json.0123abcd.tmp", ".tito/transaction/.0.0123abcd.tmp",
        "modules/01_tensor/.01_tensor.py.0123abcd.tmp", "tinytorch/core/.tensor.py.0123abcd.tmp",
        "tests/01_tensor/.test_root.py.0123abcd.tmp", "milestones/01_1958_perceptron/.perceptron.py.0123abcd.tmp",
    ],
)  # fmt: skip
def test_a_file_that_was_never_finished(workspace: Workspace, name: str):
    path = workspace.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("half", "utf-8")
    assert list(leftovers.found(workspace)) == [] and leftovers.remove(workspace) == [], "it is being written now"
    age(path, HOUR + 60)
    [check] = leftovers.found(workspace)
    assert check.state == NOTE and path.name in check.text
    assert leftovers.remove(workspace) == [f"Removed {name}, which was never finished."]
    assert leftovers.remove(workspace) == [] and not path.exists()


@pytest.mark.parametrize("name", ["notes.tmp", ".notes.tmp", ".notes.0123abcz.tmp", ".0123abcd.tmp", "modules/01_tensor/.mine.0123ABCD.tmp", "mine.0123abcd.tmp", "data/.x.0123abcd.tmp"])
def test_files_of_other_names_stay(workspace: Workspace, name: str):
    path = workspace.root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine", "utf-8")
    age(path, 10 * DAY)
    assert list(leftovers.found(workspace)) == [] and leftovers.remove(workspace) == [] and path.exists()


def test_a_whole_backup_that_was_never_finished(workspace: Workspace):
    finished = backups.back_up_state(workspace)
    folder = workspace.root / ".tito_backup_20251116.tmp"
    (folder / ".tito").mkdir(parents=True)
    assert leftovers.remove(workspace) == []
    age(folder, HOUR + 60)
    assert leftovers.remove(workspace) == [f"Removed {folder.name}, which was never finished."]
    assert leftovers.remove(workspace) == [] and not folder.exists() and finished.is_dir()


# --- the lock ----------------------------------------------------------------------------------------------------


def test_a_lock_that_is_held_is_a_note_and_a_lock_file_is_none(workspace: Workspace):
    with workspace.store.locked():
        pass
    assert list(leftovers.lock(workspace)) == []
    program = "import sys; from pathlib import Path; from tinytorch import files\nwith files.lock(Path(sys.argv[1]), timeout=9): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(workspace.tito / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(leftovers.__file__).parents[2])},
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        [check] = leftovers.lock(workspace)
        process.kill()
    assert check.state == NOTE and "Another process holds" in check.text
    assert list(leftovers.lock(workspace)) == [], "the system releases the lock of a process that is killed"
