from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch.cloud import CloudResource
from tinytorch.errors import CloudError, ConfigError
from tinytorch.resources import cloud, cost, ledger, picture
from tinytorch.resources.prices import Price, Prices
from tinytorch.resources.selection import Selection, parsed_tags, parsed_time

HOUR = timedelta(hours=1)
DAY0 = datetime(2026, 11, 1, tzinfo=timezone.utc)
NOW = DAY0 + timedelta(days=10, hours=12)


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Days are those of the machine's time zone."""
    if hasattr(time, "tzset"):
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
        yield
        monkeypatch.undo()
        time.tzset()
    else:
        yield


def price(kind: str = "instance", type: str = "big", amount: str = "2", currency: str = "USD", unit: str = "hour", provider: str = "aws") -> Price:
    return Price(provider, kind, "us", type, unit, Decimal(amount), currency, date(2026, 10, 1), "a list")


PRICES = Prices([price(), price("volume", "gp3", "0.73", unit="GB-month"), price(type="eu", amount="3", currency="EUR")])


def run(id: str, at: datetime, hours: float, *, machine: str = "aws/us/big", clock_hours: float | None = None, within: str | None = None, **tags: str) -> None:
    ended = at + HOUR * (hours if clock_hours is None else clock_hours)
    started = {"name": "train", "command": "", "tags": tags, "machine": machine, "host": "h", "pid": 1, "created": 0.0, "at": ledger.stamp(at), "within": within}
    ledger.append(["started", id, started], ["ended", id, ledger.stamp(ended), {"wall_seconds": hours * 3600}, 0])


def seen(at: datetime, *resources: dict[str, Any]) -> None:
    usual = {"kind": "instance", "id": "i", "name": "n", "region": "us", "type": "big", "state": "running", "created": None, "tags": {}, "size_gb": None, "attached_to": None}
    ledger.append(["cloud", ledger.stamp(at), "aws", [usual | facts for facts in resources]])


def charges(selection: Selection | None = None, *, now: datetime = NOW) -> list[cost.Charge]:
    return cost.charges(ledger.read(), PRICES, now, selection)


def total(selection: Selection | None = None) -> str:
    return str(cost.sum_of(charges(selection)))


# --- sums ---------------------------------------------------------------------------------------------------------


def test_a_run_costs_its_time_times_the_price_of_its_machine() -> None:
    run("a", DAY0, 1.5)
    assert total() == "3.00 USD"


def test_what_has_no_price_is_unknown_and_the_sum_says_at_least() -> None:
    run("a", DAY0, 1, machine="local")
    assert total() == "unknown"
    run("b", DAY0, 1)
    assert total() == "at least 2.00 USD"
    assert cost.sum_of(charges()).as_json() == {"amounts": {"USD": 2.0}, "unknown": 1, "seconds": 7200.0}
    assert total(Selection(tags={"no": "run"})) == "nothing"


def test_currencies_are_never_added() -> None:
    run("a", DAY0, 1)
    run("b", DAY0, 1, machine="aws/us/eu")
    assert total() == "3.00 EUR + 2.00 USD"


def test_a_run_that_goes_on_costs_until_now_and_not_until_it_was_recorded() -> None:
    own, now = psutil.Process(), ledger.now()
    started = {"name": "n", "command": "", "tags": {}, "machine": "aws/us/big", "host": platform.node(), "pid": own.pid, "created": own.create_time(), "at": ledger.stamp(now - HOUR)}
    ledger.append(["started", "r", started], ["seen", "r", ledger.stamp(now - timedelta(seconds=30)), {"wall_seconds": 3570.0}])
    (charge,) = charges(now=now)
    assert charge.is_running and charge.seconds == pytest.approx(3600, abs=0.01)


def test_a_clock_that_was_set_back_changes_no_cost() -> None:
    run("a", DAY0, 2, clock_hours=-100)
    assert total() == "4.00 USD"


