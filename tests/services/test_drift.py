"""Drift: each kind is found by a sweep, and ends when what it tells of has ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.core.errors import AzureUnavailableError
from shared.core.finding import FindingId, Severity
from shared.core.finding_life import Life
from shared.core.history import HumanDecision
from shared.core.ledger import SYSTEM_CHAIN, RecordKind
from shared.core.model import ConnectionStatus, LinkProvisioning, LinkStatus, Target
from shared.services.drift import ALL_SITES_READS
from shared.services.human import decide_by_hand
from shared.services.overlay import without_records
from shared.services.sweep import sweep
from shared.services.track import open_and_lately_resolved
from tests.engines import MESSAGE, Estate, Worker, a_rule

if TYPE_CHECKING:
    from shared.core.arm_id import ArmId
    from shared.core.finding import Finding
    from shared.services.results import SweepResult

HOST = "https://contoso-func.azurewebsites.net/runtime/webhooks/signalr"


async def swept(worker: Worker, *, after: float = 0, **options: Any) -> SweepResult:  # noqa: ANN401  whatever a sweep takes
    worker.estate.clock.advance(after)
    result = await sweep(worker.engine, **options)
    await worker.estate.check()
    return result


def ids(result: SweepResult) -> list[str]:
    return [finding.id.value for finding in result.all_findings]


def the(result: SweepResult, id_: FindingId) -> Finding:
    (finding,) = [one for one in result.all_findings if one.id is id_]
    return finding


async def life_of(estate: Estate, id_: FindingId) -> list[Life]:
    return [row.life for row in await open_and_lately_resolved(estate.state) if row.finding.id is id_]


async def drift_records(estate: Estate, chain: str | None = None) -> list[tuple[str, str]]:
    chain = chain or estate.target.id.key
    records = [one.entry.body async for one in estate.ledger.records(chain, kinds=(RecordKind.DRIFT,))]
    return [(str(body["finding"]), str(body["change"])) for body in records]


async def connected(estate: Estate, **rule: Any) -> tuple[Worker, ArmId]:  # noqa: ANN401  any key of a rule
    """A worker whose one link is approved and confirmed by us."""
    estate.allow(a_rule(estate.service, estate.target, **rule))
    connection = estate.azure.add_pair(estate.service, estate.target)
    worker = estate.worker()
    await swept(worker)
    await swept(worker, after=31)
    result = await swept(worker, after=31)
    assert result.decisions[0].outcome == "confirmed"
    assert {"rule_expires_soon"} >= set(ids(result))
    return worker, connection


# Approved connections


async def test_approved_without_a_recorded_intent() -> None:
    """Somebody approved it with other tools; the description is no evidence. A person's adoption explains it."""
    estate = Estate()
    connection = estate.azure.add_connection(estate.target, status=ConnectionStatus.APPROVED, message="lg:0123 contoso-upstream")
    worker = estate.worker()
    finding = the(await swept(worker), FindingId.APPROVED_UNEXPLAINED)
    assert finding.severity is Severity.CRITICAL
    assert str(connection) in finding.message
    await decide_by_hand(worker.engine, connection, HumanDecision.ADOPT, reason="ours", ticket="", by="someone")
    assert FindingId.APPROVED_UNEXPLAINED.value not in ids(await swept(worker, after=600))
    assert await drift_records(estate) == [("approved_unexplained", "new"), ("approved_unexplained", "resolved")]


async def test_approved_but_no_longer_allowed() -> None:
    """Its rule is gone: the target is still looked at, though nothing else leads there."""
    estate = Estate()
    worker, connection = await connected(estate)
    estate.allow()
    result = await swept(worker, after=600)
    finding = the(result, FindingId.APPROVED_NOT_ALLOWED)
    assert finding.severity is Severity.WARNING
    assert str(connection) in finding.message
    assert finding.target == str(estate.target)
    estate.allow(a_rule(estate.service, estate.target))
    assert ids(await swept(worker, after=600)) == []


async def test_a_deny_rule_makes_it_worse() -> None:
    """Deny wins: what it names is connected against somebody's will."""
    estate = Estate()
    worker, _ = await connected(estate)
    estate.allow()
    await swept(worker, after=600)
    estate.allow({"id": "no", "effect": "deny", "signalr": str(estate.service), "target": str(estate.target)})
    assert the(await swept(worker, after=600), FindingId.APPROVED_NOT_ALLOWED).severity is Severity.CRITICAL
    assert await life_of(estate, FindingId.APPROVED_NOT_ALLOWED) == [Life.WORSE]
    assert ("approved_not_allowed", "worse") in await drift_records(estate)


