"""A file is either its old self or its new self, whatever happens while it is written, and one holder has the lock."""
from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch import files

not_on_windows = pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions and links")


class Killed(BaseException):
    """Not an Exception, as KeyboardInterrupt isn't."""


class FullDisk:
    """A file that exists and can't be written to."""

    def __init__(self, path, mode, write):
        self.file = io.open(path, mode)  # noqa: SIM115, UP020  # closed by the block; Path.open is replaced
        self.write = write

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.file.close()

    def fileno(self):
        return self.file.fileno()


@settings(deadline=None)  # how long a flush takes is up to the disk
@given(old=st.none() | st.binary(max_size=64), new=st.binary(max_size=64))
def test_write_atomic_leaves_exactly_the_new_content(tmp_path_factory, old, new):
    folder = tmp_path_factory.mktemp("write")
    path = folder / "some folder" / "state.json"
    if old is not None:
        files.write_atomic(path, old)
    files.write_atomic(path, new)
    assert path.read_bytes() == new
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), Killed()], ids=["full disk", "kill"]
)
def test_write_atomic_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch, call, error):
    path = tmp_path / "state.json"
    path.write_bytes(b"old")

    def fail(*arguments):
        raise error

    with monkeypatch.context() as patch:
        if call == "write":
            patch.setattr(type(path), "open", lambda path, mode: FullDisk(path, mode, fail))
        else:
            patch.setattr(os, call, fail)
        with pytest.raises(type(error)):
            files.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@not_on_windows
def test_write_atomic_follows_a_link(tmp_path):
    real, link = tmp_path / "real" / "state.json", tmp_path / "link.json"
    files.write_atomic(real, b"old")
    link.symlink_to(real)
    files.write_atomic(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert list(real.parent.iterdir()) == [real], "the temporary file was made beside the real one"


@not_on_windows
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755], ids=oct)
@pytest.mark.parametrize(
    "write", [files.write_atomic, lambda path, data: files.move(written(path, data), path)], ids=["write", "move"]
)
def test_permissions_of_a_file_stay(tmp_path, mode, write):
    path = tmp_path / "01_tensor.py"
    path.write_bytes(b"old")
    path.chmod(mode)
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == mode


def written(path, data):
    source = path.with_name("staged")
    source.write_bytes(data)
    return source


@not_on_windows
def test_move_follows_a_link_and_makes_folders(tmp_path):
    (tmp_path / "link.py").symlink_to(tmp_path / "new folder" / "real.py")
    files.move(written(tmp_path / "x", b"new"), tmp_path / "link.py")
    assert (tmp_path / "link.py").is_symlink()
    assert (tmp_path / "new folder" / "real.py").read_bytes() == b"new"


def test_move_from_another_file_system_copies(tmp_path, monkeypatch):
    source, path, replace = written(tmp_path / "x", b"new"), tmp_path / "a.py", Path.replace

    def other_file_system(one, two):
        if one == source:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return replace(one, two)

    monkeypatch.setattr(Path, "replace", other_file_system)
    files.move(source, path)
    assert path.read_bytes() == source.read_bytes() == b"new"


@not_on_windows
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP], ids=["EINVAL", "ENOTSUP"])
def test_a_folder_that_cannot_be_flushed_does_not_undo_a_write(tmp_path, monkeypatch, number):
    """Some network file systems can't flush folders; a failure after the new file is in place would be a lie."""
    flush = os.fsync

    def fsync(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):  # noqa: PTH112  # a handle, not a path of ours
            raise OSError(number, os.strerror(number))
        flush(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_atomic(tmp_path / "state.json", b"new")
    assert (tmp_path / "state.json").read_bytes() == b"new"


@not_on_windows
def test_a_folder_that_may_not_be_read_does_not_undo_a_write(tmp_path, monkeypatch):
    opened = os.open

    def only_files(path, flags, *arguments, **keywords):
        if flags == os.O_RDONLY and path == tmp_path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, flags, *arguments, **keywords)

    monkeypatch.setattr(os, "open", only_files)
    files.write_atomic(tmp_path / "state.json", b"new")
    assert (tmp_path / "state.json").read_bytes() == b"new"


def test_write_atomic_takes_long_paths_with_spaces_and_emoji(tmp_path):
    path = tmp_path / ("a folder \N{SNAKE}" * 10) / ("b" * 60) / "Übung 1.json"
    assert len(str(path)) > 200
    files.write_atomic(path, b"x")
    assert path.read_bytes() == b"x"


