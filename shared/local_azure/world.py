"""The world that the local Azure serves: what exists, what is done to it, and what is true.

Everything is looked up by name; nothing runs in the background; the only input beside the calls is the clock. Ids are handed
out and taken as text, whatever their case.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.local_azure import lifecycle
from shared.local_azure.arm_error import bad_request
from shared.local_azure.building import Building
from shared.local_azure.clock import RunningClock, after
from shared.local_azure.directory import shelf_name
from shared.local_azure.events import Event, operation_name
from shared.local_azure.ids import PLAN, SITE, SLOT, ResourceId, fold
from shared.local_azure.knobs import Knobs
from shared.local_azure.resources import Connection, Link, Plan, Service, Target
from shared.local_azure.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.local_azure.clock import TimeSource
    from shared.local_azure.resources import JsonObject

STRANGERS_SUBSCRIPTION: Final = "bad00000-0000-0000-0000-00000000beef"
"""Where strangers' endpoints live unless said otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An approval or a rejection that was taken, and what was true of the connection at the time."""

    at: datetime
    connection: str
    target: str
    status: str
    """``Approved`` or ``Rejected``."""
    description: str
    by: str
    """Whose token it came with."""
    link: str | None
    """The link that the connection truly belongs to; None for a stranger's. What no reader of ARM can see."""


