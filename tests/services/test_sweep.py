"""The sweep: every scanned subscription, every watched target; and waiting for what is not done yet."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.errors import (
    AzureConflictError,
    AzureForbiddenError,
    AzureMalformedError,
    AzureThrottledError,
    AzureUnavailableError,
    StoreUnavailableError,
)
from shared.core.finding import Severity
from shared.core.history import Outcome
from shared.core.model import ConnectionStatus, LinkProvisioning, LinkStatus
from shared.core.verdict import Mode
from shared.services.budget import BUDGETS
from shared.services.sweep import LAST, SWEEPS, sweep
from shared.services.wait import sweep_until_done
from tests.engines import Estate, a_rule
from tests.fakes.azure import SUBSCRIPTION

if TYPE_CHECKING:
    from shared.core.arm_id import ArmId
    from shared.core.finding import Finding
    from shared.core.ledger import Json, Record
    from shared.core.model import Connection, Target
    from shared.ports import Reading
    from shared.services.results import SweepResult

OTHER_SUBSCRIPTION = "00000000-0000-0000-0000-0000000000b2"


@pytest.fixture
def estate() -> Estate:
    return Estate()


def with_sites(estate: Estate, count: int) -> list[Target]:
    """So many targets, each with its own rule."""
    targets = [estate.azure.add_site(f"site-{number}") for number in range(count)]
    estate.allow(*(a_rule(estate.service, target, f"rule-{target.id.name}") for target in targets))
    return targets


def told(result: SweepResult, *ids: str) -> list[Finding]:
    return [finding for finding in result.all_findings if finding.id.value in ids]


def outcomes(result: SweepResult) -> dict[str, tuple[str, str | None]]:
    return {one.connection.name if one.connection else "-": (one.verdict, one.outcome) for one in result.decisions}


# What is looked at


async def test_targets_are_watched_where_the_allowlist_or_an_allowlisted_services_link_names_them(estate: Estate) -> None:
    """Others are not read."""
    led_to, stranger = estate.azure.add_site("led-to"), estate.azure.add_site("stranger")
    estate.azure.add_site("nobody")
    estate.azure.add_link(estate.service, led_to)
    estate.azure.add_link(estate.azure.add_signalr("other"), stranger)
    result = await sweep(estate.worker().engine)
    assert {target.target for target in result.targets} == {estate.target, led_to}
    assert result.complete


async def test_a_quiet_sweep_costs_a_list_a_subscription_and_a_read_a_target(estate: Estate) -> None:
    """Nothing more, and nothing is written anywhere."""
    targets = with_sites(estate, 6)
    connections = [estate.azure.add_pair(estate.service, target, f"{target.id.name}-pe") for target in targets]
    engine = estate.worker(approvals_per_target_per_hour=9).engine
    await sweep_until_done(engine, timeout=timedelta(minutes=5))
    assert estate.azure.approved() == set(connections)
    reads, records = estate.azure.calls.reads, len(estate.azure.writes)
    memory = await estate.state.rows("targets")
    await sweep(engine, all_sites=False)
    assert estate.azure.calls.reads - reads == 1 + len(targets)
    assert (len(estate.azure.writes), await estate.state.rows("targets")) == (records, memory)


async def test_targets_outside_the_scanned_subscriptions_are_not_watched(estate: Estate) -> None:
    """And the rule that names them says so."""
    outside = estate.azure.add_site("outside", subscription=OTHER_SUBSCRIPTION)
    estate.allow(a_rule(estate.service, outside, "too-far"))
    result = await sweep(estate.worker().engine)
    assert result.targets == ()
    (finding,) = told(result, "rule_out_of_scope")
    assert finding.facts == {"subscriptions": OTHER_SUBSCRIPTION}


async def test_what_was_approved_is_looked_at_though_its_rule_is_gone(estate: Estate) -> None:
    """Or nobody would ever know whether the right link was approved."""
    pair = estate.azure.add_pair(estate.service, estate.target)
    estate.azure.links_follow = False
    await estate.worker().approve()
    estate.allow()
    engine = estate.worker().engine
    result = await sweep(engine)
    assert [one.target for one in result.targets] == [estate.target]
    estate.azure.set_link(estate.azure.belongs_to[pair], status=LinkStatus.REJECTED)
    for _ in range(14):
        estate.clock.advance(300)
        result = await sweep(engine)
    assert estate.azure.connections[pair].status is ConnectionStatus.REJECTED
    assert told(result, "approval_taken_back")
    await estate.check()


async def test_what_has_ended_is_not_looked_at_for_ever(estate: Estate) -> None:
    """Once the rule is gone, the approval confirmed and its connection no more, the target is nobody's."""
    pair = estate.azure.add_pair(estate.service, estate.target)
    worker = estate.worker()
    await worker.approve()
    await worker.look()
    estate.allow()
    assert [one.target for one in (await sweep(worker.engine)).targets] == [estate.target]
    del estate.azure.connections[pair]
    await sweep(worker.engine)
    assert (await sweep(worker.engine)).targets == ()