async def test_an_expired_rule_is_not_a_removed_one() -> None:
    """It is told, and says so; nothing is written, whatever ``on_removal`` says."""
    estate = Estate()
    worker, _ = await connected(estate, expires="2027-01-04", on_removal="revoke")
    writes = len(estate.azure.writes)
    results = [await swept(worker, after=7200) for _ in range(20)]
    assert "has expired" in the(results[-1], FindingId.APPROVED_NOT_ALLOWED).message
    assert len(estate.azure.writes) == writes


async def test_approved_but_its_link_is_gone() -> None:
    """The link was deleted, the connection is still there."""
    estate = Estate()
    worker, _ = await connected(estate)
    (link,) = estate.azure.links
    del estate.azure.links[link]
    finding = the(await swept(worker, after=600), FindingId.APPROVED_LINK_GONE)
    assert finding.severity is Severity.WARNING
    assert str(link) in finding.message


async def test_an_approval_that_no_link_ever_showed_and_whose_link_was_made_anew_is_critical() -> None:
    """Azure removes a link's own connection with the link: what is left, and was never confirmed, may be a stranger's."""
    estate = Estate()
    estate.azure.links_follow = False
    connection = estate.azure.add_pair(estate.service, estate.target)
    worker = estate.worker()
    await swept(worker)
    await swept(worker, after=31)
    assert estate.azure.approved() == {connection}
    ((link, before),) = estate.azure.links.items()
    estate.azure.links[link] = replace(before, created_at=estate.clock.now() + timedelta(minutes=5))
    await swept(worker, after=600)
    del estate.azure.links[link]
    finding = the(await swept(worker, after=600), FindingId.APPROVED_LINK_GONE)
    assert finding.severity is Severity.CRITICAL
    assert "never showed" in finding.message
    await decide_by_hand(worker.engine, connection, HumanDecision.ADOPT, reason="ours", ticket="", by="someone")
    assert the(await swept(worker, after=600), FindingId.APPROVED_LINK_GONE).severity is Severity.WARNING


# Links


async def test_a_link_that_is_approved_and_not_provisioned() -> None:
    """It works only when both are there."""
    estate = Estate()
    worker, _ = await connected(estate)
    (link,) = estate.azure.links
    estate.azure.set_link(link, provisioning=LinkProvisioning.FAILED)
    assert ids(await swept(worker, after=600)) == ["link_approved_not_provisioned"]
    estate.azure.set_link(link, provisioning=LinkProvisioning.SUCCEEDED)
    assert ids(await swept(worker, after=600)) == []


async def test_a_link_that_is_provisioned_and_says_otherwise_than_its_connection() -> None:
    """Approved once, and Pending or Disconnected now. A link that only waits is none of these."""
    estate = Estate()
    worker, _ = await connected(estate)
    (link,) = estate.azure.links
    for status in (LinkStatus.PENDING, LinkStatus.DISCONNECTED, LinkStatus.REJECTED, LinkStatus.TIMEOUT):
        estate.azure.set_link(link, status=status)
        assert the(await swept(worker, after=600), FindingId.LINK_PROVISIONED_NOT_APPROVED).facts["link_status"] == status.value
    waiting = Estate()
    waiting.azure.add_pair(waiting.service, waiting.target)
    assert ids(await swept(waiting.worker())) == []


async def test_further_connections_of_an_approved_link() -> None:
    """A geo-replica's, or a stranger's: a person decides."""
    estate = Estate()
    worker, _ = await connected(estate)
    other = estate.azure.add_connection(estate.target)
    assert str(other) in the(await swept(worker, after=600), FindingId.REPLICA_SUSPECTED).facts["connections"]


# Upstreams and exposure


def with_upstream(estate: Estate, *templates: str) -> None:
    estate.azure.services[estate.service] = replace(estate.azure.services[estate.service], upstream_templates=templates)


async def test_an_upstream_without_a_link_goes_over_the_public_network() -> None:
    """By the default host name, and by a custom one that the site itself says."""
    for template in (HOST, "https://www.contoso.example/api", "HTTPS://Contoso-Func.AzureWebsites.net:443/{hub}"):
        estate = Estate()
        estate.azure.host_names[estate.target] = ("www.contoso.example",)
        with_upstream(estate, template)
        finding = the(await swept(estate.worker()), FindingId.UPSTREAM_NOT_PRIVATE)
        assert finding.target == str(estate.target)
        assert finding.facts["signalr"] == str(estate.service)


