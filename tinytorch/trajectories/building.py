"""Building a cache: one item of a resumable job for each trajectory."""
from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinytorch import files
from tinytorch.errors import DataError
from tinytorch.jobs import Item, Job, Outcome, Progress, Record
from tinytorch.jobs.ledger import JOURNAL, LOCK, VIEW
from tinytorch.jobs.record import problem_with_view
from tinytorch.places import cache_folder
from tinytorch.trajectories import cache, reading
from tinytorch.trajectories.config import CacheConfig
from tinytorch.trajectories.features import Dino, Features

if TYPE_CHECKING:
    import distributed

__all__ = ["Built", "build", "known_caches", "recorded", "reset"]

_ROOM = 100_000_000  # bytes that must be free before work begins
_CACHES = "trajectory-caches.json"  # in the data cache: which caches were built
_MARK = "max_chunk_distance_m"  # a key that only a trajectory cache's configuration has
_NAMED = 5  # trajectories that are told one by one
_LIST = "List the caches that there are: tito data cache list --root DIR"


@dataclass(frozen=True)
class Built:
    """What a build came to."""

    progress: Progress
    failed: dict[str, str]  # id of each failed trajectory to the first line of its error, of earlier builds too


def build(
    config: CacheConfig, *, features: Features | None = None, client: distributed.Client | None = None,
    report: Callable[[Progress], None] = lambda progress: None, finished: Callable[[Outcome], None] = lambda outcome: None,
    confirm: Callable[[dict[str, Any], dict[str, Any]], bool] | None = None, notice: Callable[[str], None] = lambda text: None,
) -> Built:
    """Process the trajectories that are new, changed, or not finished. One that fails doesn't stop the others.

    Args:
        config: says which trajectories, which features, and where.
        features: takes the place of the function that the configuration names; with workers it has to be picklable.
        client: of a Dask cluster, whose workers then do the work; they see the same folders.
        report: told where the work stands, at most ten times in a second.
        finished: told what came of each trajectory.
        confirm: asked with the recorded and the present configuration if they differ: whether to keep what is done.
        notice: told, in a sentence each, of what was found broken or missing.

    Raises: ConfigError for a configuration that has changed and isn't confirmed, and for missing packages; DataError if
        there is no dataset, no room, no right to write, or another build at work in the folder.
    """
    if client is not None:  # whose workers have another working directory
        config = dataclasses.replace(config, dataset=config.dataset.absolute(), cache_dir=config.cache_dir.absolute())
    found = reading.find(config.dataset)
    reading.check_packages(found.values())
    made = features or config.make_features()
    _check_room(config.cache_dir)
    settled = _settled(config, notice)
    if isinstance(made, Dino) and not found.keys() <= settled:
        _ = made.model  # a network that can't be loaded would fail every trajectory
    is_here = client is None and not config.workers
    work = _Work(config, made if is_here else features)
    if gone := sorted(settled - found.keys()):
        notice(f"Trajectories of this cache are no longer in {config.dataset}: {_some(gone)}. What they have in the cache stays; to begin anew: --force-rebuild")
    _remember(config.cache_dir)
    with _state(config) as folder:
        job = Job(folder, dataset_name=config.dataset_name, config=config.processing, notice=notice)
        items = (Item(name, reading.checksum(path), str(path)) for name, path in found.items())
        total = len(found) + len(gone)
        progress = job.run(items, work, total=total, workers=config.workers, client=client, report=report, finished=finished, confirm=confirm)
        failed = {name: line for name, (_, line) in sorted(job.record().failed.items())}
    return Built(progress, failed)


def reset(folder: Path, *, chunks: bool) -> None:
    """Have every trajectory of a cache processed again by the next build; with `chunks`, remove what there is of them.

    Raises: DataError while a build is at work there.
    """
    Job(folder).reset()
    if chunks:
        cache.remove_chunks(folder)


# --- looking ------------------------------------------------------------------------------------------------------


def recorded(folder: Path) -> Record:
    """Where the work in a cache stands: by its journal, or by its progress file if that is all there is.

    Raises: DataError if the folder is no cache, or another job's, or what is recorded can't be read.
    """
    if (folder / JOURNAL).exists():
        record = Job(folder).record()
    elif view := _view(folder):
        record = Record()
        record.take([["adopted", view]])
    else:
        raise DataError(f"{folder}: no {VIEW} is there. {_LIST}")
    if record.config and _MARK not in record.config:
        raise DataError(f"{folder}: what is recorded there is another kind of work, and no cache of trajectories. {_LIST}")
    return record


def _view(folder: Path) -> dict[str, Any] | None:
    path = folder / VIEW
    try:
        view = _json(path)
        problem = problem_with_view(view)
    except FileNotFoundError:
        return None
    except ValueError as error:
        problem = str(error)
    except OSError as error:
        raise DataError(f"{path}: it can't be read ({error.strerror})") from error
    if problem:
        raise DataError(f"{path}: it can't be used: {problem}. Put a whole one in its place, or remove it to do everything again")
    return dict(view)


