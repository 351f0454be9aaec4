# ruff: noqa: C901, PERF401, PLR0913, PLR0917  one rule after the other, each of which depends on all that is known
"""The evidence rules once more, written from their description alone and in another way than the engine's.

It judges by what Azure answered (:mod:`tests.simulation.frame`), by the ledger's text and by what was truly remembered,
and calls nothing of the engine's own correlation, decision or history.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.frame import Frame
from tests.simulation.rules import is_about, names_service, names_target
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.core.arm_id import ArmId
    from shared.core.model import Connection, Link, Target
    from tests.simulation.rules import Rules
    from tests.simulation.story import RuleSpec

HOUR: Final = timedelta(hours=1)
FINISHED: Final = frozenset({"not_written", "abandoned", "confirmed", "ambiguous", "taken_back", "superseded"})


@dataclass(slots=True)
class Told:
    """An intent as the ledger tells it."""

    decision: str
    sequence: int
    action: str
    connection: str
    link: str | None
    created_at: str | None
    by_person: bool
    undoes: str
    at: datetime
    clock: datetime | None
    """The evidence's."""
    outcomes: list[tuple[int, str]] = field(default_factory=list)
    """Each with its record's number."""
    signed: bool = False
    message: str = ""
    revokes: str = ""
    """The approval that it ends because its rule is gone."""
    rule: str = ""
    template: str = ""
    """By which the rule expected the endpoint to be named."""
    allowlist: str = ""
    """The digest of the document that it was decided under."""

    @property
    def outcome(self) -> str:
        return self.outcomes[-1][1] if self.outcomes else ""

    @property
    def open(self) -> bool:
        return self.outcome not in FINISHED

    def may_be(self, link: Link) -> bool:
        """Whether the intent was, or may have been, for this life of the link."""
        if self.link != low(link.id):
            return False
        created = link.created_at.isoformat() if link.created_at else None
        return None in {self.created_at, created} or self.created_at == created


@dataclass(slots=True)
class Person:
    """A person's decision as the ledger tells it."""

    sequence: int
    decision: str
    connection: str
    links: tuple[tuple[str, str | None], ...]
    by: str


@dataclass(slots=True)
class Chain:
    """A target's chain, folded as it grows."""

    intents: dict[str, Told] = field(default_factory=dict)
    people: list[Person] = field(default_factory=list)
    length: int = 0

    def add(self, record: dict[str, Any]) -> None:
        """One more record, as its JSON."""
        self.length, body = record["sequence"], record["body"]
        match record["kind"]:
            case "intent":
                told = body["intent"]
                life = told["incarnation"] or {"link": None, "created_at": None}
                evidence = (record["inputs"] or {}).get("evidence")
                link = (evidence or {}).get("link")
                self.intents[told["decision"]] = Told(
                    decision=told["decision"],
                    sequence=self.length,
                    action=told["action"],
                    connection=low(told["connection"]),
                    link=low(life["link"]) if life["link"] else None,
                    created_at=life["created_at"],
                    by_person=told["by_person"],
                    undoes=told["undoes"],
                    at=datetime.fromisoformat(told["at"]),
                    clock=datetime.fromisoformat(evidence["clock"]) if evidence else None,
                    signed=bool(told["signature"]),
                    message=link["request_message"] if link else "",
                    revokes=told["revokes"],
                    rule=told["rule"],
                    template=told["endpoint_name"],
                    allowlist=str(body.get("allowlist", "")),
                )
            case "outcome":
                self.intents[body["decision"]].outcomes.append((self.length, body["outcome"]))
            case "human_decision":
                links = tuple((low(one["link"]), one["created_at"]) for one in body["links"])
                self.people.append(Person(self.length, body["decision"], low(body["connection"]), links, body["by"]))
            case _:
                pass

    def approvals(self) -> list[Told]:
        return [told for told in self.intents.values() if told.action == "approve"]

    def person_rejected(self, connection: str, link: str, *, before: int) -> bool:
        """Whether a person's rejection of the connection or of the link's name stands."""
        on_connection = on_link = False
        for person in self.people:
            if person.sequence >= before or person.decision == "adopt":
                continue
            rejects = person.decision == "reject"
            if person.connection == connection:
                on_connection = rejects
            if any(name == link for name, _ in person.links):
                on_link = rejects
        return on_connection or on_link

    def adopted(self, connection: str) -> Person | None:
        """The newest approval or adoption by a person."""
        found = [p for p in self.people if p.connection == connection and p.decision in {"approve", "adopt"}]
        return found[-1] if found else None

    def quarantine(self, link: Link, *, before: int) -> Told | None:
        """The taking back, or revoking, whose quarantine of this life of the link stands."""
        standing: Told | None = None
        events: list[tuple[int, Told | None]] = [
            (told.sequence, told)
            for told in self.intents.values()
            if (ended := self.intents.get(told.undoes or told.revokes)) and ended.may_be(link) and told.sequence < before
        ]
        created = link.created_at.isoformat() if link.created_at else None
        for person in self.people:
            freed = any(name == low(link.id) and (None in {made, created} or made == created) for name, made in person.links)
            if person.decision == "approve" and freed and person.sequence < before:
                events.append((person.sequence, None))
        for _, told in sorted(events, key=lambda event: event[0]):
            standing = told
        return standing

    def newest_approval(self, connection: str) -> Told | None:
        """The newest that may have been written, else the newest."""
        ours = [told for told in self.approvals() if told.connection == connection]
        written = [told for told in ours if told.outcome != "not_written"]
        return next(reversed(written or ours), None)


