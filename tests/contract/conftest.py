"""Each store that the contract suites run against, and a way to open it a second time."""

from __future__ import annotations

from contextlib import AsyncExitStack
from secrets import token_hex
from typing import TYPE_CHECKING, Protocol

import pytest
from azure.data.tables.aio import TableServiceClient

from shared.adapters.sqlite_store import SqliteStore
from shared.adapters.tables import client_options
from shared.adapters.tables_store import TablesStore
from shared.ports import Ledger, StateStore
from tests.fakes import MemoryLedger, MemoryStateStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.azurite.server import Azurite


class OpenStore(Protocol):
    """Opens the same store once more, as another process would."""

    async def __call__(self) -> Store: ...


class Store(Ledger, StateStore, Protocol):
    """Both ports, which every adapter offers together."""


class MemoryStore(MemoryLedger, MemoryStateStore):
    """The two fakes as one."""

    def __init__(self) -> None:
        MemoryLedger.__init__(self)
        MemoryStateStore.__init__(self)


@pytest.fixture(params=["memory", "sqlite", "tables"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    memory = MemoryStore()
    tables = token_hex(8)
    async with AsyncExitStack() as opened:

        async def open_it() -> Store:
            if request.param == "sqlite":
                return await opened.enter_async_context(SqliteStore(tmp_path / "ledger.sqlite3"))
            if request.param == "tables":
                server: Azurite = request.getfixturevalue("azurite")
                return await opened.enter_async_context(tables_store(server.connection_string, tables))
            return memory

        yield open_it


def tables_store(connection_string: str, name: str) -> TablesStore:
    """A store in tables of its own."""
    service = TableServiceClient.from_connection_string(connection_string, **client_options())
    return TablesStore(service, ledger_table=f"ledger{name}", state_table=f"state{name}")


@pytest.fixture
async def store(open_store: OpenStore) -> Store:
    return await open_store()
