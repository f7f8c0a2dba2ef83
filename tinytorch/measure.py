"""What does it cost? Small tables and plots for the terminal, the notebook and a file.

Everything drawn is ASCII and fits 40 columns, so that it reads the same in a notebook, over ssh and in a CI log.
"""
from __future__ import annotations

import gc
import shutil
import tracemalloc
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Allocation", "Cost", "allocation", "cost", "duration", "memory", "plot", "save_plot", "table", "time"]

BATCH_SECONDS = 1e-3  # calls are timed in batches of at least this: a clock's tick and the loop's cost vanish in it
BUDGET_SECONDS = 0.1
MARKERS = "*o+x#@%&"


class Cost(NamedTuple):
    """One line of `cost`'s table."""

    size: int
    seconds: float  # of one call


class Allocation(NamedTuple):
    """Bytes that a call allocated, NumPy's arrays included."""

    kept: int  # still in use when it had returned, by its result or by what it left behind
    peak: int  # in use at one time while it ran


def allocation(function: Callable[..., object], *args: object) -> Allocation:
    """What `function(*args)` allocates: in use at most, and kept when it has returned. Memory from before isn't counted.

    A first call, whose result is dropped, fills caches and isn't counted.

    >>> allocation(np.zeros, 1000).kept >= 8000
    True
    """
    function(*args)
    gc.collect()  # what only the collector can free is neither kept nor part of the peak
    traced = tracemalloc.is_tracing()
    if not traced:
        tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        result = function(*args)
        after, peak = tracemalloc.get_traced_memory()
        del result
    finally:
        if not traced:
            tracemalloc.stop()
    return Allocation(after - before, peak - before)


def time(function: Callable[..., object], *args: object, budget: float = BUDGET_SECONDS) -> float:
    """Seconds that `function(*args)` takes: the best of all repeats that fit into `budget` seconds.

    The best, not the mean: other programs on the machine can only make a call slower. A first call warms caches up and
    isn't counted. A call that takes longer than the budget is made twice.
    """

    def batch(calls: int) -> float:
        start = perf_counter()
        for _ in range(calls):
            function(*args)
        return perf_counter() - start

    deadline = perf_counter() + budget
    function(*args)
    calls = 1
    while (best := batch(calls)) < BATCH_SECONDS:
        calls *= 2
    while perf_counter() + best < deadline:
        best = min(best, batch(calls))
    return best / calls


def cost(
    name: str, function: Callable[[np.ndarray], object], sizes: Iterable[int], per: str | None = None
) -> list[Cost]:
    """Time `function(x)` for float32 arrays of each size, print a table, and return its rows.

    x: (size,), standard normals, the same at every call; the process-wide generator isn't touched.
    `per` names what one of the `size` numbers is ("element"), and adds a column with the time for each.
    """
    rng = np.random.default_rng(0)
    rows = [Cost(size, time(function, rng.standard_normal(size, dtype=np.float32))) for size in sizes]
    headers = ["size", "input", "time"]
    lines = [[row.size, memory(row.size * 4), duration(row.seconds)] for row in rows]
    if per:
        headers.append(f"per {per}")
        lines = [[*line, duration(row.seconds / row.size)] for line, row in zip(lines, rows, strict=True)]
    table(headers, lines, title=name)
    return rows


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print rows under headers. Columns of numbers line up at the right, all others at the left.

    Integers get thousands separators, other numbers four significant digits; anything else is printed by `str`.
    Raises: ValueError if a row has more or fewer entries than there are headers.

    >>> table(["layer", "parameters"], [["fc1", 200960], ["fc2", 1290]])
    layer  parameters
    -----  ----------
    fc1       200,960
    fc2         1,290
    """
    lines = [[_entry(value) for value in row] for row in rows]
    for number, line in enumerate(lines, start=1):
        if len(line) != len(headers):
            raise ValueError(f"table: row {number} has {len(line)} entries, but there are {len(headers)} headers")
    columns = [[line[i] for line in lines] for i in range(len(headers))]
    widths = [max(len(text) for text in (header, *column)) for header, column in zip(headers, columns, strict=True)]
    right = [all(text.lstrip("-+")[:1].isdigit() for text in column) for column in columns]

    def aligned(line: Sequence[str]) -> str:
        padded = (t.rjust(w) if r else t.ljust(w) for t, w, r in zip(line, widths, right, strict=True))
        return "  ".join(padded).rstrip()

    if title:
        print(title)
    print(aligned(headers), aligned(["-" * width for width in widths]), *map(aligned, lines), sep="\n")


def plot(series: Mapping[str, Any], title: str = "", x: str = "", y: str = "") -> None:
    """Draw lines in the terminal, as wide as it is and at most 80 columns; a notebook counts as 80.

    series: label -> heights (n,), which stand at x = 1, 2, ..., n; or label -> (2, n), positions and heights.
    Values that aren't finite are left out. `x` and `y` name the axes.
    Raises: ValueError without series, or if one has no values or another shape.
    """
    print(_drawing(series, title, x, y, width=min(shutil.get_terminal_size().columns, 80)))


def save_plot(path: str | PathLike[str], series: Mapping[str, Any], title: str = "", x: str = "", y: str = "") -> Path:
    """Draw what `plot` draws into a file, and return the path written.

    With matplotlib the picture has the format that the suffix of `path` names, PNG without one. Without matplotlib
    (`pip install "tinytorch[report]"` brings it), the file is `plot`'s drawing as text, and its suffix `.txt`.
    """
    path = Path(path)
    try:
        from matplotlib.figure import Figure  # not pyplot: a figure of our own leaves no global state behind
    except ImportError:
        path = path.with_suffix(".txt")
        path.write_text(_drawing(series, title, x, y, width=80) + "\n", encoding="utf-8")
        return path
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen
    axes = figure.add_subplot(title=title, xlabel=x, ylabel=y)
    for label, (positions, heights) in _points(series).items():
        axes.plot(positions, heights, label=label, marker="." if len(positions) < 50 else "")
    axes.legend()
    path = path if path.suffix else path.with_suffix(".png")
    figure.savefig(path, dpi=150)
    return path


def duration(seconds: float) -> str:
    """A time in the unit that suits it, to three digits.

    >>> duration(0.00125), duration(3.2e-8), duration(95)
    ('1.25 ms', '32 ns', '95 s')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= 0.9995 * scale:  # what three digits would round up to 1
            return f"{_three_digits(seconds / scale)} {unit}"
    return f"{_three_digits(seconds / 1e-9)} ns"


