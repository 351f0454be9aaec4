"""Which link explains which connection, and who could be in its place."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from shared.core.allowlist import Effect, IdPattern, Rule
from shared.core.decide import decide
from shared.core.entries import decision_entry, make_decision
from shared.core.evidence import Evidence, Rival, SignatureState
from shared.core.history import Outcome
from shared.core.ledger import canonical, digest
from shared.core.memory import GRACE
from shared.core.model import Connection, ConnectionStatus, Link, LinkProvisioning, LinkStatus
from shared.core.observation import Incarnation
from shared.core.request_message import message_payload, sign
from shared.core.verdict import Approve, Hold, Mode
from shared.core.wire import from_json, to_json
from tests.core.cases import (
    HOUR,
    MESSAGE,
    MINUTE,
    NAME,
    NOW,
    SERVICE,
    SETTLE,
    TARGET,
    Watcher,
    a_connection,
    a_history,
    a_link,
    a_rule,
    a_site,
    an_allowlist,
    an_approval,
    full_evidence,
    service_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from shared.core.history import History

OTHER = service_id("other-signalr")
KEY = ec.generate_private_key(ec.SECP256R1())


def rivals(links: Iterable[Link], connections: Iterable[Connection], history: History | None = None) -> list[Connection]:
    """Of the first connection."""
    watcher = Watcher(history=history or a_history())
    return [rival.connection for rival in watcher.evidence(links, connections).rival_connections]


# Which link


def test_a_connection_belongs_to_the_link_that_fits_by_name_and_message() -> None:
    """Whichever links there are besides."""
    ours = a_link()
    evidence = Watcher().evidence([a_link("aaa"), a_link(NAME, service=OTHER, message="x"), ours], [a_connection()])
    assert (evidence.link, evidence.link_fits, evidence.rival_links) == (ours, True, ())


@pytest.mark.parametrize(
    "connection", [a_connection("func-pe2"), a_connection(message="Please approve"), a_connection(message="")]
)
def test_a_link_that_does_not_fit_is_shown_as_the_nearest(connection: Connection) -> None:
    """So that a person sees what differs; it explains nothing."""
    evidence = Watcher().evidence([a_link("zzz", message="zzz"), a_link()], [connection])
    assert (evidence.link, evidence.link_fits) == (a_link(), False)
    assert isinstance(decide(evidence), Hold)


def test_without_any_link_there_is_no_nearest() -> None:
    """Then every rule about the target is shown."""
    evidence = Watcher().evidence([], [a_connection()])
    assert (evidence.link, evidence.link_fits, evidence.rules) == (None, False, (a_rule(),))


@pytest.mark.parametrize(
    "message", ["please approve ", " please approve", "Please approve", "please  approve", "please approve\n"]
)
def test_messages_are_compared_exactly(message: str) -> None:
    """Nothing is trimmed and case counts."""
    assert not Watcher().evidence([a_link()], [a_connection(message=message)]).link_fits


def test_the_empty_message_fits_the_empty_message() -> None:
    """A requester may give none."""
    assert Watcher().evidence([a_link(message="")], [a_connection(message="")]).link_fits


def test_names_are_compared_as_azure_does() -> None:
    """Whatever their case."""
    assert Watcher().evidence([a_link()], [a_connection("FUNC-PE")]).link_fits


@pytest.mark.parametrize(
    "second", [a_link(service=OTHER), a_link("FUNC-PE", service=OTHER), a_link(service=OTHER, status=LinkStatus.APPROVED)]
)
def test_a_second_link_that_fits_makes_it_ambiguous(second: Link) -> None:
    """Every link in the scanned subscriptions counts, allowlisted or not, whatever its state."""
    evidence = Watcher().evidence([a_link(), second], [a_connection()])
    assert (evidence.link, evidence.rival_links) == (a_link(), (second,))
    assert isinstance(decide(evidence), Hold)


def test_what_azure_lists_twice_is_not_taken_for_one() -> None:
    """A link that is there twice could be two; a connection is not its own rival, and is decided about once only."""
    twice = Watcher().evidence([a_link(), a_link()], [a_connection()])
    assert twice.rival_links == (a_link(),)
    first, second = Watcher().look([a_link()], [a_connection(), a_connection()]).evidence()
    assert (first, first.rival_connections) == (second, ())


def test_a_link_counts_by_any_template_that_a_rule_gives_for_it() -> None:
    """Also by the template of a rule that has expired, or that is not the one that governs."""
    old = a_rule(id="old", endpoint_name="{signalr}-{link}", signed=True, expires=NOW.date() - timedelta(days=1))
    watcher = Watcher(allowlist=an_allowlist(a_rule(), old))
    evidence = watcher.evidence([a_link()], [a_connection(), a_connection("contoso-signalr-func-pe", number=2)])
    assert [rival.connection.id.name for rival in evidence.rival_connections] == ["contoso-signalr-func-pe-2"]


@pytest.mark.parametrize("template", ["{link}-*", "{signalr}-{link}", "pe-{link}"])
@pytest.mark.parametrize("elsewhere", [(), (a_rule(id="denied", effect=Effect.DENY, signalr=IdPattern(OTHER)),)])
def test_a_link_of_a_service_without_a_rule_counts_by_every_template_of_the_target(
    template: str, elsewhere: tuple[Rule, ...]
) -> None:
    """How SignalR names endpoints is the estate's to say, and it names those of services that nobody allowed no differently.

    While our link's own connection is late, the one that is there may be the other link's.
    """
    watcher = Watcher(allowlist=an_allowlist(a_rule(endpoint_name=template), *elsewhere))
    ours, theirs = a_link(), a_link(service=OTHER)
    name = template.replace("{link}", NAME).replace("{signalr}", OTHER.name).replace("*", "7f3a")
    evidence = watcher.evidence([ours, theirs], [a_connection(name)])
    assert theirs in {evidence.link, *evidence.rival_links}
    assert isinstance(decide(evidence), Hold)


# Who could be the link's


COULD_BE = {
    # status: fits by name and message, fits by name alone
    ConnectionStatus.PENDING: (True, False),
    ConnectionStatus.APPROVING: (True, True),
    ConnectionStatus.APPROVED: (True, True),
    ConnectionStatus.REJECTING: (True, True),
    ConnectionStatus.REJECTED: (True, True),
    ConnectionStatus.DISCONNECTING: (True, True),
    ConnectionStatus.DISCONNECTED: (False, False),
    ConnectionStatus.UNKNOWN: (True, True),
}


@pytest.mark.parametrize("status", ConnectionStatus)
def test_a_rival_is_pending_and_fits_or_decided_and_has_the_name(status: ConnectionStatus) -> None:
    """Approval replaces the description, so that a decided one has its name alone; a disconnected one is out of it."""
    by_both, by_name = COULD_BE[status]
    assert bool(rivals([a_link()], [a_connection(), a_connection(number=2, status=status)])) is by_both
    assert bool(rivals([a_link()], [a_connection(), a_connection(number=2, status=status, message="lg:1")])) is by_name
    assert not rivals([a_link()], [a_connection(), a_connection("other-pe", number=2, status=status)])


def test_two_pending_connections_that_fit_are_rivals_of_each_other() -> None:
    """One of them is an impostor, or a replica's: approving either would be a guess."""
    one, two = a_connection(), a_connection(number=2)
    for first, second in ((one, two), (two, one)):
        assert rivals([a_link()], [first, second]) == [second]


