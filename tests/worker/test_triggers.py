"""Each trigger in the real Functions worker: its binding, and what it does with what the host sends."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.core.ledger import RecordKind
from shared.local_azure.events import PERSONAL
from shared.local_azure.faults import throttled
from tests import dead_letters
from tests.kql.engine import Workspace
from tests.worker.host import POISON, QUEUE
from tests.worker.stage import MESSAGE, Stage, allowlist, open_host, open_stage
from tests.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.azurite.server import Azurite
    from tests.worker.host import Host

STORAGE = "AzureWebJobsStorage"
WORKSPACE = "00000000-0000-0000-0000-00000000000a"


def timer(setting: str) -> dict[str, Any]:
    """A timer by a setting; the host remembers the last run, and a start is no reason to run."""
    return {
        "direction": "IN",
        "type": "timerTrigger",
        "name": "timer",
        "schedule": f"%{setting}%",
        "runOnStartup": False,
        "useMonitor": True,
    }


def http(route: str) -> list[dict[str, Any]]:
    """Reading alone, by those who have the function's key."""
    asked = {
        "direction": "IN",
        "type": "httpTrigger",
        "name": "request",
        "methods": ["GET"],
        "authLevel": "FUNCTION",
        "route": route,
    }
    return [asked, {"direction": "OUT", "type": "http", "name": "$return"}]


async def test_the_bindings() -> None:
    """What the host gets to know of each function, to the letter; and of no other."""
    async with Worker({}) as worker:
        assert worker.functions == FUNCTIONS


