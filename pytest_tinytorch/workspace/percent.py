"""The percent format: a script in which lines such as `# %% [markdown]` begin the cells of a notebook.

It is jupytext's format, and files written here can be read by jupytext and by editors. jupytext isn't used, since it
costs more time to import than a test run takes, and since it does not keep everything: ids, blank lines at a cell's
end, a comment `# %% x` or a markdown line `%% x` (they would begin a cell), a string that isn't closed (it would
swallow the cells below), and comments such as `# copy x` (they would become shell commands). What jupytext can't say
stands in options of ours, and lines that look like markers get another `# ` in front.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_tinytorch.workspace import commands, markers
from tinytorch.errors import ExportError

_MARK = r"%%(?P<depth>%*)(?:[ \t](?P<options>.*))?$|<codecell>[ \t]*$|In\[[0-9 ]*\]:?[ \t]*$"
_MARKER = re.compile(rf"[ \t]*#[ \t]*(?:{_MARK})")
_LIKE_MARKER = re.compile(rf"(?P<indent>[ \t]*)(?P<hashes>(?:# )*)#[ \t]*(?:{_MARK})")
_LANGUAGE = re.compile(r"%%(?P<name>\w+)(?: (?P<arguments>.*))?(?:\n|$)")
_LANGUAGES = (
    "bash",
    "cmd",
    "html",
    "javascript",
    "js",
    "latex",
    "markdown",
    "perl",
    "R",
    "ruby",
    "script",
    "sh",
    "svg",
    "writefile",
)
_ENCODING = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*[-\w.]+")
_FENCE = re.compile(r"# ?---[ \t]*$")
_QUOTED = re.compile(r"[rR]?(?P<quote>'''|\"\"\")\n?(?P<text>.*?)\n?(?P=quote)", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A cell as it stands in the file."""

    kind: str
    options: dict[str, Any]
    lines: list[str] = field(default_factory=list)  # below the marker, without the blank lines at the end
    first: int = 1  # the number of the first of them in the file
    gap: int = 0  # blank lines after the last of them


def normal(text: str) -> str:
    """Text with newlines as Python has them, and without a byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def split(text: str, name: str = "the script") -> tuple[str, list[Block]]:
    r"""The header (a `#!` line, an encoding, a YAML block in comments) and the blocks below it.

    Raises: ExportError for a marker that can't be read; `name` is the file's in the message.

    >>> split('# %% tags=["export"]\nx = 1\n')
    ('', [Block(kind='code', options={'tags': ['export']}, lines=['x = 1'], first=2, gap=0)])
    """
    lines = normal(text).split("\n")
    if not lines[-1]:
        del lines[-1]
    start = _header_length(lines)
    begins = list(_begins(lines, start, name))
    if any(line.strip() for line in lines[start : begins[0][0] if begins else None]):
        begins.insert(0, (start - 1, "code", {}))  # text above the first marker is a cell too
    ends = [*(index for index, _, _ in begins), len(lines)][1:]
    blocks = [
        _block(kind, options, lines[index + 1 : end], index + 2)
        for (index, kind, options), end in zip(begins, ends, strict=True)
    ]
    return "".join(line + "\n" for line in lines[:start]), blocks


def _header_length(lines: list[str]) -> int:
    start = 0
    if lines and lines[0].startswith("#!"):
        start = 1
    if start < len(lines) and _ENCODING.match(lines[start]):
        start += 1
    if start < len(lines) and _FENCE.match(lines[start]):
        end = start + 1
        while end < len(lines) and lines[end].startswith("#") and not _FENCE.match(lines[end]):
            end += 1
        if end < len(lines) and _FENCE.match(lines[end]):
            start = end + 1
    while start < len(lines) and not lines[start].strip():
        start += 1
    return start


def _begins(lines: list[str], start: int, name: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Index, kind and options of each marker that isn't inside a string."""
    quote, unfinished = None, False
    for index in range(start, len(lines)):
        marker = None if quote else _MARKER.match(lines[index])
        if marker:
            try:
                kind, options = markers.read(marker["options"] or "")
            except ValueError as error:
                raise ExportError(f"{name}:{index + 1}: {error}") from error
            if marker["depth"]:
                options["cell_depth"] = len(marker["depth"])
            unfinished = options.get("unfinished") is True
            yield index, kind, options
        elif not unfinished:
            quote = commands.open_quote(lines[index], quote)


