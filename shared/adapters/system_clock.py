"""The machine's own clock: the real side of the port ``Clock``."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


class SystemClock:
    """Real time."""

    def now(self) -> datetime:
        """The time, aware, UTC."""
        return datetime.now(UTC)  # noqa: TID251  the one place that asks the machine

    async def sleep(self, seconds: float) -> None:
        """Return no earlier than ``seconds`` from now."""
        await asyncio.sleep(seconds)
