"""What the machine has to give: cores, memory that is free, and what kind of place a folder is."""
from __future__ import annotations

import os
from pathlib import Path

__all__ = ["FITS", "UNKNOWN_MEMORY", "cores", "free_memory", "is_network_mount"]

FITS = 0.8  # of what is free, of memory or disk: data up to this can stay there
UNKNOWN_MEMORY = 2 * 2**30  # bytes that are taken for free where nobody says

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "beegfs", "afs", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse"}


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int | None:
    """Bytes that this process may take without others having to give up theirs, a container's limit on Linux included.

    None where nobody says.
    """
    import psutil

    try:
        free = int(psutil.virtual_memory().available)
    except (RuntimeError, OSError):
        return None
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
