"""Drift: what is approved and should not be, or cannot be explained; and what keeps calls on the public network.

Pure: what was looked at in, findings out. What each means, and what to do about it: docs/findings.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.allowlist import Allowlist, Effect
from shared.core.arm_id import fold_case
from shared.core.decide import UNSUPPORTED_TIERS
from shared.core.finding import Finding, FindingId, Severity
from shared.core.history import NOT_OURS, Outcome
from shared.core.model import ConnectionStatus, LinkProvisioning, LinkStatus, SignalR, Target
from shared.core.observation import Incarnation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.allowlist import Rule
    from shared.core.arm_id import ArmId
    from shared.core.evidence import Correlation
    from shared.core.history import History, Intent
    from shared.core.model import Connection, Link

EXPIRES_SOON: Final = timedelta(days=14)
"""How long before a rule's last day is over a person is told."""

_BROKEN: Final = frozenset({LinkStatus.REJECTED, LinkStatus.DISCONNECTED, LinkStatus.TIMEOUT})
_WAITING: Final = frozenset({LinkStatus.PENDING, LinkStatus.UNKNOWN})


# One target


def of_target(correlation: Correlation, scanned: Collection[str]) -> Iterator[Finding]:
    """What one look at a target shows. ``scanned``: the folded subscriptions whose links are known."""
    for connection in correlation.observation.connections:
        if connection.status is ConnectionStatus.APPROVED:
            yield from _of_approved(correlation, connection, scanned)
    for link in correlation.observation.links:
        if _is_ours(link, correlation):
            yield from _of_link(correlation, link)
            yield from _of_replicas(correlation, link)


def explained_by(history: History, connection: ArmId) -> Intent | None:
    """The approval of ours, or of a person through Linkguard, that explains why a connection is Approved; None where none does.

    A connection that a person took over as it was is in :attr:`History.adopted` instead.
    """
    approval = history.approval_of(connection)
    return None if approval is None or approval.outcome in NOT_OURS else approval


def unruled(correlation: Correlation) -> Iterator[Intent]:
    """Approvals of ours, no person's, whose connection is Approved and that no allow rule names any more, expired or not."""
    allowlist, history, observation = correlation.allowlist, correlation.history, correlation.observation
    for connection in observation.connections:
        approval = explained_by(history, connection.id)
        is_ours = approval is not None and not approval.by_person and connection.id not in history.adopted
        if not is_ours or approval is None or approval.incarnation is None or allowlist is None:
            continue
        rules = allowlist.about(approval.incarnation.link.parent, observation.target)
        if connection.status is ConnectionStatus.APPROVED and not any(rule.effect is Effect.ALLOW for rule in rules):
            yield approval


def _of_approved(correlation: Correlation, connection: Connection, scanned: Collection[str]) -> Iterator[Finding]:
    history, target = correlation.history, correlation.observation.target
    approval = explained_by(history, connection.id)
    if approval is None and connection.id not in history.adopted:
        yield Finding(
            id=FindingId.APPROVED_UNEXPLAINED,
            severity=Severity.CRITICAL,
            target=str(target),
            about=connection.id.key,
            message=f"{connection.id} is Approved, and no approval or adoption in the ledger explains it: "
            f"linkguard decide {connection.id} --adopt --reason TEXT, or --reject",
            facts={"endpoint": connection.endpoint_id, "description": connection.description},
        )
        return
    adopted_for = history.adopted.get(connection.id)
    life = approval.incarnation if approval is not None and approval.incarnation else adopted_for
    if life is None:
        return
    if fold_case(life.link.subscription) in scanned and _is_gone(correlation, life):
        never_shown = _was_never_shown(approval) and connection.id not in history.adopted
        also = ", and never showed the approval: it may be a stranger's" if never_shown else ""
        yield Finding(
            id=FindingId.APPROVED_LINK_GONE,
            severity=Severity.CRITICAL if never_shown else Severity.WARNING,
            target=str(target),
            about=connection.id.key,
            message=f"{connection.id} is Approved, and the link {life.link} that it was approved for "
            f"is gone or was made anew{also}",
            facts={"link": str(life.link), "endpoint": connection.endpoint_id},
        )
    if approval is not None and not approval.by_person and correlation.allowlist is not None:
        yield from _of_permission(correlation, correlation.allowlist, approval, life)


