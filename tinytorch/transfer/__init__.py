"""Files between this machine, S3 and a training host: one call for any pair, which can be interrupted at any instant.

`DataLocation.parse(text)` reads a place, `transfer(source, destination)` sends what isn't there yet, and `sync` also
removes, if it is told to, what is at the destination only.
"""
from __future__ import annotations

from tinytorch.transfer.location import DataLocation
from tinytorch.transfer.running import Result, sync, transfer

__all__ = ["DataLocation", "Result", "sync", "transfer"]
