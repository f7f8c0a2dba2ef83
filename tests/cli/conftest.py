"""A student who types `tito` commands: in this process for speed, or for real."""
from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_tinytorch.course.curriculum import read_course
from pytest_tinytorch.workspace.create import create
from pytest_tinytorch.workspace.layout import Workspace
from tests.plugin.conftest import Student, write_course
from tito.__main__ import main

TEMPLATES = Path(__file__).parents[2] / "templates"


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def both(self) -> str:
        return self.out + self.err


Tito = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("TINYTORCH_WORKSPACE", "TINYTORCH_TEMPLATES", "TINYTORCH_STAGING", "TINYTORCH_PRICES", "TINYTORCH_MACHINE", "NO_COLOR", "TITO_NONINTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TINYTORCH_RESOURCES", str(tmp_path_factory.getbasetemp() / "no resources"))  # never the machine's own


@pytest.fixture
def student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Student:
    """A workspace of the tiny course, which is the current folder."""
    course = tmp_path / "course"
    write_course(course)
    form = getattr(request, "param", "py")
    create(tmp_path / "workspace", read_course(course), format=form)
    monkeypatch.setenv("TINYTORCH_TEMPLATES", str(course))
    monkeypatch.chdir(tmp_path / "workspace")
    return Student(tmp_path / "workspace", course, form)


@pytest.fixture
def workspace(student: Student) -> Workspace:
    return Workspace(student.root, read_course(student.course))


@pytest.fixture
def tito(capsys: pytest.CaptureFixture[str]) -> Tito:
    """Run a command in this process."""

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        status = main(arguments)
        return Answer(status, *capsys.readouterr())

    return run


@pytest.fixture
def real_tito(student: Student) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command in a process of its own, without a terminal."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tito", *arguments], cwd=student.root, env=student.environment(**environment),
            stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=120, check=False,
        )

    return run
