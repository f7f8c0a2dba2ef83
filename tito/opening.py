"""What every command does first."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_tinytorch.state.recovery import recover
from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace, current, find
from tinytorch.errors import ConfigError, TinyTorchError, WorkspaceError
from tito import render

if TYPE_CHECKING:
    from pytest_tinytorch.course.curriculum import Course, Module


def workspace(course: Course | None = None) -> Workspace:
    """The workspace of this command, made whole; what that took is told on standard error.

    A folder of the older layout is brought over if the student agrees. The workspace is of the given `course`, if one is.

    Raises: WorkspaceError outside of one.
    """
    try:
        here = current(course)
    except WorkspaceError as error:
        from pytest_tinytorch.update import older

        folder = older.find(Path.cwd())
        if folder is None:
            raise
        if not _agrees(f"{folder} has the layout of an older TinyTorch."):
            raise WorkspaceError(f"{folder} has the layout of an older TinyTorch. Bring it over with: {older.COMMAND}") from error
        migrate(folder)
        here = current(course)
    notices = recover(here)
    for notice in notices:
        render.notice(notice)
    return current(course) if notices else here  # what was finished may have been a change of the course


def module_workspace(name: str) -> tuple[Workspace, Module]:
    """The workspace and the module that a command is about; a working copy under an older name is offered to be taken up."""
    here = workspace()
    module = here.course.module(name)
    if any((here.root / folder).is_dir() for folder in ("src", f"modules/{module.folder}")):
        from pytest_tinytorch.update import older

        if found := older.working_copies(here, module):
            said = f"{here.relative(found[0][1])} is a working copy of an older layout, and isn't used."
            if _agrees(said):
                migrate(here.root)
            else:
                render.notice(f"{said} Take it up with: {older.COMMAND}")
    return here, module


def migrate(folder: Path) -> None:
    """Bring a folder of the older layout over, and say what was done."""
    from pytest_tinytorch.course import curriculum
    from pytest_tinytorch.update import older

    for sentence in older.migrate(folder, curriculum.load()).said:
        render.notice(sentence)


def _agrees(said: str) -> bool:
    from tito.dialogs import agrees

    return render.is_interactive() and agrees(f"{said} Bring it over now, with a backup?")


@dataclass(frozen=True)
class Patient:
    """What a doctor finds."""

    workspace: Workspace | None  # made whole as far as it can be
    error: str = ""  # what stopped that
    knows_course: bool = True  # otherwise the workspace comes with the installed course, since its own can't be read


def for_a_doctor() -> Patient:
    """The workspace, if there is one, whatever is wrong with it."""
    here = None
    try:
        here = find()
        for notice in recover(here) if here else ():
            render.notice(notice)
        if here is None:
            from pytest_tinytorch.update import older

            if folder := older.find(Path.cwd()):
                return Patient(None, f"{folder} has the layout of an older TinyTorch. Bring it over with: {older.COMMAND}")
    except ConfigError as error:
        return Patient(here, str(error)) if here else _without_its_course(str(error))
    except (TinyTorchError, ImportError) as error:
        return Patient(here, str(error))
    return Patient(here)


def _without_its_course(error: str) -> Patient:
    from pytest_tinytorch.course import curriculum

    try:
        return Patient(find(course=curriculum.load()), error, knows_course=False)
    except TinyTorchError:  # the installed course can't be read either, and is what the error is about
        return Patient(None, error)


def tell_of_two_forms(workspace: Workspace, copy: WorkingCopy) -> None:
    """Say so if a notebook and a script of a module differ."""
    if copy.older:
        render.notice(f"{workspace.relative(copy.older)} differs from {copy.path.name}, which is newer and is used.")
