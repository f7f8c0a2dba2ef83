"""Two changes of one text put together, line by line.

Changes of different lines go together, also of lines that touch: what a student writes in the place of a stub touches
its docstring. Whether the result still works is for the module's tests to say.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True)
class _Hunk:
    """Lines `first` to `last` of the base, the latter not included, become `lines`."""

    first: int
    last: int
    lines: tuple[str, ...]
    is_ours: bool


def merge(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> list[str] | None:
    """The base with the changes of both; None if both changed the same place, and not in the same way.

    >>> merge(["a", "b", "c"], ["a", "x", "c"], ["a", "b", "y"])
    ['a', 'x', 'y']
    """
    merged: list[str] = []
    done = 0
    for group in _groups([*_hunks(base, ours, True), *_hunks(base, theirs, False)]):
        first, last = group[0].first, max(hunk.last for hunk in group)
        sides = [_applied(base, first, last, [h for h in group if h.is_ours is side]) for side in (True, False)]
        unchanged = list(base[first:last])
        changed = [side for side in sides if side != unchanged] or [unchanged]
        if len(changed) == 2 and changed[0] != changed[1]:
            return None
        merged += [*base[done:first], *changed[0]]
        done = last
    return [*merged, *base[done:]]


def _hunks(base: Sequence[str], changed: Sequence[str], is_ours: bool) -> list[_Hunk]:
    matcher = SequenceMatcher(None, base, changed, autojunk=False)
    return [
        _Hunk(i1, i2, tuple(changed[j1:j2]), is_ours) for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal"
    ]


def _groups(hunks: list[_Hunk]) -> list[list[_Hunk]]:
    """Hunks in order, those together that change the same place."""
    groups: list[list[_Hunk]] = []
    for hunk in sorted(hunks, key=lambda hunk: (hunk.first, hunk.last)):
        if groups and any(_meet(hunk, other) for other in groups[-1]):
            groups[-1].append(hunk)
        else:
            groups.append([hunk])
    return groups


def _meet(one: _Hunk, other: _Hunk) -> bool:
    """Whether two hunks change a common line, or insert at a point that the other changes around."""
    if one.first == one.last == other.first == other.last:
        return True
    return max(one.first, other.first) < min(one.last, other.last) or any(
        a.first == a.last and b.first < a.first < b.last for a, b in ((one, other), (other, one))
    )


def _applied(base: Sequence[str], first: int, last: int, hunks: Sequence[_Hunk]) -> list[str]:
    lines: list[str] = []
    for hunk in hunks:
        lines += [*base[first : hunk.first], *hunk.lines]
        first = hunk.last
    return [*lines, *base[first:last]]
