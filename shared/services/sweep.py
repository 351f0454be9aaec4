"""The sweep: every scanned subscription, every watched target. Events make it quick; this makes it right."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, Protocol

from shared.core.arm_id import ArmId, fold_case
from shared.core.entries import chain_of
from shared.core.errors import AzureError, InvalidIdError, LedgerBrokenError, LinkguardError, StoreConflictError
from shared.core.finding import Finding, FindingId, Severity
from shared.core.history import Outcome
from shared.core.model import ConnectionStatus, Target
from shared.services.allowlist import LoadedAllowlist, load_allowlist
from shared.services.conclude import finish
from shared.services.journal import Journal
from shared.services.look import Scope, observe
from shared.services.notebook import fetch, fetch_memory, keep
from shared.services.reconcile import is_overtaken, reconcile
from shared.services.results import SweepResult, TargetResult
from shared.services.setback import finding_of, forget_setbacks, setbacks
from shared.services.snapshot import Snapshot
from shared.services.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from shared.core.allowlist import Allowlist
    from shared.core.history import History
    from shared.services.engine import Engine

SWEEPS: Final = "sweeps"
LAST: Final = "last"
_ENDED: Final = frozenset({ConnectionStatus.REJECTED, ConnectionStatus.DISCONNECTED})
_MOST_STEPS: Final = 100
"""Steps on one target in one sweep; App Service takes at most 100 connections an app."""


class Progress(Protocol):
    """Is told how far a sweep has come."""

    def planned(self, targets: int) -> None:
        """So many targets will be looked at."""

    def done(self, result: TargetResult | None) -> None:
        """One more target was looked at; None where it could not be."""

    def looked_again(self, result: TargetResult) -> None:
        """A target that something is waited for was looked at again."""


class Silent:
    """Nobody is told."""

    def planned(self, targets: int) -> None:
        """Nothing."""

    def done(self, result: TargetResult | None) -> None:
        """Nothing."""

    def looked_again(self, result: TargetResult) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSweep:
    """What is kept of the last sweep."""

    started: datetime | None
    finished: datetime | None
    complete: bool
    targets: int


async def sweep(
    engine: Engine, progress: Progress | None = None, *, dry_run: bool = False, all_sites: bool | None = None
) -> SweepResult:
    """Look at everything once, and take every step that can be taken now.

    A target that fails is reported and leaves the sweep incomplete; the others are not affected. ``all_sites``: whether to
    look at every site's pending connections too; None for what the settings say.

    Raises:
        StoreError: where the state store failed as a whole.

    """
    progress = progress or Silent()
    planned = await plan(engine)
    progress.planned(len(planned.targets))
    visited = await visit(engine, planned, planned.targets, progress)
    looked = conclude(engine, planned, visited, dry_run=dry_run)
    result = replace(await finish(engine, planned, looked, all_sites=all_sites), finished=engine.clock.now())
    last = LastSweep(started=result.started, finished=result.finished, complete=result.complete, targets=len(planned.targets))
    await keep_last(engine, last)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a sweep is to look at."""

    started: datetime
    failures: dict[str, AzureError]
    """Why subscriptions could not be listed."""
    loaded: LoadedAllowlist
    snapshot: Snapshot | None
    """None where some subscription is not known: without all links nothing can be decided, and nothing is visited."""
    targets: list[Target]
    findings: tuple[Finding, ...]


async def plan(engine: Engine) -> Plan:
    """List the subscriptions, read the allowlist, and find every target to look at.

    Raises:
        StoreError: where a store failed as a whole.

    """
    started = engine.clock.now()
    settings = engine.settings
    failures = await engine.snapshots.take(settings.subscriptions)
    loaded = await load_allowlist(engine.allowlist)
    late = [finding_of(row) for row in await setbacks(engine.state)]
    found = (*_of_allowlist(loaded), *_of_scope(loaded, settings.subscriptions), *_of_subscriptions(failures), *late)
    targets: list[Target] = []
    snapshot: Snapshot | None = None
    try:
        snapshot = await engine.snapshot()
    except AzureError:
        pass  # Said already, once for each subscription.
    else:
        targets = watched(loaded.allowlist, snapshot, settings.subscriptions)
        targets += await _left_behind(engine, targets)
    return Plan(started=started, failures=failures, loaded=loaded, snapshot=snapshot, targets=targets, findings=found)


def watched(allowlist: Allowlist | None, snapshot: Snapshot, subscriptions: Iterable[str]) -> list[Target]:
    """The targets that a link of an allowlisted service leads to, and those that the allowlist names; scanned ones only."""
    if allowlist is None:
        # Nothing can be approved; what waits is still shown as held.
        candidates = set(snapshot.targets)
    else:
        led_to = {
            target
            for target in snapshot.targets
            if any(allowlist.knows_service(link.signalr) for link in snapshot.links_to(target))
        }
        candidates = led_to | allowlist.named_targets()
    scanned = set(map(fold_case, subscriptions))
    return sorted((t for t in candidates if fold_case(t.id.subscription) in scanned), key=lambda target: target.id)


