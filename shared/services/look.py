"""One look at a target: links first, then its connections, then its exposure and tier."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.core.allowlist import Allowlist, Effect
from shared.core.arm_id import ArmId, fold_case
from shared.core.errors import AzureNotFoundError
from shared.core.history import History
from shared.core.model import ConnectionStatus, Target
from shared.core.observation import Observation
from shared.services.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.model import Connection, SignalR, Site
    from shared.ports import Azure, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a look takes into account besides Azure."""

    target: Target
    allowlist: Allowlist | None
    snapshot: Snapshot
    history: History
    subscriptions: Sequence[str]
    via: Sequence[ArmId] = ()
    """Services that are known to lead here, though the snapshot may be older than their links."""

    def services(self) -> list[ArmId]:
        """The services whose links must be read now: allowlisted ones that lead here, and those of open approvals."""
        scanned = set(map(fold_case, self.subscriptions))
        found = {i.incarnation.link.parent for i in self.history.open_intents() if i.incarnation}
        if self.allowlist is not None:
            found |= {service for service in self.via if self.allowlist.knows_service(service)}
            found |= {link.signalr for link in self.snapshot.links_to(self.target) if self.allowlist.knows_service(link.signalr)}
            found |= {
                rule.signalr.id
                for rule in self.allowlist.about_target(self.target)
                if rule.effect is Effect.ALLOW and not rule.signalr.is_wildcard
            }
        return sorted(service for service in found if fold_case(service.subscription) in scanned)


async def look(azure: Azure, scope: Scope) -> Observation:
    """Read what a decision needs: the services of :meth:`Scope.services`, the connections, and the site if one is pending.

    Raises:
        AzureError: where something could not be read.

    """
    services = scope.services()
    found = await asyncio.gather(*(azure.get_signalr(service) for service in services))
    connections = await azure.list_connections(scope.target)
    pending = any(connection.status is ConnectionStatus.PENDING for connection in connections.value or ())
    site = (await azure.get_site(scope.target)).value if pending else None
    if pending and site is None:
        message = f"{scope.target} has connections but is not found itself"
        raise AzureNotFoundError(message, status=404)
    return observe(scope, dict(zip(services, found, strict=True)), connections, site)


def observe(
    scope: Scope,
    services: Mapping[ArmId, Reading[SignalR | None]],
    connections: Reading[tuple[Connection, ...] | None],
    site: Site | None,
) -> Observation:
    """What was read, with the links that the snapshot has of every other service."""
    read = [reading.value for reading in services.values() if reading.value is not None]
    elsewhere = [link for link in scope.snapshot.links_to(scope.target) if link.signalr not in services]
    links = [*elsewhere, *(link for service in read for link in service.links if link.target == scope.target)]
    tiers = {link.signalr: scope.snapshot.services[link.signalr].tier for link in elsewhere}
    started = min((reading.started for reading in services.values()), default=connections.started)
    return Observation(
        target=scope.target,
        links=tuple(sorted(links, key=lambda link: link.id)),
        tiers=tiers | {service.id: service.tier for service in read},
        started=started,
        links_started=min(scope.snapshot.at, started),
        read_at={id_: reading.started for id_, reading in services.items()},
        connections=connections.value or (),
        connections_finished=connections.finished,
        site=site,
        exists=connections.value is not None,
    )
