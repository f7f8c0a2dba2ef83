"""The plugin's door: options, ini values, and whether there is a workspace at all.

Imports at module level only what every pytest session needs. Everything else is loaded when a session runs inside a
workspace; outside of one, this file is all that there is of the plugin.
"""
from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

import tinytorch

try:
    from tinytorch import _overlay
except ImportError as error:  # `python -m pytest` puts the working directory first on the path
    raise pytest.UsageError(
        f"{next(iter(tinytorch.__path__))}/__init__.py hides the installed tinytorch package, which your modules belong into. "
        "Delete that file: a workspace's tinytorch/ folder has none."
    ) from error

if TYPE_CHECKING:
    from pytest_tinytorch.workspace.layout import Workspace


refused_key = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tinytorch", "TinyTorch course")
    group.addoption("--tito-complete", action="store_true", help="complete what -m names: if every required test passed, back up, export, record")
    group.addoption("--tito-force", action="store_true", help="complete in spite of missing prerequisites; the record says so")
    group.addoption("--tito-working-copy", action="store_true", help="run a milestone on the working copies instead of the exports; nothing is recorded")
    group.addoption("--tito-status", action="store_true", help="print where the course stands, and exit")
    group.addoption("--tito-format", choices=("rich", "plain", "json"), default=None, help="how --tito-status prints (default: rich on a terminal, else plain)")
    group.addoption("--tito-github", action="store_true", help="print failures and completions as GitHub annotations")
    group.addoption("--tito-in-order", action="store_true", help="run tests in the order of the module's exercises: with -x, up to the first that isn't right")
    group.addoption("--tito-quick", action="store_true", help="somebody waits: a test may take tito_patience seconds and a part of the memory, and the first that takes more ends the run")
    group.addoption("--tito-seed", type=int, default=0, metavar="N", help="seed of the `rng` fixture (default: 0)")
    group.addoption("--tito-manifest", metavar="FILE", default=None, help="for authors: write the ids of the course's collected tests to FILE")
    parser.addini("tito_workspace", "the workspace, if it is not the folder of the tests or one above", default="")
    parser.addini("tito_format", "default of --tito-format", default="")
    parser.addini("tito_notebook_check", "run the notebook from top to bottom before a module is complete", type="bool", default=True)
    parser.addini("tito_timeout", "seconds that one test or the import of one module may take; 0: no limit", default="60")
    parser.addini("tito_patience", "the same with --tito-quick, unless tito_timeout is less", default="10")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_tinytorch import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    if not config.option.tito_status:
        return None
    from pytest_tinytorch import reporting

    return reporting.print_status(config, _workspace(config, wanted="--tito-status"))


def refusal(config: pytest.Config, reason: str) -> pytest.UsageError:
    """Raise it to end a session that does nothing: the reason is said once, and the exit status is 1.

    (`pytest.exit` says it twice before the first test.)
    """
    config.stash[refused_key] = True
    return pytest.UsageError(reason)


@pytest.hookimpl(wrapper=True, specname="pytest_cmdline_main")
def pytest_say_why_refused(config: pytest.Config) -> Generator[None, int | None, int | None]:
    try:
        return (yield)
    except pytest.UsageError as error:
        if refused_key not in config.stash:
            raise
        print(f"ERROR: {error}", file=sys.stderr)
        return 1


def pytest_configure(config: pytest.Config) -> None:
    if config.option.help or config.option.version:
        return
    wanted = "--tito-complete" if config.option.tito_complete else None
    workspace = _workspace(config, wanted=wanted)
    if workspace is None:
        return
    _register(config, workspace)


def _register(config: pytest.Config, workspace: Workspace) -> None:
    """Make this pytest session one of a course."""
    from pytest_tinytorch import fixtures
    from pytest_tinytorch.recorder import Recorder
    from pytest_tinytorch.reporting import Reporting
    from pytest_tinytorch.session import CourseSession

    for part in workspace.course.parts:
        config.addinivalue_line("markers", f"{part.marker}: tests of {part.label}; put on them by their folder")
    config.addinivalue_line("markers", "exercise(name): the exercise that a test belongs to")
    config.addinivalue_line("markers", "points(n): what a test without an exercise is worth")
    config.addinivalue_line("markers", "hint(ExceptionType, text): shown if the test ends with that exception")
    config.addinivalue_line("markers", "same_process: the test needs the student's code in its own process")
    session = CourseSession(config, workspace)
    config.pluginmanager.register(fixtures, "tinytorch-fixtures")
    config.pluginmanager.register(session, "tinytorch-session")
    if not session.is_worker:
        recorder = Recorder(config, session)
        config.pluginmanager.register(recorder, "tinytorch-recorder")
        config.pluginmanager.register(Reporting(config, session, recorder), "tinytorch-reporting")


def _workspace(config: pytest.Config, wanted: str | None) -> Workspace | None:
    named = config.getini("tito_workspace")
    if not wanted and not named and _overlay.find_workspace(config.rootpath) is None:
        return None  # the plugin stays out of the way, unloaded
    from pytest_tinytorch.workspace import layout
    from tinytorch.errors import TinyTorchError

    try:
        workspace = layout.find(config.rootpath, named=named and str(config.rootpath / named))
    except TinyTorchError as error:
        raise pytest.UsageError(str(error)) from error
    if workspace is None and wanted:
        raise pytest.UsageError(
            f"{wanted} needs a workspace, and {config.rootpath} is in none. Make one with: tito init my-tinytorch"
        )
    return workspace

