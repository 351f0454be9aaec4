"""Evidence in, verdict out: every reason, every wait and every mark."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.core.allowlist import Effect, IdPattern, Rule
from shared.core.decide import SUPPORTED_TIERS, UNSUPPORTED_TIERS, decide
from shared.core.evidence import Evidence, Rival, SignatureFacts, SignatureState
from shared.core.model import ConnectionStatus, LinkProvisioning, LinkStatus
from shared.core.reason import HOLDS, MARKS, WAITS, Code, Reason
from shared.core.verdict import Approve, Hold, Mode, Settled, Strength, Wait
from tests.core.cases import (
    ENDPOINT_SUBSCRIPTION,
    MINUTE,
    NOW,
    OTHER_SUBSCRIPTION,
    SETTLE,
    TARGET,
    a_connection,
    a_link,
    a_rule,
    a_site,
    full_evidence,
    service_id,
    site_id,
)

GENUINE = SignatureFacts(state=SignatureState.GENUINE, key_id="k1", expires=NOW + MINUTE, fingerprint="f1")
RIVAL = Rival(connection=a_connection(number=2), gone=False)
YESTERDAY = date(2027, 1, 3)
"""The day before NOW."""


def reasons(evidence: Evidence) -> dict[Code, Reason]:
    verdict = decide(evidence)
    assert isinstance(verdict, Hold | Wait | Approve)
    found = verdict.marks if isinstance(verdict, Approve) else verdict.reasons
    return {reason.code: reason for reason in found}


def test_full_settled_evidence_is_approved() -> None:
    """By the rule that governs, and with the mark that says that anybody could copy a name and a message."""
    verdict = decide(full_evidence())
    assert isinstance(verdict, Approve)
    assert (verdict.rule, verdict.strength) == ("contoso-upstream", Strength.WEAK)
    assert [mark.code for mark in verdict.marks] == [Code.WEAK_EVIDENCE]


HOLDING: list[tuple[Code, dict[str, Any]]] = [
    (Code.NO_LINK, {"link": None, "link_fits": False}),
    (Code.NO_LINK, {"connection": a_connection("stranger", message="hello"), "link_fits": False}),
    (Code.NOT_ALLOWLISTED, {"rules": ()}),
    (Code.DENIED, {"rules": (a_rule(), a_rule(id="no", effect=Effect.DENY))}),
    (Code.DENIED, {"rules": (a_rule(id="no", effect=Effect.DENY),)}),
    (Code.PAUSED, {"paused": True}),
    (Code.RULE_EXPIRED, {"rules": (a_rule(expires=YESTERDAY),)}),
    (Code.AMBIGUOUS, {"rival_connections": (RIVAL,)}),
    (Code.AMBIGUOUS, {"rival_connections": (replace(RIVAL, gone=True),)}),
    (Code.AMBIGUOUS, {"rival_links": (a_link(service=service_id("other")),)}),
    (Code.NAME_DIFFERS, {"connection": a_connection("func-pe2"), "link_fits": False}),
    (Code.NAME_DIFFERS, {"connection": a_connection(None)}),
    (Code.NAME_DIFFERS, {"rules": (a_rule(endpoint_name="{signalr}-{link}"),)}),
    (Code.MESSAGE_DIFFERS, {"connection": a_connection(message="please approve "), "link_fits": False}),
    (Code.MESSAGE_DIFFERS, {"rules": (a_rule(request_message="something else"),)}),
    (Code.SIGNATURE_MISSING, {"rules": (a_rule(signed=True),)}),
    (Code.SIGNATURE_WRONG, {"rules": (a_rule(signed=True),), "signature": SignatureFacts(state=SignatureState.WRONG)}),
    (Code.SIGNATURE_EXPIRED, {"rules": (a_rule(signed=True),), "signature": replace(GENUINE, expires=NOW - MINUTE)}),
    (Code.SIGNATURE_SPENT, {"rules": (a_rule(signed=True),), "signature": replace(GENUINE, spent_by="d9")}),
    (Code.ENDPOINT_SUBSCRIPTION_UNKNOWN, {"rules": (a_rule(endpoint_subscriptions=(OTHER_SUBSCRIPTION,)),)}),
    (
        Code.ENDPOINT_SUBSCRIPTION_UNKNOWN,
        {"rules": (a_rule(endpoint_subscriptions=(OTHER_SUBSCRIPTION,)),), "connection": a_connection(None)},
    ),
    (Code.OLDER_THAN_LINK, {"link_absent_at": NOW - timedelta(seconds=1)}),
    (Code.OLDER_THAN_LINK, {"link": a_link(created_at=NOW)}),
    (Code.LINK_FAILED, {"link": a_link(provisioning=LinkProvisioning.FAILED)}),
    (Code.LINK_FAILED, {"link": a_link(provisioning=LinkProvisioning.CANCELED)}),
    *((Code.LINK_NOT_PENDING, {"link": a_link(status=s)}) for s in set(LinkStatus) - {LinkStatus.PENDING, LinkStatus.UNKNOWN}),
    (Code.QUARANTINED, {"quarantined_by": "d1"}),
    (Code.PERSON_REJECTED, {"rejected_by": "r1"}),
    (Code.EXPOSURE_CHANGE, {"site": a_site(public="")}),
    *((Code.TIER_UNSUPPORTED, {"site": a_site(tier=tier)}) for tier in ("Free", "Shared", "Dynamic", "DYNAMIC")),
    *((Code.FREE_TIER, {"tier": tier}) for tier in ("Free", "free")),
    (Code.ALLOWLIST_UNREADABLE, {"rules": (), "allowlist_problem": "line 1, column 1"}),
]
WAITING: list[tuple[Code, dict[str, Any]]] = [
    *(
        (Code.LINK_NOT_PROVISIONED, {"link": a_link(provisioning=state)})
        for state in set(LinkProvisioning) - {LinkProvisioning.SUCCEEDED, LinkProvisioning.FAILED, LinkProvisioning.CANCELED}
    ),
    (Code.LINK_NOT_PROVISIONED, {"link": a_link(status=LinkStatus.UNKNOWN)}),
    (Code.CONNECTION_MISSING, {"connection": None, "link_fits": False}),
    (Code.CONNECTION_MISSING, {"connection": None, "link_fits": False, "site": None}),
    (Code.CONNECTION_MISSING, {"connection": None, "link_fits": False, "rival_connections": (replace(RIVAL, gone=True),)}),
    (Code.SETTLING, {"settled_since": None}),
    (Code.SETTLING, {"settled_since": NOW - SETTLE}),
    (Code.UNCONFIRMED, {"unconfirmed": ("d1",)}),
    (Code.UNCONFIRMED, {"own_approval": "d1"}),
    (Code.UNCONFIRMED, {"own_approval": "d1", "connection": a_connection(status=ConnectionStatus.APPROVED)}),
    (Code.APPROVING, {"connection": a_connection(status=ConnectionStatus.APPROVING)}),
    (Code.APPROVING, {"connection": a_connection(status=ConnectionStatus.UNKNOWN)}),
]
MARKING: list[tuple[Code, dict[str, Any]]] = [
    (Code.OBSERVE_ONLY, {"mode": Mode.OBSERVE}),
    (Code.WEAK_EVIDENCE, {}),
    (Code.TIER_UNKNOWN, {"site": a_site(tier="PremiumV4")}),
    (Code.TIER_UNKNOWN, {"site": a_site(tier="")}),
]


@pytest.mark.parametrize(("code", "changes"), HOLDING)
def test_each_thing_that_does_not_hold_holds_the_connection(code: Code, changes: dict[str, Any]) -> None:
    """With its own code, a sentence, and what would resolve it where anything can."""
    verdict = decide(full_evidence(**changes))
    assert isinstance(verdict, Hold)
    assert code in {reason.code for reason in verdict.reasons}
    assert all(reason.code in HOLDS and reason.message for reason in verdict.reasons)


def test_nobody_is_told_to_make_a_link_anew_that_works() -> None:
    """A stranger beside an Approved link is to be rejected; the link is to be left alone."""
    verdict = decide(full_evidence(link=a_link(status=LinkStatus.APPROVED)))
    assert isinstance(verdict, Hold)
    (reason,) = (reason for reason in verdict.reasons if reason.code is Code.LINK_NOT_PENDING)
    assert reason.resolve == f"linkguard decide {a_connection().id} --reject --reason TEXT"


@pytest.mark.parametrize(("code", "changes"), WAITING)
def test_what_time_alone_may_resolve_is_waited_for(code: Code, changes: dict[str, Any]) -> None:
    """It is no hold: nobody has to do anything yet."""
    verdict = decide(full_evidence(**changes))
    assert isinstance(verdict, Wait)
    assert [reason.code for reason in verdict.reasons] == [code]


@pytest.mark.parametrize(("code", "changes"), MARKING)
def test_marks_say_what_a_person_should_know_about_an_approval(code: Code, changes: dict[str, Any]) -> None:
    """They do not stop it."""
    assert code in reasons(full_evidence(**changes))
    assert isinstance(decide(full_evidence(**changes)), Approve)


def test_every_code_has_its_case() -> None:
    """The cases here name every code but the budget's, which is a service's."""
    assert {code for code, _ in HOLDING} == HOLDS
    assert {code for code, _ in WAITING} == WAITS - {Code.BUDGET_SPENT}
    assert {code for code, _ in MARKING} == MARKS


@given(st.lists(st.sampled_from(HOLDING), min_size=2, max_size=6))
def test_every_reason_shows_and_none_is_lost_behind_another(cases: list[tuple[Code, dict[str, Any]]]) -> None:
    """Whatever else is wrong: changes of other parts of the evidence take no reason away, and nothing makes it an approval.

    An allowlist that cannot be read has no rules whose demands could be checked; that one reason stands for them.
    """
    chosen: dict[str, Any] = {}
    codes = set()
    for code, changes in cases:
        if not chosen.keys() & changes.keys():
            chosen |= changes
            codes.add(code)
    if "allowlist_problem" in chosen:
        # Nor is it known to be paused.
        codes -= {Code.PAUSED, Code.EXPOSURE_CHANGE, Code.NAME_DIFFERS, Code.ENDPOINT_SUBSCRIPTION_UNKNOWN}
    if not any(rule.effect is Effect.ALLOW and not rule.expired(NOW) for rule in chosen.get("rules", (a_rule(),))):
        codes -= {Code.EXPOSURE_CHANGE, Code.NAME_DIFFERS}
    if chosen.get("link", ...) is None:
        codes -= {Code.OLDER_THAN_LINK, Code.EXPOSURE_CHANGE, Code.NAME_DIFFERS, Code.MESSAGE_DIFFERS}
        codes -= {Code.SIGNATURE_MISSING, Code.SIGNATURE_WRONG, Code.SIGNATURE_EXPIRED, Code.SIGNATURE_SPENT}
        codes -= {Code.ENDPOINT_SUBSCRIPTION_UNKNOWN}
    if not chosen.get("link_fits", True):
        codes -= {Code.OLDER_THAN_LINK}
    verdict = decide(full_evidence(**chosen))
    assert isinstance(verdict, Hold)
    assert codes <= {reason.code for reason in verdict.reasons}


@given(st.sampled_from(HOLDING), st.sampled_from(WAITING))
def test_a_hold_wins_over_a_wait(hold: tuple[Code, dict[str, Any]], wait: tuple[Code, dict[str, Any]]) -> None:
    """What a person has to change is not hidden by what time may resolve; an approval of our own on its way excepted."""
    changes = {**wait[1], **hold[1]}
    assume("own_approval" not in changes and wait[0] not in {Code.APPROVING, Code.CONNECTION_MISSING})
    assert isinstance(decide(full_evidence(**changes)), Hold)


# The allowlist


def test_deny_wins_however_general_it_is() -> None:
    """An exact allow rule does not outweigh a deny rule with a wildcard."""
    deny = a_rule(
        id="never", effect=Effect.DENY, signalr=IdPattern(service_id("*")), target=IdPattern(site_id("*")), line=9, text="x"
    )
    found = reasons(full_evidence(rules=(a_rule(), deny)))
    assert found[Code.DENIED].facts == {"rule": "never", "line": "9"}


def test_a_denial_that_has_expired_denies_nothing() -> None:
    """As any rule."""
    deny = a_rule(id="never", effect=Effect.DENY, expires=YESTERDAY)
    assert isinstance(decide(full_evidence(rules=(a_rule(), deny))), Approve)


def test_a_rule_holds_to_the_end_of_its_last_day_in_utc() -> None:
    """And not a moment longer."""
    until_today = (a_rule(expires=NOW.date()),)
    late = NOW.replace(hour=23, minute=59, second=59)
    settled = {"rules": until_today, "settled_since": NOW - MINUTE}
    assert isinstance(decide(full_evidence(**settled, clock=late, look_started=late)), Approve)
    assert Code.RULE_EXPIRED in reasons(full_evidence(**settled, clock=late + timedelta(seconds=1)))


WILD_TARGET: dict[str, Any] = {"id": "any-site", "target": IdPattern(site_id("*"))}


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        # A strict rule for one site is not undone by a general one beside it.
        ((a_rule(request_message="the word"), a_rule(**WILD_TARGET)), Hold),
        # Once it has expired, the next group governs.
        ((a_rule(request_message="the word", expires=YESTERDAY), a_rule(**WILD_TARGET)), Approve),
        # Rules as specific as one another are alternatives.
        ((a_rule(request_message="the word"), a_rule(id="other")), Approve),
        ((a_rule(request_message="the word"), a_rule(id="other", request_message="another")), Hold),
        # An exact target before an exact service.
        ((a_rule(request_message="x", signalr=IdPattern(service_id("*"))), a_rule(**WILD_TARGET)), Hold),
    ],
)
def test_the_most_specific_rules_that_hold_today_govern(rules: tuple[Rule, ...], verdict: type) -> None:
    """An exact target before ``*``, then an exact service; within one group any rule whose demands all hold."""
    assert isinstance(decide(full_evidence(rules=rules)), verdict)


def test_alternatives_do_not_lend_each_other_what_they_lack() -> None:
    """Each rule's demands are to hold together."""
    one = a_rule(id="one", request_message="please approve", endpoint_subscriptions=(OTHER_SUBSCRIPTION,))
    two = a_rule(id="two", request_message="the word", endpoint_subscriptions=(ENDPOINT_SUBSCRIPTION,))
    assert isinstance(decide(full_evidence(rules=(one, two))), Hold)


