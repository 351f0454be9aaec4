"""What an Event Grid event is a hint at: the SignalR service or the target to look at, or nothing.

An event is never a fact: it can be late, lost, repeated, out of order or forged. Its type and the id of what was written are
all that is taken from it. ``data.claims``, ``data.authorization`` and ``data.httpRequest`` hold personal data and are never
touched.
https://learn.microsoft.com/azure/event-grid/event-schema-subscriptions
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from shared.core.arm_id import ArmId, fold_case
from shared.core.errors import InvalidIdError
from shared.core.ledger import digest
from shared.core.model import CONNECTION_CHILD, SIGNALR_TYPE, SITE_TYPE, SLOT_TYPE

_LONGEST_ID: Final = 1024
"""Characters of an event's own id that are looked at; a longer one is cut, which only makes its digest another."""


class Verb(StrEnum):
    """What was done to the resource."""

    WRITE = "Microsoft.Resources.ResourceWriteSuccess"
    DELETE = "Microsoft.Resources.ResourceDeleteSuccess"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent:
    """An event as it arrived, in either schema. Nothing of it is trusted, its types least."""

    id: object
    type: object
    """``eventType``, or ``type`` in CloudEvents."""
    subject: object
    time: datetime | None
    data: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A reason to look."""

    subject: ArmId
    """The SignalR service or the target to look at."""
    event: str
    """A digest of the event's id: the same for the same event, and nothing that its sender wrote."""
    time: datetime | None
    """When the event says that it happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """An event that is no reason to look."""

    why: str
    event: str


_LINK: Final = f"{SIGNALR_TYPE}/sharedPrivateLinkResources"
_OF_PARENT: Final = frozenset(map(fold_case, (_LINK, f"{SITE_TYPE}/{CONNECTION_CHILD}", f"{SLOT_TYPE}/{CONNECTION_CHILD}")))
"""Writes and deletes of these concern their parent."""
_DELETED: Final = frozenset(map(fold_case, (SIGNALR_TYPE, SITE_TYPE, SLOT_TYPE)))
"""Deletes of these concern themselves; they are written for many reasons that are none of ours."""


def read_event(raw: RawEvent) -> Cause | Ignored:
    """What an event is a hint at. Never raises, whatever the event holds."""
    event = digest(raw.id[:_LONGEST_ID] if isinstance(raw.id, str) else None)[:16]
    try:
        verb = Verb(raw.type if isinstance(raw.type, str) else "")
    except ValueError:
        return Ignored(why="another type of event", event=event)
    written = _written(raw)
    if written is None:
        return Ignored(why="it names no resource", event=event)
    kind = fold_case(written.type)
    if kind in _OF_PARENT:
        return Cause(subject=written.parent, event=event, time=raw.time)
    if kind in _DELETED and verb is Verb.DELETE:
        return Cause(subject=written, event=event, time=raw.time)
    return Ignored(why="another resource", event=event)


def _written(raw: RawEvent) -> ArmId | None:
    """The resource's id; the subject's where the data names none."""
    uri = raw.data.get("resourceUri") if isinstance(raw.data, dict) else None
    for text in (uri, raw.subject):
        if isinstance(text, str):
            try:
                return ArmId.parse(text)
            except InvalidIdError:
                continue
    return None
