"""The outbox: every change of a finding to every sink, at least once, and in order within a finding.

A finding's row holds its state and its alerts not delivered yet; :mod:`shared.services.track` writes both at once. Here they are
sent, and struck off one by one. A crash between sending and striking off sends again; nothing is struck off unsent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.errors import LedgerBrokenError, SinkError, SinkRefusedError, StoreConflictError
from shared.core.finding import Finding, FindingId, Severity
from shared.core.finding_life import Alert, Attempt, Change, Delivery, FindingRow, Life, Look
from shared.core.ledger import Entry, JsonObject, RecordKind, digest
from shared.core.wire import from_json, to_json
from shared.ports import AlertSink, Clock, Ledger, StateStore
from shared.services.notebook import Kept, fetch, keep
from shared.services.sweep import LAST, SWEEPS, LastSweep
from shared.services.track import FINDINGS, append_once, chain_for, read_rows, track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ALERTS: Final = "alerts"
DEAD_LETTERS: Final = "alerts_dead"
LEASE: Final = "lease"
SOURCE: Final = "alerts"
"""Who looks for findings about alerts themselves."""

GIVE_UP_AFTER: Final = timedelta(hours=24)
"""How long a sink may fail to take an alert before it goes to the dead letter."""
REFUSALS: Final = 3
"""How often a sink may refuse an alert's very content before it goes to the dead letter."""
FIRST_DELAY: Final = timedelta(seconds=30)
LONGEST_DELAY: Final = timedelta(minutes=15)
SWEEP_OVERDUE_AFTER: Final = timedelta(hours=1)
_LEASE: Final = timedelta(minutes=2)
"""Longer than a run may take: two at once would mix up the order."""
_FAILURES_IN_A_ROW: Final = 2
"""After so many a sink is taken to be down, and left alone for this run."""
_TRIES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Where alerts come from and go to."""

    state: StateStore
    ledger: Ledger
    clock: Clock
    sinks: Sequence[AlertSink]
    send_seconds: float = 10.0
    """How long one delivery may take."""
    run: timedelta = timedelta(seconds=60)
    """How long a run begins with further deliveries."""
    reminder: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What one run did."""

    busy: bool
    """Whether another run was under way, and nothing was done."""
    sent: int
    failed: int
    dead: int
    waiting: int
    """Deliveries that are still to come, by sink."""
    errors: Mapping[str, str]
    """Why the last try of a sink failed, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An alert that one sink did not take."""

    sink: str
    at: datetime
    error: str
    alert: Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lease:
    until: datetime | None = None
    by: str = ""


async def deliver(outside: Outside, *, at_once: bool = False) -> Delivered:
    """Send what is due. A sink that is down delays its own alerts and nobody else's.

    ``at_once``: also what failed and waits for its next try, as a person asks who has just mended a sink.

    Raises:
        StoreError: where a store failed; what was sent and not struck off is sent again.

    """
    lease = await _take_lease(outside)
    if lease is None:
        return Delivered(busy=True, sent=0, failed=0, dead=0, waiting=0, errors={})
    try:
        couriers = [_Courier(outside, sink, at_once=at_once) for sink in outside.sinks]
        await _strike_off_done(outside)
        await asyncio.gather(*(courier.run() for courier in couriers))
        await _watch_the_watching(outside)
        rows = read_rows(await outside.state.rows(FINDINGS))
    finally:
        await _give_back(outside, lease)
    names = [sink.name for sink in outside.sinks]
    waiting = sum(alert.attempt(name).state is Delivery.WAITING for row in rows.values() for alert in row.queue for name in names)
    return Delivered(
        busy=False,
        sent=sum(courier.sent for courier in couriers),
        failed=sum(courier.failed for courier in couriers),
        dead=sum(courier.dead for courier in couriers),
        waiting=waiting,
        errors={courier.name: courier.error for courier in couriers if courier.error},
    )


