"""Who is connected to whom: SignalR services on the left, targets on the right, a line for each state between two of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import hypot
from typing import TYPE_CHECKING, Final

from shared.report.html.parts import link_anchor, resource_of, target_of, visible
from shared.report.link_state import LABELS, TONES, LinkState, Tone, state_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from shared.core.arm_id import ArmId
    from shared.core.model import Target
    from shared.core.report_data import LinkView

MOST_TARGETS: Final = 24
"""More in one picture are a tangle; the table has all."""
MOST_SERVICES: Final = 24
_NAME_SHOWN: Final = 27

_WIDTH: Final = 880
_BOX_WIDTH: Final = 250
_BOX_HEIGHT: Final = 36
_STEP: Final = 58
_TOP: Final = 34
_ALONG: Final = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.2, 0.8)
"""Where on its line a sign may be, the best first."""
_APART: Final = 26
"""Signs this far apart do not cover each other."""
_GLYPHS: Final[Mapping[LinkState, str]] = {
    LinkState.WRONG: "!",
    LinkState.HELD: "✕",
    LinkState.UNCONFIRMED: "…",
    LinkState.WOULD_APPROVE: "?",
    LinkState.WAITING: "…",
    LinkState.DRIFTED: "≠",
    LinkState.CONNECTED: "✓",
    LinkState.REJECTED: "-",
    LinkState.CLOSED: "-",
    LinkState.UNSEEN: "·",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A service or a target."""

    x: int
    y: int
    width: int
    height: int
    name: str
    title: str
    is_stranger: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The links in one state between a service and a target."""

    path: str
    x: int
    y: int
    """Where its sign is."""
    glyph: str
    tone: Tone
    state: str
    title: str
    href: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A line of the legend."""

    glyph: str
    label: str
    tone: Tone
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The drawing, in its own units."""

    width: int
    height: int
    services: tuple[Box, ...]
    targets: tuple[Box, ...]
    edges: tuple[Edge, ...]
    legend: tuple[Sign, ...]
    targets_left_out: int
    services_left_out: int


def draw(views: Sequence[LinkView]) -> Picture:
    """The picture of these links; of many, those whose state is the worst."""
    by_target: defaultdict[Target, list[LinkView]] = defaultdict(list)
    for view in views:
        by_target[view.target].append(view)
    ranked = sorted(by_target, key=lambda target: (min(map(_rank, by_target[target])), target.id.key))
    targets = ranked[:MOST_TARGETS]
    groups: defaultdict[tuple[ArmId | None, Target, LinkState], list[LinkView]] = defaultdict(list)
    for target in targets:
        for view in by_target[target]:
            groups[(view.signalr, target, state_of(view))].append(view)
    places = {target: place for place, target in enumerate(targets)}
    services, left_out = _services(groups, places)
    shown = {key: members for key, members in groups.items() if key[0] in services}
    height = _TOP + max(len(services), len(targets)) * _STEP
    left = _column(len(services), height)
    right = _column(len(targets), height)
    boxes = {service: _service_box(service, y) for service, y in zip(services, left, strict=True)}
    ends = {target: _target_box(target, y) for target, y in zip(targets, right, strict=True)}
    return Picture(
        width=_WIDTH,
        height=height,
        services=tuple(boxes.values()),
        targets=tuple(ends.values()),
        edges=_edges(shown, boxes, ends),
        legend=_legend({state for _, _, state in shown}),
        targets_left_out=len(ranked) - len(targets),
        services_left_out=left_out,
    )


def _rank(view: LinkView) -> int:
    return list(LinkState).index(state_of(view))


def _services(
    groups: Mapping[tuple[ArmId | None, Target, LinkState], Sequence[LinkView]], places: Mapping[Target, int]
) -> tuple[list[ArmId | None], int]:
    """The services, beside their targets as far as may be, so that few lines cross; how many there was no room for."""
    near: defaultdict[ArmId | None, list[int]] = defaultdict(list)
    worst: dict[ArmId | None, int] = {}
    for service, target, state in groups:
        near[service].append(places[target])
        rank = list(LinkState).index(state)
        worst[service] = min(worst.get(service, rank), rank)
    ranked = sorted(near, key=lambda service: (worst[service], service.key if service else ""))
    kept = ranked[:MOST_SERVICES]
    kept.sort(key=lambda service: (sum(near[service]) / len(near[service]), service.key if service else ""))
    return kept, len(ranked) - len(kept)


def _column(count: int, height: int) -> list[int]:
    """The upper edges of so many boxes, spread over the height."""
    if not count:
        return []
    step = (height - _TOP) / count
    return [int(_TOP + step * place + (step - _BOX_HEIGHT) / 2) for place in range(count)]


def _service_box(service: ArmId | None, y: int) -> Box:
    if service is None:
        title = "No link of a scanned subscription explains these connections"
        return Box(x=4, y=y, width=_BOX_WIDTH, height=_BOX_HEIGHT, name="no link: a stranger?", title=title, is_stranger=True)
    resource = resource_of(service)
    return Box(x=4, y=y, width=_BOX_WIDTH, height=_BOX_HEIGHT, name=_short(resource.name), title=resource.id)


def _target_box(target: Target, y: int) -> Box:
    resource = target_of(target)
    x = _WIDTH - _BOX_WIDTH - 4
    return Box(x=x, y=y, width=_BOX_WIDTH, height=_BOX_HEIGHT, name=_short(resource.name), title=resource.id)


def _edges(
    groups: Mapping[tuple[ArmId | None, Target, LinkState], Sequence[LinkView]],
    boxes: Mapping[ArmId | None, Box],
    ends: Mapping[Target, Box],
) -> tuple[Edge, ...]:
    between: defaultdict[tuple[ArmId | None, Target], list[LinkState]] = defaultdict(list)
    for service, target, state in sorted(groups, key=lambda key: list(LinkState).index(key[2])):
        between[(service, target)].append(state)
    edges: list[Edge] = []
    for (service, target), states in between.items():
        for place, state in enumerate(states):
            members = groups[(service, target, state)]
            offset = place - (len(states) - 1) / 2
            tried = [_edge(boxes[service], ends[target], state, members, (offset, along)) for along in _ALONG]
            edges.append(max(tried, key=lambda edge: min(_room(edge, edges), _APART)))
    return tuple(edges)


def _edge(left: Box, right: Box, state: LinkState, members: Sequence[LinkView], at: tuple[float, float]) -> Edge:
    """``at``: how far beside other lines between the same two boxes, and how far along the line its sign is."""
    offset, along = at
    x1, y1 = left.x + left.width, int(left.y + left.height / 2 + offset * 10)
    x2, y2 = right.x, int(right.y + right.height / 2 + offset * 10)
    bend = (x2 - x1) // 2
    lift = int(offset * 34)
    path = f"M{x1} {y1}C{x1 + bend} {y1 + lift} {x2 - bend} {y2 + lift} {x2} {y2}"
    x = _bezier(x1, x1 + bend, x2 - bend, x2, along)
    y = _bezier(y1, y1 + lift, y2 + lift, y2, along)
    count = len(members)
    title = f"{left.name} to {right.name}: {LABELS[state]}" + (f", {count} connections" if count > 1 else "")
    href = link_anchor(members[0]) if count == 1 else f"links?state={state.value}"
    return Edge(
        path=path,
        x=x,
        y=y,
        glyph=str(count) if count > 1 else _GLYPHS[state],
        tone=TONES[state],
        state=state.value,
        title=title,
        href=href,
        count=count,
    )


def _room(edge: Edge, others: Sequence[Edge]) -> float:
    """How far its sign is from the nearest other."""
    return min((hypot(edge.x - one.x, edge.y - one.y) for one in others), default=float("inf"))


def _bezier(start: float, first: float, second: float, end: float, along: float) -> int:
    """Where a cubic curve is, along it from 0 to 1."""
    left = 1 - along
    return round(left**3 * start + 3 * left**2 * along * first + 3 * left * along**2 * second + along**3 * end)


def _legend(states: Collection[LinkState]) -> tuple[Sign, ...]:
    return tuple(
        Sign(glyph=_GLYPHS[state], label=LABELS[state], tone=TONES[state], state=state.value)
        for state in LinkState
        if state in states
    )


def _short(name: str) -> str:
    """Both ends of a long name: they tell names apart."""
    if len(name) <= _NAME_SHOWN:
        return name
    head = (_NAME_SHOWN - 1) * 2 // 3
    return f"{name[:head]}…{visible(name[-(_NAME_SHOWN - 1 - head) :])}"
