"""Messages that failed too often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.errors import MessageError
from shared.core.finding import FindingId
from shared.core.ledger import digest
from shared.core.message import LookMessage, decode
from shared.services import follow_up
from shared.services.setback import Setback, remember
from shared.services.telemetry import following, tell_findings

if TYPE_CHECKING:
    from shared.core.finding import Finding
    from shared.services.work import Work


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
    setback = Setback(
        id=FindingId.MESSAGE_POISONED,
        subject=look.id if look else None,
        about=digest(look.id.key if look else text)[:16],
        at=work.engine.clock.now(),
    )
    finding = await remember(work.engine.state, setback)
    if look is not None:
        # The sweep is to make it come back, should there be something to wait for.
        await follow_up.end(work, look)
    with following((look.correlation if look else None) or id_):
        tell_findings(work.telemetry, (finding,))
    return finding