async def _take_lease(outside: Outside) -> Kept[_Lease] | None:
    now = outside.clock.now()
    kept = await fetch(outside.state, ALERTS, LEASE, _Lease, _Lease())
    if kept.value.until is not None and kept.value.until > now:
        return None
    try:
        return await keep(outside.state, ALERTS, LEASE, kept, _Lease(until=now + _LEASE + outside.run))
    except StoreConflictError:
        return None


async def _give_back(outside: Outside, lease: Kept[_Lease]) -> None:
    try:
        await keep(outside.state, ALERTS, LEASE, lease, _Lease())
    except StoreConflictError:
        return  # It had run out, and somebody else has it now.


class _Courier:
    """Brings one sink what it has not had yet."""

    def __init__(self, outside: Outside, sink: AlertSink, *, at_once: bool = False) -> None:
        self._outside = outside
        self._sink = sink
        self._at_once = at_once
        self._end = outside.clock.now() + outside.run
        self._failures = 0
        self.name = sink.name
        self.sent = self.failed = self.dead = 0
        self.error = ""

    async def run(self) -> None:
        rows = read_rows(await self._outside.state.rows(FINDINGS))
        now = self._outside.clock.now()
        due = [(alert.at, key) for key, row in rows.items() if (alert := self._next(row, now)) is not None]
        for _, key in sorted(due):
            await self._bring(key, rows[key])
            if self._is_over:
                return

    @property
    def _is_over(self) -> bool:
        return self._failures >= _FAILURES_IN_A_ROW or self._outside.clock.now() >= self._end

    def _next(self, row: FindingRow, now: datetime) -> Alert | None:
        """The first alert of a finding that the sink has not had: a later one must wait for it."""
        first = next((alert for alert in row.queue if alert.attempt(self.name).state is Delivery.WAITING), None)
        return first if first is not None and (self._at_once or first.attempt(self.name).next_at <= now) else None

    async def _bring(self, key: str, row: FindingRow | None) -> None:
        """All that is due of one finding, in order."""
        while row is not None and not self._is_over and (alert := self._next(row, self._outside.clock.now())) is not None:
            attempt = await self.try_once(alert)
            if attempt.state is Delivery.DEAD:
                self.dead += 1
                await _bury(self._outside, alert.with_attempt(attempt), attempt)
            row = await _amend(self._outside, key, alert.sequence, attempt)
            if attempt.state is Delivery.WAITING:
                return

    async def try_once(self, alert: Alert) -> Attempt:
        """Send one alert, and say what came of it."""
        before = alert.attempt(self.name)
        after, refused, error = timedelta(), False, ""
        try:
            async with asyncio.timeout(self._outside.send_seconds):
                await self._sink.send(alert)
        except SinkError as failure:
            refused, error = isinstance(failure, SinkRefusedError), str(failure)
            after = timedelta(seconds=failure.retry_after or 0)
        except TimeoutError:
            error = f"no answer within {self._outside.send_seconds:g} s"
        except Exception as failure:  # noqa: BLE001  whatever is wrong with one sink, the others are served
            error = type(failure).__name__
        tries = before.tries + 1
        now = self._outside.clock.now()
        if not error:
            self.sent += 1
            self._failures = 0
            return Attempt(sink=self.name, state=Delivery.DELIVERED, tries=tries, next_at=now)
        self.failed += 1
        self.error = error
        # A refusal of one alert's content says nothing about the sink.
        self._failures += not refused
        refusals = before.refusals + refused
        given_up = refusals >= REFUSALS or now - (before.since or alert.at) >= GIVE_UP_AFTER
        delay = min(FIRST_DELAY * 2 ** min(tries - 1, 10), LONGEST_DELAY)
        return Attempt(
            sink=self.name,
            state=Delivery.DEAD if given_up else Delivery.WAITING,
            tries=tries,
            next_at=now + max(delay, min(after, timedelta(hours=1))),
            error=error,
            since=before.since,
            refusals=refusals,
        )


async def _amend(outside: Outside, key: str, sequence: int, attempt: Attempt) -> FindingRow | None:
    """Note what became of a delivery, whatever sweeps wrote meanwhile; strike the alert off once every sink has had it."""

    def note(row: FindingRow) -> FindingRow:
        queue = tuple(alert.with_attempt(attempt) if alert.sequence == sequence else alert for alert in row.queue)
        return replace(row, queue=queue)

    return await _change(outside, key, note)


