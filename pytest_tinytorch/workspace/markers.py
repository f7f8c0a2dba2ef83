"""The line that begins a cell of a script: `# %% title [markdown] name=value`, its values in JSON."""
from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

GAP = "lines_to_next_cell"  # jupytext's name for the blank lines below a cell; in notebooks only

# Options that aren't metadata of the cell. `trailing` is the blank lines that end its source, `unfinished` says that a
# string in it isn't closed, `language` and `magic_args` are those of `%%bash -e`, and `metadata` holds what a notebook
# has under one of these names, or under a name that can't stand before a `=`.
_OWN = ("id", "language", GAP, "magic_args", "metadata", "trailing", "unfinished")
_FIRST = ("exercise", "points", "task")

_BEGIN = re.compile(r"(?:^|(?<=\s))(?:\{|[\w.@/-]+=)")
_OPTION = re.compile(r"\s*([\w.@/-]+)(=?)")
_LITERAL = re.compile(
    r"'[^'\\]*'|\['[^'\\]*'(?:, *'[^'\\]*')*\]|True|False|None"
)  # tags=['export'], as people write it
_MEANT = re.compile(r"(?:^|\s)(exercise|points|task|tags)\s*=")
_NAME = re.compile(r"[A-Za-z_][\w.@/-]*", re.ASCII)
_TITLE = re.compile(r"[^\s%={}\[\]][^\s={}\[\]]*(?: [^\s={}\[\]]+)*")


def read(text: str) -> tuple[str, dict[str, Any]]:
    """Kind and options of what follows `# %%`; the words before the first option are the option `title`.

    Raises: ValueError if an option that the course uses is there, but not as JSON.

    >>> read('Softmax [markdown] tags=["export"]')
    ('markdown', {'title': 'Softmax', 'tags': ['export']})
    """
    title, options = text, {}
    for begin in islice(_BEGIN.finditer(text), 20):  # a line of thousands would take minutes
        try:
            title, options = text[: begin.start()], _pairs(text[begin.start() :])
            break
        except (ValueError, SyntaxError, RecursionError):
            continue  # this `=` or brace belongs to the title
    if found := _MEANT.search(title):
        raise ValueError(
            f"the option {found[1]} can't be read in `# %% {text.strip()}`. "
            'Options are written name=JSON without blanks around the sign: exercise="add" points=3 tags=["export"]'
        )
    kind = "code"
    for word, meaning in (("[markdown]", "markdown"), ("[raw]", "raw"), ("[md]", "markdown")):
        if word in title:
            title, kind = title.replace(word, ""), meaning
            break
    title = title.strip()
    return kind, {"title": title, **options} if title else options


def _pairs(text: str) -> dict[str, Any]:
    """The options in `name=value name=value` or in one JSON object; a name alone means None."""
    if text.startswith("{"):
        pairs: dict[str, Any] = json.loads(text)
        return pairs
    pairs = {}
    position = 0
    while found := _OPTION.match(text, position):
        position = found.end()
        pairs[found[1]] = None
        if found[2]:
            pairs[found[1]], position = _value(text, position)
        elif text[position : position + 1].strip():
            break
    if text[position:].strip():
        raise ValueError(f"{text[position:]!r} is no option")
    return pairs


def _value(text: str, start: int) -> tuple[Any, int]:
    """The value at `start`, which is JSON or one of Python's simple literals, and where it ends."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError:
        if not (literal := _LITERAL.match(text, start)):
            raise
        value, end = ast.literal_eval(literal[0]), literal.end()
    if text[end : end + 1].strip():
        raise ValueError(f"{text[start:]!r} begins with no value")
    return value, end


def metadata(options: Mapping[str, Any]) -> dict[str, Any]:
    """What a cell's options say about it, without the format's own."""
    hidden = options.get("metadata")
    return {name: options[name] for name in options if name not in _OWN} | (hidden if isinstance(hidden, dict) else {})


def with_own(metadata: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The options for a cell's metadata, in the order in which they are written, and the format's own."""
    plain = sorted(
        (name for name in metadata if name not in _OWN and _NAME.fullmatch(name)),
        key=lambda name: (name not in _FIRST, name),
    )
    hidden = {name: metadata[name] for name in metadata if name not in plain}
    return {name: metadata[name] for name in plain} | dict(own) | ({"metadata": hidden} if hidden else {})


def line(kind: str, options: Mapping[str, Any]) -> str:
    """The marker that `read` understands."""
    rest = dict(options)
    words = ["# %%"]
    depth, title = rest.get("cell_depth"), rest.get("title")
    if type(depth) is int and 0 < depth < 10:
        words = ["# %%" + "%" * depth]
        del rest["cell_depth"]
    if isinstance(title, str) and _TITLE.fullmatch(title):
        words.append(title)
        del rest["title"]
    if kind != "code":
        words.append(f"[{kind}]")
    return " ".join([*words, *(f"{name}={_json(value)}" for name, value in rest.items())])


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if text.isprintable() else json.dumps(value, sort_keys=True)
