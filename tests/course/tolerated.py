"""Mutants that may live, each with its reason: `equivalents/NN_slug.toml`.

An entry names a mutant by exercise, function, line and changed line, so that it holds while other lines move:

    [[equivalent]]               # no test could tell it from the solution; it doesn't count
    exercise = "softmax_forward"
    function = "SoftmaxOp.forward"
    line = "y = np.exp(x - x.max(axis=dim, keepdims=True))"
    mutant = "y = np.exp(x - x.mean(axis=dim, keepdims=True))"
    because = "..."

    [[survivor]]                 # a test could, but it is not worth it; it counts against the score
"""
from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_tinytorch.course.curriculum import Module
from tests.course.mutants import Mutant

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = Path(__file__).parent / "equivalents"
_KEYS = ("exercise", "function", "line", "mutant")


@dataclass(frozen=True)
class Tolerated:
    """What is known of a module's mutants that live: key (see `Mutant.key`) to reason."""

    equivalents: dict[tuple[str, ...], str]
    survivors: dict[tuple[str, ...], str]

    def __contains__(self, mutant: Mutant) -> bool:
        return mutant.key in self.equivalents or mutant.key in self.survivors

    def because(self, mutant: Mutant) -> str:
        return self.equivalents.get(mutant.key) or self.survivors.get(mutant.key, "")


def tolerated(module: Module) -> Tolerated:
    """Reads a module's list; a module without a file has none.

    Raises: ValueError for an entry that lacks a key or a reason, or that stands there twice.
    """
    path = _FOLDER / f"{module.folder}.toml"
    data = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    if unknown := set(data) - {"equivalent", "survivor"}:
        raise ValueError(f"{path}: unknown tables {sorted(unknown)}")
    seen: set[tuple[str, ...]] = set()
    tables: dict[str, dict[tuple[str, ...], str]] = {"equivalent": {}, "survivor": {}}
    for table, reasons in tables.items():
        for entry in data.get(table, []):
            if set(entry) != {*_KEYS, "because"} or not entry["because"].strip():
                raise ValueError(f"{path}: {table} {entry} needs exactly {', '.join(_KEYS)} and because")
            key = tuple(entry[name] for name in _KEYS)
            if key in seen:
                raise ValueError(f"{path}: {key} stands there twice")
            seen.add(key)
            reasons[key] = entry["because"]
    return Tolerated(tables["equivalent"], tables["survivor"])


def as_entry(mutant: Mutant) -> str:
    """A mutant as an entry of the file, for a reason to be filled in."""
    values = dict(zip(_KEYS, mutant.key, strict=True))
    return "\n".join(["[[equivalent]]", *(f"{name} = {_literal(value)}" for name, value in values.items()), 'because = ""'])


def _literal(text: str) -> str:
    return f"'{text}'" if "'" not in text else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
