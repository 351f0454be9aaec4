"""Links, connections, looks and evidence for the tests of the core: a test names only what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core.allowlist import Allowlist, Effect, IdPattern, Rule
from shared.core.arm_id import ArmId
from shared.core.evidence import Correlation, Evidence, SignatureFacts, SignatureState
from shared.core.history import Action, History, Intent, Outcome
from shared.core.memory import Memory, remember
from shared.core.model import (
    CONNECTION_CHILD,
    Connection,
    ConnectionStatus,
    Link,
    LinkProvisioning,
    LinkStatus,
    Site,
    Target,
)
from shared.core.observation import Incarnation, Observation
from shared.core.request_message import PublicKey
from shared.core.verdict import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable


SUBSCRIPTION = "00000000-0000-0000-0000-0000000000a1"
OTHER_SUBSCRIPTION = "00000000-0000-0000-0000-0000000000b2"
ENDPOINT_SUBSCRIPTION = "00000000-0000-0000-0000-0000000000e1"
NOW = datetime(2027, 1, 4, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SETTLE = timedelta(seconds=30)
MESSAGE = "please approve"
NAME = "func-pe"


def service_id(name: str = "contoso-signalr", *, subscription: str = SUBSCRIPTION) -> ArmId:
    group = f"/subscriptions/{subscription}/resourceGroups/contoso"
    return ArmId.parse(f"{group}/providers/Microsoft.SignalRService/signalR/{name}")


def site_id(name: str = "contoso-func", *, subscription: str = SUBSCRIPTION) -> ArmId:
    return ArmId.parse(f"/subscriptions/{subscription}/resourceGroups/contoso/providers/Microsoft.Web/sites/{name}")


SERVICE = service_id()
TARGET = Target(site_id())


def a_link(  # noqa: PLR0913  a test names only what it is about
    name: str = NAME,
    *,
    service: ArmId = SERVICE,
    target: Target = TARGET,
    message: str = MESSAGE,
    status: LinkStatus = LinkStatus.PENDING,
    provisioning: LinkProvisioning = LinkProvisioning.SUCCEEDED,
    created_at: datetime | None = NOW - 10 * MINUTE,
) -> Link:
    return Link(
        id=service.child("sharedPrivateLinkResources", name),
        resource_id=str(target.site),
        group_id=target.group_id,
        request_message=message,
        status=status,
        provisioning=provisioning,
        created_at=created_at,
    )


def endpoint_id(name: str, subscription: str = ENDPOINT_SUBSCRIPTION) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/endpoints/providers/Microsoft.Network/privateEndpoints/{name}"


def a_connection(  # noqa: PLR0913  a test names only what it is about
    endpoint: str | None = NAME,
    *,
    number: int = 1,
    target: Target = TARGET,
    message: str = MESSAGE,
    status: ConnectionStatus = ConnectionStatus.PENDING,
    subscription: str = ENDPOINT_SUBSCRIPTION,
) -> Connection:
    """``endpoint`` None: Azure names no endpoint."""
    return Connection(
        id=target.id.child(CONNECTION_CHILD, f"{endpoint or 'nameless'}-{number}"),
        status=status,
        status_text=status.value,
        description=message,
        endpoint_id="" if endpoint is None else endpoint_id(endpoint, subscription),
    )


def a_rule(**changes: Any) -> Rule:  # noqa: ANN401  whatever a rule has
    rule = Rule(
        id="contoso-upstream",
        effect=Effect.ALLOW,
        signalr=IdPattern(SERVICE),
        target=IdPattern(TARGET.site),
        line=3,
        text="id: contoso-upstream",
    )
    return replace(rule, **changes)


def an_allowlist(*rules: Rule, paused: bool = False) -> Allowlist:
    return Allowlist(source="allowlist.yaml", digest="d1", paused=paused, rules=rules or (a_rule(),))


def a_site(target: Target = TARGET, *, public: str = "Enabled", tier: str = "PremiumV3") -> Site:
    return Site(target=target, public_network_access=public, tier=tier)


def an_approval(
    connection: Connection,
    link: Link | None,
    outcome: Outcome | None = None,
    **changes: Any,  # noqa: ANN401  whatever an intent has
) -> Intent:
    """An approval of ours, announced two minutes ago; where it has an outcome, that came a minute later."""
    intent = Intent(
        decision=f"decision-{connection.id.name}",
        action=Action.APPROVE,
        connection=connection.id,
        incarnation=Incarnation.of(link) if link else None,
        rule="contoso-upstream",
        signature="",
        by_person=False,
        at=NOW - 2 * MINUTE,
        outcome=outcome,
        outcome_at=NOW - MINUTE if outcome else None,
    )
    return replace(intent, **changes)


def a_history(*intents: Intent, **changes: Any) -> History:  # noqa: ANN401  whatever a history has
    return replace(History(intents={intent.decision: intent for intent in intents}), **changes)


def an_observation(
    links: Iterable[Link],
    connections: Iterable[Connection],
    *,
    at: datetime = NOW,
    site: Site | None = None,
    tier: str = "Standard",
) -> Observation:
    """A look that took two seconds and ended at ``at``: the links were read at its beginning."""
    links = tuple(links)
    started = at - timedelta(seconds=2)
    services = {link.signalr for link in links}
    return Observation(
        target=TARGET,
        links=links,
        tiers=dict.fromkeys(services, tier),
        started=started,
        links_started=started,
        read_at=dict.fromkeys(services, started),
        connections=tuple(connections),
        connections_finished=at,
        site=site or a_site(),
    )


@dataclass(kw_only=True)
class Watcher:
    """Looks at one target again and again, and remembers."""

    allowlist: Allowlist | None = field(default_factory=an_allowlist)
    history: History = field(default_factory=History)
    keys: Mapping[str, PublicKey] = field(default_factory=dict)
    mode: Mode = Mode.ENFORCE
    memory: Memory = field(default_factory=Memory)
    site: Site | None = None

    def look(self, links: Iterable[Link], connections: Iterable[Connection], *, at: datetime = NOW) -> Correlation:
        observation = an_observation(links, connections, at=at, site=self.site)
        self.memory = remember(self.memory, observation)
        return Correlation(
            observation=observation,
            allowlist=self.allowlist,
            allowlist_problem="" if self.allowlist else "allowlist.yaml: line 1, column 1: it is broken",
            memory=self.memory,
            history=self.history,
            keys=self.keys,
            mode=self.mode,
            settle_seconds=SETTLE.total_seconds(),
        )

    def evidence(self, links: Iterable[Link], connections: Iterable[Connection], *, at: datetime = NOW) -> Evidence:
        """Of the first of ``connections``."""
        connections = tuple(connections)
        found = self.look(links, connections, at=at).evidence()
        return next(one for one in found if one.connection == connections[0])


def full_evidence(**changes: Any) -> Evidence:  # noqa: ANN401  whatever evidence has
    """All that an approval needs, settled; and then ``changes``."""
    evidence = Evidence(
        target=TARGET,
        connection=a_connection(),
        link=a_link(),
        link_fits=True,
        rival_links=(),
        rival_connections=(),
        unconfirmed=(),
        own_approval="",
        quarantined_by="",
        rejected_by="",
        signature=SignatureFacts(state=SignatureState.ABSENT),
        first_seen=NOW - MINUTE,
        link_absent_at=None,
        tier="Standard",
        site=a_site(),
        target_has_approved=False,
        rules=(a_rule(),),
        paused=False,
        allowlist_problem="",
        allowlist_source="allowlist.yaml",
        allowlist_digest="d1",
        mode=Mode.ENFORCE,
        look_started=NOW - timedelta(seconds=2),
        clock=NOW,
        settle_seconds=SETTLE.total_seconds(),
        settled_since=NOW - MINUTE,
    )
    return replace(evidence, **changes)
