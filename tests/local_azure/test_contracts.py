"""Its answers held to what Azure published and what was recorded from it, where those are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.local_azure import Knobs, ManualClock
from tests.local_azure.door import BASE, Door

CONTRACTS = Path(__file__).parents[2].parent / "shared" / "contracts"

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"Azure's contracts are not at {CONTRACTS.name}/ beside the repository"
)


def example(path: str) -> Any:  # noqa: ANN401  JSON
    return json.loads((CONTRACTS / path).read_text())


def keys(value: object, *, at: str = "") -> set[str]:
    """The path of every member of ``value``; a list is its first item."""
    if isinstance(value, dict):
        return {path for name, part in value.items() for path in ({f"{at}.{name}"} | keys(part, at=f"{at}.{name}"))}
    if isinstance(value, list) and value:
        return keys(value[0], at=f"{at}[]")
    return set()


def test_a_link_has_what_the_examples_have() -> None:
    """Create, get and list; with the misnamed type that the examples show where the knob asks for it."""
    door = Door(Knobs(link_type_misnamed=True))
    path = f"{door.service}/sharedPrivateLinkResources/upstream"
    created = example("signalr/2024-03-01_SignalRSharedPrivateLinkResources_CreateOrUpdate.json")
    body = created["parameters"]["parameters"]
    body["properties"]["privateLinkResourceId"] = door.site
    answer = door.ask("PUT", path, body)
    assert answer.status == 201
    assert created["responses"]["201"]["headers"].keys() <= answer.headers.keys()
    wanted = created["responses"]["201"]["body"]
    made = json.loads(answer.body)
    assert keys(wanted) <= keys(made)
    assert (made["type"], made["name"]) == (wanted["type"], wanted["name"])
    assert made["id"].endswith("/privateEndpointConnections/upstream")
    read = example("signalr/2024-03-01_SignalRSharedPrivateLinkResources_Get.json")["responses"]["200"]["body"]
    assert keys(read) <= keys(door.json("GET", path))
    listed = example("signalr/2024-03-01_SignalRSharedPrivateLinkResources_List.json")["responses"]["200"]["body"]
    assert keys(listed) <= keys(door.json("GET", f"{door.service}/sharedPrivateLinkResources"))


def test_a_deleted_link_answers_as_in_the_example() -> None:
    """202 with both headers, then 204."""
    door = Door()
    link = door.world.put_link(door.service, "upstream", door.site)
    responses = example("signalr/2023-02-01_SignalRSharedPrivateLinkResources_Delete.json")["responses"]
    answer = door.ask("DELETE", link)
    assert responses[str(answer.status)]["headers"].keys() <= answer.headers.keys()
    assert str(door.ask("DELETE", link).status) in responses


def test_a_signalr_operation_is_signed_and_running_until_it_succeeded() -> None:
    """Both URLs carry 4 to 5 KB of signature; the status is Running, then Succeeded."""
    door = Door(Knobs(link_provisioning=90))
    body = {"properties": {"groupId": "sites", "privateLinkResourceId": door.site, "requestMessage": "m"}}
    headers = door.ask("PUT", f"{door.service}/sharedPrivateLinkResources/upstream", body).headers
    status, result = (headers[name].removeprefix(BASE) for name in ("Azure-AsyncOperation", "Location"))
    for url, kind in ((status, "operationStatuses"), (result, "operationResults")):
        path, _, query = url.partition("?")
        assert path.split("/")[-2] == kind
        assert 4000 <= len(query) <= 5000
    assert door.json("GET", status.partition("?")[0])["status"] == "Running"
    assert door.ask("GET", result.partition("?")[0]).status == 202
    door.clock.advance(90)
    assert door.json("GET", status.partition("?")[0])["status"] == "Succeeded"
    assert door.json("GET", result.partition("?")[0])["name"] == "upstream"


def test_a_service_has_what_the_examples_have() -> None:
    """Get, and the list of a subscription; what newer versions or optional features add is left out."""
    door = Door()
    read = example("signalr/2023-02-01_SignalR_Get.json")["responses"]["200"]["body"]
    optional = (
        ".identity",
        ".properties.privateEndpointConnections[]",
        ".properties.networkACLs.privateEndpoints[]",
        ".properties.liveTraceConfiguration.categories[]",
    )
    made = keys(door.json("GET", door.service)) | {".properties.upstream.templates[].urlTemplate"}
    assert {path for path in keys(read) if not path.startswith(optional)} <= made
    listed = example("signalr/2024-03-01_SignalR_ListBySubscription.json")["responses"]["200"]["body"]
    newer = (".properties.networkACLs.ipRules", ".properties.regionEndpointEnabled", ".properties.resourceStopped")
    subscription = door.service.partition("/resourceGroups")[0]
    made = keys(door.json("GET", f"{subscription}/providers/Microsoft.SignalRService/signalR"))
    made.add(".value[].properties.upstream.templates[].urlTemplate")
    left_out = tuple(f".value[]{path}" for path in (*optional, *newer))
    assert {path for path in keys(listed) if not path.startswith(left_out)} <= made


@pytest.mark.parametrize("is_slot", [False, True])
def test_an_approval_answers_as_in_the_example(*, is_slot: bool) -> None:
    """200 or 202 with the connection; 202 with the operation's URL."""
    name = (
        "2025-05-01_ApproveRejectSitePrivateEndpointConnectionSlot"
        if is_slot
        else "2024-11-01_ApproveRejectSitePrivateEndpointConnection"
    )
    contract = example(f"web/{name}.json")
    for status in (200, 202):
        door = Door(Knobs(put_answers=status))
        target = door.world.add_slot(door.site, "stage") if is_slot else door.site
        connection = door.world.request_connection(target, "myPrivateEndpoint", name="connection")
        answer = door.ask("PUT", connection, contract["parameters"]["privateEndpointWrapper"])
        wanted = contract["responses"][str(status)]
        assert answer.status == status
        made = json.loads(answer.body)
        assert keys(wanted["body"]) <= keys(made)
        assert (made["name"], made["properties"]["privateLinkServiceConnectionState"]["description"]) == (
            "connection",
            "Approved by admin.",
        )
        assert {header.lower() for header in wanted.get("headers", {})} <= {header.lower() for header in answer.headers}


