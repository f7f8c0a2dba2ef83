"""Disk, encoding, rights, clock and place of the workspace."""
from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_tinytorch.health import machine
from pytest_tinytorch.health.check import FAULT, NOTE
from pytest_tinytorch.workspace.layout import Workspace

not_on_windows = pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
Usage = namedtuple("Usage", "total used free")
MB = 2**20

# --- disk --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("free", "expected"), [(99, FAULT), (101, NOTE), (1023, NOTE)])
def test_a_disk_that_is_nearly_full(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, free: int, expected: str):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: Usage(20 * 1024 * MB, 0, free * MB))
    check, *_ = machine.disk(workspace)  # the cache may lie on another disk
    assert check.state == expected and f"{free} MB of 20.0 GB are free for the workspace, the temporary folder" in check.text


def test_disks_are_told_apart(workspace: Workspace, temporary: Path, monkeypatch: pytest.MonkeyPatch):
    real = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        facts = real(path, **options)
        return os.stat_result([*facts[:2], 4711, *facts[3:]]) if path == temporary else facts

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: Usage(MB, 0, 0 if folder == temporary else 2**40))
    [check] = machine.disk(workspace)
    assert check.text.endswith("are free for the temporary folder") and str(temporary) in check.fix


def test_the_environment_has_a_disk_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: Usage(MB, MB, 0))
    assert all("workspace" not in check.text for check in machine.disk(None))


# --- encoding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "files", "variable", "told", "fix"),
    [
        ("ascii", "UTF-8", "PYTHONIOENCODING", "output in ascii", "Unset PYTHONIOENCODING."),
        ("utf8", "cp1252", "", "text files in cp1252", "Set PYTHONUTF8=1."),
        ("ascii", "ANSI_X3.4-1968", "PYTHONUTF8", "output in ascii, text files in ANSI_X3.4-1968", "Unset PYTHONUTF8."),
    ],
)
def test_an_encoding_that_is_not_utf8_is_a_note(
    monkeypatch: pytest.MonkeyPatch, output: str, files: str, variable: str, told: str, fix: str
):
    monkeypatch.setattr(machine.sys, "stdout", io.TextIOWrapper(io.BytesIO(), output))
    monkeypatch.setattr(machine.locale, "getpreferredencoding", lambda do_setlocale: files)
    if variable:
        monkeypatch.setenv(variable, "0" if variable == "PYTHONUTF8" else output)
    [check] = machine.encoding()
    assert (check.state, check.fix) == (NOTE, fix) and f"({told})" in check.text


@pytest.mark.parametrize("name", ["utf-8", "UTF8", "utf_8"])
def test_utf8_by_any_name_is_none(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setattr(machine.sys, "stdout", io.TextIOWrapper(io.BytesIO(), name))
    monkeypatch.setattr(machine.locale, "getpreferredencoding", lambda do_setlocale: name)
    assert list(machine.encoding()) == []


# --- rights ------------------------------------------------------------------------------------------------------


def told_without_rights(workspace: Workspace) -> list[str]:
    """What `permissions` tells in a child that gives up root's right to write anywhere."""
    become = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] if os.geteuid() == 0 else []
    program = (
        "import sys; from pathlib import Path\n"
        "from pytest_tinytorch.course.curriculum import load; from pytest_tinytorch.workspace.layout import Workspace\n"
        "from pytest_tinytorch.health.machine import permissions\n"
        "for check in permissions(Workspace(Path(sys.argv[1]), load())): print(check.state, check.text)"
    )
    done = subprocess.run(
        [*become, sys.executable, "-c", program, str(workspace.root)],
        env=os.environ | {"PYTHONPATH": str(Path(machine.__file__).parents[2])}, capture_output=True, encoding="utf-8", check=True,
    )
    return done.stdout.splitlines()


@not_on_windows
@pytest.mark.parametrize("name", [".", ".tito", ".tito/backups", "modules", "modules/01_tensor", "modules/01_tensor/01_tensor.py", ".tito/progress.json"])
def test_what_may_not_be_written_is_a_fault(workspace: Workspace, name: str):
    path = workspace.root / name
    mode = path.stat().st_mode
    path.chmod(0o555 if path.is_dir() else 0o444)
    told = told_without_rights(workspace)
    path.chmod(mode)
    shown = "the workspace's folder" if name == "." else name
    assert told == [f"fault You may not write to {shown}"]
    assert told_without_rights(workspace) == []