def low(value: object) -> str:
    """An id as a text to compare; the simulation's names are ASCII."""
    return str(value).lower()


@dataclass(slots=True)
class Oracle:
    """The rules, over one world."""

    world: World
    settle: timedelta
    snapshot_age: timedelta
    chains: dict[str, Chain] = field(default_factory=dict)
    remembered: dict[str, list[Frame]] = field(default_factory=dict)
    """By target: the looks that the state store keeps the memory of, oldest first."""

    def earlier(self, frame: Frame, target: Target) -> list[Frame]:
        """The other looks that a step with this look knows: what is lost after it was read is not unknown to it."""
        return [one for one in frame.lost_with or self.remembered.get(target.id.key, ()) if one is not frame]

    def forget(self) -> None:
        """What is remembered is lost."""
        for frames in self.remembered.values():
            for frame in frames:
                frame.lost_with = tuple(frames)
        self.remembered.clear()

    def chain(self, target: Target) -> Chain:
        return self.chains.setdefault(target.id.key, Chain())

    # What fits

    def fits_name(
        self, connection: Connection, link: Link, rules: Rules | None, target: Target, approval: Told | None = None
    ) -> bool:
        allows = [spec for spec in (rules.specs if rules else ()) if not spec.deny]
        own = {spec.template or "{link}" for spec in allows if is_about(spec, link.signalr, target, self.world)}
        anyones = {spec.template or "{link}" for spec in allows if names_target(spec, target, self.world)}
        templates = own or {"{link}", *anyones}
        if approval and approval.template:
            templates.add(approval.template)
        return any(self.fits_template(connection, link, template) for template in templates)

    @staticmethod
    def fits_template(connection: Connection, link: Link, template: str) -> bool:
        pattern = low(template).replace("{link}", low(link.id.name)).replace("{signalr}", low(link.signalr.name))
        return fnmatch.fnmatchcase(low(connection.endpoint_id).rpartition("/")[2], pattern)

    def could_be(
        self, connection: Connection, link: Link, rules: Rules | None, target: Target, now: datetime, approval: Told | None = None
    ) -> bool:
        """``approval``: the one that is judged, whose own template counts too."""
        if not self.fits_name(connection, link, rules, target, approval):
            return False
        match low(connection.status.value):
            case "pending":
                return connection.description == link.request_message
            case "disconnected":
                return False
            case "rejected":
                since = self._rejected_since(connection, target)
                return since is None or now - since <= HOUR
            case _:
                return True

    def _rejected_since(self, connection: Connection, target: Target) -> datetime | None:
        since: datetime | None = None
        for frame in self.remembered.get(target.id.key, ()):
            found = _find(frame, connection.id)
            if found is not None:
                since = (since or frame.finished) if low(found.status.value) == "rejected" else None
        return since

    # Evidence

    def objections(
        self,
        frame: Frame,
        earlier: Sequence[Frame],
        connection: ArmId,
        link_id: str,
        rules: Rules,
        target: Target,
        *,
        before: int,
    ) -> list[str]:
        """What is missing from full evidence, settling left aside, for approving ``connection`` for the link."""
        found = _find(frame, connection)
        link = find_link(frame, link_id)
        if frame.finished is None or frame.started is None:
            return ["nothing was looked at"]
        if found is None:
            return ["the connection was not listed"]
        if link is None:
            return ["the link was not read at this look"]
        if link.target != target:
            return ["the link leads elsewhere"]
        now, chain, objections = frame.finished, self.chain(target), []
        if link.provisioning.value != "Succeeded" or link.status.value != "Pending":
            objections.append(f"the link is {link.provisioning.value}, {link.status.value}")
        if found.status.value != "Pending":
            objections.append(f"the connection is {found.status.value}")
        if found.description != link.request_message:
            objections.append("the message differs")
        if not self.fits_name(found, link, rules, target):
            objections.append("the name differs")
        objections += self._of_rules(frame, found, link, rules, target, now)
        if self._is_older(frame, earlier, found, link):
            objections.append("the connection is older than the link")
        objections += [f"rival {name}" for name in self.rivals(frame, earlier, found, link, rules, target, before=before)]
        if any(t.open and t.may_be(link) and t.sequence < before for t in chain.approvals()):
            objections.append("another approval for the link is unconfirmed")
        if chain.quarantine(link, before=before) is not None:
            objections.append("the link is quarantined")
        if chain.person_rejected(low(connection), low(link.id), before=before):
            objections.append("a person rejected it")
        return objections

    def _of_rules(
        self, frame: Frame, connection: Connection, link: Link, rules: Rules, target: Target, now: datetime
    ) -> list[str]:
        if not rules.valid:
            return ["the allowlist is not valid"]
        about = [spec for spec in rules.specs if is_about(spec, link.signalr, target, self.world) and not is_expired(spec, now)]
        objections = ["the allowlist is paused"] if rules.paused else []
        if any(spec.deny for spec in about):
            objections.append("a deny rule")
        allows = [spec for spec in about if not spec.deny]
        if not allows:
            return [*objections, "no allow rule"]
        most = max((spec.target is not None, spec.service is not None) for spec in allows)
        governing = [spec for spec in allows if (spec.target is not None, spec.service is not None) == most]
        unmet = [self._demands(frame, connection, link, spec, target, now) for spec in governing]
        fewest = min(len(reasons) for reasons in unmet)
        objections += next(reasons for reasons in unmet if len(reasons) == fewest)
        if frame.site is None:
            objections.append("the site was not read")
        elif frame.site.tier.lower() in {"free", "shared", "dynamic"}:
            objections.append("the tier takes no private endpoints")
        if self._tier(frame, link) == "free":
            objections.append("SignalR's Free tier")
        return objections

    def _demands(
        self, frame: Frame, connection: Connection, link: Link, spec: RuleSpec, target: Target, now: datetime
    ) -> list[str]:
        unmet = []
        if not self.fits_template(connection, link, spec.template or "{link}"):
            unmet.append("the rule's template")
        if spec.message is not None and spec.message != link.request_message:
            unmet.append("the rule's message")
        if spec.signed and not self.signature_holds(link, target, now):
            unmet.append("the signature")
        if spec.pinned and "00000000-0000-0000-0000-0000000000e1" not in low(connection.endpoint_id):
            unmet.append("the pins")
        exposed = frame.site is not None and not frame.site.public_network_access
        approved = any(one.status.value == "Approved" for one in frame.connections or ())
        if exposed and not approved and not spec.accept_exposure_change:
            unmet.append("the exposure would change")
        return unmet

    def signature_holds(self, link: Link, target: Target, now: datetime) -> bool:
        """Whether the key's holder signed this message for this link, it has not expired and was not spent."""
        signed = self.world.signed.get(link.request_message)
        if signed is None or (low(signed[0]), signed[1], signed[2]) != (low(link.signalr), target, link.id.name):
            return False
        spent = any(
            told.outcome == "confirmed" and told.signed and told.message == link.request_message
            for told in self.chain(target).approvals()
        )
        return now <= signed[3] and not spent

    @staticmethod
    def _tier(frame: Frame, link: Link) -> str:
        _, service = frame.services[link.signalr]
        return service.tier.lower() if service else ""

    def _is_older(self, frame: Frame, earlier: Sequence[Frame], connection: Connection, link: Link) -> bool:
        looks = [*earlier, frame]
        seen = min(one.finished for one in looks if one.finished and _find(one, connection.id))
        if link.created_at is not None and seen < link.created_at:
            return True
        absent = [
            one.services[link.signalr][0]
            for one in looks
            if link.signalr in one.services and not _same_life(find_link(one, low(link.id)), link)
        ]
        return any(seen < moment for moment in absent)

    # Rivals

    def rivals(
        self, frame: Frame, earlier: Sequence[Frame], connection: Connection, link: Link, rules: Rules, target: Target,
        *, before: int, waits_too: bool = True,
    ) -> list[str]:  # fmt: skip
        """Every other link and connection that may be what it is all about, by name.

        One that we approved for another link, unconfirmed yet, makes it wait (``waits_too``) and is no reason for an alarm.
        """
        now = frame.finished
        assert now is not None
        found = [
            f"link {other.signalr.name}/{other.id.name}"
            for other in self._links(frame)
            if other.id != link.id and other.target == target and self.could_be(connection, other, rules, target, now)
        ]
        for other in frame.connections or ():
            if (
                other.id != connection.id
                and self.could_be(other, link, rules, target, now)
                and not self.explained(other, link, target, before=before, waits_too=waits_too)
            ):
                found.append(f"connection {other.id.name} ({other.status.value})")
        ghosts = self._ghosts(frame, earlier, link, rules, target)
        ghosts = [one for one in ghosts if not self.explained(one, link, target, before=before, waits_too=waits_too)]
        return [*found, *(f"ghost {ghost.id.name}" for ghost in ghosts)]

    @staticmethod
    def read_links(frame: Frame) -> Iterable[Link]:
        """The links read at this look itself."""
        for _, service in frame.services.values():
            yield from service.links if service else ()

    def _links(self, frame: Frame) -> Iterable[Link]:
        """The links read at this look, and those that every snapshot young enough must have shown."""
        yield from self.read_links(frame)
        assert frame.started is not None
        since = frame.started - self.snapshot_age
        for true in self.world.links.values():
            scanned = "0000000000f1" not in true.link.id.subscription
            if scanned and true.created_at < since and true.link.signalr not in frame.services:
                yield true.link

    def explained(self, other: Connection, link: Link, target: Target, *, before: int, waits_too: bool) -> bool:
        """Whether it was approved by us, or adopted by a person, for another link."""
        if other.status.value == "Pending":
            return False
        chain = self.chain(target)
        person = chain.adopted(low(other.id))
        if person is not None and person.sequence < before:
            return len(person.links) == 1 and (person.links[0][0] != low(link.id) or _another_life(person.links, link))
        told = chain.newest_approval(low(other.id))
        if told is None or told.link is None or told.may_be(link):
            return False
        return told.outcome == "confirmed" or (told.open and not waits_too)

    def _ghosts(self, frame: Frame, earlier: Sequence[Frame], link: Link, rules: Rules, target: Target) -> Iterable[Connection]:
        now = frame.finished
        assert now is not None
        first: dict[ArmId, datetime] = {}
        last: dict[ArmId, Connection] = {}
        gone: dict[ArmId, datetime] = {}
        for one in (*earlier, frame):
            assert one.finished is not None
            here = {c.id for c in one.connections or ()}
            for c in one.connections or ():
                first.setdefault(c.id, one.finished)
                last[c.id] = c
                gone.pop(c.id, None)
            for id_ in last:
                if id_ not in here:
                    gone.setdefault(id_, one.finished)
        for id_, since in gone.items():
            ghost = last[id_]
            older = link.created_at is not None and first[id_] < link.created_at
            if now - since <= HOUR and not older and self.could_be(ghost, link, rules, target, now):
                yield ghost

    # Settling

    def settled_since(self, frame: Frame, connection: ArmId, link_id: str, rules: Rules, target: Target) -> datetime | None:
        """Since when every remembered look said that nothing but the link's own connection could be it."""
        looks = self.earlier(frame, target)
        since: datetime | None = None
        now_link = find_link(frame, link_id)
        for place in range(len(looks) - 1, -1, -1):
            one = looks[place]
            link, found = find_link(one, link_id), _find(one, connection)
            same = link is not None and found is not None and now_link is not None and _same_life(link, now_link)
            if not same or link is None or found is None or one.finished is None:
                break
            plain = (link.status.value, link.provisioning.value, found.status.value) == ("Pending", "Succeeded", "Pending")
            alone = not self.rivals(one, looks[:place], found, link, rules, target, before=1 << 60)
            if not (plain and alone and found.description == link.request_message):
                break
            since = one.finished
        return since

    def watched(self, rules: Rules | None, *, made_before: datetime | None = None) -> list[Target]:
        """The targets that a sweep looks at; with ``made_before`` only those that links lead to which were made before then."""
        led = {
            one.link.target
            for one in self.world.links.values()
            if one.link.target and self.is_known(one.link, rules) and (made_before is None or one.created_at <= made_before)
        }
        named = {
            self.world.targets[spec.target]
            for spec in (rules.specs if rules else ())
            if spec.target is not None and not spec.deny
        }
        return sorted(led | named, key=lambda target: target.id)

    def is_known(self, link: Link, rules: Rules | None) -> bool:
        if "0000000000f1" in link.id.subscription:
            return False
        return rules is None or any(not s.deny and names_service(s, link.signalr, self.world) for s in rules.specs)


def _find(frame: Frame, connection: ArmId) -> Connection | None:
    return next((one for one in frame.connections or () if one.id == connection), None)


def find_link(frame: Frame, link_id: str) -> Link | None:
    """The link, where this look read it itself."""
    for _, service in frame.services.values():
        for link in service.links if service else ():
            if low(link.id) == link_id:
                return link
    return None


def _same_life(one: Link | None, other: Link) -> bool:
    return one is not None and (None in {one.created_at, other.created_at} or one.created_at == other.created_at)


def _another_life(links: tuple[tuple[str, str | None], ...], link: Link) -> bool:
    if not links:
        return False
    created = link.created_at.isoformat() if link.created_at else None
    return None not in {links[0][1], created} and links[0][1] != created


def is_expired(spec: RuleSpec, now: datetime) -> bool:
    if not spec.expires:
        return False
    return now >= datetime.fromisoformat(spec.expires).replace(tzinfo=UTC) + timedelta(days=1)
