"""Where items are processed: here, in threads or worker processes of this machine, or on a Dask cluster."""
from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from tinytorch import files
from tinytorch.errors import ConfigError, DataError

if TYPE_CHECKING:
    import distributed

T = TypeVar("T")
_IN_HAND = 2  # items for each worker: the one it is at, and the next
_ANSWER = 10.0  # seconds
_REST = 1.0  # seconds between two looks at the size of a cluster


@dataclass(frozen=True)
class Attempt:
    """What came of processing one item: a value, or an error as its type, message and traceback."""

    value: Any = None
    error: dict[str, str] | None = None
    is_of_the_run: bool = False  # the error would meet every other item as well: the disk is full


def attempt(work: Callable[[T], Any], item: T) -> Attempt:
    """Process one item. Whatever it raises, `SystemExit` included, is a result.

    Raises: KeyboardInterrupt.
    """
    try:
        return Attempt(work(item))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Attempt(error=described(error), is_of_the_run=isinstance(error, OSError) and files.is_full(error))


def described(error: BaseException) -> dict[str, str]:
    """An error as the journal keeps it. The traceback begins at the work, not at this file."""
    trace = error.__traceback__.tb_next if error.__traceback__ else None
    lines = traceback.format_exception(type(error), error, trace)
    return {"type": type(error).__name__, "message": str(error), "traceback": "".join(lines)}


class Place(Protocol):
    """Processes items."""

    def attempts(
        self, work: Callable[[T], Any], items: Iterable[T], note: Callable[[T, Attempt], Attempt], *, ordered: bool
    ) -> Iterator[tuple[T, Attempt]]:
        """Each item with what came of it, in order or as they are finished.

        `note` is told at once in either case; what it returns is what came of the item.

        An item is taken from the iterable when a worker is nearly free for it. No more are taken than the workers can
        hold until the caller has taken the results.
        """


class Here:
    """In this process, one after another."""

    def attempts(
        self, work: Callable[[T], Any], items: Iterable[T], note: Callable[[T, Attempt], Attempt], *, ordered: bool
    ) -> Iterator[tuple[T, Attempt]]:
        for item in items:
            yield item, note(item, attempt(work, item))


@dataclass
class _Held(Generic[T]):
    """An item that was taken from the source and not yet given to the caller."""

    item: T
    future: Future[Attempt] | None = None  # None: not yet submitted, or to be submitted again, alone
    result: Attempt | None = None


class _Elsewhere:
    """By an executor, some items at a time."""

    @property
    def window(self) -> int:
        """How many items may be held."""
        raise NotImplementedError

    def open(self, work: Callable[[Any], Any]) -> Executor:
        """Raises: ConfigError if there can't be one, or it can't be given `work`."""
        raise NotImplementedError

    def close(self, executor: Executor, *, abandon: bool) -> None:
        """Let the workers go; with `abandon` in the middle of an item."""
        raise NotImplementedError

    def blamed(self, error: Exception) -> dict[str, str] | None:
        """What to say of an item whose future has that error; None if the error isn't the item's."""
        return None

    def attempts(
        self, work: Callable[[T], Any], items: Iterable[T], note: Callable[[T, Attempt], Attempt], *, ordered: bool
    ) -> Iterator[tuple[T, Attempt]]:
        """See `Place`.

        When a worker process dies, all items in hand are lost, and any of them may have been the reason. Each is
        submitted again, alone: then it is known.
        """
        source = iter(items)
        held: deque[_Held[T]] = deque()
        executor, is_done = self.open(work), False
        try:
            while self._fill(held, source, executor, work):
                futures.wait([one.future for one in held if one.future], return_when=futures.FIRST_COMPLETED)
                if not self._gather(held, note):
                    self.close(executor, abandon=True)
                    executor = self.open(work)
                while one := _first_ready(held, ordered=ordered):
                    held.remove(one)
                    assert one.result is not None
                    yield one.item, one.result
            is_done = True
        finally:
            self.close(executor, abandon=not is_done)

    def _fill(self, held: deque[_Held[T]], source: Iterator[T], executor: Executor, work: Callable[[T], Any]) -> bool:
        """Submit what there is room for. False if nothing is left."""
        if suspects := [one for one in held if one.future is None and one.result is None]:
            if not any(one.future for one in held):
                suspects[0].future = _submitted(executor, work, suspects[0].item)
        else:
            for item in itertools.islice(source, max(0, self.window - len(held))):
                held.append(_Held(item, _submitted(executor, work, item)))
        return bool(held)

    def _gather(self, held: deque[_Held[T]], note: Callable[[T, Attempt], Attempt]) -> bool:
        """Take the results that are there. False if a worker process has died."""
        running = [one for one in held if one.future]
        is_alive = True
        for one in running:
            assert one.future is not None
            if not one.future.done():
                continue
            try:
                one.result = one.future.result()
            except BrokenExecutor:
                is_alive = False
                one.result = Attempt(error=_DEATH) if len(running) == 1 else None
            except Exception as error:
                if (description := self.blamed(error)) is None:
                    raise
                one.result = Attempt(error=description)
            one.future = None
            if one.result:
                one.result = note(one.item, one.result)
        if not is_alive:
            for one in running:
                one.future = None
        return is_alive


def _first_ready(held: deque[_Held[T]], *, ordered: bool) -> _Held[T] | None:
    candidates = itertools.islice(held, 1) if ordered else held
    return next((one for one in candidates if one.result), None)


