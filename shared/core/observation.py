"""What one look at a target found, and what earlier looks and the ledger add to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.core.arm_id import ArmId
from shared.core.model import Connection, Link, Site, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One look: links first, then the target's connections, then its exposure and tier. Times are Azure's."""

    target: Target
    links: tuple[Link, ...]
    """Every link in the scanned subscriptions that leads to this target, allowlisted or not."""
    tiers: dict[ArmId, str]
    """The ``sku.tier`` of each service that owns one of the links."""
    started: datetime
    """When the look began."""
    links_started: datetime
    """The links were so at this time or later: those that other services own may come from the last sweep."""
    read_at: dict[ArmId, datetime]
    """When the read of a service began, for those that this look read itself."""
    connections: tuple[Connection, ...]
    connections_finished: datetime
    """The connections were so at this time or earlier."""
    site: Site | None
    """None where nothing was pending, so that nobody asked."""
    exists: bool = True
    """Whether the target exists."""

    @property
    def clock(self) -> datetime:
        """The time of the decision: when the last read ended."""
        return self.connections_finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Incarnation:
    """One life of a link: made anew under the same name it is another one, where Azure says when it was made."""

    link: ArmId
    created_at: datetime | None

    @classmethod
    def of(cls, link: Link) -> Incarnation:
        """The life that ``link`` is in."""
        return cls(link=link.id, created_at=link.created_at)

    def may_be(self, other: Incarnation) -> bool:
        """Whether both may be the same life: where Azure did not say when one was made, nobody can tell."""
        return self.link == other.link and (None in {self.created_at, other.created_at} or self.created_at == other.created_at)
