"""What the requests to a target say about whether it is really private: counting, merging and the verdict.

Three-valued: private, public seen, inconclusive with its reasons. Silence is never a pass. The verdict rests on upstream calls
(:mod:`shared.core.upstream_path`); all other traffic is counted beside them. Platform pings and requests to the SCM site
are not traffic.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shared.core.address import DEFAULT_RANGES, AddressClass, PrivateRanges, classify, explain, parse_address
from shared.core.forwarded_for import NO_VALUE, Hop, parse_forwarded, parse_forwarded_for

if TYPE_CHECKING:
    from collections.abc import Iterable

TOP_SOURCES: Final = 100
"""Sources that a report names, by count; the others are counted."""
DISTINCT_SOURCES: Final = 100_000
"""Sources of one table that are told apart while counting in memory; beyond that the rarest are only counted."""
MALFORMED: Final = "(malformed)"
"""What a malformed source is counted under, unless it is plainly no more than a failed address or a word such as ``unknown``."""
_TARGET: Final = re.compile(r"[\w./()-]{1,1024}")
"""ARM ids and names of sites: letters and digits of any script, and what Azure allows between them."""
_TABLE: Final = re.compile(r"[A-Za-z][\w. -]{0,127}")
_HARMLESS: Final = re.compile(r"[0-9A-Fa-f:.\[\]]{1,47}|[A-Za-z]{1,8}")


class Kind(StrEnum):
    """What a request is."""

    UPSTREAM = "upstream"
    """A POST to a path that SignalR's upstream templates expand to."""
    OTHER = "other"
    PING = "ping"
    """The platform's own."""
    SCM = "scm"
    """To the site's SCM site, which is another site."""


class Basis(StrEnum):
    """What a target's verdict was made from."""

    FORWARDED_FOR = "forwarded_for"
    CLIENT_IP = "client_ip"
    BOTH = "both"


class ReasonCode(StrEnum):
    """Why nothing can be concluded."""

    NO_ROWS = "no_rows"
    STALE = "stale"
    SAMPLED = "sampled"
    HEADER_ABSENT = "header_absent"
    ADDRESS_MASKED = "address_masked"
    ADDRESS_MALFORMED = "address_malformed"
    ADDRESS_UNCLEAR = "address_unclear"
    ONLY_PINGS = "only_pings"
    NO_UPSTREAM_CALLS = "no_upstream_calls"
    SOURCE_UNREADABLE = "source_unreadable"


@dataclass(frozen=True, slots=True, order=True)
class TrafficReason:
    """A stable code and a sentence that a person can act on."""

    code: ReasonCode
    message: str


SENTENCES: Final[Mapping[ReasonCode, str]] = {
    ReasonCode.NO_ROWS: "the log has no request to this target; is it collected, and is the window right?",
    ReasonCode.STALE: "the newest request is older than the window allows; the log may have stopped",
    ReasonCode.SAMPLED: "the log is sampled: requests that it left out may have been public",
    ReasonCode.HEADER_ABSENT: "some upstream calls name no source address; have the app log X-Forwarded-For",
    ReasonCode.ADDRESS_MASKED: "some upstream calls have their address masked (0.0.0.0); switch IP masking off, "
    "or have the app log X-Forwarded-For",
    ReasonCode.ADDRESS_MALFORMED: "the source of some upstream calls is no address",
    ReasonCode.ADDRESS_UNCLEAR: "the source of some upstream calls is neither private nor public: shared, link-local, reserved, "
    "or private outside the configured ranges",
    ReasonCode.ONLY_PINGS: "the log has the platform's own pings and nothing else",
    ReasonCode.NO_UPSTREAM_CALLS: "no upstream call was seen; are the upstream paths right?",
    ReasonCode.SOURCE_UNREADABLE: "the log could not be read completely",
}


def reason(code: ReasonCode, detail: str = "") -> TrafficReason:
    """The reason with its sentence, and what is particular to this case."""
    return TrafficReason(code, f"{SENTENCES[code]}: {detail}" if detail else SENTENCES[code])


@dataclass(frozen=True, slots=True)
class Private:
    """Upstream calls were seen, each from a private address, and the log is fresh."""


@dataclass(frozen=True, slots=True)
class PublicSeen:
    """At least one upstream call came from a public address."""


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """Nothing can be said, and why."""

    reasons: tuple[TrafficReason, ...]


type TrafficVerdict = Private | PublicSeen | Inconclusive


