"""``linkguard report`` as JSON: the data, led by what it comes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.finding import Severity
from shared.core.report_data import ReportData
from shared.core.verdict import Mode
from shared.report.link_state import LinkState, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.model import Target

SWEEP_STALE_AFTER: Final = timedelta(hours=1)
"""An older sweep says little about now; the deployed timer runs every ten minutes."""
AUDIT_STALE_AFTER: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, or that nobody knows."""

    severity: Severity
    message: str
    anchor: str
    """Where the report says why, as a fragment of its address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Is anything wrong?"""

    ok: bool
    """Whether nothing needs a person."""
    problems: tuple[Problem, ...]
    """The worst first; empty where nothing is wrong."""
    critical: int
    """Open findings."""
    warning: int
    states: dict[str, int]
    """Links by state; every state is there."""
    traffic: dict[str, int]
    """Audited targets by their newest verdict."""
    mode: Mode | None
    swept_at: datetime | None
    audited_at: datetime | None
    ledger_verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDocument:
    """``linkguard report --format json``."""

    version: int
    summary: Summary
    data: ReportData


def report_document(data: ReportData) -> ReportDocument:
    """The data with its summary."""
    return ReportDocument(version=1, summary=summarize(data), data=data)


def summarize(data: ReportData) -> Summary:
    """What the data comes to."""
    severities = Counter(view.finding.severity for view in data.findings if view.is_open)
    found = Counter(state_of(view).value for view in data.sweep.every_link) if data.sweep else Counter[str]()
    newest = {item.target: item.verdict for item in data.traffic}
    problems = sorted(_problems(data, severities, found, newest), key=lambda one: one.severity is not Severity.CRITICAL)
    return Summary(
        ok=not problems,
        problems=tuple(problems),
        critical=severities[Severity.CRITICAL],
        warning=severities[Severity.WARNING],
        states={state.value: found[state.value] for state in LinkState},
        traffic=dict(sorted(Counter(newest.values()).items())),
        mode=data.sweep.mode if data.sweep else None,
        swept_at=data.sweep.finished if data.sweep else None,
        audited_at=data.audit_at,
        ledger_verified=data.ledger.verified,
    )


def _problems(
    data: ReportData, severities: Counter[Severity], states: Counter[str], newest: dict[Target, str]
) -> Iterator[Problem]:
    for severity in Severity:
        if count := severities[severity]:
            said = _times(count, "critical finding" if severity is Severity.CRITICAL else "warning")
            kinds = Counter(v.finding.id.value for v in data.findings if v.is_open and v.finding.severity is severity)
            named = ", ".join(f"{name.replace('_', ' ')} ({number})" for name, number in kinds.most_common(3))
            more = f" and {_times(len(kinds) - 3, 'more kind')}" if len(kinds) > 3 else ""  # noqa: PLR2004  the three that are named
            yield Problem(severity=severity, message=f"{said}: {named}{more}", anchor=f"findings?severity={severity.value}")
    if data.ledger.faults:
        first = data.ledger.faults[0]
        message = f"The ledger does not verify: {_times(len(data.ledger.faults), 'fault')}, the first at record {first.sequence}"
        yield Problem(severity=Severity.CRITICAL, message=message, anchor="ledger")
    if public := sum(verdict == "public-seen" for verdict in newest.values()):
        message = f"Upstream calls over the public network at {_times(public, 'target')}"
        yield Problem(severity=Severity.CRITICAL, message=message, anchor="traffic?verdict=public-seen")
    if wrong := states[LinkState.WRONG]:
        message = f"{_times(wrong, 'approval')} may be of the wrong connection, or had to be taken back"
        yield Problem(severity=Severity.CRITICAL, message=message, anchor="links?state=wrong")
    if held := states[LinkState.HELD]:
        message = f"{_times(held, 'connection')} held until somebody decides"
        yield Problem(severity=Severity.WARNING, message=message, anchor="held?verdict=hold")
    yield from _about_sweep(data)


def _about_sweep(data: ReportData) -> Iterator[Problem]:
    sweep = data.sweep
    if sweep is None:
        message = "No sweep was kept yet, so nothing is known about any link: linkguard sweep"
        yield Problem(severity=Severity.CRITICAL, message=message, anchor="top")
        return
    if not sweep.complete:
        unread = f": {_times(len(sweep.unread), 'target')} could not be looked at" if sweep.unread else ""
        message = f"The last sweep did not read everything{unread}"
        yield Problem(severity=Severity.WARNING, message=message, anchor="findings")
    if data.at - sweep.finished > SWEEP_STALE_AFTER:
        yield Problem(severity=Severity.WARNING, message=f"The last sweep is {ago(data.at - sweep.finished)} old", anchor="top")
    if data.audit_at is not None and data.at - data.audit_at > AUDIT_STALE_AFTER:
        message = f"The last traffic audit is {ago(data.at - data.audit_at)} old"
        yield Problem(severity=Severity.WARNING, message=message, anchor="traffic")


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def ago(age: timedelta) -> str:
    """An age for a person, in its largest whole unit: ``3 h``."""
    seconds = max(int(age.total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
