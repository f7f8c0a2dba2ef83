"""The checks behind `tito system health`: is everything there, readable and what it claims to be?

Each check looks and tells; none of them changes anything. `repair` does.
"""
from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

import tinytorch
from pytest_tinytorch import exporting
from pytest_tinytorch.state import config, pristine, progress
from pytest_tinytorch.state.store import STATE_FILES
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch.errors import DataError, TinyTorchError

GOOD, NOTE, FAULT = "good", "note", "fault"
OLDEST_PYTHON = (3, 10)
_REPAIR = "tito system health --repair"
_ORDER = ("progress.json", "milestones.json", "config.json", "version.json")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    state: str  # good, note (worth a look, nothing is broken) or fault
    text: str
    fix: str = ""  # what to do about it


def checks(workspace: Workspace) -> list[Check]:
    """Everything that is looked at, in the order in which it is shown."""
    return [
        _environment(),
        _dependencies(),
        _installation(),
        _data(workspace),
        *(_state_file(workspace, name) for name in _ORDER),
        _backups(workspace),
        *_hidden(workspace.root),
        *_missing_tests(workspace),
        *_exports(workspace),
        *_oddities(workspace),
    ]


def is_healthy(found: list[Check]) -> bool:
    return all(check.state != FAULT for check in found)


def _environment() -> Check:
    wanted = ".".join(map(str, OLDEST_PYTHON))
    if sys.version_info < OLDEST_PYTHON:
        return Check(FAULT, f"Environment: Python {sys.version.split()[0]}", f"Use Python {wanted} or newer.")
    plugins = metadata.entry_points(group="pytest11")
    if not any(plugin.value == "pytest_tinytorch.plugin" for plugin in plugins):
        return Check(FAULT, "Environment: pytest doesn't know the plugin", f"{sys.executable} -m pip install --force-reinstall tinytorch")
    return Check(GOOD, "Environment setup")


def _dependencies() -> Check:
    wrong = list(_wrong_dependencies())
    if wrong:
        names = " ".join(f'"{requirement}"' for requirement, _ in wrong)
        told = ", ".join(f"{requirement} ({found})" for requirement, found in wrong)
        return Check(FAULT, f"Dependencies missing or too old: {told}", f"{sys.executable} -m pip install {names}")
    return Check(GOOD, "Dependencies installed")


def _wrong_dependencies() -> Iterator[tuple[str, str]]:
    """Each requirement that isn't met, and what is there instead."""
    from packaging.requirements import Requirement

    for line in metadata.requires("tinytorch") or ():
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield f"{requirement.name}{requirement.specifier}", "not installed"
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name}{requirement.specifier}", f"installed: {version}"


def installation() -> str:
    """How TinyTorch is installed: "wheel" or "editable"."""
    package = Path(tinytorch.__file__).parent
    installed = metadata.distribution("tinytorch").locate_file("tinytorch")
    return "wheel" if Path(str(installed)).resolve() == package.resolve() else "editable"


def _installation() -> Check:
    how = installation()
    said = "in development mode (editable)" if how == "editable" else "installed (wheel)"
    return Check(GOOD, f"TinyTorch {tinytorch.__version__} {said}")


def _data(workspace: Workspace) -> Check:
    from tinytorch import datasets

    try:
        datasets.load("digits")
    except DataError as error:
        return Check(FAULT, "Data files corrupted", str(error))
    if any(workspace.store.fault(name) for name in STATE_FILES):
        return Check(FAULT, "Data files corrupted", _REPAIR)
    return Check(GOOD, "Data files intact")


def _state_file(workspace: Workspace, name: str) -> Check:
    if workspace.store.fault(name) is None:
        return Check(GOOD, f".tito/{name} valid")
    try:
        workspace.store.read(name)
    except TinyTorchError as error:
        head, _, ways_out = str(error).partition("\n")
        return Check(FAULT, head, ways_out)
    raise AssertionError(f"{name} has a fault and can be read")


def _backups(workspace: Workspace) -> Check:
    if (workspace.tito / "backups").is_dir():
        return Check(GOOD, "Backups directory exists")
    return Check(FAULT, "Backups directory is no directory", "Move .tito/backups away; the next command makes the directory again.")


def _hidden(root: Path) -> Iterator[Check]:
    """Files in the workspace that keep Python from finding the installed package, or the student's modules."""
    package = root / "tinytorch"
    for path in (root / "tinytorch.py", package / "__init__.py", package / "core" / "__init__.py", package / "perf" / "__init__.py"):
        if path.is_file():
            name = path.relative_to(root).as_posix()
            yield Check(FAULT, f"{name} hides other parts of tinytorch", f"Delete it: rm {name}")
    base = {path.stem for path in Path(tinytorch.__file__).parent.iterdir()} - {"__init__", "__pycache__"}
    for path in sorted(package.glob("*")):
        if path.stem in base and (path.suffix == ".py" or _is_package(path)):
            name = path.relative_to(root).as_posix()
            yield Check(FAULT, f"{name} is never imported: tinytorch.{path.stem} is the installed one", "Rename it.")
    elsewhere = [folder for folder in sys.path if folder and Path(folder).resolve() != root]
    for path in sorted(root.glob("*")):
        if path.stem == "tinytorch" or not (path.suffix == ".py" or _is_package(path)):
            continue
        if path.stem in sys.stdlib_module_names or PathFinder.find_spec(path.stem, elsewhere):
            yield Check(FAULT, f"{path.name} hides the module {path.stem}, which others import", "Rename it.")


def _is_package(path: Path) -> bool:
    return (path / "__init__.py").is_file()


def _missing_tests(workspace: Workspace) -> Iterator[Check]:
    for path in pristine.missing_tests(workspace):
        yield Check(FAULT, f"{path} is missing, so its tests can't pass", _REPAIR)


def _exports(workspace: Workspace) -> Iterator[Check]:
    for module in workspace.course.modules:
        if exporting.look(workspace, module).state == exporting.EDITED:
            yield Check(
                FAULT,
                f"{module.export_path} is not what was exported: its code has another hash",
                f"Put your change into the module, then: tito module complete {module.number}",
            )


def _oddities(workspace: Workspace) -> Iterator[Check]:
    if any(workspace.store.fault(name) for name in STATE_FILES):
        return
    for text in (*progress.oddities(workspace), *config.oddities(workspace.store)):
        yield Check(NOTE, f".tito/{text}", "It is kept and counts for nothing.")
    try:
        for preference in config.PREFERENCES:
            config.chosen(workspace.store, preference.name)
    except TinyTorchError as error:
        yield Check(FAULT, str(error))
