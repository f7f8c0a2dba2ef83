"""`tito data cache ...`: what is printed, and with which status; the work itself: tests/unit/tinytorch/trajectories."""
from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import distributed
import pytest

from tests.cli.conftest import Tito
from tests.cli.terminal import CTRL_C, Terminal
from tests.cli.test_manners import on_a_terminal
from tests.unit.tinytorch.trajectories.recordings import COLOURS, record
from tinytorch.jobs import Progress
from tinytorch.trajectories.reading import checksum
from tito.commands import data_cache

ROOT = Path(__file__).parents[2]
FOUR = {"max_chunk_distance_m": 50.0, "overlap_distance_m": 1.0, "min_chunk_distance_m": 0.3, "dino_model_type": "large"}
FAILED = ["trajectory_with_corrupted_data", "trajectory_with_insufficient_movement", "traj_151", "traj_152", "traj_153"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The working directory: a project with a configuration, and an emoji in its name."""
    folder = tmp_path / "my project \N{CAMERA}"
    (folder / "config" / "data").mkdir(parents=True)
    configure(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TINYTORCH_CACHE", str(tmp_path / "data cache"))
    return folder


def configure(folder, **more):
    facts = {"dataset": "../../trajectories", "cache_dir": "../../cache", "features": COLOURS} | more
    lines = [f"{key}: {value}\n" for key, value in facts.items()]
    (folder / "config" / "data" / "dino_cache.yaml").write_text("".join(lines), "utf-8")


def record_some(folder, *names, **options):
    for name in names:
        record(folder / "trajectories", name, **options)


def environment(folder, **more):
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"} | more


BUILD = ("data", "cache", "build", "--config", "config/data/dino_cache.yaml")
SHOW = ("data", "cache", "show", "--cache-dir", "cache")


def write_progress(folder, completed, failed, config=FOUR, checksums=None):
    at = time.mktime((2022, 1, 10, 15, 30, 45, 0, 0, -1))
    folder.mkdir(exist_ok=True)
    (folder / "progress.json").write_text(json.dumps({
        "dataset_name": "example_dataset", "start_time": at - 9000.0, "last_update": at, "completed_trajectories": completed,
        "failed_trajectories": failed, "total_chunks": 1250, "processing_config": config, "trajectory_checksums": checksums or {},
    }), "utf-8")  # fmt: skip


# --- word for word ------------------------------------------------------------------------------------------------


def test_show_prints_the_block_word_for_word(here: Path, tito: Tito):
    write_progress(here / "cache", [f"traj_{number:03}" for number in range(1, 151)], FAILED)
    assert tito(*SHOW).out == """\
Progress Status for cache
============================================================
Dataset: example_dataset
Completed trajectories: 150
Failed trajectories: 5
Total chunks generated: 1250
Processing time: 2.5 hours
Last update: Mon Jan 10 15:30:45 2022

Processing Configuration:
  max_chunk_distance_m: 50.0
  overlap_distance_m: 1.0
  min_chunk_distance_m: 0.3
  dino_model_type: large

Failed Trajectories (5):
  - traj_151
  - traj_152
  - traj_153
  - trajectory_with_corrupted_data
  - trajectory_with_insufficient_movement
"""


def test_a_resumed_build_prints_the_lines_word_for_word(here: Path, tito: Tito):
    names = [f"traj_{number:03}" for number in range(1, 501)]
    for name in names:
        record_some(here, name, count=2)
    sums = {name: checksum(here / "trajectories" / f"{name}.npz") for name in names[:150]}
    write_progress(here / "cache", names[:150], [], FOUR | {"features": "stopping:features", "feature_dtype": "float16"}, sums)
    for name in names[:150]:
        (here / "cache" / "chunks" / name).mkdir(parents=True)
        (here / "cache" / "chunks" / name / "index.json").write_text('{"version": 1, "chunks": []}', "utf-8")
    done = stopped(here)
    assert done.stdout == """\
Loaded existing progress: 150 trajectories completed
Resuming processing: 150/500 trajectories completed
Remaining trajectories: 350
Progress: 151/500 trajectories (30.2%), 1251 chunks, 2.5h elapsed

Stopped by SIGINT; what is finished is recorded. To go on: tito data cache build --config config/data/dino_cache.yaml
""", done.stderr
    assert done.returncode == 130


def stopped(here: Path, *options: str, **more: object) -> subprocess.CompletedProcess[str]:
    """A build that is interrupted in its first trajectory."""
    (here / "stopping.py").write_text(
        "import os, signal\nfrom tinytorch.trajectories.features import colour_means\n"
        "def features(frames):\n    os.kill(os.getpid(), signal.SIGINT)\n    return colour_means(frames)\n", "utf-8"
    )  # fmt: skip
    configure(here, features="stopping:features", **more)
    return subprocess.run([sys.executable, "-m", "tito", *BUILD, *options], env=environment(here), capture_output=True, encoding="utf-8", check=False)


def test_a_build_that_was_stopped_goes_on_with_the_options_it_had(here: Path):
    record_some(here, "a", "b")
    done = stopped(here, "--cache-dir", "a cache", "--workers", "0", "--metrics", "m.prom", "--force-rebuild")
    assert done.stdout.endswith(
        "\nStopped by SIGINT; what is finished is recorded. To go on: "
        "tito data cache build --config config/data/dino_cache.yaml --cache-dir 'a cache' --workers 0 --metrics m.prom\n"
    )


def test_a_build_without_progress_tracking_that_was_stopped_has_nothing_to_go_on_from(here: Path):
    record_some(here, "a", "b")
    done = stopped(here, enable_progress_tracking=False)
    assert done.stdout.endswith("\nStopped by SIGINT; nothing is recorded. To begin again: tito data cache build --config config/data/dino_cache.yaml\n")


AT_150 = Progress(total=500, done=150, failed=5, units=1250, processed=3, seconds=9000.0, rate=None, remaining=None, stopped=None)


def test_the_periodic_line_is_word_for_word():
    assert data_cache._line(AT_150) == "Progress: 150/500 trajectories (30.0%), 1250 chunks, 2.5h elapsed"


@pytest.mark.parametrize(("every", "printed"), [(0.0, [150, 151, 151]), (1000.0, [151])], ids=["now", "later"])
def test_without_a_terminal_the_line_is_printed_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, every, printed):
    monkeypatch.setattr(data_cache, "_EVERY", every)
    with data_cache._Watcher(Path("cache")) as watcher:
        for progress in (replace(AT_150, done=0, failed=0), AT_150, replace(AT_150, done=151)):
            watcher.report(progress)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "Processing 500 trajectories into cache"
    assert [line.partition("/")[0] for line in lines] == [f"Progress: {done}" for done in printed]


# --- build --------------------------------------------------------------------------------------------------------


def test_a_build_says_what_failed_and_has_status_1(here: Path, tito: Tito):
    record_some(here, "a", "b")
    record_some(here, "still", step=0.0)
    for expected in ("Processing 3 trajectories into", "Loaded existing progress: 2 trajectories completed\nResuming processing: 2/3"):
        answer = tito(*BUILD)
        assert answer.status == 1 and answer.out.startswith(expected)
        assert re.search(r"\nFailed Trajectories \(1\):\n  - still\n      DataError: .*insufficient movement: 0\.00 m", answer.out)
    record_some(here, "still", step=20.0)
    answer = tito(*BUILD)
    assert (answer.status, answer.err) == (0, "") and answer.out.endswith("Progress: 3/3 trajectories (100.0%), 6 chunks, 0.0h elapsed\n")


def test_the_cache_folder_can_be_given(here: Path, tito: Tito):
    record_some(here, "a")
    assert tito(*BUILD, "--cache-dir", "somewhere else").status == 0
    assert (here / "somewhere else" / "chunks" / "a").is_dir() and not (here / "cache").exists()


def test_a_build_can_be_followed_by_other_programs(here: Path, tito: Tito):
    record_some(here, "a")
    record_some(here, "still", step=0.0)
    tito(*BUILD, "--log-json", "log.jsonl", "--metrics", "cache.prom")
    events = [json.loads(line) for line in (here / "log.jsonl").read_text("utf-8").splitlines()]
    assert [event["event"] for event in events] == ["started", "done", "failed", "ended"]
    assert (events[1]["item"], events[1]["value"], events[3]["failed"]) == ("a", 2, 1)
    assert 'tinytorch_job_items{job="trajectories",state="done"} 1' in (here / "cache.prom").read_text("utf-8")


@pytest.mark.parametrize(
    ("line", "says"),
    [("dino_model_typ: small", "yaml:4: there is no key 'dino_model_typ'"), ("workers: -1", "yaml:4: workers must be a whole number")],
)
def test_a_wrong_configuration_changes_nothing(here: Path, tito: Tito, line: str, says: str):
    record_some(here, "a")
    with Path("config/data/dino_cache.yaml").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    answer = tito(*BUILD)
    assert (answer.status, answer.out) == (1, "") and says in answer.err
    assert not (here / "cache").exists()


def test_a_function_that_isnt_there_changes_nothing(here: Path, tito: Tito):
    record_some(here, "a")
    configure(here, features="no_such_module:f")
    answer = tito(*BUILD)
    assert (answer.status, answer.out) == (1, "") and "No module named 'no_such_module'" in answer.err
    assert not (here / "cache").exists()


def test_a_missing_configuration_is_a_wrong_command_line(tito: Tito):
    assert tito("data", "cache", "build", "--config", "no.yaml").status == 2


def test_a_changed_configuration_is_refused_where_nobody_can_answer(here: Path, tito: Tito):
    record_some(here, "a")
    tito(*BUILD)
    configure(here, max_chunk_distance_m=30)
    answer = tito(*BUILD)
    assert answer.status == 1 and "max_chunk_distance_m: 50.0 -> 30.0" in answer.err
    assert "--force-rebuild" in answer.err and "tito data cache reset" in answer.err
    assert tito(*BUILD, "--force-rebuild").status == 0
    assert tito(*BUILD).status == 0


@on_a_terminal
@pytest.mark.parametrize(("typed", "status"), [("\r", 1), ("n\r", 1), ("y\r", 0)], ids=["enter", "no", "yes"])
def test_a_changed_configuration_asks_on_a_terminal(here: Path, tito: Tito, typed: str, status: int):
    record_some(here, "a")
    tito(*BUILD)
    configure(here, max_chunk_distance_m=30)
    record_some(here, "b")
    with Terminal(BUILD, cwd=here, environment=environment(here)) as terminal:
        terminal.wait_for("[y/N]: ")
        terminal.type(typed)
        assert terminal.end() == status
    assert "  max_chunk_distance_m: 50.0 -> 30.0" in terminal.text
    assert ("Progress: 2/2" in terminal.text) == (status == 0)


@on_a_terminal
def test_ctrl_c_finishes_what_is_in_hand_and_says_how_to_go_on(here: Path, tito: Tito):
    (here / "waiting.py").write_text(
        "import pathlib, time\nfrom tinytorch.trajectories.features import colour_means\n"
        "def features(frames):\n    print('working', flush=True)\n    while not pathlib.Path('go').exists():\n        time.sleep(0.01)\n    return colour_means(frames)\n", "utf-8"
    )  # fmt: skip
    configure(here, features="waiting:features")
    record_some(here, "a", "b")
    with Terminal(BUILD, cwd=here, environment=environment(here)) as terminal:
        terminal.wait_for("working")
        terminal.type(CTRL_C)
        (here / "go").touch()
        assert terminal.end() == 130
    assert "Progress: 1/2 trajectories (50.0%), 2 chunks" in terminal.text
    assert "To go on:\ntito data cache build --config config/data/dino_cache.yaml" in terminal.text


# --- show, list, reset --------------------------------------------------------------------------------------------


@pytest.fixture
def built(here: Path, tito: Tito):
    """A cache with one trajectory that failed."""
    record_some(here, "a")
    record_some(here, "still", step=0.0)
    tito(*BUILD)
    return here / "cache"


def test_show_prints_the_first_line_of_an_error_and_all_of_it_if_asked(built: Path, tito: Tito):
    assert "  - still\n      DataError: " in tito(*SHOW).out
    whole = tito(*SHOW, "--errors", "still")
    assert whole.status == 0 and whole.out.startswith("still: DataError: ") and "Traceback" in whole.out
    assert json.loads(tito(*SHOW, "--errors", "still", "--json").out)["type"] == "DataError"


@pytest.mark.parametrize(("name", "says"), [("a", "a is completed. Failed are: still"), ("b", "b is not recorded")])
def test_show_has_no_error_of_what_has_not_failed(built: Path, tito: Tito, name: str, says: str):
    answer = tito(*SHOW, "--errors", name)
    assert answer.status == 1 and says in answer.err


def test_show_as_json_has_the_progress_file_and_the_errors(built: Path, tito: Tito):
    facts = json.loads(tito(*SHOW, "--json").out)
    view = json.loads((built / "progress.json").read_text("utf-8"))
    assert {key: facts[key] for key in view} == view
    assert list(facts["errors"]) == ["still"] and facts["processing_seconds"] > 0


@pytest.mark.parametrize("command", [["show"], ["reset-failed"], ["reset", "--yes"]], ids=lambda command: command[0])
def test_a_folder_that_is_no_cache_is_refused_and_stays_as_it_is(here: Path, tito: Tito, command: list[str]):
    (here / "other").mkdir()
    (here / "other" / "chunks").mkdir()
    answer = tito("data", "cache", *command, "--cache-dir", "other")
    assert answer.status == 1 and "no progress.json is there" in answer.err
    assert [path.name for path in (here / "other").iterdir()] == ["chunks"]


def test_list_names_the_caches_with_what_they_hold(built: Path, tito: Tito):
    lines = tito("data", "cache", "list").out.splitlines()
    assert lines[0].split() == ["dataset", "completed", "failed", "chunks", "last", "update", "cache"]
    assert lines[1].startswith("trajectories  1          1       2 ") and lines[1].endswith(f"  {built}")
    (cache,) = json.loads(tito("data", "cache", "list", "--json", "--root", "config").out)["caches"]
    assert (cache["folder"], cache["completed"], cache["failed"], cache["chunks"]) == (str(built), 1, 1, 2)


def test_a_cache_that_cant_be_read_hides_no_other_from_the_list(built: Path, here: Path, tito: Tito):
    write_progress(here / "other", [], [])
    path = here / "other" / "progress.json"
    path.write_text(path.read_text("utf-8").replace("total_chunks", "chunks"), "utf-8")
    answer = tito("data", "cache", "list")
    assert answer.status == 1 and len(answer.out.splitlines()) == 2 and answer.out.splitlines()[1].endswith(f"  {built}")
    assert "total_chunks is missing" in answer.err and str(path) in answer.err
    listed = tito("data", "cache", "list", "--json")
    assert listed.status == 1 and [cache["folder"] for cache in json.loads(listed.out)["caches"]] == [str(built)]


def test_many_failed_trajectories_are_told_as_a_number(here: Path, tito: Tito):
    write_progress(here / "cache", [], [f"traj_{number:03}" for number in range(23)])
    answer = tito(*SHOW).out.splitlines()
    assert answer[-2:] == ["  - traj_019", "  ... and 3 more; all with: tito data cache show --cache-dir cache --json"]
    assert tito("data", "cache", "reset-failed", "--cache-dir", "cache").out.splitlines()[-2:] == ["  - traj_019", "  ... and 3 more"]


def test_list_says_that_there_is_none(tito: Tito):
    answer = tito("data", "cache", "list")
    assert answer.status == 0 and "There is no cache below ." in answer.out


def test_reset_failed_queues_exactly_the_failed(built: Path, tito: Tito):
    assert tito("data", "cache", "reset-failed", "--cache-dir", "cache").out == "Reset 1 failed trajectory; the next build tries it again:\n  - still\n"
    view = json.loads((built / "progress.json").read_text("utf-8"))
    assert (view["completed_trajectories"], view["failed_trajectories"]) == (["a"], [])
    assert tito("data", "cache", "reset-failed", "--cache-dir", "cache").out == "There are no failed trajectories.\n"
    assert "Remaining trajectories: 1\n" in tito(*BUILD).out


def test_reset_keeps_the_chunks_unless_it_is_told(built: Path, tito: Tito):
    answer = tito("data", "cache", "reset", "--cache-dir", "cache")
    assert answer.status == 0 and "1 completed and 1 failed trajectories will be processed again" in answer.out
    assert "The chunks stay" in answer.out and (built / "chunks" / "a").is_dir()
    assert "Deleted the chunks." in tito("data", "cache", "reset", "--cache-dir", "cache", "--yes").out
    assert not (built / "chunks").exists()
    assert tito(*BUILD).out.startswith("Processing 2 trajectories")


@on_a_terminal
def test_reset_asks_for_the_chunks_on_a_terminal(built: Path, here: Path):
    with Terminal(("data", "cache", "reset", "--cache-dir", "cache"), cwd=here, environment=environment(here)) as terminal:
        terminal.wait_for("Delete their chunks too? [y/N]: ")
        terminal.type("y\r")
        assert terminal.end() == 0
    assert not (built / "chunks").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_a_killed_build_goes_on(here: Path, tito: Tito):
    (here / "dying.py").write_text(
        "import os, signal\nfrom tinytorch.trajectories.features import colour_means\n"
        "def features(frames):\n    if frames[0, 0, 0, 0] == 0 and len(frames) == 5:\n        os.kill(os.getpid(), signal.SIGKILL)\n    return colour_means(frames)\n", "utf-8"
    )  # fmt: skip
    configure(here, features="dying:features")
    record_some(here, "a", count=4)
    record_some(here, "b", count=5)
    killed = subprocess.run([sys.executable, "-m", "tito", *BUILD], env=environment(here), capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    (here / "dying.py").write_text("from tinytorch.trajectories.features import colour_means as features\n", "utf-8")
    done = subprocess.run([sys.executable, "-m", "tito", *BUILD], env=environment(here), capture_output=True, encoding="utf-8", check=False)
    assert done.stdout.startswith("Loaded existing progress: 1 trajectories completed\nResuming processing: 1/2") and done.returncode == 0


# --- on a cluster -------------------------------------------------------------------------------------------------


def test_a_cluster_does_the_work(tito: Tito, here):
    record_some(here, "traj_001", "traj_002")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster:
        built = tito(*BUILD, "--engine", "dask", "--scheduler", cluster.scheduler_address)
    assert (built.status, built.err) == (0, "")
    assert "Progress: 2/2 trajectories (100.0%)" in built.out
    assert len(list((here / "cache" / "chunks").glob("traj_*"))) == 2


def test_a_cluster_that_does_not_answer_is_an_error_and_nothing_is_recorded(tito: Tito, here, monkeypatch):
    monkeypatch.setattr("tinytorch.jobs.workers._ANSWER", 0.2)
    record_some(here, "traj_001")
    built = tito(*BUILD, "--engine", "dask", "--scheduler", "tcp://127.0.0.1:1")
    assert built.status == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in built.err
    assert not (here / "cache").exists()


@pytest.mark.parametrize("options", [("--engine", "dask"), ("--scheduler", "tcp://127.0.0.1:1")])
def test_engine_and_scheduler_go_together(tito: Tito, here, options):
    built = tito(*BUILD, *options)
    assert built.status == 2
    assert "--engine dask and --scheduler ADDRESS go together" in built.err


def test_what_is_no_address_is_told(tito: Tito, here):
    record_some(here, "traj_001")
    built = tito(*BUILD, "--engine", "dask", "--scheduler", "nonsense://x")
    assert built.status == 1
    assert "nonsense://x is no address of a scheduler" in built.err
