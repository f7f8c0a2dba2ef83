"""Datasets get into the cache once, whole, from wherever they are, and a failure says what to do."""
from __future__ import annotations

import _thread
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.unit.tinytorch.datasets.conftest import QUICK, TIMEOUT, entry, noise, text_dataset
from tests.unit.tinytorch.server import Drop, Fault, Server, Stall
from tinytorch import datasets
from tinytorch.datasets import cache as caching
from tinytorch.datasets import downloading, registry
from tinytorch.datasets.fetch import Progress
from tinytorch.errors import ConfigError, DataError

DATA = b"To be, or not to be\n" * 10_000
ROOT = Path(__file__).parents[4]

not_on_windows = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL, and no limits on files")


def download(*names: str, told: list[Progress] | None = None, **options: object) -> list[Path]:
    return downloading.download(names or ["text"], policy=QUICK, timeout=TIMEOUT, report=(told if told is not None else []).append, **options)  # type: ignore[arg-type]


def process(*lines: str, before: str = "", **more: str) -> subprocess.Popen[str]:
    """Another process that downloads the dataset `text`."""
    code = f"import sys\nfrom tinytorch.datasets import downloading\n{before}\n" + "\n".join(lines or ["downloading.download(['text'])"])
    return subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)} | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def published(cache: Path) -> Path:
    return cache / "datasets" / "text" / "text.txt"


def test_a_dataset_comes_with_all_its_files(server: Server, own_registry, cache: Path):
    parts = {f"{split}-{part}.gz": noise(1000, seed) for seed, (split, part) in enumerate((s, p) for s in ("train", "test") for p in ("images", "labels"))}
    tables = [entry("idx", data, name=name, split=name.partition("-")[0], part=name.partition("-")[2][:-3]) for name, data in parts.items()]
    head = '[idx]\ntitle = "t"\nreader = "idx"\nlicence = "l"\ncitation = "c"\nshape = [1]\nclasses = ["a"]\nsamples = {train = 1, test = 1}\n'
    own_registry(head + f'mirrors = ["{server.url}"]\n', *tables)
    for name, data in parts.items():
        server.put(name, data)
    told: list[Progress] = []
    assert download("idx", told=told) == [cache / "datasets" / "idx"]
    assert {path.name: path.read_bytes() for path in (cache / "datasets" / "idx").iterdir()} == parts
    assert {now.file for now in told if now.state == "done"} == {f"idx/{name}" for name in parts}
    assert len(server.asked) == 4


def test_what_is_here_is_not_fetched_again(server: Server, own_registry):
    own_registry(text_dataset(DATA, server.put("a", DATA)))
    download()
    told: list[Progress] = []
    download(told=told)
    assert len(server.asked) == 1 and [now.state for now in told] == ["present"]


def test_what_is_damaged_is_fetched_again(server: Server, own_registry, cache: Path):
    own_registry(text_dataset(DATA, server.put("a", DATA)))
    download()
    published(cache).write_bytes(DATA[:-1] + b"!")
    download()
    assert published(cache).read_bytes() == DATA


def test_bundled_data_needs_nothing(cache: Path):
    assert download("digits") == [caching.folder(registry.dataset("digits"))]
    assert not cache.exists()


def test_load_downloads_only_when_told(server: Server, own_registry):
    own_registry(text_dataset(DATA, server.put("a", DATA)))
    with pytest.raises(DataError, match=r"text is not downloaded: text\.txt is missing from .*Get it with: tito data download text"):
        datasets.load("text")
    assert server.asked == []
    assert datasets.load("text", download=True).text == DATA.decode()


