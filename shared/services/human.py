"""A person's decision: recorded first, then carried out, and never undone by Linkguard."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, assert_never

from shared.core.allowlist import Effect
from shared.core.arm_id import ArmId
from shared.core.entries import Decision, description, human_entry, outcome_entry, person_intent
from shared.core.errors import ConfigError
from shared.core.history import Action, HumanDecision, HumanRecord, Outcome
from shared.core.model import ConnectionStatus
from shared.core.observation import Incarnation
from shared.core.verdict import Mode
from shared.services.act import Refused, Unanswered, Written
from shared.services.allowlist import load_allowlist
from shared.services.explain import split_subject
from shared.services.reconcile import begin
from shared.services.sweep import watched

if TYPE_CHECKING:
    from shared.core.model import Connection, Target
    from shared.services.engine import Engine
    from shared.services.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class HandResult:
    """What came of a person's decision."""

    connection: ArmId
    decision: HumanDecision
    record: str
    """The id of the ledger's record."""
    written: bool
    """Whether Azure accepted a write."""
    message: str


async def decide_by_hand(  # noqa: PLR0913  who decides what about which connection, and why
    engine: Engine, connection: ArmId, decision: HumanDecision, *, reason: str, ticket: str, by: str
) -> HandResult:
    """Record a person's decision and carry it out.

    Approving and rejecting write to Azure in enforce mode only; a rejection or an adoption is recorded in any mode.

    Raises:
        ConfigError: where it cannot be decided so: the message says what to do.
        AzureError: where Azure could not be read; nothing was recorded then.
        StoreError: where the ledger failed.

    """
    target, named = split_subject(connection)
    if named is None:
        message = f"{connection} is not the id of a private endpoint connection"
        raise ConfigError([message])
    step = await begin(engine, target)
    found = next((one for one in step.observation.connections if one.id == connection), None)
    if found is None:
        message = f"{target} has no connection {connection.name}"
        raise ConfigError([message])
    made = next(d for d in step.decisions() if d.evidence.connection is not None and d.evidence.connection.id == connection)
    if problems := _objections(engine, step, found, made, decision):
        raise ConfigError(problems)
    human = HumanRecord(
        decision=decision,
        connection=found.id,
        links=_links(step, found),
        reason=reason,
        ticket=ticket,
        by=by,
        links_told=step.loaded.allowlist is not None,
    )
    entry = human_entry(step.journal.chain, human, step.now(), number=step.journal.length)
    await step.journal.append(entry)
    written, message = await _carry_out(engine, step, made, decision, entry.id)
    return HandResult(connection=found.id, decision=decision, record=entry.id, written=written, message=message)


def _objections(engine: Engine, step: Step, connection: Connection, made: Decision, decision: HumanDecision) -> list[str]:
    match decision:
        case HumanDecision.APPROVE:
            return list(_objections_to_approving(engine, step, connection, made))
        case HumanDecision.ADOPT if connection.status is not ConnectionStatus.APPROVED:
            return [f"the connection is {connection.status_text}: only one that is Approved can be adopted"]
        case HumanDecision.ADOPT | HumanDecision.REJECT:
            return []
        case _ as never:
            assert_never(never)


def _objections_to_approving(engine: Engine, step: Step, connection: Connection, made: Decision) -> list[str]:
    allowlist = step.loaded.allowlist
    problems = []
    if engine.settings.mode is Mode.OBSERVE:
        problems.append("the mode is observe, in which nothing is written: set LINKGUARD_MODE=enforce for this command")
    if allowlist is None:
        problems.append(f"the allowlist cannot be read, and nothing is approved until it can: {step.loaded.problem}")
    elif allowlist.paused:
        problems.append(f"{allowlist.source} says `paused: true`, which stops all approvals: set it to false first")
    # By the rules, not by the reasons: while an approval of ours is open, that is the only reason.
    if any(rule.effect is Effect.DENY and not rule.expired(made.evidence.clock) for rule in made.evidence.rules):
        problems.append("a deny rule names this SignalR service and target, and deny wins: change the allowlist first")
    if connection.status is not ConnectionStatus.PENDING:
        problems.append(f"the connection is {connection.status_text}: only one that is Pending can be approved")
    return problems


def _links(step: Step, connection: Connection) -> tuple[Incarnation, ...]:
    correlation = step.correlation()
    return tuple(Incarnation.of(link) for link in step.observation.links if correlation.may_have_been(connection, link))


async def _carry_out(engine: Engine, step: Step, made: Decision, decision: HumanDecision, record: str) -> tuple[bool, str]:
    connection = made.evidence.connection
    if decision is HumanDecision.ADOPT:
        return False, "adopted: it is explained from now on"
    if decision is HumanDecision.REJECT and engine.settings.mode is Mode.OBSERVE:
        return False, "recorded; nothing is written in observe mode"
    if decision is HumanDecision.REJECT and connection is not None and connection.status is ConnectionStatus.REJECTED:
        return False, "recorded; the connection is Rejected already"
    return await _write(engine, step, made, Action(decision.value), record)


async def _write(engine: Engine, step: Step, made: Decision, action: Action, record: str) -> tuple[bool, str]:
    intent, entry = person_intent(made, action, record, step.now())
    await step.journal.append(entry)
    if action is Action.APPROVE and await _stopped(engine, made):
        why = "the allowlist was paused, changed, or became unreadable, just now"
        await step.journal.insist(outcome_entry(step.journal.chain, intent, Outcome.NOT_WRITTEN, why, step.now()))
        return False, f"not written: {why}"
    match await step.write(intent, description(intent.decision, "by-a-person", "")):
        case Written():
            return True, "Azure accepted it; linkguard sweep --wait confirms it"
        case Refused(error=error):
            return False, f"not written: {error}"
        case Unanswered(error=error):
            return False, f"nobody knows whether it was written: {error}; linkguard sweep --wait tells"
        case _ as never:
            assert_never(never)


async def _stopped(engine: Engine, made: Decision) -> bool:
    allowlist = (await load_allowlist(engine.allowlist)).allowlist
    return allowlist is None or allowlist.paused or allowlist.digest != made.evidence.allowlist_digest


async def adoptable(engine: Engine) -> tuple[ArmId, ...]:
    """Every connection of a watched target that is Approved and that the ledger knows nothing of.

    One of which it has an approval that failed or was taken back is a person's to look at by itself.

    Raises:
        AzureError: where Azure could not be read.
        StoreError: where the ledger failed.

    """
    snapshot = await engine.snapshot()
    loaded = await load_allowlist(engine.allowlist)
    gate = asyncio.Semaphore(engine.settings.concurrency)

    async def unexplained(target: Target) -> list[ArmId]:
        async with gate:
            step = await begin(engine, target)
        history = step.journal.history
        return [
            connection.id
            for connection in step.observation.connections
            if connection.status is ConnectionStatus.APPROVED
            and connection.id not in history.adopted
            and history.approval_of(connection.id) is None
        ]

    targets = watched(loaded.allowlist, snapshot, engine.settings.subscriptions)
    found = chain.from_iterable(await asyncio.gather(*map(unexplained, targets)))
    return tuple(sorted(found))
