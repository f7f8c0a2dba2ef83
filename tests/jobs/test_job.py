from __future__ import annotations

import json
import os
import signal
import threading

import pytest

from tests.jobs import chores
from tinytorch import files
from tinytorch.errors import ConfigError, DataError
from tinytorch.jobs import Item, Job

KEYS = [
    "dataset_name", "start_time", "last_update", "completed_trajectories", "failed_trajectories", "total_chunks",
    "processing_config", "trajectory_checksums",
]  # fmt: skip


def view(folder):
    return json.loads((folder / "progress.json").read_text("utf-8"))


def ids(*numbers):
    return [f"item_{n:07}" for n in numbers]


@pytest.fixture
def notices():
    return []


@pytest.fixture
def job(tmp_path, notices):
    return Job(tmp_path / "job", dataset_name="chores", config={"size": 3, "model": "large"}, notice=notices.append)


def counted(work, calls):
    def counting(item):
        calls.append(item.id)
        return work(item)

    return counting


# --- what is done, and done again ---------------------------------------------------------------------------------


def test_every_item_is_processed_once_and_the_next_run_has_nothing_to_do(job):
    calls = []
    progress = job.run(chores.items(10), counted(chores.number, calls))
    assert calls == ids(*range(10))
    assert (progress.total, progress.done, progress.failed, progress.units, progress.processed) == (10, 10, 0, 45, 10)
    again = job.run(chores.items(10), counted(chores.number, calls))
    assert len(calls) == 10
    assert (again.done, again.units, again.processed) == (10, 45, 0)


def test_an_item_that_is_queued_is_processed_again_and_counts_once(job):
    calls, outcomes = [], []
    job.run(chores.items(5), chores.number)
    job.queue(ids(2, 4))
    assert view(job.folder)["completed_trajectories"] == ids(0, 1, 3) and view(job.folder)["total_chunks"] == 4
    progress = job.run(chores.items(5), counted(chores.number, calls), finished=outcomes.append)
    assert calls == [outcome.item.id for outcome in outcomes] == ids(2, 4)
    assert (progress.done, progress.units) == (5, 10)


def test_items_may_come_from_a_generator_of_unknown_length(job):
    progress = job.run(iter(chores.items(3)), chores.number)
    assert (progress.total, progress.done, progress.fraction, progress.remaining) == (None, 3, None, None)
    assert job.run(iter(chores.items(5)), chores.number, total=5).done == 5


def test_an_item_is_taken_from_the_source_only_when_it_is_wanted(job):
    taken = []

    def source():
        for item in chores.items(5):
            taken.append(item.id)
            yield item

    outcomes = job.outcomes(source(), chores.number)
    next(outcomes)
    next(outcomes)
    assert len(taken) == 2
    outcomes.close()


def test_a_changed_item_is_processed_again_and_its_units_are_replaced(job):
    job.run(chores.items(4), lambda item: 10)
    changed = [*chores.items(3), Item("item_0000003", "ffffffffffffffff", (3, None))]
    calls = []
    progress = job.run(changed, counted(lambda item: 5, calls))
    assert calls == ids(3)
    assert (progress.done, progress.units) == (4, 35)
    assert job.record().units == 35  # read from the journal, too
    assert view(job.folder)["total_chunks"] == 35
    assert view(job.folder)["trajectory_checksums"]["item_0000003"] == "ffffffffffffffff"


def test_a_changed_item_that_fails_counts_no_more(job):
    job.run(chores.items(2), lambda item: 10)
    progress = job.run(chores.items(2, version="new"), chores.fail_on_odd)
    assert (progress.done, progress.failed, progress.units) == (1, 1, 1)
    assert (job.record().units, view(job.folder)["total_chunks"]) == (1, 1)


def test_two_items_with_one_id_are_refused(job):
    twice = [*chores.items(2), chores.items(1)[0]._replace(checksum="0" * 16)]
    with pytest.raises(DataError, match="two items have the id 'item_0000000'"):
        job.run(twice, chores.number)
    assert job.record().done.keys() == set(ids(0, 1))  # what was finished is recorded


