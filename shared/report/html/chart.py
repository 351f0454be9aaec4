"""Stacked bars over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.core.ledger import RecordKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from shared.core.report_data import TimelineItem

_WIDTH: Final = 640
_HEIGHT: Final = 132
_LEFT: Final = 44
_RIGHT: Final = 8
_TOP: Final = 10
_BOTTOM: Final = 22
_BUCKETS: Final = 48
_WIDEST: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One colour of the bars."""

    name: str
    css: str
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a bar."""

    x: float
    y: float
    width: float
    height: float
    css: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark of an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The drawing, in its own units."""

    width: int
    height: int
    left: int
    right: int
    base: int
    segments: tuple[Segment, ...]
    series: tuple[Series, ...]
    across: tuple[Tick, ...]
    """Times, by x."""
    up: tuple[Tick, ...]
    """Counts, by y."""
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """The same in numbers: a time and the count of each series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What is counted at one time."""

    label: str
    counts: Mapping[str, int]


def stack(bars: Sequence[Bar], names: Mapping[str, str]) -> Chart:
    """Bars side by side in the order given. ``names``: each series and its CSS class, from the bottom up."""
    inner = _WIDTH - _LEFT - _RIGHT
    base, room = _HEIGHT - _BOTTOM, _HEIGHT - _TOP - _BOTTOM
    highest = max((sum(bar.counts.values()) for bar in bars), default=0)
    top = _round_up(highest)
    step = inner / max(len(bars), 1)
    width = min(step * 0.8, _WIDEST)
    segments: list[Segment] = []
    for place, bar in enumerate(bars):
        y = float(base)
        for name, css in names.items():
            count = bar.counts.get(name, 0)
            if not count:
                continue
            tall = max(count / top * room, 1.5)
            y -= tall
            segments.append(
                Segment(
                    x=round(_LEFT + step * place + (step - width) / 2, 1),
                    y=round(y, 1),
                    width=round(width, 1),
                    height=round(tall, 1),
                    css=css,
                    title=f"{bar.label}: {count:,} {name}",
                )
            )
    used = [name for name in names if any(bar.counts.get(name) for bar in bars)]
    return Chart(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        base=base,
        segments=tuple(segments),
        series=tuple(Series(name=name, css=names[name], total=sum(bar.counts.get(name, 0) for bar in bars)) for name in used),
        across=_times(bars, step),
        up=tuple(Tick(at=round(base - room * part, 1), text=f"{int(top * part):,}") for part in (0.0, 0.5, 1.0)),
        rows=tuple((bar.label, tuple(bar.counts.get(name, 0) for name in used)) for bar in bars if any(bar.counts.values())),
    )


def _round_up(highest: int) -> int:
    """A round number that is even and no smaller."""
    step = 2
    while step * 10 < highest:
        step *= 10
    return max(-(-highest // step) * step, 2)


def _times(bars: Sequence[Bar], step: float) -> tuple[Tick, ...]:
    if not bars:
        return ()
    places = sorted({0, len(bars) // 2, len(bars) - 1})
    return tuple(Tick(at=round(_LEFT + step * (place + 0.5), 1), text=bars[place].label) for place in places)


_DECISIONS: Final[Mapping[str, str]] = {"approvals": "good", "holds": "warn", "by people": "info", "other": "mute"}


def decisions_chart(timeline: Sequence[TimelineItem]) -> Chart | None:
    """What was decided over time; None where nothing was."""
    if not timeline:
        return None
    first, last = min(item.at for item in timeline), max(item.at for item in timeline)
    size = _bucket(last - first)
    count = min(int((last - first) / size) + 1, _BUCKETS + 1)
    counts = [Counter[str]() for _ in range(count)]
    for item in timeline:
        counts[int((item.at - first) / size)][_series(item)] += 1
    labels = [_label(first + size * place, size) for place in range(count)]
    return stack([Bar(label=label, counts=found) for label, found in zip(labels, counts, strict=True)], _DECISIONS)


def _bucket(span: timedelta) -> timedelta:
    """The smallest round size of which there are at most :data:`_BUCKETS`."""
    sizes = [timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6), timedelta(days=1)]
    return next((size for size in sizes if span / size < _BUCKETS), max(span / _BUCKETS, timedelta(days=1)))


def _label(at: datetime, size: timedelta) -> str:
    return at.strftime("%m-%d" if size >= timedelta(days=1) else "%m-%d %H:%M")


def _series(item: TimelineItem) -> str:
    match item.kind:
        case RecordKind.INTENT:
            intent = item.body.get("intent")
            fields = intent if isinstance(intent, dict) else {}
            if fields.get("by_person"):
                return "by people"
            return "approvals" if fields.get("action") == "approve" else "other"
        case RecordKind.HOLD:
            return "holds"
        case RecordKind.HUMAN:
            return "by people"
        case RecordKind.OUTCOME | RecordKind.DRIFT | RecordKind.TRAFFIC | RecordKind.ALERT:
            return "other"
