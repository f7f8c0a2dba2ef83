"""Prices: a table of facts, each with a date and a source, and a user's own file over it."""
from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from tinytorch.cloud.resource import IDLE, KINDS
from tinytorch.errors import ConfigError
from tinytorch.toml_file import parse_toml

if TYPE_CHECKING:
    from tinytorch.cloud import CloudResource

__all__ = ["CURRENCY", "Money", "Price", "Prices", "load"]

VARIABLE = "TINYTORCH_PRICES"
ANY = "*"
OLD = 90  # days
HOURS = {"hour": Decimal(1), "GB-month": Decimal(730)}  # in one unit of time; a month is a twelfth of a year
_ZONE = re.compile(r"([a-z]+(?:-[a-z]+)+-\d+)[a-z]")
CURRENCY = re.compile(r"[A-Z]{3}")  # ISO 4217
_BUNDLED = Path(__file__).parent / "prices.toml"
_TEXTS = ("provider", "kind", "region", "type", "unit", "currency", "source")
_KEYS = (*_TEXTS, "amount", "date")
_KINDS = ("machine", *KINDS)

_Key = tuple[str, str, str, str]


class Money(NamedTuple):
    """An amount in a currency.

    It is written with two digits, or with as many as it takes to see that it isn't nothing.

    >>> str(Money(Decimal("12.3456"), "USD")), str(Money(Decimal("0.00012345"), "USD")), str(Money(Decimal(0), "EUR"))
    ('12.35 USD', '0.00012 USD', '0.00 EUR')
    """

    amount: Decimal
    currency: str  # three letters, as in ISO 4217

    def __str__(self) -> str:
        digits = 2 if not self.amount or abs(self.amount) >= Decimal("0.1") else 1 - self.amount.adjusted()
        return f"{self.amount:,.{digits}f} {self.currency}"

    def for_seconds(self, seconds: float) -> Money:
        """What so many seconds cost at this price of an hour."""
        return Money(self.amount * Decimal(str(seconds)) / 3600, self.currency)


@dataclass(frozen=True)
class Price:
    """What one unit of something costs."""

    provider: str
    kind: str
    region: str  # "*": every region
    type: str  # "*": every type
    unit: str  # "hour", or "GB-month" for what has a size
    amount: Decimal
    currency: str  # three letters, as in ISO 4217
    day: date  # when it was looked up
    source: str

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} {'an' if self.unit == 'hour' else 'a'} {self.unit}"

    def age(self, today: date) -> int:
        """Days since it was looked up."""
        return (today - self.day).days

    def is_old(self, today: date) -> bool:
        return self.age(today) > OLD

    def per_hour(self, size_gb: float | None) -> Money | None:
        """What one of it costs in an hour; None if that depends on a size that isn't known."""
        if self.unit == "hour":
            return Money(self.amount, self.currency)
        return None if size_gb is None else Money(self.amount * Decimal(str(size_gb)) / HOURS[self.unit], self.currency)


class Prices:
    """A table in which prices are looked up; what isn't in it is unknown, not free."""

    def __init__(self, prices: Iterable[Price]) -> None:
        self.table: dict[_Key, Price] = {(p.provider, p.kind, p.region, p.type): p for p in prices}

    def find(self, provider: str, kind: str, region: str, type: str) -> Price | None:
        """The price of this type in this region, else the one for every region, for every type, for both.

        A zone (us-east-1a) has the prices of its region.
        """
        zone = _ZONE.fullmatch(region)
        region = zone[1] if zone else region
        places = ((region, type), (ANY, type), (region, ANY), (ANY, ANY))
        return next((price for place in places if (price := self.table.get((provider, kind, *place)))), None)

    def of(self, provider: str, kind: str, region: str, type: str, *, said: float | None, day: date) -> Price | None:
        """What the provider itself said on that day of one resource, in US dollars an hour; else what `find` finds."""
        if said is None:
            return self.find(provider, kind, region, type)
        return Price(provider, kind, region, type, "hour", Decimal(str(said)), "USD", day, f"what {provider} says of it")

    def cost_per_hour(self, resource: CloudResource) -> Money | None:
        """What a resource costs in an hour as it is now; None if that isn't known, which isn't nothing."""
        price = self.of(resource.provider, resource.kind, resource.region, resource.type, said=resource.usd_per_hour, day=date.today())
        cost = price.per_hour(resource.size_gb) if price else None
        return Money(Decimal(0), cost.currency) if cost and resource.state.lower() in IDLE else cost


