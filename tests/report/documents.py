"""Documents to report, with what a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shared.core.arm_id import ArmId
from shared.core.finding import FindingId, Severity
from shared.core.ledger import digest
from shared.core.model import Target
from shared.core.reason import Code, Reason
from shared.core.verdict import Mode
from shared.report.documents import (
    AllowlistItem,
    Comparison,
    DecisionItem,
    ExplainDocument,
    ExplainedItem,
    FindingItem,
    RuleItem,
    SweepDocument,
)

if TYPE_CHECKING:
    from shared.core.verdict import Strength

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-0000000000a1/resourceGroups/contoso/providers"
SIGNALR = ArmId.parse(f"{SUBSCRIPTION}/Microsoft.SignalRService/signalR/contoso-signalr")
TARGET = Target(ArmId.parse(f"{SUBSCRIPTION}/Microsoft.Web/sites/contoso-func"))
LINK = SIGNALR.child("sharedPrivateLinkResources", "func-pe")
NOON = datetime(2027, 1, 4, 12, 0, tzinfo=UTC)


def connection_named(name: str) -> ArmId:
    return TARGET.id.child("privateEndpointConnections", name)


def reason(code: Code = Code.NAME_DIFFERS, *, message: str = "a sentence", resolve: str = "", **facts: str) -> Reason:
    return Reason(code=code, message=message, facts=facts, resolve=resolve)


def decision(  # noqa: PLR0913  a test names only what it cares about
    name: str = "func-pe-1",
    verdict: str = "hold",
    outcome: str | None = None,
    *,
    reasons: tuple[Reason, ...] = (),
    state: str | None = "Pending",
    evidence: Strength | None = None,
    rule: str | None = "contoso-upstream",
) -> DecisionItem:
    return DecisionItem(
        target=TARGET,
        connection=connection_named(name),
        verdict=verdict,
        outcome=outcome,
        reasons=reasons,
        rule=rule,
        link=LINK,
        decision_id=digest(name),
        evidence=evidence,
        state=state,
    )


def finding(
    id_: FindingId = FindingId.TARGET_UNREADABLE,
    severity: Severity = Severity.CRITICAL,
    *,
    message: str = "a sentence",
    **facts: str,
) -> FindingItem:
    return FindingItem(id=id_, severity=severity, target=str(TARGET), message=message, facts=facts, fingerprint="f" * 32)


def sweep(
    *decisions: DecisionItem,
    findings: tuple[FindingItem, ...] = (),
    mode: Mode = Mode.ENFORCE,
    dry_run: bool = False,
    complete: bool = True,
) -> SweepDocument:
    return SweepDocument(
        complete=complete,
        mode=mode,
        dry_run=dry_run,
        started=NOON,
        finished=NOON + timedelta(seconds=2),
        decisions=decisions,
        findings=findings,
    )


def explained(
    item: DecisionItem, *comparison: Comparison, rule_text: str = "id: contoso-upstream\neffect: allow\n"
) -> ExplainedItem:
    return ExplainedItem(
        **{name: getattr(item, name) for name in DecisionItem.__dataclass_fields__},
        comparison=comparison,
        facts={"SignalR tier": "Standard"},
        rivals=(),
        rules=(RuleItem(id="contoso-upstream", effect="allow", line=3, text=rule_text),),
        next=("linkguard sweep --wait",),
        inputs={},
    )


def explanation(*items: ExplainedItem, findings: tuple[FindingItem, ...] = (), problem: str = "") -> ExplainDocument:
    return ExplainDocument(
        target=TARGET,
        connection=None,
        mode=Mode.ENFORCE,
        at=NOON,
        allowlist=AllowlistItem(source="allowlist.yaml", digest="d" * 64, paused=False, problem=problem),
        decisions=items,
        findings=findings,
    )
