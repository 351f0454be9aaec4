"""Who is let in, how often, and what is said to those who are not."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.local_azure import SUBSCRIPTION, Knobs
from tests.local_azure.door import Door

CONNECTION_WRITE = "Microsoft.Web/sites/privateEndpointConnections/write"


def approval() -> object:
    return {"properties": {"privateLinkServiceConnectionState": {"status": "Approved"}}}


def test_without_a_known_token_nothing_is_answered() -> None:
    """401 for no token, and for an unknown one; with the challenge that a client expects."""
    door = Door()
    for token in ("", "guessed"):
        answer = door.ask("GET", door.site, token=token)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert door.ask("GET", door.site).status == 200


def test_other_callers_may_have_tokens_of_their_own() -> None:
    """A decision says whose token it came with."""
    door = Door()
    door.front.tokens["other"] = "a-person"
    connection = door.world.request_connection(door.site, "pe")
    assert door.ask("PUT", connection, approval(), token="other").status == 202
    assert [decision.by for decision in door.world.decisions] == ["a-person"]


def test_every_request_says_its_api_version() -> None:
    """400 where it is missing or is none; its name may have any case."""
    door = Door()
    assert door.code("GET", door.site, query={}) == (400, "MissingApiVersionParameter")
    assert door.code("GET", door.site, query={"api-version": "newest"}) == (400, "InvalidApiVersionParameter")
    assert door.ask("GET", door.site, query={"Api-Version": "2025-05-01"}).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/subscriptions", "/subscriptions/x/resourceGroups/y/providers/Microsoft.Sql/servers"]
)
def test_what_is_not_served_is_not_found(path: str) -> None:
    """404 with a code."""
    assert Door().code("GET", path) == (404, "InvalidResourceType")


def test_a_method_that_is_not_served_is_refused() -> None:
    """405; a list is only ever read."""
    door = Door()
    assert door.code("PATCH", door.site) == (405, "UnsupportedHttpMethod")
    assert door.code("PUT", f"{door.service}/sharedPrivateLinkResources") == (405, "UnsupportedHttpMethod")


_WORDS = st.sampled_from(
    [
        *("subscriptions", SUBSCRIPTION, "resourceGroups", "contoso", "providers", "Microsoft.Web", "microsoft.signalrservice"),
        *("sites", "contoso-func", "slots", "privateEndpointConnections", "pe", "signalR", "contoso-signalr"),
        *("sharedPrivateLinkResources", "serverfarms", "locations", "operationResults", "", "..", "\N{KELVIN SIGN}", "%2F"),
    ]
)
_PATHS = st.one_of(
    st.lists(_WORDS, max_size=12).map(lambda words: "/" + "/".join(words)),
    st.tuples(
        st.sampled_from(["Microsoft.Web/sites/contoso-func", "Microsoft.SignalRService/SignalR/contoso-signalr"]),
        st.lists(_WORDS, max_size=5),
    ).map(lambda parts: "/".join([f"/subscriptions/{SUBSCRIPTION}/resourceGroups/contoso/providers", parts[0], *parts[1]])),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["properties", "privateLinkServiceConnectionState", "status", "groupId", "privateLinkResourceId", "sku"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


@given(
    asked=st.lists(st.tuples(st.sampled_from(["GET", "PUT", "DELETE", "POST"]), _PATHS, _JSON), max_size=8),
    skip_token=st.text(max_size=5),
)
def test_whatever_is_asked_is_answered(asked: list[tuple[str, str, object]], skip_token: str) -> None:
    """In JSON, or without a body; an error has ARM's shape. Nothing that is asked breaks the server."""
    door = Door()
    for method, path, body in asked:
        answer = door.ask(method, path, body, query={"api-version": "2025-05-01", "$skipToken": skip_token})
        told = json.loads(answer.body or b"null")
        assert 200 <= answer.status < 500
        assert answer.status < 400 or set(told["error"]) >= {"code", "message"}


@pytest.mark.parametrize(
    "body", [None, [], "text", {}, {"properties": {}}, {"properties": {"privateLinkServiceConnectionState": {"status": 1}}}]
)
def test_a_decision_that_cannot_be_read_is_refused(body: object) -> None:
    """400, and the connection is still Pending."""
    door = Door()
    connection = door.world.request_connection(door.site, "pe")
    assert door.code("PUT", connection, body) == (400, "InvalidRequestContent")
    assert door.world.connection_status(connection) == "Pending"


def test_only_approved_and_rejected_can_be_decided() -> None:
    """In any case of letters; everything else is 400."""
    door = Door()
    connection = door.world.request_connection(door.site, "pe")
    body = {"properties": {"privateLinkServiceConnectionState": {"status": "Disconnected"}}}
    assert door.code("PUT", connection, body) == (400, "InvalidPrivateLinkServiceConnectionState")
    body["properties"]["privateLinkServiceConnectionState"]["status"] = "approved"
    assert door.ask("PUT", connection, body).status == 202


