"""The SDKs against the local Azure: every shape that its answers can have, and its faults."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.arm import Arm
from shared.adapters.credentials import LocalCredential
from shared.core.arm_id import ArmId
from shared.core.errors import (
    AzureError,
    AzureForbiddenError,
    AzureMalformedError,
    AzurePolicyError,
    AzureUnauthorizedError,
    AzureUnavailableError,
)
from shared.core.model import ConnectionStatus, LinkProvisioning, LinkStatus, Target
from shared.local_azure import LOCAL_TOKEN, SUBSCRIPTION, Knobs, LocalAzure, ManualClock, World
from shared.local_azure.faults import (
    CloseSocket,
    Fault,
    Hang,
    Refuse,
    lost_answer,
    not_json,
    server_error,
    throttled,
    wrong_shape,
)
from shared.local_azure.ids import Spelling
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MESSAGE = "please approve"


@asynccontextmanager
async def served(
    world: World, *, clock: FakeClock | None = None, give_up_after: float = 5.0
) -> AsyncIterator[tuple[LocalAzure, Arm]]:
    async with LocalAzure(world) as server:
        arm = Arm(
            endpoint=server.url,
            scope=f"{server.url}/.default",
            credential=LocalCredential(),
            clock=clock or FakeClock(),
            timeout=give_up_after,
            reads_per_second=0,
        )
        async with arm:
            yield server, arm


def filled(knobs: Knobs | None = None) -> World:
    """Services, links, a site with a slot, connections: enough for several small pages."""
    world = World(clock=ManualClock(), knobs=knobs)
    site = world.add_site(public_network_access="Enabled")
    slot = world.add_slot(site, "stage")
    for number in range(5):
        service = world.add_signalr(f"signalr-{number}", upstream=[f"https://x.net/{{hub}}/{number}?code=SECRET"])
        for link in range(number):
            world.put_link(service, f"link-{link}", slot if link % 2 else site, MESSAGE if link else None)
    world.request_connection(site, "stranger", MESSAGE)
    return world


async def everything(arm: Arm, world: World) -> Any:  # noqa: ANN401  compared as a whole
    services = (await arm.list_signalr(SUBSCRIPTION)).value
    targets = sorted(Target(ArmId.parse(str(found.id))).id for found in world.all_targets())
    targets += [target.child("slots", "stage") for target in targets if target.path[-1][0] == "sites"]
    return (
        services,
        [(await arm.get_signalr(service.id)).value for service in services],
        [(await arm.get_site(Target(target))).value for target in dict.fromkeys(targets)],
        [(await arm.list_connections(Target(target))).value for target in dict.fromkeys(targets)],
    )


@given(
    spelling=st.sampled_from(Spelling),
    page_size=st.integers(1, 4),
    named=st.booleans(),
    misnamed=st.booleans(),
    inline_links=st.booleans(),
    inline_connections=st.booleans(),
    site_sku=st.booleans(),
)
@settings(max_examples=12)
async def test_the_same_world_reads_the_same_whatever_its_answers_look_like(  # noqa: PLR0913  the shapes
    *,
    spelling: Spelling,
    page_size: int,
    named: bool,
    misnamed: bool,
    inline_links: bool,
    inline_connections: bool,
    site_sku: bool,
) -> None:
    """Mixed case, small pages, items without names, misnamed types, links inline or not, tiers inline or not."""
    knobs = Knobs(
        spelling=spelling,
        page_size=page_size,
        list_items_named=named,
        link_type_misnamed=misnamed,
        inline_links=inline_links,
        inline_connections=inline_connections,
        site_sku=site_sku,
    )
    shaped = filled(knobs)
    async with served(shaped) as (_, arm):
        found = await everything(arm, shaped)
    plain = filled()
    async with served(plain) as (_, arm):
        assert lowered(await everything(arm, plain)) == lowered(found)


def lowered(value: object) -> str:
    """Texts that hold ids come in Azure's spelling."""
    return repr(value).lower()


