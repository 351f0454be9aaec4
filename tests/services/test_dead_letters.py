"""Events that could not be delivered: each becomes a look and a finding, once, whatever fails in between."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.core.errors import AzureForbiddenError, QueueError, StoreUnavailableError
from shared.core.ledger import canonical
from shared.local_azure import ManualClock, World
from shared.local_azure.events import PERSONAL, Event
from shared.services import dead_letters as service
from shared.services.dead_letters import take_dead_letters
from shared.services.rounds import run
from shared.services.setback import SETBACKS, setbacks
from tests import dead_letters
from tests.fakes.dead_letters import MemoryDeadLetters
from tests.services.test_dispatch import Desk
from tests.services.test_rounds import LargeEstate

if TYPE_CHECKING:
    from shared.core.arm_id import ArmId


def event_about(resource: ArmId | str, *, kind: str = "write") -> Event:
    """As the local Azure tells of it, personal data and all, about a resource of the desk's estate."""
    text = str(resource)
    parts = text.split("/")
    world = World(clock=ManualClock())
    return Event(
        id=f"event about {text}",
        at=world.clock.now(),
        resource=text,
        subscription=parts[2],
        group=parts[4],
        provider=parts[6],
        operation=f"{'/'.join(parts[6::2])}/{kind}",
        method="PUT",
        correlation="c",
        caller="p",
    )


@pytest.fixture
def desk() -> Desk:
    return Desk()


def link_of(desk: Desk) -> str:
    return f"{desk.estate.service}/sharedPrivateLinkResources/func-pe"


def told(desk: Desk) -> list[dict[str, Any]]:
    return [one for one in desk.telemetry.records("finding") if one["finding"] == "event_dead_lettered"]


async def test_a_dead_letter_becomes_a_look_and_a_finding_and_is_gone(desk: Desk) -> None:
    """The connection is approved by the message alone; the finding lasts until the next complete sweep."""
    connection = desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    store = MemoryDeadLetters(dead_letters.blobs([event_about(link_of(desk))]))
    taken = await take_dead_letters(desk.work, store)
    assert (taken.blobs, taken.events, taken.messages, taken.unreadable, taken.failed) == (1, 1, 1, 0, 0)
    assert store.blobs == {}
    assert [json.loads(text) for text in desk.queue.texts] == [{"v": 1, "id": str(desk.estate.service), "attempt": 1}]
    assert desk.estate.azure.calls.reads == 0
    (setback,) = await setbacks(desk.work.engine.state)
    assert setback.subject == desk.estate.service
    assert dict(setback.facts) == {"reason": "MaxDeliveryAttemptsExceeded", "outcome": "NotFound"}
    assert len(told(desk)) == 1
    await desk.run()
    assert desk.estate.azure.approved() == {connection}
    desk.estate.clock.advance(1)
    result = await run(desk.work)
    assert result is not None
    assert [one.id.value for one in result.findings].count("event_dead_lettered") == 1
    result = await run(desk.work)
    assert result is not None
    assert [one.id.value for one in result.findings].count("event_dead_lettered") == 0


async def test_nothing_personal_is_kept(desk: Desk) -> None:
    """Not on the queue, not in the state, not in what is told."""
    store = MemoryDeadLetters(dead_letters.blobs([event_about(link_of(desk)), event_about(desk.estate.target.id, kind="delete")]))
    assert all(word in store.blobs[min(store.blobs)].decode() for word in PERSONAL)
    await take_dead_letters(desk.work, store)
    rows = await desk.work.engine.state.rows(SETBACKS)
    kept = "\n".join([*desk.queue.texts, *(canonical(row.value) for row in rows.values()), repr(desk.telemetry.told)])
    assert str(desk.estate.target) in kept
    assert [word for word in (*PERSONAL, "claims", "authorization", "httpRequest") if word in kept] == []


async def test_many_about_the_same_thing_are_one_message(desk: Desk) -> None:
    """However many events and blobs there are; each blob is taken."""
    store = MemoryDeadLetters(dead_letters.blobs([event_about(link_of(desk))] * 30))
    taken = await take_dead_letters(desk.work, store)
    assert (taken.blobs, taken.events, taken.messages) == (30, 30, 1)
    assert len(desk.queue.messages) == 1
    assert len(told(desk)) == 1
    assert store.blobs == {}


async def test_a_run_that_ends_in_between_is_done_again(desk: Desk) -> None:
    """A blob that could not be deleted comes again: a further message, which ends by itself, and the same finding."""
    store = MemoryDeadLetters(dead_letters.blobs([event_about(link_of(desk))]))
    store.stuck = set(store.blobs)
    with pytest.raises(StoreUnavailableError):
        await take_dead_letters(desk.work, store)
    store.stuck = set()
    await take_dead_letters(desk.work, store)
    assert store.blobs == {}
    assert len(desk.queue.messages) == 2
    assert len({one["fingerprint"] for one in told(desk)}) == 1
    assert len(await setbacks(desk.work.engine.state)) == 1
    connection = desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    await desk.run()
    assert desk.estate.azure.approved() == {connection}
    assert await desk.estate.kinds() == ["intent to approve", "sent", "confirmed"]


