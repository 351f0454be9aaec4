"""Building a world: what was there before anybody looked."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Final
from uuid import UUID

from shared.local_azure.directory import Directory, shelf_name
from shared.local_azure.ids import ResourceId, fold
from shared.local_azure.lifecycle import SUCCEEDED
from shared.local_azure.resources import Plan, Service, Subscription, Target
from shared.local_azure.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.local_azure.clock import TimeSource
    from shared.local_azure.resources import JsonObject

SUBSCRIPTION: Final = "00000000-0000-0000-0000-0000000000a1"
"""The subscription of a new world."""
GROUP: Final = "contoso"

_SIGNALR_PROVIDER: Final = "Microsoft.SignalRService"
_WEB_PROVIDER: Final = "Microsoft.Web"
_LONG_AGO: Final = timedelta(days=30)


class Building(Directory):
    """A directory that things can be put into. Everything put here has been there for a month."""

    def __init__(self, clock: TimeSource, seed: int) -> None:
        super().__init__(clock)
        self._random = Random(seed)
        self._begins = clock.now() - _LONG_AGO
        self.add_subscription(SUBSCRIPTION)

    def new_guid(self) -> str:
        """A guid, the next of this world's own sequence."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def add_subscription(self, subscription: str | None = None) -> str:
        """A subscription, new or there already; returns its id."""
        subscription = subscription or self.new_guid()
        self.subscriptions.setdefault(fold(subscription), Subscription(id=subscription))
        return subscription

    def add_signalr(  # noqa: PLR0913  the facts of a service
        self,
        name: str = "contoso-signalr",
        *,
        group: str = GROUP,
        subscription: str = SUBSCRIPTION,
        tier: str = "Standard",
        mode: str = "Serverless",
        upstream: Iterable[str | JsonObject] = (),
        replicas: Iterable[str] = (),
        location: str = "eastus",
        tags: Mapping[str, str] | None = None,
        public_network_access: str = "Enabled",
    ) -> str:
        """A SignalR service. ``upstream``: URL templates, or whole template objects. Returns its id."""
        service = Service(
            id=ResourceId(subscription, group, _SIGNALR_PROVIDER, (("SignalR", name),)),
            born=self._begins,
            location=location,
            tier=tier,
            mode=mode,
            upstream=[upstream_template(item) for item in upstream],
            replicas=tuple(replicas),
            tags=dict(tags or {}),
            public_network_access=public_network_access,
            provisioning=Timeline(self._begins, SUCCEEDED),
        )
        self.home(service.id).services.add(shelf_name(service.id), service)
        return str(service.id)

    def add_plan(
        self,
        name: str,
        *,
        group: str = GROUP,
        subscription: str = SUBSCRIPTION,
        tier: str = "PremiumV3",
        location: str = "East US",
    ) -> str:
        """An App Service plan. Returns its id."""
        plan = Plan(
            id=ResourceId(subscription, group, _WEB_PROVIDER, (("serverfarms", name),)),
            born=self._begins,
            location=location,
            tier=tier,
        )
        self.home(plan.id).plans.add(shelf_name(plan.id), plan)
        return str(plan.id)

    def add_site(  # noqa: PLR0913  the facts of a site
        self,
        name: str = "contoso-func",
        *,
        group: str = GROUP,
        subscription: str = SUBSCRIPTION,
        tier: str = "PremiumV3",
        plan: str | None = None,
        public_network_access: str | None = None,
        kind: str = "functionapp",
        location: str = "East US",
        tags: Mapping[str, str] | None = None,
        host_names: Iterable[str] = (),
    ) -> str:
        """A site, on ``plan`` or on a plan of its own of ``tier``. Returns its id.

        ``host_names``: custom ones, besides its default one.
        """
        plan = plan or self.add_plan(f"{name}-plan", group=group, subscription=subscription, tier=tier, location=location)
        site = Target(
            id=ResourceId(subscription, group, _WEB_PROVIDER, (("sites", name),)),
            born=self._begins,
            plan=self.plan(plan),
            location=location,
            kind=kind,
            public_network_access=public_network_access,
            tags=dict(tags or {}),
            host_names=tuple(host_names),
        )
        self.home(site.id).sites.add(shelf_name(site.id), site)
        return str(site.id)

    def add_slot(self, site: str, name: str = "staging", *, public_network_access: str | None = None) -> str:
        """A deployment slot of ``site``. Returns its id."""
        parent = self.target(site)
        slot = Target(
            id=parent.id.child("slots", name),
            born=self._begins,
            plan=parent.plan,
            location=parent.location,
            kind=parent.kind,
            public_network_access=public_network_access,
            tags={},
        )
        parent.slots.add(name, slot)
        return str(slot.id)


def upstream_template(item: str | JsonObject) -> JsonObject:
    """An upstream template as SignalR shows it: a URL alone takes every hub, event and category."""
    if isinstance(item, str):
        return {"hubPattern": "*", "eventPattern": "*", "categoryPattern": "*", "urlTemplate": item, "auth": {"type": "None"}}
    return item
