"""Batches that a thread loads ahead of the one in hand."""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")


def ahead(jobs: Iterable[Callable[[], T]], count: int) -> Iterator[T]:
    """The results of `jobs` in order; a thread runs up to `count` of them ahead, or none does if that is 0.

    What a job raises comes out in its place. However the iteration ends, the thread ends with it.
    """
    if count == 0:
        yield from (job() for job in jobs)
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="tinytorch-batches")
    futures: deque[Future[T]] = deque()
    try:
        for job in jobs:
            futures.append(pool.submit(job))
            if len(futures) > count:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
