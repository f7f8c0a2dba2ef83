"""What runs and cloud resources have cost: charges, their sums, what is still running, and budgets."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from tinytorch.cloud.resource import IDLE
from tinytorch.resources.ledger import Book, Seen, time_of
from tinytorch.resources.prices import Money, Price, Prices
from tinytorch.resources.selection import Selection

__all__ = ["Budget", "Charge", "Forecast", "Spent", "Sum", "budgets", "by_day", "charges", "forecast", "grouped", "overlapping", "spent", "sum_of"]

RUN = "run"
WARN, OVER = Decimal("0.8"), Decimal(1)  # of a budget
_MACHINES = ("instance", "pod", "machine")  # what a run can be on


@dataclass(frozen=True)
class Charge:
    """Something that was there for a time, at a price."""

    kind: str
    id: str
    name: str
    tags: Mapping[str, str]
    provider: str
    region: str
    type: str
    began: datetime
    seconds: float
    is_running: bool
    price: Price | None = None  # None: unknown, which isn't free
    size_gb: float | None = None
    part_of: str | None = None  # of a run: the one that it is counted with

    @property
    def ended(self) -> datetime:
        return self.began + timedelta(seconds=self.seconds)

    @property
    def per_hour(self) -> Money | None:
        return self.price.per_hour(self.size_gb) if self.price else None

    @property
    def cost(self) -> Money | None:
        return self.per_hour.for_seconds(self.seconds) if self.per_hour else None

    @property
    def machine(self) -> str:
        """`provider/region/type`, or `local`."""
        return f"{self.provider}/{self.region}/{self.type}" if self.type else self.provider

    def within(self, since: datetime | None, until: datetime | None) -> Charge | None:
        """The part of it between two times; None if there is none."""
        began = max(self.began, since) if since else self.began
        ended = min(self.ended, until) if until else self.ended
        if ended < began or (ended == began and self.seconds):
            return None
        return replace(self, began=began, seconds=(ended - began).total_seconds())


@dataclass
class Sum:
    """Amounts by currency, which are never added to each other, and how many have no known price."""

    amounts: dict[str, Decimal] = field(default_factory=dict)
    unknown: int = 0
    seconds: float = 0.0

    def add(self, cost: Money | None, seconds: float = 0.0) -> None:
        self.seconds += seconds
        if cost is None:
            self.unknown += 1
        else:
            self.amounts[cost.currency] = self.amounts.get(cost.currency, Decimal(0)) + cost.amount

    def __str__(self) -> str:
        known = " + ".join(str(Money(amount, currency)) for currency, amount in sorted(self.amounts.items()))
        if not self.unknown:
            return known or "nothing"
        return f"at least {known}" if known else "unknown"

    def as_json(self) -> dict[str, Any]:
        return {"amounts": {currency: float(round(amount, 6)) for currency, amount in sorted(self.amounts.items())}, "unknown": self.unknown, "seconds": round(self.seconds, 3)}


# --- charges ------------------------------------------------------------------------------------------------------


def charges(book: Book, prices: Prices, now: datetime, selection: Selection | None = None) -> list[Charge]:
    """What the selection holds, oldest first."""
    chosen = selection or Selection()
    every = [*_of_runs(book, prices, now), *_of_cloud(book.cloud, prices, now)]
    parts = [part for charge in every if chosen.holds(charge.kind, charge.tags) and (part := charge.within(chosen.since, chosen.until))]
    return sorted(parts, key=lambda charge: charge.began)


def _of_runs(book: Book, prices: Prices, now: datetime) -> Iterator[Charge]:
    for run in book.runs.values():
        provider, region, type = run.machine.split("/", 2) if "/" in run.machine else (run.machine, "", "")
        price = next((found for kind in _MACHINES if (found := prices.find(provider, kind, region, type))), None)
        is_running = run.state(now) == "running"
        unseen = max(0.0, (now - run.last_seen).total_seconds()) if is_running else 0.0  # what was seen is up to a minute old
        yield Charge(RUN, run.id, run.name, run.tags, provider, region, type, run.started, run.usage.wall_seconds + unseen, is_running, price, part_of=book.whole_of(run))


def _of_cloud(seen: Iterable[Seen], prices: Prices, now: datetime) -> Iterator[Charge]:
    """One charge for each time that a resource was there without a break, as far as it was looked at.

    What was made from here is there until now, unless a look misses it or it was removed from here.
    """
    known: set[tuple[str, str, str]] = set()
    made: set[tuple[str, str, str]] = set()
    open_: dict[tuple[str, str, str], Charge] = {}
    for look in sorted(seen, key=lambda look: (look.at, not look.is_all)):
        here = set()
        if look.gone:
            key = (look.provider, *look.gone)
            known.add(key)
            if before := open_.pop(key, None):
                yield replace(before, seconds=max(0.0, (look.at - before.began).total_seconds()), is_running=False)
        for facts in look.resources:
            key = (look.provider, facts["kind"], facts["id"])
            here.add(key)
            if not look.is_all:
                made.add(key)
            before = open_.pop(key, None)
            if before:
                before = replace(before, seconds=max(0.0, (look.at - before.began).total_seconds()))
            if facts["state"].lower() in IDLE:
                known.add(key)
                if before:
                    yield replace(before, is_running=False)
                continue
            began = before.began if before else look.at if key in known else _beginning(facts, look.at)
            known.add(key)
            seconds = max(0.0, (look.at - began).total_seconds())
            price = prices.of(look.provider, facts["kind"], facts["region"], facts["type"] or "", said=facts["usd_per_hour"], day=look.at.date())
            now_ = Charge(
                facts["kind"], facts["id"], facts["name"], facts["tags"], look.provider, facts["region"], facts["type"] or "", began, seconds, True, price, facts["size_gb"]
            )
            if before and (before.per_hour, before.size_gb, before.tags) != (now_.per_hour, now_.size_gb, now_.tags):
                yield replace(before, is_running=False)
                now_ = replace(now_, began=look.at, seconds=0.0)
            open_[key] = now_
        for key in [key for key in open_ if look.is_all and key[0] == look.provider and key not in here]:
            yield replace(open_.pop(key), is_running=False)  # gone since it was last seen
    for key, charge in open_.items():
        yield replace(charge, seconds=max(charge.seconds, (now - charge.began).total_seconds())) if key in made else charge


def _beginning(facts: Mapping[str, Any], at: datetime) -> datetime:
    """When a resource began to cost that is seen for the first time: when it was made, though it may have been stopped since."""
    return min(time_of(facts["created"]), at) if facts["created"] else at


def overlapping(found: Iterable[Charge]) -> set[str]:
    """The runs among charges whose machine, or whose run that they are part of, is among them itself: both would count twice."""
    every = list(found)
    machines = [charge for charge in every if charge.kind in _MACHINES]
    runs = {charge.id for charge in every if charge.kind == RUN}
    return {
        run.id for run in every
        if run.kind == RUN and (run.part_of in runs or any(m.machine == run.machine and m.began <= run.ended and run.began <= m.ended for m in machines))
    }  # fmt: skip


def sum_of(found: Iterable[Charge]) -> Sum:
    """All together, without the runs that are counted with their machine."""
    every = list(found)
    twice = overlapping(every)
    total = Sum()
    for charge in every:
        if charge.id not in twice:
            total.add(charge.cost, charge.seconds)
    return total


def by_day(charge: Charge) -> Iterator[tuple[date, Charge]]:
    """A charge cut at midnight, in this machine's time zone."""
    at, ended = charge.began, charge.ended
    while True:
        day = at.astimezone().date()
        midnight = datetime.combine(day + timedelta(days=1), time()).astimezone()
        if part := charge.within(at, min(midnight, ended)):
            yield day, part
        if midnight >= ended:
            return
        at = midnight


