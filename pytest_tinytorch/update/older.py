"""The older layout of a workspace, brought over once: everything in one step that `tito undo` takes back.

It had `progress.json` at the top, `.tinytorch/` with preferences and folders of backups, and working copies that are
called `modules/NN_slug/slug_dev.py` or lie in `src/`. Numbers were other numbers then (05 was autograd), so a module is
known by its slug.
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_tinytorch.course.curriculum import Course, Module
from pytest_tinytorch.state import config, progress, transaction
from pytest_tinytorch.state.store import State, empty, encoded, is_date
from pytest_tinytorch.workspace import create, notebooks
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch.errors import StateError, TinyTorchError

PROGRESS, FOLDER = "progress.json", ".tinytorch"
COMMAND = "tito doctor --repair"
_NUMBERED = re.compile(r"(?P<number>\d\d)_(?P<slug>\w+)")
_BACKUP = re.compile(r"(?P<folder>\d\d_\w+?)_(?P<stamp>\d{8}_\d{6})")


@dataclass
class Migration:
    """What was brought over, in sentences."""

    said: list[str] = field(default_factory=list)
    backup: str = ""  # where everything lies as it was


def find(start: Path) -> Path | None:
    """The nearest folder at `start` or above it that has the older layout's state."""
    return next((folder for folder in (start, *start.parents) if _has_state(folder)), None)


def _has_state(folder: Path) -> bool:
    try:
        return (folder / FOLDER).is_dir() or ((folder / PROGRESS).is_file() and (folder / "modules").is_dir())
    except OSError:  # not ours to read
        return False


def signs(workspace: Workspace) -> list[str]:
    """What of the older layout lies in a folder, as paths."""
    found = [name for name in (PROGRESS, FOLDER) if (workspace.root / name).exists()] if _has_state(workspace.root) else []
    return found + [workspace.relative(path) for _, path in working_copies(workspace)]


def working_copies(workspace: Workspace, module: Module | None = None) -> list[tuple[Module, Path]]:
    """Working copies under the older names, and the module that each is of."""
    by_slug = {known.slug: known for known in workspace.course.modules if module in (None, known)}
    found = []
    for folder in sorted([*(workspace.root / "modules").glob("*"), *(workspace.root / "src").glob("*")]):
        match = _NUMBERED.fullmatch(folder.name)
        known = by_slug.get(match["slug"]) if match else None
        if match is None or known is None:
            continue
        names = [f"{known.slug}_dev"]
        if folder.parent.name == "src" or match["number"] != known.number:
            names.append(folder.name)
        found += [(known, path) for name in names for suffix in ("py", "ipynb") if (path := folder / f"{name}.{suffix}").is_file()]
    return found


def migrate(root: Path, course: Course) -> Migration:
    """Bring a folder of the older layout over, as one step; what is replaced or removed lies in a backup.

    Raises: StateError, and nothing is changed, if the older `progress.json` can't be read.
    """
    workspace, done = Workspace(root, course), Migration()
    contents: dict[str, bytes | None] = {}
    removed: dict[str, bytes] = {}
    with workspace.store.locked():
        for path in _state_files(root):
            removed[workspace.relative(path)] = path.read_bytes()
        state = _progress(workspace, done)
        versions = _course_files(workspace, contents, done)
        _take_up(workspace, contents, removed, done)
        _bring_backups(workspace, contents, done)
        for name, value in ((PROGRESS, state), ("version.json", versions), ("config.json", _config(workspace, done))):
            contents[f".tito/{name}"] = encoded(value)
        if not (workspace.tito / "milestones.json").exists():
            contents[".tito/milestones.json"] = encoded(empty("milestones.json"))
        done.backup = f".tito_backup_{datetime.now():%Y%m%d_%H%M%S}/older"
        for name, data in removed.items():
            contents[f"{done.backup}/{name}"] = data
            contents.setdefault(name, None)
        transaction.replace(workspace, contents, command=COMMAND)
        (workspace.tito / "backups").mkdir(exist_ok=True)
    done.said.append(f"Everything as it was lies in {done.backup}/. To take this back: tito undo")
    return done


def _state_files(root: Path) -> Iterator[Path]:
    if (root / PROGRESS).is_file():
        yield root / PROGRESS
    yield from sorted(path for path in (root / FOLDER).rglob("*") if path.is_file())


