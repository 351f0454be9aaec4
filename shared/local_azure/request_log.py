"""What was asked of the local Azure: every request, without its query, and how many of each kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

THROTTLED = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A request and what became of it."""

    at: datetime
    method: str
    path: str
    """Without the query."""
    status: int
    """Of the answer; 0 where there was none."""
    operation: str
    """Such as ``list Microsoft.Web/sites/privateEndpointConnections``; "" for what ARM does not know."""
    caller: str
    """Whose token it came with; "" without a known one."""
    fault: str
    """The fault that happened to it; "" for none."""


class RequestLog:
    """Every request in order."""

    def __init__(self) -> None:
        self.entries: list[Served] = []
        self.counts: Counter[str] = Counter()
        """Requests by operation."""

    def add(self, entry: Served) -> None:
        """Keep it."""
        self.entries.append(entry)
        self.counts[entry.operation] += 1

    def clear(self) -> None:
        """Start counting anew."""
        self.entries.clear()
        self.counts.clear()

    @property
    def reads(self) -> int:
        """How many GETs there were."""
        return sum(1 for entry in self.entries if entry.method == "GET")

    @property
    def writes(self) -> int:
        """How many others there were."""
        return len(self.entries) - self.reads

    @property
    def throttled(self) -> int:
        """How many were answered by 429."""
        return sum(1 for entry in self.entries if entry.status == THROTTLED)
