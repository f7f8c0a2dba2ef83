"""An instructor's course: what `course.yml` makes of the installed one. Read whole, or refused with the file and line.

It chooses modules and their order, adds modules from folders, and says what they are worth and when they are due. The
same file, read in the same way, stands in every workspace that was made from it.
"""
from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_tinytorch.course.curriculum import (
    EXTRA_FOLDER,
    Course,
    Milestone,
    Module,
    Part,
    as_ranges,
    fault_of_exports,
    fault_of_names,
    keys_of,
    read_row,
)
from pytest_tinytorch.state.store import as_local
from tinytorch.errors import ConfigError
from tinytorch.toml_file import parse_toml
from tinytorch.yaml_file import Value
from tinytorch.yaml_file import read as read_yaml

KEYS = ("title", "modules", "extra", "milestones", "points", "due", "solutions")

OWN_NUMBERS = range(50, 100)  # of modules of an instructor's own: no version of the installed course has these

_RANGE = re.compile(r"([0-9]{1,2})(?: *- *([0-9]{1,2}))?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?(Z|[+-]\d\d:\d\d)?", re.ASCII)  # of all that Pythons differ in
_LARGEST = 100_000  # bytes of a course.yml, which is read by every command
_CONTROL = ("Cc", "Zl", "Zp")  # categories of Unicode that a title of one line has nothing of
_TOML_LINE = re.compile(r" \(at line (\d+), column \d+\)")


def read(path: Path, base: Course) -> Course:
    """The course that the `course.yml` at `path` makes of `base`.

    Raises: ConfigError with the file, the line and what to write instead.
    """
    return build(document(read_config(path), str(path)), path.parent, base, path)


def read_config(path: Path) -> str:
    """The text of a `course.yml`. Raises: ConfigError if it can't be read, or is far too large for one."""
    if path.is_file() and (size := path.stat().st_size) > _LARGEST:
        raise ConfigError(f"{path} has {size // 1000} kB, and a {path.name} at most {_LARGEST // 1000}. Is it another file?")
    return read_text(path)


def read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}:{data.count(10, 0, error.start) + 1}: not UTF-8 text") from error


def document(text: str, file: str) -> Value:
    """The text of a `course.yml`, which messages call `file`; not yet checked further.

    Raises: ConfigError if it is no YAML.
    """
    return read_yaml(text, file, "the course")


def build(document: Value, folder: Path, base: Course, config: Path | None = None) -> Course:
    """The course that a `course.yml` in `folder` describes.

    Raises: ConfigError as `read` does.
    """
    said = {key.text(): value for key, value in document.table(KEYS)}
    own = own_modules(document, folder, base)
    known = {module.number: module for module in (*base.modules, *(module for _, module in own))}
    chosen = _numbers(said["modules"], "module", known) if "modules" in said else dict.fromkeys(known, document)
    for value, module in own:
        if module.number not in chosen:
            value.refuse(f"module {module.label} stands in extra and not in modules. Add {module.key} there.")
    if not chosen:
        said["modules"].refuse("modules is empty, and a course has at least one: [1]. Without the key it has all of them")
    _check_needs(chosen, known)
    milestones = _milestones(said.get("milestones"), list(chosen), base)
    due, points = _by_module(said.get("due"), chosen, known), _by_module(said.get("points"), chosen, known)
    modules = []
    for number in chosen:
        module = replace(_in_order(known[number], list(chosen)), due=_date(due[number]) if number in due else None)
        if number in points:
            module = _with_points(module, points[number], base)
        modules.append(module)
    gives_solutions(document)  # for its faults
    title = said["title"].text() if "title" in said else None
    if title and _has_control(title):
        said["title"].refuse("title must be one line, without control characters")
    return replace(base, modules=tuple(modules), milestones=milestones, title=title, config=config)


def gives_solutions(document: Value) -> bool:
    """Whether students get the solutions of the instructor's own modules."""
    return any(value.truth() for key, value in document.table(KEYS) if key.text() == "solutions")


# --- the instructor's own modules ---------------------------------------------------------------------------------


