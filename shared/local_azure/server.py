"""The local Azure as an HTTP server on loopback."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from math import inf
from threading import Thread
from typing import TYPE_CHECKING, Final, Self

from aiohttp import web

from shared.local_azure import log_workspaces
from shared.local_azure.admin import ROOT, Admin
from shared.local_azure.front_door import FrontDoor, HttpRequest
from shared.local_azure.log_workspaces import LogWorkspaces
from shared.local_azure.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from shared.local_azure.clock import TimeSource
    from shared.local_azure.faults import Faults
    from shared.local_azure.front_door import HttpAnswer
    from shared.local_azure.knobs import Knobs
    from shared.local_azure.request_log import RequestLog

_HOST: Final = "127.0.0.1"
_AT_MOST: Final = 3600.0
"""Seconds that a hanging answer hangs at most."""
_SHUTDOWN: Final = 0.1
"""Seconds that running answers get when the server stops."""


class LocalAzure:
    """A world, and the server that speaks ARM for it: ``async with LocalAzure() as azure``."""

    def __init__(
        self, world: World | None = None, *, knobs: Knobs | None = None, clock: TimeSource | None = None, port: int = 0
    ) -> None:
        self.world = world or World(clock=clock, knobs=knobs)
        self.door = FrontDoor(self.world)
        self.logs = LogWorkspaces()
        self._admin = Admin(self.world, self.door)
        self._port = port
        self._runner: web.ServerRunner | None = None

    @property
    def knobs(self) -> Knobs:
        """What can be turned, at any time."""
        return self.world.knobs

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return self.door.faults

    @property
    def requests(self) -> RequestLog:
        """What was asked."""
        return self.door.requests

    @property
    def url(self) -> str:
        """``http://127.0.0.1:<port>``, without a slash at its end."""
        return f"http://{_HOST}:{self._port}"

    @contextmanager
    def in_thread(self) -> Iterator[Self]:
        """Serve from another thread, for callers that run an event loop of their own or none.

        The world may be used from this thread while no request is under way.
        """
        loop = asyncio.new_event_loop()
        thread = Thread(target=loop.run_forever, name="local-azure", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.__aenter__(), loop).result()
            try:
                yield self
            finally:
                asyncio.run_coroutine_threadsafe(self.__aexit__(None, None, None), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def __aenter__(self) -> Self:
        server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, self._port)
        await site.start()
        (address, *_) = self._runner.addresses
        self._port = address[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        arrived = HttpRequest(
            method=request.method,
            path=request.path,
            query=request.query,
            authorization=request.headers.get("Authorization", ""),
            body=await request.read() if request.can_read_body else b"",
            base=f"{request.scheme}://{request.host}",
        )
        if arrived.path.startswith(ROOT):
            return await _send(request, self._admin.answer(arrived))
        if arrived.path.startswith(log_workspaces.ROOT):
            return await _send(request, self.logs.answer(arrived, self.door.tokens))
        return await _send(request, self.door.answer(arrived))


async def _send(request: web.BaseRequest, answer: HttpAnswer) -> web.Response:
    if answer.delay:
        await asyncio.sleep(_AT_MOST if answer.delay == inf else answer.delay)
    if answer.dropped:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
