"""An estate to report on: a small one with one of everything, a hostile one, and one of any size."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import TYPE_CHECKING, Final

from shared.core.allowlist import Effect
from shared.core.allowlist_document import parse_allowlist
from shared.core.arm_id import ArmId
from shared.core.decide import decide
from shared.core.entries import Decision, verdict_name
from shared.core.evidence import Evidence, Rival, SignatureFacts, SignatureState
from shared.core.finding import Finding, FindingId, Severity
from shared.core.finding_life import Life
from shared.core.ledger import ChainFault, RecordKind, digest
from shared.core.model import Connection, ConnectionStatus, Link, LinkProvisioning, LinkStatus, Site, Target
from shared.core.report_data import (
    FindingView,
    HeldView,
    LedgerView,
    LinkView,
    ReportData,
    SweepView,
    TimelineItem,
    TrafficItem,
)
from shared.core.verdict import Approve, Mode
from shared.services.views import unseen_view

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.ledger import JsonObject

NOW: Final = datetime(2027, 1, 4, 12, 0, tzinfo=UTC)
MESSAGE: Final = "please approve"
SUBSCRIPTION: Final = "/subscriptions/00000000-0000-0000-0000-0000000000a1/resourceGroups"
THEIRS: Final = "/subscriptions/00000000-0000-0000-0000-0000000000ff/resourceGroups/managed"


def signalr(name: str, group: str = "chat-prod") -> ArmId:
    return ArmId.parse(f"{SUBSCRIPTION}/{group}/providers/Microsoft.SignalRService/signalR/{name}")


def site(name: str, group: str = "chat-prod") -> Target:
    return Target(ArmId.parse(f"{SUBSCRIPTION}/{group}/providers/Microsoft.Web/sites/{name}"))


def link_of(service: ArmId, name: str, target: Target, *, message: str = MESSAGE, status: str = "Pending") -> Link:
    return Link(
        id=service.child("sharedPrivateLinkResources", name),
        resource_id=str(target.id),
        group_id=target.group_id,
        request_message=message,
        status=LinkStatus.read(status),
        provisioning=LinkProvisioning.SUCCEEDED,
        created_at=NOW - timedelta(hours=3),
    )


def connection_of(target: Target, name: str, *, message: str = MESSAGE, status: str = "Pending", salt: str = "") -> Connection:
    return Connection(
        id=target.id.child("privateEndpointConnections", f"{name}-{digest([name, target.id.key, salt])[:8]}"),
        status=ConnectionStatus.read(status),
        status_text=status,
        description=message,
        endpoint_id=f"{THEIRS}/providers/Microsoft.Network/privateEndpoints/{name}",
    )


ALLOWLIST: Final = f"""\
version: 1
rules:
  - id: chat-upstream
    effect: allow
    signalr: {signalr("chat-signalr")}
    target: {site("chat-func").id}
    owner: team-chat
    ticket: CHG-1234
