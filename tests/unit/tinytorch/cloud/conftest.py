"""An account of a cloud that is empty when a test begins."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.tinytorch import object_store
from tests.unit.tinytorch.cloud.account import Account
from tinytorch.cloud.aws import Aws
from tinytorch.retry import ExponentialBackoffPolicy

AT_ONCE = ExponentialBackoffPolicy(attempts=3, first_delay=0, longest_delay=0)


@pytest.fixture(scope="session")
def running() -> Iterator[Account]:
    with Account() as account:
        yield account


@pytest.fixture
def account(running: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    for name in ("RUNPOD_API_KEY", "RUNPOD_REST_URL"):
        monkeypatch.delenv(name, raising=False)
    object_store.reach(running.url, tmp_path, monkeypatch)
    running.reset()
    return running


@pytest.fixture(scope="session")
def opened() -> Iterator[Aws]:
    provider = Aws(retry=AT_ONCE)
    yield provider
    provider.close()


@pytest.fixture
def aws(account: Account, opened: Aws) -> Aws:
    """One for all tests: botocore takes longer to make a client than a call takes."""
    return opened