async def test_other_records_in_the_ledger_are_no_targets(estate: Estate) -> None:
    """Such as those of the system's own chain."""
    estate.ledger._chains["_system"] = []
    assert (await sweep(estate.worker().engine)).complete


# One target's failure


async def test_one_targets_failure_does_not_stop_the_others(estate: Estate) -> None:
    """It is reported, and the sweep says that it was not complete."""
    with_sites(estate, 4)
    estate.azure.fail("list_connections", AzureForbiddenError("no", status=403))
    result = await sweep(estate.worker().engine)
    assert (result.complete, len(result.targets), len(result.unread)) == (False, 3, 1)
    (finding,) = told(result, "target_unreadable")
    assert (finding.severity, finding.target) == (Severity.CRITICAL, str(result.unread[0]))
    assert (await sweep(estate.worker().engine)).complete


async def test_one_targets_broken_chain_does_not_stop_the_others(estate: Estate) -> None:
    """Nothing is decided by it."""
    one, two = with_sites(estate, 2)
    for target in (one, two):
        estate.azure.add_pair(estate.service, target, f"{target.id.name}-pe")
    worker = estate.worker()
    await sweep(worker.engine)
    for target in (one, two):
        estate.azure.add_connection(target, "stranger")
    estate.clock.advance(31)
    await sweep(worker.engine)
    del estate.ledger._chains[one.id.key][0]
    result = await sweep(worker.engine)
    assert (result.unread, result.complete) == ((one,), False)
    assert "linkguard ledger verify" in told(result, "target_unreadable")[0].message


async def test_a_target_that_breaks_the_program_is_a_finding(estate: Estate) -> None:
    """The sweep goes on; what the error says is not passed on, since nobody knows what is in it."""
    good, bad = with_sites(estate, 2)
    original = estate.azure.list_connections

    async def list_connections(target: Target) -> object:
        if target == bad:
            message = "secret"
            raise RuntimeError(message)
        return await original(target)

    estate.azure.list_connections = list_connections  # type: ignore[method-assign,assignment]
    result = await sweep(estate.worker().engine)
    assert ([one.target for one in result.targets], result.unread) == ([good], (bad,))
    assert "secret" not in told(result, "target_unreadable")[0].message


# Subscriptions


async def test_a_subscription_that_cannot_be_listed_leaves_the_sweep_incomplete(estate: Estate) -> None:
    """While its older view is recent enough its targets are still looked at; after that nothing is."""
    engine = estate.worker(subscriptions=(SUBSCRIPTION, OTHER_SUBSCRIPTION)).engine
    await sweep(engine)
    for age, targets in ((300, 1), (601, 0)):
        estate.clock.advance(age)
        estate.azure.fail("list_signalr", *[AzureUnavailableError("timeout")] * (4 if age > 600 else 2))
        result = await sweep(engine, all_sites=False)
        assert (result.complete, len(result.targets)) == (False, targets)
        found = told(result, "subscription_unreadable")
        assert {finding.about for finding in found} == {SUBSCRIPTION.upper(), OTHER_SUBSCRIPTION.upper()}


