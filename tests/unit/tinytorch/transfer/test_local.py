"""From folder to folder: what holds for every pair is shown here."""
from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.tinytorch.transfer.conftest import PART, contents
from tinytorch.errors import ConfigError, TransferError
from tinytorch.transfer import sync, transfer
from tinytorch.transfer.local import LocalStore
from tinytorch.transfer.moving import Progress

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such links, permissions or signals")


def test_everything_arrives_with_its_times(source: Path, tmp_path: Path, small_parts: int) -> None:
    result = transfer(str(source), str(tmp_path / "there"))
    assert contents(tmp_path / "there") == contents(source) and not result.failed
    assert {path.stat().st_mtime for path in (tmp_path / "there").rglob("*") if path.is_file()} == {1_600_000_000}
    assert result.sent == 5 and result.nbytes == sum(map(len, contents(source).values()))


def test_what_is_unchanged_isnt_sent_again(source: Path, tmp_path: Path) -> None:
    transfer(str(source), str(tmp_path / "there"))
    (source / "sub" / "-rf").write_bytes(b"+")
    result = transfer(str(source), str(tmp_path / "there"))
    assert [step.name for step in result.plan.send] == ["sub/-rf"] and result.plan.unchanged == 4
    assert result.plan.compared == "size and time of modification"
    assert contents(tmp_path / "there") == contents(source)


def test_checksum_finds_what_times_hide(source: Path, tmp_path: Path) -> None:
    transfer(str(source), str(tmp_path / "there"))
    (source / "sub" / "-rf").write_bytes(b"+")
    os.utime(source / "sub" / "-rf", (1_600_000_000, 1_600_000_000))
    assert transfer(str(source), str(tmp_path / "there")).sent == 0
    result = transfer(str(source), str(tmp_path / "there"), checksum=True)
    assert result.sent == 1 and result.plan.compared == "size and checksum"


