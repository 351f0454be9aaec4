"""Local Azure, Azurite and the real Functions worker: from an event, or none, to an approval; and never to a wrong one."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import aiohttp

from shared.core.ledger import RecordKind
from shared.local_azure import LOCAL_TOKEN, Knobs
from tests.worker.stage import MESSAGE, Stage, allowlist, open_host, open_stage
from tests.worker.story import set_scene

if TYPE_CHECKING:
    from shared.core.ledger import Record
    from tests.azurite.server import Azurite
    from tests.worker.host import Host

FOREIGN = "99999999-9999-9999-9999-999999999999"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*\+00:00")
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


async def test_an_event_becomes_an_approval(azurite: Azurite) -> None:
    """A link is PUT to ARM; ARM's event is delivered; its connection becomes Approved, and that is confirmed."""
    async with open_stage(azurite) as stage, open_host(stage) as host:
        link = await _put_link(stage)
        (event,) = stage.events()
        assert (await host.deliver(event)).ok
        await host.run_until(stage.confirmed)
        assert stage.approved == list(stage.azure.world.connections_of(link))
        assert stage.breaches == []
        assert all(result.ok for result in host.results)


async def _put_link(stage: Stage) -> str:
    """As anybody's tool does it, over HTTP; returns its id."""
    link = f"{stage.service}/sharedPrivateLinkResources/func-pe"
    asked = {"properties": {"groupId": "sites", "privateLinkResourceId": stage.site, "requestMessage": MESSAGE}}
    headers = {"Authorization": f"Bearer {LOCAL_TOKEN}"}
    url = f"{stage.azure.url}{link}?api-version=2023-02-01"
    async with aiohttp.ClientSession() as session, session.put(url, json=asked, headers=headers) as answer:
        assert answer.status in {200, 201}, await answer.text()
    return link


async def test_an_azure_that_takes_its_time(azurite: Azurite) -> None:
    """The connection comes after the event, the link is provisioned later still, and its status lags: "not yet" is no failure."""
    knobs = Knobs(connection_delay=1.5, link_provisioning=2.5, approving=0.3, link_status_lag=0.8)
    async with open_stage(azurite, knobs=knobs) as stage, open_host(stage) as host:
        link = stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
        await host.deliver(stage.events()[0])
        await host.run_until(stage.confirmed)
        assert stage.approved == list(stage.azure.world.connections_of(link))
        assert all(result.ok for result in host.results)
        assert [one["what"] for one in host.worker.records("message")].count("put back") > 2


async def test_the_event_is_lost(azurite: Azurite) -> None:
    """The sweep alone comes to the same end."""
    async with open_stage(azurite) as stage, open_host(stage) as host:
        stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)

        async def swept() -> bool:
            assert (await host.worker.timer()).ok
            return await stage.confirmed()

        await host.run_until(swept)
        assert len(stage.approved) == 1
        assert stage.breaches == []


async def test_one_sweep_is_enough_to_begin_with(azurite: Azurite) -> None:
    """What a sweep finds waiting comes back by itself when it is due: nobody waits for the next sweep."""
    async with open_stage(azurite) as stage, open_host(stage) as host:
        stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
        assert (await host.worker.timer(past_due=True)).ok
        await host.run_until(stage.confirmed)
        assert len(stage.approved) == 1


async def test_the_event_comes_twice_and_in_both_schemas(azurite: Azurite) -> None:
    """One approval, recorded once."""
    async with open_stage(azurite) as stage, open_host(stage) as host:
        stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
        (event,) = stage.azure.world.events
        for one in (event.event_grid(), event.cloud_event(), event.event_grid()):
            assert (await host.deliver(one)).ok
        await host.run_until(stage.confirmed)
        await host.drain()
        assert len(stage.approved) == 1
        assert [r.entry.kind for r in await stage.records()].count(RecordKind.INTENT) == 1
        assert await stage.outcomes() == ["sent", "confirmed"]


async def test_the_event_comes_late(azurite: Azurite) -> None:
    """After the sweep has done everything, an event changes nothing."""
    async with open_stage(azurite) as stage, open_host(stage) as host:
        stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
        await host.worker.timer()
        await host.run_until(stage.confirmed)
        before = await stage.records()
        for event in stage.events():
            await host.deliver(event)
        await host.drain()
        assert await stage.records() == before
        assert len(stage.approved) == 1


