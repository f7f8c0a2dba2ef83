"""What other programs read of a run: a log of JSON lines, and a file of metrics in the OpenMetrics format."""
from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO

from tinytorch import files
from tinytorch.jobs.job import Outcome, Progress

__all__ = ["JsonLog", "Metrics"]

_EVERY = 10.0  # seconds


class JsonLog:
    """A JSON object in a line for each thing that happens, added to a file.

    Every line has `time` (UTC, ISO 8601) and `event`: started, done, failed, notice, progress (every ten seconds), ended.

    Raises: OSError if the file can't be written.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.file: TextIO = path.open("a", encoding="utf-8", newline="\n", buffering=1)
        self.clock = clock
        self.said_at: float | None = None

    def notice(self, text: str) -> None:
        self._write("notice", text=text)

    def outcome(self, outcome: Outcome) -> None:
        if outcome.error is None:
            self._write("done", item=outcome.item.id, value=outcome.value)
        else:
            self._write("failed", item=outcome.item.id, error=outcome.error)

    def report(self, progress: Progress) -> None:
        if self.said_at is None:
            self._write("started", **_numbers(progress))
        elif self.clock() - self.said_at < _EVERY:
            return
        else:
            self._write("progress", **_numbers(progress))
        self.said_at = self.clock()

    def ended(self, progress: Progress) -> None:
        self._write("ended", **_numbers(progress))

    def close(self) -> None:
        self.file.close()

    def _write(self, event: str, **fields: Any) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.file.write(json.dumps({"time": now, "event": event, **fields}) + "\n")


def _numbers(progress: Progress) -> dict[str, Any]:
    return {
        "total": progress.total, "done": progress.done, "failed": progress.failed, "units": progress.units,
        "processed": progress.processed, "seconds": round(progress.seconds, 3),
        "rate": progress.rate, "remaining": progress.remaining, "stopped": progress.stopped,
    }  # fmt: skip


class Metrics:
    """A file that a node exporter or a scraper reads: the newest numbers, replaced as a whole every ten seconds.

    Source: the OpenMetrics text format 1.0.
    """

    def __init__(self, path: Path, job: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.label = 'job="' + job.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        self.clock = clock
        self.written_at: float | None = None

    def report(self, progress: Progress) -> None:
        if self.written_at is None or self.clock() - self.written_at >= _EVERY:
            self.ended(progress)

    def ended(self, progress: Progress) -> None:
        files.write_atomic(self.path, self._text(progress).encode("utf-8"))
        self.written_at = self.clock()

    def _text(self, progress: Progress) -> str:
        left = {} if progress.total is None else {"left": max(0, progress.total - progress.done - progress.failed)}
        items = {"done": progress.done, "failed": progress.failed, **left}
        lines = ["# TYPE tinytorch_job_items gauge", "# HELP tinytorch_job_items Items of the job, by state."]
        lines += [f'tinytorch_job_items{{{self.label},state="{state}"}} {count}' for state, count in items.items()]
        for name, meaning, value in (
            ("units", "What the finished items count together.", progress.units),
            ("work_seconds", "Time that all runs of the job have taken.", round(progress.seconds, 3)),
            ("items_per_second", "The rate of the last minute.", progress.rate),
            ("left_seconds", "Time that the job will still take.", progress.remaining),
        ):
            if value is not None:
                lines += [f"# TYPE tinytorch_job_{name} gauge", f"# HELP tinytorch_job_{name} {meaning}"]
                lines.append(f"tinytorch_job_{name}{{{self.label}}} {value}")
        return "\n".join([*lines, "# EOF", ""])
