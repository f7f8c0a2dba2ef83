"""Which datasets there are: the facts in `registry.toml`, and those in a file of an instructor's own."""
from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, NoReturn

from tinytorch.errors import ConfigError
from tinytorch.toml_file import parse_toml

__all__ = ["Dataset", "File", "UnknownDataset", "dataset", "datasets", "read"]

_READERS = ("bundled", "idx", "records", "text")
_FILE = Path(__file__).parent / "registry.toml"
_SOURCE = re.compile(r"(https?|file)://\S+")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?<!\.part)(?<!\.npy)(?<!\.json)")  # ours beside it have these ends
_DIGITS = {"sha256": 64, "md5": 32}
_KEYS = ("title", "reader", "shape", "classes", "samples", "members", "licence", "citation", "mirrors", "files")
_FILE_KEYS = ("name", "split", "part", "size", "sha256", "md5")


class UnknownDataset(ConfigError):
    """A name that no registry has."""


@dataclass(frozen=True)
class File:
    """A file of a dataset, as it is downloaded."""

    name: str
    algorithm: str  # "sha256", or "md5" where nobody has published a better one
    checksum: str
    size: int | None  # bytes; None only beside an md5
    split: str = ""  # of reader "idx": whose images or labels it has
    part: str = ""  # of reader "idx": "images" or "labels"


