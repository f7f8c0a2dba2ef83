"""`tito resources track`."""
from __future__ import annotations

from contextlib import suppress

import click

from tinytorch.errors import TinyTorchError
from tito import records, render
from tito.group import Command


@click.command(cls=Command, example="tito resources track -- python train.py --epochs 10\ntito resources track --name mlp --tag team=a -- make train")
@click.option("--name", metavar="TEXT", help="What the run is called; the program's name, if not given.")
@click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="Give the run a tag. May be given several times.")
@click.option("--machine", metavar="MACHINE", help="What it runs on, for the price: provider/region/type, or local.")
@click.argument("command", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def track(name: str | None, tags: tuple[str, ...], machine: str | None, command: tuple[str, ...]) -> int:
    """Run a program, and record what it uses.

    Its exit status is that of this command; 128 + N, if signal N ended it. Of its command line only the program's name is
    recorded.
    """
    import warnings

    from tinytorch.resources import run_command

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", RuntimeWarning)
        code, tracked = run_command(command, name=name, tags=records.selected(tags, None, None).tags, machine=machine)
    for warning in told:
        render.notice(f"Warning: {warning.message}")
    usage = tracked.usage
    used = [
        records.duration(usage.wall_seconds),
        f"CPU {'unknown' if usage.cpu_seconds is None else records.duration(usage.cpu_seconds)}",
        f"memory {records.at_most(usage.memory_peak)}",
    ]
    if usage.gpu_seconds is not None:
        used.append(f"GPU {records.duration(usage.gpu_seconds)}")
    where = f" All of it: tito resources show {tracked.id}" if not told else ""
    render.notice(f"{tracked.name}: {', '.join(used)}.{where}")
    with suppress(TinyTorchError):  # of the ledger, which has been told; prices and budgets are told by the next `cost`
        book, prices, _ = records.opened()
        records.warn_of_budgets(book, prices)
    return 128 - code if code < 0 else code
