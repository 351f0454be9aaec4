"""The hash chain, canonical JSON, and records as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.core.errors import LedgerBrokenError
from shared.core.ledger import (
    EMPTY,
    ChainCheck,
    ChainFault,
    Entry,
    Head,
    Json,
    JsonObject,
    Record,
    RecordKind,
    canonical,
    digest,
    record_hash,
    seal,
    verify_chain,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

CHAIN = "/subscriptions/00000000-0000-0000-0000-0000000000a1/resourceGroups/contoso/providers/Microsoft.Web/sites/contoso-func"

any_text = st.text(st.characters(codec=None), max_size=8)
any_json: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
any_object: st.SearchStrategy[JsonObject] = st.dictionaries(any_text, any_json, max_size=3)
any_time = st.datetimes(timezones=st.just(UTC))
any_entry = st.builds(
    Entry,
    chain=st.just(CHAIN),
    id=any_text,
    kind=st.sampled_from(RecordKind),
    at=any_time,
    body=any_object,
    inputs=st.none() | any_object,
)


def make_chain(entries: list[Entry]) -> list[Record]:
    records: list[Record] = []
    for entry in entries:
        records.append(seal(entry, records[-1].head if records else EMPTY))
    return records


any_chain = st.lists(any_entry, min_size=1, max_size=5, unique_by=lambda entry: entry.id).map(make_chain)


def faults(records: list[Record], head: Head, *, with_inputs: bool = True) -> list[ChainFault]:
    return list(verify_chain(CHAIN, records, head, with_inputs=with_inputs))


def without_inputs(record: Record) -> Record:
    return replace(record, entry=replace(record.entry, inputs=None))


# The chain


def test_the_hash_is_what_it_always_was() -> None:
    """A record sealed by an earlier version must verify for ever: the hash of a given record never changes."""
    entry = Entry(
        chain=CHAIN,
        id="4f0c",
        kind=RecordKind.INTENT,
        at=datetime(2027, 1, 4, 9, 0, 0, 5, tzinfo=UTC),
        body={"rule": "contoso-upstream", "message": "please approve ü \ud800"},
        inputs={"links": [1, 2.5, None, True], "a": {}},
    )
    record = seal(entry, Head(sequence=6, hash="ab" * 32))
    assert record.inputs_digest == "b06855f1bbecaf4ea020445e1a98f70bd52acb03531667442b47bf656a28a853"
    assert record.hash == "d075b5400616dc43917fb14b467e47dc8696a49382460f5e6bd7f67d37d9771b"


@given(any_chain)
def test_a_sound_chain_has_no_fault(records: list[Record]) -> None:
    """Whatever the records say, sealed one after the other they verify, with their inputs and without."""
    assert faults(records, records[-1].head) == []
    assert faults([without_inputs(record) for record in records], records[-1].head, with_inputs=False) == []


def test_an_empty_chain_has_no_fault() -> None:
    """No records and the empty head agree."""
    assert faults([], EMPTY) == []


FORGERIES: dict[str, Callable[[Record, str], Record]] = {
    "chain": lambda record, text: replace(record, entry=replace(record.entry, chain=text)),
    "id": lambda record, text: replace(record, entry=replace(record.entry, id=text)),
    "at": lambda record, _: replace(record, entry=replace(record.entry, at=record.entry.at.replace(microsecond=7))),
    "body": lambda record, text: replace(record, entry=replace(record.entry, body={**record.entry.body, "x": text})),
    "inputs": lambda record, text: replace(record, entry=replace(record.entry, inputs={"x": text})),
    "no inputs": lambda record, _: without_inputs(record),
    "inputs digest": lambda record, text: replace(record, inputs_digest=text),
    "no inputs digest": lambda record, _: replace(record, inputs_digest=None),
    "previous": lambda record, text: replace(record, previous=text),
    "hash": lambda record, text: replace(record, hash=text),
    "sequence": lambda record, _: replace(record, sequence=record.sequence + 1),
    "kind": lambda record, _: replace(
        record, entry=replace(record.entry, kind=next(kind for kind in RecordKind if kind is not record.entry.kind))
    ),
}


@given(any_chain, st.data())
def test_any_change_of_a_record_is_found(records: list[Record], data: st.DataObject) -> None:
    """Changing any one field of any one record is a fault, and naming the place is right."""
    place = data.draw(st.integers(0, len(records) - 1))
    forge = FORGERIES[data.draw(st.sampled_from(sorted(FORGERIES)))]
    forged = forge(records[place], data.draw(any_text))
    assume(forged != records[place])
    head = records[-1].head
    found = faults([*records[:place], forged, *records[place + 1 :]], head)
    assert found
    assert min(fault.sequence for fault in found) in (place + 1, place + 2)


@given(any_chain, st.data())
def test_a_change_sealed_anew_is_found_by_the_next_record_or_the_head(records: list[Record], data: st.DataObject) -> None:
    """Whoever can compute hashes must rewrite everything after the change, the head included."""
    place = data.draw(st.integers(0, len(records) - 1))
    old = records[place]
    changed = replace(old.entry, body={**old.entry.body, "changed": data.draw(any_text)})
    forged = seal(changed, Head(sequence=old.sequence - 1, hash=old.previous))
    assume(forged != old)
    assert faults([*records[:place], forged, *records[place + 1 :]], records[-1].head)


@given(any_chain, st.data())
def test_a_missing_record_is_found(records: list[Record], data: st.DataObject) -> None:
    """Removing any record is a fault at its place, the last one's included."""
    place = data.draw(st.integers(0, len(records) - 1))
    found = faults([*records[:place], *records[place + 1 :]], records[-1].head)
    assert found[0].sequence == place + 1


