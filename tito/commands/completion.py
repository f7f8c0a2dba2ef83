"""`tito completion`."""
from __future__ import annotations

import click

from tito import render
from tito.group import Command
from tito.tab import SCRIPTS


@click.command(
    cls=Command,
    example=(
        "tito completion bash > ~/.local/share/bash-completion/completions/tito\n"
        "tito completion zsh > ~/.zfunc/_tito      # a folder in fpath\n"
        "tito completion fish > ~/.config/fish/completions/tito.fish"
    ),
)
@click.argument("shell", metavar="SHELL", type=click.Choice(tuple(SCRIPTS)))
def completion(shell: str) -> None:
    """Print the script that completes tito's words.

    SHELL is bash, zsh or fish. Put the script where your shell looks for such scripts (below) and open a new shell;
    then the Tab key completes commands, options, modules, milestones, backups and preferences.

    To try it in this shell only: source <(tito completion bash), or in fish: tito completion fish | source
    """
    render.exact(SCRIPTS[shell])
