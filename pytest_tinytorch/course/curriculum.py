"""The course as data: modules and milestones, read from `curriculum.toml` and looked up by the names people type."""
from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeVar

import tinytorch
from tinytorch._overlay import named_folder
from tinytorch.errors import ConfigError
from tinytorch.toml_file import parse_toml

TEMPLATES_VARIABLE = "TINYTORCH_TEMPLATES"
REQUIRED_TESTS = "required_tests.json"
COURSE_FILE = "course.yml"  # an instructor's course, at the top of the workspaces that are made from it
EXTRA_FOLDER = "extra"  # in a workspace: the instructor's own modules, as they are handed out
_LEFT_BEHIND = {"__pycache__", ".pytest_cache", ".ipynb_checkpoints", ".DS_Store", ".git"}


class UnknownName(ConfigError):
    """A word that names none of the modules, milestones, backups or preferences there are."""


@dataclass(frozen=True)
class Module:
    """One step of the course: a row of the curriculum, and what an instructor's `course.yml` says of it."""

    number: str  # "05"
    slug: str  # "dataloader"
    title: str  # "DataLoader"
    exports: str  # "tinytorch.core.dataloader"
    needs: tuple[str, ...]  # numbers, in the course's order
    goal: str
    home: Path | None = None  # the folder of an instructor's own module
    due: datetime | None = None  # local time
    points: int | None = None  # what the whole module is worth; None: the sum of its exercises
    exercise_points: tuple[tuple[str, int], ...] = ()  # of exercises that aren't worth what their cells say

    @property
    def folder(self) -> str:
        return f"{self.number}_{self.slug}"

    @property
    def marker(self) -> str:
        return f"module{self.number}"

    @property
    def label(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def key(self) -> str:
        """The number as progress.json writes it: "5"."""
        return str(int(self.number))

    @property
    def export_path(self) -> PurePosixPath:
        """Where the export lies below the workspace: tinytorch/core/dataloader.py."""
        return PurePosixPath(*self.exports.split(".")).with_suffix(".py")

    @property
    def test_folder(self) -> str:
        return f"tests/{self.folder}"


@dataclass(frozen=True)
class Milestone:
    """A historical result that the student's package reproduces."""

    number: str  # "03"
    slug: str  # "mlp"
    title: str  # "MLP Revival"
    year: int
    needs: tuple[str, ...]  # module numbers
    goal: str

    @property
    def folder(self) -> str:
        return f"{self.number}_{self.year}_{self.slug}"

    @property
    def marker(self) -> str:
        return f"milestone{self.number}"

    @property
    def label(self) -> str:
        return f"{self.number} - {self.title} ({self.year})"

    @property
    def test_folder(self) -> str:
        return f"milestones/{self.folder}"


Part = TypeVar("Part", Module, Milestone)


@dataclass(frozen=True)
class Course:
    """The curriculum, in its order, and the files that a workspace is made from.

    The files are those of a folder of templates, and those of an instructor's own modules.
    """

    folder: Path
    version: str
    modules: tuple[Module, ...]
    milestones: tuple[Milestone, ...]
    title: str | None = None  # the instructor's
    config: Path | None = None  # the instructor's course.yml

    @property
    def parts(self) -> tuple[Module | Milestone, ...]:
        """Modules, then milestones."""
        return (*self.modules, *self.milestones)

    def module(self, name: str) -> Module:
        """The module that is called 05, 5, dataloader, 05_dataloader, or by the beginning of one slug only.

        Raises: UnknownName with the nearest name, or the range of numbers.
        """
        return _named(name, self.modules, "module")

    def milestone(self, name: str) -> Milestone:
        """The milestone that is called 03, 3, mlp, 03_1986_mlp, or by the beginning of one slug only."""
        return _named(name, self.milestones, "milestone")

    def source(self, module: Module) -> Path:
        """The reference source of a module, in percent format; it may not be written yet."""
        return (module.home or self.folder / "modules" / module.folder) / f"{module.folder}.py"

    def files_of(self, part: Module | Milestone) -> dict[str, Path]:
        """Path in a workspace to the course's file of that content, of a module or milestone.

        A module's source isn't among them: a workspace gets its stub.
        """
        if isinstance(part, Milestone):
            return _files(self.folder / part.test_folder, part.test_folder)
        source = self.source(part)
        beside = _files(source.parent, f"modules/{part.folder}")
        tests = _files(part.home / "tests" if part.home else self.folder / part.test_folder, part.test_folder)
        shown = {path: file for path, file in beside.items() if file != source and not (part.home and _is_own(file, part.home))}
        return shown | tests

    @property
    def instructors_files(self) -> dict[str, Path]:
        """Path in a workspace to file, of what tells the workspace which course it is of; none of the installed course."""
        if self.config is None:
            return {}
        own = [_files(module.home, f"{EXTRA_FOLDER}/{module.folder}") for module in self.modules if module.home]
        return {COURSE_FILE: self.config, **{path: file for files in own for path, file in files.items()}}

    def is_written(self, part: Module | Milestone) -> bool:
        """Whether the course has the content of a module or milestone, not only its row in the curriculum."""
        if isinstance(part, Module):
            return self.source(part).is_file()
        return (self.folder / part.test_folder).is_dir()

    @cached_property
    def required_tests(self) -> dict[str, frozenset[str]]:
        """Marker to the ids of the tests that must pass, relative to the workspace, from the pristine course."""
        found = _required_tests(self.folder, "make generate")
        for module in self.modules:
            if module.home:
                found[module.marker] = own_required_tests(module).get(module.marker, frozenset())
        return found

    def required(self, part: Module | Milestone) -> frozenset[str]:
        return self.required_tests.get(part.marker, frozenset())

    def unlocked_by(self, done: Collection[str], now: Collection[str]) -> list[Module | Milestone]:
        """What the modules `done` unlock, `now` among them, that was locked without them."""
        before = set(done) - set(now)
        return [
            part for part in self.parts if part.number not in done or isinstance(part, Milestone)
            if set(part.needs) <= set(done) and not set(part.needs) <= before
        ]


def _files(folder: Path, place: str) -> dict[str, Path]:
    """The files below a folder by their paths below `place`, without what programs leave behind."""
    return {
        f"{place}/{path.relative_to(folder).as_posix()}": path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not is_left_behind(path.relative_to(folder))
    }


def is_left_behind(path: PurePath) -> bool:
    """Whether programs left a file in a course's folder: it belongs to no course."""
    return not _LEFT_BEHIND.isdisjoint(path.parts)


def _is_own(file: Path, home: Path) -> bool:
    """Whether a file beside an instructor's module isn't for the student's folder of that module."""
    return file.relative_to(home).parts[0] in ("tests", "module.toml", REQUIRED_TESTS)


def own_required_tests(module: Module) -> dict[str, frozenset[str]]:
    """The list beside an instructor's own module: its marker to the ids, and what it was collected from (see `manifest`).

    Raises: ConfigError, with the command that lists them again, if it is missing or broken.
    """
    if module.home is None:
        raise AssertionError(f"{module.label} is the installed course's")
    return _required_tests(module.home, "tito system health --repair")


def _required_tests(folder: Path, remedy: str) -> dict[str, frozenset[str]]:
    path = folder / REQUIRED_TESTS
    try:
        tests = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}. Make it again with: {remedy}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}. Make it again with: {remedy}") from error
    if not isinstance(tests, dict) or not all(map(is_texts, tests.values())):
        raise ConfigError(f"{path}: a table of lists of test ids was expected. Make it again with: {remedy}")
    return {marker: frozenset(ids) for marker, ids in tests.items()}


