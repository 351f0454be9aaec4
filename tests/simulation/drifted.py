"""What has drifted, as the world and the ledger's text tell it: what a look at a target must report, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.core.finding import FindingId, Severity
from shared.core.model import Link, Target
from tests.simulation.frame import Frame
from tests.simulation.oracle import Chain, Oracle, is_expired, low
from tests.simulation.rules import Rules, is_about, names_service
from tests.simulation.world import scanned_subscriptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.model import Connection
    from tests.simulation.oracle import Told
    from tests.simulation.story import Story

OF_TARGETS: Final = frozenset(
    {
        FindingId.APPROVED_UNEXPLAINED,
        FindingId.APPROVED_NOT_ALLOWED,
        FindingId.APPROVED_LINK_GONE,
        FindingId.LINK_APPROVED_NOT_PROVISIONED,
        FindingId.LINK_PROVISIONED_NOT_APPROVED,
        FindingId.REPLICA_SUSPECTED,
    }
)
OF_THE_REST: Final = frozenset(
    {
        FindingId.RULE_EXPIRED,
        FindingId.RULE_EXPIRES_SOON,
        FindingId.RULE_MATCHES_NOTHING,
        FindingId.SIGNALR_FREE_TIER,
        FindingId.UPSTREAM_NOT_PRIVATE,
        FindingId.PUBLIC_ACCESS_OPEN,
    }
)
_NO_EXPLANATION: Final = frozenset({"not_written", "abandoned", "taken_back"})
_OVER: Final = frozenset({"Rejected", "Rejecting", "Disconnected", "Disconnecting"})
SOON: Final = timedelta(days=14)

type Expected = tuple[FindingId, str, Severity]
"""A finding: its kind, what it is about, how bad it is."""


@dataclass(slots=True)
class Drifted:
    """One look at one target."""

    oracle: Oracle
    frame: Frame
    rules: Rules | None
    """None where the allowlist cannot be read."""
    target: Target
    links: Sequence[Link]
    """Those of the scanned subscriptions that lead here."""

    @property
    def _chain(self) -> Chain:
        return self.oracle.chain(self.target)

    def expected(self) -> set[Expected]:
        """Every drift of the target."""
        here = self.frame.connections or ()
        found = {one for connection in here if connection.status.value == "Approved" for one in self._of_approved(connection)}
        return found | {one for link in self.links if self._is_ours(link) for one in self._of_link(link)}

    def _of_approved(self, connection: Connection) -> Iterator[Expected]:
        about = connection.id.key
        approval, person = explanation(self._chain, connection), self._chain.adopted(low(connection.id))
        if approval is None and person is None:
            yield FindingId.APPROVED_UNEXPLAINED, about, Severity.CRITICAL
            return
        life = (approval.link, approval.created_at) if approval is not None and approval.link else None
        if life is None and person is not None and len(person.links) == 1:
            life = person.links[0]
        if life is None or life[0] is None:
            return
        if "0000000000f1" not in life[0] and not any(_is_life(link, life) for link in self.links):
            never_shown = approval is not None and approval.outcome == "superseded" and not approval.by_person
            yield FindingId.APPROVED_LINK_GONE, about, Severity.CRITICAL if never_shown and not person else Severity.WARNING
        if approval is not None and not approval.by_person and self.rules is not None and not self._taken_over(approval):
            yield from self._of_rules(about, life[0], self.rules)

    def _taken_over(self, approval: Told) -> bool:
        """Whether a person took the approval over while it was open: from then on it is that person's."""
        for person in self._chain.people:
            if person.decision == "adopt" and person.connection == approval.connection:
                before = [outcome for sequence, outcome in approval.outcomes if sequence < person.sequence]
                if person.sequence > approval.sequence and (not before or before[-1] == "sent"):
                    return True
        return False

    def _of_rules(self, about: str, link: str, rules: Rules) -> Iterator[Expected]:
        assert self.frame.finished is not None
        service = next(one for one in self.oracle.world.services if link.startswith(f"{low(one)}/"))
        named = [spec for spec in rules.specs if is_about(spec, service, self.target, self.oracle.world)]
        live = [spec for spec in named if not is_expired(spec, self.frame.finished)]
        if any(spec.deny for spec in live):
            yield FindingId.APPROVED_NOT_ALLOWED, about, Severity.CRITICAL
        elif not live:
            yield FindingId.APPROVED_NOT_ALLOWED, about, Severity.WARNING

    def _is_ours(self, link: Link) -> bool:
        known = self.rules is not None and self.oracle.is_known(link, self.rules)
        return known or any(told.may_be(link) for told in self._chain.approvals())

    def _of_link(self, link: Link) -> Iterator[Expected]:
        status, provisioning, about = link.status.value, link.provisioning.value, link.id.key
        if status == "Approved" and provisioning != "Succeeded":
            yield FindingId.LINK_APPROVED_NOT_PROVISIONED, about, Severity.WARNING
        if provisioning == "Succeeded" and (status in {"Rejected", "Disconnected", "Timeout"} or self._fell_back(link)):
            yield FindingId.LINK_PROVISIONED_NOT_APPROVED, about, Severity.WARNING
        if status == "Approved" and self._has_replicas(link):
            yield FindingId.REPLICA_SUSPECTED, about, Severity.WARNING

    def _fell_back(self, link: Link) -> bool:
        """Whether the link waits again, though it once showed an approval that still stands."""
        approved = {low(one.id) for one in self.frame.connections or () if one.status.value == "Approved"}
        confirmed = (told for told in self._chain.approvals() if told.outcome == "confirmed" and told.may_be(link))
        return link.status.value in {"Pending", "Unknown"} and any(told.connection in approved for told in confirmed)

    def _has_replicas(self, link: Link) -> bool:
        """Whether more connections have the link's name than the one that is known to be its own."""
        assert self.frame.finished is not None
        own = others = False
        for one in self.frame.connections or ():
            if one.status.value in _OVER or not self.oracle.could_be(one, link, self.rules, self.target, self.frame.finished):
                continue
            approval, person = explanation(self._chain, one), self._chain.adopted(low(one.id))
            known = (approval.link, approval.created_at) if approval is not None and approval.link else None
            if approval is None and person is not None and len(person.links) == 1:
                known = person.links[0]
            if known is not None and not _is_life(link, known):
                continue
            if approval is not None or person is not None:
                own = True
            else:
                others = True
        return own and others


