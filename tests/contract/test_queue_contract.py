"""What every work queue keeps to: the fake, and Azure Storage's (Azurite)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from secrets import token_hex
from typing import TYPE_CHECKING, Protocol

import pytest
from azure.storage.queue.aio import QueueServiceClient

from shared.adapters.storage_queue import StorageQueue
from tests.fakes import FakeClock
from tests.fakes.queue import MemoryQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.storage.queue.aio import QueueClient

    from shared.ports import WorkQueue
    from tests.azurite.server import Azurite

ODD = '{"v":1,"id":"<&>\\u2028 ä","attempt":1}'
"""Whatever XML and base64 would make of it."""


class Line(Protocol):
    """A queue, and a worker at its other end."""

    @property
    def queue(self) -> WorkQueue: ...

    async def take(self) -> tuple[str, str] | None:
        """The next message that can be seen, as id and text; None where there is none."""
        ...

    async def wait(self, seconds: float) -> None: ...


class MemoryLine:
    def __init__(self) -> None:
        self._clock = FakeClock()
        self.queue = self._queue = MemoryQueue(self._clock)

    async def take(self) -> tuple[str, str] | None:
        message = self._queue.take()
        return (message.id, message.text) if message else None

    async def wait(self, seconds: float) -> None:
        self._clock.advance(seconds)


class StorageLine:
    def __init__(self, queue: StorageQueue, client: QueueClient) -> None:
        self.queue = queue
        self._client = client

    async def take(self) -> tuple[str, str] | None:
        message = await self._client.receive_message()
        if message is None:
            return None
        await self._client.delete_message(message)
        return message.id, message.content

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture(params=["memory", "storage"])
async def line(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    if request.param == "memory":
        yield MemoryLine()
        return
    server: Azurite = request.getfixturevalue("azurite")
    name = f"contract-{token_hex(8)}"
    async with (
        QueueServiceClient.from_connection_string(server.connection_string) as service,
        StorageQueue.with_connection_string(server.connection_string, queue=name) as queue,
    ):
        yield StorageLine(queue, service.get_queue_client(name))


async def test_a_message_comes_as_it_was_put_under_its_own_id(line: Line) -> None:
    """And once it is taken and removed, it is gone."""
    ids = [await line.queue.put(ODD), await line.queue.put(ODD)]
    taken = [await line.take(), await line.take(), await line.take()]
    assert sorted(one for one in taken if one is not None) == sorted((id_, ODD) for id_ in ids)
    assert len(set(ids)) == 2


async def test_a_delay_hides_a_message_until_it_is_over(line: Line) -> None:
    """The others are not held up; no delay is none."""
    await line.queue.put("later", delay=timedelta(seconds=1))
    await line.queue.put("now")
    first = await line.take()
    assert first is not None
    assert first[1] == "now"
    assert await line.take() is None
    await line.wait(1.5)
    second = await line.take()
    assert second is not None
    assert second[1] == "later"
