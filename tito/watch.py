"""The loop of `tito module watch`: a save, a run, its verdict on the screen, the next save."""
from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from pytest_tinytorch import completion, warm, watching
from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch.errors import TinyTorchError
from tito import render, verdict, window
from tito.running import pytest_args
from tito.verdict import BOLD, DIM, Line, Verdict, Wrap

_REST = 2.0  # seconds between two looks at the installed plugin
_PATIENCE = 0.3  # seconds until a run that goes on is shown, and until a file that can't be read counts as completely saved
_SOON = 0.003  # seconds between two looks at a run that goes on
_COMMANDS = {"h": "hint", "d": "diff", "c": "complete"}
_KEYS = "h next hint   d diff since the start   c complete   a all output   q quit"
_PAGE_KEYS = "a back to the verdict   q quit"
_SLOW = "Every run is a new Python here, made ready in advance: a save right after another takes longer."


def watch_module(workspace: Workspace, module: Module) -> int:
    """Test a module whenever it is saved, until the student quits. Returns tito's exit status."""
    try:
        with _asked_to_end() as asked, window.opened() as opened:
            Watch(workspace, module, opened).loop(until=asked)
    except _Outdated:
        return _start_again(workspace)
    return 0


class _Outdated(Exception):
    """What this process has loaded isn't what is installed or configured any more."""


