"""What can be turned: how slow Azure is, how its answers are shaped, and what nobody outside has shown about it.

Times are seconds; ``math.inf`` is never. They may be turned while it runs: what was planned before keeps its time. The
defaults are Azure without its slowness; :meth:`Knobs.recorded` has the durations that were recorded from Azure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from shared.local_azure.ids import Spelling

MICROSOFT_SUBSCRIPTION: Final = "6e3d1b5c-5a7e-4a07-9f5c-000000000a5e"
"""Stands for the subscriptions, owned by Microsoft, that SignalR's endpoints live in."""


class OperationResult(StrEnum):
    """What the URL in Microsoft.Web's ``azure-asyncoperation`` answers; nobody has shown what it really does."""

    STATUS = "status"
    """``{"status": "InProgress" | "Succeeded"}``."""
    RESOURCE = "resource"
    """202 and nothing while it works, then 200 and the connection, which has no ``status`` where pollers look."""
    EMPTY = "empty"
    """202, then 204; nothing else."""


@dataclass(slots=True, kw_only=True)
class Knobs:
    """Everything that can be turned."""

    # How long things take

    link_provisioning: float = 0.0
    """From a link's PUT to its provisioningState Succeeded."""
    link_deleting: float = 0.0
    """How long a deleted link says Deleting before it is gone."""
    link_status_lag: float = 0.0
    """From what happens to a connection to when its link's own status says so."""
    connection_delay: float = 0.0
    """From a link's PUT to when its connection can be read on the target: may be less or more than ``link_provisioning``."""
    approving: float = 0.0
    """How long a connection says Approving after its PUT."""
    rejecting: float = 0.0
    """The same for Rejecting."""
    rejected_provisioning: float = 0.0
    """How long provisioningState stays Pending after the status is Rejected."""
    disconnecting: float = 0.0
    """How long a deleted connection says Disconnecting before it says Disconnected."""
    disconnected_listed: float = 0.0
    """How long a connection is still there as Disconnected before it is gone."""
    disconnect_delay: float = 0.0
    """From a link's DELETE to when its connection hears of it."""
    service_provisioning: float = 0.0
    """How long a SignalR service's PUT or DELETE takes."""
    event_delay: float = 0.0
    """From a write to when Event Grid has its event."""
    stale_lists: float = 0.0
    """How far list answers lag behind; a GET of one resource does not."""
    latency: float = 0.0
    """Of every answer."""
    clock_skew: float = 0.0
    """What Azure's ``Date`` header is ahead (or behind, where negative)."""

    # How answers look

    spelling: Spelling = Spelling.EXACT
    """Of ids."""
    page_size: int = 100
    """Items on a page of a list."""
    list_items_named: bool = True
    """Whether the items of lists have ``name`` and ``type``."""
    link_type_misnamed: bool = False
    """Whether a link's id and type say ``privateEndpointConnections``, as in the specification's examples."""
    link_system_data: bool = True
    """Whether links have ``systemData``."""
    inline_links: bool = True
    """Whether a SignalR service's own body has its links."""
    inline_connections: bool = True
    """Whether a site's own body has its connections."""
    site_sku: bool = True
    """Whether a site's own body has ``properties.sku``."""
    put_answers: int = 202
    """Status of the answer to a decision on a connection: 202 with an operation, or 200 without."""
    site_operation_result: OperationResult = OperationResult.STATUS
    """What that operation's URL answers."""

    # What is not known about Azure

    approved_can_be_rejected: bool = True
    """Whether a PUT Rejected is taken for a connection that is Approved."""
    endpoint_name: str = "{link}"
    """How SignalR names its endpoints: ``{link}``, ``{signalr}``, ``{guid}``, ``{replica}`` ("" for the service itself)."""
    connection_name: str = "{endpoint}-{guid}"
    """How connections are named: ``{endpoint}`` (the endpoint's name), ``{link}``, ``{guid}``."""
    endpoint_subscription: str = MICROSOFT_SUBSCRIPTION
    """Where SignalR's endpoints live."""
    endpoint_group: str = "signalr-spl"
    """The resource group that SignalR's endpoints live in."""

    # Limits

    rate_limited: bool = False
    """Whether reads and writes are limited a subscription and caller, as by ARM."""
    reads_burst: float = 250
    reads_per_second: float = 25
    writes_burst: float = 200
    writes_per_second: float = 10

    @classmethod
    def recorded(cls) -> Self:
        """As slow as Azure was when it was recorded: about 50 s Approving, minutes to provision and for the link to follow."""
        return cls(
            link_provisioning=90.0,
            link_deleting=60.0,
            link_status_lag=120.0,
            connection_delay=45.0,
            approving=50.0,
            rejecting=5.0,
            rejected_provisioning=70.0,
            disconnecting=10.0,
            disconnected_listed=60.0,
            disconnect_delay=10.0,
            service_provisioning=60.0,
        )
