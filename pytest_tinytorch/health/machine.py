"""Disk, clock, encoding, and the folder that the workspace lies in."""
from __future__ import annotations

import codecs
import locale
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pytest_tinytorch.health.check import FAULT, NOTE, Check
from pytest_tinytorch.state.store import READ_ONLY
from pytest_tinytorch.workspace.layout import Workspace

LOW, FULL = 2**30, 100 * 2**20  # bytes free: worth a note, and too few for a run of pytest
AHEAD = 120.0  # seconds by which a file may be younger than the clock
APART = 5.0  # seconds between the clock and the disk; FAT counts in twos
LONGEST_ON_WINDOWS = 259  # characters, unless the system allows more
_SUFFIX = len(".0123abcd.tmp")  # what an atomic write adds to a name
SYNCHRONISED = {
    "OneDrive": "onedrive", "Dropbox": "dropbox", "iCloud Drive": "mobile documents", "iCloud": "icloud", "Google Drive": "google",
    "Nextcloud": "nextcloud", "a cloud folder": "cloudstorage",
}  # fmt: skip  # name of the service, and how the name of its folder begins


def disk(workspace: Workspace | None) -> Iterator[Check]:
    """Whether there is room for a run: in the workspace, the temporary folder and the cache."""
    from platformdirs import user_cache_path

    places = {"temporary folder": Path(tempfile.gettempdir()), "cache": _existing(user_cache_path("tinytorch"))}
    if workspace:
        places = {"workspace": workspace.root} | places
    by_disk: dict[int, list[str]] = {}
    for name, folder in places.items():
        by_disk.setdefault(folder.stat().st_dev, []).append(name)
    for names in by_disk.values():
        usage = shutil.disk_usage(places[names[0]])
        if usage.free < LOW:
            yield Check(
                FAULT if usage.free < FULL else NOTE,
                f"The disk is nearly full: {usage.free // 2**20} MB of {usage.total / 2**30:.1f} GB are free for the "
                f"{', the '.join(names)}",
                f"Make room on the disk of {places[names[0]]}.",
            )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def encoding() -> Iterator[Check]:
    """What isn't in UTF-8; the course's own files always are."""
    used = {"output": getattr(sys.stdout, "encoding", None) or "ascii", "text files": locale.getpreferredencoding(False)}
    others = [f"{what} in {name}" for what, name in used.items() if codecs.lookup(name).name != "utf-8"]
    if not others:
        return
    cause = next((name for name in ("PYTHONIOENCODING", "PYTHONUTF8") if os.environ.get(name) not in (None, "", "1")), None)
    fix = f"Unset {cause}." if cause else "Set PYTHONUTF8=1."
    yield Check(NOTE, f"Not everything is in UTF-8 ({', '.join(others)}): some characters will show as ?", fix)


def permissions(workspace: Workspace) -> Iterator[Check]:
    """What you may not write to, though you must, and whose it is."""
    if hasattr(os, "statvfs") and os.statvfs(workspace.root).f_flag & os.ST_RDONLY:
        yield Check(FAULT, "The workspace lies where nothing can be written", READ_ONLY)
        return
    closed = [path for path in _must_be_open(workspace) if not os.access(path, _wanted(path))]
    roots = [path for path in closed if os.name != "nt" and path.stat().st_uid == 0 and os.geteuid() != 0]
    others = [path for path in closed if path not in roots]
    if roots:
        yield Check(
            FAULT, f"{_named(workspace, roots)} belong to root, as after a run with sudo", f'sudo chown -R "$USER" "{workspace.root}"'
        )
    if others:
        fix = f'chmod -R u+rwX "{workspace.root}"' if os.name != "nt" else "Take away `Read-only` in their properties."
        yield Check(FAULT, f"You may not write to {_named(workspace, others)}", fix)
    if os.name != "nt" and os.geteuid() == 0 and workspace.root.stat().st_uid != 0:
        yield Check(NOTE, "This runs as root in somebody's workspace: what it writes will be root's", "Run it without sudo.")


def _must_be_open(workspace: Workspace) -> Iterator[Path]:
    """The folders and files that commands and editors write."""
    yield workspace.root
    for name in (".tito", "modules", "tinytorch"):
        folder = workspace.root / name
        if folder.is_dir():
            yield folder
            yield from sorted(folder.rglob("*")) if os.access(folder, os.R_OK | os.X_OK) else ()


def _wanted(path: Path) -> int:
    return os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)


def _named(workspace: Workspace, paths: list[Path]) -> str:
    names = ["the workspace's folder" if path == workspace.root else workspace.relative(path) for path in paths]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def clock(workspace: Workspace) -> Iterator[Check]:
    """Files of the future, and a disk that counts time otherwise: the newer of two files would be the wrong one."""
    now = time.time()
    files = [*workspace.tito.glob("*.json"), *(form for m in workspace.course.modules for form in workspace.existing_forms(m))]
    future = [path for path in files if path.stat().st_mtime > now + AHEAD]
    if future:
        yield Check(NOTE, f"{_named(workspace, future)}: dated in the future", "Set the clock. If it is right now: touch the files.")
    if abs(apart := _disk_time(workspace) - now) > APART:
        ahead = "ahead of" if apart > 0 else "behind"
        yield Check(NOTE, f"The workspace's disk is {abs(apart):.0f} seconds {ahead} the clock", "Set the clock of this machine, or of the file server.")


def _disk_time(workspace: Workspace) -> float:
    """What time a file gets that is written now; the clock's if none can be written."""
    try:
        with tempfile.TemporaryFile(dir=workspace.tito) as file:
            file.write(b"now")
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def path_length(workspace: Workspace) -> Iterator[Check]:
    """Paths too long for Windows, unless it was told to allow them."""
    limit = _longest_path()
    longest = max((str(path) for path in (workspace.root / "tests").rglob("*")), key=len, default=str(workspace.root))
    if limit is not None and len(longest) + _SUFFIX > limit:
        yield Check(
            FAULT,
            f"Paths of the workspace have up to {len(longest)} characters, too many for Windows: {longest}",
            "Move the workspace to a folder with a shorter name, such as C:\\tinytorch, or allow long paths in Windows' settings.",
        )


def _longest_path() -> int | None:
    if os.name != "nt":
        return None
    import winreg

    registry = vars(winreg)  # by name: other systems' winreg has none of these
    try:
        with registry["OpenKey"](registry["HKEY_LOCAL_MACHINE"], r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            allowed = registry["QueryValueEx"](key, "LongPathsEnabled")[0]
    except OSError:
        allowed = 0
    return None if allowed else LONGEST_ON_WINDOWS


def synchronised(workspace: Workspace) -> Iterator[Check]:
    """A program that synchronises a folder replaces files while they are used, and has its own idea of the newest."""
    for folder in workspace.root.parts:
        for service, beginning in SYNCHRONISED.items():
            if folder.lower().startswith(beginning):
                yield Check(
                    NOTE,
                    f"The workspace lies in {folder}, which {service} synchronises: it may bring back old files, or make copies of them",
                    "Move the workspace to a folder that stays on this machine, and use git to share it.",
                )
                return
