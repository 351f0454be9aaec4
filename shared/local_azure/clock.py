"""Time as the local Azure sees it: anything with ``now()`` will do, and two clocks that tests can move."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

NEVER: Final = datetime.max.replace(tzinfo=UTC)
"""The time of what does not happen."""


class TimeSource(Protocol):
    """What the local Azure takes the time from."""

    def now(self) -> datetime:
        """The time, aware, UTC. It never goes back."""
        ...


class RunningClock:
    """The machine's time from when this was made on, counted so that it cannot go back; it can be put forward."""

    def __init__(self) -> None:
        self._started = datetime.now(UTC)
        self._counted_from = time.monotonic()
        self._forward = timedelta()

    def now(self) -> datetime:
        """The time, aware, UTC."""
        return self._started + timedelta(seconds=time.monotonic() - self._counted_from) + self._forward

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass at once."""
        self._forward += timedelta(seconds=seconds)


class ManualClock:
    """Time that passes only when it is told to."""

    def __init__(self, start: datetime = datetime(2027, 1, 4, 9, 0, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        """The time, aware, UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass at once."""
        self._now += timedelta(seconds=seconds)


def after(moment: datetime, seconds: float) -> datetime:
    """``seconds`` after ``moment``; :data:`NEVER` where that is beyond the calendar (``math.inf`` seconds)."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return NEVER
