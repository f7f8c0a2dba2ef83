"""`tito data list`, `download`, `show`, `verify`, `path` and `clean`."""
from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tito import render, tab
from tito.dialogs import confirmed
from tito.group import Command
from tito.options import json_option

if TYPE_CHECKING:
    from tinytorch.datasets.registry import Dataset

one = click.argument("name", metavar="DATASET", shell_complete=tab.datasets)
some = click.argument("names", metavar="DATASET...", nargs=-1, required=True, shell_complete=tab.datasets)
any_ = click.argument("names", metavar="[DATASET...]", nargs=-1, shell_complete=tab.datasets)


def _datasets(names: tuple[str, ...] = ()) -> list[Dataset]:
    """The datasets of these names; all of them without any."""
    from tinytorch.datasets import registry

    try:
        return [registry.dataset(name) for name in dict.fromkeys(names)] or list(registry.datasets().values())
    except registry.UnknownDataset as error:
        raise click.UsageError(str(error)) from error


@click.command("list", cls=Command, example="tito data list")
@json_option
def list_datasets(as_json: bool) -> None:
    """List the datasets, and which of them are here."""
    found = _datasets()
    if as_json:
        render.data({"datasets": [_listed(dataset) for dataset in found]})
        return
    rows = [(d.name, d.title, "?" if d.size is None else render.size(d.size), _state(d), d.licence) for d in found]
    render.table(("name", "what", "size", "here", "licence"), rows)


def _listed(dataset: Dataset) -> dict[str, Any]:
    from tinytorch.datasets import cache

    whole = [file.name for file in dataset.files if cache.is_there(dataset, file)]
    return {
        "name": dataset.name, "title": dataset.title, "licence": dataset.licence, "citation": dataset.citation, "size": dataset.size,
        "shape": list(dataset.shape), "classes": list(dataset.classes), "samples": dict(dataset.samples),
        "folder": str(cache.folder(dataset)), "files": [file.name for file in dataset.files], "here": whole,
    }  # fmt: skip


def _state(dataset: Dataset) -> str:
    from tinytorch.datasets import cache

    if dataset.is_bundled:
        return "bundled"
    if not cache.missing(dataset):
        return "yes"
    arrived = cache.arrived(dataset)
    return f"{render.size(arrived)} of it" if arrived else "no"


@click.command(cls=Command, example="tito data download cifar10\ntito data download mnist fashion-mnist --quiet")
@some
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def download(names: tuple[str, ...], quiet: bool) -> None:
    """Download datasets, or what is missing of them.

    Whatever interrupts it, the same command goes on where it stopped. Checksums are compared before anything is used.
    """
    from tinytorch.datasets import downloading
    from tito import transfers

    wanted = _datasets(names)
    try:
        with transfers.shown(quiet=quiet) as report:
            folders = downloading.download([dataset.name for dataset in wanted], report=report)
    except KeyboardInterrupt:
        render.notice(f"\nStopped. What has arrived is kept; to go on: tito data download {' '.join(names)}")
        raise
    if not quiet:
        for dataset, folder in zip(wanted, folders, strict=True):
            render.say(f"{dataset.name} is in {folder}", bold=True)


@click.command(cls=Command, example="tito data show digits\ntito data show cifar10 --png cifar10.png")
@one
@click.option("--png", metavar="FILE", type=click.Path(path_type=Path), help="Write a contact sheet, ten images of each class, to FILE.")
@json_option
def show(name: str, png: Path | None, as_json: bool) -> None:
    """Show what is in a dataset: counts, ranges, a few images."""
    from tinytorch.datasets import sheet
    from tito import pictures

    (dataset,) = _datasets((name,))
    if png and dataset.reader == "text":
        raise click.UsageError(f"{name} is a text; --png is for images.")
    facts = sheet.facts(dataset)
    written = sheet.save_png(dataset, png) if png else None
    if as_json:
        about = {"name": dataset.name, "title": dataset.title, "licence": dataset.licence, "citation": dataset.citation}
        render.data(about | facts | ({"png": str(written)} if written else {}))
        return
    lines = [dataset.citation, f"Licence: {dataset.licence}"]
    render.panel(dataset.title, lines)
    render.say()
    if dataset.reader == "text":
        _say_text(facts)
        return
    _say_images(facts)
    render.say()
    if written:
        render.say(f"Wrote {written}", bold=True)
    else:
        pictures.show(sheet.examples(dataset, 1)[:, 0], dataset.classes)


