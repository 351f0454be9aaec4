"""What a report shows of one look at a target: its links with their connections, and what is held with its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.drift import explained_by
from shared.core.report_data import HeldView, LinkView
from shared.core.verdict import Settled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.core.allowlist import Rule
    from shared.core.arm_id import ArmId
    from shared.core.entries import Decision
    from shared.core.evidence import Correlation
    from shared.core.model import Link, Target
    from shared.services.results import DecisionReport


def link_views(correlation: Correlation, decisions: Sequence[Decision], reports: Sequence[DecisionReport]) -> Iterator[LinkView]:
    """Every connection with its link, then every link whose connection has not come."""
    rules = {rule.id: rule for rule in correlation.allowlist.rules} if correlation.allowlist else {}
    claimed: set[ArmId] = set()
    for decision, report in zip(decisions, reports, strict=True):
        link = _link_of(correlation, decision)
        if link is not None:
            claimed.add(link)
        if decision.evidence.connection is not None:
            yield _view(correlation, decision, report, link, rules)
    waiting = {report.link: report for report in reports if report.connection is None}
    for one in correlation.observation.links:
        awaited = waiting.get(one.id)
        if one.id in claimed and awaited is None:
            continue
        rule = rules.get(awaited.rule or "") if awaited else None
        yield LinkView(
            target=correlation.observation.target,
            link=one.id,
            connection=None,
            endpoint="",
            link_status=one.status.value,
            link_provisioning=one.provisioning.value,
            connection_state="",
            verdict=awaited.verdict if awaited else "settled",
            outcome=awaited.outcome if awaited else None,
            rule=rule.id if rule else "",
            owner=rule.owner if rule else "",
            ticket=rule.ticket if rule else "",
            decision_id=awaited.decision_id if awaited else "",
            since=one.created_at,
        )


def unseen_view(link: Link, target: Target) -> LinkView:
    """A link to a target that was not looked at: what the link itself says, and nothing of a connection."""
    return LinkView(
        target=target,
        link=link.id,
        connection=None,
        endpoint="",
        link_status=link.status.value,
        link_provisioning=link.provisioning.value,
        connection_state="",
        verdict="",
        outcome=None,
        rule="",
        owner="",
        ticket="",
        decision_id="",
        since=link.created_at,
    )


def held_views(decisions: Sequence[Decision], reports: Sequence[DecisionReport]) -> Iterator[HeldView]:
    """Every decision that is not settled."""
    for decision, report in zip(decisions, reports, strict=True):
        if not isinstance(decision.verdict, Settled):
            yield HeldView(
                target=report.target,
                connection=report.connection,
                link=report.link,
                verdict=report.verdict,
                outcome=report.outcome,
                reasons=report.reasons,
                rule=report.rule or "",
                strength=report.strength,
                decision_id=report.decision_id,
                evidence_digest=decision.evidence_digest,
                number=decision.number,
                state=report.state,
                evidence=decision.evidence,
            )


def _link_of(correlation: Correlation, decision: Decision) -> ArmId | None:
    """The link that a connection was approved or taken over for, else the one that fits it."""
    evidence = decision.evidence
    if evidence.connection is None:
        return None
    approval = explained_by(correlation.history, evidence.connection.id)
    life = approval.incarnation if approval is not None else correlation.history.adopted.get(evidence.connection.id)
    if life is not None:
        return life.link
    return evidence.link.id if evidence.link is not None and evidence.link_fits else None


def _view(
    correlation: Correlation, decision: Decision, report: DecisionReport, link: ArmId | None, rules: dict[str, Rule]
) -> LinkView:
    connection = decision.evidence.connection
    approval = explained_by(correlation.history, connection.id) if connection else None
    seen = correlation.memory.seen(connection.id) if connection else None
    there = next((one for one in correlation.observation.links if one.id == link), None)
    rule_id = approval.rule if approval is not None else decision.rule if link is not None else ""
    rule = rules.get(rule_id)
    return LinkView(
        target=report.target,
        link=link,
        connection=report.connection,
        endpoint=connection.endpoint_id if connection else "",
        link_status=there.status.value if there else "",
        link_provisioning=there.provisioning.value if there else "",
        connection_state=report.state,
        verdict=report.verdict,
        outcome=report.outcome,
        rule=rule_id,
        owner=rule.owner if rule else "",
        ticket=rule.ticket if rule else "",
        decision_id=report.decision_id,
        since=approval.at if approval is not None else seen.first_seen if seen else None,
    )
