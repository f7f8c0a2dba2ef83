"""Reads and writes the state files of `.tito/`: one lock, atomic writes, and nothing written over what can't be read.

A state file is a JSON object whose known keys have known types; unknown keys are kept. A file that is missing reads as
its empty form. A file that is broken stops readers and writers alike, with the ways out (`StateError`).
"""
from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tinytorch import files
from tinytorch.errors import StateError

State = dict[str, Any]
READ_ONLY = "It is mounted read-only: mount it for writing, or copy the workspace to a folder where you may write."
LOCK_TIMEOUT = 120.0  # seconds; a completion holds the lock for well under one


def now() -> str:
    """Local time without a zone, in seconds: 2025-11-16T10:00:00."""
    return datetime.now().isoformat(timespec="seconds")


def utc_now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_date(text: object) -> bool:
    """Whether `text` is a time as the state files write it."""
    if not isinstance(text, str):
        return False
    try:
        as_local(text)
    except (ValueError, OverflowError):  # the latter: the year 1 or 9999, in another zone
        return False
    return True


def as_local(text: str) -> datetime:
    """A time of a state file, local and without a zone; a zone that somebody wrote into it is converted.

    Raises: ValueError if it is no time.
    """
    at = datetime.fromisoformat(text.removesuffix("Z"))
    if text.endswith("Z"):
        at = at.replace(tzinfo=timezone.utc)
    return at.astimezone().replace(tzinfo=None) if at.tzinfo else at


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _list_of(is_item: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(map(is_item, value))


def _table_of(is_item: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, dict) and all(map(is_item, value.values()))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


_RULES: dict[str, dict[str, tuple[Callable[[object], bool], str]]] = {
    "config.json": {"logo_theme": (_is_text, "a text"), "editor": (_is_text, "a text")},
    "progress.json": {
        "version": (_is_text, "a text"),
        "completed_modules": (_list_of(_is_number), "a list of module numbers"),
        "completion_dates": (_table_of(is_date), "a table of dates by module number"),
        "results": (_table_of(_is_table), "a table of results by module number"),
        "tests_modified": (_table_of(_list_of(_is_text)), "a table of lists of paths by module number"),
        "forced": (_table_of(_list_of(_is_text)), "a table of lists of module numbers by module number"),
        "reset": (_table_of(is_date), "a table of dates by module number"),
        "outdated": (_table_of(_is_text), "a table of the course's versions by module number"),
        "hints": (_table_of(_table_of(_is_number)), "a table of counts by test, by module number"),
    },
    "milestones.json": {
        "version": (_is_text, "a text"),
        "completed_milestones": (_list_of(_is_text), "a list of milestone numbers as texts"),
        "completion_dates": (_table_of(is_date), "a table of dates by milestone number"),
        "attempts": (_table_of(_is_number), "a table of counts by milestone number"),
    },
    "version.json": {
        "workspace_version": (_is_text, "a text"),
        "template_version": (_is_text, "a text"),
        "created": (is_date, "a date"),
        "last_updated": (is_date, "a date"),
        "files": (_table_of(_is_table), "a table of versions by path"),
    },
}
_REQUIRED = {
    "config.json": (),
    "progress.json": ("version", "completed_modules", "completion_dates"),
    "milestones.json": ("version", "completed_milestones", "completion_dates"),
    "version.json": ("workspace_version", "template_version", "files"),
}
_FORMAT = "1.0"

STATE_FILES = tuple(_RULES)


def empty(name: str) -> State:
    """What a state file holds before anything happened. `version.json` has no such form: it is made with the workspace."""
    if name == "config.json":
        return {"logo_theme": "standard"}
    if name == "progress.json":
        return {"version": _FORMAT, "completed_modules": [], "completion_dates": {}}
    if name == "milestones.json":
        return {"version": _FORMAT, "completed_milestones": [], "completion_dates": {}}
    raise ValueError(f"{name} has no empty form")


def encoded(state: State) -> bytes:
    """A state file's content."""
    # backslashreplace: half a surrogate pair, which UTF-8 doesn't have, stays the escape that it is in JSON
    return (json.dumps(state, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


class Store:
    """The state files of one workspace.

    `tito` is its `.tito/` folder.
    """

    def __init__(self, tito: Path) -> None:
        self.tito = tito

    def read(self, name: str) -> State:
        """The content of a state file, checked.

        Raises: StateError if it is broken or can't be read; the message names the line and the ways out.
        """
        path = self.tito / name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return empty(name)
        except OSError as error:
            raise StateError(f"{path} can't be read: {error.strerror}.") from error
        if fault := _fault(name, data):
            raise StateError(_broken(self.tito, name, fault))
        state: State = json.loads(data)
        return state

    def fault(self, name: str) -> str | None:
        """What is wrong with a state file, or None."""
        try:
            return _fault(name, (self.tito / name).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"can't be read: {error.strerror}"

    def write(self, name: str, state: State) -> None:
        """Put a whole state file in place. Readers see the old one or this one."""
        with self.writing(name):
            files.write_atomic(self.tito / name, encoded(state))

    def update(self, name: str, change: Callable[[State], None]) -> State:
        """Read a state file, change it in place and write it, as one step for all processes."""
        with self.locked():
            state = self.read(name)
            before = json.dumps(state)
            change(state)
            if json.dumps(state) != before or not (self.tito / name).exists():
                self.write(name, state)
        return state

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this workspace's lock; whoever holds it may take it again."""
        with self.writing("lock"):
            self.tito.mkdir(parents=True, exist_ok=True)
        try:
            with files.lock(self.tito / "lock", timeout=LOCK_TIMEOUT):
                yield
        except TimeoutError as error:
            raise StateError(f"{error}. Wait for it to end, or stop it, and run this again.", retryable=True) from error
        except OSError as error:
            if error.filename != str(self.tito / "lock"):  # raised by whoever holds the lock
                raise
            raise StateError(_unwritable(self.tito / "lock", error)) from error

    @contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Turn what the system says of a failed write below `.tito/` into a StateError."""
        try:
            yield
        except OSError as error:
            if isinstance(error, StateError):
                raise
            raise StateError(_unwritable(self.tito / name, error)) from error


def _unwritable(path: Path, error: OSError) -> str:
    return f"{path} can't be written: {error.strerror or error}. Nothing in it was changed. {way_out(error)}"


def way_out(error: OSError) -> str:
    """What to do about a file that can't be written."""
    if error.errno == errno.EROFS:
        return READ_ONLY
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Make room, then run the command again."
    return "Make room or give yourself the right to write there, then run the command again."


def _fault(name: str, data: bytes) -> str | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return f"line {data.count(10, 0, error.start) + 1}: not UTF-8 text"
    try:
        state = json.loads(text)
    except json.JSONDecodeError as error:
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    except ValueError as error:  # a number with thousands of digits
        return f"line 1: {error}"
    except RecursionError:
        return "line 1: nested too deeply"
    if not isinstance(state, dict):
        return f"line 1: a JSON object was expected, found {type(state).__name__}"
    for key in _REQUIRED[name]:
        if key not in state:
            return f"line 1: the key {key!r} is missing"
    for key, (is_right, wanted) in _RULES[name].items():
        if key in state and not is_right(state[key]):
            return f"line {line_of(text, key)}: {key!r} must be {wanted}"
    key = "workspace_version" if name == "version.json" else "version"
    version = state[key] if key in _RULES[name] else _FORMAT
    if version.partition(".")[0] != _FORMAT.partition(".")[0]:
        return f"line {line_of(text, key)}: format {version}, made by a newer TinyTorch; upgrade with pip"
    return None


def line_of(text: str, key: str) -> int:
    return text.count("\n", 0, max(text.find(f'"{key}"'), 0)) + 1


def _broken(tito: Path, name: str, fault: str) -> str:
    saved = newest_saved(tito, name)
    from_backup = saved.relative_to(tito.parent).as_posix() if saved else f".tito_backup_YYYYMMDD/.tito/{name}"
    return (
        f".tito/{name} is malformed: {fault}\n"
        f"  in {tito / name}\n"
        "Nothing was changed. Fix by removing and recreating:\n"
        f"  rm .tito/{name}\n"
        "  tito system health        # recreates the file\n"
        "Or restore from backup:\n"
        f"  cp {from_backup} .tito/\n"
        "Or let TinyTorch set it aside and restore what can be proved:\n"
        "  tito system health --repair"
    )


def newest_saved(tito: Path, name: str) -> Path | None:
    """The newest whole-state backup's copy of a state file that is valid."""
    copies = sorted(tito.parent.glob(f".tito_backup_*/.tito/{name}"), key=lambda path: path.parts[-3], reverse=True)
    finished = [path for path in copies if not path.parts[-3].endswith(files.TEMPORARY_SUFFIX)]
    return next((path for path in finished if Store(path.parent).fault(name) is None), None)
