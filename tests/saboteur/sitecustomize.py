"""In a child process: at its Nth write, rename or removal below a folder, the process is killed or the disk is full.

Put this folder on PYTHONPATH and set SABOTAGE=kill:N:FOLDER or SABOTAGE=full:N:FOLDER. A full disk stays full: every
write from the Nth on fails.
"""
from __future__ import annotations

import errno
import os
import signal
import sys

_WRITING = os.O_WRONLY | os.O_RDWR
_PATH_OF = {
    "os.rename": 1, "os.link": 1, "os.symlink": 1, "os.remove": 0, "os.truncate": 0, "os.mkdir": 0, "os.rmdir": 0,
}


def _install(way: str, at: int, folder: str) -> None:
    count = 0

    def below(path: object) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        full = os.path.abspath(os.fsdecode(path))
        return full.startswith(folder + os.sep) and "__pycache__" not in full

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event == "open":
            path, _, flags = arguments
            hit = isinstance(flags, int) and bool(flags & _WRITING) and below(path)
        elif event in _PATH_OF:
            hit = below(arguments[_PATH_OF[event]])
        else:
            return
        if not hit:
            return
        count += 1
        if way == "kill" and count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        if way == "full" and count >= at and event in ("open", "os.mkdir"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fsdecode(arguments[0]))  # type: ignore[arg-type]

    sys.addaudithook(hook)


if os.environ.get("SABOTAGE"):
    _way, _at, _folder = os.environ["SABOTAGE"].split(":", 2)
    _install(_way, int(_at), os.path.abspath(_folder))
