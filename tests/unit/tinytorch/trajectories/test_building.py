"""A cache is built, interrupted, changed, damaged and built again."""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.tinytorch.trajectories.recordings import COLOURS, config, record
from tests.unit.tinytorch.trajectories.test_features import HUBCONF
from tinytorch.errors import ConfigError, DataError
from tinytorch.jobs import Item, Job
from tinytorch.trajectories import building, open_cache, synthetic
from tinytorch.trajectories.building import build, known_caches, recorded, reset
from tinytorch.trajectories.chunking import Limits

ROOT = Path(__file__).parents[4]
not_on_windows = pytest.mark.skipif(os.name == "nt", reason="Windows has other signals and rights")


def record_some(folder, *names, **options):
    for name in names:
        record(folder / "trajectories", name, **options)


def calls():
    """A function of features that notes how many frames it was called for."""
    seen = []

    def features(frames):
        seen.append(len(frames))
        return np.ones((len(frames), 2))

    return features, seen


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted((folder / "chunks").rglob("*")) if path.is_file()}


# --- once and again -----------------------------------------------------------------------------------------------


def test_every_form_is_cached_and_the_progress_file_has_its_keys(tmp_path):
    for form in synthetic.FORMS:
        record_some(tmp_path, f"as_{form}", form=form)
    built = build(config(tmp_path))
    assert (built.progress.done, built.progress.units, built.failed) == (4, 8, {})
    view = json.loads((tmp_path / "cache" / "progress.json").read_text("utf-8"))
    assert list(view) == [
        "dataset_name", "start_time", "last_update", "completed_trajectories", "failed_trajectories", "total_chunks",
        "processing_config", "trajectory_checksums",
    ]  # fmt: skip
    assert view["dataset_name"] == "trajectories" and view["total_chunks"] == 8
    assert view["processing_config"] == config(tmp_path).processing
    assert [len(checksum) for checksum in view["trajectory_checksums"].values()] == [16] * 4
    assert len(open_cache(tmp_path / "cache")) == 8


def test_what_is_done_is_not_done_again(tmp_path):
    record_some(tmp_path, "a", "b")
    features, seen = calls()
    build(config(tmp_path), features=features)
    record_some(tmp_path, "c")
    del seen[:]
    assert build(config(tmp_path), features=features).progress.done == 3
    assert sum(seen) == 5


def test_a_changed_trajectory_is_processed_again(tmp_path):
    record_some(tmp_path, "a", "b")
    build(config(tmp_path))
    before = contents(tmp_path / "cache")
    record_some(tmp_path, "b", count=40)
    built = build(config(tmp_path))
    after = contents(tmp_path / "cache")
    assert (built.progress.processed, built.progress.units) == (1, 2 + 13)
    assert {name for name in before if before[name] != after[name]} == {"chunks/b/index.json"} | {name for name in before if name.startswith("chunks/b/0001")}


def test_a_corrupt_and_an_immobile_trajectory_fail_alone(tmp_path):
    synthetic.synthesize(tmp_path / "trajectories", count=5, corrupted=1, immobile=1, forms=("hdf5", "npz"))
    built = build(config(tmp_path))
    assert (built.progress.done, built.progress.failed) == (3, 2)
    assert "can't be read" in built.failed["trajectory_with_corrupted_data"]
    assert "insufficient movement" in built.failed["trajectory_with_insufficient_movement"]
    again = build(config(tmp_path))
    assert again.progress.processed == 0 and again.failed == built.failed


def test_a_trajectory_that_became_corrupt_leaves_nothing_stale(tmp_path):
    record_some(tmp_path, "a", "b")
    build(config(tmp_path))
    (tmp_path / "trajectories" / "a.npz").write_bytes(b"PK")
    assert list(build(config(tmp_path)).failed) == ["a"]
    assert {chunk.trajectory for chunk in open_cache(tmp_path / "cache")} == {"b"}


@not_on_windows
@pytest.mark.parametrize("what", ["unreadable", "dangling"])
def test_a_trajectory_that_cant_be_read_fails_alone(tmp_path, what):
    record_some(tmp_path, "a", "b")
    path = tmp_path / "trajectories" / "a.npz"
    path.unlink()
    if what == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.mkdir()
    assert list(build(config(tmp_path)).failed) in (["a"], ["a.npz"])