@given(any_chain, st.data())
def test_a_repeated_record_is_found(records: list[Record], data: st.DataObject) -> None:
    """The same record twice, anywhere, is a fault."""
    place = data.draw(st.integers(0, len(records) - 1))
    again = data.draw(st.integers(0, len(records)))
    assert faults([*records[:again], records[place], *records[again:]], records[-1].head)


@given(any_chain, st.data())
def test_two_records_swapped_are_found(records: list[Record], data: st.DataObject) -> None:
    """Another order is a fault."""
    assume(len(records) > 1)
    left, right = sorted(data.draw(st.lists(st.integers(0, len(records) - 1), min_size=2, max_size=2, unique=True)))
    swapped = list(records)
    swapped[left], swapped[right] = swapped[right], swapped[left]
    assert faults(swapped, records[-1].head)


@given(any_chain, any_entry, st.data())
def test_an_inserted_record_is_found(records: list[Record], entry: Entry, data: st.DataObject) -> None:
    """A record put in between or at the end, however well sealed, is a fault."""
    place = data.draw(st.integers(0, len(records)))
    inserted = seal(entry, records[place - 1].head if place else EMPTY)
    assume(inserted not in records)
    assert faults([*records[:place], inserted, *records[place:]], records[-1].head)


@given(any_chain)
def test_a_moved_head_is_found(records: list[Record]) -> None:
    """A head that says more, less, or another hash is a fault."""
    head = records[-1].head
    for wrong in (replace(head, sequence=head.sequence + 1), replace(head, hash="0" * 64), EMPTY):
        assert faults(records, wrong)


def test_an_id_twice_is_found() -> None:
    """A chain that records one id twice is broken even where its hashes hold."""
    entry = Entry(chain=CHAIN, id="d1", kind=RecordKind.HOLD, at=datetime(2027, 1, 4, tzinfo=UTC), body={})
    records = make_chain([entry, replace(entry, body={"again": True})])
    assert [fault.message for fault in faults(records, records[-1].head)] == ["the id 'd1' is recorded twice"]


def test_another_chains_record_is_found() -> None:
    """A whole chain moved under another name is a fault for each record."""
    entry = Entry(chain="another", id="d1", kind=RecordKind.HOLD, at=datetime(2027, 1, 4, tzinfo=UTC), body={})
    records = make_chain([entry])
    assert [fault.message for fault in faults(records, records[-1].head)] == ["it belongs to the chain 'another'"]


@given(any_chain)
def test_a_chain_is_checked_while_it_is_read(records: list[Record]) -> None:
    """One record after the other gives what all at once give, and says where the chain ends."""
    broken = [record for number, record in enumerate(records) if number != 1]
    check = ChainCheck(CHAIN)
    found = [fault for record in broken for fault in check.see(record)]
    assert check.last == broken[-1].head
    assert [*found, *check.end(records[-1].head)] == faults(broken, records[-1].head)


# Records as JSON


@given(any_chain)
def test_a_record_survives_being_exported(records: list[Record]) -> None:
    """As one line of JSON and back it is the same record, lone surrogates included."""
    lines = [canonical(record.as_json()) for record in records]
    assert all(line.isascii() and "\n" not in line for line in lines)
    read = [Record.from_json(json.loads(line)) for line in lines]
    assert [canonical(record.as_json()) for record in read] == lines
    assert read == records
    assert faults(read, records[-1].head) == []


@given(any_chain)
def test_a_record_without_its_inputs_survives_too(records: list[Record]) -> None:
    """An export without inputs can still be checked, since each record says their digest."""
    lines = [canonical(without_inputs(record).as_json()) for record in records]
    assert faults([Record.from_json(json.loads(line)) for line in lines], records[-1].head, with_inputs=False) == []


