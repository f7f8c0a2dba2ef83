"""How a command's answer looks: in colour on a terminal, plain in a pipe, and as JSON.

rich is imported on a terminal only; a plain answer needs nothing.
"""
from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from tinytorch.files import readable_size

if TYPE_CHECKING:
    from rich.console import Console

    from pytest_tinytorch.state.undo import Undone
    from pytest_tinytorch.status import Status
    from pytest_tinytorch.workspace.layout import Workspace

_COMMAND = re.compile(r"(?<=: )(?:tito|pytest|pip|python) (?:(?!\. |, |; ).)*$")
_NAMED = 10  # files that are told one by one
_GAP = 2  # blanks between the columns of a table


def make_safe() -> None:
    """Let neither a character that a terminal's encoding lacks end the program, nor a stream that is closed (`>&-`)."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # a file that is opened later would be written to as a stream
        pass
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # as long as the program
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # click.echo would write UTF-8 to an ASCII terminal


def is_colourful() -> bool:
    """Whether to draw for a person: standard output is a terminal and NO_COLOR isn't set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def is_interactive() -> bool:
    """Whether a question would reach a person."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("TITO_NONINTERACTIVE")


def columns(stream: TextIO) -> int:
    """The width of the terminal that a stream goes to; 0 for a file or a pipe, whose readers count on whole lines."""
    if not stream.isatty():
        return 0
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size(stream.fileno()).columns)
    except (OSError, ValueError):
        return 0


def wrapped(text: str, width: int) -> str:
    r"""Text whose lines are broken between words and indented as they began; of a width of 0, as it is.

    A command at the end of a line stays in one piece, to be copied.

    >>> wrapped("  one two\nthree", 6)
    '  one\n  two\nthree'
    >>> wrapped("Go on: tito module start 01", 20)
    'Go on:\ntito module start 01'
    """
    lines = text.split("\n")
    if not width or max(map(len, lines)) <= width:
        return text
    import textwrap

    broken: list[str] = []
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        found = textwrap.wrap(
            _COMMAND.sub(lambda command: command[0].replace(" ", "\0"), line), width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, replace_whitespace=False, expand_tabs=False
        )
        broken += found if len(line) > width and found else [line]
    return "\n".join(broken).replace("\0", " ")


def say(text: str = "", *, whole: bool = False, **style: Any) -> None:
    """Print text, in a style (`bold=True`, `fg="green"`) if somebody sees it; `whole` lines, to be copied, aren't wrapped."""
    text = text if whole else wrapped(text, columns(sys.stdout))
    print(click.style(text, **style) if style and is_colourful() else text)


def exact(text: str) -> None:
    """Print what another program reads: UTF-8, and no carriage returns on Windows either."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.flush()


def error(text: str) -> None:
    """Print what went wrong to standard error."""
    notice(f"Error: {text}")


def notice(text: str) -> None:
    """Print to standard error, so that it stays out of JSON and pipes."""
    print(wrapped(text, columns(sys.stderr)), file=sys.stderr)


def data(value: object) -> None:
    """Print plain data as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=True))


def panel(title: str, lines: Sequence[str]) -> None:
    """Print lines in a frame, or indented below their title."""
    if not is_colourful():
        say("\n".join([title, *(f"  {line}".rstrip() for line in lines)]))
        return
    from rich.panel import Panel
    from rich.text import Text

    console().print(Panel(Text("\n".join(lines)), title=Text(title), expand=False, padding=(1, 2)))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns: whole in a pipe, between words in a terminal, which gets the first columns that fit.

    The first one is never wrapped: names that are typed stand there.
    """
    if not is_colourful():
        print("\n".join(aligned([headers, *rows])))
        return
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    terminal = console()
    widths = fitting([headers, *rows], terminal.width)
    for header, width in zip(headers, widths, strict=False):
        drawn.add_column(header, overflow="fold", width=width)
    for row in rows:
        drawn.add_row(*map(Text, row[: len(widths)]))
    terminal.print(drawn)


def fitting(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The widths of the first columns, as many as fit: of the first one as it is, of the others at least their longest word.

    >>> fitting([("name", "one or two", "size")], 16), fitting([("name", "one or two", "size")], 10)
    ([4, 4, 4], [4, 4])
    """
    first, *others = zip(*rows, strict=True)
    least = [max(map(len, first)), *(max(len(word) for cell in column for word in cell.split() or [""]) for column in others)]
    while len(least) > 1 and sum(least) + _GAP * (len(least) - 1) > width:
        least.pop()
    room = max(width - sum(least) - _GAP * (len(least) - 1), 0)
    widths = [min(least[0], width)]
    for column, short in zip(others, least[1:], strict=False):
        widths.append(min(max(map(len, column)), short + room))
        room -= widths[-1] - short
    return widths


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns stand below each other.

    >>> aligned([("a", "bc"), ("def", "g")])
    ['a    bc', 'def  g']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


size = readable_size


def status(report: Status, *, as_json: bool) -> None:
    """Print where the course stands, as `pytest --tito-status` does."""
    if as_json:
        data(report.as_json())
    elif is_colourful():
        report.print_rich(console(), datetime.now())
    else:
        say(report.plain(datetime.now()))


def undone(workspace: Workspace, done: Undone, *, as_json: bool) -> None:
    """Print what was taken back."""
    if as_json:
        saved = [workspace.relative(path) for path in done.backups]
        facts = {"restored": done.restored, "removed": done.removed, "kept": done.kept, "backups": saved}
        data({"command": done.plan.command, "at": done.plan.at} | facts)
        return
    say(f"Took back `{done.plan.command}` of {done.plan.at}.", bold=True)
    for path in done.backups:
        say(f"Backed up what you changed since to {workspace.relative(path)}")
    for verb, paths in (("Restored", done.restored), ("Removed", done.removed)):
        for name in paths[:_NAMED]:
            say(f"{verb} {name}")
        if len(paths) > _NAMED:
            say(f"{verb} {len(paths) - _NAMED} more files")
    for name in done.kept:
        say(f"Left {name} as it is: it was changed since.")


def diff(lines: Sequence[str]) -> None:
    """Print a unified diff."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        say(line, whole=True, fg=colours.get(line[:1]))


def code(source: str) -> None:
    """Print Python source."""
    if not is_colourful():
        print(source)
        return
    from rich.syntax import Syntax

    console().print(Syntax(source, "python", background_color="default"))


def console() -> Console:
    from rich.console import Console

    return Console()
