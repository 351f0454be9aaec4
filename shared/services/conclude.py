"""A sweep's end: what drifted beside its targets, what is to be revoked, the findings' lives, the data for reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.core.arm_id import fold_case
from shared.core.errors import StoreConflictError
from shared.core.finding import FindingId
from shared.core.finding_life import Look
from shared.core.report_data import SweepView
from shared.services.drift import DriftResult, look_for_drift
from shared.services.report_data import HELD_KEPT, keep_sweep
from shared.services.revoke import note_unruled, revoke_removed
from shared.services.track import track

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from shared.core.finding import Finding
    from shared.core.model import Target
    from shared.services.reconcile import Engine
    from shared.services.results import SweepResult, TargetResult
    from shared.services.sweep import Plan

SWEEP_SOURCE: Final = "sweep"
"""Who looks for these findings: see :attr:`shared.core.finding_life.FindingRow.source`."""

_OF_REVOKING: Final = frozenset({FindingId.REVOKE_DUE, FindingId.REVOKE_WITHHELD, FindingId.REVOKE_REFUSED})
_ALWAYS: Final = frozenset({FindingId.ALLOWLIST_UNREADABLE, FindingId.SUBSCRIPTION_UNREADABLE})
_OF_PARTS: Final = frozenset(
    {
        FindingId.UPSTREAM_NOT_PRIVATE,
        FindingId.PUBLIC_ACCESS_OPEN,
        FindingId.PLAN_TIER_UNSUPPORTED,
        FindingId.PENDING_UNEXPLAINED,
        *_OF_REVOKING,
    }
)
"""Findings that name a target and come from elsewhere than a visit to it."""


async def conclude(
    engine: Engine, planned: Plan, results: Sequence[TargetResult], *, complete: bool, all_sites: bool | None = None
) -> tuple[tuple[Finding, ...], DriftResult]:
    """What a sweep finds beside the visits to its targets, and the revoking that is due.

    Args:
        engine: what every service works with.
        planned: what the sweep was to look at.
        results: of every target that was looked at.
        complete: whether that was everything.
        all_sites: whether to look at every site's connections; None for what the settings say.

    Raises:
        StoreError: where a store failed.

    """
    allowlist = planned.loaded.allowlist
    drifted = await look_for_drift(
        engine,
        allowlist,
        planned.snapshot,
        results,
        planned.targets,
        failures=planned.failures,
        all_sites=engine.settings.all_sites if all_sites is None else all_sites,
    )
    found = [*drifted.findings]
    judged = set(drifted.judged)
    if allowlist is not None:
        try:
            await note_unruled(engine, allowlist, results)
        except StoreConflictError:
            complete = False  # Another sweep is noting its own: it, or the next one, revokes what is due.
        if complete:
            found += await revoke_removed(engine, allowlist, planned.started)
            judged |= _OF_REVOKING
    return tuple(found), DriftResult(findings=tuple(found), judged=frozenset(judged), sites=drifted.sites)


async def keep_result(engine: Engine, planned: Plan, result: SweepResult, drifted: DriftResult) -> None:
    """Take in what a sweep found: the lives of its findings, and the data for reports.

    Raises:
        StoreError: where a store failed.

    """
    seen = {one.target.id.key for one in result.targets}
    look = Look(
        source=SWEEP_SOURCE,
        at=engine.clock.now(),
        found=result.all_findings,
        covers=lambda finding: _covers(finding, seen, result, drifted),
        reminder=engine.settings.alerts_reminder,
    )
    await track(engine.ledger, engine.state, look)
    await keep_sweep(engine.state, _view(planned, result))


async def keep_target(engine: Engine, result: TargetResult) -> None:
    """Take in what one step on one target found, between sweeps.

    Raises:
        StoreError: where a store failed.

    """
    key = result.target.id.key
    look = Look(
        source=SWEEP_SOURCE,
        at=engine.clock.now(),
        found=result.findings,
        covers=lambda finding: fold_case(finding.target) == key and finding.id not in _OF_PARTS,
        reminder=engine.settings.alerts_reminder,
    )
    await track(engine.ledger, engine.state, look)


def _covers(finding: Finding, seen: Collection[str], result: SweepResult, drifted: DriftResult) -> bool:
    """Whether this sweep would have found it again."""
    key = fold_case(finding.target)
    if finding.id is FindingId.PENDING_UNEXPLAINED:
        return key in drifted.sites or key in seen
    if finding.id in drifted.judged or finding.id in _ALWAYS:
        return True
    if not finding.target or finding.id in _OF_PARTS:
        return False
    # A target that nothing leads to any more is not watched, and has no findings.
    return key in seen or (result.complete and key not in {target.id.key for target in result.unread})


def _view(planned: Plan, result: SweepResult) -> SweepView:
    allowlist = planned.loaded.allowlist
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
    )


def _sorted(targets: Sequence[Target]) -> tuple[Target, ...]:
    return tuple(sorted(targets, key=lambda target: target.id))
