"""Messages on the work queue."""

from __future__ import annotations

import json
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.arm_id import ArmId
from shared.core.errors import MessageError
from shared.core.message import LookMessage, PartMessage, decode, encode

GROUP = "/subscriptions/00000000-0000-0000-0000-0000000000a1/resourceGroups/contoso/providers"
SERVICE = ArmId.parse(f"{GROUP}/Microsoft.SignalRService/SignalR/contoso-signalr")
SITE = ArmId.parse(f"{GROUP}/Microsoft.Web/sites/contoso-func")

names = st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters="/?#%&\\"), min_size=1, max_size=40).filter(
    lambda name: name not in {".", ".."}
)
tokens = st.text(st.sampled_from("abcXYZ019-_"), min_size=1, max_size=64)
moments = st.datetimes(timezones=st.just(UTC))


@st.composite
def looks(draw: st.DrawFn) -> LookMessage:
    service = SERVICE.sibling(draw(names))
    site = SITE.sibling(draw(names))
    attempt, correlation = draw(st.integers(1, 1000)), draw(st.none() | tokens)
    since, token = draw(st.none() | moments), draw(st.none() | tokens)
    if draw(st.booleans()):
        return LookMessage(id=service, attempt=attempt, correlation=correlation, since=since, token=token)
    target, via = draw(st.sampled_from([site, site.child("slots", "staging")])), draw(st.none() | st.just(service))
    return LookMessage(id=target, attempt=attempt, via=via, correlation=correlation, since=since, token=token)


parts = st.builds(PartMessage, sweep=tokens, part=st.integers(1, 1000), attempt=st.integers(1, 1000))


@given(message=looks() | parts)
def test_what_is_written_is_read_back(message: LookMessage | PartMessage) -> None:
    """One line of ASCII that says the same."""
    text = encode(message)
    assert text.isascii()
    assert text.isprintable()
    assert decode(text) == message


def test_the_first_message() -> None:
    """Its shape is what other programs may rely on."""
    assert encode(LookMessage(id=SITE)) == '{"v":1,"id":"%s","attempt":1}' % SITE  # noqa: UP031  the braces are JSON's


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": True},
        {"v": None},
        {"id": "junk"},
        {"id": 7},
        {"id": f"{GROUP}/Microsoft.KeyVault/vaults/v"},
        {"attempt": 0},
        {"attempt": 1.5},
        {"attempt": "1"},
        {"attempt": 10**9},
        {"more": 1},
        {"via": str(SITE)},
        {"via": "junk"},
        {"correlation": "a b"},
        {"correlation": "x" * 65},
        {"since": "yesterday"},
        {"since": "2027-01-04T09:00:00"},
        {"token": ""},
        {"part": 1},
        {"sweep": "s"},
    ],
)
def test_anything_else_is_refused(change: dict[str, object]) -> None:
    """Another version, another type, a key that is unknown or missing; and nothing of it is quoted."""
    text = json.dumps({"v": 1, "id": str(SITE), "attempt": 1} | change)
    with pytest.raises(MessageError) as caught:
        decode(text)
    assert "contoso" not in str(caught.value)


def test_a_service_is_not_led_to_by_another() -> None:
    """Only a target has been led to."""
    with pytest.raises(MessageError):
        decode(json.dumps({"v": 1, "id": str(SERVICE), "attempt": 1, "via": str(SERVICE)}))


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "null", '"x"', "{}", "[" * 5000, "9" * 5000, "x" * 100_000, "\ufffd"])
def test_junk_is_refused(text: str) -> None:
    """Quickly, and with an error of ours."""
    with pytest.raises(MessageError):
        decode(text)


@given(text=st.text())
def test_no_text_breaks_it(text: str) -> None:
    """It is refused, or a message."""
    try:
        decode(text)
    except MessageError:
        return
