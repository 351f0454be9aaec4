"""What is written to the ledger for each thing that happens."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.confirm import Situation, TakeBackPolicy, Timing
from shared.core.decide import decide
from shared.core.entries import (
    DESCRIPTION_LIMIT,
    Decision,
    approval_intent,
    chain_of,
    decision_entry,
    description,
    human_entry,
    make_decision,
    outcome_entry,
    person_intent,
    undo_intent,
    verdict_name,
)
from shared.core.evidence import Evidence, SignatureFacts, SignatureState
from shared.core.history import Action, HumanDecision, HumanRecord, Intent, LastDecision, Outcome
from shared.core.ledger import RecordKind
from shared.core.memory import Looks
from shared.core.model import ConnectionStatus, Target
from shared.core.observation import Incarnation
from shared.core.reason import Code
from shared.core.verdict import Settled
from shared.core.wire import from_json
from tests.core.cases import HOUR, MINUTE, NOW, TARGET, a_connection, a_link, a_rule, an_approval, full_evidence, site_id

if TYPE_CHECKING:
    from shared.core.ledger import Entry

GENUINE = SignatureFacts(state=SignatureState.GENUINE, key_id="k1", expires=NOW + HOUR, fingerprint="f1")
TIMING = Timing(deadline=HOUR, policy=TakeBackPolicy.CONTRADICTION, unwritten_after=MINUTE)


def decided(evidence: Evidence, last: LastDecision | None = None) -> Decision:
    return make_decision(evidence, evidence.digest(), decide(evidence), last)


def recorded(decision: Decision, *, is_intent: bool = False) -> LastDecision:
    return LastDecision(
        digest=decision.evidence_digest,
        verdict=verdict_name(decision.verdict),
        codes=decision.codes,
        number=decision.number,
        is_intent=is_intent,
    )


HELD = full_evidence(paused=True)


def test_a_chain_is_one_however_its_target_is_spelt() -> None:
    """And each slot has its own."""
    assert chain_of(TARGET) == chain_of(Target(type(TARGET.id).parse(str(TARGET.id).lower())))
    assert chain_of(TARGET) != chain_of(Target.of(site_id(), "staging"))


# The same decision is one record


def test_the_same_decision_again_is_the_same_record() -> None:
    """At another time, by another worker: an unchanged hold is written once."""
    first = decided(HELD)
    again = decided(replace(HELD, clock=NOW + HOUR, look_started=NOW + HOUR), recorded(first))
    assert again.id == first.id
    assert decision_entry(again, NOW + HOUR).id == decision_entry(first, NOW).id


def test_a_decision_that_came_back_is_another_record() -> None:
    """Held, then held for something else, then held as before: three records."""
    first = decided(HELD)
    second = decided(replace(HELD, rejected_by="r1"), recorded(first))
    third = decided(HELD, recorded(second))
    assert [one.number for one in (first, second, third)] == [1, 2, 3]
    assert len({first.id, second.id, third.id}) == 3


def test_after_an_intent_every_decision_is_a_new_one() -> None:
    """What was announced is not announced again under the same name."""
    first = decided(full_evidence())
    assert decided(full_evidence(), recorded(first, is_intent=True)).id != first.id


def test_another_verdict_on_the_same_evidence_is_another_decision() -> None:
    """Time alone may change it: a rule or a signature expires, evidence settles."""
    settling = decided(full_evidence(settled_since=None))
    settled = decided(full_evidence(), recorded(settling))
    assert settled.evidence_digest == settling.evidence_digest
    assert settled.number == 2


# What is recorded


def test_a_decision_is_recorded_with_everything_that_it_was_made_from() -> None:
    """So that the same verdict can be derived from the record alone."""
    for evidence in (HELD, full_evidence(), full_evidence(connection=None)):
        entry = decision_entry(decided(evidence), NOW)
        assert entry.kind is RecordKind.HOLD
        assert entry.inputs is not None
        again = from_json(Evidence, entry.inputs["evidence"])
        assert (again, decide(again)) == (evidence, decide(evidence))
    assert decision_entry(decided(HELD), NOW).body["codes"] == ["paused"]


def test_an_intent_to_approve_names_its_rule_its_link_and_the_signature_that_it_spends() -> None:
    """The signature whichever rule let it pass."""
    for rule in (a_rule(signed=True), a_rule()):
        evidence = full_evidence(rules=(rule,), signature=GENUINE)
        decision = decided(evidence)
        intent, entry = approval_intent(decision, a_connection().id, NOW)
        assert (entry.kind, entry.id, entry.chain) == (RecordKind.INTENT, decision.id, chain_of(TARGET))
        assert (intent.rule, intent.incarnation, intent.signature) == (rule.id, Incarnation.of(a_link()), "f1")
        assert from_json(Intent, entry.body["intent"]) == intent
        assert intent.is_open


def test_a_decisions_rule_is_the_one_that_allows_it_else_the_nearest() -> None:
    """And none where there is none."""
    general = a_rule(id="general")
    assert decided(full_evidence(rules=(a_rule(request_message="x"), general))).rule == "general"
    assert decided(full_evidence(rules=(a_rule(), general), paused=True)).rule == "contoso-upstream"
    assert not decided(full_evidence(rules=())).rule


def test_what_is_settled_has_no_reasons() -> None:
    """There is nothing to decide."""
    decision = decided(full_evidence(connection=a_connection(status=ConnectionStatus.APPROVED)))
    assert decision.verdict == Settled(state=ConnectionStatus.APPROVED)
    assert (decision.reasons, decision.codes, verdict_name(decision.verdict)) == ((), (), "settled")


def undo(action: Action = Action.REJECT, attempt: int = 1) -> tuple[Intent, Entry]:
    approval = an_approval(a_connection(), a_link(), Outcome.SENT)
    here = Situation(link=a_link(), made_anew=False, connection=a_connection(), rivals=(), clock=NOW, written_by_us=True)
    looks = Looks(decision=approval.decision)
    return undo_intent("chain", approval, action, situation=here, looks=looks, timing=TIMING, attempt=attempt)


def test_each_attempt_to_take_back_is_a_record_of_its_own() -> None:
    """The same attempt by two workers is one."""
    assert undo()[1].id == undo()[1].id
    assert len({undo(action, attempt)[1].id for action in (Action.REJECT, Action.DELETE) for attempt in (1, 2)}) == 4


def test_a_taking_back_says_what_it_undoes() -> None:
    """In the same life of the link."""
    intent, entry = undo()
    assert (intent.undoes, intent.incarnation) == (f"decision-{a_connection().id.name}", Incarnation.of(a_link()))
    assert from_json(Intent, entry.body["intent"]) == intent
    assert not intent.signature


def test_an_outcome_is_one_record_unless_another_came_in_between() -> None:
    """Sent, and sent again after it was given up."""
    intent = an_approval(a_connection(), a_link())
    sent = outcome_entry("chain", intent, Outcome.SENT, "Azure accepted it", NOW)
    assert outcome_entry("chain", intent, Outcome.SENT, "in other words", NOW + MINUTE).id == sent.id
    assert outcome_entry("chain", intent, Outcome.NOT_WRITTEN, "", NOW).id != sent.id
    given_up = replace(intent, outcome=Outcome.ABANDONED, outcome_at=NOW)
    assert outcome_entry("chain", given_up, Outcome.SENT, "", NOW).id != sent.id


# Persons


def test_a_persons_intent_names_the_link_only_where_it_fits() -> None:
    """The nearest one is not the one that the person meant."""
    fits, _ = person_intent(decided(full_evidence(signature=GENUINE)), Action.APPROVE, "r1", NOW)
    assert (fits.incarnation, fits.signature, fits.by_person) == (Incarnation.of(a_link()), "f1", True)
    stranger = full_evidence(link_fits=False, signature=GENUINE)
    other, _ = person_intent(decided(stranger), Action.APPROVE, "r1", NOW)
    assert (other.incarnation, other.signature) == (None, "")


def test_a_person_decides_about_a_connection() -> None:
    """Not about a link whose connection has not come."""
    with pytest.raises(ValueError, match="a connection"):
        person_intent(decided(full_evidence(connection=None)), Action.APPROVE, "r1", NOW)


def test_two_decisions_by_persons_are_two_records() -> None:
    """Though they say the same."""
    human = HumanRecord(decision=HumanDecision.REJECT, connection=a_connection().id, links=(), reason="", ticket="", by="")
    entries = [human_entry("chain", human, NOW, number=number) for number in (0, 0, 1)]
    assert [entry.kind for entry in entries] == [RecordKind.HUMAN] * 3
    assert entries[0].id == entries[1].id != entries[2].id


# The description


@given(st.text(max_size=300))
def test_the_description_names_the_decision_and_fits_what_azure_takes(message: str) -> None:
    """Whatever the requester wrote."""
    said = description("0" * 64, "contoso-upstream", message)
    assert said.startswith("lg:" + "0" * 64 + " contoso-upstream")
    assert len(said.encode("utf-16-le", "surrogatepass")) <= 2 * DESCRIPTION_LIMIT
    assert said == said.rstrip()


def test_a_character_that_counts_twice_in_azure_is_not_cut_in_two() -> None:
    """.NET counts UTF-16 code units: a message of pictures would otherwise be refused, and its link never approved."""
    said = description("0" * 64, "r", "a" + "\N{ROCKET}" * 70)
    assert said == "lg:" + "0" * 64 + " r a" + "\N{ROCKET}" * 34
    assert description("0" * 64, "rr", "a" + "\N{ROCKET}" * 70).endswith("\N{ROCKET}" * 34)


def test_every_reason_shows_in_the_record() -> None:
    """By its code, in the order of the evidence rules."""
    decision = decided(full_evidence(paused=True, rejected_by="r1", tier="Free"))
    assert decision.codes == (Code.PAUSED, Code.PERSON_REJECTED, Code.FREE_TIER)
    assert decision_entry(decision, NOW + timedelta(seconds=1)).body["codes"] == ["paused", "person_rejected", "free_tier"]
