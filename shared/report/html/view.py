"""What the page shows, as plain text in its final order. All of it has been through :mod:`shared.report.escape`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shared.core.entries import Decision
from shared.core.errors import LinkguardError
from shared.core.finding import FindingId, Severity
from shared.core.ledger import RecordKind
from shared.core.reason import Code
from shared.core.verdict import Approve, Hold, Mode, Strength, Wait
from shared.report import comparison
from shared.report.documents import DecisionItem
from shared.report.escape import clean, shell
from shared.report.html.chart import Chart, decisions_chart
from shared.report.html.parts import (
    NO_MOMENT,
    Moment,
    Resource,
    chain_name,
    held_anchor,
    link_anchor,
    moment,
    parse,
    record_anchor,
    resource_of,
    short_ids,
    target_of,
    traffic_anchor,
    visible,
    visible_facts,
    visible_lines,
)
from shared.report.html.picture import Picture, draw
from shared.report.html.traffic import TRAFFIC_TONES, TrafficCard, traffic_cards
from shared.report.ledger_text import summary as summary_of
from shared.report.link_state import LABELS, TONES, LinkState, Tone, state_of
from shared.report.next_steps import after_look, explain
from shared.report.report_document import Summary, ago, summarize

if TYPE_CHECKING:
    from datetime import datetime

    from shared.core.arm_id import ArmId
    from shared.core.finding import Finding
    from shared.core.report_data import FindingView, HeldView, LinkView, ReportData, TimelineItem
    from shared.core.verdict import Verdict

_ID_SHOWN: Final = 12
"""Digits of an id; the commands take as many."""
_DASH: Final = "\N{EN DASH}"
_NO_LINK: Final = Resource(name="no link", group="", id="")
_EVERYWHERE: Final = Resource(name="everywhere", group="", id="")
_OF_TRAFFIC: Final = frozenset({FindingId.TRAFFIC_PUBLIC, FindingId.TRAFFIC_INCONCLUSIVE})
_VERDICTS: Final = {"hold": "held", "approve": "would be approved", "wait": "waiting"}
"""In words, the worst first."""
_KINDS: Final = {
    RecordKind.INTENT: Tone.INFO,
    RecordKind.HUMAN: Tone.INFO,
    RecordKind.HOLD: Tone.WARN,
    RecordKind.DRIFT: Tone.WARN,
    RecordKind.ALERT: Tone.WARN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRow:
    """One row of the table of links."""

    anchor: str
    state: LinkState
    rank: int
    """Of the state, the worst first."""
    label: str
    tone: Tone
    signalr: Resource
    link: str
    target: Resource
    endpoint: str
    azure: str
    """What Azure says of both sides."""
    rule: str
    owner: str
    ticket: str
    decision: str
    record: str
    """The anchor of the decision's record, "" where it is not on the page."""
    held: str
    """The anchor of its evidence, "" where it is settled."""
    since: Moment
    traffic: str
    traffic_tone: Tone
    traffic_why: str
    """The anchor of its chart, "" where the traffic is private, not audited or without one."""
    connection: str
    """Its name, which search finds; the rest of its id is the target's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonView:
    """One reason of a decision."""

    code: str
    message: str
    facts: tuple[tuple[str, str], ...]
    resolve: str


@dataclass(frozen=True, slots=True)
class Side:
    """What one of the two says."""

    text: str
    css: str = ""


_NOTHING: Final = Side("nothing", "none")
_EMPTY: Final = Side("empty", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another that fits."""

    id: str
    gone: str
    """``vanished``, or "" where it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRow:
    """One line of the evidence side by side."""

    what: str
    link: Side
    connection: Side
    agrees: str
    """``yes``, ``no``, or a dash where there is nothing to compare."""
    tone: Tone
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCard:
    """A connection that is not settled, with all that speaks for and against it."""

    anchor: str
    title: str
    target: Resource
    connection: str
    connection_name: str
    """What tells it from others with the same endpoint's name."""
    link: str
    link_name: str
    """With its service's."""
    verdict: str
    label: str
    """The verdict in words."""
    outcome: str
    tone: Tone
    first_seen: str
    """In ISO 8601; "" where it is not known."""
    reasons: tuple[ReasonView, ...]
    comparison: tuple[CompareRow, ...]
    rivals: tuple[Rival, ...]
    more: str
    """What the facts and rules are behind."""
    facts: tuple[tuple[str, str], ...]
    rules: tuple[tuple[str, str], ...]
    """Each rule that was considered: where it is, and its text."""
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """One row of the table of findings."""

    anchor: str
    rank: int
    """The most urgent first."""
    severity: str
    label: str
    tone: Tone
    status: str
    """``open`` or ``resolved``."""
    finding: str
    """Its id in the catalogue."""
    name: str
    """The id in words."""
    target: Resource
    message: str
    facts: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    life: str
    first_seen: Moment
    last_seen: Moment
    why: str
    """The anchor of what it is about: its evidence or its link; "" where there is none on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficIndex:
    """Of a traffic card what the script finds and filters it by; its drawing is markup already."""

    anchor: str
    verdict: str
    name: str
    public: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """One record of the ledger."""

    anchor: str
    at: Moment
    kind: str
    tone: Tone
    chain: str
    chain_id: str
    sequence: int
    id: str
    summary: str
    decision: str
    broken: str
    """What is wrong with it, "" where nothing is."""
    css: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """A fault of a chain."""

    chain: str
    chain_id: str
    sequence: int
    message: str
    record: str
    """The anchor of the record, "" where it is not on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCount:
    """How many links are in a state."""

    state: str
    label: str
    tone: Tone
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """The whole page."""

    at: Moment
    summary: Summary
    tone: Tone
    headline: str
    swept: Moment | None
    sweep_took: str
    sweep_complete: bool
    sweep_targets: int
    mode: Mode | None
    paused: bool
    allowlist: str
    allowlist_digest: str
    audited: Moment | None
    states: tuple[StateCount, ...]
    links: tuple[LinkRow, ...]
    picture: Picture
    held: tuple[HeldCard, ...]
    held_in_all: int
    findings: tuple[FindingRow, ...]
    traffic: tuple[TrafficCard, ...]
    traffic_items: tuple[TrafficIndex, ...]
    audited_in_all: int
    """Targets with a traffic verdict; ``traffic`` may have fewer."""
    records: tuple[RecordRow, ...]
    records_in_all: int
    chains: int
    faults: tuple[FaultRow, ...]
    decisions: Chart | None
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The values that a filter offers, by its name."""


def make_view(data: ReportData) -> PageView:
    """Everything in its final order and wording."""
    return _Maker(data).view()


class _Maker:
    """Makes one page; knows what else is on it, for the links within."""

    def __init__(self, data: ReportData) -> None:
        self._data = data
        sweep = data.sweep
        self._held = {held.decision_id: held_anchor(held.decision_id) for held in (sweep.held if sweep else ())}
        self._records = {(item.chain, item.sequence): record_anchor(item.chain, item.sequence) for item in data.ledger.timeline}
        self._by_id = {item.id: record_anchor(item.chain, item.sequence) for item in data.ledger.timeline}
        self._broken = {(fault.chain, fault.sequence): clean(fault.message) for fault in data.ledger.faults}
        self._verdicts = {item.target: visible(item.verdict) for item in data.traffic}
        self._traffic = traffic_cards(data.traffic, self._moment)
        charted = {card.anchor for card in self._traffic}
        self._charts = {target.id: traffic_anchor(target) for target in self._verdicts if traffic_anchor(target) in charted}
        self._links: dict[ArmId, str] = {}
        for view in sorted(sweep.every_link if sweep else (), key=_rank):  # Of one link's connections, the worst.
            for about in filter(None, (view.connection, view.link)):
                self._links.setdefault(about, link_anchor(view))

    def view(self) -> PageView:
        data, sweep = self._data, self._data.sweep
        summary = summarize(data)
        links = tuple(sorted(map(self._link, sweep.every_link if sweep else ()), key=_worst_link))
        held = tuple(sorted(map(self._card, sweep.held if sweep else ()), key=_worst_held))
        findings = tuple(map(self._finding, data.findings))
        records = tuple(map(self._record, data.ledger.timeline))
        traffic = self._traffic
        tone, headline = _headline(summary)
        return PageView(
            at=self._moment(data.at),
            summary=summary,
            tone=tone,
            headline=headline,
            swept=self._moment(sweep.finished) if sweep else None,
            sweep_took=ago(sweep.finished - sweep.started) if sweep else "",
            sweep_complete=sweep.complete if sweep else False,
            sweep_targets=sweep.targets if sweep else 0,
            mode=sweep.mode if sweep else None,
            paused=sweep.paused if sweep else False,
            allowlist=visible(sweep.allowlist_source) if sweep else "",
            allowlist_digest=sweep.allowlist_digest[:_ID_SHOWN] if sweep else "",
            audited=self._moment(data.audit_at) if data.audit_at else None,
            states=tuple(
                StateCount(state=one.value, label=LABELS[one], tone=TONES[one], count=summary.states[one.value])
                for one in LinkState
            ),
            links=links,
            picture=draw(sweep.every_link if sweep else ()),
            held=held,
            held_in_all=sweep.held_total if sweep else 0,
            findings=findings,
            traffic=traffic,
            traffic_items=tuple(
                TrafficIndex(
                    anchor=card.anchor,
                    verdict=card.verdict,
                    name=card.target.name,
                    public=card.public,
                    words=f"{card.target.id} {card.words}",
                )
                for card in traffic
            ),
            audited_in_all=len(self._verdicts),
            records=records,
            records_in_all=data.ledger.records,
            chains=data.ledger.chains,
            faults=tuple(
                FaultRow(
                    chain=chain_name(fault.chain),
                    chain_id=visible(fault.chain),
                    sequence=fault.sequence,
                    message=visible(fault.message),
                    record=self._records.get((fault.chain, fault.sequence), ""),
                )
                for fault in data.ledger.faults
            ),
            decisions=decisions_chart(data.ledger.timeline),
            choices={
                "state": _ordered(Counter(row.state.value for row in links)),
                "verdict": _ordered(Counter(card.verdict for card in held)),
                "finding": _ordered(Counter(row.finding for row in findings)),
                "kind": _ordered(Counter(row.kind for row in records)),
            },
        )

    def _moment(self, at: datetime) -> Moment:
        return moment(at, self._data.at)

    def _link(self, view: LinkView) -> LinkRow:
        state = state_of(view)
        about = view.connection or view.link
        traffic = self._verdicts.get(view.target, "")
        sides = (("link", view.link_status), ("connection", view.connection_state))
        return LinkRow(
            anchor=link_anchor(view),
            state=state,
            rank=_rank(view),
            label=LABELS[state],
            tone=TONES[state],
            signalr=resource_of(view.signalr) if view.signalr else _NO_LINK,
            link=visible(view.link.name) if view.link else "",
            target=target_of(view.target),
            endpoint=_endpoint_name(view.endpoint),
            azure=", ".join(f"{side} {visible(said)}" for side, said in sides if said),
            rule=visible(view.rule) or _DASH,
            owner=visible(view.owner),
            ticket=visible(view.ticket) or _DASH,
            decision=view.decision_id[:_ID_SHOWN],
            record=self._by_id.get(view.decision_id, ""),
            held=self._held.get(view.decision_id, ""),
            since=self._moment(view.since) if view.since else NO_MOMENT,
            traffic=traffic or "not audited",
            traffic_tone=TRAFFIC_TONES.get(traffic, Tone.WARN) if traffic else Tone.PLAIN,
            traffic_why=self._charts.get(view.target.id, "") if traffic != "private" else "",
            connection=visible(about.name) if about else "",
        )

    def _card(self, held: HeldView) -> HeldCard:
        evidence = held.evidence
        decision = Decision(evidence=evidence, verdict=_verdict(held), evidence_digest=held.evidence_digest, number=held.number)
        item = DecisionItem(
            target=held.target,
            connection=held.connection,
            verdict=held.verdict,
            outcome=held.outcome,
            reasons=held.reasons,
            rule=held.rule or None,
            link=held.link,
            decision_id=held.decision_id,
            evidence=held.strength,
            state=held.state or None,
        )
        endpoint = evidence.connection.endpoint if evidence.connection else None
        name = endpoint.name if endpoint else held.connection.name if held.connection else held.link.name if held.link else ""
        return HeldCard(
            anchor=held_anchor(held.decision_id),
            title=visible(name),
            target=target_of(held.target),
            connection=visible(str(held.connection or "")),
            connection_name=visible(held.connection.name) if held.connection else "",
            link=visible(str(held.link or "")),
            link_name=visible(f"{held.link.parent.name}/{held.link.name}") if held.link else "",
            verdict=held.verdict,
            label=_VERDICTS.get(held.verdict, held.verdict),
            outcome=(held.outcome or "").replace("_", " "),
            tone=_tone(held),
            first_seen=evidence.first_seen.isoformat() if evidence.first_seen else "",
            reasons=tuple(
                ReasonView(
                    code=one.code.value,
                    message=visible(one.message),
                    facts=visible_facts(one.facts),
                    resolve=visible(one.resolve),
                )
                for one in held.reasons
            ),
            comparison=tuple(
                CompareRow(
                    what=one.what,
                    link=_side(one.link),
                    connection=_side(one.connection),
                    agrees=_DASH if one.agrees is None else "yes" if one.agrees else "no",
                    tone=Tone.PLAIN if one.agrees is None else Tone.GOOD if one.agrees else Tone.BAD,
                    note=visible(one.note),
                )
                for one in comparison.compare(decision)
            ),
            rivals=tuple(
                Rival(id=visible(str(one.id)), gone="vanished" if one.gone else "") for one in comparison.rivals(evidence)
            ),
            more="All facts and the rules that were considered" if comparison.rules(evidence) else "All facts",
            facts=visible_facts({**comparison.facts(evidence), **_more_facts(held)}),
            rules=tuple((f"{visible(one.id)}, line {one.line}", visible_lines(one.text)) for one in comparison.rules(evidence)),
            commands=tuple(dict.fromkeys((explain(item), *after_look(item, evidence.mode)))),
        )

    def _finding(self, view: FindingView) -> FindingRow:
        finding = view.finding
        resource = parse(finding.target)
        label = finding.severity.value if view.is_open else "resolved"
        return FindingRow(
            anchor=f"finding-{finding.fingerprint}",
            rank=("critical", "warning", "resolved").index(label),
            severity=finding.severity.value,
            label=label,
            tone=Tone.MUTE if not view.is_open else Tone.BAD if finding.severity is Severity.CRITICAL else Tone.WARN,
            status="open" if view.is_open else "resolved",
            finding=finding.id.value,
            name=finding.id.value.replace("_", " "),
            target=resource_of(resource) if resource else _EVERYWHERE,
            message=visible(short_ids(finding.message)),
            facts=visible_facts(finding.facts),
            commands=(f"linkguard explain {shell(finding.target)}",) if resource else (),
            life=view.life.value,
            first_seen=self._moment(view.first_seen),
            last_seen=self._moment(view.resolved_at or view.last_seen),
            why=self._held.get(finding.facts.get("decision", "")) or self._about(finding),
        )

    def _about(self, finding: Finding) -> str:
        """Its connection or link; the target's chart where the traffic showed it."""
        where, id_ = (self._charts, finding.target) if finding.id in _OF_TRAFFIC else (self._links, finding.about)
        about = parse(id_)
        return where.get(about, "") if about else ""

    def _record(self, item: TimelineItem) -> RecordRow:
        try:
            said = summary_of(item.kind, item.body)
        except LinkguardError:
            said = "it cannot be read"
        decision = item.body.get("decision")
        broken = self._broken.get((item.chain, item.sequence), "")
        return RecordRow(
            anchor=record_anchor(item.chain, item.sequence),
            at=self._moment(item.at),
            kind=item.kind.value.replace("_", " "),
            tone=_KINDS.get(item.kind, Tone.MUTE),
            chain=chain_name(item.chain),
            chain_id=visible(item.chain),
            sequence=item.sequence,
            id=visible(item.id[:_ID_SHOWN]),
            summary=visible(said),
            decision=self._held.get(decision, "") if isinstance(decision, str) else "",
            broken=broken,
            css="broken" if broken else "",
        )


