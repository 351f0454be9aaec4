"""What the contract tests and their helper processes do with a ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.core.errors import StoreConflictError
from shared.core.ledger import EMPTY, ChainFault, Entry, RecordKind, seal, verify_chain

if TYPE_CHECKING:
    from shared.core.ledger import Head, JsonObject, Record
    from shared.ports import Ledger, StateStore

CHAIN = "/SUBSCRIPTIONS/00000000-0000-0000-0000-0000000000A1/RESOURCEGROUPS/CONTOSO/PROVIDERS/MICROSOFT.WEB/SITES/CONTOSO-FUNC"
AT = datetime(2027, 1, 4, 9, 0, 0, 123456, tzinfo=UTC)


def entry(
    key: str,
    *,
    chain: str = CHAIN,
    kind: RecordKind = RecordKind.HOLD,
    body: JsonObject | None = None,
    inputs: JsonObject | None = None,
) -> Entry:
    return Entry(chain=chain, id=key, kind=kind, at=AT, body=body or {"about": key}, inputs=inputs)


async def append(ledger: Ledger, new: Entry) -> Record:
    """Seal ``new`` against the head as it is, and append it."""
    record = seal(new, await ledger.head(new.chain))
    await ledger.append(record)
    return record


async def append_whatever_others_do(ledger: Ledger, new: Entry, *, attempts: int = 500) -> Record:
    """The same, again and again while others are quicker."""
    for _ in range(attempts):
        try:
            return await append(ledger, new)
        except StoreConflictError:
            continue
    message = f"no turn in {attempts} attempts"
    raise AssertionError(message)


async def count_up(state: StateStore, partition: str, key: str, *, attempts: int = 500) -> None:
    """Add one to a row, again and again while others are quicker."""
    for _ in range(attempts):
        row = await state.get(partition, key)
        number = row.value if row else 0
        assert isinstance(number, int)
        try:
            await state.put(partition, key, number + 1, replaces=row.version if row else None)
        except StoreConflictError:
            continue
        return
    message = f"no turn in {attempts} attempts"
    raise AssertionError(message)


async def all_records(ledger: Ledger, chain: str = CHAIN) -> list[Record]:
    return [record async for record in ledger.records(chain)]


async def faults(ledger: Ledger, chain: str = CHAIN) -> list[ChainFault]:
    return list(verify_chain(chain, await all_records(ledger, chain), await ledger.head(chain)))


def sealed(*entries: Entry, after: Head = EMPTY) -> list[Record]:
    """The records that ``entries`` become, one after the other."""
    records: list[Record] = []
    for new in entries:
        records.append(seal(new, records[-1].head if records else after))
    return records