def test_an_endpoint_that_azure_does_not_name_could_have_any_name() -> None:
    """It is a rival, and never approved itself."""
    nameless = a_connection(None, number=2)
    assert rivals([a_link()], [a_connection(), nameless]) == [nameless]
    assert rivals([a_link()], [a_connection(), replace(nameless, status=ConnectionStatus.APPROVED)])
    assert not rivals([a_link()], [a_connection(), replace(nameless, description="x")])
    assert isinstance(decide(Watcher().evidence([a_link()], [nameless])), Hold)


@pytest.mark.parametrize("text", ["", "x", "/subscriptions/x/privateEndpoints/func-pe", "func-pe", "//", "/" * 3000])
def test_what_is_no_endpoint_id_names_no_endpoint(text: str) -> None:
    """Junk is never taken for the name that it holds."""
    odd = replace(a_connection(), endpoint_id=text)
    evidence = Watcher().evidence([a_link()], [odd])
    assert isinstance(decide(replace(evidence, settled_since=NOW - HOUR)), Hold)
    assert rivals([a_link()], [a_connection(number=2), odd]) == [odd]


def test_a_rejected_connection_counts_for_an_hour() -> None:
    """From when it was first seen so; SignalR may not have noticed until then."""
    watcher = Watcher()
    rejected = a_connection(number=2, status=ConnectionStatus.REJECTED)
    link = a_link(created_at=NOW - 3 * HOUR)
    watcher.look([link], [replace(rejected, status=ConnectionStatus.APPROVED)], at=NOW - 2 * HOUR)
    watcher.look([link], [rejected], at=NOW - GRACE)
    assert watcher.evidence([link], [a_connection(), rejected], at=NOW).rival_connections
    assert not watcher.evidence([link], [a_connection(), rejected], at=NOW + timedelta(seconds=1)).rival_connections


