from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.unit.tinytorch.loading.conftest import AT_ONCE, SHARD_SAMPLES, Arrays
from tests.unit.tinytorch.loading.range_server import RangeServer
from tinytorch import loading
from tinytorch.errors import DataError
from tinytorch.loading.shards import read_index
from tinytorch.loading.stores import FolderStore, open_store
from tinytorch.loading.streamed import StreamedShards


class Watched(FolderStore):
    """A folder that counts what is read, and does something before."""

    def __init__(self, path: Path, before: Callable[[str], None] = lambda name: None) -> None:
        super().__init__(path)
        self.before = before
        self.reads: list[str] = []
        self.bytes = 0

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        self.reads.append(name)
        self.before(name)
        data = super().read(name, start, end)
        self.bytes += len(data)
        return data


def labels_of(loader: loading.Loader) -> list[int]:
    return [int(label) for _, labels in loader for label in labels]


def kept(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.suffix == ".shard"]


def used(cache: Path) -> int:
    """Bytes of all files, also of those that are being written."""
    total = 0
    for path in cache.iterdir():
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "a cache"


def test_each_shard_is_fetched_once_and_then_kept_also_for_another_process(folder: Path, cache: Path) -> None:
    store = Watched(folder)
    loader = loading.LocalCache(store, 16, shuffle=True, cache=cache)
    for _ in range(3):
        assert sorted(labels_of(loader)) == list(range(200))
    assert sorted(store.reads) == sorted(["index.json", *(path.name for path in folder.glob("*.shard"))])
    again = Watched(folder)
    assert len(labels_of(loading.LocalCache(again, 16, cache=cache))) == 200
    assert again.reads == ["index.json"]


def test_the_cache_never_holds_more_than_its_limit(folder: Path, cache: Path) -> None:
    limit = 3 * (folder / "00000.shard").stat().st_size
    cache.mkdir()
    store = Watched(folder, lambda name: sizes.append(used(cache)))
    sizes: list[int] = []
    loader = loading.LocalCache(store, 16, shuffle=True, cache=cache, limit=limit, window=1)
    for _ in range(3):
        assert sorted(labels_of(loader)) == list(range(200))
        sizes.append(used(cache))
    assert max(sizes) <= limit and len(kept(cache)) >= 2


def test_what_no_room_can_be_made_for_is_used_and_not_kept(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where a file that is in use can't be removed."""

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "in use", str(self))

    limit = 2 * (folder / "00000.shard").stat().st_size
    loader = loading.LocalCache(folder, 16, cache=cache, limit=limit, window=1)
    monkeypatch.setattr(Path, "unlink", refuse)
    assert labels_of(loader) == list(range(200))
    assert len(kept(cache)) == 2 and used(cache) <= limit


def test_what_was_used_least_recently_goes_first(folder: Path, cache: Path) -> None:
    size = (folder / "00000.shard").stat().st_size
    loader = loading.LocalCache(folder, SHARD_SAMPLES, cache=cache, limit=3 * size, workers=1)
    index = read_index(open_store(folder))
    take = loader.source.take  # type: ignore[attr-defined]
    for shard in (0, 1, 2):
        take(np.array([shard * SHARD_SAMPLES]))
    loader.close()  # forgets what it has open
    take(np.array([0]))
    take(np.array([3 * SHARD_SAMPLES]))
    assert {path.stem for path in kept(cache)} == {index.shards[shard].sha256 for shard in (0, 2, 3)}


def test_a_limit_below_the_largest_shard_is_refused(folder: Path, cache: Path) -> None:
    with pytest.raises(DataError, match=r"its largest shard has \d+ bytes, more than the cache's limit of 100"):
        loading.LocalCache(folder, cache=cache, limit=100)


def test_a_damaged_file_in_the_cache_is_fetched_again(folder: Path, cache: Path) -> None:
    labels_of(loading.LocalCache(folder, 16, cache=cache))
    for number, path in enumerate(kept(cache)):
        path.write_bytes([b"", b"short", bytes(path.stat().st_size)][number % 3])
    store = Watched(folder)
    assert labels_of(loading.LocalCache(store, 16, cache=cache)) == list(range(200))
    assert len(store.reads) == 8


