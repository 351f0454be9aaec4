"""The ledger, the state store and the queue."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, assert_never

from shared.config import LEDGER, STORAGE, Settings, SqliteLedger, StorageByIdentity, StorageByKey, TablesLedger, read_storage
from shared.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from shared.adapters.credentials import Credential
    from shared.adapters.sqlite_store import SqliteStore
    from shared.adapters.tables_store import TablesStore
    from shared.ports import Ledger, WorkQueue


@asynccontextmanager
async def open_ledger(environ: Mapping[str, str]) -> AsyncIterator[Ledger]:
    """The ledger alone, for reading: needs ``LINKGUARD_LEDGER`` and no other setting.

    Raises:
        ConfigError: where the setting is wrong, or there is no such ledger.
        StoreError: where it cannot be opened.

    """
    async with open_store(environ) as store:
        yield store


@asynccontextmanager
async def open_store(environ: Mapping[str, str]) -> AsyncIterator[SqliteStore | TablesStore]:
    """The stores of ``LINKGUARD_LEDGER`` alone, for reading; no other setting is looked at.

    Raises:
        ConfigError: where the setting is wrong, or there is no such ledger.
        StoreError: where it cannot be opened.

    """
    from shared.adapters.sqlite_store import Access, SqliteStore  # noqa: PLC0415  see the package's docstring

    try:
        setting = LEDGER.parse(LEDGER.text(environ))
    except ValueError as error:
        raise ConfigError([f"{LEDGER.name}: {error}"]) from error
    if isinstance(setting, TablesLedger):
        storage, problems = read_storage(environ)
        if problems:
            raise ConfigError(problems)
        async with open_tables(storage) as tables:
            yield tables
        return
    require_ledger(setting)
    async with SqliteStore(setting.path, Access.READ) as store:
        yield store


def require_ledger(setting: SqliteLedger | TablesLedger) -> None:
    """See that a ledger in a file is there.

    Raises:
        ConfigError: where it is not.

    """
    if isinstance(setting, SqliteLedger) and not setting.path.exists():
        message = f"{LEDGER.name}: there is no ledger at {setting.path}; the first sweep makes it"
        raise ConfigError([message])


@asynccontextmanager
async def open_settings_store(settings: Settings, *, read_only: bool) -> AsyncIterator[SqliteStore | TablesStore]:
    """The stores that checked settings name. ``read_only``: one that is not there yet is not made.

    Raises:
        StoreError: where they cannot be opened.

    """
    from shared.adapters.sqlite_store import Access, SqliteStore  # noqa: PLC0415  see the package's docstring

    match settings.ledger:
        case TablesLedger():
            async with open_tables(settings.storage) as tables:
                yield tables
        case SqliteLedger(path=path):
            async with SqliteStore(path, Access.READ_OR_EMPTY if read_only else Access.WRITE) as store:
                yield store
        case _ as never:
            assert_never(never)


def storage_credential(storage: StorageByIdentity) -> Credential:
    """The identity that the Functions host's storage account is reached with."""
    from shared.adapters.credentials import DEFAULT, MANAGED_IDENTITY, make_credential  # noqa: PLC0415  see above

    kind = MANAGED_IDENTITY if storage.managed_identity else DEFAULT
    return make_credential(kind, endpoint=storage.queue or storage.table or storage.blob or "", client_id=storage.client_id)


@asynccontextmanager
async def open_tables(storage: StorageByKey | StorageByIdentity | None) -> AsyncIterator[TablesStore]:
    """The tables of the storage account.

    Raises:
        ConfigError: where it names none.

    """
    from shared.adapters.tables_store import TablesStore  # noqa: PLC0415  see the package's docstring

    match storage:
        case StorageByKey(connection_string=text):
            async with TablesStore.with_connection_string(text) as store:
                yield store
        case StorageByIdentity(table=str(url)):
            async with storage_credential(storage) as credential, TablesStore.with_identity(url, credential) as store:
                yield store
        case _:
            message = f"{LEDGER.name}: tables are those of the storage account in {STORAGE}, which names none"
            raise ConfigError([message])


@asynccontextmanager
async def open_queue(storage: StorageByKey | StorageByIdentity | None) -> AsyncIterator[WorkQueue]:
    """The queue of the storage account.

    Raises:
        ConfigError: where it names none.

    """
    from shared.adapters.storage_queue import StorageQueue  # noqa: PLC0415  see the package's docstring

    match storage:
        case StorageByKey(connection_string=text):
            async with StorageQueue.with_connection_string(text) as queue:
                yield queue
        case StorageByIdentity(queue=str(url)):
            async with storage_credential(storage) as credential, StorageQueue.with_identity(url, credential) as queue:
                yield queue
        case _:
            message = f"{STORAGE}: the queue is that of this storage account, and it names none"
            raise ConfigError([message])
