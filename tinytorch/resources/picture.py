"""What things cost, as a picture: a bar for each day, in it a part for each value of a tag, each kind, ..."""
from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from tinytorch import files
from tinytorch.errors import ConfigError
from tinytorch.resources.cost import Charge, by_day, grouped, sum_of

__all__ = ["save_png"]

_LABELS = 9  # parts that are told apart; what costs least is drawn together


def save_png(path: Path, charges: Iterable[Charge], by: str) -> None:
    """Draw the cost by day into a PNG file, one panel for each currency.

    Raises: ConfigError if matplotlib isn't there, or nothing has a known cost.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError('a picture needs matplotlib: pip install "tinytorch[report]"') from error
    every = list(charges)
    total = sum_of(every)
    currencies = sorted(total.amounts)
    if not currencies:
        raise ConfigError("there is nothing to draw: no cost is known")
    figure = Figure(figsize=(8, 3.2 * len(currencies) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen
    for panel, (currency, axes) in enumerate(zip(currencies, figure.subplots(len(currencies), squeeze=False)[:, 0], strict=True)):
        bars = _bars(every, "kind" if by == "day" else by, currency)
        days = sorted({day for heights in bars.values() for day in heights})
        span = [days[0] + timedelta(days=number) for number in range((days[-1] - days[0]).days + 1)]
        bottom = [0.0] * len(span)
        for label, heights in bars.items():
            values = [float(heights.get(day, 0)) for day in span]
            axes.bar(span, values, bottom=bottom, label=label, width=0.8)
            bottom = [low + value for low, value in zip(bottom, values, strict=True)]
        axes.set_ylabel(f"{currency} a day")
        axes.set_ylim(0, max(bottom) * 1.05 or 1)
        marked = span[:: max(1, len(span) // 8)]
        axes.set_xticks(marked, [day.isoformat() for day in marked], rotation=30, ha="right")
        axes.legend(title=by.removeprefix("tag:") if by != "day" else "kind", loc="upper left", bbox_to_anchor=(1, 1))
        if panel == 0:
            axes.set_title(f"Cost by day; {total}")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=150)
    files.write_atomic(path, drawn.getvalue())


def _bars(charges: list[Charge], by: str, currency: str) -> dict[str, dict[date, Decimal]]:
    """Label to what it cost each day, the most expensive first."""
    bars: dict[str, dict[date, Decimal]] = {}
    for label, found in grouped(charges, by).items():
        for charge in found:
            if charge.cost and charge.cost.currency == currency:
                heights = bars.setdefault(label, {})
                for day, part in by_day(charge):
                    heights[day] = heights.get(day, Decimal(0)) + (part.cost.amount if part.cost else Decimal(0))
    ordered = sorted(bars, key=lambda label: -sum(bars[label].values()))
    if len(ordered) > _LABELS:
        rest: dict[date, Decimal] = {}
        for label in ordered[_LABELS - 1 :]:
            for day, height in bars.pop(label).items():
                rest[day] = rest.get(day, Decimal(0)) + height
        return {label: bars[label] for label in ordered[: _LABELS - 1]} | {"others": rest}
    return {label: bars[label] for label in ordered}