"""


def evidence(connection: Connection | None, link: Link | None, *, fits: bool, rivals: tuple[Connection, ...] = ()) -> Evidence:
    allowlist = parse_allowlist(ALLOWLIST, "allowlist.yaml")
    target = connection.target if connection else link.target if link else None
    assert target is not None
    rules = allowlist.about(link.signalr, target) if link else allowlist.about_target(target)
    assert all(rule.effect is Effect.ALLOW for rule in rules)
    return Evidence(
        target=target,
        connection=connection,
        link=link,
        link_fits=fits,
        rival_links=(),
        rival_connections=tuple(Rival(connection=one, gone=False) for one in rivals),
        unconfirmed=(),
        own_approval="",
        quarantined_by="",
        rejected_by="",
        signature=SignatureFacts(state=SignatureState.ABSENT),
        first_seen=NOW - timedelta(hours=2),
        link_absent_at=None,
        tier="Standard",
        site=Site(target=target, public_network_access="Enabled", tier="PremiumV3"),
        target_has_approved=True,
        rules=rules,
        paused=False,
        allowlist_problem="",
        allowlist_source="allowlist.yaml",
        allowlist_digest=allowlist.digest,
        mode=Mode.ENFORCE,
        look_started=NOW - timedelta(seconds=9),
        clock=NOW - timedelta(seconds=8),
        settle_seconds=30.0,
        settled_since=NOW - timedelta(hours=1),
    )


def held(found: Evidence) -> HeldView:
    decision = Decision(evidence=found, verdict=decide(found), evidence_digest=found.digest(), number=1)
    return HeldView(
        target=found.target,
        connection=found.connection.id if found.connection else None,
        link=found.link.id if found.link else None,
        verdict=verdict_name(decision.verdict),
        outcome=None,
        reasons=decision.reasons,
        rule=decision.rule,
        strength=decision.verdict.strength if isinstance(decision.verdict, Approve) else None,
        decision_id=decision.id,
        evidence_digest=found.digest(),
        number=1,
        state=found.connection.status_text if found.connection else "",
        evidence=found,
    )


def view_of_held(one: HeldView) -> LinkView:
    found = one.evidence
    return LinkView(
        target=one.target,
        link=one.link if found.link_fits or one.connection is None else None,
        connection=one.connection,
        endpoint=found.connection.endpoint_id if found.connection else "",
        link_status=found.link.status.value if found.link and (found.link_fits or one.connection is None) else "",
        link_provisioning=found.link.provisioning.value if found.link else "",
        connection_state=one.state,
        verdict=one.verdict,
        outcome=one.outcome,
        rule=one.rule,
        owner="team-chat" if one.rule else "",
        ticket="CHG-1234" if one.rule else "",
        decision_id=one.decision_id,
        since=found.first_seen,
    )


def connected(service: ArmId, name: str, target: Target, *, days: int = 4, outcome: str = "confirmed") -> LinkView:
    link = link_of(service, name, target, status="Approved")
    connection = connection_of(target, name, status="Approved", salt=service.key)
    return LinkView(
        target=target,
        link=link.id,
        connection=connection.id,
        endpoint=connection.endpoint_id,
        link_status="Approved",
        link_provisioning="Succeeded",
        connection_state="Approved",
        verdict="settled",
        outcome=outcome,
        rule=f"{target.id.name}-rule",
        owner="team-chat",
        ticket="CHG-1234",
        decision_id=digest(str(connection.id)),
        since=NOW - timedelta(days=days),
    )


def finding(
    id_: FindingId, severity: Severity, target: Target | None, message: str, about: str = "", **facts: str
) -> FindingView:
    return FindingView(
        finding=Finding(
            id=id_, severity=severity, target=str(target) if target else "", about=about, message=message, facts=facts
        ),
        life=Life.NEW,
        first_seen=NOW - timedelta(hours=2),
        last_seen=NOW - timedelta(minutes=4),
        resolved_at=None,
    )


def traffic(target: Target, hours_ago: int, verdict: str, private: int, public: int, **more: object) -> TrafficItem:
    body: JsonObject = {
        "target": str(target.id),
        "verdict": verdict,
        "basis": "forwarded_for",
        "reasons": [],
        "requests": {"private": private, "public": public, "loopback": 3},
        "upstream": {"private": private, "public": public},
        "sources": [
            {"address": "203.0.113.7", "class": "public", "count": public, "last_seen": "2027-01-04T11:12:00+00:00"},
            {"address": "198.51.100.20", "class": "public", "count": public // 2, "last_seen": "2027-01-04T10:40:00+00:00"},
        ]
        if public
        else [],
        **more,  # type: ignore[dict-item]  # a test's own
    }
    at = NOW - timedelta(hours=hours_ago)
    return TrafficItem(target=target, record=digest([str(target.id), hours_ago]), at=at, body=body)


def record(chain: Target | str, sequence: int, kind: RecordKind, hours_ago: float, body: JsonObject) -> TimelineItem:
    name = chain if isinstance(chain, str) else chain.id.key
    return TimelineItem(
        chain=name, sequence=sequence, id=digest([name, sequence]), kind=kind, at=NOW - timedelta(hours=hours_ago), body=body
    )


def sweep(links: tuple[LinkView, ...], held_ones: tuple[HeldView, ...] = ()) -> SweepView:
    return SweepView(
        mode=Mode.ENFORCE,
        started=NOW - timedelta(minutes=4, seconds=6),
        finished=NOW - timedelta(minutes=4),
        complete=True,
        seen=tuple({view.target: None for view in links}),
        unread=(),
        allowlist_source="allowlist.yaml",
        allowlist_digest=digest(ALLOWLIST),
        paused=False,
        links=links,
        held=held_ones,
        held_total=len(held_ones),
    )


QUIET: Final = ReportData(
    at=NOW,
    sweep=sweep((connected(signalr("chat-signalr"), "func-pe", site("chat-func")),)),
    audit_at=None,
    findings=(),
    ledger=LedgerView(chains=0, records=0, faults=(), timeline=()),
    traffic=(),
)
NOTHING: Final = ReportData(
    at=NOW,
    sweep=None,
    audit_at=None,
    findings=(),
    ledger=LedgerView(chains=0, records=0, faults=(), timeline=()),
    traffic=(),
)


def small(message: str = MESSAGE, name: str = "func-pe", address: str = "203.0.113.7") -> ReportData:
    """One of everything. What strangers choose can be given: their message, their endpoint's name, their address."""
    chat, billing, media = signalr("chat-signalr"), signalr("billing-signalr", "billing"), signalr("media-signalr", "media")
    func, web, api, store = site("chat-func"), site("chat-web"), site("billing-api", "billing"), site("media-store", "media")
    web_link = link_of(chat, "web-pe", web, message=message)
    genuine = connection_of(web, "web-pe", message=message)
    impostor = replace(genuine, id=web.id.child("privateEndpointConnections", "web-pe-7c31d2aa"))
    stranger = connection_of(func, name, message=message)
    unlisted = link_of(media, "store-pe", store)
    ones = (
        held(evidence(genuine, web_link, fits=True, rivals=(impostor,))),
        held(evidence(impostor, web_link, fits=True, rivals=(genuine,))),
        held(evidence(stranger, link_of(chat, "func-pe", func, status="Approved"), fits=False)),
        held(evidence(connection_of(store, "store-pe"), unlisted, fits=True)),
        held(evidence(None, link_of(billing, "late-pe", api), fits=False)),
    )
    links = (
        connected(chat, "func-pe", func),
        connected(billing, "api-pe", api, days=40),
        connected(billing, "web-pe", web, days=1, outcome="sent"),
        replace(connected(media, "func-pe", func, days=90), link_status="Disconnected", outcome=None, rule="", owner=""),
        *map(view_of_held, ones),
    )
    genuine_held, _, stranger_held, *_ = ones
    findings = (
        finding(
            FindingId.IMPOSTOR_SUSPECTED,
            Severity.CRITICAL,
            web,
            f"{genuine.id} is not alone: another link or connection fits as well, and one of them may be an impostor",
            genuine.id.key,
            codes="ambiguous",
            decision=genuine_held.decision_id,
        ),
        finding(
            FindingId.CONNECTION_HELD,
            Severity.WARNING,
            func,
            f"{stranger.id} is held: {', '.join(one.code.value for one in stranger_held.reasons)}",
            stranger.id.key,
            codes=" ".join(one.code.value for one in stranger_held.reasons),
            decision=stranger_held.decision_id,
        ),
        finding(
            FindingId.APPROVED_UNEXPLAINED,
            Severity.WARNING,
            func,
            "approved, and the ledger has no approval or adoption of it",
            header=message,
        ),
        replace(
            finding(FindingId.RULE_EXPIRES_SOON, Severity.WARNING, None, "the rule chat-upstream expires in 6 days"),
            resolved_at=NOW - timedelta(hours=1),
            life=Life.RESOLVED,
        ),
    )
    series = tuple(_series(func, address)) + tuple(
        traffic(api, hour, "private", 5_000 + 130 * hour, 0) for hour in range(20, 0, -1)
    )
    timeline = tuple(_timeline(func, web, ones))
    nobodys = unseen_view(link_of(media, "archive-pe", site("media-archive", "media")), site("media-archive", "media"))
    return ReportData(
        at=NOW,
        sweep=replace(sweep(links, ones), unseen=(nobodys,)),
        audit_at=NOW - timedelta(hours=1),
        findings=findings,
        ledger=LedgerView(chains=2, records=len(timeline), faults=(), timeline=timeline),
        traffic=tuple(sorted(series, key=lambda item: item.at)),
    )


