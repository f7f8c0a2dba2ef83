"""`tito resources usage`."""
from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from tito import records, render
from tito.group import Command
from tito.options import json_option

if TYPE_CHECKING:
    from tinytorch.resources import Run, Usage

_SUMS = ("wall_seconds", "cpu_seconds", "disk_read", "disk_written", "network_received", "network_sent", "gpu_seconds")
_PEAKS = ("memory_peak", "gpu_memory_peak")


@click.command(cls=Command, example="tito resources usage\ntito resources usage --by tag:team --since 7d")
@click.option("--by", metavar="WORD", default="name", help="name, day, machine, or tag:KEY.")
@records.tag_option
@click.option("--since", metavar="TIME", help="Only runs that went on after TIME: a day, a moment, or how long ago (12h, 7d, 2w).")
@click.option("--until", metavar="TIME", help="Only runs that began before TIME; a day is part of it.")
@json_option
def usage(by: str, tags: tuple[str, ...], since: str | None, until: str | None, as_json: bool) -> None:
    """Add up what runs have used.

    Peaks are the largest one of a run, and not added. The network's bytes are those of the whole machine. A run that is part
    of another is counted with it, and apart only by name.
    """
    if by not in ("name", "day", "machine") and not by.removeprefix("tag:") != by:
        raise click.UsageError(f"--by is name, day, machine or tag:KEY; it is {by!r}.")
    selection = records.selected(tags, since, until)
    book, _, _ = records.opened()
    chosen = {run.id: run for run in book.runs.values() if selection.holds("run", run.tags) and selection.holds_time(run.started, run.last_seen)}
    groups: dict[str, list[Usage]] = {}
    for run in chosen.values():
        if by == "name" or book.whole_of(run) not in chosen:
            groups.setdefault(_label(run, by), []).append(run.usage)
    sums = {label: _added(found) for label, found in sorted(groups.items())}
    if as_json:
        render.data({"by": by, "usage": sums})
    elif not sums:
        render.say("No run is recorded" + (" that fits." if book.runs else ". To record one: tito resources track -- COMMAND"))
    else:
        render.table((by, "runs", "time", "CPU", "memory", "disk read", "written", "received", "sent", "GPU"), [_row(label, facts) for label, facts in sums.items()])


def _label(run: Run, by: str) -> str:
    if by == "day":
        return run.started.astimezone().date().isoformat()
    return run.tags.get(by.removeprefix("tag:"), "-") if by.startswith("tag:") else str(getattr(run, by))


def _added(found: Iterable[Usage]) -> dict[str, Any]:
    """The sums and peaks; None where no run knows, and under "unknown" how many of them don't."""
    rows = [usage.as_json() for usage in found]
    known = {key: [row[key] for row in rows if row[key] is not None] for key in (*_SUMS, *_PEAKS)}
    sums = {key: round(sum(known[key]), 3) if known[key] else None for key in _SUMS}
    peaks = {key: max(known[key], default=None) for key in _PEAKS}
    return {"runs": len(rows), **sums, **peaks, "unknown": {key: len(rows) - len(values) for key, values in known.items() if len(values) < len(rows)}}


def _row(label: str, facts: dict[str, Any]) -> tuple[str, ...]:
    def text(key: str) -> str:
        value = facts[key]
        shown = "unknown" if value is None else records.duration(value) if key.endswith("seconds") else render.size(value)
        return f"over {shown}" if value is not None and facts["unknown"].get(key) else shown

    columns = ("wall_seconds", "cpu_seconds", "memory_peak", "disk_read", "disk_written", "network_received", "network_sent", "gpu_seconds")
    return (label, str(facts["runs"]), *map(text, columns))
