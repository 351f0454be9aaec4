"""What the ledger says about a target: a fold over its records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.confirm import Situation, TakeBackPolicy, Timing
from shared.core.decide import decide
from shared.core.entries import (
    approval_intent,
    chain_of,
    decision_entry,
    human_entry,
    make_decision,
    outcome_entry,
    person_intent,
    undo_intent,
)
from shared.core.errors import LedgerBrokenError
from shared.core.history import FINAL, Action, History, HumanDecision, HumanRecord, Intent, Outcome, read_history, subject
from shared.core.ledger import EMPTY, Entry, RecordKind, seal
from shared.core.memory import Looks
from shared.core.observation import Incarnation
from tests.core.cases import (
    HOUR,
    MINUTE,
    NOW,
    TARGET,
    a_connection,
    a_history,
    a_link,
    an_approval,
    full_evidence,
    service_id,
)

if TYPE_CHECKING:
    from shared.core.evidence import Evidence
    from shared.core.ledger import Json, JsonObject, Record
    from shared.core.model import Link

CHAIN = chain_of(TARGET)
OURS = a_connection()
LIFE = Incarnation.of(a_link())
TIMING = Timing(deadline=HOUR, policy=TakeBackPolicy.CONTRADICTION, unwritten_after=MINUTE)
HERE = Situation(link=a_link(), made_anew=False, connection=OURS, rivals=(), clock=NOW, written_by_us=True)


def chained(*entries: Entry) -> list[Record]:
    records: list[Record] = []
    for entry in entries:
        records.append(seal(entry, records[-1].head if records else EMPTY))
    return records


def read(*entries: Entry) -> History:
    return read_history(chained(*entries))


def approving(evidence: Evidence | None = None) -> tuple[Intent, Entry]:
    evidence = evidence or full_evidence()
    decision = make_decision(evidence, evidence.digest(), decide(evidence), None)
    return approval_intent(decision, OURS.id, NOW)


def undoing(approval: Intent, action: Action = Action.REJECT, attempt: int = 1) -> tuple[Intent, Entry]:
    return undo_intent(
        CHAIN, approval, action, situation=HERE, looks=Looks(decision=approval.decision), timing=TIMING, attempt=attempt
    )


def human(decision: HumanDecision, *links: Link, number: int = 0) -> Entry:
    record = HumanRecord(
        decision=decision, connection=OURS.id, links=tuple(map(Incarnation.of, links)), reason="why", ticket="", by="someone"
    )
    return human_entry(CHAIN, record, NOW, number=number)


def test_an_intent_is_open_until_an_outcome_ends_it() -> None:
    """Sent is not an end."""
    intent, entry = approving()
    assert read(entry).open_intents() == (intent,)
    for outcome in Outcome:
        history = read(entry, outcome_entry(CHAIN, intent, outcome, "why", NOW + MINUTE))
        (found,) = history.approvals()
        assert (found.outcome, found.outcome_at) == (outcome, NOW + MINUTE)
        assert found.is_open is (outcome not in FINAL)
        assert found.sent_at == (NOW + MINUTE if outcome is Outcome.SENT else NOW)


def test_the_last_outcome_counts() -> None:
    """An approval that was given up and found written after all is open again."""
    intent, entry = approving()
    entries = [entry]
    for outcome in (Outcome.ABANDONED, Outcome.SENT):
        entries.append(outcome_entry(CHAIN, intent, outcome, "why", NOW))
        intent = read(*entries).intents[intent.decision]
    assert intent.is_open


def test_the_newest_approval_that_may_have_been_written_speaks_for_a_connection() -> None:
    """One that Azure refused says nothing about one before it that may have come about."""
    first = an_approval(OURS, a_link(), Outcome.ABANDONED, decision="first")
    second = an_approval(OURS, a_link(), Outcome.NOT_WRITTEN, decision="second")
    other = an_approval(a_connection(number=2), a_link(), decision="other")
    assert a_history(first, second, other).approval_of(OURS.id) == first
    assert a_history(second, other).approval_of(OURS.id) == second
    assert a_history(replace(first, outcome=Outcome.NOT_WRITTEN), second).approval_of(OURS.id) == second
    assert a_history(other).approval_of(OURS.id) is None


def test_a_decision_is_counted_for_its_subject() -> None:
    """A connection, or a link whose connection has not come; intents and holds alike."""
    held = full_evidence(paused=True)
    decision = make_decision(held, held.digest(), decide(held), None)
    about = subject(OURS.id, a_link().id)
    history = read(decision_entry(decision, NOW))
    assert history.last[about].codes == ("paused",)
    assert (history.last[about].number, history.last[about].is_intent) == (1, False)
    evidence = full_evidence()
    again = make_decision(evidence, evidence.digest(), decide(evidence), history.last[about])
    _, entry = approval_intent(again, OURS.id, NOW)
    history = read(decision_entry(decision, NOW), entry)
    assert (history.last[about].number, history.last[about].is_intent) == (2, True)
    assert subject(None, a_link().id) != subject(None, a_link("other").id) != about


# Quarantine


def test_a_link_is_quarantined_from_the_intent_to_take_back() -> None:
    """Not from its outcome: a crash in between must not free the link, nor a refusal."""
    approval, entry = approving()
    intent, undo = undoing(approval)
    assert not read(entry).quarantined_by(a_link())
    for more in ([], [outcome_entry(CHAIN, intent, Outcome.NOT_WRITTEN, "no", NOW)]):
        assert read(entry, undo, *more).quarantined_by(a_link()) == approval.decision


def test_quarantine_ends_with_the_life_of_the_link() -> None:
    """A link made anew is another one, where Azure says when it was made; where it does not, it may be the same."""
    approval, entry = approving()
    history = read(entry, undoing(approval)[1])
    assert not history.quarantined_by(a_link(created_at=NOW))
    assert not history.quarantined_by(a_link("other"))
    assert not history.quarantined_by(None)
    assert history.quarantined_by(a_link(created_at=None)) == approval.decision


def test_a_person_who_approves_ends_the_quarantine() -> None:
    """Of the links that the connection could be of; one who rejects or adopts does not."""
    approval, entry = approving()
    _, undo = undoing(approval)
    for link in (a_link(), a_link(created_at=None)):
        assert not read(entry, undo, human(HumanDecision.APPROVE, link)).quarantined_by(a_link())
    for still in (
        human(HumanDecision.APPROVE, a_link("other")),
        human(HumanDecision.REJECT, a_link()),
        human(HumanDecision.ADOPT, a_link()),
    ):
        assert read(entry, undo, still).quarantined_by(a_link())


# Persons


def test_a_rejection_stands_for_the_connection_and_for_the_links_name() -> None:
    """In every later life of that link of that service; not for another one's."""
    history = read(human(HumanDecision.REJECT, a_link()))
    assert history.rejected_by(None, OURS.id)
    for link in (a_link(), a_link(created_at=NOW), a_link("FUNC-PE")):
        assert history.rejected_by(link, a_connection(number=2).id)
        assert history.rejected_by(link, None)
    assert not history.rejected_by(None, a_connection(number=2).id)
    for link in (a_link("other"), a_link(service=service_id("other"))):
        assert not history.rejected_by(link, a_connection(number=2).id)


