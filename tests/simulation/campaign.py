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
    failed: list[tuple[int, int, str]] = field(default_factory=list)
    """Seed, invariant and message of each that broke one."""


def run_seed(seed: int) -> tuple[int, float, dict[str, int], tuple[int, str] | None]:
    """One seed: its virtual hours, its counts, and the first invariant that it broke."""
    outcome = run(story_of(seed))
    first = outcome.violations[0] if outcome.violations else None
    return seed, outcome.hours, dict(outcome.counts), (first.invariant, str(first)) if first else None


def calm_collector() -> None:
    """Collect garbage seldom: a run makes much of it, and none of it lives long."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


def campaign(seeds: Sequence[int], *, progress: bool = False) -> Campaign:
    """Run every seed, in parallel processes; the result is the same in whatever order they end."""
    result = Campaign()
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count() or 1, initializer=calm_collector) as pool:
        for seed, hours, counts, failure in pool.imap_unordered(run_seed, seeds, chunksize=10):
            result.seeds += 1
            result.hours += hours
            result.counts.update(counts)
            if failure is not None:
                result.failed.append((seed, *failure))
                sys.stderr.write(f"seed {seed} breaks {failure[1]}\n")
            if progress and result.seeds % 100 == 0:
                sys.stderr.write(f"\r{result.seeds} of {len(seeds)}, {len(result.failed)} failed")
                sys.stderr.flush()
    if progress:
        sys.stderr.write("\n")
    result.failed.sort()
    return result
