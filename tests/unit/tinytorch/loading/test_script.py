"""The script for PyTorch runs with the installed torch."""
from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tinytorch import loading
from tinytorch.errors import DataError
from tinytorch.loading.advice import Facts, advise
from tinytorch.loading.script import pytorch_script

CHECK = """
from loader import Batches
if __name__ == "__main__":
    batches = Batches(batch_size=32, seed=3)
    first, again, other = ([(x, y) for x, y in batches.epoch(number)] for number in (0, 0, 1))
    labels = [label for _, y in first for label in y.tolist()]
    assert sorted(labels) == list(range(200)) != labels
    assert labels == [label for _, y in again for label in y.tolist()] != [label for _, y in other for label in y.tolist()]
    assert all(str(x.dtype) == "torch.float32" and 0 <= x.min() and x.max() <= 1 for x, _ in first)
    assert len(batches.loader) == 7
    print("right")
"""


def written(folder: Path, at: Path, **change: object) -> Path:
    known: Facts = loading.recommend(folder).facts
    path = at / "loader.py"
    path.write_text(pytorch_script(advise(replace(known, **change))), "utf-8")  # type: ignore[arg-type]
    (at / "check.py").write_text(CHECK, "utf-8")
    return path


@pytest.mark.parametrize(
    "change, strategy",
    [
        ({"memory": 1}, "PreWarmed"),
        ({"kind": "network", "memory": 1, "cores": 2}, "LocalCache"),
    ],
    ids=["mapped", "cached"],
)
def test_the_script_gives_every_sample_once_by_seed_and_epoch(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], strategy: str
) -> None:
    pytest.importorskip("torch", reason="PyTorch isn't installed")
    monkeypatch.setenv("TINYTORCH_CACHE", str(tmp_path / "cache"))
    script = written(folder, tmp_path, **change)
    assert f"from tinytorch.loading import {strategy}\n" in script.read_text("utf-8")
    for file, says in ((tmp_path / "check.py", "right\n"), (script, "200 samples in ")):
        done = subprocess.run([sys.executable, str(file)], capture_output=True, encoding="utf-8", check=False)
        assert done.stdout.startswith(says) and done.stderr == "", done


@pytest.mark.parametrize(
    "change, lines",
    [
        ({}, ("InMemory.from_shards(PLACE).source", "All samples are shuffled together.", "num_workers=0,")),
        ({"kind": "s3", "place": "s3://bucket/it's", "cores": 64}, ("LocalCache(PLACE, workers=4, window=4, limit=", "The samples of 4 shards are", "num_workers=4,")),
        ({"kind": "http", "epochs": 1, "place": "http://host/x", "cores": 1}, ("DirectS3(PLACE, workers=4, window=4)", "The samples of 4 blocks are", "num_workers=1,")),
    ],
    ids=["memory", "s3", "http"],
)  # fmt: skip
def test_the_script_is_python_for_every_strategy(folder: Path, change: dict[str, object], lines: tuple[str, ...]) -> None:
    known = loading.recommend(folder).facts
    source = pytorch_script(advise(replace(known, **change)))  # type: ignore[arg-type]
    compile(source, "loader.py", "exec")
    assert all(line in source for line in lines) and "$" not in source
    assert ('"tinytorch[s3]"' in source) is (change.get("kind") == "s3")


def test_a_script_for_what_is_no_shards_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="holds no shards, which the script reads"):
        pytorch_script(advise(replace(loading.recommend(folder).facts, form="files")))
