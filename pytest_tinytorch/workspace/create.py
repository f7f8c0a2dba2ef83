"""Makes a workspace from the course's templates, and `version.json`, which says what it was made from.

What a new workspace holds is a table of paths and contents, computed first and written afterwards: nothing is written
if a file in the way has other content, and a run that was killed is finished by running it again.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pytest_tinytorch.course import stubs
from pytest_tinytorch.course.curriculum import COURSE_FILE, Course, Milestone, Module
from pytest_tinytorch.state.store import STATE_FILES, State, empty, utc_now
from pytest_tinytorch.workspace import convert
from pytest_tinytorch.workspace.layout import FORMATS, Workspace
from tinytorch import _overlay, files
from tinytorch.errors import ConfigError, WorkspaceError

LAYOUT_VERSION = "1.0"
_TAKE_IN = "Nothing was changed. Choose another folder, or take the other course in, from there, with: tito update --config FILE"


def course_files(course: Course, format: str) -> dict[str, bytes]:
    """Path to content of everything that the course puts into a workspace, with stubs in place of solutions."""
    if format not in FORMATS:
        raise ConfigError(f"There is no format {format!r}: a working copy is one of {', '.join(FORMATS)}")
    sources = {".gitignore": "gitignore", "README.md": "README.md", "pyproject.toml": "pyproject.toml"}
    try:
        found = {path: (course.folder / "workspace" / source).read_bytes() for path, source in sources.items()}
    except OSError as error:
        raise ConfigError(f"{course.folder} is no course: {error.strerror} ({error.filename})") from error
    if course.config:
        found = {path: file.read_bytes() for path, file in course.instructors_files.items()} | found  # first: see create
        found[f"tinytorch/{_overlay.COURSE_TABLE}"] = overlay_table(course)
    for module in course.modules:
        if course.is_written(module):
            found |= _contents(course, module)
            found[f"modules/{module.folder}/{module.folder}.{format}"] = stub_file(course, module, format)
    for milestone in course.milestones:
        found |= _contents(course, milestone)
    return found


def files_here(workspace: Workspace) -> dict[str, bytes]:
    """The course's files in the forms that this workspace's working copies have."""
    course = workspace.course
    suffixes = [path.suffix for module in course.modules for path in workspace.existing_forms(module)]
    usual = suffixes[0][1:] if suffixes else FORMATS[0]
    contents = course_files(course, usual)
    for module in course.modules:
        here = [workspace.relative(path) for path in workspace.existing_forms(module)]
        if here and course.is_written(module):
            del contents[f"modules/{module.folder}/{module.folder}.{usual}"]
            contents |= {path: stub_file(course, module, path.rpartition(".")[2]) for path in here}
    return contents


def overlay_table(course: Course) -> bytes:
    """What the overlay, which reads no YAML, knows of an instructor's course: which module exports what."""
    table = {module.exports: [module.number, module.title] for module in course.modules}
    return (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def stub_file(course: Course, module: Module, format: str) -> bytes:
    """A module as a student first sees it, as a notebook or a percent script."""
    text = stubs.stub(course.source(module).read_text("utf-8"), str(course.source(module)))
    return (text if format == "py" else convert.to_notebook(text)).encode("utf-8")


def _contents(course: Course, part: Module | Milestone) -> dict[str, bytes]:
    return {path: file.read_bytes() for path, file in course.files_of(part).items()}


def create(root: Path, course: Course, *, format: str = "ipynb") -> Workspace:
    """Make a workspace at `root`, or finish one.

    Raises: WorkspaceError, and changes nothing, if `root` lies inside a workspace or is a file, or if a file in it
        has other content than the course would put there.
    """
    root = _overlay.named_folder(str(root)).resolve()  # `..` and links, before asking what lies above
    if root.exists() and not root.is_dir():
        raise WorkspaceError(f"{root} is a file. Name a folder for the workspace, which may be new.")
    if outer := _overlay.workspace_above(root.parent):
        raise WorkspaceError(
            f"{root} lies inside the workspace {outer}, and commands would not know which of the two you mean. "
            "Choose a folder outside of it."
        )
    if course.config and _overlay.is_workspace(root) and not (root / COURSE_FILE).exists():
        raise WorkspaceError(f"{root} is a workspace of the whole course already. {_TAKE_IN}")
    workspace = Workspace(root, course)
    contents = course_files(course, format)
    in_the_way = [path for path, data in contents.items() if not _is_free(root / path, data)]
    if workspace.tito.exists() and not workspace.tito.is_dir():
        in_the_way.append(".tito")
    if others := [path for module in course.modules for path in workspace.existing_forms(module) if path.suffix != f".{format}"]:
        raise WorkspaceError(
            f"{root} is a workspace already, and its modules are {others[0].suffix} files: {workspace.relative(others[0])}. "
            f"Nothing was changed. To change a module's format: tito module convert NN --to {format}"
        )
    if COURSE_FILE in in_the_way and _overlay.is_workspace(root):
        raise WorkspaceError(f"{root} is a workspace already, and its {COURSE_FILE} says something else. {_TAKE_IN}")
    if in_the_way:
        listed = "\n".join(f"  {path}" for path in in_the_way)
        raise WorkspaceError(
            f"{root} has files with other content than the course would put there:\n{listed}\n"
            "Nothing was changed. Choose another folder, or move these away first."
        )
    try:
        for path, data in contents.items():
            if not (root / path).exists():
                files.write_atomic(root / path, data)
        with workspace.store.locked():
            for path, data in contents.items():
                files.write_atomic(workspace.pristine / path, data)
            for name in STATE_FILES:
                if not (workspace.tito / name).exists():
                    workspace.store.write(name, versions(course, contents) if name == "version.json" else empty(name))
            (workspace.tito / "backups").mkdir(exist_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"The workspace can't be written: {error}. Make room or choose another folder, then run tito init again; "
            "it goes on where it stopped."
        ) from error
    return workspace


def _is_free(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return not path.is_symlink()  # a link to nowhere: writing would fill its other end
    except OSError:  # a folder, below a file, or not ours to read
        return False


def versions(course: Course, contents: Mapping[str, bytes]) -> State:
    """A `version.json` that says: these files, as this version of the course has them."""
    made = utc_now()
    return {
        "workspace_version": LAYOUT_VERSION,
        "template_version": course.version,
        "created": made,
        "last_updated": made,
        "files": {
            path: {"version": course.version, "modified_by_student": False, "sha256": files.sha256(data)}
            for path, data in sorted(contents.items())
        },
    }