@pytest.mark.parametrize("status", sorted(set(ConnectionStatus) - {ConnectionStatus.REJECTED}))
def test_a_connection_that_fitted_and_has_vanished_counts_for_an_hour(status: ConnectionStatus) -> None:
    """It may have been the genuine one, deleted at the site while the link does not say so yet."""
    watcher = Watcher()
    ghost, link = a_connection(number=2, status=status), a_link(created_at=NOW - 3 * HOUR)
    watcher.look([link], [ghost], at=NOW - 2 * HOUR)
    watcher.look([link], [], at=NOW - GRACE)
    found = watcher.evidence([link], [a_connection()], at=NOW).rival_connections
    assert found == ((Rival(connection=ghost, gone=True),) if COULD_BE[status][0] else ())
    assert not watcher.evidence([link], [a_connection()], at=NOW + timedelta(seconds=1)).rival_connections


def test_a_rejected_one_that_has_vanished_counts_from_its_rejection() -> None:
    """Not for another hour."""
    watcher = Watcher()
    link = a_link(created_at=NOW - 3 * HOUR)
    watcher.look([link], [a_connection(number=2, status=ConnectionStatus.REJECTED)], at=NOW - GRACE)
    watcher.look([link], [], at=NOW - MINUTE)
    assert watcher.evidence([link], [a_connection()], at=NOW).rival_connections
    assert not watcher.evidence([link], [a_connection()], at=NOW + timedelta(seconds=1)).rival_connections


def test_what_vanished_before_the_link_was_made_is_not_the_links() -> None:
    """Making a link anew is not held up by the connection of its former life."""
    watcher = Watcher()
    watcher.look([a_link(created_at=NOW - HOUR)], [a_connection(number=2)], at=NOW - 2 * MINUTE)
    anew = a_link(created_at=NOW - MINUTE)
    assert not watcher.evidence([anew], [a_connection()]).rival_connections
    undated = a_link(created_at=None)
    assert watcher.evidence([undated], [a_connection()]).rival_connections


def test_a_connection_that_came_back_is_no_ghost() -> None:
    """A stale list may have missed it."""
    watcher = Watcher()
    ours = a_connection()
    watcher.look([a_link()], [ours], at=NOW - 2 * MINUTE)
    watcher.look([a_link()], [], at=NOW - MINUTE)
    evidence = watcher.evidence([a_link()], [ours])
    assert (evidence.rival_connections, evidence.first_seen) == ((), NOW - 2 * MINUTE)


# Approved for another link


ELSEWHERE = a_link(service=OTHER, message="another")
"""Same name, another message: an approved connection of the one could by its name be the other's."""
THEIRS = a_connection(number=2, status=ConnectionStatus.APPROVED, message="lg:1")


def explained(history: History) -> Evidence:
    return Watcher(history=history).evidence([a_link(), ELSEWHERE], [a_connection(), THEIRS])


def test_what_we_approved_for_another_link_is_no_rival_once_confirmed() -> None:
    """The other link itself says so."""
    evidence = explained(a_history(an_approval(THEIRS, ELSEWHERE, Outcome.CONFIRMED)))
    assert (evidence.rival_connections, evidence.unconfirmed) == ((), ())