def _block(kind: str, options: dict[str, Any], lines: list[str], first: int) -> Block:
    length = len(lines)
    while length and not lines[length - 1].strip():
        length -= 1
    return Block(kind, options, lines[:length], first, len(lines) - length)


def source(block: Block) -> str:
    """A block's text as a notebook has it."""
    command = language(block.options) if block.kind == "code" else ""
    if block.kind == "code" and not command:
        text = _unshielded(block.lines, strings=not block.options.get("unfinished"))
        text = text if is_exported(markers.metadata(block.options)) else commands.uncommented(text)
    elif block.kind != "code" and (quoted := _QUOTED.fullmatch("\n".join(block.lines).strip())):
        text = quoted["text"]
    else:
        lines = _unshielded(block.lines, strings=False).split("\n")
        text = "\n".join(line[2:] if line.startswith("# ") else line.removeprefix("#") for line in lines)
        text = "\n".join(filter(None, [command, text]))
    return text + str(block.options.get("trailing", ""))


def without_blank_end(source: str) -> str:
    """A source up to its last line that isn't blank."""
    lines = source.split("\n")
    while lines and not lines[-1].strip():
        del lines[-1]
    return "\n".join(lines)


def is_exported(metadata: Mapping[str, Any]) -> bool:
    """Whether a code cell with these options belongs to the student's package."""
    tags = metadata.get("tags")
    return bool(metadata.get("exercise")) or (isinstance(tags, list) and "export" in tags)


def language(options: Mapping[str, Any]) -> str:
    """The first line of a cell in another language, such as `%%bash -e`."""
    name = options.get("language")
    if not isinstance(name, str) or name == "python":
        return ""
    return f"%%{name} {options['magic_args']}" if "magic_args" in options else f"%%{name}"


def _unshielded(lines: list[str], *, strings: bool) -> str:
    """Lines without the `# ` that keeps what looks like a marker from being one."""
    quote = None
    plain: list[str] = []
    for line in lines:
        found = None if quote else _LIKE_MARKER.match(line)
        plain.append(found["indent"] + line[found.end("indent") + 2 :] if found and found["hashes"] else line)
        quote = commands.open_quote(line, quote) if strings else None
    return "\n".join(plain)


def joined(header: str, blocks: Iterable[Block]) -> str:
    """The script that `split` takes apart again."""
    lines: list[str] = []
    for block in blocks:
        lines += [markers.line(block.kind, block.options), *block.lines, *[""] * block.gap]
    return header + "".join(line + "\n" for line in lines)


def block(kind: str, metadata: Mapping[str, Any], source: str, *, id: str | None, gap: int) -> Block:
    """A notebook's cell as it stands in a script, with `id` if it must be written there."""
    lines, own = _code(metadata, source) if kind == "code" else (_comments(source), {})
    return Block(kind, markers.with_own(metadata, own | ({"id": id} if id else {})), lines, gap=gap)


def _code(metadata: Mapping[str, Any], source: str) -> tuple[list[str], dict[str, Any]]:
    """The lines of a code cell, and the options of this format that they need."""
    text = without_blank_end(source)
    own: dict[str, Any] = {"trailing": source[len(text) :]} if text != source else {}
    if is_exported(metadata):  # a command in it is for the export to refuse
        return _shielded_code(text, own)
    command = _LANGUAGE.match(text)
    if command and command["name"] != "python":
        body = text[command.end() :]
        if command["name"] in _LANGUAGES or not commands.is_python(commands.commented(body)):
            own["language"] = command["name"]
            if command["arguments"] is not None:
                own["magic_args"] = command["arguments"]
            return _comments(body), own
    return _shielded_code(commands.commented(text), own)


def _shielded_code(text: str, own: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    lines = text.split("\n") if text else []
    quote = None
    for line in lines:
        quote = commands.open_quote(line, quote)
    if quote:
        own["unfinished"] = True
    return _shielded(lines, strings=not quote), own


def _comments(text: str) -> list[str]:
    return _shielded([f"# {line}" if line else "#" for line in text.split("\n")], strings=False) if text else []


def _shielded(lines: list[str], *, strings: bool) -> list[str]:
    """Lines with another `# ` before what looks like a marker, outside of strings if there may be any."""
    quote = None
    shielded: list[str] = []
    for line in lines:
        found = None if quote else _LIKE_MARKER.match(line)
        shielded.append(found["indent"] + "# " + line[found.end("indent") :] if found else line)
        quote = commands.open_quote(line, quote) if strings else None
    return shielded