@pytest.mark.parametrize("checksum", ["0" * 16, chores.items(1)[0].checksum])
def test_two_items_with_one_id_are_refused_too_if_the_first_is_done(job, checksum):
    job.run(chores.items(2), chores.number)
    with pytest.raises(DataError, match="two items have the id 'item_0000000'"):
        job.run([*chores.items(2), chores.items(1)[0]._replace(checksum=checksum)], chores.number)


def test_an_item_that_has_gone_is_neither_done_nor_missing(job):
    job.run(chores.items(5), chores.number)
    progress = job.run(chores.items(3), chores.number)
    assert (progress.total, progress.done) == (3, 3)


# --- failures -----------------------------------------------------------------------------------------------------


def test_a_failure_does_not_stop_the_run(job):
    outcomes = list(job.outcomes(chores.items(4), chores.fail_on_odd))
    assert [outcome.error for outcome in outcomes] == [None, "ValueError: item_0000001 is odd", None, "ValueError: item_0000003 is odd"]
    assert view(job.folder)["failed_trajectories"] == ids(1, 3)
    assert view(job.folder)["completed_trajectories"] == ids(0, 2)


def test_an_ordinary_resume_leaves_failed_items_failed(job):
    job.run(chores.items(4), chores.fail_on_odd)
    calls = []
    progress = job.run(chores.items(4), counted(chores.number, calls))
    assert calls == []
    assert (progress.done, progress.failed) == (2, 2)


def test_reset_failed_queues_exactly_the_failed(job):
    job.run(chores.items(4), chores.fail_on_odd)
    assert job.reset_failed() == ids(1, 3)
    assert view(job.folder)["failed_trajectories"] == []
    calls = []
    progress = job.run(chores.items(4), counted(chores.number, calls))
    assert calls == ids(1, 3)
    assert (progress.done, progress.failed) == (4, 0)


def test_a_failed_item_that_has_changed_is_processed_again(job):
    job.run(chores.items(4), chores.fail_on_odd)
    progress = job.run(chores.items(4, version="mended"), chores.number)
    assert (progress.done, progress.failed, progress.processed) == (4, 0, 4)


def test_the_whole_error_can_be_read_later(job):
    job.run(chores.items(2), chores.fail_on_odd)
    error = job.error("item_0000001")
    assert (error["type"], error["message"]) == ("ValueError", "item_0000001 is odd\nand that is that")
    assert 'raise ValueError(f"{item.id} is odd' in error["traceback"]
    assert "attempt" not in error["traceback"]  # it begins at the work
    assert job.error("item_0000000") is None
    job.reset_failed()
    assert job.error("item_0000001") is None


def test_work_that_exits_fails_its_item_only(job):
    outcomes = list(job.outcomes(chores.items(5), chores.leave_on_three))
    assert [outcome.error for outcome in outcomes] == [None, None, None, "SystemExit: enough", None]


@pytest.mark.parametrize("value", [object(), float("inf"), {"a": {1}}])
def test_a_result_that_json_cannot_hold_is_a_failure(job, value):
    (outcome,) = job.outcomes(chores.items(1), lambda item: value)
    assert "the work returned what JSON can't hold" in outcome.error
    assert job.record().failed.keys() == set(ids(0))


@pytest.mark.parametrize("value", [None, "text", 1.5, True, {"chunks": 3}, [1]])
def test_only_integers_are_counted(job, value):
    assert job.run(chores.items(2), lambda item: value).units == 0
    assert job.record().units == 0


def test_a_full_disk_is_not_the_items_fault(job):
    with pytest.raises(DataError, match="No space left on device, at item_0000002.*make room, and run again"):
        job.run(chores.items(5), chores.whole_disk)
    record = job.record()
    assert (set(record.done), record.failed) == (set(ids(0, 1)), {})
    assert job.run(chores.items(5), chores.number).processed == 3


def test_a_journal_that_cannot_be_written_ends_the_run_and_loses_nothing(job, monkeypatch):
    from tinytorch.jobs.journal import Writer

    real = Writer.append

    def full(self, entry):
        if entry[:2] == ["done", "item_0000003"]:
            raise OSError(28, "No space left on device")
        real(self, entry)

    monkeypatch.setattr(Writer, "append", full)
    with pytest.raises(DataError, match="No space left on device. What is recorded there is whole"):
        job.run(chores.items(5), chores.number)
    monkeypatch.undo()
    assert set(job.record().done) == set(ids(0, 1, 2))
    assert job.run(chores.items(5), chores.number).processed == 2


