"""Each trigger in the real Functions worker: its binding, and what it does with what the host sends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.local_azure.events import PERSONAL
from shared.local_azure.faults import throttled
from tests import dead_letters
from tests.worker.host import POISON, QUEUE
from tests.worker.stage import MESSAGE, Stage, allowlist, open_host, open_stage
from tests.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.azurite.server import Azurite
    from tests.worker.host import Host

STORAGE = "AzureWebJobsStorage"


async def test_the_bindings() -> None:
    """What the host gets to know of each function, to the letter."""
    async with Worker({}) as worker:
        assert {name: worker.functions[name] for name in OURS} == OURS


OURS: dict[str, list[dict[str, Any]]] = {
    "on_resource_write": [{"direction": "IN", "type": "eventGridTrigger", "name": "event"}],
    "reconcile": [
        {"direction": "IN", "type": "queueTrigger", "name": "message", "queueName": QUEUE, "connection": STORAGE},
    ],
    "reconcile_poison": [
        {"direction": "IN", "type": "queueTrigger", "name": "message", "queueName": POISON, "connection": STORAGE},
    ],
    "sweep": [
        {
            "direction": "IN",
            "type": "timerTrigger",
            "name": "timer",
            "schedule": "%LINKGUARD_SWEEP_SCHEDULE%",
            "runOnStartup": False,
            "useMonitor": True,
        },
    ],
    "collect_dead_letters": [
        {
            "direction": "IN",
            "type": "timerTrigger",
            "name": "timer",
            "schedule": "%LINKGUARD_DEAD_LETTERS_SCHEDULE%",
            "runOnStartup": False,
            "useMonitor": True,
        },
    ],
    "health": [
        {
            "direction": "IN",
            "type": "httpTrigger",
            "name": "request",
            "methods": ["GET"],
            "authLevel": "FUNCTION",
            "route": "health",
        },
        {"direction": "OUT", "type": "http", "name": "$return"},
    ],
}


@pytest.fixture
async def stage(azurite: Azurite) -> AsyncIterator[Stage]:
    async with open_stage(azurite) as one:
        yield one


@pytest.fixture
async def host(stage: Stage) -> AsyncIterator[Host]:
    async with open_host(stage) as one:
        yield one


async def test_on_resource_write_in_both_schemas(stage: Stage, host: Host) -> None:
    """One small message an event, the same in both schemas; no call to Azure; nothing personal on the queue or in the log."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    (event,) = stage.azure.world.events
    for payload in (event.event_grid(), event.cloud_event()):
        assert (await host.deliver(payload)).ok
    texts = await host.texts()
    assert [json.loads(text) for text in texts] == 2 * [{"v": 1, "id": stage.service, "attempt": 1}]
    assert stage.azure.requests.entries == []
    told = "\n".join([*host.worker.log, *texts])
    assert [word for word in (*PERSONAL, "claims", "authorization", "httpRequest") if word in told] == []


async def test_on_resource_write_ignores_the_rest(stage: Stage, host: Host) -> None:
    """A site that is written, a vault's link, an action: nothing is put on the queue, nothing fails."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    (event,) = stage.events()
    vault = stage.site.replace("Microsoft.Web/sites/contoso-func", "Microsoft.KeyVault/vaults/v")
    for resource, kind in (
        (stage.site, event["eventType"]),
        (stage.service, event["eventType"]),
        (f"{vault}/privateEndpointConnections/pe", event["eventType"]),
        (event["subject"], "Microsoft.Resources.ResourceActionSuccess"),
        (event["subject"], "Microsoft.Resources.ResourceWriteFailure"),
    ):
        data = {**event["data"], "resourceUri": resource}
        assert (await host.deliver({**event, "subject": resource, "eventType": kind, "data": data})).ok
    assert await host.texts() == []


async def test_deletes(stage: Stage, host: Host) -> None:
    """Deletes of a site, a slot and a service are reasons to look at them."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    (event,) = stage.events()
    slot = f"{stage.site}/slots/staging"
    for resource in (stage.site, slot, stage.service):
        kind = "Microsoft.Resources.ResourceDeleteSuccess"
        await host.deliver({**event, "subject": resource, "eventType": kind, "data": {**event["data"], "resourceUri": resource}})
    assert [json.loads(text)["id"] for text in await host.texts()] == [stage.site, slot, stage.service]


