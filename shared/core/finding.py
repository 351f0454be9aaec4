"""What a person should know, with a stable id and a stable fingerprint (docs/findings.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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
