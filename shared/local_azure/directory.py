"""Where everything is found: subscriptions, and in them services, links, plans, targets and connections by their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.local_azure.arm_error import connection_not_found, group_not_found, resource_not_found, subscription_not_found
from shared.local_azure.ids import LINK, PLAN, SIGNALR, SITE, SLOT, ResourceId, fold
from shared.local_azure.resources import Connection, Link, Plan, Resource, Service, Shelf, Subscription, Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shared.local_azure.clock import TimeSource


class Directory:
    """Looks things up by id, text or not, whatever its case. No look-up goes through all there is."""

    def __init__(self, clock: TimeSource) -> None:
        self.clock = clock
        self.subscriptions: dict[str, Subscription] = {}

    # Each raises ArmError (404) for what does not exist at ``when``, by default now

    def subscription(self, subscription: str) -> Subscription:
        """A subscription."""
        found = self.subscriptions.get(fold(subscription))
        if found is None:
            raise subscription_not_found(subscription)
        return found

    def service(self, arm_id: str | ResourceId, when: datetime | None = None) -> Service:
        """A SignalR service."""
        wanted = as_id(arm_id)
        return self._top_level(wanted, self.subscription(wanted.subscription).services, SIGNALR, when)

    def link(self, arm_id: str | ResourceId, when: datetime | None = None) -> Link:
        """A shared private link."""
        wanted = as_id(arm_id)
        when = when or self.clock.now()
        self.service(wanted.parent(), when)
        found = self.find_link(wanted, when)
        if found is None:
            raise resource_not_found(LINK, wanted.name, wanted.group)
        return found

    def plan(self, arm_id: str | ResourceId, when: datetime | None = None) -> Plan:
        """An App Service plan."""
        wanted = as_id(arm_id)
        return self._top_level(wanted, self.subscription(wanted.subscription).plans, PLAN, when)

    def target(self, arm_id: str | ResourceId, when: datetime | None = None) -> Target:
        """A site or a slot."""
        wanted = as_id(arm_id)
        when = when or self.clock.now()
        site_id = ResourceId(wanted.subscription, wanted.group, wanted.provider, wanted.path[:1])
        site = self._top_level(site_id, self.subscription(wanted.subscription).sites, SITE, when)
        if fold(wanted.type) == fold(SITE):
            return site
        slot = site.slots.get(wanted.name, when)
        if slot is None or fold(wanted.type) != fold(SLOT):
            raise resource_not_found(SLOT, f"{site.id.name}/{wanted.name}", wanted.group)
        return slot

    def connection(self, arm_id: str | ResourceId, when: datetime | None = None) -> Connection:
        """A connection of a site or a slot."""
        wanted = as_id(arm_id)
        when = when or self.clock.now()
        found = self.target(wanted.parent(), when).connections.get(wanted.name, when)
        if found is None:
            raise connection_not_found(wanted.name)
        return found

    def group(self, subscription: str, group: str) -> str:
        """A resource group that holds, or held, anything; its name as it was created."""
        found = self.subscription(subscription).groups.get(fold(group))
        if found is None:
            raise group_not_found(group)
        return found

    def all_services(self, when: datetime | None = None) -> Iterator[Service]:
        """Every SignalR service."""
        when = when or self.clock.now()
        for subscription in self.subscriptions.values():
            yield from subscription.services.all(when)

    def all_targets(self, when: datetime | None = None) -> Iterator[Target]:
        """Every site and slot."""
        when = when or self.clock.now()
        for subscription in self.subscriptions.values():
            for site in subscription.sites.all(when):
                yield site
                yield from site.slots.all(when)

    # None where it does not exist

    def _top_level[R: Resource](self, wanted: ResourceId, shelf: Shelf[R], resource_type: str, when: datetime | None) -> R:
        self.group(wanted.subscription, wanted.group)
        right_type = fold(wanted.type) == fold(resource_type)
        found = shelf.get(shelf_name(wanted), when or self.clock.now()) if right_type else None
        if found is None:
            raise resource_not_found(resource_type, wanted.name, wanted.group)
        return found

    def find_link(self, wanted: ResourceId, when: datetime) -> Link | None:
        """A shared private link."""
        home = self.subscriptions.get(fold(wanted.subscription))
        service = home.services.get(shelf_name(wanted.parent()), when) if home else None
        return service.links.get(wanted.name, when) if service else None

    def find_connection(self, wanted: ResourceId, when: datetime) -> Connection | None:
        """A connection."""
        target = self.find_target(wanted.parent(), when)
        return target.connections.get(wanted.name, when) if target else None

    def find_target(self, wanted: ResourceId, when: datetime) -> Target | None:
        """A site or a slot."""
        home = self.subscriptions.get(fold(wanted.subscription))
        name = f"{wanted.group}/{wanted.path[0][1]}"
        site = home.sites.get(name, when) if home else None
        return site.slots.get(wanted.name, when) if site and fold(wanted.type) == fold(SLOT) else site

    # For those who add

    def home(self, arm_id: ResourceId) -> Subscription:
        """The subscription that ``arm_id`` is in, made where it is new, as is its resource group."""
        home = self.subscriptions.setdefault(fold(arm_id.subscription), Subscription(id=arm_id.subscription))
        home.groups.setdefault(fold(arm_id.group), arm_id.group)
        return home


def as_id(arm_id: str | ResourceId) -> ResourceId:
    """``arm_id`` taken apart where it is not yet."""
    return arm_id if isinstance(arm_id, ResourceId) else ResourceId.parse(arm_id)


def shelf_name(arm_id: ResourceId) -> str:
    """What a top-level resource is called on its subscription's shelf."""
    return f"{arm_id.group}/{arm_id.name}"