def test_not_allowlisted_says_the_rule_to_write() -> None:
    """With the service, the target and its slot."""
    slot = replace(full_evidence(rules=()), target=type(TARGET).of(site_id(), "staging"))
    resolve = reasons(slot)[Code.NOT_ALLOWLISTED].resolve
    assert str(service_id()) in resolve
    assert f"target: {site_id()}, slots: [staging]" in resolve


# Signatures, pins, templates


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        (a_rule(signed=True), {"signature": GENUINE}),
        (a_rule(endpoint_subscriptions=(ENDPOINT_SUBSCRIPTION.upper(),)), {}),
    ],
)
def test_a_signature_or_pins_make_the_evidence_strong(rule: Rule, changes: dict[str, Any]) -> None:
    """Then no mark is needed."""
    verdict = decide(full_evidence(rules=(rule,), **changes))
    assert isinstance(verdict, Approve)
    assert (verdict.strength, verdict.marks) == (Strength.STRONG, ())


def test_a_signature_holds_to_its_last_second() -> None:
    """It expires after the moment that it names."""
    at_the_end = replace(GENUINE, expires=NOW)
    assert isinstance(decide(full_evidence(rules=(a_rule(signed=True),), signature=at_the_end)), Approve)


def test_a_signature_counts_only_where_the_rule_demands_one() -> None:
    """What an unsigned rule allows is not held for a signature that is wrong or spent."""
    for facts in (SignatureFacts(state=SignatureState.WRONG), replace(GENUINE, spent_by="d1")):
        assert isinstance(decide(full_evidence(signature=facts)), Approve)