def test_connections_are_read_and_listed_as_in_the_examples() -> None:
    """The list's items need neither name nor type."""
    door = Door(Knobs(list_items_named=False))
    connection = door.world.request_connection(door.site, "myPrivateEndpoint", name="connection")
    read = example("web/2024-11-01_GetSitePrivateEndpointConnection.json")["responses"]["200"]["body"]
    assert keys(read) <= keys(door.json("GET", connection))
    listed = example("web/2025-05-01_GetSitePrivateEndpointConnectionList.json")["responses"]["200"]["body"]
    made = door.json("GET", f"{door.site}/privateEndpointConnections")
    assert keys(listed) <= keys(made)
    assert made["nextLink"] is listed["nextLink"] is None
    assert not {"name", "type"} & made["value"][0].keys()


def test_a_deleted_connection_answers_as_in_the_example() -> None:
    """202 with the operation's URL, then 204."""
    door = Door()
    connection = door.world.request_connection(door.site, "pe")
    responses = example("web/2025-05-01_DeleteSitePrivateEndpointConnection.json")["responses"]
    answer = door.ask("DELETE", connection)
    assert {name.lower() for name in responses[str(answer.status)]["headers"]} <= {name.lower() for name in answer.headers}
    assert str(door.ask("DELETE", connection).status) in responses