async def test_junk_for_a_subscription_is_no_empty_subscription(estate: Estate) -> None:
    """It says that there are no rivals as little as an error does."""
    estate.azure.add_pair(estate.service, estate.target)
    estate.azure.fail("list_signalr", *[AzureMalformedError("junk")] * 2)
    result = await sweep(estate.worker().engine, all_sites=False)
    assert (result.complete, result.targets) == (False, ())


# The allowlist


@pytest.mark.parametrize("text", ["", "version: 2", "rules: [}", "version: 1\nrules: []\nrules: []"])
async def test_an_allowlist_that_cannot_be_read_is_an_alarm(estate: Estate, text: str) -> None:
    """What waits is shown as held, and nothing is approved."""
    pair = estate.azure.add_pair(estate.service, estate.target)
    engine = estate.worker().engine
    await sweep(engine)
    estate.allowlist.text = text
    estate.clock.advance(31)
    result = await sweep(engine)
    assert told(result, "allowlist_unreadable")[0].severity is Severity.CRITICAL
    assert outcomes(result) == {pair.name: ("hold", None)}
    assert not estate.azure.writes


async def test_paused_stops_everything_at_once(estate: Estate) -> None:
    """And says so for each connection."""
    pairs = [estate.azure.add_pair(estate.service, target, target.id.name) for target in with_sites(estate, 3)]
    engine = estate.worker().engine
    await sweep(engine)
    rules = [
        a_rule(estate.service, connection_target, connection_target.id.name) for connection_target in _targets(estate, pairs)
    ]
    estate.allow(*rules, paused=True)
    estate.clock.advance(31)
    result = await sweep(engine)
    assert {reason.code.value for one in result.decisions for reason in one.reasons} == {"paused"}
    assert not estate.azure.writes


def _targets(estate: Estate, connections: list[ArmId]) -> list[Target]:
    return [estate.azure.connections[connection].target for connection in connections]


# Two at once


async def test_two_sweeps_one_after_the_other_say_the_same(estate: Estate) -> None:
    """The second has nothing to add."""
    estate.azure.add_connection(estate.target, "stranger")
    first, second = [await sweep(estate.worker().engine) for _ in range(2)]
    assert [one.reasons for one in first.decisions] == [one.reasons for one in second.decisions]
    assert await estate.kinds() == ["hold"]


async def test_a_sweep_takes_every_step_that_can_be_taken_now(estate: Estate) -> None:
    """One connection after the other on one target, each after a look of its own."""
    for number in range(4):
        estate.azure.add_pair(estate.service, estate.target, f"pe-{number}")
    engine = estate.worker().engine
    await sweep(engine)
    estate.clock.advance(31)
    result = await sweep(engine)
    assert len(estate.azure.writes) == 4
    assert {verdict for verdict, _ in outcomes(result).values()} == {"approve"}
    await sweep(engine)
    assert {intent.outcome for intent in (await estate.history()).approvals()} == {Outcome.CONFIRMED}
    await estate.check()


async def test_refused_writes_do_not_become_many(estate: Estate) -> None:
    """Each connection is tried once a sweep."""
    for number in range(3):
        estate.azure.add_pair(estate.service, estate.target, f"pe-{number}")
    engine = estate.worker(approvals_per_target_per_hour=50).engine
    await sweep(engine)
    estate.azure.fail("set_connection", *[AzureForbiddenError("no", status=403)] * 50)
    estate.clock.advance(31)
    result = await sweep(engine)
    assert len(estate.azure.writes) == 3
    assert len(told(result, "write_refused")) == 3
    assert {outcome for _, outcome in outcomes(result).values()} == {"not_written"}


