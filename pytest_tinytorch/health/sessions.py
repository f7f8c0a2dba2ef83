"""What keeps pytest from loading the course's plugin, or from running the course's tests as they are meant."""
from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

from pytest_tinytorch.health.check import FAULT, NOTE, REPAIR, Check
from pytest_tinytorch.health.environment import PLUGIN
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch.toml_file import parse_toml

_IMPORTLIB = "--import-mode=importlib"
_FIRST = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")  # pytest reads one of these instead of pyproject.toml


def plugins() -> Iterator[Check]:
    """Another distribution's plugin of our name: pytest refuses to start with both."""
    for plugin in metadata.entry_points(group="pytest11"):
        if plugin.name == "tinytorch" and plugin.value != PLUGIN:
            other = plugin.dist.name if plugin.dist else plugin.value
            yield Check(FAULT, f"{other} brings another pytest plugin named tinytorch", f"{sys.executable} -m pip uninstall {other}")


def variables() -> Iterator[Check]:
    """Environment variables that change every session."""
    if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        yield Check(FAULT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD is set, so pytest doesn't load the course's plugin", "unset PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    yield from _harmful("PYTEST_ADDOPTS", _words(os.environ.get("PYTEST_ADDOPTS", "")))


def options(workspace: Workspace) -> Iterator[Check]:
    """Whether the workspace's pytest options still have what the course needs."""
    path = workspace.root / "pyproject.toml"
    if not path.is_file():
        yield Check(FAULT, "pyproject.toml is missing, and with it the options that the tests need", REPAIR)
        return
    try:
        project = parse_toml(path.read_text("utf-8-sig"))
    except ValueError as error:
        yield Check(FAULT, f"pyproject.toml can't be read: {error}", "Correct that line, or take the course's: cp .tito/pristine/pyproject.toml .")
        return
    if instead := next((name for name in _FIRST if (workspace.root / name).is_file() and _is_read(name)), None):
        yield Check(FAULT, f"pytest reads {instead} instead of the options in pyproject.toml", f"Move your options from {instead} to pyproject.toml, and delete it.")
        return
    words = _words(_addopts(project))
    yield from _harmful("pyproject.toml", words)
    if _IMPORTLIB not in words and not _follows(words, "--import-mode", "importlib"):
        yield Check(
            FAULT,
            f"pyproject.toml lacks {_IMPORTLIB}: test files of the same name can't be collected",
            f'Add it to addopts: addopts = ["{_IMPORTLIB}", "--strict-markers", "-p", "no:nbval"]',
        )
    everywhere = [*words, *_words(os.environ.get("PYTEST_ADDOPTS", ""))]
    if not _blocks(everywhere, "nbval") and (seconds := _cost_of_nbval()):
        yield Check(
            NOTE,
            f"Every pytest run here loads nbval, which took {seconds:.1f} seconds just now; the notebook check loads it by itself",
            'Add "-p", "no:nbval" to addopts in pyproject.toml.',
        )


def _is_read(name: str) -> bool:
    return name.endswith(".ini") or int(metadata.version("pytest").partition(".")[0]) >= 9


def _addopts(project: dict[str, Any]) -> object:
    pytest = project.get("tool", {}).get("pytest", {})
    return pytest.get("ini_options", pytest).get("addopts", "")


def _words(options: object) -> list[str]:
    if isinstance(options, str):
        try:
            return shlex.split(options)
        except ValueError:  # a quote that isn't closed: pytest says so
            return options.split()
    return [str(word) for word in options] if isinstance(options, list) else []


def _harmful(where: str, words: Sequence[str]) -> Iterator[Check]:
    if _blocks(words, "tinytorch"):
        yield Check(FAULT, f"{where} has -p no:tinytorch, so pytest doesn't load the course's plugin", f"Take it out of {where}.")
    if "--nbval" in words:
        yield Check(FAULT, f"{where} has --nbval, which tests notebooks by what they printed last", f"Take it out of {where}.")


def _blocks(words: Sequence[str], plugin: str) -> bool:
    return f"-pno:{plugin}" in words or _follows(words, "-p", f"no:{plugin}")


def _follows(words: Sequence[str], option: str, value: str) -> bool:
    return (option, value) in pairwise(words)


def _cost_of_nbval() -> float | None:
    """Seconds that a session spends on importing nbval, measured in a process of its own; None if that can't be told."""
    code = "import time, pytest; start = time.perf_counter(); import nbval.plugin; print(time.perf_counter() - start)"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL, timeout=10, check=True, cwd=Path(sys.prefix)
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return float(done.stdout)