def own_modules(document: Value, folder: Path, base: Course) -> list[tuple[Value, Module]]:
    """The modules of `extra`, and where each is named.

    Raises: ConfigError if one can't be read, or has a name of another module, whether that one is chosen or not.
    """
    found: list[tuple[Value, Module]] = []
    for value in (item for key, listed in document.table(KEYS) if key.text() == "extra" for item in listed.items()):
        home = _home(folder, value.text())
        module, place = _own_module(home, value)
        others = [*base.modules, *(module for _, module in found)]
        if int(module.number) not in OWN_NUMBERS:
            raise ConfigError(
                f"{place('number')}: {module.number} is the installed course's, as all numbers below {OWN_NUMBERS[0]} are, now or "
                f"later. Give a module of your own one from {OWN_NUMBERS[0]} to {OWN_NUMBERS[-1]}."
            )
        for other in others:
            if other.number == module.number:
                raise ConfigError(f"{place('number')}: {module.number} is {other.title} already. Choose a number that is free.")
            if other.slug == module.slug:
                raise ConfigError(f"{place('slug')}: {module.slug} is the slug of module {other.label} already. Choose another.")
        if fault := fault_of_exports(module, others):
            raise ConfigError(f"{place('exports')}: {fault}")
        if not (home / f"{module.folder}.py").is_file():
            raise ConfigError(f"{place('slug')}: {home} lacks {module.folder}.py, the module with its solutions")
        found.append((value, module))
    return found


def _home(folder: Path, named: str) -> Path:
    """The folder of a module: as it is named, else the workspace's for that name, if `course.yml` is as the instructor has it."""
    home = folder / named
    if home.is_dir():
        return home
    handed_out = [path for path in (folder / EXTRA_FOLDER).glob("[0-9][0-9]_*") if path.name[3:] == home.name and path.is_dir()]
    return handed_out[0] if len(handed_out) == 1 else home


def _own_module(home: Path, named: Value) -> tuple[Module, Callable[[str], str]]:
    """The module in the folder `home`, and what says where a key of its `module.toml` stands."""
    if not home.is_dir():
        named.refuse(
            f"there is no folder {home}. Folders are named from where course.yml lies; a workspace has them as {EXTRA_FOLDER}/NN_slug"
        )
    for needed in ("module.toml", "tests"):
        if not (home / needed).exists():
            named.refuse(f"{home} lacks {needed}; the folder of a module has module.toml, NN_slug.py and tests/")
    if not any((home / "tests").rglob("test_*.py")):
        named.refuse(f"{home / 'tests'} has no test_*.py, so that nothing would prove the module")
    path = home / "module.toml"
    text = read_text(path)

    def place(key: str) -> str:
        found = re.search(rf"^\s*{re.escape(key)}\s*=", text, re.MULTILINE)
        return f"{path}:{text.count(chr(10), 0, found.end()) + 1 if found else 1}"

    row = _toml(path, text)
    for key in row.keys() - set(keys_of(Module)):
        near = difflib.get_close_matches(key, keys_of(Module), n=1)
        raise ConfigError(f"{place(key)}: there is no key {key!r}.{f' Did you mean {near[0]}?' if near else ''}")
    if missing := [key for key in keys_of(Module) if key not in row]:
        raise ConfigError(f"{path}:1: {', '.join(missing)} is missing; a module has {', '.join(keys_of(Module))}")
    module = replace(read_row(Module, row, place), home=home)
    for key in ("title", "goal"):
        if _has_control(row[key]):
            raise ConfigError(f"{place(key)}: {key} must be one line, without control characters")
    if fault := fault_of_names(module):
        raise ConfigError(f"{place('number')}: {fault}")
    return module, place


def _has_control(text: str) -> bool:
    return any(unicodedata.category(character) in _CONTROL for character in text)


def _toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except ValueError as error:
        line = _TOML_LINE.search(str(error))
        raise ConfigError(f"{path}:{line[1] if line else 1}: {_TOML_LINE.sub('', str(error))}") from error


# --- what is chosen -----------------------------------------------------------------------------------------------


def _numbers(listed: Value, kind: str, known: Mapping[str, Module | Milestone]) -> dict[str, Value]:
    """The numbers in a list such as [1-6, 8], in its order, and where each stands."""
    found: dict[str, Value] = {}
    for item in listed.items():
        match = _RANGE.fullmatch(item.text())
        if match is None:
            item.refuse(f"{item.text()!r} is neither a number nor a range such as 1-6.{_meant(item.text(), kind, known)}")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            item.refuse(f"{item.text()} ends before it begins. An order is written number by number: {first}, {first - 1}")
        for number in (f"{n:02d}" for n in range(first, last + 1)):
            if number not in known:
                own = " Is it one of your own? List its folder in extra." if kind == "module" and int(number) in OWN_NUMBERS else ""
                item.refuse(f"there is no {kind} {number}; there are {as_ranges(known)}.{own}")
            if number in found:
                item.refuse(f"{kind} {number} stands here a second time")
            found[number] = item
    return found


