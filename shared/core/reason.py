"""Why a connection is not approved: a stable code, a sentence to act on, the facts, the rule line that would resolve it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Code(StrEnum):
    """The codes of docs/reasons.md. They are stable: alerts and reports are built on them."""

    # Holds: a person has to change something.
    NO_LINK = "no_link"
    NOT_ALLOWLISTED = "not_allowlisted"
    DENIED = "denied"
    PAUSED = "paused"
    RULE_EXPIRED = "rule_expired"
    AMBIGUOUS = "ambiguous"
    NAME_DIFFERS = "name_differs"
    MESSAGE_DIFFERS = "message_differs"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_WRONG = "signature_wrong"
    SIGNATURE_EXPIRED = "signature_expired"
    SIGNATURE_SPENT = "signature_spent"
    ENDPOINT_SUBSCRIPTION_UNKNOWN = "endpoint_subscription_unknown"
    OLDER_THAN_LINK = "older_than_link"
    LINK_FAILED = "link_failed"
    LINK_NOT_PENDING = "link_not_pending"
    QUARANTINED = "quarantined"
    PERSON_REJECTED = "person_rejected"
    EXPOSURE_CHANGE = "exposure_change"
    TIER_UNSUPPORTED = "tier_unsupported"
    FREE_TIER = "free_tier"
    ALLOWLIST_UNREADABLE = "allowlist_unreadable"

    # Waits: time alone may resolve it.
    LINK_NOT_PROVISIONED = "link_not_provisioned"
    CONNECTION_MISSING = "connection_missing"
    SETTLING = "settling"
    UNCONFIRMED = "unconfirmed"
    APPROVING = "approving"
    BUDGET_SPENT = "budget_spent"

    # Marks on what would otherwise be approved without a word.
    OBSERVE_ONLY = "observe_only"
    WEAK_EVIDENCE = "weak_evidence"
    TIER_UNKNOWN = "tier_unknown"


WAITS: Final = frozenset(
    {
        Code.LINK_NOT_PROVISIONED,
        Code.CONNECTION_MISSING,
        Code.SETTLING,
        Code.UNCONFIRMED,
        Code.APPROVING,
        Code.BUDGET_SPENT,
    }
)
MARKS: Final = frozenset({Code.OBSERVE_ONLY, Code.WEAK_EVIDENCE, Code.TIER_UNKNOWN})
HOLDS: Final = frozenset(Code) - WAITS - MARKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason. ``message`` is Linkguard's own sentence; text from outside is in ``facts`` only."""

    code: Code
    message: str
    facts: dict[str, str]
    """What the reason rests on, by name; values may come from outside and are escaped where they are shown."""
    resolve: str = ""
    """The allowlist line or the command that would resolve it; "" where neither can."""
