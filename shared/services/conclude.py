"""A sweep's end: what drifted beside its targets, what is to be revoked, the findings' lives, the data for reports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import fold_case
from shared.core.errors import StoreConflictError
from shared.core.finding import Finding, FindingId
from shared.core.finding_life import Look
from shared.core.report_data import SweepView
from shared.services.drift import look_for_drift
from shared.services.report_data import HELD_KEPT, keep_again, keep_sweep
from shared.services.revoke import note_unruled, revoke_removed
from shared.services.track import track
from shared.services.views import unseen_view

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from shared.core.model import Target
    from shared.services.engine import Engine
    from shared.services.results import SweepResult, TargetResult
    from shared.services.sweep import Plan

SWEEP_SOURCE: Final = "sweep"
"""Who looks for these findings: see :attr:`shared.core.finding_life.FindingRow.source`."""

_OF_REVOKING: Final = frozenset({FindingId.REVOKE_DUE, FindingId.REVOKE_WITHHELD, FindingId.REVOKE_REFUSED})
_SETBACKS: Final = frozenset({FindingId.MESSAGE_POISONED, FindingId.EVENT_DEAD_LETTERED})
_ALWAYS: Final = frozenset({FindingId.ALLOWLIST_UNREADABLE, FindingId.SUBSCRIPTION_UNREADABLE, *_SETBACKS})
_OF_PARTS: Final = frozenset(
    {
        FindingId.UPSTREAM_NOT_PRIVATE,
        FindingId.PUBLIC_ACCESS_OPEN,
        FindingId.PLAN_TIER_UNSUPPORTED,
        FindingId.PENDING_UNEXPLAINED,
        *_SETBACKS,
        *_OF_REVOKING,
    }
)
"""Findings that name a target and come from elsewhere than a visit to it."""


async def finish(engine: Engine, planned: Plan, result: SweepResult, *, all_sites: bool | None = None) -> SweepResult:
    """A whole sweep to its end: returns the result with all that was found beside the visits to targets.

    Args:
        engine: what every service works with.
        planned: what the sweep was to look at.
        result: of the visits to targets.
        all_sites: whether to look at every site's connections; None for what the settings say.

    Raises:
        StoreError: where a store failed.

    """
    noted = True
    try:
        await _note(engine, planned, result)
    except StoreConflictError:
        noted = False  # Another sweep is noting its own: it, or the next one, revokes what is due.
    approved = frozenset(one.target for one in result.targets if one.has_approved)
    beside = await _look_beside(engine, planned, result, approved, may_revoke=result.complete and noted, all_sites=all_sites)
    return await _keep(engine, planned, replace(result, findings=(*result.findings, *beside.findings)), beside)


async def finish_part(engine: Engine, planned: Plan, result: SweepResult) -> SweepResult:
    """A part of a sweep that goes on elsewhere: what is looked for beside the targets waits for the whole of it.

    Raises:
        StoreConflictError: where others kept noting what is to be revoked; the part is to be done again.
        StoreError: where a store failed.

    """
    await _note(engine, planned, result)
    return await _keep(engine, planned, replace(result, complete=False), _NOTHING)


async def finish_round(engine: Engine, planned: Plan, result: SweepResult, approved: Collection[Target]) -> SweepResult:
    """The end of a sweep whose targets were all visited in parts.

    Args:
        engine: what every service works with.
        planned: what a sweep would look at now.
        result: of the whole; the visits to targets are their parts' to tell.
        approved: the targets of which some part saw a connection that is Approved.

    Raises:
        StoreError: where a store failed.

    """
    beside = await _look_beside(engine, planned, result, approved, may_revoke=result.complete, all_sites=None)
    return await _keep(engine, planned, replace(result, findings=(*result.findings, *beside.findings)), beside)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """What was found beside the visits to targets, and what was looked for."""

    findings: tuple[Finding, ...]
    judged: frozenset[FindingId]
    sites: frozenset[str]
    """The keys of the unwatched sites whose connections were seen."""


_NOTHING: Final = _Beside(findings=(), judged=frozenset(), sites=frozenset())


async def _look_beside(  # noqa: PLR0913  all that drift is seen in
    engine: Engine,
    planned: Plan,
    result: SweepResult,
    approved: Collection[Target],
    *,
    may_revoke: bool,
    all_sites: bool | None,
) -> _Beside:
    allowlist = planned.loaded.allowlist
    drifted = await look_for_drift(
        engine,
        allowlist,
        planned.snapshot,
        # Of one that could not be looked at nobody knows: nothing may be told of it that only holds without an approval.
        frozenset({*approved, *result.unread}),
        planned.targets,
        failures=planned.failures,
        all_sites=engine.settings.all_sites if all_sites is None else all_sites,
    )
    found, judged = drifted.findings, drifted.judged | _ALWAYS
    if may_revoke and allowlist is not None:
        found += tuple(await revoke_removed(engine, allowlist, result.started))
        judged |= _OF_REVOKING
    return _Beside(findings=found, judged=judged, sites=drifted.sites)


async def _note(engine: Engine, planned: Plan, result: SweepResult) -> None:
    if planned.loaded.allowlist is not None:
        await note_unruled(engine, planned.loaded.allowlist, result.targets, result.started)


async def _keep(engine: Engine, planned: Plan, result: SweepResult, beside: _Beside) -> SweepResult:
    seen, unread = _keys(one.target for one in result.targets), _keys(result.unread)
    # A target that nothing leads to any more is not watched, and has no findings.
    watched = _keys(planned.targets) if result.complete else None
    look = Look(
        source=SWEEP_SOURCE,
        at=engine.clock.now(),
        found=result.all_findings,
        covers=partial(_covers, beside=beside, seen=seen, unread=unread, watched=watched),
        reminder=engine.settings.alerts_reminder,
    )
    await track(engine.ledger, engine.state, look)
    await keep_sweep(engine.state, _view(planned, result))
    return result


def _covers(
    finding: Finding, *, beside: _Beside, seen: Collection[str], unread: Collection[str], watched: Collection[str] | None
) -> bool:
    """Whether this sweep would have found it again. ``watched``: None where not all of it was looked at."""
    key = fold_case(finding.target)
    if key in unread:
        return False
    if finding.id is FindingId.PENDING_UNEXPLAINED:
        return key in beside.sites or key in seen
    if finding.id in beside.judged:
        return True
    if not finding.target or finding.id in _OF_PARTS:
        return False
    return key in seen or (watched is not None and key not in watched)


def _keys(targets: Iterable[Target]) -> frozenset[str]:
    return frozenset(target.id.key for target in targets)


async def keep_targets(engine: Engine, results: Sequence[TargetResult], *, sweep_started: datetime | None = None) -> None:
    """Take in what steps on some targets found, between sweeps, or after the one that began at ``sweep_started``.

    Raises:
        StoreError: where a store failed.

    """
    keys = {result.target.id.key for result in results}
    look = Look(
        source=SWEEP_SOURCE,
        at=engine.clock.now(),
        found=tuple(finding for result in results for finding in result.findings),
        covers=lambda finding: fold_case(finding.target) in keys and finding.id not in _OF_PARTS,
        reminder=engine.settings.alerts_reminder,
    )
    await track(engine.ledger, engine.state, look)
    if sweep_started is not None:
        await keep_again(engine.state, sweep_started, results)


def _view(planned: Plan, result: SweepResult) -> SweepView:
    allowlist = planned.loaded.allowlist
    seen = {one.target for one in result.targets}
    services = planned.snapshot.services.values() if planned.snapshot is not None else ()
    held = tuple(held for one in result.targets for held in one.held)
    return SweepView(
        mode=result.mode,
        started=result.started,
        finished=result.finished,
        complete=result.complete,
        seen=tuple(one.target for one in result.targets),
        unread=_sorted(result.unread),
        allowlist_source=allowlist.source if allowlist else "",
        allowlist_digest=allowlist.digest if allowlist else "",
        paused=allowlist.paused if allowlist else False,
        links=tuple(link for one in result.targets for link in one.links),
        held=held[:HELD_KEPT],
        held_total=len(held),
        unseen=tuple(
            unseen_view(link, target)
            for service in services
            for link in service.links
            if (target := link.target) is not None and target not in seen
        ),
    )


def _sorted(targets: Sequence[Target]) -> tuple[Target, ...]:
    return tuple(sorted(targets, key=lambda target: target.id))
