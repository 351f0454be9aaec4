"""What is written to the ledger for each thing that happens. :mod:`shared.core.history` reads it back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, assert_never

from shared.core.evidence import Evidence, decision_id
from shared.core.history import Action, HumanRecord, Intent, LastDecision, Outcome, written_by
from shared.core.ledger import Entry, JsonObject, RecordKind, digest
from shared.core.observation import Incarnation
from shared.core.verdict import Approve, Hold, Settled, Verdict, Wait
from shared.core.wire import to_json

if TYPE_CHECKING:
    from datetime import datetime

    from shared.core.arm_id import ArmId
    from shared.core.confirm import Situation, Timing
    from shared.core.ledger import Json
    from shared.core.memory import Looks
    from shared.core.model import Target
    from shared.core.reason import Reason


def chain_of(target: Target) -> str:
    """The name of a target's chain: the same for every spelling of its id."""
    return target.id.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A verdict with the evidence that it follows from."""

    evidence: Evidence
    verdict: Verdict
    evidence_digest: str
    number: int
    """The how-manyth decision about its subject this is."""

    @property
    def id(self) -> str:
        """The same for the same evidence at the same place among its subject's decisions."""
        return decision_id(self.evidence_digest, self.number)

    @property
    def codes(self) -> tuple[str, ...]:
        """The code of each reason."""
        return tuple(reason.code.value for reason in self.reasons)

    @property
    def rule(self) -> str:
        """The id of the rule that allows, or would have; "" where none does."""
        if isinstance(self.verdict, Approve):
            return self.verdict.rule
        return self.evidence.rules[0].id if self.evidence.rules else ""

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why the verdict is what it is."""
        match self.verdict:
            case Approve(marks=marks):
                return marks
            case Hold(reasons=reasons) | Wait(reasons=reasons):
                return reasons
            case Settled():
                return ()
            case _ as never:
                assert_never(never)


def make_decision(evidence: Evidence, evidence_digest: str, verdict: Verdict, last: LastDecision | None) -> Decision:
    """The decision with its number: the last one's where it says the same and nothing was done about it, else the next."""
    decision = Decision(evidence=evidence, verdict=verdict, evidence_digest=evidence_digest, number=1)
    if last is None:
        return decision
    said = (last.digest, last.verdict, last.codes)
    same = not last.is_intent and said == (decision.evidence_digest, verdict_name(verdict), decision.codes)
    return replace(decision, number=last.number if same else last.number + 1)


def verdict_name(verdict: Verdict) -> str:
    """``approve``, ``hold``, ``wait`` or ``settled``."""
    return type(verdict).__name__.lower()


def _decision_body(decision: Decision) -> JsonObject:
    evidence = decision.evidence
    return {
        "subject": evidence.subject,
        "decision": decision.id,
        "number": decision.number,
        "evidence_digest": decision.evidence_digest,
        "target": str(evidence.target),
        "connection": str(evidence.connection.id) if evidence.connection else None,
        "link": str(evidence.link.id) if evidence.link else None,
        "verdict": verdict_name(decision.verdict),
        "rule": decision.rule,
        "strength": decision.verdict.strength.value if isinstance(decision.verdict, Approve) else None,
        "codes": list(decision.codes),
        "reasons": [to_json(reason) for reason in decision.reasons],
        "mode": evidence.mode.value,
        "allowlist": evidence.allowlist_digest,
    }


def decision_entry(decision: Decision, at: datetime) -> Entry:
    """A hold; or, in observe mode, what would have been approved."""
    return Entry(
        chain=chain_of(decision.evidence.target),
        id=decision.id,
        kind=RecordKind.HOLD,
        at=at,
        body=_decision_body(decision),
        inputs={"evidence": decision.evidence.inputs()},
    )


def approval_intent(decision: Decision, connection: ArmId, at: datetime) -> tuple[Intent, Entry]:
    """The intent to approve, before the write."""
    evidence = decision.evidence
    intent = Intent(
        decision=decision.id,
        action=Action.APPROVE,
        connection=connection,
        incarnation=Incarnation.of(evidence.link) if evidence.link else None,
        rule=decision.rule,
        signature=evidence.signature.fingerprint,
        by_person=False,
        at=at,
        endpoint_name=next((rule.endpoint_name for rule in evidence.rules if rule.id == decision.rule), ""),
    )
    entry = Entry(
        chain=chain_of(evidence.target),
        id=decision.id,
        kind=RecordKind.INTENT,
        at=at,
        body={**_decision_body(decision), "intent": to_json(intent)},
        inputs={"evidence": evidence.inputs()},
    )
    return intent, entry


