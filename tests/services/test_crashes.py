"""Crash anywhere, run it twice, run it on two workers at once: the end state is the same, and nothing is done twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.history import Outcome
from shared.core.ledger import RecordKind
from shared.core.model import ConnectionStatus
from shared.services.sweep import sweep
from tests.engines import Crash, CrashAt, Estate, Interleaved, Worker, a_rule, make_engine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.core.arm_id import ArmId
    from tests.engines import When


async def approving(estate: Estate) -> ArmId:
    """A link with its connection, and a stranger beside it."""
    estate.azure.add_connection(estate.target, "stranger")
    return estate.azure.add_pair(estate.service, estate.target)


async def taking_back(estate: Estate) -> ArmId:
    """An impostor that was approved, contradicted for nearly the whole deadline."""
    link = estate.azure.add_link(estate.service, estate.target)
    impostor = estate.azure.add_connection(estate.target)
    worker = estate.worker()
    await worker.approve()
    estate.azure.add_connection(estate.target, belongs_to=link)
    await worker.confirm_or_give_up(minutes=55)
    return impostor


async def approved_and_confirmed(estate: Estate, connection: ArmId) -> None:
    assert [(write.connection, write.status) for write in estate.azure.writes] == [(connection, "Approved")]
    history = await estate.history()
    ours = history.approval_of(connection)
    assert ours is not None
    assert ours.outcome is Outcome.CONFIRMED
    assert not history.open_intents()
    told = [record.entry.body["codes"] for record in await estate.records() if record.entry.kind is RecordKind.HOLD]
    assert told == [["name_differs"], ["name_differs", "link_not_pending"]]
    await estate.check()


async def rejected_and_quarantined(estate: Estate, connection: ArmId) -> None:
    assert [(write.connection, write.status) for write in estate.azure.writes] == [
        (connection, "Approved"),
        (connection, "Rejected"),
    ]
    assert estate.azure.connections[connection].status is ConnectionStatus.REJECTED
    history = await estate.history()
    ours = history.approval_of(connection)
    assert ours is not None
    assert ours.outcome is Outcome.TAKEN_BACK
    assert ours.incarnation in history.quarantines
    assert not history.open_intents()
    await estate.check()


STORIES: list[tuple[Callable[[Estate], Awaitable[ArmId]], int, Callable[[Estate, ArmId], Awaitable[None]]]] = [
    (approving, 31, approved_and_confirmed),
    (taking_back, 300, rejected_and_quarantined),
]


async def run(worker: Worker, pause: float, looks: int = 3) -> None:
    for _ in range(looks):
        await worker.look(after=pause)


def calls_of(story: Callable[[Estate], Awaitable[ArmId]], pause: float) -> list[str]:
    """Every call of a port that the story makes when nothing goes wrong."""
    turn = CrashAt()

    async def play() -> None:
        estate = Estate()
        await story(estate)
        await run(Worker(estate, make_engine(estate, turn=turn)), pause)

    asyncio.run(play())
    return turn.calls


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("story", "pause", "expected"), STORIES)
def test_a_crash_at_any_call_changes_nothing_about_the_end(
    story: Callable[[Estate], Awaitable[ArmId]],
    pause: float,
    expected: Callable[[Estate, ArmId], Awaitable[None]],
    when: When,
) -> None:
    """Before the call is made or after it was: a fresh worker comes to the same end, with each write announced and done once."""

    async def play(place: int) -> None:
        estate = Estate()
        connection = await story(estate)
        with pytest.raises(Crash):
            await run(Worker(estate, make_engine(estate, turn=CrashAt(place, when))), pause)
        await estate.check()
        await run(estate.worker(), 31, looks=3)
        await run(estate.worker(), 300, looks=6)
        await expected(estate, connection)

    calls = calls_of(story, pause)
    assert {"azure.set_connection", "ledger.append", "state.put", "allowlist.read"} <= set(calls)
    for place in range(len(calls)):
        # A run of its own, which ends what the crash left running.
        asyncio.run(play(place))


@pytest.mark.parametrize(("story", "pause", "expected"), STORIES)
@settings(max_examples=15)
@given(data=st.data())
def test_workers_at_once_do_what_one_does(
    story: Callable[[Estate], Awaitable[ArmId]],
    pause: float,
    expected: Callable[[Estate, ArmId], Awaitable[None]],
    data: st.DataObject,
) -> None:
    """However their calls fall between one another's: one record of each decision, one write of each."""
    turns = st.integers(0, 4)

    async def play() -> None:
        estate = Estate()
        connection = await story(estate)
        workers = [
            Worker(estate, make_engine(estate, turn=Interleaved(lambda: data.draw(turns))))
            for _ in range(data.draw(st.integers(2, 3)))
        ]
        for _ in range(3):
            estate.clock.advance(pause)
            found = await asyncio.gather(*(worker.look() for worker in workers), return_exceptions=True)
            unexpected = [one for one in found if isinstance(one, BaseException) and not getattr(one, "retryable", False)]
            assert not unexpected, unexpected
        await estate.check()
        await run(estate.worker(), 31, looks=3)
        await expected(estate, connection)

    asyncio.run(play())


@settings(max_examples=10)
@given(data=st.data())
def test_two_sweeps_at_once_do_no_harm(data: st.DataObject) -> None:
    """Over several targets, with a budget that both share."""

    async def play() -> None:
        estate = Estate()
        targets = [estate.azure.add_site(f"site-{number}") for number in range(3)]
        estate.allow(*(a_rule(estate.service, target, target.id.name) for target in targets))
        pairs = {estate.azure.add_pair(estate.service, target, f"{target.id.name}-pe") for target in targets}
        for target in targets:
            estate.azure.add_connection(target, "stranger")
        engines = [
            make_engine(estate, turn=Interleaved(lambda: data.draw(st.integers(0, 3))), approvals_per_hour=2) for _ in range(2)
        ]
        for _ in range(3):
            estate.clock.advance(31)
            await asyncio.gather(*(sweep(engine, all_sites=False) for engine in engines))
        assert len(estate.azure.writes) == 2
        assert estate.azure.approved() < pairs
        await estate.check()

    asyncio.run(play())
