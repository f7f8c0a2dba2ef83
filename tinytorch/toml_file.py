"""TOML on every Python that the project runs on."""
from __future__ import annotations

from typing import Any

__all__ = ["parse_toml"]


def parse_toml(text: str) -> dict[str, Any]:
    """The content of a TOML file; raises a ValueError that says what is wrong, and in most cases the line.

    >>> parse_toml("answer = 42")
    {'answer': 42}
    """
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
