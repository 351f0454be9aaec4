"""What is taken of a dead letter, and what is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.dead_letter import MAX_EVENTS, read_dead_letters
from shared.core.event import Cause, read_event
from shared.local_azure import ManualClock, World
from shared.local_azure.events import PERSONAL
from tests import dead_letters

if TYPE_CHECKING:
    from shared.local_azure.events import Event


def an_event() -> Event:
    world = World(clock=ManualClock())
    world.put_link(world.add_signalr("signalr"), "link", world.add_site(), "please")
    return world.events[0]


@pytest.mark.parametrize("form", [dead_letters.of_event_grid, dead_letters.of_cloud_events], ids=["Event Grid", "CloudEvents"])
def test_both_schemas_say_what_to_look_at_and_why_they_are_here(form: Any) -> None:  # noqa: ANN401  a function, by a parameter
    """The same as if the event had been delivered; the words that Event Grid adds are kept."""
    event = an_event()
    letters = read_dead_letters(dead_letters.blob(form(event)))
    assert letters is not None
    (letter,) = letters
    assert (letter.reason, letter.outcome) == ("MaxDeliveryAttemptsExceeded", "NotFound")
    cause = read_event(letter.event)
    assert isinstance(cause, Cause)
    assert event.resource.startswith(str(cause.subject))
    assert letter.event.time == event.at


@pytest.mark.parametrize("form", [dead_letters.of_event_grid, dead_letters.of_cloud_events], ids=["Event Grid", "CloudEvents"])
def test_nothing_personal_is_taken(form: Any) -> None:  # noqa: ANN401  a function, by a parameter
    """Claims, authorization and request end with the reading."""
    content = dead_letters.blob(form(an_event()))
    assert all(word in content.decode() for word in PERSONAL)
    taken = repr(read_dead_letters(content))
    assert [word for word in (*PERSONAL, "claims", "authorization", "httpRequest") if word in taken] == []


def test_one_event_without_an_array_is_read_too() -> None:
    """As Microsoft's page shows it for CloudEvents."""
    letters = read_dead_letters(json.dumps(dead_letters.of_cloud_events(an_event())).encode())
    assert letters is not None
    assert len(letters) == 1


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"[]", b"[1]", b'"text"', b"null", b"[" * 100_000, b"\xff\xfe\x00", b"[" + b"1" * 5000 + b"]"]
)
def test_what_is_none_of_event_grids(content: bytes) -> None:
    """Not JSON, no event in it, nested beyond reason."""
    assert read_dead_letters(content) is None


def test_too_many_at_once_are_none() -> None:
    """A bound on what one blob can make of us."""
    assert read_dead_letters(json.dumps([{}] * MAX_EVENTS).encode()) is not None
    assert read_dead_letters(json.dumps([{}] * (MAX_EVENTS + 1)).encode()) is None


@pytest.mark.parametrize("reason", [None, 7, "", "with space", "x" * 41, "line\nbreak", "\u001b[31m", {"a": 1}])
def test_a_reason_that_is_no_word_is_unknown(reason: object) -> None:
    """Whoever may write to the container writes nothing into our log."""
    letters = read_dead_letters(json.dumps([{"deadletterreason": reason, "lastDeliveryOutcome": reason}]).encode())
    assert letters is not None
    assert (letters[0].reason, letters[0].outcome) == ("unknown", "unknown")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_KEYS = ("id", "type", "eventType", "subject", "time", "eventTime", "data", "deadletterreason", "lastDeliveryOutcome")


@given(
    st.binary(max_size=200)
    | st.lists(st.dictionaries(st.sampled_from(_KEYS), _JSON), max_size=3).map(lambda one: json.dumps(one).encode())
)
def test_whatever_lies_there_never_raises(content: bytes) -> None:
    """And what is read is an event that can be judged, of which the data is a resource's id alone."""
    for letter in read_dead_letters(content) or ():
        read_event(letter.event)
        assert isinstance(letter.event.data, dict)
        assert set(letter.event.data) == {"resourceUri"}
