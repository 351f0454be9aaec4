"""How answers can be made to look: all of it is Azure's own inconsistency."""

from __future__ import annotations

from shared.local_azure import Knobs
from shared.local_azure.ids import Spelling
from tests.local_azure.door import Door


def linked(knobs: Knobs | None = None) -> tuple[Door, str]:
    """A door with one link, and the link's id."""
    door = Door(knobs)
    return door, door.world.put_link(door.service, "func-pe", door.site)


def test_ids_come_in_mixed_case() -> None:
    """Another way each time; the same resource whatever the case, and any spelling finds it."""
    door, link = linked(Knobs(spelling=Spelling.MIXED))
    spelt = {door.json("GET", link)["id"] for _ in range(12)}
    assert len(spelt) > 3
    assert {text.lower() for text in spelt} == {link.lower()}
    assert all(door.ask("GET", text).status == 200 for text in spelt)


def test_ids_come_as_in_the_specifications_examples() -> None:
    """``resourcegroups`` and ``SignalR``."""
    door, link = linked(Knobs(spelling=Spelling.DOCUMENTED))
    body = door.json("GET", link)
    assert "/resourcegroups/contoso/providers/Microsoft.SignalRService/SignalR/" in body["id"]
    assert "/resourcegroups/" in body["properties"]["privateLinkResourceId"]


def test_items_of_lists_may_lack_name_and_type() -> None:
    """Those of the lists, and inline in them; a GET of one has both."""
    door, link = linked(Knobs(list_items_named=False))
    subscription = link.partition("/resourceGroups")[0]
    (service,) = door.json("GET", f"{subscription}/providers/Microsoft.SignalRService/signalR")["value"]
    (listed,) = door.json("GET", f"{door.service}/sharedPrivateLinkResources")["value"]
    (inline,) = service["properties"]["sharedPrivateLinkResources"]
    (connection,) = door.json("GET", f"{door.site}/privateEndpointConnections")["value"]
    (site,) = door.json("GET", f"{subscription}/providers/Microsoft.Web/sites")["value"]
    for item in (service, listed, inline, connection, site):
        assert not {"name", "type"} & item.keys()
    for one in (door.service, link, connection["id"], door.site):
        assert {"name", "type"} <= door.json("GET", one).keys()


def test_a_links_id_may_say_the_wrong_type() -> None:
    """As in the examples; the path that is asked for stays the right one."""
    door, link = linked(Knobs(link_type_misnamed=True))
    body = door.json("GET", link)
    assert body["id"].endswith("/privateEndpointConnections/func-pe")
    assert body["type"].endswith("/privateEndpointConnections")


def test_a_links_system_data_is_optional() -> None:
    """With it the time of its creation is known."""
    door, link = linked()
    assert door.json("GET", link)["systemData"]["createdAt"] == "2027-01-04T09:00:00Z"
    door.knobs.link_system_data = False
    assert "systemData" not in door.json("GET", link)


def test_inline_data_is_optional() -> None:
    """Links in services, connections and tier in sites."""
    door, _ = linked()
    site, service = door.json("GET", door.site)["properties"], door.json("GET", door.service)["properties"]
    assert (len(site["privateEndpointConnections"]), site["sku"]) == (1, "PremiumV3")
    assert len(service["sharedPrivateLinkResources"]) == 1
    door.knobs.inline_connections = door.knobs.inline_links = door.knobs.site_sku = False
    site, service = door.json("GET", door.site)["properties"], door.json("GET", door.service)["properties"]
    assert not {"privateEndpointConnections", "sku"} & site.keys()
    assert "sharedPrivateLinkResources" not in service


def test_endpoints_are_named_by_a_template_and_live_with_microsoft() -> None:
    """By default the link's name; the connection's name has a guid at its end."""
    door, link = linked()
    (connection,) = door.json("GET", f"{door.site}/privateEndpointConnections")["value"]
    endpoint = connection["properties"]["privateEndpoint"]["id"]
    assert endpoint.endswith("/providers/Microsoft.Network/privateEndpoints/func-pe")
    assert door.knobs.endpoint_subscription in endpoint
    assert connection["name"].startswith("func-pe-")
    assert len(connection["name"]) == len("func-pe-") + 36
    door.knobs.endpoint_name, door.knobs.connection_name = "{signalr}.{link}", "{link}.{guid}"
    other = door.world.put_link(door.service, "other", door.site)
    (connection_id,) = door.world.connections_of(other)
    assert door.json("GET", connection_id)["properties"]["privateEndpoint"]["id"].endswith("/contoso-signalr.other")
    assert connection_id.rpartition("/")[2].startswith("other.")
    assert link != other


def test_a_strangers_connection_looks_like_any_other() -> None:
    """Only the world knows the difference."""
    door, _ = linked()
    genuine, stranger = (
        door.json("GET", connection)
        for connection in (
            door.world.connections_of(f"{door.service}/sharedPrivateLinkResources/func-pe")[0],
            door.world.request_connection(door.site, "func-pe", "please approve", subscription=door.knobs.endpoint_subscription),
        )
    )
    assert (
        genuine["properties"]["privateLinkServiceConnectionState"] == stranger["properties"]["privateLinkServiceConnectionState"]
    )
    assert [door.world.genuine(body["id"]) is not None for body in (genuine, stranger)] == [True, False]


def test_lists_may_lag_behind() -> None:
    """A list shows what was so many seconds ago; a GET of one resource shows what is."""
    door, link = linked()
    door.clock.advance(100)
    door.knobs.stale_lists = 30
    (connection,) = door.world.connections_of(link)
    door.world.approve(connection)
    new = door.world.request_connection(door.site, "pe")
    (listed,) = door.json("GET", f"{door.site}/privateEndpointConnections")["value"]
    assert listed["properties"]["privateLinkServiceConnectionState"]["status"] == "Pending"
    read = door.json("GET", connection)
    assert read["properties"]["privateLinkServiceConnectionState"]["status"] == "Approved"
    assert door.ask("GET", new).status == 200
    door.clock.advance(30)
    listed = door.json("GET", f"{door.site}/privateEndpointConnections")["value"]
    assert [item["properties"]["privateLinkServiceConnectionState"]["status"] for item in listed] == ["Approved", "Pending"]


def test_crafted_connections_are_served_as_they_are() -> None:
    """Huge and odd descriptions reach the reader unchanged."""
    door = Door()
    texts = ["x" * 100_000, "\x00\x1b[31m\r\n", "=HYPERLINK()", "<script>", "\ud800", "{link}", "\u202e"]
    for number, text in enumerate(texts):
        door.world.request_connection(door.site, f"pe{number}", text)
    listed = door.json("GET", f"{door.site}/privateEndpointConnections")["value"]
    assert {item["properties"]["privateLinkServiceConnectionState"]["description"] for item in listed} == set(texts)
