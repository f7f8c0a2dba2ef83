from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from tinytorch.errors import DataError
from tinytorch.resources import ledger
from tinytorch.resources.usage import Usage

AT = "2026-11-01T10:00:00.000Z"


def started(run: str, **facts: object) -> list[object]:
    usual = {"name": "train", "command": "python train.py", "tags": {"team": "a"}, "machine": "local", "host": platform.node(), "pid": 1, "created": 0.0, "at": AT}
    return ["started", run, usual | facts]


def ended(run: str, *, at: str = AT, exit: int = 0, **usage: object) -> list[object]:
    return ["ended", run, at, Usage(**usage).as_json(), exit]  # type: ignore[arg-type]


def test_a_run_is_what_its_entries_say(folder: Path) -> None:
    ledger.append(started("r"), ["seen", "r", AT, Usage(1.5, cpu_seconds=1.0).as_json()], ended("r", exit=-9, wall_seconds=3.0, memory_peak=7))
    run = ledger.read().runs["r"]
    assert (run.name, run.tags, run.exit, run.state()) == ("train", {"team": "a"}, -9, "ended")
    assert run.usage == Usage(3.0, memory_peak=7)


def test_without_a_ledger_there_is_nothing_and_nothing_is_made(folder: Path) -> None:
    assert ledger.read().runs == {} and not folder.exists()


def test_an_entry_of_a_later_version_is_left_alone_and_one_that_is_wrong_is_told() -> None:
    ledger.append(["of-tomorrow", 1, 2, 3], started("r"), ["started", "s", {"name": "no more"}], ["seen", "nobody", AT, {}])
    told: list[str] = []
    assert list(ledger.read(told.append).runs) == ["r"]
    assert len(told) == 1 and "1 entry is not understood" in told[0]


@pytest.mark.parametrize("keep", range(1, 60, 7))
def test_an_end_that_a_kill_has_torn_costs_that_entry_and_no_other(folder: Path, keep: int) -> None:
    ledger.append(started("first"))
    path = folder / "ledger.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:keep])
    assert list(ledger.read().runs) == ["first"]
    ledger.append(started("second"))
    told: list[str] = []
    assert list(ledger.read(told.append).runs) == ["first", "second"] and told == []


def test_a_damaged_line_is_named_and_kept_aside_and_the_rest_counts(folder: Path) -> None:
    ledger.append(started("a"), started("b"), started("c"))
    path = folder / "ledger.jsonl"
    broken = path.read_bytes().replace(b'"b"', b'"x"')
    path.write_bytes(broken)
    told: list[str] = []
    assert list(ledger.read(told.append).runs) == ["a", "c"]
    assert "1 damaged line (2); the rest counts. The file with them is kept as ledger.jsonl.corrupt-" in told[0]
    assert [aside.read_bytes() for aside in folder.glob("*.corrupt-*")] == [broken]
    assert list(ledger.read(told.append).runs) == ["a", "c"] and len(told) == 1


def test_a_resource_of_which_something_is_missing_is_left_out_and_told() -> None:
    whole = {"kind": "volume", "id": "v", "name": "", "region": "us", "type": "gp3", "state": "available", "created": None, "tags": {}, "size_gb": 1.0, "attached_to": None}
    ledger.append(["made", "2026-11-01T10:00:00Z", "aws", whole], ["made", "2026-11-01T10:00:00Z", "aws", {"id": "x"}], ["cloud", "2026-11-01T10:00:00Z", "aws", [{}]])
    told: list[str] = []
    assert [seen.resources for seen in ledger.read(told.append).cloud] == [(whole | {"usd_per_hour": None},)]
    assert len(told) == 1 and "2 entries are not understood" in told[0]


def test_a_damaged_line_in_a_folder_that_cant_be_written_is_named_each_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    ledger.append(started("a"), started("b"))
    path = folder / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"x"'))
    monkeypatch.setattr(ledger.files, "lock", refuses)
    monkeypatch.setattr(ledger.files, "write_atomic", refuses)
    told: list[str] = []
    for _ in range(2):
        assert list(ledger.read(told.append).runs) == ["a"]
    assert len(told) == 2 and told[0].endswith("1 damaged line (2); the rest counts.")


def test_a_lines_end_that_was_changed_damages_every_line_and_none_is_lost(folder: Path) -> None:
    ledger.append(started("a"), started("b"))
    path = folder / "ledger.jsonl"
    changed = path.read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(changed)
    told: list[str] = []
    assert ledger.read(told.append).runs == {} and "2 damaged lines (1, 2)" in told[0]
    assert next(folder.glob("*.corrupt-*")).read_bytes() == changed