def _json(path: Path) -> Any:
    """What a file holds.

    Raises: OSError; ValueError if it is no JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def known_caches(root: Path) -> list[Path]:
    """The caches below `root`, those in the data cache, and those that were built on this machine; sorted."""
    found = {folder for place in (root, cache_folder()) for folder in _below(place)}
    found |= {path for path in map(Path, _built_here()) if _is_cache(path)}
    return sorted({path.resolve() for path in found})


def _below(root: Path) -> Iterator[Path]:
    for name, folders, names in os.walk(root):
        is_cache = VIEW in names and _is_cache(Path(name))
        # nothing to be found in chunks, in what is hidden, or in the thousands of files of an environment
        folders[:] = [] if is_cache else [folder for folder in folders if not folder.startswith(".") and folder != "node_modules"]
        if is_cache:
            yield Path(name)


def _is_cache(folder: Path) -> bool:
    """Whether it has the progress file of this kind of job, and not of another."""
    with suppress(OSError, ValueError):
        view = _json(folder / VIEW)
        return isinstance(view, dict) and "trajectory_checksums" in view and (_MARK in str(view.get("processing_config")) or (folder / cache.CHUNKS).is_dir())
    return False


# --- before the work ----------------------------------------------------------------------------------------------


def _check_room(folder: Path) -> None:
    """Raises: DataError if nothing can be written to the cache, or little."""
    try:
        (folder / cache.CHUNKS).mkdir(parents=True, exist_ok=True)
        for place in (folder, folder / cache.CHUNKS):
            with tempfile.TemporaryFile(dir=place):
                pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise DataError(f"{folder}: this cache can't be written to ({error.strerror}). Mend that, or choose another folder: --cache-dir DIR") from error
    if free < _ROOM:
        raise DataError(f"{folder}: {free / 1e6:.0f} MB are free, and at least {_ROOM / 1e6:.0f} MB are needed. Make room, or choose another folder: --cache-dir DIR")


@contextmanager
def _state(config: CacheConfig) -> Iterator[Path]:
    """The folder of the job's record; with a build that starts over, the cache is emptied first.

    Without progress tracking it is a folder that nobody keeps, and the cache is held meanwhile.
    """
    folder = config.cache_dir
    if config.enable_progress_tracking:
        if config.force_rebuild:
            reset(folder, chunks=True)
        yield folder
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(files.lock(folder / LOCK, timeout=0, again=False))
        except TimeoutError as error:
            raise DataError(f"{folder}: another run is at work here; wait until it has ended, or end it") from error
        for name in (JOURNAL, VIEW):
            (folder / name).unlink(missing_ok=True)
        cache.remove_chunks(folder)
        yield Path(stack.enter_context(tempfile.TemporaryDirectory()))


def _settled(config: CacheConfig, notice: Callable[[str], None]) -> set[str]:
    """The trajectories that are done or have failed, and stay so.

    Those whose chunks are recorded and not there are queued again.
    """
    starts_over = config.force_rebuild or not config.enable_progress_tracking
    if starts_over or not any((config.cache_dir / name).exists() for name in (JOURNAL, VIEW)):
        return set()
    record = recorded(config.cache_dir)
    if lost := sorted(name for name in record.done if not cache.is_cached(config.cache_dir, name)):
        Job(config.cache_dir, notice=notice).queue(lost)
        notice(f"Trajectories are recorded as completed without chunks in the cache, and processed again: {_some(lost)}")
    return {*record.done, *record.failed} - set(lost)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f", and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


@dataclass(frozen=True)
class _Work:
    """Puts one trajectory into the cache."""

    config: CacheConfig
    features: Features | None  # None: each process makes the configuration's

    def __call__(self, item: Item) -> int:
        features = self.features or _features_here(self.config)
        return cache.cache_trajectory(Path(item.data), item.id, self.config, features)


@functools.cache  # a worker gets the work anew with each trajectory, and keeps the network
def _features_here(config: CacheConfig) -> Features:
    return config.make_features()


# --- which caches there are ---------------------------------------------------------------------------------------


def _built_here() -> list[str]:
    with suppress(OSError, ValueError):
        names = _json(cache_folder() / _CACHES)
        if isinstance(names, list):
            return [name for name in names if isinstance(name, str)]
    return []


def _remember(folder: Path) -> None:
    """Note a cache for `known_caches`. A home that can't be written is no reason not to build."""
    name = str(folder.resolve())
    with suppress(OSError):
        place = cache_folder()
        place.mkdir(parents=True, exist_ok=True)
        with files.lock(place / f"{_CACHES}.lock", timeout=5):
            if name not in (names := _built_here()):
                files.write_atomic(place / _CACHES, json.dumps([*names, name], indent=1).encode("ascii"))
