"""What becomes of an approval: every row of the table under "Confirming" in docs/evidence.md, and what leads to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.confirm import (
    ENOUGH_LOOKS,
    Confirmation,
    Ended,
    Open,
    Situation,
    TakeBack,
    TakeBackPolicy,
    Timing,
    count,
    judge,
    judge_rejection,
    situate,
)
from shared.core.entries import undo_intent
from shared.core.history import Action, Intent, Outcome
from shared.core.ledger import canonical
from shared.core.memory import Looks
from shared.core.model import Connection, ConnectionStatus, Link, LinkStatus
from shared.core.wire import from_json
from tests.core.cases import HOUR, MINUTE, NOW, Watcher, a_connection, a_history, a_link, an_approval, service_id

DEADLINE = HOUR
TIMING = Timing(deadline=DEADLINE, policy=TakeBackPolicy.CONTRADICTION, unwritten_after=MINUTE)
OURS = a_connection(status=ConnectionStatus.APPROVED)
OURS = replace(OURS, description=f"lg:{an_approval(OURS, a_link()).decision} contoso-upstream please approve")
APPROVAL = an_approval(OURS, a_link(), Outcome.SENT, at=NOW - DEADLINE - MINUTE, outcome_at=NOW - DEADLINE)
"""Sent a deadline ago."""
RIVAL = a_connection(number=2)
APPROVED_RIVAL = a_connection(number=2, status=ConnectionStatus.APPROVED)
MANY = Looks(decision=APPROVAL.decision, approved=9, contradicted=9)


def situation(**changes: Any) -> Situation:  # noqa: ANN401  whatever a situation has
    here = Situation(link=a_link(), made_anew=False, connection=OURS, rivals=(), clock=NOW, written_by_us=True)
    return replace(here, **changes)


def judged(
    status: LinkStatus,
    *rivals: Connection,
    intent: Intent = APPROVAL,
    looks: Looks = MANY,
    policy: TakeBackPolicy = TakeBackPolicy.CONTRADICTION,
) -> Confirmation:
    return judge(intent, situation(link=a_link(status=status), rivals=rivals), looks, replace(TIMING, policy=policy))


# The table


def test_the_link_says_approved_and_no_rival_is_approved() -> None:
    """Confirmed, at any time; a rival that is only asking does not matter any more."""
    for rivals in ((), (RIVAL,), (a_connection(number=2, status=ConnectionStatus.REJECTED),)):
        confirmation = judged(LinkStatus.APPROVED, *rivals, looks=Looks(decision="d"))
        assert isinstance(confirmation, Ended)
        assert confirmation.outcome is Outcome.CONFIRMED


@pytest.mark.parametrize("status", [ConnectionStatus.APPROVED, ConnectionStatus.APPROVING])
def test_the_link_says_approved_and_a_rival_is_approved_too(status: ConnectionStatus) -> None:
    """Ambiguous: the link may mean the other one."""
    confirmation = judged(LinkStatus.APPROVED, a_connection(number=2, status=status))
    assert isinstance(confirmation, Ended)
    assert confirmation.outcome is Outcome.AMBIGUOUS


CONTRADICTIONS = [(LinkStatus.REJECTED, ()), (LinkStatus.DISCONNECTED, ()), (LinkStatus.PENDING, (RIVAL,))]


@pytest.mark.parametrize(("status", "rivals"), CONTRADICTIONS)
def test_the_link_contradicts_the_approval(status: LinkStatus, rivals: tuple[Connection, ...]) -> None:
    """Rejected or Disconnected, or Pending while another connection that could be its own is Pending: taken back."""
    assert isinstance(judged(status, *rivals), TakeBack)


@pytest.mark.parametrize(
    ("status", "rivals"),
    [
        (LinkStatus.PENDING, ()),
        (LinkStatus.PENDING, (APPROVED_RIVAL,)),
        (LinkStatus.UNKNOWN, (RIVAL,)),
        (LinkStatus.TIMEOUT, (RIVAL,)),
    ],
)
def test_slowness_is_never_proof(status: LinkStatus, rivals: tuple[Connection, ...]) -> None:
    """However long it takes and however often it was looked at: nothing is written, and a person is told."""
    confirmation = judged(status, *rivals)
    assert isinstance(confirmation, Open)
    assert (confirmation.overdue, confirmation.contradicted) == (True, False)


def test_what_somebody_else_approved_is_not_ours() -> None:
    """Our write was not answered, and its words are not there: it came too late, if it was sent at all."""
    theirs = situation(connection=replace(OURS, description="fine"), written_by_us=False)
    ended = judge(replace(APPROVAL, outcome=None), theirs, MANY, TIMING)
    assert isinstance(ended, Ended)
    assert ended.outcome is Outcome.NOT_WRITTEN
    accepted = judge(replace(APPROVAL, outcome=Outcome.SENT), theirs, MANY, TIMING)
    assert not (isinstance(accepted, Ended) and accepted.outcome is Outcome.NOT_WRITTEN)


def test_nothing_is_told_by_the_words_of_what_is_approving() -> None:
    """Azure may not be done with them yet, and what is not ended can still be."""
    theirs = situation(connection=replace(OURS, status=ConnectionStatus.APPROVING, description="fine"), written_by_us=False)
    assert isinstance(judge(replace(APPROVAL, outcome=None), theirs, MANY, TIMING), Open)


def test_a_link_that_is_gone_proves_nothing() -> None:
    """Somebody deleted it; its connection goes by itself."""
    assert isinstance(judge(APPROVAL, situation(link=None), MANY, TIMING), Open)


# When it is taken back


@pytest.mark.parametrize(("status", "rivals"), CONTRADICTIONS)
def test_a_contradiction_is_acted_on_at_the_deadline_and_not_before(status: LinkStatus, rivals: tuple[Connection, ...]) -> None:
    """SignalR's status may lag behind for as long."""
    early = replace(APPROVAL, outcome_at=NOW - DEADLINE + timedelta(microseconds=1))
    confirmation = judged(status, *rivals, intent=early)
    assert isinstance(confirmation, Open)
    assert (confirmation.overdue, confirmation.contradicted) == (False, True)


