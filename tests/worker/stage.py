"""A local Azure, Azurite and the settings of an app that guards both: what the tests of the triggers start from."""

from __future__ import annotations

import zlib
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from shared.adapters.tables import join
from shared.adapters.tables_store import LEDGER_TABLE, STATE_TABLE, TablesStore
from shared.core.ledger import RecordKind, verify_chain
from shared.local_azure import SUBSCRIPTION, Knobs, LocalAzure
from tests.azurite.server import Azurite
from tests.worker.host import POISON, QUEUE, Host
from tests.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.core.ledger import Record

CONTAINER = "linkguard"
BLOB = "allowlist.yaml"
DEAD_LETTERS = "dead-letters"
MESSAGE = "please approve"


def allowlist(*pairs: tuple[str, str], paused: bool = False) -> str:
    """A rule for each pair of a service and a target."""
    rules = [
        f"  - id: rule-{number}\n    effect: allow\n    signalr: {signalr}\n    target: {target}\n"
        for number, (signalr, target) in enumerate(pairs, start=1)
    ]
    return f"version: 1\npaused: {str(paused).lower()}\nrules:\n" + "".join(rules)


@dataclass
class Stage:
    """Everything around a worker."""

    azure: LocalAzure
    azurite: Azurite
    service: str
    site: str
    settings: dict[str, str] = field(default_factory=dict)

    async def set_allowlist(self, text: str) -> None:
        """Replace the blob."""
        async with BlobServiceClient.from_connection_string(self.azurite.connection_string) as client:
            with suppress(ResourceExistsError):
                await client.create_container(CONTAINER)
            await client.get_blob_client(CONTAINER, BLOB).upload_blob(text.encode(), overwrite=True)

    async def put_dead_letter(self, name: str, content: bytes) -> None:
        """What Event Grid does with what it cannot deliver."""
        async with BlobServiceClient.from_connection_string(self.azurite.connection_string) as client:
            with suppress(ResourceExistsError):
                await client.create_container(DEAD_LETTERS)
            await client.get_blob_client(DEAD_LETTERS, name).upload_blob(content)

    async def dead_letters(self) -> list[str]:
        """The blobs that are left there."""
        async with BlobServiceClient.from_connection_string(self.azurite.connection_string) as client:
            return [name async for name in client.get_container_client(DEAD_LETTERS).list_blob_names()]

    def events(self, *, since: int = 0) -> list[dict[str, Any]]:
        """What ARM has emitted, in the Event Grid schema."""
        return [event.event_grid() for event in self.azure.world.events[since:]]

    @property
    def approved(self) -> list[str]:
        """The connections that were approved, in order, by whomever."""
        return [decision.connection for decision in self.azure.world.decisions if decision.status == "Approved"]

    @property
    def breaches(self) -> list[str]:
        """Approvals of ours of a connection that belongs to no link."""
        return [one.connection for one in self.azure.world.decisions if one.status == "Approved" and one.link is None]

    async def records(self) -> list[Record]:
        """The whole ledger, its chains verified."""
        async with TablesStore.with_connection_string(self.azurite.connection_string) as store:
            found: list[Record] = []
            for chain in await store.chains():
                head = await store.head(chain)  # First: what is added while it is read is no fault.
                records = [record async for record in store.records(chain) if record.sequence <= head.sequence]
                assert list(verify_chain(chain, records, head)) == []
                found += records
            return found

    async def stored(self) -> str:
        """All that the tables hold, as text: each property, and what is in those that are compressed."""
        found: list[str] = []
        async with TableServiceClient.from_connection_string(self.azurite.connection_string) as tables:
            for table in (LEDGER_TABLE, STATE_TABLE):
                async for entity in tables.get_table_client(table).list_entities():
                    packed = [join(prefix, entity) for prefix in ("value", "body", "inputs", "data")]
                    found += [zlib.decompress(one).decode() for one in packed if one]
                    found += [str(value) for value in entity.values() if not isinstance(value, bytes)]
        return "\n".join(found)

    async def outcomes(self) -> list[str]:
        """What became of every intent, in order."""
        return [str(r.entry.body["outcome"]) for r in await self.records() if r.entry.kind is RecordKind.OUTCOME]

    async def confirmed(self) -> bool:
        """Whether an approval is confirmed."""
        return "confirmed" in await self.outcomes()


async def clear(azurite: Azurite) -> None:
    """Nothing is left of an earlier test."""
    text = azurite.connection_string
    async with TableServiceClient.from_connection_string(text) as tables:
        for table in (LEDGER_TABLE, STATE_TABLE):
            with suppress(ResourceNotFoundError):
                await tables.delete_table(table)
    async with QueueServiceClient.from_connection_string(text) as queues:
        for queue in (QUEUE, POISON):
            with suppress(ResourceNotFoundError):
                await queues.delete_queue(queue)
    async with BlobServiceClient.from_connection_string(text) as blobs:
        for container in (CONTAINER, DEAD_LETTERS):
            client = blobs.get_container_client(container)
            with suppress(ResourceNotFoundError):
                async for name in client.list_blob_names():
                    await client.delete_blob(name)


@asynccontextmanager
async def open_stage(azurite: Azurite, *, knobs: Knobs | None = None, **settings: str) -> AsyncIterator[Stage]:
    """A service, a site, an allowlist that lets the one reach the other, and settings without long waits."""
    async with LocalAzure(knobs=knobs) as azure:
        stage = Stage(
            azure=azure,
            azurite=azurite,
            service=azure.world.add_signalr("contoso-signalr"),
            site=azure.world.add_site("contoso-func", public_network_access="Enabled"),
        )
        stage.settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "LINKGUARD_MODE": "enforce",
            "LINKGUARD_ALLOWLIST": f"{azurite.blob_endpoint}/{CONTAINER}/{BLOB}",
            "LINKGUARD_SUBSCRIPTIONS": SUBSCRIPTION,
            "LINKGUARD_LEDGER": "tables",
            "LINKGUARD_DEAD_LETTERS": DEAD_LETTERS,
            "LINKGUARD_ARM_ENDPOINT": azure.url,
            "LINKGUARD_CREDENTIAL": "local",
            "LINKGUARD_SETTLE": "300ms",
            "LINKGUARD_RECHECK_DELAY": "200ms",
            "LINKGUARD_RECHECK_MAX": "1s",
            "LINKGUARD_ARM_READS_PER_SECOND": "0",
            "LINKGUARD_ARM_TIMEOUT": "5s",
            **settings,
        }
        await clear(azurite)
        await stage.set_allowlist(allowlist((stage.service, stage.site)))
        yield stage


@asynccontextmanager
async def open_host(stage: Stage, **settings: str) -> AsyncIterator[Host]:
    """A worker with the stage's settings, and its host."""
    async with Worker({**stage.settings, **settings}) as worker, Host(worker, stage.azurite.connection_string) as host:
        yield host
