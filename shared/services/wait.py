"""A sweep, and then every target that has something to wait for, until none has or the time is up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.core.finding import FindingId
from shared.services.conclude import keep_targets
from shared.services.recheck import doubled, pause
from shared.services.sweep import Silent, merge, settle, spread, sweep, target_unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.core.finding import Finding
    from shared.core.model import Target
    from shared.services.engine import Engine
    from shared.services.results import SweepResult, TargetResult
    from shared.services.sweep import Progress


@dataclass(slots=True)
class _Watch:
    """One target that is waited for."""

    due: datetime
    delay: timedelta


async def sweep_until_done(
    engine: Engine,
    *,
    timeout: timedelta,  # noqa: ASYNC109  the time for all of it, not for one await
    progress: Progress | None = None,
    dry_run: bool = False,
    all_sites: bool | None = None,
) -> SweepResult:
    """Sweep, then look again at whatever waits: when it says, else after the recheck delay, which doubles to its maximum.

    What was approved on the way is reported as approved, with its newest outcome.

    Raises:
        StoreError: where the state store failed as a whole.

    """
    deadline = engine.clock.now() + timeout
    result = await sweep(engine, progress, dry_run=dry_run, all_sites=all_sites)
    while _subscription_unread(result) and engine.clock.now() < deadline:
        await _sleep_until(engine, min(deadline, engine.clock.now() + engine.settings.recheck_delay))
        result = await sweep(engine, progress, dry_run=dry_run, all_sites=all_sites)
    waiting = _Waiting(engine, result, deadline, progress or Silent())
    await asyncio.gather(*(waiting.follow(target) for target in spread(waiting.targets)))
    if waiting.again:
        await keep_targets(engine, tuple(waiting.again.values()), sweep_started=result.started)
    return waiting.result()


def _subscription_unread(result: SweepResult) -> bool:
    return any(finding.id is FindingId.SUBSCRIPTION_UNREADABLE for finding in result.findings)


async def _sleep_until(engine: Engine, due: datetime) -> None:
    await engine.clock.sleep(max(0.0, (due - engine.clock.now()).total_seconds()))


class _Waiting:
    def __init__(self, engine: Engine, swept: SweepResult, deadline: datetime, progress: Progress) -> None:
        self._engine = engine
        self._progress = progress
        self._swept = swept
        self._deadline = deadline
        self._results = {result.target: result for result in swept.targets}
        self.again: dict[Target, TargetResult] = {}
        """What was looked at again: its newest result."""
        self._unread: dict[Target, Finding] = {}
        self._watches: dict[Target, _Watch] = {}
        self._gate = asyncio.Semaphore(engine.settings.concurrency)
        for result in swept.targets:
            self._watch(result.target, result)
        for target in swept.unread:
            self._watch(target, None)

    @property
    def targets(self) -> tuple[Target, ...]:
        """Those that something is waited for."""
        return tuple(self._watches)

    async def follow(self, target: Target) -> None:
        """Look at a target whenever it is due, until nothing of it waits; the last look is at the deadline.

        Each by itself: one that Azure answers slowly holds up no other.
        """
        while (watch := self._watches.get(target)) and self._engine.clock.now() < self._deadline:
            await _sleep_until(self._engine, min(self._deadline, watch.due))
            await self._look(target)

    async def _look(self, target: Target) -> None:
        async with self._gate:
            try:
                after = await settle(self._engine, target)
            except Exception as error:  # noqa: BLE001  whatever is wrong with one target, the others are followed
                self._unread[target] = target_unreadable(target, error)
                self._watch(target, None)
                return
        self._unread.pop(target, None)
        before = self._results.get(target)
        changed = before is None or after.acted or _verdicts(before) != _verdicts(after)
        merged = merge(before, after) if before else after
        self._results[target] = self.again[target] = merged
        self._progress.looked_again(merged)
        if changed:
            self._watches.pop(target, None)
        self._watch(target, after)

    def _watch(self, target: Target, result: TargetResult | None) -> None:
        """Wait for a target that has something to wait for, or could not be read; each time twice as long, to the maximum.

        Counted from the look, not from the end of the sweep that it was part of.
        """
        if result is not None and not result.waiting:
            self._watches.pop(target, None)
            return
        before = self._watches.get(target)
        delay = doubled(self._engine.settings, before.delay if before else None)
        since = self._engine.clock.now() if result is None else result.looked_at_here
        self._watches[target] = _Watch(due=since + pause(result, delay), delay=delay)

    def result(self) -> SweepResult:
        """The sweep's result as things are now."""
        unread = [*self._unread, *(target for target in self._swept.unread if target not in self._results)]
        findings: Sequence[Finding] = [
            finding for finding in self._swept.findings if finding.id is not FindingId.TARGET_UNREADABLE
        ]
        still = {finding.fingerprint: finding for finding in self._swept.findings if finding.target in map(str, unread)}
        still |= {finding.fingerprint: finding for finding in self._unread.values()}
        return replace(
            self._swept,
            complete=not unread and not _subscription_unread(self._swept),
            finished=self._engine.clock.now(),
            targets=tuple(sorted(self._results.values(), key=lambda result: result.target.id)),
            unread=tuple(dict.fromkeys(unread)),
            findings=(*findings, *still.values()),
        )


def _verdicts(result: TargetResult) -> list[tuple[object, ...]]:
    return [(one.subject, one.verdict, one.outcome, tuple(r.code for r in one.reasons)) for one in result.decisions]
