from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the ledger of a test is; the machine's own is never touched."""
    place = tmp_path / "a ledger 🙂"
    monkeypatch.setenv("TINYTORCH_RESOURCES", str(place))
    for name in ("TINYTORCH_PRICES", "TINYTORCH_MACHINE"):
        monkeypatch.delenv(name, raising=False)
    return place
