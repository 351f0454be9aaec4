"""The ledger in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from shared.core.errors import StoreConflictError, StoreUnavailableError
from shared.core.ledger import EMPTY, Record, canonical

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from shared.core.ledger import Head, RecordKind


class MemoryLedger:
    """Keeps records as text, as a real store does, so that nobody shares a dict with it.

    ``unavailable`` makes every call fail; ``fail_appends`` fails that many appends before they are done,
    ``lose_answers`` that many after.
    """

    def __init__(self) -> None:
        self._chains: dict[str, list[str]] = {}
        self._heads: dict[str, Head] = {}
        self._ids: set[tuple[str, str]] = set()
        self.unavailable = False
        self.fail_appends = 0
        self.lose_answers = 0

    async def head(self, chain: str) -> Head:
        self._answer()
        return self._heads.get(chain, EMPTY)

    async def append(self, record: Record) -> None:
        self._answer()
        if self.fail_appends:
            self.fail_appends -= 1
            message = "the ledger did not answer"
            raise StoreUnavailableError(message)
        chain, key = record.entry.chain, (record.entry.chain, record.entry.id)
        head = self._heads.get(chain, EMPTY)
        if (record.sequence, record.previous) != (head.sequence + 1, head.hash) or key in self._ids:
            message = f"the chain is at {head.sequence}, or holds the id already"
            raise StoreConflictError(message)
        self._chains.setdefault(chain, []).append(canonical(record.as_json()))
        self._heads[chain] = record.head
        self._ids.add(key)
        if self.lose_answers:
            self.lose_answers -= 1
            message = "the ledger's answer was lost"
            raise StoreUnavailableError(message)

    async def records(self, chain: str, *, kinds: Sequence[RecordKind] = (), with_inputs: bool = True) -> AsyncIterator[Record]:
        self._answer()
        for text in tuple(self._chains.get(chain, ())):
            stored = json.loads(text)
            record = Record.from_json(stored if with_inputs else stored | {"inputs": None})
            if not kinds or record.entry.kind in kinds:
                yield record

    async def chains(self) -> tuple[str, ...]:
        self._answer()
        return tuple(sorted(self._chains))

    def _answer(self) -> None:
        if self.unavailable:
            message = "the ledger did not answer"
            raise StoreUnavailableError(message)
