"""What the machine has to give: memory that is free, and what kind of place a folder is."""
from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["free_memory", "is_network_mount"]

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "beegfs", "afs", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse"}


def free_memory() -> int | None:
    """Bytes that this process may take without others having to give up theirs; None where nobody says.

    Linux says so, a container's limit included. Windows does too. Of macOS only the whole is known: half of it is
    taken as free.
    """
    if sys.platform == "win32":
        return _free_on_windows()
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return _half_of_the_whole()
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    free = kilobytes.get("MemAvailable", kilobytes["MemFree"]) * 1024
    in_container = _free_in_container()
    return free if in_container is None else min(free, in_container)


def _free_in_container() -> int | None:
    """What a container's limit leaves; None without one. Files that were read and are in memory still can go at any time."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text("ascii")) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (group / "memory.stat").read_text("ascii").splitlines())
    except (OSError, ValueError):  # no such files, or "max"
        return None
    return max(0, limit - used + int(statistics.get("inactive_file", 0)))


def _half_of_the_whole() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return None


def _free_on_windows() -> int | None:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_uint32), ("load", ctypes.c_uint32),
            *((name, ctypes.c_uint64) for name in ("total", "free", "pages", "free_pages", "virtual", "free_virtual", "extended")),
        )  # fmt: skip

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009  # mypy knows it on Windows only
    return int(status.free) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def is_network_mount(path: Path) -> bool:
    """Whether a folder is another machine's, mounted here. Known on Linux, and of network paths on Windows; else False."""
    if str(path).startswith("\\\\"):
        return True
    try:
        lines = Path("/proc/mounts").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return False
    resolved = path.resolve()
    found = [(_unescaped(words[1]), words[2]) for words in map(str.split, lines) if len(words) > 2]
    above = [(len(point), kind) for point, kind in found if resolved.is_relative_to(point)]
    return max(above, default=(0, ""))[1] in _NETWORK


def _unescaped(point: str) -> str:
    """A mount point whose blanks `/proc/mounts` wrote as numbers."""
    return point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
