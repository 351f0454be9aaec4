"""An asyncio loop in which time passes only when everybody waits, so that hours take milliseconds and repeat exactly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


class DeadlockError(Exception):
    """Everybody waits, and nothing is due."""


class _NothingToSelect:
    """In place of a selector: there are no sockets, and waiting is to move the time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            message = "every task waits, and nothing is due"
            raise DeadlockError(message)
        self._loop.elapsed += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """One thread, no sockets, no wall clock. Who runs first among those due at one time is the order of asking."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        """Seconds since the start."""
        self._selector = _NothingToSelect(self)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.elapsed

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody is in another thread."""


def run[T](loop: VirtualLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end; what it left running is cancelled."""
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