async def test_what_was_read_is_what_is_there() -> None:
    """Not only the same each time."""
    world = filled()
    async with served(world) as (_, arm):
        services, again, sites, connections = await everything(arm, world)
    assert [len(service.links) for service in services] == [0, 1, 2, 3, 4]
    assert services == tuple(again)
    assert services[4].upstream_templates == ("https://x.net/{hub}/4",)
    assert [link.request_message for link in services[4].links] == ["", MESSAGE, MESSAGE, MESSAGE]
    assert [site.target.slot for site in sites] == [None, "stage"]
    assert [len(found) for found in connections] == [7, 4]


async def test_the_tokens_agree() -> None:
    """The local Azure is made apart from what talks to it."""
    assert (await LocalCredential().get_token("scope")).token == LOCAL_TOKEN


async def test_a_link_from_its_making_to_its_approval() -> None:
    """Slowly, as recorded from Azure: provisioning, Approving, the link's own status minutes later."""
    world = World(clock=(clock := ManualClock()), knobs=Knobs.recorded())
    service, site = world.add_signalr(), world.add_site()
    target = Target(ArmId.parse(site))

    async with served(world) as (_, arm):

        async def seen() -> tuple[LinkProvisioning, LinkStatus, list[ConnectionStatus]]:
            found = (await arm.get_signalr(ArmId.parse(service))).value
            connections = (await arm.list_connections(target)).value
            assert found is not None
            assert connections is not None
            return found.links[0].provisioning, found.links[0].status, [connection.status for connection in connections]

        world.put_link(service, "func-pe", site, MESSAGE)
        provisioning, status, connections = await seen()
        assert provisioning is not LinkProvisioning.SUCCEEDED
        assert connections == []
        clock.advance(100)
        assert await seen() == (LinkProvisioning.SUCCEEDED, LinkStatus.PENDING, [ConnectionStatus.PENDING])
        (connection,) = (await arm.list_connections(target)).value or ()
        await arm.set_connection(connection.id, "Approved", "lg:1")
        assert await seen() == (LinkProvisioning.SUCCEEDED, LinkStatus.PENDING, [ConnectionStatus.APPROVING])
        clock.advance(55)
        assert await seen() == (LinkProvisioning.SUCCEEDED, LinkStatus.PENDING, [ConnectionStatus.APPROVED])
        clock.advance(130)
        provisioning, status, connections = await seen()
        assert status is LinkStatus.APPROVED


@pytest.mark.parametrize("status", [200, 202])
async def test_a_decision_is_written_whatever_azure_answers(status: int) -> None:
    """200 without an operation, 202 with one that is not waited for."""
    world = World(knobs=Knobs(put_answers=status))
    connection = world.request_connection(world.add_site(), "func-pe", MESSAGE)
    async with served(world) as (server, arm):
        await arm.set_connection(ArmId.parse(connection), "Approved", "lg:1")
        assert [(decision.connection, decision.status) for decision in world.decisions] == [(connection, "Approved")]
        assert len(server.requests.entries) == 1


@pytest.mark.parametrize(
    ("fault", "done"),
    [
        (lost_answer(), True),
        (Hang(applied=True), True),
        (server_error(500, applied=True), True),
        (CloseSocket(), False),
        (Hang(), False),
        (server_error(), False),
        (throttled(), False),
        (Refuse(status=409, code="AnotherOperationInProgress"), False),
    ],
)
async def test_a_write_is_done_at_most_once(fault: Fault, done: bool) -> None:  # noqa: FBT001  a column of the table
    """Whatever happens to its answer, and the fault is over by the time of a repeat."""
    world = World()
    connection = world.request_connection(world.add_site(), "func-pe", MESSAGE)
    async with served(world, give_up_after=0.3 if isinstance(fault, Hang) else 5.0) as (server, arm):
        server.faults.add(fault, method="PUT", times=1)
        with pytest.raises(AzureError) as caught:
            await arm.set_connection(ArmId.parse(connection), "Approved", "lg:1")
        assert caught.value.retryable
        assert isinstance(caught.value, AzureUnavailableError) or not done
        assert (len(world.decisions), server.requests.writes) == (int(done), 1)


