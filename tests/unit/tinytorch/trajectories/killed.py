"""A build that is killed at random instants, again and again, until it gets through: the cache is the one of a build in peace.

    python -m tests.unit.tinytorch.trajectories.killed --kills 100

Trajectories of every form, some corrupted and some immobile, without workers and with two.
"""
from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.unit.tinytorch.trajectories.recordings import COLOURS
from tinytorch.trajectories import open_cache, synthetic
from tinytorch.trajectories.building import recorded

_COUNT = 24  # trajectories
_LONGEST = 1.5  # seconds before a kill


def contents(cache: Path) -> dict[str, bytes]:
    return {path.relative_to(cache).as_posix(): path.read_bytes() for path in sorted((cache / "chunks").rglob("*")) if path.is_file()}


def build(folder: Path, cache: str, workers: int) -> subprocess.Popen[bytes]:
    options = ["--config", str(folder / "dino_cache.yaml"), "--cache-dir", str(folder / cache), "--workers", str(workers)]
    return subprocess.Popen(
        [sys.executable, "-m", "tito", "data", "cache", "build", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"TINYTORCH_CACHE": str(folder / "data cache")},
    )  # fmt: skip


def check(folder: Path, kills: int, rng: random.Random) -> tuple[int, int]:
    """Build caches with kills, and compare; returns the number of kills, and of builds that got through.

    Raises: AssertionError if a cache differs, in bytes or in what is recorded.
    """
    synthetic.synthesize(folder / "trajectories", count=_COUNT, corrupted=2, immobile=2, forms=synthetic.FORMS)
    (folder / "dino_cache.yaml").write_text(f"dataset: trajectories\ncache_dir: cache\nfeatures: {COLOURS}\n", "utf-8")
    build(folder, "in peace", 0).wait()
    expected, record = contents(folder / "in peace"), recorded(folder / "in peace")
    killed = builds = 0
    while killed < kills:
        name, workers = f"cache {builds}", 2 * (builds % 2)
        while True:
            with build(folder, name, workers) as process:
                try:
                    process.wait(rng.uniform(0.0, _LONGEST))
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    killed += 1
        builds += 1
        found = recorded(folder / name)
        assert contents(folder / name) == expected, f"{name} is another one"
        assert (found.done, found.failed, found.units) == (record.done, record.failed, record.units)
        assert open_cache(folder / name).verify() == []
    return killed, builds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        killed, builds = check(Path(folder), options.kills, random.Random(options.seed))
    print(f"{builds} caches of {_COUNT} trajectories, {killed} kills: each cache has the same bytes as one that was built in peace")


if __name__ == "__main__":
    main()
