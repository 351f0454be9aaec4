"""Every operation that is served, asked by the real SDKs' clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceNotFoundError

from shared.local_azure import Knobs, LocalAzure
from shared.local_azure.knobs import OperationResult
from tests.local_azure.clients import GROUP, PLAIN, SERVICE, SITE, Clients, clients, decision_body, link_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable


@pytest.fixture
async def azure() -> AsyncIterator[LocalAzure]:
    async with LocalAzure() as local:
        local.world.add_signalr(SERVICE, upstream=["https://contoso-func.azurewebsites.net/runtime/webhooks/signalr"])
        local.world.add_site(SITE)
        yield local


@pytest.fixture
async def sdk(azure: LocalAzure) -> AsyncIterator[Clients]:
    async with clients(azure) as made:
        yield made


def site_id(azure: LocalAzure) -> str:
    return str(next(azure.world.all_targets()).id)


def service_id(azure: LocalAzure) -> str:
    return str(next(azure.world.all_services()).id)


async def connections(sdk: Clients) -> list[Any]:
    listed = sdk.web.web_apps.get_private_endpoint_connection_list(GROUP, SITE, **PLAIN)
    return [connection async for connection in listed]


async def test_a_link_put_by_the_sdk_opens_a_pending_connection(azure: LocalAzure, sdk: Clients) -> None:
    """begin_create_or_update polls to Succeeded; the link is then Succeeded and Pending, its connection waits."""
    links = sdk.signalr.signal_rshared_private_link_resources
    poller = await links.begin_create_or_update("func-pe", GROUP, SERVICE, link_body(site_id(azure)), **PLAIN)
    link = await poller.result()
    assert (link.provisioning_state, link.status, link.request_message) == ("Succeeded", "Pending", "please approve")
    (connection,) = await connections(sdk)
    state = connection.properties.private_link_service_connection_state
    assert (state.status, state.description) == ("Pending", "please approve")
    assert connection.properties.private_endpoint.id.endswith("/privateEndpoints/func-pe")
    assert azure.world.genuine(connection.id) == link.id


async def test_links_are_listed_read_and_deleted(azure: LocalAzure, sdk: Clients) -> None:
    """A deleted link is gone, and so is the connection it opened."""
    link = azure.world.put_link(service_id(azure), "func-pe", site_id(azure))
    links = sdk.signalr.signal_rshared_private_link_resources
    assert [item.id async for item in links.list(GROUP, SERVICE, **PLAIN)] == [link]
    assert (await links.get("FUNC-PE", GROUP, SERVICE, **PLAIN)).id == link
    await (await links.begin_delete("func-pe", GROUP, SERVICE, **PLAIN)).result()
    with pytest.raises(ResourceNotFoundError):
        await links.get("func-pe", GROUP, SERVICE, **PLAIN)
    assert await connections(sdk) == []


async def test_an_approval_without_polling_is_confirmed_by_reading(azure: LocalAzure, sdk: Clients) -> None:
    """PUT Approved, polling=False: the connection and then its link say Approved; the description is the approver's."""
    link = azure.world.put_link(service_id(azure), "func-pe", site_id(azure))
    (connection,) = await connections(sdk)
    await sdk.web.web_apps.begin_approve_or_reject_private_endpoint_connection(
        GROUP, SITE, connection.name, decision_body("Approved", "lg:1"), polling=False, **PLAIN
    )
    read = await sdk.web.web_apps.get_private_endpoint_connection(GROUP, SITE, connection.name, **PLAIN)
    state = read.properties.private_link_service_connection_state
    assert (state.status, state.description, read.properties.ip_addresses) == ("Approved", "lg:1", ["10.0.0.4"])
    assert azure.world.link_status(link) == ("Approved", "Succeeded")
    (approval,) = azure.world.approvals
    assert (approval.connection, approval.link, approval.by) == (connection.id, link, "local")