async def test_an_upstream_to_nowhere_known_is_not_judged() -> None:
    """A host that is nobody's here, a Key Vault reference, a placeholder."""
    estate = Estate()
    with_upstream(
        estate,
        "https://elsewhere.example/x",
        "{@Microsoft.KeyVault(SecretUri=https://contoso-func.azurewebsites.net/)}",
        "https://{hub}.x/",
    )
    assert "upstream_not_private" not in ids(await swept(estate.worker()))


async def test_public_access_that_could_be_closed() -> None:
    """Every service that calls the target has an approved link, and the target takes public calls all the same."""
    estate = Estate()
    worker, _ = await connected(estate)
    with_upstream(estate, HOST)
    assert ids(await swept(worker, after=60)) == ["public_access_open"]
    other = estate.azure.add_signalr("fabrikam-signalr", upstream=(HOST,))
    assert ids(await swept(worker, after=600)) == ["upstream_not_private"]
    del estate.azure.services[other]
    estate.azure.sites[estate.target] = replace(estate.azure.sites[estate.target], public_network_access="Disabled")
    assert ids(await swept(worker, after=7 * 3600)) == []


async def test_what_a_service_and_a_plan_cannot_do() -> None:
    """The Free tier, a mode that calls no upstream, a plan that takes no private endpoints."""
    estate = Estate()
    service = estate.azure.services[estate.service]
    estate.azure.services[estate.service] = replace(service, tier="Free", service_mode="Default", upstream_templates=(HOST,))
    estate.azure.sites[estate.target] = replace(estate.azure.sites[estate.target], tier="Dynamic")
    found = ids(await swept(estate.worker()))
    assert {"signalr_free_tier", "signalr_not_serverless", "plan_tier_unsupported"} <= set(found)


# Rules


async def test_rules_that_do_nothing() -> None:
    """One that names no link, one that has expired, one that soon will, one outside the scanned subscriptions."""
    estate = Estate()
    estate.azure.add_pair(estate.service, estate.target)
    elsewhere = Target.of(estate.target.id.sibling("another-func"), None)
    foreign = str(estate.target).replace("a1/", "ff/", 1)
    estate.allow(
        a_rule(estate.service, estate.target, "good"),
        a_rule(estate.service, elsewhere, "idle"),
        a_rule(estate.service, estate.target, "old", expires="2026-12-31"),
        a_rule(estate.service, estate.target, "ending", expires="2027-01-10", owner="team-chat"),
        {"id": "foreign", "effect": "allow", "signalr": str(estate.service), "target": foreign},
    )
    result = await swept(estate.worker())
    told = {
        (finding.id.value, finding.about)
        for finding in result.all_findings
        if finding.about in {"good", "idle", "old", "ending", "foreign"}
    }
    assert told == {
        ("rule_matches_nothing", "idle"),
        ("rule_matches_nothing", "foreign"),
        ("rule_out_of_scope", "foreign"),
        ("rule_expired", "old"),
        ("rule_expires_soon", "ending"),
    }
    assert the(result, FindingId.RULE_EXPIRES_SOON).facts["owner"] == "team-chat"
    assert ("rule_expired", "new") in await drift_records(estate, SYSTEM_CHAIN)


# Every site


async def test_every_site_is_looked_at_where_that_is_asked_for() -> None:
    """A pending connection that nothing explains, on a site that nobody watches; by what came inline, or by a list call."""
    for inline in (True, False):
        estate = Estate()
        estate.azure.inline_connections = inline
        lonely = estate.azure.add_site("lonely")
        stranger = estate.azure.add_connection(lonely, "stranger", message=MESSAGE)
        other = estate.azure.add_signalr("fabrikam-signalr")
        explained = estate.azure.add_site("explained")
        estate.azure.add_pair(other, explained, "fabrikam-pe")
        worker = estate.worker()
        assert "pending_unexplained" not in ids(await swept(worker))
        result = await swept(worker, all_sites=True)
        assert the(result, FindingId.PENDING_UNEXPLAINED).target == str(lonely)
        assert str(stranger) in the(result, FindingId.PENDING_UNEXPLAINED).message
        # A sweep that does not look there cannot say that it is over.
        await swept(worker, after=600)
        assert Life.RESOLVED not in await life_of(estate, FindingId.PENDING_UNEXPLAINED)
        estate.azure.set_status(stranger, ConnectionStatus.REJECTED)
        await swept(worker, after=600, all_sites=True)
        assert await life_of(estate, FindingId.PENDING_UNEXPLAINED) == [Life.RESOLVED]


