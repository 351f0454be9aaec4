"""From what the services return to what the reports show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shared.core.finding import FindingId
from shared.core.reason import Code
from shared.core.verdict import Mode
from shared.report import comparison
from shared.report.documents import (
    AllowlistItem,
    DecisionItem,
    ExplainDocument,
    ExplainedItem,
    FindingItem,
    SweepDocument,
)
from shared.report.exit_codes import ExitCode
from shared.report.next_steps import after_look

if TYPE_CHECKING:
    from collections.abc import Collection

    from shared.core.arm_id import ArmId
    from shared.core.entries import Decision
    from shared.core.finding import Finding
    from shared.services.explain import Explanation
    from shared.services.results import DecisionReport, SweepResult


def decision_item(report: DecisionReport) -> DecisionItem:
    """One decision."""
    return DecisionItem(
        target=report.target,
        connection=report.connection,
        verdict=report.verdict,
        outcome=report.outcome,
        reasons=report.reasons,
        rule=report.rule,
        link=report.link,
        decision_id=report.decision_id,
        evidence=report.strength,
        state=report.state or None,
    )


def finding_item(finding: Finding) -> FindingItem:
    """One finding."""
    return FindingItem(
        id=finding.id,
        severity=finding.severity,
        target=finding.target,
        message=finding.message,
        facts=finding.facts,
        fingerprint=finding.fingerprint,
    )


def sweep_document(result: SweepResult, mode: Mode) -> SweepDocument:
    """A sweep; ``mode`` is the configured one, which a dry run does not act by."""
    items = map(decision_item, result.decisions)
    if result.dry_run and mode is Mode.ENFORCE:
        items = map(_without_observe_only, items)
    return SweepDocument(
        complete=result.complete,
        mode=mode,
        dry_run=result.dry_run,
        started=result.started,
        finished=result.finished,
        decisions=tuple(items),
        findings=tuple(map(finding_item, result.all_findings)),
    )


def _without_observe_only(item: DecisionItem) -> DecisionItem:
    """A dry run observes; but that is not why the connection is not approved yet."""
    return replace(item, reasons=tuple(reason for reason in item.reasons if reason.code is not Code.OBSERVE_ONLY))


def explain_document(explanation: Explanation, connection: ArmId | None, mode: Mode) -> ExplainDocument:
    """An explanation of a target, or of one of its connections."""
    allowlist = explanation.allowlist.allowlist
    pairs = zip(explanation.decisions, explanation.reports, strict=True)
    findings = findings_about(explanation, connection)
    return ExplainDocument(
        target=explanation.target,
        connection=connection,
        mode=mode,
        at=explanation.observation.clock,
        allowlist=AllowlistItem(
            source=allowlist.source if allowlist else "",
            digest=allowlist.digest if allowlist else "",
            paused=allowlist.paused if allowlist else False,
            problem=explanation.allowlist.problem,
        ),
        decisions=tuple(_explained(decision, report, mode) for decision, report in pairs),
        findings=tuple(map(finding_item, findings)),
    )


def findings_about(explanation: Explanation, connection: ArmId | None) -> tuple[Finding, ...]:
    """The findings, without those that are about other connections than the named one."""
    others = _OF_CONNECTIONS if connection is not None else frozenset()
    return tuple(
        finding
        for finding in explanation.findings
        if finding.id not in others or (connection is not None and finding.about == connection.key)
    )


def _explained(decision: Decision, report: DecisionReport, mode: Mode) -> ExplainedItem:
    item, evidence = decision_item(report), decision.evidence
    return ExplainedItem(
        target=item.target,
        connection=item.connection,
        verdict=item.verdict,
        outcome=item.outcome,
        reasons=item.reasons,
        rule=item.rule,
        link=item.link,
        decision_id=item.decision_id,
        evidence=item.evidence,
        state=item.state,
        comparison=comparison.compare(decision),
        facts=comparison.facts(evidence),
        rivals=comparison.rivals(evidence),
        rules=comparison.rules(evidence),
        next=after_look(item, mode),
        inputs=evidence.inputs(),
    )


_OF_CONNECTIONS: Final = frozenset({FindingId.CONNECTION_HELD, FindingId.IMPOSTOR_SUSPECTED})
_UNWRITTEN: Final = frozenset({FindingId.WRITE_REFUSED, FindingId.TAKE_BACK_REFUSED})


def sweep_exit_code(result: SweepResult, *, timed_out: bool) -> ExitCode:
    """What a sweep exits with. ``timed_out``: ``--wait`` was asked for, and something still waits."""
    found = {finding.id for finding in result.all_findings}
    if FindingId.ALLOWLIST_UNREADABLE in found:
        return ExitCode.USAGE
    enforced = result.mode is Mode.ENFORCE
    unanswered = enforced and any(one.verdict == "approve" and one.outcome is None for one in result.decisions)
    if not result.complete or found & _UNWRITTEN or unanswered:
        return ExitCode.INCOMPLETE
    if found or timed_out or needs_person(result.decisions):
        return ExitCode.ATTENTION
    return ExitCode.OK


def needs_person(decisions: Collection[DecisionReport]) -> bool:
    """Whether something is held, would be approved, or was approved wrongly."""
    return any(
        one.verdict == "hold"
        or (one.verdict == "approve" and one.outcome in {None, "not_written"})
        or one.outcome in {"ambiguous", "taken_back"}
        for one in decisions
    )
