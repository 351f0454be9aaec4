"""Azure as it truly is: what only Azure knows, such as which link opened which connection.

It changes by people's acts, by writes and by time. What workers see of it, and how badly, is ``ports``'s.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from shared.core.arm_id import ArmId
from shared.core.errors import AzureForbiddenError, AzureNotFoundError, NotPendingError
from shared.core.model import (
    CONNECTION_CHILD,
    Connection,
    ConnectionStatus,
    Link,
    LinkProvisioning,
    LinkStatus,
    SignalR,
    Site,
    Target,
)
from shared.core.request_message import assemble, message_payload
from tests.simulation.happened import Happened
from tests.simulation.story import START, Action

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.simulation.story import Story
    from tests.simulation.timeline import Timeline
    from tests.simulation.virtual_loop import VirtualLoop

SUBSCRIPTIONS: Final = ("00000000-0000-0000-0000-0000000000a1", "00000000-0000-0000-0000-0000000000a2")
"""Those that are scanned."""
FOREIGN: Final = "00000000-0000-0000-0000-0000000000f1"
PINNED: Final = "00000000-0000-0000-0000-0000000000e1"
"""Where the endpoints of every tenant's SignalR services live."""
ELSEWHERE: Final = "00000000-0000-0000-0000-0000000000e2"
GROUP: Final = "contoso"
KEY_ID: Final = "desk"
KEY: Final = ec.derive_private_key(20270104, ec.SECP256R1())
SIGNED_FOR: Final = timedelta(hours=2)
"""How long a signed message counts."""
STALE_FOR: Final = 20.0
"""Seconds by which a connections' list lags at most."""
LONG: Final = 180.0
LAG: Final = 1800.0
FLOOD: Final = 7


@dataclass(slots=True, eq=False)
class TrueLink:
    """One life of a link."""

    life: int
    link: Link
    made: Action
    created_at: datetime
    connections: list[TrueConnection] = field(default_factory=list)
    """Those that it opened."""
    alive: bool = True
    genuine_lost: bool = False
    """Whether one of its connections was deleted, or never came, by somebody's act on the site's side."""


@dataclass(slots=True, eq=False)
class TrueConnection:
    """A connection, and whose it is."""

    connection: Connection
    owner: TrueLink | None
    """None: an attacker's."""
    created: datetime
    there: bool = True
    last_approved_by: str = ""
    """The process or the portal whose write Azure carried out; "" where none was."""
    approved_since: datetime | None = None
    """Since when it has been Approved; None where it is not."""


def scanned_subscriptions(story: Story) -> tuple[str, ...]:
    """Those that the sweeps of a story list."""
    return SUBSCRIPTIONS[: 1 + max(0, *(service.subscription for service in story.services))]


