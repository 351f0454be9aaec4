"""The findings' lives: kept from look to look, the drift among them recorded in the ledger, each change queued to be told."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import ArmId
from shared.core.entries import chain_of
from shared.core.errors import InvalidIdError, LedgerBrokenError, StoreConflictError
from shared.core.finding import DRIFT
from shared.core.finding_life import KEPT_RESOLVED, Change, FindingRow, Life, advance
from shared.core.ledger import SYSTEM_CHAIN, Entry, JsonObject, RecordKind, digest, seal
from shared.core.model import Target
from shared.core.wire import from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from shared.core.finding import Finding
    from shared.core.finding_life import Look
    from shared.ports import Ledger, StateStore, Versioned

FINDINGS: Final = "findings"
"""The partition with one row a finding, by its fingerprint."""
_SEEN_KEPT: Final = timedelta(hours=1)
"""How old the stored time of the last look may be: a finding that only goes on is not written at every sweep."""
_TRIES: Final = 10
_SIDE_BY_SIDE: Final = 32


async def track(ledger: Ledger, state: StateStore, look: Look) -> dict[str, FindingRow]:
    """Take in what a look found; returns every finding's row.

    The ledger's record of a drift comes before its row, and is written once however often it is tried; a row and its alert
    are one write. So a crash anywhere loses no change.

    Raises:
        StoreError: where a store failed, or others kept writing.

    """
    for _ in range(_TRIES - 1):
        try:
            return await _track(ledger, state, look)
        except StoreConflictError:
            continue  # Somebody else wrote a row meanwhile: what is written already will come out as it is.
    return await _track(ledger, state, look)


async def _track(ledger: Ledger, state: StateStore, look: Look) -> dict[str, FindingRow]:
    stored = await state.rows(FINDINGS)
    before = read_rows(stored)
    after = advance(before, look)
    told = _Told(ledger)
    writes: list[Callable[[], Awaitable[object]]] = []
    for fingerprint, row in after.items():
        was = before.get(fingerprint)
        version = stored[fingerprint].version if fingerprint in stored else None
        if not row.is_open and row.resolved_at is not None and look.at - row.resolved_at > KEPT_RESOLVED and not row.queue:
            if version is not None:
                writes.append(partial(state.delete, FINDINGS, fingerprint, version=version))
            continue
        if was is not None and not row.unlike(was) and row.last_seen - was.last_seen < _SEEN_KEPT:
            continue
        await _record_drift(told, was, row, look.at)
        writes.append(partial(state.put, FINDINGS, fingerprint, to_json(row), replaces=version))
    await _all(writes)
    return after


async def _all(writes: Sequence[Callable[[], Awaitable[object]]]) -> None:
    """Every write, side by side, whatever becomes of the others; then the first failure is raised."""
    gate = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def do(write: Callable[[], Awaitable[object]]) -> None:
        async with gate:
            await write()

    failures = [one for one in await asyncio.gather(*map(do, writes), return_exceptions=True) if one is not None]
    if failures:
        raise failures[0]


def read_rows(stored: Mapping[str, Versioned]) -> dict[str, FindingRow]:
    """Every finding's row by its fingerprint. One that cannot be read any more is as good as lost, and made anew."""
    rows: dict[str, FindingRow] = {}
    for fingerprint, row in stored.items():
        with contextlib.suppress(LedgerBrokenError):
            rows[fingerprint] = from_json(FindingRow, row.value)
    return rows


async def open_and_lately_resolved(state: StateStore) -> tuple[FindingRow, ...]:
    """Every finding that stands, and those that ended within the last days."""
    return tuple(read_rows(await state.rows(FINDINGS)).values())


# The ledger


def chain_for(finding: Finding) -> str:
    """The chain of the target that a finding is about, else the system's."""
    try:
        return chain_of(Target(ArmId.parse(finding.target)))
    except InvalidIdError:
        return SYSTEM_CHAIN


class _Told:
    """What the ledger says of drift: each chain read once, however many of its findings have changed."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._chains: dict[str, dict[str, tuple[int, JsonObject]]] = {}

    async def of(self, chain: str, fingerprint: str) -> tuple[int, JsonObject]:
        """How many records a finding has, and the last one's body; 0 and {} where it has none."""
        if chain not in self._chains:
            found = self._chains[chain] = {}
            async for record in self.ledger.records(chain, kinds=(RecordKind.DRIFT,), with_inputs=False):
                told = str(record.entry.body.get("fingerprint"))
                found[told] = (found.get(told, (0, {}))[0] + 1, record.entry.body)
        return self._chains[chain].get(fingerprint, (0, {}))


async def _record_drift(told: _Told, was: FindingRow | None, row: FindingRow, at: datetime) -> None:
    if row.finding.id not in DRIFT:
        return
    was_open = was is not None and was.is_open
    if row.is_open == was_open and row.life is not Life.WORSE:
        return
    change = Change.RESOLVED if not row.is_open else Change.WORSE if was_open else Change.NEW
    finding = row.finding
    chain = chain_for(finding)
    number, last = await told.of(chain, finding.fingerprint)
    if number and _is_recorded(last, change, finding):
        return  # Before a crash.
    body: JsonObject = {
        "finding": finding.id.value,
        "fingerprint": finding.fingerprint,
        "change": change.value,
        "severity": finding.severity.value,
        "target": finding.target,
        "about": finding.about,
        "message": finding.message,
        "facts": to_json(finding.facts),
    }
    identity = digest({"drift": finding.fingerprint, "number": number + 1})
    await append_once(told.ledger, Entry(chain=chain, id=identity, kind=RecordKind.DRIFT, at=at, body=body))


def _is_recorded(last: JsonObject, change: Change, finding: Finding) -> bool:
    is_open = last.get("change") != Change.RESOLVED.value
    match change:
        case Change.RESOLVED:
            return not is_open
        case Change.WORSE:
            return is_open and last.get("severity") == finding.severity.value
        case _:
            return is_open


async def append_once(ledger: Ledger, entry: Entry) -> None:
    """Append a record, once however often it is tried, whatever others add meanwhile.

    Raises:
        StoreConflictError: where others kept adding for too long.

    """
    for _ in range(_TRIES):
        head = await ledger.head(entry.chain)
        try:
            await ledger.append(seal(entry, head))
        except StoreConflictError:
            if await ledger.head(entry.chain) == head:
                return  # The chain is where it was, so it is the id that is there already.
        else:
            return
    message = f"{entry.chain} changed {_TRIES} times while a record was to be added"
    raise StoreConflictError(message)