def explanation(chain: Chain, connection: Connection, *, before: int = 1 << 60) -> Told | None:
    """The approval by us, or by a person through us, that explains why a connection is Approved, as of a record's number."""
    known = [
        (told, next((outcome for sequence, outcome in reversed(told.outcomes) if sequence < before), ""))
        for told in chain.approvals()
        if told.connection == low(connection.id) and told.sequence < before
    ]
    written = [(told, outcome) for told, outcome in known if outcome != "not_written"]
    return written[-1][0] if written and written[-1][1] not in _NO_EXPLANATION else None


def _is_life(link: Link, life: tuple[str | None, str | None]) -> bool:
    created = link.created_at.isoformat() if link.created_at else None
    return low(link.id) == life[0] and (None in {created, life[1]} or created == life[1])


def of_the_rest(oracle: Oracle, rules: Rules, story: Story, watched: set[Target], frames: Sequence[Frame]) -> set[Expected]:
    """What drifts beside targets: rules, services, upstreams and exposure."""
    world, found = oracle.world, set[Expected]()
    now = world.now()
    links = [true.link for true in world.links.values() if "0000000000f1" not in true.link.id.subscription]
    for spec in rules.specs:
        if spec.expires:
            over = is_expired(spec, now)
            found.add((FindingId.RULE_EXPIRED if over else FindingId.RULE_EXPIRES_SOON, spec.id, Severity.WARNING))
        named = (link.target is not None and is_about(spec, link.signalr, link.target, world) for link in links)
        if not spec.deny and not any(named):
            found.add((FindingId.RULE_MATCHES_NOTHING, spec.id, Severity.WARNING))
    scanned = [one for one in world.services if one.subscription in scanned_subscriptions(story)]
    known = {one for one in scanned if any(not spec.deny and names_service(spec, one, world) for spec in rules.specs)}
    found |= {
        (FindingId.SIGNALR_FREE_TIER, one.key, Severity.WARNING)
        for one in known
        if story.services[world.services.index(one)].tier == "Free"
    }
    first = world.targets[0]
    if first.slot is not None:
        return found
    private = {one for one in scanned if any(_works(link) and link.target == first for link in links if link.signalr == one)}
    found |= {
        (FindingId.UPSTREAM_NOT_PRIVATE, one.key, Severity.WARNING)
        for one in scanned
        if one not in private and (one in known or first in watched)
    }
    approved = any(c.status.value == "Approved" for f in frames if f.chain == first.id.key for c in f.connections or ())
    exposure = world.sites[first].public_network_access
    if first in watched and scanned and private == set(scanned) and (exposure == "Enabled" or not (exposure or approved)):
        found.add((FindingId.PUBLIC_ACCESS_OPEN, "", Severity.WARNING))
    return found


def _works(link: Link) -> bool:
    return link.status.value == "Approved" and link.provisioning.value == "Succeeded"
