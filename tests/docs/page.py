"""A page of the docs as a sequence of steps: what is typed, what is shown, and what happens between two blocks.

Three things in a page are executed, from top to bottom, in one scratch folder:

- a block marked `console`: a line that begins with `$ ` is a command, and the lines below it are its output, whole and
  in order. A line `...` stands for any number of lines, `...` inside a line for any text. Blank lines don't count, and
  neither do dates, times and durations. A command must end with status 0, unless `$ echo $?` follows it.
- `<!-- docs-test: solve 01 -->`, which readers don't see: something that a student does elsewhere (see `reader.py`).
- the block below `<!-- docs-test: write conftest.py -->`, which becomes that file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = tuple(sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("changelog.d/README.md")]))

_ACTION = re.compile(r"<!-- docs-test: (.+) -->")
_LEFT_OUT = re.compile(r"(?<!\.)\.\.\.(?!\.)")  # three dots, not pytest's row of them
_CHANGING = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "DATE"),
    (re.compile(r"\d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\d{8}_\d{6}(?:_\d+)?"), "STAMP"),
    (re.compile(r"\.tito_backup_(?:\d{8}|YYYYMMDD)"), ".tito_backup_DAY"),
    (re.compile(r"\d+\.\d\ds\b"), "SECONDS"),
    (re.compile(r"([-=_!])\1{3,}"), r"\1\1\1"),  # pytest's rules fill the line
    (re.compile(r"\((?:just now|\d+ \w+ ago)\)"), "(AGO)"),
)


@dataclass(frozen=True)
class Command:
    """A command and the output that the page shows."""

    line: int
    text: str
    output: tuple[str, ...]


@dataclass(frozen=True)
class Action:
    """What a student does elsewhere; `body` is the block below."""

    line: int
    words: tuple[str, ...]
    body: str


def blocks(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """The fenced blocks: the number of the first line in them, their language, their lines."""
    found: list[str] | None = None
    first, language = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("```"):
            if found is None:
                found, first, language = [], number + 1, line[3:].strip()
            else:
                yield first, language, found
                found = None
        elif found is not None:
            found.append(line)
    if found is not None:
        raise ValueError(f"line {first - 1}: a block that doesn't end")


def without_blocks(text: str) -> str:
    """The prose, with blank lines in the place of the fenced blocks."""
    return re.sub(r"^```.*?^```$", lambda block: "\n" * block[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)


def steps(text: str) -> list[Command | Action]:
    """What is to be done for a page, in its order."""
    code = list(blocks(text))
    found: list[Command | Action] = [
        command for first, language, lines in code if language == "console" for command in _commands(first, lines)
    ]
    for number, line in enumerate(without_blocks(text).splitlines(), start=1):
        if action := _ACTION.fullmatch(line.strip()):
            body = next(("\n".join(lines) + "\n" for first, _, lines in code if first == number + 2), "")
            found.append(Action(number, tuple(action[1].split()), body))
    return sorted(found, key=lambda step: step.line)


def _commands(first: int, lines: Sequence[str]) -> Iterator[Command]:
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    if lines and starts[:1] != [0]:
        raise ValueError(f"line {first}: a console block begins with a command")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield Command(first + start, lines[start][2:], tuple(lines[start + 1 : end]))


class Mismatch(Exception):
    """What a page shows isn't what was printed; the text says where."""


def alignment(shown: Sequence[str], real: Sequence[str], *, numbers: bool = True) -> dict[int, int]:
    """Which line of `real` each line of `shown` is; `numbers=False` takes any number for any other.

    Raises: Mismatch at the first line that isn't where it should be.

    >>> alignment(["a", "...", "d 2025-01-01"], ["a", "b", "", "d 2026-10-12"])
    {0: 0, 2: 3}
    >>> alignment(["a", "c"], ["a", "b", "c"])
    Traceback (most recent call last):
    tests.docs.page.Mismatch: 'c' was expected, and there is 'b'
    """
    settled = [_settled(line, numbers) for line in real]
    there = [number for number, line in enumerate(settled) if line]
    found: dict[int, int] = {}
    position, anywhere = 0, False
    for number, line in enumerate(shown):
        if line.strip() == "...":
            anywhere = True
        elif line.strip():
            pattern = re.compile(
                ".*".join(re.escape(_settled(part, numbers)) for part in _LEFT_OUT.split(line.strip()))
            )
            matches = [p for p in range(position, len(there)) if pattern.fullmatch(settled[there[p]])]
            if not matches or (not anywhere and matches[0] != position):
                here = repr(real[there[position]]) if position < len(there) else "the end of the output"
                raise Mismatch(
                    f"{line!r} is nowhere from {here} on" if anywhere else f"{line!r} was expected, and there is {here}"
                )
            found[number] = there[matches[0]]
            position, anywhere = matches[0] + 1, False
    if not anywhere and position < len(there):
        raise Mismatch(f"nothing more was expected, and there is {real[there[position]]!r}")
    return found


def is_partial(line: str) -> bool:
    """Whether a shown line stands for more than it says."""
    return _LEFT_OUT.search(line) is not None


def _settled(line: str, numbers: bool) -> str:
    """A line without what differs from run to run."""
    for pattern, word in _CHANGING:
        line = pattern.sub(word, line)
    return (line if numbers else re.sub(r"\d+", "N", line)).strip()
