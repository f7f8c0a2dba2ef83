"""`tito data transfer`."""
from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from tito import render
from tito.dialogs import agrees
from tito.group import Command
from tito.options import json_option

if TYPE_CHECKING:
    from tinytorch.transfer.planning import Plan
    from tinytorch.transfer.running import Result

_LISTED = 20  # names of a plan that are shown
_INTERRUPTED = 130
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def _rate(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?(?:/s)?", value.lower())
    if not match or float(match[1]) == 0:
        raise click.BadParameter(f"{value!r} is no rate; write bytes in a second, like 500k or 10M", context, parameter)
    return float(match[1]) * _UNITS[match[2]]


@click.command(cls=Command, example="tito data transfer data/ s3://bucket/data --dry-run\ntito data transfer s3://bucket/data ssh://me@gpu1/~/data\ntito data transfer data/ ssh://gpu1/data --sync --delete")  # fmt: skip
@click.argument("source", metavar="SRC", type=click.Path())
@click.argument("destination", metavar="DST", type=click.Path())
@click.option("--sync", is_flag=True, help="Make DST what SRC is, and say what is there only.")
@click.option("--delete", is_flag=True, help="With --sync, delete what is at DST only.")
@click.option("--yes", is_flag=True, help="With --delete, don't ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--include", metavar="GLOB", multiple=True, help="Only files that match; may be given several times.")
@click.option("--exclude", metavar="GLOB", multiple=True, help="No files that match; may be given several times.")
@click.option("--links", type=click.Choice(["skip", "follow", "refuse"]), default="skip", help="What to do with symbolic links (default: skip, and name them).")
@click.option("--checksum", is_flag=True, help="Compare contents where only times are compared otherwise.")
@click.option("--verify", type=click.Choice(["parts", "read"]), default="parts", help="How it is known that S3 has what was sent: by checksums of parts, or by reading it back.")
@click.option("--jobs", metavar="N", type=click.IntRange(1, 64), default=4, help="Parts and files that are under way at a time (default: 4).")
@click.option("--bandwidth", metavar="RATE", callback=_rate, help="At most so many bytes in a second: 500k, 10M.")
@click.option("--engine", type=click.Choice(["auto", "boto3", "sftp", "s5cmd", "rsync"]), default="auto", help="What sends the files (default: what suits and is there).")
@json_option
def transfer(
    source: str, destination: str, sync: bool, delete: bool, yes: bool, dry_run: bool, include: tuple[str, ...], exclude: tuple[str, ...], links: str,
    checksum: bool, verify: str, jobs: int, bandwidth: float | None, engine: str, as_json: bool,
) -> int:
    """Send files between this machine, S3 and a host.

    SRC and DST are paths, s3://bucket/prefix or ssh://[user@]host[:port]/path. What is at DST unchanged isn't sent again.
    Interrupted at any time, it goes on where it stopped when it is called again.
    """
    from tinytorch.datasets import fetch
    from tinytorch.transfer import transfer as send
    from tito.transfers import Report, shown

    if delete and not sync:
        raise click.UsageError("--delete is part of making DST what SRC is: use it with --sync.")

    def confirm(plan: Plan) -> bool:
        if not as_json:
            _say_plan(plan, sync=sync)
        is_agreed = not plan.delete or yes or (not as_json and render.is_interactive() and agrees(f"Delete {_count(len(plan.delete))} at {plan.destination}?"))
        if is_agreed:
            tell.append(stack.enter_context(shown(quiet=as_json)))  # not before: a bar would hide the question
        return is_agreed

    tell: list[Report] = []
    with ExitStack() as stack:
        result = send(
            source, destination, include=include, exclude=exclude, links=links, checksum=checksum, verify=verify, delete=delete, dry_run=dry_run,
            jobs=jobs, bandwidth=bandwidth, engine=engine, confirm=confirm, notice=render.notice,
            report=lambda now: tell[0](fetch.Progress(
                _count(now.total), "retrying" if now.text else "receiving", now.arrived, now.nbytes, now.text or source
            )),
        )  # fmt: skip
    if as_json:
        render.data(result.as_json() | ({} if sync else {"deleted": []}))
    elif dry_run:
        _say_plan(result.plan, sync=sync)
        render.say("Nothing was done (--dry-run).")
    return _end(result, dry_run=dry_run, as_json=as_json)


def _say_plan(plan: Plan, *, sync: bool) -> None:
    render.say(f"{plan.source} -> {plan.destination}", bold=True)
    render.say(f"  engine     {plan.engine}: {plan.reason}")
    render.say(f"  send       {_count(len(plan.send))}, {render.size(plan.nbytes)}")
    if plan.unchanged:
        render.say(f"  unchanged  {_count(plan.unchanged)}, by {plan.compared}")
    if plan.delete:
        render.say(f"  delete     {_count(len(plan.delete))}")
    elif sync and plan.extra:
        render.say(f"  only there {_count(len(plan.extra))}; --delete removes them")
    for step in plan.send[:_LISTED]:
        render.say(f"  send       {step.title}")
    if len(plan.send) > _LISTED:
        render.say(f"  ... and {len(plan.send) - _LISTED} more to send; all with --dry-run --json")
    for name in plan.delete:
        render.say(f"  delete     {name}")
    for name, why in list(plan.left_out.items())[:_LISTED]:
        render.say(f"  left out   {name}: {why}")
    if len(plan.left_out) > _LISTED:
        render.say(f"  ... and {len(plan.left_out) - _LISTED} more left out; all with --dry-run --json")


def _end(result: Result, *, dry_run: bool, as_json: bool) -> int:
    """Say what came of it. Returns the exit status."""
    if not result.is_done:
        if not dry_run:
            render.error("files would be deleted, and nobody has agreed to that. Nothing was done. To agree beforehand: --yes")
        return 0 if dry_run else 1
    for name, why in list(result.failed.items())[:_LISTED]:
        render.error(f"{name}: {why}" if name not in why else why)
    if result.stopped:
        render.notice(f"Stopped by {result.stopped}; what has arrived is recorded. The same command goes on.")
        return _INTERRUPTED if result.stopped == "SIGINT" else 1
    if result.failed:
        render.notice(f"{_count(result.sent)} arrived, {_count(len(result.failed))} did not. The same command tries these again.")
        return 1
    if not as_json:
        removed = f", deleted {_count(len(result.deleted))}" if result.deleted else ""
        render.say(f"Sent {_count(result.sent)}, {render.size(result.nbytes)}, in {result.seconds:.2f}s{removed}." if result.sent or removed else "Everything is there already.")
    return 0


def _count(number: int) -> str:
    return f"{number:,} file" + ("" if number == 1 else "s")
