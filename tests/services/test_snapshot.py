"""Snapshots: every link of the scanned subscriptions, recent enough to decide by."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest

from shared.core.errors import AzureForbiddenError, AzureUnavailableError
from shared.core.model import Target
from shared.services.snapshot import Snapshots
from tests.fakes import FakeAzure, FakeClock, MemoryStateStore
from tests.fakes.azure import SUBSCRIPTION

if TYPE_CHECKING:
    from shared.ports import Reading

if TYPE_CHECKING:
    from shared.core.model import SignalR
    from shared.ports import Azure

OTHER = "00000000-0000-0000-0000-0000000000b2"
AGE = timedelta(minutes=10)
LISTED = "GET Microsoft.SignalRService/signalR"


class Lists:
    """Two subscriptions, each with a link to the same site."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.azure = FakeAzure(self.clock)
        self.state = MemoryStateStore()
        self.target = self.azure.add_site()
        self.links = {self.azure.add_link(self.azure.add_signalr(subscription=one), self.target) for one in (SUBSCRIPTION, OTHER)}
        self.mine = Snapshots(self.azure, self.state)

    def another_workers(self) -> Snapshots:
        return Snapshots(self.azure, self.state)

    @property
    def calls(self) -> int:
        return self.azure.calls.by_operation.get(LISTED, 0)

    async def recall(self, snapshots: Snapshots | None = None, *subscriptions: str) -> set[object]:
        snapshot = await (snapshots or self.mine).recall(subscriptions or (SUBSCRIPTION, OTHER), self.clock.now(), AGE)
        return {link.id for link in snapshot.links_to(self.target)}


@pytest.fixture
def lists() -> Lists:
    return Lists()


async def test_every_link_is_known_whoever_owns_it(lists: Lists) -> None:
    """In all scanned subscriptions, by the target that it leads to."""
    assert await lists.recall() == lists.links
    elsewhere = Target.of(lists.target.site, "staging")
    snapshot = await lists.mine.recall((SUBSCRIPTION, OTHER), lists.clock.now(), AGE)
    assert (list(snapshot.targets), list(snapshot.links_to(elsewhere))) == ([lists.target], [])


async def test_what_is_recent_is_not_listed_again(lists: Lists) -> None:
    """Neither by this worker nor by another one."""
    await lists.recall()
    lists.clock.advance(600)
    await lists.recall()
    await lists.recall(lists.another_workers())
    assert lists.calls == 2


async def test_what_is_too_old_is_listed_again(lists: Lists) -> None:
    """And found again by whoever asks next."""
    await lists.recall()
    lists.clock.advance(601)
    late = lists.azure.add_link(lists.azure.add_signalr("late"), lists.target)
    assert await lists.recall() == {*lists.links, late}
    assert await lists.recall(lists.another_workers()) == {*lists.links, late}
    assert lists.calls == 4


async def test_a_subscription_that_cannot_be_listed_keeps_its_older_view(lists: Lists) -> None:
    """Until that is too old; then nothing is decided, since its links might be rivals."""
    await lists.recall()
    lists.azure.fail("list_signalr", AzureForbiddenError("no", status=403))
    failures = await lists.mine.take((OTHER, SUBSCRIPTION))
    assert list(failures) == [OTHER]
    assert await lists.recall() == lists.links
    lists.clock.advance(601)
    lists.azure.fail("list_signalr", AzureUnavailableError("timeout"))
    with pytest.raises(AzureUnavailableError):
        await lists.recall()


async def test_a_subscription_that_was_never_listed_stops_decisions(lists: Lists) -> None:
    """An empty list would say that there are no rivals."""
    await lists.recall(None, SUBSCRIPTION)
    lists.azure.fail("list_signalr", AzureForbiddenError("no", status=403))
    with pytest.raises(AzureForbiddenError):
        await lists.recall()


async def test_a_subscription_is_one_however_it_is_spelt(lists: Lists) -> None:
    """In the settings and in Azure's answers."""
    await lists.recall()
    await lists.recall(None, SUBSCRIPTION.upper(), OTHER.upper())
    assert lists.calls == 2


async def test_a_snapshot_is_as_old_as_its_oldest_list(lists: Lists) -> None:
    """By when the list began."""
    await lists.recall(None, SUBSCRIPTION)
    began = lists.clock.now()
    lists.clock.advance(60)
    snapshot = await lists.mine.recall((SUBSCRIPTION, OTHER), lists.clock.now(), AGE)
    assert snapshot.at == began


async def test_a_view_from_the_future_is_a_wrong_clocks(lists: Lists) -> None:
    """It does not pass for recent until that time has come, and it does not keep others from replacing it."""
    await lists.recall(Snapshots(cast("Azure", Tomorrow(lists.azure)), lists.state))
    late = lists.azure.add_link(lists.azure.add_signalr("late"), lists.target)
    assert await lists.recall() == {*lists.links, late}
    before = lists.calls
    assert await lists.recall(lists.another_workers()) == {*lists.links, late}
    assert lists.calls == before


class Tomorrow:
    """Azure, read by somebody whose clock is a day ahead."""

    def __init__(self, azure: FakeAzure) -> None:
        self._azure = azure

    async def list_signalr(self, subscription: str) -> Reading[tuple[SignalR, ...]]:
        reading = await self._azure.list_signalr(subscription)
        day = timedelta(days=1)
        return replace(reading, started=reading.started + day, finished=reading.finished + day)


async def test_losing_the_state_costs_a_list(lists: Lists) -> None:
    """Nothing else."""
    await lists.recall()
    await lists.state.put("snapshot", "x", 1, replaces=None)
    lists.state._rows.clear()
    assert await lists.recall(lists.another_workers()) == lists.links


async def test_a_row_that_cannot_be_read_is_as_good_as_lost(lists: Lists) -> None:
    """Never as good as empty."""
    await lists.recall()
    for key, row in (await lists.state.rows("snapshot")).items():
        await lists.state.put("snapshot", key, {"at": "now", "services": []}, replaces=row.version)
    assert await lists.recall(lists.another_workers()) == lists.links


# Many at once


class SlowAzure:
    """Its answers take a moment, so that others ask meanwhile."""

    def __init__(self, azure: FakeAzure) -> None:
        self._azure = azure

    async def list_signalr(self, subscription: str) -> Reading[tuple[SignalR, ...]]:
        await asyncio.sleep(0)
        return await self._azure.list_signalr(subscription)


async def test_many_who_ask_at_once_list_once(lists: Lists) -> None:
    """A burst of messages finds the list too old: one of them has it made, for all."""
    snapshots = Snapshots(cast("Azure", SlowAzure(lists.azure)), lists.state)
    found = await asyncio.gather(*(lists.recall(snapshots) for _ in range(16)))
    assert found == 16 * [lists.links]
    assert lists.calls == 2


async def test_many_who_ask_at_once_share_a_failure(lists: Lists) -> None:
    """Nobody waits for what others have just waited for in vain; whoever asks later tries again."""
    snapshots = Snapshots(cast("Azure", SlowAzure(lists.azure)), lists.state)
    lists.azure.fail("list_signalr", AzureUnavailableError("down"), AzureUnavailableError("down"))
    found = await asyncio.gather(*(lists.recall(snapshots) for _ in range(16)), return_exceptions=True)
    assert {type(one) for one in found} == {AzureUnavailableError}
    assert lists.calls == 2
    assert await lists.recall(snapshots) == lists.links
