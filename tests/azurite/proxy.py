"""A loopback proxy before Azurite that loses answers and makes Azure Storage's own troubles."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LARGEST_REQUEST = 16 * 1024 * 1024
_NOT_FORWARDED = {"content-length", "transfer-encoding", "connection", "content-encoding"}


class Trouble(Enum):
    """What becomes of a request."""

    LOST_ANSWER = auto()
    """It is done, and the connection closed instead of an answer."""
    LOST_REQUEST = auto()
    """The connection is closed, and nothing is done."""
    BUSY = auto()
    """503 ServerBusy, and nothing is done."""
    SILENCE = auto()
    """Nothing is done, and no answer ever comes."""


type Happening = Trouble | Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Plan:
    method: str
    text: str
    happening: Happening
    times: int


class Proxy:
    """Forwards everything, but for what a test planned."""

    def __init__(self, target: str, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._session = session
        self._plans: list[_Plan] = []
        self._over = asyncio.Event()
        self.port = 0
        self.seen: list[str] = []
        """``METHOD path`` of every request."""

    def plan(self, method: str, text: str, happening: Happening, *, times: int = 1) -> None:
        """For the next ``times`` requests of this method with this text in their path: trouble, or a call just before."""
        self._plans.append(_Plan(method, text, happening, times))

    def end(self) -> None:
        """Let go of the requests that got no answer."""
        self._over.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = unquote(request.raw_path)
        self.seen.append(f"{request.method} {path}")
        happening = self._next(request.method, path)
        body = await request.read()
        if callable(happening):
            await happening()
        if happening is Trouble.SILENCE:
            await self._over.wait()
        if happening is Trouble.BUSY:
            error = {"odata.error": {"code": "ServerBusy", "message": {"lang": "en-US", "value": "busy"}}}
            return web.json_response(error, status=503)
        if happening in {Trouble.LOST_REQUEST, Trouble.SILENCE}:
            return _hung_up(request)
        url = URL(self._target + request.raw_path, encoded=True)
        # As it came: a content type of aiohttp's own would break the request's signature.
        async with self._session.request(
            request.method, url, data=body, headers=request.headers, skip_auto_headers=["Content-Type"]
        ) as answer:
            content = await answer.read()
        if happening is Trouble.LOST_ANSWER:
            return _hung_up(request)
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_FORWARDED}
        return web.Response(status=answer.status, body=content, headers=headers)

    def _next(self, method: str, path: str) -> Happening | None:
        for plan in self._plans:
            if plan.times and plan.method == method and plan.text in path:
                plan.times -= 1
                return plan.happening
        return None


def _hung_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


@asynccontextmanager
async def proxy_to(target: str) -> AsyncIterator[Proxy]:
    """A proxy before ``target``, scheme and authority, while the context lasts."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        proxy = Proxy(target, session)
        app = web.Application(client_max_size=_LARGEST_REQUEST)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            proxy.port = runner.addresses[0][1]
            yield proxy
        finally:
            proxy.end()
            await runner.cleanup()
