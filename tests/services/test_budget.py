"""Budgets: so many slots in any hour, reserved in one guarded row."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import StoreConflictError
from shared.core.model import Target
from shared.services.budget import APPROVALS, HOUR, TAKE_BACKS, Budgets, Limit
from tests.core.cases import NOW, TARGET, site_id
from tests.engines import Interleaved, Interposed
from tests.fakes import MemoryStateStore

if TYPE_CHECKING:
    from shared.ports import StateStore
    from tests.engines import When

OTHER = Target(site_id("other-func"))
MINUTE = timedelta(minutes=1)


async def test_slots_are_given_until_there_are_none() -> None:
    """Then it is said when the next one is free: an hour after the first was taken."""
    state = MemoryStateStore()
    limit = Limit(each_target=2, overall=9)
    assert await Budgets(state).reserve(APPROVALS, limit, "a", TARGET, NOW) is None
    assert await Budgets(state).reserve(APPROVALS, limit, "b", TARGET, NOW + MINUTE) is None
    assert await Budgets(state).reserve(APPROVALS, limit, "c", TARGET, NOW + 2 * MINUTE) == NOW + HOUR
    assert await Budgets(state).reserve(APPROVALS, limit, "c", TARGET, NOW + HOUR) is None
    assert await Budgets(state).reserve(APPROVALS, limit, "d", TARGET, NOW + HOUR) == NOW + HOUR + MINUTE


async def test_each_target_has_its_own_slots_and_all_share_the_whole() -> None:
    """Whichever is spent first."""
    state = MemoryStateStore()
    limit = Limit(each_target=1, overall=2)
    assert await Budgets(state).reserve(APPROVALS, limit, "a", TARGET, NOW) is None
    assert await Budgets(state).reserve(APPROVALS, limit, "b", TARGET, NOW) == NOW + HOUR
    assert await Budgets(state).reserve(APPROVALS, limit, "b", OTHER, NOW) is None
    third = Target(site_id("third"))
    assert await Budgets(state).reserve(APPROVALS, limit, "c", third, NOW) == NOW + HOUR


async def test_a_target_is_one_however_it_is_spelt() -> None:
    """Or a budget could be had twice."""
    state = MemoryStateStore()
    limit = Limit(each_target=1, overall=9)
    assert await Budgets(state).reserve(APPROVALS, limit, "a", TARGET, NOW) is None
    shouted = Target(type(TARGET.id).parse(str(TARGET.id).upper()))
    assert await Budgets(state).reserve(APPROVALS, limit, "b", shouted, NOW) is not None


async def test_the_same_decision_has_one_slot() -> None:
    """However often it is asked for; and it has it for an hour from the last time, since that is when it writes."""
    state = MemoryStateStore()
    limit = Limit(each_target=1, overall=1)
    for minutes in (0, 30, 59):
        assert await Budgets(state).reserve(APPROVALS, limit, "a", TARGET, NOW + minutes * MINUTE) is None
    assert await Budgets(state).reserve(APPROVALS, limit, "b", TARGET, NOW + 61 * MINUTE) == NOW + 119 * MINUTE


async def test_a_limit_that_was_lowered_waits_until_enough_are_free() -> None:
    """Not only one."""
    state = MemoryStateStore()
    for minute in range(4):
        await Budgets(state).reserve(APPROVALS, Limit(each_target=9, overall=9), f"d{minute}", TARGET, NOW + minute * MINUTE)
    lowered = Limit(each_target=2, overall=9)
    assert await Budgets(state).reserve(APPROVALS, lowered, "x", TARGET, NOW + 10 * MINUTE) == NOW + HOUR + 2 * MINUTE


@pytest.mark.parametrize("limit", [Limit(each_target=0, overall=9), Limit(each_target=9, overall=0)])
async def test_a_limit_of_nought_gives_nothing(limit: Limit) -> None:
    """It is worth another look in an hour, when somebody may have raised it."""
    assert await Budgets(MemoryStateStore()).reserve(APPROVALS, limit, "a", TARGET, NOW) == NOW + HOUR


async def test_budgets_are_apart() -> None:
    """Taking back does not use up what approving needs."""
    state = MemoryStateStore()
    limit = Limit(each_target=1, overall=1)
    assert await Budgets(state).reserve(APPROVALS, limit, "a", TARGET, NOW) is None
    assert await Budgets(state).reserve(TAKE_BACKS, limit, "a", TARGET, NOW) is None


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.integers(0, 20)), max_size=60))
def test_no_hour_has_more_than_its_slots(story: list[tuple[int, bool, int]]) -> None:
    """Whoever asks, for whatever, and whenever."""
    limit = Limit(each_target=2, overall=3)

    async def play() -> None:
        state, now = MemoryStateStore(), NOW
        workers = [Budgets(state), Budgets(state)]
        taken: list[tuple[datetime, str, Target]] = []
        for decision, which, minutes in story:
            now += minutes * MINUTE
            target = OTHER if which else TARGET
            name = f"{target.id.name}-{decision}"
            if await workers[minutes % 2].reserve(APPROVALS, limit, name, target, now) is None:
                taken.append((now, name, target))
            recent = {(one, where) for at, one, where in taken if now - at < HOUR}
            assert len(recent) <= limit.overall
            assert all(sum(where == place for _, where in recent) <= limit.each_target for place in (TARGET, OTHER))

    asyncio.run(play())


@given(st.data())
def test_workers_that_reserve_at_once_do_not_get_more(data: st.DataObject) -> None:
    """The row is guarded: who writes second reads again."""
    limit = Limit(each_target=2, overall=9)

    async def play() -> list[object]:
        store = MemoryStateStore()
        turn = Interleaved(lambda: data.draw(st.integers(0, 3)))
        state = cast("StateStore", Interposed(store, "state", turn))
        return await asyncio.gather(*(Budgets(state).reserve(APPROVALS, limit, f"d{n}", TARGET, NOW) for n in range(5)))

    assert asyncio.run(play()).count(None) == 2


async def test_what_a_worker_wrote_last_is_not_read_again_while_nobody_else_writes() -> None:
    """One call a slot; and a row that was lost meanwhile has free slots again."""
    state = MemoryStateStore()
    calls: list[str] = []

    async def told(call: str, when: When) -> None:
        if when == "before":
            calls.append(call)

    mine, theirs = Budgets(cast("StateStore", Interposed(state, "state", told))), Budgets(state)
    limit = Limit(each_target=9, overall=4)
    assert [await mine.reserve(APPROVALS, limit, name, TARGET, NOW) for name in "ab"] == [None, None]
    assert calls == ["state.get", "state.put", "state.put"]
    assert await theirs.reserve(APPROVALS, limit, "c", TARGET, NOW) is None
    assert [await mine.reserve(APPROVALS, limit, name, TARGET, NOW) for name in "de"] == [None, NOW + HOUR]
    row = await state.get("budgets", APPROVALS)
    assert row is not None
    await state.delete("budgets", APPROVALS, version=row.version)
    assert await mine.reserve(APPROVALS, limit, "e", TARGET, NOW) is None


async def test_a_row_that_never_stands_still_is_an_error() -> None:
    """Retryable: nothing was reserved."""

    class Busy(MemoryStateStore):
        async def put(self, partition: str, key: str, value: object, *, replaces: str | None) -> str:
            del partition, key, value, replaces
            message = "somebody else"
            raise StoreConflictError(message)

    with pytest.raises(StoreConflictError, match="approvals"):
        await Budgets(Busy()).reserve(APPROVALS, Limit(each_target=1, overall=1), "a", TARGET, NOW)


async def test_a_row_that_cannot_be_read_is_as_good_as_lost() -> None:
    """The state may be lost without harm."""
    state = MemoryStateStore()
    await state.put("budgets", APPROVALS, "junk", replaces=None)
    assert await Budgets(state).reserve(APPROVALS, Limit(each_target=1, overall=1), "a", TARGET, NOW) is None
