"""The ledger's records and the hash chain that binds them.

One chain a target, and ``_system`` for what belongs to none. A record names its predecessor's hash, so a record that was
changed, removed or moved is found by reading the chain alone. Bodies and inputs hold ARM ids, messages, codes, digests
and times; never claims, tokens, query strings or cookies.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from shared.core.errors import LedgerBrokenError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None
type JsonObject = dict[str, Json]

SYSTEM_CHAIN: Final = "_system"
RECORD_VERSION: Final = 1


class RecordKind(StrEnum):
    """What a record tells."""

    INTENT = "intent"
    OUTCOME = "outcome"
    HOLD = "hold"
    DRIFT = "drift"
    TRAFFIC = "traffic"
    ALERT = "alert"
    HUMAN = "human_decision"


def canonical(value: Json) -> str:
    """The one JSON text of ``value``: keys sorted, no white space, ASCII (so that lone surrogates survive too).

    Raises:
        ValueError: where a number is not finite, which JSON cannot say.

    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Json) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a chain ends."""

    sequence: int
    """Of the last record; 0 where the chain is empty."""
    hash: str
    """Of the last record; "" where the chain is empty."""


EMPTY: Final = Head(sequence=0, hash="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to be recorded, before it has a place in its chain."""

    chain: str
    id: str
    """Unique in its chain: the same entry twice is one record."""
    kind: RecordKind
    at: datetime
    """Aware, UTC."""
    body: JsonObject
    inputs: JsonObject | None = None
    """Everything a decision was made from; None where nothing was decided."""

    def __post_init__(self) -> None:
        if self.at.utcoffset() != timedelta(0):
            message = f"a record's time is in UTC; {self.at.isoformat()} is not"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An entry in its place."""

    entry: Entry
    """Its inputs are None where they were not asked for; ``inputs_digest`` still says whether there are any."""
    sequence: int
    """1 for a chain's first record."""
    previous: str
    """The hash of the record before; "" for the first."""
    hash: str
    inputs_digest: str | None
    """Of the entry's inputs; None where it has none."""

    @property
    def head(self) -> Head:
        """The chain's head once this record is its last."""
        return Head(sequence=self.sequence, hash=self.hash)

    def as_json(self) -> JsonObject:
        """The record as ``ledger export`` writes it, one a line by :func:`canonical`."""
        return {
            "v": RECORD_VERSION,
            "chain": self.entry.chain,
            "sequence": self.sequence,
            "previous": self.previous,
            "id": self.entry.id,
            "kind": self.entry.kind.value,
            "at": self.entry.at.isoformat(),
            "body": self.entry.body,
            "inputs": self.entry.inputs,
            "inputs_digest": self.inputs_digest,
            "hash": self.hash,
        }

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Read back what :meth:`as_json` gave. Whether its hashes hold is another question: :func:`verify_chain`.

        Raises:
            LedgerBrokenError: where ``value`` is not a record: keys missing or unknown, another type, another version.

        """
        fields = _Fields(value)
        version = fields.integer("v")
        if version != RECORD_VERSION:
            message = f"this is a record of version {version}; this program reads version {RECORD_VERSION}"
            raise LedgerBrokenError(message)
        record = cls(
            entry=Entry(
                chain=fields.text("chain"),
                id=fields.text("id"),
                kind=fields.kind("kind"),
                at=fields.time("at"),
                body=fields.mapping("body"),
                inputs=fields.mapping_or_none("inputs"),
            ),
            sequence=fields.integer("sequence"),
            previous=fields.text("previous"),
            hash=fields.text("hash"),
            inputs_digest=fields.text_or_none("inputs_digest"),
        )
        fields.end()
        return record


class _Fields:
    """A JSON object's members, each taken once by its type."""

    def __init__(self, value: Json) -> None:
        if not isinstance(value, dict):
            message = "a record is a JSON object"
            raise LedgerBrokenError(message)
        self._left = dict(value)

    def _take(self, name: str) -> Json:
        if name not in self._left:
            message = f"a record without {name!r}"
            raise LedgerBrokenError(message)
        return self._left.pop(name)

    def text(self, name: str) -> str:
        value = self._take(name)
        if not isinstance(value, str):
            raise _wrong(name, "text")
        return value

    def text_or_none(self, name: str) -> str | None:
        value = self._take(name)
        if not (value is None or isinstance(value, str)):
            raise _wrong(name, "text or null")
        return value

    def integer(self, name: str) -> int:
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong(name, "a whole number")
        return value

    def mapping(self, name: str) -> JsonObject:
        value = self._take(name)
        if not isinstance(value, dict):
            raise _wrong(name, "an object")
        return value

    def mapping_or_none(self, name: str) -> JsonObject | None:
        value = self._take(name)
        if not (value is None or isinstance(value, dict)):
            raise _wrong(name, "an object or null")
        return value

    def kind(self, name: str) -> RecordKind:
        try:
            return RecordKind(self.text(name))
        except ValueError:
            raise _wrong(name, "a kind of record that this program knows") from None

    def time(self, name: str) -> datetime:
        text = self.text(name)
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            raise _wrong(name, "a time") from None
        # The hash covers the text: another spelling of the same moment would be another record.
        if value.utcoffset() != timedelta(0) or value.isoformat() != text:
            raise _wrong(name, "a time in UTC, as Python's isoformat writes it")
        return value

    def end(self) -> None:
        if self._left:
            message = f"a record with keys that it cannot have ({len(self._left)})"
            raise LedgerBrokenError(message)