async def test_events_come_out_of_order(azurite: Azurite) -> None:
    """A delete before the write of what it deletes, an approval before its request: only what is there now counts."""
    async with open_stage(azurite) as stage, open_host(stage) as host:
        world = stage.azure.world
        gone = world.put_link(stage.service, "old-pe", stage.site, MESSAGE)
        world.delete_link(gone)
        link = world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
        for event in reversed(stage.events()):
            assert (await host.deliver(event)).ok
        await host.run_until(stage.confirmed)
        for event in reversed(stage.events()):
            assert (await host.deliver(event)).ok
        await host.drain()
        assert stage.approved == list(world.connections_of(link))


async def test_forged_events(azurite: Azurite) -> None:
    """What nobody owns, what lies elsewhere, what is huge or is no event: no call to Azure, no approval, no failure."""
    async with open_stage(azurite) as stage, open_host(stage) as host:
        stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
        (true_event,) = stage.events()
        await host.worker.timer()
        stranger = stage.azure.world.add_signalr("stranger-signalr")
        queued, asked = len(await host.texts()), len(stage.azure.requests.entries)
        elsewhere = json.loads(json.dumps(true_event).replace(true_event["data"]["subscriptionId"], FOREIGN))
        nobodys = _about(true_event, true_event["subject"].replace("contoso-signalr", "nobodys-signalr"))
        strangers = _about(true_event, f"{stranger}/sharedPrivateLinkResources/func-pe")
        unwatched = _about(true_event, stage.site.replace("contoso-func", "other-func") + "/privateEndpointConnections/pe")
        huge = {
            **true_event,
            "data": {**true_event["data"], "resourceUri": "/subscriptions/" + "x" * 900_000},
            "subject": "y" * 90_000,
        }
        for event in (elsewhere, huge):
            assert (await host.deliver(event)).ok
        assert len(await host.texts()) == queued, "these are not even put on the queue"
        for event in (nobodys, strangers, unwatched):
            assert (await host.deliver(event)).ok
        for junk in ({}, {"data": None}, {"specversion": "1.0", "type": 7, "data": [1]}, {"eventType": [], "subject": {"a": 1}}):
            await host.deliver(junk)
        texts = [text for text in await host.texts() if "nobodys" in text or "stranger" in text or "other-func" in text]
        assert len(texts) == 3
        for text in texts:
            assert (await host.worker.message(text)).ok
        assert len(stage.azure.requests.entries) == asked
        assert stage.approved == []


def _about(event: dict[str, Any], resource: str) -> dict[str, Any]:
    return {**event, "subject": resource, "data": {**event["data"], "resourceUri": resource}}


async def test_an_event_cannot_make_an_impostor_pass(azurite: Azurite) -> None:
    """Whatever events say of an impostor's connection, both that cannot be told apart are held."""
    async with open_stage(azurite) as stage, open_host(stage) as host:
        world = stage.azure.world
        world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
        fake = world.request_connection(stage.site, "func-pe", MESSAGE)
        (event,) = stage.events()
        for _ in range(2):
            await host.deliver(_about(event, fake))
            await host.deliver(event)
        await host.drain()
        assert (await host.worker.timer()).ok
        assert stage.approved == []
        holds = [r.entry.body["codes"] for r in await stage.records() if r.entry.kind is RecordKind.HOLD]
        assert len(holds) == 2
        assert all("ambiguous" in codes for codes in holds if isinstance(codes, list))


async def test_a_worker_that_dies_on_the_way(azurite: Azurite) -> None:
    """Another one goes on from what is recorded, and the connection is approved once."""
    async with open_stage(azurite, knobs=Knobs(link_status_lag=1.0)) as stage:
        stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
        async with open_host(stage) as host:
            await host.deliver(stage.events()[0])
            await host.run_until(lambda: bool(stage.approved))
            await host.worker.kill()
        async with open_host(stage) as host:
            assert (await host.worker.timer()).ok
            await host.run_until(stage.confirmed)
        assert len(stage.approved) == 1
        assert await stage.outcomes() == ["sent", "confirmed"]


async def test_two_workers_at_once(azurite: Azurite) -> None:
    """Both get every event, both sweep, both take from one queue: one approval, recorded once; neither fails."""
    async with open_stage(azurite) as stage, open_host(stage) as one, open_host(stage) as two:
        await set_scene(stage)
        one.at_once = two.at_once = 1  # So that neither takes them all.
        for event in stage.events():
            delivered = await asyncio.gather(one.deliver(event), two.deliver(event))
            assert all(result.ok for result in delivered)
        swept = asyncio.gather(one.worker.timer(), two.worker.timer())
        await asyncio.gather(one.run_until(stage.confirmed), two.run_until(stage.confirmed))
        assert all(result.ok for result in await swept)
        await asyncio.gather(one.drain(), two.drain())
        assert len(stage.approved) == 1
        assert stage.breaches == []
        assert await stage.outcomes() == ["sent", "confirmed"]
        assert [r.entry.kind for r in await stage.records()].count(RecordKind.INTENT) == 1
        assert one.results
        assert two.results
        assert all(result.ok for result in (*one.results, *two.results))


