"""The workspace: its state, the student's files, and what hides what."""
from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import tinytorch
from pytest_tinytorch import exporting
from pytest_tinytorch.course.curriculum import EXTRA_FOLDER
from pytest_tinytorch.health.check import FAULT, GOOD, NOTE, REPAIR, TIDY, Check
from pytest_tinytorch.state import config, pristine, progress, undo
from pytest_tinytorch.state.store import STATE_FILES
from pytest_tinytorch.workspace import manifest
from pytest_tinytorch.workspace.export import check_plain, place
from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace
from tinytorch.errors import DataError, TinyTorchError

_ORDER = ("progress.json", "milestones.json", "config.json", "version.json")


def data(workspace: Workspace) -> Iterator[Check]:
    from tinytorch import datasets

    try:
        datasets.load("digits")
    except DataError as error:
        yield Check(FAULT, "Data files corrupted", str(error))
        return
    if any(workspace.store.fault(name) for name in STATE_FILES):
        yield Check(FAULT, "Data files corrupted", REPAIR)
    else:
        yield Check(GOOD, "Data files intact")


def state_files(workspace: Workspace) -> Iterator[Check]:
    for name in _ORDER:
        yield _state_file(workspace, name)


def _state_file(workspace: Workspace, name: str) -> Check:
    if workspace.store.fault(name) is None:
        return Check(GOOD, f".tito/{name} valid")
    try:
        workspace.store.read(name)
    except TinyTorchError as error:
        head, _, ways_out = str(error).partition("\n")
        return Check(FAULT, head, ways_out)
    raise AssertionError(f"{name} has a fault and can be read")


def backups_folder(workspace: Workspace) -> Iterator[Check]:
    if (workspace.tito / "backups").is_dir():
        yield Check(GOOD, "Backups directory exists")
    else:
        yield Check(FAULT, "Backups directory is no directory", "Move .tito/backups away; the next command makes the directory again.")


def undo_plans(workspace: Workspace) -> Iterator[Check]:
    """What `tito undo` stumbles over."""
    for said in undo.broken(workspace).values():
        yield Check(FAULT, f"`tito undo` is blocked. {said}", TIDY)


def hidden(workspace: Workspace) -> Iterator[Check]:
    """Files in the workspace that keep Python from finding the installed package, or the student's modules."""
    root = workspace.root
    package = root / "tinytorch"
    for path in (root / "tinytorch.py", package / "__init__.py", package / "core" / "__init__.py", package / "perf" / "__init__.py"):
        if path.is_file():
            name = path.relative_to(root).as_posix()
            yield Check(FAULT, f"{name} hides other parts of tinytorch", f"Delete it: rm {name}")
    base = {path.stem for path in Path(tinytorch.__file__).parent.iterdir()} - {"__init__", "__pycache__"}
    for path in sorted(package.glob("*")):
        if path.stem in base and (path.suffix == ".py" or _is_package(path)):
            name = path.relative_to(root).as_posix()
            yield Check(FAULT, f"{name} is never imported: tinytorch.{path.stem} is the installed one", "Rename it.")
    elsewhere = [folder for folder in sys.path if folder and Path(folder).resolve() != root]
    for path in sorted(root.glob("*")):
        if path.stem == "tinytorch" or not (path.suffix == ".py" or _is_package(path)):
            continue
        if path.stem in sys.stdlib_module_names or PathFinder.find_spec(path.stem, elsewhere):
            yield Check(FAULT, f"{path.name} hides the module {path.stem}, which others import", "Rename it.")


def _is_package(path: Path) -> bool:
    return (path / "__init__.py").is_file()


def missing_tests(workspace: Workspace) -> Iterator[Check]:
    """One check for each module or milestone whose tests are not there at all, else one for each file."""
    if workspace.store.fault("version.json"):  # which says what was there; its own check tells
        return
    missing = list(pristine.missing_tests(workspace))
    for part in workspace.course.parts:
        of_part = [path for path in missing if path.startswith(f"{part.test_folder}/")]
        if of_part and not (workspace.root / part.test_folder).is_dir():
            kind = type(part).__name__
            yield Check(FAULT, f"{kind} {part.label} has no tests here: {part.test_folder} is missing", "tito update")
            missing = [path for path in missing if path not in of_part]
    for path in missing:
        said = "of your instructor's course" if path.startswith(f"{EXTRA_FOLDER}/") else "so its tests can't pass"
        yield Check(FAULT, f"{path} is missing, {said}", REPAIR)


