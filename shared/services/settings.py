"""What the services are told: the part of the settings that steers them (:mod:`shared.config` reads them)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from shared.core.confirm import TakeBackPolicy, Timing
from shared.core.request_message import PublicKey
from shared.core.verdict import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Frozen settings of the engine."""

    mode: Mode
    subscriptions: tuple[str, ...]
    """The scanned subscriptions: every link in them counts, and only targets in them are watched."""
    settle: timedelta
    confirm_deadline: timedelta
    take_back: TakeBackPolicy
    recheck_delay: timedelta
    recheck_max: timedelta
    approvals_per_target_per_hour: int
    approvals_per_hour: int
    snapshot_max_age: timedelta
    arm_timeout: timedelta
    concurrency: int
    keys: Mapping[str, PublicKey]
    """Public keys for signed request messages, by key id."""
    all_sites: bool = False
    """Whether a sweep looks at the pending connections of every site of the subscriptions."""
    alerts_reminder: timedelta = timedelta(hours=24)
    """How often an open critical finding is told again; nothing: never."""

    @property
    def timing(self) -> Timing:
        """What confirming goes by.

        An intent without an answer may be another worker's that is about to write: it is left alone for as long as a write
        can take, twice.
        """
        return Timing(deadline=self.confirm_deadline, policy=self.take_back, unwritten_after=2 * self.arm_timeout)