def test_mirrors_come_first_by_dataset_and_file(server: Server, own_registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    own_registry(text_dataset(DATA, server.put("origin", DATA)))
    server.put("second/text/text.txt", DATA)
    monkeypatch.setenv("TINYTORCH_DATA_MIRROR", f"{tmp_path / 'nowhere'}, {server.url}first/, {server.url}second")
    download()
    assert [asked.path for asked in server.asked] == ["first/text/text.txt", "second/text/text.txt"]


@pytest.mark.parametrize("form", ["path", "file"])
def test_somebody_elses_cache_is_a_mirror(own_registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path, form: str):
    own_registry(text_dataset(DATA, "http://127.0.0.1:1/a"))
    theirs = tmp_path / "a stick" / "datasets"
    (theirs / "text").mkdir(parents=True)
    (theirs / "text" / "text.txt").write_bytes(DATA)
    monkeypatch.setenv("TINYTORCH_DATA_MIRROR", str(theirs) if form == "path" else theirs.as_uri())
    download()
    assert published(cache).read_bytes() == DATA


def test_a_mirror_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TINYTORCH_DATA_MIRROR", "s3://bucket/data")
    with pytest.raises(ConfigError, match="TINYTORCH_DATA_MIRROR: s3://bucket/data can't be fetched from"):
        download("mnist")


def test_without_a_network_one_error_says_what_to_bring_and_where(own_registry, cache: Path):
    own_registry(text_dataset(DATA, "http://127.0.0.1:1/a"), text_dataset(DATA, "http://127.0.0.1:1/b", name="more"))
    with pytest.raises(DataError) as raised:
        download("text", "more")
    said = str(raised.value)
    for part in (
        "text lacks 1 of 1 files:\n  text.txt (195.3 KB)\nTried:\n  http://127.0.0.1:1/a: Connection refused\n", "more lacks 1 of 1",
        f"  http://127.0.0.1:1/b\n  into {cache / 'datasets' / 'more'}, and then run: tito data verify more",
        "TINYTORCH_DATA_MIRROR name a folder, also as file://, that has text/text.txt in it", "goes on from there",
    ):  # fmt: skip
        assert part in said, said


def test_a_file_brought_by_hand_is_used(own_registry, cache: Path):
    own_registry(text_dataset(DATA, "http://127.0.0.1:1/a"))
    published(cache).parent.mkdir(parents=True)
    published(cache).write_bytes(DATA)
    assert datasets.load("text").text == DATA.decode()
    download()


def test_a_disk_without_room_is_told_before(server: Server, own_registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    own_registry(text_dataset(DATA, server.put("a", DATA)))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100_000))
    with pytest.raises(DataError, match=r"text needs 195\.3 KB \(195\.3 KB to download, 0\.0 KB unpacked\), and 97\.7 KB are free at .*TINYTORCH_CACHE=DIR"):
        download()
    assert server.asked == []
    with pytest.raises(DataError, match=r"cifar10 needs 338\.4 MB \(162\.2 MB to download, 176\.2 MB unpacked\)"):
        download("cifar10")


def test_room_for_what_is_here_already_is_not_asked_for(own_registry, monkeypatch: pytest.MonkeyPatch, server: Server):
    own_registry(text_dataset(DATA, server.put("a", DATA)))
    download()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    download()


def test_room_is_asked_for_what_is_still_to_come(server: Server, own_registry, monkeypatch: pytest.MonkeyPatch, cache: Path):
    """Not for a part that is here, nor for the arrays of a dataset that is."""
    own_registry(text_dataset(DATA, server.put("a", DATA)))
    published(cache).parent.mkdir(parents=True)
    published(cache).with_name("text.txt.part").write_bytes(DATA[:100_000])
    mnist = registry.dataset("mnist")
    caching.folder(mnist).mkdir()
    for file in mnist.files:
        with (caching.folder(mnist) / file.name).open("wb") as sparse:
            sparse.truncate(file.size)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=len(DATA) - 100_000))
    downloading._check_room([mnist, registry.dataset("text")])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=len(DATA) - 100_001))
    with pytest.raises(DataError, match="text needs"):
        downloading._check_room([mnist, registry.dataset("text")])


# --- a cache that can't be used -------------------------------------------------------------------------------------


def test_a_cache_that_is_a_file_is_told(own_registry, cache: Path):
    own_registry(text_dataset(DATA, "http://127.0.0.1:1/a"))
    cache.write_text("", "utf-8")
    with pytest.raises(DataError, match=rf"the cache {re.escape(str(cache))} can't be written to: .*TINYTORCH_CACHE=DIR"):
        download()


