"""What a session tells whoever started it: which modules it recorded, what each came to, and the failure to look at first.

A file of JSON, written when everything else is done: a module that ends the process leaves none.
"""
from __future__ import annotations

import ast
import inspect
import json
import os
import re
import textwrap
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tinytorch.completion import NOT_RUN, PASSED, Verdict
from pytest_tinytorch.course.curriculum import Milestone, Module
from pytest_tinytorch.fixtures import hints_of
from pytest_tinytorch.state import progress
from pytest_tinytorch.workspace.export import place

if TYPE_CHECKING:
    from pytest_tinytorch.recorder import Recorder

_VALUE_LENGTH = 200


class Receipt:
    """Writes the receipt; on xdist's workers, which have no recorder, it only adds to the reports what it will need."""

    def __init__(self, path: Path, recorder: Recorder | None) -> None:
        self.path = path
        self.recorder = recorder
        self.failed_before: set[str] = set()

    @pytest.hookimpl(trylast=True)  # after the session has decided what is tested
    def pytest_sessionstart(self) -> None:
        if self.recorder is not None:
            results = self.recorder.workspace.store.read(progress.PROGRESS).get("results", {})
            self.failed_before = {test for result in results.values() for test in result.get("failed", ())}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add to the report of a failure what only its test knows: the claim that it makes, and the values it used."""
        report = yield
        if report.failed and call.excinfo is not None and not hasattr(report, "meets_empty_exercise"):
            claim = inspect.getdoc(getattr(item, "obj", None)) if isinstance(item, pytest.Function) else None
            frames = [entry.frame for entry in call.excinfo.traceback if entry.path == item.path]
            report.told = {  # type: ignore[attr-defined]  # travels with the report
                "claim": (claim or "").partition("\n\n")[0].replace("\n", " "),
                "values": plain_values(frames[-1].f_locals) if frames else {},
            }
        return report

    @pytest.hookimpl(trylast=True)  # when the recorder has recorded
    def pytest_sessionfinish(self) -> None:
        if self.recorder is None:
            return
        recorder = self.recorder
        parts = {part.marker: part for part in recorder.workspace.course.parts}
        told = {
            "recorded": [completion.part.marker for completion in recorder.completions if completion.done],
            "verdicts": {marker: self._told(parts[marker], verdict) for marker, verdict in recorder.verdicts.items()},
        }
        self.path.write_text(json.dumps(told), "utf-8")

    def _told(self, part: Module | Milestone, verdict: Verdict) -> dict[str, Any]:
        assert self.recorder is not None
        outcomes = verdict.outcomes.values()
        return {
            "done": verdict.passed,
            "passed": sum(outcome == PASSED for outcome in outcomes),
            "not_run": sum(outcome == NOT_RUN for outcome in outcomes),
            "tests": len(outcomes),
            "exercises": [asdict(count) for count in self.recorder.counts(part)],
            "first": self._first(part),
        }

    def _first(self, part: Module | Milestone) -> dict[str, Any] | None:
        """The failure to look at first.

        One that isn't just an exercise which waits to be written, then one that failed in the last run as well, so that
        the eye stays where it was, then in the order of the exercises, which is that of what needs what.
        """
        assert self.recorder is not None
        recorder, order = self.recorder, self.recorder.order(part)

        def rank(test: str) -> tuple[bool, bool, int]:
            exercise = recorder.empty.get(test) or recorder.exercise(test)
            place = order.index(exercise) if exercise in order else len(order)
            return test in recorder.empty, test not in self.failed_before, place

        failed = [test for test in recorder.failures if test.startswith(part.test_folder + "/")]
        first = min(failed, key=rank, default=None)
        return self._failure(part, first, recorder.failures[first]) if first else None

    def _failure(self, part: Module | Milestone, test: str, report: pytest.TestReport) -> dict[str, Any]:
        """A failure as a student needs it: what was tested, with what, what came out, where, and why perhaps."""
        assert self.recorder is not None
        empty = self.recorder.empty.get(test)
        copy = self.recorder.session.plan.copies.get(part.number) if isinstance(part, Module) else None
        told: Mapping[str, Any] = getattr(report, "told", {"claim": "", "values": {}})
        failure = {
            "test": test,
            "exercise": empty or self.recorder.exercise(test),
            "empty": empty is not None,
            "claim": told["claim"],
            "source": [],
            "values": told["values"],
            "error": report.longreprtext.splitlines(),
            "place": "",
            "line": "",
            "hints": hints_of(report),
        }
        for entry in getattr(getattr(report.longrepr, "reprtraceback", None), "reprentries", ()):
            where = entry.reprfileloc
            if where is None:
                continue
            if copy and Path(where.path.partition(":cell ")[0]).name == copy.path.name:
                failure |= {"place": f"{where.path.replace(os.sep, '/')}:{where.lineno}", "line": failing_line(entry.lines)}
            elif test.startswith(Path(where.path).as_posix()):
                failure["source"] = statements(entry.lines)
            failure["error"] = errors(entry.lines)
        if copy and not failure["place"] and (failure["source"] or empty):
            cells = [cell for cell in copy.cells if cell.exercise == failure["exercise"]]
            failure["place"] = place(self.recorder.workspace, copy, cells[0], 1) if cells else ""
        return failure


def failing_line(lines: list[str]) -> str:
    """The line that a traceback's entry is about: the marked one, in its short form the only one.

    >>> failing_line(["    def f():", ">       return 1", "E       Error"]), failing_line(["    x = 1", "        ^"])
    ('return 1', 'x = 1')
    """
    marked = [line[1:] for line in lines if line.startswith(">")]
    return (marked or lines or [""])[0].strip()


def errors(lines: list[str]) -> list[str]:
    """What a traceback's entry says of the error, without blank lines and pytest's advice."""
    told = [line[1:].strip() for line in lines if line.startswith("E")]
    return [line for line in told if line and line != "AssertionError:" and not re.match(r"Use -v|\.\.\.Full output truncated", line)]


def statements(lines: list[str]) -> list[str]:
    r"""A test up to the line that failed, as pytest shows it, without its name, its docstring and its hints.

    >>> statements(["    @pytest.mark.x", "    def test(hint):", '        \"\"\"Law.\"\"\"', "        a = 1", "        hint(", "            'no')", ">       assert a == 2", "E       assert 1 == 2"])
    ['a = 1', 'assert a == 2']
    """
    source = [" " + line[1:] if line.startswith(">") else line for line in lines if not line.startswith("E")]
    source = [line for line in source if line.strip("~^ ")]
    try:
        [function] = ast.parse(textwrap.dedent("\n".join(source))).body
        assert isinstance(function, ast.FunctionDef)
    except (SyntaxError, ValueError, AssertionError):  # the middle of a block, or no function: shown as it is
        return textwrap.dedent("\n".join(source)).splitlines()
    body = function.body[ast.get_docstring(function) is not None :]
    dropped = [node for node in body if ast.unparse(node).startswith("hint(")]
    kept = [
        line for node in body if node not in dropped
        for line in source[node.lineno - 1 : node.end_lineno]
    ]
    return textwrap.dedent("\n".join(kept)).splitlines()


def plain_values(names: Mapping[str, object]) -> dict[str, str]:
    """Those of a test's variables that are plain data, as text in one line. Nothing of the student's is asked for its text."""
    return {name: text for name, value in names.items() if not name.startswith(("_", "@")) and (text := _plain(value))}


def _plain(value: object, depth: int = 3) -> str | None:
    """The text of a number, text, array or tuple of them; None for anything else, and for what is too long to read."""
    if type(value) in (list, tuple):
        items: Sequence[object] = value  # type: ignore[assignment]  # a list or a tuple
        if len(items) > _VALUE_LENGTH or not depth or None in [_plain(item, depth - 1) for item in items]:
            return None
    elif type(value) not in (bool, int, float, complex, str) and type(value).__module__ != "numpy":
        return None
    text = " ".join(repr(value).split())
    return text if len(text) <= _VALUE_LENGTH else None
