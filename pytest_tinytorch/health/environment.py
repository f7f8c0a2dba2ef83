"""Python, the packages, and which of several installations the commands belong to."""
from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import tinytorch
from pytest_tinytorch.health.check import FAULT, GOOD, NOTE, Check

OLDEST_PYTHON = (3, 10)
PLUGIN = "pytest_tinytorch.plugin"
_VERSION = re.compile(r"^__version__ = [\"'](.+?)[\"']", re.MULTILINE)
# A launcher says which Python it starts: in its first line, behind a shell's `exec` if that path is long or has a blank,
# and near the end of an .exe on Windows.
_INTERPRETER = re.compile(rb"""(?:'''exec' |#!) *["']?([^\r\n\0"']*python[^\r\n\0"'/\\ ]*)""")


def reinstall() -> str:
    """The command that puts TinyTorch and its packages right."""
    return f"{sys.executable} -m pip install --force-reinstall tinytorch"


def setup() -> Iterator[Check]:
    wanted = ".".join(map(str, OLDEST_PYTHON))
    if sys.version_info < OLDEST_PYTHON:
        yield Check(FAULT, f"Environment: Python {sys.version.split()[0]}", f"Use Python {wanted} or newer.")
    elif not any(plugin.value == PLUGIN for plugin in metadata.entry_points(group="pytest11")):
        yield Check(FAULT, "Environment: pytest doesn't know the plugin", reinstall())
    else:
        yield Check(GOOD, "Environment setup")


def dependencies() -> Iterator[Check]:
    wrong = list(_wrong_dependencies())
    if wrong:
        names = " ".join(f'"{requirement}"' for requirement, _ in wrong)
        told = ", ".join(f"{requirement} ({found})" for requirement, found in wrong)
        yield Check(FAULT, f"Dependencies missing or too old: {told}", f"{sys.executable} -m pip install {names}")
    else:
        yield Check(GOOD, "Dependencies installed")


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


def installed() -> Iterator[Check]:
    said = "in development mode (editable)" if installation() == "editable" else "installed (wheel)"
    yield Check(GOOD, f"TinyTorch {tinytorch.__version__} {said}")


def installations() -> Iterator[Check]:
    """Other copies of the package on Python's path; harmless while they are of the same version."""
    used = Path(tinytorch.__file__).parent
    seen = {used.resolve()}
    for folder in sys.path:
        package = Path(folder, "tinytorch")
        if not (package / "__init__.py").is_file() or package.resolve() in seen:
            continue
        seen.add(package.resolve())
        version = _VERSION.search((package / "__init__.py").read_text("utf-8", errors="replace"))
        same = version is not None and version[1] == tinytorch.__version__
        yield Check(
            NOTE if same else FAULT,
            f"tinytorch is installed twice: {used} is used ({tinytorch.__version__}), {package} is not "
            f"({version[1] if version else 'another package of that name'})",
            "Keep one: leave the other out of PYTHONPATH, or uninstall with pip until it finds none, and install it once.",
        )


def python_path() -> Iterator[Check]:
    """Folders of PYTHONPATH with modules that Python or the course's packages have too."""
    wanted = {re.split(r"[^\w.-]", line)[0].replace("-", "_") for line in metadata.requires("tinytorch") or ()}
    known = sys.stdlib_module_names | wanted
    own = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")}
    for folder in map(Path, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))):
        if not folder.is_dir() or folder.resolve() in own:
            continue
        hidden = sorted(path.stem for path in folder.iterdir() if path.stem in known and _is_module(path))
        if hidden:
            names = ", ".join(hidden[:5]) + (f" and {len(hidden) - 5} more" if len(hidden) > 5 else "")
            yield Check(FAULT, f"PYTHONPATH has {folder}, which hides {names}", "Take the folder out of PYTHONPATH.")


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").is_file()


def commands() -> Iterator[Check]:
    """Whether the `tito` and `pytest` that are typed belong to the Python that runs this."""
    missing = []
    for name in ("tito", "pytest"):
        found = shutil.which(name)
        if found is None:
            missing.append(name)
        elif not _is_ours(Path(found)):
            other = _interpreter(Path(found))
            yield Check(
                FAULT,
                f"The command {name} is {found}, which belongs to another Python{f', {other}' if other else ''}",
                _use_this_python(name),
            )
    if missing:
        names = " and ".join(missing)
        yield Check(NOTE, f"{names}: not found on PATH, which lacks {_scripts()[0]}", _use_this_python(missing[0]))


def _scripts() -> list[Path]:
    """Where pip puts the commands of this Python: for all users of it, and for one."""
    return [Path(sysconfig.get_path("scripts")), Path(sysconfig.get_path("scripts", f"{os.name}_user"))]


def _is_ours(command: Path) -> bool:
    real = Path(os.path.realpath(command))
    if interpreter := _interpreter(real):
        return is_this_python(interpreter)
    if real.parent in [Path(os.path.realpath(folder)) for folder in _scripts()]:
        return True
    # a version manager's stand-in (pyenv, asdf), which starts the Python that is chosen below the same folder
    return Path(sys.prefix).resolve().is_relative_to(command.parent.parent.resolve())


def is_this_python(interpreter: Path) -> bool:
    """Whether a path is the Python that runs this, by one of its names; a virtual environment's is not its base's."""
    this = Path(sys.executable)
    return interpreter.parent.resolve() == this.parent.resolve() and interpreter.resolve() == this.resolve()


def _interpreter(command: Path) -> Path | None:
    """The Python that a launcher starts, if it says so."""
    match = _INTERPRETER.search(command.read_bytes())
    if not match:
        return None
    program, _, by_name = os.fsdecode(match[1]).partition("/env ")  # `#!/usr/bin/env python3`
    return Path(shutil.which(by_name) or by_name) if by_name else Path(program)


def _use_this_python(name: str) -> str:
    prefix = Path(sys.prefix)
    if (prefix / "conda-meta").is_dir():
        return f"conda activate {prefix}"
    if sys.prefix == sys.base_prefix:
        return f"Put {_scripts()[0]} first in PATH, or type: {sys.executable} -m {name}"
    return f"source {shlex.quote(str(prefix / 'bin' / 'activate'))}" if os.name != "nt" else f'"{prefix / "Scripts" / "activate"}"'