def _wrong(name: str, expected: str) -> LedgerBrokenError:
    return LedgerBrokenError(f"a record whose {name!r} is not {expected}")


def _inputs_digest(entry: Entry) -> str | None:
    return None if entry.inputs is None else digest(entry.inputs)


def record_hash(entry: Entry, sequence: int, previous: str, inputs_digest: str | None) -> str:
    """The hash that seals ``entry`` at its place. Inputs go in by digest, so that a chain can be checked without them."""
    return digest(
        {
            "v": RECORD_VERSION,
            "chain": entry.chain,
            "sequence": sequence,
            "previous": previous,
            "id": entry.id,
            "kind": entry.kind.value,
            "at": entry.at.isoformat(),
            "body": entry.body,
            "inputs": inputs_digest,
        }
    )


def seal(entry: Entry, head: Head) -> Record:
    """The record that ``entry`` becomes right after ``head``."""
    sequence = head.sequence + 1
    inputs_digest = _inputs_digest(entry)
    return Record(
        entry=entry,
        sequence=sequence,
        previous=head.hash,
        hash=record_hash(entry, sequence, head.hash, inputs_digest),
        inputs_digest=inputs_digest,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFault:
    """One thing that is wrong with a chain."""

    chain: str
    sequence: int
    """The place in the chain; one past the end for a missing tail."""
    message: str


class ChainCheck:
    """Checks a chain while it is read, so that one of any length fits in memory.

    A cut tail whose head was moved back with it, or a chain rewritten as a whole, needs an anchor kept elsewhere.
    """

    def __init__(self, chain: str, *, with_inputs: bool = True) -> None:
        """``with_inputs``: whether the records come with their inputs, which are then held to their digests."""
        self._chain = chain
        self._with_inputs = with_inputs
        self._last = EMPTY
        self._ids: set[str] = set()

    @property
    def last(self) -> Head:
        """Where the chain ends, by the records seen so far."""
        return self._last

    def see(self, record: Record) -> Iterator[ChainFault]:
        """Every fault of the next record, in the order they are stored in. To be read to its end."""
        if record.sequence != self._last.sequence + 1:
            expected = self._last.sequence + 1
            what = "missing" if record.sequence > expected else "repeated or out of order"
            yield self._fault(expected, f"record {what}; the next one found is {record.sequence}")
        elif record.previous != self._last.hash:
            yield self._fault(record.sequence, "it does not follow the record before it")
        if record.entry.chain != self._chain:
            yield self._fault(record.sequence, f"it belongs to the chain {record.entry.chain!r}")
        if record.hash != record_hash(record.entry, record.sequence, record.previous, record.inputs_digest):
            yield self._fault(record.sequence, "its content was changed: the hash differs")
        if self._with_inputs and record.inputs_digest != _inputs_digest(record.entry):
            yield self._fault(record.sequence, "its inputs were changed: the digest differs")
        if record.entry.id in self._ids:
            yield self._fault(record.sequence, f"the id {record.entry.id!r} is recorded twice")
        self._ids.add(record.entry.id)
        self._last = record.head

    def end(self, head: Head) -> Iterator[ChainFault]:
        """What the stored head contradicts, once every record was seen."""
        if self._last != head:
            message = f"the head says {head.sequence} records, the last one found is {self._last.sequence}"
            if self._last.sequence == head.sequence:
                message = "the head has another hash than the last record"
            yield self._fault(self._last.sequence + 1, message)

    def _fault(self, sequence: int, message: str) -> ChainFault:
        return ChainFault(chain=self._chain, sequence=sequence, message=message)


def verify_chain(chain: str, records: Iterable[Record], head: Head, *, with_inputs: bool = True) -> Iterator[ChainFault]:
    """Every fault of ``chain``, whose ``records`` come in the order they are stored in and whose stored head is ``head``.

    The same as :class:`ChainCheck`, for records that are at hand.
    """
    check = ChainCheck(chain, with_inputs=with_inputs)
    for record in records:
        yield from check.see(record)
    yield from check.end(head)
