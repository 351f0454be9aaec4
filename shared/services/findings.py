"""What a step on one target has to tell a person."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.core.finding import Finding, FindingId, Severity
from shared.core.history import Outcome
from shared.core.model import ConnectionStatus
from shared.core.observation import Incarnation
from shared.core.reason import Code
from shared.core.verdict import Hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.confirm import Open
    from shared.core.entries import Decision
    from shared.core.errors import AzureError
    from shared.core.history import History, Intent
    from shared.core.model import Target
    from shared.core.observation import Observation

UNCONFIRMED_WARNING: Final = timedelta(minutes=15)
"""How long an approval may be unconfirmed before a person is told: approvals take minutes to reach the link."""


def of_decision(decision: Decision) -> Iterator[Finding]:
    """A hold, and whether it smells of an impostor."""
    if not isinstance(decision.verdict, Hold):
        return
    evidence = decision.evidence
    ambiguous = Code.AMBIGUOUS in {reason.code for reason in decision.verdict.reasons}
    name = evidence.connection.id if evidence.connection else evidence.link.id if evidence.link else ""
    yield Finding(
        id=FindingId.IMPOSTOR_SUSPECTED if ambiguous else FindingId.CONNECTION_HELD,
        severity=Severity.CRITICAL if ambiguous else Severity.WARNING,
        target=str(evidence.target),
        about=evidence.subject,
        message=(
            f"{name} is not alone: another link or connection fits as well, and one of them may be an impostor"
            if ambiguous
            else f"{name} is held: {', '.join(decision.codes)}"
        ),
        facts={"codes": " ".join(decision.codes), "decision": decision.id},
    )


def of_open_approval(target: Target, intent: Intent, state: Open, observation: Observation) -> Iterator[Finding]:
    """An approval that takes long to be confirmed."""
    if not state.overdue and observation.clock - state.since < UNCONFIRMED_WARNING:
        return
    yield Finding(
        id=FindingId.APPROVAL_UNCONFIRMED,
        severity=Severity.CRITICAL if state.overdue else Severity.WARNING,
        target=str(target),
        about=intent.decision,
        message=f"the approval of {intent.connection} is not confirmed since {state.since.isoformat()}: {state.why}",
        facts={"decision": intent.decision, "contradicted": str(state.contradicted).lower()},
    )


def of_history(observation: Observation, history: History) -> Iterator[Finding]:
    """What stands until a person decides: approvals taken back, and approvals that may be the wrong ones."""
    here = [Incarnation.of(link) for link in observation.links]
    for life, decision in history.quarantines.items():
        if any(life.may_be(other) for other in here) and _was_taken_back(history, decision):
            yield Finding(
                id=FindingId.APPROVAL_TAKEN_BACK,
                severity=Severity.CRITICAL,
                target=str(observation.target),
                about=decision,
                message=f"an approval for {life.link} was taken back, and the link is quarantined until a person decides",
                facts={"decision": decision},
            )
    approved = {one.id for one in observation.connections if one.status is ConnectionStatus.APPROVED}
    for intent in history.approvals():
        if intent.outcome is Outcome.AMBIGUOUS and intent.connection in approved and intent.connection not in history.adopted:
            yield Finding(
                id=FindingId.APPROVAL_AMBIGUOUS,
                severity=Severity.CRITICAL,
                target=str(observation.target),
                about=intent.decision,
                message=f"the link is Approved, but {intent.connection} and another connection are both approved for it: "
                "linkguard explain, then linkguard decide",
                facts={"decision": intent.decision},
            )


def _was_taken_back(history: History, decision: str) -> bool:
    """Not so where the link showed the approval after all, or Azure refused every attempt, which has a finding of its own."""
    approval = history.intents[decision]
    refused = all(attempt.outcome is Outcome.NOT_WRITTEN for attempt in history.undoing(approval))
    return approval.outcome is not Outcome.CONFIRMED and not (approval.is_open and refused)


def take_back_withheld(target: Target, intent: Intent, why: str) -> Finding:
    """An approval that should be taken back and was not."""
    return Finding(
        id=FindingId.TAKE_BACK_WITHHELD,
        severity=Severity.CRITICAL,
        target=str(target),
        about=intent.decision,
        message=f"the approval of {intent.connection} should be taken back, but {why}: "
        f"linkguard decide {intent.connection} --reject --reason TEXT",
        facts={"decision": intent.decision},
    )


def take_back_refused(target: Target, intent: Intent) -> Finding:
    """Azure lets us neither reject nor delete."""
    return Finding(
        id=FindingId.TAKE_BACK_REFUSED,
        severity=Severity.CRITICAL,
        target=str(target),
        about=intent.decision,
        message=f"the approval of {intent.connection} could not be taken back; as somebody who may: "
        f"az network private-endpoint-connection delete --id {intent.connection}",
        facts={"decision": intent.decision},
    )


def write_refused(target: Target, intent: Intent, error: AzureError) -> Finding:
    """Azure refused an approval."""
    return Finding(
        id=FindingId.WRITE_REFUSED,
        severity=Severity.WARNING,
        target=str(target),
        about=intent.connection.key,
        message=f"Azure refused the approval of {intent.connection}: {error}",
        facts={"decision": intent.decision, "status": str(error.status or ""), "code": error.code},
    )
