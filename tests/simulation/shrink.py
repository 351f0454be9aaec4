"""From a long story that breaks an invariant to a short one that breaks the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.simulation.run import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.simulation.story import Story

# What a run is like without one of its troubles: one try each.
_CALM = {
    "skew": {"skews": (0.0,)},
    "second-worker": {"skews": (0.0,)},
    "approving": {"approving": 1.0},
    "budgets": {"per_target": 5, "per_hour": 100},
    "refusals": {"rejects_approved": True, "deletes": True},
}


def cut(story: Story, part: str) -> Story:
    """The story without one part: a fault by its name, an action by its number, or one of the troubles.

    Raises:
        ValueError: where it has no such part.

    """
    kept = (*story.left_out, part)
    if part.isdigit():
        # Numbers count what is left, in the order in which parts were taken away.
        return replace(story.without([int(part)]), left_out=kept)
    if part in _CALM:
        return replace(story, **_CALM[part], left_out=kept)  # type: ignore[arg-type]
    if part == "skew-only":
        return replace(story, skews=tuple(0.0 for _ in story.skews), left_out=kept)
    faults = tuple(fault for fault in story.faults if fault.value != part)
    if faults == story.faults:
        message = f"the story has no {part!r} to leave out"
        raise ValueError(message)
    return replace(story, faults=faults, left_out=kept)


def shrink(story: Story, invariant: int, *, die_at: str = "", tries: int = 300) -> Story:
    """The smallest story found in so many tries. ``die_at``: as :func:`tests.simulation.run.run` has it."""
    left = tries
    shorter = True
    while shorter and left > 0:
        shorter = False
        for part in list(_parts(story)):
            candidate = cut(story, part)
            if _same(candidate, story):
                continue
            left -= 1
            if any(violation.invariant == invariant for violation in run(candidate, die_at=die_at).violations):
                story, shorter = candidate, True
                break
            if left <= 0:
                break
    return story


def _parts(story: Story) -> Iterable[str]:
    yield from (fault.value for fault in story.faults)
    yield from (str(place) for place in reversed(range(len(story.actions))))
    yield from _CALM
    yield "skew-only"


def _same(one: Story, other: Story) -> bool:
    return replace(one, left_out=()) == replace(other, left_out=())
