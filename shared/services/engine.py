"""What every service works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.ports import AllowlistSource, Azure, Clock, Ledger, StateStore
from shared.services.budget import Budgets
from shared.services.settings import EngineSettings
from shared.services.snapshot import Snapshot, Snapshots

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What every service works with."""

    azure: Azure
    ledger: Ledger
    state: StateStore
    allowlist: AllowlistSource
    clock: Clock
    settings: EngineSettings
    snapshots: Snapshots
    budgets: Budgets

    async def snapshot(self, now: datetime | None = None) -> Snapshot:
        """Every link of the scanned subscriptions, recent enough to decide by at ``now``: by this worker's clock, or Azure's.

        Raises:
            AzureError: where a subscription cannot be listed.

        """
        settings = self.settings
        return await self.snapshots.recall(settings.subscriptions, now or self.clock.now(), settings.snapshot_max_age)
