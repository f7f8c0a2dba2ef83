"""A disk that is really full: a limit on the size of files, which the system enforces."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinytorch.jobs import Job

if os.name == "nt":
    pytest.skip("Windows has no limit on the size of a process's files", allow_module_level=True)

COUNT = 400
RUN = """
import resource, sys
from pathlib import Path
from tests.jobs import chores
from tinytorch.errors import DataError
from tinytorch.jobs import Job

limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
job = Job(sys.argv[1], notice=print)
try:
    print(job.run(chores.items(int(sys.argv[3])), chores.number).processed)
except DataError as error:
    print(error)
    sys.exit(1)
"""


def run(folder: Path, limit: int) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    return subprocess.run(
        [sys.executable, "-c", RUN, str(folder), str(limit), str(COUNT)], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("limit", [300, 5_000, 5_001, 5_033, 20_000])
def test_a_run_that_fills_the_disk_says_so_and_the_next_one_does_the_rest(tmp_path: Path, limit: int) -> None:
    full = run(tmp_path, limit)
    assert (full.returncode, full.stderr) == (1, "")
    assert "File too large. What is recorded there is whole: mend that, and run again to go on" in full.stdout
    recorded = len(Job(tmp_path).record().done)
    assert recorded < COUNT
    assert recorded > 0 or limit == 300
    rest = run(tmp_path, 0)
    assert (rest.returncode, rest.stdout, rest.stderr) == (0, f"{COUNT - recorded}\n", "")  # and nothing had to be mended
    assert len(Job(tmp_path).record().done) == COUNT