def _was_never_shown(approval: Intent | None) -> bool:
    """Whether an approval of ours came to its end before its link said that it was for the link's own connection."""
    return approval is not None and not approval.by_person and approval.outcome is Outcome.SUPERSEDED


def _is_gone(correlation: Correlation, life: Incarnation) -> bool:
    return not any(Incarnation.of(link).may_be(life) for link in correlation.observation.links)


def _of_permission(correlation: Correlation, allowlist: Allowlist, approval: Intent, life: Incarnation) -> Iterator[Finding]:
    observation = correlation.observation
    rules = allowlist.about(life.link.parent, observation.target)
    live = [rule for rule in rules if not rule.expired(observation.clock)]
    denied = next((rule for rule in live if rule.effect is Effect.DENY), None)
    allowed = next((rule for rule in live if rule.effect is Effect.ALLOW), None)
    if denied is None and allowed is not None:
        return
    expired = [rule for rule in rules if rule.effect is Effect.ALLOW]
    if denied is not None:
        why = f"the rule {denied.id} (line {denied.line}) denies it"
    elif expired:
        why = f"the rule {expired[0].id} (line {expired[0].line}) has expired"
    else:
        why = f"no rule names its service and target any more; it was approved under {approval.rule}"
    yield Finding(
        id=FindingId.APPROVED_NOT_ALLOWED,
        severity=Severity.CRITICAL if denied is not None else Severity.WARNING,
        target=str(observation.target),
        about=approval.connection.key,
        message=f"{approval.connection} is Approved by us, and {why}",
        facts={"rule": approval.rule, "decision": approval.decision, "allowlist": allowlist.digest},
    )


def _is_ours(link: Link, correlation: Correlation) -> bool:
    known = correlation.allowlist is not None and correlation.allowlist.knows_service(link.signalr)
    life = Incarnation.of(link)
    approvals = correlation.history.approvals()
    return known or any(one.incarnation is not None and one.incarnation.may_be(life) for one in approvals)


def _of_link(correlation: Correlation, link: Link) -> Iterator[Finding]:
    target = str(correlation.observation.target)
    facts = {"link": str(link.id), "link_status": link.status.value, "provisioning_state": link.provisioning.value}
    if link.status is LinkStatus.APPROVED and link.provisioning is not LinkProvisioning.SUCCEEDED:
        yield Finding(
            id=FindingId.LINK_APPROVED_NOT_PROVISIONED,
            severity=Severity.WARNING,
            target=target,
            about=link.id.key,
            message=f"the link {link.id} is Approved, but its provisioning is {link.provisioning.value}: it does not work",
            facts=facts,
        )
    elif link.provisioning is LinkProvisioning.SUCCEEDED and _was_approved_and_is_not(correlation, link):
        yield Finding(
            id=FindingId.LINK_PROVISIONED_NOT_APPROVED,
            severity=Severity.WARNING,
            target=target,
            about=link.id.key,
            message=f"the link {link.id} is provisioned and says {link.status.value}: it does not work",
            facts=facts,
        )


def _was_approved_and_is_not(correlation: Correlation, link: Link) -> bool:
    """Rejected, Disconnected and Timeout are an end; Pending is one once the link was Approved for what is still approved."""
    if link.status in _BROKEN:
        return True
    life = Incarnation.of(link)
    approved = {one.id for one in correlation.observation.connections if one.status is ConnectionStatus.APPROVED}
    return link.status in _WAITING and any(
        one.outcome is Outcome.CONFIRMED
        and one.connection in approved
        and one.incarnation is not None
        and one.incarnation.may_be(life)
        for one in correlation.history.approvals()
    )


