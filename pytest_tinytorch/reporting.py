"""What pytest prints of a course: the header, a section for each module, annotations, and the status report.

The only other file than the hooks that knows pytest's terminal.
"""
from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from pytest_tinytorch.completion import PASSED, Completion, Verdict
from pytest_tinytorch.course.curriculum import Milestone, Module, as_ranges
from pytest_tinytorch.fixtures import hints_of
from pytest_tinytorch.state import progress
from tinytorch.errors import TinyTorchError

if TYPE_CHECKING:
    from pytest_tinytorch.recorder import Recorder
    from pytest_tinytorch.session import CourseSession
    from pytest_tinytorch.workspace.layout import Workspace

_SHOWN_FAILURES = 10


def print_status(config: pytest.Config, workspace: Workspace | None) -> int:
    """Print the status report, and nothing else, to standard output. Returns the exit status."""
    from pytest_tinytorch.state.recovery import recover
    from pytest_tinytorch.status import status

    if workspace is None:
        raise AssertionError("--tito-status is refused before, outside a workspace")
    try:
        notices = recover(workspace)
        report = status(workspace)
    except TinyTorchError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    for notice in notices:
        print(notice, file=sys.stderr)
    chosen = config.option.tito_format or config.getini("tito_format") or ("rich" if _is_colourful() else "plain")
    show(report.as_json() if chosen == "json" else report if chosen == "rich" else report.plain(datetime.now()))
    return 0