async def test_a_site_whose_connections_could_not_be_read_is_not_over() -> None:
    """Its finding stays as it was, and ends only once the site was read again."""
    estate = Estate()
    estate.allow()
    estate.azure.inline_connections = False
    stranger = estate.azure.add_connection(estate.azure.add_site("lonely"), "stranger")
    worker = estate.worker()
    await swept(worker, all_sites=True)
    assert await life_of(estate, FindingId.PENDING_UNEXPLAINED) == [Life.NEW]
    estate.azure.set_status(stranger, ConnectionStatus.REJECTED)
    for _ in range(2):  # The site, and the one that the estate has.
        estate.azure.fail("list_connections", AzureUnavailableError("no"))
    await swept(worker, after=600, all_sites=True)
    assert Life.RESOLVED not in await life_of(estate, FindingId.PENDING_UNEXPLAINED)
    await swept(worker, after=600, all_sites=True)
    assert await life_of(estate, FindingId.PENDING_UNEXPLAINED) == [Life.RESOLVED]


async def test_sites_that_cannot_be_listed_are_told() -> None:
    """What is known of them is judged on; it ends when they can be listed."""
    estate = Estate()
    worker = estate.worker()
    with_upstream(estate, HOST)
    estate.azure.fail("list_sites", AzureUnavailableError("no"))
    result = await swept(worker)
    assert estate.target.id.subscription in the(result, FindingId.SITES_UNREADABLE).message
    assert "upstream_not_private" in ids(result)
    assert "sites_unreadable" not in ids(await swept(worker, after=600))
    assert await life_of(estate, FindingId.SITES_UNREADABLE) == [Life.RESOLVED]


async def test_very_many_sites_have_their_turn() -> None:
    """Where connections do not come inline, one sweep lists so many sites and no more; the next one goes on with the others."""
    estate = Estate()
    estate.azure.inline_connections = False
    sites = [estate.azure.add_site(f"lonely-{number:03}") for number in range(ALL_SITES_READS + 50)]
    estate.azure.add_connection(sites[-1], "stranger")
    worker = estate.worker()
    await swept(worker)
    before = estate.azure.calls.reads
    assert "pending_unexplained" not in ids(await swept(worker, after=600, all_sites=True))
    at_most = ALL_SITES_READS + 3  # The services, the sites, and the target that is watched.
    assert estate.azure.calls.reads - before == at_most
    found = await swept(worker, after=600, all_sites=True)
    assert the(found, FindingId.PENDING_UNEXPLAINED).target == str(sites[-1])
    assert estate.azure.calls.reads - before == 2 * at_most
    # Its turn is over, and nobody has said that it is.
    await swept(worker, after=600, all_sites=True)
    assert Life.RESOLVED not in await life_of(estate, FindingId.PENDING_UNEXPLAINED)


# What it costs, and what an incomplete look may say


async def test_nothing_to_do_costs_one_list_a_subscription_and_one_read_a_watched_target() -> None:
    """Sites are listed when upstreams want it, and then not again for hours."""
    estate = Estate()
    worker, _ = await connected(estate)
    before = estate.azure.calls.reads
    await swept(worker, after=60)
    assert estate.azure.calls.reads - before == 2
    with_upstream(estate, HOST)
    await swept(worker, after=60)
    before = estate.azure.calls.reads
    for _ in range(30):
        await swept(worker, after=600)
    assert estate.azure.calls.reads - before == 60
    await swept(worker, after=3700)
    assert estate.azure.calls.reads - before == 63


async def test_what_could_not_be_looked_at_is_not_over() -> None:
    """A target that cannot be read keeps its findings; so does everything where a subscription cannot be listed."""
    estate = Estate()
    estate.azure.add_connection(estate.target, status=ConnectionStatus.APPROVED)
    worker = estate.worker()
    await swept(worker)
    estate.azure.fail("list_connections", AzureUnavailableError("no"))
    await swept(worker, after=600)
    assert await life_of(estate, FindingId.APPROVED_UNEXPLAINED) == [Life.NEW]
    estate.azure.fail("list_signalr", AzureUnavailableError("no"), AzureUnavailableError("no"))
    await swept(worker, after=6000)
    assert await life_of(estate, FindingId.APPROVED_UNEXPLAINED) == [Life.NEW]


async def test_a_dry_run_remembers_nothing() -> None:
    """No finding, no drift in the ledger, nothing for reports."""
    estate = Estate()
    estate.azure.add_connection(estate.target, status=ConnectionStatus.APPROVED)
    worker = estate.worker()
    result = await sweep(without_records(worker.engine), dry_run=True)
    assert "approved_unexplained" in ids(result)
    assert await open_and_lately_resolved(estate.state) == ()
    assert await drift_records(estate) == []
