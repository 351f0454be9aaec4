"""The deployed sweep: cut into messages where one run does not do, resumed, and its completeness kept. And the app's health."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.core.errors import AzureForbiddenError, AzureUnavailableError
from shared.core.message import PartMessage, decode
from shared.services import rounds
from shared.services.dispatch import Arrival, take_message
from shared.services.health import check_health
from shared.services.rounds import run
from tests.engines import a_rule
from tests.services.test_dispatch import Desk

if TYPE_CHECKING:
    import pytest

    from shared.services.work import Work


class LargeEstate(Desk):
    """So many sites that one run has time for one of them."""

    def __init__(self, sites: int) -> None:
        super().__init__(concurrency=1)
        azure = self.estate.azure
        self.targets = [self.estate.target, *(azure.add_site(f"site-{number:02}") for number in range(sites - 1))]
        self.allow()
        self.connections = [azure.add_pair(self.estate.service, target, f"pe-{n}") for n, target in enumerate(self.targets)]
        self.work = replace(self.work, sweep_run=timedelta())

    def allow(self, **rule: Any) -> None:  # noqa: ANN401  any key of a rule
        """A rule for each target."""
        self.estate.allow(*(a_rule(self.estate.service, target, f"rule-{n}", **rule) for n, target in enumerate(self.targets)))

    async def part(self, work: Work | None = None, *, drop: bool = False) -> bool:
        """Take the next part of a sweep off the queue; False where there is none."""
        for queued in list(self.queue.messages):
            if isinstance(decode(queued.text), PartMessage):
                self.queue.messages.remove(queued)
                if not drop:
                    arrival = Arrival(id=queued.id, text=queued.text, inserted=queued.inserted, tries=1)
                    await take_message(work or self.work, arrival)
                return True
        return False

    async def reasons(self) -> list[str]:
        return [reason.partition(":")[0] for reason in (await check_health(self.work)).reasons]


async def test_a_round_goes_on_in_messages_until_all_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run looks at one target at least; the last one keeps that the whole was complete, and no earlier one does."""
    monkeypatch.setattr(rounds, "PART_SIZE", 2)
    desk = LargeEstate(6)
    result = await run(desk.work)
    assert result is not None
    assert (result.complete, len(result.targets)) == (False, 1)
    assert await desk.reasons() == ["sweep"]
    taken = 0
    while await desk.part():
        taken += 1
    assert taken == 5
    assert await desk.reasons() == []
    assert [one["complete"] for one in desk.telemetry.records("round")] == [True]
    assert sum(one["targets"] for one in desk.telemetry.records("sweep")) == 6
    rows = await desk.estate.state.rows(rounds.ROUNDS)
    assert set(rows) == {rounds.CURRENT}
    await desk.run()
    assert desk.estate.azure.approved() == set(desk.connections)


async def test_no_second_round_begins_while_one_goes_on() -> None:
    """The next run sees after it, and leaves it alone."""
    desk = LargeEstate(4)
    await run(desk.work)
    assert await run(desk.work) is None
    assert len(desk.telemetry.records("sweep")) == 1
    while await desk.part():
        pass
    assert await run(desk.work) is not None


async def test_a_lost_part_is_sent_again() -> None:
    """A message that nobody ever sees again does not stop the round."""
    desk = LargeEstate(4)
    await run(desk.work)
    assert await desk.part(drop=True)
    desk.estate.clock.advance(60)
    assert await run(desk.work) is None
    assert not await desk.part(), "it may still be at work"
    desk.estate.clock.advance(16 * 60)
    assert await run(desk.work) is None
    while await desk.part():
        pass
    assert await desk.reasons() == []


async def test_a_round_that_does_not_end_is_given_up() -> None:
    """After an hour it counts as incomplete, and a new one begins."""
    desk = LargeEstate(4)
    await run(desk.work)
    assert await desk.part(drop=True)
    desk.estate.clock.advance(61 * 60)
    assert await run(desk.work) is not None
    assert [one["complete"] for one in desk.telemetry.records("round")] == [False]
    while await desk.part():
        pass
    assert [one["complete"] for one in desk.telemetry.records("round")] == [False, True]


async def test_a_part_that_comes_twice_does_no_harm() -> None:
    """Queues deliver at least once."""
    desk = LargeEstate(4)
    await run(desk.work)
    (part,) = [one for one in desk.queue.messages if isinstance(decode(one.text), PartMessage)]
    for _ in range(3):
        await take_message(desk.work, Arrival(id=part.id, text=part.text, inserted=part.inserted, tries=1))
    while await desk.part():
        pass
    assert [one["complete"] for one in desk.telemetry.records("round")] == [True]
    await take_message(desk.work, Arrival(id=part.id, text=part.text, inserted=part.inserted, tries=1))
    assert len(desk.telemetry.records("round")) == 1


async def test_a_target_that_fails_leaves_the_round_incomplete() -> None:
    """In whichever part it was."""
    desk = LargeEstate(3)
    await run(desk.work)
    refusals = [AzureForbiddenError("no", status=403) for _ in range(2)]
    desk.estate.azure.fail("list_connections", *refusals)
    while await desk.part():
        pass
    assert [one["complete"] for one in desk.telemetry.records("round")] == [False]
    assert await desk.reasons() == ["sweep"]


async def test_waiting_targets_come_back_once() -> None:
    """A sweep puts back what waits, unless it is on its way already."""
    desk = Desk()
    desk.estate.azure.add_link(desk.estate.service, desk.estate.target)
    await run(desk.work)
    await run(desk.work)
    assert len(desk.queue.messages) == 1
    desk.queue.messages.clear()
    desk.estate.clock.advance(2 * 3600)
    await run(desk.work)
    assert len(desk.queue.messages) == 1, "the first was lost"


# Health


async def test_health() -> None:
    """Never swept, swept, swept too long ago, swept incompletely; an allowlist or a store that is not there."""
    desk = Desk()

    async def reasons() -> list[str]:
        return [reason.partition(":")[0] for reason in (await check_health(desk.work)).reasons]

    assert await reasons() == ["sweep"]
    await run(desk.work)
    assert await reasons() == []
    desk.estate.clock.advance(46 * 60)
    assert await reasons() == ["sweep"]
    desk.estate.azure.fail("list_signalr", AzureUnavailableError("down"), AzureUnavailableError("down"))
    await run(desk.work)
    assert await reasons() == ["sweep"]
    await run(desk.work)
    desk.estate.allowlist.unreadable = "gone"
    assert await reasons() == ["allowlist"]
    desk.estate.state.unavailable = True
    health = await check_health(desk.work)
    assert [reason.partition(":")[0] for reason in health.reasons] == ["ledger", "allowlist"]
    assert health.as_json()["status"] == "unhealthy"


async def test_health_asks_azure_nothing() -> None:
    """It may be asked often."""
    desk = Desk()
    await run(desk.work)
    reads = desk.estate.azure.calls.reads
    for _ in range(5):
        await check_health(desk.work)
    assert desk.estate.azure.calls.reads == reads
