"""A decision's evidence side by side: what the link says, what the connection says, and whether they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.allowlist import DEFAULT_ENDPOINT_NAME, Effect
from shared.core.endpoint_name import fits
from shared.core.evidence import SignatureState
from shared.core.model import ConnectionStatus
from shared.core.reason import Code
from shared.report.documents import Comparison, RivalItem, RuleItem

if TYPE_CHECKING:
    from datetime import datetime

    from shared.core.entries import Decision
    from shared.core.evidence import Evidence


def compare(decision: Decision) -> tuple[Comparison, ...]:
    """Name, message, state and age. The target is no row: only links that lead there are considered at all."""
    evidence = decision.evidence
    link, connection = evidence.link, evidence.connection
    older = Code.OLDER_THAN_LINK.value in decision.codes
    return (
        _name(evidence, decision.rule),
        _message(evidence),
        Comparison(
            what="status",
            link=f"{link.status.value}, {link.provisioning.value}" if link else None,
            connection=connection.status_text if connection else None,
            agrees=None,
        ),
        Comparison(
            what="there since",
            link=_time(link.created_at) if link else None,
            connection=_time(evidence.first_seen) if connection else None,
            agrees=False if older else None,
            note="the connection is older than the link" if older else "",
        ),
    )


def _name(evidence: Evidence, rule: str) -> Comparison:
    link, connection = evidence.link, evidence.connection
    endpoint = connection.endpoint if connection else None
    allows = [one for one in evidence.rules if one.effect is Effect.ALLOW]
    governing = [one.endpoint_name for one in allows if one.id == rule]
    templates = list(dict.fromkeys(governing or [one.endpoint_name for one in allows] or [DEFAULT_ENDPOINT_NAME]))
    agrees = None
    if link and connection:
        agrees = endpoint is not None and any(fits(one, link.name, link.signalr.name, endpoint.name) for one in templates)
    return Comparison(
        what="name",
        link=link.name if link else None,
        connection=endpoint.name if endpoint else None,
        agrees=agrees,
        note=f"endpoint_name: {' or '.join(templates)}",
    )


def _message(evidence: Evidence) -> Comparison:
    link, connection = evidence.link, evidence.connection
    agrees, note = None, ""
    if link and connection:
        if connection.status is ConnectionStatus.PENDING:
            agrees = link.request_message == connection.description
        else:
            note = "approving or rejecting replaces the connection's message"
    return Comparison(
        what="message",
        link=link.request_message if link else None,
        connection=connection.description if connection else None,
        agrees=agrees,
        note=note,
    )


def facts(evidence: Evidence) -> dict[str, str]:
    """What else speaks for or against it, by name; only what there is."""
    said = {**_about_resources(evidence), **_about_signature(evidence), **_about_past(evidence)}
    return {name: text for name, text in said.items() if text}


def _about_resources(evidence: Evidence) -> dict[str, str]:
    site = evidence.site
    exposure = site.public_network_access or "null" if site else ""
    approved = "yes" if evidence.target_has_approved else "no"
    return {
        "private endpoint": evidence.connection.endpoint_id if evidence.connection else "",
        "SignalR service": str(evidence.link.signalr) if evidence.link else "",
        "SignalR tier": evidence.tier,
        "site's plan tier": site.tier if site else "",
        "publicNetworkAccess": exposure,
        "approved already": approved,
    }


def _about_signature(evidence: Evidence) -> dict[str, str]:
    signature = evidence.signature
    return {
        "signature": "" if signature.state is SignatureState.ABSENT else signature.state.value,
        "signature is wrong": signature.why,
        "signed by key": signature.key_id,
        "signature expires": _time(signature.expires),
        "signature spent by": signature.spent_by,
    }


def _about_past(evidence: Evidence) -> dict[str, str]:
    unconfirmed = {f"unconfirmed {number}": decision for number, decision in enumerate(evidence.unconfirmed, start=1)}
    return unconfirmed | {
        "our approval": evidence.own_approval,
        "quarantined by": evidence.quarantined_by,
        "rejected by record": evidence.rejected_by,
        "unchanged since": _time(evidence.settled_since),
    }


def rivals(evidence: Evidence) -> tuple[RivalItem, ...]:
    """Other links and connections that fit as well."""
    links = (RivalItem(id=link.id, gone=False) for link in evidence.rival_links)
    return (*links, *(RivalItem(id=one.connection.id, gone=one.gone) for one in evidence.rival_connections))


def rules(evidence: Evidence) -> tuple[RuleItem, ...]:
    """The rules that were considered."""
    return tuple(
        RuleItem(id=rule.id, effect=rule.effect.value, line=rule.line, text=rule.text.rstrip()) for rule in evidence.rules
    )


def _time(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""
