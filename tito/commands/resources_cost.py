"""`tito resources cost`."""
from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinytorch.errors import WorkspaceError
from tito import records, render
from tito.group import Command
from tito.options import json_option

if TYPE_CHECKING:
    from tinytorch.resources.cost import Charge, Forecast, Sum
    from tinytorch.resources.prices import Price

_BAR = 24  # columns


@click.command(cls=Command, example="tito resources cost\ntito resources cost --by tag:team --since 7d\ntito resources cost --by day --cloud --png cost.png")
@click.option("--by", metavar="WORD", default="kind", help="kind, day, name, machine, or tag:KEY.")
@records.filters
@records.cloud_option
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw the cost by day into FILE.")
@json_option
def cost(by: str, tags: tuple[str, ...], since: str | None, until: str | None, kinds: tuple[str, ...], cloud: bool, png: Path | None, as_json: bool) -> int:
    """Add up what runs and cloud resources have cost.

    A price that isn't known makes a sum "at least"; currencies are never added. A run on an instance that is listed itself
    is counted with the instance.
    """
    from tinytorch.resources import cost as costs
    from tinytorch.resources import ledger

    if by not in ("kind", "day", "name", "machine") and not by.removeprefix("tag:") != by:
        raise click.UsageError(f"--by is kind, day, name, machine or tag:KEY; it is {by!r}.")
    if png and png.exists():
        raise WorkspaceError(f"{png} is there already. Name another file, or delete this one")
    selection = records.selected(tags, since, until, kinds)
    book, prices, whole = records.opened(cloud=cloud)
    now = ledger.now()
    every = costs.charges(book, prices, now, selection)
    twice = costs.overlapping(every)
    found = [charge for charge in every if charge.id not in twice]
    sums = {label: costs.sum_of(part) for label, part in costs.grouped(found, by).items()}
    total, coming = costs.sum_of(found), costs.forecast(found, now)
    if png:
        from tinytorch.resources.picture import save_png

        save_png(png, found, by)
    if as_json:
        render.data({
            "by": by, "costs": {label: part.as_json() for label, part in sums.items()}, "total": total.as_json(),
            "counted_with_their_machine": sorted(twice), "forecast": [_forecast_facts(each) for each in coming],
            "prices": [_price_facts(price) for price in _prices(found)], "png": str(png) if png else None,
        })  # fmt: skip
    else:
        _say(by, sums, total, found, coming, twice)
        if png:
            render.say(f"\nWrote {png}", bold=True)
    records.warn_of_budgets(book, prices)
    return 0 if whole else 1


def _say(by: str, sums: dict[str, Sum], total: Sum, found: list[Charge], coming: list[Forecast], twice: set[str]) -> None:
    if not sums:
        render.say("Nothing that costs is recorded, or nothing that fits.")
        return
    rows = [(label, records.duration(part.seconds), str(part), _bar(part, sums)) for label, part in sums.items()]
    render.table((by, "time", "cost", ""), rows)
    render.say(f"\nTogether: {total}", bold=True)
    if total.unknown:
        render.say(f"The price of {total.unknown} of {len(found)} isn't known: {', '.join(sorted({c.machine for c in found if c.cost is None})[:5])}")
    if twice:
        render.say(f"{len(twice)} run{'s are' if len(twice) > 1 else ' is'} counted with the machine or the run that {'they were' if len(twice) > 1 else 'it was'} part of.")
    for each in coming:
        render.say(f"Still running: {_titled(each.charge)} {_coming(each)}")
    for price in _prices(found):
        age = price.age(date.today())
        mark = ": old, look it up again" if price.is_old(date.today()) else ""
        render.say(f"Price: {price.provider}/{price.region}/{price.type} {price}, {age} days old{mark}", dim=True)


def _titled(charge: Charge) -> str:
    return f"{charge.name} ({charge.id})" if charge.name and charge.name != charge.id else f"{charge.kind} {charge.id}"


def _coming(each: Forecast) -> str:
    charge = each.charge
    if charge.price is None or charge.per_hour is None:
        return "at a price that isn't known"
    rate = str(charge.price) if charge.price.unit == "hour" else f"{charge.per_hour} an hour, which is {charge.size_gb:g} GB at {charge.price}"
    return f"at {rate}; if it goes on, {records.amount(each.rest_of_day)} more until midnight, {records.amount(each.rest_of_month)} more in this month"


def _bar(part: Sum, sums: dict[str, Sum]) -> str:
    """How much of the largest cost it is; nothing where several currencies would have to be compared."""
    if len({currency for each in sums.values() for currency in each.amounts}) != 1:
        return ""
    largest = max(sum(each.amounts.values(), Decimal(0)) for each in sums.values())
    return "#" * round(_BAR * sum(part.amounts.values(), Decimal(0)) / largest) if largest else ""


def _prices(found: list[Charge]) -> list[Price]:
    """The prices that were used, each once."""
    used = {charge.price for charge in found if charge.price}
    return sorted(used, key=lambda price: (price.provider, price.kind, price.region, price.type))


def _price_facts(price: Price) -> dict[str, Any]:
    return {
        "provider": price.provider, "kind": price.kind, "region": price.region, "type": price.type, "unit": price.unit, "amount": float(price.amount),
        "currency": price.currency, "date": price.day.isoformat(), "age_days": price.age(date.today()), "old": price.is_old(date.today()), "source": price.source,
    }  # fmt: skip


def _forecast_facts(each: Forecast) -> dict[str, Any]:
    charge = each.charge
    return {
        "kind": charge.kind, "id": charge.id, "name": charge.name, "per_hour": records.number(charge.per_hour), "currency": charge.price.currency if charge.price else None,
        "rest_of_day": records.number(each.rest_of_day), "rest_of_month": records.number(each.rest_of_month),
    }  # fmt: skip