def test_write_atomic_takes_the_longest_name_that_there_is(tmp_path):
    path = tmp_path / ("n" * 255)
    files.write_atomic(path, b"x")
    assert path.read_bytes() == b"x"


def test_write_atomic_below_a_file_is_an_error_of_the_system(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        files.write_atomic(tmp_path / "file" / "state.json", b"x")


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ],
    ids=["nothing", "abc"],
)
def test_sha256_is_that_of_fips_180(data, digest):
    assert files.sha256(data) == digest


def test_the_hash_of_a_file_can_be_gone_on_with(tmp_path):
    (tmp_path / "a").write_bytes(b"a" * 3_000_000)
    digest = files.hash_of(tmp_path / "a")
    digest.update(b"b")
    assert digest.hexdigest() == files.sha256(b"a" * 3_000_000 + b"b")
    assert files.hash_of(tmp_path / "a", "md5").hexdigest() == "99ddc9a3a46ea62c95652bdf937a1fb8"


def test_free_space_is_that_of_the_nearest_folder_that_is_there(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or SimpleNamespace(free=7))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert [files.free_space(folder) for folder in (tmp_path, tmp_path / "a" / "b", Path("a"), tmp_path / "file" / "a")] == [7] * 4
    assert asked == [tmp_path] * 4


def test_what_is_published_was_flushed_before(tmp_path, monkeypatch):
    """Else a power cut could leave a whole name with half a content."""
    done = []
    flush, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("flush"), flush(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda one, two: (done.append("replace"), replace(one, two))[1])
    files.publish(written(tmp_path / "x", b"new"), tmp_path / "a.bin")
    assert done[:2] == ["flush", "replace"] and (tmp_path / "a.bin").read_bytes() == b"new"


@pytest.mark.parametrize("number, full", [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EFBIG, True), (errno.EACCES, False)] if os.name != "nt" else [(errno.ENOSPC, True)])
def test_a_full_disk_is_told_from_other_faults(number, full):
    assert files.is_full(OSError(number, "")) is full


# --- the lock -----------------------------------------------------------------------------------------------------


def test_lock_is_taken_again_by_its_holder(tmp_path):
    with files.lock(tmp_path / "lock", timeout=0), files.lock(tmp_path / "lock", timeout=0):
        assert is_held(tmp_path / "lock")
    assert not is_held(tmp_path / "lock")


def test_lock_is_released_by_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), files.lock(tmp_path / "lock", timeout=0):
        raise ZeroDivisionError
    assert not is_held(tmp_path / "lock")


def test_lock_excludes_the_other_threads(tmp_path):
    """Adding is read, wait, write: without the lock, additions are lost."""
    total, wrong = 0, []

    def add():
        nonlocal total
        try:
            for _ in range(5):
                with files.lock(tmp_path / "lock", timeout=30):
                    seen = total
                    threading.Event().wait(0.001)
                    total = seen + 1
        except BaseException as error:
            wrong.append(error)
            raise

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert total == 20


def test_lock_that_is_held_by_another_process_names_itself_and_the_time(tmp_path):
    told = pytest.raises(TimeoutError, match=r"lock is held by another process, still after 0\.05 seconds")
    with held_elsewhere(tmp_path / "lock"), told, files.lock(tmp_path / "lock", timeout=0.05):
        pytest.fail("two hold one lock")


def test_lock_of_a_process_that_was_killed_is_free(tmp_path):
    with held_elsewhere(tmp_path / "lock") as process:
        process.kill()
        process.wait()
        with files.lock(tmp_path / "lock", timeout=10):
            pass


class held_elsewhere:  # noqa: N801  # reads as the context manager that it is
    """Another process holds the lock meanwhile."""

    def __init__(self, path):
        self.command = [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from tinytorch import files\n"
            "with files.lock(Path(sys.argv[1]), timeout=10):\n    print('held', flush=True); sys.stdin.read()",
            str(path),
        ]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline().strip() == b"held"
        return self.process

    def __exit__(self, *exception):
        self.process.communicate(b"")


def is_held(path):
    """Whether a process that isn't this one finds the lock taken."""
    program = (
        "import sys; from pathlib import Path; from tinytorch import files\n"
        "try:\n    with files.lock(Path(sys.argv[1]), timeout=0): print('free')\n"
        "except TimeoutError: print('held')"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.strip() == "held"
