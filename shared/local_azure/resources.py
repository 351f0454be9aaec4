"""What exists: services, links, plans, targets, connections. Each knows when it comes and goes."""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from shared.local_azure.clock import NEVER
from shared.local_azure.ids import ResourceId, fold
from shared.local_azure.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator


type JsonObject = dict[str, object]


@dataclass(slots=True, kw_only=True, eq=False)
class Resource:
    """Anything with an id and a time to live."""

    id: ResourceId
    born: datetime
    gone: datetime = NEVER

    def exists(self, when: datetime) -> bool:
        """Whether it can be read at ``when``."""
        return self.born <= when < self.gone

    def vanish(self, at: datetime) -> None:
        """It is gone from ``at`` on; what would only have come later never comes."""
        self.gone = min(self.gone, at)


class Shelf[R: Resource]:
    """Resources of one type and parent by name, each name with all its incarnations, in the order of their names."""

    __slots__ = ("_by_name", "_names")

    def __init__(self) -> None:
        self._by_name: dict[str, list[R]] = {}
        self._names: list[str] = []

    def add(self, name: str, resource: R) -> None:
        """Put a new incarnation of ``name`` here."""
        name = fold(name)
        if name not in self._by_name:
            self._by_name[name] = []
            insort(self._names, name)
        self._by_name[name].append(resource)

    def get(self, name: str, when: datetime) -> R | None:
        """What has that name at ``when``, whatever the case."""
        return self._alive(fold(name), when)

    def all(self, when: datetime) -> Iterator[R]:
        """Everything that exists at ``when``, by name."""
        for name in self._names:
            if resource := self._alive(name, when):
                yield resource

    def page(self, when: datetime, *, after: str, size: int, prefix: str = "") -> tuple[list[R], str | None]:
        """The next ``size`` at ``when`` whose names start with ``prefix``, and after which name to go on (None at the end)."""
        prefix = fold(prefix)
        found: list[R] = []
        last = ""
        start = bisect_right(self._names, max(fold(after), prefix))
        for index in range(start, len(self._names)):
            name = self._names[index]
            if not name.startswith(prefix):
                break
            if resource := self._alive(name, when):
                if len(found) == size:
                    return found, last
                found.append(resource)
                last = name
        return found, None

    def _alive(self, name: str, when: datetime) -> R | None:
        for resource in reversed(self._by_name.get(name, ())):
            if resource.exists(when):
                return resource
        return None


@dataclass(slots=True, kw_only=True, eq=False)
class Service(Resource):
    """A SignalR service."""

    location: str
    tier: str
    mode: str
    """The value of the ``ServiceMode`` feature."""
    upstream: list[JsonObject]
    """``properties.upstream.templates``."""
    replicas: tuple[str, ...]
    """Names of its geo-replicas, each of which opens a connection of its own for every link."""
    tags: dict[str, str]
    public_network_access: str
    provisioning: Timeline[str]
    links: Shelf[Link] = field(default_factory=Shelf)


@dataclass(slots=True, kw_only=True, eq=False)
class Link(Resource):
    """A shared private link resource of a SignalR service."""

    service: Service
    group_id: str
    resource_id: str
    """``privateLinkResourceId`` as the requester wrote it."""
    message: str | None
    modified: datetime
    provisioning: Timeline[str]
    status: Timeline[str]
    connections: list[Connection] = field(default_factory=list)
    """Those that are truly its own; the first is the service's, the rest are its replicas'."""


@dataclass(slots=True, kw_only=True, eq=False)
class Plan(Resource):
    """An App Service plan."""

    location: str
    tier: str


@dataclass(slots=True, kw_only=True, eq=False)
class Target(Resource):
    """A site or one of its deployment slots."""

    plan: Plan
    location: str
    kind: str
    public_network_access: str | None
    tags: dict[str, str]
    host_names: tuple[str, ...] = ()
    """Custom ones, besides the default."""
    connections: Shelf[Connection] = field(default_factory=Shelf)
    slots: Shelf[Target] = field(default_factory=Shelf)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionState:
    """What a connection says of itself at a moment."""

    status: str
    description: str
    provisioning: str
    ip_addresses: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True, eq=False)
class Connection(Resource):
    """A private endpoint connection of a target."""

    target: Target
    endpoint: ResourceId
    address: str
    """The endpoint's private address, shown once it is approved."""
    link: Link | None
    """The link it truly belongs to; None for a stranger's."""
    state: Timeline[ConnectionState]
    endpoint_gone: datetime = NEVER
    """When its endpoint goes, or somebody deletes it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Subscription:
    """What a subscription holds; names are ``<resource group>/<name>``."""

    id: str
    groups: dict[str, str] = field(default_factory=dict)
    services: Shelf[Service] = field(default_factory=Shelf)
    plans: Shelf[Plan] = field(default_factory=Shelf)
    sites: Shelf[Target] = field(default_factory=Shelf)
