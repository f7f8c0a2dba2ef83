"""Puts the student's exports beside the installed modules, and names the module to complete when one is missing.

A workspace's `tinytorch/` has no `__init__.py`, so the installed package is always the one imported; `bind` appends
the workspace's folder to its `__path__`. The order is installed, staging, workspace: a student's file can never
replace a base module, and a staged working copy comes before an older export.

A staging folder holds a `staging.json` beside the staged files. It maps each staged module to the working copy that
it came from, so that tracebacks show the lines that the student wrote (see `pytest_tinytorch.workspace.staging`).
"""
from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

from tinytorch._course_modules import COURSE_MODULES

WORKSPACE_VARIABLE = "TINYTORCH_WORKSPACE"
STAGING_VARIABLE = "TINYTORCH_STAGING"
STAGING_MAP = "staging.json"
COURSE_TABLE = "course_modules.json"  # in the tinytorch/ of a workspace whose course isn't the installed one

_installed = str(Path(__file__).parent)


def is_workspace(folder: Path) -> bool:
    """A folder with `.tito/`, or whose `pyproject.toml` has a `[tool.tinytorch]` table."""
    try:
        if (folder / ".tito").is_dir():
            return True
        project = (folder / "pyproject.toml").read_text("utf-8", errors="replace")
    except OSError:  # no such file, or not ours to read: not a workspace
        return False
    return "\n[tool.tinytorch]" in "\n" + project


def workspace_above(start: Path) -> Path | None:
    """The nearest workspace at `start` or above it."""
    return next((folder for folder in (start, *start.parents) if is_workspace(folder)), None)


def find_workspace(start: Path | None = None) -> Path | None:
    """The workspace named by `TINYTORCH_WORKSPACE`, else the nearest one at or above `start` (the working directory)."""
    named = os.environ.get(WORKSPACE_VARIABLE)
    if named:
        return named_folder(named)
    try:
        return workspace_above(start or Path.cwd())
    except FileNotFoundError:  # the working directory was deleted
        return None


def named_folder(text: str) -> Path:
    """A folder as people name it, made absolute; it need not exist, nor need the home that a `~` stands for."""
    path = Path(os.path.expanduser(text))  # noqa: PTH111  # Path.expanduser raises RuntimeError without a home
    try:
        return path.absolute()
    except FileNotFoundError:  # the working directory was deleted
        return path


def bind(workspace: Path | None = None, staging: Path | None = None) -> None:
    """Make `tinytorch` find the student's modules: in `staging` first, then in the workspace.

    Called at import, with what the environment says, and again by the plugin once pytest's root and options are known.
    Binding to other folders forgets the student's modules that were already imported.
    """
    import tinytorch

    workspace = workspace or find_workspace()
    if staging is None and os.environ.get(STAGING_VARIABLE):
        staging = Path(os.environ[STAGING_VARIABLE])
    path = [_installed] + [str(p) for p in (staging, workspace and workspace / "tinytorch") if p]
    tinytorch.__path__ = path
    _forget_student_modules()
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, (_StagedFinder, _MissingFinder))]
    if staging:
        sys.meta_path.insert(0, _StagedFinder(staging))
    sys.meta_path.append(_MissingFinder(workspace))
    importlib.invalidate_caches()


def _forget_student_modules() -> None:
    """Drop what was imported from another workspace or staging folder: whatever the installed package doesn't hold."""
    for name in [name for name in sys.modules if name.startswith("tinytorch.")]:
        file = getattr(sys.modules[name], "__file__", None)
        if file is None or not file.startswith(_installed + os.sep):
            module = sys.modules.pop(name)
            parent, _, child = name.rpartition(".")
            if getattr(sys.modules.get(parent), child, None) is module:
                delattr(sys.modules[parent], child)


class _StagedFinder:
    """Finds staged modules, and compiles them under the names of the working copy's cells."""

    def __init__(self, staging: Path) -> None:
        import json

        self.staging = staging
        try:
            self.modules = json.loads((staging / STAGING_MAP).read_text("utf-8"))
        except FileNotFoundError:  # a staging folder of plain modules, without working copies
            self.modules = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        staged = self.modules.get(fullname)
        if staged is None:
            return None
        from importlib.util import spec_from_file_location

        file = str(self.staging / staged["file"])
        return spec_from_file_location(fullname, file, loader=_StagedLoader(fullname, file, staged))


class _StagedLoader(importlib.machinery.SourceFileLoader):
    """Compiles a staged file piece by piece: the whole of a `.py`, or one piece for each cell of a notebook."""

    def __init__(self, fullname: str, path: str, staged: dict[str, object]) -> None:
        super().__init__(fullname, path)
        self.staged = staged

    def exec_module(self, module: ModuleType) -> None:
        for code in self.pieces():
            exec(code, module.__dict__)

    def pieces(self) -> list[CodeType]:
        import linecache

        lines = Path(self.path).read_text("utf-8").split("\n")
        codes: list[CodeType] = []
        flags = 0
        for name, first, last in self.staged["pieces"]:  # type: ignore[attr-defined]  # written by workspace.staging
            source = "\n".join(lines[first:last]) + "\n"
            # mtime None: linecache keeps entries that no file stands behind
            # split as Python counts lines: str.splitlines also ends one at a form feed
            linecache.cache[name] = (len(source), None, [line + "\n" for line in lines[first:last]], name)
            code = compile(source, name, "exec", flags=flags, dont_inherit=True)
            flags |= code.co_flags & _FUTURE_FLAGS  # `from __future__` in one cell holds for those after it
            codes.append(code)
        return codes


def _future_flags() -> int:
    import __future__

    return sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)


_FUTURE_FLAGS = _future_flags()


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "the working directory, which is gone"


def _course_table(workspace: Path) -> dict[str, tuple[str, str]] | None:
    """The table of an instructor's course; None if the workspace has none that can be read."""
    import json

    try:
        table = json.loads((workspace / "tinytorch" / COURSE_TABLE).read_text("utf-8"))
        return {str(exports): (str(number), str(title)) for exports, (number, title) in table.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # the installed course's table is the next best
        return None


class _MissingFinder:
    """Asked last: a course module that nobody found is one that the student hasn't completed yet, or not from here."""

    def __init__(self, workspace: Path | None) -> None:
        self.workspace = workspace
        self._modules: dict[str, tuple[str, str]] | None = None

    @property
    def modules(self) -> dict[str, tuple[str, str]]:
        """What the course's modules export, with their numbers and titles."""
        if self._modules is None:
            self._modules = (self.workspace and _course_table(self.workspace)) or COURSE_MODULES
        return self._modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith("tinytorch."):
            return None
        if fullname in self.modules or fullname in COURSE_MODULES:
            number, title = self.modules.get(fullname) or COURSE_MODULES[fullname]
            missing = (
                "which the course of this workspace leaves out."
                if fullname not in self.modules
                else f"which has no export here yet. Complete it first: tito module complete {number}"
                if self.workspace
                else f"and no workspace was found at or above {_here()}. Run this inside your workspace, or name it in {WORKSPACE_VARIABLE}."
            )
            # not ModuleNotFoundError, which `from tinytorch.core import tensor` would swallow
            raise ImportError(f"{fullname} comes from module {number} ({title}), {missing}", name=fullname)
        if any(name.startswith(fullname + ".") for name in (*COURSE_MODULES, *self.modules)):
            # `tinytorch.core` before anything was exported into it: an empty package, so that the import of
            # `tinytorch.core.tensor` goes on to the message above
            return importlib.machinery.ModuleSpec(fullname, None, is_package=True)
        return None
