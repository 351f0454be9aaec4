"""Time that passes only when somebody sleeps."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

START = datetime(2027, 1, 4, 9, 0, tzinfo=UTC)

# Enough turns of the event loop for other tasks to run on to their own next sleep.
_TURNS = 20


class FakeClock:
    """A clock whose sleepers wake in the order of their deadlines, at exactly these, without anybody waiting."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._sleepers: list[tuple[datetime, int]] = []
        self._tickets = count()

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass at once; sleepers that this makes due wake at their next turn."""
        self._now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        mine = (self._now + timedelta(seconds=max(seconds, 0)), next(self._tickets))
        heapq.heappush(self._sleepers, mine)
        try:
            await _let_others_run()
            while self._sleepers[0] != mine:
                await _let_others_run()
            self._now = max(self._now, mine[0])
        finally:
            self._sleepers.remove(mine)
            heapq.heapify(self._sleepers)


async def _let_others_run() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
