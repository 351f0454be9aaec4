"""When a target is looked at again: as soon as it says, else after a delay that doubles to its maximum."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from shared.services.results import TargetResult
    from shared.services.settings import EngineSettings


def doubled(settings: EngineSettings, before: timedelta | None) -> timedelta:
    """The delay after ``before``; the first one after None."""
    return settings.recheck_delay if before is None else min(before * 2, settings.recheck_max)


def delay_at(settings: EngineSettings, attempt: int) -> timedelta:
    """The delay before the ``attempt``-th look, of which the second is the first that anything waits for."""
    delay = doubled(settings, None)
    for _ in range(attempt - 2):
        if delay >= settings.recheck_max:
            break
        delay = doubled(settings, delay)
    return delay


def pause(result: TargetResult | None, delay: timedelta) -> timedelta:
    """How long to wait before the next look; None stands for a look that failed."""
    if result is None or result.look_at is None or result.look_at <= result.looked_at:
        return delay
    known = result.look_at - result.looked_at  # Both by Azure's clock, which need not be ours.
    return min(delay, known) if result.unscheduled else known
