"""From an event to a message, from a message to a look, and back onto the queue while something is waited for."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import pytest

from shared.core.arm_id import ArmId
from shared.core.errors import (
    AzureForbiddenError,
    AzureThrottledError,
    AzureUnavailableError,
    MessageError,
    QueueError,
    StoreUnavailableError,
)
from shared.core.event import RawEvent
from shared.core.history import Outcome
from shared.core.message import LookMessage, decode, encode
from shared.services import follow_up
from shared.services.dispatch import Arrival, take_event, take_message
from shared.services.poison import take_poison
from shared.services.rounds import run
from shared.services.setback import setbacks
from shared.services.telemetry import EVENT_TO_APPROVAL, THROTTLES, ToldLedger
from shared.services.work import Work
from tests.engines import Crash, CrashAt, Estate, Interleaved, Interposed, a_rule, make_engine
from tests.fakes.queue import MemoryQueue, MemoryTelemetry

if TYPE_CHECKING:
    from shared.ports import WorkQueue
    from tests.engines import When

WRITE = "Microsoft.Resources.ResourceWriteSuccess"


class Desk:
    """An estate with a queue."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  whatever setting
        self.estate = Estate()
        self.queue = MemoryQueue(self.estate.clock)
        self.telemetry = MemoryTelemetry()
        self.work = self.worker(**settings)

    def worker(self, **settings: Any) -> Work:  # noqa: ANN401  whatever setting
        engine = make_engine(self.estate, **settings)
        return Work(
            engine=replace(engine, ledger=ToldLedger(engine.ledger, self.telemetry, engine.clock)),
            queue=self.queue,
            telemetry=self.telemetry,
            sweep_run=timedelta(minutes=5),
            sweep_max_age=timedelta(minutes=45),
        )

    async def event(self, resource: object, kind: str = WRITE) -> None:
        await take_event(self.work, RawEvent(id="e", type=kind, subject=resource, time=None, data={}))

    async def link_event(self, kind: str = WRITE) -> None:
        """About the link that most tests are about."""
        await self.event(f"{self.estate.service}/sharedPrivateLinkResources/func-pe", kind)

    async def take(self, *, tries: int = 1) -> LookMessage | None:
        """Take the next message that is visible, and do its work; returns what it said."""
        queued = self.queue.take()
        if queued is None:
            return None
        await take_message(self.work, Arrival(id=queued.id, text=queued.text, inserted=queued.inserted, tries=tries))
        message = decode(queued.text)
        assert isinstance(message, LookMessage)
        return message

    async def run(self, *, seconds: int = 600) -> int:
        """Let so much time pass and do all that comes up; returns how many messages there were."""
        taken = 0
        for _ in range(seconds):
            while await self.take() is not None:
                taken += 1
                assert taken < 1000, "messages multiply"
            if not self.queue.messages:
                break
            self.estate.clock.advance(1)
        return taken

    def done(self) -> list[str]:
        return [str(one["what"]) for one in self.telemetry.records("message")]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_an_event_becomes_one_message(desk: Desk) -> None:
    """Of the service, without a call to Azure."""
    await desk.event(f"{desk.estate.service}/sharedPrivateLinkResources/func-pe")
    assert [json.loads(text) for text in desk.queue.texts] == [{"v": 1, "id": str(desk.estate.service), "attempt": 1}]
    assert desk.estate.azure.calls.reads == 0


async def test_an_event_of_another_subscription_is_ignored(desk: Desk) -> None:
    """It never reaches the queue."""
    elsewhere = str(desk.estate.target).replace(desk.estate.target.id.subscription, "99999999-9999-9999-9999-999999999999")
    await desk.event(f"{elsewhere}/privateEndpointConnections/pe")
    assert desk.queue.messages == []
    assert desk.telemetry.records("event")[0]["ignored"] == "another subscription"


async def test_an_event_that_the_queue_does_not_take_fails(desk: Desk) -> None:
    """Event Grid delivers it again."""
    desk.queue.unavailable = True
    with pytest.raises(QueueError):
        await desk.event(f"{desk.estate.service}/sharedPrivateLinkResources/func-pe")


async def test_from_the_event_to_the_confirmation(desk: Desk) -> None:
    """Settled, approved, confirmed: each step by a message that came when it was due, all with one correlation."""
    connection = desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    await desk.link_event()
    await desk.run()
    assert desk.estate.azure.approved() == {connection}
    assert await desk.estate.kinds() == ["intent to approve", "sent", "confirmed"]
    assert desk.queue.messages == []
    told = desk.telemetry.records
    assert len({one["correlation"] for name in ("event", "decision", "outcome") for one in told(name)}) == 1
    await desk.estate.check()


