"""The fixtures of course tests."""
from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import numpy as np

hints_key = pytest.StashKey[list[str]]()
HINT_PROPERTY = "tito_hint"
EXERCISE = "exercise "  # how a stub's NotImplementedError begins


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A random generator of the test's own: the same numbers each time, others for each test and each `--tito-seed`."""
    import numpy as np

    return np.random.default_rng([request.config.option.tito_seed, zlib.crc32(request.node.nodeid.encode("utf-8"))])


@pytest.fixture
def hint(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`hint(text, when=condition)` is shown if the test fails afterwards and the condition held."""
    hints: list[str] = request.node.stash.setdefault(hints_key, [])

    def give(text: str, *, when: object = True) -> None:
        if when:
            hints.append(text)

    return give


@pytest.fixture
def student_side(request: pytest.FixtureRequest) -> ModuleType:
    """`student_side.py` beside the tests: classes that derive from the student's, functions that their code calls."""
    return _load(request.path.parent / "student_side.py")


@pytest.fixture
def course_data() -> Callable[[str], Any]:
    """`course_data("digits")`: a dataset that is installed with the course."""
    from tinytorch import datasets

    return datasets.load


@pytest.fixture(scope="module")
def milestone(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the milestone's script returns: it runs once for its tests, and what it prints is seen as it runs."""
    slug = request.path.parent.name.split("_", 2)[-1]  # of 03_1986_mlp
    script = _load(request.path.parent / f"{slug}.py")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    if capture is None or hasattr(request.config, "workerinput"):
        return script.run()
    with capture.global_and_fixture_disabled():
        print()
        return script.run()


def _load(path: Any) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"{path} is missing; bring it back with: tito system health --repair")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the hints whose condition held to the report of a failure, and mark one that met an empty exercise."""
    empty = empty_exercise(call)
    with told_as(item, empty) if empty else nullcontext():
        report = yield
    if report.failed and call.excinfo is not None:
        hints = list(item.stash.get(hints_key, ()))
        for mark in item.iter_markers("hint"):
            kind, text = mark.args
            if issubclass(call.excinfo.type, kind):
                hints.append(text)
        for text in dict.fromkeys(hints):
            report.sections.append(("hint", text))
            for properties in (report.user_properties, item.user_properties):  # the latter are what JUnit's XML gets
                properties.append((HINT_PROPERTY, text))
        if empty:
            report.longrepr = empty
            name, _, _ = empty.removeprefix(EXERCISE).partition(":")
            report.meets_empty_exercise = name  # type: ignore[attr-defined]  # travels with the report
    return report


def empty_exercise(call: pytest.CallInfo[None]) -> str | None:
    """What a stub says that a test met, if that is how it failed."""
    if call.excinfo is None or not call.excinfo.errisinstance(NotImplementedError):
        return None
    text = str(call.excinfo.value)
    return text if text.startswith(EXERCISE) else None


@contextmanager
def told_as(item: pytest.Item, text: str) -> Iterator[None]:
    """Have pytest tell a failure in these words. The traceback, which nobody would see, takes it longer than most tests."""
    item.repr_failure = lambda excinfo, style=None: text  # type: ignore[method-assign]
    try:
        yield
    finally:
        del item.repr_failure


def hints_of(report: pytest.TestReport) -> list[str]:
    """The hints that a report carries."""
    return [str(text) for name, text in report.user_properties if name == HINT_PROPERTY]
