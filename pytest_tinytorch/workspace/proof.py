"""Whether an instructor's own modules are what a student's must be: the solution passes, the stub earns nothing.

Told to the instructor before anybody gets them. Where the solutions are left out, as in what students have, nothing can
be proved and nothing is.
"""
from __future__ import annotations

import ast
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_tinytorch.completion import RECEIPT_VARIABLE
from pytest_tinytorch.course import custom, stubs
from pytest_tinytorch.course.curriculum import Course, Module, is_left_behind
from pytest_tinytorch.workspace import notebooks
from pytest_tinytorch.workspace.create import create, stub_file
from pytest_tinytorch.workspace.export import export_text
from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace
from pytest_tinytorch.workspace.manifest import errors, run_pytest, shortened
from tinytorch.errors import ConfigError

_NAMED = 3  # tests that a message names


def needed(course: Course, modules: Iterable[Module]) -> list[Module]:
    """Modules with all that they need, in the course's order."""
    numbers = {module.number for module in modules}
    for module in reversed(course.modules):  # what a module needs stands before it
        numbers |= set(module.needs) if module.number in numbers else set()
    return [module for module in course.modules if module.number in numbers]


# --- imports ------------------------------------------------------------------------------------------------------


def check_imports(course: Course, module: Module, everywhere: Iterable[Module]) -> None:
    """Refuse a module that imports what another of those `everywhere` exports, and doesn't need that one.

    Raises: ConfigError with the file, the line and what to add to `needs`.
    """
    owner = {other.exports: other for other in everywhere}
    allowed = {other.number for other in needed(course, [module])}
    for place, name in _imports(module):
        other = owner.get(name)
        if other and other.number not in allowed:
            raise ConfigError(
                f"{place}: {name} is imported, of module {other.label}, which module {module.label} doesn't need. "
                f'Add "{other.number}" to needs in {module.home}{os.sep}module.toml'
            )


def _imports(module: Module) -> Iterator[tuple[str, str]]:
    """Where a module and its tests import, and what; what is no Python is left for pytest to tell."""
    for place, line, text in _codes(module):
        try:
            nodes = list(ast.walk(ast.parse(text)))
        except (SyntaxError, ValueError):
            continue
        for node in nodes:
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from ((f"{place}:{line + node.lineno - 1}", name) for name in names)  # type: ignore[attr-defined]  # a statement


def _codes(module: Module) -> Iterator[tuple[Path, int, str]]:
    """The file, the first line and the text of each cell and each test file."""
    if module.home is None:
        raise AssertionError(f"{module.label} is the installed course's")
    source = module.home / f"{module.folder}.py"
    yield from ((source, cell.line, cell.source) for cell in notebooks.parse_percent(custom.read_text(source), str(source)) if cell.kind == "code")
    tests = module.home / "tests"
    yield from ((path, 1, custom.read_text(path)) for path in sorted(tests.rglob("*.py")) if not is_left_behind(path.relative_to(tests)))


# --- runs ---------------------------------------------------------------------------------------------------------


def prove(course: Course, sources: Mapping[Module, str]) -> None:
    """Run the own modules of a course, whose sources with solutions are given, against their tests.

    Raises: ConfigError, with the tests and what to do, if a solution fails one, a stub passes one, a test names an exercise
        that isn't there, or an exercise has none.
    """
    parts = needed(course, sources)
    with tempfile.TemporaryDirectory(prefix="tinytorch-proof-") as folder:
        root = Path(folder).resolve() / "workspace"
        workspace = create(root, replace(course, modules=tuple(parts), milestones=()), format="py")
        for module in parts:
            text = sources[module] if module in sources else course.source(module).read_text("utf-8")
            copy = WorkingCopy(module, workspace.forms(module)[1], stubs.solution(text, str(course.source(module))).encode("utf-8"))
            copy.path.write_bytes(copy.data)
            workspace.export(module).parent.mkdir(parents=True, exist_ok=True)
            workspace.export(module).write_text(export_text(workspace, copy), "utf-8", newline="\n")
        told, printed = _run(workspace, sources)
        for module in sources:
            _check_solution(module, told, printed)
            _check_exercises(module, sources[module], told["verdicts"][module.marker]["exercises"])
        for module in sources:
            workspace.forms(module)[1].write_bytes(stub_file(course, module, "py"))
            told, printed = _run(workspace, [module])
            _check_stub(course, module, told, printed)


def _run(workspace: Workspace, modules: Iterable[Module]) -> tuple[dict[str, Any], str]:
    """What a session says of the modules' tests, and what it printed."""
    receipt = workspace.root.parent / "receipt.json"
    receipt.unlink(missing_ok=True)
    marks = " or ".join(module.marker for module in modules)
    _, printed = run_pytest(
        workspace.course, workspace.root, ["-m", marks, "-q", "-p", "no:cacheprovider"], {RECEIPT_VARIABLE: str(receipt)}
    )
    if not receipt.exists():
        raise ConfigError(f"The tests of {marks} can't be run with the solutions:\n{errors(printed)}")
    told: dict[str, Any] = json.loads(receipt.read_text("utf-8"))
    return told, printed


def _check_solution(module: Module, told: Mapping[str, Any], printed: str) -> None:
    verdict = told["verdicts"].get(module.marker)
    if verdict and verdict["done"]:
        return
    reasons = "; ".join(told["not_passed"].get(module.marker, [])) or "its tests did not run"
    failures = [failure for failure in told["failures"] if failure["test"].startswith(f"{module.test_folder}/")]
    shown = f"{failures[0]['test']}\n{failures[0]['told']}" if failures else printed
    raise ConfigError(
        f"The solution of module {module.label} doesn't pass its own tests: {reasons}. Correct {module.folder}.py or the test.\n{shortened(shown)}"
    )


def _check_exercises(module: Module, source: str, counts: Iterable[Mapping[str, Any]]) -> None:
    there = [exercise.name for exercise in stubs.exercises(notebooks.parse_percent(source, module.folder))]
    tested = {count["exercise"] for count in counts}
    if unknown := sorted(tested - set(there)):
        raise ConfigError(
            f"Tests of module {module.label} name exercises that it doesn't have: {', '.join(unknown)}. It has {', '.join(there)}. "
            "Correct the mark exercise(...) or the cell."
        )
    if untested := [name for name in there if name not in tested]:
        raise ConfigError(
            f"Exercises of module {module.label} have no test: {', '.join(untested)}. A test is one of an exercise by "
            f'@pytest.mark.exercise("{untested[0]}").'
        )


def _check_stub(course: Course, module: Module, told: Mapping[str, Any], printed: str) -> None:
    if module.marker not in told["verdicts"]:
        raise ConfigError(f"The tests of module {module.label} can't be run with its stub:\n{errors(printed)}")
    failed = {failure["test"] for failure in told["failures"]}
    if passed := sorted(course.required(module) - failed):
        more = f" and {len(passed) - _NAMED} more" if len(passed) > _NAMED else ""
        raise ConfigError(
            f"Tests of module {module.label} pass with its stub, where nothing is written yet: {', '.join(passed[:_NAMED])}{more}. "
            "Let each touch an exercise, and expect what only a solution gives."
        )
