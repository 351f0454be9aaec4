"""What earlier looks at a target saw: kept in the state store, may be lost without harm.

Losing it delays an approval (settling starts anew) and forgets what vanished within the last hour; it never approves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.model import Connection, ConnectionStatus
from shared.core.observation import Incarnation

if TYPE_CHECKING:
    from shared.core.arm_id import ArmId
    from shared.core.model import Link
    from shared.core.observation import Observation

GRACE: Final = timedelta(hours=1)
"""How long a rejected or vanished connection still counts as one that could be the link's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenConnection:
    """A connection as it was when last seen."""

    connection: Connection
    first_seen: datetime
    """It was there at this time or earlier."""
    requested_message: str | None
    """Its description while it was Pending, None where it was never seen Pending."""
    rejected_since: datetime | None = None
    """When it was first seen Rejected, None where it is not."""
    gone_since: datetime | None = None
    """When it was first missing, None where it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenLink:
    """A link's life as earlier looks saw it."""

    incarnation: Incarnation
    absent_at: datetime | None
    """As of when the last look before it was first seen did not find it, None where there was no look before."""
    gone_since: datetime | None = None
    """When it was first missing, None where it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """Evidence that has not changed since."""

    pair: str
    """The connection and link that it is about."""
    digest: str
    since: datetime
    """When the first look that said so ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Successful looks at an approval that is not confirmed."""

    decision: str
    approved: int = 0
    """Looks at which the connection was Approved."""
    contradicted: int = 0
    """Looks in a row at which the link contradicted the approval."""
    pending: int = 0
    """Looks in a row at which the connection was still Pending."""
    gone: int = 0
    """Looks in a row at which the connection was not listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Everything remembered about one target."""

    observed_at: datetime | None = None
    """When the last look ended."""
    links_read_at: datetime | None = None
    """As of when the last look knew every link."""
    read_at: dict[str, datetime] = field(default_factory=dict)
    """By the key of each service that the last look read itself: when."""
    connections: tuple[SeenConnection, ...] = ()
    links: tuple[SeenLink, ...] = ()
    settling: tuple[Settling, ...] = ()
    looks: tuple[Looks, ...] = ()
    budget_spent_since: datetime | None = None
    """Since when an approval waits for the budget, None where none does."""

    def seen(self, connection: ArmId) -> SeenConnection | None:
        """What is remembered of a connection."""
        return next((seen for seen in self.connections if seen.connection.id == connection), None)

    def absent_at(self, incarnation: Incarnation) -> datetime | None:
        """The latest time at which a look did not find this life of a link."""
        return next((seen.absent_at for seen in self.links if seen.incarnation.may_be(incarnation)), None)

    def settled_since(self, pair: str, digest: str) -> datetime | None:
        """Since when this evidence has been the same, None where it was not seen before or has changed."""
        return next((row.since for row in self.settling if row.pair == pair and row.digest == digest), None)

    def looks_at(self, decision: str) -> Looks:
        """The count of looks at an approval."""
        return next((row for row in self.looks if row.decision == decision), Looks(decision=decision))

    def with_looks(self, looks: Looks) -> Memory:
        """The memory with this count in place of the old one."""
        others = tuple(row for row in self.looks if row.decision != looks.decision)
        return replace(self, looks=(*others, looks))

    def same_but_time(self, other: Memory) -> bool:
        """Whether nothing but the time of the look differs."""
        return self._timeless() == other._timeless()

    def _timeless(self) -> Memory:
        return replace(self, observed_at=None, links_read_at=None, read_at={})

    def last_read(self, service: ArmId) -> datetime | None:
        """As of when the last look knew the links of a service, None where there was no look."""
        return self.read_at.get(service.key, self.links_read_at)


def remember(memory: Memory, observation: Observation) -> Memory:
    """The memory after one more look."""
    now = observation.connections_finished
    before = {seen.connection.id: seen for seen in memory.connections}
    present = {connection.id for connection in observation.connections}
    here = tuple(_see(before.get(connection.id), connection, now) for connection in observation.connections)
    gone = tuple(
        seen if seen.gone_since is not None else replace(seen, gone_since=now)
        for id_, seen in before.items()
        if id_ not in present and (seen.gone_since is None or now - seen.gone_since <= GRACE)
    )
    return replace(
        memory,
        observed_at=now,
        links_read_at=observation.links_started,
        read_at={service.key: at for service, at in observation.read_at.items()},
        connections=here + gone,
        links=_see_links(memory, observation),
    )


def _see_links(memory: Memory, observation: Observation) -> tuple[SeenLink, ...]:
    """The links that are there, and those that were within the hour.

    A list may be a stale one that misses a link. Where Azure says when a link was made, finding the same life again does not
    mean that it began after its connection was seen.
    """
    now = observation.connections_finished
    here = tuple(_see_link(memory, link) for link in observation.links)
    lives = {seen.incarnation for seen in here}
    gone = tuple(
        replace(seen, gone_since=seen.gone_since or now)
        for seen in memory.links
        if seen.incarnation not in lives
        and seen.incarnation.created_at is not None
        and (seen.gone_since is None or now - seen.gone_since <= GRACE)
    )
    return here + gone


def _see_link(memory: Memory, link: Link) -> SeenLink:
    life = Incarnation.of(link)
    same = (seen for seen in memory.links if seen.incarnation == life and life.created_at is not None)
    perhaps = (seen for seen in memory.links if seen.incarnation.may_be(life) and seen.gone_since is None)
    before = next(same, None) or next(perhaps, None)
    if before is None:
        return SeenLink(incarnation=life, absent_at=memory.last_read(link.signalr))
    # A list may leave out when the link was made; what was known stays known.
    return replace(before, incarnation=before.incarnation if life.created_at is None else life, gone_since=None)


def _see(before: SeenConnection | None, connection: Connection, now: datetime) -> SeenConnection:
    pending = connection.description if connection.status is ConnectionStatus.PENDING else None
    rejected = connection.status is ConnectionStatus.REJECTED
    return SeenConnection(
        connection=connection,
        first_seen=before.first_seen if before else now,
        requested_message=pending if pending is not None else (before.requested_message if before else None),
        rejected_since=((before.rejected_since if before else None) or now) if rejected else None,
        gone_since=None,
    )
