"""Real data for the course: `datasets.load("digits")` needs no network."""
from __future__ import annotations

from difflib import get_close_matches

from tinytorch.datasets.digits import Digits, load_digits

__all__ = ["Digits", "load", "names"]

_LOADERS = {"digits": load_digits}


def names() -> list[str]:
    """What `load` knows."""
    return sorted(_LOADERS)


def load(name: str) -> Digits:
    """The dataset of that name, in fresh arrays: changing them changes nobody else's.

    Raises: ValueError for a name that isn't in `names()`; DataError if the data can't be read.

    >>> load("digits").images.shape
    (1797, 8, 8)
    """
    if name not in _LOADERS:
        near = get_close_matches(str(name).lower(), _LOADERS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"datasets.load: no dataset {name!r}; there is {', '.join(map(repr, names()))}.{hint}")
    return _LOADERS[name]()