class World(Building):
    """What exists and what is true."""

    def __init__(self, *, clock: TimeSource | None = None, knobs: Knobs | None = None, seed: int = 0) -> None:
        super().__init__(clock or RunningClock(), seed)
        self.knobs = knobs or Knobs()
        self.decisions: list[Decision] = []
        """Every approval and rejection taken, in order."""
        self.events: list[Event] = []
        """Every event, in the order of the writes; one may be due only later (``Event.at``)."""
        self._owners: dict[str, str | None] = {}
        self._addresses = 3

    # Acting: what people and services do. ``ago``: it was done so many seconds before now.

    def put_link(  # noqa: PLR0913  the facts of a link
        self,
        service: str,
        name: str,
        target: str,
        message: str | None = "please approve",
        *,
        group_id: str | None = None,
        by: str = "requester",
        ago: float = 0,
    ) -> str:
        """Create a shared private link, or change the message of one; returns its id.

        Its connection is opened on the target, and one more for each replica. A target that does not exist, or that
        ``group_id`` (by default what fits the target) does not fit, makes it Failed; what is no site opens nothing here.

        Raises:
            ArmError: where the service does not exist, or the link does and leads elsewhere.

        """
        now = self._now(ago)
        owner = self.service(service, now)
        if group_id is None:
            _, _, slot = target.partition("/slots/")
            group_id, target = (f"sites-{slot}", target.removesuffix(f"/slots/{slot}")) if slot else ("sites", target)
        known = owner.links.get(name, now)
        if known is not None:
            if (fold(known.resource_id), fold(known.group_id)) != (fold(target), fold(group_id)):
                message = f"The target of the shared private link resource '{known.id.name}' cannot be changed."
                raise bad_request(code="SharedPrivateLinkResourceImmutable", message=message)
            known.message, known.modified = message, now
            self._emit(known.id, "write", "PUT", by, now)
            return str(known.id)
        knobs = self.knobs
        link = Link(
            id=owner.id.child("sharedPrivateLinkResources", name),
            born=now,
            service=owner,
            group_id=group_id,
            resource_id=target,
            message=message,
            modified=now,
            provisioning=Timeline(now, lifecycle.CREATING),
            status=Timeline(now, lifecycle.PENDING),
        )
        done = after(now, knobs.link_provisioning)
        reached = self._reached(target, group_id, now)
        link.provisioning.replan(now, (done, lifecycle.FAILED if reached is False else lifecycle.SUCCEEDED))
        if isinstance(reached, Target):
            for replica in ("", *owner.replicas):
                self._open_connection(link, reached, replica, after(now, knobs.connection_delay))
        owner.links.add(name, link)
        self._emit(link.id, "write", "PUT", by, now)
        return str(link.id)

    def delete_link(self, link: str, *, by: str = "requester", ago: float = 0) -> None:
        """Delete a shared private link; its connections become Disconnected, then vanish.

        Raises:
            ArmError: where it does not exist.

        """
        now = self._now(ago)
        found = self.link(link, now)
        lifecycle.delete_link(found, now, self.knobs)
        self._emit(found.id, "delete", "DELETE", by, now)

    def request_connection(  # noqa: PLR0913  what a requester chooses
        self,
        target: str,
        endpoint_name: str,
        message: str = "",
        *,
        subscription: str = STRANGERS_SUBSCRIPTION,
        group: str = "strangers",
        name: str | None = None,
        auto_approved: bool = False,
        ago: float = 0,
    ) -> str:
        """A connection that no link opened: anybody who knows a target's id can ask for one. Returns its id.

        ``auto_approved``: the requester holds the approval action on the target, and nobody is asked.

        Raises:
            ArmError: where the target does not exist.

        """
        now = self._now(ago)
        reached = self.target(target, now)
        endpoint = ResourceId(subscription, group, "Microsoft.Network", (("privateEndpoints", endpoint_name),))
        connection = self._add_connection(reached, endpoint, name or f"{endpoint_name}-{self.new_guid()}", message, None, now)
        if auto_approved:
            lifecycle.approved_at_once(connection, now, self.knobs)
        return str(connection.id)

    def withdraw_connection(self, connection: str, *, ago: float = 0) -> None:
        """The requester deletes the endpoint; no event in the target's subscription tells of it.

        Raises:
            ArmError: where the connection does not exist.

        """
        now = self._now(ago)
        lifecycle.disconnect(self.connection(connection, now), now, self.knobs)

    def decide(self, connection: str, status: str, description: str | None = "", *, by: str = "portal", ago: float = 0) -> None:
        """Approve or reject, as by the PUT.

        Raises:
            ArmError: where it does not exist (404), is not Pending (409), or the status is neither (400).

        """
        now = self._now(ago)
        found = self.connection(connection, now)
        decided = lifecycle.decide(found, status, description, now, self.knobs)
        self.decisions.append(
            Decision(
                at=now,
                connection=str(found.id),
                target=str(found.target.id),
                status=decided,
                description=description or "",
                by=by,
                link=str(found.link.id) if found.link else None,
            )
        )
        self._emit(found.id, "write", "PUT", by, now)

    def approve(self, connection: str, description: str = "Approved by a person", *, by: str = "portal", ago: float = 0) -> None:
        """Approve a connection, as a person in the portal would."""
        self.decide(connection, lifecycle.APPROVED, description, by=by, ago=ago)

    def reject(self, connection: str, description: str = "Rejected by a person", *, by: str = "portal", ago: float = 0) -> None:
        """Reject a connection, as a person in the portal would."""
        self.decide(connection, lifecycle.REJECTED, description, by=by, ago=ago)

    def delete_connection(self, connection: str, *, by: str = "portal", ago: float = 0) -> None:
        """Delete a connection on the target's side.

        Raises:
            ArmError: where it does not exist.

        """
        now = self._now(ago)
        found = self.connection(connection, now)
        lifecycle.disconnect(found, now, self.knobs)
        self._emit(found.id, "delete", "DELETE", by, now)

    def put_signalr(  # noqa: PLR0913  the facts of a service
        self,
        arm_id: ResourceId,
        *,
        location: str = "eastus",
        tier: str = "Standard",
        mode: str = "Default",
        upstream: Iterable[JsonObject] = (),
        tags: Mapping[str, str] | None = None,
        public_network_access: str = "Enabled",
        by: str = "requester",
    ) -> None:
        """Create a SignalR service, or replace what a PUT replaces.

        Raises:
            ArmError: where the subscription does not exist.

        """
        now = self.clock.now()
        self.subscription(arm_id.subscription)
        services = self.home(arm_id).services
        service = services.get(shelf_name(arm_id), now)
        if service is None:
            service = Service(
                id=arm_id,
                born=now,
                location=location,
                tier=tier,
                mode=mode,
                upstream=[],
                replicas=(),
                tags={},
                public_network_access=public_network_access,
                provisioning=Timeline(now, lifecycle.CREATING),
            )
            services.add(shelf_name(arm_id), service)
        service.tier, service.mode, service.public_network_access = tier, mode, public_network_access
        service.upstream, service.tags = list(upstream), dict(tags or {})
        service.provisioning.replan(now, (after(now, self.knobs.service_provisioning), lifecycle.SUCCEEDED))
        self._emit(service.id, "write", "PUT", by, now)

    def delete_signalr(self, service: str, *, by: str = "requester") -> None:
        """Delete a SignalR service with its links."""
        now = self.clock.now()
        found = self.service(service, now)
        for link in found.links.all(now):
            lifecycle.delete_link(link, now, self.knobs)
        found.provisioning.replan(now, (now, lifecycle.DELETING))
        found.vanish(after(now, self.knobs.service_provisioning))
        self._emit(found.id, "delete", "DELETE", by, now)

    def put_target(  # noqa: PLR0913  the facts of a site
        self,
        arm_id: ResourceId,
        *,
        plan: str | None = None,
        public_network_access: str | None = None,
        kind: str = "app",
        location: str = "East US",
        by: str = "requester",
    ) -> None:
        """Create a site or a slot, or change its plan (where one is given) and its exposure.

        Raises:
            ArmError: where the subscription, the plan, or a slot's site does not exist.

        """
        now = self.clock.now()
        is_slot = fold(arm_id.type) == fold(SLOT)
        site = self.target(arm_id.parent(), now) if is_slot else None
        known = self.find_target(arm_id, now)
        if known is None:
            self.subscription(arm_id.subscription)
            home = self.home(arm_id)
            found = site.plan if site else self._plan_for(plan, now)
            known = Target(
                id=arm_id,
                born=now,
                plan=found,
                location=location,
                kind=kind,
                public_network_access=public_network_access,
                tags={},
            )
            (site.slots if site else home.sites).add(arm_id.name if site else shelf_name(arm_id), known)
        else:
            known.plan = self._plan_for(plan, now) if plan and not site else known.plan
            known.public_network_access = public_network_access
        self._emit(known.id, "write", "PUT", by, now)

    def delete_target(self, target: str, *, by: str = "requester") -> None:
        """Delete a site with its slots, or a slot, with the connections."""
        now = self.clock.now()
        found = self.target(target, now)
        for part in (found, *found.slots.all(now)):
            for connection in part.connections.all(now):
                lifecycle.disconnect(connection, now, self.knobs)
                connection.vanish(now)
            part.vanish(now)
        self._emit(found.id, "delete", "DELETE", by, now)

    def set_exposure(self, target: str, public_network_access: str | None) -> None:
        """Set ``publicNetworkAccess``: None, ``Enabled`` or ``Disabled``."""
        self.target(target).public_network_access = public_network_access

    def set_tier(self, plan_or_target: str, tier: str) -> None:
        """Move a plan, or the plan of a target, to another tier."""
        arm_id = ResourceId.parse(plan_or_target)
        plan = self.plan(plan_or_target) if fold(arm_id.type) == fold(PLAN) else self.target(plan_or_target).plan
        plan.tier = tier

    def override_link(self, link: str, *, status: str | None = None, provisioning: str | None = None) -> None:
        """Make a link say something from now on, whatever its connection does, until that changes again."""
        now = self.clock.now()
        found = self.link(link, now)
        if status is not None:
            found.status.replan(now, (now, status))
        if provisioning is not None:
            found.provisioning.replan(now, (now, provisioning))

    # What is true

    def genuine(self, connection: str) -> str | None:
        """The link that truly owns a connection, gone or not; None for a stranger's, and for one that never was."""
        return self._owners.get(fold(connection))

    @property
    def approvals(self) -> list[Decision]:
        """Every approval taken, in order."""
        return [decision for decision in self.decisions if decision.status == lifecycle.APPROVED]

    def connections_of(self, link: str) -> tuple[str, ...]:
        """The ids of a link's own connections: the service's first, then its replicas'. They may still be to come."""
        return tuple(str(connection.id) for connection in self.link(link).connections)

    def connection_status(self, connection: str) -> str | None:
        """A connection's status now; None where it does not exist."""
        now = self.clock.now()
        found = self.find_connection(ResourceId.parse(connection), now)
        return found.state.at(now).status if found else None

    def link_status(self, link: str) -> tuple[str, str] | None:
        """A link's own status and provisioningState now; None where it does not exist."""
        now = self.clock.now()
        found = self.find_link(ResourceId.parse(link), now)
        return (found.status.at(now), found.provisioning.at(now)) if found else None

    def effective_public_access(self, target: str) -> str:
        """``Enabled`` or ``Disabled``: null is Enabled until a connection is Approved, and that makes it Disabled."""
        now = self.clock.now()
        found = self.target(target, now)
        if found.public_network_access:
            return found.public_network_access
        approved = any(connection.state.at(now).status == lifecycle.APPROVED for connection in found.connections.all(now))
        return "Disabled" if approved else "Enabled"

    def due_events(self) -> list[Event]:
        """The events that Event Grid has by now."""
        now = self.clock.now()
        return [event for event in self.events if event.at <= now]

    # Inside

    def _now(self, ago: float) -> datetime:
        return self.clock.now() - timedelta(seconds=ago)

    def _plan_for(self, plan: str | None, when: datetime) -> Plan:
        try:
            return self.plan(plan or "", when)
        except ValueError:
            raise bad_request(code="BadRequest", message="The parameter serverFarmId has an invalid value.") from None

    def _reached(self, resource: str, group_id: str, when: datetime) -> Target | bool:
        """The target that a link leads to; True where that is no site and none of this world's, False where it fails."""
        try:
            wanted = ResourceId.parse(resource)
        except ValueError:
            return False
        if fold(wanted.type) not in {fold(SITE), fold(SLOT)}:
            return True
        kind, _, slot = group_id.partition("-")
        if fold(wanted.type) == fold(SLOT):
            fits = fold(slot) == fold(wanted.name)
        else:
            fits = True
            wanted = wanted.child("slots", slot) if slot else wanted
        if fold(kind) != "sites" or not fits:
            return False
        return self.find_target(wanted, when) or False

    def _open_connection(self, link: Link, target: Target, replica: str, when: datetime) -> None:
        knobs = self.knobs
        guid = self.new_guid()
        words = {"link": link.id.name, "signalr": link.service.id.name, "guid": guid, "replica": replica}
        endpoint = ResourceId(
            knobs.endpoint_subscription,
            knobs.endpoint_group,
            "Microsoft.Network",
            (("privateEndpoints", knobs.endpoint_name.format_map(words)),),
        )
        name = knobs.connection_name.format_map(words | {"endpoint": endpoint.name, "guid": self.new_guid()})
        link.connections.append(self._add_connection(target, endpoint, name, link.message or "", link, when))

    def _add_connection(  # noqa: PLR0913, PLR0917  the facts of a connection
        self, target: Target, endpoint: ResourceId, name: str, message: str, link: Link | None, when: datetime
    ) -> Connection:
        self._addresses += 1
        connection = Connection(
            id=target.id.child("privateEndpointConnections", name),
            born=when,
            target=target,
            endpoint=endpoint,
            address=f"10.{self._addresses >> 16 & 255}.{self._addresses >> 8 & 255}.{self._addresses & 255}",
            link=link,
            state=Timeline(when, lifecycle.requested(message)),
        )
        target.connections.add(name, connection)
        self._owners[connection.id.key] = str(link.id) if link else None
        return connection

    def _emit(self, arm_id: ResourceId, verb: str, method: str, by: str, now: datetime) -> None:
        self.events.append(
            Event(
                id=self.new_guid(),
                at=after(now, self.knobs.event_delay),
                resource=str(arm_id),
                subscription=arm_id.subscription,
                group=arm_id.group,
                provider=arm_id.provider,
                operation=operation_name(arm_id, verb),
                method=method,
                correlation=self.new_guid(),
                caller=by,
            )
        )