async def test_reconcile_collapses_what_a_later_look_has_seen(stage: Stage, host: Host) -> None:
    """A first message older than the target's last look ends without a call to Azure; one that was delivered before does not."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    text = json.dumps({"v": 1, "id": stage.site, "attempt": 1})
    assert (await host.worker.message(text, inserted=datetime.now(UTC))).ok
    asked = len(stage.azure.requests.entries)
    assert asked > 0
    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    assert (await host.worker.message(text, inserted=long_ago)).ok
    assert len(stage.azure.requests.entries) == asked
    assert (await host.worker.message(text, inserted=long_ago, dequeue_count=2)).ok
    assert len(stage.azure.requests.entries) > asked


async def test_reconcile_puts_itself_back_with_a_growing_delay(stage: Stage, host: Host) -> None:
    """Not yet is no exception: a new message, invisible for longer each time, with what ties it to the first."""
    stage.azure.knobs.connection_delay = 3600
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    text = json.dumps({"v": 1, "id": stage.service, "attempt": 1})
    assert (await host.worker.message(text, id_="first-1")).ok
    attempts: list[int] = []
    while len(attempts) < 3:
        await host.pump()
        attempts = [one["attempt"] for one in host.worker.records("message") if one["what"] == "put back"]
    assert attempts == [1, 2, 3]
    assert {one["correlation"] for one in host.worker.records("message")} == {"first-1"}
    assert all(result.ok for result in host.results)


async def test_reconcile_waits_when_azure_throttles(stage: Stage, host: Host) -> None:
    """429 is waited for as long as Azure says, and is no failure."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    stage.azure.faults.add(throttled(retry_after=2), method="GET", times=1)
    assert (await host.worker.message(json.dumps({"v": 1, "id": stage.service, "attempt": 1}))).ok
    await host.run_until(stage.confirmed)


async def test_reconcile_refuses_what_is_none_of_ours(host: Host) -> None:
    """It fails, is delivered as often as host.json says, and ends in the poison queue; its text is not logged."""
    hostile = '{"v":1,"id":"/subscriptions/evil\\u001b[31m","attempt":1,"x":"SECRET"}'
    await host.queue().send_message(hostile)
    while await host.pump():
        pass
    assert len(host.results) == 5
    assert not any(result.ok for result in host.results)
    assert await host.texts(POISON) == [hostile]
    assert await host.pump(POISON) == 1
    (finding,) = host.worker.records("finding")
    assert finding["finding"] == "message_poisoned"
    assert "SECRET" not in "\n".join([*host.worker.log, *(result.error for result in host.results)])


async def test_what_is_poisoned_is_made_up_for_by_the_next_sweep(stage: Stage, host: Host) -> None:
    """A target whose message failed too often is approved all the same, and the finding ends with that sweep."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    text = json.dumps({"v": 1, "id": stage.site, "attempt": 1})
    assert (await host.worker.message(text, function="reconcile_poison", dequeue_count=1)).ok
    assert (await host.worker.timer()).ok
    await host.run_until(stage.confirmed)
    found = [one for one in host.worker.records("finding") if one["finding"] == "message_poisoned"]
    assert len(found) == 2
    assert (await host.worker.timer()).ok
    assert len([one for one in host.worker.records("finding") if one["finding"] == "message_poisoned"]) == 2


async def test_dead_letters_become_looks_and_findings(stage: Stage, host: Host) -> None:
    """The timer finds what Event Grid gave up; the connection is approved without any event and without a sweep."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    for name, content in dead_letters.blobs(stage.azure.world.events).items():
        await stage.put_dead_letter(name, content)
    await stage.put_dead_letter("TOPIC/LINKGUARD/junk.json", b"junk")
    assert (await host.worker.timer("collect_dead_letters")).ok
    assert await stage.dead_letters() == []
    found = [one for one in host.worker.records("finding") if one["finding"] == "event_dead_lettered"]
    assert len(found) == 2
    await host.run_until(stage.confirmed)
    assert stage.breaches == []
    told = "\n".join(host.worker.log)
    assert [word for word in (*PERSONAL, "claims", "authorization", "httpRequest") if word in told] == []
    assert (await host.worker.timer("collect_dead_letters")).ok, "nothing is left to do"
    assert len(host.worker.records("dead_letters")) == 1


async def test_dead_letters_without_a_container(stage: Stage) -> None:
    """Nothing is named, so nothing is done; a container that is not there yet is empty."""
    for container in ("", "not-there-yet"):
        async with open_host(stage, LINKGUARD_DEAD_LETTERS=container) as host:
            assert (await host.worker.timer("collect_dead_letters")).ok
            assert host.worker.records("dead_letters") == []


