"""The local Azure for other threads, other processes, and people."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.local_azure import LOCAL_TOKEN, Knobs, LocalAzure, World
from shared.local_azure.scenarios import estate, how_to


def call(url: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 0, timeout=10)
    try:
        headers = {"Authorization": f"Bearer {LOCAL_TOKEN}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def test_it_serves_from_a_thread_of_its_own() -> None:
    """For callers without an event loop; the URL is gone afterwards."""
    with LocalAzure().in_thread() as azure:
        how_to(azure.world)
        status, body = call(azure.url, "GET", f"{next(azure.world.all_targets()).id}?api-version=2025-05-01")
        assert (status, body["name"]) == (200, "contoso-func")
    with pytest.raises(OSError):  # noqa: PT011  refused, or reset while closing
        call(azure.url, "GET", "/_local/state")


def test_another_process_drives_the_world() -> None:
    """Build, act, see what is true; turn knobs, add faults, move the clock, read events and requests."""
    with LocalAzure(knobs=Knobs(approving=50)).in_thread() as azure:

        def act(action: str, **arguments: object) -> Any:  # noqa: ANN401  whatever the action returns
            status, body = call(azure.url, "POST", f"/_local/world/{action}", arguments)
            assert status == 200, body
            return body["result"]

        service, site = act("add_signalr", name="s"), act("add_site", name="w")
        link = act("put_link", service=service, name="func-pe", target=site)
        stranger = act("request_connection", target=site, endpoint_name="func-pe", message="please approve")
        assert act("genuine", connection=stranger) is None
        (target,) = call(azure.url, "GET", "/_local/state")[1]["targets"]
        (genuine,) = [found["id"] for found in target["connections"] if found["genuine"] == link]
        act("approve", connection=genuine, by="somebody")
        assert azure.world.connection_status(genuine) == "Approving"
        assert call(azure.url, "POST", "/_local/clock", {"advance": 60})[0] == 200
        assert azure.world.connection_status(genuine) == "Approved"
        state = call(azure.url, "GET", "/_local/state")[1]
        assert [(d["connection"], d["link"], d["by"]) for d in state["decisions"]] == [(genuine, link, "somebody")]
        assert [found["status"] for found in state["signalr"][0]["links"]] == ["Approved"]

        assert call(azure.url, "PATCH", "/_local/knobs", {"page_size": 1, "spelling": "mixed"})[0] == 200
        assert (azure.knobs.page_size, azure.knobs.spelling) == (1, "mixed")
        fault = {"kind": "refuse", "status": 503, "code": "X", "method": "GET", "path": "*/sites/w", "times": 1}
        assert call(azure.url, "POST", "/_local/faults", fault)[1]["times"] == 1
        path = f"{site}?api-version=2025-05-01"
        assert [call(azure.url, "GET", path)[0] for _ in range(2)] == [503, 200]
        assert call(azure.url, "GET", "/_local/faults")[1][0]["hits"] == 1
        assert call(azure.url, "DELETE", "/_local/faults")[0] == 200

        requests = call(azure.url, "GET", "/_local/requests")[1]
        assert (requests["counts"], requests["reads"]) == ({"get Microsoft.Web/sites": 2}, 2)
        assert [entry["status"] for entry in requests["latest"]] == [503, 200]
        call(azure.url, "DELETE", "/_local/requests")
        assert azure.requests.entries == []
        for schema, name in (("eventgrid", "eventType"), ("cloudevents", "type")):
            events = call(azure.url, "GET", f"/_local/events?schema={schema}")[1]
            assert [event[name] for event in events] == ["Microsoft.Resources.ResourceWriteSuccess"] * 2


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/_local/nothing", None, 404),
        ("POST", "/_local/world/__init__", {}, 404),
        ("POST", "/_local/world/add_site", {"nome": "x"}, 400),
        ("POST", "/_local/world/approve", {"connection": "not an id"}, 400),
        ("POST", "/_local/world/approve", [], 400),
        ("PATCH", "/_local/knobs", {"no_such_knob": 1}, 400),
        ("PATCH", "/_local/knobs", {"approving": "soon"}, 400),
        ("POST", "/_local/faults", {"kind": "earthquake"}, 400),
        ("POST", "/_local/faults", {"kind": "refuse"}, 400),
        ("POST", "/_local/clock", {"advance": "a lot"}, 400),
    ],
)
def test_what_another_process_gets_wrong_is_said(method: str, path: str, body: object, status: int) -> None:
    """A status and a sentence, never a crash."""
    with LocalAzure().in_thread() as azure:
        answered, said = call(azure.url, method, path, body)
        assert (answered, bool(said["error"]["message"])) == (status, True)


def test_it_runs_by_itself_for_people() -> None:
    """``python -m shared.local_azure`` prints its URL, serves a scenario, and stops when asked to."""
    command = [sys.executable, "-m", "shared.local_azure", "--port", "0", "--scenario", "impostor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            (target,) = call(url, "GET", "/_local/state")[1]["targets"]
            endpoints = sorted(found["privateEndpoint"].rpartition("/")[2] for found in target["connections"])
            assert endpoints == ["func-pe", "func-pe", "stranger-pe"]
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_the_estate_has_the_size_it_was_asked_for() -> None:
    """Links, approved but for the pending ones, over subscriptions; nothing is under way."""
    world = World(knobs=Knobs.recorded())
    made = estate(world, subscriptions=2, services=10, sites=20, linked=8, pending=3)
    assert (len(list(world.all_services())), len(list(world.all_targets()))) == (10, 20)
    assert {world.connection_status(pair.connection) for pair in made.approved} == {"Approved"}
    assert {world.link_status(pair.link) for pair in made.approved} == {("Approved", "Succeeded")}
    assert {world.link_status(pair.link) for pair in made.pending} == {("Pending", "Succeeded")}
    assert (len(made.approved), len(made.pending)) == (5, 3)
