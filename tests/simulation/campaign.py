"""Many seeds, on every core."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation.generator import story_of
from tests.simulation.run import run

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True)
class Campaign:
    """What many runs came to."""

    seeds: int = 0
    hours: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    """How often each thing of :mod:`tests.simulation.happened` happened."""
    stories: Counter[str] = field(default_factory=Counter)
    """In how many stories it did."""
    awaits: set[str] = field(default_factory=set)
    died_at: set[str] = field(default_factory=set)
    """As :class:`tests.simulation.run.Outcome` has them, of all runs."""
    failed: list[tuple[int, int, str]] = field(default_factory=list)
    """Seed, invariant and message of each that broke one."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one seed came to, without its time line."""

    seed: int
    hours: float
    counts: Counter[str]
    happened: Counter[str]
    awaits: frozenset[str]
    died_at: frozenset[str]
    failure: tuple[int, str] | None
    """The first invariant that it broke, and the message."""


def run_seed(seed: int) -> Told:
    """Run one seed."""
    outcome = run(story_of(seed))
    first = outcome.violations[0] if outcome.violations else None
    return Told(
        seed=seed,
        hours=outcome.hours,
        counts=outcome.counts,
        happened=outcome.happened,
        awaits=outcome.awaits,
        died_at=outcome.died_at,
        failure=(first.invariant, str(first)) if first else None,
    )


def calm_collector() -> None:
    """Collect garbage seldom: a run makes much of it, and none of it lives long."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


def campaign(seeds: Sequence[int], *, progress: bool = False) -> Campaign:
    """Run every seed, in parallel processes; the result is the same in whatever order they end."""
    result = Campaign()
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count() or 1, initializer=calm_collector) as pool:
        for told in pool.imap_unordered(run_seed, seeds, chunksize=10):
            result.seeds += 1
            result.hours += told.hours
            result.counts.update(told.counts)
            result.happened.update(told.happened)
            result.stories.update(name for name, times in told.happened.items() if times)
            result.awaits |= told.awaits
            result.died_at |= told.died_at
            if told.failure is not None:
                result.failed.append((told.seed, *told.failure))
                sys.stderr.write(f"seed {told.seed} breaks {told.failure[1]}\n")
            if progress and result.seeds % 100 == 0:
                sys.stderr.write(f"\r{result.seeds} of {len(seeds)}, {len(result.failed)} failed")
                sys.stderr.flush()
    if progress:
        sys.stderr.write("\n")
    result.failed.sort()
    return result
