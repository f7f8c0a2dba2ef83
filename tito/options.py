"""Options and arguments that several commands have."""
from __future__ import annotations

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
pytest_arguments = click.argument("arguments", metavar="[-- PYTEST ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)

TEMPLATES = "--templates"  # tito's own, which may stand after a command too


def templates_first(arguments: list[str]) -> list[str]:
    """The arguments with `--templates DIR` before the command, where click looks for it."""
    for position, argument in enumerate(arguments):
        if argument.partition("=")[0] == TEMPLATES:
            end = position + (1 if "=" in argument else 2)
            if end > len(arguments):
                raise click.UsageError(f"{TEMPLATES} needs the folder of a course: {TEMPLATES} DIR")
            return arguments[position:end] + arguments[:position] + arguments[end:]
    return arguments
