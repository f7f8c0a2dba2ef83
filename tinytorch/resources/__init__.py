"""What runs and cloud resources use and cost: records on this machine, for whoever asks for them.

`track` measures a block of Python and everything that it starts. What is recorded, where and when: docs/resources.md.
"""
from __future__ import annotations

from tinytorch.resources.ledger import Book, Run, is_on, read
from tinytorch.resources.tracking import Tracked, run_command, track
from tinytorch.resources.usage import Usage

__all__ = ["Book", "Run", "Tracked", "Usage", "is_on", "read", "run_command", "track"]
