"""A sweep's end: what drifted beside its targets, what is to be revoked, the findings' lives, the data for reports."""

from __future__ import annotations

from dataclasses import replace
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

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from shared.core.allowlist import Allowlist
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


async def finish(
    engine: Engine, planned: Plan, result: SweepResult, *, all_sites: bool | None = None, is_last: bool = True
) -> SweepResult:
    """A sweep, or a part of one, to its end: returns the result with all that was found beside the visits to targets.

    Args:
        engine: what every service works with.
        planned: what the sweep was to look at.
        result: of the visits to targets.
        all_sites: whether to look at every site's connections; None for what the settings say.
        is_last: whether nothing of this sweep is left to come; drift beside the targets is looked for, and what is due is
            revoked, only then.

    Raises:
        StoreError: where a store failed.

    """
    allowlist, found, judged = planned.loaded.allowlist, list[Finding](), set[FindingId]()
    sites: frozenset[str] = frozenset()
    noted = allowlist is None or await _note(engine, allowlist, result)
    if is_last:
        drifted = await look_for_drift(
            engine,
            allowlist,
            planned.snapshot,
            result.targets,
            planned.targets,
            failures=planned.failures,
            all_sites=engine.settings.all_sites if all_sites is None else all_sites,
        )
        found += drifted.findings
        judged |= drifted.judged | _ALWAYS
        sites = drifted.sites
    if is_last and allowlist is not None and result.complete and noted:
        found += await revoke_removed(engine, allowlist, planned.started)
        judged |= _OF_REVOKING
    result = replace(result, findings=(*result.findings, *found))
    seen = {one.target.id.key for one in result.targets}
    look = Look(
        source=SWEEP_SOURCE,
        at=engine.clock.now(),
        found=result.all_findings,
        covers=lambda finding: _covers(finding, seen, result, judged, sites),
        reminder=engine.settings.alerts_reminder,
    )
    await track(engine.ledger, engine.state, look)
    await keep_sweep(engine.state, _view(planned, result))
    return result


async def _note(engine: Engine, allowlist: Allowlist, result: SweepResult) -> bool:
    try:
        await note_unruled(engine, allowlist, result.targets)
    except StoreConflictError:
        return False  # Another sweep is noting its own: it, or the next one, revokes what is due.
    return True


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


def _covers(
    finding: Finding, seen: Collection[str], result: SweepResult, judged: Collection[FindingId], sites: Collection[str]
) -> bool:
    """Whether this sweep would have found it again."""
    key = fold_case(finding.target)
    if finding.id is FindingId.PENDING_UNEXPLAINED:
        return key in sites or key in seen
    if finding.id in judged:
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
