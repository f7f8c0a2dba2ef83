"""A module is complete if every required test passed in this run; then: backup, check, export, record."""
from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_tinytorch.completion import (
    FAILED,
    NOT_RUN,
    PASSED,
    SKIPPED,
    XFAILED,
    complete_milestone,
    complete_module,
    judge,
)
from pytest_tinytorch.state import backups, pristine, progress
from pytest_tinytorch.workspace import export, notebook_check
from tests.plugin.conftest import ALPHA, BETA, REQUIRED
from tinytorch.errors import StateError

OUTCOMES = [PASSED, FAILED, SKIPPED, XFAILED, NOT_RUN]


# --- the verdict --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "two"), list(itertools.product([*OUTCOMES, None], repeat=2)))
def test_a_verdict_is_a_pass_only_if_all_required_tests_passed(one, two):
    outcomes = {test: outcome for test, outcome in {"a": one, "b": two}.items() if outcome}
    verdict = judge(outcomes, ["b", "a"])
    assert verdict.passed is (one == two == PASSED)
    assert verdict.ran_all is ({one, two} <= {PASSED, FAILED})
    assert verdict.failed == tuple(test for test, outcome in (("a", one), ("b", two)) if outcome == FAILED)
    assert bool(verdict.reasons()) is not verdict.passed


@given(
    st.dictionaries(st.text("abcdef", max_size=2), st.sampled_from(OUTCOMES)),
    st.sets(st.text("abcdef", max_size=2), min_size=1),
)
def test_a_verdict_names_everything_that_stands_against_it(outcomes, required):
    verdict = judge(outcomes, required)
    against = {test for test in required if outcomes.get(test) != PASSED} | {
        test for test in outcomes if outcomes[test] == FAILED
    }
    assert set(verdict.not_passed) == against
    assert len(verdict.not_passed) == len(against)
    assert verdict.passed is (not against)
    assert set(verdict.failed) == {test for test in outcomes if outcomes[test] == FAILED}
    assert verdict.ran_all == all(outcomes.get(test) in (PASSED, FAILED) for test in required)


def test_a_test_beside_the_required_ones_counts_if_it_failed_and_only_then():
    assert judge({"a": PASSED, "mine": SKIPPED, "yours": XFAILED}, ["a"]).passed
    verdict = judge({"a": PASSED, "mine": FAILED}, ["a"])
    assert not verdict.passed
    assert verdict.reasons() == ["1 other test failed: mine"]


def test_no_required_tests_prove_nothing():
    with pytest.raises(
        ValueError, match=r"no required tests: a module needs at least one test id in required_tests\.json"
    ):
        judge({"a": PASSED}, [])


def test_reasons_count_and_name_what_was_wrong():
    outcomes = {f"t{n}": FAILED for n in range(5)} | {"s": SKIPPED, "x": XFAILED, "mine": FAILED, "yours": FAILED}
    required = [f"t{n}" for n in range(5)] + ["s", "x", "gone", "lost"]
    assert judge(outcomes, required).reasons() == [
        "5 of 9 required tests failed: t0, t1, t2 and 2 more",
        "1 of 9 required tests was skipped: s",
        "1 of 9 required tests was expected to fail: x",
        "2 of 9 required tests were not run: gone, lost",
        "2 other tests failed: mine, yours",
    ]


# --- the main road ------------------------------------------------------------------------------------------------


@pytest.fixture
def complete(workspace, tmp_path, monkeypatch):
    """Complete a module of which every test passed; returns the completion and the order of the steps."""
    steps = []

    def recorded(name, function):
        def step(*arguments, **keywords):
            steps.append(name)
            return function(*arguments, **keywords)

        return step

    monkeypatch.setattr(backups, "back_up", recorded("back up", backups.back_up))
    monkeypatch.setattr(notebook_check, "fault", recorded("check", lambda *arguments: None))
    monkeypatch.setattr(export, "write_export", recorded("export", export.write_export))
    monkeypatch.setattr(progress, "mark_complete", recorded("record", progress.mark_complete))

    def run(number="01", *, outcome=PASSED, force=False, check=True):
        module = workspace.course.module(number)
        workspace.forms(module)[1].write_text({"01": ALPHA, "02": BETA}[number])
        verdict = judge(dict.fromkeys(REQUIRED[module.marker], outcome), REQUIRED[module.marker])
        steps.clear()
        result = complete_module(
            workspace, workspace.working_copy(module), verdict, tmp_path, force=force, check_notebook=check
        )
        return result, list(steps)

    return run


def numbers(parts):
    return [part.number for part in parts]