def test_sums_by_tag_kind_name_machine_and_day() -> None:
    run("a", DAY0 + 23 * HOUR, 2, team="x")
    run("b", DAY0, 1, team="y")
    run("c", DAY0, 1)
    seen(DAY0, {"kind": "volume", "type": "gp3", "id": "v", "size_gb": 100.0})
    seen(DAY0 + 10 * HOUR, {"kind": "volume", "type": "gp3", "id": "v", "size_gb": 100.0})

    def by(word: str) -> dict[str, str]:
        return {label: str(cost.sum_of(part)) for label, part in cost.grouped(charges(), word).items()}

    assert by("tag:team") == {"-": "3.00 USD", "x": "4.00 USD", "y": "2.00 USD"}
    assert by("kind") == {"run": "8.00 USD", "volume": "1.00 USD"}
    assert by("day") == {"2026-11-01": "7.00 USD", "2026-11-02": "2.00 USD"}
    assert by("machine") == {"aws/us/big": "8.00 USD", "aws/us/gp3": "1.00 USD"}


def test_a_selection_takes_the_part_of_a_run_that_lies_in_it() -> None:
    run("a", DAY0, 10, team="x")
    run("b", DAY0, 10)
    chosen = Selection(tags={"team": "x"}, since=DAY0 + 2 * HOUR, until=DAY0 + 5 * HOUR, kinds=frozenset({"run"}))
    assert total(chosen) == "6.00 USD"
    assert total(Selection(kinds=frozenset({"volume"}))) == "nothing"


PARTS = st.lists(
    st.tuples(st.integers(0, 20 * 86400), st.integers(0, 3 * 86400), st.sampled_from(["big", "eu", "unknown"]), st.sampled_from(["a", "b"])), max_size=8
)  # fmt: skip


def charged(parts: list[tuple[int, int, str, str]]) -> list[cost.Charge]:
    return [
        cost.Charge("run", str(number), "n", {"team": team}, "aws", "us", type, DAY0 + timedelta(seconds=begins), float(seconds), False, PRICES.find("aws", "instance", "us", type))
        for number, (begins, seconds, type, team) in enumerate(parts)
    ]  # fmt: skip


@given(PARTS, st.sampled_from(["day", "kind", "name", "machine", "tag:team", "tag:none"]))
def test_the_sums_of_all_groups_are_the_sum_of_all(parts: list[tuple[int, int, str, str]], by: str) -> None:
    found = charged(parts)
    groups = [cost.sum_of(part) for part in cost.grouped(found, by).values()]
    for currency, amount in cost.sum_of(found).amounts.items():
        assert float(sum(group.amounts.get(currency, Decimal(0)) for group in groups)) == pytest.approx(float(amount), abs=1e-9)
    assert sum(group.seconds for group in groups) == pytest.approx(sum(charge.seconds for charge in found))


def test_a_picture_has_the_most_expensive_parts_and_the_rest_together() -> None:
    every = [
        cost.Charge("run", str(number), f"name {number}", {}, "aws", "us", "big", DAY0, 3600.0 * (number + 1), False, price()) for number in range(12)
    ]  # fmt: skip
    bars = picture._bars(every, "name", "USD")
    assert list(bars) == [f"name {number}" for number in range(11, 3, -1)] + ["others"]
    assert bars["others"] == {date(2026, 11, 1): Decimal(2 * (1 + 2 + 3 + 4))}


@given(PARTS, st.integers(-86400, 25 * 86400))
def test_before_and_after_any_time_are_together_the_whole(parts: list[tuple[int, int, str, str]], cut: int) -> None:
    at = DAY0 + timedelta(seconds=cut)
    for charge in charged(parts):
        sides = [side for side in (charge.within(None, at), charge.within(at, None)) if side]
        assert sum(side.seconds for side in sides) == charge.seconds and sides


# --- cloud resources ----------------------------------------------------------------------------------------------


def test_an_instance_costs_from_its_making_until_it_was_last_seen() -> None:
    seen(DAY0 + 5 * HOUR, {"created": ledger.stamp(DAY0)})
    assert total() == "10.00 USD"
    seen(DAY0 + 6 * HOUR, {"created": ledger.stamp(DAY0)})
    assert total() == "12.00 USD" and [c.is_running for c in charges()] == [True]
    seen(DAY0 + 9 * HOUR)
    assert total() == "12.00 USD" and [c.is_running for c in charges()] == [False]


