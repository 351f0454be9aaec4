"""What goes wrong on demand, seen through a socket by a client that repeats nothing."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ServiceRequestError, ServiceResponseError

from shared.local_azure import LOCAL_TOKEN, LocalAzure
from shared.local_azure import faults as wrong
from tests.local_azure.clients import GROUP, PLAIN, SITE, Clients, clients, decision_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

NAME = "connection"


@pytest.fixture
async def azure() -> AsyncIterator[LocalAzure]:
    async with LocalAzure() as local:
        local.world.request_connection(local.world.add_site(SITE), "pe", "m", name=NAME)
        yield local


@pytest.fixture
async def sdk(azure: LocalAzure) -> AsyncIterator[Clients]:
    async with clients(azure) as made:
        yield made


def status(azure: LocalAzure) -> str | None:
    (target,) = azure.world.all_targets()
    return azure.world.connection_status(f"{target.id}/privateEndpointConnections/{NAME}")


async def read(sdk: Clients) -> Any:  # noqa: ANN401  see Clients
    return await sdk.web.web_apps.get_private_endpoint_connection(GROUP, SITE, NAME, **PLAIN)


async def approve(sdk: Clients) -> None:
    await sdk.web.web_apps.begin_approve_or_reject_private_endpoint_connection(
        GROUP, SITE, NAME, decision_body("Approved"), polling=False, **PLAIN
    )


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what another task does, within reason."""
    for _ in range(500):
        if is_so():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came to be")


@pytest.mark.parametrize(
    ("fault", "code"),
    [(wrong.throttled(7), 429), (wrong.server_error(500), 500), (wrong.server_error(), 503), (wrong.server_error(504), 504)],
)
async def test_a_refusal_comes_as_often_as_it_was_asked_for(
    azure: LocalAzure, sdk: Clients, fault: wrong.Refuse, code: int
) -> None:
    """Twice here, then all is well; the log says which."""
    rule = azure.faults.add(fault, method="GET", path="*/privateendpointconnections/*", times=2)
    for _ in range(2):
        with pytest.raises(HttpResponseError) as refused:
            await read(sdk)
        assert refused.value.status_code == code
        answer: Any = refused.value.response
        assert answer.headers.get("Retry-After") == fault.headers.get("Retry-After")
    assert (await read(sdk)).name == NAME
    assert rule.hits == 2
    assert [(entry.status, entry.fault) for entry in azure.requests.entries] == [(code, "Refuse")] * 2 + [(200, "")]


async def test_a_fault_is_for_the_requests_that_it_names(azure: LocalAzure, sdk: Clients) -> None:
    """Others pass: another method, another path, and those that are skipped."""
    azure.faults.add(wrong.server_error(), method="GET", path="*/privateEndpointConnections/*", skip=1)
    await approve(sdk)
    await sdk.web.web_apps.get(GROUP, SITE, **PLAIN)
    await read(sdk)
    with pytest.raises(HttpResponseError):
        await read(sdk)
    await read(sdk)


async def test_a_closed_socket_is_no_answer(azure: LocalAzure, sdk: Clients) -> None:
    """And nothing was done."""
    # aiohttp itself sends a PUT again whose connection was closed, once.
    azure.faults.add(wrong.CloseSocket(), method="PUT", times=2)
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        await approve(sdk)
    assert status(azure) == "Pending"
    assert azure.requests.entries[-1].status == 0


async def test_an_answer_may_be_lost_after_the_put_was_applied(azure: LocalAzure, sdk: Clients) -> None:
    """The caller cannot know; a second PUT is refused, since it is not Pending any more."""
    azure.faults.add(wrong.lost_answer(), method="PUT", times=2)
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        await approve(sdk)
    assert status(azure) == "Approved"
    with pytest.raises(ResourceExistsError):
        await approve(sdk)


async def test_an_error_may_hide_that_the_put_was_applied(azure: LocalAzure, sdk: Clients) -> None:
    """500, and yet it was done."""
    azure.faults.add(wrong.server_error(500, applied=True), method="PUT")
    with pytest.raises(HttpResponseError):
        await approve(sdk)
    assert status(azure) == "Approved"


async def test_a_hanging_answer_never_comes(azure: LocalAzure, sdk: Clients) -> None:
    """Only the caller's own time limit ends it, and the server still stops at once."""
    azure.faults.add(wrong.Hang())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await read(sdk)


async def test_a_server_stops_while_an_answer_hangs() -> None:
    """The caller sees a closed connection."""
    async with aiohttp.ClientSession() as session:
        async with LocalAzure() as azure:
            azure.faults.add(wrong.Hang())
            waiting = asyncio.create_task(session.get(azure.url))
            await until(lambda: bool(azure.requests.entries))
        with pytest.raises(aiohttp.ClientError):
            await waiting


@pytest.mark.parametrize("fault", [wrong.not_json(), wrong.wrong_shape(), wrong.Junk(body=b"{"), wrong.Junk(body=b"")])
async def test_a_body_may_be_junk(azure: LocalAzure, fault: wrong.Junk) -> None:
    """It arrives as it is."""
    azure.faults.add(fault)
    async with aiohttp.ClientSession() as session, session.get(azure.url) as answer:
        assert (answer.status, await answer.read()) == (fault.status, fault.body)
        assert answer.headers["Content-Type"] == fault.content_type


async def test_an_answer_may_be_rewritten(azure: LocalAzure, sdk: Clients) -> None:
    """Its JSON, by a function: for what no knob does."""

    def unknown_status(body: Any) -> Any:  # noqa: ANN401  JSON
        body["properties"]["privateLinkServiceConnectionState"]["status"] = "Pondering"
        return body

    azure.faults.add(wrong.Rewrite(change=unknown_status), path="*/privateEndpointConnections/*")
    assert (await read(sdk)).properties.private_link_service_connection_state.status == "Pondering"
    assert (await read(sdk)).properties.private_link_service_connection_state.status == "Pending"


async def test_one_answer_may_be_stale_or_late(azure: LocalAzure, sdk: Clients) -> None:
    """Reads of one resource too."""
    await approve(sdk)
    azure.faults.add(wrong.Delay(seconds=0.05))
    started = asyncio.get_running_loop().time()
    assert (await read(sdk)).properties.private_link_service_connection_state.status == "Approved"
    assert asyncio.get_running_loop().time() - started >= 0.04
    azure.faults.add(wrong.Stale(seconds=3600))
    with pytest.raises(HttpResponseError) as missing:
        await read(sdk)
    assert missing.value.status_code == 404


async def test_a_fault_may_come_by_chance(azure: LocalAzure) -> None:
    """From a seed, so that a run can be repeated."""
    rule = azure.faults.add(wrong.server_error(), times=None, chance=0.5)
    headers = {"Authorization": f"Bearer {LOCAL_TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for _ in range(60):
            async with session.get(azure.url) as answer:
                json.loads(await answer.read())
    assert 10 < rule.hits < 50
    azure.faults.remove(rule)
    assert azure.faults.rules == []