def test_a_template_of_the_rule_decides_which_name_fits() -> None:
    """How SignalR names its endpoints is the estate's to say."""
    rule = a_rule(endpoint_name="{signalr}-{link}-*", endpoint_subscriptions=(ENDPOINT_SUBSCRIPTION,))
    named = a_connection("Contoso-SignalR-func-pe-7f")
    assert isinstance(decide(full_evidence(rules=(rule,), connection=named)), Approve)


# Exposure and tiers


@pytest.mark.parametrize(
    "changes",
    [
        {"site": a_site(public="Enabled")},
        {"site": a_site(public="Disabled")},
        {"site": a_site(public=""), "target_has_approved": True},
        {"site": a_site(public=""), "rules": (a_rule(accept_exposure_change=True),)},
    ],
)
def test_exposure_changes_only_with_the_first_approval_of_a_site_that_did_not_say(changes: dict[str, Any]) -> None:
    """And a rule may accept it."""
    assert isinstance(decide(full_evidence(**changes)), Approve)


@pytest.mark.parametrize("tier", sorted(SUPPORTED_TIERS))
def test_tiers_that_take_private_endpoints_need_no_word(tier: str) -> None:
    """Whatever their case."""
    assert Code.TIER_UNKNOWN not in reasons(full_evidence(site=a_site(tier=tier.lower())))
    assert not SUPPORTED_TIERS & UNSUPPORTED_TIERS


