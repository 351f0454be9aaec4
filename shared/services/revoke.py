"""Revoking what a removed rule had approved, where that rule asked for it: after a complete sweep, with every brake on.

The brakes themselves are :mod:`shared.core.revoke`'s; here is what they need to know, and the write.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, assert_never

from shared.core import drift
from shared.core.allowlist import Effect, Rule
from shared.core.arm_id import ArmId
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
from shared.services.budget import Limit
from shared.services.notebook import fetch, keep
from shared.services.reconcile import begin
from shared.services.step import next_undo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from shared.core.allowlist import Allowlist
    from shared.core.model import Connection
    from shared.core.verdict import Mode
    from shared.ports import Ledger
    from shared.services.engine import Engine
    from shared.services.results import TargetResult
    from shared.services.step import Step

REVOKING: Final = "revoking"
CHANGE: Final = "change"
REVOCATIONS: Final = "revocations"
"""The budget's name."""
_TRIES: Final = 10
_LIMIT: Final = Limit(each_target=MOST_AN_HOUR, overall=MOST_AN_HOUR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An approval that one version of the allowlist would end. Times are Azure's: a worker's clock may be wrong by hours."""

    target: Target
    connection: ArmId
    sweep: datetime
    """When the sweep began that saw it last."""
    last_seen: datetime
    """When that sweep looked at it."""
    first_seen: datetime | None = None
    """When the first complete sweep under this version looked at it; None where there was none yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenChange:
    """What one version of the allowlist would end."""

    digest: str = ""
    seen: dict[str, Seen] = field(default_factory=dict)
    """By approval: all that were ever seen under this version, those that are ended already included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    target: Target
    approval: Intent
    rule: Rule


async def note_unruled(engine: Engine, allowlist: Allowlist, results: Iterable[TargetResult], sweep: datetime) -> None:
    """Remember which approvals' rules are gone, of the targets that the sweep begun then looked at. Nothing is revoked.

    Raises:
        StoreConflictError: where others kept noting their own.
        StoreError: where a store failed.

    """
    noted: dict[str, Seen] = {}
    for result in results:
        # A step that found another version already says nothing about this one.
        for approval in result.unruled if result.allowlist_digest == allowlist.digest else ():
            if asks_for_it(await recorded_rule(engine.ledger, chain_of(result.target), approval)):
                noted[approval.decision] = Seen(
                    target=result.target, connection=approval.connection, sweep=sweep, last_seen=result.looked_at
                )

    def with_noted(before: dict[str, Seen]) -> dict[str, Seen]:
        known = {key: replace(seen, first_seen=before[key].first_seen) for key, seen in noted.items() if key in before}
        return {**before, **noted, **known}

    await _change(engine, allowlist, with_noted)


async def _change(engine: Engine, allowlist: Allowlist, edit: Callable[[dict[str, Seen]], dict[str, Seen]]) -> dict[str, Seen]:
    """What this version of the allowlist would end, as ``edit`` leaves it. What another version would end is forgotten."""
    for _ in range(_TRIES - 1):
        with suppress(StoreConflictError):  # Parts of one sweep end side by side.
            return await _change_once(engine, allowlist, edit)
    return await _change_once(engine, allowlist, edit)


async def _change_once(
    engine: Engine, allowlist: Allowlist, edit: Callable[[dict[str, Seen]], dict[str, Seen]]
) -> dict[str, Seen]:
    kept = await fetch(engine.state, REVOKING, CHANGE, SeenChange, SeenChange())
    seen = edit(kept.value.seen if kept.value.digest == allowlist.digest else {})
    if seen != kept.value.seen:
        await keep(engine.state, REVOKING, CHANGE, kept, SeenChange(digest=allowlist.digest, seen=seen))
    return seen


async def revoke_removed(engine: Engine, allowlist: Allowlist, sweep: datetime) -> list[Finding]:
    """Revoke what may be, and say what is due. To be called once the sweep that began at ``sweep`` was complete.

    Raises:
        StoreConflictError: where others kept noting their own.
        StoreError: where a store failed.

    """

    def with_first(before: dict[str, Seen]) -> dict[str, Seen]:
        return {
            key: replace(seen, first_seen=seen.last_seen) if seen.sweep == sweep and seen.first_seen is None else seen
            for key, seen in before.items()
        }

    everything = await _change(engine, allowlist, with_first)
    due = {decision: seen for decision, seen in everything.items() if seen.sweep == sweep}
    if due and len(everything) > MOST_BY_ONE_CHANGE:
        return [_withheld(due, allowlist, len(everything))]
    found: list[Finding] = []
    for decision, seen in due.items():
        try:
            found += await _revoke(engine, decision, seen, allowlist, len(everything))
        except AzureError as error:
            found.append(_unseen(decision, seen, f"Azure could not be read: {_code(error)}"))
        except StoreConflictError:
            found.append(_unseen(decision, seen, "somebody else looked at it at this moment"))
    return found


async def recorded_rule(ledger: Ledger, chain: str, approval: Intent) -> Rule | None:
    """The rule that an approval was made by, as its intent recorded it; None where it recorded none."""
    async for record in ledger.records(chain, kinds=(RecordKind.INTENT,)):
        if record.entry.id == approval.decision and record.entry.inputs and "evidence" in record.entry.inputs:
            evidence = from_json(Evidence, record.entry.inputs["evidence"])
            return next((rule for rule in evidence.rules if rule.id == approval.rule), None)
    return None


async def _revoke(engine: Engine, decision: str, seen: Seen, allowlist: Allowlist, by_this_change: int) -> list[Finding]:
    """Look afresh, judge, and do at most one write."""
    step = await begin(engine, seen.target)
    approval = step.journal.history.intents.get(decision)
    if approval is None:
        return []
    connection = next((one for one in step.observation.connections if one.id == approval.connection), None)
    rule = await recorded_rule(engine.ledger, step.journal.chain, approval)
    if connection is None or rule is None:
        return []
    one = _Candidate(target=seen.target, approval=approval, rule=rule)
    evidence = _evidence(step, one, connection, engine.settings.mode, seen, by_this_change)
    attempts = tuple(i for i in step.journal.history.intents.values() if i.revokes == one.approval.decision)
    if why := _why_not(evidence, allowlist, attempts):
        return [_due(one, why)]
    action = next_undo(attempts)
    if action is None:
        return [_refused(one)]
    free_at = await engine.budgets.reserve(REVOCATIONS, _LIMIT, one.approval.decision, one.target, step.now())
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
            return f"Azure refused it: {_code(error)}"
        case Unanswered(error=error):
            return f"nobody knows whether it was written: {_code(error)}"
        case _ as never:
            assert_never(never)


def _evidence(  # noqa: PLR0913, PLR0917  all that it is made from
    step: Step, one: _Candidate, connection: Connection, mode: Mode, seen: Seen, by_this_change: int
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
        first_seen=seen.first_seen or seen.last_seen,
        last_seen=seen.last_seen,
        by_this_change=by_this_change,
        clock=step.now(),
    )


# Findings


def _code(error: AzureError) -> str:
    """What Azure answered, in no words of its own: these findings are recorded in the ledger."""
    return f"{error.status or ''} {error.code}".strip() or "no answer"


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


def _unseen(decision: str, seen: Seen, why: str) -> Finding:
    return Finding(
        id=FindingId.REVOKE_DUE,
        severity=Severity.WARNING,
        target=str(seen.target),
        about=seen.connection.key,
        message=f"the approval of {seen.connection} is to end, but that could not be done now: {why}",
        facts={"decision": decision, "why": why},
    )


def _withheld(due: Mapping[str, Seen], allowlist: Allowlist, count: int) -> Finding:
    shown = sorted({str(seen.target) for seen in due.values()})[:10]
    return Finding(
        id=FindingId.REVOKE_WITHHELD,
        severity=Severity.CRITICAL,
        target="",
        about="",
        message=f"one change of the allowlist would revoke {count} approvals, so none is revoked: "
        "linkguard decide CONNECTION --reject --reason TEXT for each that is meant",
        facts={"allowlist": allowlist.digest, "targets": " ".join(shown)},
    )