@not_on_windows
def test_a_workspace_on_a_read_only_mount_is_told_so_and_not_to_chmod(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    real = os.statvfs

    def read_only(path: Path) -> os.statvfs_result:
        facts = list(real(path))
        facts[8] |= os.ST_RDONLY
        return os.statvfs_result(facts)

    monkeypatch.setattr(machine.os, "statvfs", read_only)
    [check] = machine.permissions(workspace)
    assert check.state == FAULT and "mounted read-only" in check.fix and "chmod" not in check.fix


@not_on_windows
def test_a_folder_that_may_not_be_read_is_a_fault(workspace: Workspace):
    folder = workspace.root / "modules"
    folder.chmod(0)
    told = told_without_rights(workspace)
    folder.chmod(0o755)
    assert told == ["fault You may not write to modules"]


@not_on_windows
def test_files_of_root_are_told_with_sudo(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    real = Path.stat

    def roots(path: Path, **options: bool) -> os.stat_result:
        facts = real(path, **options)
        return os.stat_result([*facts[:4], 0, *facts[5:]])

    monkeypatch.setattr(Path, "stat", roots)
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(machine.os, "access", lambda path, mode: ".json" not in str(path))
    [check] = machine.permissions(workspace)
    assert check.state == FAULT and check.fix == f'sudo chown -R "$USER" "{workspace.root}"'
    assert check.text == ".tito/config.json, .tito/milestones.json, .tito/progress.json and 1 more belong to root, as after a run with sudo"


@not_on_windows
def test_root_in_somebodys_workspace_is_a_note(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    real = Path.stat

    def somebodys(path: Path, **options: bool) -> os.stat_result:
        facts = real(path, **options)
        return os.stat_result([*facts[:4], 1000, *facts[5:]])

    monkeypatch.setattr(Path, "stat", somebodys)
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine.os, "access", lambda path, mode: True)
    [check] = machine.permissions(workspace)
    assert check.state == NOTE and check.fix == "Run it without sudo."


# --- clock -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".tito/progress.json", "modules/01_tensor/01_tensor.py"])
def test_a_file_of_the_future_is_a_note(workspace: Workspace, name: str):
    tomorrow = time.time() + 24 * 3600
    os.utime(workspace.root / name, (tomorrow, tomorrow))
    [check] = machine.clock(workspace)
    assert (check.state, check.text) == (NOTE, f"{name}: dated in the future")


@pytest.mark.parametrize(("seconds", "told"), [(90.0, "90 seconds ahead of"), (-3600.0, "3600 seconds behind")])
def test_a_disk_with_another_time_is_a_note(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, seconds: float, told: str):
    monkeypatch.setattr(machine, "_disk_time", lambda workspace: time.time() + seconds)
    [check] = machine.clock(workspace)
    assert (check.state, check.text) == (NOTE, f"The workspace's disk is {told} the clock")


def test_a_disk_that_cannot_be_written_has_no_other_time(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    def closed(**options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", closed)
    assert list(machine.clock(workspace)) == []


# --- the folder --------------------------------------------------------------------------------------------------


def test_paths_too_long_for_windows_are_a_fault(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    longest = max(len(str(path)) for path in (workspace.root / "tests").rglob("*"))
    monkeypatch.setattr(machine, "_longest_path", lambda: longest + 12)
    [check] = machine.path_length(workspace)
    assert check.state == FAULT and f"up to {longest} characters" in check.text
    monkeypatch.setattr(machine, "_longest_path", lambda: longest + 13)
    assert list(machine.path_length(workspace)) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has a limit")
def test_other_systems_have_no_such_limit(workspace: Workspace):
    assert list(machine.path_length(workspace)) == []


@pytest.mark.parametrize(
    ("folder", "service"),
    [
        ("OneDrive - University", "OneDrive"), ("Dropbox", "Dropbox"), ("Mobile Documents", "iCloud Drive"),
        ("Google Drive", "Google Drive"), ("GoogleDrive-me", "Google Drive"), ("iCloudDrive", "iCloud"), ("Nextcloud", "Nextcloud"),
    ],
)  # fmt: skip
def test_a_synchronised_folder_is_a_note(workspace: Workspace, folder: str, service: str):
    [check] = machine.synchronised(replace(workspace, root=Path("/home", folder, "my-tinytorch")))
    assert check.state == NOTE and f"lies in {folder}, which {service} synchronises" in check.text


@pytest.mark.parametrize("folder", ["drive", "my-onedrive-notes", "box"])
def test_other_folders_are_not_synchronised(workspace: Workspace, folder: str):
    assert list(machine.synchronised(replace(workspace, root=Path("/home", folder, "my-tinytorch")))) == []
