"""`tito resources budget ...`."""
from __future__ import annotations

from decimal import Decimal, InvalidOperation

import click

from tito import records, render, tab
from tito.group import Group
from tito.options import json_option


@click.group(cls=Group, example="tito resources budget set team-a 50 USD --tag team=a --per month")
def budget() -> None:
    """Set what may be spent in a day or a month."""


@budget.command("set", example="tito resources budget set all 10 USD --per day\ntito resources budget set team-a 50 USD --tag team=a --per month")
@click.argument("name")
@click.argument("amount")
@click.argument("currency")
@records.tag_option
@click.option("--per", type=click.Choice(["day", "month"]), default="month", show_default=True, help="The time that it is for.")
def set_budget(name: str, amount: str, currency: str, tags: tuple[str, ...], per: str) -> None:
    """Set a budget, or change the one of that name.

    Whatever costs or ends a run warns at 80 % and at 100 % of it. Nothing is ever stopped.
    """
    from tinytorch.errors import ConfigError
    from tinytorch.resources import ledger, tracking
    from tinytorch.resources.prices import CURRENCY

    try:
        number = Decimal(amount)
    except InvalidOperation:
        number = Decimal("NaN")
    if not (number.is_finite() and number > 0):
        raise click.UsageError(f"AMOUNT is a number above 0, like 12.50; it is {amount!r}.")
    if not CURRENCY.fullmatch(currency):
        raise click.UsageError(f"CURRENCY is three capital letters like USD; it is {currency!r}.")
    try:
        tracking.named(name)
    except ConfigError as error:
        raise click.UsageError(str(error).replace("a run's name", "NAME")) from error
    chosen = records.selected(tags, None, None).tags
    ledger.append(["budget", name, {"amount": str(number), "currency": currency, "tags": dict(chosen), "per": per}])
    render.say(f"Budget {name}: {number} {currency} a {per}" + (f" for {records.tags(chosen)}" if chosen else ""))


@budget.command("list", example="tito resources budget list")
@json_option
def list_budgets(as_json: bool) -> None:
    """List the budgets, and how far each is used up."""
    from tinytorch.resources import cost, ledger

    book, prices, _ = records.opened()
    every = cost.spent(book, prices, ledger.now())
    if as_json:
        render.data({"budgets": [
            {"name": s.budget.name, "amount": float(s.budget.amount.amount), "currency": s.budget.amount.currency, "per": s.budget.per, "tags": dict(s.budget.tags),
             "spent": s.sum.as_json(), "share": round(float(s.share), 4), "level": s.level} for s in every
        ]})  # fmt: skip
    elif not every:
        render.say("There is no budget. To set one: tito resources budget set NAME AMOUNT CURRENCY --per month")
    else:
        rows = [(s.budget.name, str(s.budget), records.tags(s.budget.tags) or "-", str(s.sum), f"{s.share:.0%}", s.level) for s in every]
        render.table(("budget", "amount", "tags", "spent", "share", "level"), rows)


@budget.command("remove", example="tito resources budget remove team-a")
@click.argument("name", metavar="BUDGET", shell_complete=tab.budgets)
def remove_budget(name: str) -> None:
    """Remove a budget."""
    import difflib

    from tinytorch.resources import ledger

    book, _, _ = records.opened()
    if name not in book.budgets:
        near = difflib.get_close_matches(name, book.budgets, n=1)
        raise click.UsageError(f"There is no budget {name!r}.{f' Did you mean {near[0]}?' if near else ''} See them with: tito resources budget list")
    ledger.append(["budget", name, None])
    render.say(f"Removed the budget {name}.")