def show(report: object) -> None:
    """Print a report: a text as it is, data as JSON, a status in colour. No terminal's encoding can break it."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    if isinstance(report, str):
        print(report)
    elif isinstance(report, dict):
        print(json.dumps(report, indent=2, ensure_ascii=True))
    else:
        from rich.console import Console

        report.print_rich(Console(), datetime.now())  # type: ignore[attr-defined]  # a Status


def _is_colourful() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


class Reporting:
    """Header and summary of one session."""

    def __init__(self, config: pytest.Config, session: CourseSession, recorder: Recorder) -> None:
        self.config = config
        self.session = session
        self.recorder = recorder
        self.workspace = session.workspace

    def pytest_report_header(self) -> list[str]:
        selected = self.session.plan.selected
        done = len(progress.complete(self.workspace))
        lines = [f"tinytorch: workspace {self.workspace.root}, {done}/{len(self.workspace.course.modules)} modules complete"]
        if selected.parts:
            names = ", ".join(part.label for part in selected.parts)
            copies = selected.modules or self.config.option.tito_working_copy
            lines.append(f"tinytorch: testing {names} ({'working copies' if copies else 'exports'})")
        if selected.left_out:
            numbers = as_ranges([module.number for module in selected.left_out])
            lines.append(f"tinytorch: left out, not begun yet: modules {numbers}; test one with -m module{numbers[:2]}")
        lines += [f"tinytorch: {notice}" for notice in self.session.notices]
        if older := self.session.older_course:
            lines.append(
                f"tinytorch: the course is version {self.workspace.course.version}, and your workspace has {older}: tito update --check"
            )
        for copy in self.session.plan.copies.values():
            if copy.older:
                lines.append(
                    f"tinytorch: {self.workspace.relative(copy.older)} differs from {copy.path.name}, which is newer and is used"
                )
        for part in selected.milestones:
            lines += [f"tinytorch: {line}" for line in self._stale_exports(part)]
        return lines

    def _stale_exports(self, milestone: Milestone) -> list[str]:
        from pytest_tinytorch.workspace.export import is_current

        if self.config.option.tito_working_copy:
            return ["the working copies are run, so nothing is recorded"]
        lines = []
        for module in progress.complete(self.workspace):
            if module.number not in milestone.needs:
                continue
            try:
                if not is_current(self.workspace, self.workspace.working_copy(module)):
                    lines.append(f"module {module.label} was changed since its export; to use the change: tito module complete {module.number}")
            except TinyTorchError as error:
                lines.append(str(error).splitlines()[0])
        return lines

    def pytest_report_teststatus(self, report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Count a test that met an empty exercise by itself: a new module is no screenful of failures."""
        if getattr(report, "meets_empty_exercise", False):
            return "not written yet", "w", ("NOT WRITTEN YET", {"yellow": True})
        return None

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for marker, verdict in self.recorder.verdicts.items():
            part = next(p for p in self.workspace.course.parts if p.marker == marker)
            kind = "module" if isinstance(part, Module) else "milestone"
            terminalreporter.section(f"{kind} {part.label}", "-")
            self._failures(terminalreporter, part, verdict)
            completion = next((c for c in self.recorder.completions if c.part == part), None)
            if completion:
                self._completion(terminalreporter, completion)
            elif verdict.passed:
                terminalreporter.line(f"All {len(verdict.outcomes)} required tests passed.{self._next(part)}", green=True)
        if self.recorder.interrupted:
            done = ", ".join(completion.part.label for completion in self.recorder.completions if completion.done) or "nothing"
            terminalreporter.line(f"Interrupted. Recorded before that: {done}. Run the command again to go on.", yellow=True)
        for text in self.recorder.unrecorded:
            terminalreporter.line(f"The result was not recorded: {text}", yellow=True)
        if self.config.option.tito_github:
            self._annotations(terminalreporter)

    def _next(self, part: Module | Milestone) -> str:
        """What to do once the tests of a module or milestone pass."""
        from pytest_tinytorch.workspace.export import is_current

        command = f"pytest -m {part.marker} --tito-complete"
        if isinstance(part, Milestone):
            return "" if part in progress.achieved(self.workspace) else f" To have it recorded: {command}"
        if part not in progress.complete(self.workspace):
            return f" To complete it: {command}"
        copy = self.session.plan.copies[part.number]
        return "" if is_current(self.workspace, copy) else f" Your package still has the code from before. To renew it: {command}"

    def _failures(self, terminal: pytest.TerminalReporter, part: Module | Milestone, verdict: Verdict) -> None:
        passed = sum(outcome == PASSED for outcome in verdict.outcomes.values())
        terminal.line(f"{passed} of {len(verdict.outcomes)} tests passed")
        for count in self.recorder.counts(part):
            said = count.missing and f"  {count.missing}"
            done = count.passed == count.tests
            terminal.line(f"  {count.exercise:<20} {count.passed:>3} of {count.tests:>3}{said}", green=done, yellow=bool(said) and not count.failed)
        for conflict in self.recorder.to_settle(part):
            terminal.line(f"  to settle: {conflict}", yellow=True)
        failures = {
            test: report for test, report in self.recorder.failures.items()
            if test.startswith(part.test_folder + "/") and test not in self.recorder.empty
        }
        groups: dict[tuple[str, ...], list[str]] = {}
        for test, report in failures.items():
            hints = tuple(hints_of(report))
            groups.setdefault(hints or (test,), []).append(test)
        for key, tests in list(groups.items())[:_SHOWN_FAILURES]:
            more = f" and {len(tests) - 1} more with the same hint" if len(tests) > 1 else ""
            terminal.line(f"  failed: {tests[0]}{more}")
            for text in key if key != (tests[0],) else ():
                terminal.line(f"    hint: {text}", yellow=True)
        hidden = sum(map(len, list(groups.values())[_SHOWN_FAILURES:]))
        if hidden:
            terminal.line(f"  and {hidden} more; -x stops at the first failure")

    def _completion(self, terminal: pytest.TerminalReporter, completion: Completion) -> None:
        part = completion.part
        kind = type(part).__name__
        if not completion.done:
            for reason in completion.refused:
                terminal.line(f"{kind} {part.label} is not complete: {reason}", red=True)
            return
        if isinstance(part, Milestone):
            terminal.line(f"Milestone {part.label} is achieved.", green=True, bold=True)
        else:
            terminal.line(f"Module {part.label} is complete.", green=True, bold=True)
        for path in completion.backups:
            terminal.line(f"  backed up to {self.workspace.relative(path)}")
        if completion.export:
            terminal.line(f"  exported to {self.workspace.relative(completion.export)}")
        if completion.tests_modified:
            terminal.line(f"  recorded as completed with edited tests: {', '.join(completion.tests_modified)}", yellow=True)
        if completion.forced:
            terminal.line(f"  recorded as completed without modules {as_ranges(completion.forced)}", yellow=True)
        for unlocked in completion.unlocked:
            command = f", tito {'module start' if isinstance(unlocked, Module) else 'milestone run'} {unlocked.number}"
            how = command if self.workspace.has(unlocked) else ", tito update brings it in"
            if not self.workspace.course.is_written(unlocked):
                how = " (planned: not in this version of the course)"
            terminal.line(f"  unlocked: {'' if isinstance(unlocked, Module) else 'Milestone '}{unlocked.label}{how}")

    def _annotations(self, terminal: pytest.TerminalReporter) -> None:
        for test, report in self.recorder.failures.items():
            path, line, _ = report.location
            crash = getattr(report.longrepr, "reprcrash", None)
            message = crash.message if crash else str(report.longrepr)
            told = "\n".join([message, *(f"hint: {text}" for text in hints_of(report))])
            properties = f"file={_escape(path, property=True)},line={(line or 0) + 1},title={_escape(test, property=True)}"
            terminal.line(f"::error {properties}::{_escape(told)}")
        for completion in self.recorder.completions:
            if completion.done:
                terminal.line(f"::notice title=TinyTorch::{_escape(completion.part.label)} is complete")


def _escape(text: str, *, property: bool = False) -> str:
    """Text as GitHub's workflow commands want it."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if property else text
