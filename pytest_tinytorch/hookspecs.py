"""Hooks that TinyTorch calls, for other plugins and a workspace's `conftest.py`."""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # every pytest session loads this file
    from pathlib import Path

    from pytest_tinytorch.completion import Verdict
    from pytest_tinytorch.course.curriculum import Milestone, Module


def pytest_tinytorch_exported(module: Module, path: Path) -> None:
    """A module was exported to `path`; called before it is reported as completed."""


def pytest_tinytorch_completed(module: Module, verdict: Verdict) -> None:
    """A module was recorded as complete."""


def pytest_tinytorch_milestone(milestone: Milestone, verdict: Verdict) -> None:
    """A milestone ran under `--tito-complete`, achieved or not: see `verdict.passed`."""
