"""The deployed sweep: what one run has no time for goes on in messages, until every target was looked at.

A round's plan is kept in the state store, part by part. A part that is lost on the way is sent again by the next run; a
round that does not come to its end within an hour is given up as incomplete, and a new one begins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.errors import StoreConflictError
from shared.core.ledger import digest
from shared.core.message import LookMessage, PartMessage, encode
from shared.core.model import Target
from shared.services import follow_up
from shared.services.allowlist import load_allowlist
from shared.services.conclude import finish
from shared.services.notebook import Kept, fetch, keep
from shared.services.setback import finding_of, forget_setbacks, setbacks
from shared.services.sweep import LastSweep, Plan, Silent, conclude, keep_last, plan, visit
from shared.services.telemetry import counting, following, tell, tell_findings, tell_sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.core.ledger import JsonObject
    from shared.ports import CallCount
    from shared.services.results import SweepResult
    from shared.services.sweep import Visited
    from shared.services.work import Work

ROUNDS: Final = "rounds"
CURRENT: Final = "current"
PART_SIZE: Final = 100
"""Targets a message: a part's row stays far below a store's limits."""
_GIVEN_UP_AFTER: Final = timedelta(hours=1)
_LOST_AFTER: Final = timedelta(minutes=15)
"""A part that nobody has gone on with for so long is sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A sweep that goes on in messages."""

    id: str
    started: datetime | None
    targets: int
    parts: int
    complete: bool
    """Whether all that was looked at so far, before the first part, could be read."""
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some targets of a round."""

    targets: tuple[Target, ...]
    """Those still to be looked at."""
    unread: int
    """Those that could not be read."""
    touched: datetime
    """When somebody last went on with it."""


_NONE: Final = Round(id="", started=None, targets=0, parts=0, complete=False, closed=True)


async def run(work: Work) -> SweepResult | None:
    """What the timer does: begin a round, or see after the one that goes on. None where one still does.

    Raises:
        StoreError: where the state store failed as a whole.
        QueueError: where the queue did not take what is left; the next run sends it.

    """
    current = await fetch(work.engine.state, ROUNDS, CURRENT, Round, _NONE)
    if not current.value.closed:
        if await _see_after(work, current):
            return None
        current = await fetch(work.engine.state, ROUNDS, CURRENT, Round, _NONE)
    return await _begin(work, current)


async def _begin(work: Work, before: Kept[Round]) -> SweepResult:
    engine = work.engine
    id_ = digest(["sweep", engine.clock.now().isoformat()])[:16]
    with following(id_):
        with counting(engine, work.telemetry) as calls:
            over = _time_over(work)
            planned = await plan(engine)
            visited = await visit(engine, planned, planned.targets, Silent(), over)
            stuck = tuple([finding_of(row) for row in await setbacks(engine.state)])
            result = conclude(engine, planned, visited)
            result = await finish(engine, planned, replace(result, findings=(*result.findings, *stuck)))
        await _follow_up(work, visited, id_)
        left = visited.left if planned.snapshot is not None else ()
        _tell(work, result, calls, id_, len(left))
        if left:
            complete = not planned.failures and not visited.failed
            await _cut(
                work,
                before,
                Round(id=id_, started=result.started, targets=len(planned.targets), parts=0, complete=complete),
                left,
            )
        else:
            await _ended(work, result.started, complete=result.complete, targets=len(planned.targets))
    return result


def _time_over(work: Work) -> Callable[[], bool]:
    """Whether this run begins with no further target; with one it does, so that every run gets somewhere."""
    end = work.engine.clock.now() + work.sweep_run
    begun = False

    def over() -> bool:
        nonlocal begun
        if not begun:
            begun = True
            return False
        return work.engine.clock.now() >= end

    return over


def _tell(work: Work, result: SweepResult, calls: CallCount, id_: str, left: int) -> None:
    tell_findings(work.telemetry, result.all_findings)
    tell_sweep(work.telemetry, result, calls, sweep=id_, left=left)


async def _follow_up(work: Work, visited: Visited, correlation: str) -> None:
    """A target that waits for something is looked at when that is due, not only at the next sweep."""
    for result in visited.results:
        if result.waiting and not await follow_up.is_due(work, result.target):
            message = LookMessage(id=result.target.id, attempt=1, correlation=correlation)
            await follow_up.put_back(work, message, result)


async def _ended(work: Work, started: datetime, *, complete: bool, targets: int) -> None:
    last = LastSweep(started=started, finished=work.engine.clock.now(), complete=complete, targets=targets)
    await keep_last(work.engine, last)
    if complete:
        await forget_setbacks(work.engine.state, before=started)


# Parts


