"""`tito data`: what it says, and that it says nothing wrong."""
from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Tito
from tests.cli.terminal import CTRL_C, Terminal
from tests.unit.tinytorch.datasets.conftest import GOOD, HEAD, entry, packed, put, text_dataset
from tests.unit.tinytorch.server import Drop, Server, Stall
from tito import pictures, render

DATA = "".join(f"line {n} of the text\n" for n in range(20_000)).encode()
ROOT = Path(__file__).parents[2]

on_a_terminal = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals of this kind")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TINYTORCH_DATA_MIRROR", "TINYTORCH_DATASETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TINYTORCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that has the dataset `text`."""
    with Server() as server:
        (tmp_path / "own.toml").write_text(text_dataset(DATA, server.put("text.txt", DATA, etag='"1"')), "utf-8")
        monkeypatch.setenv("TINYTORCH_DATASETS", str(tmp_path / "own.toml"))
        yield server


def text_file(cache: Path) -> Path:
    return cache / "datasets" / "text" / "text.txt"


def test_list_says_what_is_here(tito: Tito, server: Server, cache: Path):
    rows = {line.split()[0]: line for line in tito("data", "list").out.splitlines()}
    assert list(rows) == ["name", "digits", "mnist", "fashion-mnist", "cifar10", "tinyshakespeare", "text"]
    assert "bundled" in rows["digits"] and "162.2 MB  no" in rows["cifar10"] and " no " in rows["text"]
    tito("data", "download", "text")
    assert " yes " in tito("data", "list").out.splitlines()[-1]
    facts = {entry["name"]: entry for entry in json.loads(tito("data", "list", "--json").out)["datasets"]}
    assert facts["text"]["here"] == ["text.txt"] and facts["mnist"]["here"] == [] and facts["mnist"]["samples"] == {"train": 60000, "test": 10000}


def test_a_part_is_told_in_the_list(tito: Tito, server: Server, cache: Path):
    text_file(cache).parent.mkdir(parents=True)
    text_file(cache).with_name("text.txt.part").write_bytes(DATA[:102_400])
    assert "100.0 KB of it" in tito("data", "list").out


def test_download_says_where_from_how_far_and_where_to(tito: Tito, server: Server, cache: Path):
    server.plan(Drop(200_000))
    answer = tito("data", "download", "text")
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0] == f"text/text.txt: 438.4 KB, from {server.url}text.txt"
    assert lines[-2:] == ["text/text.txt: complete, checksum right", f"text is in {text_file(cache).parent}"]
    assert text_file(cache).read_bytes() == DATA
    assert tito("data", "download", "text").out == f"text/text.txt: is here\ntext is in {text_file(cache).parent}\n"


def test_a_large_file_is_told_of_every_quarter_once(capsys: pytest.CaptureFixture[str]):
    from tinytorch.datasets.fetch import Progress
    from tito import transfers

    with transfers.shown() as report:
        for arrived in range(0, 41, 2):
            report(Progress("a/b", "receiving", arrived << 20, 40 << 20, "there"))
        report(Progress("a/b", "done", 40 << 20, 40 << 20))
    assert capsys.readouterr().out.splitlines() == [
        "a/b: 40.0 MB, from there", "a/b: 10.0 MB of 40.0 MB", "a/b: 20.0 MB of 40.0 MB", "a/b: 30.0 MB of 40.0 MB", "a/b: complete, checksum right",
    ]  # fmt: skip


def test_quiet_is_quiet(tito: Tito, server: Server):
    assert tito("data", "download", "--quiet", "text").both == ""


def test_a_download_that_fails_exits_1_and_says_what_to_do(tito: Tito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server):
    (tmp_path / "own.toml").write_text(text_dataset(DATA, server.url + "nowhere"), "utf-8")
    answer = tito("data", "download", "--quiet", "text")
    assert answer.status == 1 and answer.out == ""
    assert answer.err.startswith(f"Error: text lacks 1 of 1 files:\n  text.txt (438.4 KB)\nTried:\n  {server.url}nowhere: the server answered 404 Not Found\n")


