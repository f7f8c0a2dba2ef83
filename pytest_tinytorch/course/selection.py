"""Which modules and milestones a `-m` expression can select, before any test file is imported.

pytest deselects after collection: with `-m module01` it still imports the tests of every module, and those of modules
that aren't written yet fail and end the session. A folder can be left out beforehand if the expression is false for
its tests *whatever other marks they carry*. That needs three values: true, false, and unknown (None).
"""
from __future__ import annotations

import re

_COURSE_MARK = re.compile(r"(module|milestone)\d+")
_TOKEN = re.compile(r"\s*(?:(?P<paren>[()])|(?P<word>[^\s()]+))")
# device(kind="gpu")
_CALL = re.compile(r"""(?<![^\s()])(?!(?:not|and|or)\s*\()[^\s()]+\s*\((?:[^()"']|"[^"]*"|'[^']*')*\)""")


def named_marks(expression: str) -> set[str]:
    """The course's marks that the expression mentions.

    >>> sorted(named_marks("module01 or not module02 and slow"))
    ['module01', 'module02']
    """
    return {word for word in _tokens(expression) if _COURSE_MARK.fullmatch(word)}


def may_select(expression: str, mark: str) -> bool:
    """Whether tests that carry `mark`, and unknown others, can be selected.

    >>> may_select("module01 and not slow", "module01"), may_select("not module01", "module01")
    (True, False)
    """
    if not expression.strip():
        return True
    tokens = _tokens(expression)
    value = _either(tokens, mark)
    return True if tokens else value is not False  # pytest will explain an expression that goes on after its end


def _tokens(expression: str) -> list[str]:
    """Words and parentheses; a mark with keywords becomes one unknown word."""
    return [match["paren"] or match["word"] for match in _TOKEN.finditer(_CALL.sub("?", expression))]


def _either(tokens: list[str], mark: str) -> bool | None:
    values = [_both(tokens, mark)]
    while tokens[:1] == ["or"]:
        tokens.pop(0)
        values.append(_both(tokens, mark))
    return True if True in values else None if None in values else False


def _both(tokens: list[str], mark: str) -> bool | None:
    values = [_negated(tokens, mark)]
    while tokens[:1] == ["and"]:
        tokens.pop(0)
        values.append(_negated(tokens, mark))
    return False if False in values else None if None in values else True


def _negated(tokens: list[str], mark: str) -> bool | None:
    word = tokens.pop(0) if tokens else "?"
    if word == "not":
        value = _negated(tokens, mark)
        return None if value is None else not value
    if word == "(":
        value = _either(tokens, mark)
        if tokens[:1] == [")"]:
            tokens.pop(0)
        return value
    return word == mark if _COURSE_MARK.fullmatch(word) else None