async def test_a_new_link_is_seen_though_no_list_has_it_yet() -> None:
    """Also where only a wildcard names its service, and on whichever worker: the message says by which service it came."""
    desk = Desk()
    desk.estate.allow(a_rule(desk.estate.service.sibling("*"), desk.estate.target))
    await run(desk.work)  # The snapshot, minutes before the link.
    desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    await desk.link_event()
    while (queued := desk.queue.take()) or desk.queue.messages:
        if queued is None:
            desk.estate.clock.advance(1)
            continue
        await take_message(desk.worker(), Arrival(id=queued.id, text=queued.text, inserted=queued.inserted, tries=1))
    assert await desk.estate.kinds() == ["intent to approve", "sent", "confirmed"]


async def test_a_burst_collapses(desk: Desk) -> None:
    """Many events about one link are one look and one chain of follow-ups, wherever they fall."""
    desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    for _ in range(20):
        await desk.link_event()
    desk.estate.clock.advance(5)
    await desk.run()
    for _ in range(20):
        await desk.link_event()
    assert desk.done().count("looked at") + desk.done().count("put back") <= 5
    assert desk.done().count("superseded") == 19
    assert await desk.estate.kinds() == ["intent to approve", "sent", "confirmed"]


async def test_follow_ups_do_not_multiply(desk: Desk) -> None:
    """Events that keep coming while a target waits leave one follow-up that counts; the others end without a call to Azure."""
    desk.estate.azure.add_link(desk.estate.service, desk.estate.target)  # Its connection does not come.
    for _ in range(10):
        await desk.link_event()
        while await desk.take() is not None:
            pass
        desk.estate.clock.advance(4)
    before = desk.estate.azure.calls.reads
    desk.estate.clock.advance(600)
    while await desk.take() is not None:
        pass
    assert desk.done().count("superseded") >= 9
    assert desk.estate.azure.calls.reads - before <= 4
    assert len(desk.queue.messages) == 1


async def test_the_delay_grows_to_its_maximum(desk: Desk) -> None:
    """15 s, doubled each time, 10 minutes at most; and not for ever."""
    desk.estate.azure.add_link(desk.estate.service, desk.estate.target)
    await desk.link_event()
    delays = []
    for _ in range(12):
        while await desk.take() is None:
            desk.estate.clock.advance(1)
        if desk.queue.messages:
            (waiting,) = desk.queue.messages
            delays.append((waiting.visible - waiting.inserted).total_seconds())
    assert delays == [0, 15, 30, 60, 120, 240, 480, 600, 600, 600, 600, 600]
    many = Arrival(
        id="m", text=encode(LookMessage(id=desk.estate.target.id, attempt=follow_up.MOST_ATTEMPTS)), inserted=None, tries=1
    )
    desk.queue.messages.clear()
    await take_message(desk.work, many)
    assert desk.queue.messages == []
    assert desk.done()[-1] == "left to the sweep"


async def test_throttled_is_not_yet(desk: Desk) -> None:
    """The message comes back no sooner than Azure says, and nothing is raised."""
    desk.estate.azure.fail("get_signalr", AzureThrottledError("slow down", retry_after=77))
    await desk.link_event()
    await desk.take()
    (waiting,) = desk.queue.messages
    assert (waiting.visible - waiting.inserted).total_seconds() == 77


async def test_a_throttled_call_is_measured_once(desk: Desk) -> None:
    """Several messages are worked on at once in one process: each tells of its own calls."""
    azure = desk.estate.azure
    other = azure.add_signalr("other-signalr")
    desk.estate.allow(a_rule(desk.estate.service, desk.estate.target), a_rule(other, desk.estate.target, "other"))
    azure.fail("get_signalr", AzureThrottledError("slow down", retry_after=1))
    work = replace(desk.work, engine=make_engine(desk.estate, turn=Interleaved(lambda: 1)))
    messages = [LookMessage(id=service) for service in (desk.estate.service, other)]
    arrivals = [Arrival(id=f"m-{n}", text=encode(one), inserted=None, tries=1) for n, one in enumerate(messages)]
    await asyncio.gather(*(take_message(work, arrival) for arrival in arrivals))
    assert [value for name, value, _ in desk.telemetry.measured if name == THROTTLES] == [1]


