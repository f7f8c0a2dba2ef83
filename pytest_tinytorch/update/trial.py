"""A module's tests, run on a working copy that isn't in place yet: in a copy of the workspace, by pytest itself."""
from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_tinytorch.course.curriculum import COURSE_FILE, EXTRA_FOLDER, Module
from pytest_tinytorch.state.progress import PROGRESS
from pytest_tinytorch.workspace.layout import Workspace
from pytest_tinytorch.workspace.manifest import run_pytest
from tinytorch import _overlay

_NEEDED = ("pyproject.toml", "conftest.py", "tests/conftest.py", "tinytorch", COURSE_FILE, EXTRA_FOLDER)  # beside the module's folders


@dataclass(frozen=True)
class Trial:
    """What the module's tests say of one working copy."""

    failed: frozenset[str] | None  # ids; None if not every test could run, since the module does not import, say

    @property
    def passed(self) -> bool:
        return self.failed == frozenset()

    def breaks(self, before: Trial) -> list[str]:
        """The tests that fail here and passed there; all of them, as one word, if none can run any more."""
        if before.failed is None:
            return []
        return ["all tests: the module can't be tested any more"] if self.failed is None else sorted(self.failed - before.failed)


def run(workspace: Workspace, module: Module, contents: Mapping[str, bytes | None]) -> Trial:
    """Run a module's tests on the workspace as it would be with `contents`, by path, in place."""
    with tempfile.TemporaryDirectory(prefix="tinytorch-trial-") as folder:
        root = Path(folder).resolve()
        for name in (*_NEEDED, f"tests/{module.folder}", f"modules/{module.folder}"):
            _copy(workspace.root / name, root / name)
        (root / ".tito").mkdir()
        for path, data in contents.items():
            if data is None:
                (root / path).unlink(missing_ok=True)
            elif not path.startswith(".tito/"):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(data)
        command = ["-q", "-m", module.marker, "-p", "no:cacheprovider"]
        run_pytest(workspace.course, root, command, {_overlay.WORKSPACE_VARIABLE: str(root)})
        return Trial(_failed(root, module))


def _failed(root: Path, module: Module) -> frozenset[str] | None:
    try:
        results = json.loads((root / ".tito" / PROGRESS).read_bytes()).get("results", {})
    except FileNotFoundError:
        return None
    result = results.get(module.key)
    return None if result is None else frozenset(result["failed"])


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copyfile)
    elif source.is_file():
        shutil.copyfile(source, target)