async def _left_behind(engine: Engine, targets: Collection[Target]) -> list[Target]:
    """The scanned targets, besides these, on which the ledger has something that has not come to its end.

    A rule may be removed right after it let a connection pass: that is confirmed or taken back all the same.
    """
    known = {chain_of(target) for target in targets}
    scanned = set(map(fold_case, engine.settings.subscriptions))
    found: list[Target] = []
    for chain in await engine.ledger.chains():
        target = _target_of(chain)
        if target is None or chain in known or fold_case(target.id.subscription) not in scanned:
            continue
        journal = Journal(engine.ledger, chain)
        try:
            await journal.load()
            wanted = journal.history.is_unfinished or await _may_stand(engine, target, journal.history)
        except LedgerBrokenError:
            wanted = True  # The visit says what is wrong with it.
        if wanted:
            found.append(_as_recorded(target, journal))
    return found


async def _may_stand(engine: Engine, target: Target, history: History) -> bool:
    """Whether something that we or a person approved through us may still be approved: its rule may be gone meanwhile."""
    decided = {intent.connection for intent in history.approvals()} | history.adopted.keys()
    memory = (await fetch_memory(engine.state, target)).value
    seen = {one.connection.id: one for one in memory.connections}
    ended = {id_ for id_, one in seen.items() if one.gone_since is not None or one.connection.status in _ENDED}
    if memory.observed_at is not None:
        ended |= decided - seen.keys()
    return bool(decided - ended)


def _as_recorded(target: Target, journal: Journal) -> Target:
    """The same target as Azure spells it: a chain's name is folded."""
    try:
        connections = [intent.connection for intent in journal.history.intents.values()]
    except LedgerBrokenError:
        return target
    return next((Target(connection.parent) for connection in connections), target)


def _target_of(chain: str) -> Target | None:
    try:
        return Target(ArmId.parse(chain))
    except InvalidIdError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """What became of the targets of one visit."""

    results: tuple[TargetResult, ...]
    failed: tuple[Finding, ...]
    """One for each target that could not be looked at."""
    left: tuple[Target, ...]
    """Those that the time did not suffice for."""


def conclude(engine: Engine, planned: Plan, visited: Visited, *, dry_run: bool = False) -> SweepResult:
    """What a sweep found; not complete where a target was left or could not be read."""
    looked_at = {result.target for result in visited.results}
    return SweepResult(
        mode=engine.settings.mode,
        dry_run=dry_run,
        complete=not planned.failures and len(looked_at) == len(planned.targets),
        started=planned.started,
        finished=engine.clock.now(),
        targets=visited.results,
        unread=tuple(target for target in planned.targets if target not in looked_at),
        findings=(*planned.findings, *visited.failed),
    )


def _never() -> bool:
    return False


async def visit(
    engine: Engine,
    planned: Plan,
    targets: Sequence[Target],
    progress: Progress,
    over: Callable[[], bool] = _never,
) -> Visited:
    """Visit these targets, beginning with no further one once ``over`` says so. One that fails does not affect the others."""
    results: list[TargetResult] = []
    failed: list[Finding] = []
    left: list[Target] = []
    gate = asyncio.Semaphore(engine.settings.concurrency)

    async def visit_next(target: Target) -> None:
        async with gate:
            if planned.snapshot is None or over():
                left.append(target)
                return
            try:
                result = await _visit_one(engine, planned.loaded, planned.snapshot, target)
            except Exception as error:  # noqa: BLE001  whatever is wrong with one target, the others are looked at
                failed.append(target_unreadable(target, error))
                progress.done(None)
            else:
                results.append(result)
                progress.done(result)

    await asyncio.gather(*(visit_next(target) for target in spread(targets)))
    return Visited(
        results=tuple(sorted(results, key=lambda result: result.target.id)),
        failed=tuple(failed),
        left=tuple(sorted(left, key=lambda target: target.id)),
    )


def spread(targets: Sequence[Target]) -> list[Target]:
    """The targets of all subscriptions in turn: Azure limits reads by subscription, and none should wait while others idle."""
    by_subscription: defaultdict[str, list[Target]] = defaultdict(list)
    for target in targets:
        by_subscription[fold_case(target.id.subscription)].append(target)
    rounds = zip_longest(*by_subscription.values())
    return [target for turn in rounds for target in turn if target is not None]


async def _visit_one(engine: Engine, loaded: LoadedAllowlist, snapshot: Snapshot, target: Target) -> TargetResult:
    """One list call where there is nothing to do, else step by step until there is nothing more to do now."""
    glanced = await _glance(engine, loaded, snapshot, target)
    if glanced is not None:
        return glanced
    return await settle(engine, target)


