"""Dead letters as Event Grid writes them, made from the local Azure's events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.local_azure.events import Event


def blob(*events: dict[str, Any]) -> bytes:
    return json.dumps(list(events)).encode()


def of_event_grid(event: Event, *, reason: str = "MaxDeliveryAttemptsExceeded") -> dict[str, Any]:
    """In the Event Grid schema."""
    return {
        **event.event_grid(),
        "deadLetterReason": reason,
        "deliveryAttempts": 30,
        "lastDeliveryOutcome": "NotFound",
        "publishTime": "2027-01-04T09:00:00Z",
        "lastDeliveryAttemptTime": "2027-01-05T09:00:00Z",
    }


def of_cloud_events(event: Event, *, reason: str = "MaxDeliveryAttemptsExceeded") -> dict[str, Any]:
    """In CloudEvents 1.0, whose extension attributes are in lower case."""
    return {
        **event.cloud_event(),
        "deadletterreason": reason,
        "deliveryattempts": 30,
        "lastdeliveryoutcome": "NotFound",
        "publishtime": "2027-01-04T09:00:00Z",
        "lastdeliveryattempttime": "2027-01-05T09:00:00Z",
    }


def blobs(events: Iterable[Event]) -> dict[str, bytes]:
    """One blob an event, by names such as Event Grid gives them."""
    return {
        f"TOPIC/LINKGUARD/2027/1/4/9/{number:04}.json": blob(of_cloud_events(event))
        for number, event in enumerate(events, start=1)
    }
