"""What a process and its children use, looked at again and again while they run."""
from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from tinytorch.resources import gpu

if TYPE_CHECKING:
    import psutil

__all__ = ["Meter", "Usage"]

_TAKES_OVER = sys.platform == "linux"  # whether a parent's figures include those of children that have ended


@dataclass(frozen=True)
class Usage:
    """What a run has used. None is what the system doesn't tell, never "nothing"."""

    wall_seconds: float = 0.0  # by the monotonic clock
    cpu_seconds: float | None = None  # of all processes, user and system
    memory_peak: int | None = None  # bytes: the largest sum of the processes' resident memory that was seen
    disk_read: int | None = None  # bytes that came from the disk, not from the system's cache
    disk_written: int | None = None  # bytes
    network_received: int | None = None  # bytes, without those that never left the machine
    network_sent: int | None = None  # bytes
    network_of: str | None = None  # "machine": no system counts a process's bytes
    gpu_seconds: float | None = None  # busy time of the GPUs, added up
    gpu_memory_peak: int | None = None  # bytes
    gpu_of: str | None = None  # "process", or "machine" where the GPUs' processes aren't known

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Usage:
        """The usage that was recorded; keys of later versions are left out."""
        return cls(**{field.name: facts[field.name] for field in fields(cls) if field.name in facts})


class _Counts(NamedTuple):
    cpu: float
    read: int | None
    written: int | None
    memory: int


class Meter:
    """Measures the tree of processes below `root`, from now on.

    `sample` must be called often enough: what a process did after it was last seen counts only where its parent's
    figures take it over, on Linux.
    """

    def __init__(self, root: psutil.Process, *, is_new: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """`is_new`: all that the root has ever used counts, since it was just started."""
        self.root = root
        self.clock = clock
        self.began = clock()
        self.seen: dict[psutil.Process, tuple[_Counts, int]] = {}  # what was last counted, and the parent's id
        self.ended: list[_Counts] = []  # of processes whose figures nobody has taken over
        self.memory_peak = 0
        self.gpus = gpu.opened()
        self.gpu_at = self.began
        self.gpu_seconds: float | None = None
        self.gpu_memory_peak: int | None = None
        self.gpu_of: str | None = None
        self.network = _network()
        self.before = [] if is_new else self._counted()

    def sample(self) -> Usage:
        """What was used until now."""
        counts = self._counted()
        self.memory_peak = max(self.memory_peak, sum(count.memory for count in counts))
        self._look_at_gpus()
        network = _network()
        moved = None if network is None or self.network is None else tuple(now - then for now, then in zip(network, self.network, strict=True))
        return Usage(
            wall_seconds=self.clock() - self.began,
            cpu_seconds=max(0.0, sum(c.cpu for c in counts) - sum(c.cpu for c in self.before)) if counts else None,
            memory_peak=self.memory_peak or None,
            disk_read=_difference([c.read for c in counts], [c.read for c in self.before]),
            disk_written=_difference([c.written for c in counts], [c.written for c in self.before]),
            network_received=moved[0] if moved else None,
            network_sent=moved[1] if moved else None,
            network_of="machine" if moved else None,
            gpu_seconds=self.gpu_seconds,
            gpu_memory_peak=self.gpu_memory_peak,
            gpu_of=self.gpu_of,
        )

    def _counted(self) -> list[_Counts]:
        """The figures of every process of the tree, those that have ended included."""
        now: dict[psutil.Process, tuple[_Counts, int]] = {}
        for process in self._tree():
            if (count := _counts(process)) is not None:
                now[process] = count
        alive = {process.pid for process in now}
        self.ended += [
            count for process, (count, parent) in self.seen.items()
            if process not in now and not (_TAKES_OVER and parent in alive)
        ]  # fmt: skip
        self.seen = now
        return [count for count, _ in now.values()] + [count._replace(memory=0) for count in self.ended]

    def _tree(self) -> list[psutil.Process]:
        """Parents before their children: one that ends in between is then missed once, and not counted twice."""
        import psutil

        try:
            tree = [self.root, *self.root.children(recursive=True)]
        except psutil.Error:
            tree = [self.root]
        return tree + [process for process in self.seen if process not in tree and process.is_running()]  # children whose parent has ended

    def _look_at_gpus(self) -> None:
        if self.gpus is None or (reading := self.gpus.read({process.pid for process in self.seen})) is None:
            return
        now = self.clock()
        self.gpu_seconds = (self.gpu_seconds or 0.0) + reading.busy * (now - self.gpu_at)
        self.gpu_memory_peak = max(self.gpu_memory_peak or 0, reading.memory)
        self.gpu_of = reading.of
        self.gpu_at = now


def _counts(process: psutil.Process) -> tuple[_Counts, int] | None:
    """A process's figures, and its parent; None if it can't be looked at (any more)."""
    import psutil

    try:
        with process.oneshot():
            times = process.cpu_times()
            memory, parent = process.memory_info().rss, process.ppid()
        cpu = times.user + times.system + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    except psutil.Error:
        return None
    try:
        disk = process.io_counters()
        return _Counts(cpu, disk.read_bytes, disk.write_bytes, memory), parent
    except (AttributeError, RuntimeError, OSError, psutil.Error):  # macOS has none; a kernel or a container may not tell
        return _Counts(cpu, None, None, memory), parent


def _difference(now: list[int | None], before: list[int | None]) -> int | None:
    known = [value for value in now if value is not None]
    return max(0, sum(known) - sum(value for value in before if value is not None)) if known else None


def _network() -> tuple[int, int] | None:
    """Bytes that the machine has received and sent, in a container the container; None if nobody tells."""
    import psutil

    try:
        cards = psutil.net_io_counters(pernic=True)
    except (RuntimeError, OSError, psutil.Error):
        return None
    outward = [counters for name, counters in cards.items() if not name.lower().startswith(("lo", "loopback"))]
    return (sum(c.bytes_recv for c in outward), sum(c.bytes_sent for c in outward)) if outward else None
