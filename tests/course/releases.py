"""The course as it was released, version by version: archives beside this file's folder, and what must hold between them.

A release is frozen by `python -m tests.course.releases`: from then on a change of the course needs a new VERSION, and an
entry of CHANGES.toml for each file.
"""
from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from packaging.version import Version

from pytest_tinytorch.course.curriculum import Course, load, read_course
from pytest_tinytorch.update.releases import reasons
from pytest_tinytorch.workspace.create import course_files
from pytest_tinytorch.workspace.layout import FORMATS
from tinytorch import files

ARCHIVES = Path(__file__).parents[1] / "releases"
# about the versions themselves, or made from the rest
_NOT_COMPARED = {"VERSION", "CHANGES.toml", "history.json", "required_tests.json"}
_IN_A_WORKSPACE = {"workspace/gitignore": ".gitignore", "workspace/README.md": "README.md", "workspace/pyproject.toml": "pyproject.toml"}


def versions() -> list[str]:
    """The frozen versions, oldest first."""
    return sorted((path.name.removesuffix(".tar.xz") for path in ARCHIVES.glob("*.tar.xz")), key=Version)


def unpacked(version: str, folder: Path) -> Course:
    """The course of a frozen version, in a folder of its own below `folder`."""
    target = folder / version
    if not target.exists():
        with tarfile.open(ARCHIVES / f"{version}.tar.xz") as archive:
            archive.extractall(target, filter="data")
    return read_course(target / "templates")


def content(course: Course) -> dict[str, bytes]:
    """The files of a course that are compared, by the path that a workspace knows them by."""
    found = {}
    for path in sorted(course.folder.rglob("*")):
        name = path.relative_to(course.folder).as_posix()
        if path.is_file() and name not in _NOT_COMPARED and "__pycache__" not in path.parts:
            found[_IN_A_WORKSPACE.get(name, name)] = path.read_bytes()
    return found


def unexplained(old: Course, new: Course) -> list[str]:
    """What is wrong between two versions, in sentences: a change under the same VERSION, or one without an entry."""
    before, after = content(old), content(new)
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    if changed and Version(new.version) <= Version(old.version):
        return [f"{', '.join(changed)}: changed since {old.version}, and VERSION is {new.version}"]
    entries = [reason for reason in reasons(load()) if Version(old.version) < Version(reason.version) <= Version(new.version)]
    return [f"{path}: no entry of CHANGES.toml says why" for path in changed if not any(entry.covers(path) for entry in entries)]


def history(courses: list[Course]) -> str:
    """The text of `history.json`: path in a workspace, to the versions in which its content changed, to its hash."""
    table: dict[str, dict[str, str]] = {}
    for course in courses:
        for form in FORMATS:
            for path, data in course_files(course, form).items():
                known, sha256 = table.setdefault(path, {}), files.sha256(data)
                if sha256 not in known.values():
                    known[course.version] = sha256
    return json.dumps(dict(sorted(table.items())), indent=1) + "\n"


def freeze(course: Course) -> Path:
    """Archive a course as its version; the same course gives the same bytes.

    Raises: FileExistsError if that version is frozen already.
    """
    target = ARCHIVES / f"{course.version}.tar.xz"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", preset=9) as archive:
        for path in sorted(course.folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.name != "history.json":
                entry = tarfile.TarInfo(f"templates/{path.relative_to(course.folder).as_posix()}")
                data = path.read_bytes()
                entry.size, entry.mode = len(data), 0o755 if files.is_executable(path) else 0o644
                archive.addfile(entry, io.BytesIO(data))
    with target.open("xb") as file:
        file.write(packed.getvalue())
    return target


if __name__ == "__main__":
    print(f"Frozen: {freeze(load())}. Now run: make generate")