def _submitted(executor: Executor, work: Callable[[T], Any], item: T) -> Future[Attempt]:
    try:
        return executor.submit(attempt, work, item)
    except Exception as error:  # the workers were lost between two items
        future: Future[Attempt] = Future()
        future.set_exception(error)
        return future


class Threads(_Elsewhere):
    """Threads of this process, for work that waits more than it computes."""

    def __init__(self, count: int) -> None:
        self.count = count

    @property
    def window(self) -> int:
        return _IN_HAND * self.count

    def open(self, work: Callable[[Any], Any]) -> Executor:
        return futures.ThreadPoolExecutor(self.count, thread_name_prefix="tinytorch-job")

    def close(self, executor: Executor, *, abandon: bool) -> None:
        executor.shutdown(cancel_futures=True)  # a thread can't be abandoned in the middle of an item


class Processes(_Elsewhere):
    """Worker processes of this machine.

    They are new Pythons (on Linux, forks of one), so `work` and the items are pickled. They end with this process,
    however it ends.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        self.alive: tuple[Connection, Connection]  # workers end when nobody holds the second one

    @property
    def window(self) -> int:
        return _IN_HAND * self.count

    def open(self, work: Callable[[Any], Any]) -> Executor:
        self.alive = self.context.Pipe(duplex=False)
        executor = futures.ProcessPoolExecutor(
            self.count, mp_context=self.context, initializer=_end_with, initargs=(self.alive[0],)
        )
        try:
            executor.submit(_take, work).result()
        except BrokenExecutor as error:
            self.close(executor, abandon=True)
            raise ConfigError(
                "worker processes can't start, or can't import the work. A script must use them below "
                '`if __name__ == "__main__":`, since each worker loads it; otherwise see above what was printed, or work without workers'
            ) from error
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            self.close(executor, abandon=True)
            raise ConfigError(f"workers can't be given the work: {error}. It must be a function of a module that they can import") from error
        return executor

    def close(self, executor: Executor, *, abandon: bool) -> None:
        watched, held = self.alive
        if abandon:
            held.close()
        executor.shutdown(cancel_futures=True)
        held.close()
        watched.close()


def _end_with(alive: Connection) -> None:
    """In a worker: end when the other end of the pipe is closed, and leave Ctrl-C to the process that has the journal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_the_end, args=(alive,), daemon=True).start()


def _wait_for_the_end(alive: Connection) -> None:
    alive.poll(None)
    os._exit(1)


def _take(work: Callable[[Any], Any]) -> None:
    """A task that shows whether a worker is there and can load the work."""


class Cluster(_Elsewhere):
    """The workers of a Dask cluster.

    A worker that is lost costs the items that it had in hand another try elsewhere; an item that several workers were
    lost with has failed.
    """

    def __init__(self, client: distributed.Client) -> None:
        self.client = client
        self.looked_at = -_REST
        self.threads = 1

    @property
    def window(self) -> int:
        if time.monotonic() - self.looked_at >= _REST:  # clusters grow and shrink
            threads: dict[str, int] = self.client.nthreads()  # type: ignore[no-untyped-call]
            self.threads = max(1, sum(threads.values()))
            self.looked_at = time.monotonic()
        return _IN_HAND * self.threads

    def open(self, work: Callable[[Any], Any]) -> Executor:
        executor: Executor = self.client.get_executor(pure=False)  # type: ignore[no-untyped-call]
        return executor

    def close(self, executor: Executor, *, abandon: bool) -> None:
        if self.client.status == "running":  # else there is nobody left to tell
            executor.shutdown(wait=not abandon)

    def blamed(self, error: Exception) -> dict[str, str] | None:
        from distributed.scheduler import KilledWorker

        if isinstance(error, KilledWorker):
            return {"type": "WorkerDied", "message": f"several workers died at it, the last on {error.last_worker.address}", "traceback": ""}
        if isinstance(error, futures.CancelledError) or self.client.status != "running":
            raise DataError("the Dask scheduler has gone, or has lost the run. What is finished is recorded: run again to go on") from error
        return None


_DEATH = {
    "type": "WorkerDied", "traceback": "",
    "message": "the worker process ended at it: killed, out of memory, or a crash in native code",
}  # fmt: skip


def connect(scheduler: str) -> distributed.Client:
    """A client of the Dask cluster whose scheduler has that address, such as tcp://127.0.0.1:8786.

    Raises: ConfigError if Dask isn't installed or that is no address; DataError if no scheduler answers.
    """
    try:
        import distributed
    except ImportError as error:
        raise ConfigError("a cluster needs Dask: pip install 'tinytorch[cluster]'") from error
    try:
        return distributed.Client(scheduler, timeout=_ANSWER, set_as_default=False)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise ConfigError(f"{scheduler} is no address of a scheduler: {error}. It looks like tcp://host:8786") from error
    except OSError as error:
        raise DataError(f"no Dask scheduler answers at {scheduler}: {error}. Is it running, and is this its address?", retryable=True) from error


def place(workers: int, threads: int, client: distributed.Client | None) -> Place:
    """Where `workers` processes do the work (0: this one), or `threads` of this one, or a cluster if there is a client of one."""
    if client is not None:
        return Cluster(client)
    if threads:
        return Threads(threads)
    if workers < 0:
        raise ConfigError(f"workers is {workers}; it is the number of processes, 0 for none besides this one")
    return Processes(workers) if workers else Here()
