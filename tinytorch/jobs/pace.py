"""How fast a run goes, and how long it will still take."""
from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

_PAUSE = 10  # times the usual gap between two items
_SHORTEST_PAUSE = 1.0  # seconds
_USUAL = 3  # items until it is known what is usual
_SAMPLE = 1.0  # seconds
_SAMPLES = 60


class Pace:
    """Learns the rate from the gaps between finished items.

    The rate is that of the last minute of work, or of the last sixty items if these took longer. A gap of more than ten
    times the usual one is a pause, a laptop that slept for instance, and counts as ten times the usual.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.last = clock()
        self.count = 0
        self.active = 0.0  # seconds, without pauses
        self.samples: deque[tuple[int, float]] = deque([(0, 0.0)], maxlen=_SAMPLES)

    def note(self) -> None:
        """One more item is finished."""
        now = self.clock()
        gap, self.last = now - self.last, now
        if gap > _SHORTEST_PAUSE and self.count >= _USUAL:
            gap = min(gap, max(_SHORTEST_PAUSE, _PAUSE * self.active / self.count))
        self.active += gap
        self.count += 1
        if self.active - self.samples[-1][1] >= _SAMPLE:
            self.samples.append((self.count, self.active))

    @property
    def rate(self) -> float | None:
        """Items in a second; None before the first."""
        count, active = self.samples[0] if len(self.samples) > 1 else (0, 0.0)
        return (self.count - count) / max(self.active - active, 1e-9) if self.count > count else None

    def remaining(self, items: int) -> float | None:
        """Seconds that so many items will take; None while nothing is known."""
        rate = self.rate
        return None if rate is None or not math.isfinite(rate) else items / rate
