"""Makes a workspace of an instructor's course: what students get of `course.yml` and the modules that it adds.

The course is first put together in a temporary folder as workspaces hold it: `course.yml`, and in `extra/` the
instructor's own modules without their solutions, with the list of their required tests. From there it is copied like
the rest of the course, so that a workspace needs nothing but itself.
"""
from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_tinytorch.course import custom, stubs
from pytest_tinytorch.course.curriculum import (
    COURSE_FILE,
    EXTRA_FOLDER,
    REQUIRED_TESTS,
    Course,
    Module,
    UnknownName,
    is_left_behind,
)
from pytest_tinytorch.workspace import proof
from pytest_tinytorch.workspace.create import create
from pytest_tinytorch.workspace.layout import Workspace
from pytest_tinytorch.workspace.manifest import collect, fault_of_list, required_list
from tinytorch import _overlay
from tinytorch.errors import ConfigError
from tinytorch.yaml_file import Value


def hand_out(root: Path, base: Course, config: Path, *, format: str) -> Workspace:
    """Make a workspace at `root`, or finish one, of the course that the `course.yml` at `config` makes of `base`.

    Raises: ConfigError if the course has a fault, and what `create` raises; nothing is then written.
    """
    if config.resolve() == (root / COURSE_FILE).resolve():
        _check_is_students(root, base, config)
    return _hand_out(root, base, custom.read_config(config), str(config), config.parent, format)


def hand_out_modules(root: Path, base: Course, modules: str, *, format: str) -> Workspace:
    """As `hand_out`, of the modules of `base` that a text such as "1-6, 8" lists.

    Raises: UnknownName if it doesn't list modules that are a course.
    """
    text = f"modules: [{modules}]\n"
    try:
        if not re.fullmatch(r"[\w ,-]+", modules):
            raise ConfigError("numbers and ranges were expected, such as 1-6,8")
        custom.build(custom.document(text, ""), Path(), base)
    except ConfigError as error:
        raise UnknownName(f"--modules {modules}: {error}") from error
    return _hand_out(root, base, text, "", Path(), format)


def _hand_out(root: Path, base: Course, text: str, file: str, folder: Path, format: str) -> Workspace:
    with _handed_out(base, text, file, folder) as course:
        root = create(root, course, format=format).root
    return Workspace(root, custom.read(root / COURSE_FILE, base))


def _check_is_students(root: Path, base: Course, config: Path) -> None:
    """Refuse a folder whose `course.yml` names folders as an instructor has them: it would have to be overwritten."""
    text = custom.read_config(config)
    document = custom.document(text, str(config))
    if text == _relocated(text, own := custom.own_modules(document, root, base)):
        return
    own[0][0].refuse(
        f"this folder is an instructor's: a workspace has its modules in {EXTRA_FOLDER}/NN_slug, without solutions. Nothing was "
        f"changed. "
        + (
            "To take this course into the workspace: tito update" if _overlay.is_workspace(root)
            else f"Make the workspace in another folder: tito init DIR --config {COURSE_FILE}"
        )
    )


@contextmanager
def handed_out(base: Course, config: Path) -> Iterator[Course]:
    """The course that the `course.yml` at `config` makes of `base`, as workspaces hold it; its files are there for so long.

    Raises: ConfigError if the course has a fault.
    """
    with _handed_out(base, custom.read_config(config), str(config), config.parent) as course:
        yield course


@contextmanager
def _handed_out(base: Course, text: str, file: str, folder: Path) -> Iterator[Course]:
    document = custom.document(text, file)
    custom.build(document, folder, base)  # for its faults, before anything else is done
    with tempfile.TemporaryDirectory(prefix="tinytorch-handout-") as temporary:
        into = Path(temporary).resolve()
        own = custom.own_modules(document, folder, base)
        for _, module in own:
            _put(module, into / EXTRA_FOLDER / module.folder, with_solution=custom.gives_solutions(document))
        (into / COURSE_FILE).write_text(_relocated(text, own), "utf-8", newline="\n")
        course = custom.read(into / COURSE_FILE, base)
        for _, module in own:
            proof.check_imports(course, module, [*base.modules, *(other for _, other in own)])
        for module, listed in required_lists(course).items():
            (into / EXTRA_FOLDER / module.folder / REQUIRED_TESTS).write_bytes(listed)
        sources = {course.module(module.number): custom.read_text(base.source(module)) for _, module in own}
        if sources and all(map(stubs.tells, sources.values())):
            proof.prove(course, sources)
        yield course


def is_handed_out(workspace: Workspace) -> bool:
    """Whether the instructor's own modules lie where workspaces have them, with the lists of their tests."""
    return all(
        module.home == workspace.root / EXTRA_FOLDER / module.folder and not fault_of_list(module)
        for module in workspace.course.modules if module.home
    )


def _put(module: Module, target: Path, *, with_solution: bool) -> None:
    """Copy the folder of an instructor's module, the source with or without what stands between its markers."""
    if module.home is None:
        raise AssertionError(f"{module.label} is the installed course's")
    source = module.home / f"{module.folder}.py"
    text = custom.read_text(source)
    without = stubs.emptied(text, str(source))  # in any case, for its faults
    for path in sorted(module.home.rglob("*")):
        relative = path.relative_to(module.home)
        if path.is_file() and not is_left_behind(relative) and relative.as_posix() != REQUIRED_TESTS:
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / relative)
    (target / source.name).write_text(text if with_solution else without, "utf-8", newline="\n")


def _relocated(text: str, own: list[tuple[Value, Module]]) -> str:
    """The `course.yml` with the paths that its own modules have in a workspace; everything else stays as it is written."""
    for value, module in reversed(own):
        if value.is_block:
            value.refuse("write the folder in one line")
        text = text[: value.start] + f"{EXTRA_FOLDER}/{module.folder}" + text[value.end :]
    return text


def required_lists(course: Course) -> dict[Module, bytes]:
    """For each of the instructor's modules, the list of the tests that it needs to pass, collected now.

    Raises: ConfigError if they can't be collected.
    """
    own = [module for module in course.modules if module.home]
    if not own:
        return {}
    parts = proof.needed(course, own)
    if planned := [module.label for module in parts if not course.is_written(module)]:
        raise ConfigError(f"{own[0].label} and the other modules of extra need {', '.join(planned)}, which the course doesn't have yet")
    found = collect(course, parts)
    return {module: required_list(module, found[module.marker]) for module in own}