def test_a_damaged_file_in_a_cache_that_may_only_be_read_is_told(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    labels_of(loading.LocalCache(folder, 16, cache=cache))
    kept(cache)[0].write_bytes(b"x")
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(DataError, match=r"shards can't be kept here \(Permission denied\)"):
        labels_of(loading.LocalCache(folder, 16, cache=cache))


def test_a_damaged_shard_at_its_source_is_named_and_not_kept(folder: Path, cache: Path) -> None:
    path = folder / "00002.shard"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=r"00002\.shard is damaged"):
        labels_of(loading.LocalCache(folder, 16, cache=cache))
    assert read_index(open_store(folder)).shards[2].sha256 not in {path.stem for path in kept(cache)}


def test_what_a_killed_process_left_is_removed(folder: Path, cache: Path) -> None:
    cache.mkdir()
    (cache / ".abc.shard.0123abcd.tmp").write_bytes(bytes(10_000))
    labels_of(loading.LocalCache(folder, 16, cache=cache))
    assert list(cache.glob(".*.tmp")) == []


def test_a_cache_that_cant_be_made_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(DataError, match=r"file: shards can't be kept here .* Name another folder with cache="):
        loading.LocalCache(folder, cache=tmp_path / "file")


def test_the_default_cache_is_below_the_variable(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYTORCH_CACHE", str(tmp_path / "named"))
    labels_of(loading.LocalCache(folder, 16))
    assert len(kept(tmp_path / "named" / "shards")) == 7


READER = """
import sys
from tinytorch import loading
folder, cache, limit, seed = sys.argv[1:]
loader = loading.LocalCache(folder, 7, shuffle=True, cache=cache, limit=int(limit), window=2, seed=int(seed))
for epoch in range(6):
    assert sorted(int(label) for _, labels in loader for label in labels) == list(range(200))
loader.close()
print("whole")
"""


def test_two_processes_evict_what_the_other_reads_and_both_get_everything(folder: Path, cache: Path) -> None:
    limit = 3 * (folder / "00000.shard").stat().st_size
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, str(folder), str(cache), str(limit), seed], stdout=subprocess.PIPE, encoding="utf-8")
        for seed in "12"
    ]
    assert [reader.communicate(timeout=60)[0] for reader in readers] == ["whole\n"] * 2
    assert sum(path.stat().st_size for path in kept(cache)) <= limit


def test_who_wants_a_shard_at_the_same_time_fetches_it_once(folder: Path, cache: Path) -> None:
    together = threading.Barrier(2)
    store = Watched(folder)
    loaders = [loading.LocalCache(store, 16, cache=cache) for _ in range(2)]
    found: list[list[int]] = []

    def read(loader: loading.Loader) -> None:
        together.wait(10)
        found.append(labels_of(loader))

    readers = [threading.Thread(target=read, args=(loader,)) for loader in loaders]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert found == [list(range(200))] * 2
    assert sorted(store.reads) == ["00000.shard", *(f"0000{n}.shard" for n in range(1, 7)), "index.json", "index.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_full_disk_is_told_and_leaves_the_cache_whole(folder: Path, cache: Path) -> None:
    program = FULL + "loader = loading.LocalCache(sys.argv[1], 16, cache=sys.argv[2])\nlist(loader)\n"
    done = subprocess.run([sys.executable, "-c", program, str(folder), str(cache)], capture_output=True, encoding="utf-8", check=False)
    assert "shards can't be kept here (File too large)" in done.stderr.splitlines()[-1]
    assert [path for path in cache.iterdir() if not path.name.endswith(".lock")] == []
    assert len(labels_of(loading.LocalCache(folder, 16, cache=cache))) == 200


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_full_disk_is_told_to_a_writer_and_leaves_no_dataset(tmp_path: Path) -> None:
    program = FULL + "import numpy as np\nloading.write_shards(sys.argv[1], np.zeros((1000, 8)))\n"
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "s")], capture_output=True, encoding="utf-8", check=False)
    assert done.stderr.splitlines()[-1].endswith("s: the shards can't be written (File too large)")
    assert [path.name for path in (tmp_path / "s").iterdir()] in ([".lock"], [])