async def _cut(work: Work, before: Kept[Round], round_: Round, left: Sequence[Target]) -> None:
    """Write down what is left, then send it: should this end in between, the next run sends it."""
    state, now = work.engine.state, work.engine.clock.now()
    parts = [tuple(left[start : start + PART_SIZE]) for start in range(0, len(left), PART_SIZE)]
    for number, targets in enumerate(parts, start=1):
        kept = await fetch(state, ROUNDS, _row(round_.id, number), Part, Part(targets=(), unread=0, touched=now))
        await keep(state, ROUNDS, _row(round_.id, number), kept, Part(targets=targets, unread=0, touched=now))
    try:
        await keep(state, ROUNDS, CURRENT, before, replace(round_, parts=len(parts)))
    except StoreConflictError:
        return  # Another run has begun a round at this moment, and goes on with its own.
    for number in range(1, len(parts) + 1):
        await work.queue.put(encode(PartMessage(sweep=round_.id, part=number)))


def _row(id_: str, number: int) -> str:
    return f"{id_}-{number}"


async def go_on(work: Work, message: PartMessage) -> None:
    """Look at the targets of one part, as far as the time allows; whoever finishes the last part ends the round.

    Raises:
        StoreError: where the state store failed as a whole.
        AzureError: where a subscription had to be listed and could not.
        QueueError: where the queue did not take what is left.

    """
    engine = work.engine
    current = await fetch(engine.state, ROUNDS, CURRENT, Round, _NONE)
    if current.value.id != message.sweep or current.value.closed:
        return
    empty = Part(targets=(), unread=0, touched=engine.clock.now())
    kept = await fetch(engine.state, ROUNDS, _row(message.sweep, message.part), Part, empty)
    if kept.value.targets:
        with counting(engine, work.telemetry) as calls:
            planned = await _plan_of(work, kept.value.targets)
            visited = await visit(engine, planned, planned.targets, Silent(), _time_over(work))
            # Of the round, so that a report has all its parts; complete is only the round as a whole.
            looked = replace(conclude(engine, planned, visited), started=current.value.started or planned.started)
            result = await finish(engine, planned, replace(looked, complete=False), is_last=False)
        await _follow_up(work, visited, message.sweep)
        _tell(work, result, calls, message.sweep, len(visited.left))
        part = Part(targets=visited.left, unread=kept.value.unread + len(visited.failed), touched=engine.clock.now())
        try:
            await keep(engine.state, ROUNDS, _row(message.sweep, message.part), kept, part)
        except StoreConflictError:
            return  # The same part came twice; the other one goes on with it.
        if visited.left:
            await work.queue.put(encode(replace(message, attempt=message.attempt + 1)))
            return
    await _end_round(work, current)


async def _plan_of(work: Work, targets: Sequence[Target]) -> Plan:

    return Plan(
        started=work.engine.clock.now(),
        failures={},
        loaded=await load_allowlist(work.engine.allowlist),
        snapshot=await work.engine.snapshot(),
        targets=list(targets),
        findings=(),
    )


async def _parts(work: Work, round_: Round) -> list[Part]:
    lost = Part(targets=(), unread=1, touched=work.engine.clock.now())
    return [
        (await fetch(work.engine.state, ROUNDS, _row(round_.id, number), Part, lost)).value
        for number in range(1, round_.parts + 1)
    ]


async def _end_round(work: Work, current: Kept[Round], *, give_up: bool = False) -> None:
    """Close the round where nothing of it is left, and keep how it went."""
    round_ = current.value
    parts = await _parts(work, round_)
    if any(part.targets for part in parts) and not give_up:
        return
    try:
        await keep(work.engine.state, ROUNDS, CURRENT, current, replace(round_, closed=True))
    except StoreConflictError:
        return  # Whoever was quicker keeps it.
    complete = round_.complete and not any(part.targets or part.unread for part in parts)
    if round_.started is not None:
        await _ended(work, round_.started, complete=complete, targets=round_.targets)
        seconds = (work.engine.clock.now() - round_.started).total_seconds()
        ended: JsonObject = {
            "sweep": round_.id,
            "complete": complete,
            "targets": round_.targets,
            "parts": round_.parts,
            "seconds": seconds,
        }
        tell(work.telemetry, "round", ended, "info" if complete else "warning")
    for number in range(1, round_.parts + 1):
        kept = await fetch(
            work.engine.state, ROUNDS, _row(round_.id, number), Part, Part(targets=(), unread=0, touched=work.engine.clock.now())
        )
        if kept.version is not None:
            try:
                await work.engine.state.delete(ROUNDS, _row(round_.id, number), version=kept.version)
            except StoreConflictError:
                continue


async def _see_after(work: Work, current: Kept[Round]) -> bool:
    """Send again what was lost of the round that goes on. False where it is over."""
    round_, now = current.value, work.engine.clock.now()
    parts = await _parts(work, round_)
    unfinished = [number for number, part in enumerate(parts, start=1) if part.targets]
    if not unfinished or round_.started is None or now - round_.started > _GIVEN_UP_AFTER:
        await _end_round(work, current, give_up=True)
        return False
    for number in unfinished:
        if now - parts[number - 1].touched > _LOST_AFTER:
            await work.queue.put(encode(PartMessage(sweep=round_.id, part=number)))
    return True
