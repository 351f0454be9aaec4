"""Many seeds, on every core."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

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
    again: int = 0
    """Stories told again, for a worker to die where none did by chance."""
    failed: list[Failure] = field(default_factory=list)


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """A story that broke an invariant."""

    seed: int
    die_at: str
    """The await at which a worker had to die; "" where that was left to chance."""
    invariant: int
    message: str


@dataclass(frozen=True, slots=True)
class Told:
    """What one seed came to, without its time line."""

    seed: int
    hours: float
    counts: Counter[str]
    happened: Counter[str]
    awaits: frozenset[str]
    died_at: frozenset[str]
    failure: Failure | None
    """The first."""


def run_seed(seed: int, die_at: str = "") -> Told:
    """Run one seed."""
    outcome = run(story_of(seed), die_at=die_at)
    first = outcome.violations[0] if outcome.violations else None
    return Told(
        seed=seed,
        hours=outcome.hours,
        counts=outcome.counts,
        happened=outcome.happened,
        awaits=outcome.awaits,
        died_at=outcome.died_at,
        failure=Failure(seed, die_at, first.invariant, str(first)) if first else None,
    )


def calm_collector() -> None:
    """Collect garbage seldom: a run makes much of it, and none of it lives long."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


def campaign(seeds: Sequence[int], *, progress: bool = False) -> Campaign:
    """Run every seed, in parallel processes; the result is the same in whatever order they end.

    For each await of the services at which no worker died by chance, the first stories that came there are told again, and one
    dies there.
    """
    result, came = Campaign(), defaultdict[str, list[int]](list)
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count() or 1, initializer=calm_collector) as pool:
        for told in pool.imap_unordered(run_seed, seeds, chunksize=10):
            result.seeds += 1
            result.hours += told.hours
            result.counts.update(told.counts)
            result.happened.update(told.happened)
            result.stories.update(name for name, times in told.happened.items() if times)
            result.awaits |= told.awaits
            for place in told.awaits:
                came[place] = sorted([*came[place], told.seed])[:_TOLD_AGAIN]
            _note(result, told)
            if progress and result.seeds % 100 == 0:
                sys.stderr.write(f"\r{result.seeds} of {len(seeds)}, {len(result.failed)} failed")
                sys.stderr.flush()
        again = [(seed, place) for place in sorted(result.awaits - result.died_at) for seed in came[place]]
        result.again = len(again)
        for told in pool.starmap(run_seed, again, chunksize=1):
            _note(result, told)
    if progress:
        sys.stderr.write("\n")
    result.failed.sort()
    return result


_TOLD_AGAIN: Final = 3
"""Stories for each such await."""


def _note(result: Campaign, told: Told) -> None:
    result.died_at |= told.died_at
    if told.failure is not None:
        result.failed.append(told.failure)
        sys.stderr.write(f"seed {told.seed}{_where(told.failure)} breaks {told.failure.message}\n")


def _where(failure: Failure) -> str:
    return f", a worker dying at {failure.die_at}," if failure.die_at else ""
