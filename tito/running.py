"""Commands that run another program: pytest or an editor, and what its exit status means for tito."""
from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pytest_tinytorch.completion import RECEIPT_VARIABLE
from pytest_tinytorch.course.curriculum import Milestone, Module
from pytest_tinytorch.editors import Editor
from pytest_tinytorch.workspace.layout import Workspace
from tito import render

_PYTEST_USAGE = 4

OPTIONS = {"test": (), "complete": ("--tito-complete",), "try": ("--tito-working-copy",)}


def pytest_args(command: str, part: Module | Milestone, arguments: Sequence[str] = ()) -> list[str]:
    """What comes after `pytest` to test or complete a module or milestone, or to try one on the working copies."""
    return ["-m", part.marker, *OPTIONS[command], *arguments]


def run(workspace: Workspace, command: str, part: Module | Milestone, arguments: Sequence[str]) -> int:
    """Run a module's or milestone's tests; returns tito's exit status."""
    return exit_status(_run(workspace, pytest_args(command, part, arguments), {}), arguments)


def complete(workspace: Workspace, part: Module | Milestone, arguments: Sequence[str]) -> int:
    """Complete a module or milestone; returns 0 only if this very run recorded it."""
    with tempfile.TemporaryDirectory(prefix="tito-") as folder:
        receipt = Path(folder) / "receipt.json"
        code = _run(workspace, pytest_args("complete", part, arguments), {RECEIPT_VARIABLE: str(receipt)})
        recorded: list[str] | None = json.loads(receipt.read_text("utf-8"))["recorded"] if receipt.exists() else None
    if status := exit_status(code, arguments):
        return status
    if recorded is None:
        render.error(
            f"pytest ended with exit status 0 before it had finished, so {part.label} is not recorded. Code of yours that "
            "ends Python by itself does that: os._exit() in a module, for instance."
        )
        return 1
    if part.marker not in recorded:
        render.error(f"{part.label} is not recorded: this run did not complete it.")
        return 1
    return 0


def exit_status(code: int, arguments: Sequence[str]) -> int:
    """Tito's exit status for pytest's: 2 only where the words after `--` were wrong.

    >>> exit_status(4, ["--no-such-option"]), exit_status(4, []), exit_status(2, [])
    (2, 1, 1)
    """
    if code == _PYTEST_USAGE and arguments:
        return 2
    return 0 if code == 0 else 1


def _run(workspace: Workspace, arguments: Sequence[str], environment: dict[str, str]) -> int:
    """Run pytest in the workspace and return its exit status.

    Raises: KeyboardInterrupt, if there was one, when pytest has ended.
    """
    render.say(shlex.join(["pytest", *arguments]), dim=True)
    code, interrupted = _waited([sys.executable, "-m", "pytest", *arguments], workspace.root, environment)
    if interrupted:
        raise KeyboardInterrupt
    if code < 0:
        render.error(f"pytest was ended by signal {-code}.")
    return code


def edit(workspace: Workspace, editor: Editor, path: Path) -> int:
    """Open a file of the workspace; returns tito's exit status.

    An editor in this terminal is waited for; one with a window is left to itself.
    """
    render.say(f"{editor.command} {shlex.quote(workspace.relative(path))}", dim=True)
    words = [*editor.words, str(path)]
    if not editor.waits:
        _leave(words, workspace.root)
        return 0
    code, _ = _waited(words, workspace.root, {})  # Ctrl-C is the editor's to handle
    if code:
        render.error(f"{editor.command} ended with exit status {code}.")
    return 1 if code else 0


def _waited(words: Sequence[str], folder: Path, environment: dict[str, str]) -> tuple[int, bool]:
    """Run a program in this terminal; its exit status, and whether Ctrl-C was pressed, which the program got too."""
    sys.stdout.flush()  # before the program writes to the same place
    interrupts: list[int] = []
    usual = signal.getsignal(signal.SIGINT)
    if callable(usual):  # not where it is ignored: the program would no longer ignore it
        signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    try:
        with subprocess.Popen(words, cwd=folder, env={**os.environ, **environment}) as process:
            return process.wait(), bool(interrupts)
    finally:
        if callable(usual):
            signal.signal(signal.SIGINT, usual)


def _leave(words: Sequence[str], folder: Path) -> None:
    """Start a program that outlives this one and its terminal."""
    nobody = subprocess.DEVNULL
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    subprocess.Popen(words, cwd=folder, stdin=nobody, stdout=nobody, stderr=nobody, start_new_session=True, creationflags=flags)
