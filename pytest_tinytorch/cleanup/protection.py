"""What somebody has said must stay: the rules of `.tito-protect`, and those of one command.

A rule is a path, a name or an id, with `*` and `?` for any characters, and it means the whole of what it names: `data`
isn't `data-2`. A path that is protected protects what is below it. Upper and lower case are one, since they are to some
systems, and a rule that protects too much does no harm.
"""
from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from pathlib import Path

from tinytorch.cloud.aws import Prefix
from tinytorch.cloud.resource import PROTECTED_TAG, CloudResource
from tinytorch.errors import ConfigError

FILE = ".tito-protect"
_WILD = re.compile(r"[*?\[]")
_LONGEST = 1000  # characters of a rule; a longer line is no rule
_LARGEST = 1_000_000  # bytes of the file


@dataclass(frozen=True)
class Rule:
    """One line of the file, or one option."""

    pattern: str
    place: str  # where it stands, for messages

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile("|".join(translate(form.casefold()) for form in _forms(self.pattern)))

    def matches(self, names: Iterable[str]) -> bool:
        return any(self._regex.match(name.casefold()) for name in names)

    def __str__(self) -> str:
        return f"{self.place} says {self.pattern}"


def _forms(pattern: str) -> Iterator[str]:
    """How a rule may be meant: as it stands, and a whole path without the links in it too, as paths are compared."""
    if os.name == "nt":
        pattern = pattern.replace("\\", "/")
    if pattern.startswith("~/"):
        pattern = Path(pattern).expanduser().as_posix()
    pattern = pattern.removeprefix("./").rstrip("/")
    yield pattern
    if Path(pattern).is_absolute():
        parts = Path(pattern).parts
        plain = next((number for number, part in enumerate(parts) if _WILD.search(part)), len(parts))
        yield Path(os.path.realpath(Path(*parts[:plain])), *parts[plain:]).as_posix()


@dataclass(frozen=True)
class Protection:
    """All rules that hold."""

    root: Path  # of the workspace, from which relative paths are read
    rules: tuple[Rule, ...]

    def of_path(self, path: Path, within: Iterable[str] = ()) -> str | None:
        """Why a file or folder must stay, or None; `within` names what a folder holds, relative to it."""
        if not self.rules:
            return None
        names = [name for inner in (path, *(path / name for name in within)) for name in self._names(inner)]
        return self._first(names)

    def of_resource(self, resource: CloudResource) -> str | None:
        """Why something at a provider must stay, or None."""
        if PROTECTED_TAG in resource.tags:
            return f"it has the tag {PROTECTED_TAG}"
        names = [resource.id.rstrip("/"), *([resource.name] if resource.name else [])]
        if isinstance(resource, Prefix):
            names += [step for key in resource.objects for step in _above(key)]
        return self._first(names)

    def _first(self, names: list[str]) -> str | None:
        return next((str(rule) for rule in self.rules if rule.matches(names)), None)

    def _names(self, path: Path) -> list[str]:
        """What a rule may call a path: its name and those of the folders above, relative and whole."""
        above = [path, *path.parents]
        ours = [step.relative_to(self.root).as_posix() for step in above if step.is_relative_to(self.root) and step != self.root]
        return [path.name, *ours, *(step.as_posix() for step in above[:-1])]


def _above(address: str) -> Iterator[str]:
    """An object's address, and those of the prefixes and the bucket that it is in."""
    while address != "s3:/":
        yield address
        address = address.rpartition("/")[0]


def read(root: Path, more: Iterable[str] = (), *, place: str = "--keep") -> Protection:
    """The rules of the workspace's `.tito-protect`, if it has one, and `more` of them.

    Raises: ConfigError if the file can't be read as rules. Whoever removes something has to stop then.
    """
    return Protection(root, (*_rules(root / FILE), *(Rule(_checked(pattern, place), place) for pattern in more)))


def _rules(path: Path) -> Iterator[Rule]:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        if path.is_symlink():
            raise ConfigError(f"{path} is a link to something that isn't there. Nothing was removed; mend it, or remove it") from None
        return
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}, line {data.count(10, 0, error.start) + 1}: not UTF-8 text. Nothing was removed; mend it, or remove it") from error
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror or error}. Nothing was removed; mend it, or remove it") from error
    if len(data) > _LARGEST:
        raise ConfigError(f"{path} is larger than a list of rules. Nothing was removed; mend it, or remove it")
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        rule = line.strip()
        if rule and not rule.startswith("#"):
            yield Rule(_checked(rule, f"{path}, line {number}"), f"{path.name}, line {number},")


def _checked(pattern: str, place: str) -> str:
    """A pattern that can match something.

    Raises: ConfigError. A rule that protects nothing, because it was cut off for instance, is found out here.
    """
    if not pattern.strip("/ ") or len(pattern) > _LONGEST or not pattern.isprintable():
        raise ConfigError(
            f"{place}: {pattern[:40]!r} is no rule. Nothing was removed. A rule is a path, a name or an id on one line, such as "
            ".tito/backups/03_* or vol-0abc"
        )
    if pattern.startswith("!"):
        raise ConfigError(f"{place}: {pattern[:40]!r}: a rule can't take another back. Nothing was removed. For a name that begins so, write [!]")
    return pattern
