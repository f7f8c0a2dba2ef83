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

    Such a module has the command under the command's own name, or under another that is given after a colon.
    """

    command_class = Command

    def __init__(self, *arguments: Any, lazy: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lazy = dict(lazy or {})

    def list_commands(self, context: click.Context) -> list[str]:
        return [*self.lazy, *self.commands]  # in the order of the definition, which is the order of use

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in self.lazy:
            module, _, attribute = self.lazy[name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute or name)
            return command
        return super().get_command(context, name)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = arguments[0]
        if self.get_command(context, word) is None and not word.startswith("-"):
            meant = f" Did you mean {near}?" if (near := self._near(context, word)) else f" There is: {', '.join(self.list_commands(context))}."
            raise click.UsageError(f"No such command {word!r}.{meant}", context)
        return super().resolve_command(context, arguments)

    def _near(self, context: click.Context, word: str) -> str | None:
        """The command that a wrong word may have meant: one of a group below by that very name, else a similar one."""
        import difflib

        for name in self.lazy:
            group = self.get_command(context, name)
            if isinstance(group, click.Group) and word in group.list_commands(context):
                return f"tito {name} {word}"
        # a suggestion is typed without much thought: none may be more destructive than what was asked for
        harmless = [name for name in self.list_commands(context) if name != "reset"]
        return next(iter(difflib.get_close_matches(word.lower(), harmless, n=1)), None) or next(
            (name for name in difflib.get_close_matches(word.lower(), ["reset"], cutoff=0.75)), None
        )
