"""What a sweep looks for beside its targets: rules, services and their upstreams, exposure, and sites that nobody watches.

The reads: sites are listed at most once in some hours a subscription, and kept; every site's connections are looked at only
where that was asked for.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core import drift
from shared.core.arm_id import fold_case
from shared.core.drift import Estate, SiteFacts
from shared.core.errors import AzureError, StoreConflictError
from shared.core.finding import Finding, FindingId, Severity
from shared.core.model import ConnectionStatus, ListedSite
from shared.services.notebook import fetch, keep

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from shared.core.allowlist import Allowlist
    from shared.core.model import Connection, Target
    from shared.services.engine import Engine
    from shared.services.snapshot import Snapshot

SITES: Final = "sites"
SITES_READ: Final = "sites_read"
SITES_MAX_AGE: Final = timedelta(hours=6)
"""How long what is known of sites is taken as it is."""
SITES_WITHOUT_UPSTREAMS_AFTER: Final = timedelta(minutes=30)
"""Without upstreams only tiers are learnt from the sites: that can wait until the estate has been watched for a while."""
ALL_SITES_READS: Final = 200
"""Sites whose connections are listed one by one in one sweep, at most; the others have their turn at the next ones."""

_OF_RULES: Final = frozenset({FindingId.RULE_OUT_OF_SCOPE, FindingId.RULE_EXPIRED, FindingId.RULE_EXPIRES_SOON})
_OF_ESTATE: Final = frozenset(
    {
        FindingId.RULE_MATCHES_NOTHING,
        FindingId.SIGNALR_FREE_TIER,
        FindingId.SIGNALR_NOT_SERVERLESS,
        FindingId.UPSTREAM_NOT_PRIVATE,
        FindingId.PUBLIC_ACCESS_OPEN,
        FindingId.PLAN_TIER_UNSUPPORTED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SitesView:
    """What is known of a subscription's sites."""

    since: datetime | None = None
    """When the subscription was first looked at; None where it never was."""
    at: datetime | None = None
    """When its sites were last listed."""
    sites: tuple[SiteFacts, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTimes:
    """When each site's connections were last listed because the list of sites does not carry them."""

    at: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftResult:
    """What was found, and what was looked at: only what was looked at can be over."""

    findings: tuple[Finding, ...]
    judged: frozenset[FindingId]
    """The kinds of findings that this look would have found, wherever they are."""
    sites: frozenset[str]
    """The keys of the unwatched sites whose connections were seen."""


async def look_for_drift(  # noqa: PLR0913  all that drift is seen in
    engine: Engine,
    allowlist: Allowlist | None,
    snapshot: Snapshot | None,
    approved: Collection[Target],
    watched: Sequence[Target],
    *,
    failures: Mapping[str, AzureError],
    all_sites: bool,
) -> DriftResult:
    """Everything but what the visits to targets found.

    ``snapshot``: None where not every link is known. ``approved``: targets that have, or may have, a connection that is Approved.

    Raises:
        StoreError: where the state store failed.

    """
    found: list[Finding] = []
    judged: set[FindingId] = set()
    now = engine.clock.now()
    whole = snapshot if snapshot is not None and not failures else None
    if allowlist is not None:
        links = None if whole is None else [link for service in whole.services.values() for link in service.links]
        found += drift.of_rules(allowlist, links, now)
        judged |= _OF_RULES
    if whole is None or snapshot is None:
        return DriftResult(findings=tuple(found), judged=frozenset(judged), sites=frozenset())
    listed, unread = await _sites(engine, snapshot, now, all_sites=all_sites)
    found += unread
    judged.add(FindingId.SITES_UNREADABLE)
    if allowlist is not None:
        estate = Estate(
            services=snapshot.services.values(),
            allowlist=allowlist,
            watched=frozenset(watched),
            sites={facts.target: facts for facts in listed.facts},
            approved=approved,
        )
        found += drift.of_estate(estate)
        judged |= _OF_ESTATE
    seen: set[str] = set()
    if all_sites:
        pending, seen = await _look_at_all(engine, snapshot, listed.fresh, frozenset(watched), now)
        found += pending
    return DriftResult(findings=tuple(found), judged=frozenset(judged), sites=frozenset(seen))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    facts: tuple[SiteFacts, ...]
    """Of every subscription, some perhaps hours old."""
    fresh: tuple[ListedSite, ...]
    """What was listed just now."""


async def _sites(engine: Engine, snapshot: Snapshot, now: datetime, *, all_sites: bool) -> tuple[_Listed, list[Finding]]:
    has_upstreams = any(drift.upstream_host(t) for service in snapshot.services.values() for t in service.upstream_templates)
    facts: list[SiteFacts] = []
    fresh: list[ListedSite] = []
    unread: list[Finding] = []

    async def look(subscription: str) -> None:
        kept = await fetch(engine.state, SITES, fold_case(subscription), SitesView, SitesView())
        view = SitesView(since=kept.value.since or now, at=kept.value.at, sites=kept.value.sites)
        if all_sites or _is_due(view, now, has_upstreams=has_upstreams):
            try:
                reading = await engine.azure.list_sites(subscription)
            except AzureError as error:
                unread.append(_unreadable(subscription, error))
            else:
                fresh.extend(reading.value)
                view = SitesView(since=view.since, at=now, sites=tuple(map(_facts, reading.value)))
        facts.extend(view.sites)
        if view != kept.value:
            try:
                await keep(engine.state, SITES, fold_case(subscription), kept, view)
            except StoreConflictError:
                return  # Another sweep has just kept the same.

    await asyncio.gather(*(look(subscription) for subscription in engine.settings.subscriptions))
    return _Listed(facts=tuple(facts), fresh=tuple(fresh)), unread


def _is_due(view: SitesView, now: datetime, *, has_upstreams: bool) -> bool:
    if view.at is not None:
        return now - view.at >= SITES_MAX_AGE
    return has_upstreams or (view.since is not None and now - view.since >= SITES_WITHOUT_UPSTREAMS_AFTER)


def _facts(listed: ListedSite) -> SiteFacts:
    site = listed.site
    return SiteFacts(
        target=site.target,
        host_names=listed.host_names,
        public_network_access=site.public_network_access,
        tier=site.tier,
    )


def _unreadable(subscription: str, error: AzureError) -> Finding:
    return Finding(
        id=FindingId.SITES_UNREADABLE,
        severity=Severity.WARNING,
        target="",
        about=fold_case(subscription),
        message=f"the sites of the subscription {subscription} could not be listed: {error}",
        facts={},
    )


# Every site


async def _look_at_all(
    engine: Engine, snapshot: Snapshot, listed: Iterable[ListedSite], watched: frozenset[Target], now: datetime
) -> tuple[list[Finding], set[str]]:
    """The pending connections that nothing explains on sites that nobody watches, and the keys of the sites seen."""
    others = [one for one in listed if one.site.target not in watched]
    carried = {one.site.target: one.connections for one in others if one.connections is not None}
    asked = [one.site.target for one in others if one.connections is None]
    connections: dict[Target, tuple[Connection, ...]] = carried | await _list_some(engine, asked, now)
    found = [
        drift.pending_unexplained(connection)
        for target, there in connections.items()
        for connection in there
        if connection.status is ConnectionStatus.PENDING and not drift.is_explained(connection, snapshot.links_to(target))
    ]
    return found, {target.id.key for target in connections}


async def _list_some(engine: Engine, targets: Iterable[Target], now: datetime) -> dict[Target, tuple[Connection, ...]]:
    """The connections of those that were not listed for the longest time."""
    kept = await fetch(engine.state, SITES_READ, "all", ReadTimes, ReadTimes())
    known = {target.id.key: target for target in targets}
    never = datetime.min.replace(tzinfo=now.tzinfo)
    turn = sorted(known, key=lambda key: (kept.value.at.get(key, never), key))[:ALL_SITES_READS]
    found: dict[Target, tuple[Connection, ...]] = {}
    gate = asyncio.Semaphore(engine.settings.concurrency)

    async def look(key: str) -> None:
        async with gate:
            try:
                reading = await engine.azure.list_connections(known[key])
            except AzureError:
                return  # It keeps its place in the queue, and its findings.
        found[known[key]] = reading.value or ()

    await asyncio.gather(*(look(key) for key in turn))
    if turn:
        times = {key: at for key, at in kept.value.at.items() if key in known}
        times |= {target.id.key: now for target in found}
        try:
            await keep(engine.state, SITES_READ, "all", kept, ReadTimes(at=times))
        except StoreConflictError:
            return found
    return found
