"""What runs, or is kept, at a cloud provider: listed, made and removed by tag.

What the project makes carries the tag `tinytorch`, whose value is the project's name. Nothing else is ever removed.
"""
from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tinytorch.cloud.resource import CloudResource, NotFound, Provider, RemovingProvider, has_tags

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CloudResource", "NotFound", "Provider", "RemovingProvider", "has_tags", "providers"]


def providers() -> list[Provider]:
    """The providers whose credentials are found on this machine; nothing is asked over the network for that."""
    from tinytorch.cloud import aws, runpod

    known: list[tuple[Callable[[], bool], Callable[[], Provider]]] = [
        (aws.is_configured, aws.Aws), (lambda: bool(os.environ.get(runpod.KEY_VARIABLE)), runpod.RunPod),
    ]  # fmt: skip
    return [make() for is_configured, make in known if is_configured()]
