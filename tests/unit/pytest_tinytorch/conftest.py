"""The tiny course of the plugin's tests, and a workspace made from it, without a pytest inside of pytest."""
from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pytest_tinytorch.course.curriculum import Course, read_course
from pytest_tinytorch.workspace.create import create
from pytest_tinytorch.workspace.layout import Workspace
from tests.plugin.conftest import write_course


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TINYTORCH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    """The tiny course, which is also the one that commands find."""
    write_course(tmp_path / "course")
    monkeypatch.setenv("TINYTORCH_TEMPLATES", str(tmp_path / "course"))
    return read_course(tmp_path / "course")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace made once: each of its files is flushed to the disk, which takes longer than most tests."""
    folder = tmp_path_factory.mktemp("made")
    write_course(folder / "course")
    return create(folder / "workspace", read_course(folder / "course"), format="py").root


@pytest.fixture
def workspace(tmp_path: Path, course: Course, made: Path) -> Workspace:
    return Workspace(shutil.copytree(made, tmp_path / "workspace"), course)
