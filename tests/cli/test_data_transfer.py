"""`tito data transfer`: what it says, what it asks, and how it ends."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Tito
from tests.cli.terminal import Terminal
from tinytorch import files
from tinytorch.errors import TransferError
from tinytorch.transfer import DataLocation
from tinytorch.transfer.local import LocalStore
from tinytorch.transfer.running import job_folder

ROOT = Path(__file__).parents[2]
on_a_terminal = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals of this kind")


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files in a folder, which the current folder has."""
    monkeypatch.setenv("TINYTORCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my photos 🙂"
    folder.mkdir()
    (folder / "one.raw").write_bytes(b"1" * 3000)
    (folder / "two.raw").write_bytes(b"2" * 2000)
    return folder


def test_a_transfer_says_what_it_does(tito: Tito, photos: Path, tmp_path: Path) -> None:
    answer = tito("data", "transfer", photos.name, "there")
    assert answer.status == 0 and not answer.err
    assert "send       2 files, 4.9 KB" in answer.out and "engine     copy: both are on this machine" in answer.out
    assert "Sent 2 files, 4.9 KB, in " in answer.out and "\x1b" not in answer.out
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["one.raw", "two.raw"]
    assert "Everything is there already." in tito("data", "transfer", photos.name, "there").out


def test_a_dry_run_does_nothing(tito: Tito, photos: Path, tmp_path: Path) -> None:
    answer = tito("data", "transfer", photos.name, "there", "--dry-run", "--exclude", "two*")
    assert answer.status == 0 and "send       one.raw" in answer.out and "two.raw" not in answer.out
    assert not (tmp_path / "there").exists()


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "transfers").glob("*/*"))


def test_clean_removes_what_is_kept_of_transfers(tito: Tito, photos: Path, tmp_path: Path) -> None:
    for there in ("there", "elsewhere"):
        tito("data", "transfer", photos.name, there)
    answer = tito("data", "clean", "--unfinished")
    assert answer.status == 1 and f"transfer  {photos} -> {tmp_path / 'there'}" in answer.out and "In a script: tito data clean --unfinished --yes" in answer.err
    before = kept(tmp_path / "cache")
    assert before == sorted([".lock", "journal.jsonl", "progress.json"] * 2)
    assert tito("data", "clean", "digits", "--yes").out == "There is nothing to remove.\n" and kept(tmp_path / "cache") == before
    done = tito("data", "clean", "--yes")
    assert done.status == 0 and "Removed the record of 2 transfers, " in done.out and kept(tmp_path / "cache") == [".lock"] * 2
    assert tito("data", "clean").out == "There is nothing to remove.\n" and "Everything is there already." in tito("data", "transfer", photos.name, "there").out


def test_clean_follows_no_link(tito: Tito, photos: Path, tmp_path: Path) -> None:
    tito("data", "transfer", photos.name, "there")
    (busy,) = (tmp_path / "cache" / "transfers").iterdir()
    (busy / "parts").symlink_to(photos)
    busy.with_name("0123456789abcdef").symlink_to(photos)
    assert "Removed the record of 1 transfer, " in tito("data", "clean", "--yes").out
    assert sorted(path.name for path in photos.iterdir()) == ["one.raw", "two.raw"] and not os.path.lexists(busy / "parts")


def test_a_record_that_a_transfer_removes_meanwhile_is_no_error(tito: Tito, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tito("data", "transfer", photos.name, "there")
    listed = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: [*listed(self, pattern), self / "parts" / "gone.jsonl"])
    assert tito("data", "clean", "--yes").out.splitlines()[-1].startswith("Removed the record of 1 transfer, ")


