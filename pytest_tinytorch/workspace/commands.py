"""Lines that only IPython understands: `%timeit f(x)`, `!ls`, `x = !ls`, `?f`, `f?`, and `%%bash` above a cell.

A script holds them as comments, `# %timeit f(x)`, and a line that is such a comment already gets another `# `, so that
each way undoes the other. `f?` stays as it is: `# why?` must not become a question to IPython.
"""
from __future__ import annotations

import ast
import re
import warnings

_COMMAND = r"%{1,2}[A-Za-z]|!{1,2}[ \t]*[\w.~$/{\\]|\?[A-Za-z_]|[A-Za-z_]\w*[ \t]*=[ \t]*[%!][A-Za-z]"
_LIKE_COMMAND = re.compile(rf"(?P<indent>[ \t]*)(?P<hashes>(?:# )*)(?:{_COMMAND})")
_HELP = re.compile(r"[ \t]*[A-Za-z_][\w.]*\?{1,2}[ \t]*$")
_TOKEN = re.compile(r"""\\.|'''|\"\"\"|['"#]""")


def is_python(source: str) -> bool:
    """Whether Python itself can read a cell, so that no line of it is a command."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape in a string is for the run to tell
        try:
            ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last three: null bytes, absurd nesting
            return False
    return True


def first_command(source: str) -> int | None:
    """The line of the first command, counted from 1."""
    quote = None
    for number, line in enumerate(source.split("\n"), start=1):
        if quote is None and (_is_command(line) or _HELP.match(line)):
            return None if is_python(source) else number  # asked last: it takes a hundred times longer
        quote = open_quote(line, quote)
    return None


def open_quote(line: str, quote: str | None) -> str | None:
    """The triple quote that is open after a line, given the one that was open before it."""
    for token in _TOKEN.findall(line):
        if quote is None:
            if token == "#":
                break
            quote = token if token[0] in "'\"" else None
        elif token == quote or token[0] == quote:
            quote = None
    return quote if quote and len(quote) == 3 else None


def commented(source: str) -> str:
    """A cell's source as a script has it."""
    python = is_python(source)
    lines: list[str] = []
    quote, continued = None, False  # continued: the command above ended in a backslash
    for line in source.split("\n"):
        text = line
        if continued:
            text = "# " + line
        elif quote is None and (found := _LIKE_COMMAND.match(line)) and (found["hashes"] or not python):
            text = found["indent"] + "# " + line[found.end("indent") :]
        continued = (continued or (text != line and _is_command(line))) and line.endswith("\\")
        quote = open_quote(text, quote)
        lines.append(text)
    return "\n".join(lines)


def uncommented(source: str) -> str:
    """The source of which `commented` made this one."""
    lines: list[str] = []
    quote, continued = None, False
    for text in source.split("\n"):
        line = text
        if continued:
            line = text.removeprefix("# ")
        elif quote is None and (found := _LIKE_COMMAND.match(text)) and found["hashes"]:
            line = found["indent"] + text[found.end("indent") + 2 :]
        continued = (continued or (text != line and _is_command(line))) and line.endswith("\\")
        quote = open_quote(text, quote)
        lines.append(line)
    return "\n".join(lines)


def _is_command(line: str) -> bool:
    found = _LIKE_COMMAND.match(line)
    return found is not None and not found["hashes"]
