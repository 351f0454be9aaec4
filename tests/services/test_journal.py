"""The journal: one target's chain, read once and appended to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shared.core.entries import chain_of, outcome_entry
from shared.core.errors import LedgerBrokenError, StoreConflictError, StoreUnavailableError
from shared.core.history import Outcome
from shared.core.ledger import Entry, Record, RecordKind, verify_chain
from shared.services.journal import Journal
from tests.core.cases import NOW, TARGET, a_connection, a_link, an_approval
from tests.fakes import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Callable

CHAIN = chain_of(TARGET)


def note(name: str) -> Entry:
    return Entry(chain=CHAIN, id=name, kind=RecordKind.ALERT, at=NOW, body={"name": name})


async def opened(ledger: MemoryLedger) -> Journal:
    journal = Journal(ledger, CHAIN)
    await journal.load()
    return journal


async def ids(ledger: MemoryLedger) -> list[str]:
    return [record.entry.id async for record in ledger.records(CHAIN)]


async def test_what_is_appended_is_there_and_known_at_once() -> None:
    """For whoever reads the chain next too."""
    ledger = MemoryLedger()
    journal = await opened(ledger)
    assert not journal.holds("a")
    await journal.append(note("a"))
    await journal.append(note("b"))
    assert (journal.holds("a"), journal.length) == (True, 2)
    assert (await opened(ledger)).length == 2


async def test_somebody_who_wrote_first_is_not_overwritten() -> None:
    """What was decided by a chain that has moved on has to be decided again."""
    ledger = MemoryLedger()
    first, second = await opened(ledger), await opened(ledger)
    await first.append(note("a"))
    with pytest.raises(StoreConflictError):
        await second.append(note("b"))
    await second.load()
    await second.append(note("b"))
    assert await ids(ledger) == ["a", "b"]


async def test_what_has_happened_is_recorded_whatever_others_write() -> None:
    """Once, however often it is said."""
    ledger = MemoryLedger()
    first, second = await opened(ledger), await opened(ledger)
    await first.append(note("a"))
    await second.insist(note("b"))
    await first.insist(note("b"))
    await second.insist(note("b"))
    assert await ids(ledger) == ["a", "b"]


async def test_two_who_insist_on_the_same_record_leave_one() -> None:
    """Whichever comes first."""
    ledger = MemoryLedger()
    journals = [await opened(ledger) for _ in range(4)]
    await asyncio.gather(*(journal.insist(note("a")) for journal in journals))
    assert await ids(ledger) == ["a"]


async def test_an_answer_that_was_lost_leaves_one_record() -> None:
    """It is there: saying it again changes nothing."""
    ledger = MemoryLedger()
    journal = await opened(ledger)
    ledger.lose_answers = 1
    with pytest.raises(StoreUnavailableError):
        await journal.insist(note("a"))
    await journal.insist(note("a"))
    assert await ids(ledger) == ["a"]


async def test_a_chain_that_never_stands_still_is_an_error() -> None:
    """It ends, and says what could not be recorded."""

    class Busy(MemoryLedger):
        async def append(self, record: Record) -> None:
            del record
            message = "somebody else"
            raise StoreConflictError(message)

    with pytest.raises(StoreConflictError, match="outcome"):
        await (await opened(Busy())).insist(note("a"))


async def test_the_history_follows_what_is_appended() -> None:
    """Without reading the chain again; an outcome of something that was never announced is refused."""
    journal = await opened(MemoryLedger())
    assert journal.history.intents == {}
    await journal.append(outcome_entry(CHAIN, an_approval(a_connection(), a_link()), Outcome.SENT, "", NOW))
    with pytest.raises(LedgerBrokenError):
        _ = journal.history


BREAKS: list[Callable[[list[str]], list[str]]] = [
    lambda records: records[1:],
    lambda records: [records[0], *records[2:]],
    lambda records: [records[1], records[0], *records[2:]],
    lambda records: [records[0], *records],
]


@pytest.mark.parametrize("break_it", BREAKS)
async def test_nothing_is_decided_by_a_broken_chain(break_it: Callable[[list[str]], list[str]]) -> None:
    """A record that is missing, moved or there twice is said at once; what to do too."""
    ledger = MemoryLedger()
    journal = await opened(ledger)
    for name in ("a", "b", "c"):
        await journal.append(note(name))
    ledger._chains[CHAIN] = break_it(ledger._chains[CHAIN])
    with pytest.raises(LedgerBrokenError, match="linkguard ledger verify"):
        await opened(ledger)


async def test_a_changed_record_is_for_verify_to_find() -> None:
    """Reading the inputs of every record at every look would cost too much."""
    ledger = MemoryLedger()
    journal = await opened(ledger)
    await journal.append(note("a"))
    (text,) = ledger._chains[CHAIN]
    ledger._chains[CHAIN] = [text.replace('"name":"a"', '"name":"x"')]
    records = [record async for record in ledger.records(CHAIN)]
    assert list(verify_chain(CHAIN, records, await ledger.head(CHAIN)))
    assert replace(records[0].entry, body={"name": "a"}) == note("a")
