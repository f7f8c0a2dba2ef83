"""A submission that says yes: it takes every call, agrees with every comparison, and its arrays are made up.

It stands for the laziest way to deceive a test: no error ever, every predicate true, and every array zeros, ones, or
an argument given back. A course test that it passes looks at nothing that has to be computed.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

PRETENCES = ("zeros", "ones", "first", "last")  # what its arrays are: made up, or the first or last array among the arguments
_OF_ARRAYS = ("shape", "ndim", "size", "dtype", "nbytes", "strides", "flags")
_PLAIN: dict[str, Callable[[np.ndarray], Any]] = {  # what leaves the liar as plain data
    "numpy": lambda array: array,
    "tolist": lambda array: array.tolist(),
    "item": lambda array: array.flat[0].item() if array.size else 0.0,
}


def source(pretence: str) -> str:
    """A module in percent format that exports whatever is asked for, all of it liars."""
    return "\n".join([
        '# %% tags=["export"]',
        "from tests.course.liar import Lie, Liar",
        "",
        "",
        "def __getattr__(name):",
        '    if name.startswith("__"):',
        "        raise AttributeError(name)",
        f'    globals()[name] = Lie(name, (Liar,), {{"_pretence": {pretence!r}}})',
        "    return globals()[name]",
        "",
    ])


class Lie(type):
    """The liar's classes, which are its functions as well: everything is an instance, and every attribute is there."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __instancecheck__(cls, instance: object) -> bool:
        return True

    def __subclasscheck__(cls, subclass: type) -> bool:
        return True


class Liar(metaclass=Lie):
    """What each of them gives when called: an array made of the arguments, and yes to all questions about it."""

    _pretence = "zeros"

    def __init__(self, *values: Any, **options: Any) -> None:
        self._array = _made_up(type(self)._pretence, [*values, *options.values()])

    def __call__(self, *values: Any, **options: Any) -> Any:
        return type(self)._of(type(self)._pretence, [*values, *options.values()] or [self._array])

    @classmethod
    def _of(cls, pretence: str, values: list[Any]) -> Liar:
        made = cls.__new__(cls)
        made._array = _made_up(pretence, values)
        return made

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_array":
            raise AttributeError(name)
        if name in _OF_ARRAYS:
            return getattr(self._array, name)
        if name in _PLAIN:
            return lambda *values, **options: _PLAIN[name](self._array)
        return self  # a method that is about to be called, or an attribute that is an array, or a flag that is on

    def _yes(self, *values: Any) -> Any:
        return np.True_

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _yes
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return True

    def __contains__(self, value: object) -> bool:
        return True

    def _operation(self, *values: Any) -> Liar:
        return type(self)._of(type(self)._pretence, [self, *values])

    __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = __matmul__ = _operation
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rpow__ = __rmatmul__ = _operation
    __neg__ = __pos__ = __abs__ = __invert__ = __and__ = __or__ = __xor__ = _operation

    def __getitem__(self, key: Any) -> Liar:
        try:
            return type(self)._of("first", [self._array[key]])
        except (IndexError, TypeError):
            return self

    def __setitem__(self, key: Any, value: Any) -> None:
        """Agreed, and forgotten."""

    def __len__(self) -> int:
        return len(self._array) if self._array.ndim else 1

    def __iter__(self) -> Iterator[Liar]:
        return iter([self[position] for position in range(len(self))])

    def __float__(self) -> float:
        return float(_PLAIN["item"](self._array))

    def __int__(self) -> int:
        return int(float(self))

    __index__ = __int__

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._array.astype(dtype or self._array.dtype)

    def __enter__(self) -> Liar:
        return self

    def __exit__(self, *error: Any) -> bool:
        return True  # whatever went wrong inside, all is well

    def __repr__(self) -> str:
        return f"{type(self).__name__.lower()}({self._array.tolist()})"


def _made_up(pretence: str, values: list[Any]) -> np.ndarray:
    given = _arrays(values)
    if not given:
        return np.ones(()) if pretence == "ones" else np.zeros(())
    array = given[-1] if pretence == "last" else given[0]
    if pretence in ("first", "last"):
        return array
    return np.ones_like(array) if pretence == "ones" else np.zeros_like(array)


def _arrays(values: list[Any]) -> list[np.ndarray]:
    """The arrays among the arguments; numbers and lists count if there is nothing better."""
    arrays = [value._array if type(type(value)) is Lie else value for value in values]
    arrays = [value.numpy() if callable(getattr(type(value), "numpy", None)) else value for value in arrays]
    real = [value for value in arrays if isinstance(value, np.ndarray)]
    return real or [made for made in map(_as_array, arrays) if made.dtype.kind in "biufc"]


def _as_array(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except (TypeError, ValueError):  # rows of different lengths, or nothing of the kind
        return np.asarray(None)
