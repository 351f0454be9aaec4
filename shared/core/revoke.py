"""Revoking: ending an approval of ours because the rule that it was made by is gone, and the rule asked for that.

Pure. The brakes are docs/drift.md's: each of them alone keeps an approval.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.allowlist import OnRemoval, Rule
from shared.core.history import NOT_OURS, Action, Intent
from shared.core.ledger import Entry, JsonObject, RecordKind, digest
from shared.core.model import Connection, ConnectionStatus
from shared.core.verdict import Mode
from shared.core.wire import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE: Final = timedelta(hours=1)
"""How far apart two complete sweeps must be that both see the rule gone, under the same allowlist."""
MOST_BY_ONE_CHANGE: Final = 3
"""A change of the allowlist that would revoke more revokes none."""
MOST_AN_HOUR: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeEvidence:
    """All that the decision to revoke is made from."""

    approval: Intent
    """The one that the connection was approved by."""
    rule: Rule | None
    """As the approving intent recorded it: a rule that is gone has no text any more. None where it recorded none."""
    connection: Connection
    still_allowed_by: tuple[str, ...]
    """The rules that name its service and target, expired or not."""
    adopted: bool
    """Whether a person took it over, or approved it."""
    allowlist_digest: str
    paused: bool
    mode: Mode
    first_seen: datetime
    """When a complete sweep under this very allowlist first saw the rule gone, by Azure's clock."""
    last_seen: datetime
    """When this complete sweep saw so; the same where it is the first."""
    by_this_change: int
    """How many approvals this version of the allowlist would end in all."""
    clock: datetime


@dataclass(frozen=True, slots=True)
class Revoke:
    """Every brake is off."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The approval stays, for these reasons."""

    reasons: tuple[str, ...]
    withheld: bool
    """Whether it is kept only because one change would end too many."""


type Revocation = Revoke | Keep


def judge_revocation(evidence: RevokeEvidence) -> Revocation:
    """Whether the approval is to be ended now; every reason why not."""
    reasons = tuple(_brakes(evidence))
    too_many = evidence.by_this_change > MOST_BY_ONE_CHANGE
    if too_many:
        why = f"this change of the allowlist would revoke {evidence.by_this_change}, more than {MOST_BY_ONE_CHANGE}"
        return Keep((*reasons, why), withheld=True)
    return Keep(reasons, withheld=False) if reasons else Revoke()


def asks_for_it(rule: Rule | None) -> bool:
    """Whether the rule that an approval was made by wants it to end with the rule."""
    return rule is not None and rule.on_removal is OnRemoval.REVOKE


def _brakes(evidence: RevokeEvidence) -> Iterator[str]:
    if evidence.approval.by_person or evidence.adopted:
        yield "a person decided about this connection"
    if evidence.approval.action is not Action.APPROVE or evidence.approval.connection != evidence.connection.id:
        yield "the approval is not of this connection"
    if evidence.approval.outcome in NOT_OURS:
        yield f"somebody else approved it: our approval is {evidence.approval.outcome}"
    if not asks_for_it(evidence.rule):
        yield "the rule that it was approved by did not ask for revoking"
    if evidence.still_allowed_by:
        yield f"the rule {evidence.still_allowed_by[0]} names its service and target"
    if evidence.connection.status is not ConnectionStatus.APPROVED:
        yield f"the connection is {evidence.connection.status.value}"
    if evidence.paused:
        yield "the allowlist is paused"
    if evidence.mode is not Mode.ENFORCE:
        yield "the mode is observe"
    if evidence.last_seen - evidence.first_seen < PATIENCE:
        yield f"not before a sweep sees so at {(evidence.first_seen + PATIENCE).isoformat()} or later, under the same allowlist"


def revoke_intent(chain: str, evidence: RevokeEvidence, action: Action, *, attempt: int) -> tuple[Intent, Entry]:
    """The intent to revoke, before the write."""
    approval = evidence.approval
    intent = Intent(
        decision=digest({"revoke": approval.decision, "action": action.value, "attempt": attempt}),
        action=action,
        connection=approval.connection,
        incarnation=None,
        rule=approval.rule,
        signature="",
        by_person=False,
        at=evidence.clock,
        revokes=approval.decision,
    )
    body: JsonObject = {
        "decision": intent.decision,
        "revokes": approval.decision,
        "connection": str(approval.connection),
        "rule": approval.rule,
        "allowlist": evidence.allowlist_digest,
        "intent": to_json(intent),
    }
    inputs: JsonObject = {"revoke": to_json(evidence)}
    return intent, Entry(chain=chain, id=intent.decision, kind=RecordKind.INTENT, at=evidence.clock, body=body, inputs=inputs)
