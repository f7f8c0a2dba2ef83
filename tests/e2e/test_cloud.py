"""Volumes and their cleanup, from the first command to the last, at moto and, if asked for, at AWS."""
from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import Tito, student, tito  # noqa: F401  # fixtures
from tests.plugin.conftest import Student
from tests.unit.tinytorch import object_store
from tests.unit.tinytorch.cloud.account import Account
from tests.unit.tinytorch.cloud.conftest import running  # noqa: F401  # fixture
from tinytorch.cloud.aws import Aws
from tinytorch.cloud.resource import GOING, CloudResource
from tinytorch.cloud.volumes import Volumes
from tinytorch.errors import CloudError

IS_REAL = os.environ.get("TINYTORCH_E2E") == "1"
MOST = 3  # volumes of one GB at a time: less than a cent
LIMIT = 600.0  # seconds that AWS may take


@dataclass
class Place:
    """An account, and a project in it that is this test's alone."""

    aws: Aws
    project: str

    def resources(self) -> list[CloudResource]:
        return [one for one in self.aws.resources(tags={"tinytorch": self.project}) if one.state not in GOING]

    def wait_for(self, kind: str, state: str) -> None:
        deadline = time.monotonic() + LIMIT
        while {one.state for one in self.resources() if one.kind == kind} != {state}:
            assert time.monotonic() < deadline, f"a {kind} that isn't {state} after {LIMIT:g} seconds"
            time.sleep(2.0)


@pytest.fixture(params=["moto", *(["aws"] if IS_REAL else [])])
def place(request: pytest.FixtureRequest, running: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:  # noqa: F811
    if request.param == "moto":
        object_store.reach(running.url, tmp_path, monkeypatch)
        running.reset()
    there = Place(Aws(), f"tinytorch-e2e-{uuid.uuid4().hex[:12]}")
    yield there
    left = there.resources()
    for one in left:
        there.aws.remove(one)
    there.aws.close()
    assert len(left) <= MOST, "more was made than the budget allows"


def test_a_volume_from_its_making_to_its_cleanup(student: Student, tito: Tito, place: Place):  # noqa: F811
    project = ("--project", place.project)
    made = json.loads(tito("cloud", "volume", "create", "data", "--size", "1", *project, "--json").out)
    assert made["state"] == "available" and made["tags"] == {"Name": "data", "tinytorch": place.project}
    again = tito("cloud", "volume", "create", "data", "--size", "1", *project)
    assert again.status == 1 and made["id"] in again.err
    assert tito("cloud", "volume", "snapshot", "data", *project).status == 0
    place.wait_for("snapshot", "completed")
    (student.root / ".tito-protect").write_text(f"{made['id']}\n", "utf-8")
    kept = json.loads(tito("cleanup", "--cloud", *project, "--only", "volume", "--json").out)
    assert kept["plan"] is None and [one["id"] for one in kept["keep"]] == [made["id"]]
    assert tito("cloud", "volume", "delete", "data", *project, "--yes").status == 1
    (student.root / ".tito-protect").unlink()
    plan = json.loads(tito("cleanup", "--cloud", *project, "--only", "volume", "--only", "snapshot", "--json").out)
    assert sorted(one["kind"] for one in plan["remove"]) == ["snapshot", "volume"] and len(place.resources()) == 2
    done = tito("cleanup", "--yes", plan["plan"])
    assert done.status == 0, done
    assert place.resources() == []


def test_two_at_once_make_one(place: Place):
    ends: list[object] = []

    def create() -> None:
        try:
            ends.append(Volumes(place.aws, place.project, timeout=LIMIT).create("data", 1).id)
        except CloudError as error:
            ends.append(error)

    threads = [threading.Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    there = [one.id for one in place.resources()]
    assert len(there) == 1 and there[0] in ends and any(isinstance(end, CloudError) for end in ends)
