"""Tests of the reference against PyTorch, in one process: collected only where PyTorch is installed."""
from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.course.candidate import make_workspace
from tests.course.source import written_modules
from tinytorch import _overlay

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The reference's modules by slug: `course.tensor.Tensor`."""
    workspace = make_workspace(tmp_path_factory.mktemp("parity") / "workspace")
    _overlay.bind(workspace.root)
    yield SimpleNamespace(**{module.slug: importlib.import_module(module.exports) for module in written_modules()})
    _overlay.bind()


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    """What PyTorch draws doesn't depend on which tests came before."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(params=range(3), ids=lambda seed: f"seed{seed}")
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    return np.random.default_rng(request.param)


@pytest.fixture(scope="session")
def agree() -> Callable[..., None]:
    """`agree(ours, theirs)`: the same shape, dtype and values, to a few units in the last place of float32."""

    def check(ours: Any, theirs: Any, rtol: float = 2e-6, atol: float = 1e-6) -> None:
        mine, others = ours.numpy(), theirs.detach().numpy()
        assert mine.dtype == others.dtype
        assert mine.shape == others.shape
        np.testing.assert_allclose(mine, others, rtol=rtol, atol=atol)

    return check