FULL = """
import resource, signal, sys
from tinytorch import loading
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_reader_that_is_killed_leaves_a_cache_that_works(folder: Path, cache: Path) -> None:
    program = READER.replace("for epoch in range(6):", "import os, signal, threading\nthreading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()\nwhile True:")
    limit = str(2 * (folder / "00000.shard").stat().st_size)
    done = subprocess.run([sys.executable, "-c", program, str(folder), str(cache), limit, "1"], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert sorted(labels_of(loading.LocalCache(folder, 7, cache=cache, limit=int(limit)))) == list(range(200))


ENDLESS = """
import sys, time
from tinytorch import loading
place, cache, strategy = sys.argv[1:]
options = {"cache": cache} if strategy == "LocalCache" else {}
loader = getattr(loading, strategy)(place, 7, shuffle=True, prefetch=2, **options)
print("begun", flush=True)
while True:
    for batch in loader:
        time.sleep(0.001)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("strategy", ["PreWarmed", "LocalCache", "DirectS3"])
def test_an_interrupt_ends_a_program_at_once(folder: Path, cache: Path, strategy: str) -> None:
    program = [sys.executable, "-c", ENDLESS, str(folder), str(cache), strategy]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as running:
        assert running.stdout and running.stdout.readline() == "begun\n"
        running.send_signal(signal.SIGINT)
        _, error = running.communicate(timeout=30)
    assert error.rstrip().endswith("KeyboardInterrupt") and running.returncode == -signal.SIGINT


# --- from a server ------------------------------------------------------------------------------------------------


@pytest.fixture(params=["LocalCache", "DirectS3"])
def over_http(request: pytest.FixtureRequest, server: RangeServer, cache: Path) -> Iterator[loading.Loader]:
    store = open_store(server.url, retry=AT_ONCE)
    options = {"shuffle": True, "seed": 1, "scale": False, "window": 2}
    if request.param == "LocalCache":
        # one worker: else all would be fetched before the tests let the server fail
        loader: loading.Loader = loading.LocalCache(store, 32, cache=cache, workers=1, **options)  # type: ignore[arg-type]
    else:
        loader = loading.DirectS3(store, 32, block_bytes=10 * 56, **options)  # type: ignore[arg-type]
    yield loader
    loader.close()


