"""The deployed sweep: what one run has no time for goes on in messages, until every target was looked at.

A round's plan is kept in the state store, part by part. A part that is lost on the way is sent again by the next run; a
round that does not come to its end within an hour is given up as incomplete, and a new one begins.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.errors import StoreConflictError
from shared.core.ledger import digest
from shared.core.message import LookMessage, PartMessage, encode
from shared.core.model import Target
from shared.services import follow_up
from shared.services.allowlist import load_allowlist
from shared.services.conclude import finish, finish_part, finish_round
from shared.services.notebook import Kept, fetch, keep
from shared.services.results import SweepResult
from shared.services.sweep import LastSweep, Plan, Silent, conclude, keep_last, plan, visit
from shared.services.telemetry import counting, following, tell_findings, tell_round, tell_sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shared.ports import CallCount
    from shared.services.results import TargetResult
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
    started: datetime
    targets: int
    parts: int
    """How many rows there are of it."""
    complete: bool
    """Whether every subscription could be listed when it began."""
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some targets of a round. What the run that began it looked at is kept as such parts as well."""

    targets: tuple[Target, ...]
    """Those still to be looked at."""
    unread: tuple[Target, ...] = ()
    """Those that could not be read."""
    approved: tuple[Target, ...] = ()
    """Those looked at of which some connection is Approved."""
    touched: datetime
    """When somebody last went on with it."""


_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_NONE: Final = Round(id="", started=_NEVER, targets=0, parts=0, complete=False, closed=True)
_LOST: Final = Part(targets=(), touched=_NEVER)
"""In place of a row that is not there, or cannot be read any more."""


async def run(work: Work) -> SweepResult | None:
    """What the timer does: begin a round, or see after the one that goes on. None where one still does.

    Raises:
        StoreError: where the state store failed as a whole.
        QueueError: where the queue did not take what is left; the next run sends it.

    """
    current = await _current(work)
    if not current.value.closed:
        if await _see_after(work, current.value):
            return None
        current = await _current(work)
    return await _begin(work, await _clear(work, current))


async def _current(work: Work) -> Kept[Round]:
    return await fetch(work.engine.state, ROUNDS, CURRENT, Round, _NONE)


async def _begin(work: Work, before: Kept[Round]) -> SweepResult:
    engine = work.engine
    id_ = digest(["sweep", engine.clock.now().isoformat()])[:16]
    with following(id_):
        with counting(work.telemetry) as calls:
            over = _time_over(work)
            planned = await plan(engine)
            visited = await visit(engine, planned, planned.targets, Silent(), over)
            left = visited.left if planned.snapshot is not None else ()
            looked = conclude(engine, planned, visited)
            result = await (finish_part if left else finish)(engine, planned, looked)
        await _follow_up(work, visited, id_)
        _tell(work, result, calls, sweep=id_, left=len(left))
        if left:
            begun = Round(id=id_, started=result.started, targets=len(planned.targets), parts=0, complete=not planned.failures)
            await _cut(work, before, begun, result, left)
        else:
            await keep_last(engine, _last(work, result.started, complete=result.complete, targets=len(planned.targets)))
    return result


def _last(work: Work, started: datetime, *, complete: bool, targets: int) -> LastSweep:
    return LastSweep(started=started, finished=work.engine.clock.now(), complete=complete, targets=targets)


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


def _tell(  # noqa: PLR0913  what tell_sweep takes
    work: Work, result: SweepResult, calls: CallCount, *, sweep: str, left: int, part: int | None = None
) -> None:
    tell_findings(work.telemetry, result.all_findings)
    tell_sweep(work.telemetry, result, calls, sweep=sweep, left=left, part=part)


async def _follow_up(work: Work, visited: Visited, correlation: str) -> None:
    """A target that waits for something is looked at when that is due, not only at the next sweep."""
    for result in visited.results:
        if result.waiting and not await follow_up.is_due(work, result.target):
            message = LookMessage(id=result.target.id, attempt=1, correlation=correlation)
            await follow_up.put_back(work, message, result)


# Parts


async def _cut(work: Work, before: Kept[Round], begun: Round, result: SweepResult, left: Sequence[Target]) -> None:
    """Write down what is left and what was seen, then send what is left: should this end in between, the next run sends it."""
    state, now = work.engine.state, work.engine.clock.now()
    open_ = [Part(targets=targets, touched=now) for targets in _in_parts(left)]
    done = [
        *(Part(targets=(), unread=targets, touched=now) for targets in _in_parts(_unread(result, left))),
        *(Part(targets=(), approved=targets, touched=now) for targets in _in_parts(_approved(result.targets))),
    ]
    for number, part in enumerate([*open_, *done], start=1):
        kept = await fetch(state, ROUNDS, _row(begun.id, number), Part, _LOST)
        await keep(state, ROUNDS, _row(begun.id, number), kept, part)
    begun = replace(begun, parts=len(open_) + len(done))
    try:
        await keep(state, ROUNDS, CURRENT, before, begun)
    except StoreConflictError:
        await _remove_parts(work, begun)
        return  # Another run has begun a round at this moment, and goes on with its own.
    for number in range(1, len(open_) + 1):
        await work.queue.put(encode(PartMessage(sweep=begun.id, part=number)))


