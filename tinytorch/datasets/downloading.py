"""Datasets into the cache: which files, from where, whether there is room, several at once, once on this machine."""
from __future__ import annotations

import os
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tinytorch import http
from tinytorch.datasets import cache, registry
from tinytorch.datasets.fetch import Fetch, NotFetched, Progress, Stopped
from tinytorch.datasets.registry import Dataset, File
from tinytorch.errors import ConfigError, DataError
from tinytorch.files import free_space, readable_size
from tinytorch.places import cache_folder
from tinytorch.retry import ExponentialBackoffPolicy

__all__ = ["AT_ONCE", "download", "mirrors"]

AT_ONCE = 4  # files
Report = Callable[[Progress], None]
Task = tuple[Dataset, File]
_MIRRORS = "TINYTORCH_DATA_MIRROR"


def mirrors() -> list[str]:
    """The addresses in `TINYTORCH_DATA_MIRROR`, comma separated: each a place with a folder for each dataset.

    Raises: ConfigError for an address of another kind than http(s), file and a folder's path.
    """
    found = []
    for entry in filter(None, map(str.strip, os.environ.get(_MIRRORS, "").split(","))):
        if re.match(r"(https?|file)://", entry):
            found.append(entry.rstrip("/"))
        elif re.match(r"[a-z][a-z0-9+.-]+://", entry):
            raise ConfigError(f"{_MIRRORS}: {entry} can't be fetched from; it must begin with https://, http:// or file://, or be a folder")
        else:
            found.append(Path(entry).expanduser().absolute().as_uri())
    return found


def download(
    names: Sequence[str], *, report: Report = lambda progress: None,
    policy: ExponentialBackoffPolicy | None = None, timeout: tuple[float, float] = http.TIMEOUT,
) -> list[Path]:
    """Bring datasets into the cache, and return their folders. What is there already, and whole, is left as it is.

    `report` is told how far each file is, by one thread at a time. `timeout` has the seconds to connect, and those that
    may pass without a byte.

    Raises: ConfigError for a name that isn't known; DataError if something can't be fetched or there is no room. What
        has arrived is kept, and the next call goes on from there.
    """
    wanted = [registry.dataset(name) for name in dict.fromkeys(names)]
    extra = mirrors()
    _check_room(wanted)
    run = _Run(policy or ExponentialBackoffPolicy(), timeout, report, extra)
    run.all([(dataset, file) for dataset in wanted for file in dataset.files if not dataset.is_bundled])
    return [cache.folder(dataset) for dataset in wanted]


def _check_room(wanted: Sequence[Dataset]) -> None:
    """Raises: DataError if the disk has not enough room for the files and the arrays that are made from them."""
    to_come = {d.name: sum(file.size or 0 for file in cache.missing(d)) for d in wanted if not d.is_bundled and cache.missing(d)}
    arrays = sum(d.array_size for d in wanted if d.name in to_come)
    parts = sum(cache.length(path) for d in wanted for path in cache.leftovers(d))
    needed = max(sum(to_come.values()) - parts, 0) + arrays
    if to_come and (free := free_space(cache_folder())) < needed:
        raise DataError(
            f"{', '.join(to_come)} needs {readable_size(needed)} ({readable_size(needed - arrays)} to download, {readable_size(arrays)} unpacked), "
            f"and {readable_size(free)} are free at {cache_folder()}. Make room, or choose a folder on another disk: TINYTORCH_CACHE=DIR"
        )


