"""Events that Event Grid could not deliver: each becomes a message, as if it had been delivered, and a finding.

A blob is deleted once everything in it is on the queue and remembered, so whatever fails in between is done again; doing it
twice puts a message there that ends by itself, and the finding is the same one. The events hold personal data, so nothing
of them is kept but the id of what to look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import ArmId
from shared.core.dead_letter import read_dead_letters
from shared.core.errors import StoreConflictError, StoreError
from shared.core.event import Cause, read_event
from shared.core.finding import FindingId
from shared.core.ledger import digest
from shared.services.dispatch import take_event
from shared.services.setback import Setback, remember
from shared.services.telemetry import tell, tell_findings

if TYPE_CHECKING:
    from shared.core.dead_letter import DeadLetter
    from shared.ports import DeadLetterStore
    from shared.services.work import Work

MOST_BLOBS: Final = 500
"""Of one run; the next one takes further ones."""
MAX_BYTES: Final = 16 * 1024 * 1024
"""Of one blob: Event Grid takes events of at most 1 MB."""
RUN: Final = timedelta(minutes=4)
"""How long a run begins with further blobs."""


@dataclass(slots=True, kw_only=True)
class Taken:
    """What one run did."""

    blobs: int = 0
    events: int = 0
    messages: int = 0
    """Fewer than events where several are about the same thing, or about nothing that is looked at."""
    unreadable: int = 0
    """Blobs that hold no dead letters, or are too large."""
    failed: int = 0
    """Blobs that are still there, and come again with the next run."""


async def take_dead_letters(work: Work, store: DeadLetterStore) -> Taken:
    """Turn what is in the container into messages and findings, and delete it there. No call to Azure Resource Manager.

    Raises:
        QueueError: where the queue does not take a message; what is left comes again with the next run.
        StoreError: where the container cannot be listed, or some blob could not be taken; the others were.

    """
    run, failure = _Run(work, store), None
    end = work.engine.clock.now() + RUN
    try:
        async for name in store.names(at_most=MOST_BLOBS):
            if work.engine.clock.now() >= end:
                break
            try:
                await run.take(name)
            except StoreConflictError:
                run.taken.failed += 1  # It was written anew meanwhile.
            except StoreError as error:
                run.taken.failed += 1
                failure = failure or error
    finally:
        run.tell()
    if failure is not None:
        raise failure
    return run.taken


class _Run:
    def __init__(self, work: Work, store: DeadLetterStore) -> None:
        self._work = work
        self._store = store
        self._said = set[ArmId | None]()
        """What has its message and its finding. None: whatever is about nothing that is looked at."""
        self.taken = Taken()

    async def take(self, name: str) -> None:
        """One blob, to its end."""
        blob = await self._store.read(name, at_most=MAX_BYTES)
        if blob is None:
            return
        letters = read_dead_letters(blob.content) if blob.content is not None else None
        for letter in letters or ():
            await self._take_letter(letter)
        if letters is None:
            await self._say(None)
        await self._store.remove(name, version=blob.version)
        self.taken.blobs += 1
        self.taken.events += len(letters or ())
        self.taken.unreadable += letters is None

    async def _take_letter(self, letter: DeadLetter) -> None:
        cause = read_event(letter.event)
        if isinstance(cause, Cause) and cause.subject in self._said:
            return
        message = await take_event(self._work, letter.event)
        self.taken.messages += message is not None
        await self._say(message.id if message else None, letter)

    async def _say(self, subject: ArmId | None, letter: DeadLetter | None = None) -> None:
        if subject in self._said:
            return
        setback = Setback(
            id=FindingId.EVENT_DEAD_LETTERED,
            subject=subject,
            about=digest(subject.key if subject else None)[:16],
            at=self._work.engine.clock.now(),
            facts=(("reason", letter.reason), ("outcome", letter.outcome)) if letter else (),
        )
        tell_findings(self._work.telemetry, (await remember(self._work.engine.state, setback),))
        self._said.add(subject)

    def tell(self) -> None:
        """How the run went, where there was anything."""
        taken = self.taken
        if taken.blobs or taken.failed:
            fields = {name: getattr(taken, name) for name in ("blobs", "events", "messages", "unreadable", "failed")}
            tell(self._work.telemetry, "dead_letters", fields, "warning")
