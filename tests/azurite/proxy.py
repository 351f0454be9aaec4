"""A loopback proxy before Azurite that loses answers and makes Azure Storage's own troubles."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LARGEST_REQUEST = 16 * 1024 * 1024
_NOT_FORWARDED = {"content-length", "transfer-encoding", "connection", "content-encoding"}


class Proxy:
    """Forwards everything, but for the next requests whose method and path match."""

    def __init__(self, target: str, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._session = session
        self.port = 0
        self.lose = ""
        """``METHOD text``: requests of this method with this text in their path are done, but their answer is lost."""
        self.lose_times = 0
        self.busy_times = 0
        """So many requests are answered 503 ServerBusy and not done."""
        self.seen: list[str] = []
        """``METHOD path`` of every request."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path}")
        body = await request.read()
        if self.busy_times:
            self.busy_times -= 1
            error = {"odata.error": {"code": "ServerBusy", "message": {"lang": "en-US", "value": "busy"}}}
            return web.json_response(error, status=503)
        async with self._session.request(
            request.method, self._target + request.raw_path, data=body, headers=request.headers, allow_redirects=False
        ) as answer:
            content = await answer.read()
        method, _, text = self.lose.partition(" ")
        if self.lose_times and request.method == method and text in request.path:
            self.lose_times -= 1
            assert request.transport is not None
            request.transport.abort()
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_FORWARDED}
        return web.Response(status=answer.status, body=content, headers=headers)


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
            await runner.cleanup()