def verdict_name(verdict: TrafficVerdict) -> str:
    """``private``, ``public-seen`` or ``inconclusive``."""
    match verdict:
        case Private():
            return "private"
        case PublicSeen():
            return "public-seen"
        case Inconclusive():
            return "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The source of a request."""

    name: str
    """The address in its canonical form; the text where it is malformed; "" where there is none."""
    cls: AddressClass
    basis: Basis
    disagrees: bool = False
    """Whether header and client address are both there and differ in class."""
    note: str = ""


def resolve(
    forwarded: str | None,
    client: str | None,
    ranges: PrivateRanges = DEFAULT_RANGES,
    *,
    rfc_7239: str | None = None,
) -> Resolved:
    """The source of a request: the right-most forwarded element where the record has one, else the client address.

    Where both are there and differ in class, a public one wins.

    Args:
        forwarded: the text of X-Forwarded-For, None where the record has no such field.
        client: the client address as the platform saw it, with or without a port; None where the record has no such field.
        ranges: what counts as private.
        rfc_7239: the text of ``Forwarded``, read where there is no X-Forwarded-For.

    """
    header = parse_forwarded_for(forwarded or "").platform or parse_forwarded(rfc_7239 or "").platform
    peer = None if client is None or client.strip() in NO_VALUE else _peer(client)
    if header is None:
        return _of(peer, Basis.CLIENT_IP, ranges)
    source = _of(header, Basis.FORWARDED_FOR, ranges)
    if peer is None:
        return source
    other = _of(peer, Basis.BOTH, ranges)
    if other.cls is AddressClass.MASKED:
        return source
    disagrees = source.cls is not other.cls
    chosen = other if disagrees and other.cls is AddressClass.PUBLIC else source
    return Resolved(name=chosen.name, cls=chosen.cls, basis=Basis.BOTH, disagrees=disagrees, note=chosen.note)


def _peer(client: str) -> Hop:
    text = client.strip()
    parsed = parse_address(text)
    return Hop(text=text, address=parsed[0], port=parsed[1]) if parsed else Hop(text=text, address=None)


def _of(hop: Hop | None, basis: Basis, ranges: PrivateRanges) -> Resolved:
    if hop is None:
        return Resolved(name="", cls=AddressClass.ABSENT, basis=basis)
    if hop.address is None:
        return Resolved(name=_shown(hop.text), cls=AddressClass.MALFORMED, basis=basis)
    return Resolved(name=hop.name, cls=classify(hop.address, ranges), basis=basis, note=explain(hop.address))


def _shown(text: str) -> str:
    """A caller may have written anything into a malformed source, a token too: nothing of that is kept."""
    return text if _HARMLESS.fullmatch(text) else MALFORMED


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An address that requests came from."""

    address: str
    cls: AddressClass
    count: int
    first_seen: datetime | None
    last_seen: datetime | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTraffic:
    """The requests to one target in one table or kind of log."""

    target: str
    """The resource id as the log spells it, or what stands for it where records name none."""
    table: str
    requests: Mapping[AddressClass, int]
    """By class; upstream calls are among them, pings and SCM requests are not."""
    upstream: Mapping[AddressClass, int]
    pings: int
    scm: int
    first_seen: datetime | None
    last_seen: datetime | None
    newest: datetime | None
    """Of any row: the platform's pings show that the log is still written."""
    bases: frozenset[Basis]
    disagreements: int
    sources: tuple[Source, ...]
    """The most frequent first, at most :data:`TOP_SOURCES`."""
    other_sources: int
    """How many sources there are beyond these."""
    sampled: bool = False

    @property
    def basis(self) -> Basis | None:
        """What the sources were read from, None where there was no request."""
        if len(self.bases) == 1:
            return next(iter(self.bases))
        return Basis.BOTH if self.bases else None

    @property
    def rows(self) -> int:
        """Every row, whatever it is."""
        return sum(self.requests.values()) + self.pings + self.scm


