"""What a person should know, with a stable id and a stable fingerprint (docs/findings.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.core.arm_id import fold_case
from shared.core.ledger import digest


class Severity(StrEnum):
    """How much it matters."""

    CRITICAL = "critical"
    """Somebody may be let in who should not be, or nobody is being watched: act now."""
    WARNING = "warning"
    """Something waits for a person."""


class FindingId(StrEnum):
    """The catalogue. Ids are stable: alerts and reports are built on them."""

    IMPOSTOR_SUSPECTED = "impostor_suspected"
    CONNECTION_HELD = "connection_held"
    APPROVAL_UNCONFIRMED = "approval_unconfirmed"
    APPROVAL_AMBIGUOUS = "approval_ambiguous"
    APPROVAL_TAKEN_BACK = "approval_taken_back"
    TAKE_BACK_WITHHELD = "take_back_withheld"
    TAKE_BACK_REFUSED = "take_back_refused"
    WRITE_REFUSED = "write_refused"
    BUDGET_SPENT = "budget_spent"
    ALLOWLIST_UNREADABLE = "allowlist_unreadable"
    RULE_OUT_OF_SCOPE = "rule_out_of_scope"
    SUBSCRIPTION_UNREADABLE = "subscription_unreadable"
    TARGET_UNREADABLE = "target_unreadable"

    # Drift: what is so and should not be, or cannot be explained.
    APPROVED_UNEXPLAINED = "approved_unexplained"
    APPROVED_NOT_ALLOWED = "approved_not_allowed"
    APPROVED_LINK_GONE = "approved_link_gone"
    LINK_APPROVED_NOT_PROVISIONED = "link_approved_not_provisioned"
    LINK_PROVISIONED_NOT_APPROVED = "link_provisioned_not_approved"
    UPSTREAM_NOT_PRIVATE = "upstream_not_private"
    PUBLIC_ACCESS_OPEN = "public_access_open"
    SIGNALR_FREE_TIER = "signalr_free_tier"
    SIGNALR_NOT_SERVERLESS = "signalr_not_serverless"
    PLAN_TIER_UNSUPPORTED = "plan_tier_unsupported"
    REPLICA_SUSPECTED = "replica_suspected"
    RULE_MATCHES_NOTHING = "rule_matches_nothing"
    RULE_EXPIRED = "rule_expired"
    RULE_EXPIRES_SOON = "rule_expires_soon"
    PENDING_UNEXPLAINED = "pending_unexplained"
    SITES_UNREADABLE = "sites_unreadable"
    REVOKE_DUE = "revoke_due"
    REVOKE_WITHHELD = "revoke_withheld"
    REVOKE_REFUSED = "revoke_refused"

    # What traffic logs say.
    TRAFFIC_PUBLIC = "traffic_public"
    TRAFFIC_INCONCLUSIVE = "traffic_inconclusive"

    # About the watching itself.
    FINDINGS_FLOOD = "findings_flood"
    ALERT_UNDELIVERED = "alert_undelivered"
    SWEEP_OVERDUE = "sweep_overdue"
    MESSAGE_POISONED = "message_poisoned"
    EVENT_DEAD_LETTERED = "event_dead_lettered"


DRIFT: Final = frozenset(
    {
        FindingId.RULE_OUT_OF_SCOPE,
        FindingId.APPROVED_UNEXPLAINED,
        FindingId.APPROVED_NOT_ALLOWED,
        FindingId.APPROVED_LINK_GONE,
        FindingId.LINK_APPROVED_NOT_PROVISIONED,
        FindingId.LINK_PROVISIONED_NOT_APPROVED,
        FindingId.UPSTREAM_NOT_PRIVATE,
        FindingId.PUBLIC_ACCESS_OPEN,
        FindingId.SIGNALR_FREE_TIER,
        FindingId.SIGNALR_NOT_SERVERLESS,
        FindingId.PLAN_TIER_UNSUPPORTED,
        FindingId.REPLICA_SUSPECTED,
        FindingId.RULE_MATCHES_NOTHING,
        FindingId.RULE_EXPIRED,
        FindingId.RULE_EXPIRES_SOON,
        FindingId.PENDING_UNEXPLAINED,
        FindingId.REVOKE_DUE,
        FindingId.REVOKE_WITHHELD,
        FindingId.REVOKE_REFUSED,
    }
)
"""Findings whose beginning and end the ledger records."""
MULTIPLIED: Final = frozenset(
    {
        FindingId.CONNECTION_HELD,
        FindingId.IMPOSTOR_SUSPECTED,
        FindingId.APPROVED_UNEXPLAINED,
        FindingId.PENDING_UNEXPLAINED,
        FindingId.REPLICA_SUSPECTED,
    }
)
"""Findings of which others can make any number on a target, by asking for connections: many of them are told as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding. ``message`` is Linkguard's own sentence and may quote ARM ids; text from outside is in ``facts``."""

    id: FindingId
    severity: Severity
    target: str
    """The ARM id that it is about, "" for the whole."""
    about: str
    """What tells this finding from another of the same id on the same target, such as a connection's key."""
    message: str
    facts: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """The same for the same finding at every sweep, whatever its severity and its facts."""
        return digest([self.id.value, fold_case(self.target), self.about])[:32]
