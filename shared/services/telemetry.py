"""What is told while it happens: one structured record for each thing that the ledger records, and for findings and sweeps.

The fields are those of docs/telemetry.md. Nothing here is the record: the ledger is. Text that outsiders wrote (request
messages, descriptions, headers) is never told; ids are.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from shared.core.finding import Severity
from shared.core.history import Action, Outcome
from shared.core.ledger import RecordKind
from shared.ports import counting_calls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from shared.core.finding import Finding
    from shared.core.ledger import Head, Json, JsonObject, Record
    from shared.ports import CallCount, Clock, Ledger, Telemetry
    from shared.services.results import SweepResult

type Level = Literal["debug", "info", "warning", "error"]

APPROVALS: Final = "linkguard.approvals"
HOLDS: Final = "linkguard.holds"
EVENT_TO_APPROVAL: Final = "linkguard.event_to_approval_seconds"
SWEEP_SECONDS: Final = "linkguard.sweep_seconds"
SWEEP_CALLS: Final = "linkguard.sweep_calls"
THROTTLES: Final = "linkguard.arm_throttles"
METRICS: Final = (APPROVALS, HOLDS, EVENT_TO_APPROVAL, SWEEP_SECONDS, SWEEP_CALLS, THROTTLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """What ties together all that is told about one cause."""

    correlation: str | None = None
    since: datetime | None = None
    """When the event that began it came."""


_NONE: Final = Thread()
_THREAD: Final[ContextVar[Thread]] = ContextVar("linkguard_thread", default=_NONE)


@contextmanager
def following(correlation: str | None, since: datetime | None = None) -> Iterator[None]:
    """All that is told meanwhile belongs to this."""
    token = _THREAD.set(Thread(correlation=correlation, since=since))
    try:
        yield
    finally:
        _THREAD.reset(token)


def tell(telemetry: Telemetry, name: str, fields: Mapping[str, Json], severity: Level = "info") -> None:
    """Tell a record, with what it belongs to."""
    telemetry.record(name, {"correlation": _THREAD.get().correlation, **fields}, severity=severity)


def tell_findings(telemetry: Telemetry, findings: Sequence[Finding]) -> None:
    """Each finding, at every look that finds it."""
    for finding in findings:
        fields: JsonObject = {
            "finding": finding.id.value,
            "severity": finding.severity.value,
            "target": finding.target or None,
            "about": finding.about or None,
            "fingerprint": finding.fingerprint,
        }
        tell(telemetry, "finding", fields, "error" if finding.severity is Severity.CRITICAL else "warning")


def tell_sweep(  # noqa: PLR0913  what the record holds
    telemetry: Telemetry, result: SweepResult, calls: CallCount, *, sweep: str, left: int, part: int | None = None
) -> None:
    """How a sweep, or what one run of it could do, went. ``part``: which of those that went into messages."""
    seconds = (result.finished - result.started).total_seconds()
    fields: JsonObject = {
        "sweep": sweep,
        "part": part,
        "complete": result.complete,
        "mode": result.mode.value,
        "started": result.started.isoformat(),
        "seconds": seconds,
        "targets": len(result.targets),
        "left": left,
        "unread": len(result.unread) - left,
        "waiting": sum(one.waiting for one in result.targets),
        "findings": len(result.all_findings),
        "reads": calls.reads,
        "writes": calls.writes,
        "throttled": calls.throttled,
    }
    tell(telemetry, "sweep", fields, "info" if len(result.unread) == left else "warning")
    telemetry.measure(SWEEP_SECONDS, seconds, {"complete": str(result.complete).lower()})
    _measure_calls(telemetry, calls)


def tell_round(  # noqa: PLR0913  all that is told
    telemetry: Telemetry, result: SweepResult, calls: CallCount, *, sweep: str, targets: int, parts: int
) -> None:
    """How a sweep that went on in messages ended."""
    fields: JsonObject = {
        "sweep": sweep,
        "complete": result.complete,
        "targets": targets,
        "unread": len(result.unread),
        "parts": parts,
        "seconds": (result.finished - result.started).total_seconds(),
    }
    tell(telemetry, "round", fields, "info" if result.complete else "warning")
    _measure_calls(telemetry, calls)


def _measure_calls(telemetry: Telemetry, calls: CallCount) -> None:
    for kind, count in (("read", calls.reads), ("write", calls.writes)):
        telemetry.measure(SWEEP_CALLS, count, {"kind": kind})


@contextmanager
def counting(telemetry: Telemetry) -> Iterator[CallCount]:
    """The calls to Resource Manager made meanwhile; at the end those that it throttled are measured."""
    with counting_calls() as made:
        try:
            yield made
        finally:
            if made.throttled:
                telemetry.measure(THROTTLES, made.throttled, {})


class ToldLedger:
    """A ledger of which each new record is told, once it is there."""

    def __init__(self, ledger: Ledger, telemetry: Telemetry, clock: Clock) -> None:
        self._ledger = ledger
        self._telemetry = telemetry
        self._clock = clock

    async def head(self, chain: str) -> Head:
        """As the ledger's own."""
        return await self._ledger.head(chain)

    async def append(self, record: Record) -> None:
        """As the ledger's own, then told."""
        await self._ledger.append(record)
        _tell_record(self._telemetry, record, self._clock.now())

    def records(self, chain: str, *, kinds: Sequence[RecordKind] = (), with_inputs: bool = True) -> AsyncIterator[Record]:
        """As the ledger's own."""
        return self._ledger.records(chain, kinds=kinds, with_inputs=with_inputs)

    async def chains(self) -> tuple[str, ...]:
        """As the ledger's own."""
        return await self._ledger.chains()


def _tell_record(telemetry: Telemetry, record: Record, now: datetime) -> None:
    body = record.entry.body
    place: JsonObject = {"chain": record.entry.chain, "sequence": record.sequence}
    match record.entry.kind:
        case RecordKind.INTENT | RecordKind.HOLD:
            tell(telemetry, "decision", {**place, **_decision(body, record.entry.kind)})
            if record.entry.kind is RecordKind.HOLD:
                for code in _texts(body.get("codes")):
                    telemetry.measure(HOLDS, 1, {"code": code})
        case RecordKind.OUTCOME:
            wanted = {key: body.get(key) for key in ("decision", "action", "connection", "outcome", "why")}
            tell(telemetry, "outcome", {**place, **wanted})
            if (body.get("action"), body.get("outcome")) == (Action.APPROVE.value, Outcome.SENT.value):
                telemetry.measure(APPROVALS, 1, {})
                if since := _THREAD.get().since:
                    telemetry.measure(EVENT_TO_APPROVAL, (now - since).total_seconds(), {})
        case kind:
            tell(telemetry, "recorded", {**place, "kind": kind.value})


def _decision(body: JsonObject, kind: RecordKind) -> JsonObject:
    wanted = ("decision", "target", "connection", "link", "verdict", "rule", "strength", "codes", "mode", "undoes")
    intent = body.get("intent")
    action = intent.get("action") if isinstance(intent, dict) else None
    return {"kind": kind.value, "action": action, **{key: body.get(key) for key in wanted}}


def _texts(value: Json) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