def grouped(found: Iterable[Charge], by: str) -> dict[str, list[Charge]]:
    """Charges by `kind`, `day`, `name`, `machine`, or the value of a tag (`tag:KEY`); without a name or that tag under "-"."""
    label: Callable[[Charge], str]
    if by == "day":
        days: dict[str, list[Charge]] = {}
        for charge in found:
            for day, part in by_day(charge):
                days.setdefault(day.isoformat(), []).append(part)
        return dict(sorted(days.items()))
    if by.startswith("tag:"):
        key = by.removeprefix("tag:")
        label = lambda charge: charge.tags.get(key, "-")  # noqa: E731  # one of two
    else:
        label = lambda charge: str(getattr(charge, by)) or "-"  # noqa: E731
    groups: dict[str, list[Charge]] = {}
    for charge in found:
        groups.setdefault(label(charge), []).append(charge)
    return dict(sorted(groups.items()))


# --- what is still running ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forecast:
    """What something that runs will have cost more, if it goes on at its price."""

    charge: Charge
    rest_of_day: Money | None
    rest_of_month: Money | None


def forecast(found: Iterable[Charge], now: datetime) -> list[Forecast]:
    """For everything that is still running, from now to the end of this day and of this month."""
    every = [charge for charge in found if charge.is_running]
    twice = overlapping(every)
    day, month = (end - now for end in (_end_of("day", now), _end_of("month", now)))

    def more(charge: Charge, rest: timedelta) -> Money | None:
        return charge.per_hour.for_seconds(rest.total_seconds()) if charge.per_hour else None

    return [Forecast(charge, more(charge, day), more(charge, month)) for charge in every if charge.id not in twice]


