"""The core's values as JSON and back."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.allowlist import IdPattern, Rule
from shared.core.confirm import TakeBackPolicy, Timing
from shared.core.errors import LedgerBrokenError
from shared.core.evidence import Evidence
from shared.core.history import HumanRecord, Intent
from shared.core.ledger import canonical
from shared.core.memory import Looks, Memory
from shared.core.model import ConnectionStatus, LinkStatus, Target
from shared.core.verdict import Mode
from shared.core.wire import from_json, to_identity, to_json
from tests.core.cases import NOW, SERVICE, TARGET, a_connection, a_link, a_rule, an_approval, full_evidence, site_id

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def there_and_back[T](value: T) -> T:
    return from_json(type(value), json.loads(canonical(to_json(value))))


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])))
def test_times_come_back_to_the_microsecond(moment: datetime) -> None:
    """With their offset."""
    looked = Memory(observed_at=moment)
    assert there_and_back(looked) == looked


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3660)))
def test_durations_come_back_to_the_microsecond(duration: timedelta) -> None:
    """As seconds."""
    timing = Timing(deadline=duration, policy=TakeBackPolicy.NEVER, unwritten_after=timedelta(seconds=60))
    assert there_and_back(timing) == timing


@given(st.text())
def test_texts_come_back_as_they_were(text: str) -> None:
    """Whatever a requester wrote: controls, quotes, half surrogates."""
    connection = a_connection(message=text)
    assert there_and_back(connection) == connection


@given(st.dates())
def test_days_come_back(day: date) -> None:
    """A rule's last one."""
    assert there_and_back(a_rule(expires=day)).expires == day


@pytest.mark.parametrize("value", [SERVICE, TARGET, IdPattern(site_id("*")), a_link(), a_connection(), a_rule(), full_evidence()])
def test_values_come_back_spelt_as_they_were(value: object) -> None:
    """An id's case is kept for people, though it does not count."""
    assert to_json(there_and_back(value)) == to_json(value)


def test_a_slot_is_no_site() -> None:
    """The target comes back as what it was."""
    slot = Target.of(site_id(), "staging")
    assert there_and_back(slot).slot == "staging"


# Strict


def with_change(value: object, **changes: Any) -> Any:  # noqa: ANN401  JSON
    found = to_json(value)
    assert isinstance(found, dict)
    return {**found, **changes}


LOOKS = Looks(decision="d", approved=1)
RULE = a_rule(expires=NOW.date())


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Looks, with_change(LOOKS, more=1)),
        (Looks, with_change(LOOKS, approved="1")),
        (Looks, with_change(LOOKS, approved=True)),
        (Looks, with_change(LOOKS, approved=1.0)),
        (Looks, with_change(LOOKS, decision=1)),
        (Looks, {}),
        (Looks, []),
        (Looks, None),
        (Looks, "d"),
        (Rule, with_change(RULE, signed=0)),
        (Rule, with_change(RULE, signed="false")),
        (Rule, with_change(RULE, effect="permit")),
        (Rule, with_change(RULE, slots="production")),
        (Rule, with_change(RULE, slots={"production": 1})),
        (Rule, with_change(RULE, signalr="contoso-signalr")),
        (Rule, with_change(RULE, expires="2027-02-30")),
        (Rule, with_change(RULE, expires=20270101)),
        (Memory, with_change(Memory(), observed_at="2027-01-04T09:00:00")),
        (Memory, with_change(Memory(), observed_at=0)),
        (Memory, with_change(Memory(), read_at=[])),
        (Memory, with_change(Memory(), looks="")),
        (Evidence, with_change(full_evidence(), settle_seconds="30")),
        (Evidence, with_change(full_evidence(), settle_seconds=True)),
        (Evidence, with_change(full_evidence(), target=str(SERVICE))),
        (Evidence, with_change(full_evidence(), mode="shadow")),
        (Intent, with_change(an_approval(a_connection(), a_link()), connection="x")),
    ],
)
def test_what_is_not_the_json_of_a_value_is_refused(kind: type, value: Any) -> None:  # noqa: ANN401  JSON
    """An unknown key, a missing one, another type: never a guess."""
    with pytest.raises(LedgerBrokenError, match=kind.__name__):
        from_json(kind, value)


@given(json_values, st.sampled_from([Evidence, Memory, Intent, Rule, Timing, HumanRecord, LinkStatus, Mode]))
def test_reading_junk_ends_in_one_error_or_in_a_value(value: Any, kind: type) -> None:  # noqa: ANN401  JSON
    """Whatever lies in the store."""
    try:
        read: object = from_json(kind, value)
    except LedgerBrokenError:
        return
    assert isinstance(read, kind)


def test_a_state_keeps_its_name() -> None:
    """An enumeration is written as its value and read as itself."""
    assert to_json(ConnectionStatus.APPROVED) == "Approved"
    assert from_json(ConnectionStatus, "Approved") is ConnectionStatus.APPROVED
    with pytest.raises(LedgerBrokenError):
        from_json(ConnectionStatus, "approved")


# Identity


def test_identity_does_not_depend_on_the_case_of_ids() -> None:
    """And on nothing else."""
    link = a_link()
    shouted = a_link("FUNC-PE", target=Target(type(TARGET.id).parse(str(TARGET.id).upper())))
    assert to_identity(shouted) == to_identity(link)
    assert to_json(shouted) != to_json(link)
    assert to_identity(a_link(message="Please Approve")) != to_identity(link)
    assert to_identity(TARGET) == TARGET.id.key