def test_the_road_is_backup_check_record_and_export(workspace, complete):
    result, steps = complete()
    assert steps == ["back up", "check", "record", "export"]
    assert result.done
    assert [path.read_text() for path in result.backups] == [ALPHA]
    assert result.export == workspace.export(workspace.course.module("01"))
    assert numbers(progress.complete(workspace)) == ["01"]
    assert [part.marker for part in result.unlocked] == ["module02"]


def test_completing_again_exports_again_and_unlocks_nothing_new(workspace, complete):
    complete()
    first = workspace.store.read("progress.json")
    workspace.export(workspace.course.module("01")).unlink()
    again, steps = complete(check=False)
    assert steps == ["back up", "record", "export"]
    assert again.done
    assert again.export.is_file()
    assert workspace.store.read("progress.json") == first


def test_a_module_that_did_not_pass_is_refused_and_nothing_is_written(workspace, complete):
    result, steps = complete(outcome=FAILED)
    assert (result.done, steps) == (False, [])
    assert result.refused[0].startswith("4 of 4 required tests failed")


def test_a_module_without_its_prerequisites_is_refused_unless_forced(workspace, complete):
    result, steps = complete("02")
    assert (result.done, steps) == (False, [])
    assert result.refused == [
        "it needs 01 Tensor first (--tito-force completes it all the same, and the record says so)"
    ]
    forced, _ = complete("02", force=True)
    assert (forced.done, forced.forced) == (True, ["01"])
    assert workspace.store.read("progress.json")["forced"] == {"2": ["01"]}
    both, _ = complete("02", outcome=SKIPPED)
    assert len(both.refused) == 2, "every reason is told at once"


def test_force_overrides_prerequisites_and_nothing_else(complete):
    result, steps = complete("02", outcome=FAILED, force=True)
    assert (result.done, steps) == (False, [])


def test_the_last_module_needed_unlocks_a_milestone(complete):
    complete()
    result, _ = complete("02")
    assert [part.marker for part in result.unlocked] == ["module03", "milestone01"]


def test_what_does_not_run_from_top_to_bottom_is_backed_up_only(workspace, complete, monkeypatch):
    monkeypatch.setattr(notebook_check, "fault", lambda *arguments: "it stops in cell 3")
    result, steps = complete()
    assert (result.refused, steps) == (["it stops in cell 3"], ["back up"])
    assert progress.recorded(workspace) == []


def fails(error):
    def step(*arguments, **keywords):
        raise error

    return step


@pytest.mark.parametrize(
    "error", [StateError("the disk is full"), OSError(28, "the disk is full")], ids=["ours", "the system's"]
)
@pytest.mark.parametrize(
    ("module", "step"),
    [
        (backups, "back_up"),
        (pristine, "differing"),
        (export, "write_export"),
        (progress, "mark_complete"),
    ],
    ids=["backup", "comparison", "export", "record"],
)
def test_a_step_that_fails_refuses_and_leaves_neither_record_nor_export(
    workspace, complete, monkeypatch, module, step, error
):
    monkeypatch.setattr(module, step, fails(error))
    result, _ = complete()
    assert not result.done
    assert "the disk is full" in result.refused[0]
    assert progress.recorded(workspace) == []
    assert not workspace.export(workspace.course.module("01")).exists()


def test_a_state_that_broke_during_the_run_refuses(workspace, complete):
    (workspace.tito / "progress.json").write_text("{")
    result, steps = complete()
    assert (result.done, steps) == (False, [])
    assert r".tito/progress.json is malformed" in result.refused[0]


def test_edited_tests_are_recorded_with_the_completion(workspace, complete):
    (workspace.root / "tests" / "conftest.py").touch()
    result, _ = complete()
    assert result.tests_modified == ["tests/conftest.py"]
    assert workspace.store.read("progress.json")["tests_modified"] == {"1": ["tests/conftest.py"]}


# --- milestones ---------------------------------------------------------------------------------------------------


def test_a_milestone_that_passed_is_recorded_and_one_that_did_not_is_refused(workspace):
    milestone = workspace.course.milestone("01")
    [test] = REQUIRED["milestone01"]
    refused = complete_milestone(workspace, milestone, judge({}, [test]))
    assert refused.refused == [f"1 of 1 required tests was not run: {test}"]
    assert progress.achieved(workspace) == []
    assert complete_milestone(workspace, milestone, judge({test: PASSED}, [test])).done
    assert progress.achieved(workspace) == [milestone]


def test_a_milestone_that_cannot_be_recorded_is_refused(workspace):
    (workspace.tito / "milestones.json").write_text("[]")
    result = complete_milestone(workspace, workspace.course.milestone("01"), judge({"a": PASSED}, ["a"]))
    assert ".tito/milestones.json is malformed" in result.refused[0]