def undo_intent(  # noqa: PLR0913  each is something that the decision to undo was made from
    chain: str, approval: Intent, action: Action, *, situation: Situation, looks: Looks, timing: Timing, attempt: int
) -> tuple[Intent, Entry]:
    """The intent to take an approval back, before the write."""
    inputs: JsonObject = {
        "approval": to_json(approval),
        "situation": to_json(situation),
        "looks": to_json(looks),
        "timing": to_json(timing),
    }
    intent = Intent(
        decision=digest({"undo": approval.decision, "action": action.value, "attempt": attempt}),
        action=action,
        connection=approval.connection,
        incarnation=approval.incarnation,
        rule=approval.rule,
        signature="",
        by_person=False,
        at=situation.clock,
        undoes=approval.decision,
    )
    body: JsonObject = {"decision": intent.decision, "undoes": approval.decision, "intent": to_json(intent)}
    entry = Entry(chain=chain, id=intent.decision, kind=RecordKind.INTENT, at=situation.clock, body=body, inputs=inputs)
    return intent, entry


def person_intent(decision: Decision, action: Action, human_record: str, at: datetime) -> tuple[Intent, Entry]:
    """A person's intent to approve or reject, before the write. ``decision`` is what the engine says about the connection.

    Raises:
        ValueError: where the decision is about a link whose connection has not come.

    """
    evidence, connection = decision.evidence, decision.evidence.connection
    if connection is None:
        message = "a person decides about a connection"
        raise ValueError(message)
    intent = Intent(
        decision=digest({"human_decision": human_record, "action": action.value}),
        action=action,
        connection=connection.id,
        incarnation=Incarnation.of(evidence.link) if evidence.link and evidence.link_fits else None,
        rule="",
        signature=evidence.signature.fingerprint if evidence.link_fits else "",
        by_person=True,
        at=at,
    )
    body: JsonObject = {**_decision_body(decision), "human_decision": human_record, "intent": to_json(intent)}
    entry = Entry(
        chain=chain_of(evidence.target),
        id=intent.decision,
        kind=RecordKind.INTENT,
        at=at,
        body=body,
        inputs={"evidence": evidence.inputs()},
    )
    return intent, entry


def outcome_entry(chain: str, intent: Intent, outcome: Outcome, why: str, at: datetime) -> Entry:
    """What became of an intent. The same outcome of the same intent is one record, unless the one before it was another."""
    before = intent.outcome.value if intent.outcome else ""
    number = digest({"decision": intent.decision, "outcome": outcome.value, "after": before, "since": _text(intent.outcome_at)})
    body: JsonObject = {
        "decision": intent.decision,
        "action": intent.action.value,
        "connection": str(intent.connection),
        "outcome": outcome.value,
        "why": why,
    }
    return Entry(chain=chain, id=number, kind=RecordKind.OUTCOME, at=at, body=body)


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def human_entry(chain: str, human: HumanRecord, at: datetime, *, number: int, inputs: JsonObject | None = None) -> Entry:
    """A person's decision. ``number`` tells repeated decisions on the same connection apart."""
    body = to_json(human)
    if not isinstance(body, dict):
        message = "a record's body is an object"
        raise TypeError(message)
    identity: Json = {"human": body, "number": number}
    return Entry(chain=chain, id=digest(identity), kind=RecordKind.HUMAN, at=at, body=body, inputs=inputs)


def description(decision_id_: str, rule: str, message: str) -> str:
    """What the approving write puts in the connection's description, for a person who looks at the site."""
    units = f"{written_by(decision_id_)} {rule} {message}".encode("utf-16-le", "surrogatepass")
    # What the cut leaves of a pair is dropped: it is no character.
    return units[: 2 * DESCRIPTION_LIMIT].decode("utf-16-le", "ignore").rstrip()


DESCRIPTION_LIMIT: Final = 140
"""Characters that Azure takes in a connection's description, in UTF-16 code units: so .NET counts, and it is never more."""
