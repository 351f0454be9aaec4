"""One target's chain, read once and appended to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.core.errors import LedgerBrokenError, StoreConflictError
from shared.core.history import read_history
from shared.core.ledger import EMPTY, seal

if TYPE_CHECKING:
    from shared.core.history import History
    from shared.core.ledger import Entry, Record
    from shared.ports import Ledger

_TRIES: Final = 10


class Journal:
    """What the ledger says about a target, and what is added while a step runs."""

    def __init__(self, ledger: Ledger, chain: str) -> None:
        self._ledger = ledger
        self.chain = chain
        self._records: list[Record] = []
        self._history: History | None = None

    async def load(self) -> None:
        """Read the chain anew.

        Raises:
            LedgerBrokenError: where a record does not follow the one before it.

        """
        records = [record async for record in self._ledger.records(self.chain, with_inputs=False)]
        head = EMPTY
        for record in records:
            if (record.sequence, record.previous) != (head.sequence + 1, head.hash):
                message = f"record {head.sequence + 1} of {self.chain} is missing or does not follow: linkguard ledger verify"
                raise LedgerBrokenError(message)
            head = record.head
        self._records = records
        self._history = None

    @property
    def history(self) -> History:
        """What the records say by now."""
        if self._history is None:
            self._history = read_history(self._records)
        return self._history

    @property
    def length(self) -> int:
        """How many records there are by now."""
        return len(self._records)

    async def is_behind(self) -> bool:
        """Whether somebody has added to the chain since it was read.

        Raises:
            StoreError: where the ledger failed.

        """
        return await self._ledger.head(self.chain) != (self._records[-1].head if self._records else EMPTY)

    def holds(self, entry_id: str) -> bool:
        """Whether an entry with this id is recorded."""
        return any(record.entry.id == entry_id for record in self._records)

    async def append(self, entry: Entry) -> None:
        """Add an entry at the end.

        Raises:
            StoreConflictError: where somebody else has added to the chain: observe and decide again.

        """
        record = seal(entry, self._records[-1].head if self._records else EMPTY)
        await self._ledger.append(record)
        self._records.append(record)
        self._history = None

    async def insist(self, entry: Entry) -> None:
        """Add what has already happened, whatever others add meanwhile; once, however often it is said.

        Raises:
            StoreConflictError: where others kept adding for too long.

        """
        for _ in range(_TRIES):
            if self.holds(entry.id):
                return
            try:
                await self.append(entry)
            except StoreConflictError:
                await self.load()
            else:
                return
        message = f"{self.chain} changed {_TRIES} times while an outcome was to be recorded"
        raise StoreConflictError(message)
