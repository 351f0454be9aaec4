"""Follow-ups: one message a target that comes back when there is something to look at again.

Each target has one that counts, by its token. So however many events, sweeps and repeated deliveries make a target be
looked at, its looks do not multiply: an older follow-up ends when it comes, without a call to Azure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.errors import StoreConflictError
from shared.core.ledger import digest
from shared.core.message import LookMessage, encode
from shared.services.notebook import fetch, keep
from shared.services.recheck import delay_at, pause

if TYPE_CHECKING:
    from shared.core.model import Target
    from shared.services.results import TargetResult
    from shared.services.work import Work

FOLLOW_UPS: Final = "follow_ups"
MOST_ATTEMPTS: Final = 100
"""Looks at one target without anything done; what is not over then is for the sweep alone."""
_LOST_AFTER: Final = timedelta(hours=1)
"""A follow-up that has not come so long after its time does not come any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """The one that counts."""

    token: str
    due: datetime | None


_NONE: Final = FollowUp(token="", due=None)


async def is_superseded(work: Work, message: LookMessage) -> bool:
    """Whether another follow-up of the same target counts. One that nothing is remembered about counts."""
    if message.token is None:
        return False
    kept = await fetch(work.engine.state, FOLLOW_UPS, message.id.key, FollowUp, _NONE)
    return kept.value.token not in {"", message.token}


async def is_due(work: Work, target: Target) -> bool:
    """Whether a follow-up is on its way."""
    kept = await fetch(work.engine.state, FOLLOW_UPS, target.id.key, FollowUp, _NONE)
    return kept.value.due is not None and work.engine.clock.now() < kept.value.due + _LOST_AFTER


async def put_back(work: Work, message: LookMessage, result: TargetResult | None, *, at_least: timedelta = timedelta()) -> bool:
    """Let a target come back after the look that ``result`` tells of; None stands for one that failed.

    False where it has come back often enough.

    Raises:
        QueueError: where the queue does not take it.
        StoreError: where the state store failed.

    """
    # What was done begins a new wait: first looks come soon, later ones seldom.
    attempt = 2 if result is not None and result.acted else message.attempt + 1
    if attempt > MOST_ATTEMPTS:
        return False
    if result is not None and result.acted and result.more:
        delay = timedelta()
    else:
        delay = max(pause(result, delay_at(work.engine.settings, attempt)), at_least)
    due = work.engine.clock.now() + delay
    token = digest([message.id.key, attempt, message.correlation, due.isoformat()])[:16]
    # The message first: should this end between the two, the one that is at hand comes again, and counts.
    await work.queue.put(encode(replace(message, attempt=attempt, token=token)), delay=delay)
    await _keep(work, message, FollowUp(token=token, due=due))
    return True


async def end(work: Work, message: LookMessage) -> None:
    """Nothing is to be looked at again."""
    kept = await fetch(work.engine.state, FOLLOW_UPS, message.id.key, FollowUp, _NONE)
    if kept.version is None:
        return
    try:
        await work.engine.state.delete(FOLLOW_UPS, message.id.key, version=kept.version)
    except StoreConflictError:
        return  # Somebody has just put back another one, which goes on.


async def _keep(work: Work, message: LookMessage, follow_up: FollowUp) -> None:
    kept = await fetch(work.engine.state, FOLLOW_UPS, message.id.key, FollowUp, _NONE)
    try:
        await keep(work.engine.state, FOLLOW_UPS, message.id.key, kept, follow_up)
    except StoreConflictError:
        return  # Somebody else's counts; ours ends when it comes.
