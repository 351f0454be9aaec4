"""Revoking what a removed rule had approved, where that rule asked for it: after a complete sweep, with every brake on.

The brakes themselves are :mod:`shared.core.revoke`'s; here is what they need to know, and the write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, assert_never

from shared.core import drift
from shared.core.allowlist import Effect, Rule
from shared.core.entries import chain_of, description, outcome_entry
from shared.core.errors import AzureError, StoreConflictError
from shared.core.evidence import Evidence
from shared.core.finding import Finding, FindingId, Severity
from shared.core.history import Intent, Outcome
from shared.core.ledger import RecordKind
from shared.core.model import Target
from shared.core.revoke import (
    MOST_AN_HOUR,
    MOST_BY_ONE_CHANGE,
    Keep,
    Revoke,
    RevokeEvidence,
    asks_for_it,
    judge_revocation,
    revoke_intent,
)
from shared.core.wire import from_json
from shared.services.act import Refused, Unanswered, Written
from shared.services.allowlist import load_allowlist
from shared.services.budget import Limit, reserve
from shared.services.notebook import fetch, keep
from shared.services.reconcile import begin, next_undo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.core.allowlist import Allowlist
    from shared.core.model import Connection
    from shared.core.verdict import Mode
    from shared.ports import Ledger
    from shared.services.reconcile import Engine, Step
    from shared.services.results import TargetResult

REVOKING: Final = "revoking"
CHANGE: Final = "change"
REVOCATIONS: Final = "revocations"
"""The budget's name."""
_LIMIT: Final = Limit(each_target=MOST_AN_HOUR, overall=MOST_AN_HOUR)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenChange:
    """What one version of the allowlist would end."""

    digest: str = ""
    seen: dict[str, datetime] = field(default_factory=dict)
    """By approval, all that were ever seen under this version: when a complete sweep first saw the rule gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    target: Target
    approval: Intent
    rule: Rule


async def revoke_removed(engine: Engine, allowlist: Allowlist, results: Sequence[TargetResult]) -> list[Finding]:
    """Revoke what may be, and say what is due. To be called after a sweep that was complete, with what it read.

    Raises:
        StoreError: where a store failed.

    """
    candidates = await _candidates(engine.ledger, results)
    kept = await fetch(engine.state, REVOKING, CHANGE, SeenChange, SeenChange())
    now = engine.clock.now()
    before = kept.value.seen if kept.value.digest == allowlist.digest else {}
    seen = {**{one.approval.decision: now for one in candidates}, **before}
    if SeenChange(digest=allowlist.digest, seen=seen) != kept.value and (seen or kept.value.digest):
        try:
            await keep(engine.state, REVOKING, CHANGE, kept, SeenChange(digest=allowlist.digest, seen=seen))
        except StoreConflictError:
            return [_due(one, "another sweep is looking at it") for one in candidates]
    if len(seen) > MOST_BY_ONE_CHANGE:
        return [_withheld(candidates, allowlist, len(seen))] if candidates else []
    found: list[Finding] = []
    for one in candidates:
        first_seen = seen[one.approval.decision]
        try:
            found += await _revoke(engine, one, allowlist, first_seen=first_seen, by_this_change=len(seen))
        except (AzureError, StoreConflictError) as error:
            found.append(_due(one, f"it could not be looked at: {error}"))
    return found


async def _candidates(ledger: Ledger, results: Iterable[TargetResult]) -> list[_Candidate]:
    found: list[_Candidate] = []
    for result in results:
        for approval in result.unruled:
            rule = await recorded_rule(ledger, chain_of(result.target), approval)
            if rule is not None and asks_for_it(rule):
                found.append(_Candidate(target=result.target, approval=approval, rule=rule))
    return found


async def recorded_rule(ledger: Ledger, chain: str, approval: Intent) -> Rule | None:
    """The rule that an approval was made by, as its intent recorded it; None where it recorded none."""
    async for record in ledger.records(chain, kinds=(RecordKind.INTENT,)):
        if record.entry.id == approval.decision and record.entry.inputs and "evidence" in record.entry.inputs:
            evidence = from_json(Evidence, record.entry.inputs["evidence"])
            return next((rule for rule in evidence.rules if rule.id == approval.rule), None)
    return None


async def _revoke(
    engine: Engine, one: _Candidate, allowlist: Allowlist, *, first_seen: datetime, by_this_change: int
) -> list[Finding]:
    """Look afresh, judge, and do at most one write."""
    step = await begin(engine, one.target)
    connection = next((c for c in step.observation.connections if c.id == one.approval.connection), None)
    if connection is None:
        return []
    evidence = _evidence(step, one, connection, engine.settings.mode, first_seen, by_this_change)
    attempts = tuple(i for i in step.journal.history.intents.values() if i.revokes == one.approval.decision)
    if why := _why_not(evidence, allowlist, attempts):
        return [_due(one, why)]
    action = next_undo(attempts)
    if action is None:
        return [_refused(one)]
    free_at = await reserve(engine.state, REVOCATIONS, _LIMIT, one.approval.decision, one.target, step.now())
    if free_at is not None:
        return [_due(one, f"{MOST_AN_HOUR} were revoked within the hour; the next may be at {free_at.isoformat()}")]
    intent, entry = revoke_intent(step.journal.chain, evidence, action, attempt=len(attempts) + 1)
    await step.journal.append(entry)
    why = await _write(engine, step, intent, allowlist)
    return [_due(one, why)] if why else []


def _why_not(evidence: RevokeEvidence, allowlist: Allowlist, attempts: Sequence[Intent]) -> str:
    match judge_revocation(evidence):
        case Keep(reasons=reasons):
            return "; ".join(reasons)
        case Revoke():
            pass
        case _ as never:
            assert_never(never)
    if evidence.allowlist_digest != allowlist.digest:
        return "the allowlist has changed"
    return "Azure has not carried it out yet" if attempts and attempts[-1].is_open else ""


async def _write(engine: Engine, step: Step, intent: Intent, allowlist: Allowlist) -> str:
    """Read the allowlist once more, and write; returns why it was not done, "" where it was."""
    again = (await load_allowlist(engine.allowlist)).allowlist
    if again is None or again.paused or again.digest != allowlist.digest:
        why = "the allowlist was paused, changed or became unreadable just now"
        await step.journal.insist(outcome_entry(step.journal.chain, intent, Outcome.NOT_WRITTEN, why, step.now()))
        return why
    result = await step.write(intent, description(intent.decision, intent.rule, "revoked"))
    match result:
        case Written():
            return ""
        case Refused(error=error):
            return f"Azure refused it: {error}"
        case Unanswered(error=error):
            return f"nobody knows whether it was written: {error}"
        case _ as never:
            assert_never(never)


def _evidence(  # noqa: PLR0913, PLR0917  all that it is made from
    step: Step, one: _Candidate, connection: Connection, mode: Mode, first_seen: datetime, by_this_change: int
) -> RevokeEvidence:
    allowlist, history = step.loaded.allowlist, step.journal.history
    approval = drift.explained_by(history, connection.id) or one.approval
    service = approval.incarnation.link.parent if approval.incarnation else None
    rules = allowlist.about(service, one.target) if allowlist and service else ()
    return RevokeEvidence(
        approval=approval,
        rule=one.rule if approval.decision == one.approval.decision else None,
        connection=connection,
        still_allowed_by=tuple(rule.id for rule in rules if rule.effect is Effect.ALLOW),
        adopted=connection.id in history.adopted,
        allowlist_digest=allowlist.digest if allowlist else "",
        paused=allowlist is None or allowlist.paused,
        mode=mode,
        first_seen=first_seen,
        by_this_change=by_this_change,
        clock=step.now(),
    )


# Findings


def _due(one: _Candidate, why: str) -> Finding:
    connection = one.approval.connection
    return Finding(
        id=FindingId.REVOKE_DUE,
        severity=Severity.WARNING,
        target=str(one.target),
        about=connection.key,
        message=f"the rule {one.rule.id} is gone and asks for revoking, so the approval of {connection} is to end: {why}",
        facts={"decision": one.approval.decision, "rule": one.rule.id, "why": why},
    )


def _refused(one: _Candidate) -> Finding:
    connection = one.approval.connection
    return Finding(
        id=FindingId.REVOKE_REFUSED,
        severity=Severity.CRITICAL,
        target=str(one.target),
        about=connection.key,
        message=f"the approval of {connection} could not be revoked; as somebody who may: "
        f"az network private-endpoint-connection delete --id {connection}",
        facts={"decision": one.approval.decision, "rule": one.rule.id},
    )


def _withheld(candidates: Sequence[_Candidate], allowlist: Allowlist, count: int) -> Finding:
    shown = sorted(str(one.approval.connection) for one in candidates)[:10]
    return Finding(
        id=FindingId.REVOKE_WITHHELD,
        severity=Severity.CRITICAL,
        target="",
        about="",
        message=f"one change of the allowlist would revoke {count} approvals, so none is revoked: "
        "linkguard decide CONNECTION --reject --reason TEXT for each that is meant",
        facts={"allowlist": allowlist.digest, "connections": " ".join(shown)},
    )