def exported() -> JsonObject:
    entry = Entry(chain=CHAIN, id="d1", kind=RecordKind.HOLD, at=datetime(2027, 1, 4, tzinfo=UTC), body={}, inputs={})
    return seal(entry, EMPTY).as_json()


@pytest.mark.parametrize("name", sorted(exported()))
def test_a_record_with_a_part_missing_or_mistyped_is_refused(name: str) -> None:
    """Each part must be there with its own type; nothing is guessed."""
    value = exported()
    assert Record.from_json(value)
    left = {key: part for key, part in value.items() if key != name}
    with pytest.raises(LedgerBrokenError, match=f"without '{name}'"):
        Record.from_json(left)
    with pytest.raises(LedgerBrokenError, match=f"'{name}' is not"):
        Record.from_json(left | {name: [1]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v": 2}, "version 2"),
        ({"v": True}, "'v' is not a whole number"),
        ({"sequence": True}, "'sequence' is not a whole number"),
        ({"sequence": 1.0}, "'sequence' is not a whole number"),
        ({"kind": "approval"}, "'kind' is not a kind"),
        ({"at": "yesterday"}, "'at' is not a time"),
        ({"at": "2027-01-04T00:00:00"}, "'at' is not a time in UTC"),
        ({"at": "2027-01-04T00:00:00Z"}, "'at' is not a time in UTC"),
        ({"at": "2027-01-04T01:00:00+01:00"}, "'at' is not a time in UTC"),
        ({"inputs": []}, "'inputs' is not an object or null"),
        ({"extra": 1}, "keys that it cannot have"),
    ],
)
def test_a_record_that_is_not_quite_one_is_refused(change: JsonObject, message: str) -> None:
    """Strict: another version, an unknown kind, a time not as it was hashed, an unknown key."""
    with pytest.raises(LedgerBrokenError, match=message):
        Record.from_json(exported() | change)


@given(any_json)
def test_other_json_is_refused_and_never_crashes(value: Json) -> None:
    """Junk is an error of ours, whatever it is."""
    with pytest.raises(LedgerBrokenError):
        Record.from_json(value)


@pytest.mark.parametrize("at", [datetime(2027, 1, 4), datetime(2027, 1, 4, tzinfo=timezone(timedelta(hours=1)))])  # noqa: DTZ001  the rule
def test_a_time_is_in_utc(at: datetime) -> None:
    """A naive time, or one of another zone, is refused before it is hashed."""
    with pytest.raises(ValueError, match="UTC"):
        Entry(chain=CHAIN, id="d1", kind=RecordKind.HOLD, at=at, body={})


# Canonical JSON


@given(any_json)
def test_canonical_json_is_json_and_comes_back(value: Json) -> None:
    """The text is ASCII on one line, reads back as an equal value, and that value has the same text."""
    text = canonical(value)
    assert text.isascii()
    assert "\n" not in text
    read = json.loads(text)
    assert read == value
    assert canonical(read) == text


@given(any_object, st.randoms())
def test_the_order_of_keys_does_not_matter(value: JsonObject, shuffle: random.Random) -> None:
    """Two dicts that are equal have one text, and so one digest."""
    keys = list(value)
    shuffle.shuffle(keys)
    assert canonical({key: value[key] for key in keys}) == canonical(value)


@given(any_json, any_json)
def test_different_values_have_different_texts(left: Json, right: Json) -> None:
    """No two values that JSON tells apart share a text: 1, 1.0, true and "1" are four."""
    assume(json.dumps(left, sort_keys=True) != json.dumps(right, sort_keys=True))
    assert canonical(left) != canonical(right)
    assert digest(left) != digest(right)


def test_what_python_holds_for_equal_json_keeps_apart() -> None:
    """True, 1 and 1.0 are equal in Python and three values in JSON."""
    values: list[Json] = [True, 1, 1.0, "1"]
    assert len({canonical(value) for value in values}) == 4


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_has_not_is_refused(number: float) -> None:
    """Not a number, and infinity, would be text that no other parser reads."""
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": [number]})


@given(any_entry, st.integers(1, 9), any_text)
def test_the_hash_depends_on_the_inputs_by_their_digest_alone(entry: Entry, sequence: int, previous: str) -> None:
    """That is what lets a chain be checked without reading megabytes."""
    inputs_digest = None if entry.inputs is None else digest(entry.inputs)
    bare = replace(entry, inputs=None)
    assert record_hash(bare, sequence, previous, inputs_digest) == record_hash(entry, sequence, previous, inputs_digest)