def test_chunks_that_are_gone_are_made_again(tmp_path):
    record_some(tmp_path, "a", "b")
    build(config(tmp_path))
    before, told = contents(tmp_path / "cache"), []
    shutil.rmtree(tmp_path / "cache" / "chunks" / "a")
    built = build(config(tmp_path), notice=told.append)
    assert contents(tmp_path / "cache") == before
    assert (built.progress.processed, built.progress.units) == (1, 4)
    assert told == ["Trajectories are recorded as completed without chunks in the cache, and processed again: a"]


def test_a_trajectory_that_left_the_dataset_is_told_and_counted(tmp_path):
    record_some(tmp_path, "a", "b")
    build(config(tmp_path))
    (tmp_path / "trajectories" / "a.npz").unlink()
    told = []
    built = build(config(tmp_path), notice=told.append)
    assert (built.progress.done, built.progress.total) == (2, 2)
    assert "no longer in" in told[0] and ": a." in told[0]


def test_workers_build_the_same_cache(tmp_path):
    record_some(tmp_path, "a", "b", "c")
    build(config(tmp_path))
    alone = contents(tmp_path / "cache")
    build(config(tmp_path, cache_dir=tmp_path / "other", workers=2))
    assert contents(tmp_path / "other") == alone


def test_dino_builds_a_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "hubconf.py").write_text(HUBCONF, "utf-8")
    record_some(tmp_path, "a")
    dino = config(tmp_path, features="", dino_model_type="small", dino_repository=str(tmp_path / "hub"), image_size=28, device="cpu")
    build(dino)
    assert open_cache(tmp_path / "cache")[0].features.shape == (4, 5)
    record_some(tmp_path, "b")
    with pytest.raises(DataError, match="could not load dinov2_vitl14"):
        build(replace(dino, dino_model_type="large"), confirm=lambda old, new: True)
    assert recorded(tmp_path / "cache").failed == {}


# --- configuration ------------------------------------------------------------------------------------------------


def test_a_changed_configuration_is_refused_unless_confirmed(tmp_path):
    record_some(tmp_path, "a")
    build(config(tmp_path))
    record_some(tmp_path, "b")
    changed, asked = config(tmp_path, limits=Limits(max_chunk_distance_m=30.0)), []
    with pytest.raises(ConfigError, match="max_chunk_distance_m: 50.0 -> 30.0"):
        build(changed)
    built = build(changed, confirm=lambda old, new: asked.append((old["max_chunk_distance_m"], new["max_chunk_distance_m"])) or True)
    assert asked == [(50.0, 30.0)] and built.progress.processed == 1
    assert build(changed).progress.processed == 0


def test_force_rebuild_leaves_nothing_of_before(tmp_path):
    record_some(tmp_path, "a", "b")
    build(config(tmp_path))
    (tmp_path / "trajectories" / "a.npz").unlink()
    built = build(config(tmp_path, limits=Limits(max_chunk_distance_m=30.0), force_rebuild=True))
    assert (built.progress.done, built.progress.total) == (1, 1)
    assert {name.split("/")[1] for name in contents(tmp_path / "cache")} == {"b"}


@pytest.mark.parametrize("way", [{"force_rebuild": True}, {"enable_progress_tracking": False}], ids=["force", "no tracking"])
@pytest.mark.parametrize(
    "wrong", [{"features": "no_such_module:f"}, {"features": "", "dino_model_type": "large", "dino_repository": "."}], ids=["function", "network"]
)
def test_features_that_cant_be_had_cost_no_cache(tmp_path, monkeypatch, way, wrong):
    monkeypatch.chdir(tmp_path)  # a folder without a hubconf.py
    record_some(tmp_path, "a")
    build(config(tmp_path))
    before = contents(tmp_path / "cache")
    with pytest.raises((ConfigError, DataError), match="no_such_module|PyTorch Hub could not load"):
        build(config(tmp_path, **wrong, **way))
    assert contents(tmp_path / "cache") == before and list(recorded(tmp_path / "cache").done) == ["a"]


