"""The fixtures of course tests."""
from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.abc import InspectLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tinytorch.limits import TOO_MUCH

if TYPE_CHECKING:
    import numpy as np

    from pytest_tinytorch.failures import Comparison

hints_key = pytest.StashKey[list[str]]()
compared_key = pytest.StashKey["list[Comparison]"]()
codes_key = pytest.StashKey[dict[Path, CodeType]]()
HINT_PROPERTY = "tito_hint"
COURSE_PROPERTIES = ("tito_module", "tito_milestone")
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
    return _load(request.path.parent / "student_side.py", request.config)


@pytest.fixture
def course_data() -> Callable[[str], Any]:
    """`course_data("digits")`: a dataset that is installed with the course."""
    from tinytorch import datasets

    return datasets.load


@pytest.fixture(scope="module")
def milestone(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the milestone's script returns: it runs once for its tests, and what it prints is seen as it runs."""
    slug = request.path.parent.name.split("_", 2)[-1]  # of 03_1986_mlp
    script = _load(request.path.parent / f"{slug}.py", request.config)
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    if capture is None or hasattr(request.config, "workerinput"):
        return script.run()
    with capture.global_and_fixture_disabled():
        print()
        return script.run()


def _load(path: Path, config: pytest.Config) -> ModuleType:
    """A file as a new module. What it was compiled to is kept for the session: a hundred tests may want it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or not isinstance(spec.loader, InspectLoader) or not path.is_file():
        raise FileNotFoundError(f"{path} is missing; bring it back with: tito system health --repair")
    codes = config.stash.setdefault(codes_key, {})
    if path not in codes:
        code = spec.loader.get_code(path.stem)
        assert code is not None, "a source file has code"
        codes[path] = code
    module = importlib.util.module_from_spec(spec)
    exec(codes[path], module.__dict__)
    return module


def hints_of(report: pytest.TestReport) -> list[str]:
    """The hints that belong to a failure."""
    return [str(text) for name, text in report.user_properties if name == HINT_PROPERTY]


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> None:
    """Keep what a failing assertion compares, for its report; pytest explains it as always."""
    from pytest_tinytorch.failures import Comparison

    config.stash.setdefault(compared_key, []).append(Comparison(op, left, right))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the hints whose condition held to the report of a failure, mark one that met an empty exercise, explain others."""
    compared = item.config.stash.get(compared_key, [])
    if compared:
        del item.config.stash[compared_key]  # also those of a test that passed: it may have expected its assertion to fail
    if call.excinfo is None:
        return (yield)
    empty = _empty_exercise(call.excinfo)
    explains = not empty and call.when == "call" and _is_ours(item)
    with _told_as(item, empty or (_explained(item, call.excinfo, compared) if explains else None)):
        report = yield
    if not report.failed:
        return report
    hints = list(item.stash.get(hints_key, ()))
    for mark in item.iter_markers("hint"):
        kind, text = mark.args
        if issubclass(call.excinfo.type, kind):
            hints.append(text)
    for text in dict.fromkeys(hints):
        report.sections.append(("hint", text))
        for properties in (report.user_properties, item.user_properties):  # the latter are what JUnit's XML gets
            properties.append((HINT_PROPERTY, text))
    if isinstance(item, pytest.Function):
        from pytest_tinytorch.failures import asked  # most sessions have no failures

        report.asks = asked(item.function)  # type: ignore[attr-defined]  # travels with the report
    if isinstance(call.excinfo.value, TOO_MUCH):
        report.took_too_much = True  # type: ignore[attr-defined]  # travels with the report
    if empty:
        from pytest_tinytorch.failures import place_of

        report.longrepr = empty  # pytest itself tells of a fixture's
        report.stub = place_of(call.excinfo.value, item.config.rootpath)  # type: ignore[attr-defined]  # travels with the report
        name, _, _ = empty.removeprefix(EXERCISE).partition(":")
        report.meets_empty_exercise = name  # type: ignore[attr-defined]  # travels with the report
    return report


def _empty_exercise(excinfo: pytest.ExceptionInfo[BaseException]) -> str | None:
    """What a stub says that a test met, if that is how it failed."""
    text = str(excinfo.value) if excinfo.errisinstance(NotImplementedError) else ""
    return text if text.startswith(EXERCISE) else None


@contextmanager
def _told_as(item: pytest.Item, told: object) -> Iterator[None]:
    """Have pytest tell a failure so, unless that is None. Its own traceback, which nobody would see, takes longer than most tests."""
    if told is None:
        yield
        return
    item.repr_failure = lambda excinfo, style=None: told  # type: ignore[method-assign, assignment, return-value]
    try:
        yield
    finally:
        del item.repr_failure


def _is_ours(item: pytest.Item) -> bool:
    """Whether an item is a test of the course, and nobody asked for pytest's own tracebacks."""
    option = item.config.option
    own = option.tbstyle != "auto" or option.fulltrace or option.showlocals
    return not own and isinstance(item, pytest.Function) and any(name in COURSE_PROPERTIES for name, _ in item.user_properties)


def _explained(item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException], compared: list[Comparison]) -> Any:
    """A report's traceback with our text in it.

    It is pytest's own kind, so that what reads reports (JUnit's XML, xdist, other plugins) finds place and message.
    """
    from pytest_tinytorch.failures import explain

    try:
        failure = explain(excinfo.value, item.function, compared, item.config.rootpath)  # type: ignore[attr-defined]
    except Exception:  # values of any kind are looked at; one that can't be shown must not end the whole session
        return None
    if failure is None:
        return None
    shown = excinfo.getrepr(style="native")
    entry = shown.reprtraceback.reprentries[-1]
    entry.lines = [failure.text]
    shown.reprtraceback.reprentries = [entry]
    return shown
