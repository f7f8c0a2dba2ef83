"""One pytest session in a workspace: what it tests, the staged working copies, and what is collected.

The controller decides and stages; xdist's workers are told (`workerinput`). Every process that collects imports each
staged module once, under a time limit, before the first of its test files: a module that does not import becomes one
failing test instead of an error for each file.
"""
from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_tinytorch.course.curriculum import EXTRA_FOLDER, Milestone, Module
from pytest_tinytorch.course.order import place
from pytest_tinytorch.limits import TOO_MUCH, lift_memory_limit, limit_memory, time_limit
from pytest_tinytorch.plugin import refusal
from pytest_tinytorch.problems import Problem, problem_of
from pytest_tinytorch.selected import Selected, select
from pytest_tinytorch.state.recovery import recover
from pytest_tinytorch.state.store import State
from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace
from pytest_tinytorch.workspace.stubbed import is_begun
from tinytorch import _overlay
from tinytorch.errors import ConfigError, TinyTorchError

_NUMBERED = re.compile(r"\d\d_")


@dataclass
class Plan:
    """What the controller decides once, and tells its workers."""

    selected: Selected
    staging: Path | None = None
    copies: dict[str, WorkingCopy] = field(default_factory=dict)  # by module number; on the controller only
    problems: dict[str, Problem] = field(default_factory=dict)  # by module number: can't be staged


