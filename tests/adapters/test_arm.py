"""The port ``Azure`` over the SDKs' own clients, against a server that answers as told."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import warnings
from datetime import timedelta
from email.utils import format_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from shared.adapters.arm import Arm, import_sdk
from shared.adapters.credentials import LocalCredential
from shared.core.errors import (
    AzureError,
    AzureMalformedError,
    AzureNotFoundError,
    AzurePolicyError,
    AzureThrottledError,
    AzureUnauthorizedError,
    AzureUnavailableError,
    ConfigError,
    NotPendingError,
)
from shared.core.model import ConnectionStatus
from tests.adapters.scripted_arm import (
    CONNECTION,
    PLAN,
    SERVICE,
    SITE,
    SLOT,
    SLOT_CONNECTION,
    SUBSCRIPTION,
    TARGET,
    ScriptedArm,
    closed,
    cut_short,
    failed,
    raw,
    said,
    scripted_arm,
)
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from shared.core.arm_id import ArmId
    from shared.core.model import Target
    from shared.ports import Azure

ATTEMPTS = 5
NOTHING = said({"value": []})
PEC = "Microsoft.Web/sites/privateEndpointConnections"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedArm]:
    async with scripted_arm() as running:
        yield running


@pytest.fixture
async def arm(server: ScriptedArm) -> AsyncIterator[Arm]:
    async with server.arm() as made:
        yield made


def connection(number: int, target: Target = TARGET) -> dict[str, Any]:
    state = {"status": "Pending", "description": "please approve"}
    return {
        "id": f"{target.id}/privateEndpointConnections/func-pe-{number}",
        "properties": {"privateEndpoint": None, "privateLinkServiceConnectionState": state},
    }


def link(name: str) -> dict[str, Any]:
    properties = {"groupId": "sites", "privateLinkResourceId": str(SITE), "status": "Pending", "provisioningState": "Succeeded"}
    return {"id": f"{SERVICE}/sharedPrivateLinkResources/{name}", "properties": properties}


def service(*links: object, service_id: ArmId = SERVICE, inline: bool = True) -> dict[str, Any]:
    return {"id": str(service_id), "properties": {"sharedPrivateLinkResources": list(links) if inline else None}}


def site(target: Target = TARGET, **properties: object) -> dict[str, Any]:
    return {"id": str(target.id), "properties": {"publicNetworkAccess": "Enabled", **properties}}


READS: dict[str, Callable[[Azure], Awaitable[object]]] = {
    "list_signalr": lambda azure: azure.list_signalr(SUBSCRIPTION),
    "get_signalr": lambda azure: azure.get_signalr(SERVICE),
    "get_site": lambda azure: azure.get_site(TARGET),
    "get_site of a slot": lambda azure: azure.get_site(SLOT),
    "list_connections": lambda azure: azure.list_connections(TARGET),
    "list_connections of a slot": lambda azure: azure.list_connections(SLOT),
}
WRITES: dict[str, Callable[[Azure], Awaitable[None]]] = {
    "set_connection": lambda azure: azure.set_connection(CONNECTION, "Approved", "lg:1"),
    "set_connection of a slot": lambda azure: azure.set_connection(SLOT_CONNECTION, "Rejected", "lg:1"),
    "delete_connection": lambda azure: azure.delete_connection(CONNECTION),
    "delete_connection of a slot": lambda azure: azure.delete_connection(SLOT_CONNECTION),
}
every_read = pytest.mark.parametrize("read", READS.values(), ids=READS)
every_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)


class TestReading:
    async def test_services_come_with_their_inline_links_in_one_call(self, server: ScriptedArm, arm: Arm) -> None:
        """One list call a subscription."""
        server.will(said({"value": [service(link("func-pe"), link("other"))]}))
        reading = await arm.list_signalr(SUBSCRIPTION)
        assert [found.name for found in reading.value[0].links] == ["func-pe", "other"]
        assert arm.calls.by_operation == {"GET Microsoft.SignalRService/signalR": 1}

    async def test_links_that_are_not_inline_are_listed(self, server: ScriptedArm, arm: Arm) -> None:
        """No list is not the empty list."""
        server.will(said({"value": [service(inline=False)]}), said({"value": [link("func-pe")]}))
        reading = await arm.list_signalr(SUBSCRIPTION)
        assert [found.name for found in reading.value[0].links] == ["func-pe"]
        assert server.requests[1].path == f"{SERVICE}/sharedPrivateLinkResources"

    async def test_a_service_that_vanishes_before_its_links_are_listed_is_gone(self, server: ScriptedArm, arm: Arm) -> None:
        """From the list and from its own read."""
        server.will(said({"value": [service(inline=False)]}), failed(404, "ResourceNotFound"))
        assert (await arm.list_signalr(SUBSCRIPTION)).value == ()
        server.answers.clear()
        server.will(said(service(inline=False)), failed(404, "ResourceNotFound"))
        assert (await arm.get_signalr(SERVICE)).value is None

    async def test_the_empty_list_needs_no_second_call(self, server: ScriptedArm, arm: Arm) -> None:
        """It says that there are no links."""
        server.will(said(service()))
        found = (await arm.get_signalr(SERVICE)).value
        assert found is not None
        assert (found.links, arm.calls.reads) == ((), 1)

    async def test_a_site_that_tells_its_tier_is_one_call(self, server: ScriptedArm, arm: Arm) -> None:
        """Exposure and tier."""
        server.will(said(site(sku="PremiumV3", serverFarmId=PLAN)))
        found = (await arm.get_site(TARGET)).value
        assert found is not None
        assert (found.tier, found.public_network_access, arm.calls.reads) == ("PremiumV3", "Enabled", 1)

    async def test_a_plan_is_asked_once_a_day(self, server: ScriptedArm, arm: Arm) -> None:
        """Where the site does not tell its tier."""
        server.will(said(site(serverFarmId=PLAN)), said({"sku": {"tier": "Basic"}}), said(site(serverFarmId=PLAN)))
        tiers = [await self.tier(arm), await self.tier(arm)]
        assert (tiers, arm.calls.by_operation["GET Microsoft.Web/serverfarms"]) == (["Basic", "Basic"], 1)
        server.clock.advance(timedelta(days=1).total_seconds())
        server.answers.clear()
        server.will(said(site(serverFarmId=PLAN)), said({"sku": {"tier": "Standard"}}))
        assert await self.tier(arm) == "Standard"

    @pytest.mark.parametrize("denied", [failed(403, "AuthorizationFailed"), failed(404, "ResourceNotFound")])
    async def test_a_plan_that_may_not_be_read_leaves_the_tier_open(
        self, server: ScriptedArm, arm: Arm, denied: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> None:
        """It is asked again soon: somebody may be granting it."""
        server.will(said(site(serverFarmId=PLAN)), denied, said(site(serverFarmId=PLAN)))
        assert [await self.tier(arm), await self.tier(arm)] == ["", ""]
        assert arm.calls.by_operation["GET Microsoft.Web/serverfarms"] == 1
        server.clock.advance(timedelta(minutes=15).total_seconds())
        server.answers.clear()
        server.will(said(site(serverFarmId=PLAN)), said({"sku": {"tier": "Basic"}}))
        assert await self.tier(arm) == "Basic"

    async def test_a_slot_is_read_as_a_slot(self, server: ScriptedArm, arm: Arm) -> None:
        """Its own site, its own connections."""
        server.will(said(site(SLOT)), said({"value": [connection(1, SLOT)]}))
        assert (await arm.get_site(SLOT)).value is not None
        found = (await arm.list_connections(SLOT)).value
        assert found is not None
        assert (found[0].target, found[0].status) == (SLOT, ConnectionStatus.PENDING)
        assert [request.path for request in server.requests] == [str(SLOT.id), f"{SLOT.id}/privateEndpointConnections"]

    @every_read
    async def test_what_does_not_exist_is_none(
        self, server: ScriptedArm, arm: Arm, read: Callable[[Azure], Awaitable[Any]]
    ) -> None:
        """Of a subscription it is an error: somebody named it."""
        server.will(failed(404, "ResourceNotFound"))
        if read is READS["list_signalr"]:
            with pytest.raises(AzureNotFoundError):
                await read(arm)
        else:
            reading = await read(arm)
            assert reading.value is None
            assert reading.started <= reading.finished

    @every_read
    async def test_a_subscription_that_is_not_found_is_an_error(
        self, server: ScriptedArm, arm: Arm, read: Callable[[Azure], Awaitable[object]]
    ) -> None:
        """It means that the identity is not let in, and says nothing of the resource."""
        server.will(failed(404, "SubscriptionNotFound"))
        with pytest.raises(AzureNotFoundError):
            await read(arm)

    @every_read
    async def test_the_token_and_the_api_version_are_sent(
        self, server: ScriptedArm, arm: Arm, read: Callable[[Azure], Awaitable[object]]
    ) -> None:
        """What the SDKs are for."""
        server.will(failed(403, "AuthorizationFailed"))
        with pytest.raises(AzureError):
            await read(arm)
        (request,) = server.requests
        assert request.authorization == "Bearer local"
        assert request.query["api-version"] == ("2023-02-01" if "SignalRService" in request.path else "2025-05-01")

    async def test_a_compressed_answer_is_read(self, server: ScriptedArm, arm: Arm) -> None:
        """Lists are long."""
        body = gzip.compress(json.dumps({"value": [connection(1)]}).encode())
        server.will(raw(body, headers={"Content-Encoding": "gzip"}))
        assert len((await arm.list_connections(TARGET)).value or ()) == 1

    async def test_one_connection_serves_many_calls(self, server: ScriptedArm, arm: Arm) -> None:
        """A sweep makes hundreds; both SDKs and every subscription share them."""
        server.will(NOTHING)
        for subscription in (SUBSCRIPTION, SUBSCRIPTION.replace("a1", "a2")):
            await arm.list_signalr(subscription)
            await arm.list_connections(TARGET)
        assert len(server.connections) == 1

    async def tier(self, arm: Arm) -> str:
        found = (await arm.get_site(TARGET)).value
        assert found is not None
        return found.tier


class TestPaging:
    async def test_all_pages_are_read(self, server: ScriptedArm, arm: Arm) -> None:
        """By the links that Azure gives, tokens with odd characters included."""
        token = "a+b/c==&d é"
        path = f"{SITE}/privateEndpointConnections"
        pages = iter(range(3))

        async def page(request: web.Request) -> web.StreamResponse:
            number = next(pages)
            assert request.query.get("$skipToken", "") == (f"{token}{number}" if number else "")
            following = str(request.url.with_path(path).with_query({"$skipToken": f"{token}{number + 1}", "api-version": "x"}))
            return web.json_response({"value": [connection(number)], "nextLink": following if number < 2 else None})

        server.will(page)
        found = (await arm.list_connections(TARGET)).value
        assert [item.id.name for item in found or ()] == ["func-pe-0", "func-pe-1", "func-pe-2"]
        assert arm.calls.by_operation == {f"GET {PEC}": 3}

    @pytest.mark.parametrize(
        "link",
        [
            "https://evil.example/subscriptions",
            "http://evil.example:80/subscriptions",
            "{url}@evil.example/subscriptions",
            "//evil.example/subscriptions",
            "{other_port}/subscriptions",
            "https://127.0.0.1/subscriptions",
            "http://[::1/",
            "ftp://127.0.0.1/",
            "/subscriptions",
            "next",
            " ",
        ],
    )
    async def test_a_page_elsewhere_is_refused(self, server: ScriptedArm, arm: Arm, link: str) -> None:
        """It would be sent our token."""
        async with scripted_arm() as other:
            other.will(NOTHING)
            server.will(said({"value": [], "nextLink": link.format(url=server.url, other_port=other.url)}))
            with pytest.raises(AzureMalformedError, match="nextLink"):
                await arm.list_signalr(SUBSCRIPTION)
            assert (len(server.requests), len(other.requests)) == (1, 0)

    async def test_a_request_elsewhere_is_stopped_before_it_has_a_token(
        self, server: ScriptedArm, arm: Arm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Even where a page's link passed for one of ours."""
        monkeypatch.setattr("shared.adapters.arm.has_origin", lambda *_: True)
        async with scripted_arm() as other:
            other.will(NOTHING)
            server.will(said({"value": [], "nextLink": f"{other.url}/subscriptions"}))
            with pytest.raises(AzureMalformedError, match="no token"):
                await arm.list_signalr(SUBSCRIPTION)
            assert (len(server.requests), len(other.requests)) == (1, 0)

    async def test_pages_that_lead_in_circles_are_refused(self, server: ScriptedArm, arm: Arm) -> None:
        """Not read for ever."""
        links = [f"{server.url}/{name}" for name in "abab"]
        server.will(*(said({"value": [], "nextLink": link}) for link in links))
        with pytest.raises(AzureMalformedError, match="nextLink"):
            await arm.list_signalr(SUBSCRIPTION)
        assert len(server.requests) == 3

    async def test_pages_without_end_are_refused(self, server: ScriptedArm, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each with a new link."""
        monkeypatch.setattr("shared.adapters.arm.MAX_PAGES", 7)

        async def page(_: web.Request) -> web.StreamResponse:
            return web.json_response({"value": [], "nextLink": f"{server.url}/{len(server.requests)}"})

        server.will(page)
        with pytest.raises(AzureMalformedError, match="pages"):
            await arm.list_connections(TARGET)
        assert len(server.requests) == 7

    @pytest.mark.parametrize("second", [failed(404, "ResourceNotFound"), failed(400, "InvalidSkipToken"), said({})])
    async def test_a_list_without_its_last_page_is_no_list(
        self, server: ScriptedArm, arm: Arm, second: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> None:
        """What is missing might be a rival."""
        server.will(said({"value": [connection(1)], "nextLink": f"{server.url}/next"}), second)
        with pytest.raises(AzureError):
            await arm.list_connections(TARGET)

    async def test_one_connection_on_two_pages_is_refused(self, server: ScriptedArm, arm: Arm) -> None:
        """Two things with one id: one of them is not what it seems."""
        server.will(
            said({"value": [connection(1)], "nextLink": f"{server.url}/next"}),
            said({"value": [connection(1) | {"id": connection(1)["id"].replace("func-pe", "FUNC-PE")}]}),
        )
        with pytest.raises(AzureMalformedError, match="listed twice"):
            await arm.list_connections(TARGET)


class TestWriting:
    @pytest.mark.parametrize("status", [200, 202])
    @pytest.mark.parametrize("body", [b"", b"null", b"<html>", b'{"properties": {"privateLinkServiceConnectionState": {}}}'])
    async def test_a_decision_is_one_put_of_status_and_description(
        self, server: ScriptedArm, arm: Arm, status: int, body: bytes
    ) -> None:
        """Whatever Azure's answer holds, and without waiting for the operation that it names."""
        server.will(raw(body, status=status, headers={"Azure-AsyncOperation": f"{server.url}/operation", "Retry-After": "60"}))
        await arm.set_connection(CONNECTION, "Approved", "lg:1")
        (request,) = server.requests
        assert (request.method, request.path) == ("PUT", str(CONNECTION))
        state = {"status": "Approved", "description": "lg:1"}
        assert json.loads(request.body) == {"properties": {"privateLinkServiceConnectionState": state}}
        assert (arm.calls.writes, arm.calls.by_operation) == (1, {f"PUT {PEC}": 1})

    async def test_a_slots_connection_is_written_at_the_slot(self, server: ScriptedArm, arm: Arm) -> None:
        """Not at the site, which may have one of the same name."""
        server.will(said({}))
        await arm.set_connection(SLOT_CONNECTION, "Rejected", "lg:1")
        await arm.delete_connection(SLOT_CONNECTION)
        assert [(request.method, request.path) for request in server.requests] == [
            ("PUT", str(SLOT_CONNECTION)),
            ("DELETE", str(SLOT_CONNECTION)),
        ]

    @pytest.mark.parametrize("answer", [said({}), said({}, status=202), raw(b"", status=204), failed(404, "ResourceNotFound")])
    async def test_a_deleted_connection_is_gone(
        self, server: ScriptedArm, arm: Arm, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> None:
        """Also where it was gone before."""
        server.will(answer)
        await arm.delete_connection(CONNECTION)
        assert [request.method for request in server.requests] == ["DELETE"]

    async def test_somebody_decided_first(self, server: ScriptedArm, arm: Arm) -> None:
        """Its own error: read again, never repeat."""
        server.will(failed(409, "PrivateEndpointConnectionStatusNotPending"))
        with pytest.raises(NotPendingError):
            await arm.set_connection(CONNECTION, "Approved", "lg:1")

    async def test_a_policy_refuses(self, server: ScriptedArm, arm: Arm) -> None:
        """Its own error: no permission helps."""
        server.will(failed(403, "RequestDisallowedByPolicy"))
        with pytest.raises(AzurePolicyError):
            await arm.set_connection(CONNECTION, "Approved", "lg:1")

    @every_write
    @pytest.mark.parametrize(
        "answer",
        [
            closed,
            cut_short,
            failed(429, "TooManyRequests", headers={"Retry-After": "1"}),
            failed(500, "InternalServerError", headers={"Retry-After": "1"}),
            failed(503, "ServerBusy"),
            failed(409, "AnotherOperationInProgress", headers={"Retry-After": "1"}),
            failed(409, "MissingSubscriptionRegistration"),
            failed(401, "Expired", headers={"WWW-Authenticate": 'Bearer error="insufficient_claims", claims="e30="'}),
            raw(b"", status=307, headers={"Location": "/elsewhere"}),
        ],
        ids=["closed", "cut", "429", "500", "503", "409", "unregistered", "challenge", "redirect"],
    )
    async def test_a_write_is_sent_once_whatever_happens(
        self,
        server: ScriptedArm,
        arm: Arm,
        write: Callable[[Azure], Awaitable[None]],
        answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> None:
        """Over a fresh connection and over one that was used before; not even the HTTP library repeats it."""
        server.will(NOTHING)
        await arm.list_connections(TARGET)
        for sent in (1, 2):
            server.answers.clear()
            server.will(answer)
            with pytest.raises(AzureError):
                await write(arm)
            assert arm.calls.writes == sent == len([request for request in server.requests if request.method != "GET"])
            assert len(server.requests) == sent + 1

    @every_write
    @pytest.mark.parametrize("answer", [closed, failed(500, "InternalServerError"), raw(b"", status=302)])
    async def test_a_lost_answer_is_an_unknown_outcome(
        self,
        server: ScriptedArm,
        arm: Arm,
        write: Callable[[Azure], Awaitable[None]],
        answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> None:
        """And the error says what to do."""
        server.will(answer)
        with pytest.raises(AzureUnavailableError, match="not known whether it was done"):
            await write(arm)

    async def test_a_throttled_write_says_how_long_to_wait(self, server: ScriptedArm, arm: Arm) -> None:
        """It was not done; the caller decides anew."""
        server.will(failed(429, "TooManyRequests", headers={"Retry-After": "17"}))
        with pytest.raises(AzureThrottledError) as caught:
            await arm.set_connection(CONNECTION, "Approved", "lg:1")
        assert (caught.value.retry_after, arm.calls.throttled) == (17.0, 1)

    async def test_a_write_does_not_wait_behind_reads(self, server: ScriptedArm) -> None:
        """What was decided from is as fresh as it gets."""
        reading = asyncio.Event()
        written = asyncio.Event()

        async def respond(request: web.Request) -> web.StreamResponse:
            if request.method == "GET":
                reading.set()
                await written.wait()
            return web.json_response({"value": []})

        server.will(respond)
        async with server.arm(concurrency=1, reads_per_second=1) as arm:
            read = asyncio.create_task(arm.list_connections(TARGET))
            await reading.wait()
            await arm.set_connection(CONNECTION, "Approved", "lg:1")
            written.set()
            await read


class TestTrouble:
    @every_read
    @pytest.mark.parametrize(
        "trouble", [closed, cut_short, failed(500, "Oops"), failed(503, "Oops"), failed(429, "Oops"), failed(408, "Oops")]
    )
    async def test_a_read_is_repeated_a_bounded_number_of_times(
        self,
        server: ScriptedArm,
        arm: Arm,
        read: Callable[[Azure], Awaitable[object]],
        trouble: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> None:
        """Then it is an error that can be retried later; each attempt is counted."""
        server.will(trouble)
        with pytest.raises((AzureUnavailableError, AzureThrottledError)) as caught:
            await read(arm)
        assert caught.value.retryable
        assert len(server.requests) == arm.calls.reads == ATTEMPTS

    async def test_trouble_that_passes_is_not_seen(self, server: ScriptedArm, arm: Arm) -> None:
        """A read is worth repeating."""
        server.will(closed, failed(503, "Oops"), cut_short, failed(429, "Oops"), said({"value": [connection(1)]}))
        assert len((await arm.list_connections(TARGET)).value or ()) == 1
        assert (arm.calls.reads, arm.calls.throttled) == (ATTEMPTS, 1)

    @pytest.mark.parametrize("status", [400, 401, 403, 405, 409, 412, 301])
    async def test_what_repeating_cannot_help_is_not_repeated(self, server: ScriptedArm, arm: Arm, status: int) -> None:
        """Not even where the answer says when."""
        server.will(failed(status, "Oops", headers={"Retry-After": "1", "Location": "/elsewhere"}))
        with pytest.raises(AzureError) as caught:
            await arm.list_connections(TARGET)
        assert (caught.value.status, len(server.requests)) == (status, 1)

    async def test_retry_after_is_waited_for(self, server: ScriptedArm, arm: Arm) -> None:
        """As long as Azure says, by the clock."""
        began = server.clock.now()
        server.will(failed(429, "Oops", headers={"Retry-After": "17"}), NOTHING)
        await arm.list_connections(TARGET)
        assert server.clock.now() - began == timedelta(seconds=17)

    async def test_a_long_retry_after_is_the_callers_to_wait_for(self, server: ScriptedArm, arm: Arm) -> None:
        """A worker does not sleep for minutes."""
        server.will(failed(429, "Oops", headers={"Retry-After": "61"}))
        with pytest.raises(AzureThrottledError) as caught:
            await arm.list_connections(TARGET)
        assert (caught.value.retry_after, len(server.requests)) == (61.0, 1)

    async def test_without_retry_after_the_waits_grow_and_are_bounded(self, server: ScriptedArm, arm: Arm) -> None:
        """0.5 s, 1 s, 2 s, 4 s, each spread by half."""
        began = server.clock.now()
        server.will(failed(503, "Oops"))
        with pytest.raises(AzureUnavailableError):
            await arm.list_connections(TARGET)
        assert timedelta(seconds=3.75) <= server.clock.now() - began <= timedelta(seconds=7.5)

    @pytest.mark.parametrize("call", ["read", "write"])
    async def test_a_server_that_hangs_is_given_up(self, server: ScriptedArm, call: str) -> None:
        """Before headers and amid a body alike; a write is then an unknown outcome."""
        done = asyncio.Event()

        async def hang(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            if len(server.requests) % 2:
                await response.prepare(request)
                await response.write(b"[")
            await done.wait()
            return response

        server.will(hang)
        async with server.arm(timeout=0.05) as arm:
            with pytest.raises(AzureUnavailableError):
                await (READS["list_connections"] if call == "read" else WRITES["set_connection"])(arm)
            assert len(server.requests) == (1 if call == "write" else min(ATTEMPTS, len(server.requests)))
        done.set()

    async def test_nobody_listens(self) -> None:
        """A read is given up and a write may be taken for unknown."""
        async with scripted_arm() as server:
            arm = server.arm()
        async with arm:
            for call in (*READS.values(), *WRITES.values()):
                with pytest.raises(AzureUnavailableError):
                    await call(arm)

    async def test_an_answer_without_end_is_refused(self, server: ScriptedArm, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also one that is small until it is inflated; a write's answer is not looked at."""
        import_sdk()
        monkeypatch.setattr("shared.adapters.arm_sdk.MAX_BODY", 1_000_000)
        for answer in (raw(b" " * 1_000_001), raw(gzip.compress(b" " * 100_000_000), headers={"Content-Encoding": "gzip"})):
            server.answers.clear()
            server.will(answer)
            with pytest.raises(AzureMalformedError, match="bytes"):
                await arm.list_connections(TARGET)
            await arm.set_connection(CONNECTION, "Approved", "lg:1")

    @every_read
    @pytest.mark.parametrize(
        "junk",
        [
            raw(b""),
            raw(b"<html></html>", content_type="text/html"),
            raw(b"\xff\xfe\x00", content_type="application/json"),
            raw(b"junk", headers={"Content-Encoding": "gzip"}),
            raw(b"{}", content_type="application/xml"),
            said([]),
            said({"value": [7]}),
            said(None),
            said({}, status=204),
        ],
    )
    async def test_junk_is_an_error(
        self,
        server: ScriptedArm,
        arm: Arm,
        read: Callable[[Azure], Awaitable[object]],
        junk: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> None:
        """Never nothing, and never anything but an error of Azure's."""
        server.will(junk)
        with pytest.raises((AzureMalformedError, AzureUnavailableError)):
            await read(arm)

    async def test_a_hundred_crafted_connections_do_no_harm(self, server: ScriptedArm, arm: Arm) -> None:
        """Huge fields are bounded; what is no list of connections refuses such an answer."""
        huge = "\u202e<strong>" * 5_000
        state = {"status": huge, "description": huge}
        items = [
            connection(number)
            | {"properties": {"privateEndpoint": {"id": huge}, "privateLinkServiceConnectionState": state}, "name": huge}
            for number in range(100)
        ]
        server.will(said({"value": items}))
        found = (await arm.list_connections(TARGET)).value
        assert found is not None
        assert len(found) == 100
        assert len(repr(found)) < 100_000
        with pytest.raises(AzureMalformedError) as caught:
            await arm.list_signalr(SUBSCRIPTION)
        assert "strong" not in str(caught.value)

    async def test_no_token_is_a_credential_that_is_not_accepted(self, server: ScriptedArm) -> None:
        """Nothing is sent, and the error says what to do."""
        async with self.arm_with(server, _NoToken()) as arm:
            for call in (*READS.values(), *WRITES.values()):
                with pytest.raises(AzureUnauthorizedError, match="az login") as caught:
                    await call(arm)
                assert "SECRET" not in str(caught.value)
        assert server.requests == []

    async def test_a_challenge_is_met_by_another_token_for_a_read(self, server: ScriptedArm) -> None:
        """Continuous access evaluation asks for one with claims."""
        credential = _Counting()
        challenge = failed(401, "Expired", headers={"WWW-Authenticate": 'Bearer error="insufficient_claims", claims="e30="'})
        server.will(challenge, NOTHING)
        async with self.arm_with(server, credential) as arm:
            await arm.list_connections(TARGET)
            assert (credential.asked, arm.calls.reads) == (2, 2)

    async def test_one_token_serves_every_subscription(self, server: ScriptedArm) -> None:
        """A token from the Azure CLI takes seconds."""
        credential = _Counting()
        server.will(NOTHING)
        async with self.arm_with(server, credential) as arm:
            await asyncio.gather(*(arm.list_signalr(SUBSCRIPTION.replace("a1", f"a{number}")) for number in range(9)))
            await arm.list_connections(TARGET)
        assert credential.asked == 1

    def arm_with(self, server: ScriptedArm, credential: Any) -> Arm:  # noqa: ANN401  the SDK's own protocol
        return Arm(endpoint=server.url, scope="s", credential=credential, clock=server.clock, reads_per_second=0)


class _NoToken(LocalCredential):
    async def get_token_info(self, *_: str, options: object = None) -> Any:  # noqa: ANN401  it never returns
        from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415  the other tests need no SDK yet

        del options
        message = "SECRET"
        raise ClientAuthenticationError(message)


class _Counting(LocalCredential):
    def __init__(self) -> None:
        self.asked = 0

    async def get_token_info(self, *scopes: str, options: object = None) -> Any:  # noqa: ANN401  the base's
        self.asked += 1
        return await super().get_token_info(*scopes, options=options)


class TestTime:
    async def test_a_reading_is_told_by_azures_clock(self, server: ScriptedArm, arm: Arm) -> None:
        """This worker's clock is an hour behind; what it read is compared with what others read."""
        azures = server.clock.now() + timedelta(hours=1)
        server.will(said({"value": []}, headers={"Date": format_datetime(azures, usegmt=True)}))
        reading = await arm.list_connections(TARGET)
        assert (reading.started, reading.finished) == (azures, azures + timedelta(seconds=1))

    async def test_a_reading_spans_all_pages(self, server: ScriptedArm, arm: Arm) -> None:
        """From before the first was asked for until the last was there."""

        async def page(request: web.Request) -> web.StreamResponse:
            now = server.clock.now()
            server.clock.advance(10)
            following = None if request.path == "/next" else f"{server.url}/next"
            return web.json_response({"value": [], "nextLink": following}, headers={"Date": format_datetime(now, usegmt=True)})

        began = server.clock.now()
        server.will(page)
        reading = await arm.list_signalr(SUBSCRIPTION)
        assert (reading.started, reading.finished) == (began, began + timedelta(seconds=20))

    async def test_repeats_are_not_part_of_a_reading(self, server: ScriptedArm, arm: Arm) -> None:
        """What failed saw nothing."""
        began = server.clock.now()

        async def answer(_: web.Request) -> web.StreamResponse:
            date = {"Date": format_datetime(server.clock.now(), usegmt=True)}
            if len(server.requests) == 1:
                return web.Response(status=503, headers=date | {"Retry-After": "30"})
            return web.json_response({"value": []}, headers=date)

        server.will(answer)
        assert (await arm.list_connections(TARGET)).started == began + timedelta(seconds=30)


class TestLimits:
    async def test_reads_under_way_are_bounded(self, server: ScriptedArm) -> None:
        """Over all subscriptions and operations."""
        under_way, most = 0, 0

        async def respond(_: web.Request) -> web.StreamResponse:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.005)
            under_way -= 1
            return web.json_response({"value": []})

        server.will(respond)
        async with server.arm(concurrency=3) as arm:
            await asyncio.gather(*(arm.list_connections(TARGET) for _ in range(20)))
        assert most == 3

    async def test_reads_of_a_subscription_are_paced(self, server: ScriptedArm) -> None:
        """Repeats too; no window of a second holds more than 1.2 times the limit, and another subscription is not held up."""
        loop = asyncio.get_running_loop()
        times: list[float] = []

        async def respond(request: web.Request) -> web.StreamResponse:
            if SUBSCRIPTION in request.path:
                times.append(loop.time())
                if len(times) <= 30:
                    return web.Response(status=503)
            return web.json_response({"value": []})

        server.will(respond)
        async with server.arm(reads_per_second=100, concurrency=64) as arm:
            await asyncio.gather(*(arm.list_connections(TARGET) for _ in range(30)))
        assert len(times) == 60
        least = (60 - 100 / 5) / 100
        assert times[-1] - times[0] >= 0.9 * least

    async def test_waiting_for_a_turn_is_not_waiting_for_an_answer(self, server: ScriptedArm) -> None:
        """A long queue of reads does not time out: 0.9 s of queue here, where no call may take longer than 0.4 s."""
        server.will(NOTHING)
        async with server.arm(reads_per_second=20, concurrency=64, timeout=0.1) as arm:
            await arm.list_connections(TARGET)
            readings = await asyncio.gather(*(arm.list_connections(TARGET) for _ in range(20)))
        assert len(readings) == 20


class TestLifeAndDeath:
    @pytest.mark.parametrize(
        "endpoint",
        [
            "http://management.azure.com",
            "http://10.0.0.1",
            "http://localhost.evil.example",
            "ftp://127.0.0.1",
            "management.azure.com",
            "",
        ],
    )
    def test_tokens_do_not_travel_in_the_clear(self, endpoint: str) -> None:
        """Plain http is for this machine alone."""
        with pytest.raises(ConfigError):
            Arm(endpoint=endpoint, scope="s", credential=LocalCredential(), clock=FakeClock())

    @pytest.mark.parametrize(
        "endpoint", ["http://127.0.0.1:80", "http://localhost:80", "http://[::1]:80", "https://management.azure.com"]
    )
    def test_https_and_loopback_are_accepted(self, endpoint: str) -> None:
        """Nothing is sent yet."""
        Arm(endpoint=endpoint, scope="s", credential=LocalCredential(), clock=FakeClock())

    async def test_the_first_calls_may_come_at_once(self, server: ScriptedArm, arm: Arm) -> None:
        """The clients are made once."""
        server.will(NOTHING)
        await asyncio.gather(*(arm.list_connections(TARGET) for _ in range(5)))

    async def test_a_closed_arm_sends_nothing(self, server: ScriptedArm, arm: Arm) -> None:
        """Closing twice does no harm."""
        server.will(NOTHING)
        await arm.list_connections(TARGET)
        await arm.aclose()
        await arm.aclose()
        with pytest.raises(RuntimeError):
            await arm.list_connections(TARGET)
        assert len(server.requests) == 1

    async def test_it_offers_the_port(self, arm: Arm) -> None:
        """The type checker holds it to that."""
        azure: Azure = arm
        assert azure.calls.reads == 0

    def test_importing_it_imports_no_sdk(self) -> None:
        """That takes seconds, and nobody may need it."""
        code = (
            "import shared.adapters.arm, shared.adapters.credentials, sys;"
            "sys.exit(any(name.startswith(('azure', 'msal', 'aiohttp')) for name in sys.modules))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_the_sdks_own_warnings_are_not_the_users(self) -> None:
        """azure-mgmt-signalr's docstrings hold invalid escapes, of which Python warns when it compiles them."""
        import_sdk()
        spec = find_spec("azure.mgmt.signalr.models._models_py3")
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).read_text()
        compile(source, spec.origin, "exec")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(SyntaxError, match="invalid escape"):
                compile(source, spec.origin, "exec")
