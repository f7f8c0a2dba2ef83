"""The whole road, as a student walks it: from `tito init` through every module that is written to its milestones."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_tinytorch.course import curriculum
from tests.course.source import read, written_modules

COURSE = curriculum.load()
MILESTONES = [milestone for milestone in COURSE.milestones if COURSE.is_written(milestone)]


class Walker:
    """Types commands in a workspace and looks at what they leave behind."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "TINYTORCH_", "TITO_", "COV_"))}
        return subprocess.run(
            [sys.executable, "-m", *command], cwd=cwd or self.root, env=environment | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=300, check=False,
        )

    def state(self, name: str) -> dict:
        return json.loads((self.root / ".tito" / name).read_text("utf-8"))


@pytest.fixture
def walker(tmp_path: Path) -> Walker:
    walker = Walker(tmp_path / "workspace")
    done = walker.run("tito", "init", str(walker.root), "--format", "py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return walker


def test_every_module_and_milestone_from_an_empty_folder(walker):
    """Each module is completed by the plugin when those that it needs are, and each milestone when its last one is."""
    done_modules, done_milestones = [], []
    for module in written_modules():
        path = walker.root / "modules" / module.folder / f"{module.folder}.py"
        stub = path.read_text("utf-8")
        assert "NotImplementedError" in stub and "BEGIN SOLUTION" not in stub
        path.write_text(read(module).text, "utf-8")
        done = walker.run("pytest", "-q", "-m", module.marker, "--tito-complete")
        assert done.returncode == 0, done.stdout + done.stderr
        done_modules.append(int(module.number))
        assert walker.state("progress.json")["completed_modules"] == done_modules
        assert (walker.root / Path(*module.exports.split(".")).with_suffix(".py")).is_file()
        assert list((walker.root / ".tito" / "backups").glob(f"{module.folder}_*.py"))
        for milestone in MILESTONES:
            ready = {int(number) for number in milestone.needs} <= set(done_modules)
            if ready and milestone.number not in done_milestones:
                done = walker.run("tito", "milestone", "run", milestone.number)
                assert done.returncode == 0, done.stdout + done.stderr
                done_milestones.append(milestone.number)
                assert walker.state("milestones.json")["completed_milestones"] == done_milestones
    assert done_milestones == [milestone.number for milestone in MILESTONES]
    status = walker.run("tito", "status").stdout
    assert f"Modules Completed: {len(done_modules)}/20" in status
    assert f"Milestones Achieved: {len(done_milestones)}/6" in status
