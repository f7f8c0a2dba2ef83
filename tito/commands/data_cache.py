"""`tito data cache ...`."""
from __future__ import annotations

import dataclasses
import itertools
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tito import render
from tito.dialogs import agrees
from tito.group import Group
from tito.options import json_option

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from tinytorch.jobs import Progress, Record

_EVERY = 30.0  # seconds between two lines where nobody looks at a terminal
_LISTED = 20  # failed trajectories that are named
_INTERRUPTED = 130

cache_dir_option = click.option(
    "--cache-dir", "folder", metavar="DIR", required=True, type=click.Path(file_okay=False, path_type=Path), help="The folder of the cache."
)  # fmt: skip


@click.group(cls=Group, example="tito data cache build --config config/data/dino_cache.yaml\ntito data cache show --cache-dir cache")
def cache() -> None:
    """Keep features of trajectories, cut into chunks by distance."""


# --- build --------------------------------------------------------------------------------------------------------


@cache.command(example="tito data cache build --config config/data/dino_cache.yaml\ntito data cache build --config config/data/dino_cache.yaml --workers 4")
@click.option("--config", "file", metavar="FILE", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The configuration, a dino_cache.yaml.")
@click.option("--cache-dir", "folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="The folder of the cache, in place of the configuration's.")
@click.option("--workers", metavar="N", type=click.IntRange(min=0), help="Processes besides this one, in place of the configuration's.")
@click.option("--engine", type=click.Choice(["local", "dask"]), default="local", help="Where the work is done: on this machine, or on a Dask cluster.")
@click.option("--scheduler", metavar="ADDRESS", help="Of the Dask cluster: tcp://host:8786.")
@click.option("--force-rebuild", is_flag=True, help="Process everything again.")
@click.option("--log-json", "log_file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Add a JSON line to FILE for each thing that happens.")
@click.option("--metrics", "metrics_file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Keep the numbers in FILE for OpenMetrics.")
def build(
    file: Path, folder: Path | None, workers: int | None, engine: str, scheduler: str | None, force_rebuild: bool,
    log_file: Path | None, metrics_file: Path | None,
) -> int:
    """Process the trajectories that are new or changed.

    Interrupted at any time, it goes on where it stopped when it is called again.
    """
    from tinytorch.jobs import connect
    from tinytorch.jobs.telemetry import JsonLog, Metrics
    from tinytorch.trajectories import build as build_cache
    from tinytorch.trajectories import read_config

    if (engine == "dask") != (scheduler is not None):
        raise click.UsageError("--engine dask and --scheduler ADDRESS go together.")
    config = read_config(file)
    given: dict[str, Any] = {"cache_dir": folder, "workers": workers, "force_rebuild": force_rebuild or None}
    config = dataclasses.replace(config, **{name: value for name, value in given.items() if value is not None})
    with ExitStack() as stack:
        client = stack.enter_context(connect(scheduler)) if scheduler else None
        log = stack.enter_context(closing(JsonLog(log_file or Path(os.devnull))))
        watcher = stack.enter_context(_Watcher(config.cache_dir))
        metrics = Metrics(metrics_file, config.dataset_name) if metrics_file else None

        def report(progress: Progress) -> None:
            watcher.report(progress)
            log.report(progress)
            if metrics:
                metrics.report(progress)

        def notice(text: str) -> None:
            render.notice(text)
            log.notice(text)

        built = build_cache(config, client=client, report=report, finished=log.outcome, confirm=_is_confirmed, notice=notice)
        log.ended(built.progress)
        if metrics:
            metrics.ended(built.progress)
    _say_failed(built.failed, config.cache_dir)
    if built.failed and config.enable_progress_tracking:
        render.say(f"To try them again: tito data cache reset-failed --cache-dir {_quoted(config.cache_dir)}")
    if built.progress.stopped:
        kept = {
            "config": file, "cache-dir": folder, "workers": workers, "engine": "dask" if scheduler else None, "scheduler": scheduler,
            "log-json": log_file, "metrics": metrics_file,
        }  # fmt: skip
        again = " ".join(["tito data cache build", *(f"--{name} {_quoted(value)}" for name, value in kept.items() if value is not None)])
        what = "what is finished is recorded. To go on" if config.enable_progress_tracking else "nothing is recorded. To begin again"
        render.say(f"\nStopped by {built.progress.stopped}; {what}: {again}", bold=True)
        return _INTERRUPTED if built.progress.stopped == "SIGINT" else 1
    return 1 if built.failed else 0


def _is_confirmed(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether to keep what is done under another configuration."""
    from tinytorch.jobs import differences

    if not render.is_interactive():
        render.notice("Nobody is here to ask about the changed configuration. To process everything again: tito data cache build --force-rebuild, or tito data cache reset")
        return False
    render.say("The configuration has changed since:")
    for difference in differences(old, new):
        render.say(f"  {difference}")
    return agrees("Keep what is finished, and process the rest with the changed configuration?")


class _Watcher:
    """Shows where a build stands: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bar: Bar | None = None
        self.task: TaskID | None = None
        self.said_at: float | None = None
        self.last: Progress | None = None

    def __enter__(self) -> _Watcher:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()
        if self.last and self.last.processed:
            render.say(_line(self.last))

    def report(self, progress: Progress) -> None:
        self.last = progress
        if self.said_at is None:
            self._begin(progress)
        elif self.bar and self.task is not None:
            self.bar.update(self.task, completed=progress.done, description=_bar_text(progress))
        elif time.monotonic() - self.said_at >= _EVERY:
            render.say(_line(progress))
            self.said_at = time.monotonic()

    def _begin(self, progress: Progress) -> None:
        total = progress.total or 0
        if progress.done or progress.failed:
            render.say(f"Loaded existing progress: {progress.done} trajectories completed")
            render.say(f"Resuming processing: {progress.done}/{total} trajectories completed")
            render.say(f"Remaining trajectories: {total - progress.done}")
        else:
            render.say(f"Processing {total} trajectories into {self.folder}")
        self.said_at = time.monotonic()
        if render.is_colourful():
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            self.bar = Bar(BarColumn(None), TextColumn("{task.description}", markup=False), console=render.console(), transient=True, expand=True)
            self.task = self.bar.add_task(_bar_text(progress), total=total, completed=progress.done)
            self.bar.start()


def _line(progress: Progress) -> str:
    total = progress.total or 0
    share = 100 * progress.done / total if total else 100.0
    return f"Progress: {progress.done}/{total} trajectories ({share:.1f}%), {progress.units} chunks, {progress.seconds / 3600:.1f}h elapsed"


def _bar_text(progress: Progress) -> str:
    """The line as it stands beside a bar, with the time that is left."""
    text = _line(progress).removeprefix("Progress: ")
    return text if progress.remaining is None else f"{text}, {timedelta(seconds=round(progress.remaining))} left"


def _say_failed(errors: Mapping[str, str], folder: Path) -> None:
    """The failed trajectories, each with the first line of its error if that is known."""
    if errors:
        render.say(f"\nFailed Trajectories ({len(errors)}):", fg="red")
        _say_names(errors, f"; all with: tito data cache show --cache-dir {_quoted(folder)} --json")


def _say_names(errors: Mapping[str, str], more: str = "") -> None:
    """Trajectories, the first of them by name, each above its error if that isn't empty."""
    for name, error in itertools.islice(errors.items(), _LISTED):
        render.say(f"  - {name}")
        if error:
            render.say(f"      {error}")
    if len(errors) > _LISTED:
        render.say(f"  ... and {len(errors) - _LISTED} more{more}")


# --- show and list ------------------------------------------------------------------------------------------------


@cache.command(example="tito data cache show --cache-dir cache\ntito data cache show --cache-dir cache --errors traj_003")
@cache_dir_option
@click.option("--errors", "name", metavar="TRAJECTORY", help="The whole error of one failed trajectory.")
@json_option
def show(folder: Path, name: str | None, as_json: bool) -> int:
    """Show where the work in a cache stands."""
    from tinytorch.trajectories.building import recorded

    record = recorded(folder)
    if name is not None:
        return _show_error(folder, record, name, as_json=as_json)
    facts = record.view()
    errors = {failed: line for failed, (_, line) in sorted(record.failed.items())}
    if as_json:
        render.data(facts | {"processing_seconds": _seconds(record), "errors": errors})
        return 0
    render.say(f"Progress Status for {folder}", bold=True)
    render.say("=" * 60)
    render.say(f"Dataset: {record.dataset_name}")
    render.say(f"Completed trajectories: {len(record.done)}")
    render.say(f"Failed trajectories: {len(record.failed)}")
    render.say(f"Total chunks generated: {record.units}")
    render.say(f"Processing time: {_seconds(record) / 3600:.1f} hours")
    render.say(f"Last update: {time.ctime(facts['last_update'])}")
    render.say("\nProcessing Configuration:")
    for key, value in facts["processing_config"].items():
        render.say(f"  {key}: {value}")
    _say_failed(errors, folder)
    return 0


def _seconds(record: Record) -> float:
    return record.seconds + record.run_seconds


def _show_error(folder: Path, record: Record, name: str, *, as_json: bool) -> int:
    from tinytorch.jobs import Job

    error = Job(folder).error(name)
    if error is None:
        known = "is recorded as failed, and its error isn't known" if name in record.failed else "is completed" if name in record.done else "is not recorded"
        render.error(f"{name} {known}. Failed are: {', '.join(sorted(record.failed)[:_LISTED]) or 'none'}")
        return 1
    if as_json:
        render.data({"trajectory": name} | error)
        return 0
    render.say(f"{name}: {error['type']}: {error['message']}", bold=True)
    render.say(f"\n{error['traceback']}".rstrip())
    return 0


@cache.command("list", example="tito data cache list\ntito data cache list --root /path/to/caches")
@click.option("--root", metavar="DIR", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where to look, with all folders below (default: here).")
@json_option
def list_caches(root: Path, as_json: bool) -> int:
    """List the caches that there are.

    It looks below the working directory, in the data cache, and where caches were built before. Exits 1 if one of them
    can't be read.
    """
    from tinytorch.errors import DataError
    from tinytorch.trajectories.building import known_caches, recorded

    folders, found = known_caches(root), []
    for folder in folders:
        try:
            record = recorded(folder)
        except DataError as error:  # hides no other
            render.error(str(error))
            continue
        found.append({
            "dataset_name": record.dataset_name, "completed": len(record.done), "failed": len(record.failed), "chunks": record.units,
            "last_update": record.view()["last_update"], "folder": str(folder),
        })  # fmt: skip
    if as_json:
        render.data({"caches": found})
    elif found:
        rows = [[str(value) for value in (cache | {"last_update": time.ctime(cache["last_update"])}).values()] for cache in found]
        render.table(("dataset", "completed", "failed", "chunks", "last update", "cache"), rows)
    elif not folders:
        render.say(f"There is no cache below {root}, and none was built before. Build one: tito data cache build --config FILE")
    return 0 if len(found) == len(folders) else 1


# --- reset --------------------------------------------------------------------------------------------------------


@cache.command("reset-failed", example="tito data cache reset-failed --cache-dir cache")
@cache_dir_option
def reset_failed(folder: Path) -> None:
    """Have the failed trajectories tried again by the next build."""
    from tinytorch.jobs import Job
    from tinytorch.trajectories.building import recorded

    recorded(folder)  # a folder that is no cache is not made one
    failed = Job(folder, notice=render.notice).reset_failed()
    if not failed:
        render.say("There are no failed trajectories.")
        return
    render.say(f"Reset {len(failed)} failed trajector{'y' if len(failed) == 1 else 'ies'}; the next build tries {'it' if len(failed) == 1 else 'them'} again:")
    _say_names(dict.fromkeys(failed, ""))


@cache.command(example="tito data cache reset --cache-dir cache\ntito data cache reset --cache-dir cache --yes")
@cache_dir_option
@click.option("--yes", is_flag=True, help="Delete the chunks too, without asking.")
def reset(folder: Path, yes: bool) -> None:
    """Have everything processed again by the next build.

    The chunks are deleted too, if you say so.
    """
    from tinytorch.trajectories import building

    record = building.recorded(folder)
    building.reset(folder, chunks=False)
    render.say(f"Reset the progress of {folder}: {len(record.done)} completed and {len(record.failed)} failed trajectories will be processed again.", bold=True)
    if yes or (render.is_interactive() and agrees("Delete their chunks too?")):
        building.reset(folder, chunks=True)
        render.say("Deleted the chunks.")
    else:
        render.say(f"The chunks stay until they are made anew. To delete them too: tito data cache reset --cache-dir {_quoted(folder)} --yes")


def _quoted(value: object) -> str:
    import shlex

    return shlex.quote(str(value))