def _headline(summary: Summary) -> tuple[Tone, str]:
    if summary.ok:
        return Tone.GOOD, "Nothing needs a person"
    if summary.problems[0].severity is Severity.CRITICAL:
        return Tone.BAD, "Something is wrong"
    return Tone.WARN, "Something needs a person"


def _verdict(held: HeldView) -> Verdict:
    match held.verdict:
        case "approve":
            return Approve(rule=held.rule, strength=held.strength or Strength.WEAK, marks=held.reasons)
        case "wait":
            return Wait(until=None, reasons=held.reasons)
        case _:
            return Hold(reasons=held.reasons)


def _rank(view: LinkView) -> int:
    return list(LinkState).index(state_of(view))


def _worst_link(row: LinkRow) -> tuple[int, str, str]:
    return row.rank, row.target.id, row.link


def _worst_held(card: HeldCard) -> tuple[int, int, str]:
    order = tuple(_VERDICTS)
    place = order.index(card.verdict) if card.verdict in order else len(order)
    return place, all(one.code != Code.AMBIGUOUS.value for one in card.reasons), card.target.id


def _tone(held: HeldView) -> Tone:
    """As its finding: one of two that fit may be an impostor."""
    if held.verdict != "hold":
        return Tone.INFO
    return Tone.BAD if any(one.code is Code.AMBIGUOUS for one in held.reasons) else Tone.WARN


def _side(said: str | None) -> Side:
    if said is None:
        return _NOTHING
    return Side(visible(said)) if said else _EMPTY


def _more_facts(held: HeldView) -> dict[str, str]:
    """What is not part of the evidence itself."""
    return {
        "target": str(held.target),
        "connection": str(held.connection or ""),
        "nearest link": str(held.link or ""),
        "decision": held.decision_id[:_ID_SHOWN],
        "strength": held.strength.value if held.strength else "",
    }


def _endpoint_name(text: str) -> str:
    endpoint = parse(text)
    return visible(endpoint.name if endpoint else text)


def _ordered(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(counts))