async def _change(outside: Outside, key: str, note: Callable[[FindingRow], FindingRow]) -> FindingRow | None:
    for _ in range(_TRIES):
        stored = await outside.state.get(FINDINGS, key)
        row = _read(stored.value) if stored else None
        if stored is None or row is None:
            return None
        changed = await _without_done(outside, note(row))
        if changed == row:
            return row
        try:
            await outside.state.put(FINDINGS, key, to_json(changed), replaces=stored.version)
        except StoreConflictError:
            continue
        return changed
    message = f"a finding changed {_TRIES} times while a delivery was to be noted"
    raise StoreConflictError(message)


def _read(value: object) -> FindingRow | None:
    try:
        return from_json(FindingRow, value)  # type: ignore[arg-type]  # a row's value is JSON
    except LedgerBrokenError:
        return None


async def _strike_off_done(outside: Outside) -> None:
    """What no configured sink waits for any more, as after one was taken out of the settings."""
    for key, row in read_rows(await outside.state.rows(FINDINGS)).items():
        if any(_is_done(outside, alert) for alert in row.queue):
            await _change(outside, key, lambda one: one)


def _is_done(outside: Outside, alert: Alert) -> bool:
    return all(alert.attempt(sink.name).state is not Delivery.WAITING for sink in outside.sinks)


async def _without_done(outside: Outside, row: FindingRow) -> FindingRow:
    """The row without the alerts that every sink has had, each recorded in the ledger first."""
    done = [alert for alert in row.queue if _is_done(outside, alert)]
    for alert in done:
        if alert.attempts:
            await append_once(outside.ledger, _record(alert, outside.clock.now()))
    return replace(row, queue=tuple(alert for alert in row.queue if alert not in done)) if done else row


def _record(alert: Alert, at: datetime) -> Entry:
    sinks: JsonObject = {attempt.sink: attempt.state.value for attempt in alert.attempts}
    finding = alert.finding
    body: JsonObject = {
        "alert": alert.id,
        "sequence": alert.sequence,
        "change": alert.change.value,
        "finding": finding.id.value,
        "severity": finding.severity.value,
        "fingerprint": finding.fingerprint,
        "target": finding.target,
        "sinks": sinks,
    }
    return Entry(chain=chain_for(finding), id=digest({"alert": alert.id}), kind=RecordKind.ALERT, at=at, body=body)


# The dead letter


async def _bury(outside: Outside, alert: Alert, attempt: Attempt) -> None:
    """Before it is struck off, so that a crash in between leaves it twice and not nowhere."""
    letter = DeadLetter(sink=attempt.sink, at=outside.clock.now(), error=attempt.error, alert=alert)
    key = digest([attempt.sink, alert.id])[:32]
    kept = await fetch(outside.state, DEAD_LETTERS, key, tuple[DeadLetter, ...], ())
    await keep(outside.state, DEAD_LETTERS, key, kept, (letter,))


async def dead_letters(state: StateStore) -> tuple[DeadLetter, ...]:
    """Every alert that some sink did not take, oldest first."""
    found: list[DeadLetter] = []
    for key in await state.rows(DEAD_LETTERS):
        found += (await fetch(state, DEAD_LETTERS, key, tuple[DeadLetter, ...], ())).value
    return tuple(sorted(found, key=lambda letter: (letter.alert.at, letter.alert.id, letter.sink)))


async def waiting_alerts(state: StateStore) -> tuple[Alert, ...]:
    """Every alert that is not delivered everywhere, oldest first."""
    rows = read_rows(await state.rows(FINDINGS)).values()
    return tuple(sorted((alert for row in rows for alert in row.queue), key=lambda alert: (alert.at, alert.id)))


