"""`tito resources list`, `show`, `export` and `merge`."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinytorch.errors import WorkspaceError
from tito import records, render, tab
from tito.group import Command
from tito.options import json_option

if TYPE_CHECKING:
    from tinytorch.resources import Book
    from tinytorch.resources.cost import Charge
    from tinytorch.resources.prices import Prices
    from tinytorch.resources.selection import Selection
    from tinytorch.resources.usage import Usage

_NOTHING = "Nothing is recorded here. To record a run: tito resources track -- COMMAND"


@click.command("list", cls=Command, example="tito resources list --since 7d\ntito resources list --running --cloud --tag team=a")
@records.filters
@click.option("--running", is_flag=True, help="Only what is still running.")
@records.cloud_option
@json_option
def list_records(tags: tuple[str, ...], since: str | None, until: str | None, kinds: tuple[str, ...], running: bool, cloud: bool, as_json: bool) -> int:
    """List runs and cloud resources, with time and cost."""
    selection = records.selected(tags, since, until, kinds)
    book, prices, whole = records.opened(cloud=cloud)
    found = [charge for charge in _chosen(book, prices, selection) if charge.is_running or not running]
    if as_json:
        render.data({"records": [records.facts(charge, book) for charge in found]})
    elif not found:
        render.say("Nothing of that is recorded." if running or book.runs or book.cloud else _NOTHING)
    else:
        rows = [
            (c.id, c.kind, c.name, records.state(c, book), records.when(c.began), records.duration(c.seconds), records.amount(c.cost), records.tags(c.tags))
            for c in found
        ]
        render.table(("id", "kind", "name", "state", "began", "time", "cost", "tags"), rows)
    return 0 if whole else 1


def _chosen(book: Book, prices: Prices, selection: Selection) -> list[Charge]:
    """What lies in the selection at least partly, as a whole."""
    from tinytorch.resources import cost, ledger

    every = cost.charges(book, prices, ledger.now(), replace(selection, since=None, until=None))
    return [charge for charge in every if selection.holds_time(charge.began, charge.ended)]


@click.command("show", cls=Command, example="tito resources show 3f2a91bc")
@click.argument("record", metavar="RECORD", shell_complete=tab.records)
@json_option
def show_record(record: str, as_json: bool) -> None:
    """Show all that is known of one run or resource."""
    import difflib

    from tinytorch.resources import cost, ledger

    book, prices, _ = records.opened()
    every = cost.charges(book, prices, ledger.now())
    found = [charge for charge in every if charge.id == record]
    if not found:
        near = difflib.get_close_matches(record, [charge.id for charge in every], n=1)
        raise click.UsageError(f"No record has the id {record!r}.{f' Did you mean {near[0]}?' if near else ''} See them with: tito resources list")
    charge = found[-1]
    run = book.runs.get(record)
    if as_json:
        render.data(records.facts(charge, book))
        return
    rows = [("kind", charge.kind), ("state", records.state(charge, book)), ("began", records.when(charge.began))]
    if not charge.is_running:
        rows.append(("ended" if run is None or run.ended else "last seen", records.when(run.last_seen if run else charge.ended)))
    rows += [("time", records.duration(charge.seconds)), ("machine", charge.machine)]
    if charge.size_gb is not None:
        rows.append(("size", f"{charge.size_gb:g} GB"))
    if run:
        rows += [("command", run.command), *_used(run.usage)]
    rows += [("tags", records.tags(charge.tags) or "-"), ("cost", records.amount(charge.cost)), ("price", _price(charge))]
    render.say(f"{charge.name} ({charge.id})", bold=True)
    for line in render.aligned(rows):
        render.say(f"  {line}")


def _used(usage: Usage) -> list[tuple[str, str]]:
    of = f" of the {usage.gpu_of}" if usage.gpu_of == "machine" else ""
    return [
        ("CPU", "unknown" if usage.cpu_seconds is None else records.duration(usage.cpu_seconds)),
        ("memory", records.at_most(usage.memory_peak)),
        ("disk", f"read {records.size(usage.disk_read)}, written {records.size(usage.disk_written)}"),
        ("network", f"received {records.size(usage.network_received)}, sent {records.size(usage.network_sent)}, by the whole {usage.network_of or 'machine'}"),
        ("GPU", "none, or none that can be asked" if usage.gpu_seconds is None else f"{records.duration(usage.gpu_seconds)}, memory {records.at_most(usage.gpu_memory_peak)}{of}"),
    ]  # fmt: skip


def _price(charge: Charge) -> str:
    from datetime import date

    price = charge.price
    if price is None:
        return "unknown; docs/resources.md says how to give one"
    old = f"; {price.age(date.today())} days old" if price.is_old(date.today()) else ""
    return f"{price}, of {price.day}{old} ({price.source})"


@click.command("export", cls=Command, example="tito resources export runs.csv --kind run --since 2026-01-01\ntito resources export all.json")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@records.filters
def export_records(file: Path, tags: tuple[str, ...], since: str | None, until: str | None, kinds: tuple[str, ...]) -> None:
    """Write records to a CSV or JSON file.

    A value that isn't known is an empty cell, or null.
    """
    from tinytorch.files import write_atomic

    if file.suffix.lower() not in (".csv", ".json"):
        raise click.UsageError(f"{file}: the name must end with .csv or .json, which says how it is written.")
    if file.exists():
        raise WorkspaceError(f"{file} is there already. Name another file, or delete this one")
    selection = records.selected(tags, since, until, kinds)
    book, prices, _ = records.opened()
    rows = [records.facts(charge, book) for charge in _chosen(book, prices, selection)]
    text = _csv(rows) if file.suffix.lower() == ".csv" else json.dumps({"records": rows}, indent=2) + "\n"
    write_atomic(file, text.encode("utf-8"))
    render.say(f"Wrote {len(rows)} record{'' if len(rows) == 1 else 's'} to {file}")


def _csv(rows: list[dict[str, Any]]) -> str:
    """The rows, with a column for each tag."""
    import csv
    import io

    from tinytorch.resources import Usage

    keys = sorted({key for row in rows for key in row["tags"]})
    columns = ["kind", "id", "name", "command", "state", "began", "ended", "exit", "provider", "region", "type", "size_gb", *Usage().as_json(), "cost", "currency", "price_date"]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([*columns, *(f"tag:{key}" for key in keys)])
    for row in rows:
        writer.writerow([_cell(value) for value in (*(row[column] for column in columns), *(row["tags"].get(key) for key in keys))])
    return written.getvalue()


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula gets a quote before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value


@click.command("merge", cls=Command, example="tito resources merge results/ledger")
@click.argument("ledger_path", metavar="LEDGER", type=click.Path(path_type=Path))
def merge_records(ledger_path: Path) -> None:
    """Take in the runs of another machine's ledger.

    LEDGER is its folder, brought here. The same one may be merged again: only what is new is taken in.
    """
    from tinytorch.resources import ledger

    count = ledger.merge(ledger_path, render.notice)
    render.say(f"Took in {count} run{'' if count == 1 else 's'} from {ledger_path}." if count else f"{ledger_path} says nothing new of runs.")
