"""`tito resources watch`."""
from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from tito import records, render
from tito.group import Command

if TYPE_CHECKING:
    from rich.table import Table

    from tinytorch.resources import Book, Usage
    from tinytorch.resources.cost import Charge, Sum
    from tinytorch.resources.selection import Selection

_CLOUD_EVERY = 60.0  # seconds between two questions to the providers
_SOON = 0.1  # seconds between two looks at whether somebody wants it to end


@click.command(cls=Command, example="tito resources watch\ntito resources watch --interval 60 --tag team=a")
@click.option("--interval", type=click.FloatRange(min=0.1), default=2.0, show_default=True, metavar="SECONDS", help="Time between two looks.")
@records.filters
@records.cloud_option
def watch(interval: float, tags: tuple[str, ...], since: str | None, until: str | None, kinds: tuple[str, ...], cloud: bool) -> int:
    """Show what is running and what all has cost, again and again.

    Ends with Ctrl-C, status 0. Without a terminal it prints a line at each look.
    """
    from tinytorch.jobs import asked_to_stop

    selection = records.selected(tags, since, until, kinds)
    with asked_to_stop() as stop:
        looks = _looks(selection, cloud=cloud)
        if not render.is_colourful():
            for book, running, total in looks:
                render.say(_line(book, running, total))
                sys.stdout.flush()
                if _rested(interval, stop):
                    return 0
        from rich.live import Live

        with Live(console=render.console(), auto_refresh=False) as live:
            for book, running, total in looks:
                live.update(_table(book, running, total), refresh=True)
                if _rested(interval, stop):
                    break
    return 0


def _rested(seconds: float, stop: object) -> bool:
    """Wait; returns whether the end was asked for."""
    until = time.monotonic() + seconds
    while not stop and time.monotonic() < until:
        time.sleep(min(_SOON, seconds))
    return bool(stop)


def _looks(selection: Selection, *, cloud: bool) -> Iterator[tuple[Book, list[Charge], Sum]]:
    from tinytorch.resources import cost, ledger

    asked_at = float("-inf")
    while True:
        is_due = cloud and time.monotonic() - asked_at >= _CLOUD_EVERY
        book, prices, _ = records.opened(cloud=is_due)
        asked_at = time.monotonic() if is_due else asked_at
        every = cost.charges(book, prices, ledger.now(), selection)
        yield book, [charge for charge in every if charge.is_running], cost.sum_of(every)


def _line(book: Book, running: list[Charge], total: Sum) -> str:
    from tinytorch.resources import ledger

    each = [f"{charge.name} {records.duration(charge.seconds)}{_load(charge, book)}" for charge in running]
    return f"{records.when(ledger.now())}  running: {', '.join(each) or 'nothing'}; cost until now: {total}"


def _load(charge: Charge, book: Book) -> str:
    memory = _used(charge, book).memory_peak
    return f" ({render.size(memory)})" if memory else ""


def _used(charge: Charge, book: Book) -> Usage:
    """What a run's processes have used since they began, and the memory that they have now; as last recorded, if they aren't here."""
    import platform

    import psutil

    from tinytorch.resources.usage import Meter, Usage

    run = book.runs.get(charge.id)
    if run is None or run.host != platform.node():
        return run.usage if run else Usage()
    try:
        return Meter(psutil.Process(run.pid), is_new=True).sample()
    except psutil.Error:  # it has just ended
        return run.usage


def _table(book: Book, running: list[Charge], total: Sum) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", caption=Text(f"Cost until now: {total}. Ctrl-C ends this."), caption_justify="left")
    for header in ("id", "kind", "name", "time", "CPU", "memory", "cost", "tags"):
        table.add_column(header)
    for charge in running:
        used = _used(charge, book)
        cpu = "-" if used.cpu_seconds is None else records.duration(used.cpu_seconds)
        memory = "-" if used.memory_peak is None else render.size(used.memory_peak)
        cells = (charge.id, charge.kind, charge.name, records.duration(charge.seconds), cpu, memory, records.amount(charge.cost), records.tags(charge.tags))
        table.add_row(*map(Text, cells))
    if not running:
        table.add_row(Text("nothing is running"))
    return table