async def test_sweeps_at_once_count_their_own_calls(desk: Desk) -> None:
    """What a sweep says of its calls does not hang on what else its process did meanwhile."""
    work = replace(desk.work, engine=make_engine(desk.estate, turn=Interleaved(lambda: 1)))
    await asyncio.gather(run(work), run(work))
    told = desk.telemetry.records("sweep")
    assert sum(one["reads"] for one in told) == desk.estate.azure.calls.reads


async def test_only_what_an_event_began_is_timed_from_it() -> None:
    """An approval that a sweep found has no event to count from; one that an event asked for is counted from its message."""
    for by_event in (True, False):
        desk = Desk()
        desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
        await (desk.link_event() if by_event else run(desk.work))
        await desk.run()
        assert await desk.estate.kinds() == ["intent to approve", "sent", "confirmed"]
        seconds = [value for name, value, _ in desk.telemetry.measured if name == EVENT_TO_APPROVAL]
        assert seconds == ([30.0] if by_event else [])


async def test_what_can_be_tried_again_is_put_back(desk: Desk) -> None:
    """An Azure that does not answer is no failure of the message; the next try finds it well."""
    desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    desk.estate.azure.fail("get_signalr", AzureUnavailableError("down"))
    desk.estate.azure.fail("list_connections", AzureUnavailableError("down"))
    await desk.link_event()
    await desk.run()
    assert await desk.estate.kinds() == ["intent to approve", "sent", "confirmed"]


async def test_what_cannot_be_tried_again_fails(desk: Desk) -> None:
    """The host retries, then sets the message aside: nothing is swallowed."""
    desk.estate.azure.fail("get_signalr", AzureForbiddenError("no", status=403))
    await desk.link_event()
    with pytest.raises(AzureForbiddenError):
        await desk.take()


async def test_a_failed_delivery_is_not_taken_for_done(desk: Desk) -> None:
    """A look that was remembered before its follow-up could be put back: the same message, delivered again, looks again."""
    desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    text = encode(LookMessage(id=desk.estate.target.id))
    inserted = desk.estate.clock.now()
    desk.estate.clock.advance(10)
    desk.queue.unavailable = True
    with pytest.raises(QueueError):
        await take_message(desk.work, Arrival(id="m", text=text, inserted=inserted, tries=1))
    desk.queue.unavailable = False
    await take_message(desk.work, Arrival(id="m", text=text, inserted=inserted, tries=2))
    await desk.run()
    assert await desk.estate.kinds() == ["intent to approve", "sent", "confirmed"]


async def test_a_store_that_is_down_fails_the_message(desk: Desk) -> None:
    """Nothing can be put back where nothing can be remembered; the host delivers it again."""
    desk.estate.state.unavailable = True
    text = encode(LookMessage(id=desk.estate.target.id))
    with pytest.raises(StoreUnavailableError):
        await take_message(desk.work, Arrival(id="m", text=text, inserted=None, tries=1))


async def test_only_what_is_watched_is_read(desk: Desk) -> None:
    """A service that no rule names, a site that nothing allowed leads to, another subscription: no call to Azure."""
    azure = desk.estate.azure
    stranger = azure.add_signalr("stranger")
    other = azure.add_site("other")
    azure.add_pair(stranger, other, "x")
    await run(desk.work)
    reads = azure.calls.reads
    foreign = ArmId.parse(
        str(desk.estate.service).replace(desk.estate.service.subscription, "99999999-9999-9999-9999-999999999999")
    )
    for message in (
        LookMessage(id=stranger),
        LookMessage(id=foreign),
        LookMessage(id=other.id),
        LookMessage(id=other.id, via=stranger),
        LookMessage(id=other.id, via=foreign),
    ):
        await take_message(desk.work, Arrival(id="m", text=encode(message), inserted=None, tries=1))
    assert azure.calls.reads == reads
    assert azure.writes == []
    assert desk.queue.messages == []


async def test_an_unreadable_allowlist_reads_nothing_for_a_service(desk: Desk) -> None:
    """Nothing could be approved; the sweep says so."""
    desk.estate.allowlist.unreadable = "gone"
    await desk.link_event()
    await desk.take()
    assert desk.estate.azure.calls.reads == 0


async def test_links_that_are_done_are_left_alone(desk: Desk) -> None:
    """Of a service with many links, an event about one costs no look at targets whose links are approved."""
    azure = desk.estate.azure
    azure.add_pair(desk.estate.service, desk.estate.target)
    await desk.link_event()
    await desk.run()
    desk.estate.clock.advance(60)
    await desk.link_event()
    await desk.take()
    assert desk.queue.messages == []


