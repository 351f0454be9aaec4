"""From an event to a message, and from a message to a look.

An event is a hint to look, never a fact: whatever it says, only what a sweep would look at is read, and only what is read
from Azure counts. "Not yet" puts the message back with a growing delay; it is never an exception.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, assert_never

from shared.core.errors import AzureThrottledError, LinkguardError, StoreConflictError
from shared.core.event import Cause, Ignored, RawEvent, read_event
from shared.core.message import LookMessage, PartMessage, decode, encode
from shared.core.model import LinkProvisioning, LinkStatus, Target
from shared.services import follow_up
from shared.services.guard import is_known_service, is_scanned, is_watched
from shared.services.notebook import fetch, fetch_memory, keep
from shared.services.recheck import delay_at
from shared.services.reconcile import reconcile
from shared.services.rounds import go_on
from shared.services.telemetry import counting, following, tell, tell_findings

if TYPE_CHECKING:
    from shared.core.arm_id import ArmId
    from shared.core.ledger import JsonObject
    from shared.core.model import SignalR
    from shared.services.results import TargetResult
    from shared.services.work import Work

STAMPS: Final = "stamps"
"""When each SignalR service was last read for its events."""
_MARGIN: Final = timedelta(seconds=2)
"""A queue's times are whole seconds, and its clock is not Resource Manager's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message as the queue handed it over."""

    id: str
    text: str
    inserted: datetime | None
    """By the queue's clock."""
    tries: int
    """1 for the first delivery; more where an earlier one failed or was given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """When the last look began."""

    at: datetime | None


async def take_event(work: Work, raw: RawEvent) -> LookMessage | None:
    """Put one message on the queue for an event that is a reason to look. No call to Azure Resource Manager.

    Raises:
        QueueError: where the queue does not take it; Event Grid delivers the event again.

    """
    match read_event(raw):
        case Ignored(why=why, event=event):
            tell(work.telemetry, "event", {"event": event, "ignored": why}, "debug")
            return None
        case Cause(subject=subject, event=event, time=time):
            if not is_scanned(work.engine, subject):
                tell(work.telemetry, "event", {"event": event, "ignored": "another subscription"}, "debug")
                return None
            message = LookMessage(id=subject)
            id_ = await work.queue.put(encode(message))
            fields: JsonObject = {"event": event, "subject": str(subject), "time": time.isoformat() if time else None}
            with following(id_):
                tell(work.telemetry, "event", fields)
            return message
        case _ as never:
            assert_never(never)


async def take_message(work: Work, arrival: Arrival) -> None:
    """Do one message's work.

    Raises:
        MessageError: where it is none of ours.
        LinkguardError: where the work could not be done and doing it again soon does not help. The queue's own retries
            end with its poison queue.

    """
    message = decode(arrival.text)
    if isinstance(message, PartMessage):
        with following(message.sweep):
            await _take_part(work, message)
        return
    correlation = message.correlation or arrival.id
    # What a sweep put there has a correlation and no beginning: no event asked for it.
    since = message.since if message.correlation else arrival.inserted
    with following(correlation, since):
        if await _is_over(work, message, arrival):
            tell(work.telemetry, "message", _fields(message, "superseded"), "debug")
            return
        # Only what is put back carries these: a first message is what the event made it.
        carried = replace(message, correlation=correlation, since=since)
        try:
            with counting(work.telemetry):
                await (_fan_out(work, carried) if message.target is None else _look(work, carried, message.target))
        except LinkguardError as error:
            if not error.retryable or not await follow_up.put_back(work, carried, None, at_least=_asked_to_wait(error)):
                raise
            tell(work.telemetry, "message", {**_fields(message, "put back"), "error": type(error).__name__}, "warning")


async def _take_part(work: Work, message: PartMessage) -> None:
    """Go on with a part of a sweep; what cannot go on yet comes back, for as long as the sweep goes on."""
    try:
        await go_on(work, message)
    except LinkguardError as error:
        if not error.retryable or message.attempt >= follow_up.MOST_ATTEMPTS:
            raise
        again = replace(message, attempt=message.attempt + 1)
        await work.queue.put(encode(again), delay=max(delay_at(work.engine.settings, again.attempt), _asked_to_wait(error)))
        fields: JsonObject = {"part": message.part, "attempt": message.attempt, "what": "put back", "error": type(error).__name__}
        tell(work.telemetry, "message", fields, "warning")


def _asked_to_wait(error: LinkguardError) -> timedelta:
    return timedelta(seconds=error.retry_after or 0) if isinstance(error, AzureThrottledError) else timedelta()


async def _is_over(work: Work, message: LookMessage, arrival: Arrival) -> bool:
    """Whether what the message asks for has been done since. It is not where an earlier delivery failed: that one did not end."""
    if arrival.tries > 1:
        return False
    if message.token is not None:
        return await follow_up.is_superseded(work, message)
    if message.attempt > 1 or arrival.inserted is None:
        return False
    looked = await _last_look(work, message)
    return looked is not None and arrival.inserted + _MARGIN < looked


async def _last_look(work: Work, message: LookMessage) -> datetime | None:
    """When the last look began at what the message is about; None where there was none."""
    state = work.engine.state
    if message.target is None:
        return (await fetch(state, STAMPS, message.id.key, Stamp, Stamp(at=None))).value.at
    memory = (await fetch_memory(state, message.target)).value
    if message.via is not None:
        return memory.read_at.get(message.via.key)
    return min(memory.read_at.values(), default=memory.observed_at)


# A SignalR service


async def _fan_out(work: Work, message: LookMessage) -> None:
    """One message for each target that a service's links lead to and that may have something to do."""
    engine, service = work.engine, message.id
    if not await is_known_service(engine, service):
        tell(work.telemetry, "message", _fields(message, "not allowlisted"), "debug")
        return
    reading = await engine.azure.get_signalr(service)
    targets = await _targets_of(work, service, reading.value)
    for target in targets:
        await work.queue.put(encode(replace(message, id=target.id, via=service, attempt=1, token=None)))
    # After the messages: should this end before, the service is read again.
    kept = await fetch(engine.state, STAMPS, service.key, Stamp, Stamp(at=None))
    if kept.value.at is None or kept.value.at < reading.started:
        with suppress(StoreConflictError):  # Another worker has just read it too.
            await keep(engine.state, STAMPS, service.key, kept, Stamp(at=reading.started))
    await follow_up.end(work, message)
    tell(work.telemetry, "message", {**_fields(message, "fanned out"), "targets": len(targets)})