async def test_one_blob_that_fails_keeps_no_other_from_being_taken(desk: Desk) -> None:
    """And the run says that something failed, at its end."""
    links = [f"{desk.estate.service.sibling(f'signalr-{number}')}/sharedPrivateLinkResources/l" for number in range(3)]
    store = MemoryDeadLetters(dead_letters.blobs(map(event_about, links)))
    names = sorted(store.blobs)
    store.stuck, store.changing = {names[0]}, {names[1]}
    with pytest.raises(StoreUnavailableError):
        await take_dead_letters(desk.work, store)
    assert sorted(store.blobs) == names[:2]
    assert len(desk.queue.messages) == 3
    (record,) = desk.telemetry.records("dead_letters")
    assert (record["blobs"], record["failed"]) == (1, 2)


async def test_a_queue_that_does_not_answer_loses_nothing(desk: Desk) -> None:
    """What is not on the queue is still in the container."""
    store = MemoryDeadLetters(dead_letters.blobs([event_about(link_of(desk))]))
    desk.queue.unavailable = True
    with pytest.raises(QueueError):
        await take_dead_letters(desk.work, store)
    assert len(store.blobs) == 1
    assert told(desk) == []
    desk.queue.unavailable = False
    await take_dead_letters(desk.work, store)
    assert (len(store.blobs), len(desk.queue.messages)) == (0, 1)


@pytest.mark.parametrize("content", [b"junk", b"", b"[]", b'[{"id": "1", "type": "another"}]', b"x" * 200])
async def test_what_nobody_can_read_is_a_finding_and_stops_nothing(
    desk: Desk, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is deleted as the others are: it cannot become a message, and would be met again for ever."""
    monkeypatch.setattr(service, "MAX_BYTES", 100_000 if len(content) < 100 else 100)
    store = MemoryDeadLetters({"a.json": content})
    await take_dead_letters(desk.work, store)
    assert store.blobs == {}
    assert desk.queue.messages == []
    (finding,) = told(desk)
    assert finding["target"] is None


async def test_an_event_of_another_subscription_is_told_and_not_looked_at(desk: Desk) -> None:
    """It is no reason to look, as if it had been delivered."""
    elsewhere = str(desk.estate.target).replace(desk.estate.target.id.subscription, "99999999-9999-9999-9999-999999999999")
    await take_dead_letters(desk.work, MemoryDeadLetters(dead_letters.blobs([event_about(elsewhere, kind="delete")])))
    assert desk.queue.messages == []
    assert [one["target"] for one in told(desk)] == [None]


async def test_a_run_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By how many blobs it takes, and by time; the next run goes on."""
    monkeypatch.setattr(service, "MOST_BLOBS", 2)
    store = MemoryDeadLetters(dead_letters.blobs([event_about(link_of(desk))] * 5))
    assert (await take_dead_letters(desk.work, store)).blobs == 2
    monkeypatch.setattr(service, "RUN", timedelta())
    assert (await take_dead_letters(desk.work, store)).blobs == 0
    monkeypatch.undo()
    assert (await take_dead_letters(desk.work, store)).blobs == 3
    assert len(desk.telemetry.records("dead_letters")) == 2, "a run with nothing to do says nothing"


async def test_what_comes_while_a_sweep_goes_on_is_not_made_up_for_by_it() -> None:
    """That sweep may have looked before; the next one has not."""
    desk = LargeEstate(3)
    await run(desk.work)
    desk.estate.clock.advance(1)
    await take_dead_letters(desk.work, MemoryDeadLetters(dead_letters.blobs([event_about(link_of(desk))])))
    while await desk.part():
        pass
    assert [one["complete"] for one in desk.telemetry.records("round")] == [True]
    assert len(await setbacks(desk.work.engine.state)) == 1
    desk.work = replace(desk.work, sweep_run=timedelta(minutes=5))
    desk.estate.clock.advance(1)
    await run(desk.work)
    assert await setbacks(desk.work.engine.state) == []


async def test_the_finding_stays_where_the_sweep_could_not_look(desk: Desk) -> None:
    """Only a complete sweep has made up for it."""
    desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    await take_dead_letters(desk.work, MemoryDeadLetters(dead_letters.blobs([event_about(link_of(desk))])))
    desk.estate.clock.advance(1)
    desk.estate.azure.fail("list_connections", AzureForbiddenError("no", status=403), AzureForbiddenError("no", status=403))
    await run(desk.work)
    assert len(await setbacks(desk.work.engine.state)) == 1