async def test_a_pause_counts_from_the_moment_the_blob_is_saved(azurite: Azurite) -> None:
    """Between two looks the allowlist's blob is replaced: what was about to be approved is held; and approved once it may be."""
    async with open_stage(azurite) as stage, open_host(stage) as host:
        stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
        await host.deliver(stage.events()[0])
        while not any(one["what"] == "put back" for one in host.worker.records("message")):
            await host.pump()
        await stage.set_allowlist(allowlist((stage.service, stage.site), paused=True))
        await host.drain()
        assert stage.approved == []
        assert [r.entry.body["codes"] for r in await stage.records()] == [["paused"]]
        await stage.set_allowlist(allowlist((stage.service, stage.site)))
        await host.worker.timer()
        await host.run_until(stage.confirmed)


# The demo's story


async def test_the_story_by_events_alone_and_by_sweeps_alone(azurite: Azurite) -> None:
    """The same end state, and the same ledger: every record with all its inputs, in the same order, but for the times."""
    told = []
    for by_events in (True, False):
        async with open_stage(azurite) as stage, open_host(stage) as host:
            await set_scene(stage)
            if by_events:
                for event in stage.events():
                    await host.deliver(event)
                await host.run_until(stage.confirmed)
                await host.drain()
            else:
                await _sweep_until_confirmed(stage, host)
            records = await stage.records()
            told.append((_states(stage), _kinds(records, stage), _without_times(records)))
    by_events_told, by_sweeps_told = told
    assert by_events_told == by_sweeps_told
    states, ledger, _ = by_events_told
    assert sorted(states.values()) == ["Approved", "Pending", "Pending", "Pending", "Pending"]
    assert [entry[:3] for entry in ledger] == [
        ("CONTOSO-FUNC", "hold", "hold"),  # the stranger, while the link waits
        ("CONTOSO-FUNC", "hold", "hold"),  # the stranger, once it does not
        ("CONTOSO-FUNC", "hold", "hold"),  # the service that no rule names
        ("CONTOSO-FUNC", "intent", "approve"),
        ("CONTOSO-FUNC", "outcome", "confirmed"),
        ("CONTOSO-FUNC", "outcome", "sent"),
        ("CONTOSO-WEB", "hold", "hold"),  # the two that cannot be told apart
        ("CONTOSO-WEB", "hold", "hold"),
    ]


async def _sweep_until_confirmed(stage: Stage, host: Host) -> None:
    for _ in range(50):
        assert (await host.worker.timer()).ok
        if await stage.confirmed():
            return
    message = "not confirmed after 50 sweeps"
    raise AssertionError(message)


def _states(stage: Stage) -> dict[str, str]:
    """By each connection's number in the world: ids hold what is made up anew each time."""
    world, found = stage.azure.world, {}
    for target in world.all_targets():
        for number, connection in enumerate(target.connections.all(world.clock.now()), start=1):
            found[f"{target.id.name}-{number}"] = world.connection_status(str(connection.id)) or "gone"
    return found


def _kinds(records: list[Record], stage: Stage) -> list[tuple[str, ...]]:
    told = []
    for record in records:
        body = record.entry.body
        connection, codes = str(body.get("connection") or ""), body.get("codes")
        told.append(
            (
                record.entry.chain.rsplit("/", 1)[-1],
                record.entry.kind.value,
                str(body.get("verdict") or body.get("outcome")),
                " ".join(map(str, codes)) if isinstance(codes, list) else "",
                str(body.get("rule")),
                "genuine" if connection and stage.azure.world.genuine(connection) else "stranger",
            )
        )
    return sorted(told)


def _without_times(records: list[Record]) -> list[str]:
    """Each whole record as text, without its times and without the digests that are made from them."""
    told = []
    for record in records:
        entry = record.entry
        whole = {"chain": entry.chain, "number": record.sequence, "kind": entry.kind, "body": entry.body, "inputs": entry.inputs}
        text = json.dumps(whole, sort_keys=True)
        for pattern, name in ((_TIME, "<time>"), (_DIGEST, "<digest>")):
            text = pattern.sub(name, text)
        told.append(text)
    return told
