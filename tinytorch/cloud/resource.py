"""What a provider says of the things that it charges for, in one form for all providers."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from tinytorch.errors import CloudError

__all__ = ["CloudResource", "NotFound", "Provider", "RemovingProvider", "has_tags"]

TAG = "tinytorch"  # its value is the name of the project that made a resource
PROTECTED_TAG = "tinytorch:protected"  # whatever its value: not to be removed
KINDS = ("instance", "volume", "snapshot", "bucket", "pod")
GOING = {"deleting", "deleted", "terminated", "shutting-down", "exited"}  # states, in small letters, in which nothing is to be done any more
IDLE = GOING | {"stopped", "stopping"}  # those in which nothing is charged by the hour


class NotFound(CloudError):
    """What a call was about isn't there, or not any more."""


@dataclass(frozen=True)
class CloudResource:
    """One thing at a provider."""

    provider: str  # "aws", "runpod"
    kind: str  # one of KINDS; "prefix" only where one was asked for
    id: str
    name: str  # "" where it has none
    region: str  # "" where the provider doesn't say
    type: str  # of an instance its size, of a volume gp3 and the like, of a pod its GPU
    state: str  # in the provider's words
    created: datetime | None  # aware
    tags: Mapping[str, str]
    size_gb: float | None
    attached_to: str | None  # the id of the instance that has a volume
    usd_per_hour: float | None = None  # what it costs while it runs, where the provider itself says so


class Provider(Protocol):
    """A cloud provider with somebody's credentials."""

    name: str

    def resources(self, *, tags: Mapping[str, str] | None = None) -> list[CloudResource]:
        """What is there, or of that what has all of these `tags`.

        Raises: CloudError, which says what to do; ConfigError if a package is missing.
        """


@runtime_checkable
class RemovingProvider(Provider, Protocol):
    """A provider whose resources can be removed."""

    def current(self, resource: CloudResource) -> CloudResource | None:
        """The same resource as it is now; None if it is gone."""

    def remove(self, resource: CloudResource) -> None:
        """Remove it, or of a pod end what it costs. One that is gone already is no error."""


def has_tags(resource: CloudResource, tags: Mapping[str, str] | None) -> bool:
    """Whether a resource has all of these tags, each with this very value."""
    return all(resource.tags.get(key) == value for key, value in (tags or {}).items())
