"""A student who saves a module that `tito module watch` watches, and waits for the verdict."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from types import TracebackType

from pytest_tinytorch.workspace.layout import Workspace

PAUSE = 0.5  # seconds before a save, as a student makes longer ones: the run that the verdict comes from is ready then


class Watcher:
    """A watcher of module 01, which is solved, without a terminal."""

    def __init__(self, workspace: Workspace) -> None:
        self.path = workspace.existing_forms(workspace.course.module("01"))[0]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tito", "module", "watch", "01"], cwd=workspace.root, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8",
        )

    def __enter__(self) -> Watcher:
        self.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.terminate()
        self.process.communicate()

    def wait(self) -> None:
        """Read up to the next verdict."""
        assert self.process.stdout
        for line in self.process.stdout:
            if "tests passed" in line:
                return
        raise SystemExit("tito module watch has ended")

    def seconds(self) -> float:
        """The time from one save to its verdict."""
        data = self.path.read_bytes()
        time.sleep(PAUSE)
        began = time.perf_counter()
        self.path.write_bytes(data)
        self.wait()
        return time.perf_counter() - began