@pytest.mark.parametrize("outcome", [None, Outcome.SENT])
def test_until_then_the_connection_waits(outcome: Outcome | None) -> None:
    """It may turn out that the wrong one was approved."""
    evidence = explained(a_history(an_approval(THEIRS, ELSEWHERE, outcome)))
    assert (evidence.rival_connections, evidence.unconfirmed) == ((), (f"decision-{THEIRS.id.name}",))


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - {Outcome.SENT, Outcome.CONFIRMED}))
def test_an_approval_that_ended_otherwise_explains_nothing(outcome: Outcome) -> None:
    """The connection is approved and nobody can say for which link."""
    assert explained(a_history(an_approval(THEIRS, ELSEWHERE, outcome))).rival_connections == (
        Rival(connection=THEIRS, gone=False),
    )


def test_what_we_approved_for_this_very_link_is_a_rival() -> None:
    """Also where Azure does not say when the link was made."""
    for link in (a_link(), a_link(created_at=None)):
        assert explained(a_history(an_approval(THEIRS, link, Outcome.CONFIRMED))).rival_connections


def test_what_we_approved_for_a_former_life_of_the_link_is_no_rival() -> None:
    """A link made anew gets a new connection, and the old one may stay listed for a while."""
    former = a_link(created_at=NOW - 2 * HOUR)
    history = a_history(an_approval(THEIRS, former, Outcome.CONFIRMED))
    assert not explained(history).rival_connections


def test_a_pending_connection_is_explained_by_nothing() -> None:
    """An approval that did not come about does not say whose it is."""
    pending = replace(THEIRS, status=ConnectionStatus.PENDING, description=MESSAGE)
    history = a_history(an_approval(pending, ELSEWHERE, Outcome.CONFIRMED), adopted={pending.id: Incarnation.of(ELSEWHERE)})
    assert rivals([a_link(), ELSEWHERE], [a_connection(), pending], history) == [pending]


def test_an_adopted_connection_explains_one_other_link_at_most() -> None:
    """Adopted for another link it is no rival; adopted for this one, or for nobody knows which, it is."""
    for life, is_rival in ((Incarnation.of(ELSEWHERE), False), (Incarnation.of(a_link()), True), (None, True)):
        assert bool(explained(a_history(adopted={THEIRS.id: life})).rival_connections) is is_rival


def test_an_approval_by_a_person_that_named_no_link_explains_nothing() -> None:
    """Nobody can tell whose it is."""
    assert explained(a_history(an_approval(THEIRS, None, Outcome.CONFIRMED))).rival_connections


# Links whose connection has not come


def test_an_allowlisted_link_without_its_connection_is_waited_for() -> None:
    """And one that nobody allows is not."""
    correlation = Watcher().look([a_link(), a_link(service=OTHER)], [a_connection("stranger")])
    (missing,) = [one for one in correlation.evidence() if one.connection is None]
    assert (missing.link, missing.link_fits) == (a_link(), False)


@pytest.mark.parametrize("status", sorted(set(LinkStatus) - {LinkStatus.PENDING, LinkStatus.UNKNOWN}))
def test_a_link_that_is_decided_waits_for_no_connection(status: LinkStatus) -> None:
    """Whatever came of it."""
    assert not Watcher().look([a_link(status=status)], []).evidence()


def test_what_could_be_the_links_has_come() -> None:
    """Then there is a connection to decide about, or one that is decided."""
    for status in set(ConnectionStatus) - {ConnectionStatus.DISCONNECTED}:
        assert len(Watcher().look([a_link()], [a_connection(status=status)]).evidence()) == 1


def test_another_links_connection_is_not_what_a_link_waits_for() -> None:
    """Though it has the same name: we approved it for the other, confirmed or not."""
    for outcome in (Outcome.CONFIRMED, Outcome.SENT, None):
        watcher = Watcher(history=a_history(an_approval(THEIRS, ELSEWHERE, outcome)))
        found = watcher.look([a_link(), ELSEWHERE], [THEIRS]).evidence()
        assert [one.link for one in found if one.connection is None] == [a_link()]


def test_a_link_whose_connection_vanished_is_still_waited_for() -> None:
    """The vanished one is a rival of whatever comes, and no reason to stop."""
    watcher = Watcher()
    watcher.look([a_link()], [a_connection()], at=NOW - MINUTE)
    (missing,) = watcher.look([a_link()], []).evidence()
    assert missing.rival_connections == (Rival(connection=a_connection(), gone=True),)
    assert type(decide(missing)).__name__ == "Wait"


