"""A command on a pseudo-terminal: typed to, and read from, as a person would."""
from __future__ import annotations

import os
import re
import select
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

# makes the pseudo-terminal the one that controls the process, so that Ctrl-C on it is an interrupt, then becomes the program
_BECOME = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job is started with SIGINT ignored
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
CTRL_C, CTRL_D = "\x03", "\x04"
TITO = (sys.executable, "-m", "tito")
_LIMIT = 60  # seconds without output before a test gives up


class Terminal:
    """Runs `tito`, or another program, in a window of some columns."""

    def __init__(
        self, arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str], columns: int = 100, program: Sequence[str] = TITO
    ) -> None:
        import fcntl
        import pty
        import termios

        self.window, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        known = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BECOME, *program, *arguments], cwd=cwd, env=known | {"TERM": "xterm-256color"},
            stdin=inside, stdout=inside, stderr=inside, start_new_session=True,
        )
        os.close(inside)
        self.seen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.window)

    def wait_for(self, text: str) -> None:
        """Read until `text` has appeared since the last call."""
        start = len(self.seen)
        while text not in self.seen[start:]:
            assert self._read(), f"{text!r} never appeared in:\n{self.seen}"

    def type(self, text: str) -> None:
        os.write(self.window, text.encode("utf-8"))

    def end(self, again: str = "") -> int:
        """Read to the end; returns the exit status.

        `again` is typed once more when nothing comes: a Ctrl-C that falls between a prompt and the reading of its
        answer is noticed by Python only with the next key.
        """
        while self._read(again):
            pass
        return self.process.wait(_LIMIT)

    def _read(self, again: str = "") -> bool:
        ready, _, _ = select.select([self.window], [], [], 2 if again else _LIMIT)
        if again and not ready:
            self.type(again)
            return self._read()
        assert ready, f"nothing more came after:\n{self.seen}"
        try:
            data = os.read(self.window, 65536)
        except OSError:  # Linux's way to say that the other side has closed
            return False
        self.seen += data.decode("utf-8", errors="replace")
        return bool(data)

    @property
    def text(self) -> str:
        """What was seen, without colours and carriage returns."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.seen).replace("\r", "")