def test_without_progress_tracking_no_state_is_written_and_all_is_done_each_time(tmp_path):
    record_some(tmp_path, "a")
    build(config(tmp_path))
    record_some(tmp_path, "b")
    for _ in range(2):
        built = build(config(tmp_path, enable_progress_tracking=False))
        assert built.progress.processed == 2
        assert sorted(path.name for path in (tmp_path / "cache").iterdir() if path.suffix) == []
    assert len(open_cache(tmp_path / "cache")) == 4


# --- what can go wrong --------------------------------------------------------------------------------------------

BUILD = """
import sys
from pathlib import Path
from tests.unit.tinytorch.trajectories.recordings import config
from tinytorch.errors import TinyTorchError
from tinytorch.trajectories import build
try:
    built = build(config(Path(sys.argv[1]), features=sys.argv[2]))
    print(built.progress.done, built.progress.stopped)
except TinyTorchError as error:
    sys.exit(str(error))
"""


def child(folder, features=COLOURS, before=(), **environment):
    return subprocess.run(
        [*before, sys.executable, "-c", BUILD, str(folder), features], env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"} | environment,
        cwd=folder, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip


def sabotaged(folder, how):
    """A build of which a write into the cache, the one of that number, is the last."""
    return child(folder, PYTHONPATH=f"{ROOT / 'tests' / 'saboteur'}{os.pathsep}{ROOT}", SABOTAGE=f"{how}:{folder / 'cache'}")


@not_on_windows
def test_a_kill_at_any_write_costs_no_more_than_the_trajectory_in_hand(tmp_path):
    record_some(tmp_path, "a", "b", "c")
    build(config(tmp_path))
    expected = contents(tmp_path / "cache")
    killed, at = 0, 3
    while True:
        shutil.rmtree(tmp_path / "cache")
        done = sabotaged(tmp_path, f"kill:{at}")
        if done.returncode != -signal.SIGKILL:
            break
        killed, at = killed + 1, at + 7
        finished = len(recorded(tmp_path / "cache").done) if (tmp_path / "cache" / "journal.jsonl").exists() else 0
        assert build(config(tmp_path)).progress.processed == 3 - finished
        assert contents(tmp_path / "cache") == expected
    assert done.returncode == 0 and killed >= 3, done.stderr


@not_on_windows
def test_a_full_disk_stops_the_build_and_costs_nothing_that_is_finished(tmp_path):
    record_some(tmp_path, "a", "b", "c")
    counts = set()
    for at in range(8, 100, 8):
        done = sabotaged(tmp_path, f"full:{at}")
        if done.returncode == 0:
            break
        assert "No space left on device" in done.stderr and "Traceback" not in done.stderr
        finished = recorded(tmp_path / "cache")
        counts.add(len(finished.done))
        assert finished.failed == {}
        assert build(config(tmp_path)).progress.processed == 3 - len(finished.done)
        assert len(open_cache(tmp_path / "cache")) == 6 and open_cache(tmp_path / "cache").verify() == []
        shutil.rmtree(tmp_path / "cache")
    assert done.returncode == 0 and counts & {1, 2}


STOPPING = """
import os, signal
import numpy as np

def features(frames):
    os.kill(os.getpid(), signal.{signal})
    return np.ones((len(frames), 2))
"""


@not_on_windows
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_lets_the_trajectory_in_hand_be_finished(tmp_path, name):
    (tmp_path / "stopping.py").write_text(STOPPING.format(signal=name), "utf-8")
    record_some(tmp_path, "a", "b", count=4)
    done = child(tmp_path, features="stopping:features")
    assert done.stdout == f"1 {name}\n", done.stderr
    assert len(open_cache(tmp_path / "cache")) == 1


@not_on_windows
def test_a_cache_that_may_not_be_written_is_told_before_the_work(tmp_path):
    become = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-all"] if os.geteuid() == 0 else []
    record_some(tmp_path, "a")
    (tmp_path / "cache").mkdir(mode=0o555)
    done = child(tmp_path, before=become)
    assert done.returncode == 1 and "this cache can't be written to (Permission denied)" in done.stderr
    assert list((tmp_path / "cache").iterdir()) == []


def test_too_little_room_is_told_before_the_work(tmp_path, monkeypatch):
    record_some(tmp_path, "a")
    monkeypatch.setattr(building.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(1, 1, 5_000_000))
    with pytest.raises(DataError, match="5 MB are free, and at least 100 MB are needed"):
        build(config(tmp_path))


def test_a_cache_folder_that_is_a_file_is_told(tmp_path):
    record_some(tmp_path, "a")
    (tmp_path / "cache").touch()
    with pytest.raises(DataError, match="this cache can't be written to"):
        build(config(tmp_path))


@pytest.mark.parametrize("tracking", [True, False])
def test_two_builds_of_one_cache_are_refused(tmp_path, tracking):
    record_some(tmp_path, "a")

    def build_another(frames):
        with pytest.raises(DataError, match="another run is at work here"):
            build(config(tmp_path, enable_progress_tracking=tracking))
        return np.ones((len(frames), 2))

    assert build(config(tmp_path), features=build_another).failed == {}


# --- looking and resetting ----------------------------------------------------------------------------------------


def test_many_trajectories_are_told_as_a_number(tmp_path):
    record_some(tmp_path, *"abcdefg")
    build(config(tmp_path))
    shutil.rmtree(tmp_path / "cache" / "chunks")
    told = []
    build(config(tmp_path), notice=told.append)
    assert told[0].endswith("processed again: a, b, c, d, e, and 2 more")


@pytest.mark.parametrize("way", [recorded, lambda folder: build(config(folder.parent))], ids=["recorded", "build"])
def test_the_folder_of_another_job_is_no_cache(tmp_path, way):
    record_some(tmp_path, "a")
    Job(tmp_path / "cache", config={"tests": "sha"}).run([Item("student", "sum")], lambda item: 1)
    with pytest.raises(DataError, match="cache: what is recorded there is another kind of work"):
        way(tmp_path / "cache")
    assert list(Job(tmp_path / "cache").record().done) == ["student"]


def test_a_progress_file_that_is_nested_too_deeply_is_told(tmp_path):
    (tmp_path / "progress.json").write_text("[" * 100_000, "utf-8")
    with pytest.raises(DataError, match="progress.json: it can't be used: it is nested too deeply"):
        recorded(tmp_path)
    assert known_caches(tmp_path) == []


def test_reset_has_everything_processed_again_and_takes_the_chunks_if_asked(tmp_path):
    record_some(tmp_path, "a")
    build(config(tmp_path))
    reset(tmp_path / "cache", chunks=False)
    assert recorded(tmp_path / "cache").done == {} and len(open_cache(tmp_path / "cache")) == 2
    reset(tmp_path / "cache", chunks=True)
    assert not (tmp_path / "cache" / "chunks").exists()
    assert build(config(tmp_path)).progress.processed == 1


def test_caches_are_found_below_a_folder_in_the_data_cache_and_where_they_were_built(tmp_path, data_cache):
    record_some(tmp_path, "a")
    here, there, elsewhere = tmp_path / "root" / "deep" / "one", data_cache / "two", tmp_path / "three"
    for folder in (here, there, elsewhere):
        build(config(tmp_path, cache_dir=folder))
    other = tmp_path / "root" / "grades"
    other.mkdir()
    (other / "progress.json").write_text('{"processing_config": {}, "trajectory_checksums": {}}', "utf-8")
    (tmp_path / "root" / "progress.json").write_text("{", "utf-8")
    assert known_caches(tmp_path / "root") == sorted([here, there, elsewhere])
    shutil.rmtree(elsewhere)
    (data_cache / "trajectory-caches.json").write_text("{", "utf-8")
    assert known_caches(tmp_path / "root") == sorted([here, there])


def test_a_data_cache_that_cant_be_written_is_no_reason_not_to_build(tmp_path, data_cache):
    record_some(tmp_path, "a")
    data_cache.touch()
    assert build(config(tmp_path)).progress.done == 1