# The past


def test_it_is_known_since_when_a_connection_and_not_yet_a_link_was_there() -> None:
    """What came before the link cannot be its own."""
    watcher = Watcher()
    watcher.look([], [a_connection()], at=NOW - 3 * MINUTE)
    watcher.look([], [a_connection()], at=NOW - 2 * MINUTE)
    undated = a_link(created_at=None)
    evidence = watcher.evidence([undated], [a_connection()])
    assert evidence.first_seen == NOW - 3 * MINUTE
    assert evidence.link_absent_at is not None
    assert evidence.first_seen < evidence.link_absent_at
    assert isinstance(decide(replace(evidence, settled_since=NOW - HOUR)), Hold)


@pytest.mark.parametrize("own", [True, False])
def test_an_open_approval_of_the_link_stands_in_the_way(*, own: bool) -> None:
    """Of this connection as its own, of another as one that is unconfirmed."""
    approved = a_connection() if own else THEIRS
    evidence = Watcher(history=a_history(an_approval(approved, a_link()))).evidence([a_link()], [a_connection(), THEIRS])
    decision = f"decision-{approved.id.name}"
    assert (evidence.own_approval, evidence.unconfirmed) == ((decision, ()) if own else ("", (decision,)))


def test_quarantine_and_rejections_are_part_of_the_evidence() -> None:
    """The quarantine of this life of the link; a rejection of its name or of the connection."""
    former = Incarnation.of(a_link(created_at=NOW - HOUR))
    for history, expected in (
        (a_history(quarantines={Incarnation.of(a_link()): "d1"}), ("d1", "")),
        (a_history(quarantines={replace(former, created_at=None): "d1"}), ("d1", "")),
        (a_history(quarantines={former: "d1"}), ("", "")),
        (a_history(rejections={(SERVICE, "FUNC-PE"): "r1"}), ("", "r1")),
        (a_history(rejections={(OTHER, "FUNC-PE"): "r1"}), ("", "")),
        (a_history(rejected_connections={a_connection().id: "r2"}), ("", "r2")),
    ):
        evidence = Watcher(history=history).evidence([a_link()], [a_connection()])
        assert (evidence.quarantined_by, evidence.rejected_by) == expected


def test_what_became_of_the_nearest_link_says_nothing_about_a_stranger() -> None:
    """It is shown to be compared with: the stranger's hold is the same whatever happens to the link."""
    history = a_history(
        an_approval(THEIRS, a_link()), quarantines={Incarnation.of(a_link()): "d1"}, rejections={(SERVICE, "FUNC-PE"): "r1"}
    )
    stranger = a_connection("stranger")
    before = Watcher().evidence([a_link()], [stranger])
    after = Watcher(history=history).evidence([a_link()], [stranger])
    assert (after.link, after.digest()) == (before.link, before.digest())


# Signatures


def signed(link_name: str = NAME, expires: datetime = NOW + HOUR) -> str:
    return sign(KEY, key_id="k1", signalr=SERVICE, target=TARGET.id, link_name=link_name, expires=expires)


@pytest.mark.parametrize(
    ("message", "state"),
    [
        (MESSAGE, SignatureState.ABSENT),
        (signed(), SignatureState.GENUINE),
        (signed(expires=NOW - HOUR), SignatureState.GENUINE),
        (signed("other-pe"), SignatureState.WRONG),
        (signed()[:-3] + "AAA", SignatureState.WRONG),
        ("lg1.", SignatureState.WRONG),
    ],
)
def test_the_links_message_is_verified_for_this_service_target_and_link(message: str, state: SignatureState) -> None:
    """Whether a rule asks for it or not."""
    watcher = Watcher(keys={"k1": KEY.public_key()})
    assert watcher.evidence([a_link(message=message)], [a_connection(message=message)]).signature.state is state


