"""ARM's JSON: what is read, what is tolerated, and what refuses the whole answer."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.arm_errors import GET, Operation
from shared.adapters.arm_parse import (
    MAX_TEXT,
    bounded,
    distinct,
    parse_connection_page,
    parse_link_page,
    parse_plan_tier,
    parse_signalr,
    parse_signalr_page,
    parse_site,
    without_secrets,
)
from shared.core.arm_id import ArmId
from shared.core.errors import AzureMalformedError
from shared.core.model import (
    SIGNALR_TYPE,
    ConnectionStatus,
    Link,
    LinkProvisioning,
    LinkStatus,
    SignalR,
    Target,
)
from tests.adapters.scripted_arm import CONNECTION, GROUP, PLAN, SERVICE, SITE, SLOT, SLOT_CONNECTION, SUBSCRIPTION, TARGET

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATION = Operation(method=GET, resource_type=SIGNALR_TYPE, subject="the test", subscription=SUBSCRIPTION)
ENDPOINT = (
    "/subscriptions/00000000-0000-0000-0000-0000000000e1/resourceGroups/pe/providers/Microsoft.Network/privateEndpoints/func-pe"
)
CONTRACTS = Path(__file__).parents[3] / "shared" / "contracts"


def link_json(**changes: object) -> dict[str, Any]:
    properties = {
        "groupId": "sites",
        "privateLinkResourceId": str(SITE),
        "requestMessage": "please approve",
        "status": "Pending",
        "provisioningState": "Succeeded",
    }
    return {"id": f"{SERVICE}/sharedPrivateLinkResources/func-pe", "name": "func-pe", "properties": properties} | changes


def service_json(*links: object, **properties: object) -> dict[str, Any]:
    return {
        "id": str(SERVICE),
        "sku": {"name": "Standard_S1", "tier": "Standard"},
        "properties": {
            "features": [{"flag": "EnableLiveTrace", "value": "False"}, {"flag": "ServiceMode", "value": "Serverless"}],
            "upstream": {
                "templates": [{"urlTemplate": "https://contoso-func.azurewebsites.net/runtime/webhooks/signalr?code=SECRET"}]
            },
            "sharedPrivateLinkResources": list(links),
        }
        | properties,
    }


def connection_json(**changes: object) -> dict[str, Any]:
    return {
        "id": str(CONNECTION),
        "properties": {
            "privateEndpoint": {"id": ENDPOINT},
            "privateLinkServiceConnectionState": {
                "status": "Pending",
                "description": "please approve",
                "actionsRequired": "None",
            },
            "provisioningState": "Pending",
        },
    } | changes


def state_json(**state: object) -> dict[str, Any]:
    return connection_json(properties={"privateLinkServiceConnectionState": state})


def service(*links: object, **properties: object) -> SignalR:
    return parse_signalr(OPERATION, json.dumps(service_json(*links, **properties)).encode(), SERVICE).signalr


def link(**changes: object) -> Link:
    return service(link_json(**changes)).links[0]


def connections(*items: object, target: Target = TARGET) -> tuple[Any, ...]:
    return parse_connection_page(OPERATION, json.dumps({"value": items}).encode(), target).items


def site(properties: object, *, target: Target = TARGET) -> Any:  # noqa: ANN401  a pair whose parts the tests compare
    return parse_site(OPERATION, json.dumps({"id": str(target), "properties": properties}).encode(), target)


class TestServices:
    def test_a_service_with_its_links(self) -> None:
        """Tier, mode, templates and links, all in one answer."""
        found = service(link_json())
        assert (found.id, found.tier, found.service_mode) == (SERVICE, "Standard", "Serverless")
        assert found.links == (
            Link(
                id=SERVICE.child("sharedPrivateLinkResources", "func-pe"),
                resource_id=str(SITE),
                group_id="sites",
                request_message="please approve",
                status=LinkStatus.PENDING,
                provisioning=LinkProvisioning.SUCCEEDED,
                created_at=None,
            ),
        )

    def test_an_upstream_template_loses_its_query(self) -> None:
        """It may hold a system key."""
        assert service().upstream_templates == ("https://contoso-func.azurewebsites.net/runtime/webhooks/signalr",)

    @pytest.mark.parametrize("inline", [None, "absent"])
    def test_links_that_are_not_inline_have_to_be_listed(self, inline: object) -> None:
        """No list is not the empty list."""
        body = service_json()
        if inline is None:
            body["properties"]["sharedPrivateLinkResources"] = None
        else:
            del body["properties"]["sharedPrivateLinkResources"]
        assert not parse_signalr(OPERATION, json.dumps(body).encode(), SERVICE).has_links
        assert parse_signalr(OPERATION, json.dumps(service_json()).encode(), SERVICE).has_links

    def test_what_azure_leaves_out_is_empty(self) -> None:
        """Everything but the id is optional, as a member that is absent and as null."""
        for body in ({"id": str(SERVICE)}, {"id": str(SERVICE), "sku": None, "properties": None}):
            found = parse_signalr(OPERATION, json.dumps(body).encode(), SERVICE)
            assert found.signalr == SignalR(id=SERVICE, tier="", service_mode="", upstream_templates=(), links=())

    def test_junk_in_members_that_nobody_reads_is_no_concern(self) -> None:
        """An answer is not refused for a date, a tag or a number of somebody else's."""
        body = service_json(link_json(), publicPort="x", cors=7) | {"tags": [1], "systemData": {"createdAt": "junk"}}
        assert parse_signalr(OPERATION, json.dumps(body).encode(), SERVICE).signalr == service(link_json())

    def test_another_spelling_of_the_id_is_the_same_service(self) -> None:
        """Azure returns ids in mixed case."""
        body = service_json(link_json()) | {"id": str(SERVICE).replace("resourceGroups", "resourcegroups").upper()}
        body["id"] = body["id"].replace("/SUBSCRIPTIONS", "/subscriptions")
        assert parse_signalr(OPERATION, json.dumps(body).encode(), SERVICE).signalr == service(link_json())

    @pytest.mark.parametrize(
        "changes",
        [
            {"id": f"{GROUP}/providers/Microsoft.SignalRService/signalR/another"},
            {"id": f"{GROUP}/providers/Microsoft.SignalRService/webPubSub/contoso-signalr"},
            {"id": "contoso-signalr"},
            {"id": None},
            {"id": str(SERVICE) + "x" * MAX_TEXT},
            {"sku": "Standard"},
            {"properties": []},
        ],
    )
    def test_an_answer_that_is_not_this_service_is_refused(self, changes: dict[str, object]) -> None:
        """Another resource, another type, no id, another shape."""
        with pytest.raises(AzureMalformedError):
            parse_signalr(OPERATION, json.dumps(service_json() | changes).encode(), SERVICE)

    def test_a_listed_service_of_another_subscription_is_refused(self) -> None:
        """It was not asked for, and rules name subscriptions."""
        body = {"value": [service_json() | {"id": str(SERVICE).replace("a1/", "a2/")}]}
        with pytest.raises(AzureMalformedError, match="another subscription"):
            parse_signalr_page(OPERATION, json.dumps(body).encode())


