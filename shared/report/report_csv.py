"""``linkguard report --format csv``: one table of the report."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

from shared.core.errors import LinkguardError
from shared.report.csv_text import csv_text
from shared.report.ledger_text import summary
from shared.report.link_state import state_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.core.model import Target
    from shared.core.report_data import FindingView, HeldView, LinkView, ReportData, TimelineItem


class ReportTable(StrEnum):
    """Every table."""

    LINKS = "links"
    FINDINGS = "findings"
    HELD = "held"
    LEDGER = "ledger"


HEADERS: Final[Mapping[ReportTable, tuple[str, ...]]] = {
    ReportTable.LINKS: (
        "state",
        "signalr",
        "link",
        "target",
        "connection",
        "endpoint",
        "link_status",
        "link_provisioning",
        "connection_state",
        "verdict",
        "outcome",
        "rule",
        "owner",
        "ticket",
        "decision",
        "since",
        "traffic",
    ),
    ReportTable.FINDINGS: (
        "severity",
        "status",
        "finding",
        "target",
        "message",
        "facts",
        "life",
        "first_seen",
        "last_seen",
        "resolved_at",
        "fingerprint",
    ),
    ReportTable.HELD: (
        "verdict",
        "outcome",
        "target",
        "connection",
        "link",
        "state",
        "codes",
        "reasons",
        "rule",
        "first_seen",
        "decision",
    ),
    ReportTable.LEDGER: ("at", "kind", "chain", "sequence", "id", "summary", "faults"),
}
"""The columns of each. They are stable; new ones are added at the end."""


def report_csv(data: ReportData, table: ReportTable) -> str:
    """One table, all of its rows."""
    sweep = data.sweep
    match table:
        case ReportTable.LINKS:
            verdicts = {item.target: item.verdict for item in data.traffic}  # The newest is the last.
            return csv_text(HEADERS[table], (_link(view, verdicts) for view in (sweep.every_link if sweep else ())))
        case ReportTable.FINDINGS:
            return csv_text(HEADERS[table], map(_finding, data.findings))
        case ReportTable.HELD:
            return csv_text(HEADERS[table], map(_held, sweep.held if sweep else ()))
        case ReportTable.LEDGER:
            faults = {(fault.chain, fault.sequence): fault.message for fault in data.ledger.faults}
            return csv_text(HEADERS[table], (_record(item, faults) for item in data.ledger.timeline))
        case _ as never:
            assert_never(never)


def _link(view: LinkView, verdicts: Mapping[Target, str]) -> list[str]:
    return [
        state_of(view).value,
        str(view.signalr or ""),
        view.link.name if view.link else "",
        str(view.target),
        str(view.connection or ""),
        view.endpoint,
        view.link_status,
        view.link_provisioning,
        view.connection_state,
        view.verdict,
        view.outcome or "",
        view.rule,
        view.owner,
        view.ticket,
        view.decision_id,
        _time(view.since),
        verdicts.get(view.target, ""),
    ]


def _finding(view: FindingView) -> list[str]:
    finding = view.finding
    return [
        finding.severity.value,
        "open" if view.is_open else "resolved",
        finding.id.value,
        finding.target,
        finding.message,
        "; ".join(f"{name}={value}" for name, value in finding.facts.items()),
        view.life.value,
        _time(view.first_seen),
        _time(view.last_seen),
        _time(view.resolved_at),
        finding.fingerprint,
    ]


def _held(one: HeldView) -> list[str]:
    return [
        one.verdict,
        one.outcome or "",
        str(one.target),
        str(one.connection or ""),
        str(one.link or ""),
        one.state,
        " ".join(reason.code.value for reason in one.reasons),
        "; ".join(reason.message for reason in one.reasons),
        one.rule,
        _time(one.evidence.first_seen),
        one.decision_id,
    ]


def _record(item: TimelineItem, faults: dict[tuple[str, int], str]) -> list[str | int]:
    try:
        said = summary(item.kind, item.body)
    except LinkguardError:
        said = "it cannot be read"
    fault = faults.get((item.chain, item.sequence), "")
    return [_time(item.at), item.kind.value, item.chain, item.sequence, item.id, said, fault]


def _time(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""