def test_an_instance_that_was_made_later_than_now_begins_when_it_is_seen() -> None:
    seen(DAY0, {"created": ledger.stamp(DAY0 + HOUR)})
    seen(DAY0 + HOUR, {"created": ledger.stamp(DAY0 + HOUR)})
    assert total() == "2.00 USD" and charges()[0].began == DAY0


def test_an_instance_that_is_stopped_costs_nothing_until_it_runs_again() -> None:
    seen(DAY0, {})
    seen(DAY0 + 2 * HOUR, {"state": "EXITED"})
    seen(DAY0 + 20 * HOUR, {"created": ledger.stamp(DAY0)})
    seen(DAY0 + 21 * HOUR, {})
    assert total() == "6.00 USD"


def test_a_volume_whose_size_isnt_known_has_an_unknown_cost() -> None:
    seen(DAY0, {"kind": "volume", "type": "gp3"})
    assert total() == "unknown"


def test_a_volume_that_grows_costs_more_from_then_on() -> None:
    for hours, size in ((0, 100.0), (10, 100.0), (20, 1000.0), (30, 1000.0)):
        seen(DAY0 + hours * HOUR, {"kind": "volume", "type": "gp3", "size_gb": size})
    assert total() == "12.00 USD"


def test_what_a_provider_says_of_a_pod_is_its_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """From one day to the next it stays one charge, and a new price begins another."""
    pod = {"kind": "pod", "id": "p", "type": "RTX 4090", "region": "EU-RO-1"}
    for hours, dollars in ((0, 0.5), (20, 0.5), (40, 0.75), (42, 0.75), (43, None)):
        seen(DAY0 + hours * HOUR, pod | {"usd_per_hour": dollars})
    assert [(str(charge.per_hour), charge.seconds / 3600) for charge in charges()] == [("0.50 USD", 40), ("0.75 USD", 3), ("None", 0)]
    assert total() == "at least 22.25 USD"


DISK = {"kind": "volume", "id": "v", "name": "data", "region": "us", "type": "gp3", "state": "creating", "created": None, "tags": {}, "size_gb": 1000.0, "attached_to": None}


def made(at: datetime) -> None:
    ledger.append(["made", ledger.stamp(at), "aws", DISK | {"created": ledger.stamp(at)}])


def gone(at: datetime) -> None:
    ledger.append(["gone", ledger.stamp(at), "aws", "volume", "v"])


def test_a_volume_that_was_made_here_costs_until_it_is_removed_here() -> None:
    made(DAY0)
    assert total() == "252.00 USD" and charges()[0].is_running
    gone(DAY0 + 10 * HOUR)
    assert total() == "10.00 USD" and not charges()[0].is_running
    seen(DAY0 + 11 * HOUR, DISK | {"state": "deleting"})
    assert total() == "10.00 USD"


def test_a_look_that_misses_what_was_made_here_ends_it_when_it_was_last_seen() -> None:
    made(DAY0)
    seen(DAY0 + 5 * HOUR, DISK | {"state": "available"}, {"id": "another"})
    assert {charge.id: charge.seconds / 3600 for charge in charges()} == {"v": 252, "another": 0}
    seen(DAY0 + 9 * HOUR, {"id": "another"})
    assert {charge.id: (charge.seconds / 3600, charge.is_running) for charge in charges()} == {"v": (5, False), "another": (4, True)}


def test_what_is_made_or_removed_here_ends_nothing_else() -> None:
    seen(DAY0, {"id": "another"})
    made(DAY0 + HOUR)
    gone(DAY0 + 2 * HOUR)
    seen(DAY0 + 3 * HOUR, {"id": "another"})
    assert {charge.id: charge.seconds / 3600 for charge in charges()} == {"v": 1, "another": 3}


def test_what_was_removed_here_and_never_recorded_costs_nothing() -> None:
    gone(DAY0)
    assert total() == "nothing"


