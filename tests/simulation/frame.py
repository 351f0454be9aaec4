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
    document: Document | None = None
    """The allowlist as the look had it; None where it could not be read."""
    lost_with: tuple[Frame, ...] = ()
    """The looks that were remembered, this one among them, when the store lost them: a step under way still knows them."""

    @property
    def started(self) -> datetime | None:
        """When the look began. One that was begun anew counts from then: the reads that it repeats replace the first ones."""
        return min((started for started, _ in self.services.values()), default=self.list_started)


@dataclass(slots=True, eq=False)
class Sweep:
    """A sweep, with all its parts."""

    started: datetime
    document: Document | None = None
    """The allowlist as the sweep read it first."""
    listed: bool = True
    """Whether it could list every subscription."""
    wanted: frozenset[str] | None = None
    """The targets that it had to look at; None before it knew."""
    looked_at: set[str] = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        """Whether it has looked at everything."""
        return self.listed and self.wanted is not None and self.wanted <= self.looked_at


@dataclass(slots=True, eq=False)
class ReadDocument:
    """The allowlist as a step read it last; None where it was unreadable."""

    document: Document | None
    at: datetime


# A step and its children share them; another step, even of the same worker, has its own.
FRAME: ContextVar[Frame | None] = ContextVar("FRAME", default=None)
DOCUMENT: ContextVar[ReadDocument | None] = ContextVar("DOCUMENT", default=None)
SWEEP: ContextVar[Sweep | None] = ContextVar("SWEEP", default=None)
"""The sweep that a look is part of; None for one that an event or a message asked for."""
TOLD: ContextVar[list[tuple[str, str]] | None] = ContextVar("TOLD", default=None)
"""The findings that a job has told so far: what they are and what they are about."""


def forget() -> None:
    """A new job begins: it has nothing of the one that asked for it."""
    FRAME.set(None)
    DOCUMENT.set(None)
    SWEEP.set(None)
    TOLD.set([])