def test_a_signed_message_is_spent_however_often_it_is_signed() -> None:
    """What counts is what was signed: a second signature over the same is not another message."""
    fingerprint = digest_of_payload()
    spent = an_approval(THEIRS, ELSEWHERE, Outcome.CONFIRMED, signature=fingerprint)
    for _ in range(2):
        message = signed()
        watcher = Watcher(keys={"k1": KEY.public_key()}, history=a_history(spent))
        facts = watcher.evidence([a_link(message=message)], [a_connection(message=message)]).signature
        assert (facts.fingerprint, facts.spent_by) == (fingerprint, spent.decision)


@pytest.mark.parametrize("outcome", [None, *sorted(set(Outcome) - {Outcome.CONFIRMED})])
def test_a_signed_message_is_spent_by_a_confirmed_approval_alone(outcome: Outcome | None) -> None:
    """One that was refused, or taken back, may be used again."""
    history = a_history(an_approval(THEIRS, ELSEWHERE, outcome, signature=digest_of_payload()))
    message = signed()
    watcher = Watcher(keys={"k1": KEY.public_key()}, history=history)
    assert not watcher.evidence([a_link(message=message)], [a_connection(message=message)]).signature.spent_by


def digest_of_payload() -> str:
    payload = message_payload(signalr=SERVICE, target=TARGET.id, link_name=NAME, expires=NOW + HOUR)
    return hashlib.sha256(payload).hexdigest()


# Properties over whole worlds


names = st.sampled_from([NAME, "FUNC-PE", "other-pe", "x"])
messages = st.sampled_from([MESSAGE, "", "lg:1", "Ünïcode \ud800 ✓", 'quote"\n'])
services = st.sampled_from([SERVICE, OTHER])
dates = st.none() | st.sampled_from([NOW - HOUR, NOW - MINUTE])
links = st.lists(
    st.builds(
        a_link,
        names.filter(lambda name: name != "FUNC-PE"),
        service=services,
        message=messages,
        status=st.sampled_from(LinkStatus),
        provisioning=st.sampled_from(LinkProvisioning),
        created_at=dates,
    ),
    max_size=5,
    unique_by=lambda link: link.id,
)
connections = st.lists(
    st.builds(
        a_connection, names | st.none(), number=st.integers(1, 99), message=messages, status=st.sampled_from(ConnectionStatus)
    ),
    max_size=6,
    unique_by=lambda connection: connection.id,
)
rules = st.lists(
    st.builds(
        a_rule,
        id=st.uuids().map(str),
        effect=st.sampled_from(Effect),
        signalr=st.sampled_from([SERVICE, OTHER, service_id("*")]).map(IdPattern),
        request_message=st.none() | messages,
        signed=st.booleans(),
        endpoint_name=st.sampled_from(["{link}", "{link}*", "*"]),
        expires=st.none() | st.sampled_from([NOW.date(), NOW.date() - timedelta(days=1)]),
        accept_exposure_change=st.booleans(),
        line=st.integers(1, 99),
    ),
    max_size=4,
).map(lambda found: an_allowlist(*found))
outcomes = st.none() | st.sampled_from(Outcome)


@st.composite
def watchers(draw: st.DrawFn) -> tuple[Watcher, list[Link], list[Connection]]:
    """A target as two looks found it, and what the ledger says."""
    the_links, the_connections = draw(links), draw(connections)
    intents = [
        an_approval(connection, link, draw(outcomes), signature=draw(st.sampled_from(["", "f1"])))
        for connection, link in zip(the_connections, the_links, strict=False)
    ]
    adopted = {
        connection.id: draw(st.none() | st.sampled_from(list(map(Incarnation.of, the_links))))
        for connection in the_connections[:1]
        if the_links
    }
    watcher = Watcher(
        allowlist=draw(st.none() | rules),
        history=a_history(*intents, adopted=adopted),
        mode=draw(st.sampled_from(Mode)),
        site=a_site(public=draw(st.sampled_from(["", "Enabled"])), tier=draw(st.sampled_from(["", "Free", "PremiumV3"]))),
    )
    watcher.look(draw(st.permutations(the_links))[:3], draw(st.permutations(the_connections))[:3], at=NOW - 2 * MINUTE)
    return watcher, the_links, the_connections


