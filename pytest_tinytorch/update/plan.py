"""What an update would do: three sides compared, nothing written.

For each file there is what the workspace got from the course (`version.json`), what is there now, and what the
installed course has. Only a file that is still as the workspace got it is replaced or removed, but for `course.yml` and
`extra/`, which are the instructor's and say what the course is. Whatever lies in
`modules/` is the student's: it is named, and taken module by module.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_tinytorch.course.curriculum import EXTRA_FOLDER, Module
from pytest_tinytorch.state import pristine, progress
from pytest_tinytorch.state.store import State
from pytest_tinytorch.state.transaction import content
from pytest_tinytorch.update import bases
from pytest_tinytorch.workspace import create
from pytest_tinytorch.workspace.layout import FORMATS, Workspace
from tinytorch import files

ADD, UPDATE, REMOVE, MOVE, SKIP, KEEP, ADOPT, FORGET = "add", "update", "remove", "move", "skip", "keep", "adopt", "forget"
VISIBLE = (ADD, UPDATE, REMOVE, MOVE, SKIP, KEEP)  # the others change what is known of a file, not the file
MODIFIED, LINK, IN_THE_WAY = "student modified", "it is a link", "a file of yours is in the way"
GONE = "the course no longer has it, and it is yours now"
UNTOUCHED, CHANGED, COMPLETED = "untouched", "modified", "completed"


@dataclass(frozen=True)
class Step:
    """What becomes of one file."""

    action: str
    path: str
    why_not: str = ""  # of a skipped one
    source: str = ""  # where a moved one comes from


@dataclass(frozen=True)
class ModuleChange:
    """A module that the course changed and whose folder the workspace has: the student decides."""

    module: Module
    state: str  # untouched, modified or completed
    paths: tuple[str, ...]  # of the changed files in its folder
    since: str  # the version that the workspace has
    has_base: bool = True  # whether what the work was started from is known, so that it can be merged

    @property
    def command(self) -> str:
        """How the student gets the change: merged where there is work to keep, and it can be."""
        return f"tito update --module {self.module.number}{' --merge' if self.is_merged else ''}"

    @property
    def is_merged(self) -> bool:
        return self.state != UNTOUCHED and self.has_base


@dataclass(frozen=True)
class Plan:
    """All that an update would do."""

    old: str  # version of the course that the workspace has
    new: str  # and the installed one
    steps: tuple[Step, ...] = ()
    modules: tuple[ModuleChange, ...] = ()
    contents: dict[str, bytes] = field(default_factory=dict)  # the installed course's files, by path

    @property
    def visible(self) -> list[Step]:
        return [step for step in self.steps if step.action in VISIBLE]


def plan(workspace: Workspace) -> Plan:
    """Compare a workspace with the installed course."""
    versions = workspace.store.read("version.json")
    new = create.files_here(workspace)
    known = versions["files"]
    moved = dict(_moved(workspace, known))
    left = {here.split("/")[1] for here in moved}
    # the folders of modules that the workspace has; a new module comes whole
    present = {module.folder for module in workspace.course.modules if workspace.existing_forms(module)}
    present |= {there.split("/")[1] for there in moved.values()}

    def wanted(path: str) -> bool:
        if path in new:
            return _is_new_beside(workspace, known, path) or not path.startswith("modules/") or path.split("/")[1] not in present
        # what lay in the folder of a module that went, or in another form, stays: it is the student's
        return path not in moved and (not path.startswith("modules/") or path.split("/")[1] in left)

    steps = [Step(MOVE, there, source=here) for here, there in moved.items()]
    steps += file_steps(workspace, known, new, wanted)
    return Plan(
        versions["template_version"], workspace.course.version, tuple(sorted(steps, key=lambda step: step.path)),
        tuple(_module_changes(workspace, versions, new, moved, present)), new,
    )


def file_steps(workspace: Workspace, known: State, new: Mapping[str, bytes], wanted: Callable[[str], bool]) -> Iterator[Step]:
    """What becomes of the `wanted` files, of those that the course has now and of those that it had."""
    for path, data in new.items():
        if wanted(path) and (step := _step(workspace, known, path, data)):
            yield step
    for path in known.keys() - new.keys():
        if wanted(path):
            yield _step_for_gone(workspace, known, path)


def _step(workspace: Workspace, known: State, path: str, data: bytes) -> Step | None:
    """What becomes of a file that the installed course has; None if it is as it should be."""
    entry = known.get(path)
    if is_link(workspace.root, path):
        return None if entry and pristine.is_same(entry.get("sha256"), data) else Step(SKIP, path, LINK)
    here = content(workspace.root / path)
    if here is None:
        return Step(SKIP, path, IN_THE_WAY) if _is_in_the_way(workspace, known, path) else Step(ADD, path)
    as_got = entry is not None and pristine.is_same(entry.get("sha256"), here)
    if pristine.is_same_content(data, here):
        gets_executable = files.is_executable(workspace.course.folder / path) and not files.is_executable(workspace.root / path)
        return Step(UPDATE, path) if gets_executable else None if as_got else Step(ADOPT, path)
    if as_got or path in workspace.course.instructors_files:
        return Step(UPDATE, path)
    if entry is None:
        return Step(SKIP, path, IN_THE_WAY)
    return None if pristine.is_same(entry.get("sha256"), data) and entry.get("version") != "unknown" else Step(SKIP, path, MODIFIED)


def _step_for_gone(workspace: Workspace, known: State, path: str) -> Step:
    """What becomes of a file that the course no longer has."""
    here = content(workspace.root / path)
    if here is None:
        return Step(FORGET, path)
    as_got = path.startswith(f"{EXTRA_FOLDER}/") or pristine.is_same(known[path].get("sha256"), here)
    return Step(REMOVE, path) if as_got and not is_link(workspace.root, path) else Step(KEEP, path, GONE)


def _moved(workspace: Workspace, known: State) -> Iterator[tuple[str, str]]:
    """Working copies of modules whose folder has another name now: where each lies, and where it belongs."""
    numbers = {module.number: module for module in workspace.course.modules if workspace.course.is_written(module)}
    for folder in sorted({path.split("/")[1] for path in known if path.startswith("modules/")}):
        module = numbers.get(folder[:2])
        if module is None or folder == module.folder:
            continue
        for suffix in FORMATS:
            here, there = f"modules/{folder}/{folder}.{suffix}", f"modules/{module.folder}/{module.folder}.{suffix}"
            if content(workspace.root / here) is not None and not (workspace.root / there).exists():
                yield here, there


def _module_changes(
    workspace: Workspace, versions: State, new: dict[str, bytes], moved: dict[str, str], present: Collection[str]
) -> Iterator[ModuleChange]:
    known = versions["files"]
    complete = {module.number for module in progress.complete(workspace)}
    came_from = {there: here for here, there in moved.items()}
    for module in (module for module in workspace.course.modules if module.folder in present and workspace.course.is_written(module)):
        paths = [path for path in new if path.startswith(f"modules/{module.folder}/")]
        was = {path: known.get(came_from.get(path, path), {}) for path in paths}
        was |= {path: base.entry for path in paths if (base := bases.of_older_work(workspace, versions, path))}
        paths = [path for path in paths if not _is_new_beside(workspace, known, path)]
        changed = [path for path in paths if not pristine.is_same(was[path].get("sha256"), new[path]) or was[path].get("version", "unknown") == "unknown"]
        if not changed:
            continue
        touched = any(
            not pristine.is_same(was[path].get("sha256"), data)
            for path in paths
            if (data := content(workspace.root / came_from.get(path, path))) is not None
        )
        state = COMPLETED if module.number in complete else CHANGED if touched else UNTOUCHED
        since = min((str(entry.get("version", "unknown")) for entry in was.values()), key=_age)
        forms = {came_from.get(path, path) for path in changed if workspace.module_at(path)}
        has_base = all(bases.newest(workspace, versions, form) for form in forms)
        yield ModuleChange(module, state, tuple(changed), since, has_base)


def _is_new_beside(workspace: Workspace, known: State, path: str) -> bool:
    """Whether a file is none that the student has or had, nor a working copy: that is added, in a module's folder too."""
    return path not in known and not os.path.lexists(workspace.root / path) and not workspace.module_at(path)


def _age(version: str) -> tuple[bool, object]:
    from pytest_tinytorch.update.releases import number_of

    return (False, 0) if version == "unknown" else (True, number_of(version, "version.json"))


def is_link(root: Path, path: str) -> bool:
    """Whether a path of the workspace is a link or lies below one: then it isn't ours to replace."""
    parts = path.split("/")
    return any((root / "/".join(parts[: length + 1])).is_symlink() for length in range(len(parts)))


def _is_in_the_way(workspace: Workspace, known: State, path: str) -> bool:
    """Whether something keeps a new file from its place.

    A folder of its name, a file where its folder belongs, or the student's file whose name differs in case only, which
    is the same file to some systems. One that the course itself takes away is in nobody's way.
    """
    target = workspace.root / path
    if target.exists() and content(target) is None and target.is_dir():
        return True
    for parent in target.relative_to(workspace.root).parents:
        if (workspace.root / parent).exists() and not (workspace.root / parent).is_dir():
            return True
    if not target.parent.is_dir():
        return False
    others = [name for name in os.listdir(target.parent) if name.casefold() == target.name.casefold() and name != target.name]  # noqa: PTH208
    folder = path.rpartition("/")[0]
    return any(f"{folder}/{name}".removeprefix("/") not in known for name in others)
