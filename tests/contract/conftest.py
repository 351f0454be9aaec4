"""Each store that the contract suites run against, and a way to open it a second time."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from shared.adapters.sqlite_store import SqliteStore
from shared.ports import Ledger, StateStore
from tests.fakes import MemoryLedger, MemoryStateStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


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


@pytest.fixture(params=["memory", "sqlite"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    memory = MemoryStore()
    async with AsyncExitStack() as opened:

        async def open_it() -> Store:
            if request.param == "sqlite":
                return await opened.enter_async_context(SqliteStore(tmp_path / "ledger.sqlite3"))
            return memory

        yield open_it


@pytest.fixture
async def store(open_store: OpenStore) -> Store:
    return await open_store()