class World:
    """The truth."""

    def __init__(self, story: Story, loop: VirtualLoop, rng: random.Random, timeline: Timeline) -> None:
        self.story = story
        self.loop = loop
        self.rng = rng
        self.timeline = timeline
        self.happened = Happened()
        self.enforce = story.enforce
        """Whether the app is deployed in the mode that writes."""
        self.services: list[ArmId] = []
        self.targets: list[Target] = []
        self.sites: dict[Target, Site] = {}
        self.links: dict[ArmId, TrueLink] = {}
        """The life that each link is in."""
        self.lives: list[TrueLink] = []
        self.connections: dict[ArmId, TrueConnection] = {}
        """Every one that ever was."""
        self.signed: dict[str, tuple[ArmId, Target, str, datetime]] = {}
        """Each message that was signed for a link, and what it was signed for."""
        self.on_link_made: Callable[[Link], None] = lambda _: None
        self.on_link_deleted: Callable[[Link], None] = lambda _: None
        self.on_decided: Callable[[Connection], None] = lambda _: None
        self._views: dict[Target, list[tuple[float, tuple[Connection, ...]]]] = defaultdict(lambda: [(0.0, ())])
        self._numbers = itertools.count(1)
        for number, spec in enumerate(story.services):
            subscription = FOREIGN if spec.subscription < 0 else SUBSCRIPTIONS[spec.subscription]
            self.services.append(ArmId(subscription, GROUP, "Microsoft.SignalRService", (("signalR", f"hub{number}"),)))
        for number, target in enumerate(story.targets):
            site = ArmId(SUBSCRIPTIONS[0], GROUP, "Microsoft.Web", (("sites", f"func{number}"),))
            self.targets.append(Target.of(site, target.slot or None))
            self.sites[self.targets[-1]] = Site(target=self.targets[-1], public_network_access=target.exposure, tier=target.tier)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.loop.elapsed)

    def say(self, text: str) -> None:
        self.timeline.add(self.loop.elapsed, "azure", text)

    # Links

    def make_link(self, act: Action) -> None:
        service, target = self.services[act.service], self.targets[act.target]
        id_ = service.child("sharedPrivateLinkResources", act.name)
        if id_ in self.links:
            return
        link = Link(
            id=id_,
            resource_id=str(target.site),
            group_id=target.group_id,
            request_message=self.message(act),
            status=LinkStatus.PENDING,
            provisioning=LinkProvisioning.CREATING,
            created_at=self.now() if act.dated else None,
        )
        true = TrueLink(life=len(self.lives) + 1, link=link, made=act, created_at=self.now())
        self._note_link(true)
        self.links[id_] = true
        self.lives.append(true)
        self.say(f"link {id_.parent.name}/{id_.name} begins (life {true.life}), message {link.request_message[:24]!r}")
        self._later(act.provisioned_after, lambda: self._provisioned(true))
        if act.ends != "Failed" or act.connects_after < act.provisioned_after:
            for _ in range(1 + act.replicas):
                self._later(act.connects_after, lambda: self._open(true))
        self.on_link_made(link)

    def _note_link(self, true: TrueLink) -> None:
        act, note = true.made, self.happened.note
        if any(one.link.id == true.link.id for one in self.lives):
            note("make a link anew under the same name")
        if act.provisioned_after > LONG:
            note("a link that takes more than three minutes")
        if act.ends == "Running":
            note("a link that is stuck")
        if not act.dated:
            note("a link without createdAt")
        if act.service > 0:
            foreign = self.services[act.service].subscription == FOREIGN
            note(f"a link of a SignalR of their own, {'not scanned' if foreign else 'scanned'}")
            if true.link.request_message.startswith("lg1."):
                note("a signed message replayed by a link")

    def _provisioned(self, true: TrueLink) -> None:
        if true.alive and true.link.provisioning is LinkProvisioning.CREATING and true.made.ends != "Running":
            true.link = replace(true.link, provisioning=LinkProvisioning.read(true.made.ends))
            if true.link.provisioning is LinkProvisioning.FAILED:
                self.happened.note("a link that fails")
            self.say(f"link {_name(true.link)} is {true.link.provisioning.value}")
            self.on_link_made(true.link)

    def _open(self, true: TrueLink) -> None:
        if true.alive and true.link.provisioning is not LinkProvisioning.DELETING and true.link.target is not None:
            over = true.link.provisioning is LinkProvisioning.SUCCEEDED
            self.happened.note(f"a connection {'after' if over else 'before'} its link's Succeeded")
            if true.connections:
                self.happened.note("a replica's connection")
            self.connect(true.link.target, true.made, true.link.request_message, owner=true)

    def delete_link(self, act: Action) -> None:
        true = self.links.get(self.services[act.service].child("sharedPrivateLinkResources", act.name))
        if true is None or true.link.provisioning is LinkProvisioning.DELETING:
            return
        true.link = replace(true.link, provisioning=LinkProvisioning.DELETING)
        self.happened.note("delete a link")
        self.say(f"link {_name(true.link)} is being deleted")
        seconds = self.rng.uniform(2, 40)
        for connection in true.connections:
            self._later(self.rng.uniform(1, seconds), partial(self.remove, connection))
        self._later(seconds, lambda: self._delete(true))

    def _delete(self, true: TrueLink) -> None:
        true.alive = False
        del self.links[true.link.id]
        self.say(f"link {_name(true.link)} is gone")
        self.on_link_deleted(true.link)

    def message(self, act: Action) -> str:
        """The request message that an act carries."""
        if act.message == "signed":
            service, target = self.services[act.service], self.targets[act.target]
            expires = (self.now() + SIGNED_FOR).replace(microsecond=0)
            text = sign(service, target, act.name, expires)
            self.signed[text] = (service, target, act.name, expires)
            return text
        if act.message == "stolen":
            called = (one.link.request_message for one in reversed(self.lives) if one.link.name == act.name)
            return next(called, "please approve")
        return act.message

    # Connections

    def endpoint_name(self, act: Action) -> str:
        """The name that SignalR gives the endpoint of this link, as the story's estate has it."""
        rules = [rule for rule in self.story.rules if rule.target == act.target and not rule.deny]
        template = (rules[0].template if rules else "") or "{link}"
        name = template.replace("{link}", act.name).replace("{signalr}", self.services[act.service].name)
        return name.replace("*", "x7")

    def connect(self, target: Target, act: Action, message: str, *, owner: TrueLink | None) -> None:
        name = self.endpoint_name(act)
        subscription = PINNED if owner is not None or act.pinned else ELSEWHERE
        endpoint = ArmId(subscription, "endpoints", "Microsoft.Network", (("privateEndpoints", name),))
        id_ = target.id.child(CONNECTION_CHILD, f"{name}-{next(self._numbers):04}")
        connection = Connection(
            id=id_, status=ConnectionStatus.PENDING, status_text="Pending", description=message, endpoint_id=str(endpoint)
        )
        true = TrueConnection(connection, owner, self.now())
        self.connections[id_] = true
        if owner is not None:
            owner.connections.append(true)
        self.say(f"connection {id_.name} at {target.id.name} is Pending ({whose(true)}), message {message[:24]!r}")
        self._changed(target)

    def impostor(self, act: Action) -> None:
        self._note_impostor(act)
        for _ in range(act.many):
            self.connect(self.targets[act.target], act, self.message(act), owner=None)

    def _note_impostor(self, act: Action) -> None:
        note, target, message = self.happened.note, self.targets[act.target], self.message(act)
        if act.many >= FLOOD:
            note("a flood")
        links = [one for one in self.links.values() if one.link.target == target and one.link.name == act.name]
        alike = [one for one in links if one.link.request_message == message]
        genuine = [one for link in alike for one in link.connections if one.there]
        if alike:
            note("a name and a message copied")
            if message.startswith("lg1."):
                note("a signed message replayed by a connection")
        elif any(one.link.target == target for one in self.links.values()):
            note("a name or a message that nearly fits")
        if any(one.connection.status in {ConnectionStatus.APPROVED, ConnectionStatus.APPROVING} for one in genuine):
            note("an impostor after the approval")
        elif genuine:
            note("an impostor beside the genuine connection")
        elif links:
            note("an impostor before the genuine connection")
        else:
            note("an impostor before the link")

    def impostor_leaves(self, act: Action) -> None:
        if (true := self.pick(act.pick, genuine=False)) is not None:
            self.remove(true)

    def pick(self, place: int, *, genuine: bool) -> TrueConnection | None:
        """The connection that a person means."""
        there = [one for one in self.connections.values() if one.there and (one.owner is not None) is genuine]
        return there[-1 - place % len(there)] if there else None

    def decide(self, id_: ArmId, status: Literal["Approved", "Rejected"], description: str, by: str) -> None:
        """A write as Azure does it.

        Raises:
            AzureError: where Azure refuses it.

        """
        true = self.connections.get(id_)
        if true is None or not true.there:
            message = f"{id_.name} does not exist"
            raise AzureNotFoundError(message, status=404, code="NotFound")
        was = true.connection.status
        undoing = status == "Rejected" and was is ConnectionStatus.APPROVED and self.story.rejects_approved
        if was is not ConnectionStatus.PENDING and not undoing:
            code = "PrivateEndpointConnectionStatusNotPending"
            message = f"{id_.name} is {was.value}"
            raise NotPendingError(message, status=409, code=code)
        if status == "Rejected":
            self._become(true, ConnectionStatus.REJECTED, description, by)
            return
        true.last_approved_by = by
        self._become(true, ConnectionStatus.APPROVING, description, by)
        limit = self.story.approving
        if limit < 0 and self.rng.random() < 0.3:
            self.happened.note("an Approving that never ends")
            return
        self._later(self.rng.uniform(0, abs(limit)), lambda: self._approved(true))

    def _approved(self, true: TrueConnection) -> None:
        if true.there and true.connection.status is ConnectionStatus.APPROVING:
            self._become(true, ConnectionStatus.APPROVED, true.connection.description, "azure")

    def _become(self, true: TrueConnection, status: ConnectionStatus, description: str, by: str) -> None:
        true.connection = replace(true.connection, status=status, status_text=status.value, description=description)
        true.approved_since = self.now() if status is ConnectionStatus.APPROVED else None
        self.say(f"connection {true.connection.id.name} ({whose(true)}) is {status.value}, by {by}")
        self._changed(true.connection.target)
        self._follow(true)
        if by != "azure":
            self.on_decided(true.connection)

    def delete(self, id_: ArmId, by: str) -> None:
        """A connection deleted on the site's side.

        Raises:
            AzureError: where the identity may not.

        """
        if by != "portal" and not self.story.deletes:
            message = "the identity may not delete connections"
            raise AzureForbiddenError(message, status=403, code="AuthorizationFailed")
        true = self.connections.get(id_)
        if true is not None and true.there:
            if true.owner is not None:
                true.owner.genuine_lost = True
            self.say(f"connection {id_.name} ({whose(true)}) is deleted, by {by}")
            self.remove(true)

    def remove(self, true: TrueConnection) -> None:
        if not true.there:
            return
        true.there, true.approved_since = False, None
        true.connection = replace(true.connection, status=ConnectionStatus.DISCONNECTED, status_text="Disconnected")
        self.say(f"connection {true.connection.id.name} ({whose(true)}) is gone")
        self._changed(true.connection.target)
        self._follow(true)

    # Links follow their connections, late

    def _follow(self, true: TrueConnection) -> None:
        link = true.owner
        if link is None or not link.alive or true.connection.status is ConnectionStatus.APPROVING:
            return
        self._note_status(link)
        if link.made.null_for > 0:
            link.link = replace(link.link, status=LinkStatus.UNKNOWN)
            self._later(link.made.null_for, lambda: self._show(link, null_over=True))
        if link.made.shows_after >= 0:
            self._later(max(link.made.shows_after, link.made.null_for), lambda: self._show(link))

    def _note_status(self, link: TrueLink) -> None:
        if link.made.null_for > 0:
            self.happened.note("a link's status null")
        if link.made.shows_after < 0:
            self.happened.note("a link's status that never moves")
        elif max(link.made.shows_after, link.made.null_for) >= LAG:
            self.happened.note("a link's status half an hour late or more")

    def _show(self, link: TrueLink, *, null_over: bool = False) -> None:
        if not link.alive:
            return
        states = {one.connection.status for one in link.connections}
        status = LinkStatus.PENDING
        if not null_over:
            for connection_status, shown in (
                (ConnectionStatus.DISCONNECTED, LinkStatus.DISCONNECTED),
                (ConnectionStatus.REJECTED, LinkStatus.REJECTED),
                (ConnectionStatus.APPROVED, LinkStatus.APPROVED),
            ):
                status = shown if connection_status in states else status
        elif link.link.status is not LinkStatus.UNKNOWN:
            return
        if link.link.status is not status:
            link.link = replace(link.link, status=status)
            self.say(f"link {_name(link.link)} shows {status.value}")

    # What can be seen

    def service(self, id_: ArmId) -> SignalR | None:
        if id_ not in self.services:
            return None
        links = tuple(true.link for true in self.links.values() if true.link.signalr == id_)
        tier = self.story.services[self.services.index(id_)].tier
        templates = ("https://func0.example/runtime/webhooks/signalr",)
        return SignalR(id=id_, tier=tier, service_mode="Serverless", upstream_templates=templates, links=links)

    def subscription(self, subscription: str) -> tuple[SignalR, ...]:
        found = (self.service(id_) for id_ in self.services if id_.subscription == subscription)
        return tuple(one for one in found if one is not None)

    def host_names(self, target: Target) -> tuple[str, ...]:
        """The names under which a site is called; every service's upstream leads to the first site."""
        return (f"{target.site.name}.example",)

    def listed(self, target: Target, *, lag: float = 0.0) -> tuple[Connection, ...]:
        """The target's connections as they were ``lag`` seconds ago."""
        moment = self.loop.elapsed - lag
        return next((view for since, view in reversed(self._views[target]) if since <= moment), ())

    def _changed(self, target: Target) -> None:
        here = (one.connection for one in self.connections.values() if one.there and one.connection.target == target)
        self._views[target].append((self.loop.elapsed, tuple(here)))

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self.loop.call_later(seconds, act)


def _name(link: Link) -> str:
    return f"{link.signalr.name}/{link.name}"


def whose(true: TrueConnection) -> str:
    """Whose a connection is, for people."""
    return f"of {_name(true.owner.link)}, life {true.owner.life}" if true.owner else "an impostor's"


@cache
def sign(service: ArmId, target: Target, name: str, expires: datetime) -> str:
    """A signed message, the same at every run."""
    payload = message_payload(signalr=service, target=target.id, link_name=name, expires=expires)
    r, s = decode_dss_signature(KEY.sign(payload, ec.ECDSA(SHA256(), deterministic_signing=True)))
    return assemble(key_id=KEY_ID, expires=expires, signature=r.to_bytes(32, "big") + s.to_bytes(32, "big"))