class _Run:
    """Some files, fetched by a few threads."""

    def __init__(self, policy: ExponentialBackoffPolicy, timeout: tuple[float, float], report: Report, mirrors: Sequence[str]) -> None:
        self.stop = threading.Event()
        self.policy = replace(policy, sleep=self._wait) if policy.sleep is time.sleep else policy
        self.timeout = timeout
        self.report = report
        self.mirrors = mirrors
        self.telling = threading.Lock()
        self.missing: list[tuple[Task, NotFetched]] = []
        self.broken: list[BaseException] = []  # what would meet every other file too

    def _wait(self, seconds: float) -> None:
        self.stop.wait(seconds)

    def all(self, tasks: Sequence[Task]) -> None:
        """Fetch every file; returns, or raises, when no thread works any more."""
        todo: queue.SimpleQueue[Task] = queue.SimpleQueue()
        for task in tasks:
            todo.put(task)
        # daemons: after Ctrl-C nobody waits for one that hears nothing from its server, and what it has written is safe
        threads = [
            threading.Thread(target=self._work, args=(todo,), name="tinytorch-download", daemon=True) for _ in range(min(AT_ONCE, len(tasks)))
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.1)  # short, so that Ctrl-C is heard on Windows too
        except BaseException:
            self.stop.set()
            end = time.monotonic() + 0.5  # most of them hear it at once
            for thread in threads:
                thread.join(max(end - time.monotonic(), 0))
            raise
        for error in self.broken:
            raise error
        if self.missing:
            raise _explained(sorted(self.missing, key=lambda missing: tasks.index(missing[0])))

    def _work(self, todo: queue.SimpleQueue[Task]) -> None:
        while not self.stop.is_set():
            try:
                task = todo.get_nowait()
            except queue.Empty:
                return
            try:
                self._bring(task)
            except Stopped:
                return
            except NotFetched as error:
                self.missing.append((task, error))
            except BaseException as error:  # raised by `all`, in the thread that asked
                self.broken.append(error)
                self.stop.set()

    def _bring(self, task: Task) -> None:
        dataset, file = task
        name = f"{dataset.name}/{file.name}"
        folder = cache.folder(dataset)

        def tell(state: str, arrived: int, size: int | None, text: str = "") -> None:
            with self.telling:
                self.report(Progress(name, state, arrived, size, text))

        if cache.is_whole(dataset, file):  # needs no lock, and so no right to write to a cache that others fill
            tell("present", cache.length(folder / file.name), file.size)
            return
        while not self.stop.is_set():
            try:
                with cache.locked(dataset, file.name, timeout=0.5):
                    if cache.is_whole(dataset, file):
                        tell("present", cache.length(folder / file.name), file.size)
                        return
                    fetch = Fetch(file, folder, policy=self.policy, timeout=self.timeout, report=tell, stop=self.stop)
                    fetch.run([f"{mirror}/{dataset.name}/{file.name}" for mirror in self.mirrors] + dataset.addresses(file))
                    return
            except TimeoutError:
                tell("waiting", cache.length(folder / f"{file.name}.part"), file.size, "another process is downloading it")


def _explained(missing: Sequence[tuple[Task, NotFetched]]) -> DataError:
    """One error for all files that did not come, with what a person can do by hand."""
    lines = []
    for dataset in {dataset.name: dataset for (dataset, _), _ in missing}.values():
        lacking = [(file, error.reasons.values()) for (of, file), error in missing if of.name == dataset.name]
        lines.append(f"{dataset.name} lacks {len(lacking)} of {len(dataset.files)} files:")
        lines += [f"  {file.name} ({readable_size(file.size) if file.size else 'size unknown'})" for file, _ in lacking]
        lines.append("Tried:")
        lines += dict.fromkeys(f"  {reason.replace(f'/{file.name}:', ':')}" for file, reasons in lacking for reason in reasons)
        lines.append("Without a network, bring them by hand:")
        lines += [f"  {dataset.addresses(file)[0]}" for file, _ in lacking]
        lines.append(f"  into {cache.folder(dataset)}, and then run: tito data verify {dataset.name}")
    (dataset, file), _ = missing[0]
    lines.append(f"Or let {_MIRRORS} name a folder, also as file://, that has {dataset.name}/{file.name} in it.")
    lines.append("What has arrived is kept; the same command goes on from there.")
    return DataError("\n".join(lines), retryable=any(error.retryable for _, error in missing))
