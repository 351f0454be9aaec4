"""Messages that failed too often: said at once, and again at every sweep until one has looked at everything."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import ArmId
from shared.core.errors import LedgerBrokenError, MessageError, StoreConflictError
from shared.core.finding import Finding, FindingId, Severity
from shared.core.ledger import digest
from shared.core.message import LookMessage, decode
from shared.core.model import SIGNALR_TYPE
from shared.core.wire import from_json
from shared.services import follow_up
from shared.services.notebook import fetch, keep
from shared.services.telemetry import following, tell_findings

if TYPE_CHECKING:
    from shared.ports import StateStore
    from shared.services.work import Work

POISONED: Final = "poisoned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Poisoned:
    """Something that could not be done from the queue."""

    subject: ArmId | None
    """The SignalR service or the target; None where the message could not be read, or was a part of a sweep."""
    about: str
    """A digest of the message: the same for the same message."""
    at: datetime


async def take_poison(work: Work, id_: str, text: str) -> Finding:
    """Say so, and remember it: the next sweep looks at every watched target, this one included.

    Raises:
        StoreError: where the state store failed.

    """
    try:
        message = decode(text)
    except MessageError:
        message = None
    look = message if isinstance(message, LookMessage) else None
    row = Poisoned(
        subject=look.id if look else None,
        about=digest(look.id.key if look else text)[:16],
        at=work.engine.clock.now(),
    )
    kept = await fetch(work.engine.state, POISONED, row.about, Poisoned, row)
    with suppress(StoreConflictError):  # The same one came twice, and is remembered.
        await keep(work.engine.state, POISONED, row.about, kept, row)
    if look is not None:
        # The sweep is to make it come back, should there be something to wait for.
        await follow_up.end(work, look)
    finding = finding_of(row)
    with following((look.correlation if look else None) or id_):
        tell_findings(work.telemetry, (finding,))
    return finding


async def poisoned(state: StateStore) -> list[Poisoned]:
    """What no complete sweep has made up for yet."""
    found: list[Poisoned] = []
    for versioned in (await state.rows(POISONED)).values():
        try:
            found.append(from_json(Poisoned, versioned.value))
        except LedgerBrokenError:
            continue  # As good as lost; it was said when it came.
    return sorted(found, key=lambda row: row.at)


async def forget_poisoned(state: StateStore, *, before: datetime) -> None:
    """A sweep that began at ``before`` has looked at everything."""
    for key, versioned in (await state.rows(POISONED)).items():
        try:
            over = from_json(Poisoned, versioned.value).at <= before
        except LedgerBrokenError:
            over = True
        if over:
            try:
                await state.delete(POISONED, key, version=versioned.version)
            except StoreConflictError:
                continue  # It has just come again.


def finding_of(row: Poisoned) -> Finding:
    """What a person should know of it."""
    what = str(row.subject) if row.subject else "a message that is none of Linkguard's, or a part of a sweep"
    return Finding(
        id=FindingId.MESSAGE_POISONED,
        severity=Severity.WARNING,
        target=str(row.subject) if row.subject and not row.subject.is_type(SIGNALR_TYPE) else "",
        about=row.about,
        message=f"work on the queue failed too often and was set aside: {what}; the next sweep looks at every watched target",
        facts={"since": row.at.isoformat()},
    )