def _read(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StateError(
            f"{path} can't be read: {error}. Nothing was changed. Correct it, or move it away to start with empty progress."
        ) from error
    return read if isinstance(read, dict) else {}


def _progress(workspace: Workspace, done: Migration) -> State:
    """The progress of both layouts together: what is recorded here already stays."""
    state = workspace.store.read(progress.PROGRESS)
    old = _read(workspace.root / PROGRESS) or _read(workspace.root / FOLDER / PROGRESS)
    completed, dates = old.get("completed_modules"), old.get("completion_dates")
    numbers = _new_numbers(workspace)
    taken = []
    for entry in completed if isinstance(completed, list) else []:
        digits = re.match(r"\d+", str(entry))
        module = numbers.get(int(digits[0])) if digits else None
        if module is None:
            done.said.append(f"Not taken over: completed module {entry!r}, which the course doesn't have.")
            continue
        number = int(module.number)
        if number not in state["completed_modules"]:
            state["completed_modules"] = sorted([*state["completed_modules"], number])
            taken.append(module.label)
        date = dates.get(str(entry)) if isinstance(dates, dict) else None
        if is_date(date):
            state["completion_dates"].setdefault(module.key, date)
    if taken:
        done.said.append(f"Took over what {PROGRESS} records as complete: {', '.join(taken)}.")
    return state


def _new_numbers(workspace: Workspace) -> dict[int, Module]:
    """The module that each of the older numbers meant: by the slug of the folder that has it, else the same number."""
    numbers = {int(module.number): module for module in workspace.course.modules}
    by_slug = {module.slug: module for module in workspace.course.modules}
    for folder in sorted([*(workspace.root / "modules").glob("*"), *(workspace.root / "src").glob("*")]):
        if (match := _NUMBERED.fullmatch(folder.name)) and match["slug"] in by_slug:
            numbers[int(match["number"])] = by_slug[match["slug"]]
    return numbers


def _course_files(workspace: Workspace, contents: dict[str, bytes | None], done: Migration) -> State:
    """Add the course's files that are missing; files with other content stay, as modified ones."""
    if (workspace.tito / "version.json").exists():
        return workspace.store.read("version.json")
    forms = [path.suffix for _, path in working_copies(workspace)]
    course = create.course_files(workspace.course, forms[0][1:] if forms else "ipynb")
    versions = create.versions(workspace.course, course)
    kept = []
    for path, data in course.items():
        here = transaction.content(workspace.root / path)
        if here is None and not (workspace.root / path).exists():
            contents[path] = data
        elif here != data:
            versions["files"][path] |= {"version": "unknown", "modified_by_student": True}
            kept.append(path)
            continue
        contents[f".tito/pristine/{path}"] = data
    if kept:
        done.said.append(f"Kept as they are, since you may have changed them: {', '.join(sorted(kept))}.")
    done.said.append(f"Added what version {workspace.course.version} of the course has and this folder lacked.")
    return versions


def _take_up(workspace: Workspace, contents: dict[str, bytes | None], removed: dict[str, bytes], done: Migration) -> None:
    """Put working copies under their new names, if they have this course's exercises; the others become backups."""
    for module, path in working_copies(workspace):
        old, data = workspace.relative(path), path.read_bytes()
        stamp = f"{datetime.fromtimestamp(path.stat().st_mtime):%Y%m%d_%H%M%S}"
        removed[old] = data
        new = f"modules/{module.folder}/{module.folder}{path.suffix}"
        if not _has_exercises(data, path):
            saved = f".tito/backups/{module.folder}_{stamp}{path.suffix}"
            contents[saved] = data
            done.said.append(f"{old} has none of this course's exercises, so it is a backup now: {saved}. Bring over what you need.")
            continue
        for form in workspace.existing_forms(module):
            removed[workspace.relative(form)] = form.read_bytes()
            contents[workspace.relative(form)] = None
        contents[new] = data
        done.said.append(f"{old} is now {new}.")


def _has_exercises(data: bytes, path: Path) -> bool:
    try:
        return any(cell.is_exported for cell in notebooks.parse(data, path))
    except TinyTorchError:
        return False


def _bring_backups(workspace: Workspace, contents: dict[str, bytes | None], done: Migration) -> None:
    by_slug = {module.slug: module for module in workspace.course.modules}
    count = 0
    for folder in sorted((workspace.root / FOLDER / "backups").glob("*")):
        match = _BACKUP.fullmatch(folder.name)
        module = by_slug.get(match["folder"][3:]) if match else None
        if match is None or module is None:
            continue
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in (".py", ".ipynb")):
            contents.setdefault(f".tito/backups/{module.folder}_{match['stamp']}{path.suffix}", path.read_bytes())
            count += 1
    if count:
        done.said.append(f"Took over {count} backup{'s' if count > 1 else ''} from {FOLDER}/backups/.")


def _config(workspace: Workspace, done: Migration) -> State:
    chosen = workspace.store.read(config.FILE)
    old = _read(workspace.root / FOLDER / config.FILE)
    for known in config.PREFERENCES:
        if old.get(known.name) in known.values:
            chosen[known.name] = old[known.name]
            done.said.append(f"Took over the preference {known.name} = {old[known.name]}.")
    return chosen
