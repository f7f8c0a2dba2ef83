"""A machine on which nothing is wrong, whoever runs the tests, and from where."""
from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

import tinytorch


def make_sound(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Set aside variables, installations and kernels that `tito doctor` would tell of; returns the temporary folder."""
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "JUPYTER_", "PYTHON"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", sysconfig.get_path("scripts"), prepend=os.pathsep)
    used = Path(tinytorch.__file__).parents[1].resolve()
    others = [entry for entry in sys.path if Path(entry, "tinytorch", "__init__.py").is_file() and Path(entry).resolve() != used]
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in others])
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(folder / "jupyter"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")  # the user's kernels, which are in the line above, come first
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return temporary
