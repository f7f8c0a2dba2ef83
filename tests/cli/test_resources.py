"""`tito resources ...`: what is printed, and with which status; the figures themselves: tests/unit/tinytorch/resources."""
from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Tito
from tests.cli.terminal import CTRL_C, Terminal
from tests.cli.test_manners import on_a_terminal
from tests.unit.tinytorch.cloud.account import Account
from tests.unit.tinytorch.cloud.conftest import account, running  # noqa: F401  # fixtures
from tests.unit.tinytorch.resources.test_cost import Provider, Resource, leave_the_test_session
from tinytorch.resources import cloud, ledger

posix = pytest.mark.skipif(os.name != "posix", reason="Windows ends a process without a signal")
G5 = "aws/us-east-1/g5.xlarge"
SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ledger's folder; the working directory is no workspace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYTORCH_RESOURCES", str(tmp_path / "my ledger 🙂"))
    return tmp_path / "my ledger 🙂"


def record(id: str, hours: float, *, machine: str = G5, host: str = "h", ends: bool = True, name: str = "train", ago: timedelta = timedelta(0), **tags: str) -> None:
    """A run that has just ended, or that goes on elsewhere."""
    at = ledger.now() - timedelta(hours=hours) - ago
    usage = {"wall_seconds": hours * 3600, "cpu_seconds": 100.0, "memory_peak": 2 << 20}
    started = {"name": name, "command": "python train.py", "tags": tags, "machine": machine, "host": host, "pid": 1, "created": 0.0, "at": ledger.stamp(at)}
    last = ledger.stamp(ledger.now() - ago)
    ledger.append(["started", id, started], ["ended", id, last, usage, 0] if ends else ["seen", id, last, usage])


def reported(answer: Any) -> Any:
    assert answer.status == 0, answer
    return json.loads(answer.out)


@posix
@pytest.mark.parametrize(("code", "status", "state"), [("pass", 0, "exit 0"), ("raise SystemExit(7)", 7, "exit 7"), ("import os; os.kill(os.getpid(), 15)", 143, "signal 15")])
def test_a_tracked_program_keeps_its_exit_status_and_is_recorded(tito: Tito, code: str, status: int, state: str) -> None:
    answer = tito("resources", "track", "--name", "a run", "--tag", "team=a", "--machine", G5, "--", sys.executable, "-c", code, "--password=hunter2")
    assert answer.status == status and answer.out == "" and answer.err.startswith("a run: ")
    (found,) = reported(tito("resources", "list", "--json"))["records"]
    assert (found["name"], found["state"], found["tags"], found["region"], found["network_of"]) == ("a run", state, {"team": "a"}, "us-east-1", "machine")
    assert "hunter2" not in (ledger.folder() / "ledger.jsonl").read_text("utf-8")
    shown = tito("resources", "show", found["id"])
    assert shown.status == 0 and f"state    {state}" in shown.out and "by the whole machine" in shown.out and "1.006 USD an hour, of 2026-06-17" in shown.out


@pytest.mark.parametrize(("command", "says"), [(["no-such-program"], "can't be started"), (["pytest", "-m", "module01"], "never recorded")])
def test_what_cant_be_tracked_is_one_message(tito: Tito, folder: Path, command: list[str], says: str) -> None:
    answer = tito("resources", "track", "--", *command)
    assert answer.status == 1 and says in answer.err and answer.err.count("\n") == 1
    assert not (folder / "ledger.jsonl").exists() or ledger.read().runs == {}


