"""Every SignalR service and link of the scanned subscriptions, as the last sweep saw them.

Any link may be a rival, whoever owns it, so an approval needs all of them; reading them all for each target would not do.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import ArmId, fold_case
from shared.core.errors import AzureError, StoreConflictError
from shared.core.model import Link, SignalR, Target
from shared.services.notebook import fetch, keep

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from shared.ports import Azure, StateStore

SNAPSHOT: Final = "snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionView:
    """One subscription's services."""

    at: datetime | None
    """When the list call began; None where there was none."""
    services: tuple[SignalR, ...]


NOTHING: Final = SubscriptionView(at=None, services=())


@dataclass(frozen=True)
class Snapshot:
    """The scanned subscriptions by their folded ids."""

    views: Mapping[str, SubscriptionView]

    @property
    def at(self) -> datetime:
        """As of when all of it was so.

        Raises:
            ValueError: where it is empty.

        """
        return min(view.at for view in self.views.values() if view.at is not None)

    @cached_property
    def services(self) -> dict[ArmId, SignalR]:
        """Every service by its id."""
        return {service.id: service for view in self.views.values() for service in view.services}

    @cached_property
    def _by_target(self) -> dict[Target, list[Link]]:
        by_target: defaultdict[Target, list[Link]] = defaultdict(list)
        for service in self.services.values():
            for link in service.links:
                if link.target is not None:
                    by_target[link.target].append(link)
        return by_target

    @property
    def targets(self) -> Iterable[Target]:
        """Every target that some link leads to."""
        return self._by_target.keys()

    def links_to(self, target: Target) -> Sequence[Link]:
        """Every link that leads to this target."""
        return self._by_target.get(target, ())


class Snapshots:
    """Takes snapshots and recalls them. What this worker took last, it need not read again."""

    def __init__(self, azure: Azure, state: StateStore) -> None:
        self._azure = azure
        self._state = state
        self._latest = Snapshot({})
        self._lock = asyncio.Lock()
        self._tries = 0
        self._failures: dict[str, AzureError] = {}
        """Of the last try."""

    async def take(self, subscriptions: Sequence[str]) -> dict[str, AzureError]:
        """List these subscriptions now and keep what is found; returns why some could not be listed.

        A subscription that cannot be listed keeps its older view: its age decides whether that will do.
        """
        failures: dict[str, AzureError] = {}
        taken: dict[str, SubscriptionView] = {}

        async def look(subscription: str) -> None:
            try:
                reading = await self._azure.list_signalr(subscription)
            except AzureError as error:
                failures[subscription] = error
                return
            view = SubscriptionView(at=reading.started, services=reading.value)
            taken[fold_case(subscription)] = view
            await _keep(self._state, subscription, view)

        await asyncio.gather(*(look(subscription) for subscription in subscriptions))
        self._latest = Snapshot({**self._latest.views, **taken})
        return failures

    async def recall(self, subscriptions: Sequence[str], now: datetime, max_age: timedelta) -> Snapshot:
        """Every one of these subscriptions, as it was at most ``max_age`` ago.

        Raises:
            AzureError: where one of which there is no such view cannot be listed: its links might be rivals.

        """
        asked = self._tries
        async with self._lock:
            # Whoever waited here while others listed has their answer, a failure too: nobody asks the same again at once.
            known = self._failures if self._tries != asked else {}
            if any(fold_case(one) not in known for one in self._stale(subscriptions, now, max_age)):
                await self._renew(subscriptions, now, max_age)
                known = self._failures
            for one in self._stale(subscriptions, now, max_age):
                if error := known.get(fold_case(one)):
                    raise error
            return self._latest

    async def _renew(self, subscriptions: Sequence[str], now: datetime, max_age: timedelta) -> None:
        """From what other workers kept, else from Azure."""
        for subscription in self._stale(subscriptions, now, max_age):
            kept = await fetch(self._state, SNAPSHOT, fold_case(subscription), SubscriptionView, NOTHING)
            self._latest = Snapshot({**self._latest.views, fold_case(subscription): kept.value})
        failures = await self.take(stale) if (stale := self._stale(subscriptions, now, max_age)) else {}
        self._failures = {fold_case(one): error for one, error in failures.items()}
        self._tries += 1

    def _stale(self, subscriptions: Sequence[str], now: datetime, max_age: timedelta) -> list[str]:
        views = self._latest.views
        return [one for one in subscriptions if _too_old(views.get(fold_case(one), NOTHING), now, max_age)]


def _too_old(view: SubscriptionView, now: datetime, max_age: timedelta) -> bool:
    """A time that is yet to come is a wrong clock's, and says nothing about how old the view is."""
    return view.at is None or abs(now - view.at) > max_age


async def _keep(state: StateStore, subscription: str, view: SubscriptionView) -> None:
    """Keep a view for other workers. Also over one that calls itself newer: that may have been a wrong clock's."""
    kept = await fetch(state, SNAPSHOT, fold_case(subscription), SubscriptionView, NOTHING)
    try:
        await keep(state, SNAPSHOT, fold_case(subscription), kept, view)
    except StoreConflictError:
        return  # Another sweep kept its own list at this moment; either will do.
