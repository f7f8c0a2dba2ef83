"""What was seen goes, and nothing else, whatever happens in between."""
from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_tinytorch.cleanup import removal
from pytest_tinytorch.cleanup.removal import Changed, Seen, Unsafe, look, remove


def seen(path: Path) -> Seen:
    found = look(path)
    assert found is not None
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "place" / "my file 🙂"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"12345")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "place" / "folder"
    (path / "in" / "it").mkdir(parents=True)
    (path / "in" / "file").write_bytes(b"123")
    return path


def test_a_file_and_a_folder_go(file: Path, folder: Path, tmp_path: Path):
    assert seen(file).size == 5 and seen(folder).size == 3 and set(seen(folder).within) == {"in", "in/it", "in/file"}
    assert remove(file, seen(file)) and remove(folder, seen(folder))
    assert list((tmp_path / "place").iterdir()) == []


def test_what_is_gone_is_no_error(file: Path):
    before = seen(file)
    file.unlink()
    assert remove(file, before) is False


def _replaced(path: Path) -> None:
    path.with_name("new").write_bytes(b"12345")
    os.utime(path.with_name("new"), ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns))
    path.with_name("new").replace(path)


def _to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "change", [lambda path: path.write_bytes(b"54321"), lambda path: path.write_bytes(b"1"), _replaced, _to_folder],
    ids=["content", "size", "another file like it", "a folder"],
)
def test_a_file_that_is_another_one_stays(file: Path, change: Callable[[Path], object]):
    before = seen(file)
    change(file)
    with pytest.raises(Changed, match="has changed since the plan was made, and stays"):
        remove(file, before)
    assert file.exists()


@pytest.mark.parametrize("name", ["in/file", "in/it/new", "new"])
def test_a_folder_in_which_something_changed_stays(folder: Path, name: str):
    before = seen(folder)
    (folder / name).write_bytes(b"more")
    with pytest.raises(Changed):
        remove(folder, before)
    assert (folder / name).read_bytes() == b"more"


def test_a_change_at_the_last_moment_is_put_back(file: Path, monkeypatch: pytest.MonkeyPatch):
    """Between the last look and the other name."""
    before, original = seen(file), Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self == file:
            _replaced(file)
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(Changed, match="changed at this very moment, and stays"):
        remove(file, before)
    assert file.read_bytes() == b"12345" and list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_that_comes_at_the_last_moment_stays_with_what_it_leads_to(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str):
    """In the place of the file, or of the folder that it is in."""
    before, original = seen(file), Path.rename
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / file.name).write_bytes(b"mine")

    def rename(self: Path, target: Path) -> Path:
        if self == file and not target.exists() and not (tmp_path / "moved").exists():
            path, precious = (file, tmp_path / "precious" / file.name) if what == "file" else (file.parent, tmp_path / "precious")
            original(path, tmp_path / "moved")
            path.symlink_to(precious)
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(Changed, match="changed at this very moment, and stays"):
        remove(file, before)
    assert file.read_bytes() == b"mine" and [path.name for path in (tmp_path / "precious").iterdir()] == [file.name]
    assert (tmp_path / "moved").exists() and (file if what == "file" else file.parent).is_symlink()


def test_a_link_is_never_followed_or_removed(file: Path, folder: Path, tmp_path: Path):
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(Unsafe, match="link is a link"):
        look(link)
    (tmp_path / "way").symlink_to(folder)
    with pytest.raises(Unsafe, match="a link leads there"):
        look(tmp_path / "way" / "in")
    before = seen(file)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unsafe):
        remove(file, before)
    assert (tmp_path / "elsewhere").read_bytes() == b"12345"


def test_a_link_in_a_folder_goes_and_what_it_leads_to_stays(file: Path, folder: Path):
    (folder / "link").symlink_to(file)
    (folder / "way").symlink_to(file.parent)
    assert remove(folder, seen(folder)) and file.read_bytes() == b"12345"


def test_a_folder_on_the_way_that_became_a_link_saves_what_is_behind_it(folder: Path, tmp_path: Path):
    target = folder / "in" / "file"
    before = seen(target)
    (folder / "in").rename(tmp_path / "moved")
    (folder / "in").symlink_to(tmp_path / "moved")
    with pytest.raises(Unsafe):
        remove(target, before)
    assert (tmp_path / "moved" / "file").exists()


def test_a_removal_that_was_killed_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch):
    before = seen(folder)

    def killed(path: Path) -> None:
        (path / "in" / "file").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove(folder, before)
    assert not folder.exists() and removal.aside(folder).exists()
    assert remove(folder, before) and not removal.aside(folder).exists()


def test_what_came_in_its_place_after_a_kill_stays(folder: Path):
    before = seen(folder)
    folder.rename(removal.aside(folder))
    folder.mkdir()
    with pytest.raises(Changed):
        remove(folder, before)
    assert folder.is_dir()


def test_another_folder_under_the_other_name_is_not_ours(folder: Path):
    before = seen(folder)
    folder.rename(folder.with_name("elsewhere"))
    removal.aside(folder).mkdir()
    assert remove(folder, before) is False and removal.aside(folder).is_dir() and folder.with_name("elsewhere").is_dir()


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", lambda: 0)() == 0, reason="the rights of this user stop nobody")
def test_a_folder_that_cannot_be_written_keeps_its_file(file: Path, folder: Path):
    target = folder / "in" / "file"
    before = seen(target)
    target.parent.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            remove(target, before)
    finally:
        target.parent.chmod(0o700)
    assert target.read_bytes() == b"123"