def memory(nbytes: float) -> str:
    """A number of bytes in the unit that suits it, to three digits; 1 KiB is 1024 B.

    >>> memory(512), memory(4096), memory(3_000_000)
    ('512 B', '4 KiB', '2.86 MiB')
    """
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(nbytes) >= scale:
            return f"{_three_digits(nbytes / scale)} {unit}"
    return f"{_three_digits(nbytes)} B"


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"  # .3g would write 1023 as 1.02e+03


def _entry(value: object) -> str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        return f"{float(value):.4g}"
    return str(value)


def _points(series: Mapping[str, Any]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Each label's positions and heights, (n,) and (n,), without those that aren't finite."""
    if not series:
        raise ValueError("plot: no series to draw; give {label: values}")
    points = {}
    for label, values in series.items():
        array = np.asarray(values, dtype=float)
        if array.ndim == 1:
            array = np.stack([np.arange(1, len(array) + 1, dtype=float), array])
        if array.ndim != 2 or array.shape[0] != 2 or array.shape[1] == 0:
            raise ValueError(f"plot: {label!r} has shape {np.shape(values)}, expected (n,) heights or (2, n) points")
        positions, heights = array[:, np.isfinite(array).all(axis=0)]
        points[label] = positions, heights
    return points


def _drawing(series: Mapping[str, Any], title: str, x: str, y: str, *, width: int, height: int = 12) -> str:
    points = _points(series)
    every_x = np.concatenate([positions for positions, _ in points.values()])
    every_y = np.concatenate([heights for _, heights in points.values()])
    if not every_x.size:
        return "\n".join([*filter(None, [title]), "(no finite values to draw)"])
    left, right, low, high = every_x.min(), every_x.max(), every_y.min(), every_y.max()
    ticks = [""] * height
    ticks[-1], ticks[0] = f"{high:.4g}", f"{low:.4g}"  # rows count from the bottom, as heights do
    if low == high:
        ticks[-1] = ""
    margin = max(len(tick) for tick in ticks)
    columns = max(width - margin - 2, 10)

    canvas = np.full((height, columns), " ")
    for marker, (positions, heights) in zip(cycle(MARKERS), points.values(), strict=False):
        if not positions.size:
            continue
        order = np.argsort(positions, kind="stable")
        positions, heights = positions[order], heights[order]
        line = np.linspace(positions[0], positions[-1], 4 * columns)
        # the line between the values, then the values themselves: no peak is lost between two columns
        for at, level in ((line, np.interp(line, positions, heights)), (positions, heights)):
            canvas[_cells(level, low, high, height), _cells(at, left, right, columns)] = marker

    indent = " " * (margin + 2)
    lines = [text for text in (title, y) if text]
    lines += [f"{tick:>{margin}} |{''.join(row)}".rstrip() for tick, row in zip(ticks, canvas, strict=True)][::-1]
    lines.append(" " * margin + " +" + "-" * columns)
    first, last = f"{left:.4g}", f"{right:.4g}" if right > left else ""
    lines.append((indent + first + x.center(columns - len(first) - len(last)) + last).rstrip())
    legend = [f"{marker} {label}" for marker, label in zip(cycle(MARKERS), points, strict=False)]
    one_line = indent + "   ".join(legend)
    lines += [one_line] if len(one_line) <= width else [indent + entry for entry in legend]
    return "\n".join(lines)


def _cells(values: np.ndarray, first: float, last: float, count: int) -> np.ndarray:
    """Which of `count` equal cells between `first` and `last` each value falls into."""
    return np.rint((values - first) / ((last - first) or 1.0) * (count - 1)).astype(int)