@pytest.mark.parametrize("past_due", [False, True])
async def test_sweep(stage: Stage, host: Host, *, past_due: bool) -> None:
    """It looks at every watched target, past due or not, and says what it did."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    assert (await host.worker.timer(past_due=past_due)).ok
    (told,) = host.worker.records("sweep")
    assert (told["complete"], told["targets"], told["left"], told["unread"]) == (True, 1, 0, 0)
    assert told["reads"] == stage.azure.requests.reads


async def test_a_sweep_too_long_for_one_run_goes_on_in_messages(stage: Stage) -> None:
    """Its time over, what is left is looked at from the queue; then the whole counts as complete."""
    world = stage.azure.world
    sites = [stage.site, *(world.add_site(f"more-{number}", public_network_access="Enabled") for number in range(3))]
    await stage.set_allowlist(allowlist(*((stage.service, site) for site in sites)))
    for number, site in enumerate(sites):
        world.put_link(stage.service, f"pe-{number}", site, MESSAGE)
    async with open_host(stage, LINKGUARD_SWEEP_RUN="1ms", LINKGUARD_CONCURRENCY="1") as host:
        assert (await host.worker.timer()).ok
        (told,) = host.worker.records("sweep")
        assert (told["complete"], told["targets"], told["left"]) == (False, 1, 3)
        assert await _status(host) == 503
        assert (await host.worker.timer()).ok, "the next run sees that the round goes on"
        assert len(host.worker.records("sweep")) == 1
        await host.run_until(lambda: bool(host.worker.records("round")))
        (ended,) = host.worker.records("round")
        assert (ended["complete"], ended["targets"], ended["parts"]) == (True, 4, 1)
        assert [one["left"] for one in host.worker.records("sweep")] == [3, 2, 1, 0]
        assert await _status(host) == 200


async def _status(host: Host) -> int:
    health = await host.worker.get("health", "http://127.0.0.1/api/health")
    assert health.http is not None
    return int(health.http["status"])


async def test_health(stage: Stage, host: Host) -> None:
    """503 with reasons before the first sweep and with an allowlist that cannot be read, 200 in between; no secret, no cache."""

    async def ask() -> tuple[int, dict[str, Any]]:
        answer = await host.worker.get("health", "http://127.0.0.1/api/health")
        assert answer.http is not None
        assert answer.http["headers"]["Cache-Control"] == "no-store"
        assert stage.azurite.key not in answer.http["body"]
        return answer.http["status"], json.loads(answer.http["body"])

    status, body = await ask()
    assert (status, body["reasons"]) == (503, ["sweep: none has ended yet"])
    await host.worker.timer()
    assert await ask() == (200, {"status": "ok", "reasons": [], "last_sweep": (await ask())[1]["last_sweep"]})
    await stage.set_allowlist("version: 1\nrules: nonsense\n")
    status, body = await ask()
    assert status == 503
    assert [reason.partition(":")[0] for reason in body["reasons"]] == ["allowlist"]


async def test_health_names_wrong_settings_and_not_their_values(azurite: Azurite) -> None:
    """A secret in the wrong place is not repeated."""
    settings = {"AzureWebJobsStorage": azurite.connection_string, "LINKGUARD_MODE": "SECRET"}
    async with Worker(settings) as worker:
        answer = await worker.get("health", "http://127.0.0.1/api/health")
        assert answer.http is not None
        assert answer.http["status"] == 503
        assert "settings: LINKGUARD_MODE" in answer.http["body"]
        assert "SECRET" not in answer.http["body"]


async def test_telemetry_leads_from_the_event_to_the_outcome(stage: Stage, host: Host) -> None:
    """One correlation from the event to the confirmation, the decision's id from there to the ledger, and the metrics."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    await host.deliver(stage.events()[0])
    await host.run_until(stage.confirmed)
    worker = host.worker
    (event,), (decision,) = worker.records("event"), worker.records("decision")
    outcomes = worker.records("outcome")
    assert {one["correlation"] for one in (event, decision, *outcomes)} == {event["correlation"]}
    assert [one["outcome"] for one in outcomes] == ["sent", "confirmed"]
    assert {one["decision"] for one in (decision, *outcomes)} == {(await stage.records())[0].entry.id}
    metrics = {one["name"]: one["value"] for one in worker.records("metric")}
    assert metrics["linkguard.approvals"] == 1
    assert 0 < metrics["linkguard.event_to_approval_seconds"] < 60
    assert MESSAGE not in "\n".join(worker.log)