def load() -> Prices:
    """The prices that ship with the package, and those of the file that `TINYTORCH_PRICES` names.

    Raises: ConfigError with file, line and what was expected.
    """
    prices = _read(_BUNDLED)
    if named := os.environ.get(VARIABLE):
        prices += _read(Path(named).expanduser())
    return Prices(prices)


def _read(path: Path) -> list[Price]:
    try:
        text = path.read_text("utf-8-sig")
        table = parse_toml(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}. {VARIABLE} names the file of your own prices") from error
    except ValueError as error:  # no UTF-8, or no TOML
        raise ConfigError(f"{path}: {error}") from error
    where = _Where(path, text)
    for key in table:
        if key != "price":
            where.fail(0, key, f"unknown key {key!r}{_near(key, ['price'])}; each price stands below [[price]]")
    entries = table.get("price", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        where.fail(0, "price", "each price stands below [[price]], with two brackets")
    return [_price(entry, number, where) for number, entry in enumerate(entries, start=1)]


@dataclass(frozen=True)
class _Where:
    """A file, to say where in it something is wrong."""

    path: Path
    text: str

    def fail(self, number: int, key: str, problem: str) -> NoReturn:
        raise ConfigError(f"{self.path}:{self._line(number, key)}: {problem}")

    def _line(self, number: int, key: str) -> int:
        """The line of a key in the price of this number, from 1; that of the price itself if the key isn't there."""
        prices, found = 0, 1
        for line, text in enumerate(self.text.splitlines(), start=1):
            if re.match(r"\s*\[\[\s*price\s*\]\]", text):
                prices += 1
                found = line if prices == number else found
            elif prices == number and re.match(rf"\s*\[?\[?\s*[\"']?{re.escape(key)}\b", text):
                return line
        return found


def _price(entry: Mapping[str, Any], number: int, where: _Where) -> Price:
    for key in entry:
        if key not in _KEYS:
            where.fail(number, key, f"unknown key {key!r}{_near(key, _KEYS)}; a price has {', '.join(_KEYS)}")
    if missing := [key for key in _KEYS if key not in entry]:
        where.fail(number, missing[0], f"price {number} has no {', '.join(missing)}")
    for key in _TEXTS:
        if not isinstance(entry[key], str) or not entry[key].strip():
            where.fail(number, key, f"{key} is a text; it is {entry[key]!r}")
    for key, allowed in (("kind", _KINDS), ("unit", tuple(HOURS))):
        if entry[key] not in allowed:
            where.fail(number, key, f"{key} is one of {', '.join(allowed)}; it is {entry[key]!r}{_near(entry[key], allowed)}")
    amount, when = entry["amount"], entry["date"]
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not math.isfinite(amount) or amount < 0:
        where.fail(number, "amount", f"amount is a number from 0; it is {amount!r}")
    if not CURRENCY.fullmatch(entry["currency"]):
        where.fail(number, "currency", f"currency is three capital letters like USD; it is {entry['currency']!r}")
    if not isinstance(when, date) or isinstance(when, datetime):
        where.fail(number, "date", f"date is a day like 2026-01-31, without quotes; it is {when!r}")
    if when > date.today():
        where.fail(number, "date", f"date {when} lies in the future")
    return Price(**{key: entry[key] for key in _TEXTS}, amount=Decimal(str(amount)), day=when)


def _near(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
