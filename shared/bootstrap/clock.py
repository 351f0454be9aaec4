"""Time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.ports import Clock


def make_clock() -> Clock:
    """Real time."""
    from shared.adapters.system_clock import SystemClock  # noqa: PLC0415  see the package's docstring

    return SystemClock()