def test_without_an_answer_the_deadline_counts_from_the_intent() -> None:
    """The write may have been done at once."""
    unanswered = replace(APPROVAL, outcome=None, outcome_at=None, at=NOW - DEADLINE)
    assert isinstance(judged(LinkStatus.REJECTED, intent=unanswered), TakeBack)


@pytest.mark.parametrize("looks", range(ENOUGH_LOOKS))
def test_a_contradiction_has_to_be_seen_three_times_in_a_row(looks: int) -> None:
    """One answer may be a stale one."""
    assert isinstance(judged(LinkStatus.REJECTED, looks=replace(MANY, contradicted=looks)), Open)


@pytest.mark.parametrize("status", sorted(set(ConnectionStatus) - {ConnectionStatus.APPROVED}))
def test_only_an_approved_connection_is_taken_back(status: ConnectionStatus) -> None:
    """There is nothing to take back from one that is in any other state."""
    here = situation(link=a_link(status=LinkStatus.REJECTED), connection=replace(OURS, status=status))
    assert not isinstance(judge(APPROVAL, here, MANY, replace(TIMING, policy=TakeBackPolicy.DEADLINE)), TakeBack)


def test_what_a_person_approved_is_never_taken_back() -> None:
    """A person's decision stands, whatever the policy."""
    by_hand = replace(APPROVAL, by_person=True)
    for policy in TakeBackPolicy:
        assert isinstance(judged(LinkStatus.REJECTED, intent=by_hand, policy=policy), Open)


@pytest.mark.parametrize(("status", "rivals"), [*CONTRADICTIONS, (LinkStatus.PENDING, ()), (LinkStatus.UNKNOWN, ())])
def test_the_policy_deadline_takes_back_whatever_is_unconfirmed(status: LinkStatus, rivals: tuple[Connection, ...]) -> None:
    """For estates that fear exposure more than an outage; still at the deadline, and after three looks."""
    assert isinstance(judged(status, *rivals, policy=TakeBackPolicy.DEADLINE), TakeBack)
    few = Looks(decision="d", approved=ENOUGH_LOOKS - 1)
    assert isinstance(judged(status, *rivals, policy=TakeBackPolicy.DEADLINE, looks=few), Open)
    early = replace(APPROVAL, outcome_at=NOW - DEADLINE + MINUTE)
    assert isinstance(judged(status, *rivals, policy=TakeBackPolicy.DEADLINE, intent=early), Open)


@pytest.mark.parametrize(("status", "rivals"), CONTRADICTIONS)
def test_the_policy_never_takes_nothing_back(status: LinkStatus, rivals: tuple[Connection, ...]) -> None:
    """It alarms."""
    confirmation = judged(status, *rivals, policy=TakeBackPolicy.NEVER)
    assert isinstance(confirmation, Open)
    assert (confirmation.overdue, confirmation.contradicted) == (True, True)


# How else an approval ends


@pytest.mark.parametrize("status", [ConnectionStatus.REJECTED, ConnectionStatus.DISCONNECTED])
def test_a_connection_that_somebody_ended_supersedes_the_approval(status: ConnectionStatus) -> None:
    """Nothing of it is left to confirm."""
    confirmation = judge(APPROVAL, situation(connection=replace(OURS, status=status)), MANY, TIMING)
    assert isinstance(confirmation, Ended)
    assert confirmation.outcome is Outcome.SUPERSEDED


