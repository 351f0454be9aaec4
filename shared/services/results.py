"""What the services return: data for reports, for the command line and for the triggers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.core.arm_id import ArmId
from shared.core.finding import Finding
from shared.core.history import Intent, Outcome
from shared.core.model import Target
from shared.core.reason import Reason
from shared.core.report_data import HeldView, LinkView
from shared.core.verdict import Mode, Strength


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionReport:
    """One decision and what came of it."""

    target: Target
    connection: ArmId | None
    link: ArmId | None
    rule: str | None
    verdict: str
    """``approve``, ``hold``, ``wait`` or ``settled``."""
    outcome: str | None
    """``not_written``, ``sent``, ``confirmed``, ``ambiguous`` or ``taken_back``; None where nothing was to be written."""
    reasons: tuple[Reason, ...]
    strength: Strength | None
    decision_id: str
    state: str
    """The connection's status; "" where there is no connection."""

    @property
    def subject(self) -> tuple[Target, ArmId | None, ArmId | None]:
        """What it is about: the connection, else the link."""
        return (self.target, self.connection, None if self.connection else self.link)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """One step on one target."""

    target: Target
    decisions: tuple[DecisionReport, ...]
    findings: tuple[Finding, ...]
    waiting: bool
    """Whether there is something to wait for."""
    look_at: datetime | None
    """The first time at which something that is waited for is due, by Azure's clock; None where nothing says when."""
    unscheduled: bool
    """Whether something is waited for that nobody can tell the time of: look again after the recheck delay."""
    acted: bool
    """Whether this step wrote to Azure."""
    more: bool
    """Whether there is another connection to approve at once."""
    looked_at: datetime
    """When the look ended, by Azure's clock."""
    looked_at_here: datetime
    """The same moment by this worker's clock."""
    links: tuple[LinkView, ...] = ()
    """What a report shows of the target's links and connections."""
    held: tuple[HeldView, ...] = ()
    """The decisions that are not settled, with their evidence."""
    unruled: tuple[Intent, ...] = ()
    """Approvals of ours, no person's, whose connection is Approved and that no allow rule names any more."""
    allowlist_digest: str = ""
    """Of the allowlist that the step went by; "" where it could not be read."""
    has_approved: bool = False
    """Whether some connection of the target is Approved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """One sweep."""

    mode: Mode
    dry_run: bool
    complete: bool
    """Whether every subscription and every watched target was read."""
    started: datetime
    finished: datetime
    targets: tuple[TargetResult, ...]
    unread: tuple[Target, ...]
    """Watched targets that could not be looked at; a finding says why."""
    findings: tuple[Finding, ...]
    """Those that belong to no target's step; see :meth:`all_findings`."""

    @property
    def decisions(self) -> tuple[DecisionReport, ...]:
        """Every target's decisions."""
        return tuple(decision for result in self.targets for decision in result.decisions)

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Every finding, the worst first."""
        found = [*self.findings, *(finding for result in self.targets for finding in result.findings)]
        return tuple(sorted(found, key=lambda finding: (finding.severity, finding.id, finding.target, finding.about)))

    @property
    def waiting(self) -> bool:
        """Whether some target has something to wait for."""
        return any(result.waiting for result in self.targets)


def outcome_name(intent: Intent | None) -> str | None:
    """What a report calls the outcome of an approval."""
    if intent is None or intent.outcome is None:
        return None
    match intent.outcome:
        case Outcome.SENT | Outcome.CONFIRMED | Outcome.AMBIGUOUS | Outcome.TAKEN_BACK:
            return intent.outcome.value
        case Outcome.NOT_WRITTEN | Outcome.ABANDONED:
            return Outcome.NOT_WRITTEN.value
        case Outcome.SUPERSEDED:
            return None