def _say_text(facts: dict[str, Any]) -> None:
    render.say(f"{facts['characters']:,} characters, {facts['different_characters']} different ones; {facts['words']:,} words, {facts['lines']:,} lines\n")
    for line in facts["first_lines"]:
        render.say(f"  {line}".rstrip())


def _say_images(facts: dict[str, Any]) -> None:
    splits = facts["splits"]
    classes = next(iter(splits.values()))["classes"]
    render.table(
        ("class", *splits), [(label, *(f"{split['classes'][label]:,}" for split in splits.values())) for label in classes]
    )
    render.say()
    shape = " x ".join(map(str, facts["shape"]))
    for name, split in splits.items():
        render.say(f"{name}: {split['samples']:,} images of {shape}, values {split['lowest']} to {split['highest']}, mean {split['mean']}")


@click.command("verify", cls=Command, example="tito data verify\ntito data verify mnist")
@any_
@json_option
def verify_datasets(names: tuple[str, ...], as_json: bool) -> int:
    """Compare datasets with their checksums.

    Without names, those of which something is here. Exits 1 if a file is damaged or missing.
    """
    from tinytorch.datasets import cache
    from tinytorch.datasets.arrays import verify

    wanted = [d for d in _datasets(names) if names or d.is_bundled or cache.arrived(d)]
    found = {dataset.name: verify(dataset) for dataset in wanted}
    wrong = {name: [file for file in files if file.state != "whole"] for name, files in found.items()}
    is_whole = not any(wrong.values())
    if as_json:
        render.data({"whole": is_whole, "datasets": {name: [asdict(f) | {"path": str(f.path)} for f in files] for name, files in found.items()}})
        return 0 if is_whole else 1
    render.table(("dataset", "file", "state"), [(name, file.path.name, file.state) for name, files in found.items() for file in files])
    for name, files in wrong.items():
        arrays = [file.path for file in files if file.path.suffix == ".npy"]
        for path in arrays:
            render.say(f"\n{name}: delete this file, which is made again when it is needed: {path}", whole=True)
        if files and not arrays:
            render.say(f"\n{name}: tito data download {name}")
    return 0 if is_whole else 1


@click.command("path", cls=Command, example="tito data path mnist")
@one
def print_path(name: str) -> None:
    """Print the folder of a dataset, for scripts."""
    from tinytorch.datasets import cache

    (dataset,) = _datasets((name,))
    render.exact(f"{cache.folder(dataset)}\n")


@click.command(cls=Command, example="tito data clean\ntito data clean cifar10 --yes")
@any_
@click.option("--unfinished", is_flag=True, help="Only what downloads and transfers left that were not finished.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
def clean(names: tuple[str, ...], unfinished: bool, yes: bool) -> int:
    """Remove datasets from the cache, after a question.

    What can be downloaded or made again goes; files of your own in these folders stay. Without names, the records from
    which interrupted transfers go on, too; those of one that is at work stay.
    """
    from tinytorch.datasets import cache
    from tinytorch.errors import DataError
    from tinytorch.transfer import records

    listed = cache.leftovers if unfinished else cache.made
    gone = {dataset.name: paths for dataset in _datasets(names) if (paths := listed(dataset))}
    transfers = [] if names else list(records.kept())
    if not gone and not transfers:
        render.say("There is nothing to remove.")
        return 0
    sizes = {path: cache.length(path) for paths in gone.values() for path in paths}
    rows = [(name, path.name, render.size(sizes[path])) for name, paths in gone.items() for path in paths]
    render.table(("dataset", "file", "size"), [*rows, *(("transfer", one.title, render.size(one.size)) for one in transfers)])
    render.say()
    again = " ".join(["tito data clean", *names, *(["--unfinished"] if unfinished else []), "--yes"])
    if not yes and not confirmed(f"Remove {render.size(sum(sizes.values()) + sum(one.size for one in transfers))}?", otherwise=again):
        return 1
    removed = [path for dataset in _datasets(tuple(gone)) for path in cache.remove(dataset, listed)]
    ended = []
    for one in transfers:
        try:
            records.remove(one)
        except DataError as error:  # one is at work, and the others go all the same
            render.error(str(error))
        else:
            ended.append(one)
    what = [f"{len(removed)} file{'' if len(removed) == 1 else 's'}"] if removed else []
    what += [f"the record of {len(ended)} transfer{'' if len(ended) == 1 else 's'}"] if ended else []
    freed = sum(sizes.get(path, 0) for path in removed) + sum(one.size for one in ended)
    render.say(f"Removed {' and '.join(what) or 'nothing'}, {render.size(freed)}.", bold=True)
    return 0 if len(ended) == len(transfers) else 1
