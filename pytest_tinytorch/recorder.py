"""Collects what each test came to and, when the session ends, records what it proved. Registered on the controller only.

Exit status 0 proves nothing: `-k`, `--lf`, skipped tests and `--collect-only` all end with it. Only `completion.judge`,
over the phases of every required test, decides.
"""
from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_tinytorch.completion import (
    FAILED,
    NOT_RUN,
    PASSED,
    RECEIPT_VARIABLE,
    SKIPPED,
    XFAILED,
    Completion,
    Verdict,
    complete_milestone,
    complete_module,
    judge,
)
from pytest_tinytorch.course.curriculum import Milestone, Module, as_ranges
from pytest_tinytorch.course.order import urgency
from pytest_tinytorch.fixtures import EXERCISE, hints_of
from pytest_tinytorch.plugin import refusal
from pytest_tinytorch.state import progress
from pytest_tinytorch.workspace.export import place
from tinytorch.errors import TinyTorchError

if TYPE_CHECKING:
    from pytest_tinytorch.session import CourseSession


_PRINTED = 20  # last lines of what a failed test printed that are told


@dataclass(frozen=True)
class Count:
    """How far an exercise is."""

    exercise: str
    passed: int
    tests: int
    failed: int  # those that met an empty exercise don't count
    missing: str  # "not written yet", "waits for" another, or nothing; with numbers if others failed
    place: str  # where it begins in the working copy, if it does