def _named(name: str, parts: Sequence[Part], kind: str) -> Part:
    word = name.strip().lower()
    if word.isdecimal():
        matches = [part for part in parts if int(part.number) == int(word)]
    else:
        matches = [part for part in parts if word in (part.slug, part.folder, part.marker)] or [
            part for part in parts if word and part.slug.startswith(word)
        ]
    if len(matches) == 1:
        return matches[0]
    raise UnknownName(_not_one(name, [part.slug for part in matches], parts, kind))


def _not_one(name: str, matches: Sequence[str], parts: Sequence[Part], kind: str) -> str:
    import difflib

    if matches:
        return f"{name!r} may be {kind} {' or '.join(matches)}: type a little more of the name."
    near = difflib.get_close_matches(name.lower(), [part.slug for part in parts] + [part.folder for part in parts], n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    if not parts:
        return f"There is no {kind} {name!r}. The course has none."
    numbers = as_ranges([part.number for part in parts]).replace("-", " to ")
    return f"There is no {kind} {name!r}.{meant} {kind.capitalize()}s are {numbers}; list them with: tito {kind} list"


def as_ranges(numbers: Collection[str]) -> str:
    """Module numbers as people write them.

    >>> as_ranges(["08", "09", "11"])
    '08-09, 11'
    """
    runs: list[list[int]] = []
    for number in sorted(map(int, numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{first:02d}" if first == last else f"{first:02d}-{last:02d}" for first, last in runs)


def templates_folder() -> Path:
    """The course's folder: `TINYTORCH_TEMPLATES`, else the installed one."""
    named = os.environ.get(TEMPLATES_VARIABLE)
    if named:
        return named_folder(named)
    package = Path(__file__).parent.parent
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parent / "templates"  # beside the package in a checkout


def load() -> Course:
    """The course of this installation, or of `TINYTORCH_TEMPLATES`."""
    return read_course(templates_folder())


@lru_cache(maxsize=4)
def read_course(folder: Path) -> Course:
    """The course in `folder`.

    Raises: ConfigError with the file and the fault, if `curriculum.toml` is missing or breaks a rule.
    """
    path = folder / "curriculum.toml"
    text, version = text_of(path), text_of(folder / "VERSION").strip()
    if not version:
        raise ConfigError(f"{folder / 'VERSION'} is empty: a version such as 1.0.0 was expected")
    try:
        data = parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    modules, milestones = _rows(Module, data, path), _rows(Milestone, data, path)
    _check(modules, milestones, path)
    return Course(folder, version, modules, milestones)


def text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path.parent} is no course: {error.strerror} ({error.filename})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error


def _rows(kind: type[Part], data: dict[str, Any], path: Path) -> tuple[Part, ...]:
    name = kind.__name__.lower()
    rows = data.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{path}: {name} must be [[{name}]] tables")
    return tuple(_row(kind, row, f"{path}: {name} {row.get('number', '?')}") for row in rows)


def _row(kind: type[Part], row: dict[str, Any], place: str) -> Part:
    return read_row(kind, row, lambda key: place)


def keys_of(kind: type[Part]) -> list[str]:
    """The keys of a module's or milestone's row."""
    from dataclasses import MISSING, fields

    return [field.name for field in fields(kind) if field.default is MISSING]


def read_row(kind: type[Part], row: dict[str, Any], place: Callable[[str], str]) -> Part:
    """A module or milestone from its row; `place` says where a key stands, for messages.

    Raises: ConfigError for a key that is missing, unknown or of another type.
    """
    if wrong := sorted(set(keys_of(kind)) ^ set(row)):
        raise ConfigError(f"{place(wrong[0])} has missing or unknown keys: {wrong}")
    for key, value in row.items():
        if key == "needs":
            is_right, said = is_texts(value), 'a list of numbers such as "01"'
        elif key == "year":
            is_right, said = type(value) is int, "a whole number"
        else:
            is_right, said = isinstance(value, str), "a text"
        if not is_right:
            raise ConfigError(f"{place(key)}: {key} must be {said}, found {value!r}")
    return kind(**{**row, "needs": tuple(row["needs"])})


def is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _check(modules: Sequence[Module], milestones: Sequence[Milestone], path: Path) -> None:
    if not modules:
        raise ConfigError(f"{path}: no [[module]] in it")
    numbers = [module.number for module in modules]
    for parts in (modules, milestones):
        for part in parts:
            if fault := fault_of_names(part):
                raise ConfigError(f"{path}: {fault}")
            if unknown := sorted(set(part.needs) - set(numbers)):
                missing = ", ".join(map(repr, unknown))
                raise ConfigError(f"{path}: {part.label} needs {missing}, which the course doesn't have")
        if len({part.number for part in parts}) < len(parts) or len({part.slug for part in parts}) < len(parts):
            raise ConfigError(f"{path}: a number or a slug occurs twice")
    for position, module in enumerate(modules):
        if late := set(module.needs) - set(numbers[:position]):
            raise ConfigError(f"{path}: {module.label} needs {as_ranges(late)}, which comes no earlier")
        if fault := fault_of_exports(module, modules[:position]):
            raise ConfigError(f"{path}: {fault}")


def fault_of_names(part: Module | Milestone) -> str | None:
    """What is wrong with a number or slug, or None."""
    if re.fullmatch(r"[0-9]{2}", part.number) and re.fullmatch(r"[a-z][a-z0-9_]*", part.slug):
        return None
    return f"{part.number!r} {part.slug!r}: a number has two digits, a slug small letters"


def fault_of_exports(module: Module, others: Sequence[Module]) -> str | None:
    """Why a module can't be exported where it says, or None."""
    exports = f"{module.label} exports to {module.exports!r}"
    if not re.fullmatch(r"tinytorch(\.[a-z_][a-z0-9_]*)+", module.exports):
        return f"{exports}, which is no module below tinytorch"
    top = Path(tinytorch.__file__).parent / module.exports.split(".")[1]
    if top.with_suffix(".py").is_file() or (top / "__init__.py").is_file():
        return f"{exports}, which is installed and comes first"
    if any(module.exports == other.exports for other in others):
        return f"{exports}, as another module does"
    return None
