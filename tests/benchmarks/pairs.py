"""Ratios of two commands, timed in turn, so that they hold when the machine's speed drifts."""
from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Command:
    """A command line, where it runs, and what it needs in its environment."""

    arguments: Sequence[str]
    cwd: Path
    environment: dict[str, str]
    exit_status: int = 0

    def seconds(self) -> float:
        """The wall time of one run. A run that does not do what it should isn't worth timing."""
        environment = os.environ | self.environment
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # where bytecode isn't kept, every run compiles everything again
        began = time.perf_counter()
        done = subprocess.run(
            self.arguments, cwd=self.cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        took = time.perf_counter() - began
        if done.returncode != self.exit_status:
            raise SystemExit(f"{' '.join(self.arguments)} ended with {done.returncode}:\n{done.stdout.decode()}{done.stderr.decode()}")
        return took


@dataclass(frozen=True)
class Ratio:
    """How long something takes, as a multiple of something else."""

    ratio: float  # median over pairs
    low: float  # quartiles of the pairs' ratios
    high: float
    seconds: float  # median of the command
    base: float  # median of the other
    pairs: int
    memory: int | None = None  # the most bytes in use at a time in one call, where that was measured
    base_memory: int | None = None


def compare(command: Command, base: Command, pairs: int) -> Ratio:
    """Time two commands in turn, after one warm-up of each."""
    command.seconds(), base.seconds()
    return in_turn(command.seconds, base.seconds, pairs)


def in_turn(seconds: Callable[[], float], base_seconds: Callable[[], float], pairs: int) -> Ratio:
    """What two timings say when they are taken in turn, A B B A A B ..."""
    times: list[tuple[float, float]] = []
    for number in range(pairs):
        if number % 2:
            second = base_seconds()
            times.append((seconds(), second))
        else:
            times.append((seconds(), base_seconds()))
    ratios = sorted(a / b for a, b in times)
    return Ratio(
        median(ratios), ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4],
        median(a for a, _ in times), median(b for _, b in times), pairs,
    )
