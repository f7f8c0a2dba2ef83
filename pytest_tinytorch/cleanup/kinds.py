"""What there is on this machine that may be removed: one `Kind` for each, in the order in which they are shown.

A further kind needs one entry in `KINDS`. It lists only what TinyTorch has made, under the names that it gives.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files
from tinytorch.errors import DataError
from tinytorch.places import cache_folder

HOUR = 3600.0
DAY = 24 * HOUR
FOLDER = "cleanup"  # in `.tito`: plans, and the record of what was removed
_PATIENCE = 5.0  # seconds for whoever holds a lock


@dataclass(frozen=True)
class Kind:
    """One kind of things that may go."""

    name: str
    title: str
    age: float  # seconds without use after which it goes; 0: what is found may go at any age
    find: Callable[[Workspace], Iterator[Path]]
    held: Callable[[Workspace, Path], AbstractContextManager[None]]  # what keeps others away while one is removed
    tells_young: bool = True  # whether those that are in use are worth a line


@contextmanager
def _nothing(workspace: Workspace, path: Path) -> Iterator[None]:
    yield


def _store(workspace: Workspace, path: Path) -> AbstractContextManager[None]:
    return workspace.store.locked()


# --- caches -----------------------------------------------------------------------------------------------------------


def _downloads(workspace: Workspace) -> Iterator[Path]:
    from tinytorch.datasets import cache, registry

    for dataset in registry.datasets().values():
        yield from cache.leftovers(dataset)
        yield from () if dataset.is_bundled else _temporary(cache.folder(dataset))


@contextmanager
def _no_download(workspace: Workspace, path: Path) -> Iterator[None]:
    from tinytorch.datasets import cache, registry

    dataset = registry.dataset(path.parent.name)
    with ExitStack() as locks:
        for file in dataset.files:
            try:
                locks.enter_context(cache.locked(dataset, file.name, timeout=0))
            except TimeoutError as error:
                raise DataError(f"{path}: another process downloads {dataset.name} at this moment") from error
        yield


def _shards(workspace: Workspace) -> Iterator[Path]:
    folder = cache_folder() / "shards"
    yield from folder.glob("*.shard")
    yield from _temporary(folder)


@contextmanager
def _no_fetch(workspace: Workspace, path: Path) -> Iterator[None]:
    try:
        with files.lock(path.parent / ".lock", timeout=_PATIENCE):
            yield
    except TimeoutError as error:
        raise DataError(f"{path}: another process is at work in this cache") from error


def _features(workspace: Workspace) -> Iterator[Path]:
    """What killed builds left of trajectories that they had not finished."""
    from tinytorch.trajectories.building import known_caches
    from tinytorch.trajectories.cache import CHUNKS

    for folder in known_caches(workspace.root):
        yield from (path for path in (folder / CHUNKS).glob("." + "[0-9a-f]" * 16) if path.is_dir())
        yield from _temporary(folder / CHUNKS)


@contextmanager
def _no_job(path: Path, folder: Path) -> Iterator[None]:
    """While no job is at work in the folder that a path belongs to."""
    from tinytorch.jobs.ledger import LOCK

    try:
        with files.lock(folder / LOCK, timeout=0, again=False):
            yield
    except TimeoutError as error:
        raise DataError(f"{path}: another process is at work there at this moment") from error


def _transfers(workspace: Workspace) -> Iterator[Path]:
    from tinytorch.transfer import records

    yield from (path for folder in records.folders() for path in records.entries(folder))


def _temporary(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob(f".*{files.TEMPORARY_SUFFIX}") if files.TEMPORARY_NAME.fullmatch(path.name))


# --- the workspace, and the temporary folder --------------------------------------------------------------------------


def _staging(workspace: Workspace) -> Iterator[Path]:
    from pytest_tinytorch.health import leftovers

    yield from leftovers.staging_folders()


def _unfinished(workspace: Workspace) -> Iterator[Path]:
    from pytest_tinytorch.health import leftovers

    yield from leftovers.unfinished(workspace)


def _backups(workspace: Workspace) -> Iterator[Path]:
    from pytest_tinytorch.state import backups

    yield from (*backups.stale(workspace), *backups.stale_whole(workspace))


def _undo(workspace: Workspace) -> Iterator[Path]:
    from pytest_tinytorch.state import transaction

    yield from (plan.folder for plan in transaction.undoable(workspace))


def _plans(workspace: Workspace) -> Iterator[Path]:
    yield from (path.parent for path in (workspace.tito / FOLDER).glob("*/plan.json"))


KINDS = (
    Kind("download", "downloads that were not finished", 7 * DAY, _downloads, _no_download),
    Kind("shard", "shards that were not used lately", 30 * DAY, _shards, _no_fetch),
    Kind("features", "trajectories that a killed build left", DAY, _features, lambda workspace, path: _no_job(path, path.parent.parent)),
    Kind("transfer", "records of transfers", 30 * DAY, _transfers, lambda workspace, path: _no_job(path, path.parent)),
    Kind("staging", "staging folders of killed runs", DAY, _staging, _nothing),
    Kind("unfinished", "files that killed runs were writing", HOUR, _unfinished, _store),
    Kind("backup", "backups beyond those that are kept", 0.0, _backups, _store),
    Kind("undo", "what old changes are taken back from", 90 * DAY, _undo, _store, tells_young=False),
    Kind("plan", "old plans of this command", 30 * DAY, _plans, _nothing, tells_young=False),
)