def test_a_view_that_cannot_be_written_ends_the_run_and_loses_nothing(job, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_atomic", full)
    with pytest.raises(DataError, match="No space left"):
        job.run(chores.items(3), chores.number)
    monkeypatch.undo()
    assert job.run(chores.items(3), chores.number).processed == 0
    assert view(job.folder)["completed_trajectories"] == ids(0, 1, 2)


# --- the view -----------------------------------------------------------------------------------------------------


def test_progress_json_has_exactly_the_keys_and_types(job):
    job.now = lambda: 1641234567.89
    job.run(chores.items(3), chores.fail_on_odd)
    found = view(job.folder)
    assert list(found) == KEYS
    assert found["dataset_name"] == "chores"
    assert found["start_time"] == 1641234567.89
    assert 1641234567.89 <= found["last_update"] < 1641234600
    assert found["processing_config"] == {"size": 3, "model": "large"}
    assert list(found["trajectory_checksums"]) == ids(0, 1, 2)
    assert all(len(value) == 16 and int(value, 16) >= 0 for value in found["trajectory_checksums"].values())


def test_a_run_with_nothing_to_do_leaves_the_view_alone(job):
    job.run(chores.items(3), chores.number)
    before = (job.folder / "progress.json").stat()
    job.run(chores.items(3), chores.number)
    assert (job.folder / "progress.json").stat().st_mtime_ns == before.st_mtime_ns


def test_the_view_is_made_every_few_seconds_of_a_run(job):
    seen = []
    now = 0.0

    def work(item):
        nonlocal now
        now += 1.0
        seen.append(len(view(job.folder)["completed_trajectories"]) if (job.folder / "progress.json").exists() else 0)

    job.clock = lambda: now
    job.run(chores.items(20), work)
    assert seen == [0] * 5 + [5] * 5 + [10] * 5 + [15] * 5


def test_a_view_that_somebody_changed_is_set_aside_and_the_journal_counts(job, notices):
    job.run(chores.items(3), chores.number)
    path = job.folder / "progress.json"
    edited = path.read_text("utf-8").replace("item_0000001", "item_0000009")
    path.write_text(edited, "utf-8")
    assert job.run(chores.items(3), chores.number).processed == 0
    (notice,) = notices
    assert "was changed or restored by somebody. The journal beside it counts" in notice
    (aside,) = job.folder.glob("progress.json.set-aside-*")
    assert aside.read_text("utf-8") == edited
    assert view(job.folder)["completed_trajectories"] == ids(0, 1, 2)


def test_a_view_that_is_missing_is_made_again(job, notices):
    job.run(chores.items(3), chores.number)
    (job.folder / "progress.json").unlink()
    job.run(chores.items(3), chores.number)
    assert view(job.folder)["completed_trajectories"] == ids(0, 1, 2)
    assert notices == [f"{job.folder / 'progress.json'} was missing: made again from the journal."]


def test_without_a_journal_the_job_goes_on_from_the_view(job, notices):
    job.run(chores.items(4), chores.fail_on_odd)
    (job.folder / "journal.jsonl").unlink()
    calls = []
    progress = job.run(chores.items(6), counted(chores.number, calls))
    assert calls == ids(4, 5)
    assert (progress.done, progress.failed, progress.units) == (4, 2, 2 + 4 + 5)
    assert notices == [f"{job.folder / 'journal.jsonl'} is missing: going on from progress.json, 2 completed."]


@pytest.mark.parametrize("text, problem", [("{", "Expecting property name"), ("[]", "not an object"), ("{}", "dataset_name is missing"), ("[" * 100_000, "recursion")])
def test_without_a_journal_a_broken_view_is_refused_and_kept(job, text, problem):
    job.folder.mkdir()
    path = job.folder / "progress.json"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=problem):
        job.run(chores.items(2), chores.number)
    assert path.read_text("utf-8") == text


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_times_of_a_view_are_numbers_that_can_be_written_again(job, number):
    job.run(chores.items(2), chores.number)
    (job.folder / "journal.jsonl").unlink()
    (job.folder / "progress.json").write_text(json.dumps(view(job.folder) | {"last_update": number}), "utf-8")
    with pytest.raises(DataError, match=f"last_update is {number}"):
        job.run(chores.items(2), chores.number)


