"""What a sweep keeps for reports: every link that there is, those that nobody watches among them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.core.errors import AzureUnavailableError, LedgerBrokenError
from shared.core.ledger import EMPTY, Entry, RecordKind, digest, seal
from shared.report.link_state import LinkState, state_of
from shared.services.report_data import collect, keep_sweep
from shared.services.sweep import sweep
from tests.engines import Estate, a_rule
from tests.fakes import FakeClock, MemoryLedger, MemoryStateStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.core.ledger import Head, Record
    from shared.core.report_data import SweepView


async def shown(estate: Estate) -> SweepView:
    view = (await collect(estate.ledger, estate.state, estate.clock.now())).sweep
    assert view is not None
    return view


async def test_a_link_that_no_rule_is_about_is_shown_as_not_looked_at() -> None:
    """Another team's service and target: the link says what it says, and nothing is claimed of its connection."""
    estate = Estate()
    estate.allow(a_rule(estate.service, estate.target))
    estate.azure.add_pair(estate.service, estate.target)
    other, elsewhere = estate.azure.add_signalr("fabrikam-signalr"), estate.azure.add_site("fabrikam-func")
    estate.azure.add_pair(other, elsewhere, "fabrikam-pe")
    await sweep(estate.worker().engine)
    view = await shown(estate)
    assert [one.target for one in view.links] == [estate.target]
    (unseen,) = view.unseen
    assert (unseen.signalr, unseen.target, unseen.connection, unseen.link_status) == (other, elsewhere, None, "Pending")
    assert state_of(unseen) is LinkState.UNSEEN
    assert len(view.every_link) == 2


async def test_the_chains_of_a_large_ledger_are_read_side_by_side() -> None:
    """So many at once and no more; what is said of them is in the order of the chains, however they were read."""

    class Slow(MemoryLedger):
        now = most = 0

        async def head(self, chain: str) -> Head:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.001 * (int(chain[-1]) % 3))
            self.now -= 1
            head = await super().head(chain)
            return replace(head, sequence=2) if chain.endswith("0") else head  # A record is missing at its end.

    ledger, state = Slow(), MemoryStateStore()
    chains = [f"chain-{number:03}" for number in range(100)]
    for chain in chains:
        entry = Entry(chain=chain, id=digest(chain), kind=RecordKind.HOLD, at=FakeClock().now(), body={"verdict": "hold"})
        await ledger.append(seal(entry, EMPTY))
    view = (await collect(ledger, state, FakeClock().now())).ledger
    assert ledger.most == 16
    assert (view.chains, view.records) == (100, 100)
    assert [fault.chain for fault in view.faults] == chains[::10]


async def test_a_link_whose_target_cannot_be_read_stays_in_the_report() -> None:
    """For one sweep as not looked at; then as it is."""
    estate = Estate()
    estate.allow(a_rule(estate.service, estate.target))
    estate.azure.add_pair(estate.service, estate.target)
    worker = estate.worker()
    estate.azure.fail("list_connections", AzureUnavailableError("no"))
    await sweep(worker.engine)
    assert [state_of(one) for one in (await shown(estate)).every_link] == [LinkState.UNSEEN]
    estate.clock.advance(600)
    await sweep(worker.engine)
    view = await shown(estate)
    assert (len(view.links), view.unseen) == (1, ())


async def test_a_record_that_cannot_be_read_is_a_fault_at_its_place() -> None:
    """What comes before it is shown; the ledger does not count as verified."""

    class Torn(MemoryLedger):
        async def records(self, chain: str, **options: Any) -> AsyncIterator[Record]:  # noqa: ANN401  as the port takes them
            async for record in super().records(chain, **options):
                if record.sequence == 2:
                    message = "it is not JSON"
                    raise LedgerBrokenError(message)
                yield record

    ledger, head = Torn(), EMPTY
    for number in range(3):
        entry = Entry(chain="c", id=digest(number), kind=RecordKind.HOLD, at=FakeClock().now(), body={"verdict": "hold"})
        record = seal(entry, head)
        await ledger.append(record)
        head = await ledger.head("c")
    view = (await collect(ledger, MemoryStateStore(), FakeClock().now())).ledger
    assert [(fault.chain, fault.sequence, fault.message) for fault in view.faults] == [("c", 2, "it is not JSON")]
    assert (view.records, view.verified) == (1, False)


async def test_the_timeline_has_the_newest_records_first() -> None:
    """Of all chains together; what does not fit is the oldest."""
    ledger, start = MemoryLedger(), FakeClock().now()
    for number in range(6):
        at = start + timedelta(minutes=number)
        entry = Entry(chain=f"c{number % 2}", id=digest(number), kind=RecordKind.HOLD, at=at, body={"verdict": "hold"})
        await ledger.append(seal(entry, await ledger.head(entry.chain)))
    view = (await collect(ledger, MemoryStateStore(), start, timeline=4)).ledger
    assert [(item.at - start).total_seconds() / 60 for item in view.timeline] == [5, 4, 3, 2]
    assert view.records == 6


async def test_an_older_sweep_does_not_take_a_newer_ones_place() -> None:
    """One that was slow, or was delivered late."""
    estate = Estate()
    estate.allow(a_rule(estate.service, estate.target))
    estate.azure.add_pair(estate.service, estate.target)
    worker = estate.worker()
    await sweep(worker.engine)
    older = await shown(estate)
    estate.clock.advance(600)
    await sweep(worker.engine)
    newer = await shown(estate)
    assert newer.started > older.started
    await keep_sweep(estate.state, older)
    assert await shown(estate) == newer
