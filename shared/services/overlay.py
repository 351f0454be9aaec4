"""Stores whose writes stay in memory: a dry run takes every step of a real one and records nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from shared.core.errors import StoreConflictError
from shared.ports import Versioned
from shared.services.budget import Budgets
from shared.services.snapshot import Snapshots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from shared.core.ledger import Head, Json, Record, RecordKind
    from shared.ports import Ledger, StateStore
    from shared.services.engine import Engine


def without_records(engine: Engine) -> Engine:
    """The same engine, with nothing that it records ever reaching a store."""
    state = OverlayState(engine.state)
    return replace(
        engine,
        ledger=OverlayLedger(engine.ledger),
        state=state,
        snapshots=Snapshots(engine.azure, state),
        budgets=Budgets(state),
    )


class OverlayLedger:
    """A ledger that reads through and appends in memory."""

    def __init__(self, base: Ledger) -> None:
        self._base = base
        self._added: defaultdict[str, list[Record]] = defaultdict(list)

    async def head(self, chain: str) -> Head:
        """Where the chain ends, with what was added here."""
        added = self._added[chain]
        return added[-1].head if added else await self._base.head(chain)

    async def append(self, record: Record) -> None:
        """Add to the chain, in memory."""
        chain = record.entry.chain
        head = await self.head(chain)
        if (record.sequence, record.previous) != (head.sequence + 1, head.hash):
            message = f"the chain {chain} has moved on"
            raise StoreConflictError(message)
        self._added[chain].append(record)

    async def records(self, chain: str, *, kinds: Sequence[RecordKind] = (), with_inputs: bool = True) -> AsyncIterator[Record]:
        """The chain's records, then those added here."""
        async for record in self._base.records(chain, kinds=kinds, with_inputs=with_inputs):
            yield record
        for record in self._added[chain]:
            if not kinds or record.entry.kind in kinds:
                yield record

    async def chains(self) -> tuple[str, ...]:
        """The name of every chain, those begun here too."""
        return tuple(sorted({*await self._base.chains(), *(chain for chain, added in self._added.items() if added)}))


class OverlayState:
    """A state store that reads through and writes in memory."""

    def __init__(self, base: StateStore) -> None:
        self._base = base
        self._rows: dict[tuple[str, str], Versioned | None] = {}
        self._versions = count(1)

    async def get(self, partition: str, key: str) -> Versioned | None:
        """A row as it was written here, else as it is."""
        if (partition, key) in self._rows:
            return self._rows[partition, key]
        return await self._base.get(partition, key)

    async def put(self, partition: str, key: str, value: Json, *, replaces: str | None) -> str:
        """Write a row, in memory."""
        await self._expect(partition, key, replaces)
        version = f"unwritten-{next(self._versions)}"
        self._rows[partition, key] = Versioned(value, version)
        return version

    async def delete(self, partition: str, key: str, *, version: str) -> None:
        """Remove a row, in memory."""
        if await self.get(partition, key) is not None:
            await self._expect(partition, key, version)
            self._rows[partition, key] = None

    async def rows(self, partition: str) -> dict[str, Versioned]:
        """Every row of a partition, those written here in place of the others."""
        found: dict[str, Versioned | None] = dict(await self._base.rows(partition))
        found |= {key: row for (where, key), row in self._rows.items() if where == partition}
        return {key: row for key, row in found.items() if row is not None}

    async def _expect(self, partition: str, key: str, version: str | None) -> None:
        row = await self.get(partition, key)
        if (row.version if row else None) != version:
            message = f"the row {partition}/{key} has changed"
            raise StoreConflictError(message)