def test_a_file_goes_to_a_path_or_into_a_folder(source: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for place, at in (("copy", "copy"), ("new/", "new/-rf"), ("folder", "folder/-rf")):
        transfer(str(source / "sub" / "-rf"), f"{tmp_path}/{place}")
        assert (tmp_path / at).read_bytes() == b"-"
    assert transfer(str(source / "sub" / "-rf"), str(tmp_path / "copy")).plan.unchanged == 1


def test_a_dry_run_and_a_refused_plan_change_nothing(source: Path, tmp_path: Path, cache: Path) -> None:
    assert not transfer(str(source), str(tmp_path / "there"), dry_run=True).is_done
    assert not transfer(str(source), str(tmp_path / "there"), confirm=lambda plan: False).is_done
    assert not (tmp_path / "there").exists() and not cache.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
def test_a_name_that_is_no_text_arrives_and_s3_has_none(source: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.bin")
    (source / name).write_bytes(b"odd")
    assert not transfer(str(source), str(tmp_path / "there")).failed
    assert (tmp_path / "there" / name).read_bytes() == b"odd"


def test_patterns_choose(source: Path, tmp_path: Path) -> None:
    result = transfer(str(source), str(tmp_path / "there"), include=["sub", "*.bin"], exclude=["sub/-*"], dry_run=True)
    assert [step.name for step in result.plan.send] == ["big.bin", "sub/a#b?c%20d+e'f", "sub/ü 🙂.txt"]


# --- deleting ---------------------------------------------------------------------------------------------------------


def test_only_sync_with_delete_removes_and_only_what_isnt_excluded(source: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    transfer(str(source), str(there))
    (there / "old").write_bytes(b"old")
    (there / "keep.txt").write_bytes(b"keep")
    assert sync(str(source), str(there)).plan.extra == ("keep.txt", "old") and (there / "old").exists()
    assert sync(str(source), str(there), delete=True, exclude=["keep*"]).deleted == ("old",)
    assert (there / "keep.txt").exists() and not (there / "old").exists()


def test_nothing_is_deleted_if_a_file_didnt_arrive(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "old").write_bytes(b"old")
    _fail_reading(monkeypatch, "-rf")
    result = sync(str(source), str(there), delete=True)
    assert list(result.failed) == ["sub/-rf"] and result.deleted == () and (there / "old").exists()


def _fail_reading(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    read = LocalStore.read

    def broken(self: LocalStore, name: str, *rest: Any) -> bytes:
        if name.endswith(suffix):
            raise TransferError(f"{name} can't be read: Input/output error", retryable=False)
        return read(self, name, *rest)

    monkeypatch.setattr(LocalStore, "read", broken)


# --- what is in the way -----------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("links", ["skip", "follow", "refuse"])
def test_links_never_lead_out_of_the_tree(source: Path, tmp_path: Path, links: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    for name, target in {"out": tmp_path / "secret", "loop": source, "in": source / "empty", "nowhere": tmp_path / "none"}.items():
        (source / name).symlink_to(target)
    if links == "refuse":
        with pytest.raises(TransferError, match="links are refused"):
            transfer(str(source), str(tmp_path / "there"), links=links)
        assert not (tmp_path / "there").exists()
        return
    result = transfer(str(source), str(tmp_path / "there"), links=links)
    named = {"loop", "nowhere", "out"} | ({"in"} if links == "skip" else set())
    assert set(result.plan.left_out) == named and (tmp_path / "there" / "in").exists() == (links == "follow")
    assert not any((tmp_path / "there" / name).exists() for name in ("out", "loop", "nowhere"))


@posix
@pytest.mark.parametrize("name", ["sub", "empty"])
def test_a_link_at_the_destination_is_not_written_through(source: Path, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / name).symlink_to(elsewhere if name == "sub" else elsewhere / "file")
    with pytest.raises(TransferError, match="links are not followed there"):
        transfer(str(source), str(tmp_path / "there"))
    assert contents(tmp_path / "there") == contents(elsewhere) == {}


def test_empty_folders_are_named(source: Path, tmp_path: Path) -> None:
    (source / "none").mkdir()
    assert transfer(str(source), str(tmp_path / "there")).plan.left_out == {"none": "a folder without files"}


def test_names_that_a_destination_would_merge_are_refused(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if LocalStore(source).merges_case():
        pytest.skip("this file system can't have both names")
    (source / "SUB").mkdir()
    (source / "SUB" / "other").write_bytes(b"")
    monkeypatch.setattr(LocalStore, "merges_case", lambda self: True)
    with pytest.raises(TransferError, match="SUB and sub are one file or folder"):
        transfer(str(source), str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(("at", "says"), [("sub", "is to be a folder"), ("empty/x", "a file here and a folder")])
def test_a_file_and_a_folder_of_one_name_are_refused(source: Path, tmp_path: Path, at: str, says: str) -> None:
    path = tmp_path / "there" / at
    path.parent.mkdir(parents=True)
    path.write_bytes(b"precious")
    with pytest.raises(TransferError, match=says):
        transfer(str(source), str(tmp_path / "there"))
    assert contents(tmp_path / "there") == {at: b"precious"}


def test_places_that_overlap_are_refused(source: Path, tmp_path: Path) -> None:
    for other in (source, source / "sub" / "deeper", tmp_path):
        with pytest.raises(ConfigError, match="one is inside the other"):
            transfer(str(source), str(other))


@pytest.mark.parametrize("option", [{"links": "x"}, {"verify": "x"}, {"engine": "x"}, {"jobs": 0}, {"bandwidth": 0}], ids=lambda option: next(iter(option)))
def test_a_wrong_option_is_refused(source: Path, tmp_path: Path, option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        transfer(str(source), str(tmp_path / "there"), **option)


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", lambda: 0)() == 0, reason="permissions bind nobody here (root, or Windows)")
def test_a_folder_that_cant_be_written_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o500)
    result = transfer(str(source), str(tmp_path / "there"))
    assert "Permission denied" in result.failed["empty"]


def test_no_room_is_said_before_anything_is_sent(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalStore, "free", lambda self: 1000)
    with pytest.raises(TransferError, match="there is room for 1.0 KB"):
        transfer(str(source), str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


def test_a_disk_that_fills_ends_the_file_and_what_arrived_is_used(source: Path, tmp_path: Path, small_parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinytorch.transfer import local

    write = local.LocalArrival.write

    def full(self: Any, number: int, start: int, data: bytes, digest: Any) -> None:
        if start > 10 * PART:
            with local._explained(str(self.part), "written"):
                raise OSError(errno.ENOSPC, "No space left on device")
        write(self, number, start, data, digest)

    with monkeypatch.context() as patched:
        patched.setattr(local.LocalArrival, "write", full)
        result = transfer(str(source), str(tmp_path / "there"))
    assert "no space is left" in result.failed["big.bin"] and not (tmp_path / "there" / "big.bin").exists()
    again = transfer(str(source), str(tmp_path / "there"))
    assert again.nbytes <= 12 * PART and contents(tmp_path / "there") == contents(source)


# --- whole, or not there ----------------------------------------------------------------------------------------------


def test_a_part_that_is_damaged_on_its_way_is_sent_again(source: Path, tmp_path: Path, small_parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinytorch.transfer import local

    put, damaged = local._put, []

    def flip(file: Any, start: int, data: bytes) -> None:
        if start == 7 * PART and not damaged:
            damaged.append(start)
            data = data[:-1] + b"\0"
        put(file, start, data)

    monkeypatch.setattr(local, "_put", flip)
    assert not transfer(str(source), str(tmp_path / "there")).failed
    assert damaged and contents(tmp_path / "there") == contents(source)


def test_a_disk_that_never_keeps_a_part_gets_no_file(source: Path, tmp_path: Path, small_parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinytorch.transfer import local

    put = local._put
    monkeypatch.setattr(local, "_put", lambda file, start, data: put(file, start, b"\0" * len(data)))
    result = transfer(str(source), str(tmp_path / "there"))
    assert "not at" in result.failed["big.bin"] and not (tmp_path / "there" / "big.bin").exists()


def test_a_source_that_changes_meanwhile_is_not_put_in_place(source: Path, tmp_path: Path, small_parts: int) -> None:
    def touch(now: Progress) -> None:
        if now.arrived > 5 * PART:
            (source / "big.bin").write_bytes(b"other")

    result = transfer(str(source), str(tmp_path / "there"), report=touch)
    assert "was changed" in result.failed["big.bin"] and not (tmp_path / "there" / "big.bin").exists()
    assert transfer(str(source), str(tmp_path / "there")).sent == 1
    assert contents(tmp_path / "there") == contents(source)  # and nothing is left of the other version


KILLED = """
import os, signal, sys
from tinytorch.transfer import listing, transfer
listing.PART = {part}
told = []
def report(now):
    if now.arrived > {until} and not told:
        told.append(now)
        os.kill(os.getpid(), signal.{signal})
result = transfer(sys.argv[1], sys.argv[2], report=report, bandwidth={bandwidth})
print(result.stopped)
"""


@posix
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_an_interrupted_transfer_goes_on_inside_the_file(source: Path, tmp_path: Path, small_parts: int, name: str) -> None:
    size = (source / "big.bin").stat().st_size
    program = KILLED.format(part=PART, until=size // 2, signal=name, bandwidth=None if name == "SIGKILL" else 20 << 20)
    done = subprocess.run([sys.executable, "-c", program, str(source), str(tmp_path / "there")], capture_output=True, text=True, check=False)
    assert done.returncode == (-signal.SIGKILL if name == "SIGKILL" else 0), done.stderr
    assert not (tmp_path / "there" / "big.bin").exists()
    result = transfer(str(source), str(tmp_path / "there"))
    assert result.nbytes < size // 2 + 5 * PART  # at most the parts that were under way are sent twice
    assert contents(tmp_path / "there") == contents(source)


def test_nobody_listening_any_more_costs_no_file(source: Path, tmp_path: Path) -> None:
    def gone(now: Progress) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    assert not transfer(str(source), str(tmp_path / "there"), report=gone).failed
    assert contents(tmp_path / "there") == contents(source)


def test_the_rate_is_kept(source: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    transfer(str(source), str(tmp_path / "there"), bandwidth=4 << 20)
    assert time.monotonic() - began > 0.3  # 1.25 MiB


def test_two_transfers_between_the_same_places_are_not_run_at_once(source: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    def again(now: Progress) -> None:
        if not asked:
            asked.append("")
            with pytest.raises(TransferError, match="another run is at work"):
                transfer(str(source), str(tmp_path / "there"))

    transfer(str(source), str(tmp_path / "there"), report=again)
    assert asked