class CourseSession:
    """Chooses, stages and collects."""

    def __init__(self, config: pytest.Config, workspace: Workspace) -> None:
        self.config = config
        self.workspace = workspace
        self.is_worker = hasattr(config, "workerinput")
        self.is_quick = bool(config.option.tito_quick)
        self.limit = self._limit()
        self.notices: list[str] = []
        self.plan = Plan(Selected((), (), (), ()))
        self._versions: State = {}
        self._root = str(workspace.root) + os.sep
        self._extra = workspace.root / EXTRA_FOLDER if workspace.course.config else None  # what the copies in tests/ are made from
        self._part_of = {part.test_folder: part for part in workspace.course.parts}
        self._imported: dict[str, Problem | None] = {}
        self._shown: set[str] = set()  # modules whose problem has its failing test

    def _limit(self) -> tuple[float, str]:
        """The seconds that the student's code may take at a time, and the setting that says so."""
        settings = ["tito_timeout", *(["tito_patience"] if self.is_quick else [])]
        limits = [(_seconds(self.config.getini(name), name), name) for name in settings]
        given = [limit for limit in limits if limit[0] > 0 and not self.config.option.usepdb]
        return min(given, default=(0.0, "tito_timeout"))

    # --- before collection ---------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)  # before xdist starts its workers
    def pytest_sessionstart(self) -> None:
        if self.is_quick:
            limit_memory()
        try:
            self.plan = self._told() if self.is_worker else self._decided()
        except ConfigError as error:
            raise pytest.UsageError(str(error)) from error
        except TinyTorchError as error:
            raise refusal(self.config, str(error)) from error

    def _decided(self) -> Plan:
        self.notices += recover(self.workspace)
        self._versions = self.workspace.store.read("version.json")
        for name in ("progress.json", "milestones.json"):
            self.workspace.store.read(name)  # a broken state stops the session before any work is done
        self._collect_from_root()
        plan = Plan(self._selected())
        if not self.config.option.tito_manifest:
            _ = self.workspace.course.required_tests  # a course that lacks them is told now, not when the tests have run
        modules = plan.selected.modules
        if self.config.option.tito_working_copy:
            modules = tuple(m for m in self.workspace.course.modules if self.workspace.existing_forms(m))
        if modules:
            self._stage(plan, modules)
        _overlay.bind(self.workspace.root, plan.staging)
        return plan

    def was_updated(self, part: Module | Milestone) -> bool:
        """Whether the tests of a module or milestone were replaced by an update since this session began."""
        before, after = (
            {path: entry for path, entry in versions["files"].items() if path.startswith(part.test_folder + "/")}
            for versions in (self._versions, self.workspace.store.read("version.json"))
        )
        return before != after

    @property
    def older_course(self) -> str | None:
        """The version of the course that the workspace's tests are of, if it isn't the installed one."""
        has = str(self._versions["template_version"])
        return None if has == self.workspace.course.version else has

    def _stage(self, plan: Plan, modules: Iterable[Module]) -> None:
        """Read the working copies of modules, once, and stage those that can be."""
        from pytest_tinytorch.workspace import staging

        staged = []
        for module in modules:
            try:
                copy = self.workspace.working_copy(module)
                plan.copies[module.number] = copy
                staging.staged_lines(self.workspace, copy)  # for its errors: one module must not stop the others
            except TinyTorchError as error:
                plan.problems[module.number] = Problem(str(error).replace(str(self.workspace.root / "modules"), "modules"))
            else:
                staged.append(copy)
        if staged:
            plan.staging = staging.make_folder()
            staging.stage(self.workspace, staged, plan.staging)

    def _selected(self) -> Selected:
        completed = self.workspace.store.read("progress.json")["completed_modules"]
        invoked = self.config.invocation_params.dir
        return select(
            self.workspace.course,
            self.workspace.root,
            expression=self.config.option.markexpr or "",
            arguments=[(invoked / argument.split("::")[0]).resolve() for argument in self.config.args],
            is_begun=lambda module: int(module.number) in completed or is_begun(self.workspace, module),
            has_tests=lambda part: (self.workspace.root / part.test_folder).is_dir(),
        )

    def _collect_from_root(self) -> None:
        """Let `pytest -m module05` mean the same in every folder of the workspace."""
        here = self.config.invocation_params.dir
        tests = (self.workspace.root / "tests", self.workspace.root / "milestones")
        inside = here.resolve()
        no_tests = inside.is_relative_to(self.workspace.root) and not any(map(inside.is_relative_to, tests))
        if self.config.args == [str(here)] and no_tests:
            self.config.args = [str(self.workspace.root)]

    def _told(self) -> Plan:
        told: dict[str, Any] = self.config.workerinput["tinytorch"]  # type: ignore[attr-defined]  # xdist's
        course = self.workspace.course
        plan = Plan(
            Selected(
                tuple(course.module(number) for number in told["modules"]),
                tuple(course.milestone(number) for number in told["milestones"]),
                (), (),
            ),
            Path(told["staging"]) if told["staging"] else None,
            problems={number: Problem(text) for number, text in told["problems"].items()},
        )
        _overlay.bind(self.workspace.root, plan.staging)
        return plan

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker what the controller decided."""
        node.workerinput["tinytorch"] = {
            "modules": [module.number for module in self.plan.selected.modules],
            "milestones": [milestone.number for milestone in self.plan.selected.milestones],
            "staging": self.plan.staging and str(self.plan.staging),
            "problems": {number: problem.text for number, problem in self.plan.problems.items()},
        }

    def pytest_unconfigure(self) -> None:
        if self.plan.staging and not self.is_worker:
            from pytest_tinytorch.workspace import staging

            staging.remove_folder(self.plan.staging)

    # --- collection ----------------------------------------------------------------------------------------------

    def part_at(self, path: Path) -> Module | Milestone | None:
        """The module or milestone whose tests lie at `path`."""
        if not str(path).startswith(self._root):
            return None
        depth = len(self.workspace.root.parts)
        return self._part_of.get("/".join(path.parts[depth : depth + 2]))

    def _is_former(self, path: Path) -> bool:
        """Whether a path is the test folder of a module under a name that it no longer has, which an update left for the student."""
        return path.parent == self.workspace.root / "tests" and bool(_NUMBERED.match(path.name)) and f"tests/{path.name}" not in self._part_of

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave out, before they are imported, the folders that this session doesn't test."""
        if self._extra and collection_path.is_relative_to(self._extra):
            return True
        if self._is_former(collection_path):
            return True
        part = self.part_at(collection_path)
        return True if part is not None and part not in self.plan.selected.parts else None

    def pytest_pycollect_makemodule(self, module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
        part = self.part_at(module_path)
        if not isinstance(part, Module):
            return None
        problem = self._problem(part)
        if problem is None:
            return None
        tests: BrokenTests = BrokenTests.from_parent(parent, path=module_path)
        tests.names = lambda: self._asked_for(module_path) or self._once(part)
        tests.problem = problem
        tests.title = f"Module {part.label} can't be tested"
        return tests

    def _once(self, module: Module) -> list[str]:
        """The name of the one failing test, for the first file that is really collected."""
        if module.number in self._shown:
            return []
        self._shown.add(module.number)
        return [f"import_{module.folder}"]

    def _asked_for(self, path: Path) -> list[str]:
        """The test names that the command line asks for in a file, so that pytest finds what it was told to run."""
        invoked = self.config.invocation_params.dir
        asked = [argument.partition("::") for argument in self.config.args if "::" in argument]
        return [name for file, _, name in asked if (invoked / file).resolve() == path]

    def _problem(self, module: Module) -> Problem | None:
        """Why the staged module can't be imported, or None. It is tried once."""
        if module.number in self.plan.problems:
            return self.plan.problems[module.number]
        if module.number not in self._imported:
            problem = None
            try:
                with time_limit(*self.limit):
                    importlib.import_module(module.exports)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # SystemExit and the time limit too: the student's code ran here
                problem = Problem(problem_of(error).text.replace(str(self.workspace.root / "modules"), "modules"))
            self._imported[module.number] = problem
        return self._imported[module.number]

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        part = self.part_at(item.path)
        if part is None:
            return
        item.add_marker(part.marker)
        kind = "module" if isinstance(part, Module) else "milestone"
        item.user_properties.append((f"tito_{kind}", part.number))
        for mark in ("exercise", "points"):
            if marked := item.get_closest_marker(mark):
                item.user_properties.append((f"tito_{mark}", marked.args[0]))

    @pytest.hookimpl(tryfirst=True)  # a plugin that shuffles has the last word
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort tests by the exercises of the working copies. xdist's workers don't have these, and keep pytest's order."""
        if self.config.option.tito_in_order:
            items.sort(key=self._place)

    def _place(self, item: pytest.Item) -> tuple[int, int]:
        """The position of an item's module in the course, and of its exercise in the module."""
        part = self.part_at(item.path)
        parts = self.workspace.course.parts
        if part is None or part.number not in self.plan.copies or part.number in self.plan.problems:
            return (len(parts) if part is None else parts.index(part)), 0
        exercises = [cell.exercise for cell in self.plan.copies[part.number].cells if cell.exercise]
        exercise = str(dict(item.user_properties).get("tito_exercise"))
        return parts.index(part), place(item.nodeid, exercise, exercises)

    # --- running -------------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        with self._limited(item):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        with self._limited(item):
            return (yield)

    @contextmanager
    def _limited(self, item: pytest.Item) -> Iterator[None]:
        """Limit what the student's code may take in a test of a module; if somebody waits, the run ends with it."""
        try:
            with time_limit(*(self.limit if isinstance(self.part_at(item.path), Module) else (0.0, ""))):
                yield
        except TOO_MUCH:
            lift_memory_limit()
            if self.is_quick:
                item.session.shouldfail = "stopping: a test took more time or memory than it may"
            raise


class BrokenTests(pytest.Module):
    """Takes the place of a test file whose module can't be imported."""

    names: Callable[[], list[str]]  # asked when the file is collected: pytest makes one of these for each file it sees
    problem: Problem
    title: str

    def collect(self) -> Iterator[pytest.Item]:
        for name in self.names():
            item: BrokenImport = BrokenImport.from_parent(self, name=name)
            yield item


class BrokenImport(pytest.Item):
    """The one failing test of a module that can't be imported."""

    parent: BrokenTests

    def runtest(self) -> None:
        raise BrokenModule

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        return f"{self.parent.title}:\n\n{self.parent.problem.text}"

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name


class BrokenModule(Exception):
    """Raised by the test that stands for a module that can't be imported."""


def _seconds(text: str, setting: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise pytest.UsageError(f"{setting} = {text!r} in pytest's configuration: a number of seconds was expected") from None
