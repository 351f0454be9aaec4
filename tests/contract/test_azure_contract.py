"""The rules of the port ``Azure``, held against the world in memory and against the SDKs on the local Azure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import pytest

from shared.adapters.arm import Arm
from shared.adapters.credentials import LocalCredential
from shared.core.arm_id import ArmId
from shared.core.errors import AzureNotFoundError, AzureUnavailableError, NotPendingError
from shared.core.model import Connection, ConnectionStatus, LinkProvisioning, LinkStatus, SignalR, Target
from shared.local_azure import LocalAzure
from shared.local_azure.faults import lost_answer
from tests.fakes.azure import SUBSCRIPTION, FakeAzure
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.ports import Azure

MESSAGE = "please approve"
PEC = "Microsoft.Web/sites/privateEndpointConnections"


class Estate(Protocol):
    """A service, a site with a slot, and what a test adds; ``azure`` is the port to it."""

    azure: Azure
    service: ArmId
    site: Target
    slot: Target

    def link(self, name: str, target: Target) -> ArmId:
        """Make a link of the service; returns the id of its connection."""
        ...

    def stranger(self, target: Target) -> ArmId:
        """Request a connection that belongs to no link."""
        ...

    def lose_an_answer(self) -> None:
        """The next write is done, and its answer never arrives."""
        ...


class InMemory:
    def __init__(self) -> None:
        self._world = FakeAzure(FakeClock())
        self.azure: Azure = self._world
        self.service = self._world.add_signalr()
        self.site = self._world.add_site()
        self.slot = self._world.add_site(slot="stage")

    def link(self, name: str, target: Target) -> ArmId:
        return self._world.add_pair(self.service, target, name)

    def stranger(self, target: Target) -> ArmId:
        return self._world.add_connection(target, "stranger", message=MESSAGE)

    def lose_an_answer(self) -> None:
        self._world.lose_write_answers = 1


class Served:
    def __init__(self, server: LocalAzure, azure: Azure) -> None:
        self._server = server
        self.azure = azure
        world = server.world
        world.add_subscription(SUBSCRIPTION)
        self.service = ArmId.parse(world.add_signalr(subscription=SUBSCRIPTION))
        self.site = Target(ArmId.parse(world.add_site(subscription=SUBSCRIPTION, public_network_access="Enabled")))
        self.slot = Target(ArmId.parse(world.add_slot(str(self.site), "stage", public_network_access="Enabled")))

    def link(self, name: str, target: Target) -> ArmId:
        link = self._server.world.put_link(str(self.service), name, str(target), MESSAGE)
        (connection,) = self._server.world.connections_of(link)
        return ArmId.parse(connection)

    def stranger(self, target: Target) -> ArmId:
        return ArmId.parse(self._server.world.request_connection(str(target), "stranger", MESSAGE))

    def lose_an_answer(self) -> None:
        self._server.faults.add(lost_answer(), path="*/privateEndpointConnections/*")


@pytest.fixture(params=["memory", "arm"])
async def estate(request: pytest.FixtureRequest) -> AsyncIterator[Estate]:
    if request.param == "memory":
        yield InMemory()
        return
    async with (
        LocalAzure() as server,
        Arm(
            endpoint=server.url,
            scope=f"{server.url}/.default",
            credential=LocalCredential(),
            clock=FakeClock(),
            reads_per_second=0,
        ) as arm,
    ):
        yield Served(server, arm)


async def the_service(estate: Estate) -> SignalR:
    found = (await estate.azure.get_signalr(estate.service)).value
    assert found is not None
    return found


async def connections(estate: Estate, target: Target) -> dict[ArmId, Connection]:
    found = (await estate.azure.list_connections(target)).value
    assert found is not None
    return {connection.id: connection for connection in found}


async def test_a_service_is_listed_and_read_with_its_links(estate: Estate) -> None:
    """The same by both calls."""
    estate.link("func-pe", estate.site)
    estate.link("stage-pe", estate.slot)
    listed = await estate.azure.list_signalr(SUBSCRIPTION)
    (service,) = listed.value
    assert service == await the_service(estate)
    assert (service.id, service.tier, service.service_mode) == (estate.service, "Standard", "Serverless")
    assert {link.name: link.target for link in service.links} == {"func-pe": estate.site, "stage-pe": estate.slot}
    for link in service.links:
        assert (link.status, link.provisioning) == (LinkStatus.PENDING, LinkProvisioning.SUCCEEDED)
        assert (link.request_message, link.signalr) == (MESSAGE, estate.service)
        assert link.created_at is not None


async def test_a_site_and_its_slot_are_two_targets(estate: Estate) -> None:
    """Each with its own connections."""
    ours, other = estate.link("func-pe", estate.site), estate.link("stage-pe", estate.slot)
    for target, connection in ((estate.site, ours), (estate.slot, other)):
        site = (await estate.azure.get_site(target)).value
        assert site is not None
        assert (site.target, site.public_network_access, site.tier) == (target, "Enabled", "PremiumV3")
        assert set(await connections(estate, target)) == {connection}


async def test_a_pending_connection_shows_its_message_and_its_endpoint(estate: Estate) -> None:
    """What evidence is made of."""
    ours, strangers = estate.link("func-pe", estate.site), estate.stranger(estate.site)
    found = await connections(estate, estate.site)
    assert set(found) == {ours, strangers}
    assert {(c.status, c.status_text, c.description) for c in found.values()} == {(ConnectionStatus.PENDING, "Pending", MESSAGE)}
    assert [endpoint.name for c in found.values() if (endpoint := c.endpoint)] == ["func-pe", "stranger"]


async def test_what_does_not_exist_is_none(estate: Estate) -> None:
    """A reading of it, not an error."""
    nothing = Target(estate.site.id.sibling("nothing"))
    readings = [
        await estate.azure.get_signalr(estate.service.sibling("nothing")),
        await estate.azure.get_site(nothing),
        await estate.azure.get_site(Target.of(estate.site.id, "nothing")),
        await estate.azure.list_connections(nothing),
    ]
    assert [reading.value for reading in readings] == [None] * 4
    assert all(reading.started <= reading.finished for reading in readings)


async def test_a_target_without_connections_has_none(estate: Estate) -> None:
    """Which is not the same as no target."""
    assert (await estate.azure.list_connections(estate.site)).value == ()


@pytest.mark.parametrize("at", ["site", "slot"])
async def test_approving_replaces_the_description_and_reaches_the_link(estate: Estate, at: str) -> None:
    """And no other connection."""
    target = estate.site if at == "site" else estate.slot
    ours, strangers = estate.link("func-pe", target), estate.stranger(target)
    await estate.azure.set_connection(ours, "Approved", "lg:1 rule please approve")
    found = await connections(estate, target)
    assert (found[ours].status, found[ours].description) == (ConnectionStatus.APPROVED, "lg:1 rule please approve")
    assert (found[strangers].status, found[strangers].description) == (ConnectionStatus.PENDING, MESSAGE)
    assert [link.status for link in (await the_service(estate)).links] == [LinkStatus.APPROVED]


async def test_rejecting_what_is_approved_takes_it_back(estate: Estate) -> None:
    """Where Azure lets it."""
    ours = estate.link("func-pe", estate.site)
    await estate.azure.set_connection(ours, "Approved", "lg:1")
    await estate.azure.set_connection(ours, "Rejected", "lg:2")
    assert (await connections(estate, estate.site))[ours].status is ConnectionStatus.REJECTED


async def test_what_is_decided_is_not_approved_again(estate: Estate) -> None:
    """Somebody was first; the caller reads again."""
    ours = estate.link("func-pe", estate.site)
    await estate.azure.set_connection(ours, "Rejected", "no")
    with pytest.raises(NotPendingError) as caught:
        await estate.azure.set_connection(ours, "Approved", "lg:1")
    assert not caught.value.retryable
    assert caught.value.code == "PrivateEndpointConnectionStatusNotPending"


async def test_a_connection_that_is_gone_cannot_be_approved(estate: Estate) -> None:
    """Not found, and nothing is made."""
    with pytest.raises(AzureNotFoundError):
        await estate.azure.set_connection(estate.site.id.child("privateEndpointConnections", "nothing"), "Approved", "lg:1")
    assert await connections(estate, estate.site) == {}


async def test_deleting_is_done_once_and_may_be_asked_twice(estate: Estate) -> None:
    """What is gone is gone."""
    ours = estate.link("func-pe", estate.site)
    await estate.azure.delete_connection(ours)
    await estate.azure.delete_connection(ours)
    assert await connections(estate, estate.site) == {}
    assert [link.status for link in (await the_service(estate)).links] == [LinkStatus.DISCONNECTED]


async def test_a_lost_answer_is_not_known_to_be_done(estate: Estate) -> None:
    """A later read tells."""
    ours = estate.link("func-pe", estate.site)
    estate.lose_an_answer()
    with pytest.raises(AzureUnavailableError):
        await estate.azure.set_connection(ours, "Approved", "lg:1")
    assert (await connections(estate, estate.site))[ours].status is ConnectionStatus.APPROVED
    assert estate.azure.calls.writes == 1


async def test_calls_are_counted(estate: Estate) -> None:
    """By operation, for the budget of calls that an approval and a sweep have."""
    ours = estate.link("func-pe", estate.site)
    before = replace(estate.azure.calls)
    await estate.azure.list_signalr(SUBSCRIPTION)
    await estate.azure.get_signalr(estate.service)
    await estate.azure.get_site(estate.site)
    await estate.azure.list_connections(estate.site)
    await estate.azure.set_connection(ours, "Approved", "lg:1")
    after = estate.azure.calls
    assert (after.reads - before.reads, after.writes - before.writes, after.throttled) == (4, 1, 0)
    assert after.by_operation == {
        "GET Microsoft.SignalRService/signalR": 2,
        "GET Microsoft.Web/sites": 1,
        f"GET {PEC}": 1,
        f"PUT {PEC}": 1,
    }


async def test_the_sites_of_a_subscription_are_listed_without_their_slots(estate: Estate) -> None:
    """Each with its exposure, its tier, its host names, and its connections where the list carries them."""
    stranger = estate.stranger(estate.site)
    (listed,) = (await estate.azure.list_sites(SUBSCRIPTION)).value
    assert listed.site.target == estate.site
    assert (listed.site.public_network_access, listed.site.tier) == ("Enabled", "PremiumV3")
    assert f"{estate.site.id.name}.azurewebsites.net" in listed.host_names
    assert [connection.id for connection in listed.connections or ()] == [stranger]