async def settle(engine: Engine, target: Target) -> TargetResult:
    """Take steps on a target while there is another connection to approve now.

    Raises:
        AzureError: as :func:`shared.services.reconcile.reconcile`.
        StoreError: likewise.

    """
    result = await reconcile(engine, target)
    for _ in range(_MOST_STEPS):
        if not (result.acted and result.more):
            break
        before, result = result, merge(result, await reconcile(engine, target))
        told = {finding.fingerprint for finding in result.findings}
        earlier = (finding for finding in before.findings if finding.id is FindingId.WRITE_REFUSED)
        missing = tuple(finding for finding in earlier if finding.fingerprint not in told)
        result = replace(result, findings=(*result.findings, *missing))
    return result


def merge(before: TargetResult, after: TargetResult) -> TargetResult:
    """What a later step says; a connection that an earlier one approved is still reported as approved, with its outcome."""
    approved = {one.subject: one for one in before.decisions if one.verdict == "approve"}
    decisions = tuple(
        replace(approved[now.subject], outcome=now.outcome, state=now.state)
        if now.subject in approved and now.decision_id == approved[now.subject].decision_id
        else now
        for now in after.decisions
    )
    # What Azure refused stays told for as long as it is not written.
    told = {finding.fingerprint for finding in after.findings}
    waiting = {one.connection.key for one in decisions if one.connection and one.outcome in {None, Outcome.NOT_WRITTEN.value}}
    refused = tuple(
        finding
        for finding in before.findings
        if finding.id is FindingId.WRITE_REFUSED and finding.about in waiting and finding.fingerprint not in told
    )
    return replace(after, decisions=decisions, findings=(*after.findings, *refused))


async def _glance(engine: Engine, loaded: LoadedAllowlist, snapshot: Snapshot, target: Target) -> TargetResult | None:
    """One list call and the snapshot; None where that shows something to do, which wants a look of its own."""
    journal = Journal(engine.ledger, chain_of(target))
    await journal.load()
    kept = await fetch_memory(engine.state, target)
    scope = Scope(
        target=target,
        allowlist=loaded.allowlist,
        snapshot=snapshot,
        history=journal.history,
        subscriptions=engine.settings.subscriptions,
    )
    observation = observe(scope, {}, await engine.azure.list_connections(target), None)
    step = Step(engine, loaded, journal, observation, kept)
    if not step.is_quiet or await is_overtaken(step):
        return None
    try:
        return await step.note()
    except StoreConflictError:
        return None  # Somebody else looks at this target right now.


async def keep_last(engine: Engine, last: LastSweep) -> None:
    """Keep how a sweep ended; one that looked at everything has made up for every setback."""
    nothing = LastSweep(started=None, finished=None, complete=False, targets=0)
    kept = await fetch(engine.state, SWEEPS, LAST, LastSweep, nothing)
    try:
        await keep(engine.state, SWEEPS, LAST, kept, last)
    except StoreConflictError:
        return  # Another sweep ended at this moment; either will do.
    if last.complete and last.started is not None:
        await forget_setbacks(engine.state, before=last.started)


# Findings


def _of_allowlist(loaded: LoadedAllowlist) -> Iterator[Finding]:
    if loaded.allowlist is None:
        yield Finding(
            id=FindingId.ALLOWLIST_UNREADABLE,
            severity=Severity.CRITICAL,
            target="",
            about="",
            message="the allowlist cannot be read or is not valid: nothing is approved until it is; "
            "linkguard allowlist check FILE",
            facts={"problem": loaded.problem},
        )


def _of_scope(loaded: LoadedAllowlist, subscriptions: Iterable[str]) -> Iterator[Finding]:
    scanned = set(map(fold_case, subscriptions))
    for rule in loaded.allowlist.rules if loaded.allowlist else ():
        outside = {p.id.subscription for p in (rule.signalr, rule.target) if fold_case(p.id.subscription) not in scanned}
        if outside:
            yield Finding(
                id=FindingId.RULE_OUT_OF_SCOPE,
                severity=Severity.WARNING,
                target="",
                about=rule.id,
                message=f"the rule {rule.id} (line {rule.line}) names a subscription that is not scanned, so it allows nothing: "
                "add it to LINKGUARD_SUBSCRIPTIONS",
                facts={"subscriptions": " ".join(sorted(outside))},
            )


def _of_subscriptions(failures: dict[str, AzureError]) -> Iterator[Finding]:
    for subscription, error in sorted(failures.items()):
        yield Finding(
            id=FindingId.SUBSCRIPTION_UNREADABLE,
            severity=Severity.CRITICAL,
            target="",
            about=fold_case(subscription),
            message=f"the SignalR services of the subscription {subscription} could not be listed: {error}",
            facts={},
        )


def target_unreadable(target: Target, error: Exception) -> Finding:
    """A target that could not be looked at, or decided about. What an error says is ours to tell only if it is our own."""
    why = str(error) if isinstance(error, LinkguardError) else f"{type(error).__name__}, which is a bug: please report it"
    return Finding(
        id=FindingId.TARGET_UNREADABLE,
        severity=Severity.CRITICAL,
        target=str(target),
        about="",
        message=f"{target} could not be looked at: {why}",
        facts={"error": type(error).__name__},
    )
