"""What course tests need of the plugin, and no more: for runs of bare pytest that the plugin is compared with."""
from __future__ import annotations

import importlib.util
import zlib

import numpy as np
import pytest


def pytest_configure(config: pytest.Config) -> None:
    for line in ("exercise(name)", "points(n)", "hint(kind, text)", "same_process"):
        config.addinivalue_line("markers", line)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def hint():
    return lambda text, when=True: None


@pytest.fixture
def student_side(request: pytest.FixtureRequest):
    spec = importlib.util.spec_from_file_location("student_side", request.path.parent / "student_side.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