def _series(target: Target, address: str) -> Iterator[TrafficItem]:
    for hour in range(20, 0, -1):
        public = 240 + 17 * hour if hour < 5 else 0
        sources = [{"address": address, "class": "public", "count": public, "last_seen": "2027-01-04T11:12:00+00:00"}]
        more: dict[str, object] = {"sources": sources} if public else {}
        yield traffic(target, hour, "public-seen" if public else "private", 900 + 61 * (hour % 7), public, **more)


def _timeline(func: Target, web: Target, ones: tuple[HeldView, ...]) -> Iterator[TimelineItem]:
    connection = str(connection_of(func, "func-pe", salt=signalr("chat-signalr").key).id)
    yield record(
        web,
        2,
        RecordKind.HOLD,
        1,
        {
            "verdict": "hold",
            "connection": str(ones[0].connection),
            "codes": [one.code.value for one in ones[0].reasons],
            "decision": ones[0].decision_id,
        },
    )
    yield record(
        web,
        1,
        RecordKind.HOLD,
        2,
        {"verdict": "hold", "connection": str(ones[2].connection), "codes": ["no_link"], "decision": ones[2].decision_id},
    )
    approved: JsonObject = {"action": "approve", "connection": connection, "by_person": False}
    yield record(
        func, 2, RecordKind.OUTCOME, 94, {"outcome": "confirmed", "connection": connection, "why": "the link is Approved"}
    )
    yield record(func, 1, RecordKind.INTENT, 95, {"intent": approved, "decision": digest("an approval")})


