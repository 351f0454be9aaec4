"""An audit for people: as text, as one self-contained page, as CSV, and as OCSF events."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from shared.core.address import AddressClass
from shared.core.finding import Severity
from shared.core.finding_life import Life
from shared.core.ledger import digest
from shared.core.traffic import PublicSeen, rank, verdict_name
from shared.report.csv_text import csv_text
from shared.report.escape import clean
from shared.report.ocsf import OcsfClass, OcsfFinding, ocsf_lines
from shared.report.page import Page, count_of
from shared.report.style import PLAIN, Style

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from shared.core.traffic import Lines, Source, TableTraffic, TargetTraffic

_SHOWN: Final = 10
"""Sources that text and page show; JSON has more."""
_STYLES: Final = {"private": "green", "public-seen": "bold red", "inconclusive": "yellow"}


def audit_text(targets: Sequence[TargetTraffic], lines: Lines | None, style: Style = PLAIN) -> str:
    """A block a target, the worst first."""
    page = Page(style)
    for target in _worst_first(targets):
        verdict = verdict_name(target.verdict)
        page.line((verdict, _STYLES[verdict]), "  ", clean(target.target))
        for reason in target.reasons:
            page.said(reason.code.value, clean(reason.message), width=20)
        for table in target.tables:
            _table(page, table.traffic, verdict_name(table.verdict))
        page.blank()
    if lines is not None:
        page.line(_lines(lines))
        for sample in lines.samples:
            page.line(f"broken: {clean(sample.file)}:{sample.line}: {clean(sample.why)}", indent=2)
    verdicts = [verdict_name(target.verdict) for target in targets]
    page.line(", ".join(f"{verdicts.count(name)} {name}" for name in _STYLES if name in verdicts) or "no target")
    return page.text


def _table(page: Page, traffic: TableTraffic, verdict: str) -> None:
    basis = traffic.basis.value if traffic.basis else "nothing"
    page.field("table", f"{clean(traffic.table)}: {verdict}, by {basis}", width=20)
    page.field("upstream calls", _counts(traffic.upstream), width=20)
    page.field("all requests", _counts(traffic.requests), width=20)
    if traffic.disagreements:
        page.field("disagreements", f"{traffic.disagreements:,} where header and client address differ in class", width=20)
    if traffic.first_seen and traffic.last_seen:
        page.field("seen", f"{_time(traffic.first_seen)} to {_time(traffic.last_seen)}", width=20)
    for source in _shown(traffic):
        note = f" ({clean(source.note)})" if source.note else ""
        page.line(f"{source.count:>12,}  {source.cls.value:<10}  {clean(source.address)}{note}", indent=2)
    rest = max(len(traffic.sources) - _SHOWN, 0) + traffic.other_sources
    if rest:
        page.line(f"{'':>12}  and {count_of(rest, 'more source')}", indent=2)


def _shown(traffic: TableTraffic) -> list[Source]:
    """Public sources before others, the most frequent first."""
    return sorted(traffic.sources, key=lambda one: (one.cls is not AddressClass.PUBLIC, -one.count))[:_SHOWN]


def _counts(found: Mapping[AddressClass, int]) -> str:
    return ", ".join(f"{found[cls]:,} {cls.value}" for cls in AddressClass if found.get(cls)) or "none"


def _lines(lines: Lines) -> str:
    return f"{count_of(lines.total, 'line')}: {lines.read:,} read, {lines.broken:,} broken, {lines.skipped:,} skipped"


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z" if moment else ""


def _worst_first(targets: Iterable[TargetTraffic]) -> list[TargetTraffic]:
    return sorted(targets, key=lambda one: (rank(one.verdict), one.target))


def audit_csv(targets: Iterable[TargetTraffic]) -> str:
    """A row a target and table."""
    header = [
        "target",
        "verdict",
        "reasons",
        "table",
        "table_verdict",
        "basis",
        "disagreements",
        "first_seen",
        "last_seen",
        "pings",
    ]
    header += [f"upstream_{cls.value}" for cls in AddressClass] + [f"requests_{cls.value}" for cls in AddressClass]
    rows: list[list[str | int]] = []
    for target in targets:
        start: list[str | int] = [
            target.target,
            verdict_name(target.verdict),
            " ".join(dict.fromkeys(one.code.value for one in target.reasons)),
        ]
        for table in target.tables:
            traffic = table.traffic
            row = [*start, traffic.table, verdict_name(table.verdict), traffic.basis.value if traffic.basis else ""]
            row += [traffic.disagreements, _time(traffic.first_seen), _time(traffic.last_seen), traffic.pings]
            row += [traffic.upstream.get(cls, 0) for cls in AddressClass] + [traffic.requests.get(cls, 0) for cls in AddressClass]
            rows.append(row)
        if not target.tables:
            rows.append([*start, *[""] * (len(header) - len(start))])
    return csv_text(header, rows)


def audit_ocsf(targets: Iterable[TargetTraffic], at: datetime, product_version: str) -> str:
    """An event a target: a Detection Finding where public calls were seen, else a Compliance Finding that passes or fails."""
    return ocsf_lines((_event(target, at) for target in targets), product_version)


def _event(target: TargetTraffic, at: datetime) -> OcsfFinding:
    decisive, verdict = target.decisive, verdict_name(target.verdict)
    public = [one for one in decisive.sources if one.cls is AddressClass.PUBLIC][:_SHOWN] if decisive else []
    facts = {"verdict": verdict, "reasons": " ".join(one.code.value for one in target.reasons)}
    if decisive:
        facts |= {"table": decisive.table, "upstream": _counts(decisive.upstream), "requests": _counts(decisive.requests)}
    if public:
        facts["public_sources"] = " ".join(f"{one.address} ({one.count})" for one in public)
    seen = isinstance(target.verdict, PublicSeen)
    return OcsfFinding(
        cls=OcsfClass.DETECTION_FINDING if seen else OcsfClass.COMPLIANCE_FINDING,
        uid=digest(["traffic", target.target.upper()])[:32],
        kind=f"traffic_{verdict.replace('-', '_')}",
        message=sentence(target),
        severity=Severity.CRITICAL if seen else Severity.WARNING,
        life=Life.RESOLVED if verdict == "private" else Life.NEW,
        at=at,
        first_seen=decisive.first_seen if decisive else None,
        last_seen=decisive.last_seen if decisive else None,
        resource=target.target if "/" in target.target else "",
        facts={name: clean(value) for name, value in facts.items() if value},
    )


def sentence(target: TargetTraffic) -> str:
    """The verdict as one sentence, without anything that the log says but counts."""
    decisive = target.decisive
    if isinstance(target.verdict, PublicSeen) and decisive:
        number = decisive.upstream.get(AddressClass.PUBLIC, 0)
        return f"{count_of(number, 'upstream call')} came from {'a public address' if number == 1 else 'public addresses'}"
    if target.reasons:
        return "; ".join(one.message for one in target.reasons)
    return "every upstream call came from a private address"


_CSS: Final = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1b1b;background:#fff}
h1{font-size:1.4rem}h2{font-size:1rem;overflow-wrap:anywhere}table{border-collapse:collapse;margin:.5rem 0}
td,th{padding:.15rem .8rem .15rem 0;text-align:left;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}
.v{font-weight:700;padding:.1rem .5rem;border:2px solid currentColor;border-radius:.3rem}
.private{color:#0b6a0b}.public-seen{color:#a4262c}.inconclusive{color:#7a5200}
@media(prefers-color-scheme:dark){body{color:#eee;background:#1b1b1b}.private{color:#7fd77f}.public-seen{color:#ff9a9e}
.inconclusive{color:#ffcf70}}
"""