@given(watchers(), st.randoms(use_true_random=False))
def test_correlation_does_not_depend_on_the_order_in_which_azure_lists_things(
    world: tuple[Watcher, list[Link], list[Connection]], random: Random
) -> None:
    """Two workers that see the same come to the same."""
    watcher, the_links, the_connections = world
    memory = watcher.memory
    first = watcher.look(the_links, the_connections).evidence()
    shuffled_links, shuffled = list(the_links), list(the_connections)
    random.shuffle(shuffled_links)
    random.shuffle(shuffled)
    watcher.memory = memory
    assert watcher.look(shuffled_links, shuffled).evidence() == first


@given(watchers())
def test_evidence_survives_the_way_through_the_ledger(world: tuple[Watcher, list[Link], list[Connection]]) -> None:
    """From its record alone the same verdict follows, at any later time."""
    watcher, the_links, the_connections = world
    for evidence in watcher.look(the_links, the_connections).evidence():
        settled = evidence.settled(NOW - HOUR)
        entry = decision_entry(make_decision(settled, settled.digest(), decide(settled), None), NOW)
        recorded = json.loads(canonical(entry.inputs))
        again = from_json(Evidence, recorded["evidence"])
        assert (again, again.digest(), decide(again)) == (settled, settled.digest(), decide(settled))


@given(watchers())
def test_nothing_is_approved_that_is_not_alone(world: tuple[Watcher, list[Link], list[Connection]]) -> None:
    """Of all connections that could be one link's, at most one is approved, and only one that fits it exactly."""
    watcher, the_links, the_connections = world
    found = watcher.look(the_links, the_connections)
    for evidence in found.evidence():
        if not isinstance(decide(evidence.settled(NOW - HOUR)), Approve):
            continue
        connection, link = evidence.connection, evidence.link
        assert connection is not None
        assert link is not None
        assert connection.status is ConnectionStatus.PENDING
        assert connection.description == link.request_message
        assert (link.status, link.provisioning) == (LinkStatus.PENDING, LinkProvisioning.SUCCEEDED)
        others = [other for other in the_connections if other.id != connection.id and found.could_be(other, link)]
        assert all(watcher.history.approval_of(other.id) or other.id in watcher.history.adopted for other in others)
        assert [other for other in the_links if found.could_be(connection, other)] == [link]


strangers = st.lists(
    st.builds(
        a_connection,
        st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1).filter(lambda name: name.upper() != "FUNC-PE"),
        number=st.integers(100, 999),
        message=st.text(max_size=200) | st.just(MESSAGE),
        status=st.sampled_from(sorted(set(ConnectionStatus) - {ConnectionStatus.APPROVED})),
    ),
    max_size=30,
    unique_by=lambda connection: connection.id,
)
others_links = st.lists(
    st.builds(a_link, st.sampled_from(["x", "y", "z"]), service=services, message=messages, status=st.sampled_from(LinkStatus)),
    max_size=5,
    unique_by=lambda link: link.id,
)


@given(strangers, others_links)
def test_strangers_do_not_touch_the_evidence_of_a_genuine_pair(flood: list[Connection], elsewhere: list[Link]) -> None:
    """However many there are, and whatever they say: a flood neither holds a pair nor keeps it from settling."""
    alone = Watcher().evidence([a_link()], [a_connection()])
    among = Watcher().evidence([*elsewhere, a_link()], [a_connection(), *flood])
    assert among.digest() == alone.digest()
    assert isinstance(decide(among.settled(NOW - HOUR)), Approve)


# The digest


def test_the_digest_is_the_same_at_every_look() -> None:
    """The clock is no part of what a decision says, nor where its rules stand, nor how long evidence has to settle."""
    evidence = full_evidence()
    later = replace(
        evidence,
        clock=NOW + HOUR,
        look_started=NOW + HOUR,
        settle_seconds=1.0,
        settled_since=None,
        allowlist_digest="d2",
        allowlist_source="elsewhere",
        rules=(a_rule(line=99),),
    )
    assert later.digest() == evidence.digest()