def test_the_runs_of_another_machine_are_taken_in_once(folder: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    ledger.append(started("mine"))
    ledger.append(started("r", machine="aws/us-east-1/g5.xlarge"), ["seen", "r", AT, Usage(1.5).as_json()], ["cloud", AT, "aws", []], place=theirs)
    ledger.append(["budget", "b", {}], ["started", "wrong", {}], ["seen", "nobody", AT, {}], place=theirs)
    assert ledger.merge(theirs) == 1 and ledger.read().runs["r"].usage == Usage(1.5)
    before = (folder / ledger.JOURNAL).read_bytes()
    assert ledger.merge(theirs / ledger.JOURNAL) == 0 and (folder / ledger.JOURNAL).read_bytes() == before
    ledger.append(ended("r", exit=3, wall_seconds=9.0), place=theirs)
    told: list[str] = []
    assert ledger.merge(theirs) == 1
    book = ledger.read(told.append)
    assert sorted(book.runs) == ["mine", "r"] and (book.runs["r"].exit, book.runs["r"].usage) == (3, Usage(9.0))
    assert (book.cloud, book.budgets, told) == ([], {}, [])


def test_what_is_no_ledger_is_not_taken_in_and_a_damaged_line_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"theirs: there is no ledger. Name the folder with the ledger.jsonl"):
        ledger.merge(tmp_path / "theirs")
    (tmp_path / "runs.csv").write_text("kind,id\nrun,r\n", "utf-8")
    with pytest.raises(DataError, match=r"runs.csv is no ledger, or nothing of it is whole: 2 damaged lines \(1, 2\)"):
        ledger.merge(tmp_path / "runs.csv")
    assert not folder.exists()
    ledger.append(started("r"), started("s"), place=tmp_path)
    path = tmp_path / ledger.JOURNAL
    path.write_bytes(path.read_bytes().replace(b'"started","r"', b'"started","x"'))
    told: list[str] = []
    assert ledger.merge(path, told.append) == 1 and list(ledger.read().runs) == ["s"]
    assert "1 damaged line (1); the rest counts." in told[0]


def test_a_folder_that_cant_be_made_is_an_error_that_says_what_to_do(folder: Path) -> None:
    folder.write_text("a file is in its place", "utf-8")
    with pytest.raises(DataError, match="name another folder: TINYTORCH_RESOURCES=DIR"):
        ledger.append(started("r"))


PROCESS = """
import sys
from tinytorch.resources import ledger
for number in range(4):
    ledger.append(["started", f"{sys.argv[1]}-{number}", {"name": "n" * 3000, "command": "", "tags": {}, "machine": "local", "host": "h", "pid": 1, "created": 0, "at": "2026-11-01T10:00:00Z"}])
"""


def test_processes_that_write_at_once_lose_nothing() -> None:
    """Twelve here; fifty in `python -m tests.resources.at_once`."""
    writers = [subprocess.Popen([sys.executable, "-c", PROCESS, str(number)], env=os.environ) for number in range(12)]
    assert [writer.wait(60) for writer in writers] == [0] * 12
    told: list[str] = []
    assert set(ledger.read(told.append).runs) == {f"{writer}-{number}" for writer in range(12) for number in range(4)} and told == []


def test_a_process_runs_only_if_it_was_created_when_the_record_says() -> None:
    own = psutil.Process()
    ledger.append(
        started("this", pid=own.pid, created=own.create_time()),
        started("reused", pid=own.pid, created=own.create_time() - 3600),
        started("gone", pid=2**22 + 1, created=own.create_time()),
    )
    assert {run.id: run.state() for run in ledger.read().runs.values()} == {"this": "running", "reused": "lost", "gone": "lost"}


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="nobody can tell here that a process has ended without waiting for it")
def test_a_process_that_has_ended_and_isnt_waited_for_doesnt_run() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "pass"])
    created = psutil.Process(process.pid).create_time()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    ledger.append(started("r", pid=process.pid, created=created))
    assert ledger.read().runs["r"].state() == "lost"
    process.wait()


def test_a_run_on_another_machine_runs_as_long_as_it_is_heard_of() -> None:
    ledger.append(started("r", host="another", at=ledger.stamp(ledger.now())))
    run = ledger.read().runs["r"]
    assert run.state() == "running" and run.state(ledger.now() + timedelta(minutes=11)) == "lost"


@pytest.mark.parametrize(
    ("value", "is_on"),
    [(None, False), ("", False), ("off", False), ("0", False), ("on", True), ("ON ", True), ("1", True), ("a/folder", True)],
)
def test_recording_is_off_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, value: str | None, is_on: bool) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    monkeypatch.delenv("PYTEST_VERSION", raising=False)
    monkeypatch.delenv("TINYTORCH_RESOURCES") if value is None else monkeypatch.setenv("TINYTORCH_RESOURCES", value)
    assert ledger.is_on() is is_on
    assert (ledger.folder() == Path("a/folder").absolute()) is (value == "a/folder")
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "tests/01_tensor/test_add.py::test_add (call)")
    assert not ledger.is_on()
