"""What Azure has: SignalR services and their shared private links, sites and their private endpoint connections.

Parsed once at the edge (facts.md "The link and the connection"); nothing inward sees a dict.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Self

from shared.core.arm_id import ArmId, fold_case
from shared.core.errors import InvalidIdError

SIGNALR_TYPE: Final = "Microsoft.SignalRService/signalR"
SITE_TYPE: Final = "Microsoft.Web/sites"
SLOT_TYPE: Final = "Microsoft.Web/sites/slots"
CONNECTION_CHILD: Final = "privateEndpointConnections"
PRODUCTION: Final = "production"
"""App Service's own name for the site itself among its slots."""


class _AzureState(StrEnum):
    """A state that Azure names; what it may name one day reads as UNKNOWN, and unknown is waited on, never acted on."""

    @classmethod
    def read(cls, text: str | None) -> Self:
        """The state that ``text`` names whatever its case; UNKNOWN for None and for anything else."""
        folded = fold_case(text or "")
        return next((state for state in cls if fold_case(state.value) == folded), cls("Unknown"))


class LinkStatus(_AzureState):
    """``properties.status`` of a shared private link."""

    PENDING = "Pending"
    APPROVED = "Approved"
    REJECTED = "Rejected"
    DISCONNECTED = "Disconnected"
    TIMEOUT = "Timeout"
    UNKNOWN = "Unknown"


class LinkProvisioning(_AzureState):
    """``properties.provisioningState`` of a shared private link. Succeeded comes while the status is still Pending."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"
    RUNNING = "Running"
    CREATING = "Creating"
    UPDATING = "Updating"
    DELETING = "Deleting"
    MOVING = "Moving"
    UNKNOWN = "Unknown"


class ConnectionStatus(_AzureState):
    """``privateLinkServiceConnectionState.status``: the truth about a connection; its provisioningState is not."""

    PENDING = "Pending"
    APPROVING = "Approving"
    APPROVED = "Approved"
    REJECTING = "Rejecting"
    REJECTED = "Rejected"
    DISCONNECTING = "Disconnecting"
    DISCONNECTED = "Disconnected"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Target:
    """A site or one of its deployment slots: what a connection leads to."""

    id: ArmId

    def __post_init__(self) -> None:
        if not (self.id.is_type(SITE_TYPE) or self.id.is_type(SLOT_TYPE)):
            message = f"{self.id} is neither a site ({SITE_TYPE}) nor a deployment slot ({SLOT_TYPE})"
            raise InvalidIdError(message)

    @classmethod
    def of(cls, site: ArmId, slot: str | None) -> Self:
        """The target for ``slot`` of ``site``; None and ``production`` are the site itself."""
        if slot is None or fold_case(slot) == fold_case(PRODUCTION):
            return cls(site)
        return cls(site.child("slots", slot))

    @property
    def slot(self) -> str | None:
        """The deployment slot's name, None for the site itself."""
        return self.id.name if self.id.is_type(SLOT_TYPE) else None

    @property
    def site(self) -> ArmId:
        """The site, whichever slot this is."""
        return self.id.parent if self.slot else self.id

    @property
    def group_id(self) -> str:
        """The private link group of this target: ``sites``, or ``sites-<slot>``."""
        return f"sites-{self.slot}" if self.slot else "sites"

    def __str__(self) -> str:
        return str(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A shared private link resource of a SignalR service."""

    id: ArmId
    """``<SignalR id>/sharedPrivateLinkResources/<name>``, made from the parent and the name: examples misname the type."""
    resource_id: str
    """``privateLinkResourceId`` as Azure gave it."""
    group_id: str
    request_message: str
    """"" where Azure has null."""
    status: LinkStatus
    provisioning: LinkProvisioning
    created_at: datetime | None
    """``systemData.createdAt``, None where Azure does not give it."""

    @property
    def signalr(self) -> ArmId:
        """The SignalR service that owns this link."""
        return self.id.parent

    @property
    def name(self) -> str:
        """The link's own name, the last segment of its id."""
        return self.id.name

    @property
    def target(self) -> Target | None:
        """The site or slot that this link leads to; None where it leads to something else, such as a key vault."""
        try:
            # ARM takes a slash at the end for nothing; a link that was made so leads there all the same, and may be a rival.
            resource = ArmId.parse(self.resource_id.removesuffix("/"))
            if resource.is_type(SLOT_TYPE):
                candidate = Target(resource)
            else:
                _, _, slot = self.group_id.partition("-")
                candidate = Target.of(resource, slot or None)
        except InvalidIdError:
            return None
        return candidate if fold_case(candidate.group_id) == fold_case(self.group_id) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalR:
    """A SignalR service with its shared private links."""

    id: ArmId
    tier: str
    """``sku.tier``, such as ``Standard``; "" where Azure gave none."""
    service_mode: str
    """The ``ServiceMode`` feature, such as ``Serverless``; "" where Azure gave none."""
    upstream_templates: tuple[str, ...]
    """``urlTemplate`` of each upstream template, without its query (which may hold a key)."""
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A private endpoint connection of a target."""

    id: ArmId
    status: ConnectionStatus
    status_text: str
    """The status as Azure spelt it."""
    description: str
    """Pending: the requester's message ("" where Azure has null). Later: whatever the approver wrote."""
    endpoint_id: str
    """``privateEndpoint.id`` as Azure gave it, "" where it gave none."""

    @property
    def target(self) -> Target:
        """The site or slot that this connection leads to."""
        return Target(self.id.parent)

    @property
    def endpoint(self) -> ArmId | None:
        """The private endpoint's id, None where Azure gave none or not an id."""
        try:
            return ArmId.parse(self.endpoint_id)
        except InvalidIdError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a target's own GET says about exposure and tier."""

    target: Target
    public_network_access: str
    """``Enabled``, ``Disabled``, or "" for null: enabled until the first private endpoint, then disabled (facts.md)."""
    tier: str
    """The plan's tier, such as ``PremiumV2``; "" where nobody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSite:
    """A site as the list of its subscription shows it."""

    site: Site
    """Its tier is "" where the list does not say it: plans are not asked."""
    host_names: tuple[str, ...]
    """Default and custom ones, lower-case."""
    connections: tuple[Connection, ...] | None
    """Where the list carried them; None where it did not. Good for finding out where to look, never for a decision."""
