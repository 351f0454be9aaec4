"""What goes wrong around a worker, drawn from the story's seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.simulation.story import Fault

if TYPE_CHECKING:
    import random

    from tests.simulation.story import Story

ARM_TIMEOUT: Final = 30.0
STORE_OUTAGE: Final = (20.0, 240.0)
"""Seconds that the stores are away, at least and at most."""


class Chaos:
    """Draws faults while they are wanted; afterwards everything works."""

    def __init__(self, story: Story, rng: random.Random, die_at: str = "") -> None:
        """``die_at``: an await, as file and line, at which the first worker that comes there dies, whatever is drawn."""
        self.rng = rng
        self.die_at = die_at
        self.active = True
        self.faults = frozenset(story.faults)
        # Some runs are bad, most are a little bad.
        self.rate = rng.choice((0.01, 0.03, 0.03, 0.1, 0.25))
        self.crashes_left = rng.randint(1, 4) if Fault.CRASHES in self.faults else 0
        self.crash_rate = rng.choice((0.002, 0.01, 0.03))
        self.crashes_done = 0
        self.awaits: set[str] = set()
        """The awaits of the services at which a worker may die, as file and line."""
        self.died_at: set[str] = set()
        """Those at which one did."""

    def strikes(self, fault: Fault, *, rate: float | None = None) -> bool:
        return self.active and fault in self.faults and self.rng.random() < (self.rate if rate is None else rate)

    @property
    def may_crash(self) -> bool:
        return self.active and self.crashes_left > 0

    def latency(self) -> float:
        """Seconds that a call to Azure takes, up to more than its timeout."""
        if self.strikes(Fault.SLOW):
            return self.rng.uniform(1, ARM_TIMEOUT * 1.3)
        return min(self.rng.expovariate(4), 3.0)

    def store_latency(self) -> float:
        return self.rng.uniform(0.001, 0.03) if not self.strikes(Fault.SLOW) else self.rng.uniform(0.1, 4)

    def kills(self, awaits: set[str]) -> bool:
        """Whether a worker that is at these awaits dies because one of them is where it has to."""
        if not self.active or self.die_at not in awaits:
            return False
        self.die_at = ""
        return True

    def crashes(self) -> bool:
        if self.may_crash and self.rng.random() < self.crash_rate:
            self.crashes_left -= 1
            return True
        return False
