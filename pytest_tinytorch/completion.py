"""The main road: judge what ran, then back up, check the notebook, export, record.

Read from top to bottom. Every step is safe to repeat, and export and record are written as one. Nothing here knows pytest: outcomes come in as plain values, a `Completion` goes out.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_tinytorch.course.curriculum import Milestone, Module
from pytest_tinytorch.state import backups, pristine, progress
from pytest_tinytorch.state.store import encoded
from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace
from tinytorch.errors import TinyTorchError

RECEIPT_VARIABLE = "TINYTORCH_RECEIPT"  # names the file in which a session tells whoever started it what it found and recorded

PASSED, FAILED, SKIPPED, XFAILED, NOT_RUN = "passed", "failed", "skipped", "expected to fail", "not run"


@dataclass(frozen=True)
class Verdict:
    """Whether one run proved a module or milestone, and what stands against it."""

    passed: bool
    not_passed: tuple[str, ...]  # required ids without a pass, then others that failed; each part sorted
    outcomes: Mapping[str, str]  # id to outcome, of these and of every required test
    required: frozenset[str]
    unwritten: frozenset[str] = frozenset()  # those of them that failed because they met an exercise that isn't written yet

    @property
    def ran_all(self) -> bool:
        """Whether every required test ran to a pass or a failure, so that the run says something about the module."""
        return all(self.outcomes[test] in (PASSED, FAILED) for test in self.not_passed)

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(test for test in self.not_passed if self.outcomes[test] == FAILED)

    def reasons(self) -> list[str]:
        """Why it did not pass, a line for each kind of outcome; none if it did.

        >>> judge({"t::a": "passed", "t::b": "skipped"}, {"t::a", "t::b", "t::c"}).reasons()
        ['1 of 3 required tests was skipped: t::b', '1 of 3 required tests was not run: t::c']
        """
        lines = []
        for outcome in (FAILED, SKIPPED, XFAILED, NOT_RUN):
            tests = [test for test in self.not_passed if self.outcomes[test] == outcome and test in self.required - self.unwritten]
            said = outcome if outcome == FAILED else f"{'was' if len(tests) == 1 else 'were'} {outcome}"
            lines += _told(tests, f"{len(tests)} of {len(self.required)} required tests {said}")
        empty = [test for test in self.not_passed if test in self.unwritten & self.required]
        lines += _told(empty, f"{len(empty)} of {len(self.required)} required tests met an exercise that is not written yet")
        others = [test for test in self.not_passed if test not in self.required]
        return lines + _told(others, f"{len(others)} other test{'s' if len(others) > 1 else ''} failed")


def judge(outcomes: Mapping[str, str], required: Collection[str], unwritten: Collection[str] = ()) -> Verdict:
    """Decide whether a module is done: every required test passed in this run, and none beside them failed.

    A required id that was skipped, deselected or never collected counts as not passed. `unwritten` are failed tests that
    met an exercise which isn't written yet; the reasons tell of them by themselves.

    Raises:
        ValueError: if `required` is empty, since nothing would then be proved.
    """
    if not required:
        raise ValueError("no required tests: a module needs at least one test id in required_tests.json")
    seen = {test: outcomes.get(test, NOT_RUN) for test in sorted(required)}
    others = {test: outcome for test, outcome in sorted(outcomes.items()) if test not in seen and outcome == FAILED}
    not_passed = (*(test for test, outcome in seen.items() if outcome != PASSED), *others)
    return Verdict(not not_passed, not_passed, seen | others, frozenset(required), frozenset(unwritten))


def _told(tests: Sequence[str], what: str) -> list[str]:
    shown = ", ".join(tests[:3]) + (f" and {len(tests) - 3} more" if len(tests) > 3 else "")
    return [f"{what}: {shown}"] if tests else []


@dataclass
class Completion:
    """What became of a module or milestone that was to be completed."""

    part: Module | Milestone
    verdict: Verdict
    refused: list[str] = field(default_factory=list)  # reasons, in sentences; empty if it is recorded
    backups: list[Path] = field(default_factory=list)
    export: Path | None = None
    tests_modified: list[str] = field(default_factory=list)
    forced: list[str] = field(default_factory=list)  # prerequisites that were overridden
    unlocked: list[Module | Milestone] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return not self.refused


def complete_module(
    workspace: Workspace, copy: WorkingCopy, verdict: Verdict, staging: Path | None, *, force: bool, check_notebook: bool
) -> Completion:
    """Complete a module, or say why not. Nothing but a backup is written unless it is complete in the end."""
    from pytest_tinytorch.workspace.export import place, write_export

    module = copy.module
    result = Completion(module, verdict)
    try:
        done_before = {done.number for done in progress.complete(workspace)}
    except TinyTorchError as error:  # the state was whole when the run began
        result.refused = [str(error)]
        return result
    missing = progress.missing_needs(module, done_before)
    if missing and not force:
        names = ", ".join(workspace.course.module(number).label for number in missing)
        result.refused = [f"it needs {names} first (--tito-force completes it all the same, and the record says so)"]
    result.refused += verdict.reasons()
    result.refused += [cell.unsettled(place(workspace, copy, cell, 1)) for cell in copy.conflicts]
    if result.refused:
        return result
    try:
        result.backups = backups.back_up(workspace, module, [(copy.path.suffix, copy.data)])
        if check_notebook:
            from pytest_tinytorch.workspace.notebook_check import fault

            if problem := fault(workspace, copy, staging):
                result.refused = [problem]
                return result
        result.tests_modified = pristine.differing(workspace, module)
        with workspace.store.locked():
            state = workspace.store.read(progress.PROGRESS)
            progress.mark_complete(state, module, tests_modified=result.tests_modified, forced=missing)
            record = {f".tito/{progress.PROGRESS}": encoded(state)}
            result.export = write_export(workspace, copy, command=f"pytest -m {module.marker} --tito-complete", beside=record)
    except (TinyTorchError, OSError) as error:  # OSError: no room for temporary files, for instance
        result.refused = [str(error)]
        return result
    result.forced = missing
    result.unlocked = workspace.course.unlocked_by(done_before | {module.number}, {module.number} - done_before)
    return result


def way_on(workspace: Workspace, module: Module) -> str | None:
    """What to do after a module whose tests pass, in a sentence; None if it isn't complete, or was changed since."""
    if module not in progress.complete(workspace):
        return None
    from pytest_tinytorch.status import status
    from pytest_tinytorch.workspace.export import is_current

    if not is_current(workspace, workspace.working_copy(module)):
        return None
    following = status(workspace).next_module
    return f"Module {module.label} is complete. Next: tito {f'module start {following.number}' if following else 'status'}"


def complete_milestone(workspace: Workspace, milestone: Milestone, verdict: Verdict) -> Completion:
    """Record a milestone that passed, or say why not. Its attempt was counted when it started."""
    result = Completion(milestone, verdict)
    if not verdict.passed:
        result.refused = verdict.reasons()
        return result
    try:
        progress.record_achievement(workspace, milestone)
    except TinyTorchError as error:
        result.refused = [str(error)]
    return result