def audit_html(targets: Sequence[TargetTraffic], lines: Lines | None, at: datetime) -> str:
    """One page with nothing to load and no script; every text from a log is escaped."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Linkguard traffic audit</title>',
        '<meta name="viewport" content="width=device-width">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<style>{_CSS}</style></head><body><h1>Traffic audit</h1><p>{_time(at)}</p>",
    ]
    for target in _worst_first(targets):
        verdict = verdict_name(target.verdict)
        parts.append(f'<section><h2><span class="v {verdict}">{verdict}</span> {_safe(target.target)}</h2>')
        parts += [f"<p>{_safe(one.code.value)}: {_safe(one.message)}</p>" for one in target.reasons]
        parts += [_section(table.traffic, verdict_name(table.verdict)) for table in target.tables]
        parts.append("</section>")
    if lines is not None:
        parts.append(f"<p>{_lines(lines)}</p>")
    return "\n".join(parts) + "\n</body></html>\n"


def _section(traffic: TableTraffic, verdict: str) -> str:
    rows = "".join(
        f'<tr><td>{_safe(one.address)}</td><td>{one.cls.value}</td><td class="n">{one.count:,}</td>'
        f"<td>{_time(one.first_seen)}</td><td>{_time(one.last_seen)}</td><td>{_safe(one.note)}</td></tr>"
        for one in _shown(traffic)
    )
    rest = max(len(traffic.sources) - _SHOWN, 0) + traffic.other_sources
    return (
        f"<h3>{_safe(traffic.table)}: {verdict}</h3><p>Upstream calls: {_counts(traffic.upstream)}.<br>"
        f"All requests: {_counts(traffic.requests)}.<br>Disagreements: {traffic.disagreements:,}.</p><table><thead><tr>"
        '<th scope="col">source</th><th scope="col">class</th><th scope="col">requests</th><th scope="col">first seen</th>'
        f'<th scope="col">last seen</th><th scope="col">note</th></tr></thead><tbody>{rows}</tbody></table>'
        + (f"<p>and {count_of(rest, 'more source')}</p>" if rest else "")
    )


def _safe(text: str) -> str:
    return escape(clean(text))
