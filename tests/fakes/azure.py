"""A world of SignalR services, links, sites and connections in memory, behind the port ``Azure``.

It answers at once and changes only when told to, or by the writes that are sent to it. The local Azure is the world that
speaks HTTP and has Azure's slowness; this one is for tests of the services alone.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Literal

from shared.core.arm_id import ArmId, fold_case
from shared.core.errors import AzureNotFoundError, AzureUnavailableError, NotPendingError
from shared.core.model import (
    CONNECTION_CHILD,
    PRODUCTION,
    Connection,
    ConnectionStatus,
    Link,
    LinkProvisioning,
    LinkStatus,
    ListedSite,
    SignalR,
    Site,
    Target,
)
from shared.ports import CallCount, Reading

if TYPE_CHECKING:
    from shared.core.errors import AzureError
    from shared.ports import Clock

SUBSCRIPTION = "00000000-0000-0000-0000-0000000000a1"
ENDPOINT_SUBSCRIPTION = "00000000-0000-0000-0000-0000000000e1"

type Operation = Literal[
    "list_signalr", "get_signalr", "list_sites", "get_site", "list_connections", "set_connection", "delete_connection"
]


@dataclass(frozen=True, slots=True)
class Write:
    """A write as it was sent, whatever became of it."""

    at: datetime
    connection: ArmId
    status: str
    """``Approved``, ``Rejected``, or ``Deleted``."""
    description: str


class FakeAzure:
    """The world. Its dicts may be changed by hand; ``add_*`` fill in what a test does not care about."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.services: dict[ArmId, SignalR] = {}
        """Without their links."""
        self.links: dict[ArmId, Link] = {}
        self.sites: dict[Target, Site] = {}
        self.connections: dict[ArmId, Connection] = {}
        self.belongs_to: dict[ArmId, ArmId] = {}
        """Which link a connection truly belongs to: what nobody can read from Azure, so that a test can tell a breach."""
        self.links_follow = True
        """Whether a link's status follows its own connection's at once; False: only by hand (:meth:`set_link`)."""
        self.approving = False
        """Whether an approved connection stays Approving until set by hand (:meth:`set_status`)."""
        self.host_names: dict[Target, tuple[str, ...]] = {}
        """Custom host names, besides each site's default one."""
        self.inline_connections = True
        """Whether the list of sites carries their connections."""
        self.writes: list[Write] = []
        self.lose_write_answers = 0
        """So many writes are done and then answered by a timeout."""
        self.calls = CallCount()
        self._numbers = count(1)
        self._failures: dict[Operation, deque[AzureError]] = defaultdict(deque)

    # What a test builds and changes

    def add_signalr(  # noqa: PLR0913  a test names only what it cares about
        self,
        name: str = "contoso-signalr",
        *,
        group: str = "contoso",
        subscription: str = SUBSCRIPTION,
        tier: str = "Standard",
        mode: str = "Serverless",
        upstream: tuple[str, ...] = (),
    ) -> ArmId:
        service = arm_id(subscription, group, "Microsoft.SignalRService/signalR", name)
        self.services[service] = SignalR(id=service, tier=tier, service_mode=mode, upstream_templates=upstream, links=())
        return service

    def add_site(  # noqa: PLR0913  a test names only what it cares about
        self,
        name: str = "contoso-func",
        *,
        group: str = "contoso",
        subscription: str = SUBSCRIPTION,
        slot: str = PRODUCTION,
        tier: str = "PremiumV3",
        public_network_access: str = "Enabled",
    ) -> Target:
        target = Target.of(arm_id(subscription, group, "Microsoft.Web/sites", name), slot)
        self.sites[target] = Site(target=target, public_network_access=public_network_access, tier=tier)
        return target

    def add_link(  # noqa: PLR0913  a test names only what it cares about
        self,
        signalr: ArmId,
        target: Target,
        name: str = "func-pe",
        *,
        message: str = "please approve",
        status: LinkStatus = LinkStatus.PENDING,
        provisioning: LinkProvisioning = LinkProvisioning.SUCCEEDED,
    ) -> ArmId:
        """A link as it is once made, its connection not included; over one of the same name: made anew."""
        link = signalr.child("sharedPrivateLinkResources", name)
        self.links[link] = Link(
            id=link,
            resource_id=str(target.site),
            group_id=target.group_id,
            request_message=message,
            status=status,
            provisioning=provisioning,
            created_at=self._clock.now(),
        )
        return link

    def add_connection(  # noqa: PLR0913  a test names only what it cares about
        self,
        target: Target,
        endpoint_name: str = "func-pe",
        *,
        message: str = "please approve",
        status: ConnectionStatus = ConnectionStatus.PENDING,
        belongs_to: ArmId | None = None,
        endpoint_subscription: str = ENDPOINT_SUBSCRIPTION,
    ) -> ArmId:
        """A connection; ``belongs_to`` names the link that it truly comes from, None makes it a stranger's."""
        connection = target.id.child(CONNECTION_CHILD, f"{endpoint_name}-{next(self._numbers):08}")
        endpoint = arm_id(endpoint_subscription, "endpoints", "Microsoft.Network/privateEndpoints", endpoint_name)
        self.connections[connection] = Connection(
            id=connection, status=status, status_text=status.value, description=message, endpoint_id=str(endpoint)
        )
        if belongs_to is not None:
            self.belongs_to[connection] = belongs_to
        return connection

    def add_pair(self, signalr: ArmId, target: Target, name: str = "func-pe", *, message: str = "please approve") -> ArmId:
        """A link and its own pending connection, which is returned."""
        link = self.add_link(signalr, target, name, message=message)
        return self.add_connection(target, name, message=message, belongs_to=link)

    def set_link(self, link: ArmId, *, status: LinkStatus | None = None, provisioning: LinkProvisioning | None = None) -> None:
        before = self.links[link]
        self.links[link] = replace(before, status=status or before.status, provisioning=provisioning or before.provisioning)

    def set_status(self, connection: ArmId, status: ConnectionStatus, *, description: str | None = None) -> None:
        """What somebody else decided, or what Azure came to."""
        before = self.connections[connection]
        self.connections[connection] = replace(
            before,
            status=status,
            status_text=status.value,
            description=before.description if description is None else description,
        )
        self._follow(connection, status)

    def fail(self, operation: Operation, *errors: AzureError) -> None:
        """The next calls of ``operation`` raise these, one each; a write that fails so was not done."""
        self._failures[operation].extend(errors)

    def approved(self) -> set[ArmId]:
        """Every connection that is Approved or on its way there."""
        passed = (ConnectionStatus.APPROVED, ConnectionStatus.APPROVING)
        return {connection.id for connection in self.connections.values() if connection.status in passed}

    # The port

    async def list_signalr(self, subscription: str) -> Reading[tuple[SignalR, ...]]:
        self._read("list_signalr", "Microsoft.SignalRService/signalR")
        return self._reading(
            tuple(self._with_links(s) for s in self.services.values() if fold_case(s.id.subscription) == fold_case(subscription))
        )

    async def get_signalr(self, service: ArmId) -> Reading[SignalR | None]:
        self._read("get_signalr", service.type)
        found = self.services.get(service)
        return self._reading(self._with_links(found) if found else None)

    async def get_site(self, target: Target) -> Reading[Site | None]:
        self._read("get_site", target.id.type)
        return self._reading(self.sites.get(target))

    async def list_sites(self, subscription: str) -> Reading[tuple[ListedSite, ...]]:
        self._read("list_sites", "Microsoft.Web/sites")
        return self._reading(
            tuple(
                ListedSite(
                    site=site,
                    host_names=(f"{target.id.name.lower()}.azurewebsites.net", *self.host_names.get(target, ())),
                    connections=tuple(c for c in self.connections.values() if c.target == target)
                    if self.inline_connections
                    else None,
                )
                for target, site in self.sites.items()
                if target.slot is None and fold_case(target.id.subscription) == fold_case(subscription)
            )
        )

    async def list_connections(self, target: Target) -> Reading[tuple[Connection, ...] | None]:
        self._read("list_connections", f"{target.id.type}/{CONNECTION_CHILD}")
        if target not in self.sites:
            return self._reading(None)
        return self._reading(tuple(c for c in self.connections.values() if c.target == target))

    async def set_connection(self, connection: ArmId, status: Literal["Approved", "Rejected"], description: str) -> None:
        self.writes.append(Write(self._clock.now(), connection, status, description))
        self._write("set_connection", "PUT", connection)
        before = self.connections.get(connection)
        if before is None:
            message = f"{connection} does not exist"
            raise AzureNotFoundError(message, status=404, code="NotFound")
        rejecting_approved = status == "Rejected" and before.status is ConnectionStatus.APPROVED
        if before.status is not ConnectionStatus.PENDING and not rejecting_approved:
            code = "PrivateEndpointConnectionStatusNotPending"
            message = f"{connection} is {before.status_text}"
            raise NotPendingError(message, status=409, code=code)
        if status == "Rejected":
            self.set_status(connection, ConnectionStatus.REJECTED, description=description)
        else:
            reached = ConnectionStatus.APPROVING if self.approving else ConnectionStatus.APPROVED
            self.set_status(connection, reached, description=description)
        self._lose_answer()

    async def delete_connection(self, connection: ArmId) -> None:
        self.writes.append(Write(self._clock.now(), connection, "Deleted", ""))
        self._write("delete_connection", "DELETE", connection)
        if self.connections.pop(connection, None) is not None:
            self._follow(connection, ConnectionStatus.DISCONNECTED)
        self._lose_answer()

    # Inside

    def _with_links(self, service: SignalR) -> SignalR:
        return replace(service, links=tuple(link for link in self.links.values() if link.signalr == service.id))

    def _follow(self, connection: ArmId, status: ConnectionStatus) -> None:
        link = self.belongs_to.get(connection)
        followed = {
            ConnectionStatus.APPROVED: LinkStatus.APPROVED,
            ConnectionStatus.REJECTED: LinkStatus.REJECTED,
            ConnectionStatus.DISCONNECTED: LinkStatus.DISCONNECTED,
        }
        if self.links_follow and link in self.links and status in followed:
            self.set_link(link, status=followed[status])

    def _reading[T](self, value: T) -> Reading[T]:
        now = self._clock.now()
        return Reading(value=value, started=now, finished=now)

    def _read(self, operation: Operation, resource_type: str) -> None:
        self.calls.sent(f"GET {resource_type}", is_read=True)
        self._fail(operation)

    def _write(self, operation: Operation, method: str, connection: ArmId) -> None:
        self.calls.sent(f"{method} {connection.type}", is_read=False)
        self._fail(operation)

    def _fail(self, operation: Operation) -> None:
        if self._failures[operation]:
            error = self._failures[operation].popleft()
            if error.status == 429:
                self.calls.refused_for_now()
            raise error

    def _lose_answer(self) -> None:
        if self.lose_write_answers:
            self.lose_write_answers -= 1
            message = "the answer was lost"
            raise AzureUnavailableError(message)


def arm_id(subscription: str, group: str, resource_type: str, name: str) -> ArmId:
    """The id of a top-level resource, ``resource_type`` being its namespace and type."""
    namespace, _, kind = resource_type.partition("/")
    return ArmId(subscription, group, namespace, ((kind, name),))