class TestLinks:
    @pytest.mark.parametrize(
        "changes",
        [
            {"id": f"{SERVICE}/privateEndpointConnections/func-pe"},
            {"id": str(SERVICE).lower() + "/sharedprivatelinkresources/func-pe", "name": None},
            {"id": None},
        ],
    )
    def test_the_id_is_made_from_the_service_and_the_name(self, changes: dict[str, object]) -> None:
        """Azure's examples give it another type and omit members; ids come in mixed case."""
        found = link(**changes)
        assert str(found.id).endswith("/sharedPrivateLinkResources/func-pe")
        assert found.signalr == SERVICE

    @pytest.mark.parametrize(
        "changes",
        [
            {"id": None, "name": None},
            {"id": None, "name": ""},
            {"id": None, "name": "a/b"},
            {"id": None, "name": "a/b/c"},
            {"id": None, "name": "x" * MAX_TEXT},
            {"id": str(SERVICE)},
            {"id": f"{SERVICE}-other/sharedPrivateLinkResources/func-pe"},
            {"id": f"{SERVICE}/replicas/west/sharedPrivateLinkResources/func-pe"},
            {"id": 7},
            {"properties": None},
            {"properties": {"groupId": "sites"}},
            {"properties": {"privateLinkResourceId": str(SITE)}},
            {"systemData": {"createdAt": "yesterday"}},
            {"systemData": {"createdAt": 1700000000}},
        ],
    )
    def test_a_link_that_cannot_be_told_refuses_the_answer(self, changes: dict[str, object]) -> None:
        """It might be a rival to a link that can."""
        with pytest.raises(AzureMalformedError):
            link(**changes)

    @pytest.mark.parametrize(
        ("text", "time"),
        [
            ("2026-02-03T04:05:06Z", datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
            ("2026-02-03T04:05:06.1234567Z", datetime(2026, 2, 3, 4, 5, 6, 123456, tzinfo=UTC)),
            ("2026-02-03T06:05:06+02:00", datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
            ("2026-02-03T04:05:06", datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
            (None, None),
        ],
    )
    def test_when_it_was_made(self, text: str | None, time: datetime | None) -> None:
        """In UTC, whatever the zone and the number of digits; optional."""
        assert link(systemData={"createdAt": text}).created_at == time
        assert link(systemData=None).created_at is None

    def test_an_unknown_status_is_unknown(self) -> None:
        """What Azure may say one day is waited on; null too, and case does not matter."""
        properties = link_json()["properties"]
        found = link(properties=properties | {"status": "aPPROVED", "provisioningState": "Dreaming", "requestMessage": None})
        assert (found.status, found.provisioning, found.request_message) == (LinkStatus.APPROVED, LinkProvisioning.UNKNOWN, "")

    def test_two_links_with_one_name_refuse_the_answer(self) -> None:
        """One would hide the other."""
        with pytest.raises(AzureMalformedError, match="listed twice"):
            service(link_json(), link_json(id=f"{SERVICE}/sharedPrivateLinkResources/FUNC-PE"))


class TestConnections:
    def test_a_pending_connection(self) -> None:
        """Status, the requester's message, the endpoint."""
        (found,) = connections(connection_json())
        assert (found.id, found.target) == (CONNECTION, TARGET)
        assert (found.status, found.status_text) == (ConnectionStatus.PENDING, "Pending")
        assert (found.description, found.endpoint_id) == ("please approve", ENDPOINT)

    def test_a_slots_connection(self) -> None:
        """Its id is below the slot, and only there."""
        (found,) = connections(connection_json(id=str(SLOT_CONNECTION)), target=SLOT)
        assert found.target == SLOT
        with pytest.raises(AzureMalformedError):
            connections(connection_json(), target=SLOT)
        with pytest.raises(AzureMalformedError):
            connections(connection_json(id=str(SLOT_CONNECTION)), target=TARGET)

    @pytest.mark.parametrize(
        ("item", "status", "text"),
        [
            (state_json(status="approving"), ConnectionStatus.APPROVING, "approving"),
            (state_json(status="Removed"), ConnectionStatus.UNKNOWN, "Removed"),
            (state_json(status=None), ConnectionStatus.UNKNOWN, ""),
            (state_json(), ConnectionStatus.UNKNOWN, ""),
            (connection_json(properties={}), ConnectionStatus.UNKNOWN, ""),
            (
                connection_json(properties={"privateEndpoint": None, "provisioningState": "Succeeded"}),
                ConnectionStatus.UNKNOWN,
                "",
            ),
        ],
    )
    def test_a_status_that_is_missing_or_new_is_unknown(self, item: object, status: ConnectionStatus, text: str) -> None:
        """And the connection is there all the same: it might be a rival."""
        (found,) = connections(item)
        assert (found.status, found.status_text, found.description, found.endpoint_id) == (status, text, "", "")

    @pytest.mark.parametrize(
        "item",
        [
            connection_json(id=None),
            connection_json(id=7),
            connection_json(id="func-pe-1"),
            connection_json(id=str(SITE)),
            connection_json(id=f"{SITE}-other/privateEndpointConnections/func-pe-1"),
            connection_json(id=f"{SITE}/somethingElse/func-pe-1"),
            connection_json(id=f"{CONNECTION}/deeper/one"),
            connection_json(id=f"{CONNECTION}{'x' * MAX_TEXT}"),
            {"properties": connection_json()["properties"]},
            connection_json(properties=None),
            connection_json(properties=[]),
            state_json(status=7),
            state_json(status={"is": "Pending"}),
            state_json(description=["please approve"]),
            connection_json(properties={"privateEndpoint": ENDPOINT}),
            connection_json(properties={"privateEndpoint": {"id": 7}}),
            None,
            [],
            "func-pe-1",
        ],
    )
    def test_one_connection_that_cannot_be_read_refuses_the_whole_list(self, item: object) -> None:
        """A missed rival is worse than a delay."""
        with pytest.raises(AzureMalformedError):
            connections(connection_json(), item)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            b"{}",
            b'{"value": null}',
            b'{"value": {}}',
            b"<html></html>",
            b'{"value": []',
            b"\xff\xfe",
            b"[" * 99_999,
        ],
    )
    def test_a_list_that_is_none_is_not_empty(self, body: bytes) -> None:
        """Only a list with nothing in it says that there is nothing."""
        with pytest.raises(AzureMalformedError):
            parse_connection_page(OPERATION, body, TARGET)
        assert parse_connection_page(OPERATION, b'\xef\xbb\xbf{"value": []}', TARGET).items == ()

    def test_half_a_surrogate_pair_is_not_text(self) -> None:
        """It could be neither recorded nor hashed."""
        with pytest.raises(AzureMalformedError):
            connections(state_json(description="\ud800"))

    def test_the_refusal_names_the_place_and_not_the_content(self) -> None:
        """So that it can be logged."""
        with pytest.raises(AzureMalformedError) as caught:
            connections(connection_json(), state_json(description={"SECRET": 1}))
        assert "$.value[1].properties.privateLinkServiceConnectionState.description" in str(caught.value)
        assert "SECRET" not in str(caught.value)
        with pytest.raises(AzureMalformedError) as caught:
            connections(connection_json(id="SECRET"))
        assert "$.value[0].id" in str(caught.value)
        assert "SECRET" not in f"{caught.value}{caught.value.__cause__}"

    def test_huge_fields_are_told_by_their_digest(self) -> None:
        """They still compare exactly, and do no harm where they are recorded and shown."""
        huge = "x" * 1_000_000
        (found,) = connections(
            connection_json(
                properties={
                    "privateEndpoint": {"id": huge},
                    "privateLinkServiceConnectionState": {"status": huge, "description": huge + "y"},
                }
            )
        )
        assert found.status is ConnectionStatus.UNKNOWN
        assert found.endpoint_id == found.status_text == bounded(huge) != found.description
        assert all(len(text) < 120 for text in (found.endpoint_id, found.status_text, found.description))


class TestSites:
    @pytest.mark.parametrize(
        ("properties", "access"),
        [
            ({"publicNetworkAccess": "Enabled"}, "Enabled"),
            ({"publicNetworkAccess": "Disabled", "siteConfig": {"publicNetworkAccess": "Enabled"}}, "Disabled"),
            ({"publicNetworkAccess": None, "siteConfig": {"publicNetworkAccess": "Enabled"}}, "Enabled"),
            ({"publicNetworkAccess": "", "siteConfig": {"publicNetworkAccess": "Disabled"}}, "Disabled"),
            ({"publicNetworkAccess": None, "siteConfig": None}, ""),
            ({}, ""),
        ],
    )
    def test_public_network_access(self, properties: dict[str, object], access: str) -> None:
        """The site's own property, else its configuration's; null and "" are the same."""
        found, _ = site(properties)
        assert found.public_network_access == access

    @pytest.mark.parametrize(
        ("properties", "tier", "plan"),
        [
            ({"sku": "PremiumV3", "serverFarmId": PLAN}, "PremiumV3", None),
            ({"sku": None, "serverFarmId": PLAN}, "", PLAN),
            ({"serverFarmId": PLAN.lower().replace("microsoft.web", "Microsoft.Web")}, "", PLAN),
            ({"sku": {"tier": "PremiumV3"}, "serverFarmId": PLAN}, "", PLAN),
            ({"serverFarmId": "junk"}, "", None),
            ({"serverFarmId": str(SITE)}, "", None),
            ({}, "", None),
        ],
    )
    def test_the_tier_is_the_sites_or_its_plans(self, properties: dict[str, object], tier: str, plan: str | None) -> None:
        """The plan is to be asked where the site does not say."""
        found, asked = site(properties)
        assert found.tier == tier
        assert asked == (None if plan is None else ArmId.parse(plan))

    def test_a_plans_tier(self) -> None:
        """Empty where it has none."""
        assert parse_plan_tier(OPERATION, b'{"sku": {"name": "P1", "tier": "Premium"}}') == "Premium"
        assert parse_plan_tier(OPERATION, b'{"sku": null}') == ""

    @pytest.mark.parametrize("body", [{"id": str(SITE)}, {"id": str(SLOT), "properties": {}}, {"properties": {}}, [], None])
    def test_an_answer_that_is_not_this_site_is_refused(self, body: object) -> None:
        """Its exposure would be another one's."""
        with pytest.raises(AzureMalformedError):
            parse_site(OPERATION, json.dumps(body).encode(), TARGET)


class TestTexts:
    @given(st.text(), st.text())
    def test_bounded_texts_compare_as_the_texts_do(self, one: str, other: str) -> None:
        """Whatever their lengths, and even if a text looks like another one's digest."""
        texts = [one, other, one * 1000, other * 1000, bounded(one * 1000), bounded(other * 1000)]
        for left in texts:
            for right in texts:
                assert (bounded(left) == bounded(right)) is (left == right)

    @given(st.text())
    def test_a_bounded_text_is_bounded(self, text: str) -> None:
        """A short one is itself."""
        assert len(bounded(text * 500)) <= MAX_TEXT
        assert bounded("please approve") == "please approve"
        assert bounded(None) == ""

    @pytest.mark.parametrize(
        ("template", "shown"),
        [
            ("https://x.net/api?code=SECRET", "https://x.net/api"),
            ("https://x.net/{hub}/api/{category}/{event}?code=SECRET#SECRET", "https://x.net/{hub}/api/{category}/{event}"),
            ("https://x.net/api#SECRET", "https://x.net/api"),
            ("https://user:SECRET@x.net/api", "https://x.net/api"),
            (
                "https://{@Microsoft.KeyVault(SecretUri=https://v.net/s)}/api",
                "https://{@Microsoft.KeyVault(SecretUri=https://v.net/s)}/api",
            ),
            ("?SECRET", ""),
            ("", ""),
        ],
    )
    def test_a_template_is_kept_without_its_secrets(self, template: str, shown: str) -> None:
        """Its query, its fragment and a user; a reference to a vault is no secret."""
        assert without_secrets(template) == shown

    def test_one_id_twice_is_refused(self) -> None:
        """Whatever its spelling."""
        ids = [CONNECTION, ArmId.parse(str(CONNECTION).replace("contoso-func", "CONTOSO-FUNC"))]
        with pytest.raises(AzureMalformedError, match="listed twice"):
            distinct(OPERATION, ids, lambda found: found)
        assert distinct(OPERATION, ids[:1], lambda found: found) == (CONNECTION,)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([str(SERVICE), str(SITE), str(CONNECTION)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def spoiled(draw: st.DrawFn, *originals: dict[str, Any]) -> bytes:
    """A document of Azure's with some members replaced or removed."""
    document = json.loads(json.dumps(draw(st.sampled_from(originals))))
    for _ in range(draw(st.integers(0, 3))):
        place = document
        while isinstance(place, (dict, list)) and place:
            key = draw(st.sampled_from(sorted(place))) if isinstance(place, dict) else draw(st.integers(0, len(place) - 1))
            if draw(st.booleans()) and isinstance(place[key], (dict, list)):
                place = place[key]
                continue
            if draw(st.booleans()):
                del place[key]
            else:
                place[key] = draw(json_values)
            break
    return json.dumps(document).encode()


SERVICES = {"value": [service_json(link_json(systemData={"createdAt": "2026-02-03T04:05:06Z"}))], "nextLink": "https://next"}
LINKS = {"value": [link_json()]}
CONNECTIONS = {"value": [connection_json()]}
A_SITE = {"id": str(SITE), "properties": {"sku": None, "serverFarmId": PLAN, "siteConfig": {"publicNetworkAccess": None}}}
PARSERS: list[Callable[[bytes], object]] = [
    lambda body: parse_signalr_page(OPERATION, body),
    lambda body: parse_signalr(OPERATION, body, SERVICE),
    lambda body: parse_link_page(OPERATION, body, SERVICE),
    lambda body: parse_connection_page(OPERATION, body, TARGET),
    lambda body: parse_site(OPERATION, body, TARGET),
    lambda body: parse_plan_tier(OPERATION, body),
]


@given(
    body=spoiled(SERVICES, service_json(link_json()), LINKS, CONNECTIONS, A_SITE)
    | st.binary()
    | json_values.map(lambda value: json.dumps(value).encode()),
    parse=st.sampled_from(PARSERS),
)
def test_any_answer_is_a_model_or_malformed(body: bytes, parse: Callable[[bytes], object]) -> None:
    """Nothing else is raised, whatever Azure answers."""
    with suppress(AzureMalformedError):
        parse(body)


@given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()), parse=st.sampled_from(PARSERS))
def test_a_refusal_can_be_logged(body: bytes, parse: Callable[[bytes], object]) -> None:
    """It is one printable line, however long and odd the answer."""
    with pytest.raises(AzureMalformedError) as caught:
        parse(b"[" + body + b"]")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 3000


def example(path: str) -> dict[str, Any]:
    file = CONTRACTS / path
    if not file.exists():
        pytest.skip("Azure's published examples are not beside this checkout")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def body_of(document: dict[str, Any]) -> bytes:
    return json.dumps(document["responses"]["200"]["body"]).encode()


class TestPublishedExamples:
    def test_services_of_a_subscription(self) -> None:
        """It has no inline links."""
        document = example("signalr/2024-03-01_SignalR_ListBySubscription.json")
        operation = Operation(
            method=GET, resource_type=SIGNALR_TYPE, subject="", subscription=document["parameters"]["subscriptionId"]
        )
        (found,) = parse_signalr_page(operation, body_of(document)).items
        assert (found.signalr.tier, found.signalr.service_mode, found.has_links) == ("Premium", "Serverless", False)
        assert found.signalr.upstream_templates == ("http://foo.com",)

    def test_a_service(self) -> None:
        """It has no inline links either."""
        document = example("signalr/2023-02-01_SignalR_Get.json")
        service_id = ArmId.parse(document["responses"]["200"]["body"]["id"])
        found = parse_signalr(OPERATION, body_of(document), service_id)
        assert (found.signalr.id, found.has_links) == (service_id, False)

    def test_links_of_a_service(self) -> None:
        """Azure calls it a private endpoint connection, and it is a link all the same."""
        document = example("signalr/2024-03-01_SignalRSharedPrivateLinkResources_List.json")
        value = document["responses"]["200"]["body"]["value"]
        service_id = ArmId.parse(value[0]["id"]).parent
        (found,) = parse_link_page(OPERATION, body_of(document), service_id).items
        assert (found.name, found.status, found.request_message) == ("upstream", LinkStatus.APPROVED, "Please approve")
        assert found.target is not None

    def test_connections_of_a_site(self) -> None:
        """Items have neither name nor type."""
        document = example("web/2025-05-01_GetSitePrivateEndpointConnectionList.json")
        value = document["responses"]["200"]["body"]["value"]
        target = Target(ArmId.parse(value[0]["id"]).parent)
        (found,) = parse_connection_page(OPERATION, body_of(document), target).items
        assert (found.status, found.description) == (ConnectionStatus.APPROVED, "Approved by admin.")

    def test_a_plan(self) -> None:
        """Its tier."""
        assert parse_plan_tier(OPERATION, body_of(example("web/2025-05-01_GetAppServicePlan.json"))) == "Premium"

    def test_what_azure_answered_while_a_connection_was_approved(self) -> None:
        """Recorded traffic: Pending, Approving for most of a minute, Approved."""
        states = example("web/recorded_2022_connection_lifecycle.json")["approve"]
        target = Target(ArmId.parse(states[0]["body"]["id"]).parent)
        seen = [connections(state["body"], target=target)[0].status for state in states]
        assert seen == sorted(seen, key=["Pending", "Approving", "Approved"].index)
        assert set(seen) == {ConnectionStatus.PENDING, ConnectionStatus.APPROVING, ConnectionStatus.APPROVED}
