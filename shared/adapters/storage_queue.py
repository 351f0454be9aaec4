"""The work queue in Azure Storage. Messages are plain text: host.json says ``messageEncoding: none`` to the trigger."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Self

from shared.adapters.storage_account import CALL_SECONDS, as_setting, client_options
from shared.core.errors import QueueError

if TYPE_CHECKING:
    from types import TracebackType

    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.queue.aio import QueueClient

QUEUE: Final = "linkguard-reconcile"
_LONGEST_DELAY: Final = timedelta(days=6)
"""A message may stay unseen for 7 days at most."""
_FOR_EVER: Final = -1
_REFUSED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404


class StorageQueue:
    """One queue, made by the first message. An async context manager."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client

    @classmethod
    def with_identity(cls, endpoint: str, credential: AsyncTokenCredential, *, queue: str = QUEUE, **options: Any) -> Self:  # noqa: ANN401  the SDK's
        """A queue at ``https://<account>.queue.core.windows.net``. The credential stays the caller's to close.

        Raises:
            ConfigError: where the endpoint is no URL.

        """
        from azure.storage.queue.aio import QueueClient  # noqa: PLC0415  heavy, and not needed at a desk

        with as_setting("tokens are sent to an https endpoint of Azure Queues alone, and this is none"):
            return cls(QueueClient(endpoint, queue, credential=credential, **client_options() | options))

    @classmethod
    def with_connection_string(cls, connection_string: str, *, queue: str = QUEUE, **options: Any) -> Self:  # noqa: ANN401  the SDK's
        """A queue by a connection string, which holds a key: for Azurite.

        Raises:
            ConfigError: where it is none.

        """
        from azure.storage.queue.aio import QueueClient  # noqa: PLC0415  heavy, and not needed at a desk

        with as_setting("this is no connection string of a storage account"):
            return cls(QueueClient.from_connection_string(connection_string, queue, **client_options() | options))

    async def put(self, text: str, *, delay: timedelta = timedelta()) -> str:
        """Add a message that nobody sees before ``delay``, rounded up to whole seconds, is over; returns the queue's id of it."""
        from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError  # noqa: PLC0415  see above

        seconds = ceil(min(delay, _LONGEST_DELAY).total_seconds())
        try:
            async with asyncio.timeout(CALL_SECONDS):
                try:
                    return await self._send(text, seconds)
                except HttpResponseError as error:
                    if error.status_code != _NOT_FOUND:
                        raise
                with suppress(ResourceExistsError):
                    await self._client.create_queue()
                return await self._send(text, seconds)
        except HttpResponseError as error:
            if error.status_code in _REFUSED:
                message = (
                    f"the queue refused the identity ({error.status_code}): it needs the role Storage Queue Data Contributor,"
                    " and the account's firewall must let it in"
                )
                raise QueueError(message) from error
            message = f"the queue answered {error.status_code}"
            raise QueueError(message) from error
        except (AzureError, TimeoutError) as error:
            message = f"the queue did not answer ({type(error).__name__})"
            raise QueueError(message) from error

    async def _send(self, text: str, seconds: int) -> str:
        sent = await self._client.send_message(text, visibility_timeout=seconds, time_to_live=_FOR_EVER)
        return str(sent.id)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
