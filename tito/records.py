"""What the commands of `tito resources` share: which records are meant, and how their figures read."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tito import render

if TYPE_CHECKING:
    from tinytorch.resources import Book
    from tinytorch.resources.cost import Charge
    from tinytorch.resources.prices import Money, Prices
    from tinytorch.resources.selection import Selection

Function = TypeVar("Function", bound=Callable[..., Any])
_KINDS = ("run", "instance", "volume", "snapshot", "bucket", "pod")  # as selection.KINDS, which a command line is read without

tag_option = click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="Only what has this tag. May be given several times.")
cloud_option = click.option("--cloud", is_flag=True, help="Ask the cloud providers that are configured, and note what they have.")


def filters(function: Function) -> Function:
    """The options that choose records."""
    for option in (
        click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Only this kind. May be given several times."),
        click.option("--until", metavar="TIME", help="Only what was before TIME; a day is part of it."),
        click.option("--since", metavar="TIME", help="Only what was after TIME: a day, a moment, or how long ago (12h, 7d, 2w)."),
        tag_option,
    ):
        function = option(function)
    return function


def selected(tags: tuple[str, ...], since: str | None, until: str | None, kinds: tuple[str, ...] = ()) -> Selection:
    """What the filters mean; a mistake in one is a wrong command line."""
    from tinytorch.errors import ConfigError
    from tinytorch.resources import ledger
    from tinytorch.resources.selection import Selection, parsed_tags, parsed_time

    now = ledger.now()
    try:
        return Selection(
            tags=parsed_tags(tags), since=parsed_time(since, now) if since else None, until=parsed_time(until, now, ends=True) if until else None, kinds=frozenset(kinds)
        )
    except ConfigError as error:
        raise click.UsageError(str(error)) from error


def opened(*, cloud: bool = False) -> tuple[Book, Prices, bool]:
    """The ledger, after a look at the cloud if that is wanted; the prices; and whether everybody could be asked."""
    from tinytorch.resources import ledger, prices

    table = prices.load()
    whole = True
    if cloud:
        from tinytorch.resources.cloud import look

        _, whole = look(notice=lambda text: render.notice(f"Not asked: {text}"))
    return ledger.read(render.notice), table, whole


def warn_of_budgets(book: Book, table: Prices) -> None:
    """Say which budgets are used up, or nearly."""
    from tinytorch.resources import cost, ledger

    for spent in cost.spent(book, table, ledger.now()):
        if spent.warning:
            render.notice(spent.warning)


def state(charge: Charge, book: Book) -> str:
    """`running`, `exit 0`, `signal 9`, `lost` or `gone`."""
    run = book.runs.get(charge.id)
    if run is None or charge.is_running:
        return "running" if charge.is_running else "gone"
    if run.exit is None:
        return run.state()
    return f"signal {-run.exit}" if run.exit < 0 else f"exit {run.exit}"


def duration(seconds: float) -> str:
    """A time as people read it.

    >>> duration(0.25), duration(75), duration(3700), duration(200000)
    ('0.2 s', '1 min 15 s', '1 h 01 min', '2 d 07 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours:02} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def size(count: int | None) -> str:
    return "unknown" if count is None else render.size(count)


def at_most(count: int | None) -> str:
    return "unknown" if count is None else f"at most {render.size(count)}"


def amount(cost: Money | None) -> str:
    """What something costs; what isn't known is never nothing."""
    return "unknown" if cost is None else str(cost)


def number(cost: Money | None) -> float | None:
    """An amount as JSON has it, beside its currency."""
    return None if cost is None else float(round(cost.amount, 6))


def tags(found: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(found.items()))


def when(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def facts(charge: Charge, book: Book) -> dict[str, Any]:
    """A record as plain data: one row of a table or of a file."""
    from tinytorch.resources import Usage, ledger

    run = book.runs.get(charge.id) if charge.kind == "run" else None
    return {
        "kind": charge.kind, "id": charge.id, "name": charge.name, "command": run.command if run else None, "state": state(charge, book),
        "began": ledger.stamp(charge.began), "ended": None if charge.is_running else ledger.stamp(charge.ended), "exit": run.exit if run else None,
        "tags": dict(charge.tags), "provider": charge.provider, "region": charge.region, "type": charge.type, "size_gb": charge.size_gb,
        **(run.usage if run else Usage()).as_json(), "wall_seconds": round(charge.seconds, 3),
        "cost": number(charge.cost),
        "currency": charge.price.currency if charge.price else None,
        "price_date": charge.price.day.isoformat() if charge.price else None,
    }  # fmt: skip
