"""Where a watched module's verdicts are shown: one screen of a terminal, which also gives keys, or a stream of lines."""
from __future__ import annotations

import os
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

import click

from tito import render
from tito.verdict import Line, Wrap

_CLEAR = "\x1b[H\x1b[J"
_SCREEN, _BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?1049l\x1b[?25h"  # another screen without a cursor, and back


class Window(Protocol):
    """Shows lines, one verdict after another."""

    @property
    def columns(self) -> int: ...

    @property
    def height(self) -> int | None:
        """Lines that fit; None: any number."""

    def size_changed(self) -> bool:
        """Whether the window has another size than the last time that this was asked."""

    def key(self, seconds: float) -> str | None:
        """The key that is pressed within some seconds, or None."""

    def draw(self, lines: Sequence[Line]) -> None:
        """Show lines that fit."""

    def turn_page(self) -> None:
        """Give an empty page of the screen that was there before, which scrolls, for what is longer than a window."""

    def leave(self) -> None:
        """Give back the screen that was there before, without what was last on such a page."""


class Pipe:
    """No terminal: what is shown is printed, one below the other, and there are no keys."""

    columns = 100
    height = None

    def size_changed(self) -> bool:
        return False

    def key(self, seconds: float) -> str | None:
        time.sleep(seconds)
        return None

    def draw(self, lines: Sequence[Line]) -> None:
        print("\n".join(text for text, _ in lines), end="\n\n", flush=True)

    def turn_page(self) -> None:
        pass

    def leave(self) -> None:
        pass


class Screen:
    """A terminal, in which each verdict takes the place of the last."""

    def __init__(self) -> None:
        self.size = shutil.get_terminal_size()
        self.is_drawn = False  # whether the terminal shows the other screen
        self.has_page = False  # whether it shows a page

    @property
    def columns(self) -> int:
        return self.size.columns

    @property
    def height(self) -> int | None:
        return self.size.lines

    def size_changed(self) -> bool:
        before, self.size = self.size, shutil.get_terminal_size()
        return before != self.size

    def key(self, seconds: float) -> str | None:
        return _pressed(seconds)

    def draw(self, lines: Sequence[Line]) -> None:
        rows = [_styled(text, style) for text, style in lines[: self.size.lines]]
        # line by line over what was there, which doesn't flicker as clearing everything first does
        self._write(("" if self.is_drawn else self._end_page() + _SCREEN) + "\x1b[H" + "\x1b[K\r\n".join(rows) + "\x1b[K\x1b[J")
        self.is_drawn = True

    def turn_page(self) -> None:
        was_drawn = self.is_drawn
        self.leave()
        # what the shell showed scrolls up out of the window, where it can be found again
        self._write(("\r\n" * self.size.lines if was_drawn else "") + _CLEAR)
        self.has_page = True

    def leave(self) -> None:
        self._write(self._end_page() + (_BACK if self.is_drawn else ""))
        self.is_drawn = False

    def _end_page(self) -> str:
        ended, self.has_page = self.has_page, False
        return _CLEAR if ended else ""

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _styled(text: str, style: dict[str, Any]) -> str:
    return click.style(text, **style) if style and render.is_colourful() else text


def wrapper(columns: int) -> Wrap:
    r"""How a line is shown in a window of some columns: without what moves the cursor, and in several if it is too long.

    >>> wrapper(12)("  one\ttwo three \x1b[2J")
    ['  one   two', '  three', '  ?[2J']
    """
    from rich.cells import cell_len, chop_cells

    width = max(columns - 1, 8)  # some terminals begin a new line when the last column is written

    def wrap(text: str) -> list[str]:
        text = "".join(c if c.isprintable() else "?" for c in text.expandtabs(4))
        if cell_len(text) <= width:
            return [text]
        if cell_len(text) != len(text):  # wide characters
            return chop_cells(text, width)
        indent = " " * min(len(text) - len(text.lstrip()), width // 2)
        return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False, replace_whitespace=False)

    return wrap


@contextmanager
def opened() -> Iterator[Window]:
    """A window for as long as a block runs. When it ends, however it ends, the terminal is what it was before."""
    if not render.is_interactive() or os.environ.get("TERM") == "dumb":
        yield Pipe()
        return
    screen = Screen()
    with keys_at_once(), _stoppable(screen):
        try:
            yield screen
        finally:
            screen.leave()


if sys.platform == "win32":
    import msvcrt

    @contextmanager
    def keys_at_once() -> Iterator[None]:
        """Let a key be read when it is pressed, not when Enter follows."""
        os.system("")  # lets the console understand escape sequences
        yield

    @contextmanager
    def lines_again() -> Iterator[None]:
        """Within `keys_at_once`: the terminal as other programs expect it."""
        yield

    @contextmanager
    def _stoppable(screen: Screen) -> Iterator[None]:
        yield

    def _pressed(seconds: float) -> str | None:
        if not msvcrt.kbhit():
            time.sleep(seconds)
        return msvcrt.getwch() if msvcrt.kbhit() else None

else:
    import select
    import termios
    import tty

    @contextmanager
    def keys_at_once() -> Iterator[None]:
        """Let a key be read when it is pressed, not when Enter follows."""
        before = termios.tcgetattr(sys.stdin)
        try:
            tty.setcbreak(sys.stdin)
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

    @contextmanager
    def lines_again() -> Iterator[None]:
        """Within `keys_at_once`: the terminal as other programs expect it."""
        now = termios.tcgetattr(sys.stdin)
        usual = termios.tcgetattr(sys.stdin)
        usual[3] |= termios.ECHO | termios.ICANON
        try:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, usual)
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, now)

    @contextmanager
    def _stoppable(screen: Screen) -> Iterator[None]:
        """Let Ctrl-Z give the shell its own screen, and draw again when the shell brings this program back."""

        def stop(number: int, frame: FrameType | None) -> None:
            screen.leave()
            with lines_again():
                signal.signal(signal.SIGTSTP, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGTSTP)
                signal.signal(signal.SIGTSTP, stop)
            screen.size = os.terminal_size((0, 0))

        before = signal.signal(signal.SIGTSTP, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGTSTP, before)

    def _pressed(seconds: float) -> str | None:
        if not select.select([sys.stdin], [], [], seconds)[0]:
            return None
        typed = os.read(sys.stdin.fileno(), 64).decode("utf-8", errors="replace")
        return typed[0] if typed else "q"  # the terminal has gone
