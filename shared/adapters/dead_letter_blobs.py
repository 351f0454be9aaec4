"""Event Grid's dead letters in a container of Azure Blob Storage."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from shared.adapters.storage_account import CALL_SECONDS, as_setting, blob_errors, client_options
from shared.ports import DeadLetterBlob

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.blob.aio import ContainerClient

_errors: Final = partial(blob_errors, "the dead letters'", conflict="the dead letter was written anew")
_NO_CONTAINER: Final = "LINKGUARD_DEAD_LETTERS: there is no such container of the storage account in AzureWebJobsStorage"


class DeadLetterBlobs:
    """One container. An async context manager."""

    def __init__(self, client: ContainerClient) -> None:
        self._client = client

    @classmethod
    def with_identity(cls, endpoint: str, container: str, credential: AsyncTokenCredential, **options: Any) -> Self:  # noqa: ANN401  the SDK's
        """A container at ``https://<account>.blob.core.windows.net``. The credential stays the caller's to close.

        Raises:
            ConfigError: where the endpoint is no URL.

        """
        from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415  heavy, and not needed at a desk

        with as_setting(_NO_CONTAINER):
            return cls(ContainerClient(endpoint, container, credential=credential, **client_options() | options))

    @classmethod
    def with_connection_string(cls, connection_string: str, container: str, **options: Any) -> Self:  # noqa: ANN401  the SDK's
        """A container by a connection string, which holds a key: for Azurite.

        Raises:
            ConfigError: where it is none.

        """
        from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415  heavy, and not needed at a desk

        with as_setting(_NO_CONTAINER):
            return cls(ContainerClient.from_connection_string(connection_string, container, **client_options() | options))

    async def names(self, *, at_most: int) -> AsyncIterator[str]:
        """The first blobs' names, in order. A container that is not there yet holds nothing."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415  loaded with the client

        left = at_most
        with _errors():
            try:
                async for name in self._client.list_blob_names(results_per_page=at_most):
                    if left == 0:
                        return
                    left -= 1
                    yield name
            except ResourceNotFoundError:
                return

    async def read(self, name: str, *, at_most: int) -> DeadLetterBlob | None:
        """What a blob holds, without content where that is longer; None where it is gone."""
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError  # noqa: PLC0415  loaded with the client

        with _errors():
            async with asyncio.timeout(CALL_SECONDS):
                try:
                    answer = await self._client.download_blob(name, offset=0, length=at_most + 1)
                    content = await answer.readall()
                except ResourceNotFoundError:
                    return None
                except HttpResponseError as error:
                    if error.status_code != _EMPTY:
                        raise
                    properties = await self._client.get_blob_client(name).get_blob_properties()
                    return DeadLetterBlob(content=b"", version=str(properties.etag))
        return DeadLetterBlob(content=content if len(content) <= at_most else None, version=str(answer.properties.etag))

    async def remove(self, name: str, *, version: str) -> None:
        """Delete a blob; no error where it is gone.

        Raises:
            StoreConflictError: where it is not that version.

        """
        from azure.core import MatchConditions  # noqa: PLC0415  loaded with the client
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError  # noqa: PLC0415  the same

        with _errors():
            async with asyncio.timeout(CALL_SECONDS):
                try:
                    await self._client.delete_blob(name, etag=version, match_condition=MatchConditions.IfNotModified)
                except ResourceNotFoundError:
                    return
                except ResourceModifiedError:
                    # What is gone has no version to match, so it may be told the same way.
                    if await self._client.get_blob_client(name).exists():
                        raise

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


_EMPTY: Final = 416
"""A range of an empty blob."""
