"""The work queue and the telemetry in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from shared.core.errors import QueueError
from tests.telemetry_page import check_metric, check_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.ledger import Json
    from shared.ports import Clock


@dataclass(frozen=True, slots=True)
class Queued:
    """A message, and when it can be seen."""

    id: str
    text: str
    inserted: datetime
    visible: datetime


class MemoryQueue:
    """Messages in the order in which they become visible. ``unavailable`` makes every call fail."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = count(1)
        self.messages: list[Queued] = []
        self.unavailable = False

    async def put(self, text: str, *, delay: timedelta = timedelta()) -> str:
        if self.unavailable:
            message = "the queue did not answer"
            raise QueueError(message)
        now = self._clock.now()
        queued = Queued(f"message-{next(self._numbers)}", text, now, now + delay)
        self.messages.append(queued)
        return queued.id

    def take(self) -> Queued | None:
        """The next visible message, taken off the queue."""
        visible = [one for one in self.messages if one.visible <= self._clock.now()]
        if not visible:
            return None
        first = min(visible, key=lambda one: one.visible)
        self.messages.remove(first)
        return first

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.messages]


@dataclass
class MemoryTelemetry:
    """What was told; each thing held to docs/telemetry.md."""

    told: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    measured: list[tuple[str, float, dict[str, str]]] = field(default_factory=list)

    def record(self, name: str, fields: Mapping[str, Json], *, severity: Literal["debug", "info", "warning", "error"]) -> None:
        check_record(name, fields)
        self.told.append((name, dict(fields), severity))

    def measure(self, name: str, value: float, dimensions: Mapping[str, str]) -> None:
        check_metric(name, dimensions)
        self.measured.append((name, value, dict(dimensions)))

    def records(self, name: str) -> list[dict[str, Any]]:
        return [fields for told, fields, _ in self.told if told == name]
