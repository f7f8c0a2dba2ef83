"""Module 08's Trainer trains from every strategy, and resumes in the middle of an epoch to the last bit."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.course.candidate import make_workspace
from tests.unit.tinytorch.loading.conftest import STRATEGIES, Arrays
from tinytorch import _overlay, random
from tinytorch.loading.loader import Loader

Make = Callable[..., Loader]


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The course's modules as the reference solves them."""
    _overlay.bind(make_workspace(tmp_path_factory.mktemp("course") / "workspace").root)
    names = ("tensor", "activations", "layers", "losses", "dataloader", "optimizers", "training")
    yield SimpleNamespace(**{name: import_module(f"tinytorch.core.{name}") for name in names})
    _overlay.bind()


class PowerFails(Exception):
    pass


def trainer(course: SimpleNamespace, callbacks: Any = ()) -> Any:
    layers = course.layers
    model = layers.Sequential(layers.Linear(48, 16), course.activations.ReLU(), layers.Dropout(0.1), layers.Linear(16, 4))
    optimizer = course.optimizers.Adam(model.parameters(), lr=0.01)
    return course.training.Trainer(model, course.losses.CrossEntropyLoss(), optimizer, callbacks=callbacks)


def loader(course: SimpleNamespace, make: Make, strategy: str, prefetch: int = 0, **options: Any) -> Loader:
    Tensor = course.tensor.Tensor

    def shift_and_flatten(inputs: Any, rng: np.random.Generator) -> Any:
        return (inputs + Tensor(rng.standard_normal((1, 1, 1, 1), dtype=np.float32))).reshape(-1, 48)

    def classes(column: np.ndarray) -> Any:
        return Tensor(column if column.dtype == np.float32 else column % 4)

    return make(strategy, batch_size=32, shuffle=True, wrap=classes, transform=shift_and_flatten, prefetch=prefetch, **options)


@pytest.mark.parametrize("own_generator", [False, True], ids=["process-wide", "own"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_that_stops_in_the_middle_of_an_epoch_goes_on_to_the_last_bit(
    strategy: str, own_generator: bool, course: SimpleNamespace, make: Make, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "run.npz"

    class StopInEpoch2(course.training.Callback):  # type: ignore[misc]
        def on_batch_end(self, trainer: Any) -> None:
            if (trainer.progress["epoch"], trainer.progress["batch"]) == (1, 4):
                trainer.save(checkpoint)
                raise PowerFails

    def options() -> dict[str, int]:
        return {"seed": 7} if own_generator else {}

    random.manual_seed(8)
    whole = trainer(course)
    history = whole.fit(loader(course, make, strategy, **options()), 3)
    random.manual_seed(8)
    with pytest.raises(PowerFails):
        trainer(course, [StopInEpoch2()]).fit(loader(course, make, strategy, **options()), 3)
    random.manual_seed(99)  # another day
    resumed = trainer(course)
    resumed.load(checkpoint)
    assert resumed.fit(loader(course, make, strategy, prefetch=2, **options()), 3) == history
    for mine, others in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert np.array_equal(mine.numpy(), others.numpy())


def test_batches_in_memory_are_those_of_module_05_with_the_same_generator(course: SimpleNamespace, make: Make, arrays: Arrays) -> None:
    dataloader, Tensor = course.dataloader, course.tensor.Tensor
    theirs = dataloader.DataLoader(
        dataloader.TensorDataset(*map(Tensor, arrays)), 32, shuffle=True, rng=np.random.default_rng(3),
        transform=dataloader.Compose([dataloader.ToDtype(np.float32, scale=True), dataloader.RandomCrop(4, padding=1)]),
    )  # fmt: skip
    ours = make("InMemory", batch_size=32, shuffle=True, seed=3, wrap=Tensor, transform=dataloader.RandomCrop(4, padding=1))
    assert len(ours) == len(theirs)
    for mine, their in zip(ours, theirs, strict=True):
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(mine, their, strict=True))
