"""No test of the cache notes what it built in the tester's own data cache."""
from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def data_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYTORCH_CACHE", str(tmp_path / "data cache"))
    return tmp_path / "data cache"
