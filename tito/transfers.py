"""How a download looks while it runs: bars on a terminal, a line for each change in a pipe."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tito import render

if TYPE_CHECKING:
    from rich.progress import TaskID

    from tinytorch.datasets.fetch import Progress

Report = Callable[["Progress"], None]
_SAID = 4  # lines about a file's bytes, where there are no bars
_LARGE = 10 << 20  # bytes; a smaller file is here before they are read


@contextmanager
def shown(*, quiet: bool = False) -> Iterator[Report]:
    """What is to be told of progress."""
    if quiet:
        yield lambda progress: None
    elif render.is_colourful():
        with _bars() as report:
            yield report
    else:
        yield _Lines().tell


class _Lines:
    """Says of each file where it comes from, every quarter, and what goes wrong."""

    def __init__(self) -> None:
        self.said: dict[str, tuple[str, str, int]] = {}

    def tell(self, now: Progress) -> None:
        quarter = now.arrived * _SAID // now.size if now.size and now.size >= _LARGE else 0
        text = now.text.partition("; again in")[0] if now.state == "retrying" else now.text
        state, before, done = self.said.get(now.file, ("", "", 0))
        if (now.state, text) == (state, before) and (now.state != "receiving" or quarter <= done):
            return
        begins = now.state == "receiving" and (state, before) != (now.state, text)
        self.said[now.file] = (now.state, text, quarter)
        if now.state != "receiving" or begins or quarter < _SAID:
            render.say(f"{now.file}: {_sentence(now, begins=begins)}")


def _sentence(now: Progress, *, begins: bool) -> str:
    if now.state != "receiving":
        return {"present": "is here", "done": "complete, checksum right"}.get(now.state) or now.text
    whole = render.size(now.size) if now.size else "size unknown"
    if begins and not now.arrived:
        return f"{whole}, from {now.text}"
    at = f"{render.size(now.arrived)} of {whole}"
    return f"goes on after {at}, from {now.text}" if begins else at


@contextmanager
def _bars() -> Iterator[Report]:
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = ("{task.description}", BarColumn(), TextColumn("{task.fields[bytes]}"), TransferSpeedColumn(), TimeRemainingColumn(), "{task.fields[note]}")
    with Bars(*columns, console=render.console()) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(now: Progress) -> None:
            name = now.file.rpartition("/")[2]
            at = f"{render.size(now.arrived)} of {render.size(now.size) if now.size else '?'}"
            note = {"waiting": "waiting for another process", "done": "done", "present": "is here"}.get(now.state, "")
            if now.file not in tasks:  # what is here already is no part of the rate
                tasks[now.file] = bars.add_task(name, total=now.size, completed=now.arrived, bytes=at, note=note)
            if now.state in ("retrying", "refused"):
                bars.console.print(f"{name}: {now.text}", style="yellow", markup=False, highlight=False)
            bars.update(tasks[now.file], completed=now.arrived, total=now.size, bytes=at, note=note)

        yield tell