def test_the_digest_does_not_depend_on_how_azure_spells_ids_and_states() -> None:
    """Azure returns one id in several cases; evidence would never settle otherwise, and a hold be recorded again and again."""

    def shouted(link: Link) -> Link:
        return replace(link, id=type(link.id).parse(str(link.id).upper()), resource_id=link.resource_id.upper(), group_id="SITES")

    def shouting(connection: Connection) -> Connection:
        return replace(
            connection,
            id=type(connection.id).parse(str(connection.id).upper()),
            endpoint_id=connection.endpoint_id.upper(),
            status_text=connection.status_text.upper(),
        )

    rival = Rival(connection=a_connection(number=2), gone=False)
    evidence = full_evidence(rival_connections=(rival,), rival_links=(a_link(service=OTHER),))
    loud = replace(
        evidence,
        target=type(TARGET)(type(TARGET.id).parse(str(TARGET.id).upper())),
        connection=shouting(a_connection()),
        link=shouted(a_link()),
        rival_links=(shouted(a_link(service=OTHER)),),
        rival_connections=(replace(rival, connection=shouting(rival.connection)),),
    )
    assert (loud.digest(), loud.pair, loud.subject) == (evidence.digest(), evidence.pair, evidence.subject)
    assert canonical(to_json(loud)) != canonical(to_json(evidence))


def test_other_approvals_on_the_target_are_evidence_only_where_they_decide_its_exposure() -> None:
    """Or each approval would make every other connection of the site settle anew, and each hold be recorded anew."""
    said, unsaid = a_site(), a_site(public="")
    for site, same in ((said, True), (None, True), (unsaid, False)):
        digests = {full_evidence(site=site, target_has_approved=approved).digest() for approved in (True, False)}
        assert (len(digests) == 1) is same


def test_the_digest_does_not_depend_on_how_an_unreadable_allowlist_is_told() -> None:
    """An error's text may hold a time or a request's id; that it cannot be read is what counts."""
    told = {full_evidence(allowlist_problem=text).digest() for text in ("timeout at 9:00", "timeout at 9:01")}
    assert len(told) == 1
    assert told != {full_evidence().digest()}


CHANGES: dict[str, list[Any]] = {
    "connection": [None, a_connection("other"), a_connection(message="x"), a_connection(status=ConnectionStatus.APPROVED)],
    "link": [None, a_link("other"), a_link(message="x"), a_link(status=LinkStatus.APPROVED), a_link(created_at=None)],
    "link_fits": [False],
    "rival_links": [(a_link(service=OTHER),)],
    "rival_connections": [(Rival(connection=a_connection(number=2), gone=gone),) for gone in (True, False)],
    "unconfirmed": [("d1",)],
    "own_approval": ["d1"],
    "quarantined_by": ["d1"],
    "rejected_by": ["r1"],
    "signature": [replace(full_evidence().signature, state=SignatureState.WRONG)],
    "first_seen": [None, NOW],
    "link_absent_at": [NOW],
    "tier": ["Free"],
    "site": [None, a_site(public=""), a_site(tier="Free")],
    "rules": [(), (a_rule(text="id: other"),), (a_rule(expires=NOW.date()),)],
    "paused": [True],
    "allowlist_problem": ["broken"],
}
NOT_IN_THE_DIGEST = {
    "target_has_approved",  # see above
    "target",  # every connection and link names it, and no decision about one target is compared to another's
    "mode",  # a dry run sees what enforcing would; the verdict's marks tell the two apart
    "clock",
    "look_started",
    "settle_seconds",
    "settled_since",
    "allowlist_source",
    "allowlist_digest",
}


def test_everything_else_is_in_the_digest() -> None:
    """Whatever evidence is made of: another value is other evidence, which has to settle anew."""
    assert CHANGES.keys() | NOT_IN_THE_DIGEST == set(Evidence.__dataclass_fields__)
    digests = [full_evidence(**{name: value}).digest() for name, values in CHANGES.items() for value in values]
    assert len({*digests, full_evidence().digest()}) == len(digests) + 1


def test_what_settles_is_a_connection_with_a_life_of_its_link() -> None:
    """A link made anew begins to settle anew."""
    assert full_evidence().pair == full_evidence(clock=NOW + HOUR).pair
    assert full_evidence().pair != full_evidence(link=a_link(created_at=NOW)).pair
    assert full_evidence().pair != full_evidence(connection=a_connection(number=2)).pair
    assert digest("x") != full_evidence().pair
    assert timedelta(seconds=full_evidence().settle_seconds) == SETTLE
