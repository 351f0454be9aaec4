"""What the services behind the queue and the timer work with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from shared.ports import Telemetry, WorkQueue
from shared.services.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The engine, and the outside that carries its work."""

    engine: Engine
    queue: WorkQueue
    telemetry: Telemetry
    sweep_run: timedelta
    """How long one run of a sweep begins with further targets; what is left then goes into messages."""
    sweep_max_age: timedelta
    """How old the last sweep may be before the app says that it is not well."""
