"""The events that ARM would emit."""

from __future__ import annotations

import json

import pytest

from shared.local_azure import Knobs, ManualClock, World
from shared.local_azure.arm_error import ArmError
from shared.local_azure.events import PERSONAL


def test_every_write_and_delete_that_was_taken_emits_one_event() -> None:
    """A link's PUT in the service's subscription; a decision and a deletion in the site's; nothing for what was refused."""
    world = World(clock=ManualClock())
    home = world.add_subscription()
    service, site = world.add_signalr(), world.add_site(subscription=home)
    link = world.put_link(service, "func-pe", site)
    (connection,) = world.connections_of(link)
    world.approve(connection)
    with pytest.raises(ArmError):
        world.approve(connection)
    world.delete_connection(connection)
    world.delete_link(link)
    spl, pec = "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources", "Microsoft.Web/sites/privateEndpointConnections"
    assert [(event.operation, event.resource, event.subscription) for event in world.events] == [
        (f"{spl}/write", link, service.split("/")[2]),
        (f"{pec}/write", connection, home),
        (f"{pec}/delete", connection, home),
        (f"{spl}/delete", link, service.split("/")[2]),
    ]


def test_a_strangers_request_emits_nothing() -> None:
    """Azure opens connections through proxies of its own; what a requester does elsewhere is not seen here."""
    world = World(clock=ManualClock())
    connection = world.request_connection(world.add_site(), "pe", "please approve")
    world.withdraw_connection(connection)
    assert world.events == []


def test_an_event_may_be_late() -> None:
    """It is due after its delay, not before."""
    clock = ManualClock()
    world = World(clock=clock, knobs=Knobs(event_delay=30))
    world.put_link(world.add_signalr(), "func-pe", world.add_site())
    assert world.due_events() == []
    clock.advance(30)
    assert [event.type for event in world.due_events()] == ["Microsoft.Resources.ResourceWriteSuccess"]


def test_every_event_holds_personal_data_to_be_left_alone() -> None:
    """A test of whoever reads events can look for it."""
    world = World(clock=ManualClock())
    world.put_link(world.add_signalr(), "func-pe", world.add_site())
    for event in (world.events[0].event_grid(), world.events[0].cloud_event()):
        text = json.dumps(event)
        assert all(word in text for word in PERSONAL)