def test_clean_keeps_what_a_transfer_at_work_needs(tito: Tito, photos: Path, tmp_path: Path) -> None:
    for there in ("there", "elsewhere"):
        tito("data", "transfer", photos.name, there)
    busy = job_folder(DataLocation.parse(str(photos)), DataLocation.parse(str(tmp_path / "there")))
    with files.lock(busy / ".lock", timeout=0, again=False):
        answer = tito("data", "clean", "--yes")
    assert answer.status == 1 and f"{photos} -> {tmp_path / 'there'}: a transfer is at work" in answer.err and "Removed the record of 1 transfer, " in answer.out
    assert kept(tmp_path / "cache") == [".lock", ".lock", "journal.jsonl", "progress.json"] and (busy / "journal.jsonl").exists()


def test_json_is_data_and_nothing_else(tito: Tito, photos: Path) -> None:
    answer = tito("data", "transfer", photos.name, "there", "--json")
    facts = json.loads(answer.out)
    assert facts["sent"] == 2 and facts["bytes"] == 5000 and facts["failed"] == {} and facts["plan"]["engine"] == "copy"


def test_deleting_needs_consent(tito: Tito, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "old").write_bytes(b"")
    assert "only there 1 file; --delete removes them" in tito("data", "transfer", photos.name, "there", "--sync").out
    answer = tito("data", "transfer", photos.name, "there", "--sync", "--delete")
    assert answer.status == 1 and "delete     old" in answer.out and "--yes" in answer.err and (tmp_path / "there" / "old").exists()
    answer = tito("data", "transfer", photos.name, "there", "--sync", "--delete", "--yes")
    assert answer.status == 0 and "deleted 1 file" in answer.out and not (tmp_path / "there" / "old").exists()


@on_a_terminal
def test_a_person_is_asked_with_the_plan(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "old").write_bytes(b"")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with Terminal(["data", "transfer", photos.name, "there", "--sync", "--delete"], cwd=tmp_path, environment=environment) as terminal:
        terminal.wait_for("Delete 1 file")
        assert "delete     old" in terminal.text and not (tmp_path / "there" / "one.raw").exists()
        terminal.type("y\n")
        assert terminal.end() == 0
    assert not (tmp_path / "there" / "old").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--delete"], "use it with --sync"), (["--bandwidth", "fast"], "is no rate"), (["--bandwidth", "0"], "is no rate"), (["--links", "x"], "'skip'"),
        (["--jobs", "0"], "--jobs"), (["--engine", "ftp"], "'sftp'"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_a_wrong_command_line(tito: Tito, photos: Path, arguments: list[str], says: str) -> None:
    answer = tito("data", "transfer", photos.name, "there", *arguments)
    assert answer.status == 2 and says in answer.err


@pytest.mark.parametrize("source", ["nowhere", "s3:///x", "gs://bucket", "ssh://me:word@host/x"])
def test_what_cant_be_read_is_one_line(tito: Tito, tmp_path: Path, source: str) -> None:
    answer = tito("data", "transfer", source, "there")
    assert answer.status == 1 and answer.err.startswith("Error: ") and answer.err.count("\n") == 1 and "word" not in answer.err.replace("password", "")
    assert not (tmp_path / "there").exists()


def test_a_file_that_fails_is_named_with_how_to_go_on(tito: Tito, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = LocalStore.read

    def broken(self: LocalStore, name: str, *rest: object) -> bytes:
        if name == "two.raw":
            raise TransferError(f"{name} can't be read: Input/output error", retryable=False)
        return read(self, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalStore, "read", broken)
    answer = tito("data", "transfer", photos.name, "there")
    assert answer.status == 1 and "Error: two.raw can't be read: Input/output error" in answer.err
    assert "1 file arrived, 1 file did not. The same command tries these again." in answer.err


@on_a_terminal
def test_an_interrupt_says_how_to_go_on(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tito", "data", "transfer", photos.name, "there", "--bandwidth", "100"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None and process.stderr is not None
        while "from" not in process.stdout.readline():  # the first word about progress: the transfer is at work
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert "The same command goes on." in process.stderr.read()
        assert process.wait(30) == 130