def test_a_missing_right_is_403_for_this_operation_alone() -> None:
    """AuthorizationFailed names the action; reading still works."""
    door = Door()
    connection = door.world.request_connection(door.site, "pe")
    door.front.faults.deny(CONNECTION_WRITE)
    assert door.code("PUT", connection, approval()) == (403, "AuthorizationFailed")
    assert CONNECTION_WRITE.encode() in door.ask("PUT", connection, approval()).body
    assert door.ask("GET", connection).status == 200
    assert door.world.approvals == []
    door.front.faults.clear()
    assert door.ask("PUT", connection, approval()).status == 202


def test_a_policy_refuses_with_a_code_of_its_own() -> None:
    """RequestDisallowedByPolicy, by a pattern of actions."""
    door = Door()
    connection = door.world.request_connection(door.site, "pe")
    door.front.faults.forbid_by_policy("Microsoft.Web/*")
    assert door.code("PUT", connection, approval()) == (403, "RequestDisallowedByPolicy")
    assert door.world.connection_status(connection) == "Pending"


def test_reads_are_limited_a_subscription_and_caller() -> None:
    """The bucket empties, is refilled every second, and 429 says how long to wait."""
    door = Door(Knobs(rate_limited=True, reads_burst=3, reads_per_second=2, writes_burst=1, writes_per_second=0.1))
    remaining = [door.ask("GET", door.site).headers["x-ms-ratelimit-remaining-subscription-reads"] for _ in range(3)]
    assert remaining == ["2", "1", "0"]
    refused = door.ask("GET", door.site)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    door.clock.advance(0.5)
    assert door.ask("GET", door.site).status == 200
    assert door.ask("GET", door.site).status == 429
    elsewhere = door.world.add_site(subscription=door.world.add_subscription())
    assert door.ask("GET", elsewhere).status == 200
    door.front.tokens["other"] = "other"
    assert door.ask("GET", door.site, token="other").status == 200
    assert door.front.requests.throttled == 2


def test_writes_are_limited_apart_from_reads() -> None:
    """Each has a bucket of its own."""
    door = Door(Knobs(rate_limited=True, writes_burst=1, writes_per_second=0.1))
    first, second = (door.world.request_connection(door.site, "pe") for _ in range(2))
    answer = door.ask("PUT", first, approval())
    assert (answer.status, answer.headers["x-ms-ratelimit-remaining-subscription-writes"]) == (202, "0")
    refused = door.ask("PUT", second, approval())
    assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
    assert door.ask("GET", second).status == 200
    assert door.world.connection_status(second) == "Pending"


def test_arms_own_limits_are_the_default() -> None:
    """Reads 250 and 25 a second, writes 200 and 10 a second, switched off until they are wanted."""
    door = Door()
    knobs = door.knobs
    limits = (knobs.reads_burst, knobs.reads_per_second, knobs.writes_burst, knobs.writes_per_second)
    assert (knobs.rate_limited, limits) == (False, (250, 25, 200, 10))
    assert {door.ask("GET", door.site).status for _ in range(300)} == {200}
    knobs.rate_limited = True
    assert [door.ask("GET", door.site).status for _ in range(251)][-2:] == [200, 429]


def test_the_date_header_is_the_worlds_clock() -> None:
    """With a skew where that is asked for."""
    door = Door()
    assert parsedate_to_datetime(door.ask("GET", door.site).headers["Date"]) == door.clock.now()
    door.knobs.clock_skew = -120
    door.clock.advance(120)
    assert parsedate_to_datetime(door.ask("GET", door.site).headers["Date"]).second == 0
    assert (door.clock.now() - parsedate_to_datetime(door.ask("GET", door.site).headers["Date"])).total_seconds() == 120


def test_every_request_is_logged_without_its_query() -> None:
    """Method, path, status, time, operation; and counted by operation."""
    door = Door()
    door.ask("GET", f"{door.site}/privateEndpointConnections", query={"api-version": "2025-05-01", "$skipToken": ""})
    door.ask("GET", door.site)
    door.ask("GET", door.site, token="guessed")
    log = door.front.requests
    assert [(entry.method, entry.status, entry.at, entry.caller) for entry in log.entries] == [
        ("GET", 200, door.clock.now(), "local"),
        ("GET", 200, door.clock.now(), "local"),
        ("GET", 401, door.clock.now(), ""),
    ]
    assert log.entries[0].path == f"{door.site}/privateEndpointConnections"
    assert log.counts == {"list Microsoft.Web/sites/privateEndpointConnections": 1, "get Microsoft.Web/sites": 2}
    assert (log.reads, log.writes) == (3, 0)
    log.clear()
    assert (log.reads, log.counts) == (0, {})


def test_a_skip_token_that_is_none_is_refused() -> None:
    """400, not a crash."""
    door = Door()
    query = {"api-version": "2025-05-01", "$skipToken": "\N{SNOWMAN}"}
    assert door.code("GET", f"{door.site}/privateEndpointConnections", query=query) == (400, "InvalidSkipToken")
