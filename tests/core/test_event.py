"""What an event is taken for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.event import Cause, Ignored, RawEvent, read_event

GROUP = "/subscriptions/00000000-0000-0000-0000-0000000000a1/resourceGroups/contoso/providers"
SERVICE = f"{GROUP}/Microsoft.SignalRService/SignalR/contoso-signalr"
SITE = f"{GROUP}/Microsoft.Web/sites/contoso-func"
SLOT = f"{SITE}/slots/staging"
WRITE = "Microsoft.Resources.ResourceWriteSuccess"
DELETE = "Microsoft.Resources.ResourceDeleteSuccess"
CONTRACTS = Path(__file__).parents[3] / "shared" / "contracts" / "eventgrid"


def raw(subject: object, kind: object = WRITE, *, id_: object = "e1", data: object = None) -> RawEvent:
    return RawEvent(id=id_, type=kind, subject=subject, time=datetime(2027, 1, 4, tzinfo=UTC), data=data)


@pytest.mark.parametrize("kind", [WRITE, DELETE])
@pytest.mark.parametrize(
    ("written", "look_at"),
    [
        (f"{SERVICE}/sharedPrivateLinkResources/func-pe", SERVICE),
        (f"{SERVICE.upper()}/SHAREDPRIVATELINKRESOURCES/X", SERVICE),
        (f"{SITE}/privateEndpointConnections/pe", SITE),
        (f"{SLOT}/privateEndpointConnections/pe", SLOT),
    ],
)
def test_links_and_connections_concern_their_parents(written: str, look_at: str, kind: str) -> None:
    """Written or deleted, in whatever case."""
    cause = read_event(raw(written, kind))
    assert isinstance(cause, Cause)
    assert str(cause.subject).casefold() == look_at.casefold()


@pytest.mark.parametrize("gone", [SERVICE, SITE, SLOT])
def test_deletes_of_services_and_targets(gone: str) -> None:
    """A delete is a reason to look, a write is not: they are written for many reasons."""
    assert isinstance(read_event(raw(gone, DELETE)), Cause)
    assert isinstance(read_event(raw(gone, WRITE)), Ignored)


@pytest.mark.parametrize(
    "other",
    [
        f"{GROUP}/Microsoft.KeyVault/vaults/v/privateEndpointConnections/pe",
        f"{GROUP}/Microsoft.SignalRService/webPubSub/w/sharedPrivateLinkResources/l",
        f"{SERVICE}/privateEndpointConnections/pe",
        f"{SITE}/config/web",
        "/subscriptions/00000000-0000-0000-0000-0000000000a1",
        "",
        None,
        7,
        {"a": 1},
    ],
)
def test_anything_else_is_ignored(other: object) -> None:
    """Other providers, other children, and what is no id at all."""
    assert isinstance(read_event(raw(other)), Ignored)


def test_the_datas_uri_counts_before_the_subject() -> None:
    """And the subject where the data has none, or junk."""
    link = f"{SERVICE}/sharedPrivateLinkResources/func-pe"
    assert read_event(raw(SITE, data={"resourceUri": link})) == read_event(raw(link))
    assert read_event(raw(link, data={"resourceUri": 7})) == read_event(raw(link))
    assert read_event(raw(link, data={"resourceUri": "junk"})) == read_event(raw(link))
    assert read_event(raw(link, data=[link])) == read_event(raw(link))


class Untouchable(dict[str, Any]):
    """Complains where anything but the resource's id is read."""

    def get(self, key: str, default: object = None) -> object:
        assert key == "resourceUri"
        return super().get(key, default)

    def __getitem__(self, key: str) -> object:
        raise AssertionError(key)

    def items(self) -> Any:  # noqa: ANN401  a dict's own type
        raise AssertionError

    __iter__ = items


def test_personal_data_is_not_touched() -> None:
    """Claims, authorization and the request are not even looked at."""
    data = Untouchable(
        claims={"name": "Petra"}, authorization={}, httpRequest={}, resourceUri=f"{SITE}/privateEndpointConnections/p"
    )
    assert isinstance(read_event(raw("", data=data)), Cause)


def test_an_events_id_becomes_a_digest() -> None:
    """The same for the same event; nothing that its sender wrote is kept."""
    link = f"{SERVICE}/sharedPrivateLinkResources/func-pe"
    one, again, other = (read_event(raw(link, id_=id_)) for id_ in ("secret-id", "secret-id", "another"))
    assert one.event == again.event != other.event
    assert "secret" not in one.event
    assert len(read_event(raw(link, id_="x" * 10_000_000)).event) == 16


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("resourceUri"), inner),
    max_leaves=10,
)


@given(id_=anything, kind=anything | st.sampled_from([WRITE, DELETE]), subject=anything, data=anything)
def test_it_never_raises(id_: object, kind: object, subject: object, data: object) -> None:
    """Whatever an event holds."""
    assert isinstance(read_event(raw(subject, kind, id_=id_, data=data)), Cause | Ignored)


@pytest.mark.skipif(not CONTRACTS.exists(), reason="Azure's published examples are not beside this repository")
@pytest.mark.parametrize("schema", ["eventgrid", "cloudevents"])
@pytest.mark.parametrize("verb", ["Write", "Delete"])
def test_azures_own_examples(schema: str, verb: str) -> None:
    """With their placeholders filled in by a connection's id, they are reasons to look."""
    (event,) = json.loads((CONTRACTS / f"{schema}_Resource{verb}Success.json").read_text(encoding="utf-8"))
    event["data"]["resourceUri"] = f"{SITE}/privateEndpointConnections/pe"
    kind = event["eventType"] if schema == "eventgrid" else event["type"]
    cause = read_event(RawEvent(id=event["id"], type=kind, subject=event["subject"], time=None, data=event["data"]))
    assert isinstance(cause, Cause)
    assert str(cause.subject) == SITE
