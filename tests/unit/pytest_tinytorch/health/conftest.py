"""A machine on which nothing is wrong, until a test makes it so."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.machine import make_sound


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder."""
    return make_sound(monkeypatch, tmp_path)
