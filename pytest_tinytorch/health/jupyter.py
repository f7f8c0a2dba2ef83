"""The kernel that runs notebooks."""
from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from pytest_tinytorch.health.check import FAULT, Check
from pytest_tinytorch.health.environment import is_this_python

KERNEL = "python3"  # what the course's notebooks name


def kernel() -> Iterator[Check]:
    """Whether Jupyter's `python3` is this Python.

    Jupyter itself replaces a bare `python` by the Python that it runs on, and has a kernel of its own if no file
    describes one.
    """
    if find_spec("ipykernel") is None:
        yield Check(FAULT, f"Jupyter has no kernel {KERNEL}: ipykernel is not installed", f"{sys.executable} -m pip install ipykernel")
        return
    path = _kernel_file()
    if path is None:
        return
    try:
        program = str(json.loads(path.read_text("utf-8"))["argv"][0])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        yield Check(FAULT, f"The kernel {KERNEL} can't be started: {path} is broken ({type(error).__name__})", _install(path))
        return
    interpreter = Path(program)
    if not interpreter.is_absolute():
        return
    if not interpreter.exists():
        yield Check(FAULT, f"The kernel {KERNEL} can't be started: {path} names {program}, which is gone", _install(path))
    elif not is_this_python(interpreter):
        yield Check(
            FAULT,
            f"Notebooks run on another Python: {path} names {program}, and this is {sys.executable}",
            _install(path),
        )


def _kernel_file() -> Path | None:
    """The file that describes the kernel: the first on Jupyter's path."""
    from jupyter_core.paths import jupyter_path

    files = (Path(folder, KERNEL, "kernel.json") for folder in jupyter_path("kernels"))
    return next((path for path in files if path.is_file()), None)


def _install(path: Path) -> str:
    """The command that describes the kernel anew, where Jupyter finds it before the file at `path`."""
    inside = path.is_relative_to(sys.prefix) or sys.prefix != sys.base_prefix
    return f"{sys.executable} -m ipykernel install --name {KERNEL} {'--sys-prefix' if inside else '--user'}"
