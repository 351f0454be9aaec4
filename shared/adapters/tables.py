"""One table of Azure Tables: reads, conditional writes and transactions, with every failure as an error of ours.

Limits are those of https://learn.microsoft.com/azure/storage/tables/scalability-targets: 64 KiB a property, 1 MiB an entity,
4 MiB and 100 entities a transaction, 1 KiB a key.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from shared.core.errors import StoreConflictError, StoreUnavailableError
from shared.core.ledger import canonical

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from azure.data.tables import TableEntity
    from azure.data.tables.aio import TableClient

PROPERTY_BYTES: Final = 64 * 1024

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 20
_CALL_SECONDS: Final = 60.0
"""A call with all its repeats, the waits that the service asked for included."""
_REPEATS: Final = 4
_BACKOFF_SECONDS: Final = 0.2
_REPEATED: Final = frozenset({"POST"})
"""Which the SDK does not repeat by itself after a closed connection; its other writes it does."""

_NOT_FOUND: Final = 404
_CONFLICTS: Final = frozenset({_NOT_FOUND, 409, 412})
"""Of a conditional write: what it was conditional on is gone, is there already, or was changed."""
_REFUSED: Final = frozenset({401, 403})


def client_options() -> dict[str, Any]:
    """Timeouts and bounded repeats for a ``TableServiceClient``.

    Writes are repeated too, although an answer may be lost: the stores mark each write, and so recognise their own.
    """
    return {
        "connection_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "retry_total": _REPEATS,
        "retry_connect": _REPEATS,
        "retry_read": _REPEATS,
        "retry_status": _REPEATS,
        "retry_backoff_factor": _BACKOFF_SECONDS,
    }


class Table:
    """A table. A missing one reads as empty and is made by the first write."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def get(self, partition: str, row: str, *, select: Sequence[str] | None = None) -> TableEntity | None:
        """An entity, with the properties ``select`` alone where that is given; None where there is none."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415  heavy; loaded with the client

        async with _call():
            try:
                return await self._client.get_entity(partition, row, select=None if select is None else list(select))
            except ResourceNotFoundError:
                return None

    async def query(self, query: str, *, page: int, select: Sequence[str] | None = None) -> AsyncIterator[TableEntity]:
        """Every entity that ``query`` finds, by its keys, read ``page`` at a time."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415  heavy; loaded with the client

        columns = None if select is None else list(select)
        pages = self._client.query_entities(query, results_per_page=page, select=columns).by_page()
        while True:
            async with _call():
                try:
                    entities = [entity async for entity in await anext(pages)]
                except (StopAsyncIteration, ResourceNotFoundError):
                    return
            for entity in entities:
                yield entity

    async def create(self, entity: Mapping[str, Any]) -> str:
        """Insert an entity and return its ETag.

        Raises:
            StoreConflictError: where there is one with its keys.

        """
        answer = await self._creating(lambda: self._client.create_entity(dict(entity), retry_on_methods=_REPEATED))
        return str(answer["etag"])

    async def replace(self, entity: Mapping[str, Any], etag: str) -> str:
        """Replace the entity that has this ETag and return the new one.

        Raises:
            StoreConflictError: where it has another, or is gone.

        """
        from azure.core import MatchConditions  # noqa: PLC0415  heavy; loaded with the client
        from azure.data.tables import UpdateMode  # noqa: PLC0415  heavy; loaded with the client

        async with _call():
            answer = await self._client.update_entity(
                dict(entity), mode=UpdateMode.REPLACE, etag=etag, match_condition=MatchConditions.IfNotModified
            )
        return str(answer["etag"])

    async def delete(self, partition: str, row: str, *, etag: str | None = None) -> None:
        """Remove an entity; no error where it is gone.

        Raises:
            StoreConflictError: where it has another ETag than the one given.

        """
        from azure.core import MatchConditions  # noqa: PLC0415  heavy; loaded with the client

        condition = None if etag is None else MatchConditions.IfNotModified
        async with _call():
            await self._client.delete_entity(partition, row, etag=etag, match_condition=condition)

    async def create_with(self, new: Sequence[Mapping[str, Any]], head: Mapping[str, Any], etag: str | None) -> None:
        """Insert ``new`` and write ``head``, all of one partition, in one transaction: all of it is done, or nothing.

        ``etag``: of the head that is replaced; None inserts it.

        Raises:
            StoreConflictError: where one of ``new`` is there already, or the head is not that one.

        """
        from azure.core import MatchConditions  # noqa: PLC0415  heavy; loaded with the client
        from azure.data.tables import UpdateMode  # noqa: PLC0415  heavy; loaded with the client

        operations: list[Any] = [("create", dict(entity)) for entity in new]
        if etag is None:
            operations.append(("create", dict(head)))
            await self._creating(lambda: self._client.submit_transaction(operations, retry_on_methods=_REPEATED))
            return
        condition = {"mode": UpdateMode.REPLACE, "etag": etag, "match_condition": MatchConditions.IfNotModified}
        operations.append(("update", dict(head), condition))
        async with _call():
            await self._client.submit_transaction(operations, retry_on_methods=_REPEATED)

    async def _creating[T](self, write: Callable[[], Awaitable[T]]) -> T:
        from azure.core.exceptions import HttpResponseError, ResourceExistsError  # noqa: PLC0415  heavy; loaded with the client

        async with _call():
            try:
                return await write()
            except HttpResponseError as error:
                if error.status_code != _NOT_FOUND:
                    raise
            # Nothing but the table can be missing where everything is new.
            with suppress(ResourceExistsError):
                await self._client.create_table()
            return await write()


@asynccontextmanager
async def _call() -> AsyncIterator[None]:
    from azure.core.exceptions import AzureError, HttpResponseError  # noqa: PLC0415  heavy; loaded with the client

    # The service's own message is left out of ours: it can quote what was sent.
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            yield
    except HttpResponseError as error:
        if error.status_code in _CONFLICTS:
            message = f"somebody else wrote to Azure Tables first ({error.status_code})"
            raise StoreConflictError(message) from error
        if error.status_code in _REFUSED or error.status_code is None:
            message = (
                f"Azure Tables refused the identity ({error.status_code or type(error).__name__}): it needs the role Storage"
                " Table Data Contributor, and the account's firewall must let it in"
            )
            raise StoreUnavailableError(message) from error
        message = f"Azure Tables answered {error.status_code}"
        raise StoreUnavailableError(message) from error
    except (AzureError, TimeoutError) as error:
        message = f"Azure Tables did not answer ({type(error).__name__})"
        raise StoreUnavailableError(message) from error


def safe_key(name: str) -> str:
    """A key for any name: its readable end, for people, and its digest; a key takes neither any character nor any length."""
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-120:]
    return f"{readable}~{hashlib.sha256(canonical(name).encode('ascii')).hexdigest()}"


def split(prefix: str, content: bytes) -> dict[str, bytes]:
    """``content`` as properties ``<prefix>00``, ``<prefix>01``, ..., none larger than a property may be."""
    starts = range(0, len(content), PROPERTY_BYTES)
    return {f"{prefix}{number:02}": content[start : start + PROPERTY_BYTES] for number, start in enumerate(starts)}


def join(prefix: str, entity: Mapping[str, Any]) -> bytes:
    """What :func:`split` made."""
    parts: list[bytes] = []
    while isinstance(part := entity.get(f"{prefix}{len(parts):02}"), bytes):
        parts.append(part)
    return b"".join(parts)
