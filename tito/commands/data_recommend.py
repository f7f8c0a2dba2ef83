"""`tito data recommend`."""
from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinytorch.errors import WorkspaceError
from tito import render
from tito.group import Command
from tito.options import json_option

if TYPE_CHECKING:
    from tinytorch.loading.advice import Advice


@click.command(cls=Command, example="tito data recommend shards\ntito data recommend s3://bucket/train --epochs 1 --script loader.py")
@click.argument("place", metavar="PATH_OR_URL")
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="How often the data will be read; several, if not given.")
@click.option("--measure", is_flag=True, help="Read some of it, for up to two seconds, to know how fast that is.")
@click.option("--cache", type=click.Path(file_okay=False), metavar="DIR", help="Where a cache would be.")
@click.option("--script", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a loader script for PyTorch.")
@json_option
def recommend(place: str, epochs: int | None, measure: bool, cache: str | None, script: Path | None, as_json: bool) -> None:
    """Say how to load data fast on this machine, and why."""
    from tinytorch import loading

    if script and script.exists():
        raise WorkspaceError(f"{script} is there already. Name another file, or delete this one")
    advice = loading.recommend(place, epochs=epochs, measure=measure, cache=cache)
    if script:
        from tinytorch.files import write_atomic
        from tinytorch.loading.script import pytorch_script

        source = pytorch_script(advice, script.name)
        write_atomic(script, source.encode())
    if as_json:
        render.data(asdict(advice) | {"script": str(script) if script else None})
    else:
        _say(advice)
        if script:
            render.say()
            render.say(f"Wrote {script}. Try it: python {script}")


def _say(advice: Advice) -> None:
    from tinytorch.loading.advice import PLACES
    from tinytorch.measure import memory

    known = advice.facts
    render.say(f"{advice.strategy} for {known.place}", bold=True)
    rows = [("data", memory(known.nbytes))]
    if known.form == "shards":
        rows.append(("shards", f"{known.shards}, of at most {memory(known.largest)}; {known.samples:,} samples"))
    rows += [
        ("place", PLACES[known.kind]),
        ("free memory", "unknown" if known.memory is None else memory(known.memory)),
        ("free disk", f"{memory(known.disk)}, where a cache would be"),
        ("cores", str(known.cores)),
    ]
    if known.throughput is not None:
        rows.append(("throughput", f"{memory(known.throughput)} a second, measured"))
    for line in render.aligned(rows):
        render.say(f"  {line}")
    render.say()
    for reason in advice.reasons:
        render.say(reason)
    render.say()
    render.say(f"  {advice.call()}")
