"""What keeps pytest from running the course's tests as they are meant."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_tinytorch.health import sessions
from pytest_tinytorch.health.check import FAULT, NOTE
from pytest_tinytorch.health.repair import repair
from pytest_tinytorch.workspace.layout import Workspace

IMPORTLIB = "--import-mode=importlib"
BLOCKED = '"-p", "no:nbval"'


@pytest.mark.parametrize(("dist", "name"), [(SimpleNamespace(name="old-tinytorch"), "old-tinytorch"), (None, "old.plugin")])
def test_another_plugin_of_our_name_is_a_fault(monkeypatch: pytest.MonkeyPatch, dist: object, name: str):
    ours = SimpleNamespace(name="tinytorch", value="pytest_tinytorch.plugin", dist=None)
    theirs = SimpleNamespace(name="tinytorch", value="old.plugin", dist=dist)
    others = SimpleNamespace(name="xdist", value="xdist.plugin", dist=None)
    monkeypatch.setattr(sessions.metadata, "entry_points", lambda group: [ours, theirs, others])
    [check] = sessions.plugins()
    assert check.state == FAULT and check.text == f"{name} brings another pytest plugin named tinytorch"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1", "is set, so pytest doesn't load"),
        ("PYTEST_ADDOPTS", "-x -p no:tinytorch", "has -p no:tinytorch"),
        ("PYTEST_ADDOPTS", "-pno:tinytorch", "has -p no:tinytorch"),
        ("PYTEST_ADDOPTS", "--nbval", "has --nbval"),
    ],
)
def test_a_variable_that_breaks_sessions_is_a_fault(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str):
    monkeypatch.setenv(name, value)
    [check] = sessions.variables()
    assert check.state == FAULT and check.text.startswith(f"{name} {told}") and name in check.fix


@pytest.mark.parametrize(
    ("name", "value"), [("PYTEST_DISABLE_PLUGIN_AUTOLOAD", ""), ("PYTEST_ADDOPTS", "-x -p no:nbval --nbval-lax"), ("PYTEST_ADDOPTS", "'")]
)
def test_other_variables_are_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)
    assert list(sessions.variables()) == []


def write_options(workspace: Workspace, text: str) -> None:
    (workspace.root / "pyproject.toml").write_text(f"[tool.tinytorch]\n{text}\n", "utf-8")


@pytest.mark.parametrize(
    "options",
    [
        f'[tool.pytest.ini_options]\naddopts = ["{IMPORTLIB}", {BLOCKED}]',
        '[tool.pytest.ini_options]\naddopts = "--import-mode importlib -p no:nbval"',
        f'[tool.pytest]\naddopts = ["{IMPORTLIB}", {BLOCKED}]',
    ],
    ids=["list", "text", "pytest 9"],
)
def test_options_that_have_what_the_course_needs(workspace: Workspace, options: str):
    write_options(workspace, options)
    assert list(sessions.options(workspace)) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", f"pyproject.toml lacks {IMPORTLIB}"),
        ('[tool.pytest.ini_options]\naddopts = ["-x"]', f"pyproject.toml lacks {IMPORTLIB}"),
        ("[tool.pytest.ini_options]\naddopts = 3", f"pyproject.toml lacks {IMPORTLIB}"),
        (f'[tool.pytest.ini_options]\naddopts = ["{IMPORTLIB}", "-p", "no:tinytorch"]', "pyproject.toml has -p no:tinytorch"),
        (f'[tool.pytest.ini_options]\naddopts = "{IMPORTLIB} --nbval"', "pyproject.toml has --nbval"),
        ("[tool.pytest.ini_options\n", "pyproject.toml can't be read: "),
    ],
)
def test_options_that_lost_what_the_course_needs(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, options: str, told: str):
    monkeypatch.setattr(sessions, "_cost_of_nbval", lambda: None)
    write_options(workspace, options)
    [check] = sessions.options(workspace)
    assert check.state == FAULT and check.text.startswith(told)


@pytest.mark.parametrize(("name", "version", "is_read"), [("pytest.ini", "8.0", True), (".pytest.ini", "8.0", True), ("pytest.toml", "8.4", False), ("pytest.toml", "9.0", True)])
def test_another_configuration_file_takes_the_place_of_ours(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, name: str, version: str, is_read: bool
):
    (workspace.root / name).touch()
    monkeypatch.setattr(sessions.metadata, "version", lambda package: version)
    found = [check.text for check in sessions.options(workspace)]
    assert found == ([f"pytest reads {name} instead of the options in pyproject.toml"] if is_read else [])


def test_what_nbval_costs_is_named_if_it_is_not_blocked(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    write_options(workspace, f'[tool.pytest.ini_options]\naddopts = "{IMPORTLIB}"')
    [check] = sessions.options(workspace)
    assert check.state == NOTE and check.text.startswith("Every pytest run here loads nbval, which took ")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:nbval")
    assert list(sessions.options(workspace)) == []


def test_a_missing_pyproject_is_a_fault_and_comes_back(workspace: Workspace):
    path = workspace.root / "pyproject.toml"
    before = path.read_bytes()
    for source in (workspace.pristine, workspace.course.folder / "workspace"):
        path.unlink()
        [check] = sessions.options(workspace)
        assert check.state == FAULT and "is missing" in check.text
        assert repair(workspace) == ["Brought back pyproject.toml, which was missing."] and repair(workspace) == []
        assert path.read_bytes() == before and list(sessions.options(workspace)) == []
        Path(source, "pyproject.toml").unlink()
