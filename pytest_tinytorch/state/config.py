"""Preferences in `.tito/config.json`: what there is to choose, and what is chosen."""
from __future__ import annotations

import difflib
from dataclasses import dataclass

from pytest_tinytorch.course.curriculum import UnknownName
from pytest_tinytorch.state import transaction
from pytest_tinytorch.state.store import State, Store, line_of
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch.errors import ConfigError

FILE = "config.json"


@dataclass(frozen=True)
class Preference:
    """One documented key."""

    name: str
    values: tuple[str, ...]  # the first is the default
    help: str
    other: str = ""  # what else may be chosen, in words

    @property
    def choices(self) -> str:
        return ", ".join([*self.values, *([self.other] if self.other else [])])


PREFERENCES = (
    Preference("logo_theme", ("standard", "minimal", "none"), "the logo above `tito status` on a terminal"),
    Preference(
        "editor", ("none", "editor", "jupyter", "vscode"), "what `tito module start` opens a module with", other="a command line"
    ),
)


def preference(name: str) -> Preference:
    """Raises: UnknownName with the nearest key."""
    for known in PREFERENCES:
        if known.name == name:
            return known
    raise UnknownName(f"There is no preference {name!r}.{nearest(name)} See them with: tito config list")


def nearest(name: str) -> str:
    """A sentence that names the key that was probably meant, or nothing."""
    near = difflib.get_close_matches(name, [known.name for known in PREFERENCES], n=1)
    return f" Did you mean {near[0]}?" if near else ""


def chosen(store: Store, name: str) -> str:
    """What is chosen for a key, or its default.

    Raises: ConfigError if `config.json` holds a value that there isn't.
    """
    known = preference(name)
    value = store.read(FILE).get(name, known.values[0])
    if value not in known.values and not known.other:
        line = line_of((store.tito / FILE).read_text("utf-8"), name)
        raise ConfigError(
            f"{store.tito / FILE}:{line}: {name} is {value!r}, and one of {known.choices} was expected. "
            f"Choose one with: tito config set {name} {known.values[0]}"
        )
    return str(value)


def choose(workspace: Workspace, name: str, value: str) -> None:
    """Choose a value for a key.

    Raises: UnknownName if there is no such value.
    """
    known = preference(name)
    if fault := _fault(known, value):
        near = difflib.get_close_matches(value, known.values, n=1)
        raise UnknownName(f"{name} can't be {value!r}: {fault}{f' Did you mean {near[0]}?' if near else ''}")

    def change(config: State) -> None:
        config[name] = value

    transaction.change_state(workspace, FILE, change, command=f"tito config set {name} {value}")


def oddities(store: Store) -> list[str]:
    """Keys that mean nothing: kept, and worth a look."""
    known = {preference.name for preference in PREFERENCES}
    return [f"{FILE}: unknown key {key!r}.{nearest(key)}" for key in store.read(FILE) if key not in known]


def _fault(known: Preference, value: str) -> str:
    """Why a value can't be chosen, or nothing."""
    if known.name == "editor" and value != known.values[0]:
        from pytest_tinytorch import editors

        try:
            editors.find(value)
        except ConfigError as error:
            return str(error)
        return ""
    return "" if value in known.values else f"one of {known.choices} was expected."
