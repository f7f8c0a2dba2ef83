from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from tests.unit.tinytorch.loading.conftest import SHARD_SAMPLES, Arrays
from tinytorch import loading
from tinytorch.errors import DataError
from tinytorch.loading import mapped


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


def test_warming_reads_all_and_tells_how_far_it_is(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    with loading.PreWarmed(folder, 32, report=lambda *at: told.append(at)) as loader:
        total = sum(path.stat().st_size for path in folder.glob("*.shard"))
        assert loader.wait() == total
        assert told[-1] == (total, total) and [done for done, _ in told] == sorted(done for done, _ in told)
        assert loader.wait() == total


def test_warming_reads_no_more_than_fits_into_free_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (folder / "00000.shard").stat().st_size
    monkeypatch.setattr(mapped, "free_memory", lambda: int(2.5 * size / 0.8))
    with loading.PreWarmed(folder) as loader:
        assert loader.wait() == 2 * size
        assert sorted(label for _, labels in loader for label in labels) == list(range(200))
    monkeypatch.setattr(mapped, "free_memory", lambda: None)
    with loading.PreWarmed(folder) as loader:
        assert loader.wait() > 2 * size


def test_batches_dont_wait_for_the_warming_of_other_shards(folder: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def report(done: int, total: int) -> None:
        reached.set()
        assert go_on.wait(10)

    with loading.PreWarmed(folder, 10, report=report) as loader:
        assert reached.wait(10)  # it holds shard 0 now
        batches = loader.batches(SHARD_SAMPLES // 10)
        assert next(batches)[1].tolist() == list(range(30, 40))
        go_on.set()
        batches.close()  # type: ignore[attr-defined]


def test_closing_ends_the_warming_in_the_middle_of_a_shard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "_PIECE", 100)
    reached, go_on = threading.Event(), threading.Event()

    def report(done: int, total: int) -> None:
        reached.set()
        assert go_on.wait(10)

    loader = loading.PreWarmed(folder, report=report)
    assert reached.wait(10)
    closing = threading.Thread(target=loader.close)
    closing.start()
    assert loader.source._warming and loader.source._warming.stopping.wait(10)
    go_on.set()
    closing.join()
    assert loader.wait() == 100


def test_an_error_in_the_report_ends_the_warming_and_is_told(folder: Path) -> None:
    with loading.PreWarmed(folder, 200, report=lambda done, total: 1 // 0) as loader:
        with pytest.raises(ZeroDivisionError):
            loader.wait()
        assert len(next(iter(loader))[1]) == 200


@pytest.mark.parametrize("change", ["shorter", "longer", "gone"])
def test_a_shard_of_another_length_is_named_when_the_folder_is_opened(folder: Path, change: str) -> None:
    path = folder / "00004.shard"
    data = path.read_bytes()
    path.unlink() if change == "gone" else path.write_bytes(data[:-1] if change == "shorter" else data + b"x")
    with pytest.raises(DataError, match=r"00004\.shard"):
        loading.PreWarmed(folder)


@pytest.mark.parametrize("warm", [False, True])
def test_a_damaged_shard_is_named_when_it_is_first_used_and_the_others_go_on(folder: Path, arrays: Arrays, warm: bool) -> None:
    damage(folder / "00003.shard")
    with loading.PreWarmed(folder, SHARD_SAMPLES, warm=warm, scale=False) as loader:
        batches = iter(loader)
        for number in range(3):
            assert np.array_equal(next(batches)[0], arrays.inputs[30 * number : 30 * number + 30])
        with pytest.raises(DataError, match=r"00003\.shard is damaged: its SHA-256 isn't the index's"):
            next(batches)
        assert len(list(loader.batches(4))) == 3
        if warm:
            with pytest.raises(DataError, match=r"00003\.shard is damaged"):
                loader.wait()


def test_without_verification_only_lengths_are_checked(folder: Path) -> None:
    damage(folder / "00003.shard")
    with loading.PreWarmed(folder, 200, verify=False) as loader:
        loader.wait()
        assert len(next(iter(loader))[0]) == 200


def test_a_shard_that_cant_be_read_is_named(folder: Path) -> None:
    with loading.PreWarmed(folder, 200, warm=False) as loader:
        (folder / "00003.shard").unlink()
        with pytest.raises(DataError, match=r"00003\.shard: No such file"):
            next(iter(loader))


@pytest.mark.parametrize(("change", "says"), [("gone", "No such file"), ("cut", "is damaged: 10 bytes"), ("empty", "is damaged: 0 bytes")])
def test_a_shard_that_changed_after_the_folder_was_opened_is_named(folder: Path, change: str, says: str) -> None:
    path = folder / "00003.shard"
    with loading.PreWarmed(folder, 200, warm=False, verify=False) as loader:
        path.unlink() if change == "gone" else path.write_bytes(bytes(10) if change == "cut" else b"")
        with pytest.raises(DataError, match=rf"00003\.shard(:)? {says}"):
            next(iter(loader))


def test_where_nothing_is_warmed_nothing_is_waited_for(folder: Path) -> None:
    with loading.PreWarmed(folder, warm=False) as loader:
        assert loader.wait() == 0


def test_a_place_in_the_network_cant_be_mapped() -> None:
    with pytest.raises(DataError, match="is not on this machine, and can't be mapped. Use LocalCache"):
        loading.PreWarmed("http://127.0.0.1:9")


def test_a_folder_without_shards_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"index\.json"):
        loading.PreWarmed(tmp_path / "nothing")


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_of_nothing_is_refused(folder: Path, window: int) -> None:
    with pytest.raises(ValueError, match="PreWarmed: window is the number of blocks"):
        loading.PreWarmed(folder, window=window)


def test_a_window_of_two_shards_has_no_sample_of_a_third_in_it(folder: Path) -> None:
    with loading.PreWarmed(folder, 200, shuffle=True, window=2, seed=1, warm=False) as loader:
        ((_, labels),) = loader
    shards = labels // SHARD_SAMPLES
    lengths = {6: 20}
    at = 0
    while at < 200:
        window = {int(s) for s in shards[at : at + 1]}
        end = at
        while end < 200 and len(window | {int(shards[end])}) <= 2:
            window.add(int(shards[end]))
            end += 1
        assert end - at == sum(lengths.get(shard, SHARD_SAMPLES) for shard in window)
        at = end
    assert not np.array_equal(np.sort(labels[:SHARD_SAMPLES]), labels[:SHARD_SAMPLES])


def test_shards_come_in_another_order_in_each_epoch(folder: Path) -> None:
    with loading.PreWarmed(folder, 200, shuffle=True, window=1, seed=1, warm=False) as loader:
        orders = [tuple(dict.fromkeys((labels // SHARD_SAMPLES).tolist())) for _ in range(3) for _, labels in loader]
    assert len(set(orders)) == 3 and all(sorted(order) == list(range(7)) for order in orders)