def _of_replicas(correlation: Correlation, link: Link) -> Iterator[Finding]:
    """Further connections by the name of a link that has its own already: a replica's, or a stranger's."""
    if link.status is not LinkStatus.APPROVED:
        return
    over = {ConnectionStatus.REJECTED, ConnectionStatus.REJECTING, ConnectionStatus.DISCONNECTED, ConnectionStatus.DISCONNECTING}
    history, life = correlation.history, Incarnation.of(link)
    fitting = [
        one
        for one in correlation.observation.connections
        if one.status not in over and correlation.could_be(one, link) and not _is_for_another(history, one, life)
    ]
    decided = [one for one in fitting if one.id in history.adopted or explained_by(history, one.id) is not None]
    others = [one for one in fitting if one not in decided]
    if not decided or not others:
        return
    others_have = "1 more connection has" if len(others) == 1 else f"{len(others)} more connections have"
    yield Finding(
        id=FindingId.REPLICA_SUSPECTED,
        severity=Severity.WARNING,
        target=str(correlation.observation.target),
        about=link.id.key,
        message=f"the link {link.id} is Approved, and {others_have} its name: a replica's, or a stranger's",
        facts={"connections": " ".join(str(one.id) for one in sorted(others, key=lambda one: one.id)[:10])},
    )


def _is_for_another(history: History, connection: Connection, life: Incarnation) -> bool:
    approval = explained_by(history, connection.id)
    known = approval.incarnation if approval is not None else history.adopted.get(connection.id)
    return known is not None and not known.may_be(life)


# The allowlist


def of_rules(allowlist: Allowlist, links: Iterable[Link] | None, now: datetime) -> Iterator[Finding]:
    """What is wrong with rules by themselves. ``links``: every link there is, None where not all of them are known."""
    pairs = {(link.signalr, target) for link in links if (target := link.target) is not None} if links is not None else None
    for rule in allowlist.rules:
        yield from _of_expiry(rule, now)
        if pairs is not None and rule.effect is Effect.ALLOW and not any(rule.names(*pair) for pair in pairs):
            yield _about_rule(
                rule,
                FindingId.RULE_MATCHES_NOTHING,
                f"the rule {rule.id} (line {rule.line}) names no link that is there",
                {"signalr": str(rule.signalr), "target": str(rule.target), "slots": " ".join(rule.slots)},
            )


def _of_expiry(rule: Rule, now: datetime) -> Iterator[Finding]:
    if rule.expires is None:
        return
    facts = {"expires": rule.expires.isoformat(), "effect": rule.effect.value}
    end = datetime.combine(rule.expires, time.max, tzinfo=UTC)
    if rule.expired(now):
        yield _about_rule(rule, FindingId.RULE_EXPIRED, f"the rule {rule.id} (line {rule.line}) expired on {rule.expires}", facts)
    elif end - now <= EXPIRES_SOON:
        message = f"the rule {rule.id} (line {rule.line}) expires at the end of {rule.expires}"
        yield _about_rule(rule, FindingId.RULE_EXPIRES_SOON, message, facts)


def _about_rule(rule: Rule, id_: FindingId, message: str, facts: dict[str, str]) -> Finding:
    noted = {name: text for name, text in (("owner", rule.owner), ("ticket", rule.ticket)) if text}
    return Finding(id=id_, severity=Severity.WARNING, target="", about=rule.id, message=message, facts=facts | noted)


# Services, their upstreams, and where these lead


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFacts:
    """What is known of a site beside its connections; read now and then, not at every sweep."""

    target: Target
    host_names: tuple[str, ...]
    """Lower-case."""
    public_network_access: str
    """As :attr:`shared.core.model.Site.public_network_access`."""
    tier: str


_HOST: Final = re.compile(r"https?://(?:[^/@{}]*@)?(?P<host>[a-z0-9.-]+)(?::[0-9]+)?(?:[/?#]|$)", re.IGNORECASE)


def upstream_host(template: str) -> str:
    """The host that an upstream's URL template leads to, lower-case; "" where it cannot be told from the template alone."""
    match = _HOST.match(template)
    return match["host"].lower().rstrip(".") if match else ""


def default_host(target: Target) -> str:
    """The host name that a site or slot has by its name; newer ones may have another, which only the site itself says."""
    return "-".join(name for _, name in target.id.path).lower() + ".azurewebsites.net"


@dataclass(frozen=True, kw_only=True)
class Estate:
    """What is known of all services and sites at once."""

    services: Iterable[SignalR]
    allowlist: Allowlist
    watched: Collection[Target]
    sites: Mapping[Target, SiteFacts]
    approved: Collection[Target]
    """Watched targets of which some connection is Approved."""


