"""The ledger's records and the hash chain that binds them.

One chain a target, and ``_system`` for what belongs to none. A record names its predecessor's hash, so a record that was
changed, removed or moved is found by reading the chain alone (design.md "The ledger and the state"). Bodies and inputs
hold ARM ids, messages, codes, digests and times; never claims, tokens, query strings or cookies.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

type Json = None | bool | int | float | str | list[Json] | dict[str, Json]
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
    """The one JSON text of ``value``: keys sorted, no white space, ASCII (so that lone surrogates survive too)."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An entry in its place."""

    entry: Entry
    sequence: int
    """1 for a chain's first record."""
    previous: str
    """The hash of the record before; "" for the first."""
    hash: str

    @property
    def head(self) -> Head:
        """The chain's head once this record is its last."""
        return Head(sequence=self.sequence, hash=self.hash)

    def as_json(self) -> JsonObject:
        """The record as ``ledger export`` writes it and as ``record_hash`` hashes it (there: inputs by their digest)."""
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
            "hash": self.hash,
        }


def record_hash(entry: Entry, sequence: int, previous: str) -> str:
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
            "inputs": None if entry.inputs is None else digest(entry.inputs),
        }
    )


def seal(entry: Entry, head: Head) -> Record:
    """The record that ``entry`` becomes right after ``head``."""
    sequence = head.sequence + 1
    return Record(entry=entry, sequence=sequence, previous=head.hash, hash=record_hash(entry, sequence, head.hash))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFault:
    """One thing that is wrong with a chain."""

    chain: str
    sequence: int
    """The place in the chain; one past the end for a missing tail."""
    message: str


def verify_chain(chain: str, records: Iterable[Record], head: Head) -> Iterator[ChainFault]:
    """Every fault of ``chain``, whose ``records`` come in the order they are stored in and whose stored head is ``head``.

    A cut tail whose head was moved back with it, or a chain rewritten as a whole, needs an anchor kept elsewhere.
    """
    expected = EMPTY
    seen: set[str] = set()
    for record in records:
        if record.sequence != expected.sequence + 1:
            yield ChainFault(
                chain=chain, sequence=expected.sequence + 1, message=f"record missing; the next one found is {record.sequence}"
            )
        elif record.previous != expected.hash:
            yield ChainFault(chain=chain, sequence=record.sequence, message="it does not follow the record before it")
        if record.entry.chain != chain:
            yield ChainFault(chain=chain, sequence=record.sequence, message=f"it belongs to the chain {record.entry.chain}")
        if record.hash != record_hash(record.entry, record.sequence, record.previous):
            yield ChainFault(chain=chain, sequence=record.sequence, message="its content was changed: the hash differs")
        if record.entry.id in seen:
            yield ChainFault(chain=chain, sequence=record.sequence, message=f"the id {record.entry.id} is recorded twice")
        seen.add(record.entry.id)
        expected = record.head
    if expected != head:
        yield ChainFault(
            chain=chain,
            sequence=expected.sequence + 1,
            message=f"the head says {head.sequence} records, the last one found is {expected.sequence}",
        )
