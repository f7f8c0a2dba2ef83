"""Which records somebody asks for: tags, kinds, and a time."""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from tinytorch.cloud import resource as cloud
from tinytorch.errors import ConfigError

__all__ = ["KINDS", "Selection", "parsed_tags", "parsed_time"]

KINDS = ("run", *cloud.KINDS)
_AGO = re.compile(r"(\d{1,4})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True)
class Selection:
    """Everything, or less of it. Times are aware; `until` isn't part of it."""

    tags: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None
    kinds: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.since and self.until and self.since >= self.until:
            raise ConfigError(f"nothing lies between {self.since:%Y-%m-%d %H:%M} and {self.until:%Y-%m-%d %H:%M}: the first must be before the second")

    def holds(self, kind: str, tags: Mapping[str, str]) -> bool:
        return (not self.kinds or kind in self.kinds) and all(tags.get(key) == value for key, value in self.tags.items())

    def holds_time(self, began: datetime, ended: datetime) -> bool:
        """Whether some of that time is asked for."""
        return (self.since is None or ended >= self.since) and (self.until is None or began < self.until)


def parsed_tags(texts: Iterable[str]) -> dict[str, str]:
    """Tags that were typed as `key=value`.

    Raises: ConfigError.

    >>> parsed_tags(["experiment=a=b", "team="])
    {'experiment': 'a=b', 'team': ''}
    """
    from tinytorch.resources.tracking import checked_tags

    tags: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"a tag is written key=value; there is no = in {text!r}")
        if tags.setdefault(key, value) != value:
            raise ConfigError(f"the tag {key} is given twice: {tags[key]!r} and {value!r}")
    return checked_tags(tags)


def parsed_time(text: str, now: datetime, *, ends: bool = False) -> datetime:
    """A time that was typed: a day, a day with a time (of this machine's time zone), or how long ago (`12h`, `7d`, `2w`).

    A day that `ends` something is over at its midnight.

    Raises: ConfigError, also for a time that is still to come, unless it ends something.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip()):
            day = date.fromisoformat(text.strip())
            at = datetime.combine(day + timedelta(days=1) if ends else day, time()).astimezone()
        else:
            at = datetime.fromisoformat(text.strip().replace("Z", "+00:00")).astimezone()
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(f"{text!r} is no time. Write a day (2026-01-31), a day and a time (2026-01-31T18:00), or how long ago: 12h, 7d, 2w") from error
    if at > now and not ends:
        raise ConfigError(f"{text} lies in the future")
    return at
