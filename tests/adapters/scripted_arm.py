"""A server that answers as a test tells it to, right or wrong, and keeps what it was asked."""

from __future__ import annotations

import json
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from shared.adapters.arm import Arm
from shared.adapters.credentials import LocalCredential
from shared.core.arm_id import ArmId
from shared.core.model import Target
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

SUBSCRIPTION = "00000000-0000-0000-0000-0000000000a1"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/contoso"
SERVICE = ArmId.parse(f"{GROUP}/providers/Microsoft.SignalRService/signalR/contoso-signalr")
SITE = ArmId.parse(f"{GROUP}/providers/Microsoft.Web/sites/contoso-func")
PLAN = f"{GROUP}/providers/Microsoft.Web/serverfarms/contoso-plan"
TARGET = Target(SITE)
SLOT = Target.of(SITE, "stage")
CONNECTION = SITE.child("privateEndpointConnections", "func-pe-1")
SLOT_CONNECTION = SLOT.id.child("privateEndpointConnections", "func-pe-1")

type Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


def said(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Respond:
    """An answer with a JSON body."""
    return raw(json.dumps(body).encode(), status=status, headers=headers)


def raw(
    body: bytes, *, status: int = 200, headers: dict[str, str] | None = None, content_type: str = "application/json"
) -> Respond:
    async def respond(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers, content_type=content_type)

    return respond


def failed(status: int, code: str, *, headers: dict[str, str] | None = None) -> Respond:
    """ARM's own shape of an error."""
    return said({"error": {"code": code, "message": "made up by the test"}}, status=status, headers=headers)


async def closed(request: web.Request) -> web.StreamResponse:
    """The request is read, and the connection is cut instead of an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut_short(request: web.Request) -> web.StreamResponse:
    """Half of an answer."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"value": [')
    assert request.transport is not None
    request.transport.abort()
    return response


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    authorization: str
    body: bytes


@dataclass
class ScriptedArm:
    """Answers each request with the next of ``answers``; the last of them answers all that follow."""

    url: str
    clock: FakeClock = field(default_factory=FakeClock)
    answers: deque[Respond] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)

    def will(self, *answers: Respond) -> None:
        self.answers.extend(answers)

    def arm(self, *, timeout: float = 5.0, concurrency: int = 16, reads_per_second: float = 0) -> Arm:
        return Arm(
            endpoint=self.url,
            scope=f"{self.url}/.default",
            credential=LocalCredential(),
            clock=self.clock,
            timeout=timeout,
            reads_per_second=reads_per_second,
            concurrency=concurrency,
        )

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(
            Request(
                request.method,
                request.path,
                dict(request.query),
                request.headers.get("Authorization", ""),
                await request.read(),
            )
        )
        self.connections.add(request.transport)
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


@asynccontextmanager
async def scripted_arm() -> AsyncIterator[ScriptedArm]:
    server = ScriptedArm(url="")
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.respond)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