@pytest.mark.parametrize("fault", [throttled(2), server_error(502), CloseSocket(), Refuse(status=408, code="RequestTimeout")])
async def test_reads_get_over_passing_faults(fault: Fault) -> None:
    """Four in a row; a fifth attempt succeeds."""
    world = filled()
    async with served(world) as (server, arm):
        server.faults.add(fault, times=4)
        assert len((await arm.list_signalr(SUBSCRIPTION)).value) == 5
        server.faults.add(fault, times=5)
        with pytest.raises(AzureError):
            await arm.list_signalr(SUBSCRIPTION)


@pytest.mark.parametrize("fault", [not_json(), wrong_shape()])
async def test_junk_is_refused(fault: Fault) -> None:
    """By every read."""
    world = filled()
    async with served(world) as (server, arm):
        server.faults.add(fault, times=None)
        target = Target(ArmId.parse(str(next(iter(world.all_targets())).id)))
        for read in (arm.list_signalr(SUBSCRIPTION), arm.get_site(target), arm.list_connections(target)):
            with pytest.raises(AzureMalformedError):
                await read


@pytest.mark.parametrize(
    "action",
    [
        "Microsoft.SignalRService/SignalR/read",
        "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/read",
        "Microsoft.Web/sites/Read",
        "Microsoft.Web/sites/privateEndpointConnections/Read",
        "Microsoft.Web/sites/privateEndpointConnections/Write",
        "Microsoft.Web/sites/privateEndpointConnections/Delete",
    ],
)
async def test_a_missing_permission_is_named(action: str) -> None:
    """As whoever grants it will have to write it."""
    world = filled(Knobs(inline_links=False))
    target = Target(ArmId.parse(str(next(iter(world.all_targets())).id)))
    connection = target.id.child("privateEndpointConnections", "x")
    async with served(world) as (server, arm):
        server.faults.deny(action)
        refused = []
        for call in (
            arm.list_signalr(SUBSCRIPTION),
            arm.get_site(target),
            arm.list_connections(target),
            arm.set_connection(connection, "Approved", "lg:1"),
            arm.delete_connection(connection),
        ):
            try:
                await call
            except AzureForbiddenError as error:
                refused.append(str(error))
            except AzureError:
                continue
        assert len(refused) == 1
        assert f"needs {action} there" in refused[0]


async def test_a_policy_refuses_a_write() -> None:
    """Its own error, as no permission helps."""
    world = World()
    connection = world.request_connection(world.add_site(), "func-pe", MESSAGE)
    async with served(world) as (server, arm):
        server.faults.forbid_by_policy("*")
        with pytest.raises(AzurePolicyError):
            await arm.set_connection(ArmId.parse(connection), "Approved", "lg:1")
        assert world.decisions == []


async def test_a_token_that_is_not_known_is_refused() -> None:
    """401, and what to do."""
    async with served(filled()) as (server, arm):
        server.door.tokens.clear()
        with pytest.raises(AzureUnauthorizedError, match="az login"):
            await arm.list_signalr(SUBSCRIPTION)


async def test_readings_are_told_by_azures_clock() -> None:
    """Azure's is an hour ahead of this worker's."""
    clock = FakeClock()
    world = World(clock=ManualClock(clock.now()), knobs=Knobs(clock_skew=3600))
    async with served(world, clock=clock) as (_, arm):
        reading = await arm.list_signalr(SUBSCRIPTION)
    azures = clock.now() + timedelta(hours=1)
    assert (reading.started, reading.finished) == (azures, azures + timedelta(seconds=1))
