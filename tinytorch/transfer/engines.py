"""Who moves the bytes, and why."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tinytorch.errors import ConfigError
from tinytorch.transfer.location import DataLocation

if TYPE_CHECKING:
    from tinytorch.transfer.moving import Mover
    from tinytorch.transfer.planning import Step

__all__ = ["Engine", "chosen"]


class Engine:
    """Our own: parts through this process."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason

    @contextmanager
    def at_work(self, run: Any, mover: Mover) -> Iterator[Callable[[Step], str]]:
        """What sends one file."""
        yield mover.move


def chosen(engine: str, places: tuple[DataLocation, DataLocation], *, bandwidth: float | None) -> Engine:
    """The engine for two places.

    Raises: ConfigError if the one that is asked for can't do that.
    """
    kinds = {place.kind for place in places}
    ours = " and ".join(name for kind, name in (("s3", "boto3"), ("ssh", "sftp")) if kind in kinds) or "copy"
    if engine in ("auto", *ours.split(" and ")):
        through = "it streams through this machine, and nothing stays here"
        return Engine(ours, "both are on this machine" if ours == "copy" else through if "local" not in kinds else "it goes on inside a file")
    raise ConfigError(f"{engine} can't be had between {places[0]} and {places[1]}; leave --engine out")
