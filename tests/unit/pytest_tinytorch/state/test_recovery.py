"""Whatever happened to `.tito/`, the next command makes it whole, says so, and loses nothing."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from pytest_tinytorch.state import backups, progress
from pytest_tinytorch.state.recovery import recover
from pytest_tinytorch.state.store import STATE_FILES, empty
from tests.plugin.conftest import ALPHA
from tinytorch.errors import StateError

without_windows = pytest.mark.skipif(os.name == "nt", reason="cp, links and permissions are other on Windows")


def complete(workspace, *numbers):
    workspace.store.update("progress.json", lambda state: state.update(completed_modules=list(numbers)))


def completed(workspace):
    return workspace.store.read("progress.json")["completed_modules"]


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_state_is_left_alone(workspace):
    before = snapshot(workspace.root)
    assert recover(workspace) == []
    assert snapshot(workspace.root) == before


# --- missing ------------------------------------------------------------------------------------------------------


def test_a_lost_tito_is_made_again_and_said(workspace):
    complete(workspace, 1)
    shutil.rmtree(workspace.tito)
    [notice] = recover(workspace)
    assert notice.startswith("Created .tito/ again, with empty progress: it was missing.")
    assert "repair" not in notice, "nothing was exported"
    assert workspace.store.read("progress.json") == empty("progress.json")
    assert (workspace.tito / "backups").is_dir()
    assert recover(workspace) == []


def test_a_lost_tito_beside_exports_says_how_to_take_them_up(workspace):
    shutil.rmtree(workspace.tito)
    workspace.export(workspace.course.module("01")).parent.mkdir(parents=True)
    workspace.export(workspace.course.module("01")).touch()
    [notice] = recover(workspace)
    assert "tito system health --repair" in notice


def test_a_lost_tito_gets_its_pristine_copies_back_where_they_can_be_proved(workspace):
    before = {path.relative_to(workspace.pristine): data for path, data in snapshot(workspace.pristine).items()}
    known = workspace.store.read("version.json")["files"]
    work, tests = (
        workspace.forms(workspace.course.module("01"))[1],
        workspace.root / "tests" / "01_tensor" / "test_root.py",
    )
    work.write_text(ALPHA)
    tests.unlink()
    shutil.rmtree(workspace.tito)
    recover(workspace)
    edited = {work.relative_to(workspace.root), tests.relative_to(workspace.root)}
    assert {path.relative_to(workspace.pristine): data for path, data in snapshot(workspace.pristine).items()} == {
        path: data for path, data in before.items() if path not in edited
    }
    rebuilt = workspace.store.read("version.json")["files"]
    assert rebuilt.keys() == known.keys()
    for path, entry in rebuilt.items():
        changed = path in {e.as_posix() for e in edited}
        assert (entry["modified_by_student"], entry["version"]) == ((True, "unknown") if changed else (False, "1.0.0"))
        assert entry["sha256"] == known[path]["sha256"]


@pytest.mark.parametrize("name", STATE_FILES)
def test_one_missing_file_is_made_again_and_the_others_stay(workspace, name):
    complete(workspace, 1)
    before = snapshot(workspace.tito)
    (workspace.tito / name).unlink()
    assert recover(workspace) == [f"Created .tito/{name} again: it was missing."]
    after = snapshot(workspace.tito)
    assert after.keys() == before.keys()
    assert {path for path in after if after[path] != before[path]} <= {workspace.tito / name}
    if name == "config.json":
        assert workspace.store.read(name) == {"logo_theme": "standard"}


def test_a_missing_backups_folder_is_no_news(workspace):
    (workspace.tito / "backups").rmdir()
    assert recover(workspace) == []
    assert (workspace.tito / "backups").is_dir()


@pytest.mark.parametrize("name", ["progress.json", "version.json"])
def test_a_broken_file_is_left_to_its_readers(workspace, name):
    (workspace.tito / name).write_text("{")
    (workspace.tito / "config.json").unlink()
    assert recover(workspace) == ["Created .tito/config.json again: it was missing."]
    assert (workspace.tito / name).read_text() == "{"


@without_windows
def test_a_link_to_nowhere_is_filled(workspace, tmp_path):
    (workspace.tito / "progress.json").unlink()
    (workspace.tito / "progress.json").symlink_to(tmp_path / "cloud.json")
    assert recover(workspace) == ["Created .tito/progress.json again: it was missing."]
    assert json.loads((tmp_path / "cloud.json").read_text()) == empty("progress.json")


@without_windows
def test_a_folder_that_may_not_be_written_is_told_and_stays(workspace):
    (workspace.tito / "config.json").unlink()
    for folder in (workspace.tito, workspace.root):
        folder.chmod(0o555)
    told = recovered_without_rights(workspace)
    for folder in (workspace.tito, workspace.root):
        folder.chmod(0o755)
    assert "can't be written: Permission denied. Nothing in it was changed." in told
    assert not (workspace.tito / "config.json").exists()


@without_windows
def test_a_folder_that_may_not_be_read_is_told(workspace):
    workspace.tito.chmod(0)
    told = recovered_without_rights(workspace)
    workspace.tito.chmod(0o755)
    assert (
        told
        == f"{workspace.tito} can't be read: Permission denied. Give yourself the right: chmod u+rwx {workspace.tito}\n"
    )


def recovered_without_rights(workspace):
    """The error of `recover` in a child that gives up root's right to read and write anywhere."""
    become = (
        ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] if os.geteuid() == 0 else []
    )
    program = (
        "import sys; from pathlib import Path\n"
        "from pytest_tinytorch.workspace import layout; from pytest_tinytorch.state.recovery import recover\n"
        "from tinytorch.errors import StateError\n"
        "try: recover(layout.find(Path(sys.argv[1])))\nexcept StateError as error: print(error)"
    )
    done = subprocess.run(
        [*become, sys.executable, "-c", program, str(workspace.root)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- copied in by hand --------------------------------------------------------------------------------------------


@pytest.fixture
def saved(workspace):
    """A whole backup in which modules 1 and 2 are complete; since then, only 1 is."""
    complete(workspace, 1, 2)
    backups.back_up(workspace, workspace.course.module("01"), [(".py", b"mine")])
    target = backups.back_up_state(workspace)
    complete(workspace, 1)
    return target


def cp(workspace, *arguments):
    subprocess.run(["cp", *arguments], cwd=workspace.root, check=True)


@without_windows
def test_the_seeds_cp_of_one_file_needs_no_recovery(workspace, saved):
    cp(workspace, f"{saved.name}/.tito/progress.json", ".tito/")
    assert recover(workspace) == []
    assert completed(workspace) == [1, 2]


@without_windows
def test_the_seeds_cp_of_everything_is_restored_where_tito_is_there(workspace, saved):
    cp(workspace, "-r", f"{saved.name}/", ".tito/")
    assert (workspace.tito / saved.name / ".tito").is_dir()
    [notice] = recover(workspace)
    assert notice.startswith(
        f"Restored the backup that was copied to .tito/{saved.name}; what was there before is in .tito_backup_"
    )
    assert completed(workspace) == [1, 2]
    before = backups.whole_backups(workspace)[0]
    assert before != saved
    assert json.loads((before / ".tito" / "progress.json").read_text())["completed_modules"] == [1]
    assert not (before / ".tito" / saved.name).exists()
    assert recover(workspace) == []


@without_windows
def test_the_seeds_cp_of_everything_is_restored_where_tito_is_absent(workspace, saved):
    shutil.rmtree(workspace.tito)
    cp(workspace, "-r", f"{saved.name}/", ".tito/")
    assert (workspace.tito / ".tito" / "progress.json").is_file()
    assert recover(workspace) == ["Restored the backup that was copied to .tito/.tito."]
    assert completed(workspace) == [1, 2]
    assert [path.read_bytes() for path in (workspace.tito / "backups").iterdir()] == [b"mine"]
    assert any(workspace.pristine.iterdir())
    assert backups.whole_backups(workspace) == [saved]
    assert recover(workspace) == []


@without_windows
def test_cp_over_a_broken_state_restores_it_and_keeps_the_broken_file(workspace, saved):
    """The reason why somebody restores in the first place."""
    (workspace.tito / "progress.json").write_text("{ broken")
    cp(workspace, "-r", f"{saved.name}/", ".tito/")
    recover(workspace)
    assert completed(workspace) == [1, 2]
    assert (backups.whole_backups(workspace)[0] / ".tito" / "progress.json").read_text() == "{ broken"


def test_a_copied_backup_that_is_broken_stops_and_names_itself(workspace, saved):
    shutil.copytree(saved, workspace.tito / saved.name)
    (workspace.tito / saved.name / ".tito" / "milestones.json").write_text("[]")
    before = snapshot(workspace.root)
    with pytest.raises(
        StateError,
        match=rf"copied to \.tito/{saved.name} can't be restored: .*milestones\.json, line 1: a JSON object .*"
        rf"rm -r \.tito/{saved.name}",
    ):
        recover(workspace)
    assert {path: data for path, data in snapshot(workspace.root).items() if path.name != "lock"} == {
        path: data for path, data in before.items() if path.name != "lock"
    }


def test_a_copied_backup_of_one_file_replaces_that_file_only(workspace, saved):
    workspace.store.update("config.json", lambda state: state.update(logo_theme="none"))
    (workspace.tito / ".tito").mkdir()
    shutil.copy(saved / ".tito" / "progress.json", workspace.tito / ".tito")
    recover(workspace)
    assert completed(workspace) == [1, 2]
    assert workspace.store.read("config.json")["logo_theme"] == "none"


def test_a_restore_that_was_killed_is_repeated(workspace, saved, monkeypatch):
    shutil.copytree(saved / ".tito", workspace.tito / ".tito")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            recover(workspace)
    assert (workspace.tito / ".tito").is_dir()
    assert len(recover(workspace)) == 1
    assert completed(workspace) == [1, 2]
    assert not (workspace.tito / ".tito").exists()


def test_the_tito_of_another_person_shows_their_progress_and_unlocks_nothing(workspace, saved, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(workspace.root, mine, ignore=shutil.ignore_patterns(".tito*"))
    shutil.copytree(saved / ".tito", mine / ".tito")
    from pytest_tinytorch.workspace.layout import Workspace

    copied = Workspace(mine, workspace.course)
    assert recover(copied) == []
    assert [module.number for module in progress.recorded(copied)] == ["01", "02"]
    assert progress.complete(copied) == []
