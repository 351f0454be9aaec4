"""A sweep cut into messages ends as one in a single run does: the same findings, report, revocations; whatever breaks off."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import pytest

from shared.core.errors import AzureForbiddenError, AzureThrottledError
from shared.core.finding import FindingId
from shared.core.message import LookMessage, PartMessage, decode, encode
from shared.core.model import ConnectionStatus
from shared.services import rounds
from shared.services.dispatch import Arrival, take_message
from shared.services.health import check_health
from shared.services.poison import take_poison
from shared.services.report_data import collect
from shared.services.rounds import run
from shared.services.sweep import sweep
from shared.services.track import open_and_lately_resolved
from tests.engines import Crash, CrashAt, Interposed, a_rule, make_engine
from tests.services.test_rounds import LargeEstate

if TYPE_CHECKING:
    from shared.ports import WorkQueue
    from shared.services.work import Work
    from tests.engines import When


async def whole_round(desk: LargeEstate, *, after: float = 0) -> None:
    """A sweep with all its parts."""
    desk.estate.clock.advance(after)
    assert await run(desk.work) is not None
    while await desk.part():
        pass


async def open_findings(desk: LargeEstate) -> list[str]:
    return sorted(row.finding.id.value for row in await open_and_lately_resolved(desk.estate.state) if row.is_open)


async def connected(sites: int, **rule: Any) -> LargeEstate:  # noqa: ANN401  any key of a rule
    """All links approved and confirmed."""
    desk = LargeEstate(sites)
    desk.allow(**rule)
    for _ in range(3):
        desk.estate.clock.advance(31)
        await sweep(desk.work.engine)
    assert desk.estate.azure.approved() == set(desk.connections)
    desk.queue.messages.clear()
    return desk


async def test_what_is_looked_for_beside_the_targets_knows_what_every_part_saw() -> None:
    """That a site's public access ends with its first approved connection is known of each, whichever part looked at it."""
    desk = await connected(4)
    azure = desk.estate.azure
    hosts = tuple(f"https://{target.id.name}.azurewebsites.net/api" for target in azure.sites)
    azure.services[desk.estate.service] = replace(azure.services[desk.estate.service], upstream_templates=hosts)
    for target, site in azure.sites.items():
        azure.sites[target] = replace(site, public_network_access="")
    await sweep(desk.work.engine)
    assert await open_findings(desk) == []
    await whole_round(desk, after=60)
    assert await open_findings(desk) == []
    azure.sites[desk.estate.target] = replace(azure.sites[desk.estate.target], public_network_access="Enabled")
    await whole_round(desk, after=7 * 3600)
    assert await open_findings(desk) == [FindingId.PUBLIC_ACCESS_OPEN.value]


async def test_a_target_that_could_not_be_looked_at_is_not_judged() -> None:
    """Nothing begins to be told of it, and nothing that was told of it ends."""
    desk = await connected(3)
    azure = desk.estate.azure
    host = f"https://{desk.estate.target.id.name}.azurewebsites.net/api"
    azure.services[desk.estate.service] = replace(azure.services[desk.estate.service], upstream_templates=(host,))
    azure.sites[desk.estate.target] = replace(azure.sites[desk.estate.target], public_network_access="")
    refused = [AzureForbiddenError("no", status=403) for _ in range(6)]
    azure.fail("list_connections", *refused)
    desk.estate.clock.advance(60)
    assert not (await sweep(desk.work.engine)).complete
    assert FindingId.PUBLIC_ACCESS_OPEN.value not in await open_findings(desk)


async def test_a_removed_rule_is_revoked_by_cut_sweeps_too() -> None:
    """After two of them an hour apart, as by whole ones; and not while the first goes on."""
    desk = await connected(3, on_removal="revoke")
    kept = sorted(desk.estate.azure.sites, key=lambda target: target.id)[1:]
    desk.estate.allow(*(a_rule(desk.estate.service, target, target.id.name) for target in kept))
    await whole_round(desk, after=60)
    assert FindingId.REVOKE_DUE.value in await open_findings(desk)
    assert len(desk.estate.azure.approved()) == 3
    desk.estate.clock.advance(3601)
    await run(desk.work)
    assert len(desk.estate.azure.approved()) == 3
    while await desk.part():
        pass
    assert len(desk.estate.azure.approved()) == 2
    await desk.estate.check()


async def test_a_part_that_could_not_be_read_revokes_nothing() -> None:
    """Only what was wholly looked at is acted on."""
    desk = await connected(3, on_removal="revoke")
    desk.estate.allow()
    for _ in range(3):
        desk.estate.clock.advance(3601)
        await run(desk.work)
        desk.estate.azure.fail("list_connections", *[AzureForbiddenError("no", status=403) for _ in range(2)])
        while await desk.part():
            pass
        assert await desk.reasons() == ["sweep"]
    assert len(desk.estate.azure.approved()) == 3


