"""Where things lie in a workspace, and which file of a module is the one that the student edits."""
from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_tinytorch.course import curriculum
from pytest_tinytorch.course.curriculum import COURSE_FILE, Course, Milestone, Module
from pytest_tinytorch.state.store import Store
from tinytorch import _overlay
from tinytorch.errors import ConfigError, ExportError, WorkspaceError

if TYPE_CHECKING:
    from pytest_tinytorch.workspace.notebooks import Cell

FORMATS = ("ipynb", "py")
_WORKING_COPY = re.compile(r"modules/((?P<number>\d\d)_\w+)/\1\.(py|ipynb)")


@dataclass(frozen=True)
class WorkingCopy:
    """What the student has written for a module, as it was at one moment.

    Everything that a run does (test, back up, export, record) uses the bytes read here, so that saving the file in
    the middle of a run can't export what wasn't tested.
    """

    module: Module
    path: Path
    data: bytes
    older: Path | None = None  # the other form, if both exist and say different things

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells, in order.

        Raises: ExportError if the file is no notebook or percent script.
        """
        from pytest_tinytorch.workspace import notebooks

        return notebooks.parse(self.data, self.path)

    @property
    def conflicts(self) -> list[Cell]:
        """The cells that show what an update could not put together, and that aren't settled."""
        return [cell for cell in self.cells if cell.conflict]

    @cached_property
    def code_hash(self) -> str:
        """The SHA-256 of the code that is exported; the same for a notebook and its percent twin."""
        return code_hash(self.cells)


def code_hash(cells: Iterable[Cell]) -> str:
    """The SHA-256 of the cells that belong to the package: outputs, prose and demonstrations don't count."""
    from tinytorch import files

    return files.sha256("\n\0".join(cell.source for cell in cells if cell.is_exported).encode("utf-8"))


@dataclass(frozen=True)
class Workspace:
    """A student's folder, and the course that it was made from."""

    root: Path
    course: Course

    @property
    def tito(self) -> Path:
        return self.root / ".tito"

    @property
    def pristine(self) -> Path:
        """Copies of the files that the student started from, under the same paths."""
        return self.tito / "pristine"

    @cached_property
    def store(self) -> Store:
        return Store(self.tito)

    def forms(self, module: Module) -> list[Path]:
        """The paths that a module's working copy may have; those of files that exist come from `existing_forms`."""
        return [self.root / "modules" / module.folder / f"{module.folder}.{suffix}" for suffix in FORMATS]

    def existing_forms(self, module: Module) -> list[Path]:
        return [path for path in self.forms(module) if path.is_file()]

    def has(self, part: Module | Milestone) -> bool:
        """Whether anything of a module or milestone is here. What a newer course brings is not, until `tito update`."""
        forms = self.existing_forms(part) if isinstance(part, Module) else []
        return bool(forms) or (self.root / part.test_folder).is_dir()

    def to_bring_in(self, part: Module | Milestone) -> str:
        """What is said of one of which nothing is here."""
        return (
            f"{type(part).__name__} {part.label} is not in this workspace yet: version {self.course.version} of the course, which "
            "is installed, has it. Bring it in with: tito update"
        )

    def module_at(self, path: str) -> Module | None:
        """The module whose working copy lies at a path of the workspace, also under a slug of another version."""
        match = _WORKING_COPY.fullmatch(path)
        return next((module for module in self.course.modules if match and module.number == match["number"]), None)

    def export(self, module: Module) -> Path:
        return self.root / module.export_path

    def relative(self, path: Path) -> str:
        """A path as people read it: from the workspace, with slashes."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def working_copy(self, module: Module) -> WorkingCopy:
        """The module's working copy: the newer file, where a notebook and a percent script both exist.

        Raises: WorkspaceError if there is none or it can't be read.
        """
        forms = self.existing_forms(module)
        if not forms and not self.has(module):
            raise WorkspaceError(self.to_bring_in(module))
        if not forms:
            paths = " or ".join(self.relative(path) for path in self.forms(module))
            raise WorkspaceError(
                f"Module {module.label} has no working copy: {paths} is missing in {self.root}. "
                f"Bring one back with: tito module reset {module.number}"
                + (f", or: tito backup restore {module.number}" if any(self.tito.glob(f"backups/{module.folder}_*")) else "")
            )
        try:
            newest = max(forms, key=lambda path: path.stat().st_mtime_ns)
            copy = WorkingCopy(module, newest, newest.read_bytes())
            if len(forms) == 1:
                return copy
            other = next(path for path in forms if path != newest)
            twin = WorkingCopy(module, other, other.read_bytes())
        except OSError as error:
            raise WorkspaceError(f"{error.filename} can't be read: {error.strerror}.") from error
        return WorkingCopy(module, newest, copy.data, older=None if _agree(copy, twin) else other)


def _agree(one: WorkingCopy, other: WorkingCopy) -> bool:
    """Whether two forms say the same; one that can't be read doesn't, and its own reader says why."""
    try:
        return _sources(one) == _sources(other)
    except ExportError:
        return False


def _sources(copy: WorkingCopy) -> list[tuple[str, str]]:
    return [(cell.kind, cell.source) for cell in copy.cells]


def find(start: Path | None = None, *, named: str | None = None, course: Course | None = None) -> Workspace | None:
    """The workspace: `TINYTORCH_WORKSPACE`, else `named` (the ini option), else the nearest at or above `start`.

    It is of the given `course`, if one is; otherwise of its own.
    """
    import os

    if not os.environ.get(_overlay.WORKSPACE_VARIABLE) and named:
        root: Path | None = _overlay.named_folder(named)
    else:
        root = _overlay.find_workspace(start)
    if root is None:
        return None
    if not root.is_dir():
        raise WorkspaceError(
            f"There is no folder {root}, which {_overlay.WORKSPACE_VARIABLE} or tito_workspace names. "
            "Correct it, or make a workspace there with: tito init"
        )
    if not _overlay.is_workspace(root):
        raise WorkspaceError(f"{root} is no workspace: it has no .tito folder. Make one with: tito init {root}")
    return Workspace(root.resolve(), course or _course_of(root.resolve()))


def _course_of(root: Path) -> Course:
    """The course of this installation, as the workspace's `course.yml` changes it."""
    course, config, kept = curriculum.load(), root / COURSE_FILE, root / ".tito" / "pristine"
    try:
        is_kept = (kept / COURSE_FILE).is_file()
    except PermissionError:  # whoever reads the state tells it
        is_kept = False
    if not config.is_file() and not is_kept:
        return course
    from pytest_tinytorch.course import custom

    try:
        return custom.read(config, course)
    except ConfigError as error:
        from pytest_tinytorch.state import transaction

        unfinished = kept.parent / transaction.FOLDER
        if unfinished.is_dir():  # killed while it replaced the course: what was decided comes first
            transaction.finish(Workspace(root, course))
            if not unfinished.is_dir():
                return _course_of(root)
        ways = ["To bring back the course as you got it: tito doctor --repair"] if is_kept else []
        ways.append("To take in a newer one from your instructor: tito update --config FILE")
        raise ConfigError("\n".join([str(error), *ways])) from error


def current(course: Course | None = None) -> Workspace:
    """The workspace of the working directory; of the given `course`, if one is.

    Raises: WorkspaceError outside of one.
    """
    workspace = find(course=course)
    if workspace is None:
        raise WorkspaceError(
            "No workspace here: neither this folder nor one above it has a .tito folder. "
            "Make one with `tito init my-tinytorch`, or go to yours and run this again."
        )
    return workspace