async def _targets_of(work: Work, service: ArmId, found: SignalR | None) -> list[Target]:
    """Where its links lead that are not done, and where those led that the last sweep saw and that are gone."""
    links = found.links if found else ()
    known = {link.id for link in links}
    before = (await work.engine.snapshot()).services.get(service)
    gone = [link for link in before.links if link.id not in known] if before else []
    open_ = [link for link in links if (link.status, link.provisioning) != (LinkStatus.APPROVED, LinkProvisioning.SUCCEEDED)]
    led_to = {link.target for link in (*open_, *gone) if link.target is not None}
    return sorted((target for target in led_to if is_scanned(work.engine, target.id)), key=lambda target: target.id)


# A target


async def _look(work: Work, message: LookMessage, target: Target) -> None:
    """One step, and what comes after it."""
    if not await is_watched(work.engine, target, message.via):
        tell(work.telemetry, "message", _fields(message, "not watched"), "debug")
        return
    result = await reconcile(work.engine, target, (message.via,) if message.via else ())
    tell_findings(work.telemetry, result.findings)
    what = "looked at"
    if result.waiting:
        what = "put back" if await follow_up.put_back(work, message, result) else "left to the sweep"
    else:
        await follow_up.end(work, message)
    tell(work.telemetry, "message", {**_fields(message, what), "acted": result.acted, "verdicts": _verdicts(result)})


def _verdicts(result: TargetResult) -> JsonObject:
    verdicts = [decision.verdict for decision in result.decisions]
    return {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}


def _fields(message: LookMessage, what: str) -> JsonObject:
    return {"id": str(message.id), "attempt": message.attempt, "what": what}