async def test_the_report_has_every_part_and_says_that_all_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before the round has ended."""
    monkeypatch.setattr(rounds, "PART_SIZE", 2)
    desk = LargeEstate(5)
    await run(desk.work)
    ledger, state = desk.estate.ledger, desk.estate.state
    shown = (await collect(ledger, state, desk.estate.clock.now())).sweep
    assert shown is not None
    assert not shown.complete
    while True:
        shown = (await collect(ledger, state, desk.estate.clock.now())).sweep
        assert shown is not None
        assert sorted(view.target.id.name for view in shown.every_link) == sorted(target.id.name for target in desk.targets)
        assert {view.target for view in shown.links} == set(shown.seen)
        if not await desk.part():
            break
    assert shown.complete
    assert (len(shown.seen), len(shown.links), shown.unread) == (5, 5, ())


async def test_the_report_names_what_no_part_could_read() -> None:
    """Whichever part it was."""
    desk = LargeEstate(4)
    await run(desk.work)
    desk.estate.azure.fail("list_connections", AzureForbiddenError("no", status=403))
    while await desk.part():
        pass
    shown = (await collect(desk.estate.ledger, desk.estate.state, desk.estate.clock.now())).sweep
    assert shown is not None
    assert not shown.complete
    assert len(shown.unread) == 1
    assert [view.target for view in shown.unseen] == list(shown.unread)


async def test_a_target_that_nothing_leads_to_any_more_has_no_findings_left() -> None:
    """Once a round has ended, not while it goes on."""
    desk = LargeEstate(3)
    stranger = desk.estate.azure.add_connection(desk.estate.target, "stranger", status=ConnectionStatus.APPROVED)
    await whole_round(desk)
    assert await open_findings(desk) == [FindingId.APPROVED_UNEXPLAINED.value]
    del desk.estate.azure.connections[stranger]
    for link in [id_ for id_, link in desk.estate.azure.links.items() if link.target == desk.estate.target]:
        del desk.estate.azure.links[link]
    others = [target for target in desk.estate.azure.sites if target != desk.estate.target]
    desk.estate.allow(*(a_rule(desk.estate.service, target, target.id.name) for target in others))
    desk.estate.clock.advance(60)
    await run(desk.work)
    assert await open_findings(desk) == [FindingId.APPROVED_UNEXPLAINED.value]
    while await desk.part():
        pass
    assert await open_findings(desk) == []


@pytest.mark.parametrize("sites", [1, 3])
@pytest.mark.parametrize("what", ["a target", "a service", "junk"])
async def test_a_poisoned_message_is_over_with_the_sweep_after(sites: int, what: str) -> None:
    """Told as long as no sweep has looked at everything since, and then no more, whatever the message was about."""
    desk = LargeEstate(sites)
    texts = {
        "a target": encode(LookMessage(id=desk.estate.target.id)),
        "a service": encode(LookMessage(id=desk.estate.service)),
        "junk": "junk",
    }
    await take_poison(desk.work, "m", texts[what])
    await whole_round(desk, after=60)
    assert await open_findings(desk) == [FindingId.MESSAGE_POISONED.value]
    await whole_round(desk, after=600)
    assert await open_findings(desk) == []


async def test_a_part_that_cannot_go_on_yet_is_put_back() -> None:
    """Throttled: no sooner than Azure says, later each time, and nothing is raised; what cannot be tried again is."""
    desk = LargeEstate(3)
    await run(desk.work)
    desk.queue.messages = [one for one in desk.queue.messages if isinstance(decode(one.text), PartMessage)]
    desk.estate.clock.advance(11 * 60)  # The list of the services is too old to decide by.
    delays = []
    for retry_after in (77, 1, 1):
        desk.estate.azure.fail("list_signalr", AzureThrottledError("slow down", retry_after=retry_after))
        assert await desk.part()
        (waiting,) = desk.queue.messages
        delays.append((waiting.visible - waiting.inserted).total_seconds())
    assert delays == [77, 30, 60]
    assert [one["error"] for one in desk.telemetry.records("message") if "part" in one] == 3 * ["AzureThrottledError"]
    desk.estate.azure.fail("list_signalr", AzureForbiddenError("no", status=403))
    with pytest.raises(AzureForbiddenError):
        await desk.part()
    desk.estate.clock.advance(16 * 60)
    await run(desk.work)
    while await desk.part():
        pass
    assert await desk.reasons() == []


# Broken off anywhere


async def play(desk: LargeEstate, work: Work) -> None:
    """The timer fires, and what it puts on the queue is worked off."""
    await run(work)
    while await desk.part(work):
        pass


def broken_desk() -> LargeEstate:
    """With something to record at the first look."""
    desk = LargeEstate(3)
    desk.estate.azure.add_connection(desk.estate.target, "stranger")
    return desk


def cut(desk: LargeEstate, turn: CrashAt) -> Work:
    """A worker on this desk, every one of whose calls to the outside is announced."""
    engine = make_engine(desk.estate, turn=turn, concurrency=1)
    return replace(desk.work, engine=engine, queue=cast("WorkQueue", Interposed(desk.queue, "queue", turn)))


def calls_of_a_round() -> list[str]:
    turn = CrashAt()

    async def played() -> None:
        desk = broken_desk()
        await play(desk, cut(desk, turn))

    asyncio.run(played())
    return turn.calls


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_round_that_a_crash_breaks_off_anywhere_still_ends(monkeypatch: pytest.MonkeyPatch, when: When) -> None:
    """Before any call or after it: the message comes again, the timer fires again; all is looked at, and that is kept."""
    monkeypatch.setattr(rounds, "PART_SIZE", 1)

    async def broken_off(place: int) -> None:
        desk = broken_desk()
        work = cut(desk, CrashAt(place, when))
        queued = await until_crash(desk, work)
        if queued is not None:
            # The host has not deleted it: it comes again, to another worker.
            await take_message(desk.work, replace(queued, tries=2))
        for _ in range(2):
            while await desk.part():
                pass
            desk.estate.clock.advance(16 * 60)
            await run(desk.work)
        while await desk.part():
            pass
        assert (await check_health(desk.work)).reasons == (), place
        ended = desk.telemetry.records("round")
        assert all(one["complete"] for one in ended), place
        await desk.run(seconds=120)
        assert desk.estate.azure.approved() == set(desk.connections), place
        await desk.estate.check()

    calls = calls_of_a_round()
    assert {"queue.put", "state.put", "state.delete", "azure.list_connections", "ledger.append"} <= set(calls)
    for place in range(len(calls)):
        # A run of its own, which ends what the crash left running.
        asyncio.run(broken_off(place))


async def until_crash(desk: LargeEstate, work: Work) -> Arrival | None:
    """Returns the message that was being worked on; None where it was the timer."""
    try:
        await run(work)
    except Crash:
        return None
    while True:
        queued = next((one for one in desk.queue.messages if isinstance(decode(one.text), PartMessage)), None)
        assert queued is not None, "it must crash"
        desk.queue.messages.remove(queued)
        arrival = Arrival(id=queued.id, text=queued.text, inserted=queued.inserted, tries=1)
        try:
            await take_message(work, arrival)
        except Crash:
            return arrival


def test_a_round_broken_off_as_it_ends_is_kept_when_its_last_message_comes_again() -> None:
    """Nobody waits for the next sweep to learn that this one was complete."""

    async def broken_off(place: int) -> bool:
        desk = broken_desk()
        turn = CrashAt(place)
        queued = await until_crash(desk, cut(desk, turn))
        if queued is None:
            return False
        await take_message(desk.work, replace(queued, tries=2))
        while await desk.part():
            pass
        assert (await check_health(desk.work)).reasons == (), (place, turn.calls[place])
        return True

    calls = calls_of_a_round()
    assert sum(asyncio.run(broken_off(place)) for place in range(len(calls))) > 10


def test_another_worker_may_do_it_all_between_any_two_steps() -> None:
    """The same message delivered twice: whoever is slower finds nothing left to do, and says nothing else of the round."""

    async def overtaken(place: int) -> bool:
        desk = LargeEstate(2)
        await run(desk.work)
        (part,) = [one for one in desk.queue.messages if isinstance(decode(one.text), PartMessage)]
        desk.queue.messages.remove(part)
        arrival = Arrival(id=part.id, text=part.text, inserted=part.inserted, tries=1)
        calls = 0

        async def turn(call: str, when: When) -> None:
            nonlocal calls
            del call
            if when == "before":
                if calls == place:
                    await take_message(desk.work, arrival)
                calls += 1

        await take_message(replace(desk.work, engine=make_engine(desk.estate, turn=turn, concurrency=1)), arrival)
        assert (await check_health(desk.work)).reasons == (), place
        assert [one["complete"] for one in desk.telemetry.records("round")] == [True], place
        assert set(await desk.estate.state.rows(rounds.ROUNDS)) == {rounds.CURRENT}, place
        return calls > place

    async def every_place() -> int:
        return await anext(place for place in count() if not await overtaken(place))

    assert asyncio.run(every_place()) > 30
