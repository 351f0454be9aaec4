"""Which link explains which connection, and everything that speaks for or against it.

One :class:`Evidence` holds all that one decision is made from, and nothing else: it is what an intent records, and
:func:`shared.core.decide.decide` derives the same verdict from it at any later time. The rules are docs/evidence.md's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never, cast

from shared.core.allowlist import DEFAULT_ENDPOINT_NAME, Allowlist, Effect, Rule
from shared.core.arm_id import ArmId
from shared.core.endpoint_name import fits
from shared.core.history import History, Outcome, subject
from shared.core.ledger import digest
from shared.core.memory import GRACE, Memory
from shared.core.model import Connection, ConnectionStatus, Link, LinkStatus, Site, Target
from shared.core.observation import Incarnation, Observation
from shared.core.request_message import ExpiredSignature, MissingSignature, PublicKey, ValidSignature, WrongSignature, verify
from shared.core.verdict import Mode
from shared.core.wire import to_identity, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.core.ledger import JsonObject
    from shared.core.memory import SeenConnection


class SignatureState(StrEnum):
    """What the link's request message is worth as a signature, whether or not a rule asks for one."""

    ABSENT = "absent"
    WRONG = "wrong"
    GENUINE = "genuine"
    """Made by a known key for this service, target and link name; it may have expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFacts:
    """The signature of the link's request message."""

    state: SignatureState
    key_id: str = ""
    expires: datetime | None = None
    why: str = ""
    """Of a wrong one: what is wrong with it."""
    fingerprint: str = ""
    """Of what was signed: the same however often it is signed."""
    spent_by: str = ""
    """The confirmed approval that used it up; "" where none did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A connection that could be the link's as well."""

    connection: Connection
    gone: bool
    """Whether it has vanished, within the hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that one decision is made from."""

    target: Target
    connection: Connection | None
    """None: the link's connection has not come."""
    link: Link | None
    """The link that fits the connection, else the nearest one; None where no link leads to the target."""
    link_fits: bool
    """Whether the link fits the connection by name and by message."""
    rival_links: tuple[Link, ...]
    """Other links that fit the connection."""
    rival_connections: tuple[Rival, ...]
    """Other connections that could be the link's."""
    unconfirmed: tuple[str, ...]
    """Our approvals that are not confirmed yet and stand in the way: of this link, or of a rival for another one."""
    own_approval: str
    """Our approval of this very connection that is not confirmed yet; "" where there is none."""
    quarantined_by: str
    rejected_by: str
    signature: SignatureFacts
    first_seen: datetime | None
    """When the connection was first seen."""
    link_absent_at: datetime | None
    """The latest time at which a look did not find the link."""
    tier: str
    """The SignalR service's."""
    site: Site | None
    target_has_approved: bool
    """Whether some connection of the target is Approved."""
    rules: tuple[Rule, ...]
    """Every rule about this service and target (with no link: about this target), most specific first."""
    paused: bool
    allowlist_problem: str
    """Why the allowlist is unreadable; "" where it is not."""
    allowlist_source: str
    allowlist_digest: str
    mode: Mode
    look_started: datetime
    clock: datetime
    settle_seconds: float
    settled_since: datetime | None = None
    """Since when the same evidence was seen."""

    @property
    def subject(self) -> str:
        """What the decision is about, the same at every look."""
        return subject(self.connection.id if self.connection else None, self.link.id if self.link else None)

    @property
    def pair(self) -> str:
        """Connection and link in this life: what settles together."""
        life = Incarnation.of(self.link) if self.link else None
        return digest([self.connection.id.key if self.connection else None, to_identity(life)])

    def inputs(self) -> JsonObject:
        """Everything, as JSON."""
        return cast("JsonObject", to_json(self))

    def digest(self) -> str:
        """The same for evidence that says the same.

        Left out are the mode (a dry run sees what enforcing would), the clock, the place of rules in their document, how
        Azure spells ids, how an allowlist that cannot be read fails to be (that may be told in other words each time),
        and, where the target says its exposure, whether it has approved connections.
        """
        inputs = cast("JsonObject", to_identity(self))
        inputs["allowlist_problem"] = bool(self.allowlist_problem)
        if self.site is None or self.site.public_network_access:
            del inputs["target_has_approved"]
        for name in ("mode", "look_started", "clock", "settle_seconds", "settled_since", "allowlist_source", "allowlist_digest"):
            del inputs[name]
        for rule in cast("list[JsonObject]", inputs["rules"]):
            del rule["line"]
        return digest(inputs)

    def settled(self, since: datetime | None) -> Evidence:
        """The same evidence, known to be so since then."""
        return replace(self, settled_since=since)


