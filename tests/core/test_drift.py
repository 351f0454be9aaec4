"""Drift by itself, case by case: targets, services, upstreams, exposure, rules. By sweeps: tests/services/test_drift.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.allowlist import Effect
from shared.core.drift import Estate, SiteFacts, default_host, is_explained, of_estate, of_rules, of_target, upstream_host
from shared.core.finding import FindingId
from shared.core.history import Outcome
from shared.core.model import ConnectionStatus, LinkProvisioning, LinkStatus, SignalR, Target
from shared.core.observation import Incarnation
from tests.core.cases import (
    MESSAGE,
    NAME,
    NOW,
    SUBSCRIPTION,
    TARGET,
    Watcher,
    a_connection,
    a_history,
    a_link,
    a_rule,
    an_allowlist,
    an_approval,
    service_id,
)

if TYPE_CHECKING:
    from shared.core.model import Connection

HOST = "https://contoso-func.azurewebsites.net/runtime/webhooks/signalr"


def a_service(
    name: str = "contoso-signalr",
    *,
    link: bool = True,
    status: LinkStatus = LinkStatus.APPROVED,
    provisioning: LinkProvisioning = LinkProvisioning.SUCCEEDED,
) -> SignalR:
    """One that calls the target, over an approved link or without one."""
    id_ = service_id(name)
    links = (a_link(service=id_, status=status, provisioning=provisioning),) if link else ()
    return SignalR(id=id_, tier="Standard", service_mode="Serverless", upstream_templates=(HOST,), links=links)


def found(*services: SignalR, public: str = "Enabled", tier: str = "PremiumV3", approved: bool = True) -> list[FindingId]:
    facts = SiteFacts(target=TARGET, host_names=(), public_network_access=public, tier=tier)
    estate = Estate(
        services=services,
        allowlist=an_allowlist(),
        watched={TARGET},
        sites={TARGET: facts},
        approved={TARGET} if approved else set(),
    )
    return [finding.id for finding in of_estate(estate)]


# One target


@pytest.mark.parametrize(
    ("outcome", "explains"),
    [
        (Outcome.CONFIRMED, True),
        (Outcome.SENT, True),
        (None, True),
        (Outcome.NOT_WRITTEN, False),
        (Outcome.TAKEN_BACK, False),
    ],
)
def test_an_approval_that_ended_explains_nothing(outcome: Outcome | None, *, explains: bool) -> None:
    """Approved again after we had taken it back, or though our write never happened: somebody else did that."""
    link, connection = a_link(status=LinkStatus.APPROVED), a_connection(status=ConnectionStatus.APPROVED)
    history = a_history(an_approval(connection, link, outcome))
    ids = [finding.id for finding in of_target(Watcher(history=history).look([link], [connection]), {SUBSCRIPTION})]
    assert ids == ([] if explains else [FindingId.APPROVED_UNEXPLAINED])


def test_further_connections_of_a_link_until_each_is_decided() -> None:
    """One, then two; none once a person has adopted them; and what another link was approved for is no replica's."""
    link = a_link(status=LinkStatus.APPROVED)
    first, second, third = (a_connection(number=number, status=ConnectionStatus.APPROVED) for number in (1, 2, 3))
    ours = an_approval(first, link, Outcome.CONFIRMED)
    life = Incarnation.of(link)

    def told(*connections: Connection, adopted: tuple[Connection, ...] = ()) -> list[str]:
        history = a_history(ours, adopted=dict.fromkeys((one.id for one in adopted), life))
        look = Watcher(history=history).look([link], connections)
        found = [one for one in of_target(look, {SUBSCRIPTION}) if one.id is FindingId.REPLICA_SUSPECTED]
        return [one.message.partition(" is Approved, and ")[2] for one in found]

    assert told(first) == []
    assert told(first, second) == ["1 more connection has its name: a replica's, or a stranger's"]
    assert told(first, second, third) == ["2 more connections have its name: a replica's, or a stranger's"]
    assert told(first, second, third, adopted=(second, third)) == []
    assert told(first, replace(second, status=ConnectionStatus.REJECTED)) == []


# Upstreams and exposure


