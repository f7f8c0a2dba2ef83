"""What a check tells: one thing that was looked at."""
from __future__ import annotations

from dataclasses import dataclass

GOOD, NOTE, FAULT = "good", "note", "fault"
REPAIR = "tito system health --repair"  # brings back what can be proved
TIDY = "tito doctor --repair"  # and removes what killed processes left


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    state: str  # good, note (worth a look, nothing is broken) or fault
    text: str
    fix: str = ""  # what to do about it: sentences, or commands on lines of their own
