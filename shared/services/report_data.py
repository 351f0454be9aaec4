"""What a report needs, kept by the sweep and put together again: never read from Azure for the report itself."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import ArmId
from shared.core.errors import InvalidIdError, LedgerBrokenError, StoreConflictError
from shared.core.finding import Severity
from shared.core.ledger import ChainCheck, ChainFault, RecordKind
from shared.core.model import Target
from shared.core.report_data import (
    FindingView,
    LedgerView,
    LinkView,
    ReportData,
    SweepView,
    TimelineItem,
    TrafficItem,
)
from shared.services.notebook import fetch, keep
from shared.services.track import open_and_lately_resolved

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from shared.core.ledger import Record
    from shared.ports import Ledger, StateStore
    from shared.services.results import TargetResult

REPORT: Final = "report"
SWEEP: Final = "sweep"
HELD_KEPT: Final = 2_000
"""Held connections that are kept with their evidence."""
TIMELINE: Final = 2_000
"""Records of the ledger that a report shows, the newest."""
_AT_ONCE: Final = 16
"""Chains that are read side by side: a ledger of thousands is in time for a request over HTTP."""
TRAFFIC_KEPT: Final = 500
"""Traffic verdicts of one target that a report shows, the newest."""
_TRIES: Final = 10


async def keep_sweep(state: StateStore, view: SweepView) -> None:
    """Keep the last sweep for reports; parts of the same sweep are put together, an older one is not kept over a newer one."""
    for _ in range(_TRIES):
        kept = await fetch(state, REPORT, SWEEP, tuple[SweepView, ...], ())
        if kept.value and kept.value[0].started > view.started:
            return
        together = _together(kept.value[0], view) if kept.value and kept.value[0].started == view.started else view
        try:
            await keep(state, REPORT, SWEEP, kept, (together,))
        except StoreConflictError:
            continue  # Parts of one sweep end side by side.
        return


async def keep_again(state: StateStore, started: datetime, results: Sequence[TargetResult]) -> None:
    """Put what was seen later of some targets into the sweep that began at ``started``, if it is the one that is kept."""
    kept = await fetch(state, REPORT, SWEEP, tuple[SweepView, ...], ())
    if not kept.value or kept.value[0].started != started:
        return
    held = tuple(held for one in results for held in one.held)
    later = replace(
        kept.value[0],
        seen=tuple(one.target for one in results),
        links=tuple(link for one in results for link in one.links),
        held=held,
        held_total=len(held),
    )
    try:
        await keep(state, REPORT, SWEEP, kept, (_together(kept.value[0], later),))
    except StoreConflictError:
        return  # A newer sweep was kept meanwhile.


def _together(before: SweepView, after: SweepView) -> SweepView:
    """Two looks of one sweep: what the later one saw of a target counts."""
    again = {link.target for link in after.links} | {held.target for held in after.held} | set(after.seen)
    held = (*(held for held in before.held if held.target not in again), *after.held)
    seen = {*before.seen, *after.seen}
    return replace(
        after,
        seen=tuple(sorted(seen, key=lambda target: target.id)),
        unread=tuple(sorted({*before.unread, *after.unread} - set(after.seen), key=lambda target: target.id)),
        links=(*(link for link in before.links if link.target not in again), *after.links),
        held=held[:HELD_KEPT],
        held_total=len(held),
        unseen=tuple(link for link in after.unseen if link.target not in seen),
    )


async def collect(
    ledger: Ledger, state: StateStore, now: datetime, *, timeline: int = TIMELINE, with_inputs: bool = False
) -> ReportData:
    """Everything a report shows, from the stores alone.

    Args:
        ledger: is read whole, to be verified.
        state: where the sweep and the findings were kept.
        now: as of when.
        timeline: how many records to show, at most.
        with_inputs: whether the inputs of each decision are held to their digests too, which reads many times as much.

    Raises:
        StoreError: where a store could not be read.

    """
    swept = (await fetch(state, REPORT, SWEEP, tuple[SweepView, ...], ())).value
    sweep = swept[0] if swept else None
    reader = _LedgerReader(timeline)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def read(chain: str) -> None:
        async with gate:
            await reader.read(ledger, chain, with_inputs=with_inputs)

    await asyncio.gather(*map(read, await ledger.chains()))
    findings = [
        FindingView(
            finding=row.finding,
            life=row.life,
            first_seen=row.first_seen,
            last_seen=row.last_seen,
            resolved_at=row.resolved_at,
        )
        for row in await open_and_lately_resolved(state)
    ]
    findings.sort(key=lambda view: (not view.is_open, view.finding.severity is not Severity.CRITICAL, view.first_seen))
    traffic = tuple(sorted(reader.traffic, key=lambda item: (item.at, item.record)))
    return ReportData(
        at=now,
        sweep=sweep,
        audit_at=traffic[-1].at if traffic else None,
        findings=tuple(findings),
        ledger=reader.view(),
        traffic=traffic,
    )


class _LedgerReader:
    """Reads every chain once: verifies it, and keeps what is to be shown."""

    def __init__(self, timeline: int) -> None:
        self._most = timeline
        self._chains = 0
        self._records = 0
        self._faults: list[ChainFault] = []
        self._newest: list[tuple[datetime, str, int, TimelineItem]] = []
        self.traffic: list[TrafficItem] = []

    async def read(self, ledger: Ledger, chain: str, *, with_inputs: bool) -> None:
        check = ChainCheck(chain, with_inputs=with_inputs)
        traffic: list[TrafficItem] = []
        self._chains += 1
        # The head first: what is added while the chain is read is no fault.
        head = await ledger.head(chain)
        try:
            async for record in ledger.records(chain, with_inputs=with_inputs):
                if record.sequence > head.sequence:
                    break
                self._records += 1
                self._faults += check.see(record)
                self._show(record)
                traffic += _traffic(record)
            self._faults += check.end(head)
        except LedgerBrokenError as error:
            self._faults.append(ChainFault(chain=chain, sequence=check.last.sequence + 1, message=str(error)))
        self.traffic += traffic[-TRAFFIC_KEPT:]

    def _show(self, record: Record) -> None:
        entry = record.entry
        item = TimelineItem(
            chain=entry.chain, sequence=record.sequence, id=entry.id, kind=entry.kind, at=entry.at, body=entry.body
        )
        row = (entry.at, entry.chain, record.sequence, item)
        if len(self._newest) < self._most:
            heapq.heappush(self._newest, row)
        elif self._newest:
            heapq.heappushpop(self._newest, row)

    def view(self) -> LedgerView:
        newest = sorted(self._newest, key=lambda row: row[:3], reverse=True)
        return LedgerView(
            chains=self._chains,
            records=self._records,
            faults=tuple(sorted(self._faults, key=lambda fault: (fault.chain, fault.sequence))),
            timeline=tuple(item for *_, item in newest),
        )


def _traffic(record: Record) -> Iterable[TrafficItem]:
    if record.entry.kind is not RecordKind.TRAFFIC:
        return
    named = record.entry.body.get("target")
    try:
        target = Target(ArmId.parse(named if isinstance(named, str) else record.entry.chain))
    except InvalidIdError:
        return
    yield TrafficItem(target=target, record=record.entry.id, at=record.entry.at, body=record.entry.body)


__all__ = ["LinkView", "ReportData", "SweepView", "collect", "keep_sweep"]