def _meant(word: str, kind: str, known: Mapping[str, Module | Milestone]) -> str:
    """A sentence with the number of the part that a word names, or nothing."""
    near = difflib.get_close_matches(word.lower(), [part.slug for part in known.values()], n=1)
    return "".join(f" {kind.capitalize()} {part.slug} is {int(part.number)}." for part in known.values() if part.slug in near)


def _check_needs(chosen: Mapping[str, Value], known: Mapping[str, Module]) -> None:
    """Refuse a module without the modules that it imports, or before them."""
    numbers = list(chosen)
    for number, value in chosen.items():
        module = known[number]
        if cycle := _cycle(number, known):
            names = " needs ".join(known[each].label for each in cycle)
            value.refuse(f"modules need each other in a cycle, so that none can be first: {names}. Correct needs in a module.toml")
        for need in module.needs:
            if need not in known:
                value.refuse(f"module {module.label} needs {need!r}, and there is no such module")
            if need not in chosen:
                value.refuse(
                    f"module {module.label} needs {known[need].label}, which is left out. "
                    f"Add {known[need].key} to modules, or leave {module.key} out too."
                )
            if numbers.index(need) >= numbers.index(number):
                value.refuse(f"module {module.label} needs {known[need].label}, which comes no earlier. Put {known[need].key} first.")


def _cycle(number: str, known: Mapping[str, Module]) -> list[str]:
    """The way from a module back to itself by what each needs; empty if there is none."""
    ways, seen = [[number]], {""}
    while ways:
        way = ways.pop()
        for need in known[way[-1]].needs:
            if need == number:
                return [*way, number]
            if need in known and need not in seen:
                seen.add(need)
                ways.append([*way, need])
    return []


def _milestones(listed: Value | None, numbers: Sequence[str], base: Course) -> tuple[Milestone, ...]:
    """The milestones that are listed; without a list, those whose modules are all there."""
    known = {milestone.number: milestone for milestone in base.milestones}
    if listed is None:
        return tuple(_in_order(part, numbers) for part in base.milestones if set(part.needs) <= set(numbers))
    for number, value in (chosen := _numbers(listed, "milestone", known)).items():
        if missing := set(known[number].needs) - set(numbers):
            value.refuse(
                f"milestone {known[number].label} needs modules {as_ranges(missing)}, which are left out. Add them to modules, "
                f"or leave {int(number)} out."
            )
    return tuple(_in_order(known[number], numbers) for number in chosen)


def _in_order(part: Part, numbers: Sequence[str]) -> Part:
    return replace(part, needs=tuple(sorted(part.needs, key=numbers.index)))


# --- points and dates ---------------------------------------------------------------------------------------------


def _by_module(table: Value | None, chosen: Mapping[str, Value], known: Mapping[str, Module]) -> dict[str, Value]:
    """What a table such as {5: 10} says of each module."""
    found: dict[str, Value] = {}
    for key, value in table.table() if table else ():
        if not re.fullmatch(r"[0-9]{1,2}", key.text()):
            key.refuse(f"{key.text()!r} is no module's number.{_meant(key.text(), 'module', known)}")
        number = f"{key.number():02d}"
        if number not in chosen:
            key.refuse(f"module {number} is not in this course, which has {as_ranges(chosen)}")
        if number in found:
            key.refuse(f"module {number} stands here a second time")
        found[number] = value
    return found


def _date(value: Value) -> datetime:
    """A time, local unless it says its zone; a day alone means its last minute."""
    text = value.text()
    time = f"{text}T23:59" if _DAY.fullmatch(text) else text
    try:
        if not _TIME.fullmatch(time):
            raise ValueError
        return as_local(time)
    except (ValueError, OverflowError):  # not so written, or no such day
        value.refuse(
            f"{value.name} is {text!r}, and a time such as 2026-10-01T23:59, with a zone 2026-10-01T23:59+02:00, or a day such as "
            "2026-10-01 was expected"
        )


def _with_points(module: Module, value: Value, base: Course) -> Module:
    if not value.is_table:
        return replace(module, points=value.number())
    from pytest_tinytorch.course import points

    if not base.is_written(module):
        value.refuse(f"module {module.label} is planned, so that its exercises aren't known yet. Give points to the module: 10")
    names = [exercise.name for exercise in points.exercises(base, module)]
    return replace(module, exercise_points=tuple((key.text(), number.number()) for key, number in value.table(names, kind="exercise")))
