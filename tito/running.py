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
from typing import Any, BinaryIO

from pytest_tinytorch.completion import RECEIPT_VARIABLE
from pytest_tinytorch.course.curriculum import Milestone, Module
from pytest_tinytorch.editors import Editor
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch.errors import WorkspaceError
from tito import render

_PYTEST_USAGE = 4
_REFUSES = "ERROR: "  # how pytest begins to say why it does nothing
_SHOWN_LINES = 20  # of what pytest said, where it failed itself

OPTIONS = {
    "test": (),
    "complete": ("--tito-complete",),
    "try": ("--tito-working-copy",),
    "hint": ("--tito-in-order", "--tito-quick", "-q", "--tb=auto"),
    "watch": ("--tito-in-order", "--tito-quick", "-q", "--tb=auto"),
}


def pytest_args(command: str, part: Module | Milestone, arguments: Sequence[str] = ()) -> list[str]:
    """What comes after `pytest` to test or complete a module or milestone, to try one on the working copies, or to find what fails, once or at each save."""
    return ["-m", part.marker, *OPTIONS[command], *arguments]


def run(workspace: Workspace, command: str, part: Module | Milestone, arguments: Sequence[str]) -> int:
    """Run a module's or milestone's tests; returns tito's exit status."""
    return exit_status(_run(workspace, pytest_args(command, part, arguments), {}), arguments)


def complete(workspace: Workspace, part: Module | Milestone, arguments: Sequence[str]) -> int:
    """Complete a module or milestone; returns 0 only if this very run recorded it."""
    with tempfile.TemporaryDirectory(prefix="tito-") as folder:
        path = Path(folder) / "receipt.json"
        code = _run(workspace, pytest_args("complete", part, arguments), {RECEIPT_VARIABLE: str(path)})
        receipt = _receipt(path)
    if status := exit_status(code, arguments):
        return status
    if receipt is None:
        render.error(
            f"pytest ended with exit status 0 before it had finished, so {part.label} is not recorded. Code of yours that "
            "ends Python by itself does that: os._exit() in a module, for instance."
        )
        return 1
    if part.marker not in receipt["recorded"]:
        render.error(f"{part.label} is not recorded: this run did not complete it.")
        return 1
    return 0


def look(workspace: Workspace, part: Module | Milestone, *, quiet: bool) -> dict[str, Any]:
    """Run a module's tests, unseen; returns what the session says of it (its receipt).

    Raises: WorkspaceError, if the session did not come to its end: with its reason, if it refused, else with the end of
    what pytest printed.
    """
    with tempfile.TemporaryDirectory(prefix="tito-") as folder:
        path, printed = Path(folder) / "receipt.json", Path(folder) / "output.txt"
        with printed.open("wb") as output:
            code = _run(workspace, pytest_args("hint", part), {RECEIPT_VARIABLE: str(path)}, output=output, quiet=quiet)
        receipt = _receipt(path)
        if receipt is None:
            said = printed.read_text("utf-8", errors="replace").strip()
            if code == 1 and said.startswith(_REFUSES):
                raise WorkspaceError(said.removeprefix(_REFUSES))
            end = "\n".join(said.splitlines()[-_SHOWN_LINES:])
            raise WorkspaceError(
                f"pytest ended with exit status {code} before it had tested {part.label}. It said:\n\n{end}\n\n"
                f"To see all of it: tito module test {part.number}"
            )
    return receipt


def _receipt(path: Path) -> dict[str, Any] | None:
    """What a session said that it found and recorded, or None if it did not come to its end."""
    receipt: dict[str, Any] | None = json.loads(path.read_text("utf-8")) if path.exists() else None
    return receipt


def exit_status(code: int, arguments: Sequence[str]) -> int:
    """Tito's exit status for pytest's: 2 only where the words after `--` were wrong.

    >>> exit_status(4, ["--no-such-option"]), exit_status(4, []), exit_status(2, [])
    (2, 1, 1)
    """
    if code == _PYTEST_USAGE and arguments:
        return 2
    return 0 if code == 0 else 1


def _run(
    workspace: Workspace, arguments: Sequence[str], environment: dict[str, str], *, output: BinaryIO | None = None, quiet: bool = False
) -> int:
    """Run pytest in the workspace and return its exit status.

    What it prints goes into `output`, if that is given; `quiet` leaves the command line unsaid.

    Raises: KeyboardInterrupt, if there was one, when pytest has ended.
    """
    if not quiet:
        render.say(shlex.join(["pytest", *arguments]), whole=True, dim=True)
    code, interrupted = _waited([sys.executable, "-m", "pytest", *arguments], workspace.root, environment, output)
    if interrupted:
        raise KeyboardInterrupt
    if code < 0:
        render.error(f"pytest was ended by signal {-code}.")
    return code


def edit(workspace: Workspace, editor: Editor, path: Path) -> int:
    """Open a file of the workspace; returns tito's exit status.

    An editor in this terminal is waited for; one with a window is left to itself.
    """
    render.say(f"{editor.command} {shlex.quote(workspace.relative(path))}", whole=True, dim=True)
    words = [*editor.words, str(path)]
    if not editor.waits:
        _leave(words, workspace.root)
        return 0
    code, _ = _waited(words, workspace.root, {})  # Ctrl-C is the editor's to handle
    if code:
        render.error(f"{editor.command} ended with exit status {code}.")
    return 1 if code else 0


def _waited(
    words: Sequence[str], folder: Path, environment: dict[str, str], output: BinaryIO | None = None
) -> tuple[int, bool]:
    """Run a program in this terminal, or unseen if there is an `output` for what it prints.

    Returns its exit status, and whether Ctrl-C was pressed, which the program got too.
    """
    sys.stdout.flush()  # before the program writes to the same place
    interrupts: list[int] = []
    usual = signal.getsignal(signal.SIGINT)
    if callable(usual):  # not where it is ignored: the program would no longer ignore it
        signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    try:
        with subprocess.Popen(
            words, cwd=folder, env={**os.environ, **environment},
            stdin=subprocess.DEVNULL if output else None, stdout=output, stderr=output,
        ) as process:
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
