"""ARM's limits: a bucket of tokens each subscription and caller, one for reads and one for writes, refilled every second."""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING, Literal

from shared.local_azure.arm_error import throttled
from shared.local_azure.ids import fold

if TYPE_CHECKING:
    from datetime import datetime

    from shared.local_azure.knobs import Knobs

type Kind = Literal["read", "write"]


class RateLimits:
    """Counts requests, and refuses them where :attr:`Knobs.rate_limited` says so."""

    _UNLIMITED = 11_999

    def __init__(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._levels: dict[tuple[str, str, Kind], tuple[float, datetime]] = {}

    def take(self, subscription: str, caller: str, kind: Kind, now: datetime) -> int:
        """Take one token; returns how many remain.

        Raises:
            ArmError: 429 with the seconds until there is one again.

        """
        knobs = self._knobs
        if not knobs.rate_limited:
            return self._UNLIMITED
        burst, refill = (
            (knobs.reads_burst, knobs.reads_per_second) if kind == "read" else (knobs.writes_burst, knobs.writes_per_second)
        )
        key = (fold(subscription), caller, kind)
        level, since = self._levels.get(key, (burst, now))
        level = min(burst, level + (now - since).total_seconds() * refill)
        if level < 1:
            self._levels[key] = (level, now)
            raise throttled(kind, max(1, ceil((1 - level) / refill)))
        self._levels[key] = (level - 1, now)
        return floor(level - 1)
