"""Traffic verdicts as the audit recorded them. A record that says less shows less; none is trusted to be well formed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.report.html.chart import Bar, Chart, stack
from shared.report.html.parts import Moment, Resource, target_of, traffic_anchor, visible
from shared.report.link_state import Tone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from shared.core.ledger import Json, JsonObject
    from shared.core.model import Target
    from shared.core.report_data import TrafficItem

MOST_TARGETS: Final = 200
"""Charts on a page; more would make it slow to open."""
_SHOWN: Final = 48
"""Verdicts of one target in its chart, the newest."""
_TOP: Final = 10
_CLASSES: Final[Mapping[str, str]] = {"private": "good", "public": "bad", "other": "mute"}
TRAFFIC_TONES: Final[Mapping[str, Tone]] = {"private": Tone.GOOD, "public-seen": Tone.BAD, "inconclusive": Tone.WARN}
_ORDER: Final = ("public-seen", "inconclusive", "private")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """A public address and how often it called."""

    address: str
    count: int
    last_seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficCard:
    """What the audit says of one target."""

    anchor: str
    target: Resource
    verdict: str
    tone: Tone
    at: Moment
    basis: str
    reasons: tuple[tuple[str, str], ...]
    upstream: str
    requests: str
    """Counts by class, in words."""
    sources: tuple[SourceRow, ...]
    """The most frequent public ones."""
    chart: Chart
    public: int
    """Public requests in the newest verdict."""
    words: str
    """What a search looks at beside the target."""


def traffic_cards(items: Sequence[TrafficItem], moment: Callable[[datetime], Moment]) -> tuple[TrafficCard, ...]:
    """One card a target, the worst first, :data:`MOST_TARGETS` at most. ``items``: oldest first."""
    by_target: defaultdict[Target, list[TrafficItem]] = defaultdict(list)
    for item in items:
        by_target[item.target].append(item)
    worst = sorted(by_target, key=lambda target: (_place(by_target[target][-1].verdict), target.id.key))
    return tuple(_card(target, by_target[target], moment) for target in worst[:MOST_TARGETS])


def _place(verdict: str) -> int:
    return _ORDER.index(verdict) if verdict in _ORDER else 1


def _card(target: Target, items: Sequence[TrafficItem], moment: Callable[[datetime], Moment]) -> TrafficCard:
    newest = items[-1]
    requests, upstream = _counts(newest.body, "requests"), _counts(newest.body, "upstream")
    bars = [Bar(label=item.at.strftime("%m-%d %H:%M"), counts=_grouped(_counts(item.body, "requests"))) for item in items]
    resource, reasons, sources = target_of(target), _reasons(newest.body), _sources(newest.body)
    return TrafficCard(
        anchor=traffic_anchor(target),
        target=resource,
        verdict=visible(newest.verdict),
        tone=TRAFFIC_TONES.get(newest.verdict, Tone.WARN),
        at=moment(newest.at),
        basis=visible(_text(_decisive(newest.body).get("basis"))).replace("_", " "),
        reasons=reasons,
        upstream=_in_words(upstream),
        requests=_in_words(requests),
        sources=sources,
        chart=stack(bars[-_SHOWN:], _CLASSES),
        public=requests.get("public", 0),
        words=" ".join((*(word for pair in reasons for word in pair), *(one.address for one in sources))),
    )


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


def _decisive(body: JsonObject) -> JsonObject:
    """What has the counts: the record itself, or the first of its tables, on which the verdict rests."""
    tables = body.get("tables")
    if "requests" not in body and isinstance(tables, list) and tables and isinstance(tables[0], dict):
        return tables[0]
    return body


def _counts(body: JsonObject, name: str) -> dict[str, int]:
    found = _decisive(body).get(name)
    if not isinstance(found, dict):
        return {}
    return {
        visible(key): value
        for key, value in found.items()
        if isinstance(value, int) and not isinstance(value, bool) and value > 0
    }


def _grouped(counts: Mapping[str, int]) -> dict[str, int]:
    named = {name: counts.get(name, 0) for name in ("private", "public")}
    return {**named, "other": sum(counts.values()) - sum(named.values())}


def _reasons(body: JsonObject) -> tuple[tuple[str, str], ...]:
    found = body.get("reasons")
    return tuple(map(_reason, found)) if isinstance(found, list) else ()


def _reason(value: Json) -> tuple[str, str]:
    if isinstance(value, dict):
        return visible(_text(value.get("code"))), visible(_text(value.get("message")))
    return visible(_text(value)), ""


def _sources(body: JsonObject) -> tuple[SourceRow, ...]:
    found = _decisive(body).get("sources")
    rows = [_source(one) for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return tuple(sorted((row for row in rows if row), key=lambda row: (-row.count, row.address))[:_TOP])


def _source(value: JsonObject) -> SourceRow | None:
    count = value.get("count")
    if (value.get("class") or value.get("cls")) != "public" or not isinstance(count, int):
        return None
    last = _text(value.get("last_seen"))
    return SourceRow(address=visible(_text(value.get("address"))), count=count, last_seen=visible(last[:16].replace("T", " ")))


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
