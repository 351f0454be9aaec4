"""How links and connections come, change and go: every step and its time, planned when somebody acts.

A connection lives as it was recorded from Azure: Pending; Approving (provisioningState still Pending) for a while after the
PUT; Approved, Succeeded, with the endpoint's address. Its link's own status follows later, by ``link_status_lag``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shared.local_azure.arm_error import bad_request, connection_not_pending
from shared.local_azure.clock import NEVER, after
from shared.local_azure.ids import fold
from shared.local_azure.resources import ConnectionState

if TYPE_CHECKING:
    from datetime import datetime

    from shared.local_azure.knobs import Knobs
    from shared.local_azure.resources import Connection, Link

SUCCEEDED: Final = "Succeeded"
CREATING: Final = "Creating"
DELETING: Final = "Deleting"
FAILED: Final = "Failed"
PENDING: Final = "Pending"
APPROVED: Final = "Approved"
REJECTED: Final = "Rejected"
DISCONNECTED: Final = "Disconnected"


def requested(description: str) -> ConnectionState:
    """A connection that nobody has decided on."""
    return ConnectionState(status=PENDING, description=description, provisioning=PENDING)


def decide(connection: Connection, status: str, description: str | None, now: datetime, knobs: Knobs) -> str:
    """Approve or reject, as the PUT does, and return the status decided on. The description is replaced, by "" if none is given.

    Raises:
        ArmError: 400 for another status; 409 where it is not Pending (an Approved one may be rejected if the knob says so).

    """
    wanted = next((known for known in (APPROVED, REJECTED) if fold(known) == fold(status)), None)
    if wanted is None:
        code = "InvalidPrivateLinkServiceConnectionState"
        raise bad_request(code=code, message=f"The status '{status[:100]}' is not one of 'Approved', 'Rejected'.")
    state = connection.state.at(now)
    may_take_back = wanted == REJECTED and state.status == APPROVED and knobs.approved_can_be_rejected
    if state.status != PENDING and not may_take_back:
        raise connection_not_pending(connection.id.name, state.status)
    text = description or ""
    undecided = ConnectionState(status="Approving", description=text, provisioning=PENDING)
    if wanted == APPROVED:
        done = after(now, knobs.approving)
        steps = [(now, undecided), (done, _approved(text, connection.address))]
    else:
        done = after(now, knobs.rejecting)
        rejected = replace(undecided, status=REJECTED)
        steps = [
            (now, replace(undecided, status="Rejecting")),
            (done, rejected),
            (after(done, knobs.rejected_provisioning), replace(rejected, provisioning=SUCCEEDED)),
        ]
    connection.state.replan(now, *steps)
    _link_hears(connection, wanted, now, done, knobs)
    if connection.endpoint_gone < NEVER:
        _plan_disconnect(connection, knobs)
    return wanted


def approved_at_once(connection: Connection, now: datetime, knobs: Knobs) -> None:
    """What a requester gets who holds the approval action on the target: nobody is asked."""
    connection.state.replan(now, (now, _approved(connection.state.at(now).description, connection.address)))
    _link_hears(connection, APPROVED, now, now, knobs)


def disconnect(connection: Connection, when: datetime, knobs: Knobs) -> None:
    """Its endpoint goes, or somebody deletes it, at ``when``, now or later, unless it is going already.

    It is listed as Disconnected for a while before it is gone. Until ``when`` it can be decided on as ever. Deleting one that
    is Disconnected already removes it at once.
    """
    if when < connection.endpoint_gone:
        connection.endpoint_gone = when
        _plan_disconnect(connection, knobs)
    elif connection.state.at(when).status == DISCONNECTED:
        connection.vanish(when)


def _plan_disconnect(connection: Connection, knobs: Knobs) -> None:
    when = connection.endpoint_gone
    done = after(when, knobs.disconnecting)
    description = connection.state.at(when).description
    disconnected = ConnectionState(status=DISCONNECTED, description=description, provisioning=SUCCEEDED)
    disconnecting = replace(disconnected, status="Disconnecting", provisioning=DELETING)
    connection.state.replan(when, (when, disconnecting), (done, disconnected))
    connection.vanish(after(done, knobs.disconnected_listed))
    _link_hears(connection, DISCONNECTED, when, done, knobs)


def delete_link(link: Link, now: datetime, knobs: Knobs) -> datetime:
    """Take a link away, with the endpoints it opened; returns when it is gone."""
    link.provisioning.replan(now, (now, DELETING))
    link.vanish(after(now, knobs.link_deleting))
    heard = after(now, knobs.disconnect_delay)
    for connection in link.connections:
        if connection.born > now and connection.born >= heard:
            connection.vanish(heard)
        elif heard < connection.endpoint_gone:
            disconnect(connection, heard, knobs)
    return link.gone


def _approved(description: str, address: str) -> ConnectionState:
    return ConnectionState(status=APPROVED, description=description, provisioning=SUCCEEDED, ip_addresses=(address,))


def _link_hears(connection: Connection, status: str, now: datetime, done: datetime, knobs: Knobs) -> None:
    """The link's own status is its service's connection's, a while ago; a replica's connection has no say in it."""
    link = connection.link
    if link is not None and link.connections and link.connections[0] is connection:
        link.status.replan(after(now, knobs.link_status_lag), (after(done, knobs.link_status_lag), status))
