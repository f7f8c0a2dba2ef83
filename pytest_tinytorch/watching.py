"""Which files a watched module depends on, and whether they were saved since it was last tested.

They are looked at again and again: a few dozen `stat` calls, which work on every system and on network drives, where
notices of changes don't.
"""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest_tinytorch
import tinytorch
from pytest_tinytorch.course.curriculum import Course, Module
from pytest_tinytorch.workspace.layout import Workspace

PERIOD = 0.02  # seconds between two looks
_SETTLE = 0.006  # seconds in which a file that is being saved would change again
_LONGEST = 0.5  # seconds that a file may change, be missing or be empty until it is tested all the same

Stamp = tuple[int, int, int]  # size, time of modification, inode: another one after a save by renaming
Stamps = dict[str, Stamp]


def saved_files(workspace: Workspace, module: Module) -> Stamps:
    """The module's working copy and the files of its tests."""
    return stamps([*map(str, workspace.forms(module)), *_files(str(workspace.root / module.test_folder))])


def configuration(workspace: Workspace) -> Stamps:
    """What pytest reads of the workspace before it looks for tests."""
    names = ("pyproject.toml", "pytest.ini", "pytest.toml", "tox.ini", "conftest.py", "tests/conftest.py")
    return stamps(str(workspace.root / name) for name in names)


def installation(course: Course) -> Stamps:
    """The plugin's code and the course's facts. A few milliseconds, so not at every look."""
    packages = [Path(package.__path__[0]) for package in (pytest_tinytorch, tinytorch)]  # what follows is the student's
    code = (str(path) for package in packages for path in package.rglob("*.py") if "_templates" not in path.parts)
    return stamps([*(str(course.folder / name) for name in ("VERSION", "curriculum.toml", "required_tests.json")), *code])


def stamps(paths: Iterable[str]) -> Stamps:
    """What the files look like from outside; those that aren't there are left out."""
    found = {}
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116  # forty times a second
        except OSError:
            continue
        found[path] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return found


def _files(folder: str) -> Iterator[str]:
    """The files in a folder and the folders below it."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in ("__pycache__", ".ipynb_checkpoints"):
                yield from _files(entry.path)
        else:
            yield entry.path


class Saves:
    """Notices saves. `look` gives the files as they are now."""

    def __init__(
        self, look: Callable[[], Stamps], *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.look = look
        self.clock = clock
        self.sleep = sleep
        self.tested: Stamps | None = None  # the files as they were when the last run began; None: before the first
        self.changed_at = clock()

    def there_is_one(self) -> bool:
        """Whether something was saved that no run has seen, and the save is complete.

        A save may truncate a file first, write it twice, or put another in its place. So a file that changes is looked
        at again until it looks the same twice, and one that is gone or empty is given time to come back.
        """
        now = self.look()
        if now == self.tested:
            return False
        began = self.clock()
        steady = False
        while not steady and self.clock() - began < _LONGEST:
            self.sleep(_SETTLE)
            before, now = now, self.look()
            steady = now == before and not self._lost(now)
        if now == self.tested:  # as it was, after all
            return False
        self.tested, self.changed_at = now, self.clock()
        return True

    def _lost(self, now: Stamps) -> bool:
        """Whether a file is empty or gone that wasn't before."""
        return any(stamp[0] and not now.get(path, (0,))[0] for path, stamp in (self.tested or {}).items())