async def test_a_state_store_that_does_not_answer_is_the_whole_sweeps_failure(estate: Estate) -> None:
    """Nothing can be kept."""
    estate.state.unavailable = True
    with pytest.raises(StoreUnavailableError):
        await sweep(estate.worker().engine)


async def test_how_the_last_sweep_ended_is_kept(estate: Estate) -> None:
    """For whoever asks whether anybody is watching."""
    await sweep(estate.worker().engine)
    row = await estate.state.get(SWEEPS, LAST)
    assert row is not None
    assert isinstance(row.value, dict)
    assert (row.value["complete"], row.value["targets"]) == (True, 1)


async def test_targets_looked_at_side_by_side_take_their_budget_in_turn(estate: Estate) -> None:
    """They share one guarded row: if each tried at once, all but one would try in vain, again and again, and some give up."""
    targets = with_sites(estate, 40)
    pairs = [estate.azure.add_pair(estate.service, target, f"pe-{target.id.name}") for target in targets]
    original, tries = estate.state.put, 0

    async def put(partition: str, key: str, value: Json, *, replaces: str | None) -> str:
        nonlocal tries
        await asyncio.sleep(0)
        tries += partition == BUDGETS
        return await original(partition, key, value, replaces=replaces)

    estate.state.put = put  # type: ignore[method-assign]
    engine = estate.worker(concurrency=64).engine
    await sweep(engine)
    estate.clock.advance(31)
    result = await sweep(engine)
    assert result.complete
    assert {one.outcome for one in result.decisions} == {"sent"}
    assert estate.azure.approved() == set(pairs)
    assert tries == len(targets)


async def test_another_workers_approval_at_the_wrong_moment_is_no_unexplained_one(estate: Estate) -> None:
    """It was announced in the ledger after the sweep had read that, and written before the sweep saw the connection."""
    other = estate.worker()
    pair = estate.azure.add_pair(estate.service, estate.target)
    await other.look()
    at_the_ledger, may_write = asyncio.Event(), asyncio.Event()
    append, list_all = estate.ledger.append, estate.azure.list_connections

    async def append_later(record: Record) -> None:
        at_the_ledger.set()
        await may_write.wait()
        await append(record)

    async def list_afterwards(target: Target) -> Reading[tuple[Connection, ...] | None]:
        may_write.set()
        await approving
        return await list_all(target)

    estate.ledger.append = append_later  # type: ignore[method-assign]
    approving = asyncio.create_task(other.look(after=31))
    await at_the_ledger.wait()
    estate.azure.list_connections = list_afterwards  # type: ignore[method-assign]
    result = await sweep(estate.worker().engine)
    assert pair in estate.azure.approved()
    assert outcomes(result) == {pair.name: ("settled", "confirmed")}
    assert not told(result, "approved_unexplained")
    assert "approved_unexplained" not in str([record.entry.body for record in await estate.records()])
    estate.azure.add_connection(estate.target, "stranger", status=ConnectionStatus.APPROVED)
    assert told(await sweep(estate.worker().engine), "approved_unexplained")


# Waiting


async def test_waiting_goes_on_until_nothing_is_left_to_wait_for(estate: Estate) -> None:
    """Settled, approved, confirmed; reported as approved, with its newest outcome."""
    pair = estate.azure.add_pair(estate.service, estate.target)
    held = estate.azure.add_connection(estate.target, "stranger")
    started = estate.clock.now()
    result = await sweep_until_done(estate.worker().engine, timeout=timedelta(minutes=5))
    assert outcomes(result) == {pair.name: ("approve", "confirmed"), held.name: ("hold", None)}
    assert not result.waiting
    assert estate.clock.now() - started < timedelta(minutes=2)
    await estate.check()


