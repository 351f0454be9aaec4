"""Budgets bound the blast radius of a mistake: slots reserved in one guarded row, before the intent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.errors import StoreConflictError
from shared.core.ledger import digest
from shared.services.notebook import fetch, keep

if TYPE_CHECKING:
    from shared.core.model import Target
    from shared.ports import StateStore
    from shared.services.notebook import Kept

BUDGETS: Final = "budgets"
APPROVALS: Final = "approvals"
TAKE_BACKS: Final = "take_backs"
HOUR: Final = timedelta(hours=1)
_TRIES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One reservation. Ids are cut short, so that a full budget fits a store's row."""

    decision: str
    target: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """A budget's reservations within the hour."""

    taken: tuple[Slot, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many slots there are in any hour."""

    each_target: int
    overall: int


class Budgets:
    """Every budget; between workers, the row's version decides.

    Targets that one worker works on side by side take their slots in turn: tried at once, all but one would try in vain.
    """

    def __init__(self, state: StateStore) -> None:
        self._state = state
        self._turn = asyncio.Lock()
        self._known: dict[str, Kept[Slots]] = {}
        """Each row as this worker wrote it last: if nobody else has written since, it need not be read again."""

    async def reserve(self, budget: str, limit: Limit, decision: str, target: Target, now: datetime) -> datetime | None:
        """Reserve a slot for a decision: one, however often it is asked for, and for an hour from the last time.

        Returns None where it is reserved, else the time at which a slot becomes free.

        Raises:
            StoreConflictError: where others kept reserving for too long.

        """
        mine = Slot(decision=decision[:16], target=digest(target.id.key)[:16], at=now)
        async with self._turn:
            for _ in range(_TRIES):
                kept = self._known.pop(budget, None)
                is_fresh = kept is None
                if kept is None:
                    kept = await fetch(self._state, BUDGETS, budget, Slots, Slots())
                others = tuple(slot for slot in kept.value.taken if now - slot.at < HOUR and slot.decision != mine.decision)
                free_at = _full_until(others, limit, mine)
                if free_at is not None and is_fresh:
                    return free_at
                if free_at is not None:
                    continue  # The row may have been lost meanwhile, and its slots with it.
                try:
                    self._known[budget] = await keep(self._state, BUDGETS, budget, kept, Slots(taken=(*others, mine)))
                except StoreConflictError:
                    continue
                return None
        message = f"the budget {budget} changed {_TRIES} times while a slot was to be reserved"
        raise StoreConflictError(message)


def _full_until(others: tuple[Slot, ...], limit: Limit, mine: Slot) -> datetime | None:
    """When there is a slot again; None where there is one now."""
    here = [slot for slot in others if slot.target == mine.target]
    if len(here) >= limit.each_target:
        return _free_at(here, limit.each_target, mine.at)
    if len(others) >= limit.overall:
        return _free_at(list(others), limit.overall, mine.at)
    return None


def _free_at(slots: list[Slot], limit: int, now: datetime) -> datetime:
    """When so many slots have become free again that one is left; an hour from now, for another look, where there is none."""
    times = sorted(slot.at for slot in slots)
    return (times[len(times) - limit] if limit else now) + HOUR