def broken(data: ReportData) -> ReportData:
    """The same with a ledger somebody wrote into."""
    item = data.ledger.timeline[0]
    fault = ChainFault(chain=item.chain, sequence=item.sequence, message="its content was changed: the hash differs")
    return replace(data, ledger=replace(data.ledger, faults=(fault,)))


def large(links: int, findings: int) -> ReportData:
    """An estate of any size, in which every twentieth connection is held."""
    services = [signalr(f"signalr-{number:03}", f"group-{number % 17}") for number in range(max(links // 20, 1))]
    ids = cycle((FindingId.CONNECTION_HELD, FindingId.APPROVED_UNEXPLAINED, FindingId.UPSTREAM_NOT_PRIVATE))
    views: list[LinkView] = []
    ones: list[HeldView] = []
    for number in range(links):
        target, service = site(f"site-{number // 2:05}", f"group-{number // 2 % 17}"), services[number % len(services)]
        if number % 20:
            views.append(connected(service, f"pe-{number:05}", target, days=number % 300))
            continue
        one = held(evidence(connection_of(target, f"pe-{number:05}"), link_of(service, f"pe-{number:05}", target), fits=True))
        ones.append(one)
        views.append(view_of_held(one))
    found = tuple(
        finding(
            next(ids),
            Severity.CRITICAL if number % 10 == 0 else Severity.WARNING,
            site(f"site-{number:05}"),
            f"a finding about site-{number:05}, which says what is wrong and what to type",
            str(number),
            decision=ones[number % len(ones)].decision_id if ones else "",
        )
        for number in range(findings)
    )
    chain = site("site-00000").id.key
    timeline = tuple(
        record(
            chain,
            2000 - number,
            RecordKind.HOLD,
            number / 4,
            {"verdict": "hold", "connection": str(ones[0].connection), "codes": ["not_allowlisted"]},
        )
        for number in range(2000 if links > 1000 else 20)  # As many as a report shows.
    )
    return ReportData(
        at=NOW,
        sweep=sweep(tuple(views), tuple(ones)),
        audit_at=NOW - timedelta(hours=1),
        findings=found,
        ledger=LedgerView(chains=1, records=len(timeline), faults=(), timeline=timeline),
        traffic=tuple(
            traffic(site(f"site-{number:05}"), hour, "private", 900, 0)
            for hour in range(24, 0, -1)
            for number in range(links // 2 if links > 1000 else 20)
        ),
    )