def test_a_rejection_of_a_stranger_stands_for_the_stranger_alone() -> None:
    """No link asked for it."""
    history = read(human(HumanDecision.REJECT))
    assert history.rejected_by(a_link(), OURS.id)
    assert not history.rejected_by(a_link(), a_connection(number=2).id)


def test_an_approval_by_a_person_takes_a_rejection_back() -> None:
    """The last decision stands."""
    history = read(human(HumanDecision.REJECT, a_link()), human(HumanDecision.APPROVE, a_link(), number=1))
    assert not history.rejected_by(a_link(), OURS.id)
    history = read(human(HumanDecision.APPROVE, a_link()), human(HumanDecision.REJECT, a_link(), number=1))
    assert history.rejected_by(a_link(), OURS.id)


@pytest.mark.parametrize("decision", [HumanDecision.APPROVE, HumanDecision.ADOPT])
def test_a_connection_is_adopted_for_one_link_or_for_nobody_knows_which(decision: HumanDecision) -> None:
    """Where it could be several links', it must not be taken for one of them."""
    other = a_link(service=service_id("other"))
    assert read(human(decision, a_link())).adopted == {OURS.id: LIFE}
    assert read(human(decision)).adopted == {OURS.id: None}
    assert read(human(decision, a_link(), other)).adopted == {OURS.id: None}