@pytest.mark.parametrize(
    ("template", "host"),
    [
        (HOST, "contoso-func.azurewebsites.net"),
        ("http://Contoso-Func.AzureWebsites.net.:8080/{hub}", "contoso-func.azurewebsites.net"),
        ("https://user:secret@contoso-func.azurewebsites.net/x", "contoso-func.azurewebsites.net"),
        ("https://contoso-func.azurewebsites.net?code=x", "contoso-func.azurewebsites.net"),
        ("https://elsewhere.example/https://contoso-func.azurewebsites.net/", "elsewhere.example"),
        ("https://{hub}.azurewebsites.net/", ""),
        ("https://contoso-func.azurewebsites.net{category}/", ""),
        ("{@Microsoft.KeyVault(SecretUri=https://contoso-func.azurewebsites.net/)}", ""),
        ("contoso-func.azurewebsites.net", ""),
        ("", ""),
    ],
)
def test_the_host_of_an_upstream(template: str, host: str) -> None:
    """Whoever is named before it, whatever port follows; nothing where a placeholder decides."""
    assert upstream_host(template) == host


def test_a_slots_default_host_has_both_names() -> None:
    """``<site>-<slot>``: calls to the site's own host do not reach its slot."""
    assert default_host(TARGET) == "contoso-func.azurewebsites.net"
    assert default_host(Target.of(TARGET.id, "Staging")) == "contoso-func-staging.azurewebsites.net"


@pytest.mark.parametrize(
    ("status", "provisioning"),
    [
        (LinkStatus.PENDING, LinkProvisioning.SUCCEEDED),
        (LinkStatus.REJECTED, LinkProvisioning.SUCCEEDED),
        (LinkStatus.APPROVED, LinkProvisioning.FAILED),
        (LinkStatus.APPROVED, LinkProvisioning.UPDATING),
    ],
)
def test_a_link_that_does_not_work_keeps_no_call_private(status: LinkStatus, provisioning: LinkProvisioning) -> None:
    """Approved and provisioned, or it is as good as none."""
    assert found(a_service()) == [FindingId.PUBLIC_ACCESS_OPEN]
    assert found(a_service(status=status, provisioning=provisioning)) == [FindingId.UPSTREAM_NOT_PRIVATE]


@pytest.mark.parametrize(
    ("public", "approved", "is_open"),
    [("Enabled", True, True), ("enabled", False, True), ("Disabled", False, False), ("", False, True), ("", True, False)],
)
def test_when_public_access_is_open(public: str, *, approved: bool, is_open: bool) -> None:
    """Not set means open until there is a private endpoint, and closed from then on."""
    assert found(a_service(), public=public, approved=approved) == ([FindingId.PUBLIC_ACCESS_OPEN] if is_open else [])


def test_public_access_is_open_in_vain_only_where_every_caller_is_private() -> None:
    """With a caller that has no link, closing it would break it; without a caller, nothing says that it could be closed."""
    assert found(a_service(), a_service("fabrikam-signalr")) == [FindingId.PUBLIC_ACCESS_OPEN]
    assert found(a_service(), a_service("fabrikam-signalr", link=False)) == [FindingId.UPSTREAM_NOT_PRIVATE]
    assert found() == []


# Rules


@pytest.mark.parametrize(("days", "soon"), [(15, False), (14, False), (13, True), (1, True), (0, True)])
def test_a_rule_expires_soon_in_its_last_fortnight(days: int, *, soon: bool) -> None:
    """Counted to the end of its last day; over only after it."""
    rule = a_rule(expires=(NOW + timedelta(days=days)).date())
    ids = [finding.id for finding in of_rules(an_allowlist(rule), [a_link()], NOW)]
    assert ids == ([FindingId.RULE_EXPIRES_SOON] if soon else [])


def test_only_an_allow_rule_has_to_match_something() -> None:
    """A deny rule that matches nothing does what it is for."""
    deny, allow = a_rule(id="deny", effect=Effect.DENY), a_rule(id="allow")
    told = [(finding.id, finding.about) for finding in of_rules(an_allowlist(deny, allow), [], NOW)]
    assert told == [(FindingId.RULE_MATCHES_NOTHING, "allow")]
    assert list(of_rules(an_allowlist(deny, allow), None, NOW)) == []  # Not every link is known.


# Sites that nobody watches


@pytest.mark.parametrize(
    ("endpoint", "message", "explained"),
    [
        (NAME, MESSAGE, True),
        (NAME.upper(), MESSAGE, True),
        (NAME, "another", False),
        ("another", MESSAGE, False),
        (None, MESSAGE, False),
    ],
)
def test_a_pending_connection_is_explained_by_name_and_message(endpoint: str | None, message: str, *, explained: bool) -> None:
    """By one link that has both."""
    halves = (a_link("another", message="another"), a_link())
    assert is_explained(a_connection(endpoint, message=message), halves) is explained
    assert not is_explained(a_connection(endpoint, message=message), [])
