"""Event Grid is asked for exactly the events that the code makes something of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from shared.core import event
from shared.core.arm_id import fold_case
from shared.core.event import Cause, RawEvent, Verb, read_event
from tests.infra import bicep
from tests.infra.bicep import INFRA

if TYPE_CHECKING:
    from tree_sitter import Node

MODULE: Final = "modules/event-subscription.bicep"
OPERATIONS: Final = json.loads((INFRA / "operations.json").read_text())
_KINDS: Final = {*event._OF_PARENT, *event._DELETED}  # what the code knows
_OTHERS: Final = {"MICROSOFT.WEB/SITES/CONFIG", "MICROSOFT.WEB/SERVERFARMS", "MICROSOFT.SIGNALRSERVICE/WEBPUBSUB"}


def is_handled(kind: str, verb: Verb) -> bool:
    provider, *types = kind.split("/")
    path = "/".join(f"{one}/name" for one in types)
    subject = f"/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/group/providers/{provider}/{path}"
    raw = RawEvent(id="1", type=verb.value, subject=subject, time=None, data={"resourceUri": subject})
    return isinstance(read_event(raw), Cause)


def test_the_filter_lets_through_what_the_code_handles_and_nothing_else() -> None:
    """Operation by operation: a write or a delete of each type that the code knows, and of some that it does not."""
    verbs = {Verb.WRITE: "write", Verb.DELETE: "delete"}
    handled = {fold_case(f"{kind}/{name}") for kind in _KINDS | _OTHERS for verb, name in verbs.items() if is_handled(kind, verb)}
    assert {fold_case(operation) for operation in OPERATIONS} == handled
    # Event Grid takes at most 25 values in a filter.
    assert len(OPERATIONS) == len(set(OPERATIONS)) <= 25


def subscription(*names: str) -> Node:
    node = bicep.property_of(bicep.file(MODULE).resources["events"].node, "properties", *names)
    assert node is not None
    return node


def test_the_types_of_event_are_those_that_the_code_knows() -> None:
    """Successful writes and deletes; never the action events, which are many."""
    assert set(bicep.strings(subscription("filter", "includedEventTypes"))) == {verb.value for verb in Verb}


def test_the_filter_looks_at_the_operation() -> None:
    """The advanced filter's key, and the list that it reads in."""
    (filter_text,) = [bicep.text(subscription("filter", "advancedFilters"))]
    assert "key: 'data.operationName'" in filter_text
    assert "operatorType: 'StringIn'" in filter_text
    assert "values: loadJsonContent('../operations.json')" in filter_text


def test_events_lead_to_the_function_and_none_is_lost_silently() -> None:
    """Endpoint type AzureFunction, which needs no key; retries for a day; then the dead letters' container, as itself."""
    assert bicep.strings(subscription("destination", "endpointType")) == ["AzureFunction"]
    assert bicep.text(subscription("retryPolicy", "maxDeliveryAttempts")) == "30"
    assert bicep.text(subscription("retryPolicy", "eventTimeToLiveInMinutes")) == "1440"
    assert bicep.text(subscription("deadLetterWithResourceIdentity")) == "deadLetters == 'identity' ? byIdentity : null"
    assert bicep.text(subscription("deadLetterDestination")) == "deadLetters == 'service' ? destination : null"
    assert "StorageBlob" in bicep.strings(bicep.file(MODULE).variables["destination"])
    main = (INFRA / "events.bicep").read_text()
    assert "/functions/on_resource_write'" in main
    assert "param deadLetters string = 'identity'" in main


def test_two_deployments_can_watch_one_subscription() -> None:
    """Azure allows one topic, and any number of event subscriptions on it: each deployment's is named after its app."""
    file = bicep.file("events.bicep")
    assert "name: 'linkguard-${token}'" in bicep.text(file.modules["events"].node)
    assert "appId" in bicep.text(file.variables["token"])
    assert bicep.text(bicep.properties(bicep.file(MODULE).resources["events"].node)["name"]) == "name"


def test_the_topic_is_of_the_watched_subscription() -> None:
    """What Azure tells of the whole subscription that the file is deployed into; global; with an identity where one is wanted."""
    made = bicep.file("modules/system-topic.bicep").resources["made"].node
    for path, value in (
        (["location"], "'global'"),
        (["identity", "type"], "hasIdentity ? 'SystemAssigned' : 'None'"),
        (["properties", "source"], "subscription().id"),
        (["properties", "topicType"], "'Microsoft.Resources.Subscriptions'"),
    ):
        node = bicep.property_of(made, *path)
        assert node is not None, path
        assert bicep.text(node) == value
    events = bicep.file("events.bicep").modules
    assert "hasIdentity: deadLetters == 'identity'" in bicep.text(events["topic"].node)
    assert "= if (deadLetters == 'identity')" in bicep.text(events["writesDeadLetters"].node)


def test_a_topic_that_is_there_already_is_left_as_it_is() -> None:
    """Others have subscriptions on it: nothing is written to it but ours."""
    topics = bicep.file("modules/system-topic.bicep").resources
    assert topics["found"].existing
    assert "if (!isThere)" in bicep.text(topics["made"].node)
