"""What `--repair` does for `tito system health` and `tito doctor`: puts right what can be proved, loses nothing, and is safe to repeat."""
from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pytest_tinytorch.course.curriculum import COURSE_FILE, EXTRA_FOLDER, REQUIRED_TESTS, as_ranges
from pytest_tinytorch.health.check import TIDY
from pytest_tinytorch.state import pristine, progress, transaction, undo
from pytest_tinytorch.state.recovery import known_versions
from pytest_tinytorch.state.store import STATE_FILES, State, empty, newest_saved
from pytest_tinytorch.workspace.export import is_proved
from pytest_tinytorch.workspace.handout import required_lists
from pytest_tinytorch.workspace.layout import Workspace
from pytest_tinytorch.workspace.manifest import fault_of_list
from tinytorch import files
from tinytorch.errors import ConfigError, StateError


def repair(workspace: Workspace) -> list[str]:
    """Set broken state files aside, bring back what is known, adopt proved exports; returns what was done, in sentences."""
    with workspace.store.locked():
        aside = set_aside_plans(workspace)
        broken = [name for name in STATE_FILES if workspace.store.fault(name)]
        done = [sentence for name in broken for sentence in _replace(workspace, name)]
        return [*aside, *done, *_adopt(workspace), *_bring_back(workspace), *_list_required_tests(workspace)]


def set_aside_plans(workspace: Workspace) -> list[str]:
    """Move what `tito undo` stumbles over, or every command, out of the way; returns what was done, in sentences."""
    done: list[str] = []
    if not undo.broken(workspace):
        return done
    with workspace.store.locked():
        for folder in undo.broken(workspace):
            aside = _free_name(workspace.tito / f"{folder.name}.corrupt-{datetime.now():%Y%m%d_%H%M%S}")
            with workspace.store.writing(aside.name):
                folder.rename(aside)
            done.append(f"Set {workspace.relative(folder)} aside as {workspace.relative(aside)}: it was broken, and can't be taken back.")
    return done


def bring_back_course(workspace: Workspace) -> list[str]:
    """Put `course.yml` and `extra/` back as the student got them, as one step; returns what was done, in sentences.

    What was there comes back with `tito undo`.
    """
    kept = [workspace.pristine / COURSE_FILE, *sorted((workspace.pristine / EXTRA_FOLDER).rglob("*"))]
    contents: dict[str, bytes | None] = {}
    with workspace.store.locked():
        for path in kept:
            name = path.relative_to(workspace.pristine).as_posix()
            if path.is_file() and not pristine.is_same_content(path.read_bytes(), transaction.content(workspace.root / name) or b""):
                contents[name] = path.read_bytes()
        transaction.replace(workspace, contents, command=TIDY)
    return [*(f"Brought back {name}, as you got it." for name in contents), *(["To take that back: tito undo"] if contents else [])]


def _replace(workspace: Workspace, name: str) -> Iterator[str]:
    """Copy a broken file aside, then put the newest valid backup's content in its place, or what it holds at first.

    Copied, not moved: a kill in between leaves the broken file where it is, never a state without one.
    """
    path = workspace.tito / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StateError(f"{path} can't be read: {error.strerror}. Move it away by hand, then run this again.") from error
    aside = _free_name(workspace.tito / f"{name}.corrupt-{datetime.now():%Y%m%d_%H%M%S}")
    with workspace.store.writing(aside.name):
        files.write_atomic(aside, data)
    yield f"Set the broken .tito/{name} aside as .tito/{aside.name}."
    saved = newest_saved(workspace.tito, name)
    if saved:
        with workspace.store.writing(name):
            files.write_atomic(path, saved.read_bytes())
        yield f"Restored .tito/{name} from {workspace.relative(saved)}."
    else:
        workspace.store.write(name, _first(workspace, name))
        yield f"Created .tito/{name} again: no backup of it is valid."


def _first(workspace: Workspace, name: str) -> State:
    return known_versions(workspace) if name == "version.json" else empty(name)


def _free_name(path: Path) -> Path:
    free, extra = path, 0
    while free.exists():
        extra += 1
        free = path.with_name(f"{path.name}_{extra}")
    return free


def _adopt(workspace: Workspace) -> Iterator[str]:
    """Record the modules whose exports prove that they were complete, with the exports' dates.

    Not those that were reset since, nor exports that were edited or forced.
    """
    state = workspace.store.read(progress.PROGRESS)
    known = {module.number for module in progress.recorded(workspace, state)}
    adopted = [
        module for module in workspace.course.modules
        if module.number not in known and module.key not in state.get("reset", {}) and is_proved(workspace.export(module))
    ]

    def change(state: State) -> None:
        for module in adopted:
            date = datetime.fromtimestamp(workspace.export(module).stat().st_mtime)
            state["completed_modules"] = sorted([*state["completed_modules"], int(module.number)])
            state["completion_dates"].setdefault(module.key, date.isoformat(timespec="seconds"))

    if adopted:
        workspace.store.update(progress.PROGRESS, change)
        numbers = as_ranges([module.number for module in adopted])
        yield f"Recorded module{'s' if len(adopted) > 1 else ''} {numbers} as complete: the exports prove it."


def _bring_back(workspace: Workspace) -> Iterator[str]:
    """Put test files and pytest's options back as the student got them, where they are missing."""
    for path, source in (pristine.missing_tests(workspace) | pristine.missing_options(workspace)).items():
        with workspace.store.writing(path):
            files.write_atomic(workspace.root / path, source.read_bytes())
        yield f"Brought back {path}, which was missing."


def _list_required_tests(workspace: Workspace) -> Iterator[str]:
    """List anew what the instructor's own modules must pass, where the list is missing, broken or of other tests."""
    if not any(module.home and fault_of_list(module) for module in workspace.course.modules):
        return
    try:
        lists = required_lists(workspace.course)
    except ConfigError as error:
        yield f"What the modules of extra must pass can't be listed: {error}"
        return
    for module, listed in lists.items():
        if module.home and fault_of_list(module):
            path = module.home / REQUIRED_TESTS
            with workspace.store.writing(path.name):
                files.write_atomic(path, listed)
            yield f"Listed the tests of module {module.label} again, in {workspace.relative(path)}. To have those of extra/ here: tito update"