class Recorder:
    """Outcomes in, verdicts and completions out."""

    def __init__(self, config: pytest.Config, session: CourseSession) -> None:
        self.config = config
        self.session = session
        self.workspace = session.workspace
        self.phases: dict[str, dict[str, str]] = {}  # test id -> phase -> outcome
        self.failures: dict[str, pytest.TestReport] = {}
        self.empty: dict[str, str] = {}  # tests that met an exercise which isn't written yet, and that exercise
        self._exercise_of: dict[str, str] = {}
        self._collected: dict[str, int] = {}  # node ids in their order; none on xdist's controller
        self._files: dict[str, str | None] = {}  # a node id's file -> the same relative to the workspace
        self.verdicts: dict[str, Verdict] = {}  # by marker
        self.completions: list[Completion] = []
        self.unrecorded: list[str] = []  # why a result could not be written
        self.completing = bool(config.option.tito_complete)
        self.interrupted = False

    # --- before the run ------------------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)  # after the session has decided what is tested
    def pytest_sessionstart(self) -> None:
        selected = self.session.plan.selected
        if self.completing and not selected.named:
            raise pytest.UsageError("--tito-complete needs to know what: name it with -m, as in -m module01 --tito-complete")
        if self.config.option.collectonly or self.config.option.tito_working_copy or not selected.milestones:
            return
        done = {module.number for module in progress.complete(self.workspace)}
        locked = [
            f"Milestone {milestone.label} is locked: complete modules {as_ranges(missing)} first ({', '.join(missing)}). "
            f"Next: tito module start {missing[0]}"
            for milestone in selected.milestones
            if (missing := progress.missing_needs(milestone, done))
        ]
        if locked:
            raise refusal(self.config, "\n".join(locked))
        if not self.completing:
            return
        try:
            for milestone in selected.milestones:
                progress.record_attempt(self.workspace.store, milestone)
        except TinyTorchError as error:
            raise refusal(self.config, str(error)) from error

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._collected = {item.nodeid: number for number, item in enumerate(session.items)}
        if file := self.config.option.tito_manifest:
            ids = [test for item in session.items if (test := self.test_id(item.nodeid))]
            parts = self.session.plan.selected.parts
            manifest = {part.marker: sorted(test for test in ids if test.startswith(part.test_folder + "/")) for part in parts}
            Path(file).write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")

    # --- the run -------------------------------------------------------------------------------------------------

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = self.test_id(report.nodeid)
        if test is None:
            return
        self.phases.setdefault(test, {})[report.when or "call"] = _outcome(report)
        if exercise := dict(report.user_properties).get("tito_exercise"):
            self._exercise_of[test] = str(exercise)
        if report.failed:
            self.failures.setdefault(test, report)
        if exercise := getattr(report, "meets_empty_exercise", None):
            self.empty[test] = exercise

    def counts(self, part: Module | Milestone) -> list[Count]:
        """How far each exercise is whose tests ran, in the order of the working copy."""
        found: dict[str, list[str]] = {}
        for test, exercise in self._exercise_of.items():
            if test.startswith(part.test_folder + "/"):
                found.setdefault(exercise, []).append(test)
        copy = self.session.plan.copies.get(part.number) if found and isinstance(part, Module) else None
        cells = {cell.exercise: cell for cell in copy.cells if cell.exercise} if copy else {}
        order, outcomes = list(cells), self.outcomes(part)
        counts = []
        for exercise, tests in sorted(found.items(), key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order)):
            failed = sum(outcomes[test] == FAILED and test not in self.empty for test in tests)
            begins = place(self.workspace, copy, cells[exercise], 1) if copy and exercise in cells else ""
            passed = sum(outcomes[test] == PASSED for test in tests)
            counts.append(Count(exercise, passed, len(tests), failed, self._missing(part, exercise, tests, failed), begins))
        return counts

    def _missing(self, part: Module | Milestone, exercise: str, tests: list[str], failed: int) -> str:
        """Why tests of an exercise met a stub: the exercise isn't written, or it is, and they need another one too."""
        waiting = [test for test in tests if test in self.empty]
        if not waiting:
            return ""
        met = dict.fromkeys(self.empty[test] for test in waiting)
        copy = self.session.plan.copies.get(part.number) if isinstance(part, Module) else None
        is_empty = exercise in met or (copy and f"{EXERCISE}{exercise}: ".encode() in copy.data)
        why = "not written yet" if is_empty else f"waits for {', '.join(met)}"
        return f"{failed} failed, {len(waiting)} {why}" if failed else why

    def to_settle(self, part: Module | Milestone) -> list[str]:
        """The conflicts that an update left in a working copy, a sentence for each."""
        copy = self.session.plan.copies.get(part.number) if isinstance(part, Module) else None
        if copy is None or part.number in self.session.plan.problems:
            return []
        return [f"{place(self.workspace, copy, cell, 1)} shows a change of the course's to {cell.conflict}" for cell in copy.conflicts]

    def test_id(self, nodeid: str) -> str | None:
        """A test's id relative to the workspace, whatever pytest's root is."""
        file, colons, name = nodeid.partition("::")
        if file not in self._files:
            path = Path(os.path.normpath(self.config.rootpath / file))
            inside = path.is_relative_to(self.workspace.root)
            self._files[file] = path.relative_to(self.workspace.root).as_posix() if inside else None
        relative = self._files[file]
        return None if relative is None else relative + colons + name

    def outcomes(self, part: Module | Milestone) -> dict[str, str]:
        """Test id to outcome, of the tests of a module or milestone that pytest reported on."""
        return {test: _of_phases(phases) for test, phases in self.phases.items() if test.startswith(part.test_folder + "/")}

    # --- after the run -------------------------------------------------------------------------------------------

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.config.option.tito_manifest:
            return
        selected = self.session.plan.selected
        try:
            for part in dict.fromkeys((*selected.parts, *selected.named)):
                required = self.workspace.course.required(part)
                if required and (self.phases or self.completing):
                    self._record(part, judge(self.outcomes(part), required, self.empty))
        except KeyboardInterrupt:  # during the notebook check, most likely: what is recorded by now is whole
            self.interrupted = True
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        self._write_receipt()
        if self.completing:
            recorded = bool(self.completions) and all(completion.done for completion in self.completions)
            if not recorded and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _record(self, part: Module | Milestone, verdict: Verdict) -> None:
        self.verdicts[part.marker] = verdict
        completes = self.completing and part in self.session.plan.selected.named
        if reason := self._untrusted(part):
            if completes:
                self.completions.append(Completion(part, verdict, refused=[reason]))
            else:
                self.unrecorded.append(reason)
            return
        if isinstance(part, Milestone):
            if completes and not self.config.option.tito_working_copy:
                self.completions.append(complete_milestone(self.workspace, part, verdict))
                self.config.hook.pytest_tinytorch_milestone(milestone=part, verdict=verdict)
            return
        copy = self.session.plan.copies.get(part.number)
        if copy and verdict.ran_all:
            try:
                progress.record_result(self.workspace.store, part, verdict.failed, copy.code_hash)
            except TinyTorchError as error:
                self.unrecorded.append(str(error))
        if not completes:
            return
        problem = self.session.plan.problems.get(part.number)
        if problem or copy is None:
            self.completions.append(Completion(part, verdict, refused=[problem.text] if problem else verdict.reasons()))
            return
        completion = complete_module(
            self.workspace, copy, verdict, self.session.plan.staging,
            force=self.config.option.tito_force, check_notebook=self.config.getini("tito_notebook_check"),
        )
        self.completions.append(completion)
        if completion.done and completion.export:
            self.config.hook.pytest_tinytorch_exported(module=part, path=completion.export)
            self.config.hook.pytest_tinytorch_completed(module=part, verdict=verdict)

    def _untrusted(self, part: Module | Milestone) -> str | None:
        """Why the tests that ran prove nothing, if they don't."""
        try:
            updated = self.session.was_updated(part)
        except TinyTorchError as error:
            return str(error)
        return f"the course was updated while its tests ran. Run it again: pytest -m {part.marker}" if updated else None

    def _write_receipt(self) -> None:
        """Tell whoever started this session what came of it: a module that ends the process leaves no receipt."""
        if path := os.environ.get(RECEIPT_VARIABLE):
            told = {
                "recorded": [completion.part.marker for completion in self.completions if completion.done],
                "not_passed": {marker: verdict.reasons() for marker, verdict in self.verdicts.items()},
                "verdicts": {part.marker: self._judged(part) for part in self.workspace.course.parts if part.marker in self.verdicts},
                "failures": [self._told(test, self.failures[test]) for test in self._most_urgent_first()],
            }
            Path(path).write_text(json.dumps(told), "utf-8")

    def _judged(self, part: Module | Milestone) -> dict[str, object]:
        verdict = self.verdicts[part.marker]
        outcomes = list(verdict.outcomes.values())
        return {
            "done": verdict.passed,
            "passed": outcomes.count(PASSED),
            "not_run": outcomes.count(NOT_RUN),
            "required": len(verdict.required),
            "tests": len(outcomes),  # these, and others that failed
            "to_settle": self.to_settle(part),
            "exercises": [asdict(count) for count in self.counts(part)],
        }

    def _most_urgent_first(self) -> list[str]:
        """The failed tests, the one to look at first in front."""
        parts = self.workspace.course.parts
        required = {test for part in parts if part.marker in self.verdicts for test in self.verdicts[part.marker].required}
        exercises = [cell.exercise for copy in self.session.plan.copies.values() for cell in copy.cells if cell.exercise]
        # several processes report as they come; those of xdist stay so
        ran = sorted(self.failures, key=lambda test: self._collected.get(self.failures[test].nodeid, 0))
        return sorted(ran, key=lambda test: urgency(
            test, self._exercise_of.get(test), self.empty.get(test), exercises,
            took_too_much=hasattr(self.failures[test], "took_too_much"), is_required=test in required, has_hint=bool(hints_of(self.failures[test])),
        ))  # fmt: skip

    def _told(self, test: str, report: pytest.TestReport) -> dict[str, object]:
        return {
            "test": test,
            "exercise": self._exercise_of.get(test),
            "empty": self.empty.get(test),
            "place": getattr(report, "stub", ""),
            "asks": getattr(report, "asks", ""),
            "told": report.longreprtext,
            "hints": hints_of(report),
            "printed": report.capstdout.rstrip().splitlines()[-_PRINTED:],
        }


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return XFAILED
    return {"passed": PASSED, "failed": FAILED, "skipped": SKIPPED}.get(report.outcome, NOT_RUN)


def _of_phases(phases: dict[str, str]) -> str:
    """A test passed if its setup, its call and its teardown did; otherwise the first phase that didn't decides."""
    for phase in ("setup", "call", "teardown"):
        outcome = phases.get(phase, NOT_RUN)
        if outcome != PASSED:
            return FAILED if FAILED in phases.values() else outcome
    return PASSED