async def retry_dead_letters(outside: Outside) -> int:
    """Queue every dead letter again, for the sink that did not take it; the next delivery sends them. Returns how many."""
    now, count = outside.clock.now(), 0
    for key in await outside.state.rows(DEAD_LETTERS):
        kept = await fetch(outside.state, DEAD_LETTERS, key, tuple[DeadLetter, ...], ())
        for letter in kept.value:
            await _requeue(outside, letter, now)
            count += 1
        if kept.version is not None:
            await outside.state.delete(DEAD_LETTERS, key, version=kept.version)
    return count


async def _requeue(outside: Outside, letter: DeadLetter, now: datetime) -> None:
    others = [sink.name for sink in outside.sinks if sink.name != letter.sink]
    alert = replace(letter.alert, attempts=())
    for name in others:
        alert = alert.with_attempt(Attempt(sink=name, state=Delivery.DELIVERED, tries=0, next_at=now))
    # Its time runs anew; its own time of origin stays what it was.
    fresh = Attempt(sink=letter.sink, state=Delivery.WAITING, tries=0, next_at=now, since=now)
    alert = alert.with_attempt(fresh)
    key = alert.finding.fingerprint
    for _ in range(_TRIES):
        stored = await outside.state.get(FINDINGS, key)
        row = (_read(stored.value) if stored else None) or FindingRow(
            source=SOURCE,
            finding=alert.finding,
            life=Life.RESOLVED,
            first_seen=alert.first_seen,
            last_seen=now,
            resolved_at=now,
            sequence=alert.sequence,
        )
        there = next((one for one in row.queue if one.sequence == alert.sequence), None)
        again = there.with_attempt(fresh) if there is not None else alert
        queue = sorted((again, *(one for one in row.queue if one.sequence != alert.sequence)), key=lambda one: one.sequence)
        try:
            await outside.state.put(
                FINDINGS, key, to_json(replace(row, queue=tuple(queue))), replaces=stored.version if stored else None
            )
        except StoreConflictError:
            continue
        return
    message = f"a finding changed {_TRIES} times while a dead letter was to be queued again"
    raise StoreConflictError(message)


# Tests, and the watching itself


async def try_sinks(outside: Outside) -> dict[str, str]:
    """Send each sink one alert of its own; what failed by the sink's name, "" where it was taken."""
    now = outside.clock.now()
    finding = Finding(
        id=FindingId.ALERT_UNDELIVERED,
        severity=Severity.WARNING,
        target="",
        about="test",
        message="this is a test: nothing is wrong, and this sink takes alerts",
        facts={},
    )
    alert = Alert(sequence=1, change=Change.TEST, at=now, finding=finding, first_seen=now)
    tried = [_Courier(outside, sink) for sink in outside.sinks]
    attempts = await asyncio.gather(*(courier.try_once(alert) for courier in tried))
    return {courier.name: attempt.error for courier, attempt in zip(tried, attempts, strict=True)}


async def _watch_the_watching(outside: Outside) -> None:
    """Findings about alerts that did not arrive, and about sweeps that do not come."""
    found = [*_undelivered(await dead_letters(outside.state))]
    last = await fetch(outside.state, SWEEPS, LAST, LastSweep, LastSweep(started=None, finished=None, complete=False, targets=0))
    finished = last.value.finished
    if finished is not None and outside.clock.now() - finished >= SWEEP_OVERDUE_AFTER:
        found.append(
            Finding(
                id=FindingId.SWEEP_OVERDUE,
                severity=Severity.CRITICAL,
                target="",
                about="",
                message=f"no sweep has ended since {finished.isoformat()}: nobody is watching",
                facts={},
            )
        )
    look = Look(source=SOURCE, at=outside.clock.now(), found=tuple(found), reminder=outside.reminder)
    await track(outside.ledger, outside.state, look)


def _undelivered(letters: Iterable[DeadLetter]) -> Iterable[Finding]:
    counts: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        counts.setdefault(letter.sink, []).append(letter)
    for sink, of_sink in sorted(counts.items()):
        yield Finding(
            id=FindingId.ALERT_UNDELIVERED,
            severity=Severity.CRITICAL,
            target="",
            about=sink,
            message=f"the sink {sink} did not take some alerts: linkguard alerts list, then linkguard alerts retry",
            facts={"sink": sink, "why": of_sink[-1].error},
        )
