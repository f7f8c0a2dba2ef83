"""What the student started from, and what differs from it now."""
from __future__ import annotations

from pathlib import Path, PurePath

from pytest_tinytorch.course.curriculum import EXTRA_FOLDER, REQUIRED_TESTS, Milestone, Module, is_left_behind
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files


def missing_tests(workspace: Workspace) -> dict[str, Path]:
    """The course's files beside the tests, and an instructor's in `extra/`, that the workspace lacks, sorted, and where each can be copied from.

    That is the pristine copy, or the installed course if there is none. What only a newer course has isn't missing: an
    update brings it.
    """
    versions = workspace.store.read("version.json")
    course = {path: file for part in workspace.course.parts for path, file in workspace.course.files_of(part).items()}
    known = {path: file for path, file in course.items() if path in versions["files"]}
    if versions["template_version"] == workspace.course.version:
        known = course
    for path in workspace.pristine.rglob("*"):
        if path.is_file():
            known[path.relative_to(workspace.pristine).as_posix()] = path
    own = [module for module in workspace.course.modules if module.home]
    folders = (*(f"{part.test_folder}/" for part in workspace.course.parts), *(f"{EXTRA_FOLDER}/{module.folder}/" for module in own))
    return {
        path: file for path, file in sorted(known.items())
        if path.startswith(folders) and not path.endswith(REQUIRED_TESTS) and not is_left_behind(PurePath(path)) and not (workspace.root / path).exists()
    }


def missing_options(workspace: Workspace) -> dict[str, Path]:
    """The workspace's `pyproject.toml`, if it is missing, and where it can be copied from."""
    name = "pyproject.toml"
    sources = (workspace.pristine / name, workspace.course.folder / "workspace" / name)
    return {} if (workspace.root / name).exists() else {name: next(path for path in sources if path.is_file())}


def differing(workspace: Workspace, part: Module | Milestone) -> list[str]:
    """The test files of a module or milestone that were changed, removed or added, and added `conftest.py` above them.

    Compared with the hashes in `version.json`: all files that the course put beside the tests (but its prose), and of
    added ones those that Python reads. Paths are relative to the workspace, sorted.
    """
    known = {
        path: entry.get("sha256")
        for path, entry in workspace.store.read("version.json")["files"].items()
        if path.startswith(f"{part.test_folder}/") and not path.endswith(".md")
    }
    above = [workspace.root / folder / "conftest.py" for folder in (".", "tests", "milestones")]
    folder = workspace.root / part.test_folder
    beside = [path for path in folder.rglob("*.py") if not is_left_behind(path.relative_to(folder))]
    here = {
        workspace.relative(path): path.read_bytes()
        for path in (*(workspace.root / path for path in known), *beside, *above)
        if path.is_file()
    }
    return sorted(path for path in known.keys() | here.keys() if not is_same(known.get(path), here.get(path)))


def is_same_content(one: bytes, other: bytes) -> bool:
    """Whether two files say the same, whichever newlines git gave them."""
    return one == other or one.replace(b"\r\n", b"\n") == other.replace(b"\r\n", b"\n")


def is_same(known: str | None, data: bytes | None) -> bool:
    """Whether content has a hash, also if git gave it Windows' newlines; no content is what no hash stands for."""
    if data is None or known is None:
        return data is None and known is None
    return known in (files.sha256(data), files.sha256(data.replace(b"\r\n", b"\n")))