async def test_the_sdks_own_poller_gets_the_approved_connection(azure: LocalAzure, sdk: Clients) -> None:
    """Where the operation's URL answers a status, as the poller wants, it ends with the connection."""
    azure.knobs.approving = 0.05
    azure.world.put_link(service_id(azure), "func-pe", site_id(azure))
    (connection,) = await connections(sdk)
    poller = await sdk.web.web_apps.begin_approve_or_reject_private_endpoint_connection(
        GROUP, SITE, connection.name, decision_body("Approved"), **PLAIN
    )
    approved = await poller.result()
    assert approved.properties.private_link_service_connection_state.status == "Approved"


@pytest.mark.parametrize("result", [OperationResult.RESOURCE, OperationResult.EMPTY])
async def test_a_poller_fails_where_the_operation_has_no_status(azure: LocalAzure, sdk: Clients, result: OperationResult) -> None:
    """The other two answers that Azure may give break the SDK's poller, although the approval was done."""
    azure.knobs.site_operation_result = result
    azure.world.put_link(service_id(azure), "func-pe", site_id(azure))
    (connection,) = await connections(sdk)
    poller = await sdk.web.web_apps.begin_approve_or_reject_private_endpoint_connection(
        GROUP, SITE, connection.name, decision_body("Approved"), **PLAIN
    )
    with pytest.raises(HttpResponseError):
        await poller.result()
    assert azure.world.connection_status(connection.id) == "Approved"


async def test_a_rejected_connection_stays_rejected(azure: LocalAzure, sdk: Clients) -> None:
    """A second decision is refused with 409 PrivateEndpointConnectionStatusNotPending."""
    azure.world.put_link(service_id(azure), "func-pe", site_id(azure))
    (connection,) = await connections(sdk)
    decide = sdk.web.web_apps.begin_approve_or_reject_private_endpoint_connection
    await decide(GROUP, SITE, connection.name, decision_body("Rejected"), polling=False, **PLAIN)
    with pytest.raises(ResourceExistsError) as refused:
        await decide(GROUP, SITE, connection.name, decision_body("Approved"), polling=False, **PLAIN)
    assert refused.value.status_code == 409
    assert refused.value.error is not None
    assert refused.value.error.code == "PrivateEndpointConnectionStatusNotPending"
    assert azure.world.connection_status(connection.id) == "Rejected"


async def test_a_connection_is_deleted_on_the_sites_side(azure: LocalAzure, sdk: Clients) -> None:
    """It vanishes, the link says Disconnected, and deleting it again is no error."""
    link = azure.world.put_link(service_id(azure), "func-pe", site_id(azure))
    (connection,) = await connections(sdk)
    delete = sdk.web.web_apps.begin_delete_private_endpoint_connection
    await delete(GROUP, SITE, connection.name, polling=False, **PLAIN)
    assert await connections(sdk) == []
    assert azure.world.link_status(link) == ("Disconnected", "Succeeded")
    await delete(GROUP, SITE, connection.name, polling=False, **PLAIN)


async def test_a_slot_has_connections_of_its_own(azure: LocalAzure, sdk: Clients) -> None:
    """Group sites-<slot> leads to the slot: listed, read, approved and deleted there, not on the site."""
    azure.world.add_slot(site_id(azure), "staging")
    links = sdk.signalr.signal_rshared_private_link_resources
    body = link_body(site_id(azure), group_id="sites-staging")
    await (await links.begin_create_or_update("slot-pe", GROUP, SERVICE, body, **PLAIN)).result()
    assert await connections(sdk) == []
    apps = sdk.web.web_apps
    (connection,) = [c async for c in apps.get_private_endpoint_connection_list_slot(GROUP, SITE, "staging", **PLAIN)]
    assert "/slots/staging/privateEndpointConnections/" in connection.id
    await apps.begin_approve_or_reject_private_endpoint_connection_slot(
        GROUP, SITE, connection.name, "staging", decision_body("Approved"), polling=False, **PLAIN
    )
    read = await apps.get_private_endpoint_connection_slot(GROUP, SITE, connection.name, "staging", **PLAIN)
    assert read.properties.private_link_service_connection_state.status == "Approved"
    assert read.type == "Microsoft.Web/sites/slots/privateEndpointConnections"
    await apps.begin_delete_private_endpoint_connection_slot(GROUP, SITE, connection.name, "staging", polling=False, **PLAIN)
    assert azure.world.connection_status(connection.id) is None