def test_samples_arrive_whole_over_connections_that_drop(
    over_http: loading.Loader, server: RangeServer, arrays: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinytorch.loading.stores._PIECE", 10)
    server.drops = [20] * 9
    server.statuses = [503]
    columns = [np.concatenate(column) for column in zip(*over_http, strict=True)]
    assert sorted(columns[1]) == list(range(200))
    assert np.array_equal(columns[0], arrays.inputs[columns[1]])


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_server_that_fails_in_the_middle_is_told_and_the_next_epoch_works(over_http: loading.Loader, server: RangeServer, prefetch: int) -> None:
    over_http.prefetch = prefetch
    batches = iter(over_http)
    next(batches)
    server.statuses = [500] * 60
    with pytest.raises(DataError, match="answered 500"):
        list(batches)
    server.statuses = []
    assert sorted(labels_of(over_http)) == list(range(200))


def test_nothing_is_kept_and_each_byte_is_read_once(folder: Path) -> None:
    store = Watched(folder)
    loader = loading.DirectS3(store, 32, shuffle=True, block_bytes=10 * 56)
    store.bytes = 0
    labels_of(loader)
    assert store.bytes == 200 * 56
    labels_of(loader)
    assert store.bytes == 2 * 200 * 56


def test_a_server_without_ranges_is_told_to_direct_reads_and_suits_a_cache(server: RangeServer, cache: Path) -> None:
    server.ranges = False
    with loading.DirectS3(server.url, 32) as direct, pytest.raises(DataError, match="Use LocalCache, which fetches whole shards"):
        labels_of(direct)
    with loading.LocalCache(server.url, 32, cache=cache) as cached:
        assert labels_of(cached) == list(range(200))


# --- threads --------------------------------------------------------------------------------------------------------


def test_no_more_is_fetched_ahead_than_there_are_workers(folder: Path, cache: Path) -> None:
    store = Watched(folder)
    loader = loading.LocalCache(store, SHARD_SAMPLES, cache=cache, workers=2)
    batches = iter(loader)
    next(batches)
    batches.close()  # type: ignore[attr-defined]  # waits for what is being fetched
    assert {"index.json", "00000.shard"} <= set(store.reads) <= {"index.json", "00000.shard", "00001.shard", "00002.shard"}


def test_shards_are_fetched_at_the_same_time(folder: Path, cache: Path) -> None:
    together = threading.Barrier(3)
    met = []

    def wait(name: str) -> None:
        if name in ("00000.shard", "00001.shard", "00002.shard"):
            met.append(together.wait(10))

    loader = loading.LocalCache(Watched(folder, wait), SHARD_SAMPLES, cache=cache, workers=3)
    next(iter(loader))
    assert sorted(met) == [0, 1, 2]


@pytest.mark.parametrize("prefetch", [0, 1])
def test_stopping_early_doesnt_wait_for_another_try(server: RangeServer, prefetch: int) -> None:
    """The server asks for a pause of a minute, which the default policy would keep."""
    loader = loading.DirectS3(server.url, 10, block_bytes=10 * 56, workers=1, prefetch=prefetch)
    server.retry_after, server.statuses = 60, [200, 200] + [503] * 100  # the first block's inputs and labels arrive
    batches = iter(loader)
    next(batches)
    assert server.refused.wait(10)
    ending = threading.Thread(target=batches.close)  # type: ignore[attr-defined]
    ending.start()
    ending.join(10)
    assert not ending.is_alive()
    loader.close()


def test_a_block_is_let_go_after_its_last_sample(folder: Path) -> None:
    source = loading.DirectS3(folder, block_bytes=10 * 56, workers=1).source
    epoch = source.epoch(np.arange(200))
    epoch.take(np.arange(5))
    assert 0 in epoch.futures  # type: ignore[attr-defined]
    epoch.take(np.arange(5, 10))
    assert 0 not in epoch.futures  # type: ignore[attr-defined]
    epoch.end()


@pytest.mark.parametrize("options", [{"workers": 0}, {"window": 0}], ids=str)
def test_wrong_numbers_are_named(folder: Path, cache: Path, options: dict[str, int]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"LocalCache: {name} is"):
        loading.LocalCache(folder, cache=cache, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"DirectS3: {name} is"):
        loading.DirectS3(folder, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="DirectS3: block_bytes is at least 1"):
        loading.DirectS3(folder, block_bytes=0)


@pytest.mark.parametrize("strategy", [loading.LocalCache, loading.DirectS3])
def test_a_loader_that_cant_be_made_leaves_no_connection(folder: Path, monkeypatch: pytest.MonkeyPatch, strategy: type[loading.Loader]) -> None:
    closed = []
    store = Watched(folder)
    monkeypatch.setattr(store, "close", lambda: closed.append(True))
    monkeypatch.setattr("tinytorch.loading.stores.open_store", lambda place: store)
    monkeypatch.setenv("TINYTORCH_CACHE", str(folder / "cache"))
    with pytest.raises(ValueError, match="batch_size"):
        strategy(str(folder), batch_size=0)  # type: ignore[arg-type]
    assert closed == [True]


def test_samples_outside_of_an_epoch_are_fetched_when_asked_for(folder: Path, arrays: Arrays, cache: Path) -> None:
    indices = np.array([199, 0, 45, 45])
    for loader in (loading.LocalCache(folder, cache=cache), loading.DirectS3(folder)):
        source = loader.source
        assert isinstance(source, StreamedShards)
        inputs, labels = source.take(indices)
        assert np.array_equal(inputs, arrays.inputs[indices]) and labels.tolist() == indices.tolist()
        loader.close()
