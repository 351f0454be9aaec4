"""A value with its past and its planned future, so that nothing has to run in the background.

A change plans all its later steps at once, in place of those planned before; reading looks up the step that holds at a
moment. Looking a little back is how stale answers are given, and time may be virtual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class Timeline[T]:
    """What a value was, is and will be unless somebody changes it."""

    __slots__ = ("_steps",)

    def __init__(self, at: datetime, value: T, *later: tuple[datetime, T]) -> None:
        self._steps: list[tuple[datetime, T]] = [(at, value), *later]

    def at(self, when: datetime) -> T:
        """The value at ``when``; before the first step, the first."""
        for begins, value in reversed(self._steps):
            if begins <= when:
                return value
        return self._steps[0][1]

    def replan(self, cut: datetime, *steps: tuple[datetime, T]) -> None:
        """What was planned for later than ``cut`` is off; ``steps`` (in order of time, none before ``cut``) come instead."""
        self._steps = [step for step in self._steps if step[0] <= cut]
        self._steps.extend(steps)
