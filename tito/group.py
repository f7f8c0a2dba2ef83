"""Commands with an example in their help, and groups that load a command when it is called and know what was meant."""
from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class Command(click.Command):
    """A command whose help ends with an example: the lines of `example`."""

    def __init__(self, *arguments: Any, example: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.example = example

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"  {line}\n")


class Group(Command, click.Group):
    """A group whose commands may be named by the module they are in: `lazy={"init": "tito.commands.init"}`.

    Such a module has the command under the command's own name.
    """

    command_class = Command

    def __init__(self, *arguments: Any, lazy: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lazy = dict(lazy or {})

    def list_commands(self, context: click.Context) -> list[str]:
        return [*self.lazy, *self.commands]  # in the order of the definition, which is the order of use

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in self.lazy:
            command: click.Command = getattr(importlib.import_module(self.lazy[name]), name)
            return command
        return super().get_command(context, name)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = arguments[0]
        if self.get_command(context, word) is None and not word.startswith("-"):
            import difflib

            near = difflib.get_close_matches(word.lower(), self.list_commands(context), n=1)
            meant = f" Did you mean {near[0]}?" if near else f" There is: {', '.join(self.list_commands(context))}."
            raise click.UsageError(f"No such command {word!r}.{meant}", context)
        return super().resolve_command(context, arguments)