async def test_where_a_link_led_that_is_gone(desk: Desk) -> None:
    """Its target is looked at: the last sweep knew it."""
    azure = desk.estate.azure
    link = azure.add_link(desk.estate.service, desk.estate.target)
    await run(desk.work)
    desk.queue.messages.clear()
    del azure.links[link]
    desk.estate.clock.advance(60)
    await desk.link_event(kind="Microsoft.Resources.ResourceDeleteSuccess")
    await desk.take()
    assert [json.loads(text)["id"] for text in desk.queue.texts] == [str(desk.estate.target)]


@pytest.mark.parametrize("text", ["", "junk", '{"v":1}', '{"v":1,"id":"/subscriptions/x","attempt":1}'])
async def test_what_is_none_of_ours_fails(desk: Desk, text: str) -> None:
    """And ends in the poison queue."""
    with pytest.raises(MessageError):
        await take_message(desk.work, Arrival(id="m", text=text, inserted=None, tries=1))


# Poison


async def test_poison_is_a_finding_until_a_sweep_has_looked(desk: Desk) -> None:
    """Said when it comes and by the sweep that makes up for it, then over."""
    desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    for text in (encode(LookMessage(id=desk.estate.target.id)), "junk"):
        finding = await take_poison(desk.work, "m", text)
        assert finding.id.value == "message_poisoned"
    assert len(await setbacks(desk.work.engine.state)) == 2
    desk.estate.clock.advance(1)
    result = await run(desk.work)
    assert result is not None
    assert [one.id.value for one in result.findings].count("message_poisoned") == 2
    assert await setbacks(desk.work.engine.state) == []
    await desk.run()
    assert await desk.estate.kinds() == ["intent to approve", "sent", "confirmed"]


async def test_poison_stays_where_the_sweep_could_not_look(desk: Desk) -> None:
    """Only a complete sweep has made up for it."""
    await take_poison(desk.work, "m", encode(LookMessage(id=desk.estate.target.id)))
    desk.estate.clock.advance(1)
    desk.estate.azure.fail("list_connections", AzureForbiddenError("no", status=403), AzureForbiddenError("no", status=403))
    await run(desk.work)
    assert len(await setbacks(desk.work.engine.state)) == 1


# Broken off anywhere


def a_broken_worker(desk: Desk, turn: CrashAt) -> Work:
    """On this desk, with every call to the outside announced."""
    queue = cast("WorkQueue", Interposed(desk.queue, "queue", turn))
    return replace(desk.work, engine=make_engine(desk.estate, turn=turn), queue=queue)


async def until_crash(desk: Desk, work: Work) -> bool:
    """From the event on; what was being worked on is delivered again, to a sound worker. False where there was no crash."""
    link = f"{desk.estate.service}/sharedPrivateLinkResources/func-pe"
    event = RawEvent(id="e", type=WRITE, subject=link, time=None, data={})
    try:
        await take_event(work, event)
    except Crash:
        await take_event(desk.work, event)
        return True
    while desk.queue.messages:
        queued = desk.queue.take()
        if queued is None:
            desk.estate.clock.advance(1)
            continue
        arrival = Arrival(id=queued.id, text=queued.text, inserted=queued.inserted, tries=1)
        try:
            await take_message(work, arrival)
        except Crash:
            await take_message(desk.work, replace(arrival, tries=2))
            return True
    return False


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_anywhere_on_the_way_loses_nothing_and_does_nothing_twice(when: When) -> None:
    """Before any call or after it, from the event to the confirmation: what was at hand comes again, and all ends as it would."""

    async def broken_off(place: int) -> bool:
        desk = Desk()
        connection = desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
        desk.estate.azure.add_connection(desk.estate.target, "stranger")
        crashed = await until_crash(desk, a_broken_worker(desk, CrashAt(place, when)))
        await desk.run()
        assert [(write.connection, write.status) for write in desk.estate.azure.writes] == [(connection, "Approved")], place
        history = await desk.estate.history()
        ours = history.approval_of(connection)
        assert ours is not None, place
        assert ours.outcome is Outcome.CONFIRMED, place
        assert not history.open_intents(), place
        assert desk.queue.messages == [], place
        await desk.estate.check()
        return crashed

    async def every_place() -> int:
        return await anext(place for place in count() if not await broken_off(place))

    assert asyncio.run(every_place()) > 40
