from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tinytorch.cloud import CloudResource
from tinytorch.errors import ConfigError
from tinytorch.resources import prices

PRICE = {
    "provider": '"aws"', "kind": '"instance"', "region": '"us-east-1"', "type": '"g5.xlarge"', "unit": '"hour"',
    "amount": "2.5", "currency": '"EUR"', "date": "2026-01-31", "source": '"a list"',
}  # fmt: skip


def written(*entries: dict[str, str]) -> str:
    return "# prices\n\n" + "\n".join("[[price]]\n" + "".join(f"{key} = {value}\n" for key, value in entry.items()) for entry in entries)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "my prices 🙂.toml"
    monkeypatch.setenv("TINYTORCH_PRICES", str(path))
    return path


def test_the_prices_that_ship_have_a_source_and_a_date_that_is_past() -> None:
    table = prices.load().table.values()
    assert len(table) >= 5
    assert all(price.source and price.day <= date.today() and price.amount > 0 for price in table)


def test_a_file_of_ones_own_replaces_and_adds(own: Path) -> None:
    own.write_text(written(PRICE, PRICE | {"provider": '"local"', "kind": '"machine"', "region": '"*"', "type": '"*"'}), "utf-8", newline="\r\n")
    table = prices.load()
    found = table.find("aws", "instance", "us-east-1", "g5.xlarge")
    assert found and (found.amount, found.currency) == (Decimal("2.5"), "EUR")
    assert table.find("local", "machine", "here", "this") and table.find("aws", "instance", "us-east-1", "p5.48xlarge")


def test_what_has_no_price_has_none_and_isnt_free() -> None:
    assert prices.load().find("aws", "instance", "us-east-1", "g99.huge") is None
    assert prices.load().find("aws", "instance", "mars-1", "g5.xlarge") is None


def test_a_zone_has_the_prices_of_its_region() -> None:
    table = prices.load()
    assert table.find("aws", "volume", "us-east-1a", "gp3") == table.find("aws", "volume", "us-east-1", "gp3") is not None
    assert table.find("aws", "volume", "us-east-10", "gp3") is None


@pytest.mark.parametrize(("region", "type", "amount"), [("us-east-1", "a", 1), ("eu", "a", 2), ("us-east-1", "b", 3), ("eu", "b", 4)])
def test_the_nearest_price_counts(own: Path, region: str, type: str, amount: int) -> None:
    places = [("us-east-1", "a", "1"), ("*", "a", "2"), ("us-east-1", "*", "3"), ("*", "*", "4")]
    own.write_text(written(*(PRICE | {"provider": '"p"', "region": f'"{r}"', "type": f'"{t}"', "amount": a} for r, t, a in places)), "utf-8")
    found = prices.load().find("p", "instance", region, type)
    assert found is not None and found.amount == amount


@pytest.mark.parametrize(("days", "is_old"), [(90, False), (91, True)])
def test_a_price_is_old_after_90_days(days: int, is_old: bool) -> None:
    price = prices.Price("p", "instance", "r", "t", "hour", Decimal(1), "USD", date(2026, 1, 1), "s")
    assert price.is_old(date(2026, 1, 1) + timedelta(days=days)) is is_old


def test_a_size_that_isnt_known_makes_the_price_unknown() -> None:
    price = prices.Price("p", "volume", "r", "t", "GB-month", Decimal("0.73"), "USD", date(2026, 1, 1), "s")
    assert price.per_hour(100.0) == (Decimal("0.1"), "USD") and price.per_hour(None) is None


def resource(kind: str = "volume", type: str = "gp3", *, region: str = "us-east-1", size_gb: float | None = 730.0, state: str = "available", said: float | None = None) -> CloudResource:
    return CloudResource("aws", kind, "id", "", region, type, state, None, {}, size_gb, None, said)


@pytest.mark.parametrize(
    ("found", "cost"),
    [
        (resource(), "0.080 USD"),
        (resource(region="us-east-1a"), "0.080 USD"),
        (resource(size_gb=None), None),
        (resource(type="gp9"), None),
        (resource(region="mars-1"), None),
        (resource("snapshot", "standard"), None),
        (resource("instance", "g5.xlarge", size_gb=None, state="running"), "1.01 USD"),
        (resource("instance", "g5.xlarge", size_gb=None, state="stopped"), "0.00 USD"),
        (resource("instance", "g99.huge", size_gb=None, state="stopped"), None),
        (resource("pod", "RTX 4090", state="RUNNING", said=0.69), "0.69 USD"),
        (resource("instance", "g5.xlarge", size_gb=None, state="running", said=0.5), "0.50 USD"),
    ],
    ids=["volume", "zone", "no size", "type", "region", "snapshot", "instance", "stopped", "stopped and unknown", "pod", "said before table"],
)  # fmt: skip
def test_what_a_resource_costs_per_hour_is_known_or_unknown_and_never_guessed(found: CloudResource, cost: str | None) -> None:
    told = prices.load().cost_per_hour(found)
    assert (told and str(told)) == cost


def test_what_a_resource_costs_is_in_the_currency_of_its_price(own: Path) -> None:
    own.write_text(written(PRICE | {"kind": '"volume"', "type": '"gp3"', "unit": '"GB-month"', "amount": "0.1"}), "utf-8")
    assert prices.load().cost_per_hour(resource()) == (Decimal("0.1"), "EUR")


@pytest.mark.parametrize(
    ("changed", "line", "says"),
    [
        ({"amuont": "1"}, 24, r"unknown key 'amuont' \(did you mean amount\?\)"),
        ({"amount": '"1"'}, 20, "amount is a number from 0; it is '1'"),
        ({"amount": "-0.5"}, 20, "amount is a number from 0; it is -0.5"),
        ({"amount": "nan"}, 20, "amount is a number from 0; it is nan"),
        ({"amount": "true"}, 20, "amount is a number from 0; it is True"),
        ({"unit": '"hours"'}, 19, r"unit is one of hour, GB-month; it is 'hours' \(did you mean hour\?\)"),
        ({"kind": '"instnce"'}, 16, r"did you mean instance\?"),
        ({"currency": '"$"'}, 21, r"three capital letters like USD; it is '\$'"),
        ({"date": '"2026-01-31"'}, 22, "date is a day like 2026-01-31, without quotes"),
        ({"date": "2026-01-31T10:00:00"}, 22, "date is a day like"),
        ({"date": "2999-01-01"}, 22, "lies in the future"),
        ({"region": '""'}, 17, "region is a text; it is ''"),
    ],
    ids=lambda value: "-".join(f"{key}={text}" for key, text in value.items()) if isinstance(value, dict) else "",
)
def test_a_mistake_is_told_with_its_line(own: Path, changed: dict[str, str], line: int, says: str) -> None:
    own.write_text(written(PRICE, PRICE | changed), "utf-8")
    with pytest.raises(ConfigError, match=rf"my prices 🙂\.toml:{line}: .*{says}"):
        prices.load()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (written(PRICE, {"provider": '"aws"'}), ":14: price 2 has no kind, region"),
        ("[[prices]]\n", r":1: unknown key 'prices' \(did you mean price\?\)"),
        ("[price]\namount = 1\n", ":1: .*two brackets"),
        ("[[price]]\namount = \n", "line 2"),
    ],
    ids=["missing", "table", "brackets", "no-toml"],
)
def test_a_file_that_is_no_price_table_is_told(own: Path, text: str, says: str) -> None:
    own.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=says):
        prices.load()


def test_a_file_that_isnt_there_is_told(own: Path) -> None:
    with pytest.raises(ConfigError, match="TINYTORCH_PRICES names the file"):
        prices.load()