def test_a_site_and_its_plan_have_what_the_examples_have() -> None:
    """The plan exactly; of the site all but settings that no connection depends on."""
    door = Door()
    plan = door.json("GET", door.site)["properties"]["serverFarmId"]
    assert keys(example("web/2025-05-01_GetAppServicePlan.json")["responses"]["200"]["body"]) == keys(door.json("GET", plan))
    site = example("web/2025-05-01_CreateOrUpdateWebApp.json")["responses"]["200"]["body"]
    indifferent = (
        ".properties.siteConfig.",
        ".properties.outboundVnetRouting",
        ".properties.resourceConfig",
        ".properties.workloadProfileName",
    )
    assert {path for path in keys(site) if not path.startswith(indifferent)} <= keys(door.json("GET", door.site))
    recorded = example("web/recorded_2022_connection_lifecycle.json")["site_get"]["note"]
    said = ("privateEndpointConnections", "sku", "siteConfig.publicNetworkAccess", "defaultHostName", "hostNames", "serverFarmId")
    assert all(f"properties.{name}" in recorded for name in said)
    assert {f".properties.{name}" for name in said} <= keys(door.json("GET", door.site))


def at_second(door: Door, second: float, start: ManualClock) -> None:
    """Move the clock to ``second`` after ``start``."""
    door.clock.advance(second - (door.clock.now() - start.now()).total_seconds())


def test_a_connection_lives_as_it_was_recorded() -> None:
    """Each recorded answer, at its second: status, provisioningState, description, addresses, headers, the same members."""
    door = Door(Knobs.recorded())
    connection = door.world.request_connection(door.site, "webapp-privatelink-endpoint000006", "")
    start = ManualClock(door.clock.now())
    recorded = example("web/recorded_2022_connection_lifecycle.json")["approve"]
    assert [step["t"] for step in recorded] == [0, 1, 12, 43, 53]
    for step in recorded:
        at_second(door, step["t"], start)
        is_put = step["request"].startswith("PUT")
        body = {"properties": {"privateLinkServiceConnectionState": {"status": "Approved", "description": None}}}
        version = {"api-version": "2019-08-01"}
        answer = door.ask("PUT" if is_put else "GET", connection, body if is_put else None, query=version)
        made, wanted = json.loads(answer.body), step["body"]
        assert answer.status == step["status"]
        assert keys(made) == keys(wanted)
        assert made["type"] == wanted["type"]
        for properties in (made["properties"], wanted["properties"]):
            del properties["privateEndpoint"]
        assert made["properties"] == wanted["properties"]
        if is_put:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            assert step["headers"].keys() <= headers.keys()
            assert headers["azure-asyncoperation"] == headers["location"]
            path, _, query = headers["location"].removeprefix(BASE).partition("?")
            wanted_path, _, wanted_query = step["headers"]["location"].removeprefix(BASE).partition("?")
            assert (path.split("/")[3:-1], query) == (wanted_path.split("/")[3:-1], wanted_query)


def test_a_rejected_connection_looks_as_it_was_recorded() -> None:
    """More than a minute after the PUT its provisioningState is still Pending."""
    door = Door(Knobs.recorded())
    connection = door.world.request_connection(door.site, "webapp-privatelink-endpoint2000008", "")
    door.world.reject(connection, "")
    door.clock.advance(65)
    (recorded,) = example("web/recorded_2022_connection_lifecycle.json")["reject"]
    made, wanted = door.json("GET", connection), recorded["body"]
    assert keys(made) == keys(wanted)
    for properties in (made["properties"], wanted["properties"]):
        del properties["privateEndpoint"]
    assert made["properties"] == wanted["properties"]


def test_events_have_what_the_examples_have() -> None:
    """Writes and deletes, in both schemas."""
    door = Door()
    link = door.world.put_link(door.service, "upstream", door.site)
    door.world.delete_link(link)
    written, deleted = door.world.events
    for event, name in ((written, "Write"), (deleted, "Delete")):
        (wanted,) = example(f"eventgrid/eventgrid_Resource{name}Success.json")
        assert keys(wanted) <= keys(event.event_grid())
        assert event.event_grid()["eventType"] == wanted["eventType"]
        (wanted,) = example(f"eventgrid/cloudevents_Resource{name}Success.json")
        assert keys(wanted) <= keys(event.cloud_event())
        assert (event.cloud_event()["type"], event.cloud_event()["specversion"]) == (wanted["type"], wanted["specversion"])
