"""What the Functions host does around a worker, as far as it matters here: queues, deliveries, retries and poison.

By host.json: messages are not encoded; one that failed ``maxDequeueCount`` times goes to the poison queue.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueServiceClient

from tests.worker.install import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from azure.storage.queue.aio import QueueClient

    from tests.worker.worker import Result, Worker

QUEUE: Final = "linkguard-reconcile"
POISON: Final = "linkguard-reconcile-poison"
_IN_WORK_SECONDS: Final = 300


class Host:
    """Delivers to a worker what lies in Azurite's queues. ``async with Host(worker, connection_string) as host``."""

    def __init__(self, worker: Worker, connection_string: str) -> None:
        self.worker = worker
        self._service = QueueServiceClient.from_connection_string(connection_string)
        queues = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["extensions"]["queues"]
        self._most_tries = int(queues["maxDequeueCount"])
        self.at_once = int(queues["batchSize"]) + int(queues["newBatchThreshold"])
        """Messages that are worked on at the same time."""
        self.results: list[Result] = []
        """Of every queue message delivered, in order."""

    async def __aenter__(self) -> Self:
        for name in (QUEUE, POISON):
            with suppress(ResourceExistsError):
                await self._service.create_queue(name)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._service.close()

    def queue(self, name: str = QUEUE) -> QueueClient:
        """A queue, to put something on it or to look."""
        return self._service.get_queue_client(name)

    async def deliver(self, event: Mapping[str, Any]) -> Result:
        """Event Grid delivers an event."""
        return await self.worker.event(event)

    async def texts(self, name: str = QUEUE) -> list[str]:
        """The messages that can be seen now, left where they are."""
        return [str(message.content) for message in await self.queue(name).peek_messages(max_messages=32)]

    async def pump(self, name: str = QUEUE) -> int:
        """Deliver the messages that are visible now, as many at once as the host does; returns how many there were."""
        queue, function = self.queue(name), "reconcile" if name == QUEUE else "reconcile_poison"
        messages = [
            m async for m in queue.receive_messages(max_messages=min(self.at_once, 32), visibility_timeout=_IN_WORK_SECONDS)
        ]
        await asyncio.gather(*(self._deliver(queue, function, message) for message in messages))
        return len(messages)

    async def take_all(self) -> list[QueueMessage]:
        """Every message that is visible now, off the queue and not yet delivered."""
        queue, taken = self.queue(), list[QueueMessage]()
        while batch := [m async for m in queue.receive_messages(max_messages=32, visibility_timeout=3600)]:
            taken += batch
        await queue.clear_messages()
        return taken

    async def _deliver(self, queue: QueueClient, function: str, message: QueueMessage) -> None:
        result = await self.worker.message(
            message.content,
            function=function,
            id_=message.id,
            inserted=message.inserted_on,
            dequeue_count=message.dequeue_count or 1,
        )
        self.results.append(result)
        if result.ok:
            with suppress(ResourceNotFoundError):
                await queue.delete_message(message)
        elif (message.dequeue_count or 1) >= self._most_tries:
            await self.queue(POISON).send_message(message.content)
            await queue.delete_message(message)
        else:
            # The host waits for ``visibilityTimeout``; a test need not.
            await queue.update_message(message, visibility_timeout=0)

    async def run_until(self, done: Any, *, seconds: float = 60, idle: float = 0.2) -> None:  # noqa: ANN401  a predicate, async or not
        """Deliver until ``done()`` says so."""
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        while not await _truth(done):
            if datetime.now(UTC) > end:
                message = f"not done after {seconds} s; the worker said\n" + "\n".join(self.worker.log[-40:])
                raise AssertionError(message)
            if not await self.pump():
                await asyncio.sleep(idle)

    async def drain(self, *, seconds: float = 60) -> None:
        """Deliver until nothing, not even what is still invisible, is left on the queue."""

        async def nothing_left() -> bool:
            return (await self.queue().get_queue_properties()).approximate_message_count == 0

        await self.run_until(nothing_left, seconds=seconds)


async def _truth(predicate: Any) -> bool:  # noqa: ANN401  as above
    value = predicate()
    return bool(await value) if asyncio.iscoroutine(value) else bool(value)