@pytest.mark.parametrize("command", ["download", "show", "verify", "path", "clean"])
def test_a_wrong_name_is_a_wrong_command_line(tito: Tito, command: str):
    answer = tito("data", command, "CIFAR-10")
    assert answer.status == 2 and "Did you mean 'cifar10'?" in answer.err and not answer.out


def test_a_broken_registry_is_told_with_its_line(tito: Tito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own.toml").write_text("[mine]\ntitel = 1\n", "utf-8")
    monkeypatch.setenv("TINYTORCH_DATASETS", str(tmp_path / "own.toml"))
    answer = tito("data", "list")
    assert answer.status == 1 and "own.toml:2: mine: there is no key 'titel'. Did you mean title?" in answer.err


def test_verify_names_what_is_damaged_and_what_to_do(tito: Tito, server: Server, cache: Path):
    assert tito("data", "verify").status == 0
    assert tito("data", "verify", "text").status == 1, "it was named, and is missing"
    tito("data", "download", "text")
    assert tito("data", "verify").out.splitlines()[2].split() == ["text", "text.txt", "whole"]
    text_file(cache).write_bytes(DATA[:-1] + b"!")
    answer = tito("data", "verify")
    assert answer.status == 1 and answer.out.splitlines()[2].split() == ["text", "text.txt", "damaged"]
    assert answer.out.endswith("text: tito data download text\n")
    facts = json.loads(tito("data", "verify", "text", "--json").out)
    assert facts == {"whole": False, "datasets": {"text": [{"path": str(text_file(cache)), "state": "damaged"}]}}


def test_a_damaged_array_costs_no_download(tito: Tito, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    head = HEAD.format(name="rec", reader="records", shape=[3, 2, 2])
    members = 'samples = {train = 4, test = 2}\nmembers = {train = ["d/1.bin", "d/2.bin"], test = ["d/t.bin"]}\n'
    (tmp_path / "own.toml").write_text(head + members + entry("rec", packed(GOOD), name="r.tar.gz"), "utf-8")
    monkeypatch.setenv("TINYTORCH_DATASETS", str(tmp_path / "own.toml"))
    put(cache / "datasets" / "rec", {"r.tar.gz": packed(GOOD)})
    tito("data", "show", "rec")
    (array,) = (cache / "datasets" / "rec").glob("train-labels-*.npy")
    array.write_bytes(array.read_bytes()[:-1] + b"\x01")
    answer = tito("data", "verify")
    assert answer.status == 1 and answer.out.endswith(f"\n\nrec: delete this file, which is made again when it is needed: {array}\n")
    array.unlink()
    assert tito("data", "verify").status == 0


def test_path_prints_the_folder_only(tito: Tito, cache: Path):
    assert tito("data", "path", "mnist").both == f"{cache / 'datasets' / 'mnist'}\n"


def test_clean_shows_and_does_nothing_without_somebody_to_ask(tito: Tito, server: Server, cache: Path):
    tito("data", "download", "text")
    answer = tito("data", "clean")
    assert answer.status == 1 and "text.txt  438.4 KB" in answer.out and "In a script: tito data clean --yes" in answer.err
    assert text_file(cache).exists()
    assert tito("data", "clean", "text", "--yes").out.endswith("Removed 1 file, 438.4 KB.\n") and not text_file(cache).exists()
    assert tito("data", "clean").out == "There is nothing to remove.\n"


def test_clean_unfinished_leaves_what_is_whole(tito: Tito, server: Server, cache: Path):
    tito("data", "download", "text")
    part = text_file(cache).with_name("text.txt.part")
    part.write_bytes(b"x")
    assert "text.txt.part" in tito("data", "clean", "--unfinished", "--yes").out
    assert text_file(cache).exists() and not part.exists()


def test_show_a_text(tito: Tito, server: Server):
    missing = tito("data", "show", "text")
    assert missing.status == 1 and "Get it with: tito data download text" in missing.err
    tito("data", "download", "text")
    answer = tito("data", "show", "text")
    assert f"{len(DATA):,} characters" in answer.out and "  line 0 of the text\n" in answer.out
    assert answer.status == 0 and answer.out.endswith("  line 7 of the text\n"), "there is nothing to draw"
    assert json.loads(tito("data", "show", "text", "--json").out)["lines"] == 20_000
    assert tito("data", "show", "text", "--png", "x.png").status == 2


def test_show_images_in_characters(tito: Tito):
    answer = tito("data", "show", "digits")
    assert answer.status == 0 and "\n0      178\n" in answer.out and "train: 1,797 images of 8 x 8, values 0 to 16, mean 4.88" in answer.out
    assert "0         1         2 " in answer.out and "@" in answer.out and "\x1b" not in answer.out
    assert json.loads(tito("data", "show", "digits", "--json").out)["splits"]["train"]["classes"]["3"] == 183


def test_show_writes_a_png(tito: Tito, tmp_path: Path):
    pytest.importorskip("PIL")
    answer = tito("data", "show", "digits", "--png", str(tmp_path / "digits.png"))
    assert answer.out.endswith(f"mean 4.88\n\nWrote {tmp_path / 'digits.png'}\n"), "it isn't drawn as well"
    assert (tmp_path / "digits.png").read_bytes()[:4] == b"\x89PNG"


def test_a_half_block_is_two_pixels(monkeypatch: pytest.MonkeyPatch):
    import numpy as np
    from rich.console import Console

    console = Console(record=True, width=40, file=open(os.devnull, "w"), force_terminal=True, color_system="truecolor")  # noqa: SIM115, PTH123
    monkeypatch.setattr(render, "is_colourful", lambda: True)
    monkeypatch.setattr(render, "console", lambda: console)
    monkeypatch.setattr(pictures, "_can_print", lambda text: True)
    pictures.show(np.array([[[[1, 2, 3]], [[4, 5, 6]]]], np.uint8), ["a"])
    console.file.close()
    assert "\x1b[38;2;1;2;3;48;2;4;5;6m\N{UPPER HALF BLOCK}" in console.export_text(styles=True)


def environment(**more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TITO_NONINTERACTIVE")}
    return inherited | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | more


@on_a_terminal
def test_bars_on_a_terminal_with_rate_and_time(server: Server, tmp_path: Path, cache: Path):
    with Terminal(["data", "download", "text"], cwd=tmp_path, environment=environment()) as terminal:
        assert terminal.end() == 0
        assert "text.txt" in terminal.text and "438.4 KB of 438.4 KB" in terminal.text and "done" in terminal.text and "\x1b[" in terminal.seen
    assert text_file(cache).read_bytes() == DATA


@on_a_terminal
def test_ctrl_c_says_how_to_go_on(server: Server, tmp_path: Path, cache: Path):
    server.always(Stall(100_000))
    with Terminal(["data", "download", "text"], cwd=tmp_path, environment=environment()) as terminal:
        terminal.wait_for("97.7 KB of 438.4 KB")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert "Stopped. What has arrived is kept; to go on: tito data download text" in terminal.text and "Traceback" not in terminal.text
    assert text_file(cache).with_name("text.txt.part").read_bytes() == DATA[:100_000]


@on_a_terminal
def test_clean_asks_and_enter_means_no(server: Server, tito: Tito, tmp_path: Path, cache: Path):
    tito("data", "download", "text")
    for typed, status, stays in (("\n", 1, True), ("y\n", 0, False)):
        with Terminal(["data", "clean"], cwd=tmp_path, environment=environment()) as terminal:
            terminal.wait_for("[y/N]: ")
            terminal.type(typed)
            assert terminal.end() == status and text_file(cache).exists() is stays


@on_a_terminal
@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"PYTHONIOENCODING": "ascii"}], ids=["colour", "NO_COLOR", "ascii"])
def test_pictures_fit_any_terminal(tmp_path: Path, variables: dict[str, str]):
    with Terminal(["data", "show", "digits"], cwd=tmp_path, environment=environment(**variables), columns=60) as terminal:
        assert terminal.end() == 0
        drawn = terminal.text.partition("mean 4.88")[2]
        assert ("\N{UPPER HALF BLOCK}" in drawn) is (variables == {}) and ("@" in drawn) is (variables != {})
        assert max(map(len, drawn.splitlines())) <= 60


def test_path_loads_nothing_that_downloads():
    code = "import sys; from tito.__main__ import main; main(['data', 'path', 'mnist']); print([n for n in ('requests', 'tenacity', 'PIL', 'rich') if n in sys.modules])"
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.splitlines()[-1] == "[]"