@pytest.mark.parametrize("key", KEYS)
def test_each_key_of_a_view_is_checked(job, key):
    job.run(chores.items(2), chores.number)
    (job.folder / "journal.jsonl").unlink()
    path = job.folder / "progress.json"
    path.write_text(json.dumps(view(job.folder) | {key: None}), "utf-8")
    with pytest.raises(DataError, match=f"{key} is None"):
        job.run(chores.items(2), chores.number)


# --- the journal --------------------------------------------------------------------------------------------------


def test_a_torn_line_is_removed_and_reported_and_its_item_done_again(job, notices):
    job.run(chores.items(3), chores.number)
    path = job.folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    third = next(n for n, text in enumerate(lines) if b"item_0000002" in text)
    path.write_bytes(b"".join(lines[:third]) + lines[third][:-10])
    calls = []
    job.run(chores.items(3), counted(chores.number, calls))
    assert calls == ids(2)
    assert "the last line was cut off in the middle" in notices[0]


def test_a_damaged_line_is_left_out_and_the_damaged_file_kept(job, notices):
    job.run(chores.items(3), chores.number)
    path = job.folder / "journal.jsonl"
    damaged = path.read_bytes().replace(b"item_0000001", b"item_0000701")
    path.write_bytes(damaged)
    calls = []
    job.run(chores.items(3), counted(chores.number, calls))
    assert calls == ids(1)
    assert "1 damaged line (3) left out" in notices[0]
    (aside,) = job.folder.glob("journal.jsonl.corrupt-*")
    assert aside.read_bytes() == damaged


def test_an_entry_of_a_newer_version_is_passed_over(job):
    from tinytorch.jobs.journal import line

    job.run(chores.items(2), chores.number)
    with (job.folder / "journal.jsonl").open("ab") as file:
        file.write(line(["weather", "fine"]))
    assert job.run(chores.items(2), chores.number).done == 2


def test_reset_has_everything_done_again(job):
    job.run(chores.items(3), chores.fail_on_odd)
    job.reset()
    assert view(job.folder)["completed_trajectories"] == []
    assert job.run(chores.items(3), chores.number).processed == 3


def test_looking_changes_nothing(job):
    job.run(chores.items(3), chores.fail_on_odd)
    path = job.folder / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-3])
    before = {file.name: file.read_bytes() for file in job.folder.iterdir()}
    assert (len(job.record().done), len(job.record().failed)) == (2, 1)
    assert {file.name: file.read_bytes() for file in job.folder.iterdir()} == before


def test_looking_where_there_is_no_job_makes_none(job):
    assert (job.record().done, job.record().began) == ({}, None)
    assert not job.folder.exists()


# --- the configuration --------------------------------------------------------------------------------------------


