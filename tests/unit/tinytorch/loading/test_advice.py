from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.unit.tinytorch.loading.conftest import Arrays
from tests.unit.tinytorch.loading.range_server import RangeServer
from tinytorch import loading
from tinytorch.errors import DataError
from tinytorch.loading import machine
from tinytorch.loading.advice import Facts, advise

GIB = 2**30
LOCAL = Facts("shards", "local", "shards", 10 * GIB, 10**6, 160, GIB // 16, 16 * GIB, 100 * GIB, 4)


@pytest.mark.parametrize(
    "change, strategy, parameters",
    [
        ({"nbytes": 4 * GIB}, "InMemory", {"prefetch": 2}),
        ({"nbytes": 4 * GIB, "cores": 1}, "InMemory", {"prefetch": 0}),
        ({}, "PreWarmed", {"prefetch": 2}),
        ({"nbytes": 100 * GIB}, "PreWarmed", {"prefetch": 2, "window": 64}),
        ({"memory": None}, "PreWarmed", {"prefetch": 2, "window": 8}),
        ({"kind": "network", "nbytes": GIB}, "InMemory", {"prefetch": 2}),
        ({"kind": "network"}, "LocalCache", {"workers": 4, "window": 4, "prefetch": 2, "limit": 10 * GIB}),
        ({"kind": "s3", "nbytes": GIB}, "LocalCache", {"workers": 4, "window": 4, "prefetch": 2, "limit": GIB}),
        ({"kind": "s3", "nbytes": 1000 * GIB}, "LocalCache", {"workers": 4, "window": 4, "prefetch": 2, "limit": 80 * GIB}),
        ({"kind": "s3", "throughput": 1e6}, "LocalCache", {"workers": 8, "window": 4, "prefetch": 2, "limit": 10 * GIB}),
        ({"kind": "s3", "epochs": 1}, "DirectS3", {"workers": 4, "window": 4, "prefetch": 2}),
        ({"kind": "http", "epochs": 1, "ranges": False}, "LocalCache", {"workers": 4, "window": 4, "prefetch": 2, "limit": 10 * GIB}),
        ({"kind": "s3", "disk": GIB // 2}, "DirectS3", {"workers": 4, "window": 4, "prefetch": 2}),
        # 12 shards are in use at a time, 768 MiB, and four fifths of the free disk are used
        ({"kind": "s3", "disk": 959 * 2**20}, "DirectS3", {"workers": 4, "window": 4, "prefetch": 2}),
        ({"kind": "s3", "disk": 960 * 2**20}, "LocalCache", {"workers": 4, "window": 4, "prefetch": 2, "limit": 768 * 2**20}),
    ],
    ids=["small", "one-core", "fits", "large", "unknown-memory", "small-mount", "mount", "s3", "s3-large", "slow", "once", "no-ranges", "no-disk", "hardly-disk", "just-disk"],
)  # fmt: skip
def test_the_strategy_follows_from_size_memory_and_place(change: dict[str, object], strategy: str, parameters: dict[str, int]) -> None:
    advice = advise(replace(LOCAL, **change))  # type: ignore[arg-type]
    assert (advice.strategy, advice.parameters) == (strategy, parameters)
    assert all(reason.endswith(".") and "{" not in reason for reason in advice.reasons) and len(advice.reasons) >= 2


def test_reasons_have_the_numbers_they_stand_on() -> None:
    reasons = " ".join(advise(replace(LOCAL, kind="s3", nbytes=1000 * GIB, throughput=1e6)).reasons)
    assert "has 1,000 GiB, and 16 GiB of memory are free" in reasons
    assert "measured at 977 KiB a second" in reasons and "8 threads" in reasons and "80 GiB fit" in reasons
    assert "2 GiB are assumed" in " ".join(advise(replace(LOCAL, memory=None)).reasons)
    assert advise(replace(LOCAL, kind="http")).reasons[1].startswith("It comes from a web server and fits on this machine's disk")
    assert "The samples of each shard are" in advise(replace(LOCAL, memory=0)).reasons[-1]


def test_advice_about_shards_in_a_folder_makes_its_loader(folder: Path, tmp_path: Path) -> None:
    advice = loading.recommend(folder, cache=tmp_path / "not yet" / "cache")
    assert (advice.strategy, advice.facts.samples, advice.facts.shards) == ("InMemory", 200, 7)
    assert not (tmp_path / "not yet").exists()
    with advice.loader(32, shuffle=True, seed=1) as loader:
        assert sorted(label for _, labels in loader for label in labels) == list(range(200))


@pytest.mark.parametrize("epochs, ranges, strategy", [(None, True, "LocalCache"), (1, True, "DirectS3"), (1, False, "LocalCache")])
def test_advice_about_a_server_makes_its_loader(
    server: RangeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int | None, ranges: bool, strategy: str
) -> None:
    monkeypatch.setenv("TINYTORCH_CACHE", str(tmp_path / "cache"))
    server.ranges = ranges
    advice = loading.recommend(server.url, epochs=epochs, measure=True)
    assert advice.strategy == strategy and advice.facts.kind == "http" and advice.facts.ranges is ranges
    assert advice.facts.throughput and advice.facts.throughput > 0
    with advice.loader(32) as loader:
        assert type(loader).__name__ == strategy
        assert len(list(loader)) == 7


def test_every_strategy_can_be_made_from_advice(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYTORCH_CACHE", str(tmp_path / "cache"))
    known = loading.recommend(folder).facts
    for change in ({"memory": known.nbytes * 2}, {"memory": 1}, {"kind": "network", "memory": 1}, {"kind": "network", "memory": 1, "epochs": 1}):
        with advise(replace(known, **change)).loader(64) as loader:  # type: ignore[arg-type]
            assert len(list(loader)) == 4


def test_an_array_file_that_is_small_is_loaded_and_a_large_one_has_to_become_shards(tmp_path: Path, arrays: Arrays) -> None:
    np.save(tmp_path / "x.npy", arrays.inputs)
    advice = loading.recommend(tmp_path / "x.npy")
    assert (advice.strategy, advice.facts.form, advice.facts.samples) == ("InMemory", "array", 200)
    assert len(list(advice.loader(100))) == 2
    large = advise(replace(advice.facts, memory=1))
    assert "write_shards" in " ".join(large.reasons) and "x-shards" in large.call()
    with pytest.raises(DataError, match="isn't in the shard format. Write it as shards first"):
        large.loader()


def test_a_folder_of_other_files_has_to_become_shards(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "1.jpg").write_bytes(bytes(1000))
    advice = loading.recommend(tmp_path)
    assert (advice.facts.form, advice.facts.nbytes) == ("files", 1000)
    assert "It isn't in the shard format" in " ".join(advice.reasons)


@pytest.mark.parametrize("name", ["nothing", "empty", "x.txt", "broken.npy", "objects.npy", "zip.npy", "archive.npy", "number.npy"])
def test_what_is_no_data_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.txt").write_text("x", "utf-8")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY\x01")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "number.npy", np.float64(1))
    (tmp_path / "zip.npy").write_bytes(b"PK\x03\x04")
    with (tmp_path / "archive.npy").open("wb") as file:
        np.savez(file, np.zeros(3))
    with pytest.raises(DataError, match=rf"^{re.escape(str(tmp_path / name))}(:| is neither| is no array)"):
        loading.recommend(tmp_path / name)


def test_importing_the_package_loads_nothing_that_only_some_need() -> None:
    heavy = {"boto3", "filelock", "platformdirs", "requests", "rich", "tenacity", "torch"}
    program = f"import sys, tinytorch.loading; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "[]\n"


def test_the_machine_says_how_much_memory_is_free() -> None:
    free = machine.free_memory()
    assert free is None or free > 2**20


@pytest.mark.parametrize(
    "limit, current, free", [("500000", "100000", 410_000), ("max", "100000", 1_024_000), ("500000", "600000", 0), ("9000000", "0", 1_024_000)],
    ids=["limit", "none", "full", "more-than-the-machine"],
)  # fmt: skip
def test_a_container_limit_counts_without_files_that_can_go(monkeypatch: pytest.MonkeyPatch, limit: str, current: str, free: int) -> None:
    files = {
        "/sys/fs/cgroup/memory.max": f"{limit}\n", "/sys/fs/cgroup/memory.current": f"{current}\n",
        "/sys/fs/cgroup/memory.stat": "anon 5\ninactive_file 10000\n",
    }  # fmt: skip
    monkeypatch.setattr(machine.Path, "read_text", lambda self, *_, **__: files[self.as_posix()])  # type: ignore[attr-defined]
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1_024_000))
    assert machine.free_memory() == free


def test_free_memory_that_nobody_tells_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError("no /proc")

    monkeypatch.setattr("psutil.virtual_memory", fails)
    assert machine.free_memory() is None


def test_where_nobody_lists_mounts_only_network_paths_of_windows_are_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(self: Path, *_: object, **__: object) -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(machine.Path, "read_text", fails)  # type: ignore[attr-defined]
    assert not machine.is_network_mount(tmp_path)
    assert machine.is_network_mount(Path("\\\\server\\share\\data"))


def test_a_mounted_network_is_told_from_a_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = tmp_path.resolve()
    mounts = f"/dev/vda / ext4 rw 0 0\nserver:/x {str(there / 'a b').replace(' ', chr(92) + '040')} nfs4 rw 0 0\n"
    monkeypatch.setattr(machine.Path, "read_text", lambda self, *_, **__: mounts)  # type: ignore[attr-defined]
    assert machine.is_network_mount(there / "a b" / "data")
    assert not machine.is_network_mount(there / "a")