class TableTally:
    """Counts one table of one target."""

    def __init__(self) -> None:
        self.requests: Counter[AddressClass] = Counter()
        self.upstream: Counter[AddressClass] = Counter()
        self.pings = 0
        self.scm = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.newest: datetime | None = None
        self.bases: set[Basis] = set()
        self.disagreements = 0
        self.sampled = False
        self.others = 0
        self._sources: dict[tuple[str, AddressClass], Source] = {}

    def add(  # noqa: PLR0913  one row of a group-by
        self, kind: Kind, source: Resolved, count: int, first: datetime | None, last: datetime | None, *, named: bool = True
    ) -> None:
        """Count rows that are alike. ``named``: whether the source is among those that are listed."""
        self.newest = _latest(self.newest, last)
        if kind is Kind.PING:
            self.pings += count
            return
        if kind is Kind.SCM:
            self.scm += count
            return
        self.requests[source.cls] += count
        if kind is Kind.UPSTREAM:
            self.upstream[source.cls] += count
        self.bases.add(source.basis)
        self.disagreements += count if source.disagrees else 0
        self.first, self.last = _earliest(self.first, first), _latest(self.last, last)
        if named and source.cls is not AddressClass.ABSENT:
            self._name(source, count, first, last)

    def name(self, source: Source) -> None:
        """List a source whose requests are counted already."""
        self._merge((source.address, source.cls), source)

    def _name(self, source: Resolved, count: int, first: datetime | None, last: datetime | None) -> None:
        self._merge(
            (source.name, source.cls),
            Source(address=source.name, cls=source.cls, count=count, first_seen=first, last_seen=last, note=source.note),
        )

    def _merge(self, key: tuple[str, AddressClass], source: Source) -> None:
        known = self._sources.get(key)
        if known is not None:
            source = Source(
                address=source.address,
                cls=source.cls,
                count=known.count + source.count,
                first_seen=_earliest(known.first_seen, source.first_seen),
                last_seen=_latest(known.last_seen, source.last_seen),
                note=max(known.note, source.note),  # Whatever came first: an address may be written in a form that has none.
            )
        self._sources[key] = source
        if len(self._sources) > DISTINCT_SOURCES:
            kept = sorted(self._sources.items(), key=lambda item: _rank(item[1]))[: DISTINCT_SOURCES // 2]
            self.others += len(self._sources) - len(kept)
            self._sources = dict(kept)

    def end(self, target: str, table: str) -> TableTraffic:
        """What was counted."""
        ranked = sorted(self._sources.values(), key=_rank)
        return TableTraffic(
            target=target,
            table=table,
            requests=dict(self.requests),
            upstream=dict(self.upstream),
            pings=self.pings,
            scm=self.scm,
            first_seen=self.first,
            last_seen=self.last,
            newest=self.newest,
            bases=frozenset(self.bases),
            disagreements=self.disagreements,
            sources=tuple(ranked[:TOP_SOURCES]),
            other_sources=self.others + max(len(ranked) - TOP_SOURCES, 0),
            sampled=self.sampled,
        )


def _rank(source: Source) -> tuple[int, str, AddressClass]:
    return -source.count, source.address, source.cls


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return one if other is None else other if one is None else min(one, other)


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return one if other is None else other if one is None else max(one, other)


class Tally:
    """Counts rows of every target and table. Targets are the same whatever the case of their ids."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str], tuple[str, TableTally]] = {}

    def table(self, target: str, table: str) -> TableTally:
        """The counts of one table of one target, begun where there are none.

        What cannot be the name of a site or a table stands there because a line is damaged, and may be a secret.
        """
        target = target if _TARGET.fullmatch(target) else MALFORMED
        table = table if _TABLE.fullmatch(table) else MALFORMED
        key = (target.upper(), table)
        spelt, tally = self._tables.get(key) or (target, TableTally())
        self._tables[key] = (min(spelt, target), tally)  # The same spelling whatever row came first.
        return tally

    def end(self) -> tuple[TableTraffic, ...]:
        """What was counted, by target and table."""
        return tuple(tally.end(target, key[1]) for key, (target, tally) in sorted(self._tables.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How old the newest request may be."""

    until: datetime
    """The end of the window."""
    at_most: timedelta


def judge(
    traffic: TableTraffic | None, freshness: Freshness | None = None, problems: Iterable[TrafficReason] = ()
) -> TrafficVerdict:
    """The verdict on one table; every reason is collected.

    Args:
        traffic: None where no row named the target.
        freshness: None where a log cannot be stale, as a file that somebody handed over.
        problems: what stood in the way of reading the whole log.

    """
    reasons = list(problems)
    if traffic is None or not traffic.rows:
        return Inconclusive(tuple(_unique([*reasons, reason(ReasonCode.NO_ROWS)])))
    upstream = traffic.upstream
    if upstream.get(AddressClass.PUBLIC):
        return PublicSeen()
    if not sum(traffic.requests.values()):
        reasons.append(reason(ReasonCode.ONLY_PINGS if traffic.pings else ReasonCode.NO_ROWS))
    elif not sum(count for cls, count in upstream.items() if cls is not AddressClass.LOOPBACK):
        reasons.append(reason(ReasonCode.NO_UPSTREAM_CALLS))
    reasons += _of_sources(upstream)
    if traffic.sampled:
        reasons.append(reason(ReasonCode.SAMPLED))
    if freshness is not None and (traffic.newest is None or freshness.until - traffic.newest > freshness.at_most):
        reasons.append(reason(ReasonCode.STALE))
    return Inconclusive(tuple(_unique(reasons))) if reasons else Private()


_HIDDEN: Final = {
    AddressClass.ABSENT: ReasonCode.HEADER_ABSENT,
    AddressClass.MASKED: ReasonCode.ADDRESS_MASKED,
    AddressClass.MALFORMED: ReasonCode.ADDRESS_MALFORMED,
    AddressClass.SHARED: ReasonCode.ADDRESS_UNCLEAR,
    AddressClass.LINK_LOCAL: ReasonCode.ADDRESS_UNCLEAR,
    AddressClass.RESERVED: ReasonCode.ADDRESS_UNCLEAR,
    AddressClass.OUTSIDE: ReasonCode.ADDRESS_UNCLEAR,
}


def _of_sources(upstream: Mapping[AddressClass, int]) -> list[TrafficReason]:
    """What hides where upstream calls come from: any of them may be public."""
    return [reason(code) for cls, code in _HIDDEN.items() if upstream.get(cls)]


def _unique(reasons: list[TrafficReason]) -> list[TrafficReason]:
    return list(dict.fromkeys(reasons))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableVerdict:
    """One table and what it says."""

    traffic: TableTraffic
    verdict: TrafficVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTraffic:
    """A target's verdict: the worst of its tables'. Counts of tables are never summed: the same request may be in several."""

    target: str
    verdict: TrafficVerdict
    tables: tuple[TableVerdict, ...]
    """The worst first."""

    @property
    def reasons(self) -> tuple[TrafficReason, ...]:
        """Why nothing can be concluded; none where something can."""
        return self.verdict.reasons if isinstance(self.verdict, Inconclusive) else ()

    @property
    def is_unreadable(self) -> bool:
        """Whether something stood in the way of reading the log."""
        return any(one.code is ReasonCode.SOURCE_UNREADABLE for one in self.reasons)

    @property
    def decisive(self) -> TableTraffic | None:
        """The table that the verdict rests on; None where there is none."""
        return self.tables[0].traffic if self.tables else None


_WORST: Final = {"public-seen": 0, "inconclusive": 1, "private": 2}


def rank(verdict: TrafficVerdict) -> int:
    """0 for the worst."""
    return _WORST[verdict_name(verdict)]


def worst_of(verdicts: Iterable[TrafficVerdict]) -> TrafficVerdict:
    """The worst of some verdicts, at least one; several inconclusive ones give all their reasons."""
    found = sorted(verdicts, key=rank)
    if not isinstance(found[0], Inconclusive):
        return found[0]
    return Inconclusive(
        tuple(_unique([one for verdict in found if isinstance(verdict, Inconclusive) for one in verdict.reasons]))
    )


def judge_target(
    target: str,
    tables: Iterable[TableTraffic],
    freshness: Freshness | None = None,
    problems: Iterable[TrafficReason] = (),
) -> TargetTraffic:
    """Judge every table of a target, and the target by the worst of them."""
    blocked = tuple(problems)
    judged = [TableVerdict(traffic=one, verdict=judge(one, freshness, blocked)) for one in tables]
    judged.sort(key=lambda one: (rank(one.verdict), -sum(one.traffic.upstream.values()), one.traffic.table))
    verdict = worst_of(one.verdict for one in judged) if judged else judge(None, freshness, blocked)
    return TargetTraffic(target=target, verdict=verdict, tables=tuple(judged))


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenLine:
    """Where a line is that could not be read, and why; never what it says, since it may hold a secret."""

    file: str
    line: int
    """1-based."""
    why: str


@dataclass(slots=True, kw_only=True)
class Lines:
    """What became of a log's lines; together they are all that there are."""

    read: int = 0
    """Requests to the targets asked about, inside the window."""
    broken: int = 0
    skipped: int = 0
    """Blank lines, comments, headers, records of other kinds, of other targets and outside the window."""
    samples: list[BrokenLine] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Every line."""
        return self.read + self.broken + self.skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficReading:
    """What a source of traffic logs gave."""

    tables: tuple[TableTraffic, ...]
    problems: tuple[TrafficReason, ...] = ()
    """What stood in the way of reading all of it."""
    lines: Lines | None = None
    """None where the source has no lines of ours to count."""
    remote: bool = False
    """Whether it was read from Azure."""
