"""What Event Grid writes into its dead-letter container: a JSON array of events, each with why it was given up.

Only what :func:`shared.core.event.read_event` needs is taken from an event; its ``claims``, ``authorization`` and ``httpRequest``
hold personal data and end with this function. Both schemas are read: in CloudEvents the names of what Event Grid adds are in
lower case.
https://learn.microsoft.com/azure/event-grid/manage-event-delivery
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.core.event import RawEvent

MAX_EVENTS: Final = 10_000
"""Of one blob: Event Grid gathers what it gives up for a few minutes."""
_WORD: Final = re.compile(r"[A-Za-z0-9]{1,40}")
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that was not delivered."""

    event: RawEvent
    """Its data holds ``resourceUri`` and nothing else."""
    reason: str
    """Such as ``MaxDeliveryAttemptsExceeded``; ``unknown`` where it is no such word."""
    outcome: str
    """Of the last attempt, such as ``NotFound``; likewise."""


def read_dead_letters(content: bytes) -> tuple[DeadLetter, ...] | None:
    """The events of one blob; None where it is none of Event Grid's: no JSON, no event in it, too many. Never raises."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    events = value if isinstance(value, list) else [value]
    if not 0 < len(events) <= MAX_EVENTS or not all(isinstance(one, dict) for one in events):
        return None
    return tuple(_read(one) for one in events)


def _read(event: dict[str, object]) -> DeadLetter:
    data = event.get("data")
    uri = data.get("resourceUri") if isinstance(data, dict) else None
    return DeadLetter(
        event=RawEvent(
            id=event.get("id"),
            type=event.get("type", event.get("eventType")),
            subject=event.get("subject"),
            time=_moment(event.get("time", event.get("eventTime"))),
            data={"resourceUri": uri},
        ),
        reason=_word(event.get("deadletterreason", event.get("deadLetterReason"))),
        outcome=_word(event.get("lastdeliveryoutcome", event.get("lastDeliveryOutcome"))),
    )


def _word(value: object) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else _UNKNOWN


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.utcoffset() is not None else None