@not_on_windows
def test_a_cache_that_may_only_be_read_is_used_and_a_download_into_it_is_told(server: Server, own_registry, cache: Path):
    own_registry(text_dataset(DATA, server.put("a", DATA)), text_dataset(DATA, server.put("b", DATA), name="more"))
    download()
    folders = [cache, *(path for path in cache.rglob("*") if path.is_dir())]
    for path in (*folders, *cache.rglob("*.*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    # root may write anyway, unless it gives up that capability
    become = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-all"] if os.geteuid() == 0 else []
    code = "from tinytorch import datasets; datasets.download(['text']); print(len(datasets.load('text').text)); datasets.download(['more'])"
    done = subprocess.run([*become, sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    for folder in folders:
        folder.chmod(0o755)
    assert done.stdout == f"{len(DATA)}\n"
    assert f"DataError: the cache {cache} can't be written to: Permission denied" in done.stderr


# --- several at once ------------------------------------------------------------------------------------------------


def test_two_processes_at_once_download_once(server: Server, own_registry, cache: Path):
    """The second one says that it waits, and uses what the first one got."""
    first_is_on, second_waits = threading.Event(), threading.Event()

    def hold(server: Server) -> None:
        first_is_on.set()
        second_waits.wait(30)

    server.plan(Fault(before=hold))
    own_registry(text_dataset(DATA, server.put("a", DATA)))
    with process() as first:
        assert first_is_on.wait(30)
        with process("downloading.download(['text'], report=lambda now: print(now.state, flush=True))") as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "waiting\n"
            second_waits.set()
            assert set(second.stdout.read().split()) <= {"waiting", "present"}
    assert (first.returncode, second.returncode) == (0, 0)
    assert published(cache).read_bytes() == DATA and len(server.asked) == 1


def test_at_most_four_files_come_at_the_same_time(server: Server, own_registry):
    most, now, lock = 0, 0, threading.Lock()
    full = threading.Barrier(downloading.AT_ONCE)

    def meet(server: Server) -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        full.wait(30)  # until four are here: a fifth would be seen
        with lock:
            now -= 1

    server.always(Fault(before=meet))
    own_registry(*(text_dataset(DATA, server.put(f"{n}", DATA), name=f"text{n}") for n in range(8)))
    download(*(f"text{n}" for n in range(8)))
    assert most == 4


def test_a_failure_of_one_file_leaves_the_others(server: Server, own_registry, cache: Path):
    own_registry(text_dataset(DATA, server.url + "nowhere"), text_dataset(DATA, server.put("b", DATA), name="more"))
    with pytest.raises(DataError, match="text lacks") as raised:
        download("text", "more")
    assert "more lacks" not in str(raised.value)
    assert (cache / "datasets" / "more" / "text.txt").read_bytes() == DATA


# --- interrupted ----------------------------------------------------------------------------------------------------


@not_on_windows
def test_kills_at_random_instants_lose_nothing(server: Server, own_registry, cache: Path):
    """Ten times killed, the next one goes on: what was there is not fetched again, and never is a part published."""
    data = noise(4_000_000)
    own_registry(text_dataset(data, server.put("a", data)))
    instants = random.Random(1)
    for _ in range(10):
        server.plan(Stall(instants.randrange(100_000, 600_000)))
        sent = server.sent
        with process() as killed:
            waits_until(lambda before=sent: server.sent > before or killed.poll() is not None)
            time.sleep(instants.random() * 0.05)  # anywhere in what it does with the bytes
            killed.kill()
            killed.communicate()
        assert not published(cache).exists() or published(cache).read_bytes() == data
    download()
    assert published(cache).read_bytes() == data and sorted(path.name for path in published(cache).parent.iterdir()) == ["text.txt"]
    assert server.sent < len(data) + 10 * 600_000


def waits_until(condition, seconds: float = 30) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


@not_on_windows
@pytest.mark.parametrize("at", range(9, 23))  # folders and locks are made before
def test_a_kill_at_any_write_leaves_a_part_or_the_file(server: Server, own_registry, cache: Path, at: int):
    own_registry(text_dataset(DATA, server.put("a", DATA, etag='"1"')))
    sabotage = {"SABOTAGE": f"kill:{at}:{cache}", "PYTHONPATH": f"{ROOT / 'tests' / 'saboteur'}{os.pathsep}{ROOT}"}
    with process(**sabotage) as killed:
        killed.communicate()
    assert killed.returncode in (0, -signal.SIGKILL)
    assert not published(cache).exists() or published(cache).read_bytes() == DATA
    download()
    assert published(cache).read_bytes() == DATA
    assert {path.name for path in caching.leftovers(registry.dataset("text"))} <= {"text.txt.part.json"}


@not_on_windows
def test_a_disk_that_fills_up_keeps_the_part(server: Server, own_registry, cache: Path):
    """A limit on the size of files stands for the disk."""
    own_registry(text_dataset(DATA, server.put("a", DATA)))
    with process(before="import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))") as limited:
        _, said = limited.communicate()
    assert "the disk is full: 97.7 KB of text.txt have arrived and are kept in" in said and "goes on from there" in said
    assert published(cache).with_name("text.txt.part").read_bytes() == DATA[:100_000]
    download()
    assert published(cache).read_bytes() == DATA and server.asked[-1].range == "bytes=100000-"


@not_on_windows
def test_an_interrupt_ends_it_at_once_also_while_nothing_comes(server: Server, own_registry, cache: Path):
    server.always(Stall(1000))
    own_registry(text_dataset(DATA, server.put("a", DATA)))
    with process(before="import signal; signal.signal(signal.SIGINT, signal.default_int_handler)") as interrupted:
        waits_until(lambda: published(cache).with_name("text.txt.part").exists() and published(cache).with_name("text.txt.part").stat().st_size == 1000)
        interrupted.send_signal(signal.SIGINT)
        _, said = interrupted.communicate(timeout=10)
    assert "KeyboardInterrupt" in said


def test_an_interrupt_ends_the_threads_of_a_program_that_goes_on(server: Server, own_registry):
    """As in a notebook."""
    own_registry(text_dataset(DATA, server.put("a", DATA)))
    server.plan(Drop(1000, before=lambda server: _thread.interrupt_main()))
    server.always(Drop(1000))
    with pytest.raises(KeyboardInterrupt):
        download()
    # join would come back at once: Python 3.11 takes a thread for ended whose join was interrupted
    waits_until(lambda: not any(thread.name.startswith("tinytorch-download") for thread in threading.enumerate()))
    assert len(server.asked) < len(DATA) / 1000 / 2


def test_a_dropped_connection_is_told_and_gone_on_from(server: Server, own_registry):
    told: list[Progress] = []
    server.plan(Drop(50_000), Drop(0))
    own_registry(text_dataset(DATA, server.put("a", DATA)))
    download(told=told)
    assert [now.arrived for now in told if now.state == "retrying"] == [50_000]
    assert all(now.arrived <= len(DATA) == now.size for now in told if now.state == "receiving")
