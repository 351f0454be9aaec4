"""The ledger and the state store in Azure Tables.

The ledger's table has one partition a chain, in which one entity group transaction adds

- ``record-<number>``: the record, its body and its inputs compressed;
- ``id-<digest of the id>``: so that an id is recorded once;
- ``head``: replaced under its ETag, so that of two writers one wins;

and before it, where a body or inputs do not fit into the record's entity, ``chunk-<digest>-<part>``: named by their
content, so that a crash before the transaction leaves parts that nothing refers to, and never half a record. The partition
``chains`` names every chain, so that listing them reads no records.

The state store's table has one partition a partition and one entity a row; what does not fit lies beside it, in a
partition of its own, under a name that is used once.

Each write carries a mark of its own. A write that is refused because an earlier try of the same call was done, and only
its answer lost, is recognised by it.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, Self

from shared.adapters.tables import PROPERTY_BYTES, Table, client_options, join, safe_key, split
from shared.core.errors import ConfigError, LedgerBrokenError, StoreConflictError, StoreUnavailableError
from shared.core.ledger import EMPTY, RECORD_VERSION, Head, Record, canonical
from shared.ports import Versioned

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from types import TracebackType

    from azure.core.credentials_async import AsyncTokenCredential
    from azure.data.tables import TableEntity
    from azure.data.tables.aio import TableServiceClient

    from shared.core.ledger import Json, RecordKind

LEDGER_TABLE: Final = "linkguardledger"
STATE_TABLE: Final = "linkguardstate"

_BODY_INLINE: Final = 3 * PROPERTY_BYTES
"""The largest body in its record's own entity."""
_INLINE: Final = 7 * PROPERTY_BYTES
"""The same for inputs, and for a row's value. With a body 640 KiB: below 1 MiB as base64 too, which is how it travels."""
_CHUNK: Final = 10 * PROPERTY_BYTES
_CHAINS: Final = "chains"
_HEAD: Final = "head"
_PAGE: Final = 200
_PAGE_OF_LARGE: Final = 20
"""Entities a page where each may be nearly 1 MiB."""
_ATTEMPTS: Final = 5
_RECORD_FIELDS: Final = ("v", "sequence", "previous", "kind", "at", "inputs_digest", "hash")
_WITHOUT_INPUTS: Final = (
    *("PartitionKey", "RowKey", "chain", "id", *_RECORD_FIELDS, "body_chunks", "body_key"),
    *(f"body{number:02}" for number in range(_BODY_INLINE // PROPERTY_BYTES)),
)


class TablesStore:
    """Both ports over one storage account. An async context manager; every method raises ``StoreError`` and nothing else.

    ``service`` is closed with the store. Missing tables read as empty and are made by the first write.
    """

    def __init__(self, service: TableServiceClient, *, ledger_table: str = LEDGER_TABLE, state_table: str = STATE_TABLE) -> None:
        self._service = service
        self._ledger = Table(service.get_table_client(ledger_table))
        self._state = Table(service.get_table_client(state_table))

    @classmethod
    def with_identity(cls, endpoint: str, credential: AsyncTokenCredential, **options: Any) -> Self:  # noqa: ANN401  the SDK's
        """A store at ``https://<account>.table.core.windows.net``. The credential stays the caller's to close.

        ``options``: further ones of ``TableServiceClient``, such as ``transport``.

        Raises:
            ConfigError: where the endpoint is no https URL: tokens are sent over nothing else.

        """
        from azure.data.tables.aio import TableServiceClient  # noqa: PLC0415  heavy, and not needed at a desk

        with _settings("tokens are sent to an https endpoint of Azure Tables alone, and this is none"):
            return cls(TableServiceClient(endpoint=endpoint, credential=credential, **client_options() | options))

    @classmethod
    def with_connection_string(cls, connection_string: str) -> Self:
        """A store by a connection string, which holds a key: for Azurite.

        Raises:
            ConfigError: where it is none.

        """
        from azure.data.tables.aio import TableServiceClient  # noqa: PLC0415  heavy, and not needed at a desk

        with _settings("this is no connection string of a storage account"):
            return cls(TableServiceClient.from_connection_string(connection_string, **client_options()))

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    # The ledger

    async def head(self, chain: str) -> Head:
        """Where the chain ends; ``EMPTY`` for one that does not exist."""
        return _head(await self._ledger.get(safe_key(chain), _HEAD))

    async def append(self, record: Record) -> None:
        """Insert the record and move the head, in one transaction.

        Raises:
            StoreConflictError: where the chain's head is not the record's predecessor, or the id is there already.

        """
        entry, partition = record.entry, safe_key(record.entry.chain)
        before = await self._ledger.get(partition, _HEAD)
        if _head(before) != Head(sequence=record.sequence - 1, hash=record.previous):
            message = f"record {record.sequence} does not follow the head of its chain"
            raise StoreConflictError(message)
        mark = token_hex(16)
        stored: dict[str, Any] = {
            "PartitionKey": partition,
            "RowKey": f"record-{record.sequence:016}",
            "mark": mark,
            "v": RECORD_VERSION,
            "chain": canonical(entry.chain),
            "sequence": record.sequence,
            "previous": record.previous,
            "id": canonical(entry.id),
            "kind": entry.kind.value,
            "at": entry.at.isoformat(),
            "inputs_digest": record.inputs_digest,
            "hash": record.hash,
            **await self._placed(partition, "body", _packed(entry.body), _BODY_INLINE),
        }
        if entry.inputs is not None:
            stored |= await self._placed(partition, "inputs", _packed(entry.inputs), _INLINE)
        once = {"PartitionKey": partition, "RowKey": f"id-{_sha256(canonical(entry.id).encode())}", "record": stored["RowKey"]}
        head = {"PartitionKey": partition, "RowKey": _HEAD, "sequence": record.sequence, "hash": record.hash}
        if before is None:
            await self._register(entry.chain)
        try:
            await self._ledger.create_with([stored, once], head, None if before is None else _etag(before))
        except StoreConflictError:
            if not await _is_ours(self._ledger, stored):
                raise

    async def _placed(self, partition: str, name: str, content: bytes, inline: int) -> dict[str, Any]:
        """The properties that hold ``content``, or that say where it now lies."""
        if len(content) <= inline:
            return split(name, content)
        chunks = _chunks(content)
        prefix = f"chunk-{_sha256(content)}"
        for number, chunk in enumerate(chunks):
            try:
                await self._ledger.create({"PartitionKey": partition, "RowKey": f"{prefix}-{number:04}", **chunk})
            except StoreConflictError:
                # There already, from a try that came no further or from a record with the same content.
                continue
        return {f"{name}_chunks": len(chunks), f"{name}_key": prefix}

    async def _register(self, chain: str) -> None:
        # Before its first record: a chain that is listed and empty does no harm, one that is not listed is not verified.
        try:
            await self._ledger.create({"PartitionKey": _CHAINS, "RowKey": safe_key(chain), "chain": canonical(chain)})
        except StoreConflictError:
            return

    async def records(self, chain: str, *, kinds: Sequence[RecordKind] = (), with_inputs: bool = True) -> AsyncIterator[Record]:
        """A chain's records in order, of the ``kinds`` named or all; without inputs where they are not asked for."""
        query = f"PartitionKey eq '{safe_key(chain)}' and RowKey ge 'record-' and RowKey lt 'record.'"
        if kinds:
            query += f" and ({' or '.join(f"kind eq '{kind.value}'" for kind in kinds)})"
        entities = (
            self._ledger.query(query, page=_PAGE_OF_LARGE)
            if with_inputs
            else self._ledger.query(query, page=_PAGE, select=_WITHOUT_INPUTS)
        )
        async for entity in entities:
            yield await self._record(entity, with_inputs=with_inputs)

    async def _record(self, entity: TableEntity, *, with_inputs: bool) -> Record:
        inputs = await self._content(entity, "inputs") if with_inputs else b""
        value: dict[str, Json] = {name: entity.get(name) for name in _RECORD_FIELDS}
        value |= {
            "chain": _name(entity.get("chain")),
            "id": _name(entity.get("id")),
            "body": _unpacked(await self._content(entity, "body")),
            "inputs": _unpacked(inputs) if inputs else None,
        }
        return Record.from_json(value)

    async def _content(self, entity: Mapping[str, Any], name: str) -> bytes:
        if not entity.get(f"{name}_chunks"):
            return join(name, entity)
        prefix = entity.get(f"{name}_key")
        content = await _gathered(self._ledger, entity["PartitionKey"], f"{prefix}", entity[f"{name}_chunks"])
        if content is None or prefix != f"chunk-{_sha256(content)}":
            message = f"record {entity.get('sequence')} of a chain has lost a part of its {name}, or the part was changed"
            raise LedgerBrokenError(message)
        return content

    async def chains(self) -> tuple[str, ...]:
        """The name of every chain, sorted; one whose first append came to nothing may be among them, and is empty."""
        entities = self._ledger.query(f"PartitionKey eq '{_CHAINS}'", page=_PAGE, select=["chain"])
        return tuple(sorted([_name(entity.get("chain")) async for entity in entities]))

    # The state store

    async def get(self, partition: str, key: str) -> Versioned | None:
        """A row, None where there is none."""
        seen = ""
        for _ in range(_ATTEMPTS):
            entity = await self._state.get(safe_key(partition), safe_key(key))
            if entity is None:
                return None
            content = await self._value(entity)
            if content is not None:
                return Versioned(value=_unpacked(content), version=_Version.of(entity).text)
            if seen == _etag(entity):
                message = "a row of the state store has lost a part: delete its entity, it can be made anew"
                raise LedgerBrokenError(message)
            seen = _etag(entity)
        message = "a row of the state store was replaced again and again while it was read"
        raise StoreUnavailableError(message)

    async def put(self, partition: str, key: str, value: Json, *, replaces: str | None) -> str:
        """Write a row and return its new version. ``replaces``: the version that it replaces, None for a new row.

        Raises:
            StoreConflictError: where the row is not (or no longer) that version.

        """
        before = None if replaces is None else _Version.parse(replaces)
        content, mark = _packed(value), token_hex(16)
        chunks = [] if len(content) <= _INLINE else _chunks(content)
        row = {"PartitionKey": safe_key(partition), "RowKey": safe_key(key), "key": canonical(key), "mark": mark}
        for number, chunk in enumerate(chunks):
            await self._state.create({"PartitionKey": _beside(row), "RowKey": f"{mark}-{number:04}", **chunk})
        stored: dict[str, Any] = row | {"chunks": len(chunks)} | ({} if chunks else split("value", content))
        try:
            etag = await (self._state.create(stored) if before is None else self._state.replace(stored, before.etag))
        except StoreConflictError:
            ours = await _is_ours(self._state, stored)
            if ours is None:
                await self._remove_chunks(row, _Version(etag="", mark=mark, chunks=len(chunks)))
                raise
            etag = _etag(ours)
        if before is not None:
            await self._remove_chunks(row, before)
        return _Version(etag=etag, mark=mark, chunks=len(chunks)).text

    async def delete(self, partition: str, key: str, *, version: str) -> None:
        """Remove a row; no error where it is gone.

        Raises:
            StoreConflictError: where the row is not that version.

        """
        before = _Version.parse(version)
        row = {"PartitionKey": safe_key(partition), "RowKey": safe_key(key)}
        await self._state.delete(row["PartitionKey"], row["RowKey"], etag=before.etag)
        await self._remove_chunks(row, before)

    async def rows(self, partition: str) -> dict[str, Versioned]:
        """Every row of a partition by its key."""
        found: dict[str, Versioned] = {}
        async for entity in self._state.query(f"PartitionKey eq '{safe_key(partition)}'", page=_PAGE_OF_LARGE):
            key = _name(entity.get("key"))
            content = await self._value(entity)
            if content is not None:
                found[key] = Versioned(value=_unpacked(content), version=_Version.of(entity).text)
            elif (row := await self.get(partition, key)) is not None:
                found[key] = row
        return found

    async def _value(self, entity: TableEntity) -> bytes | None:
        """What the row holds; None where a part is gone, since the row was replaced after ``entity`` was read."""
        version = _Version.of(entity)
        return (
            await _gathered(self._state, _beside(entity), version.mark, version.chunks)
            if version.chunks
            else join("value", entity)
        )

    async def _remove_chunks(self, row: Mapping[str, Any], version: _Version) -> None:
        """Remove what lay beside a row of ``version``; what a crash before this leaves is rubbish that nothing refers to."""
        for number in range(version.chunks):
            await self._state.delete(_beside(row), f"{version.mark}-{number:04}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """A row's version: its ETag, and what lies beside the row, so that it can be removed without reading the row."""

    etag: str
    mark: str
    chunks: int

    @property
    def text(self) -> str:
        return json.dumps([self.etag, self.mark, self.chunks])

    @classmethod
    def parse(cls, text: str) -> Self:
        try:
            etag, mark, chunks = json.loads(text)
            return cls(etag=str(etag), mark=str(mark), chunks=int(chunks))
        except (ValueError, TypeError) as error:
            message = "no row has this version"
            raise StoreConflictError(message) from error

    @classmethod
    def of(cls, entity: TableEntity) -> Self:
        chunks = entity.get("chunks")
        return cls(etag=_etag(entity), mark=str(entity.get("mark")), chunks=chunks if isinstance(chunks, int) else 0)


@contextmanager
def _settings(message: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        # What the SDK says may quote the key.
        raise ConfigError([message]) from error


async def _is_ours(table: Table, entity: Mapping[str, Any]) -> TableEntity | None:
    """The stored entity where it is the one that this call wrote, in a try whose answer was lost."""
    stored = await table.get(entity["PartitionKey"], entity["RowKey"], select=["mark"])
    return stored if stored is not None and stored.get("mark") == entity["mark"] else None


def _beside(row: Mapping[str, Any]) -> str:
    return f"{row['PartitionKey']}~chunks"


def _etag(entity: TableEntity) -> str:
    return str(entity.metadata["etag"])


def _head(entity: Mapping[str, Any] | None) -> Head:
    if entity is None:
        return EMPTY
    sequence, last = entity.get("sequence"), entity.get("hash")
    if not (isinstance(sequence, int) and isinstance(last, str)):
        message = "a chain's head cannot be decoded: something else than Linkguard wrote it"
        raise LedgerBrokenError(message)
    return Head(sequence=sequence, hash=last)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _chunks(content: bytes) -> list[dict[str, bytes]]:
    """``content`` as the properties of as many entities as it takes."""
    return [split("data", content[start : start + _CHUNK]) for start in range(0, len(content), _CHUNK)]


async def _gathered(table: Table, partition: str, prefix: str, chunks: int) -> bytes | None:
    """What the chunks hold together; None where one is missing."""
    parts: list[bytes] = []
    for number in range(chunks):
        entity = await table.get(partition, f"{prefix}-{number:04}")
        if entity is None:
            return None
        parts.append(join("data", entity))
    return b"".join(parts)


def _packed(value: Json) -> bytes:
    return zlib.compress(canonical(value).encode("ascii"))


def _unpacked(content: bytes) -> Json:
    try:
        value: Json = json.loads(zlib.decompress(content))
    except (zlib.error, ValueError, RecursionError) as error:
        message = "a value in Azure Tables cannot be decoded: something else than Linkguard wrote it"
        raise LedgerBrokenError(message) from error
    return value


def _name(text: object) -> str:
    try:
        return str(json.loads(str(text)))
    except ValueError as error:
        message = "a name in Azure Tables cannot be decoded: something else than Linkguard wrote it"
        raise LedgerBrokenError(message) from error
