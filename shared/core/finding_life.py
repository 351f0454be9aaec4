"""The life of a finding: new, repeated, worse, resolved; and which of these are worth an alert.

Pure: what was open before and what a look found now become rows and alerts. A row holds the finding's state and the alerts
that were not delivered yet, so that one write keeps both: a crash can lose neither.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import fold_case
from shared.core.finding import MULTIPLIED, Finding, FindingId, Severity
from shared.core.ledger import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

FLOOD_BEGINS: Final = 6
"""So many findings that strangers can multiply, open on one target, are told as one."""
FLOOD_ENDS: Final = 2
"""With so few or less left, they are told one by one again. Apart from the beginning, so that it does not flap."""
KEPT_RESOLVED: Final = timedelta(days=7)
"""How long a resolved finding is remembered, for the report and so that its alerts go on being numbered."""


class Life(StrEnum):
    """What a look made of a finding."""

    NEW = "new"
    REPEATED = "repeated"
    WORSE = "worse"
    RESOLVED = "resolved"


class Change(StrEnum):
    """What an alert tells."""

    NEW = "new"
    WORSE = "worse"
    RESOLVED = "resolved"
    REMINDER = "reminder"
    """Nothing changed: a critical finding is still open."""
    TEST = "test"


class Delivery(StrEnum):
    """Where an alert stands with one sink."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up: ``linkguard alerts retry`` tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How far one sink has come with an alert."""

    sink: str
    state: Delivery
    tries: int
    next_at: datetime
    error: str = ""
    """Why the last try failed: our own words, never the sink's."""
    refusals: int = 0
    """How many of the tries were refused for the alert's very content."""
    since: datetime | None = None
    """When it was queued again from the dead letter; None: it waits since the alert's own time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One change of one finding, to be told."""

    sequence: int
    """The how-manyth alert about this finding: within one fingerprint they are delivered in this order."""
    change: Change
    at: datetime
    finding: Finding
    first_seen: datetime
    attempts: tuple[Attempt, ...] = ()
    """Of the sinks that have tried it."""

    @property
    def id(self) -> str:
        """The same at every delivery, so that a receiver can tell a repetition."""
        return digest([self.finding.fingerprint, self.sequence, self.change.value, self.at.isoformat()])[:32]

    def attempt(self, sink: str) -> Attempt:
        """Where it stands with a sink."""
        fresh = Attempt(sink=sink, state=Delivery.WAITING, tries=0, next_at=self.at)
        return next((one for one in self.attempts if one.sink == sink), fresh)

    def with_attempt(self, attempt: Attempt) -> Alert:
        """The alert with this attempt in place of the sink's former one."""
        others = tuple(one for one in self.attempts if one.sink != attempt.sink)
        return replace(self, attempts=(*others, attempt))


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """A finding, its life, and what is still to be told about it."""

    source: str
    """Who looks for it, such as ``sweep``: only the same source can resolve it."""
    finding: Finding
    life: Life
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None = None
    muted: bool = False
    """Whether it is part of a flood that was told as one, and was never told alone."""
    sequence: int = 0
    """Of the last alert."""
    told_at: datetime | None = None
    """When the last alert was queued."""
    queue: tuple[Alert, ...] = ()
    """What is not delivered to every sink, in order."""

    @property
    def is_open(self) -> bool:
        """Whether it stands."""
        return self.resolved_at is None

    def unlike(self, other: FindingRow) -> bool:
        """Whether more than the time of the last look differs."""
        return replace(self, last_seen=other.last_seen) != other

    def telling(self, change: Change, at: datetime) -> FindingRow:
        """The row with one more alert in its queue."""
        alert = Alert(sequence=self.sequence + 1, change=change, at=at, finding=self.finding, first_seen=self.first_seen)
        return replace(self, muted=False, sequence=alert.sequence, told_at=at, queue=(*self.queue, alert))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one source found, and what it looked at."""

    source: str
    at: datetime
    found: tuple[Finding, ...]
    covers: Callable[[Finding], bool] = field(default=lambda _: True)
    """Whether the look would have found this finding if it still stood: only then is its absence its end."""
    reminder: timedelta = timedelta()
    """How often an open critical finding is told again; nothing: never."""


def advance(before: Mapping[str, FindingRow], look: Look) -> dict[str, FindingRow]:
    """Every row, by fingerprint, as one look leaves it; those that it does not concern are as they were."""
    rows = dict(before)
    found = {finding.fingerprint: finding for finding in sorted(look.found, key=lambda finding: _rank(finding.severity))}
    for fingerprint, finding in found.items():
        rows[fingerprint] = _seen(rows.get(fingerprint), finding, look)
    for fingerprint, row in before.items():
        if _ended(row, look) and fingerprint not in found:
            rows[fingerprint] = _resolved(row, look.at)
    members = _notice_floods(rows, look)
    return {
        fingerprint: _tell(row, before.get(fingerprint), look, in_flood=fingerprint in members)
        if row.source == look.source
        else row
        for fingerprint, row in rows.items()
    }


def _ended(row: FindingRow, look: Look) -> bool:
    is_flood = row.finding.id is FindingId.FINDINGS_FLOOD
    return row.is_open and row.source == look.source and not is_flood and look.covers(row.finding)


def _rank(severity: Severity) -> int:
    return (Severity.WARNING, Severity.CRITICAL).index(severity)


def _seen(row: FindingRow | None, finding: Finding, look: Look) -> FindingRow:
    if row is None or not row.is_open:
        return FindingRow(
            source=look.source,
            finding=finding,
            life=Life.NEW,
            first_seen=look.at,
            last_seen=look.at,
            sequence=row.sequence if row else 0,
            queue=row.queue if row else (),
        )
    life = Life.WORSE if _rank(finding.severity) > _rank(row.finding.severity) else Life.REPEATED
    return replace(row, source=look.source, finding=finding, life=life, last_seen=look.at)


def _resolved(row: FindingRow, at: datetime) -> FindingRow:
    return replace(row, life=Life.RESOLVED, last_seen=at, resolved_at=at)


# Floods


def _notice_floods(rows: dict[str, FindingRow], look: Look) -> set[str]:
    """Add, keep up and end the findings that stand for many; returns the fingerprints of those that they stand for."""
    groups: defaultdict[str, list[FindingRow]] = defaultdict(list)
    for row in rows.values():
        if row.is_open and row.source == look.source and row.finding.id in MULTIPLIED and row.finding.target:
            groups[fold_case(row.finding.target)].append(row)
    open_floods = {
        fold_case(row.finding.target): row
        for row in rows.values()
        if row.is_open and row.source == look.source and row.finding.id is FindingId.FINDINGS_FLOOD
    }
    members: set[str] = set()
    for target in groups.keys() | open_floods.keys():
        group, flood = groups.get(target, []), open_floods.get(target)
        if len(group) >= FLOOD_BEGINS or (flood is not None and len(group) > FLOOD_ENDS):
            finding = _flood(group)
            rows[finding.fingerprint] = _seen(rows.get(finding.fingerprint), finding, look)
            members.update(row.finding.fingerprint for row in group)
        elif flood is not None:
            rows[flood.finding.fingerprint] = _resolved(flood, look.at)
    return members


def _flood(group: list[FindingRow]) -> Finding:
    counts = Counter(row.finding.id for row in group)
    target = min(row.finding.target for row in group)
    return Finding(
        id=FindingId.FINDINGS_FLOOD,
        severity=max((row.finding.severity for row in group), key=_rank),
        target=target,
        about="",
        message=f"{target} has {len(group)} findings about connections; they are told as one: linkguard explain {target}",
        facts={id_.value: str(count) for id_, count in sorted(counts.items())},
    )


# Telling


def _tell(row: FindingRow, before: FindingRow | None, look: Look, *, in_flood: bool) -> FindingRow:
    """The row with the alert that this look makes worth sending, if any."""
    if not row.is_open:
        ended_now = before is not None and before.is_open
        return row.telling(Change.RESOLVED, look.at) if ended_now and row.told_at is not None else row
    if row.told_at is None:
        return replace(row, muted=True) if in_flood else row.telling(Change.NEW, look.at)
    if before is not None and _rank(row.finding.severity) > _rank(before.finding.severity):
        return row.telling(Change.WORSE, look.at)
    is_due = bool(look.reminder) and look.at - row.told_at >= look.reminder
    if row.finding.severity is Severity.CRITICAL and is_due:
        return row.telling(Change.REMINDER, look.at)
    return row
