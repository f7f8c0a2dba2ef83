"""Questions before something that can't be taken back with one key. Without a terminal nobody is asked: nothing happens."""
from __future__ import annotations

from typing import TYPE_CHECKING

from tito import render

if TYPE_CHECKING:
    from pytest_tinytorch.course.curriculum import Module
    from pytest_tinytorch.workspace.layout import Workspace


def reset_is_wanted(workspace: Workspace, module: Module, *, command: str, otherwise: str = "") -> bool:
    """Show what a module's reset by `command` would do, and let the student choose; `otherwise` is said first of another way."""
    from pytest_tinytorch.reset import at_risk

    render.say(f"Warning: This will reset Module {module.number} ({module.title})", bold=True)
    if otherwise:
        render.say(f"\n{otherwise}")
    render.say(
        "\nThis will:\n"
        "  \N{BULLET} Backup current implementation\n"
        "  \N{BULLET} Reset module to clean state\n"
        "  \N{BULLET} Clear module completion status"
    )
    if found := at_risk(workspace, module):
        lines = "can't be counted" if found.changed_lines is None else f"{found.changed_lines} lines added/modified"
        render.say(
            f"\nCurrent file: {workspace.relative(found.path)}\n"
            f"  Last modified: {found.modified:%Y-%m-%d %H:%M:%S}\n"
            f"  Size: {found.size / 1024:.1f} KB\n"
            f"  Changes: {lines}\n"
            "\nYour code will be backed up to .tito/backups/"
        )
    if not render.is_interactive():
        render.error(f"Nobody is here to ask, so nothing was changed. In a script: {command} --yes")
        return False
    render.say("\nOptions:\n  1. Backup and reset (recommended)\n  2. View diff first\n  3. Cancel\n")
    while True:
        answer = _answer("Choice [1]: ")
        if answer in ("", "1"):
            return True
        if answer in (None, "3"):
            return _cancelled()
        if answer == "2":
            _show_changes(workspace, module)
        else:
            render.say("Type 1, 2 or 3.")


def confirmed(question: str, *, otherwise: str) -> bool:
    """Ask a question whose answer is no unless it is yes; `otherwise` is what a script writes instead."""
    if not render.is_interactive():
        render.error(f"{question} Nobody is here to ask, so nothing was done. In a script: {otherwise}")
        return False
    return agrees(question) or _cancelled()


def agrees(question: str) -> bool:
    """Ask somebody who is there; anything but yes is no."""
    return (_answer(f"{question} [y/N]: ") or "").lower() in ("y", "yes")


def has_typed(word: str, question: str, *, otherwise: str) -> bool:
    """Ask for a word to be typed, where a y that was typed without much thought would not do."""
    if not render.is_interactive():
        render.error(f"{question} Nobody is here to ask, so nothing was done. In a script: {otherwise}")
        return False
    return _answer(f"{question} Type {word} to go on: ") == word or _cancelled()


def _cancelled() -> bool:
    render.say("Cancelled. Nothing was changed.")
    return False


def _answer(prompt: str) -> str | None:
    """What was typed; None for the end of input and for Ctrl-C."""
    try:
        return input(prompt).strip()
    except (EOFError, KeyboardInterrupt):
        render.say()
        return None


def _show_changes(workspace: Workspace, module: Module) -> None:
    from pytest_tinytorch.workspace import changes
    from tinytorch.errors import TinyTorchError

    try:
        copy = workspace.working_copy(module)
        before, cells = changes.started_from(workspace, module)
        render.diff(changes.diff(cells, copy.cells, names=(before, copy.path.name)) or ["You changed nothing."])
    except TinyTorchError as error:
        render.error(str(error))