def test_a_connection_is_gone_after_three_looks_without_it() -> None:
    """A list may be a stale one."""
    for gone in range(ENOUGH_LOOKS):
        assert isinstance(judge(APPROVAL, situation(connection=None), replace(MANY, gone=gone), TIMING), Open)
    confirmation = judge(APPROVAL, situation(connection=None), replace(MANY, gone=ENOUGH_LOOKS), TIMING)
    assert isinstance(confirmation, Ended)
    assert confirmation.outcome is Outcome.SUPERSEDED


@pytest.mark.parametrize("status", [ConnectionStatus.APPROVED, ConnectionStatus.APPROVING, ConnectionStatus.UNKNOWN])
def test_a_link_made_anew_supersedes_the_approval(status: ConnectionStatus) -> None:
    """It needs a decision of its own."""
    here = situation(link=None, made_anew=True, connection=replace(OURS, status=status))
    confirmation = judge(APPROVAL, here, MANY, TIMING)
    assert isinstance(confirmation, Ended)
    assert confirmation.outcome is Outcome.SUPERSEDED


def test_an_approval_by_a_person_that_named_no_link_is_confirmed_by_the_connection() -> None:
    """There is nothing else to ask."""
    confirmation = judge(replace(APPROVAL, by_person=True, incarnation=None), situation(link=None), MANY, TIMING)
    assert isinstance(confirmation, Ended)
    assert confirmation.outcome is Outcome.CONFIRMED


STILL_PENDING = situation(connection=replace(OURS, status=ConnectionStatus.PENDING))


@pytest.mark.parametrize(
    ("outcome", "age", "looks", "abandoned"),
    [
        # Nobody knows whether it was sent: another worker may be about to.
        (None, timedelta(seconds=59), 9, False),
        (None, MINUTE, 1, True),
        # Azure accepted it: it may take a while to show, and a list may be a stale one.
        (Outcome.SENT, timedelta(seconds=59), 9, False),
        (Outcome.SENT, MINUTE, ENOUGH_LOOKS - 1, False),
        (Outcome.SENT, MINUTE, ENOUGH_LOOKS, True),
    ],
)
def test_a_connection_that_stays_pending_was_not_approved(
    outcome: Outcome | None, age: timedelta, looks: int, *, abandoned: bool
) -> None:
    """The approval is abandoned, and evidence gathered afresh."""
    intent = replace(APPROVAL, outcome=outcome, at=NOW - age, outcome_at=NOW - age if outcome else None)
    confirmation = judge(intent, STILL_PENDING, replace(MANY, pending=looks), TIMING)
    assert isinstance(confirmation, Ended if abandoned else Open)
    assert not isinstance(confirmation, Ended) or confirmation.outcome is Outcome.ABANDONED


# What a look says


def seen(links: list[Link], connections: list[Connection], intent: Intent = APPROVAL, *others: Intent) -> Situation:
    return situate(intent, Watcher(history=a_history(intent, *others)).look(links, connections))


def test_a_look_finds_the_link_in_the_life_that_was_approved() -> None:
    """Also where Azure leaves out when it was made, at one look or another."""
    for link in (a_link(), a_link(created_at=None)):
        assert seen([link], [OURS]) == situation(link=link)
    undated = replace(APPROVAL, incarnation=an_approval(OURS, a_link(created_at=None)).incarnation)
    assert seen([a_link()], [OURS], undated).link == a_link()


def test_a_look_tells_a_link_made_anew_from_one_that_is_gone() -> None:
    """By when it was made."""
    anew = seen([a_link(created_at=NOW)], [OURS])
    assert (anew.link, anew.made_anew) == (None, True)
    gone = seen([a_link("other")], [])
    assert (gone.link, gone.made_anew, gone.connection) == (None, False, None)


def test_rivals_are_those_that_are_there_and_not_explained() -> None:
    """Neither what vanished nor what we approved for another link."""
    elsewhere = a_link(service=service_id("other"), message="another")
    theirs = a_connection(number=3, status=ConnectionStatus.APPROVED, message="lg:2")
    found = seen([a_link(), elsewhere], [OURS, RIVAL, theirs], APPROVAL, an_approval(theirs, elsewhere, Outcome.SENT))
    assert found.rivals == (RIVAL,)
    watcher = Watcher(history=a_history(APPROVAL))
    watcher.look([a_link()], [OURS, RIVAL], at=NOW - MINUTE)
    assert situate(APPROVAL, watcher.look([a_link()], [OURS])).rivals == ()