async def test_waiting_counts_from_the_look_and_not_from_the_sweeps_end(estate: Estate) -> None:
    """A sweep that takes long has let the evidence settle meanwhile: what it saw first is approved as soon as it ends."""
    quick, slow = with_sites(estate, 2)
    pair = estate.azure.add_pair(estate.service, quick)
    original, started = estate.azure.list_connections, estate.clock.now()

    async def list_connections(target: Target) -> Reading[tuple[Connection, ...] | None]:
        if target == slow:
            await estate.clock.sleep(240)
        return await original(target)

    estate.azure.list_connections = list_connections  # type: ignore[method-assign]
    await sweep_until_done(estate.worker().engine, timeout=timedelta(minutes=10))
    (write,) = estate.azure.writes
    assert (write.connection, write.at - started) == (pair, timedelta(seconds=240))


async def test_a_target_that_answers_slowly_holds_up_no_other_that_is_waited_for(estate: Estate) -> None:
    """Each is followed by itself."""
    quick, slow = with_sites(estate, 2)
    pair = estate.azure.add_pair(estate.service, quick)
    estate.azure.add_link(estate.service, slow, "slow-pe")
    swept: list[Target] = []
    original, started = estate.azure.list_connections, estate.clock.now()

    async def list_connections(target: Target) -> Reading[tuple[Connection, ...] | None]:
        if target == slow and swept.count(slow) > 1:
            await estate.clock.sleep(240)
        swept.append(target)
        return await original(target)

    estate.azure.list_connections = list_connections  # type: ignore[method-assign]
    await sweep_until_done(estate.worker().engine, timeout=timedelta(minutes=10))
    ((at,),) = [[write.at for write in estate.azure.writes if write.connection == pair]]
    assert at - started == timedelta(seconds=30)


async def test_subscriptions_take_turns_in_the_sweep_and_in_the_wait_after_it(estate: Estate) -> None:
    """Azure limits the reads of each by itself: none may wait while the others idle."""
    homes = (SUBSCRIPTION, SUBSCRIPTION, OTHER_SUBSCRIPTION, OTHER_SUBSCRIPTION)
    targets = [estate.azure.add_site(f"site-{number}", subscription=home) for number, home in enumerate(homes)]
    estate.allow(*(a_rule(estate.service, target, f"rule-{target.id.name}") for target in targets))
    for target in targets:
        estate.azure.add_pair(estate.service, target, f"pe-{target.id.name}")
    order: list[str] = []
    original = estate.azure.list_connections

    async def list_connections(target: Target) -> Reading[tuple[Connection, ...] | None]:
        if not order or order[-1] != target.id.name:
            order.append(target.id.name)
        return await original(target)

    estate.azure.list_connections = list_connections  # type: ignore[method-assign]
    engine = estate.worker(subscriptions=(SUBSCRIPTION, OTHER_SUBSCRIPTION), concurrency=1).engine
    await sweep_until_done(engine, timeout=timedelta(seconds=31))
    in_turn = ["site-0", "site-2", "site-1", "site-3"]
    assert order[:8] == in_turn * 2


async def test_a_bug_met_at_one_target_ends_no_wait_for_another(estate: Estate) -> None:
    """It is told as a finding, and the sweep as incomplete."""
    sound, broken = with_sites(estate, 2)
    pair = estate.azure.add_pair(estate.service, sound)
    estate.azure.add_link(estate.service, broken, "broken-pe")
    original, started = estate.azure.list_connections, estate.clock.now()

    async def list_connections(target: Target) -> Reading[tuple[Connection, ...] | None]:
        if target == broken and estate.clock.now() > started:
            raise ZeroDivisionError
        return await original(target)

    estate.azure.list_connections = list_connections  # type: ignore[method-assign]
    result = await sweep_until_done(estate.worker().engine, timeout=timedelta(minutes=5))
    assert outcomes(result)[pair.name] == ("approve", "confirmed")
    assert not result.complete
    assert [finding.target for finding in told(result, "target_unreadable")] == [str(broken)]


