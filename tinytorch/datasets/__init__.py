"""Real data for the course. `datasets.load("digits")` needs no network; the others are downloaded when asked for."""
from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from tinytorch.datasets.digits import Digits, load_digits
from tinytorch.datasets.downloading import download

if TYPE_CHECKING:
    from tinytorch.datasets.arrays import Images, Text

__all__ = ["Digits", "download", "load", "names"]

_Pictures = Literal["mnist", "fashion-mnist", "cifar10"]


def names() -> list[str]:
    """The names of the datasets that `load` knows, sorted."""
    from tinytorch.datasets import registry

    return sorted(registry.datasets())


@overload
def load(name: Literal["digits"], split: str = ..., *, download: bool = ...) -> Digits: ...
@overload
def load(name: _Pictures, split: str = ..., *, download: bool = ...) -> Images: ...
@overload
def load(name: Literal["tinyshakespeare"], split: str = ..., *, download: bool = ...) -> Text: ...
@overload
def load(name: str, split: str = ..., *, download: bool = ...) -> Digits | Images | Text: ...


def load(name: str, split: str = "train", *, download: bool = False) -> Digits | Images | Text:
    """The dataset of that name: changing its arrays changes nobody else's.

    Images come as `images` (samples, *shape) uint8 and `labels` (samples,) int64, a text as `text`. What has no splits
    is whole in "train". Only `download=True` uses the network, and only for what isn't there.

    Raises: ConfigError, a ValueError, for a name or split that there isn't; DataError if the data is missing or can't
        be read.

    >>> load("digits").images.shape
    (1797, 8, 8)
    """
    from tinytorch.datasets import cache, downloading, registry
    from tinytorch.errors import ConfigError

    try:
        found = registry.dataset(name)
    except registry.UnknownDataset as error:
        raise registry.UnknownDataset(f"datasets.load: {error}") from None
    if split not in found.splits:
        raise ConfigError(f"datasets.load: {name} has no split {split!r}; there is {', '.join(map(repr, found.splits))}")
    if download and cache.missing(found):
        downloading.download([name])
    if found.is_bundled:
        return load_digits()
    from tinytorch.datasets import arrays  # what reads archives

    return arrays.text(found) if found.reader == "text" else arrays.images(found, split)
