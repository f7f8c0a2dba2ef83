"""A YAML file in which everything knows its line, so that a message about a fault says where it is.

Values are read as their text stands there: nothing is constructed, so that 08 is a number like any other and a date
is what somebody wrote.
"""
from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import NoReturn

import yaml

from tinytorch.errors import ConfigError

__all__ = ["LARGEST_NUMBER", "Value", "read"]

LARGEST_NUMBER = 999_999
_TRUTHS = {"true": True, "True": True, "false": False, "False": False}
_REAL = re.compile(r"[0-9]{1,15}(\.[0-9]{0,15})?([eE][-+]?[0-9]{1,2})?")
_ADVICE = {  # on what people write most often, by what the parser says of it
    "found character '\\t'": "Use spaces, not a tab",
    "mapping values are not allowed here": 'A text with a colon is to be quoted: "..."',
}


@dataclass(frozen=True)
class Value:
    """A value of the file, and its place."""

    node: yaml.Node
    file: str  # as messages name it; empty if there is none
    name: str  # what the value is: "due of 05"

    def refuse(self, said: str) -> NoReturn:
        """Raises: ConfigError that begins with the file and the line."""
        raise ConfigError(f"{self.file}:{self.node.start_mark.line + 1}: {said}" if self.file else said)

    def table(self, keys: Collection[str] | None = None, *, kind: str = "key") -> list[tuple[Value, Value]]:
        """The pairs of a table, which has no key twice, and no other than `keys`, which are each a `kind`."""
        if not isinstance(self.node, yaml.MappingNode):
            self._expected("a table such as `key: value`")
        pairs: list[tuple[Value, Value]] = []
        for key_node, node in self.node.value:
            key = Value(key_node, self.file, f"a key of {self.name}")
            word = key.text()
            if keys is not None and word not in keys:
                near = difflib.get_close_matches(word, keys, n=1)
                meant = f" Did you mean {near[0]}?" if near else ""
                key.refuse(f"there is no {kind} {word!r}.{meant} There are: {', '.join(keys)}")
            if any(word == other.text() for other, _ in pairs):
                key.refuse(f"{word!r} stands here a second time")
            pairs.append((key, Value(node, self.file, word if keys is not None else f"{self.name} of {word}")))
        return pairs

    def items(self) -> list[Value]:
        """The items of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self._expected("a list such as [1, 2]")
        return [Value(node, self.file, f"an item of {self.name}") for node in self.node.value]

    @property
    def is_table(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_block(self) -> bool:
        """Whether it is a text over lines of its own, below a `|` or `>`."""
        return isinstance(self.node, yaml.ScalarNode) and self.node.style in ("|", ">")

    @property
    def start(self) -> int:
        """Where it begins in the file's text."""
        return int(self.node.start_mark.index)

    @property
    def end(self) -> int:
        return int(self.node.end_mark.index)

    def text(self) -> str:
        """A single value as it is written, without quotes."""
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.value.strip():
            self._expected("a text")
        return str(self.node.value)

    def number(self) -> int:
        """A whole number from 0 to `LARGEST_NUMBER`, in decimal digits."""
        if not isinstance(self.node, yaml.ScalarNode) or not re.fullmatch(r"[0-9]{1,6}", self.node.value):
            self._expected(f"a whole number from 0 to {LARGEST_NUMBER}")
        return int(self.node.value)

    def real(self) -> float:
        """A number from 0 on, with a fraction or without."""
        if not isinstance(self.node, yaml.ScalarNode) or not _REAL.fullmatch(self.node.value):
            self._expected("a number such as 50.0")
        return float(self.node.value)

    def word(self, words: Collection[str]) -> str:
        """One of `words`."""
        said = self.text()
        if said not in words:
            near = difflib.get_close_matches(said, words, n=1)
            self.refuse(f"{self.name} can't be {said!r}.{f' Did you mean {near[0]}?' if near else ''} It is one of: {', '.join(words)}")
        return said

    def truth(self) -> bool:
        if not isinstance(self.node, yaml.ScalarNode) or self.node.value not in _TRUTHS:
            self._expected("true or false")
        return _TRUTHS[self.node.value]

    def _expected(self, wanted: str) -> NoReturn:
        found = "a table" if self.is_table else "a list"
        if isinstance(self.node, yaml.ScalarNode):
            found = repr(self.node.value) if self.node.value else "nothing"
        self.refuse(f"{self.name} must be {wanted}, found {found}")


def read(text: str, file: str, name: str) -> Value:
    """The document in `text`; `name` says what it is.

    Raises: ConfigError, with the line, if it is no YAML.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.context, error.problem)))
        what += "".join(f". {advice}" for said, advice in _ADVICE.items() if said in what)
        raise ConfigError(f"{file}:{mark.line + 1 if mark else 1}: no YAML: {what}".removeprefix(":1: ")) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{file}:{line}: no YAML: the character {text[error.position]!r} can't stand in it") from error
    except RecursionError as error:
        raise ConfigError(f"{file}:1: nested too deeply") from error
    if node is None:
        raise ConfigError(f"{file}:1: {name} is empty")
    return Value(node, file, name)
