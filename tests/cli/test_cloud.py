"""`tito cloud volume`, against moto over HTTP; the blocks of docs/cloud.md too."""
from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Tito
from tests.docs.page import ROOT, alignment, blocks
from tests.plugin.conftest import Student
from tests.unit.tinytorch.cloud.account import Account, Refused
from tests.unit.tinytorch.cloud.conftest import account, running  # noqa: F401  # fixtures

MINE = {"tinytorch": "workspace", "Name": "data"}


def test_a_volume_is_made_listed_and_deleted(student: Student, account: Account, tito: Tito):  # noqa: F811
    made = json.loads(tito("cloud", "volume", "create", "data", "--size", "12", "--json").out)
    assert (made["name"], made["size_gb"], made["state"], made["tags"]) == ("data", 12.0, "available", MINE | {"Name": "data"})
    listed = tito("cloud", "volume", "list")
    assert made["id"] in listed.out and "12 GB" in listed.out
    assert json.loads(tito("cloud", "volume", "list", "--json").out)["volumes"] == [made | {"per_hour": 0.001315, "currency": "USD"}]
    again = tito("cloud", "volume", "create", "data", "--size", "12")
    assert again.status == 1 and made["id"] in again.err and "available" in again.err
    assert tito("cloud", "volume", "snapshot", "data").out.startswith("Began snap-")
    asked = tito("cloud", "volume", "delete", "data")
    assert asked.status == 1 and f"Delete data: {made['id']} (12 GB" in asked.err and f"tito cloud volume delete {made['id']} --yes" in asked.err and list(account.volumes()) == [made["id"]]
    assert tito("cloud", "volume", "delete", "data", "--yes").status == 0 and account.volumes() == {}
    assert "has no volumes in us-east-1" in tito("cloud", "volume", "list").out


def test_what_a_volume_costs_is_listed_and_a_price_that_is_not_known_is_unknown(student: Student, account: Account, tito: Tito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    for name, type in (("a", "gp3"), ("b", "standard")):
        tito("cloud", "volume", "create", name, "--size", "730", "--type", type)
    assert [re.split(r"  +", line)[6] for line in tito("cloud", "volume", "list").out.splitlines()] == ["cost per hour", "0.080 USD", "unknown"]
    assert [(one["per_hour"], one["currency"]) for one in json.loads(tito("cloud", "volume", "list", "--json").out)["volumes"]] == [(0.08, "USD"), (None, None)]
    (tmp_path / "prices.toml").write_text("[[price]]\n", "utf-8")
    monkeypatch.setenv("TINYTORCH_PRICES", str(tmp_path / "prices.toml"))
    answer = tito("cloud", "volume", "list")
    assert answer.status == 1 and "prices.toml:1: price 1 has no" in answer.err


def test_a_protect_file_protects_a_volume(student: Student, account: Account, tito: Tito):  # noqa: F811
    volume = account.volume(MINE)
    protect = student.root / ".tito-protect"
    for text, says in ((f"# mine\r\n{volume}\r\n", "line 2, says vol-"), ("DAT*\n", "line 1, says DAT*"), ("\x00\x01\n", "is no rule")):
        protect.write_text(text, "utf-8", newline="")
        answer = tito("cloud", "volume", "delete", "data", "--yes")
        assert answer.status == 1 and says in answer.err and list(account.volumes()) == [volume]
    protect.write_text("dat\ndata-*\n", "utf-8")
    assert tito("cloud", "volume", "delete", "data", "--yes").status == 0


def test_the_project_is_the_workspace_unless_one_is_named(student: Student, account: Account, tito: Tito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    volume = account.volume(MINE | {"tinytorch": "other"})
    refused = tito("cloud", "volume", "delete", "data", "--yes")
    assert refused.status == 1 and "isn't this project's" in refused.err
    monkeypatch.chdir(tmp_path)
    outside = tito("cloud", "volume", "list")
    assert outside.status == 2 and "--project PROJECT" in outside.err
    assert volume in tito("cloud", "volume", "list", "--project", "other").out
    assert f"tito cloud volume delete {volume} --project other --yes" in tito("cloud", "volume", "delete", "data", "--project", "other").err


def test_what_aws_refuses_is_one_line(student: Student, account: Account, tito: Tito):  # noqa: F811
    account.plan(Refused("ExpiredToken"))
    answer = tito("cloud", "volume", "list")
    assert answer.status == 1 and "the credentials have expired" in answer.err and "Traceback" not in answer.both


def test_the_page_shows_what_happens(student: Student, account: Account, tito: Tito):  # noqa: F811
    """The blocks of docs/cloud.md that need an account: they are marked `text`, and run here."""
    shown = [lines for _, language, lines in blocks((ROOT / "docs" / "cloud.md").read_text("utf-8")) if language == "text" and lines[0].startswith("$ tito cloud")]
    assert len(shown) >= 4
    for lines in shown:
        starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            answer = tito(*shlex.split(lines[start][2:])[1:])
            changing = re.compile(r"(?<=vol-)[0-9a-f]{8,}|(?<=snap-)[0-9a-f]{8,}|\d\d:\d\d(?= UTC)")
            told = answer.both.replace("workspace", "my-tinytorch").splitlines()
            alignment([changing.sub("X", line) for line in lines[start + 1 : end]], [changing.sub("X", line) for line in told])
