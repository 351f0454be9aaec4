"""Work that an event asked for and that was not done: said at once, and at every sweep until one has looked at everything."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import ArmId
from shared.core.errors import LedgerBrokenError, StoreConflictError
from shared.core.finding import Finding, FindingId, Severity
from shared.core.model import SIGNALR_TYPE
from shared.core.wire import from_json
from shared.services.notebook import fetch, keep

if TYPE_CHECKING:
    from shared.ports import StateStore

SETBACKS: Final = "setbacks"
_SENTENCES: Final = {
    FindingId.MESSAGE_POISONED: "work on the queue failed too often and was set aside: {what}",
    FindingId.EVENT_DEAD_LETTERED: "Event Grid could not deliver an event, and it came late: {what}",
}
_UNKNOWN: Final = {
    FindingId.MESSAGE_POISONED: "a message that is none of Linkguard's, or a part of a sweep",
    FindingId.EVENT_DEAD_LETTERED: "an event that cannot be read, or is about nothing that is looked at",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """Something that an event asked for and that did not happen when it should have."""

    id: FindingId
    """One of those above."""
    subject: ArmId | None
    """The SignalR service or the target; None where that is not known."""
    about: str
    """What tells it from others; the same for the same thing."""
    at: datetime
    facts: tuple[tuple[str, str], ...] = ()
    """Words of a fixed form alone, never an outsider's text."""


async def remember(state: StateStore, setback: Setback) -> Finding:
    """Keep it until a complete sweep has made up for it.

    Raises:
        StoreError: where the state store failed.

    """
    key = f"{setback.id.value}-{setback.about}"
    kept = await fetch(state, SETBACKS, key, Setback, setback)
    with suppress(StoreConflictError):  # The same one came twice, and is remembered.
        await keep(state, SETBACKS, key, kept, setback)
    return finding_of(setback)


async def setbacks(state: StateStore) -> list[Setback]:
    """What no complete sweep has made up for yet."""
    found: list[Setback] = []
    for versioned in (await state.rows(SETBACKS)).values():
        try:
            found.append(from_json(Setback, versioned.value))
        except LedgerBrokenError:
            continue  # As good as lost; it was said when it came.
    return sorted(found, key=lambda row: row.at)


async def forget_setbacks(state: StateStore, *, before: datetime) -> None:
    """A sweep that began at ``before`` has looked at everything."""
    for key, versioned in (await state.rows(SETBACKS)).items():
        try:
            over = from_json(Setback, versioned.value).at <= before
        except LedgerBrokenError:
            over = True
        if over:
            try:
                await state.delete(SETBACKS, key, version=versioned.version)
            except StoreConflictError:
                continue  # It has just come again.


def finding_of(setback: Setback) -> Finding:
    """What a person should know of it."""
    subject = setback.subject
    what = str(subject) if subject else _UNKNOWN[setback.id]
    return Finding(
        id=setback.id,
        severity=Severity.WARNING,
        target=str(subject) if subject and not subject.is_type(SIGNALR_TYPE) else "",
        about=setback.about,
        message=f"{_SENTENCES[setback.id].format(what=what)}; the next sweep looks at every watched target",
        facts={"since": setback.at.isoformat(), **dict(setback.facts)},
    )
