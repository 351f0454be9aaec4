"""The decision: evidence in, verdict out. Pure; every rule is checked, so that every reason shows (docs/evidence.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, assert_never

from shared.core.allowlist import Effect
from shared.core.arm_id import fold_case
from shared.core.endpoint_name import fits
from shared.core.evidence import SignatureState
from shared.core.model import PRODUCTION, ConnectionStatus, LinkProvisioning, LinkStatus
from shared.core.reason import HOLDS, Code, Reason
from shared.core.verdict import Approve, Hold, Mode, Settled, Strength, Wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.allowlist import Rule
    from shared.core.evidence import Evidence
    from shared.core.model import Connection, Link
    from shared.core.verdict import Verdict

UNSUPPORTED_TIERS: Final = frozenset(map(fold_case, ("Free", "Shared", "Dynamic")))
"""Plan tiers that take no private endpoints."""
SUPPORTED_TIERS: Final = frozenset(
    fold_case(tier)
    for tier in (
        "Basic",
        "Standard",
        "PremiumV2",
        "PremiumV3",
        "Isolated",
        "IsolatedV2",
        "ElasticPremium",
        "FlexConsumption",
    )
)
"""Plan tiers known to take private endpoints. Any other is let pass with a mark: Azure accepted the connection."""

STRENGTHEN: Final = "in the rule: `request_message: {signed: true}`, or pins under `endpoint_subscriptions:`"


def decide(evidence: Evidence) -> Verdict:
    """The verdict that follows from ``evidence``, and from nothing else.

    Raises:
        ValueError: where the evidence lacks what any approval needs: a connection, a rule, the target's own answer.

    """
    connection = evidence.connection
    if connection is not None and connection.status is not ConnectionStatus.PENDING:
        return _not_pending(evidence, connection)
    if evidence.own_approval:
        return Wait(until=None, reasons=(_unconfirmed(evidence.own_approval),))
    rule, about_rules = _governing_rule(evidence)
    found = (
        *about_rules,
        *_about_link(evidence),
        *_about_connection(evidence),
        *_about_past(evidence),
        *_about_target(evidence),
    )
    holds = tuple(reason for reason in found if reason.code in HOLDS)
    if holds:
        return Hold(reasons=holds)
    if found:
        return Wait(until=None, reasons=found)
    if rule is None or evidence.site is None or connection is None:
        message = "nothing is approved without a connection, a governing rule and the target's own answer"
        raise ValueError(message)
    return _settle(evidence, rule)


def _not_pending(evidence: Evidence, connection: Connection) -> Verdict:
    match connection.status:
        case ConnectionStatus.APPROVING | ConnectionStatus.UNKNOWN:
            reason = Reason(
                code=Code.APPROVING,
                message="Azure has not finished with this connection",
                facts={"connection_status": connection.status_text},
            )
            return Wait(until=None, reasons=(reason,))
        case _ if evidence.own_approval:
            return Wait(until=None, reasons=(_unconfirmed(evidence.own_approval),))
        case state:
            return Settled(state=state)


def _settle(evidence: Evidence, rule: Rule) -> Verdict:
    """Two looks, far enough apart, must say the same: a link deleted between two reads would otherwise be enough to fool us."""
    duration = timedelta(seconds=evidence.settle_seconds)
    if evidence.settled_since is None or evidence.look_started - evidence.settled_since < duration:
        since = evidence.settled_since or evidence.clock
        reason = Reason(
            code=Code.SETTLING,
            message=f"the evidence must stay the same for {evidence.settle_seconds:g} seconds",
            facts={"unchanged_since": since.isoformat()},
        )
        return Wait(until=since + duration, reasons=(reason,))
    return Approve(
        rule=rule.id,
        strength=Strength.STRONG if rule.is_strong else Strength.WEAK,
        marks=tuple(_marks(evidence, rule)),
    )


def _marks(evidence: Evidence, rule: Rule) -> Iterator[Reason]:
    if not rule.is_strong:
        yield Reason(
            code=Code.WEAK_EVIDENCE,
            message="the evidence is a name and a message, and any requester can copy both",
            facts={"rule": rule.id},
            resolve=STRENGTHEN,
        )
    tier = evidence.site.tier if evidence.site else ""
    if fold_case(tier) not in SUPPORTED_TIERS:
        yield Reason(
            code=Code.TIER_UNKNOWN,
            message="it is not known whether this plan tier takes private endpoints; Azure accepted the connection",
            facts={"tier": tier},
        )
    if evidence.mode is Mode.OBSERVE:
        yield Reason(
            code=Code.OBSERVE_ONLY,
            message="it would be approved, but the mode is observe: nothing is written",
            facts={},
            resolve="set LINKGUARD_MODE=enforce",
        )


# The allowlist


def _governing_rule(evidence: Evidence) -> tuple[Rule | None, tuple[Reason, ...]]:
    """The rule whose demands all hold, else the reasons: deny wins, then the most specific allow rules, any one of them."""
    if evidence.allowlist_problem:
        reason = Reason(
            code=Code.ALLOWLIST_UNREADABLE,
            message="the allowlist cannot be read or is not valid, so nothing is approved",
            facts={"problem": evidence.allowlist_problem},
            resolve="linkguard allowlist check FILE",
        )
        return None, (reason,)
    general = tuple(_about_rules(evidence))
    allowed = [r for r in evidence.rules if r.effect is Effect.ALLOW and not r.expired(evidence.clock)]
    if evidence.link is None or not allowed:
        return None, general
    governing = [rule for rule in allowed if rule.specificity == allowed[0].specificity]
    refusals = {rule.id: tuple(_demands(evidence, evidence.link, rule)) for rule in governing}
    best = min(governing, key=lambda rule: len(refusals[rule.id]))
    return best, (*general, *refusals[best.id])


def _about_rules(evidence: Evidence) -> Iterator[Reason]:
    if evidence.paused:
        yield Reason(
            code=Code.PAUSED,
            message="the allowlist says `paused: true`, which stops all approvals",
            facts={"allowlist": evidence.allowlist_source},
            resolve="paused: false",
        )
    denies = [r for r in evidence.rules if r.effect is Effect.DENY and not r.expired(evidence.clock)]
    if denies:
        yield Reason(
            code=Code.DENIED,
            message="a deny rule names this SignalR service and target; deny wins",
            facts={"rule": denies[0].id, "line": str(denies[0].line)},
            resolve=f"remove or narrow the rule {denies[0].id} (line {denies[0].line})",
        )
    allows = [r for r in evidence.rules if r.effect is Effect.ALLOW]
    if not allows:
        signalr = str(evidence.link.signalr) if evidence.link else "<SignalR service id>"
        slot = evidence.target.slot or PRODUCTION
        yield Reason(
            code=Code.NOT_ALLOWLISTED,
            message="no allow rule names this SignalR service with this target",
            facts={"signalr": signalr, "target": str(evidence.target)},
            resolve=(f"- {{id: <name>, effect: allow, signalr: {signalr}, target: {evidence.target.site}, slots: [{slot}]}}"),
        )
    elif all(rule.expired(evidence.clock) for rule in allows):
        yield Reason(
            code=Code.RULE_EXPIRED,
            message="every rule that allows this has expired",
            facts={"rule": allows[0].id, "line": str(allows[0].line), "expires": str(allows[0].expires)},
            resolve="expires: <a later day>",
        )


def _demands(evidence: Evidence, link: Link, rule: Rule) -> Iterator[Reason]:
    """What this rule demands and the evidence does not give."""
    connection = evidence.connection
    if connection is not None:
        endpoint = connection.endpoint
        if endpoint is None or not fits(rule.endpoint_name, link.name, link.signalr.name, endpoint.name):
            yield Reason(
                code=Code.NAME_DIFFERS,
                message="the private endpoint's name does not fit the link",
                facts={
                    "endpoint": endpoint.name if endpoint else connection.endpoint_id,
                    "link": link.name,
                    "template": rule.endpoint_name,
                    "rule": rule.id,
                },
                resolve="if SignalR names its endpoints otherwise here: endpoint_name: <template>, with a signature or pins",
            )
        subscription = endpoint.subscription if endpoint else ""
        if rule.endpoint_subscriptions and fold_case(subscription) not in map(fold_case, rule.endpoint_subscriptions):
            yield Reason(
                code=Code.ENDPOINT_SUBSCRIPTION_UNKNOWN,
                message="the private endpoint lives in a subscription that the rule does not pin",
                facts={"endpoint_subscription": subscription, "rule": rule.id},
                resolve=f"endpoint_subscriptions: [..., {subscription or '<subscription id>'}]",
            )
    if rule.request_message is not None and rule.request_message != link.request_message:
        yield Reason(
            code=Code.MESSAGE_DIFFERS,
            message="the link's request message is not the one that the rule demands",
            facts={"link_message": link.request_message, "rule_message": rule.request_message, "rule": rule.id},
            resolve="request_message: <the link's message>",
        )
    if rule.signed:
        yield from _about_signature(evidence, rule)
    if _changes_exposure(evidence) and not rule.accept_exposure_change:
        yield Reason(
            code=Code.EXPOSURE_CHANGE,
            message="approving the first private endpoint would take this site off the public internet, "
            "since its publicNetworkAccess is not set",
            facts={"publicNetworkAccess": "null", "rule": rule.id},
            resolve="accept_exposure_change: true, or set the site's publicNetworkAccess to Enabled or Disabled",
        )


def _about_signature(evidence: Evidence, rule: Rule) -> Iterator[Reason]:
    signature = evidence.signature
    facts = {"rule": rule.id, "key_id": signature.key_id}
    resolve = "make the link anew with a message from: linkguard request"
    match signature.state:
        case SignatureState.ABSENT:
            message = "the rule demands a signed request message, and the link's is not one"
            yield Reason(code=Code.SIGNATURE_MISSING, message=message, facts=facts, resolve=resolve)
        case SignatureState.WRONG:
            message = "the signature of the request message is not valid for this service, target and link"
            facts |= {"why": signature.why}
            yield Reason(code=Code.SIGNATURE_WRONG, message=message, facts=facts, resolve=resolve)
        case SignatureState.GENUINE:
            if signature.expires is None or signature.expires < evidence.clock:
                message = "the signed request message has expired"
                facts |= {"expires": signature.expires.isoformat() if signature.expires else ""}
                yield Reason(code=Code.SIGNATURE_EXPIRED, message=message, facts=facts, resolve=resolve)
            if signature.spent_by:
                message = "the signed request message was used for a connection that is confirmed"
                facts |= {"spent_by": signature.spent_by}
                yield Reason(code=Code.SIGNATURE_SPENT, message=message, facts=facts, resolve=resolve)
        case _ as never:
            assert_never(never)


def _changes_exposure(evidence: Evidence) -> bool:
    return evidence.site is not None and not evidence.site.public_network_access and not evidence.target_has_approved


# The link and the connection


def _about_link(evidence: Evidence) -> Iterator[Reason]:
    link, connection = evidence.link, evidence.connection
    if connection is not None and (link is None or not evidence.link_fits):
        yield from _unexplained(evidence, connection, link)
    if link is None:
        return
    facts = {"link": str(link.id), "link_status": link.status.value, "provisioning_state": link.provisioning.value}
    match link.provisioning:
        case LinkProvisioning.FAILED | LinkProvisioning.CANCELED:
            message = "Azure failed to make the link"
            yield Reason(code=Code.LINK_FAILED, message=message, facts=facts, resolve="delete the link and make it anew")
        case LinkProvisioning.SUCCEEDED:
            yield from _about_link_status(link, connection, facts)
        case (
            LinkProvisioning.RUNNING
            | LinkProvisioning.CREATING
            | LinkProvisioning.UPDATING
            | LinkProvisioning.DELETING
            | LinkProvisioning.MOVING
            | LinkProvisioning.UNKNOWN
        ):
            message = "Azure has not finished making the link"
            yield Reason(code=Code.LINK_NOT_PROVISIONED, message=message, facts=facts)
        case _ as never:
            assert_never(never)


def _about_link_status(link: Link, connection: Connection | None, facts: dict[str, str]) -> Iterator[Reason]:
    match link.status:
        case LinkStatus.PENDING:
            return
        case LinkStatus.UNKNOWN:
            message = "the link's status is not one that is known"
            yield Reason(code=Code.LINK_NOT_PROVISIONED, message=message, facts=facts)
        case LinkStatus.APPROVED:
            # The link works: making it anew would only end that.
            message = "the link has its connection already, so this one is not what it waits for"
            about = connection.id if connection else "CONNECTION_ID"
            resolve = f"linkguard decide {about} --reject --reason TEXT"
            yield Reason(code=Code.LINK_NOT_PENDING, message=message, facts=facts, resolve=resolve)
        case LinkStatus.REJECTED | LinkStatus.DISCONNECTED | LinkStatus.TIMEOUT:
            message = "the link does not wait for an approval, so this connection is not what it waits for"
            yield Reason(code=Code.LINK_NOT_PENDING, message=message, facts=facts, resolve="make the link anew")
        case _ as never:
            assert_never(never)


def _unexplained(evidence: Evidence, connection: Connection, link: Link | None) -> Iterator[Reason]:
    name = connection.endpoint.name if connection.endpoint else ""
    templates = [rule.endpoint_name for rule in evidence.rules if rule.effect is Effect.ALLOW] or ["{link}"]
    name_fits = link is not None and any(fits(one, link.name, link.signalr.name, name) for one in templates)
    message_fits = link is not None and link.request_message == connection.description
    if not name_fits and not message_fits:
        yield Reason(
            code=Code.NO_LINK,
            message="no shared private link in the scanned subscriptions explains this connection",
            facts={"endpoint": name, "connection_message": connection.description, "nearest_link": str(link.id) if link else ""},
            resolve=f"linkguard decide {connection.id} --reject --reason TEXT",
        )
    if link is not None and not message_fits:
        yield Reason(
            code=Code.MESSAGE_DIFFERS,
            message="the connection's message is not the link's request message",
            facts={"link": str(link.id), "link_message": link.request_message, "connection_message": connection.description},
        )
    governed = any(rule.effect is Effect.ALLOW and not rule.expired(evidence.clock) for rule in evidence.rules)
    if link is not None and not name_fits and not governed:
        # Where a rule governs, its own demand says so with its template.
        yield Reason(
            code=Code.NAME_DIFFERS,
            message="the private endpoint's name does not fit the link",
            facts={"endpoint": name, "link": link.name},
        )


def _about_connection(evidence: Evidence) -> Iterator[Reason]:
    connection, link = evidence.connection, evidence.link
    if connection is None:
        if link is not None and link.status is LinkStatus.PENDING:
            message = "the link's connection has not come yet"
            yield Reason(code=Code.CONNECTION_MISSING, message=message, facts={"link": str(link.id)})
        return
    if evidence.rival_links or evidence.rival_connections:
        rivals = [str(one.id) for one in evidence.rival_links]
        rivals += [f"{one.connection.id}{' (vanished)' if one.gone else ''}" for one in evidence.rival_connections]
        yield Reason(
            code=Code.AMBIGUOUS,
            message="it is not alone: another link or connection fits as well, and one of them may be an impostor",
            facts={f"rival_{number}": rival for number, rival in enumerate(rivals, start=1)},
            resolve=f"linkguard explain {connection.id}, then linkguard decide ... --approve or --reject",
        )
    if link is not None and evidence.link_fits and evidence.first_seen is not None:
        absent, made = evidence.link_absent_at, link.created_at
        if (absent is not None and evidence.first_seen < absent) or (made is not None and evidence.first_seen < made):
            yield Reason(
                code=Code.OLDER_THAN_LINK,
                message="the connection was there before the link was, so the link did not request it",
                facts={
                    "first_seen": evidence.first_seen.isoformat(),
                    "link_created_at": made.isoformat() if made else "",
                    "link_absent_at": absent.isoformat() if absent else "",
                },
                resolve=f"linkguard decide {connection.id} --reject --reason TEXT",
            )


def _about_past(evidence: Evidence) -> Iterator[Reason]:
    subject = evidence.connection.id if evidence.connection else "CONNECTION_ID"
    if evidence.quarantined_by:
        yield Reason(
            code=Code.QUARANTINED,
            message="an approval for this link was taken back or revoked, so nobody else is approved on the same evidence",
            facts={"approval": evidence.quarantined_by},
            resolve=f"make the link anew, or: linkguard decide {subject} --approve --reason TEXT",
        )
    if evidence.rejected_by:
        yield Reason(
            code=Code.PERSON_REJECTED,
            message="a person rejected this before",
            facts={"record": evidence.rejected_by},
            resolve=f"linkguard decide {subject} --approve --reason TEXT",
        )
    for decision in evidence.unconfirmed:
        yield _unconfirmed(decision)


def _unconfirmed(decision: str) -> Reason:
    return Reason(
        code=Code.UNCONFIRMED,
        message="an approval of ours is not confirmed yet",
        facts={"approval": decision},
    )


# The target and the service


def _about_target(evidence: Evidence) -> Iterator[Reason]:
    tier = evidence.site.tier if evidence.site else ""
    if fold_case(tier) in UNSUPPORTED_TIERS:
        yield Reason(
            code=Code.TIER_UNSUPPORTED,
            message="this plan tier takes no private endpoints",
            facts={"tier": tier},
            resolve="move the site to a plan of tier Basic or above",
        )
    if fold_case(evidence.tier) == fold_case("Free"):
        yield Reason(
            code=Code.FREE_TIER,
            message="SignalR's Free tier has no shared private links",
            facts={"tier": evidence.tier},
            resolve="move the SignalR service to the Standard or Premium tier",
        )
