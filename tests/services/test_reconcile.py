"""The reconcile step: observe all, decide, do at most one thing, record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.errors import (
    AzureConflictError,
    AzureError,
    AzureForbiddenError,
    AzureMalformedError,
    AzureNotFoundError,
    AzurePolicyError,
    AzureRefusedError,
    AzureThrottledError,
    AzureUnauthorizedError,
    AzureUnavailableError,
    ConfigError,
    NotPendingError,
    StoreUnavailableError,
)
from shared.core.finding import FindingId, Severity
from shared.core.history import HumanDecision, Outcome
from shared.core.model import ConnectionStatus, LinkProvisioning, LinkStatus
from shared.core.verdict import Mode
from shared.services.human import decide_by_hand
from shared.services.replay import replay
from tests.engines import MESSAGE, Estate, Worker, a_rule, codes, decision_about, findings
from tests.fakes.azure import SUBSCRIPTION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from shared.core.arm_id import ArmId
    from tests.fakes import FakeClock
    from tests.fakes.azure import Operation

OTHER_SUBSCRIPTION = "00000000-0000-0000-0000-0000000000b2"


@pytest.fixture
def estate() -> Estate:
    return Estate()


@pytest.fixture
def worker(estate: Estate) -> Worker:
    return estate.worker()


@pytest.fixture
def pair(estate: Estate) -> ArmId:
    """The connection of a link that nothing speaks against."""
    return estate.azure.add_pair(estate.service, estate.target)


# An approval


async def test_a_genuine_connection_is_approved_and_confirmed(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Two looks that say the same, an intent, one write, and the link's own word."""
    first = await worker.look()
    assert (codes(first, pair), first.look_at, first.waiting) == (["settling"], estate.clock.now() + timedelta(seconds=30), True)
    second = await worker.look(after=31)
    assert decision_about(second, pair).outcome == "sent"
    third = await worker.look()
    report = decision_about(third, pair)
    assert (report.verdict, report.outcome, report.rule, third.waiting) == ("settled", "confirmed", "contoso-upstream", False)
    assert await estate.kinds() == ["intent to approve", "sent", "confirmed"]
    assert [(write.connection, write.status) for write in estate.azure.writes] == [(pair, "Approved")]
    await estate.check()


