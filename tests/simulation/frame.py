"""What one step of a worker was told by Azure: the oracle judges by this, not by what the engine made of it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

from shared.core.arm_id import ArmId
from shared.core.model import Connection, SignalR, Site
from shared.ports import Document


@dataclass(slots=True, eq=False)
class Frame:
    """The answers of one look."""

    worker: str
    chain: str
    length: int
    """How many records of its chain the step had read."""
    services: dict[ArmId, tuple[datetime, SignalR | None]] = field(default_factory=dict)
    """When the read began, and what it found."""
    connections: tuple[Connection, ...] | None = None
    list_started: datetime | None = None
    finished: datetime | None = None
    """When the list of connections ended."""
    site: Site | None = None

    @property
    def started(self) -> datetime | None:
        """When the look began. One that was begun anew counts from then: the reads that it repeats replace the first ones."""
        return min((started for started, _ in self.services.values()), default=self.list_started)


@dataclass(slots=True, eq=False)
class ReadDocument:
    """The allowlist as a step read it last; None where it was unreadable."""

    document: Document | None
    at: datetime


# A step and its children share them; another step, even of the same worker, has its own.
FRAME: ContextVar[Frame | None] = ContextVar("FRAME", default=None)
DOCUMENT: ContextVar[ReadDocument | None] = ContextVar("DOCUMENT", default=None)
TOLD: ContextVar[list[tuple[str, str]] | None] = ContextVar("TOLD", default=None)
"""The findings that a job has told so far: what they are and what they are about."""


def forget() -> None:
    """A new job begins: it has nothing of the one that asked for it."""
    FRAME.set(None)
    DOCUMENT.set(None)
    TOLD.set([])