async def test_services_are_listed_over_all_pages(azure: LocalAzure, sdk: Clients) -> None:
    """Each nextLink is followed until everything has been seen once, in one subscription or one resource group."""
    for number in range(7):
        azure.world.add_signalr(f"more-{number}", group="other")
    azure.knobs.page_size = 3
    services = sdk.signalr.signal_r
    names = [service.name async for service in services.list_by_subscription(**PLAIN)]
    assert sorted(names) == [SERVICE, *(f"more-{n}" for n in range(7))]
    assert azure.requests.counts["list Microsoft.SignalRService/SignalR"] == 3
    assert len([one async for one in services.list_by_resource_group("OTHER", **PLAIN)]) == 7
    assert [one.name async for one in services.list_by_resource_group(GROUP, **PLAIN)] == [SERVICE]


async def test_connections_and_sites_are_listed_over_all_pages(azure: LocalAzure, sdk: Clients) -> None:
    """The lists of Microsoft.Web page as well."""
    ids = {azure.world.request_connection(site_id(azure), f"pe-{number}") for number in range(5)}
    for number in range(4):
        azure.world.add_site(f"site-{number}")
    azure.knobs.page_size = 2
    assert {connection.id for connection in await connections(sdk)} == ids
    assert len([site async for site in sdk.web.web_apps.list(**PLAIN)]) == 5
    assert len([site async for site in sdk.web.web_apps.list_by_resource_group(GROUP, **PLAIN)]) == 5


async def test_a_service_shows_tier_mode_upstream_and_links(azure: LocalAzure, sdk: Clients) -> None:
    """What the engine wants to know of a service is in its own GET."""
    azure.world.put_link(service_id(azure), "func-pe", site_id(azure))
    service = await sdk.signalr.signal_r.get(GROUP, SERVICE, **PLAIN)
    assert service.sku.tier == "Standard"
    assert next((f.flag, f.value) for f in service.features) == ("ServiceMode", "Serverless")
    assert [t.url_template for t in service.upstream.templates] == [
        "https://contoso-func.azurewebsites.net/runtime/webhooks/signalr"
    ]
    assert [link.name for link in service.shared_private_link_resources] == ["func-pe"]


async def test_a_site_shows_exposure_plan_and_inline_connections(azure: LocalAzure, sdk: Clients) -> None:
    """Its publicNetworkAccess stays null when the first connection is approved; what that does is told apart."""
    connection = azure.world.request_connection(site_id(azure), "pe")
    azure.world.approve(connection)
    site = await sdk.web.web_apps.get(GROUP, SITE, **PLAIN)
    properties = site["properties"]
    assert properties["publicNetworkAccess"] is None
    assert azure.world.effective_public_access(site_id(azure)) == "Disabled"
    assert properties["sku"] == "PremiumV3"
    assert [inline["id"] for inline in properties["privateEndpointConnections"]] == [connection]
    plan = await sdk.web.app_service_plans.get(GROUP, f"{SITE}-plan", **PLAIN)
    assert (plan.id, plan.sku.tier) == (properties["serverFarmId"], "PremiumV3")