@given(st.lists(st.sampled_from(["contradicted", "approved", "pending", "gone", "other"]), max_size=12))
def test_looks_are_counted_in_a_row(story: list[str]) -> None:
    """Any other look in between begins the count anew; how often the connection was seen Approved is counted in all."""
    views = {
        "contradicted": situation(link=a_link(status=LinkStatus.REJECTED)),
        "approved": situation(),
        "pending": STILL_PENDING,
        "gone": situation(connection=None),
        "other": situation(connection=replace(OURS, status=ConnectionStatus.UNKNOWN)),
    }
    looks = Looks(decision="d")
    for view in story:
        looks = count(looks, views[view])

    def last(*kinds: str) -> int:
        return next((place for place, view in enumerate(reversed(story)) if view not in kinds), len(story))

    assert looks.contradicted == last("contradicted")
    assert looks.pending == last("pending")
    assert looks.gone == last("gone")
    assert looks.approved == story.count("approved") + story.count("contradicted")


@given(
    st.sampled_from(LinkStatus),
    st.lists(st.sampled_from(ConnectionStatus), max_size=3),
    st.integers(0, 5),
    st.integers(-2, 2),
    st.sampled_from([TakeBackPolicy.CONTRADICTION, TakeBackPolicy.NEVER]),
)
def test_nothing_is_taken_back_without_a_contradiction(
    status: LinkStatus, rivals: list[ConnectionStatus], looks: int, minutes: int, policy: TakeBackPolicy
) -> None:
    """Whatever else is so."""
    others = tuple(a_connection(number=number, status=rival) for number, rival in enumerate(rivals, start=2))
    intent = replace(APPROVAL, outcome_at=NOW - DEADLINE - minutes * MINUTE)
    confirmation = judged(
        status, *others, intent=intent, looks=Looks(decision="d", approved=9, contradicted=looks), policy=policy
    )
    if isinstance(confirmation, TakeBack):
        waiting = status is LinkStatus.PENDING and ConnectionStatus.PENDING in rivals
        assert status in {LinkStatus.REJECTED, LinkStatus.DISCONNECTED} or waiting
        assert (policy, looks >= ENOUGH_LOOKS, minutes >= 0) == (TakeBackPolicy.CONTRADICTION, True, True)


@pytest.mark.parametrize(("status", "rivals"), CONTRADICTIONS)
def test_a_taking_back_is_derived_again_from_its_record(status: LinkStatus, rivals: tuple[Connection, ...]) -> None:
    """The intent holds everything that it was decided by."""
    here = situation(link=a_link(status=status), rivals=rivals)
    _, entry = undo_intent("chain", APPROVAL, Action.REJECT, situation=here, looks=MANY, timing=TIMING, attempt=1)
    assert entry.inputs is not None
    canonical(entry.inputs)
    again = judge(
        from_json(Intent, entry.inputs["approval"]),
        from_json(Situation, entry.inputs["situation"]),
        from_json(Looks, entry.inputs["looks"]),
        from_json(Timing, entry.inputs["timing"]),
    )
    assert isinstance(again, TakeBack)


# Rejections by a person

REJECTION = replace(APPROVAL, action=Action.REJECT, by_person=True)


def rejected(connection: Connection | None, *, age: timedelta = HOUR, looks: Looks = MANY) -> Outcome | None:
    intent = replace(REJECTION, at=NOW - age, outcome_at=NOW - age)
    ended = judge_rejection(intent, situation(connection=connection), looks, TIMING)
    return ended.outcome if ended else None


def test_a_rejection_is_done_once_the_connection_is_rejected_or_gone() -> None:
    """Gone after three looks, as ever."""
    for status in (ConnectionStatus.REJECTED, ConnectionStatus.DISCONNECTED):
        assert rejected(replace(OURS, status=status)) is Outcome.CONFIRMED
    assert rejected(None, looks=replace(MANY, gone=ENOUGH_LOOKS)) is Outcome.CONFIRMED
    assert rejected(None, looks=replace(MANY, gone=ENOUGH_LOOKS - 1)) is None


@pytest.mark.parametrize("status", [ConnectionStatus.PENDING, ConnectionStatus.APPROVED])
def test_a_rejection_that_does_not_show_was_not_written(status: ConnectionStatus) -> None:
    """After the time that a write takes, and three looks."""
    still = replace(OURS, status=status)
    three = Looks(decision="d", pending=ENOUGH_LOOKS, approved=ENOUGH_LOOKS)
    assert rejected(still, looks=three) is Outcome.ABANDONED
    assert rejected(still, looks=three, age=timedelta(seconds=59)) is None
    assert rejected(still, looks=Looks(decision="d")) is None


@pytest.mark.parametrize("status", [ConnectionStatus.REJECTING, ConnectionStatus.DISCONNECTING, ConnectionStatus.UNKNOWN])
def test_a_rejection_on_its_way_is_waited_for(status: ConnectionStatus) -> None:
    """Azure is slow."""
    assert rejected(replace(OURS, status=status)) is None