class Watch:
    """One module being watched in one window."""

    def __init__(self, workspace: Workspace, module: Module, window: window.Window) -> None:
        self.workspace = workspace
        self.module = module
        self.window = window
        self.saves = watching.Saves(lambda: watching.saved_files(workspace, module))
        self.loaded = self._loadable()
        self.looked_at = time.monotonic()  # at what could be loaded
        self.spare: warm.Run | None = None  # waits for the next save
        self.run: warm.Run | None = None  # goes on
        self.ran: tuple[warm.Ran, float] | None = None  # the run that brought the verdict, and the seconds since the save
        self.verdict: Verdict | None = None
        self.has_page = False  # whether something longer than the window is shown instead of the verdict
        self.shown_seconds = 0  # of a run that goes on

    def loop(self, until: Callable[[], bool]) -> None:
        """Watch until that is true or the student quits.

        Raises: _Outdated if this program has to be started again.
        """
        try:
            self._draw()
            warm.warm_up(self.workspace.root)
            while not until():
                if self.saves.there_is_one():
                    self._test()
                pause = time.monotonic() + watching.PERIOD
                while time.monotonic() < pause:
                    if key := self.window.key(_SOON if self.run else watching.PERIOD):
                        if key == "q":
                            return
                        self._press(key)
                    if self.run and self.run.has_ended:
                        self._tell()
                self._keep_up()
        finally:
            self.window.leave()
            for run in (self.run, self.spare):
                if run:
                    run.close()

    # --- runs ----------------------------------------------------------------------------------------------------

    def _test(self) -> None:
        """Begin a run. One that still goes on is of an older save, and ends."""
        if watching.configuration(self.workspace) != self.loaded[0]:
            raise _Outdated
        if self.run:
            self.run.close()
        self.run, self.spare = self.spare or self._ready(), None
        self.run.go()

    def _ready(self) -> warm.Run:
        arguments = [*pytest_args("watch", self.module), f"--color={'yes' if render.is_colourful() else 'no'}"]
        return warm.Run(arguments, self.workspace.root, columns=self.window.columns)

    def _tell(self) -> None:
        """Show what came of a run that has ended; nothing was saved since it began."""
        assert self.run
        ran = self.run.result()
        seconds = time.monotonic() - self.saves.changed_at
        if seconds < _PATIENCE and not verdict.has_tests(self.module, ran):
            return  # asked again: the module can't be read, perhaps because it is being written
        self.run.close()
        self.run, self.ran = None, (ran, seconds)
        self.shown_seconds = 0
        self._judge()
        self._draw()

    def _judge(self) -> None:
        """Tell the last run's verdict by what is recorded now."""
        if self.ran:
            try:
                way_on = completion.way_on(self.workspace, self.module)
            except TinyTorchError:  # a broken state, which the next run tells
                way_on = None
            self.verdict = verdict.of(self.module, *self.ran, way_on)

    def _keep_up(self) -> None:
        """Have the next run wait, see whether what it has loaded is what there is, and fit what is shown to the window."""
        if self.run:
            seconds = int(time.monotonic() - self.saves.changed_at + 1 - _PATIENCE)
            if seconds != self.shown_seconds and self.window.height:
                self.shown_seconds = seconds
                self._draw()
        elif self.spare is None:
            self.spare = self._ready()
        elif time.monotonic() - self.looked_at > _REST:
            self.looked_at = time.monotonic()
            if self.loaded != self._loadable():
                raise _Outdated
        if self.window.size_changed() and not self.has_page:
            self._draw()

    def _loadable(self) -> tuple[watching.Stamps, watching.Stamps]:
        return watching.configuration(self.workspace), watching.installation(self.workspace.course)

    # --- the window ----------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        """Show the verdict; in a terminal with its keys, and with what goes on."""
        self.has_page = False
        wrap, height = (window.wrapper(self.window.columns), self.window.height) if self.window.height else (_whole, None)
        if height is None:
            if self.verdict:
                self.window.draw(self.verdict.lines(wrap, None))
            return
        foot: list[Line] = [(row, DIM) for text in ([] if warm.CAN_FORK else [_SLOW]) + [_KEYS] for row in wrap(text)]
        room = height - len(foot) - 1
        testing = self._testing(wrap) if self.verdict is None or self.shown_seconds else []
        if testing and self.verdict:
            testing += [("", {}), ("before this save:", DIM)]
        old = self.verdict.lines(wrap, max(room - len(testing), 1)) if self.verdict else []
        lines = [*testing, *((text, DIM if testing else style) for text, style in old)]
        self.window.draw([*lines[:room], ("", {}), *foot])

    def _testing(self, wrap: Wrap) -> list[Line]:
        """What goes on, with the test that it has come to once that takes long."""
        is_long = self.run and self.shown_seconds > 1
        since = f", {self.shown_seconds} s; a save starts it anew" if is_long else ""
        told: list[Line] = [(row, BOLD) for row in wrap(f"Module {self.module.label}: testing{since}")]
        at = self.run.at if self.run and is_long else ""
        return told + [(row, {}) for row in (wrap(f"  {at.rpartition('/')[2]}") if at else [])]

    def _press(self, key: str) -> None:
        if self.has_page and key not in _COMMANDS:
            self._draw()
        elif key == "a":
            self._show_page(lambda: print(self.ran[0].output if self.ran else ""))
        elif key in _COMMANDS:
            self._show_page(lambda: self._command(_COMMANDS[key]))
            self._judge()

    def _show_page(self, show: Callable[[], None]) -> None:
        """Show something that may be longer than the window, in the screen of the student's shell, which scrolls."""
        self.window.turn_page()
        with window.lines_again():
            show()
            sys.stdout.flush()
        render.say(f"\n{_PAGE_KEYS}", dim=True)
        sys.stdout.flush()
        self.has_page = True

    def _command(self, name: str) -> None:
        """Run another command of tito's on the module."""
        arguments = ["module", name, self.module.number]
        render.say(shlex.join(["tito", *arguments]), dim=True)
        sys.stdout.flush()
        subprocess.run([sys.executable, "-m", "tito", *arguments], check=False)


def _whole(text: str) -> list[str]:
    return [text]


@contextmanager
def _asked_to_end() -> Iterator[Callable[[], bool]]:
    """Whether a signal has asked this program to end. Nothing is interrupted, so no run is left behind half made."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:  # as nohup wants it
                signal.signal(number, note)
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start_again(workspace: Workspace) -> int:
    """Become a new process with what is installed now, once it is there completely."""
    render.say("The course or pytest's configuration has changed: starting again.")
    now = None
    while now != (now := watching.installation(workspace.course)):
        time.sleep(_PATIENCE)
    sys.stdout.flush()
    command = [sys.executable, *sys.orig_argv[1:]]
    if os.name != "nt":  # whose exec gives the terminal back to the shell while this program goes on
        os.execv(sys.executable, command)
    return subprocess.run(command, check=False).returncode