def test_a_persons_intent_is_not_a_taking_back() -> None:
    """It quarantines nothing."""
    evidence = full_evidence()
    decision = make_decision(evidence, evidence.digest(), decide(evidence), None)
    intent, entry = person_intent(decision, Action.REJECT, "r1", NOW)
    history = read(entry)
    assert history.open_intents() == (intent,)
    assert (history.quarantines, history.approvals(), history.undoing(intent)) == ({}, (), ())


# What is left to do


def test_something_is_unfinished_until_it_ended_and_nobody_has_to_decide() -> None:
    """Whatever became of the allowlist."""
    approval, entry = approving()
    ended = outcome_entry(CHAIN, approval, Outcome.CONFIRMED, "why", NOW)
    ambiguous = outcome_entry(CHAIN, approval, Outcome.AMBIGUOUS, "why", NOW)
    assert not read().is_unfinished
    assert read(entry).is_unfinished
    assert not read(entry, ended).is_unfinished
    assert read(entry, ambiguous).is_unfinished
    assert not read(entry, ambiguous, human(HumanDecision.ADOPT, a_link())).is_unfinished
    assert read(entry, undoing(approval)[1], ended).is_unfinished


def test_attempts_to_take_back_are_found_by_what_they_undo() -> None:
    """In their order."""
    approval, entry = approving()
    reject, first = undoing(approval)
    delete, second = undoing(approval, Action.DELETE, 2)
    assert [one.decision for one in read(entry, first, second).undoing(approval)] == [reject.decision, delete.decision]


def test_records_of_other_kinds_say_nothing_about_decisions() -> None:
    """They are for people and for reports."""
    kinds = (RecordKind.DRIFT, RecordKind.TRAFFIC, RecordKind.ALERT)
    assert read(*(Entry(chain=CHAIN, id=kind, kind=kind, at=NOW, body={}) for kind in kinds)) == History()


# A ledger that is broken


def replaced(entry: Entry, **body: Json) -> Entry:
    return replace(entry, body={**entry.body, **body})


def without(entry: Entry, name: str) -> Entry:
    return replace(entry, body={key: value for key, value in entry.body.items() if key != name})


def test_a_record_that_cannot_have_been_written_is_refused() -> None:
    """Nothing is decided by a ledger that nobody understands."""
    approval, entry = approving()
    outcome = outcome_entry(CHAIN, approval, Outcome.SENT, "why", NOW)
    _, undo = undoing(approval)
    for broken in (
        [without(entry, "intent")],
        [replaced(entry, intent={})],
        [replaced(entry, intent="x")],
        [replaced(entry, number="1")],
        [replaced(entry, codes="denied")],
        [without(entry, "subject")],
        [outcome],
        [entry, replaced(outcome, outcome="fine")],
        [entry, without(outcome, "decision")],
        [undo],
        [replaced(human(HumanDecision.REJECT), decision="perhaps")],
        [replaced(human(HumanDecision.REJECT), links=[{"link": "x", "created_at": None}])],
    ):
        with pytest.raises(LedgerBrokenError):
            read(*broken)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_junk_in_a_record_never_gets_past_its_own_error(junk: JsonObject) -> None:
    """Whatever was written into the store by hand."""
    for kind in (RecordKind.INTENT, RecordKind.OUTCOME, RecordKind.HUMAN, RecordKind.HOLD):
        body: JsonObject = junk if isinstance(junk, dict) else {"intent": junk, "decision": junk, "subject": junk}
        with pytest.raises(LedgerBrokenError):
            read(Entry(chain=CHAIN, id="x", kind=kind, at=NOW, body=body))


def test_a_signature_is_spent_by_a_confirmed_approval() -> None:
    """The one that carried it."""
    spent = an_approval(OURS, a_link(), Outcome.CONFIRMED, signature="f1")
    history = a_history(spent, an_approval(a_connection(number=2), a_link(), Outcome.SENT, signature="f2"))
    assert [history.spent_by(fingerprint) for fingerprint in ("f1", "f2", "f3")] == [spent.decision, "", ""]