FUNCTIONS: dict[str, list[dict[str, Any]]] = {
    "on_resource_write": [{"direction": "IN", "type": "eventGridTrigger", "name": "event"}],
    "reconcile": [
        {"direction": "IN", "type": "queueTrigger", "name": "message", "queueName": QUEUE, "connection": STORAGE},
    ],
    "reconcile_poison": [
        {"direction": "IN", "type": "queueTrigger", "name": "message", "queueName": POISON, "connection": STORAGE},
    ],
    "sweep": [timer("LINKGUARD_SWEEP_SCHEDULE")],
    "collect_dead_letters": [timer("LINKGUARD_DEAD_LETTERS_SCHEDULE")],
    "export_ledger": [timer("LINKGUARD_EXPORT_SCHEDULE")],
    "deliver_alerts": [timer("LINKGUARD_ALERTS_SCHEDULE")],
    "audit_traffic": [timer("LINKGUARD_AUDIT_SCHEDULE")],
    "health": http("health"),
    "report": http("report"),
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


async def test_on_resource_write_handles_each_operation_in_both_schemas(stage: Stage, host: Host) -> None:
    """Links' and connections' writes and deletes, of sites and slots; deletes of sites, slots and services."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    (event,) = stage.azure.world.events
    slot = f"{stage.site}/slots/staging"
    children = {
        f"{stage.service}/sharedPrivateLinkResources/func-pe": stage.service,
        f"{stage.site}/privateEndpointConnections/pe": stage.site,
        f"{slot}/privateEndpointConnections/pe": slot,
    }
    handled = [(written, verb, looked_at) for written, looked_at in children.items() for verb in ("write", "delete")]
    handled += [(gone, "delete", gone) for gone in (stage.site, slot, stage.service)]
    expected: list[dict[str, Any]] = []
    for resource, verb, looked_at in handled:
        one = replace(event, id=f"{resource}-{verb}", resource=resource, operation=f"any/{verb}")
        for payload in (one.event_grid(), one.cloud_event()):
            assert (await host.deliver(payload)).ok
            expected.append({"v": 1, "id": looked_at, "attempt": 1})
    assert [json.loads(text) for text in await host.texts()] == expected
    assert stage.azure.requests.entries == []


async def test_nothing_personal_is_kept_anywhere(stage: Stage) -> None:
    """From both schemas to the confirmation, with the log at its most talkative: not in the log, the queues or the tables."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    async with open_host(stage, PYTHON_ENABLE_DEBUG_LOGGING="1") as host:
        (event,) = stage.azure.world.events
        for payload in (event.event_grid(), event.cloud_event()):
            assert (await host.deliver(payload)).ok
        ignored = {**event.event_grid(), "eventType": "Microsoft.Resources.ResourceActionSuccess"}
        assert (await host.deliver(ignored)).ok
        (debug,) = [one for one in host.worker.records("event") if "ignored" in one]
        assert debug["ignored"] == "another type of event"
        texts = await host.texts()
        await host.run_until(stage.confirmed)
        for later in stage.events(since=1):
            assert (await host.deliver(later)).ok
        assert (await host.worker.timer()).ok
        texts += [*await host.texts(), *await host.texts(POISON)]
        assert stage.approved
    told = "\n".join([*host.worker.log, *texts, await stage.stored()])
    assert stage.service in told
    assert [word for word in (*PERSONAL, "claims", "authorization", "httpRequest") if word in told] == []


async def test_the_sdks_requests_are_not_logged(stage: Stage, host: Host) -> None:
    """At the level that the host's worker sets, each would be several lines of the app's log, and of its bill."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    assert (await host.worker.timer()).ok
    names = {line.split(" ", 2)[1] for line in host.worker.log if line.startswith("INFO ")}
    assert "linkguard.telemetry" in names
    assert [name for name in names if name.startswith(("azure.", "aiohttp", "msal"))] == []


async def test_what_is_deleted_is_looked_at(stage: Stage, host: Host) -> None:
    """The site's and the service's delete end what was waited for; neither is a failure, and nothing is approved."""
    world = stage.azure.world
    stage.azure.knobs.link_provisioning = math.inf  # What is waited for lasts, however slow this machine is.
    other = world.add_site("other-func", public_network_access="Enabled")
    await stage.set_allowlist(allowlist((stage.service, stage.site), (stage.service, other)))
    world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    world.put_link(stage.service, "other-pe", other, MESSAGE)
    for event in stage.events():
        await host.deliver(event)
    while not any(one["what"] == "put back" for one in host.worker.records("message")):
        await host.pump()
    seen = len(world.events)
    world.delete_target(stage.site)
    world.delete_signalr(stage.service)
    for event in stage.events(since=seen):
        assert (await host.deliver(event)).ok
    await host.drain()
    assert (await host.worker.timer()).ok
    assert all(result.ok for result in host.results)
    assert stage.approved == []


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
    stage.azure.faults.add(throttled(retry_after=1), method="GET", times=1)
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


async def test_report(stage: Stage, host: Host) -> None:
    """The page, or the data, from the stores alone; never kept by anybody on the way; another format is refused."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    assert (await host.worker.timer()).ok
    asked = len(stage.azure.requests.entries)
    url = "http://127.0.0.1/api/report"
    page = (await host.worker.get("report", url)).http
    assert page is not None
    assert (page["status"], page["headers"]["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page["headers"]["Cache-Control"] == "no-store"
    assert "default-src 'none'" in page["headers"]["Content-Security-Policy"]
    assert "func-pe" in page["body"]
    data = (await host.worker.get("report", url, {"format": "json"})).http
    assert data is not None
    assert (data["status"], data["headers"]["Content-Type"]) == (200, "application/json")
    assert json.loads(data["body"])["data"]["sweep"]["complete"] is True
    refused = (await host.worker.get("report", url, {"format": "exe"})).http
    assert refused is not None
    assert refused["status"] == 400
    assert len(stage.azure.requests.entries) == asked
    assert stage.azurite.key not in page["body"] + data["body"]


async def test_export_ledger(stage: Stage, tmp_path: Path) -> None:
    """What the ledger gained is anchored, once; nothing is done where no place is named."""
    stage.azure.world.request_connection(stage.site, "stranger-pe", MESSAGE)
    async with open_host(stage) as host:
        assert (await host.worker.timer()).ok
        assert (await host.worker.timer("export_ledger")).ok
    assert anchors(tmp_path) == []
    async with open_host(stage, LINKGUARD_ANCHORS=str(tmp_path)) as host:
        for _ in range(2):
            assert (await host.worker.timer("export_ledger", past_due=True)).ok
    chains = {record.entry.chain for record in await stage.records()}
    assert len(anchors(tmp_path)) == len(chains) > 0


def anchors(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.jsonl")]


async def test_deliver_alerts(stage: Stage, host: Host) -> None:
    """What changed is told once to each sink; here the log, as the alert rules query it."""
    stage.azure.world.request_connection(stage.site, "stranger-pe", MESSAGE, auto_approved=True)
    assert (await host.worker.timer()).ok
    for _ in range(2):
        assert (await host.worker.timer("deliver_alerts")).ok
    marker = "linkguard.alerts linkguard.alert "
    alerts = [json.loads(line.partition(marker)[2]) for line in host.worker.log if marker in line]
    told = [(one["change"], one["finding"]["id"]) for one in alerts]
    assert sorted(told) == [("new", "approved_unexplained"), ("new", "rule_matches_nothing")]


async def test_audit_traffic(stage: Stage) -> None:
    """The traffic of the hours before is judged, and the verdict recorded; nothing is done where no workspace is named."""
    stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    async with open_host(stage) as host:
        assert (await host.worker.timer("audit_traffic")).ok
        assert await stage.records() == []
    stage.azure.logs.engines[WORKSPACE] = Workspace(AppServiceHTTPLogs=[])
    async with open_host(stage, LINKGUARD_WORKSPACES=WORKSPACE, LINKGUARD_LOGS_ENDPOINT=stage.azure.url) as host:
        assert (await host.worker.timer("audit_traffic")).ok
    (verdict,) = [record.entry.body for record in await stage.records() if record.entry.kind is RecordKind.TRAFFIC]
    assert (verdict["target"], verdict["verdict"]) == (stage.site, "inconclusive")


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