# Settling


def test_evidence_settles_from_the_end_of_one_look_to_the_beginning_of_another() -> None:
    """What changed in between would have been seen by the second look."""
    just_short = full_evidence(look_started=NOW, settled_since=NOW - SETTLE + timedelta(microseconds=1))
    assert isinstance(decide(just_short), Wait)
    assert isinstance(decide(full_evidence(look_started=NOW, settled_since=NOW - SETTLE)), Approve)


def test_settling_says_when_to_look_again() -> None:
    """At once when a first look has just ended: then after the whole of it."""
    first = decide(full_evidence(settled_since=None))
    assert isinstance(first, Wait)
    assert first.until == NOW + SETTLE
    later = decide(full_evidence(look_started=NOW, settled_since=NOW - timedelta(seconds=10)))
    assert isinstance(later, Wait)
    assert later.until == NOW + timedelta(seconds=20)


def test_a_later_look_does_not_settle_an_earlier_one() -> None:
    """Two workers' looks may end in another order than they began."""
    assert isinstance(decide(full_evidence(look_started=NOW - MINUTE, settled_since=NOW)), Wait)


# What is not pending


@pytest.mark.parametrize(
    "status",
    sorted(set(ConnectionStatus) - {ConnectionStatus.PENDING, ConnectionStatus.APPROVING, ConnectionStatus.UNKNOWN}),
)
def test_there_is_nothing_to_decide_about_what_is_decided(status: ConnectionStatus) -> None:
    """Whatever the evidence says."""
    assert decide(full_evidence(connection=a_connection(status=status), rules=())) == Settled(state=status)


@given(st.sampled_from([status for status in ConnectionStatus if status is not ConnectionStatus.PENDING]))
def test_only_a_pending_connection_is_ever_approved(status: ConnectionStatus) -> None:
    """Not even one whose state nobody knows."""
    assert not isinstance(decide(full_evidence(connection=a_connection(status=status))), Approve)


def test_nothing_is_approved_without_the_targets_own_answer() -> None:
    """Its tier and its exposure would be guesses."""
    with pytest.raises(ValueError, match="own answer"):
        decide(full_evidence(site=None))
