"""Fifty processes add to one ledger at once, some of them killed; nothing that was added is lost: `python -m tests.resources.at_once`."""
from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time

from tinytorch.resources import ledger

WRITERS, ENTRIES = 50, 20
WRITER = """
import sys
from tinytorch.resources import ledger
facts = {"name": "n" * 500, "command": "", "tags": {}, "machine": "local", "host": "h", "pid": 1, "created": 0, "at": "2026-11-01T10:00:00Z"}
for number in range(int(sys.argv[2])):
    ledger.append(["started", f"{sys.argv[1]}-{number}", facts])
    print(number, flush=True)
"""


def main() -> int:
    """A tenth of the writers is killed at a random instant: what they had been told is written must be there too."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[ledger.VARIABLE] = folder
        began = time.monotonic()
        writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(number), str(ENTRIES)], stdout=subprocess.PIPE) for number in range(WRITERS)]
        for writer in writers[:: WRITERS // 5]:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(random.random())
            writer.kill()
        said = [len(writer.communicate()[0].splitlines()) for writer in writers]
        seconds = time.monotonic() - began
        told: list[str] = []
        found = ledger.read(told.append).runs
        expected = {f"{writer}-{number}" for writer, count in enumerate(said) for number in range(count)}
        print(f"{WRITERS} processes, {sum(said)} entries in {seconds:.1f} s; lost: {len(expected - found.keys())}; damaged: {told or 'none'}")
        return int(not expected <= found.keys() or bool(told))


if __name__ == "__main__":
    sys.exit(main())