def _start_of(period: str, now: datetime) -> datetime:
    today = now.astimezone().date()
    return datetime.combine(today.replace(day=1) if period == "month" else today, time()).astimezone()


def _end_of(period: str, now: datetime) -> datetime:
    start = _start_of(period, now).date()
    after = start + timedelta(days=1) if period == "day" else (start + timedelta(days=31)).replace(day=1)
    return datetime.combine(after, time()).astimezone()


# --- budgets ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Budget:
    """What may be spent in a day or a month, on what has these tags."""

    name: str
    amount: Money
    tags: Mapping[str, str]
    per: str  # "day" or "month"

    def __str__(self) -> str:
        return f"{self.amount} a {self.per}"


@dataclass(frozen=True)
class Spent:
    """How far a budget is used up in this day or month."""

    budget: Budget
    sum: Sum

    @property
    def share(self) -> Decimal:
        return self.sum.amounts.get(self.budget.amount.currency, Decimal(0)) / self.budget.amount.amount

    @property
    def level(self) -> str:
        """`ok`, `near` from 80 %, `over` from 100 %."""
        return "over" if self.share >= OVER else "near" if self.share >= WARN else "ok"

    @property
    def warning(self) -> str | None:
        """A sentence, where there is something to warn of."""
        if self.level == "ok":
            return None
        return f"Budget {self.budget.name}: {self.sum} of {self.budget} {'are' if self.level == 'near' else 'were'} spent ({self.share:.0%})."


def budgets(book: Book) -> list[Budget]:
    """The budgets that are set, by name."""
    return [Budget(name, Money(Decimal(facts["amount"]), facts["currency"]), facts["tags"], facts["per"]) for name, facts in sorted(book.budgets.items())]


def spent(book: Book, prices: Prices, now: datetime) -> list[Spent]:
    """How far each budget is used up now. What costs in another currency than its own doesn't count for it."""
    return [
        Spent(budget, sum_of(charges(book, prices, now, Selection(tags=budget.tags, since=_start_of(budget.per, now)))))
        for budget in budgets(book)
    ]