async def test_an_approval_costs_at_most_nine_calls(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Three reads a look while something is pending, the write, and two reads to confirm it."""
    await worker.engine.snapshot()
    calls = estate.azure.calls
    before = calls.reads
    await worker.approve()
    await worker.look()
    assert (calls.reads - before, calls.writes) == (8, 1)
    assert pair in estate.azure.approved()


async def test_the_description_names_the_decision_the_rule_and_the_message(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """For a person who looks at the site."""
    await worker.approve()
    (intent,) = (await estate.history()).approvals()
    assert estate.azure.connections[pair].description == f"lg:{intent.decision} contoso-upstream {MESSAGE}"


async def test_one_look_never_approves(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Neither do many within the time that evidence has to settle."""
    for _ in range(6):
        result = await worker.look(after=4)
        assert codes(result, pair) == ["settling"]
    assert not estate.azure.writes


async def test_evidence_that_changed_settles_anew(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """The clock starts with the look that saw the change."""
    await worker.look()
    estate.azure.set_link(estate.azure.belongs_to[pair], provisioning=LinkProvisioning.UPDATING)
    assert codes(await worker.look(after=20), pair) == ["link_not_provisioned"]
    estate.azure.set_link(estate.azure.belongs_to[pair], provisioning=LinkProvisioning.SUCCEEDED)
    assert codes(await worker.look(after=20), pair) == ["settling"]
    assert codes(await worker.look(after=29), pair) == ["settling"]
    assert decision_about(await worker.look(after=1), pair).outcome == "sent"


async def test_losing_the_state_delays_an_approval_and_makes_none(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """It may be lost at any time."""
    await worker.look()
    estate.state = type(estate.state)()
    fresh = estate.worker()
    assert codes(await fresh.look(after=31), pair) == ["settling"]
    assert decision_about(await fresh.look(after=31), pair).outcome == "sent"


async def test_a_step_writes_once(estate: Estate, worker: Worker) -> None:
    """The next connection comes at the next look, which sees what the first write did."""
    for name in ("one", "two", "three"):
        estate.azure.add_pair(estate.service, estate.target, name)
    await worker.look()
    for written in (1, 2, 3):
        result = await worker.look(after=31)
        assert len(estate.azure.writes) == written
        assert result.acted
    await worker.look()
    assert len(await estate.kinds()) == 9
    await estate.check()


async def test_a_slot_is_approved_as_its_own_target(estate: Estate, worker: Worker) -> None:
    """With its own connections, and its own chain."""
    slot = estate.azure.add_site(slot="staging")
    estate.allow(a_rule(estate.service, slot))
    connection = estate.azure.add_pair(estate.service, slot, "staging-pe")
    elsewhere = estate.azure.add_pair(estate.service, estate.target)
    await worker.approve(slot)
    assert estate.azure.approved() == {connection}
    held = await worker.approve()
    assert codes(held, elsewhere) == ["not_allowlisted"]


async def test_ids_in_another_case_at_every_look_are_the_same_connection(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """As Azure returns them: what settles, settles, and what is held is recorded once."""
    stranger = estate.azure.add_connection(estate.target, "stranger")

    def respell(change: Callable[[str], str]) -> None:
        for id_, connection in list(estate.azure.connections.items()):
            spelt = type(id_).parse(change(str(connection.id)))
            estate.azure.connections[id_] = replace(connection, id=spelt, endpoint_id=change(connection.endpoint_id))
        for id_, link in list(estate.azure.links.items()):
            spelt = type(id_).parse(change(str(link.id)))
            estate.azure.links[id_] = replace(link, id=spelt, resource_id=change(link.resource_id))

    for change in (str.upper, str.lower, str.upper):
        respell(change)
        await worker.look(after=20)
    assert estate.azure.approved() == {pair}
    assert (await estate.kinds()).count("hold") == 1
    assert stranger not in estate.azure.approved()


# What is held


async def test_a_stranger_is_held_and_the_genuine_connection_beside_it_approved(
    estate: Estate, worker: Worker, pair: ArmId
) -> None:
    """Whether the stranger copied the message or the name."""
    by_message = estate.azure.add_connection(estate.target, "stranger")
    by_name = estate.azure.add_connection(estate.target, "func-pe", message="hello")
    await worker.look()
    result = await worker.look(after=31)
    assert estate.azure.approved() == {pair}
    assert codes(result, by_message) == ["name_differs"]
    assert codes(result, by_name) == ["message_differs"]
    assert {finding.severity for finding in findings(result, "connection_held")} == {Severity.WARNING}


async def test_an_impostor_with_name_and_message_makes_both_wait_for_a_person(
    estate: Estate, worker: Worker, pair: ArmId
) -> None:
    """With a critical finding about each: approving either would be a guess."""
    impostor = estate.azure.add_connection(estate.target)
    result = await worker.confirm_or_give_up(minutes=120)
    assert not estate.azure.writes
    assert codes(result, pair) == codes(result, impostor) == ["ambiguous"]
    assert [finding.severity for finding in findings(result, "impostor_suspected")] == [Severity.CRITICAL] * 2


async def test_an_unchanged_hold_is_recorded_once(estate: Estate, worker: Worker) -> None:
    """However often it is looked at, and by whom."""
    estate.azure.add_connection(estate.target, "stranger")
    for _ in range(5):
        await worker.look(after=300)
        await estate.worker().look()
    assert await estate.kinds() == ["hold"]


async def test_an_allowlist_that_fails_in_other_words_each_time_is_one_hold(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Or the ledger would grow for as long as it cannot be read."""
    for attempt in range(5):
        estate.allowlist.unreadable = f"timeout, request {attempt}"
        assert codes(await worker.look(after=60), pair) == ["allowlist_unreadable"]
    assert await estate.kinds() == ["hold"]


async def test_the_last_good_allowlist_is_not_used(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """One that cannot be read, or is not valid, approves nothing."""
    await worker.look()
    estate.allowlist.text = "rules: [}"
    assert codes(await worker.look(after=31), pair) == ["allowlist_unreadable"]
    assert not estate.azure.writes


async def test_a_link_that_nobody_allowlisted_is_a_rival_too(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Every link in the scanned subscriptions counts."""
    other = estate.azure.add_signalr("other", group="elsewhere")
    estate.azure.add_link(other, estate.target)
    assert codes(await worker.approve(), pair) == ["ambiguous"]


async def test_a_connection_that_was_there_before_its_link_is_a_strangers(estate: Estate, worker: Worker) -> None:
    """Also where Azure does not say when the link was made."""
    early = estate.azure.add_connection(estate.target)
    await worker.look()
    await worker.look(after=60)
    link = estate.azure.add_link(estate.service, estate.target)
    estate.azure.links[link] = replace(estate.azure.links[link], created_at=None)
    result = await worker.look(after=60)
    assert codes(result, early) == ["older_than_link"]
    dated = estate.azure.add_link(estate.service, estate.target)
    assert codes(await worker.look(after=60), early) == ["older_than_link"]
    assert dated == link


async def test_a_stale_list_of_links_does_not_hold_a_genuine_connection(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """A look that missed the link does not make it younger than its connection."""
    await worker.look()
    links, estate.azure.links = estate.azure.links, {}
    await worker.look(after=20)
    estate.azure.links = links
    assert codes(await worker.look(after=20), pair) == ["settling"]
    assert decision_about(await worker.look(after=31), pair).outcome == "sent"


async def test_a_genuine_connection_that_vanished_is_a_rival_for_an_hour(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """It was deleted at the site, and the link does not say so yet: whoever is left is not approved in its place."""
    impostor = estate.azure.add_connection(estate.target)
    await worker.look()
    del estate.azure.connections[pair]
    for _ in range(11):
        assert codes(await worker.look(after=300), impostor) == ["ambiguous"]
    assert not estate.azure.writes


async def test_a_link_whose_only_connection_vanished_is_waited_for(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Nothing fails, and nothing is approved that is not there."""
    await worker.look()
    del estate.azure.connections[pair]
    result = await worker.look(after=31)
    assert codes(result, None) == ["connection_missing"]
    assert result.waiting


async def test_exposure_and_tiers_hold_what_would_harm(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """By what the target itself says at this look."""
    estate.azure.add_site(public_network_access="")
    assert codes(await worker.approve(), pair) == ["exposure_change"]
    estate.azure.add_site(tier="Dynamic")
    assert codes(await worker.approve(), pair) == ["tier_unsupported"]
    assert not estate.azure.writes


# The mode


async def test_observe_mode_never_writes(estate: Estate, pair: ArmId) -> None:
    """It records what would have been approved, once; enforcing approves it after it has settled anew."""
    observer = estate.worker(mode=Mode.OBSERVE)
    await observer.look()
    for _ in range(3):
        result = await observer.look(after=31)
        report = decision_about(result, pair)
        assert (report.verdict, report.outcome) == ("approve", "not_written")
        assert "observe_only" in codes(result, pair)
        assert not result.waiting
    assert (estate.azure.writes, await estate.kinds()) == ([], ["hold"])
    await estate.worker().approve()
    assert estate.azure.approved() == {pair}
    await estate.check()


async def test_observe_mode_takes_nothing_back(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """It alarms."""
    estate.azure.links_follow = False
    await worker.approve()
    estate.azure.set_link(estate.azure.belongs_to[pair], status=LinkStatus.REJECTED)
    result = await estate.worker(mode=Mode.OBSERVE).confirm_or_give_up()
    assert len(estate.azure.writes) == 1
    (finding,) = findings(result, "take_back_withheld")
    assert finding.severity is Severity.CRITICAL


# Between the intent and the write


async def during_the_second_read(estate: Estate, change: Callable[[], None]) -> None:
    """Let ``change`` happen after the look's allowlist was read and before the write."""
    original = estate.ledger.append

    async def append(record: object) -> None:
        await original(record)  # type: ignore[arg-type]
        change()

    estate.ledger.append = append  # type: ignore[method-assign]


def pause(estate: Estate) -> None:
    estate.allow(a_rule(estate.service, estate.target), paused=True)


def edit(estate: Estate) -> None:
    estate.allow(a_rule(estate.service, estate.target, ticket="CHG-1"))


def break_it(estate: Estate) -> None:
    estate.allowlist.unreadable = "gone"


def stall(estate: Estate) -> None:
    estate.clock.advance(31)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (pause, "the allowlist is paused"),
        (edit, "the allowlist has changed"),
        (break_it, "the allowlist cannot be read any more"),
        (stall, "too much time has passed since the look"),
    ],
)
async def test_the_write_is_called_off_where_the_evidence_is_not_of_now(
    estate: Estate, worker: Worker, pair: ArmId, change: Callable[[Estate], None], why: str
) -> None:
    """The allowlist is read once more after the intent: paused, changed or unreadable, nothing is sent; nor is it too late."""
    await worker.look()
    await during_the_second_read(estate, lambda: change(estate))
    result = await worker.look(after=31)
    assert not estate.azure.writes
    assert await estate.kinds() == ["intent to approve", "not_written"]
    assert decision_about(result, pair).outcome == "not_written"
    assert result.waiting
    assert (await estate.records())[-1].entry.body["why"] == why
    await estate.check()


async def test_what_was_called_off_is_decided_afresh(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Under a new intent."""
    await worker.look()
    await during_the_second_read(estate, lambda: edit(estate))
    await worker.look(after=31)
    assert (await worker.look(after=31)).waiting
    await worker.look(after=31)
    assert estate.azure.approved() == {pair}
    await estate.check()


# What Azure answers to the write


REFUSALS = [
    AzureForbiddenError("no", status=403, code="AuthorizationFailed"),
    AzurePolicyError("no", status=403, code="RequestDisallowedByPolicy"),
    AzureUnauthorizedError("no", status=401),
    AzureNotFoundError("no", status=404),
    AzureConflictError("no", status=409, code="Conflict"),
    AzureRefusedError("no", status=400, code="BadRequest"),
    AzureThrottledError("no", retry_after=17),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
async def test_a_refused_write_is_recorded_and_told(estate: Estate, worker: Worker, pair: ArmId, error: AzureError) -> None:
    """It was not done. What may pass later is waited for; the rest is for a person."""
    await worker.look()
    estate.azure.fail("set_connection", error)
    result = await worker.look(after=31)
    assert await estate.kinds() == ["intent to approve", "not_written"]
    (finding,) = findings(result, "write_refused")
    assert (finding.facts["code"], finding.facts["status"]) == (error.code, str(error.status))
    assert result.waiting is error.retryable
    await worker.look(after=31)
    assert estate.azure.approved() == {pair}
    await estate.check()


async def test_somebody_who_decided_first_is_no_failure(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """The next look shows what they decided."""
    await worker.look()
    estate.azure.fail("set_connection", NotPendingError("no", status=409, code="PrivateEndpointConnectionStatusNotPending"))
    result = await worker.look(after=31)
    assert not findings(result, "write_refused")
    assert result.waiting
    estate.azure.set_status(pair, ConnectionStatus.APPROVED)
    result = await worker.look(after=31)
    assert (decision_about(result, pair).verdict, result.waiting) == ("settled", False)


UNANSWERED = [AzureUnavailableError("timeout"), AzureMalformedError("junk", status=200)]


@pytest.mark.parametrize("error", UNANSWERED, ids=lambda error: type(error).__name__)
async def test_a_write_that_was_not_done_is_found_out_by_looking(
    estate: Estate, worker: Worker, pair: ArmId, error: AzureError
) -> None:
    """An intent without an outcome authorises nothing: it is closed as abandoned and evidence gathered afresh."""
    await worker.look()
    estate.azure.fail("set_connection", error)
    result = await worker.look(after=31)
    assert (await estate.kinds(), result.waiting) == (["intent to approve"], True)
    assert codes(await worker.look(after=31), pair) == ["unconfirmed"]
    assert codes(await worker.look(after=31), pair) == ["settling"]
    await worker.look(after=31)
    assert await estate.kinds() == ["intent to approve", "abandoned", "intent to approve", "sent"]
    await estate.check()


async def test_a_write_whose_answer_was_lost_is_found_done(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """And confirmed: it is not written again."""
    await worker.look()
    estate.azure.lose_write_answers = 1
    await worker.look(after=31)
    assert decision_about(await worker.look(after=15), pair).outcome == "confirmed"
    assert (len(estate.azure.writes), await estate.kinds()) == (1, ["intent to approve", "confirmed"])


async def test_a_write_that_comes_late_is_ours_again(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Though it was given up: it has to be confirmed, or taken back."""
    await worker.look()
    estate.azure.fail("set_connection", AzureUnavailableError("timeout"))
    await worker.look(after=31)
    estate.allow(a_rule(estate.service, estate.target), paused=True)
    await worker.look(after=61)
    assert (await estate.kinds())[-2:] == ["abandoned", "hold"]
    estate.azure.set_status(pair, ConnectionStatus.APPROVED, description=estate.azure.writes[0].description)
    result = await worker.look(after=31)
    assert (await estate.kinds())[-2:] == ["sent", "confirmed"]
    assert decision_about(result, pair).outcome == "confirmed"


async def test_a_write_that_comes_late_is_found_behind_a_second_one_that_was_refused(
    estate: Estate, worker: Worker, pair: ArmId
) -> None:
    """The first one is why Azure refused the second."""
    await worker.look()
    estate.azure.fail("set_connection", AzureUnavailableError("timeout"))
    await worker.look(after=31)
    estate.azure.fail("set_connection", NotPendingError("no", status=409))
    await worker.look(after=61)
    estate.azure.set_status(pair, ConnectionStatus.APPROVED, description=estate.azure.writes[0].description)
    result = await worker.look(after=31)
    expected = ["intent to approve", "abandoned", "intent to approve", "not_written", "sent", "confirmed"]
    assert (await estate.kinds(), decision_about(result, pair).outcome) == (expected, "confirmed")


async def approved_by_a_person_and_left_so(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """With other tools, another connection asking beside it: told at every look for hours, and nothing is written."""
    estate.azure.set_status(pair, ConnectionStatus.APPROVED, description="fine")
    estate.azure.add_connection(estate.target, "func-pe", message=MESSAGE)
    for _ in range(5):
        result = await worker.look(after=3601)
        assert FindingId.APPROVED_UNEXPLAINED in {finding.id for finding in result.findings}
    assert [write.status for write in estate.azure.writes] == ["Approved"]


async def test_what_a_person_approves_after_we_gave_up_is_that_persons(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Given up hours ago, and approved with other tools now: told as what nothing explains, and never taken back."""
    estate.azure.links_follow = False
    await worker.look()
    estate.azure.fail("set_connection", AzureUnavailableError("timeout"))
    await worker.look(after=31)
    estate.allow(a_rule(estate.service, estate.target), paused=True)
    await worker.look(after=61)
    await approved_by_a_person_and_left_so(estate, worker, pair)
    assert pair in estate.azure.approved()


async def test_what_a_person_approves_after_lists_left_it_out_is_that_persons(
    estate: Estate, worker: Worker, pair: ArmId
) -> None:
    """Our write was not answered and its connection not listed; who approves what is there again is not us."""
    estate.azure.links_follow = False
    await worker.look()
    estate.azure.fail("set_connection", AzureUnavailableError("timeout"))
    await worker.look(after=31)
    left_out = estate.azure.connections.pop(pair)
    for _ in range(3):
        await worker.look(after=15)
    estate.azure.connections[pair] = left_out
    estate.azure.set_status(pair, ConnectionStatus.APPROVING, description="")
    assert (await worker.look(after=15)).acted is False
    assert (await estate.kinds()) == ["intent to approve", "superseded"]
    await approved_by_a_person_and_left_so(estate, worker, pair)
    assert (await estate.kinds())[:3] == ["intent to approve", "superseded", "not_written"]


async def test_whoever_changes_the_words_of_an_approval_of_ours_hides_nothing(estate: Estate, worker: Worker) -> None:
    """An impostor's, whose answer was lost: it is told at every look, and the genuine connection is held beside it."""
    estate.azure.links_follow = False
    link = estate.azure.add_link(estate.service, estate.target)
    impostor = estate.azure.add_connection(estate.target)
    await worker.look()
    estate.azure.lose_write_answers = 1
    await worker.look(after=31)
    estate.azure.set_status(impostor, ConnectionStatus.APPROVED, description="not ours")
    genuine = estate.azure.add_connection(estate.target, belongs_to=link)
    for _ in range(5):
        result = await worker.look(after=3601)
        told = {finding.about for finding in result.findings if finding.severity is Severity.CRITICAL}
        assert {impostor.key, genuine.key} <= told
    assert estate.azure.approved() == {impostor}
    await estate.check()


@pytest.mark.parametrize("operation", ["list_signalr", "get_signalr", "list_connections", "get_site"])
async def test_nothing_is_decided_by_half_a_look(estate: Estate, worker: Worker, pair: ArmId, operation: Operation) -> None:
    """Whatever could not be read might be a rival."""
    estate.azure.fail(operation, AzureUnavailableError("timeout"))
    with pytest.raises(AzureError):
        await worker.look()
    assert not await estate.records()
    await worker.approve()
    assert estate.azure.approved() == {pair}


async def test_a_target_that_is_gone_has_nothing_to_decide(estate: Estate, worker: Worker) -> None:
    """Nor is it an error."""
    del estate.azure.sites[estate.target]
    result = await worker.look()
    assert (result.decisions, result.waiting) == ((), False)


@pytest.mark.parametrize("store", ["ledger", "state"])
async def test_without_its_stores_nothing_is_written(estate: Estate, worker: Worker, pair: ArmId, store: str) -> None:
    """No intent, no write."""
    await worker.look()
    getattr(estate, store).unavailable = True
    with pytest.raises(StoreUnavailableError):
        await worker.look(after=31)
    assert not estate.azure.writes
    getattr(estate, store).unavailable = False
    await worker.look()
    assert estate.azure.approved() == {pair}
    await estate.check()


@pytest.mark.parametrize("lost", [False, True])
async def test_an_intent_that_may_not_be_recorded_is_not_acted_on(
    estate: Estate, worker: Worker, pair: ArmId, *, lost: bool
) -> None:
    """Where only the answer was lost the intent is there: it authorises nothing, and is closed before another one."""
    await worker.look()
    if lost:
        estate.ledger.lose_answers = 1
    else:
        estate.ledger.fail_appends = 1
    with pytest.raises(StoreUnavailableError):
        await worker.look(after=31)
    assert (await estate.kinds(), estate.azure.writes) == (["intent to approve"] if lost else [], [])
    for _ in range(4):
        await worker.look(after=31)
    assert estate.azure.approved() == {pair}
    await estate.check()


# Confirming


async def test_slowness_alone_takes_nothing_back(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """A warning after fifteen minutes, critical at the deadline; nothing is written, and it is confirmed in the end."""
    estate.azure.links_follow = False
    await worker.approve()
    seen = []
    for _ in range(60):
        result = await worker.look(after=300)
        seen.append([finding.severity for finding in findings(result, "approval_unconfirmed")])
        assert result.waiting
    assert seen[:2] == [[], []]
    assert seen[2:11] == [[Severity.WARNING]] * 9
    assert seen[11:] == [[Severity.CRITICAL]] * 49
    estate.azure.set_link(estate.azure.belongs_to[pair], status=LinkStatus.APPROVED)
    result = await worker.look(after=300)
    assert (len(estate.azure.writes), await estate.kinds()) == (1, ["intent to approve", "sent", "confirmed"])
    assert not findings(result, "approval_unconfirmed")


async def test_a_connection_that_is_being_approved_is_waited_for(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """It says Approving for most of a minute, or for hours."""
    estate.azure.approving = True
    await worker.approve()
    assert codes(await worker.confirm_or_give_up(minutes=120), pair) == ["approving"]
    estate.azure.set_status(pair, ConnectionStatus.APPROVED)
    assert decision_about(await worker.look(), pair).outcome == "confirmed"
    assert len(estate.azure.writes) == 1


async def approve_an_impostor(estate: Estate, worker: Worker) -> tuple[ArmId, ArmId]:
    """The race that remains: the genuine connection comes late, and an impostor was there first."""
    estate.azure.links_follow = True
    link = estate.azure.add_link(estate.service, estate.target)
    impostor = estate.azure.add_connection(estate.target)
    await worker.approve()
    assert estate.azure.approved() == {impostor}
    genuine = estate.azure.add_connection(estate.target, belongs_to=link)
    return impostor, genuine


async def test_a_contradiction_is_taken_back_at_the_deadline(estate: Estate, worker: Worker) -> None:
    """Rejected, recorded, and the link quarantined: the one who is left is not approved next, whoever it is."""
    impostor, genuine = await approve_an_impostor(estate, worker)
    for _ in range(11):
        await worker.look(after=300)
    assert len(estate.azure.writes) == 1
    await worker.look(after=300)
    result = await worker.look()
    assert estate.azure.connections[impostor].status is ConnectionStatus.REJECTED
    assert await estate.kinds() == [
        "intent to approve",
        "sent",
        "hold",
        "intent to reject",
        "sent",
        "hold",
        "confirmed",
        "taken_back",
        "hold",
    ]
    assert "quarantined" in codes(result, genuine)
    result = await worker.confirm_or_give_up(minutes=600)
    assert len(estate.azure.writes) == 2
    assert codes(result, genuine) == ["quarantined"]
    assert findings(result, "approval_taken_back")[0].severity is Severity.CRITICAL
    assert not (await estate.history()).open_intents()
    await estate.check()


async def test_a_link_made_anew_is_free_of_its_quarantine(estate: Estate, worker: Worker) -> None:
    """It asks again, with another connection."""
    _, genuine = await approve_an_impostor(estate, worker)
    await worker.confirm_or_give_up(minutes=130)
    del estate.azure.connections[genuine]
    estate.clock.advance(1)
    again = estate.azure.add_pair(estate.service, estate.target)
    await worker.approve()
    await worker.look()
    assert (await estate.history()).approval_of(again) is not None
    assert not estate.breaches()
    await estate.check()


async def test_a_person_may_end_a_quarantine(estate: Estate, worker: Worker) -> None:
    """By approving one: their decision stands."""
    _, genuine = await approve_an_impostor(estate, worker)
    await worker.confirm_or_give_up(minutes=130)
    done = await decide_by_hand(worker.engine, genuine, HumanDecision.APPROVE, reason="it is ours", ticket="", by="someone")
    assert done.written
    result = await worker.look()
    assert decision_about(result, genuine).outcome == "confirmed"
    assert not findings(result, "approval_taken_back")
    await estate.check()


async def test_what_cannot_be_rejected_is_deleted(estate: Estate, worker: Worker) -> None:
    """Whether an approved connection may be rejected is not known."""
    impostor, _ = await approve_an_impostor(estate, worker)
    await worker.confirm_or_give_up(minutes=55)
    estate.azure.fail("set_connection", NotPendingError("it is Approved", status=409))
    for _ in range(2):
        await worker.look(after=300)
    assert impostor not in estate.azure.connections
    for _ in range(3):
        await worker.look(after=15)
    kinds = [kind for kind in await estate.kinds() if kind != "hold"]
    assert kinds[2:] == ["intent to reject", "not_written", "intent to delete", "sent", "confirmed", "taken_back"]
    await estate.check()


async def test_what_can_neither_be_rejected_nor_deleted_is_a_persons(estate: Estate, worker: Worker) -> None:
    """With the command to type, at every look, and no further write."""
    impostor, _ = await approve_an_impostor(estate, worker)
    forbidden = AzureForbiddenError("no", status=403)
    estate.azure.fail("set_connection", forbidden)
    estate.azure.fail("delete_connection", forbidden)
    result = await worker.confirm_or_give_up(minutes=300)
    assert [write.status for write in estate.azure.writes] == ["Approved", "Rejected", "Deleted"]
    (finding,) = findings(result, "take_back_refused")
    assert (finding.severity, str(impostor) in finding.message) == (Severity.CRITICAL, True)
    assert not findings(result, "approval_taken_back")
    estate.azure.set_status(impostor, ConnectionStatus.REJECTED)
    result = await worker.look()
    assert (await estate.history()).approval_of(impostor).outcome is Outcome.SUPERSEDED  # type: ignore[union-attr]
    await estate.check()


async def test_a_taking_back_that_does_not_show_is_tried_twice_each_way(estate: Estate, worker: Worker) -> None:
    """Nobody knows what became of it: rejected again, then deleted, then it is a person's."""
    await approve_an_impostor(estate, worker)
    timeout = AzureUnavailableError("timeout")
    estate.azure.fail("set_connection", *[timeout] * 9)
    estate.azure.fail("delete_connection", *[timeout] * 9)
    result = await worker.confirm_or_give_up(minutes=300)
    assert [write.status for write in estate.azure.writes] == ["Approved", "Rejected", "Rejected", "Deleted", "Deleted"]
    assert findings(result, "take_back_refused")
    await estate.check()


async def test_a_taking_back_that_leaves_nothing_but_its_words_goes_on(estate: Estate, worker: Worker) -> None:
    """They are ours as well: nobody else approved the connection, though the approval's own answer was lost."""
    estate.azure.lose_write_answers = 1
    impostor, _ = await approve_an_impostor(estate, worker)
    for _ in range(30):
        await worker.look(after=300)
        if impostor in estate.azure.connections and estate.azure.connections[impostor].status is ConnectionStatus.REJECTED:
            estate.azure.set_status(impostor, ConnectionStatus.APPROVED)
    assert [write.status for write in estate.azure.writes] == ["Approved", "Rejected", "Rejected", "Deleted"]
    assert "not_written" not in await estate.kinds()
    assert (await estate.history()).approval_of(impostor).outcome is Outcome.TAKEN_BACK  # type: ignore[union-attr]


async def test_a_taking_back_whose_answer_was_lost_is_not_repeated(estate: Estate, worker: Worker) -> None:
    """It is found done."""
    impostor, _ = await approve_an_impostor(estate, worker)
    await worker.confirm_or_give_up(minutes=55)
    estate.azure.lose_write_answers = 1
    for _ in range(3):
        await worker.look(after=300)
    assert [write.status for write in estate.azure.writes] == ["Approved", "Rejected"]
    assert (await estate.history()).approval_of(impostor).outcome is Outcome.TAKEN_BACK  # type: ignore[union-attr]


async def test_a_link_that_shows_the_approval_after_all_ends_the_taking_back(estate: Estate, worker: Worker) -> None:
    """With every attempt: nothing is left open, and nothing is said to have been taken back."""
    impostor, genuine = await approve_an_impostor(estate, worker)
    await worker.confirm_or_give_up(minutes=55)
    estate.azure.fail("set_connection", AzureUnavailableError("timeout"))
    await worker.look(after=300)
    del estate.azure.connections[genuine]
    estate.azure.set_link(estate.azure.belongs_to[genuine], status=LinkStatus.APPROVED)
    result = await worker.look(after=15)
    history = await estate.history()
    assert history.open_intents() == ()
    assert history.approval_of(impostor).outcome is Outcome.CONFIRMED  # type: ignore[union-attr]
    assert not findings(result, "approval_taken_back")
    assert not result.waiting


async def test_one_approval_an_hour_is_taken_back_overall(estate: Estate, worker: Worker) -> None:
    """Several at once mean that SignalR's status is not moving: the others are alarms."""
    other = estate.azure.add_site("other-func")
    estate.allow(a_rule(estate.service, estate.target), a_rule(estate.service, other, "other"))
    estate.azure.links_follow = False
    connections = [estate.azure.add_pair(estate.service, target, f"{target.id.name}-pe") for target in (estate.target, other)]
    for target in (estate.target, other):
        await worker.look(target)
    for target in (estate.target, other):
        await worker.look(target, after=31)
    for connection in connections:
        estate.azure.set_link(estate.azure.belongs_to[connection], status=LinkStatus.DISCONNECTED)
    withheld = set()
    for _ in range(40):
        for target in (estate.target, other):
            result = await worker.look(target, after=150)
            withheld |= {finding.target for finding in findings(result, "take_back_withheld")}
    first, second = [write for write in estate.azure.writes if write.status == "Rejected"]
    assert second.at - first.at >= timedelta(hours=1)
    assert withheld == {str(second.connection.parent)}
    await estate.check()


async def test_an_approval_beside_another_one_is_ambiguous(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """The link is approved, and so is a rival: a person says which is genuine."""
    estate.azure.links_follow = False
    await worker.approve()
    rival = estate.azure.add_connection(estate.target, status=ConnectionStatus.APPROVED, message="approved by hand")
    estate.azure.set_link(estate.azure.belongs_to[pair], status=LinkStatus.APPROVED)
    result = await worker.look()
    assert decision_about(result, pair).outcome == "ambiguous"
    for _ in range(2):
        (finding,) = findings(await worker.look(after=3600), "approval_ambiguous")
        assert finding.severity is Severity.CRITICAL
    await decide_by_hand(worker.engine, pair, HumanDecision.ADOPT, reason="ours", ticket="", by="someone")
    assert not findings(await worker.look(), "approval_ambiguous")
    assert (len(estate.azure.writes), rival in estate.azure.approved()) == (1, True)


async def test_a_link_made_anew_closes_what_was_open_for_its_former_life(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """And its new connection needs a decision of its own."""
    estate.azure.links_follow = False
    await worker.approve()
    estate.clock.advance(60)
    estate.azure.set_status(pair, ConnectionStatus.DISCONNECTED)
    again = estate.azure.add_pair(estate.service, estate.target)
    await worker.approve()
    history = await estate.history()
    assert history.approval_of(pair).outcome is Outcome.SUPERSEDED  # type: ignore[union-attr]
    assert history.approval_of(again).outcome is Outcome.SENT  # type: ignore[union-attr]
    await estate.check()


async def test_no_second_connection_is_approved_while_the_first_is_unconfirmed(
    estate: Estate, worker: Worker, pair: ArmId
) -> None:
    """Of one link: the second is a rival of the first."""
    estate.azure.links_follow = False
    await worker.approve()
    second = estate.azure.add_connection(estate.target)
    result = await worker.approve()
    assert {"unconfirmed", "ambiguous"} & set(codes(result, second))
    assert len(estate.azure.writes) == 1
    assert estate.azure.approved() == {pair}


async def test_counts_of_looks_do_not_outlive_their_approval(estate: Estate, worker: Worker) -> None:
    """Or the state would grow with every approval."""
    for number in range(4):
        estate.azure.add_pair(estate.service, estate.target, f"pe-{number}")
    await worker.confirm_or_give_up()
    assert len(estate.azure.approved()) == 4
    row = await estate.state.get("targets", estate.target.id.key)
    assert row is not None
    assert isinstance(row.value, dict)
    assert row.value["looks"] == []


async def test_an_approval_that_lists_left_out_is_followed_again_once_it_is_there(
    estate: Estate, worker: Worker, pair: ArmId
) -> None:
    """Three stale lists end it as gone; found Approved for the same life of its link, it is not lost."""
    estate.azure.links_follow = False
    await worker.approve()
    left_out = estate.azure.connections.pop(pair)
    for _ in range(3):
        await worker.look(after=15)
    assert (await estate.kinds())[-1] == "superseded"
    estate.azure.connections[pair] = left_out
    result = await worker.look(after=15)
    assert result.waiting
    assert decision_about(result, pair).outcome == "sent"
    estate.azure.set_link(estate.azure.belongs_to[pair], status=LinkStatus.APPROVED)
    assert decision_about(await worker.look(after=15), pair).outcome == "confirmed"
    await estate.check()


# Persons


async def test_a_rejection_in_the_portal_stands(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """For every later life of the link's name, until a person approves one."""
    await worker.look()
    estate.azure.set_status(pair, ConnectionStatus.REJECTED, description="no")
    await worker.look(after=31)
    assert await estate.kinds() == ["human_decision"]
    del estate.azure.connections[pair]
    estate.clock.advance(3 * 3600)
    again = estate.azure.add_pair(estate.service, estate.target)
    assert codes(await worker.approve(), again) == ["person_rejected"]
    assert not estate.azure.writes
    await decide_by_hand(worker.engine, again, HumanDecision.APPROVE, reason="yes after all", ticket="", by="someone")
    assert decision_about(await worker.look(), again).outcome == "confirmed"
    assert (await estate.kinds()).count("human_decision") == 2
    await estate.check()


async def test_a_rejection_while_the_allowlist_is_unreadable_stands_for_the_links_name_too(
    estate: Estate, worker: Worker
) -> None:
    """How endpoints are named is in the allowlist: whose connection it was is recorded once that can be told."""
    estate.allow(a_rule(estate.service, estate.target, endpoint_name="{link}-*"))
    link = estate.azure.add_link(estate.service, estate.target)
    first = estate.azure.add_connection(estate.target, "func-pe-7f3a", belongs_to=link)
    text, estate.allowlist.text = estate.allowlist.text, "version: ["
    await decide_by_hand(worker.engine, first, HumanDecision.REJECT, reason="no", ticket="", by="someone")
    estate.allowlist.text = text
    await worker.look(after=60)
    await worker.look(after=60)
    assert (await estate.kinds()).count("human_decision") == 2
    del estate.azure.connections[first]
    estate.azure.set_link(link, status=LinkStatus.PENDING)
    estate.clock.advance(3 * 3600)
    again = estate.azure.add_connection(estate.target, "func-pe-9c1d", belongs_to=link)
    assert codes(await worker.approve(), again) == ["person_rejected"]
    assert not estate.azure.approved()
    await estate.check()


async def test_a_connection_rejected_twice_is_recorded_twice(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Approved by hand in between; the ledger takes both."""
    estate.azure.set_status(pair, ConnectionStatus.REJECTED)
    await worker.look()
    estate.azure.set_status(pair, ConnectionStatus.PENDING, description=MESSAGE)
    await decide_by_hand(worker.engine, pair, HumanDecision.APPROVE, reason="yes", ticket="", by="someone")
    await worker.look()
    estate.azure.set_status(pair, ConnectionStatus.REJECTED)
    await worker.look()
    assert (await estate.kinds()).count("human_decision") == 3
    await estate.check()


async def test_a_stranger_rejected_by_a_person_leaves_the_genuine_link_alone(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Here or in the portal: it copied the name and not the message, so no link asked for it."""
    first = estate.azure.add_connection(estate.target, "func-pe", message="hello")
    second = estate.azure.add_connection(estate.target, "func-pe", message="hello again")
    await worker.look()
    await decide_by_hand(worker.engine, first, HumanDecision.REJECT, reason="a stranger", ticket="", by="someone")
    estate.azure.set_status(second, ConnectionStatus.REJECTED, description="no")
    result = await worker.look(after=31)
    assert codes(result, pair) == ["ambiguous"]
    await worker.look(after=3601)
    await worker.look(after=31)
    assert pair in estate.azure.approved()


@pytest.mark.parametrize("approved", [False, True])
async def test_a_rejection_by_a_person_comes_to_its_end(estate: Estate, worker: Worker, pair: ArmId, *, approved: bool) -> None:
    """Nothing waits for it for ever."""
    if approved:
        await worker.approve()
        await worker.look()
    await decide_by_hand(worker.engine, pair, HumanDecision.REJECT, reason="no", ticket="", by="someone")
    result = await worker.look()
    assert (await estate.kinds())[-1] == "confirmed"
    assert not (await estate.history()).open_intents()
    assert not result.waiting
    await estate.check()


async def test_a_rejection_that_azure_did_not_carry_out_is_given_up(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """The connection stays held: the person's word stands."""
    estate.azure.fail("set_connection", AzureUnavailableError("timeout"))
    await decide_by_hand(worker.engine, pair, HumanDecision.REJECT, reason="no", ticket="", by="someone")
    result = await worker.look(after=31)
    for _ in range(3):
        result = await worker.look(after=31)
    assert (await estate.kinds())[-1] == "abandoned"
    assert codes(result, pair) == ["person_rejected"]
    assert not estate.azure.approved()


@pytest.mark.parametrize("change", ["gone", "unreadable", "named otherwise"])
async def test_an_approval_is_judged_by_the_template_that_it_was_made_by(estate: Estate, worker: Worker, change: str) -> None:
    """Though its rule is gone, or says something else by now: who could be the link's then could be it still."""
    estate.allow(a_rule(estate.service, estate.target, endpoint_name="{link}-*"))
    estate.azure.links_follow = False
    link = estate.azure.add_link(estate.service, estate.target)
    ours = estate.azure.add_connection(estate.target, "func-pe-7f3a", belongs_to=link)
    await worker.approve()
    match change:
        case "gone":
            estate.allow()
        case "unreadable":
            estate.allowlist.text = "version: ["
        case _:
            estate.allow(a_rule(estate.service, estate.target))
    other = estate.azure.add_connection(estate.target, "func-pe-9c1d")
    estate.azure.set_status(other, ConnectionStatus.APPROVED)
    estate.azure.set_link(link, status=LinkStatus.APPROVED)
    result = await worker.look(after=60)
    assert decision_about(result, ours).outcome == "ambiguous"
    await estate.check()


@pytest.mark.parametrize("change", [pause, edit, break_it])
async def test_what_a_person_approves_is_not_written_under_another_allowlist(
    estate: Estate, worker: Worker, pair: ArmId, change: Callable[[Estate], None]
) -> None:
    """It is read once more after the intent, as for the engine's own approvals: a rule that denies may be in it by now."""
    await during_the_second_read(estate, lambda: change(estate))
    result = await decide_by_hand(worker.engine, pair, HumanDecision.APPROVE, reason="yes", ticket="", by="someone")
    assert not result.written
    assert not estate.azure.writes
    assert (await estate.kinds())[-1] == "not_written"


@pytest.mark.parametrize("sent", [False, True])
async def test_a_person_cannot_approve_what_a_deny_rule_denies(
    estate: Estate, worker: Worker, pair: ArmId, *, sent: bool
) -> None:
    """Deny wins; also while an approval of ours is open, which Azure accepted and the connection does not show."""
    if sent:
        await worker.approve()
        estate.azure.set_status(pair, ConnectionStatus.PENDING, description=MESSAGE)
    allow = a_rule(estate.service, estate.target)
    estate.allow(allow, a_rule(estate.service, estate.target, "denied", effect="deny"))
    writes = len(estate.azure.writes)
    with pytest.raises(ConfigError, match="deny wins"):
        await decide_by_hand(worker.engine, pair, HumanDecision.APPROVE, reason="yes", ticket="", by="someone")
    assert len(estate.azure.writes) == writes
    assert "human_decision" not in await estate.kinds()


async def test_what_a_person_approved_is_never_taken_back(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Though the link contradicts it: there is a finding."""
    estate.azure.links_follow = False
    await decide_by_hand(worker.engine, pair, HumanDecision.APPROVE, reason="yes", ticket="", by="someone")
    estate.azure.set_link(estate.azure.belongs_to[pair], status=LinkStatus.REJECTED)
    result = await worker.confirm_or_give_up(minutes=180)
    assert len(estate.azure.writes) == 1
    assert [finding.severity for finding in findings(result, "approval_unconfirmed")] == [Severity.CRITICAL]


async def test_a_signed_message_is_spent_by_a_person_too(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """What was confirmed, was confirmed."""
    await decide_by_hand(worker.engine, pair, HumanDecision.APPROVE, reason="yes", ticket="", by="someone")
    await worker.look()
    (intent,) = (await estate.history()).approvals()
    assert (intent.outcome, intent.by_person, intent.signature) == (Outcome.CONFIRMED, True, "")


# Budgets


async def test_a_target_has_so_many_approvals_an_hour(estate: Estate) -> None:
    """What is over waits, and a person is told after an hour."""
    worker = estate.worker(approvals_per_target_per_hour=2)
    for number in range(5):
        estate.azure.add_pair(estate.service, estate.target, f"pe-{number}")
    result = await worker.approve()
    for _ in range(4):
        result = await worker.look(after=31)
    assert len(estate.azure.writes) == 2
    waiting = [one for one in result.decisions if [reason.code.value for reason in one.reasons] == ["budget_spent"]]
    assert (len(waiting), result.waiting, result.look_at is not None) == (1, True, True)
    told = []
    for _ in range(40):
        told += findings(await worker.look(after=300), "budget_spent")
    assert len(estate.azure.writes) == 5
    assert told
    for first, third in zip(estate.azure.writes, estate.azure.writes[2:], strict=False):
        assert third.at - first.at >= timedelta(hours=1)
    await estate.check()


async def test_the_whole_has_so_many_approvals_an_hour(estate: Estate) -> None:
    """Over all targets and all workers."""
    other = estate.azure.add_site("other-func")
    estate.allow(a_rule(estate.service, estate.target), a_rule(estate.service, other, "other"))
    workers = {target: estate.worker(approvals_per_hour=1) for target in (estate.target, other)}
    for target, worker in workers.items():
        estate.azure.add_pair(estate.service, target, f"{target.id.name}-pe")
        await worker.look(target)
    results = [await worker.look(target, after=31) for target, worker in workers.items()]
    assert len(estate.azure.writes) == 1
    assert [reason.code.value for one in results[1].decisions for reason in one.reasons] == ["budget_spent"]


async def test_a_budget_of_nought_approves_nothing(estate: Estate, pair: ArmId) -> None:
    """It waits for somebody to raise it."""
    worker = estate.worker(approvals_per_target_per_hour=0)
    assert codes(await worker.approve(), pair) == ["budget_spent"]
    assert not estate.azure.writes


async def test_a_connection_that_azure_keeps_refusing_does_not_use_up_what_others_need(estate: Estate) -> None:
    """Each has its turn."""
    worker = estate.worker(approvals_per_target_per_hour=2)
    pairs = [estate.azure.add_pair(estate.service, estate.target, f"pe-{number}") for number in range(2)]
    await worker.look()
    estate.azure.fail("set_connection", AzureRefusedError("it is stuck", status=400))
    first = await worker.look(after=31)
    assert (first.acted, first.more) == (True, True)
    second = await worker.look()
    assert (second.acted, second.more) == (True, False)
    assert [write.connection for write in estate.azure.writes] == sorted(pairs)


async def test_a_reservation_is_not_lost_with_the_worker(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """The same decision takes the slot that it has."""
    await worker.look()
    estate.ledger.fail_appends = 1
    with pytest.raises(StoreUnavailableError):
        await worker.look(after=31)
    limited = estate.worker(approvals_per_target_per_hour=1)
    await limited.look()
    assert estate.azure.approved() == {pair}


# Which links are known


async def test_links_of_other_services_come_from_the_snapshot(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """At most ten minutes old; where it is older the subscriptions are listed anew."""
    await worker.look()
    other = estate.azure.add_signalr("other", group="elsewhere")
    estate.azure.add_link(other, estate.target)
    listed = estate.azure.calls.by_operation["GET Microsoft.SignalRService/signalR"]
    assert codes(await worker.look(after=601), pair) == ["ambiguous"]
    assert estate.azure.calls.by_operation["GET Microsoft.SignalRService/signalR"] > listed


async def test_a_worker_whose_clock_is_behind_does_not_go_by_an_old_snapshot(estate: Estate, worker: Worker, pair: ArmId) -> None:
    """Azure's clock says how old it is."""
    await worker.look()
    other = estate.azure.add_signalr("other", group="elsewhere")
    estate.azure.add_link(other, estate.target)
    estate.clock.advance(3600)
    late = replace(worker.engine, clock=_Behind(estate.clock))
    result = await Worker(estate, late).look()
    assert codes(result, pair) == ["ambiguous"]


class _Behind:
    """A day behind."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now() - timedelta(days=1)

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


async def test_a_subscription_that_cannot_be_listed_stops_decisions(estate: Estate, pair: ArmId) -> None:
    """Once its snapshot is too old: its links might be rivals."""
    worker = estate.worker(subscriptions=(SUBSCRIPTION, OTHER_SUBSCRIPTION))
    await worker.look()
    estate.azure.fail("list_signalr", *[AzureForbiddenError("no", status=403)] * 2)
    with pytest.raises(AzureForbiddenError):
        await worker.look(after=601)
    assert pair not in estate.azure.approved()


async def test_a_service_outside_the_scanned_subscriptions_explains_nothing(estate: Estate) -> None:
    """Though a rule names it."""
    service = estate.azure.add_signalr(subscription=OTHER_SUBSCRIPTION)
    estate.allow(a_rule(service, estate.target))
    connection = estate.azure.add_pair(service, estate.target)
    assert codes(await estate.worker().approve(), connection) == ["no_link"]


# Replay


async def test_every_decision_in_the_ledger_is_derived_again_from_its_record(estate: Estate, worker: Worker) -> None:
    """Holds, approvals and takings back."""
    estate.azure.add_connection(estate.target, "stranger")
    await approve_an_impostor(estate, worker)
    await worker.confirm_or_give_up(minutes=130)
    replayed = [replay(record) for record in await estate.records()]
    found = [one for one in replayed if one is not None]
    assert {one.recorded.split()[0] for one in found} == {"approve", "hold", "TakeBack"}
    assert all(one.same for one in found), found


@pytest.mark.parametrize("look", [Worker.approve, Worker.look])
async def test_a_step_without_anything_to_say_records_nothing(
    estate: Estate, look: Callable[[Worker], Awaitable[object]]
) -> None:
    """An empty site has an empty chain."""
    await look(estate.worker())
    assert await estate.ledger.chains() == ()