def of_estate(estate: Estate) -> Iterator[Finding]:
    """What services, upstreams, exposure and tiers show."""
    hosts = _hosts(estate)
    callers: dict[Target, list[bool]] = {}
    for service in estate.services:
        known = estate.allowlist.knows_service(service.id)
        if known:
            yield from _of_service(service)
        for target, template_hosts in _upstreams(service, hosts).items():
            has_link = any(_works(link) and link.target == target for link in service.links)
            callers.setdefault(target, []).append(has_link)
            if not has_link and (known or target in estate.watched):
                yield Finding(
                    id=FindingId.UPSTREAM_NOT_PRIVATE,
                    severity=Severity.WARNING,
                    target=str(target),
                    about=service.id.key,
                    message=f"{service.id} calls {target} over the public network: it has no approved link to it",
                    facts={"signalr": str(service.id), "hosts": " ".join(sorted(template_hosts))},
                )
    for target in estate.watched:
        if facts := estate.sites.get(target):
            yield from _of_site(facts, callers.get(target, []), approved=target in estate.approved)


def _hosts(estate: Estate) -> dict[str, Target]:
    """Every known host name. What a site says of itself counts before what its name suggests."""
    hosts = {default_host(target): target for target in (*estate.watched, *estate.sites)}
    return hosts | {name: facts.target for facts in estate.sites.values() for name in facts.host_names}


def _upstreams(service: SignalR, hosts: Mapping[str, Target]) -> dict[Target, set[str]]:
    found: dict[Target, set[str]] = {}
    for template in service.upstream_templates:
        host = upstream_host(template)
        if host in hosts:
            found.setdefault(hosts[host], set()).add(host)
    return found


def _works(link: Link) -> bool:
    return link.status is LinkStatus.APPROVED and link.provisioning is LinkProvisioning.SUCCEEDED


def _of_service(service: SignalR) -> Iterator[Finding]:
    if fold_case(service.tier) == fold_case("Free"):
        yield Finding(
            id=FindingId.SIGNALR_FREE_TIER,
            severity=Severity.WARNING,
            target="",
            about=service.id.key,
            message=f"{service.id} is on the Free tier, which has no shared private links",
            facts={"signalr": str(service.id)},
        )
    if service.service_mode and fold_case(service.service_mode) != fold_case("Serverless"):
        yield Finding(
            id=FindingId.SIGNALR_NOT_SERVERLESS,
            severity=Severity.WARNING,
            target="",
            about=service.id.key,
            message=f"{service.id} is not in serverless mode, so it calls no upstream",
            facts={"signalr": str(service.id), "mode": service.service_mode},
        )


def _of_site(facts: SiteFacts, callers: list[bool], *, approved: bool) -> Iterator[Finding]:
    if fold_case(facts.tier) in UNSUPPORTED_TIERS:
        yield Finding(
            id=FindingId.PLAN_TIER_UNSUPPORTED,
            severity=Severity.WARNING,
            target=str(facts.target),
            about="",
            message=f"{facts.target} is on the {facts.tier} tier, which takes no private endpoints",
            facts={"tier": facts.tier},
        )
    # Not set means closed as soon as there is a private endpoint.
    is_open = fold_case(facts.public_network_access) == fold_case("Enabled") or not (facts.public_network_access or approved)
    if is_open and callers and all(callers):
        yield Finding(
            id=FindingId.PUBLIC_ACCESS_OPEN,
            severity=Severity.WARNING,
            target=str(facts.target),
            about="",
            message=f"{facts.target} takes calls from the public network, though each service that calls it has an approved link",
            facts={"publicNetworkAccess": facts.public_network_access or "null"},
        )


# Connections of sites that nobody watches


def is_explained(connection: Connection, links: Iterable[Link]) -> bool:
    """Whether one of the links that lead to its site fits a pending connection by name and message."""
    endpoint = connection.endpoint
    return any(
        endpoint is not None
        and fold_case(endpoint.name) == fold_case(link.name)
        and connection.description == link.request_message
        for link in links
    )


def pending_unexplained(connection: Connection) -> Finding:
    """A pending connection, somewhere in the scanned subscriptions, that nothing explains."""
    return Finding(
        id=FindingId.PENDING_UNEXPLAINED,
        severity=Severity.WARNING,
        target=str(connection.target),
        about=connection.id.key,
        message=f"{connection.id} is Pending, and no link in the scanned subscriptions explains it",
        facts={"endpoint": connection.endpoint_id, "message": connection.description},
    )
