"""What a step tells: its decisions, its findings, and when to look again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core import drift
from shared.core.arm_id import fold_case
from shared.core.entries import Decision, verdict_name
from shared.core.history import Outcome
from shared.core.model import ConnectionStatus
from shared.core.verdict import Approve, Hold, Mode, Wait
from shared.services import findings
from shared.services.results import DecisionReport, TargetResult, outcome_name
from shared.services.views import held_views, link_views

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.services.step import Step


def result_of(step: Step, decisions: list[Decision]) -> TargetResult:
    """The step as others are told of it: its decisions, its findings, and when to look again."""
    history = step.journal.history
    found = [*step.findings, *findings.of_history(step.observation, history)]
    for decision in decisions:
        found += findings.of_decision(decision)
    correlation, settings = step.correlation(), step.engine.settings
    found += drift.of_target(correlation, set(map(fold_case, settings.subscriptions)))
    reports = tuple(_reports(step, decisions))
    waits = [decision.verdict for decision in decisions if isinstance(decision.verdict, Wait)]
    times = [wait.until for wait in waits]
    enforced = settings.mode is Mode.ENFORCE
    more = any(enforced and isinstance(one.verdict, Approve) and not _tried_lately(step, one) for one in decisions)
    return TargetResult(
        target=step.target,
        decisions=reports,
        findings=tuple(found),
        waiting=bool(waits) or bool(history.open_intents()) or more or step.look_again,
        more=more,
        look_at=min((time for time in times if time is not None), default=None),
        unscheduled=None in times or bool(history.open_intents()) or step.look_again,
        acted=step.acted,
        looked_at=step.observation.clock,
        looked_at_here=step.looked_at,
        links=tuple(link_views(correlation, decisions, reports)),
        held=tuple(held_views(decisions, reports)),
        unruled=tuple(drift.unruled(correlation)),
        allowlist_digest=step.loaded.allowlist.digest if step.loaded.allowlist else "",
        has_approved=any(one.status is ConnectionStatus.APPROVED for one in step.observation.connections),
    )


def _tried_lately(step: Step, decision: Decision) -> bool:
    """Whether an approval was announced just now: if it was refused, that is for a later look."""
    connection = decision.evidence.connection
    times = [intent.at for intent in step.journal.history.approvals() if connection and intent.connection == connection.id]
    return any(step.now() - at < step.engine.settings.recheck_delay for at in times)


def _reports(step: Step, decisions: list[Decision]) -> Iterator[DecisionReport]:
    history = step.journal.history
    for decision in decisions:
        evidence, connection = decision.evidence, decision.evidence.connection
        approval = history.approval_of(connection.id) if connection else None
        observed = isinstance(decision.verdict, Approve) and step.engine.settings.mode is Mode.OBSERVE
        pending = connection is not None and connection.status is ConnectionStatus.PENDING
        ours = approval if approval and (not pending or not isinstance(decision.verdict, Hold)) else None
        link = ours.incarnation.link if ours and ours.incarnation else evidence.link.id if evidence.link else None
        yield DecisionReport(
            target=step.target,
            connection=connection.id if connection else None,
            link=link,
            rule=(ours.rule if ours else decision.rule) or None,
            verdict=verdict_name(decision.verdict),
            outcome=Outcome.NOT_WRITTEN.value if observed else outcome_name(ours),
            reasons=decision.reasons,
            strength=decision.verdict.strength if isinstance(decision.verdict, Approve) else None,
            decision_id=ours.decision if ours else decision.id,
            state=connection.status_text if connection else "",
        )
