"""The audit that nobody starts: window after window, each target's verdict in the ledger, and a finding where one is not private.

Windows overlap, because rows come late: each begins :data:`OVERLAP` before the end of the last one that was read completely. A
verdict counts its own window's rows alone, so no row is counted twice in one, and none is skipped while some log cannot be read.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.address import AddressClass, PrivateRanges
from shared.core.arm_id import fold_case
from shared.core.entries import chain_of
from shared.core.errors import StoreConflictError
from shared.core.finding import Finding, FindingId, Severity
from shared.core.finding_life import Look
from shared.core.ledger import Entry, RecordKind, digest
from shared.core.model import LinkStatus
from shared.core.traffic import Freshness, Inconclusive, Private, PublicSeen, TargetTraffic, verdict_name
from shared.core.traffic_record import counts, verdict_body
from shared.core.upstream_path import UpstreamPaths, of_templates
from shared.ports import TrafficQuestion
from shared.services.allowlist import load_allowlist
from shared.services.audit import Inquiry, audit
from shared.services.journal import Journal
from shared.services.notebook import fetch, keep
from shared.services.telemetry import tell, tell_findings
from shared.services.track import track

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from shared.core.allowlist import Allowlist
    from shared.core.ledger import JsonObject
    from shared.core.model import Target
    from shared.ports import Telemetry, TrafficSource
    from shared.services.engine import Engine
    from shared.services.snapshot import Snapshot

SOURCE: Final = "audit"
"""Who looks for these findings."""
AUDITS: Final = "audits"
WATERMARK: Final = "watermark"
OVERLAP: Final = timedelta(minutes=30)
"""How late a row may come: Log Analytics takes minutes, seldom more."""
SETTLED: Final = timedelta(minutes=5)
"""The newest rows are left to the next window."""
FIRST_WINDOW: Final = timedelta(days=1)
LONGEST_WINDOW: Final = timedelta(days=7)
STALE_AFTER: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """Up to when every log was read."""

    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRound:
    """What one run did."""

    since: datetime
    until: datetime
    targets: tuple[TargetTraffic, ...]
    findings: tuple[Finding, ...]
    complete: bool


async def run_audit(engine: Engine, sources: Sequence[TrafficSource], ranges: PrivateRanges) -> AuditRound | None:
    """Audit the window that is due; None where there is nothing to read, or nobody to ask about.

    Raises:
        AzureError: where the links of the scanned subscriptions cannot be read.
        StoreError: where a store failed; the next run begins with the same window.

    """
    if not sources:
        return None
    kept = await fetch(engine.state, AUDITS, WATERMARK, Watermark, Watermark(until=None))
    until = engine.clock.now() - SETTLED
    since = max(kept.value.until - OVERLAP if kept.value.until else until - FIRST_WINDOW, until - LONGEST_WINDOW)
    if since >= until:
        return None
    loaded = await load_allowlist(engine.allowlist)
    snapshot = await engine.snapshot()
    targets = audited(loaded.allowlist, snapshot, engine.settings.subscriptions)
    if not targets:
        return None
    fresh = Freshness(until=until, at_most=STALE_AFTER)
    question = TrafficQuestion(since=since, until=until, ranges=ranges)
    inquiries = [
        Inquiry(source=source, question=replace(question, targets=alike, paths=paths), freshness=fresh)
        for paths, alike in _by_paths(targets, snapshot).items()
        for source in sources
    ]
    result = await audit(inquiries)
    asked = {fold_case(str(target)): target for target in targets}
    found = {asked[key]: one for one in result.targets if (key := fold_case(one.target)) in asked}
    for target, traffic in found.items():
        await _record(engine, target, traffic, since, until)
    findings = tuple(finding for target, one in found.items() if (finding := finding_of(target, one, since, until)) is not None)
    verdicts = {fold_case(str(target)): one.verdict for target, one in found.items()}

    def covers(finding: Finding) -> bool:
        """That public calls were seen is over when they are seen to be private again, not when the log falls silent."""
        verdict = verdicts.get(fold_case(finding.target))
        return verdict is not None and not (finding.id is FindingId.TRAFFIC_PUBLIC and isinstance(verdict, Inconclusive))

    look = Look(source=SOURCE, at=engine.clock.now(), found=findings, covers=covers)
    await track(engine.ledger, engine.state, look)
    if result.complete:
        with suppress(StoreConflictError):  # Another run read the same window; its watermark is as good.
            await keep(engine.state, AUDITS, WATERMARK, kept, Watermark(until=until))
    return AuditRound(since=since, until=until, targets=result.targets, findings=findings, complete=result.complete)


async def audit_and_tell(
    engine: Engine, sources: Sequence[TrafficSource], ranges: PrivateRanges, telemetry: Telemetry
) -> AuditRound | None:
    """:func:`run_audit`, each verdict told as a record ``traffic``, and each finding.

    Raises:
        AzureError: as :func:`run_audit`.
        StoreError: as :func:`run_audit`.

    """
    done = await run_audit(engine, sources, ranges)
    if done is None:
        return None
    for traffic in done.targets:
        fields: JsonObject = {
            "target": traffic.target,
            "verdict": verdict_name(traffic.verdict),
            "reasons": list(dict.fromkeys(one.code.value for one in traffic.reasons)),
            "upstream": counts(traffic.decisive.upstream if traffic.decisive else {}),
            "since": done.since.isoformat(),
            "until": done.until.isoformat(),
        }
        tell(telemetry, "traffic", fields, "info" if isinstance(traffic.verdict, Private) else "warning")
    tell_findings(telemetry, done.findings)
    return done


def audited(allowlist: Allowlist | None, snapshot: Snapshot, subscriptions: Collection[str]) -> list[Target]:
    """The targets with an approved link, and those that the allowlist names; scanned ones only."""
    approved = {
        target for target in snapshot.targets if any(link.status is LinkStatus.APPROVED for link in snapshot.links_to(target))
    }
    scanned = set(map(fold_case, subscriptions))
    named = allowlist.named_targets() if allowlist else set()
    return sorted((one for one in approved | named if fold_case(one.id.subscription) in scanned), key=lambda one: one.id)


def _by_paths(targets: Sequence[Target], snapshot: Snapshot) -> dict[UpstreamPaths, tuple[Target, ...]]:
    """Targets whose upstream calls go to the same paths, by these: those of the services with a link to them."""
    groups: defaultdict[UpstreamPaths, list[Target]] = defaultdict(list)
    for target in targets:
        services = {link.signalr for link in snapshot.links_to(target)}
        templates = [
            text for one in sorted(services) if one in snapshot.services for text in snapshot.services[one].upstream_templates
        ]
        groups[of_templates(sorted(templates))].append(target)
    return {paths: tuple(found) for paths, found in groups.items()}


async def _record(engine: Engine, target: Target, traffic: TargetTraffic, since: datetime, until: datetime) -> None:
    """The verdict, once a window, however often it is tried."""
    body: JsonObject = {**verdict_body(traffic), "window": {"since": since.isoformat(), "until": until.isoformat()}}
    id_ = digest(["traffic", target.id.key, since.isoformat(), until.isoformat()])
    journal = Journal(engine.ledger, chain_of(target))
    await journal.load()
    await journal.insist(Entry(chain=chain_of(target), id=id_, kind=RecordKind.TRAFFIC, at=engine.clock.now(), body=body))


def finding_of(target: Target, traffic: TargetTraffic, since: datetime, until: datetime) -> Finding | None:
    """What a person should know of a verdict; None where it is private."""
    facts = {"since": since.isoformat(), "until": until.isoformat()}
    decisive = traffic.decisive
    match traffic.verdict:
        case Private():
            return None
        case PublicSeen():
            public = [one for one in decisive.sources if one.cls is AddressClass.PUBLIC] if decisive else []
            count = decisive.upstream.get(AddressClass.PUBLIC, 0) if decisive else 0
            return Finding(
                id=FindingId.TRAFFIC_PUBLIC,
                severity=Severity.CRITICAL,
                target=str(target),
                about="",
                message=f"upstream calls came to {target} from public addresses",
                facts={**facts, "calls": str(count), "sources": " ".join(one.address for one in public[:10])},
            )
        case Inconclusive(reasons=reasons):
            return Finding(
                id=FindingId.TRAFFIC_INCONCLUSIVE,
                severity=Severity.WARNING,
                target=str(target),
                about="",
                message=f"the traffic logs do not say whether calls to {target} are private",
                facts={**facts, "reasons": " ".join(dict.fromkeys(one.code.value for one in reasons))},
            )
