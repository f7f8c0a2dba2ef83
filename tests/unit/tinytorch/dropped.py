"""What interrupted downloads cost: `python -m tests.unit.tinytorch.dropped FILE... [--drops 50]`.

Each file is served by a real server that drops the connection at random places, half of the time with a TCP reset,
and fetched through `tinytorch.datasets`. Printed is how much was sent beyond the file itself.
"""
from __future__ import annotations

import argparse
import bisect
import hashlib
import random
import re
import tempfile
from pathlib import Path

from tests.unit.tinytorch.server import Asked, Drop, Fault, Server
from tinytorch.datasets.fetch import Fetch
from tinytorch.datasets.registry import File
from tinytorch.retry import ExponentialBackoffPolicy

_QUICK = ExponentialBackoffPolicy(first_delay=0.01)


def sent_twice(data: bytes, *, drops: int, seed: int) -> tuple[float, int]:
    """Bytes sent beyond the file as a part of it, and connections, when it is dropped that often.

    Raises: AssertionError if what arrives isn't the file.
    """
    chance = random.Random(seed)
    places = sorted(chance.sample(range(1, len(data)), drops))

    def drop_at_the_next_place(asked: Asked) -> Fault:
        begun = int(found[1]) if (found := re.match(r"bytes=(\d+)-", asked.range or "")) else 0
        ahead = bisect.bisect_right(places, begun)
        return Drop(places[ahead] - begun, resets=chance.random() < 0.5) if ahead < drops else Fault()

    file = File("data", "sha256", hashlib.sha256(data).hexdigest(), len(data))
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        server.always(drop_at_the_next_place)
        Fetch(file, Path(folder), policy=_QUICK).run([server.put("data", data, etag='"1"')])
        assert (Path(folder) / "data").read_bytes() == data
        return server.sent / len(data) - 1, len(server.asked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--drops", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    for path in chosen.files:
        data = path.read_bytes()
        drops = min(chosen.drops, len(data) // 2)
        share, connections = sent_twice(data, drops=drops, seed=chosen.seed)
        print(f"{path.name}: {len(data):,} bytes whole after {drops} drops, {connections} connections, {share:.2%} sent twice")


if __name__ == "__main__":
    main()
