"""Which program opens a file for a student: the preference `editor` as a command, found on this machine."""
from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass

from tinytorch.errors import ConfigError

NONE, ENVIRONMENT = "none", "editor"
PROGRAMS = {"jupyter": "jupyter-lab", "vscode": "code"}
_TO_GET = {
    "jupyter-lab": "Install it with: python -m pip install jupyterlab",
    "code": "Install VS Code; in VS Code for macOS, then run its command: Shell Command: Install 'code' command in PATH",
}
_VARIABLES = ("VISUAL", "EDITOR")
# Programs that open a window: nobody waits for them. Any other is waited for, since it may need the terminal.
_WINDOWED = frozenset({
    "atom", "bbedit", "charm", "code", "code-insiders", "codium", "cursor", "geany", "gedit", "gnome-text-editor", "gvim", "idea",
    "kate", "kwrite", "mate", "mousepad", "mvim", "notepad", "notepad++", "nova", "open", "pluma", "pycharm", "spyder", "subl",
    "sublime_text", "thonny", "windsurf", "xdg-open", "xed", "zed",
})  # fmt: skip


@dataclass(frozen=True)
class Editor:
    """A program that is there, and its arguments before the file."""

    command: str  # as people write it
    words: tuple[str, ...]  # the first is the program's path
    waits: bool  # whether it has this terminal until it ends


def find(choice: str) -> Editor:
    """The editor for a value of the preference: one of `PROGRAMS`, `editor` for the environment's, or a command line.

    A command line that ends in `&` isn't waited for, as in a shell. No shell runs it.

    Raises: ConfigError if it is no command line, or its program isn't found.
    """
    command, source = _command(choice)
    in_background = command.rstrip().endswith("&")
    try:
        words = _split(command.rstrip().removesuffix("&"))
    except ValueError as error:
        raise ConfigError(f"{source}{command!r} is no command line: {error}. Quote a path with blanks, and nothing else.") from error
    if not words:
        raise ConfigError(f"{source}A command line was expected, such as: nano")
    program = shutil.which(os.path.expanduser(words[0]))  # noqa: PTH111  # Path.expanduser raises RuntimeError without a home
    if program is None:
        how = _TO_GET.get(words[0], "Install it, write its whole path, or choose another with: tito config set editor.")
        raise ConfigError(f"{source}The program {words[0]!r} isn't found. {how}")
    name = os.path.basename(words[0]).lower().partition(".")[0]  # noqa: PTH119  # a word that may hold any character
    return Editor(shlex.join(words), (os.path.abspath(program), *words[1:]), not in_background and name not in _WINDOWED)  # noqa: PTH100


def _command(choice: str) -> tuple[str, str]:
    """The command line for a choice, and where it comes from if the student didn't write it there."""
    if choice not in (NONE, ENVIRONMENT):
        return PROGRAMS.get(choice, choice), ""
    for variable in _VARIABLES:
        if command := os.environ.get(variable, "").strip():
            return command, f"${variable}: "
    raise ConfigError(
        "No editor is chosen: neither VISUAL nor EDITOR is set. "
        f"Choose one of {', '.join(PROGRAMS)}, or a command line: tito config set editor nano"
    )


def _split(command: str) -> list[str]:
    """The words of a command line. On Windows a backslash is part of a path."""
    if os.name == "nt":
        return [word.strip('"') for word in shlex.split(command, posix=False)]
    return shlex.split(command)