def test_a_changed_configuration_is_refused_where_nobody_confirms_it(job, tmp_path):
    job.run(chores.items(2), chores.number)
    before = (job.folder / "journal.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="model: 'large' -> 'small'; new: nothing -> 1") as raised:
        Job(job.folder, config={"size": 3, "model": "small", "new": 1}).run(chores.items(4), chores.number)
    assert "force_rebuild, or reset" in str(raised.value)
    assert (job.folder / "journal.jsonl").read_bytes() == before


def test_a_confirmed_change_keeps_what_is_done_and_records_both(job):
    job.run(chores.items(2), chores.number)
    asked = []
    calls = []
    other = Job(job.folder, config={"size": 4})
    other.run(chores.items(4), counted(chores.number, calls), confirm=lambda old, new: not asked.append((old, new)))
    assert calls == ids(2, 3)
    assert asked == [({"size": 3, "model": "large"}, {"size": 4})]
    assert job.record().fingerprints == [job.fingerprint, other.fingerprint]
    assert view(job.folder)["processing_config"] == {"size": 4}
    other.run(chores.items(5), chores.number)  # asks no more


def test_no_is_an_answer(job):
    job.run(chores.items(2), chores.number)
    with pytest.raises(ConfigError):
        Job(job.folder, config={}).run(chores.items(2), chores.number, confirm=lambda old, new: False)


def test_force_rebuild_does_everything_again_and_does_not_ask(job):
    job.run(chores.items(3), chores.fail_on_odd)
    progress = Job(job.folder, config={"size": 9}).run(chores.items(3), chores.number, force_rebuild=True)
    assert (progress.processed, progress.done, progress.failed) == (3, 3, 0)
    assert view(job.folder)["processing_config"] == {"size": 9}


def test_a_configuration_may_change_while_nothing_is_done(job):
    job.run([], chores.number)
    assert Job(job.folder, config={}).run(chores.items(1), chores.number).done == 1


def test_the_order_of_the_keys_is_no_change(job):
    job.run(chores.items(1), chores.number)
    Job(job.folder, config={"model": "large", "size": 3}).run(chores.items(1), chores.number)


def test_a_configuration_that_is_no_json_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="plain JSON"):
        Job(tmp_path, config={"path": tmp_path})


# --- two at once, and being stopped -------------------------------------------------------------------------------


def test_a_second_run_on_one_folder_is_refused(job):
    outcomes = job.outcomes(chores.items(3), chores.number)
    next(outcomes)
    for change in (lambda: Job(job.folder, config=job.config).run(chores.items(3), chores.number), job.reset, job.reset_failed):
        with pytest.raises(DataError, match="another run is at work here"):
            change()
    assert len(job.record().done) == 1  # looking is allowed
    assert [outcome.item.id for outcome in outcomes] == ids(1, 2)


def test_a_caller_that_stops_early_leaves_a_job_to_go_on_with(job):
    for outcome in job.outcomes(chores.items(5), chores.number):
        if outcome.item.id == "item_0000001":
            break
    assert job.run(chores.items(5), chores.number).processed == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_item_in_hand_finish(job, number):
    def work(item):
        if item.id == "item_0000002":
            os.kill(os.getpid(), number)
        return 1

    before = signal.getsignal(number)
    progress = job.run(chores.items(5), work)
    assert (progress.processed, progress.stopped) == (3, number.name)
    assert signal.getsignal(number) is before
    assert job.run(chores.items(5), work).processed == 2


def test_a_second_signal_abandons_it(job):
    def work(item):
        if item.id == "item_0000002":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
        return 1

    with pytest.raises(KeyboardInterrupt):
        job.run(chores.items(5), work)
    assert set(job.record().done) == set(ids(0, 1))
    assert job.run(chores.items(5), chores.number).processed == 3


def test_a_job_runs_outside_the_main_thread(job):
    found = []
    thread = threading.Thread(target=lambda: found.append(job.run(chores.items(3), chores.number)))
    thread.start()
    thread.join()
    assert found[0].done == 3


# --- what is reported ---------------------------------------------------------------------------------------------


def test_progress_is_reported_at_both_ends_and_ten_times_a_second(job):
    now = 0.0
    reports = []

    def work(item):
        nonlocal now
        now += 1 / 32
        return 1

    job.clock = lambda: now
    job.run(chores.items(50), work, report=reports.append)
    assert [report.processed for report in reports] == [0, *range(4, 50, 4), 50]
    assert reports[5].rate == pytest.approx(32)
    assert reports[5].remaining == pytest.approx(30 / 32)
    assert reports[5].fraction == 0.4


def test_the_seconds_of_all_runs_are_added_and_the_wall_clock_does_not_matter(job):
    now = 100.0

    def work(item):
        nonlocal now
        now += 60
        job.now = lambda: -1e9
        return 1

    job.clock = lambda: now
    job.now = lambda: 1e9
    job.run(chores.items(2), work)
    now = 0.0  # another boot
    progress = job.run(chores.items(3), work)
    assert progress.seconds == pytest.approx(180)
    assert job.record().seconds + job.record().run_seconds == pytest.approx(180)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(DataError, match=r"file.*job: Not a directory.*run again"):
        Job(tmp_path / "file" / "job").run(chores.items(1), chores.number)