def required_tests(workspace: Workspace) -> Iterator[Check]:
    """Whether the lists of what the instructor's own modules must pass are those of their tests."""
    for module in workspace.course.modules:
        if module.home and (fault := manifest.fault_of_list(module)):
            yield Check(FAULT, f"{fault}, so that module {module.label} can't be completed as it is meant", REPAIR)


def edited_exports(workspace: Workspace) -> Iterator[Check]:
    for module in workspace.course.modules:
        if exporting.look(workspace, module).state == exporting.EDITED:
            yield Check(
                FAULT,
                f"{module.export_path} is not what was exported: its code has another hash",
                f"Put your change into the module, then: tito module complete {module.number}",
            )


def oddities(workspace: Workspace) -> Iterator[Check]:
    if any(workspace.store.fault(name) for name in STATE_FILES):
        return
    for text in (*progress.oddities(workspace), *config.oddities(workspace.store)):
        yield Check(NOTE, f".tito/{text}", "It is kept and counts for nothing.")
    try:
        for preference in config.PREFERENCES:
            config.chosen(workspace.store, preference.name)
    except TinyTorchError as error:
        yield Check(FAULT, str(error))


def course_version(workspace: Workspace) -> Iterator[Check]:
    if workspace.store.fault("version.json") or not (workspace.tito / "version.json").is_file():
        return
    made_from = workspace.store.read("version.json")["template_version"]
    if made_from != workspace.course.version:
        yield Check(
            NOTE, f"The course is at version {workspace.course.version}, and this workspace was made from {made_from}", "tito update --check"
        )


def working_copies(workspace: Workspace) -> Iterator[Check]:
    """Modules whose notebook or script can't be read, or whose two forms differ."""
    for module in workspace.course.modules:
        if not workspace.existing_forms(module):
            continue
        try:
            copy = workspace.working_copy(module)
            check_plain(workspace, copy)
            wrong = _syntax_error(workspace, copy)
        except TinyTorchError as error:
            yield Check(FAULT, str(error).replace(str(workspace.root / "modules"), "modules"))
            continue
        if wrong:
            yield Check(FAULT, wrong, f"Correct that line, then: pytest -m {module.marker}")
        if copy.older:
            yield Check(
                NOTE,
                f"{workspace.relative(copy.path)} and {copy.older.name} differ; the first is newer and is used",
                "Move away the one that you don't write in.",
            )


def _syntax_error(workspace: Workspace, copy: WorkingCopy) -> str | None:
    """Where the code that becomes part of the package is no Python."""
    import warnings

    for cell in copy.cells:
        if not cell.is_exported:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an odd escape in a string is for the run to tell
                compile(cell.source, "cell", "exec", dont_inherit=True)
        except SyntaxError as error:
            return f"{place(workspace, copy, cell, error.lineno or 1)}: SyntaxError: {error.msg}"
        except ValueError as error:  # null bytes
            return f"{place(workspace, copy, cell, 1)}: {error}"
    return None


def older_exports(workspace: Workspace) -> Iterator[Check]:
    """Complete modules that were written in since."""
    if workspace.store.fault(progress.PROGRESS):
        return
    for module in progress.complete(workspace):
        if exporting.look(workspace, module).state == exporting.OLDER:
            yield Check(
                NOTE,
                f"{module.export_path} is older than the working copy of module {module.label}: your package has not what you wrote since",
                f"tito module complete {module.number}",
            )


def git(workspace: Workspace) -> Iterator[Check]:
    """Whether git would take what belongs to this machine."""
    if not any((folder / ".git").exists() for folder in (workspace.root, *workspace.root.parents)):
        return
    program = shutil.which("git")
    if program is None:
        return
    done = subprocess.run(
        [program, "check-ignore", "--quiet", ".tito/progress.json"], cwd=workspace.root, capture_output=True, stdin=subprocess.DEVNULL, timeout=30, check=False
    )
    if done.returncode == 1:  # 0: ignored; others: git itself has a problem with this folder
        yield Check(
            NOTE,
            "git doesn't ignore .tito/, so progress and backups of this machine would go with your code",
            "Add a line .tito/ to .gitignore. If git has it already: git rm -r --cached .tito",
        )


def older_layout(workspace: Workspace) -> Iterator[Check]:
    """What an older TinyTorch, or its instructions, left here and nothing reads any more."""
    from pytest_tinytorch.update import older

    if found := older.signs(workspace):
        yield Check(NOTE, f"Of an older layout, and not used: {', '.join(found)}", TIDY)
