"""Anchors: the ledger's chains, kept a second time where nobody can change them.

The ledger's own hashes find a record that was changed, removed or moved. They cannot find a tail that was cut together with its
head, or a chain that was written anew as a whole. An anchor can: it is written once, to a container with an immutability policy,
and its name says how far the chain went and what its hash was. The names alone are enough to check a chain; the content, the
records themselves, is for the day on which the tables are lost.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self

from shared.core.errors import LedgerBrokenError, StoreConflictError
from shared.core.ledger import ChainCheck, ChainFault, Record, canonical

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from shared.ports import Ledger, Telemetry

MOST_RECORDS: Final = 10_000
"""Of one anchor; a longer tail becomes several."""
MOST_BYTES: Final = 16 * 1024 * 1024
"""The same in bytes, but for a single record that is larger."""
_NAME: Final = re.compile(r"(?P<chain>[0-9a-f]{64})/(?P<first>[0-9]{16})-(?P<last>[0-9]{16})-(?P<hash>[0-9a-f]{64})\.jsonl")


class AnchorStore(Protocol):
    """Where anchors are. Raises :class:`shared.core.errors.StoreError`."""

    def names(self, prefix: str) -> AsyncIterator[str]:
        """Every name that begins so."""
        ...

    async def chains(self) -> set[str]:
        """What stands before the first slash of a name, each once: few, where there are many names."""
        ...

    async def read(self, name: str) -> bytes:
        """What one holds."""
        ...

    async def create(self, name: str, content: bytes) -> None:
        """Write one that is not there yet.

        Raises:
            StoreConflictError: where it is.

        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorName:
    """What an anchor's name says."""

    chain: str
    """SHA-256 of the chain's name, in hex."""
    first: int
    """The sequence of its first record."""
    last: int
    hash: str
    """Of its last record, and so of all before it."""

    @property
    def text(self) -> str:
        """``<chain>/<first>-<last>-<hash>.jsonl``, by which a chain's anchors sort in their order."""
        return f"{self.chain}/{self.first:016}-{self.last:016}-{self.hash}.jsonl"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The name; None for what is no anchor."""
        match = _NAME.fullmatch(text)
        if match is None:
            return None
        return cls(chain=match["chain"], first=int(match["first"]), last=int(match["last"]), hash=match["hash"])


def chain_digest(chain: str) -> str:
    """What stands for a chain's name in the names of its anchors."""
    return hashlib.sha256(chain.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(slots=True)
class Anchored:
    """What the anchors say of one chain."""

    hashes: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Every hash that an anchor gives for a sequence; more than one is a contradiction."""
    names: list[str] = field(default_factory=list)

    @property
    def last(self) -> int:
        """How far the chain went; 0 without anchors."""
        return max(self.hashes, default=0)

    def add(self, name: AnchorName) -> None:
        """One more anchor."""
        self.hashes[name.last].add(name.hash)
        self.names.append(name.text)

    def see(self, record: Record) -> Iterator[ChainFault]:
        """What an anchor contradicts in a record of the ledger."""
        if record.sequence in self.hashes and self.hashes[record.sequence] != {record.hash}:
            yield ChainFault(
                chain=record.entry.chain,
                sequence=record.sequence,
                message="an anchor has another hash for this record: the chain was written anew",
            )

    def end(self, chain: str, last: int) -> Iterator[ChainFault]:
        """What the anchors have beyond the ledger's ``last`` record."""
        if last < self.last:
            yield ChainFault(
                chain=chain,
                sequence=last + 1,
                message=f"an anchor has {self.last} records of this chain, the ledger {last}: its tail was cut",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What one export did."""

    chains: int
    """How many chains the ledger has."""
    records: int
    """How many were anchored now."""
    faults: tuple[ChainFault, ...]
    """Of a chain with a fault nothing is anchored from the fault on."""


async def export(ledger: Ledger, anchors: AnchorStore) -> ExportResult:
    """Anchor what every chain has gained since its last anchor, and check it on the way; a chain that is gone is a fault.

    Two exports at once do no harm: they write the same anchors, or overlapping ones that agree.

    Raises:
        StoreError: where the ledger cannot be read or an anchor not written.

    """
    faults: list[ChainFault] = []
    anchored = await anchors.chains()
    # Read after them: a chain that begins meanwhile is in the ledger before it is among the anchors.
    chains = await ledger.chains()
    written = 0
    for chain in chains:
        found, count = await _export_chain(ledger, anchors, chain)
        faults += found
        written += count
    for digest in sorted(anchored - set(map(chain_digest, chains))):
        faults += await AnchorCheck(anchors, await _anchored(anchors, f"{digest}/")).missing()
    return ExportResult(chains=len(chains), records=written, faults=tuple(faults))


async def _export_chain(ledger: Ledger, anchors: AnchorStore, chain: str) -> tuple[list[ChainFault], int]:
    digest = chain_digest(chain)
    anchored = (await _anchored(anchors, f"{digest}/")).get(digest, Anchored())
    head = await ledger.head(chain)
    if anchored.hashes.get(head.sequence) == {head.hash} and head.sequence == anchored.last:
        return [], 0
    check, faults = ChainCheck(chain), list[ChainFault]()
    batches = _Batches(digest)
    try:
        async for record in ledger.records(chain):
            faults += [*check.see(record), *anchored.see(record)]
            if faults:
                return faults, 0
            # Somebody may append meanwhile; what is beyond the head that was read waits for the next export.
            if record.sequence > anchored.last:
                await batches.add(record, anchors)
    except LedgerBrokenError as error:
        return [ChainFault(chain=chain, sequence=check.last.sequence + 1, message=f"it cannot be read: {error}")], 0
    faults += anchored.end(chain, check.last.sequence)
    if check.last.sequence < head.sequence:
        faults += check.end(head)
    if faults:
        return faults, 0
    await batches.flush(anchors)
    return [], batches.written


class _Batches:
    """Records on their way into anchors, so that a chain of any length fits in memory."""

    def __init__(self, digest: str) -> None:
        self._digest = digest
        self._lines: list[bytes] = []
        self._bytes = 0
        self._first = 0
        self._last: Record | None = None
        self.written = 0

    async def add(self, record: Record, anchors: AnchorStore) -> None:
        line = canonical(record.as_json()).encode("ascii") + b"\n"
        if self._lines and (len(self._lines) == MOST_RECORDS or self._bytes + len(line) > MOST_BYTES):
            await self.flush(anchors)
        if not self._lines:
            self._first = record.sequence
        self._lines.append(line)
        self._bytes += len(line)
        self._last = record

    async def flush(self, anchors: AnchorStore) -> None:
        if self._last is None or not self._lines:
            return
        name = AnchorName(chain=self._digest, first=self._first, last=self._last.sequence, hash=self._last.hash)
        # Another export may have been first; the name says that it holds the same.
        with suppress(StoreConflictError):
            await anchors.create(name.text, b"".join(self._lines))
        self.written += len(self._lines)
        self._lines.clear()
        self._bytes = 0


async def _anchored(anchors: AnchorStore, prefix: str) -> dict[str, Anchored]:
    found: defaultdict[str, Anchored] = defaultdict(Anchored)
    async for text in anchors.names(prefix):
        name = AnchorName.parse(text)
        if name is not None:
            found[name.chain].add(name)
    return dict(found)


class AnchorCheck:
    """Holds a ledger to its anchors while it is verified."""

    def __init__(self, anchors: AnchorStore, anchored: dict[str, Anchored]) -> None:
        self._anchors = anchors
        self._left = anchored
        self.count = sum(len(one.names) for one in anchored.values())
        """How many anchors there are."""

    @classmethod
    async def load(cls, anchors: AnchorStore) -> Self:
        """Read the names of all anchors.

        Raises:
            StoreError: where they cannot be read.

        """
        return cls(anchors, await _anchored(anchors, ""))

    def of(self, chain: str) -> Anchored:
        """What the anchors say of a chain; to be asked once for each that the ledger has."""
        return self._left.pop(chain_digest(chain), Anchored())

    async def missing(self) -> list[ChainFault]:
        """The chains that have anchors and that nobody asked for.

        Raises:
            StoreError: where an anchor cannot be read.

        """
        return [
            ChainFault(
                chain=await self._name(anchored.names[0], digest),
                sequence=1,
                message=f"an anchor has {anchored.last} records of this chain, the ledger none",
            )
            for digest, anchored in self._left.items()
        ]

    async def _name(self, anchor: str, digest: str) -> str:
        """The chain's own name, from a record; what stands for it where that cannot be read."""
        try:
            first = (await self._anchors.read(anchor)).partition(b"\n")[0]
            chain = Record.from_json(json.loads(first)).entry.chain
        except (ValueError, LedgerBrokenError):
            return digest
        return chain if chain_digest(chain) == digest else digest


async def export_and_tell(ledger: Ledger, anchors: AnchorStore, telemetry: Telemetry) -> ExportResult:
    """:func:`export`, told as one record ``anchor``.

    Raises:
        LedgerBrokenError: where a chain has a fault; the chains without one were anchored.
        StoreError: as :func:`export`.

    """
    result = await export(ledger, anchors)
    fields = {"chains": result.chains, "records": result.records, "faults": len(result.faults)}
    telemetry.record("anchor", fields, severity="error" if result.faults else "info")
    if result.faults:
        first = result.faults[0]
        count = f"{len(result.faults)} fault{'' if len(result.faults) == 1 else 's'}"
        message = f"{count}; record {first.sequence} of {first.chain}: {first.message}"
        raise LedgerBrokenError(message)
    return result
