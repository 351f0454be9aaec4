"""What a report is made from: the last sweep as it was kept, the findings with their lives, and the ledger's own story.

Nothing in it was read from Azure for the report. Names, messages and facts may come from strangers: whoever shows them
escapes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.core.arm_id import ArmId
from shared.core.evidence import Evidence
from shared.core.finding import Finding
from shared.core.finding_life import Life
from shared.core.ledger import ChainFault, JsonObject, RecordKind
from shared.core.model import Target
from shared.core.reason import Reason
from shared.core.verdict import Mode, Strength


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """One link and its connection; or a link without a connection; or a connection that no link explains."""

    target: Target
    link: ArmId | None
    """The link that the connection was approved for, else the one that fits it; None where none does."""
    connection: ArmId | None
    endpoint: str
    """The id of the connection's private endpoint as Azure gave it, "" where there is none."""
    link_status: str
    """``Pending``, ``Approved``, ...; "" without a link, or where the link is gone."""
    link_provisioning: str
    connection_state: str
    """The connection's status as Azure says it, "" without a connection."""
    verdict: str
    """``approve``, ``hold``, ``wait`` or ``settled``; "" where its target was not looked at."""
    outcome: str | None
    """As :attr:`shared.services.results.DecisionReport.outcome`."""
    rule: str
    """The id of the rule that it was, or would be, approved by; "" where there is none."""
    owner: str
    """Of that rule as the allowlist has it now; "" where it is gone or names none."""
    ticket: str
    decision_id: str
    since: datetime | None
    """When it was approved by us, else when the connection was first seen; None where neither is known."""

    @property
    def signalr(self) -> ArmId | None:
        """The service that owns the link."""
        return self.link.parent if self.link else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldView:
    """A decision that is not settled: what is held, waited for, or would be approved but for observe mode."""

    target: Target
    connection: ArmId | None
    """None where a link waits for its connection."""
    link: ArmId | None
    verdict: str
    """``hold``, ``wait`` or ``approve``."""
    outcome: str | None
    reasons: tuple[Reason, ...]
    """Every one."""
    rule: str
    strength: Strength | None
    decision_id: str
    evidence_digest: str
    number: int
    state: str
    evidence: Evidence
    """Both sides, and all else that the decision was made from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """A finding and its life."""

    finding: Finding
    life: Life
    """What the last look made of it: new, repeated, worse or resolved."""
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None
    """None while it is open."""

    @property
    def is_open(self) -> bool:
        """Whether it stands."""
        return self.resolved_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepView:
    """The last sweep that was kept."""

    mode: Mode
    started: datetime
    finished: datetime
    complete: bool
    seen: tuple[Target, ...]
    """The targets that were looked at."""
    unread: tuple[Target, ...]
    """Watched targets that could not be looked at."""
    allowlist_source: str
    """"" where the allowlist could not be read."""
    allowlist_digest: str
    paused: bool
    links: tuple[LinkView, ...]
    held: tuple[HeldView, ...]
    held_total: int
    """How many there were; ``held`` may have fewer."""
    unseen: tuple[LinkView, ...] = ()
    """The links to all other targets: nobody watches these, or they could not be looked at."""

    @property
    def every_link(self) -> tuple[LinkView, ...]:
        """Every link of the scanned subscriptions, and every connection that was seen."""
        return (*self.links, *self.unseen)

    @property
    def targets(self) -> int:
        """How many targets were looked at."""
        return len(self.seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineItem:
    """One record of the ledger, without what it was made from."""

    chain: str
    sequence: int
    id: str
    kind: RecordKind
    at: datetime
    body: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """The ledger's story, and whether it holds together."""

    chains: int
    records: int
    """In all; ``timeline`` may have fewer."""
    faults: tuple[ChainFault, ...]
    """Empty where every chain is verified: none of its records is changed, missing or out of order."""
    timeline: tuple[TimelineItem, ...]
    """The newest records of all chains, newest first."""

    @property
    def verified(self) -> bool:
        """Whether no chain has a fault."""
        return not self.faults


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficItem:
    """One traffic verdict as the ledger has it (a record of kind ``traffic``)."""

    target: Target
    record: str
    """The record's id."""
    at: datetime
    """When it was recorded."""
    body: JsonObject
    """As the audit wrote it: docs of the audit say what is in it."""

    @property
    def verdict(self) -> str:
        """``private``, ``public-seen`` or ``inconclusive``; "" where the record names none."""
        verdict = self.body.get("verdict")
        return verdict if isinstance(verdict, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """Everything that a report shows."""

    at: datetime
    """When it was put together."""
    sweep: SweepView | None
    """None where no sweep was kept yet."""
    audit_at: datetime | None
    """When the newest traffic verdict was recorded; None where there is none."""
    findings: tuple[FindingView, ...]
    """The open ones, critical before warning; then those resolved lately."""
    ledger: LedgerView
    traffic: tuple[TrafficItem, ...]
    """Every verdict that was read, oldest first: a series a target."""