def test_a_folder_that_cant_be_written_stops_the_program_from_being_started(tito: Tito, folder: Path, tmp_path: Path) -> None:
    folder.write_text("in the way", "utf-8")
    answer = tito("resources", "track", "--", sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert answer.status == 1 and "TINYTORCH_RESOURCES=DIR" in answer.err and not (tmp_path / "ran").exists()


def test_lists_are_filtered_by_tag_time_kind_and_state(tito: Tito) -> None:
    record("old", 1, ago=timedelta(days=9), team="a")
    record("new", 1, team="a")
    record("other", 1, team="b")
    record("going", 1, host="another", ends=False)

    def ids(*options: str) -> list[str]:
        return [found["id"] for found in reported(tito("resources", "list", *options, "--json"))["records"]]

    assert ids() == ["old", "new", "other", "going"]
    assert ids("--tag", "team=a") == ["old", "new"] and ids("--tag", "team=a", "--since", "7d") == ["new"]
    assert reported(tito("resources", "list", "--since", "1h", "--tag", "team=a", "--json"))["records"][0]["wall_seconds"] == 3600.0
    assert ids("--until", "7d") == ["old"] and ids("--running") == ["going"] and ids("--kind", "volume") == []
    assert "Nothing of that is recorded." in tito("resources", "list", "--tag", "team=c").out


def test_costs_say_at_least_and_where_prices_are_from(tito: Tito) -> None:
    record("a", 2, team="x")
    record("b", 1, machine="local")
    answer = tito("resources", "cost", "--by", "tag:team")
    assert answer.status == 0 and answer.err == ""
    lines = answer.out.splitlines()
    assert lines[1].split() == ["-", "1", "h", "00", "min", "unknown"] and lines[2].startswith("x         2 h 00 min  2.01 USD  ####")
    assert "Together: at least 2.01 USD" in lines and "The price of 1 of 2 isn't known: local" in lines
    assert any("g5.xlarge 1.006 USD an hour" in line and "days old: old, look it up again" in line for line in lines)


def test_what_is_running_has_a_forecast_at_a_rate_that_is_said(tito: Tito) -> None:
    record("r", 1, host="another", ends=False)
    assert "Still running: train (r) at 1.006 USD an hour; if it goes on, " in tito("resources", "cost").out
    (coming,) = reported(tito("resources", "cost", "--json"))["forecast"]
    assert coming["per_hour"] == 1.006 and coming["rest_of_day"] <= 1.006 * 25 and coming["rest_of_month"] >= coming["rest_of_day"]


def test_what_has_no_name_is_told_by_kind_and_id(tito: Tito, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "_providers", lambda: [Provider("aws", Resource(name=""), Resource(kind="bucket", id="b", name="b"))])
    answer = tito("resources", "cost", "--cloud", "--by", "name")
    assert "Still running: instance i " in answer.out and "Still running: bucket b " in answer.out
    assert {line.split()[0] for line in answer.out.splitlines()[1:3]} == {"-", "b"}


def test_usage_of_a_run_inside_another_is_added_once(tito: Tito) -> None:
    nested = "from tinytorch import resources\nwith resources.track('inner', record=True): pass\n"
    tito("resources", "track", "--name", "outer", "--", sys.executable, "-c", nested)
    assert sorted(reported(tito("resources", "usage", "--json"))["usage"]) == ["inner", "outer"]
    (day,) = reported(tito("resources", "usage", "--by", "day", "--json"))["usage"].values()
    assert day["runs"] == 1
    assert "1 run is counted with the machine or the run that it was part of." in tito("resources", "cost").out


def test_usage_is_added_and_peaks_are_not(tito: Tito) -> None:
    record("a", 1)
    record("b", 2)
    facts = reported(tito("resources", "usage", "--json"))["usage"]["train"]
    assert (facts["runs"], facts["wall_seconds"], facts["cpu_seconds"], facts["memory_peak"]) == (2, 10800.0, 200.0, 2 << 20)
    assert facts["gpu_seconds"] is None and facts["unknown"]["gpu_seconds"] == 2
    assert tito("resources", "usage", "--by", "day").out.splitlines()[0].split()[:2] == ["day", "runs"]


def test_a_budget_warns_wherever_costs_are_shown(tito: Tito) -> None:
    record("a", 0.001, team="x")
    assert tito("resources", "budget", "set", "x", "0.0001", "USD", "--tag", "team=x", "--per", "month").out == "Budget x: 0.0001 USD a month for team=x\n"
    assert "Budget x: 0.0010 USD of 0.00010 USD a month were spent" in tito("resources", "cost").err
    assert tito("resources", "budget", "list").out.splitlines()[1].endswith("over")
    assert reported(tito("resources", "budget", "list", "--json"))["budgets"][0]["level"] == "over"
    assert tito("resources", "budget", "remove", "x").status == 0
    assert tito("resources", "cost").err == "" and "no budget" in tito("resources", "budget", "list").out


def test_records_are_exported_as_csv_and_json_and_never_over_a_file(tito: Tito, tmp_path: Path) -> None:
    record("a", 1, team="=cmd()")
    record("b", 1, machine="local", name="größe 🙂")
    assert tito("resources", "export", "runs.csv").out == "Wrote 2 records to runs.csv\n"
    first, second = csv.DictReader((tmp_path / "runs.csv").read_text("utf-8").splitlines())
    assert (first["id"], first["cost"], first["currency"], first["gpu_seconds"], first["tag:team"]) == ("a", "1.006", "USD", "", "'=cmd()")
    assert (second["name"], second["cost"], second["tag:team"]) == ("größe 🙂", "", "")
    tito("resources", "export", "runs.json", "--tag", "team==cmd()")
    assert [found["id"] for found in json.loads((tmp_path / "runs.json").read_text("utf-8"))["records"]] == ["a"]
    before = (tmp_path / "runs.csv").read_bytes()
    answer = tito("resources", "export", "runs.csv")
    assert answer.status == 1 and "is there already" in answer.err and (tmp_path / "runs.csv").read_bytes() == before


def test_costs_are_drawn(tito: Tito, tmp_path: Path) -> None:
    from PIL import Image

    for day in range(3):
        record(f"r{day}", 2, ago=timedelta(days=day), team="ab"[day % 2])
    answer = tito("resources", "cost", "--by", "tag:team", "--png", "my cost 🙂.png")
    assert answer.status == 0 and "Wrote my cost 🙂.png" in answer.out
    with Image.open(tmp_path / "my cost 🙂.png") as image:
        colours = image.convert("RGB").getcolors(1 << 24)
        assert image.size[0] == 1200 and {(31, 119, 180), (255, 127, 14)} <= {colour for _, colour in colours or []}
    assert tito("resources", "cost", "--png", "my cost 🙂.png").status == 1


def test_nothing_with_a_known_cost_is_no_picture(tito: Tito, tmp_path: Path) -> None:
    record("a", 1, machine="local")
    answer = tito("resources", "cost", "--png", "cost.png")
    assert answer.status == 1 and "no cost is known" in answer.err and not (tmp_path / "cost.png").exists()


def test_a_picture_without_matplotlib_says_what_brings_it(tito: Tito, monkeypatch: pytest.MonkeyPatch) -> None:
    record("a", 1)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    answer = tito("resources", "cost", "--png", "cost.png")
    assert answer.status == 1 and 'pip install "tinytorch[report]"' in answer.err


def test_a_damaged_line_is_told_once_and_the_rest_is_listed(tito: Tito, folder: Path) -> None:
    record("a", 1)
    record("b", 1)
    path = folder / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"x"', 1))
    answer = tito("resources", "list")
    assert answer.status == 0 and "1 damaged line (1)" in answer.err and "\nb " in answer.out
    assert tito("resources", "list").err == ""


def test_the_cloud_is_asked_only_when_that_is_wanted(tito: Tito, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Resource(id="i-1", name="trainer", region="us-east-1", type="g5.xlarge", created=ledger.now() - timedelta(hours=2), tags={"team": "x"})
    asked: list[int] = []

    def providers() -> list[Provider]:
        asked.append(1)
        return [Provider("aws", machine)]

    monkeypatch.setattr(cloud, "_providers", providers)
    assert "Nothing is recorded here." in tito("resources", "list").out and not asked
    (found,) = reported(tito("resources", "list", "--cloud", "--json"))["records"]
    assert (found["id"], found["kind"], found["state"], found["cost"]) == ("i-1", "instance", "running", pytest.approx(2.012, abs=0.01))
    assert "instance  2 h 00 min  2.01 USD" in tito("resources", "cost").out and len(asked) == 1
    assert "trainer (i-1)" in tito("resources", "show", "i-1").out


def test_what_an_account_at_aws_has_is_listed_with_its_cost(tito: Tito, account: Account) -> None:  # noqa: F811
    tito("cloud", "volume", "create", "data", "--size", "730", "--project", "p")
    answer = tito("resources", "list", "--cloud", "--kind", "volume")
    assert answer.status == 0 and "data  running" in answer.out and "USD" in answer.out and "Name=data" in answer.out
    assert "at 0.080 USD an hour, which is 730 GB at 0.08 USD a GB-month" in tito("resources", "cost").out


@pytest.mark.parametrize("end", ["delete", "cleanup"])
def test_a_volume_is_known_from_its_making_to_its_removal(tito: Tito, account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: str) -> None:  # noqa: F811
    leave_the_test_session(monkeypatch)
    later, now = [0], ledger.now
    monkeypatch.setattr(ledger, "now", lambda: now() + timedelta(hours=later[0]))
    assert tito("init", "course").status == 0
    monkeypatch.chdir(tmp_path / "course")
    made = reported(tito("cloud", "volume", "create", "data", "--size", "730", "--json"))
    later[0] = 10
    (found,) = reported(tito("resources", "list", "--kind", "volume", "--json"))["records"]
    assert (found["id"], found["name"], found["state"], found["tags"], found["size_gb"]) == (made["id"], "data", "running", {"Name": "data", "tinytorch": "course"}, 730.0)
    assert found["cost"] == pytest.approx(0.8, abs=0.001) and "at 0.080 USD an hour, which is 730 GB" in tito("resources", "cost").out
    assert tito(*(("cloud", "volume", "delete", "data", "--yes") if end == "delete" else ("cleanup", "--cloud", "--only", "volume"))).status == 0
    assert end == "delete" or tito("cleanup", "--yes").status == 0
    later[0] = 20
    (found,) = reported(tito("resources", "list", "--kind", "volume", "--json"))["records"]
    assert found["state"] == "gone" and found["cost"] == pytest.approx(0.8, abs=0.001)
    assert "state    gone" in tito("resources", "show", made["id"]).out and account.volumes() == {}


def test_a_snapshot_is_known_and_its_price_is_not(tito: Tito, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    leave_the_test_session(monkeypatch)
    account.volume({"Name": "data", "tinytorch": "p"})
    tito("cloud", "volume", "snapshot", "data", "--project", "p")
    (found,) = reported(tito("resources", "list", "--json"))["records"]
    assert (found["kind"], found["name"], found["cost"]) == ("snapshot", "data", None) and "unknown" in tito("resources", "cost").out


def test_a_ledger_that_cant_be_written_undoes_no_volume_and_is_told(tito: Tito, account: Account, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    leave_the_test_session(monkeypatch)
    folder.write_text("in the way", "utf-8")
    answer = tito("cloud", "volume", "create", "data", "--size", "1", "--project", "p")
    (volume,) = account.volumes()
    assert answer.status == 0 and f"Made data: {volume}" in answer.out and f"That the volume {volume} was made isn't recorded: " in answer.err


def test_without_the_variable_nothing_is_recorded_of_a_volume(tito: Tito, account: Account, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    leave_the_test_session(monkeypatch)
    monkeypatch.setenv("TINYTORCH_RESOURCES", "off")
    monkeypatch.setattr(ledger, "folder", lambda: folder)
    assert tito("cloud", "volume", "create", "data", "--size", "1", "--project", "p").status == 0
    assert "Nothing is recorded here." in tito("resources", "list").out and not folder.exists()


def test_the_rate_of_what_has_a_size_is_explained(tito: Tito, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Resource(kind="volume", id="vol-1", region="us-east-1a", type="gp3", state="in-use", created=ledger.now(), size_gb=730.0)
    monkeypatch.setattr(cloud, "_providers", lambda: [Provider("aws", disk)])
    assert "(vol-1) at 0.080 USD an hour, which is 730 GB at 0.08 USD a GB-month; if it goes on, " in tito("resources", "cost", "--cloud").out


def test_a_pod_costs_what_its_provider_says_and_one_without_a_price_is_unknown(tito: Tito, monkeypatch: pytest.MonkeyPatch) -> None:
    began = ledger.now() - timedelta(hours=2)
    pods = [Resource(kind="pod", id=id, region="EU-RO-1", type="RTX 4090", state="RUNNING", created=began, usd_per_hour=dollars) for id, dollars in (("told", 0.69), ("silent", None))]
    monkeypatch.setattr(cloud, "_providers", lambda: [Provider("runpod", *pods)])
    found = {one["id"]: (one["cost"], one["currency"]) for one in reported(tito("resources", "list", "--cloud", "--json"))["records"]}
    assert found == {"told": (pytest.approx(1.38, abs=0.01), "USD"), "silent": (None, None)}
    answer = tito("resources", "cost")
    assert "Together: at least 1.38 USD" in answer.out and "The price of 1 of 2 isn't known: runpod/EU-RO-1/RTX 4090" in answer.out
    assert "Price: runpod/EU-RO-1/RTX 4090 0.69 USD an hour, 0 days old" in answer.out


def test_a_provider_that_cant_be_asked_is_told_and_the_status_is_1(tito: Tito, monkeypatch: pytest.MonkeyPatch) -> None:
    record("a", 1)
    monkeypatch.setattr(cloud, "_providers", lambda: [Provider("aws", error="no credentials")])
    answer = tito("resources", "cost", "--cloud")
    assert answer.status == 1 and "Not asked: aws: no credentials" in answer.err and "Together: 1.01 USD" in answer.out


def wait_until(is_so: Any) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@posix
def test_watch_prints_lines_without_a_terminal_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    tito = [sys.executable, "-m", "tito", "resources"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([*tito, "track", "--name", "sleeper", "--", *SLEEPS], env=environment, stderr=subprocess.DEVNULL) as tracker:
        wait_until(lambda: ledger.read().runs)
        with subprocess.Popen([*tito, "watch", "--interval", "0.1"], env=environment, stdout=subprocess.PIPE, encoding="utf-8") as watcher:
            assert watcher.stdout is not None
            lines = [watcher.stdout.readline() for _ in range(2)]
            watcher.send_signal(signal.SIGINT)
            assert watcher.wait(30) == 0
        tracker.terminate()
        assert tracker.wait(30) == 143
    assert all(re.search(r"running: sleeper \d+\.\d s \(\d+\.\d MB\); cost until now: unknown", line) for line in lines), lines


def test_watch_asks_the_cloud_at_first_and_not_at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinytorch.resources.selection import Selection
    from tito.commands import resources_watch

    asked: list[int] = []

    def providers() -> list[Provider]:
        asked.append(1)
        return [Provider("aws", Resource(id="i-1"))]

    monkeypatch.setattr(cloud, "_providers", providers)
    looks = resources_watch._looks(Selection(), cloud=True)
    assert [[charge.id for charge in next(looks)[1]] for _ in range(3)] == [["i-1"]] * 3 and len(asked) == 1


@on_a_terminal
def test_watch_draws_a_table_on_a_terminal_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    record("r", 1, host="another", ends=False, team="x")
    with Terminal(["resources", "watch", "--interval", "0.2"], cwd=tmp_path, environment=os.environ, columns=120) as terminal:
        terminal.wait_for("Ctrl-C ends this")
        terminal.type(CTRL_C)
        assert terminal.end() == 0
    assert "team=x" in terminal.text and "1.01 USD" in terminal.text


def test_ids_and_budgets_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    from tito import tab
    from tito.__main__ import tito as command

    record("abc", 1)
    ledger.append(["budget", "mine", {"amount": "1", "currency": "USD", "tags": {}, "per": "day"}])
    assert tab.answer(command, "bash", ["resources", "show", "a"]) == ["abc"]
    assert tab.answer(command, "bash", ["resources", "budget", "remove", ""]) == ["mine"]


def test_the_runs_of_another_machine_have_their_cost_here(tito: Tito, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    record("r", 2.0)
    folder.rename(tmp_path / "brought here")
    assert reported(tito("resources", "list", "--json"))["records"] == []
    answer = tito("resources", "merge", "brought here")
    assert answer.status == 0 and "Took in 1 run from brought here." in answer.out
    assert "brought here says nothing new of runs." in tito("resources", "merge", "brought here").out
    assert reported(tito("resources", "cost", "--json"))["total"]["amounts"] == {"USD": pytest.approx(2.012, abs=0.01)}
    refused = tito("resources", "merge", "elsewhere")
    assert refused.status == 1 and "elsewhere: there is no ledger" in refused.err