def leave_the_test_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is recorded in one. For the test itself: pytest sets these anew after the fixtures."""
    for name in ("PYTEST_CURRENT_TEST", "PYTEST_VERSION"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_made_and_removed_is_noted_only_if_recording_is_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_the_test_session(monkeypatch)
    told: list[str] = []
    disk = CloudResource("aws", "volume", "v", "data", "us", "gp3", "creating", NOW, {"team": "x"}, 1000.0, None)
    cloud.made(disk, told.append)
    cloud.gone("aws", "volume", "v", told.append)
    (charge,) = charges()
    assert (charge.id, charge.tags, charge.size_gb, charge.is_running) == ("v", {"team": "x"}, 1000.0, False) and told == []
    before = (folder / "ledger.jsonl").read_bytes()
    monkeypatch.setenv("TINYTORCH_RESOURCES", "off")
    monkeypatch.setattr(ledger, "append", None)
    cloud.made(disk, told.append)
    cloud.gone("aws", "volume", "v", told.append)
    assert told == [] and (folder / "ledger.jsonl").read_bytes() == before


def test_a_ledger_that_cant_be_written_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_the_test_session(monkeypatch)
    folder.write_text("in the way", "utf-8")
    told: list[str] = []
    cloud.gone("aws", "volume", "v", told.append)
    assert len(told) == 1 and told[0].startswith("That the volume v was removed isn't recorded: ") and "TINYTORCH_RESOURCES=DIR" in told[0]


def test_a_look_is_dated_before_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a volume that is made while a provider answers would be taken for one that has gone."""

    class Slow(Provider):
        def resources(self, *, tags: dict[str, str] | None = None) -> list[Resource]:
            made(ledger.now())
            return super().resources(tags=tags)

    monkeypatch.setattr(cloud, "_providers", lambda: [Slow("aws")])
    cloud.look(notice=print)
    assert [charge.is_running for charge in charges(now=ledger.now() + HOUR)] == [True]


def test_a_run_on_an_instance_that_is_listed_itself_is_not_counted_twice() -> None:
    run("a", DAY0, 2, team="x")
    seen(DAY0, {})
    seen(DAY0 + 4 * HOUR, {})
    assert total() == "8.00 USD" and cost.overlapping(charges()) == {"a"}
    assert total(Selection(tags={"team": "x"})) == "4.00 USD"


def test_a_run_that_is_part_of_another_is_not_counted_twice() -> None:
    run("whole", DAY0, 2)
    run("part", DAY0 + HOUR, 1, within="whole", team="x")
    assert total() == "4.00 USD" and cost.overlapping(charges()) == {"part"}
    assert total(Selection(tags={"team": "x"})) == "2.00 USD", "without the whole it counts"
    run("elsewhere", DAY0 + HOUR, 1, within="whole", machine="aws/us/eu")
    run("later", DAY0 + 3 * HOUR, 1, within="whole")
    assert cost.overlapping(charges()) == {"part"}, "what went on after the other's end, or on another machine, is no part of it"


@dataclass(frozen=True)
class Resource:
    """As tinytorch.cloud's CloudResource."""

    kind: str = "instance"
    id: str = "i"
    name: str = "n"
    region: str = "us"
    type: str = "big"
    state: str = "running"
    created: datetime | None = DAY0
    tags: dict[str, str] = field(default_factory=dict)
    size_gb: float | None = None
    attached_to: str | None = None
    usd_per_hour: float | None = None


class Provider:
    def __init__(self, name: str, *resources: Resource, error: str = "") -> None:
        self.name = name
        self.found = list(resources)
        self.error = error

    def resources(self, *, tags: dict[str, str] | None = None) -> list[Resource]:
        if self.error:
            raise CloudError(self.error)
        return self.found


def test_what_the_providers_have_is_noted_and_one_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, others = Resource(id="ours", tags={"team": "x"}), Resource(id="others")
    monkeypatch.setattr(cloud, "_providers", lambda: [Provider("aws", ours, others), Provider("runpod", error="is down")])
    told: list[str] = []
    assert cloud.look(tags={"team": "x"}, notice=told.append) == ([ours], False)
    assert told == ["runpod: is down"]
    assert {charge.id for charge in charges()} == {"ours", "others"}
    monkeypatch.setattr(cloud, "_providers", lambda: [Provider("aws", others)])
    assert cloud.look(notice=told.append) == ([others], True)
    assert {charge.id: charge.is_running for charge in charges()} == {"ours": False, "others": True}