@dataclass(frozen=True)
class Dataset:
    """What is known of a dataset."""

    name: str
    title: str
    reader: str  # one of _READERS
    files: tuple[File, ...]
    mirrors: tuple[str, ...]
    licence: str
    citation: str
    shape: tuple[int, ...]  # of one image; () for text
    classes: tuple[str, ...]
    samples: Mapping[str, int]  # by split
    members: Mapping[str, tuple[str, ...]]  # of reader "records": the archive's members, by split

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.samples) or ("train",)

    @property
    def is_bundled(self) -> bool:
        return self.reader == "bundled"

    @property
    def size(self) -> int | None:
        """Bytes to download; None if a file's size isn't known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def array_size(self) -> int:
        """Bytes that the parsed arrays take beside the download."""
        return 0 if self.is_bundled else sum(self.samples.values()) * (prod(self.shape) + 8)

    def addresses(self, file: File) -> list[str]:
        """Where the file can be fetched from, the first choice first."""
        return [mirror + file.name if mirror.endswith("/") else mirror for mirror in self.mirrors]


def datasets() -> dict[str, Dataset]:
    """Every dataset by its name, an instructor's (`TINYTORCH_DATASETS=FILE`) after the course's.

    Raises: ConfigError, with file and line, for a registry that can't be used.
    """
    found = dict(_ours())
    if own := os.environ.get("TINYTORCH_DATASETS"):
        for name, added in read(Path(own)).items():
            if name in found:
                raise ConfigError(f"{own}: there is a dataset {name!r} already; give yours another name")
            if added.is_bundled:
                raise ConfigError(f"{own}: {name}: reader bundled is for what comes with the package")
            found[name] = added
    return found


def dataset(name: str) -> Dataset:
    """The dataset of that name.

    Raises: UnknownDataset for another name; it says which was meant.
    """
    found = datasets()
    if name not in found:
        near = get_close_matches(str(name).lower(), found, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownDataset(f"there is no dataset {name!r}; there is {', '.join(map(repr, sorted(found)))}.{hint}")
    return found[name]


@lru_cache(maxsize=1)
def _ours() -> dict[str, Dataset]:
    return read(_FILE)


def read(path: Path) -> dict[str, Dataset]:
    """The datasets of a registry file.

    Raises: ConfigError, with file and line, at the first fault.
    """
    try:
        text = path.read_text("utf-8-sig")
        tables = parse_toml(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: the registry of datasets can't be read: {getattr(error, 'strerror', None) or error}") from error
    return {name: _dataset(_Place(path, text, (name,)), name, table) for name, table in tables.items()}


@dataclass(frozen=True)
class _Place:
    """Where in the file something stands: `(name,)`, or `(name, "files", 2)` for the third of its `[[name.files]]`."""

    path: Path
    text: str
    at: tuple[str | int, ...]

    def refuse(self, said: str, key: str = "") -> NoReturn:
        name = ".".join(str(word) for word in self.at if isinstance(word, str))
        raise ConfigError(f"{self.path}:{self._line(key)}: {name}: {said}")

    def _line(self, key: str) -> int:
        """The line of a key, or of the table's head, if either is written in the usual way; else that of the file's beginning."""
        name = re.escape(str(self.at[0]))
        head = rf"\[\[\s*\"?{name}\"?\s*\.\s*files\s*\]\]" if len(self.at) > 1 or key == "files" else rf"\[\s*\"?{name}\"?\s*\]"
        lines = self.text.splitlines()
        heads = [number for number, line in enumerate(lines) if re.match(head, line.strip())]
        index = int(self.at[2]) if len(self.at) > 2 else 0
        if index >= len(heads):
            return 1
        for number in range(heads[index] + 1, len(lines)):
            line = lines[number].strip()
            if key and re.match(rf"(\[\s*\"?{name}\"?\s*\.\s*)?\"?{re.escape(key)}\"?\s*[=\]]", line):
                return number + 1
            if line.startswith("[") and key != "members":
                break
        return heads[index] + 1


def _dataset(place: _Place, name: str, table: Any) -> Dataset:
    if not isinstance(table, dict):
        place.refuse("a dataset is a table such as [my-data]")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,49}", name):
        place.refuse("a dataset's name has small letters, digits and hyphens: it is the name of its folder")
    _check_keys(place, table, _KEYS)
    reader = _text(place, table, "reader")
    if reader not in _READERS:
        place.refuse(f"reader {reader!r} is none of {', '.join(_READERS)}", "reader")
    files = tuple(
        _file(_Place(place.path, place.text, (name, "files", index)), entry, reader)
        for index, entry in enumerate(_list(place, table, "files", dict))
    )
    made = Dataset(
        name, _text(place, table, "title"), reader, files, tuple(_list(place, table, "mirrors", str, needed=False)),
        _text(place, table, "licence"), _text(place, table, "citation"),
        tuple(_list(place, table, "shape", int, needed=reader != "text")), tuple(_list(place, table, "classes", str, needed=reader != "text")),
        _samples(place, table, needed=reader != "text"), _members(place, table, needed=reader == "records"),
    )  # fmt: skip
    _check(place, made)
    return made


def _file(place: _Place, table: dict[str, Any], reader: str) -> File:
    _check_keys(place, table, _FILE_KEYS)
    name = _text(place, table, "name")
    if not _FILE_NAME.fullmatch(name):
        place.refuse(f"{name!r} can't be a file's name here: letters, digits, hyphens, dots; not .part, .npy or .json at the end", "name")
    given = [algorithm for algorithm in _DIGITS if algorithm in table]
    if len(given) != 1:
        place.refuse(f"{name} needs one checksum, a sha256; or an md5, where nobody has published a sha256", given[-1] if given else "name")
    checksum = _text(place, table, given[0])
    if not re.fullmatch(rf"[0-9a-f]{{{_DIGITS[given[0]]}}}", checksum):
        place.refuse(f"{given[0]} must be {_DIGITS[given[0]]} hexadecimal digits in small letters, found {checksum!r}", given[0])
    size = table.get("size")
    if (size is None and given == ["sha256"]) or (size is not None and not _is_count(size)):
        place.refuse(f"{name} needs its size in bytes", "size")
    split, part = table.get("split", ""), table.get("part", "")
    if reader == "idx" and not (isinstance(split, str) and split and part in ("images", "labels")):
        place.refuse(f'{name} needs a split, and a part, "images" or "labels"', "part")
    if reader != "idx" and (split or part):
        place.refuse(f"only files of reader idx have a split and a part, and this reader is {reader}", "split" if split else "part")
    return File(name, given[0], checksum, size, split, part)


def _check(place: _Place, made: Dataset) -> None:
    """What holds between the keys."""
    names = [file.name for file in made.files]
    if twice := {name for name in names if names.count(name) > 1}:
        place.refuse(f"two files are called {min(twice)}", "files")
    for mirror in made.mirrors:
        if not _SOURCE.fullmatch(mirror):
            place.refuse(f"mirror {mirror!r} must begin with https://, http:// or file://", "mirrors")
        if len(made.files) > 1 and not mirror.endswith("/"):
            place.refuse(f"mirror {mirror!r} must end with a slash, since there are several files", "mirrors")
    if not made.mirrors and not made.is_bundled:
        place.refuse("mirrors must name at least one place to fetch the files from", "mirrors")
    if made.reader != "idx" and len(made.files) != 1:
        place.refuse(f"reader {made.reader} reads one file, and there are {len(made.files)}", "files")
    parts = [(file.split, file.part) for file in made.files]
    if made.reader == "idx" and sorted(parts) != sorted((split, part) for split in made.samples for part in ("images", "labels")):
        place.refuse(f"each split of samples ({', '.join(made.samples)}) needs one file of images and one of labels", "samples")
    if made.reader == "records":
        if made.members.keys() != made.samples.keys():
            place.refuse("members and samples must have the same splits", "members")
        for split, members in made.members.items():
            if made.samples[split] % len(members):
                place.refuse(f"members of {split} must be of equal size: {made.samples[split]} samples in {len(members)} members aren't", "members")
        if len(made.classes) > 256:
            place.refuse("records have one byte for the label: 256 classes at most", "classes")


# --- one key ------------------------------------------------------------------------------------------------------


def _check_keys(place: _Place, table: Mapping[str, Any], known: Collection[str]) -> None:
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            meant = f" Did you mean {near[0]}?" if near else f" There is: {', '.join(known)}"
            place.refuse(f"there is no key {key!r}.{meant}", key)


def _text(place: _Place, table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        place.refuse(f"{key} must be a text, found {value!r}" if key in table else f"{key} is missing", key)
    return value


def _list(place: _Place, table: Mapping[str, Any], key: str, kind: type, *, needed: bool = True) -> list[Any]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(_is_count(item) if kind is int else isinstance(item, kind) for item in value):
        wanted = {str: "texts", int: "numbers from 1 on", dict: "[[tables]]"}[kind]
        place.refuse(f"{key} must be a list of {wanted}, found {value!r}", key)
    if needed and not value:
        place.refuse(f"{key} is missing", key)
    return value


def _samples(place: _Place, table: Mapping[str, Any], *, needed: bool) -> dict[str, int]:
    value = table.get("samples", {})
    if not isinstance(value, dict) or not all(_is_count(count) and re.fullmatch(r"[a-z]+", split) for split, count in value.items()):
        place.refuse(f"samples must say how many there are, such as {{ train = 60000, test = 10000 }}, found {value!r}", "samples")
    if needed and not value:
        place.refuse("samples is missing", "samples")
    return value


def _members(place: _Place, table: Mapping[str, Any], *, needed: bool) -> dict[str, tuple[str, ...]]:
    value = table.get("members", {})
    usable = isinstance(value, dict) and all(
        isinstance(names, list) and names and all(isinstance(name, str) and name for name in names) for names in value.values()
    )
    if not usable or bool(value) != needed:
        place.refuse('members must name the files in the archive by split, such as { train = ["data.bin"] }; only reader records has them', "members")
    return {split: tuple(names) for split, names in value.items()}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
