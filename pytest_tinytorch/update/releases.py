"""What a course says of its versions: why a file changed (`CHANGES.toml`), and what it held (`history.json`)."""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from packaging.version import InvalidVersion, Version

from pytest_tinytorch.course.curriculum import Course
from pytest_tinytorch.state import pristine
from tinytorch.errors import ConfigError
from tinytorch.toml_file import parse_toml

KINDS = {"fix": "bug fix", "feature": "new feature", "text": "text"}  # as CHANGES.toml has it: as people read it
_KEYS = {"version", "kind", "files", "why"}


@dataclass(frozen=True)
class Reason:
    """Why files changed in one version."""

    version: str
    kind: str
    files: tuple[str, ...]  # paths in a workspace, with * for any text; of a working copy the script's
    why: str

    def covers(self, path: str) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in self.files)


def reasons(course: Course) -> list[Reason]:
    """The entries of `CHANGES.toml`, newest first as they stand there; a course without the file gives none.

    Raises: ConfigError with the entry that can't be used.
    """
    path = course.folder / "CHANGES.toml"
    try:
        entries = parse_toml(path.read_text("utf-8")).get("change", [])
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(entries, list):
        raise ConfigError(f"{path}: change must be [[change]] tables")
    return [_reason(path, number, entry) for number, entry in enumerate(entries, start=1)]


def _reason(path: Path, number: int, entry: object) -> Reason:
    place = f"{path}: [[change]] number {number}"
    if not isinstance(entry, dict) or set(entry) != _KEYS:
        raise ConfigError(f"{place} must have the keys {', '.join(sorted(_KEYS))}")
    if entry["kind"] not in KINDS:
        raise ConfigError(f"{place}: kind is {entry['kind']!r}, and one of {', '.join(KINDS)} was expected")
    files = entry["files"]
    if not isinstance(files, list) or not files or not all(isinstance(text, str) for text in files):
        raise ConfigError(f"{place}: files must be a list of paths")
    if not isinstance(entry["why"], str) or not entry["why"].strip():
        raise ConfigError(f"{place}: why must be a sentence")
    number_of(str(entry["version"]), place)
    return Reason(entry["version"], entry["kind"], tuple(files), entry["why"].strip())


def number_of(version: str, place: str) -> Version:
    """A version that can be compared. Raises: ConfigError, with the place, if it is none."""
    try:
        return Version(version)
    except InvalidVersion as error:
        raise ConfigError(f"{place}: {version!r} is no version such as 1.2.0") from error


def reasons_for(entries: Iterable[Reason], path: str, since: str) -> list[Reason]:
    """Those of the reasons for which a file of a workspace changed after the version `since`; "unknown" is before all others."""
    named = path.removesuffix(".ipynb") + ".py" if path.startswith("modules/") and path.endswith(".ipynb") else path
    return [
        reason for reason in entries
        if reason.covers(named) and (since == "unknown" or Version(reason.version) > number_of(since, "version.json"))
    ]


def history(course: Course) -> dict[str, dict[str, str]]:
    """Path to the versions of the course in which its content changed, with its hashes; a course without the file gives none."""
    path = course.folder / "history.json"
    try:
        read: dict[str, dict[str, str]] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}. Make it again with: make generate") from error
    return read


def known_version(versions: Mapping[str, str], data: bytes) -> str | None:
    """The newest of the versions in which a file had this content; None if it never had."""
    return max((version for version, sha256 in versions.items() if pristine.is_same(sha256, data)), key=Version, default=None)
