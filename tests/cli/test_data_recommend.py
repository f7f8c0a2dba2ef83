from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Tito
from tinytorch import loading


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of shards, by the name that it has in the working directory, which is no workspace."""
    monkeypatch.chdir(tmp_path)
    loading.write_shards("my shards 🙂", np.zeros((100, 8), np.uint8), np.zeros(100), shard_bytes=600)
    return "my shards 🙂"


def test_the_recommendation_has_numbers_reasons_and_the_call(tito: Tito, shards: str) -> None:
    answer = tito("data", "recommend", shards)
    assert answer.status == 0 and answer.err == ""
    assert answer.out.startswith(f"InMemory for {shards}\n  data ")
    assert "100 samples" in answer.out and "That is small" in answer.out
    assert f"tinytorch.loading.InMemory.from_shards({shards!r}, batch_size=128, shuffle=True" in answer.out


def test_the_facts_as_json(tito: Tito, shards: str) -> None:
    facts = json.loads(tito("data", "recommend", shards, "--json", "--epochs", "3", "--measure").out)
    assert facts["strategy"] == "InMemory" and facts["script"] is None and len(facts["reasons"]) == 3
    assert facts["facts"]["samples"] == 100 and facts["facts"]["epochs"] == 3 and facts["facts"]["throughput"] > 0


def test_a_script_is_written_once_and_never_over_a_file(tito: Tito, shards: str, tmp_path: Path) -> None:
    script = tmp_path / "my loader.py"
    answer = tito("data", "recommend", shards, "--script", str(script))
    assert answer.status == 0 and f"Wrote {script}" in answer.out
    assert repr(str(tmp_path / shards)) in script.read_text("utf-8")  # wherever it is run
    before = script.read_bytes()
    answer = tito("data", "recommend", shards, "--script", str(script))
    assert answer.status == 1 and "is there already" in answer.err and answer.out == ""
    assert script.read_bytes() == before


def test_a_script_for_what_is_no_shards_is_refused_and_not_written(tito: Tito, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(10))
    answer = tito("data", "recommend", str(tmp_path / "x.npy"), "--script", str(tmp_path / "loader.py"))
    assert answer.status == 1 and "write_shards" in answer.err
    assert not (tmp_path / "loader.py").exists()


@pytest.mark.parametrize(
    "place, status, says",
    [
        ("nothing", 1, "nothing: there is no such file or folder"),
        ("gs://bucket/x", 1, "gs:// isn't known"),
        ("http://127.0.0.1:9/x", 1, "efused"),
    ],
    ids=["nothing", "scheme", "nobody-there"],
)
def test_what_cant_be_reached_is_one_message(
    tito: Tito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, status: int, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tinytorch.loading.stores.pause", lambda seconds: None)
    answer = tito("data", "recommend", place)
    assert answer.status == status and says in answer.err and answer.out == "" and "Traceback" not in answer.err


def test_a_wrong_number_is_a_wrong_command_line(tito: Tito, shards: str) -> None:
    assert tito("data", "recommend", shards, "--epochs", "0").status == 2