# --- forecast and budgets -----------------------------------------------------------------------------------------


def test_a_forecast_goes_on_at_the_price_until_the_day_and_the_month_end() -> None:
    seen(NOW - HOUR, {}, {"id": "u", "type": "unknown"}, {"id": "off", "state": "stopped"})
    first, second = cost.forecast(charges(), NOW)
    assert (first.charge.id, first.rest_of_day, first.rest_of_month) == ("i", (Decimal(24), "USD"), (Decimal(2) * (12 + 19 * 24), "USD"))
    assert (second.charge.id, second.rest_of_day) == ("u", None)


def test_a_forecast_counts_a_run_with_its_machine() -> None:
    every = [
        cost.Charge(kind, kind, "n", {}, "aws", "us", "big", NOW - HOUR, 3600.0, True, price()) for kind in ("run", "instance")
    ]  # fmt: skip
    assert [each.charge.id for each in cost.forecast(every, NOW)] == ["instance"]
    assert [each.charge.id for each in cost.forecast(every[:1], NOW)] == ["run"]


def budget(name: str, amount: str, per: str = "day", **tags: str) -> None:
    ledger.append(["budget", name, {"amount": amount, "currency": "USD", "tags": tags, "per": per}])


@pytest.mark.parametrize(("amount", "level", "says"), [("10.1", "ok", None), ("10", "near", "8.00 USD of 10.00 USD a day are spent (80%)."), ("8", "over", "8.00 USD of 8.00 USD a day were spent (100%).")])
def test_a_budget_warns_at_80_and_at_100_percent(amount: str, level: str, says: str | None) -> None:
    run("a", NOW - 4 * HOUR, 4, team="x")
    run("b", NOW - 4 * HOUR, 4)
    run("c", NOW - timedelta(days=2), 4, team="x")
    budget("x", amount, team="x")
    (spent,) = cost.spent(ledger.read(), PRICES, NOW)
    assert spent.level == level and spent.warning == (says and f"Budget x: {says}")


def test_a_budget_of_a_month_begins_with_the_month_and_the_newest_one_of_a_name_counts() -> None:
    run("a", DAY0 - 2 * HOUR, 4)
    budget("all", "1")
    budget("all", "100", "month")
    budget("gone", "5")
    ledger.append(["budget", "gone", None])
    (spent,) = cost.spent(ledger.read(), PRICES, NOW)
    assert str(spent.sum) == "4.00 USD" and spent.budget.per == "month"


# --- what is typed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at"),
    [("2026-11-03", DAY0 + timedelta(days=2)), ("2026-11-03T06:00", DAY0 + timedelta(days=2, hours=6)), ("2026-11-03T06:00:00Z", DAY0 + timedelta(days=2, hours=6)), ("12h", NOW - 12 * HOUR), ("1w", NOW - 168 * HOUR)],
)
def test_a_time_is_a_day_a_moment_or_how_long_ago(text: str, at: datetime) -> None:
    assert parsed_time(text, NOW) == at


def test_a_day_that_ends_something_is_part_of_it() -> None:
    assert parsed_time("2026-11-03", NOW, ends=True) == DAY0 + timedelta(days=3)
    assert parsed_time("2026-11-11", NOW, ends=True) == DAY0 + timedelta(days=11)


@pytest.mark.parametrize(("text", "says"), [("2026-11-12", "lies in the future"), ("2026-13-01", "is no time"), ("-3d", "is no time"), ("yesterday", "is no time")])
def test_a_time_that_cant_be_meant_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parsed_time(text, NOW)


def test_a_selection_that_is_empty_is_refused() -> None:
    with pytest.raises(ConfigError, match="the first must be before the second"):
        Selection(since=NOW, until=NOW)


@pytest.mark.parametrize(("texts", "says"), [(["team"], "there is no = in 'team'"), (["a=1", "a=2"], "given twice"), (["=1"], "key=value")])
def test_a_tag_that_isnt_one_is_refused(texts: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parsed_tags(texts)