async def test_waiting_ends_with_its_time(estate: Estate) -> None:
    """With a last look at the end of it; what still waits says so."""
    link = estate.azure.add_link(estate.service, estate.target, provisioning=LinkProvisioning.CREATING)
    started = estate.clock.now()
    result = await sweep_until_done(estate.worker().engine, timeout=timedelta(minutes=5))
    assert estate.clock.now() - started == timedelta(minutes=5)
    assert result.waiting
    assert [one.link for one in result.decisions] == [link]


async def test_waiting_sees_a_connection_that_comes_late(estate: Estate) -> None:
    """Whatever comes while it waits."""
    link = estate.azure.add_link(estate.service, estate.target, provisioning=LinkProvisioning.CREATING)
    original = estate.clock.sleep
    pairs: list[ArmId] = []

    async def sleep(seconds: float) -> None:
        await original(seconds)
        if not pairs:
            estate.azure.set_link(link, provisioning=LinkProvisioning.SUCCEEDED)
            pairs.append(estate.azure.add_connection(estate.target, belongs_to=link))

    estate.clock.sleep = sleep  # type: ignore[method-assign]
    result = await sweep_until_done(estate.worker().engine, timeout=timedelta(minutes=5))
    assert outcomes(result)[pairs[0].name] == ("approve", "confirmed")


async def test_waiting_includes_the_taking_back(estate: Estate) -> None:
    """Up to its deadline and beyond."""
    link = estate.azure.add_link(estate.service, estate.target)
    impostor = estate.azure.add_connection(estate.target)
    worker = estate.worker(confirm_deadline=timedelta(minutes=2))
    await worker.approve()
    estate.azure.add_connection(estate.target, belongs_to=link)
    result = await sweep_until_done(worker.engine, timeout=timedelta(minutes=30))
    assert estate.azure.connections[impostor].status is ConnectionStatus.REJECTED
    assert (await estate.history()).approval_of(impostor).outcome is Outcome.TAKEN_BACK  # type: ignore[union-attr]
    assert not result.waiting


async def test_waiting_reads_again_what_could_not_be_read(estate: Estate) -> None:
    """A target, or a subscription."""
    pair = estate.azure.add_pair(estate.service, estate.target)
    estate.azure.fail("list_signalr", *[AzureUnavailableError("timeout")] * 2)
    estate.azure.fail("list_connections", *[AzureUnavailableError("timeout")] * 2)
    result = await sweep_until_done(estate.worker().engine, timeout=timedelta(minutes=5))
    assert (result.complete, told(result, "target_unreadable")) == (True, [])
    assert outcomes(result)[pair.name] == ("approve", "confirmed")


async def test_waiting_tries_again_what_azure_was_too_busy_for(estate: Estate) -> None:
    """A write that was throttled was not done, and may be done later."""
    pair = estate.azure.add_pair(estate.service, estate.target)
    busy = AzureThrottledError("busy", retry_after=17), AzureConflictError("being changed", status=409)
    estate.azure.fail("set_connection", *busy)
    result = await sweep_until_done(estate.worker().engine, timeout=timedelta(minutes=5))
    assert outcomes(result)[pair.name] == ("approve", "confirmed")
    await estate.check()


async def test_in_observe_mode_there_is_nothing_to_wait_for_after_settling(estate: Estate) -> None:
    """Nobody will write."""
    pair = estate.azure.add_pair(estate.service, estate.target)
    started = estate.clock.now()
    result = await sweep_until_done(estate.worker(mode=Mode.OBSERVE).engine, timeout=timedelta(minutes=5))
    assert outcomes(result) == {pair.name: ("approve", "not_written")}
    assert estate.clock.now() - started < timedelta(minutes=1)
    assert not estate.azure.writes
