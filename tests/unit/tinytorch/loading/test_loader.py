"""What holds for every strategy."""
from __future__ import annotations

import json
import threading
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest

from tests.unit.tinytorch.loading.conftest import STRATEGIES, Arrays
from tinytorch import loading, random
from tinytorch.loading.ahead import ahead
from tinytorch.loading.loader import Loader

Make = Callable[..., Loader]
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def bits(batches: object) -> list[tuple[bytes, ...]]:
    return [tuple(part.tobytes() for part in batch) for batch in batches]  # type: ignore[attr-defined]


def add_noise(inputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return inputs + rng.standard_normal(inputs.shape, dtype=np.float32)


@pytest.mark.parametrize(("prefetch", "thread"), [(0, "MainThread"), (1, "tinytorch-batches_0")])
def test_batches_are_made_by_a_thread_only_if_some_are_ahead(make: Make, prefetch: int, thread: str) -> None:
    names = set()

    def note(inputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        names.add(threading.current_thread().name)
        return inputs

    assert len(list(make("InMemory", batch_size=50, prefetch=prefetch, transform=note))) == 4
    assert names == {thread}


@every_strategy
def test_batches_in_order_are_the_arrays_cut(strategy: str, make: Make, arrays: Arrays) -> None:
    batches = list(make(strategy, batch_size=64, scale=False))
    assert [len(x) for x, _ in batches] == [64, 64, 64, 8]
    for column, whole in zip(zip(*batches, strict=True), arrays, strict=True):
        assert np.array_equal(np.concatenate(column), whole)
        assert {part.dtype for part in column} == {whole.dtype}


@every_strategy
def test_bytes_become_floats_from_0_to_1_and_labels_stay(strategy: str, make: Make, arrays: Arrays) -> None:
    inputs, labels = next(iter(make(strategy, batch_size=200)))
    assert inputs.dtype == np.float32 and labels.dtype == np.int64
    assert np.array_equal(inputs, arrays.inputs.astype(np.float32) * np.float32(1 / 255))
    assert inputs.min() == 0 and inputs.max() == 1


@every_strategy
def test_a_shuffled_epoch_has_every_sample_once_and_the_next_has_another_order(strategy: str, make: Make, arrays: Arrays) -> None:
    loader = make(strategy, batch_size=32, shuffle=True, seed=1, scale=False)
    first, second = ([np.concatenate(column) for column in zip(*loader, strict=True)] for _ in range(2))
    assert sorted(first[1]) == sorted(second[1]) == list(range(200))
    assert not np.array_equal(first[1], second[1])
    assert np.array_equal(first[0], arrays.inputs[first[1]])


@every_strategy
@pytest.mark.parametrize("options", [{}, {"prefetch": 1}, {"prefetch": 5}], ids=str)
def test_the_order_doesnt_depend_on_what_is_loaded_ahead(strategy: str, options: dict[str, int], make: Make) -> None:
    common = {"batch_size": 9, "shuffle": True, "seed": 3, "transform": add_noise}
    assert bits(make(strategy, **common, **options)) == bits(make(strategy, **common))


@pytest.mark.parametrize("strategy", ["LocalCache", "DirectS3"])
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_the_order_doesnt_depend_on_the_number_of_workers(strategy: str, workers: int, make: Make) -> None:
    common = {"batch_size": 9, "shuffle": True, "seed": 3}
    assert bits(make(strategy, workers=workers, **common)) == bits(make(strategy, workers=4, **common))


def test_mapped_and_cached_shards_have_the_same_order_for_one_window(make: Make) -> None:
    common = {"batch_size": 9, "shuffle": True, "seed": 3, "window": 2}
    assert bits(make("PreWarmed", **common)) == bits(make("LocalCache", **common))


def test_memory_and_mapped_shards_have_the_same_full_shuffle(make: Make) -> None:
    common = {"batch_size": 9, "shuffle": True, "seed": 3}
    assert bits(make("PreWarmed", **common)) == bits(make("InMemory", **common))


@every_strategy
def test_an_epoch_can_begin_in_the_middle(strategy: str, make: Make) -> None:
    options = {"batch_size": 32, "shuffle": True, "transform": add_noise, "seed": 5}
    assert bits(make(strategy, **options).batches(4)) == bits(make(strategy, **options))[4:]
    assert list(make(strategy, **options).batches(7)) == list(make(strategy, **options).batches(99)) == []


@every_strategy
@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_state_resumes_in_the_middle_of_an_epoch_to_the_last_bit(strategy: str, prefetch: int, make: Make) -> None:
    options = {"batch_size": 32, "shuffle": True, "transform": add_noise, "prefetch": prefetch}
    loader = make(strategy, seed=5, **options)
    list(loader)
    batches = iter(loader)
    list(islice(batches, 3))
    state = json.loads(json.dumps(loader.state_dict()))
    rest, next_epoch = bits(batches), bits(loader)

    resumed = make(strategy, seed=99, **options)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert bits(resumed) == rest
    assert bits(resumed) == next_epoch


@every_strategy
def test_a_state_between_two_epochs_resumes_with_the_next(strategy: str, make: Make) -> None:
    loader = make(strategy, batch_size=32, shuffle=True, seed=5)
    list(loader)
    state = loader.state_dict()
    resumed = make(strategy, batch_size=32, shuffle=True, seed=99)
    resumed.load_state_dict(state)
    assert bits(resumed) == bits(loader)


def test_resuming_leaves_the_process_wide_generator_where_the_caller_has_it(make: Make) -> None:
    random.manual_seed(4)
    loader = make("InMemory", batch_size=32, shuffle=True)
    batches = iter(loader)
    next(batches)
    state, now = loader.state_dict(), random.get_state()
    rest = bits(batches)
    resumed = make("InMemory", batch_size=32, shuffle=True)
    resumed.load_state_dict(state)
    random.set_state(now)
    random.generator().random(10)  # dropout, say
    here = random.get_state()
    assert bits(resumed) == rest
    assert random.get_state() == here


def test_a_state_of_other_batches_is_refused_and_changes_nothing(make: Make) -> None:
    state = make("InMemory", batch_size=32, shuffle=True, seed=5).state_dict()
    other = make("InMemory", batch_size=16, shuffle=True, seed=6)
    before = other.state_dict()
    with pytest.raises(ValueError, match="batch_size 32 instead of 16"):
        other.load_state_dict(state)
    assert other.state_dict() == before
    with pytest.raises(ValueError, match="version 9"):
        other.load_state_dict(state | {"version": 9})


@pytest.mark.parametrize(
    "broken",
    [{"data": None}, {"data": 3}, {"order": {}}, {"order": {"bit_generator": "MT19937"}}, {"batch": "x"}, {"batch": -1}, {"batch": 100}, {"version": None}],
    ids=str,
)
def test_what_is_no_state_changes_nothing(make: Callable[..., Loader], broken: dict[str, object]) -> None:
    loader, peaceful = make("InMemory", batch_size=7, shuffle=True, seed=1), make("InMemory", batch_size=7, shuffle=True, seed=1)
    state = loader.state_dict()
    with pytest.raises(ValueError, match="load_state_dict: (no state of a loader: |batch |version None)"):
        loader.load_state_dict(state | {"batch": 3} | broken)
    assert loader.state_dict() == state
    assert [labels.tolist() for _, labels in loader] == [labels.tolist() for _, labels in peaceful]


@every_strategy
def test_order_is_drawn_at_the_call_and_evaluation_draws_nothing(strategy: str, make: Make) -> None:
    random.manual_seed(1)
    before = random.get_state()
    make(strategy, batch_size=32).batches()
    assert random.get_state() == before
    make(strategy, batch_size=32, shuffle=True).batches()
    assert random.get_state() != before


@every_strategy
def test_a_batch_stays_as_it_was_when_the_next_ones_come(strategy: str, make: Make) -> None:
    batches = make(strategy, batch_size=32, shuffle=True, seed=1)
    kept = [(x, x.copy()) for x, _ in batches]
    assert all(np.array_equal(x, copy) for x, copy in kept)
    assert all(x.flags.writeable for x, _ in kept)


@every_strategy
def test_a_batch_larger_than_the_data_is_all_of_it(strategy: str, make: Make) -> None:
    assert [len(x) for x, _ in make(strategy, batch_size=1000, shuffle=True)] == [200]
    loader = make(strategy, batch_size=1000, drop_last=True)
    assert len(loader) == 0 and list(loader) == []


@every_strategy
@pytest.mark.parametrize("prefetch", [0, 3])
def test_a_consumer_that_stops_early_leaves_no_thread(strategy: str, prefetch: int, make: Make) -> None:
    for _ in make(strategy, batch_size=4, shuffle=True, prefetch=prefetch):
        break
    batches = iter(make(strategy, batch_size=4, prefetch=prefetch))
    next(batches)
    with pytest.raises(KeyboardInterrupt):
        batches.throw(KeyboardInterrupt())  # type: ignore[attr-defined]


@every_strategy
@pytest.mark.parametrize("prefetch", [0, 3])
def test_an_error_in_a_transform_arrives_at_its_batch(strategy: str, prefetch: int, make: Make) -> None:
    def odd(inputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if len(inputs) == 8:
            raise ZeroDivisionError("the last one")
        return inputs

    batches = iter(make(strategy, batch_size=64, prefetch=prefetch, transform=odd))
    assert [len(next(batches)[0]) for _ in range(3)] == [64, 64, 64]
    with pytest.raises(ZeroDivisionError, match="the last one"):
        next(batches)


def test_a_thread_works_ahead_and_no_further_than_asked() -> None:
    begun = []

    def job(number: int) -> Callable[[], str]:
        begun.append(number)
        return lambda: threading.current_thread().name

    results = ahead((job(number) for number in range(9)), 2)
    assert next(results).startswith("tinytorch") and begun == [0, 1, 2]
    assert next(results) and begun == [0, 1, 2, 3]
    assert len(list(results)) == 7


def test_wrap_makes_each_array_what_a_framework_takes(make: Make) -> None:
    inputs, labels = next(iter(make("InMemory", batch_size=4, wrap=np.ndarray.tolist)))
    assert isinstance(inputs, list) and labels == [0, 1, 2, 3]


@every_strategy
@pytest.mark.parametrize(
    "options, says",
    [
        ({"batch_size": 0}, "batch_size is at least 1, got 0"),
        ({"prefetch": -1}, "prefetch is the number of batches loaded ahead, 0 or more, got -1"),
        ({"rng": np.random.default_rng(0), "seed": 1}, "got rng and seed"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_wrong_arguments_are_named(strategy: str, options: dict[str, object], says: str, make: Make) -> None:
    with pytest.raises(ValueError, match=f"^{strategy}: {says}"):
        make(strategy, **options)
    with pytest.raises(ValueError, match="start is the number of a batch, 0 or more, got -1"):
        make(strategy).batches(-1)


def test_samples_without_labels_are_batches_of_one_item(arrays: Arrays) -> None:
    assert [len(batch) for batch in loading.InMemory(arrays.inputs, batch_size=100)] == [1, 1]