def decision_id(evidence_digest: str, attempt: int) -> str:
    """The id of the decision made from this evidence: no clock, so that a repeat is the same decision."""
    return digest({"evidence": evidence_digest, "attempt": attempt})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Links:
    """The links that a connection could belong to."""

    nearest: Link | None
    fits: bool
    rivals: tuple[Link, ...] = ()
    """Others that fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """All that evidence is gathered from: one look, and what was known before it."""

    observation: Observation
    allowlist: Allowlist | None
    """None where it is unreadable."""
    allowlist_problem: str
    memory: Memory
    """With this look remembered."""
    history: History
    keys: Mapping[str, PublicKey]
    mode: Mode
    settle_seconds: float
    approved_by: str = ""
    """The template of the approval that is judged, which counts for every link besides those of the rules; "" for none."""
    _known_templates: dict[ArmId, frozenset[str]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By service: asked for once for each connection and link, of which a flood has many."""

    def evidence(self) -> tuple[Evidence, ...]:
        """One for each connection of the target, then one for each allowlisted link whose connection has not come."""
        connections = sorted(self.observation.connections, key=lambda connection: connection.id)
        about_connections = [self._about(connection, self._links_for(connection)) for connection in connections]
        missing = [
            self._about(None, _Links(nearest=link, fits=False))
            for link in sorted(self.observation.links, key=lambda link: link.id)
            if self._awaits_connection(link)
        ]
        return (*about_connections, *missing)

    # Which link

    def _links_for(self, connection: Connection) -> _Links:
        links = sorted(self.observation.links, key=lambda link: self._nearness(link, connection))
        fitting = [link for link in links if self.could_be(connection, link)]
        if fitting:
            return _Links(nearest=fitting[0], fits=True, rivals=tuple(sorted(fitting[1:], key=lambda link: link.id)))
        return _Links(nearest=links[0] if links else None, fits=False)

    def _nearness(self, link: Link, connection: Connection) -> tuple[bool, bool, bool, bool, str]:
        """Smaller is nearer: by name, by message, allowlisted, waiting; then by id, so that the order is always the same."""
        return (
            not self.name_fits(connection, link),
            link.request_message != connection.description,
            self.allowlist is None or not self.allowlist.knows_service(link.signalr),
            link.status is not LinkStatus.PENDING,
            link.id.key,
        )

    def _awaits_connection(self, link: Link) -> bool:
        return (
            link.status in {LinkStatus.PENDING, LinkStatus.UNKNOWN}
            and (self.allowlist is None or self.allowlist.knows_service(link.signalr))
            and not any(
                self.could_be(connection, link) and not self._explained_elsewhere(connection, Incarnation.of(link))[0]
                for connection in self.observation.connections
            )
        )

    # What fits

    def _templates(self, link: Link) -> frozenset[str]:
        service = link.signalr
        if service not in self._known_templates:
            rules = self.allowlist.about_target(self.observation.target) if self.allowlist else ()
            allows = [rule for rule in rules if rule.effect is Effect.ALLOW]
            named = frozenset(rule.endpoint_name for rule in allows if rule.signalr.matches(service))
            # How endpoints are named does not depend on who is allowed: another service's may be named as any rule expects.
            anyones = frozenset({DEFAULT_ENDPOINT_NAME, *(rule.endpoint_name for rule in allows)})
            self._known_templates[service] = (named or anyones) | ({self.approved_by} if self.approved_by else set())
        return self._known_templates[service]

    def name_fits(self, connection: Connection, link: Link) -> bool:
        """Whether the endpoint's name fits the link by any template of its rules, or of the target's where it has none."""
        endpoint = connection.endpoint
        return endpoint is not None and any(
            fits(template, link.name, link.signalr.name, endpoint.name) for template in self._templates(link)
        )

    def could_be(self, connection: Connection, link: Link) -> bool:
        """Whether the connection could be the link's.

        A Pending one by name and message; another by name alone, since approving replaces the description. An endpoint
        that Azure does not name could have any name.
        """
        name_fits = connection.endpoint is None or self.name_fits(connection, link)
        match connection.status:
            case ConnectionStatus.PENDING:
                return name_fits and connection.description == link.request_message
            case ConnectionStatus.DISCONNECTED:
                return False
            case ConnectionStatus.REJECTED:
                seen = self.memory.seen(connection.id)
                since = seen.rejected_since if seen else None
                return name_fits and (since is None or self.observation.clock - since <= GRACE)
            case (
                ConnectionStatus.APPROVING
                | ConnectionStatus.APPROVED
                | ConnectionStatus.REJECTING
                | ConnectionStatus.DISCONNECTING
                | ConnectionStatus.UNKNOWN
            ):
                return name_fits
            case _ as never:
                assert_never(never)

    def may_have_been(self, connection: Connection, link: Link) -> bool:
        """Whether the link may have asked for the connection, whatever became of it.

        By its name; and by its message, where it was seen Pending.
        """
        seen = self.memory.seen(connection.id)
        asked = seen.requested_message if seen else None
        return self.name_fits(connection, link) and asked in {None, link.request_message}

    # Who else

    def rivals(self, connection: Connection | None, link: Link) -> tuple[tuple[Rival, ...], tuple[str, ...]]:
        """Other connections that could be the link's, and our unconfirmed approvals of such ones for other links."""
        rivals: list[Rival] = []
        unconfirmed: list[str] = []
        life = Incarnation.of(link)
        for other in self._others(connection, link):
            known, decision = self._explained_elsewhere(other.connection, life)
            if decision:
                unconfirmed.append(decision)
            elif not known:
                rivals.append(other)
        return tuple(sorted(rivals, key=lambda rival: rival.connection.id)), tuple(sorted(unconfirmed))

    def _others(self, connection: Connection | None, link: Link) -> Iterable[Rival]:
        for other in self.observation.connections:
            if (connection is None or other.id != connection.id) and self.could_be(other, link):
                yield Rival(connection=other, gone=False)
        for seen in self.memory.connections:
            if self._haunts(seen, link):
                yield Rival(connection=seen.connection, gone=True)

    def _haunts(self, seen: SeenConnection, link: Link) -> bool:
        """Whether this is a connection that vanished within the hour and could have been the link's.

        One that was there before the link was made cannot be the link's, so making a link anew is not held up by the
        connection of its former life.
        """
        if seen.gone_since is None or self.observation.clock - seen.gone_since > GRACE:
            return False
        older = link.created_at is not None and seen.first_seen < link.created_at
        return not older and self.could_be(seen.connection, link)

    def _explained_elsewhere(self, other: Connection, life: Incarnation) -> tuple[bool, str]:
        """Whether we (or a person) approved ``other`` for another link, and which approval is not confirmed yet."""
        if other.status is ConnectionStatus.PENDING:
            return False, ""
        if other.id in self.history.adopted:
            adopted_for = self.history.adopted[other.id]
            return adopted_for is not None and not adopted_for.may_be(life), ""
        approval = self.history.approval_of(other.id)
        if approval is None or approval.incarnation is None or approval.incarnation.may_be(life):
            return False, ""
        if approval.outcome is Outcome.CONFIRMED:
            return True, ""
        return (True, approval.decision) if approval.is_open else (False, "")

    # The whole

    def _about(self, connection: Connection | None, links: _Links) -> Evidence:
        observation, history, link = self.observation, self.history, links.nearest
        # A link that is only the nearest is there to be compared with: what became of it says nothing about a stranger.
        its_own = link if links.fits or connection is None else None
        rivals, unconfirmed = self.rivals(connection, its_own) if its_own else ((), ())
        own = self._own_approval(connection)
        return Evidence(
            target=observation.target,
            connection=connection,
            link=link,
            link_fits=links.fits,
            rival_links=links.rivals,
            rival_connections=rivals,
            unconfirmed=tuple(sorted({*unconfirmed, *self._approvals_of(its_own)} - {own})),
            own_approval=own,
            quarantined_by=history.quarantined_by(its_own),
            rejected_by=history.rejected_by(its_own, connection.id if connection else None),
            signature=self._signature(link),
            first_seen=self._first_seen(connection),
            link_absent_at=self.memory.absent_at(Incarnation.of(link)) if link else None,
            tier=observation.tiers.get(link.signalr, "") if link else "",
            site=observation.site,
            target_has_approved=any(one.status is ConnectionStatus.APPROVED for one in observation.connections),
            rules=self._rules(link),
            paused=self.allowlist.paused if self.allowlist else False,
            allowlist_problem=self.allowlist_problem,
            allowlist_source=self.allowlist.source if self.allowlist else "",
            allowlist_digest=self.allowlist.digest if self.allowlist else "",
            mode=self.mode,
            look_started=observation.started,
            clock=observation.clock,
            settle_seconds=self.settle_seconds,
        )

    def _rules(self, link: Link | None) -> tuple[Rule, ...]:
        if self.allowlist is None:
            return ()
        if link:
            return self.allowlist.about(link.signalr, self.observation.target)
        return self.allowlist.about_target(self.observation.target)

    def _own_approval(self, connection: Connection | None) -> str:
        approval = self.history.approval_of(connection.id) if connection else None
        return approval.decision if approval and approval.is_open else ""

    def _approvals_of(self, link: Link | None) -> set[str]:
        if link is None:
            return set()
        life = Incarnation.of(link)
        mine = (intent for intent in self.history.approvals() if intent.incarnation and intent.incarnation.may_be(life))
        return {intent.decision for intent in mine if intent.is_open}

    def _first_seen(self, connection: Connection | None) -> datetime | None:
        seen = self.memory.seen(connection.id) if connection else None
        return seen.first_seen if seen else None

    def _signature(self, link: Link | None) -> SignatureFacts:
        if link is None:
            return SignatureFacts(state=SignatureState.ABSENT)
        target = self.observation.target.id
        result = verify(link.request_message, link.signalr, target, link.name, self.keys, self.observation.clock)
        match result:
            case MissingSignature():
                return SignatureFacts(state=SignatureState.ABSENT)
            case WrongSignature(why=why):
                return SignatureFacts(state=SignatureState.WRONG, why=why)
            case ValidSignature() | ExpiredSignature():
                return SignatureFacts(
                    state=SignatureState.GENUINE,
                    key_id=result.key_id,
                    expires=result.expires,
                    fingerprint=result.fingerprint,
                    spent_by=self.history.spent_by(result.fingerprint),
                )
            case _ as never:
                assert_never(never)