def _in_parts(targets: Sequence[Target]) -> list[tuple[Target, ...]]:
    return [tuple(targets[start : start + PART_SIZE]) for start in range(0, len(targets), PART_SIZE)]


def _unread(result: SweepResult, left: Sequence[Target]) -> tuple[Target, ...]:
    """Those whose turn it was, and that could not be read."""
    return tuple(sorted(set(result.unread).difference(left), key=lambda target: target.id))


def _approved(results: Iterable[TargetResult]) -> tuple[Target, ...]:
    return tuple(result.target for result in results if result.has_approved)


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
    current = await _current(work)
    if current.value.id != message.sweep or current.value.closed:
        return
    kept = await fetch(engine.state, ROUNDS, _row(message.sweep, message.part), Part, _LOST)
    if kept.value.targets:
        with counting(work.telemetry) as calls:
            planned = await _plan_of(work, kept.value.targets)
            visited = await visit(engine, planned, planned.targets, Silent(), _time_over(work))
            # Of the round, so that a report has all its parts.
            looked = replace(conclude(engine, planned, visited), started=current.value.started)
            result = await finish_part(engine, planned, looked)
        await _follow_up(work, visited, message.sweep)
        _tell(work, result, calls, sweep=message.sweep, left=len(visited.left), part=message.part)
        part = Part(
            targets=visited.left,
            unread=(*kept.value.unread, *_unread(result, visited.left)),
            approved=(*kept.value.approved, *_approved(visited.results)),
            touched=engine.clock.now(),
        )
        try:
            await keep(engine.state, ROUNDS, _row(message.sweep, message.part), kept, part)
        except StoreConflictError:
            return  # The same part came twice; the other one goes on with it.
        if visited.left:
            await work.queue.put(encode(replace(message, attempt=1)))
            return
    await _end_round(work, current.value)


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
    return [
        (await fetch(work.engine.state, ROUNDS, _row(round_.id, number), Part, _LOST)).value
        for number in range(1, round_.parts + 1)
    ]


async def _end_round(work: Work, round_: Round, *, give_up: bool = False) -> None:
    """Do what waits for the whole where nothing of the round is left, and keep how it went.

    Closed last: should this end before, it is done again, and comes to the same.
    """
    parts = await _parts(work, round_)
    # Read after its parts: whoever else ends it closes it before removing them.
    current = await _current(work)
    if current.value.id != round_.id or current.value.closed:
        return
    if any(part.targets for part in parts) and not give_up:
        return
    with following(round_.id):
        with counting(work.telemetry) as calls:
            result = await _whole(work, round_, parts)
        await keep_last(work.engine, _last(work, round_.started, complete=result.complete, targets=round_.targets))
        try:
            closed = await keep(work.engine.state, ROUNDS, CURRENT, current, replace(round_, closed=True))
        except StoreConflictError:
            return  # Whoever was quicker has told of it.
        tell_findings(work.telemetry, result.all_findings)
        tell_round(work.telemetry, result, calls, sweep=round_.id, targets=round_.targets, parts=round_.parts)
    await _clear(work, closed)


async def _whole(work: Work, round_: Round, parts: Sequence[Part]) -> SweepResult:
    """What the parts come to together, with what is found beside the targets."""
    engine = work.engine
    planned = await plan(engine)
    unread = {target for part in parts for target in (*part.targets, *part.unread)}
    approved = {target for part in parts for target in part.approved}
    result = SweepResult(
        mode=engine.settings.mode,
        dry_run=False,
        complete=round_.complete and not unread and not planned.failures and _LOST not in parts,
        started=round_.started,
        finished=engine.clock.now(),
        targets=(),
        unread=tuple(sorted(unread, key=lambda target: target.id)),
        findings=planned.findings,
    )
    return await finish_round(engine, planned, result, approved)


async def _clear(work: Work, current: Kept[Round]) -> Kept[Round]:
    """Remove the rows of a round that is closed."""
    if not current.value.parts:
        return current
    await _remove_parts(work, current.value)
    try:
        return await keep(work.engine.state, ROUNDS, CURRENT, current, replace(current.value, parts=0))
    except StoreConflictError:
        return await _current(work)


async def _remove_parts(work: Work, round_: Round) -> None:
    for number in range(1, round_.parts + 1):
        kept = await fetch(work.engine.state, ROUNDS, _row(round_.id, number), Part, _LOST)
        if kept.version is not None:
            with suppress(StoreConflictError):
                await work.engine.state.delete(ROUNDS, _row(round_.id, number), version=kept.version)


async def _see_after(work: Work, round_: Round) -> bool:
    """Send again what was lost of the round that goes on. False where it is over."""
    now = work.engine.clock.now()
    parts = await _parts(work, round_)
    unfinished = [number for number, part in enumerate(parts, start=1) if part.targets]
    if not unfinished or now - round_.started > _GIVEN_UP_AFTER:
        await _end_round(work, round_, give_up=True)
        return False
    for number in unfinished:
        if now - parts[number - 1].touched > _LOST_AFTER:
            await work.queue.put(encode(PartMessage(sweep=round_.id, part=number)))
    return True