async def test_services_sites_and_slots_are_made_and_deleted(azure: LocalAzure, sdk: Clients) -> None:
    """PUT and DELETE of what links and connections hang on."""
    made: Any = {
        "location": "eastus",
        "sku": {"name": "Premium_P1"},
        "properties": {
            "features": [{"flag": "ServiceMode", "value": "Serverless"}],
            "upstream": {"templates": [{"urlTemplate": "https://x.example/{hub}"}]},
        },
    }
    service = await (await sdk.signalr.signal_r.begin_create_or_update(GROUP, "new", made, **PLAIN)).result()
    assert (service.sku.tier, service.provisioning_state) == ("Premium", "Succeeded")
    await (await sdk.signalr.signal_r.begin_delete(GROUP, "new", **PLAIN)).result()
    with pytest.raises(ResourceNotFoundError):
        await sdk.signalr.signal_r.get(GROUP, "new", **PLAIN)

    plan = azure.world.add_plan("plan", tier="Basic")
    body: Any = {"location": "East US", "kind": "app", "properties": {"serverFarmId": plan, "publicNetworkAccess": "Enabled"}}
    apps = sdk.web.web_apps
    site = await (await apps.begin_create_or_update(GROUP, "new", body, **PLAIN)).result()
    assert (site["properties"]["sku"], site["properties"]["publicNetworkAccess"]) == ("Basic", "Enabled")
    await (await apps.begin_create_or_update_slot(GROUP, "new", "blue", body, **PLAIN)).result()
    assert [slot.name async for slot in apps.list_slots(GROUP, "new", **PLAIN)] == ["new/blue"]
    await apps.delete_slot(GROUP, "new", "blue", **PLAIN)
    await apps.delete(GROUP, "new", **PLAIN)
    with pytest.raises(ResourceNotFoundError):
        await apps.get(GROUP, "new", **PLAIN)


async def test_what_is_not_there_is_told_apart(azure: LocalAzure, sdk: Clients) -> None:
    """404 with ARM's code for a subscription, a group, a resource and a connection."""

    async def code(call: Awaitable[object]) -> str:
        with pytest.raises(ResourceNotFoundError) as missing:
            await call
        assert missing.value.error is not None
        return str(missing.value.error.code)

    apps = sdk.web.web_apps
    assert await code(apps.get(GROUP, "nothing", **PLAIN)) == "ResourceNotFound"
    assert await code(apps.get("nowhere", SITE, **PLAIN)) == "ResourceGroupNotFound"
    assert await code(apps.get_private_endpoint_connection(GROUP, SITE, "nothing", **PLAIN)) == "NotFound"
    assert await code(apps.get_slot(GROUP, SITE, "nothing", **PLAIN)) == "ResourceNotFound"
    async with clients(azure, subscription="00000000-0000-0000-0000-00000000dead") as elsewhere:
        assert await code(elsewhere.signalr.signal_r.get(GROUP, SERVICE, **PLAIN)) == "SubscriptionNotFound"


async def test_an_unknown_token_is_refused(azure: LocalAzure) -> None:
    """401, and nothing is done."""
    async with clients(azure, token="somebody-elses") as stranger:
        with pytest.raises(ClientAuthenticationError):
            await stranger.web.web_apps.get(GROUP, SITE, **PLAIN)


async def test_a_link_to_what_does_not_exist_fails(azure: LocalAzure, sdk: Clients) -> None:
    """Its provisioningState is Failed, the poller says so, and no connection is opened."""
    links = sdk.signalr.signal_rshared_private_link_resources
    body = link_body(site_id(azure), group_id="sites-nowhere")
    poller = await links.begin_create_or_update("func-pe", GROUP, SERVICE, body, **PLAIN)
    with pytest.raises(HttpResponseError):
        await poller.result()
    assert azure.world.link_status(f"{service_id(azure)}/sharedPrivateLinkResources/func-pe") == ("Pending", "Failed")
    assert await connections(sdk) == []


async def test_a_link_of_another_kind_opens_nothing_here() -> None:
    """A key vault's link succeeds and stays Pending: not the business of any site."""
    async with LocalAzure(knobs=Knobs(link_provisioning=0)) as azure, clients(azure) as sdk:
        azure.world.add_signalr(SERVICE)
        vault = "/subscriptions/00000000-0000-0000-0000-0000000000a1/resourceGroups/x/providers/Microsoft.KeyVault/vaults/v"
        links = sdk.signalr.signal_rshared_private_link_resources
        poller = await links.begin_create_or_update("kv", GROUP, SERVICE, link_body(vault, group_id="vault"), **PLAIN)
        link = await poller.result()
        assert (link.status, link.provisioning_state) == ("Pending", "Succeeded")
