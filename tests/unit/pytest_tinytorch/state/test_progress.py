"""Completions, results and attempts are added; first dates and what nobody understands stay."""
from __future__ import annotations

from datetime import datetime

import pytest

from pytest_tinytorch.state import progress
from pytest_tinytorch.state.progress import MILESTONES, PROGRESS
from tests.plugin.conftest import SOLUTIONS

FIRST = "2025-11-16T10:00:00"


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Every call of now() is a second later."""
    seconds = iter(range(100))
    monkeypatch.setattr(progress, "now", lambda: f"2026-01-01T00:00:{next(seconds):02d}")


def put(workspace, name, **keys):
    workspace.store.update(name, lambda state: state.update(keys))


def complete(workspace, module, **how):
    workspace.store.update(PROGRESS, lambda state: progress.mark_complete(state, module, **how))


def export(workspace, *numbers):
    for number in numbers:
        path = workspace.export(workspace.course.module(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")


def numbers(parts):
    return [part.number for part in parts]


def test_a_completion_is_recorded_once_and_keeps_its_first_date(workspace):
    module = workspace.course.module("02")
    for _ in range(3):
        complete(workspace, module)
    state = workspace.store.read(PROGRESS)
    assert state == {"version": "1.0", "completed_modules": [2], "completion_dates": {"2": "2026-01-01T00:00:00"}}


def test_a_completion_keeps_odd_entries_and_unknown_keys(workspace):
    put(workspace, PROGRESS, completed_modules=[99, 3, 3], completion_dates={"1": FIRST, "x": FIRST}, mine={"a": 1})
    complete(workspace, workspace.course.module("01"))
    state = workspace.store.read(PROGRESS)
    assert state["completed_modules"] == [1, 3, 3, 99]
    assert state["completion_dates"] == {"1": FIRST, "x": FIRST}, "the date that was there is the first one"
    assert state["mine"] == {"a": 1}


def test_the_newest_completion_says_what_was_odd_about_it(workspace):
    module = workspace.course.module("02")
    put(workspace, PROGRESS, reset={"1": FIRST, "2": FIRST})
    complete(workspace, module, tests_modified=["tests/a.py"], forced=["01"])
    state = workspace.store.read(PROGRESS)
    assert (state["tests_modified"], state["forced"], state["reset"]) == (
        {"2": ["tests/a.py"]},
        {"2": ["01"]},
        {"1": FIRST},
    )
    complete(workspace, module)
    assert not {"tests_modified", "forced"} & workspace.store.read(PROGRESS).keys()


def test_a_result_replaces_the_one_before_and_takes_no_completion_away(workspace):
    module = workspace.course.module("02")
    complete(workspace, module)
    progress.record_result(workspace.store, module, [], "a" * 64)
    progress.record_result(workspace.store, module, ["tests/x.py::test"], "b" * 64)
    state = workspace.store.read(PROGRESS)
    assert state["results"] == {
        "2": {"outcome": "failed", "at": "2026-01-01T00:00:02", "failed": ["tests/x.py::test"], "code": "b" * 64}
    }
    assert state["completed_modules"] == [2]


def test_attempts_are_counted_and_achievements_keep_their_first_date(workspace):
    milestone = workspace.course.milestone("01")
    assert [progress.record_attempt(workspace.store, milestone) for _ in range(3)] == [1, 2, 3]
    for _ in range(2):
        progress.record_achievement(workspace, milestone)
    assert workspace.store.read(MILESTONES) == {
        "version": "1.0",
        "completed_milestones": ["01"],
        "completion_dates": {"01": "2026-01-01T00:00:00"},
        "attempts": {"01": 3},
    }
    assert numbers(progress.achieved(workspace)) == ["01"]


# --- what counts --------------------------------------------------------------------------------------------------


def test_a_record_without_its_export_counts_for_nothing(workspace):
    """A `.tito/` that was copied from another person shows their progress, and satisfies no prerequisite."""
    put(workspace, PROGRESS, completed_modules=[1, 2])
    export(workspace, "02")
    assert numbers(progress.recorded(workspace)) == ["01", "02"]
    assert numbers(progress.complete(workspace)) == ["02"]
    assert progress.missing_needs(workspace.course.module("03"), {"02"}) == ["01"]


def test_an_export_without_a_record_counts_for_nothing(workspace):
    export(workspace, "01")
    assert progress.complete(workspace) == []


def test_an_export_that_is_a_folder_is_none(workspace):
    put(workspace, PROGRESS, completed_modules=[1])
    workspace.export(workspace.course.module("01")).mkdir(parents=True)
    assert progress.complete(workspace) == []


def test_odd_entries_count_for_nothing(workspace):
    put(workspace, PROGRESS, completed_modules=[99, 0, -1, 1, 1, 10**30])
    put(workspace, MILESTONES, completed_milestones=["01", "1", "xor", "01"])
    assert numbers(progress.recorded(workspace)) == ["01"]
    assert numbers(progress.achieved(workspace)) == ["01"]


def test_odd_entries_are_told_with_their_key(workspace):
    put(workspace, PROGRESS, completed_modules=[1, 2, 2, 99], completion_dates={"2": FIRST})
    put(workspace, MILESTONES, completed_milestones=["01", "07", "07"])
    assert progress.oddities(workspace) == [
        "progress.json: completed_modules has 99, which the course doesn't have",
        "progress.json: completed_modules has 2 twice",
        "progress.json: completion_dates has no date for module 1",
        "milestones.json: completed_milestones has '07', which the course doesn't have",
        "milestones.json: completed_milestones has '07', which the course doesn't have",
        "milestones.json: completed_milestones has '07' twice",
        "milestones.json: completion_dates has no date for milestone 01",
    ]


def test_a_tidy_state_has_nothing_odd(workspace):
    complete(workspace, workspace.course.module("01"))
    progress.record_achievement(workspace, workspace.course.milestone("01"))
    assert progress.oddities(workspace) == []


# --- hints --------------------------------------------------------------------------------------------------------


def test_hints_are_counted_for_each_test_and_outlast_a_pass(workspace):
    module = workspace.course.module("01")
    assert progress.hints_shown(workspace.store, module, "t::a") == 0
    progress.record_hints(workspace.store, module, "t::a", 1)
    progress.record_hints(workspace.store, module, "t::b", 2)
    progress.record_result(workspace.store, module, [], "0" * 64)
    complete(workspace, module)
    assert [progress.hints_shown(workspace.store, module, test) for test in ("t::a", "t::b", "t::c")] == [1, 2, 0]
    assert workspace.store.read(PROGRESS)["hints"] == {"1": {"t::a": 1, "t::b": 2}}


# --- forgetting ---------------------------------------------------------------------------------------------------


def test_clearing_a_module_forgets_it_alone_and_remembers_its_export(workspace):
    for number in ("01", "02"):
        module = workspace.course.module(number)
        complete(workspace, module, tests_modified=["a"], forced=["09"])
        progress.record_result(workspace.store, module, [], "0" * 64)
        progress.record_hints(workspace.store, module, "t::a", 2)
    state = workspace.store.read(PROGRESS)
    progress.clear(state, workspace.course.module("01"), exported=True)
    assert state["completed_modules"] == [2]
    for table in ("completion_dates", "results", "tests_modified", "forced", "hints"):
        assert list(state[table]) == ["2"]
    assert list(state["reset"]) == ["1"]
    progress.clear(state, workspace.course.module("02"), exported=False)
    progress.clear(state, workspace.course.module("01"), exported=False)
    assert state == {"version": "1.0", "completed_modules": [], "completion_dates": {}}


def test_clearing_everything_keeps_what_is_not_ours(workspace):
    complete(workspace, workspace.course.module("01"), forced=["09"])
    progress.record_attempt(workspace.store, workspace.course.milestone("01"))
    progress.record_achievement(workspace, workspace.course.milestone("01"))
    progress.record_hints(workspace.store, workspace.course.module("01"), "t::a", 2)
    put(workspace, PROGRESS, mine=1)
    state, milestones = workspace.store.read(PROGRESS), workspace.store.read(MILESTONES)
    progress.clear_all(state, milestones, [workspace.course.module("01")])
    assert list(state.pop("reset")) == ["1"]
    assert state == {"version": "1.0", "completed_modules": [], "completion_dates": {}, "mine": 1}
    assert milestones == {"version": "1.0", "completed_milestones": [], "completion_dates": {}}


# --- the newest date ----------------------------------------------------------------------------------------------


def newest(workspace):
    return progress.last_activity(workspace, workspace.store.read(PROGRESS), workspace.store.read(MILESTONES))


def test_without_any_date_there_was_no_activity(workspace):
    assert newest(workspace) is None


@pytest.mark.parametrize(
    ("completed", "result", "achieved", "marker", "at"),
    [
        (FIRST, None, None, "module01", datetime(2025, 11, 16, 10)),
        (FIRST, "2025-11-16T10:00:01", None, "module02", datetime(2025, 11, 16, 10, 0, 1)),
        (FIRST, "2025-11-15T10:00:00", "2026-01-01", "milestone01", datetime(2026, 1, 1)),
        (FIRST, "yesterday", None, "module01", datetime(2025, 11, 16, 10)),
        (FIRST, 5, None, "module01", datetime(2025, 11, 16, 10)),
    ],
    ids=["completion", "result", "milestone, a day", "odd result", "odd type"],
)
def test_the_newest_of_all_dates_is_the_last_activity(workspace, completed, result, achieved, marker, at):
    put(workspace, PROGRESS, completion_dates={"1": completed, "99": "2999-01-01"}, results={"2": {"at": result}})
    put(workspace, MILESTONES, completion_dates={"01": achieved} if achieved else {})
    part, when = newest(workspace)
    assert (part.marker, when) == (marker, at)


@pytest.mark.parametrize("date", ["2025-11-16T10:00:00Z", "2025-11-16T12:00:00+02:00"], ids=["utc", "two hours ahead"])
def test_a_date_with_a_zone_is_told_in_local_time(workspace, date):
    put(workspace, PROGRESS, completion_dates={"1": date})
    _, when = newest(workspace)
    assert when.tzinfo is None
    assert when.astimezone().isoformat() == datetime.fromisoformat("2025-11-16T10:00:00+00:00").astimezone().isoformat()


def test_reading_progress_writes_nothing(workspace):
    before = {path: path.read_bytes() for path in workspace.tito.rglob("*") if path.is_file()}
    progress.complete(workspace), progress.achieved(workspace), progress.oddities(workspace), newest(workspace)
    assert {path: path.read_bytes() for path in workspace.tito.rglob("*") if path.is_file()} == before


def test_the_tiny_course_has_solutions_for_what_is_written(workspace):
    """The fixture itself."""
    assert sorted(SOLUTIONS) == [
        module.folder for module in workspace.course.modules if workspace.course.is_written(module)
    ]
