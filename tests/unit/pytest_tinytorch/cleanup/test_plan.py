"""What is planned, what is kept and why."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_tinytorch.cleanup import plan as planning
from pytest_tinytorch.cleanup.kinds import DAY, KINDS
from pytest_tinytorch.cleanup.plan import Options, Plan, make
from pytest_tinytorch.workspace import staging
from pytest_tinytorch.workspace.layout import Workspace
from tests.unit.pytest_tinytorch.cleanup.conftest import NAME, age
from tinytorch.errors import ConfigError, StateError


def planned(plan: Plan) -> set[str]:
    return {Path(item.id).name for item in plan.items}


def kept(plan: Plan) -> dict[str, str]:
    return {Path(one.candidate.id).name: one.why for one in plan.kept}


def test_a_new_workspace_has_nothing_to_remove(workspace: Workspace, cache: Path):
    assert make(workspace, Options()).items == () and not cache.exists()


def test_each_kind_finds_what_is_its_own_and_nothing_beside_it(workspace: Workspace, cache: Path, temporary: Path, shards: list[Path]):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    stage = temporary / f"{staging.PREFIX}{process.pid}-ab12"
    mnist = cache / "datasets" / "mnist"
    built, moved, backups = cache / "built", cache / "transfers" / "0123456789abcdef", workspace.tito / "backups"
    expected = {
        "download": [mnist / "train-images-idx3-ubyte.gz.part", mnist / "train-images-idx3-ubyte.gz.part.json"],
        "shard": shards,
        "features": [built / "chunks" / ".0123456789abcdef"],
        "transfer": [moved / name for name in ("journal.jsonl", "parts", "progress.json")],
        "staging": [stage],
        "unfinished": [workspace.tito / ".progress.json.01234567.tmp"],
        "backup": [backups / "01_tensor_20200101_000000.py"],
        "undo": [workspace.tito / "undo" / "20200101_000000_000"],
        "plan": [workspace.tito / "cleanup" / "0123456789ab"],
    }
    assert list(expected) == [kind.name for kind in KINDS]
    beside = [
        mnist / "notes.part", moved / ".lock", cache / "transfers" / "mine.txt", cache / "shards" / "mine.txt", built / "chunks" / "traj", temporary / "tinytorch-staging-mine", temporary / "other",
        workspace.tito / ".mine.tmp", backups / "mine.py", workspace.tito / "undo" / "mine", workspace.tito / "cleanup" / "mine",
    ]  # fmt: skip
    for path in [path for paths in expected.values() for path in paths] + beside:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix or path.name == "other":
            path.write_bytes(b"{}") if not path.exists() else None
        else:
            path.mkdir()
            (path / "file").write_bytes(b"123")
    (built / "progress.json").write_text(json.dumps({"trajectory_checksums": {}, "processing_config": {"max_chunk_distance_m": 1}}), "utf-8")
    undo = {"command": "tito x", "at": "2020-01-01T00:00:00", "changes": []}
    (expected["undo"][0] / "plan.json").write_text(json.dumps(undo), "utf-8")
    (expected["plan"][0] / "plan.json").write_text("{}", "utf-8")
    for number in range(2, 13):
        (backups / f"01_tensor_202001{number:02}_000000.py").write_bytes(b"")
    expected["backup"].append(backups / "01_tensor_20200102_000000.py")
    for path in (cache, temporary, workspace.tito):
        age(path, 200 * DAY)
    found: dict[str, list[Path]] = {}
    for item in make(workspace, Options()).items:
        found.setdefault(item.kind, []).append(Path(item.id))
    if os.name == "nt":
        expected.pop("staging")
    assert {kind: sorted(paths) for kind, paths in found.items()} == {kind: sorted(paths) for kind, paths in expected.items()}


def test_age_protects(workspace: Workspace, shards: list[Path]):
    age(shards[0], 10 * DAY)
    plan = make(workspace, Options())
    assert planned(plan) == {shards[1].name, shards[2].name} and kept(plan) == {NAME: "used or made 10 days ago; it goes after 30 days"}
    assert planned(make(workspace, Options(older_than=50 * DAY))) == set()
    assert NAME not in planned(make(workspace, Options(force=True))), "what may be in use isn't removed by force either"
    assert len(planned(make(workspace, Options(older_than=50 * DAY, force=True)))) == 2


def test_a_rule_protects_and_force_says_so(workspace: Workspace, shards: list[Path]):
    (workspace.root / ".tito-protect").write_text("aaa*\n", "utf-8")
    plan = make(workspace, Options(keep=("b" * 64 + ".shard",)))
    assert planned(plan) == {shards[2].name}
    assert kept(plan) == {shards[0].name: ".tito-protect, line 1, says aaa*", shards[1].name: f"--keep says {shards[1].name}"}
    forced = make(workspace, Options(force=True))
    assert forced.needs_confirmation and {item.forced for item in forced.items} == {None, ".tito-protect, line 1, says aaa*"}


def test_only_some_kinds(workspace: Workspace, shards: list[Path]):
    assert planned(make(workspace, Options(only=("backup",)))) == set() and len(planned(make(workspace, Options(only=("shard",))))) == 3


def test_a_cache_that_is_a_link_is_cleaned_and_links_in_it_are_not_followed(workspace: Workspace, cache: Path, shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "way").symlink_to(cache)
    monkeypatch.setenv("TINYTORCH_CACHE", str(tmp_path / "way"))
    assert len(make(workspace, Options()).items) == 3
    (cache / "shards").rename(tmp_path / "precious")
    (cache / "shards").symlink_to(tmp_path / "precious")
    plan = make(workspace, Options(force=True))
    assert plan.items == () and all("a link leads there" in why for why in kept(plan).values()) and len(plan.kept) == 3


def test_a_link_in_the_place_of_a_file_stays(workspace: Workspace, shards: list[Path], tmp_path: Path):
    shards[0].unlink()
    shards[0].symlink_to(tmp_path)
    plan = make(workspace, Options())
    assert len(plan.items) == 2 and kept(plan)[NAME].endswith("is a link")


def test_a_plan_is_kept_and_found_again(workspace: Workspace, shards: list[Path]):
    plan = make(workspace, Options(keep=("x",)))
    planning.save(workspace, plan)
    for id in (None, plan.id, plan.id[:4]):
        read = planning.load(workspace, id)
        assert (read.id, read.items, read.options) == (plan.id, plan.items, plan.options)
    assert planning.make(workspace, Options()).id == plan.id, "an id says what is removed, not how that was found"
    with pytest.raises(ConfigError, match=f"no plan fff to carry out; there are {plan.id}. Make one"):
        planning.load(workspace, "fff")


def test_a_plan_that_somebody_has_changed_is_not_carried_out(workspace: Workspace, shards: list[Path]):
    plan = make(workspace, Options())
    planning.save(workspace, plan)
    path = planning.folder(workspace, plan.id) / "plan.json"
    path.write_text(path.read_text("utf-8").replace("aaaa", "../a"), "utf-8")
    with pytest.raises(StateError, match="was changed since it was made"):
        planning.load(workspace, None)
    path.write_text("{", "utf-8")
    with pytest.raises(StateError, match="can't be read.*Make a new plan"):
        planning.load(workspace, plan.id)


@pytest.mark.parametrize("text", ["", "d", "30", "-3d", "3.5d", "30m", "x"])
def test_an_age_that_is_none(text: str):
    with pytest.raises(ValueError, match="is no age; write 12h, 30d or 2w"):
        planning.seconds(text)
