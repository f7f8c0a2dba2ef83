"""What all strategies are: a loader of batches, epoch after epoch, that can be resumed in the middle of one.

The protocol is that of module 05's DataLoader, so that module 08's Trainer takes either: `len`, iteration,
`batches(start)` and `rng`. An epoch's order, and the seed of its transform, are drawn when it begins, in that order;
batch number i gives its transform the generator `default_rng([seed, i])`.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np

from tinytorch import random
from tinytorch.loading.ahead import ahead

__all__ = ["Epoch", "Loader", "Source"]

Self = TypeVar("Self", bound="Loader")
Transform = Callable[[Any, np.random.Generator], Any]
_TO_ONE = np.float32(1 / 255)
_STATE_VERSION = 1


class Epoch(Protocol):
    """The samples of one epoch's batches, while it lasts."""

    def take(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        """Inputs and, if there are any, labels of some samples, as they are stored, in new arrays."""

    def end(self) -> None:
        """End threads, let go of what the epoch needs alone. May be called from another thread than `take`."""


class Source(Protocol):
    """Where samples come from."""

    @property
    def count(self) -> int:
        """How many there are."""

    @property
    def described(self) -> dict[str, Any]:
        """What, besides `count`, the order of an epoch depends on: plain data."""

    def order(self, shuffle: bool, rng: np.random.Generator) -> np.ndarray:
        """The samples' numbers, (count,), in the order of an epoch."""

    def epoch(self, order: np.ndarray) -> Epoch:
        """The epoch in which the samples of `order` are asked for, about in that order."""

    def close(self) -> None:
        """Let go of files and connections."""


@dataclass
class _Position:
    """How far an epoch has come."""

    order: dict[str, Any]  # the generator's state before the epoch's order was drawn
    batch: int = 0  # batches handed out


class Loader:
    """Batches `(inputs, labels)` of a source, or `(inputs,)` if it has no labels, as new NumPy arrays.

    `shuffle` draws another order for each epoch, from `rng`, from a generator of the loader's own if it has a `seed`,
    or else from `tinytorch.random`'s. `drop_last` leaves out a last batch that isn't full. With `scale`, uint8 inputs
    become float32 from 0 to 1; everything else keeps its dtype. `wrap` is called with each array of a batch:
    `wrap=Tensor` makes it the course's. `transform(inputs, rng)` comes after that. A thread loads `prefetch` batches
    ahead; for 0 there is none.

    Raises: ValueError, naming the argument, if batch_size is below 1, prefetch negative, or both rng and seed are given.
    """

    def __init__(
        self, source: Source, batch_size: int = 1, shuffle: bool = False, *, drop_last: bool = False, prefetch: int = 0,
        transform: Transform | None = None, rng: np.random.Generator | None = None, seed: int | None = None,
        scale: bool = True, wrap: Callable[[np.ndarray], Any] | None = None,
    ) -> None:
        name = type(self).__name__
        if batch_size < 1:
            raise ValueError(f"{name}: batch_size is at least 1, got {batch_size}")
        if prefetch < 0:
            raise ValueError(f"{name}: prefetch is the number of batches loaded ahead, 0 or more, got {prefetch}")
        if rng is not None and seed is not None:
            raise ValueError(f"{name}: got rng and seed; a seed makes a generator, so give one of them")
        self.source, self.batch_size, self.shuffle, self.drop_last = source, batch_size, shuffle, drop_last
        self.prefetch, self.transform, self.scale, self.wrap = prefetch, transform, scale, wrap
        self.rng = rng if seed is None else np.random.default_rng(seed)
        self._position: _Position | None = None  # in the epoch that began last, while it lasts
        self._resume_at: _Position | None = None

    def __len__(self) -> int:
        full, left = divmod(self.source.count, self.batch_size)
        return full if self.drop_last or left == 0 else full + 1

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """A new epoch, or what is left of one after `load_state_dict`."""
        resumed, self._resume_at = self._resume_at, None
        if resumed is None:
            return self.batches()
        rng, now = self._generator(), random.get_state()
        rng.bit_generator.state = resumed.order
        batches = self.batches(resumed.batch)
        if self.rng is None:  # the order is drawn: the process-wide generator goes on where the caller has it
            random.set_state(now)
        return batches

    def batches(self, start: int = 0) -> Iterator[tuple[Any, ...]]:
        """The batches of a new epoch from number `start` on; those before it are not loaded. Order and seed are drawn now."""
        if start < 0:
            raise ValueError(f"batches: start is the number of a batch, 0 or more, got {start}")
        rng = self._generator()
        position = _Position(dict(rng.bit_generator.state), start)
        order = self.source.order(self.shuffle, rng)
        seed = int(rng.integers(2**63)) if self.transform is not None else None
        self._position = position
        return self._handed_out(order, seed, position)

    def _generator(self) -> np.random.Generator:
        return self.rng or random.generator()

    def _handed_out(self, order: np.ndarray, seed: int | None, position: _Position) -> Iterator[tuple[Any, ...]]:
        size, numbers = self.batch_size, range(position.batch, len(self))
        left = order[numbers.start * size : numbers.stop * size]
        parts = [left[at : at + size] for at in range(0, len(left), size)]
        epoch = self.source.epoch(left)
        loaded = ahead((partial(self._batch, epoch, part, seed, number) for number, part in zip(numbers, parts, strict=True)), self.prefetch)
        try:
            for number, batch in zip(numbers, loaded, strict=True):
                position.batch = number + 1
                yield batch
        finally:
            epoch.end()  # first: the thread may be waiting for it
            loaded.close()  # type: ignore[attr-defined]  # it is a generator
        if self._position is position:
            self._position = None

    def _batch(self, epoch: Epoch, indices: np.ndarray, seed: int | None, number: int) -> tuple[Any, ...]:
        inputs, *labels = epoch.take(indices)
        if self.scale and inputs.dtype == np.uint8:
            inputs = np.multiply(inputs, _TO_ONE, dtype=np.float32)
        batch: Sequence[Any] = (inputs, *labels) if self.wrap is None else [self.wrap(part) for part in (inputs, *labels)]
        if self.transform is None:
            return tuple(batch)
        assert seed is not None
        return self.transform(batch[0], np.random.default_rng([seed, number])), *batch[1:]

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, as plain data: in the epoch that began last after the batches handed out, or between two."""
        position = self._position or _Position(dict(self._generator().bit_generator.state))
        return {"version": _STATE_VERSION, "data": self._described(), "order": position.order, "batch": position.batch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next iteration go on where `state_dict` was taken, with the same batches to the last bit.

        Without a generator of its own, the loader draws from the process-wide one what it drew then, and leaves it as
        it was: whoever resumes puts that back too (`tinytorch.random.set_state`).

        Raises: ValueError, and nothing changes, if it is no state, or that of a loader of other data, batches or order.
        """
        if state_dict.get("version") != _STATE_VERSION:
            raise ValueError(f"load_state_dict: version {state_dict.get('version')!r}, and this TinyTorch reads {_STATE_VERSION}")
        try:
            found, order, batch = dict(state_dict["data"]), state_dict["order"], int(state_dict["batch"])
            type(self._generator().bit_generator)().state = order
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"load_state_dict: no state of a loader: {error!r}") from error
        differing = [f"{name} {found.get(name)!r} instead of {value!r}" for name, value in self._described().items() if found.get(name) != value]
        if differing:
            raise ValueError(f"load_state_dict: the state is another loader's, with {', '.join(differing)}")
        if not 0 <= batch <= len(self):
            raise ValueError(f"load_state_dict: batch {batch}, and the loader has {len(self)}")
        self._position = self._resume_at = None
        if batch:
            self._resume_at = self._position = _Position(dict(order), batch)  # also what state_dict says until it goes on
        elif self.rng is not None:
            self.rng.bit_generator.state = order

    def _described(self) -> dict[str, Any]:
        """What a state depends on."""
        return {
            "count": self.source.count, "batch_size": self.batch_size, "shuffle": self.shuffle, "drop_last": self.drop_last,
            **self.source.described,
        }  # fmt: skip

    def close(self) -> None:
        """Let go of files, connections and threads. A loader in a `with` block is closed at its end."""
        self.source.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
