# ruff: noqa: C901, PLR0912, PLR0915  one case a code
"""Whether a reason that the engine gives is true."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from shared.core.model import Target
from shared.core.reason import Code
from tests.simulation.frame import Frame
from tests.simulation.oracle import HOUR, Oracle, find_link, is_expired, low
from tests.simulation.rules import Rules, is_about, names_target
from tests.simulation.story import Story

if TYPE_CHECKING:
    from shared.core.model import Connection, Link
    from shared.core.reason import Reason
    from shared.services.results import DecisionReport
    from tests.simulation.oracle import Chain, Told
    from tests.simulation.story import RuleSpec

FOREVER = 1 << 60
_NO_RULES = Rules(())


@dataclass(slots=True)
class CodeTruth:
    """The truth behind one look at one target."""

    oracle: Oracle
    frame: Frame
    rules: Rules | None
    """None where the allowlist cannot be read."""
    target: Target
    story: Story

    def links(self) -> list[Link]:
        """Every link in the scanned subscriptions that leads here."""
        world = self.oracle.world
        read = [link for _, service in self.frame.services.values() for link in (service.links if service else ())]
        known = {link.id for link in read}
        others = [t.link for t in world.links.values() if t.link.id not in known and t.link.signalr not in self.frame.services]
        scanned = [link for link in others if "0000000000f1" not in link.id.subscription]
        return [link for link in (*read, *scanned) if link.target == self.target]

    def fitting(self, connection: Connection) -> list[Link]:
        assert self.frame.finished is not None
        now = self.frame.finished
        return [one for one in self.links() if self.oracle.could_be(connection, one, self.rules, self.target, now)]

    def is_ambiguous(self, connection: Connection) -> bool:
        return any(self.rivals(connection, link) for link in self.fitting(connection))

    def rivals(self, connection: Connection, link: Link) -> list[str]:
        earlier = self.oracle.earlier(self.frame, self.target)
        others = [one for one in self.fitting(connection) if one.id != link.id]
        no_rules = self.rules or _NO_RULES
        found = self.oracle.rivals(self.frame, earlier, connection, link, no_rules, self.target, before=FOREVER, waits_too=False)
        return [*found, *(f"link {one.id.name}" for one in others)]

    def is_confirmed(self, intent: Told) -> bool:
        """Whether the link shows an approval with no rival approved beside it."""
        link = find_link(self.frame, intent.link or "")
        return link is not None and link.status.value == "Approved" and intent.may_be(link)

    def waits(self) -> bool:
        """Whether there is something to wait for."""
        chain = self.oracle.chain(self.target)
        if any(intent.open for intent in chain.approvals()) or any(t.undoes and t.open for t in chain.intents.values()):
            return True
        here = self.frame.connections or ()
        if any(one.status.value in {"Approving", "Unknown"} for one in here):
            return True
        unfinished = any(
            link.provisioning.value not in {"Succeeded", "Failed", "Canceled"} or link.status.value == "Unknown"
            for link in self.links()
        )
        if unfinished:
            return True
        missing = any(
            link.status.value == "Pending" and not any(link in self.fitting(one) for one in here) for link in self.links()
        )
        return missing or any(one.status.value == "Pending" for one in here)

    def lie(self, report: DecisionReport, reason: Reason) -> str | None:
        """Why a reason is not true; None where it is."""
        connection = next((c for c in self.frame.connections or () if c.id == report.connection), None)
        link = next((one for one in self.links() if one.id == report.link), None)
        if report.link is not None and link is None:
            return None  # A report on an approval of ours names its own link, which may be gone.
        about = self._about(link)
        allows = [spec for spec in about if not spec.deny and not self._expired(spec)]
        ok = False
        match reason.code:
            case Code.NO_LINK:
                ok = connection is not None and not self.fitting(connection)
            case Code.NOT_ALLOWLISTED:
                ok = not [spec for spec in about if not spec.deny]
            case Code.DENIED:
                ok = any(spec.deny for spec in about)
            case Code.PAUSED:
                ok = self.rules is not None and self.rules.paused
            case Code.RULE_EXPIRED:
                ok = not allows and bool([spec for spec in about if not spec.deny])
            case Code.ALLOWLIST_UNREADABLE:
                ok = self.rules is None
            case Code.AMBIGUOUS:
                ok = connection is not None and link is not None and bool(self.rivals(connection, link))
            case Code.NAME_DIFFERS:
                templates = [spec.template or "{link}" for spec in allows] or ["{link}"]
                ok = connection is not None and link is not None
                ok = ok and not all(self.oracle.fits_template(connection, link, one) for one in templates)  # type: ignore[arg-type]
            case Code.MESSAGE_DIFFERS:
                ok = link is not None and (
                    (connection is not None and connection.description != link.request_message)
                    or any(spec.message not in {None, link.request_message} for spec in allows)
                )
            case Code.SIGNATURE_MISSING | Code.SIGNATURE_WRONG | Code.SIGNATURE_EXPIRED | Code.SIGNATURE_SPENT:
                ok = self._signature(reason.code, link)
            case Code.ENDPOINT_SUBSCRIPTION_UNKNOWN:
                ok = connection is not None and "0000000000e1" not in low(connection.endpoint_id)
                ok = ok and any(spec.pinned for spec in allows)
            case Code.OLDER_THAN_LINK:
                ok = self._truly_older(connection, link)
            case Code.LINK_FAILED:
                ok = link is not None and link.provisioning.value in {"Failed", "Canceled"}
            case Code.LINK_NOT_PENDING:
                ok = link is not None and link.status.value not in {"Pending", "Unknown"}
            case Code.QUARANTINED:
                ok = link is not None and self._chain.quarantine(link, before=FOREVER) is not None
            case Code.PERSON_REJECTED:
                ok = link is not None or connection is not None
                names = (low(connection.id) if connection else "", low(link.id) if link else "")
                ok = ok and self._chain.person_rejected(*names, before=FOREVER)
            case Code.EXPOSURE_CHANGE:
                ok = self.frame.site is not None and not self.frame.site.public_network_access
            case Code.TIER_UNSUPPORTED:
                ok = self.frame.site is not None and self.frame.site.tier in {"Free", "Shared", "Dynamic"}
            case Code.FREE_TIER:
                ok = link is not None and self._tier(link) == "Free"
            case Code.LINK_NOT_PROVISIONED:
                ok = link is not None and (
                    link.provisioning.value not in {"Succeeded", "Failed", "Canceled"} or link.status.value == "Unknown"
                )
            case Code.CONNECTION_MISSING:
                here = self.frame.connections or ()
                ok = link is not None and not any(link in self.fitting(one) for one in here)
            case Code.SETTLING:
                ok = False  # The looks before the last one were minutes apart, and nothing has changed.
            case Code.UNCONFIRMED:
                ok = any(intent.open for intent in self._chain.approvals())
            case Code.APPROVING:
                ok = connection is not None and connection.status.value in {"Approving", "Unknown"}
            case Code.BUDGET_SPENT:
                ok = self._spent()
            case Code.OBSERVE_ONLY:
                ok = not self.oracle.world.enforce
            case Code.WEAK_EVIDENCE:
                ok = any(not spec.signed and not spec.pinned for spec in allows)
            case Code.TIER_UNKNOWN:
                ok = self.frame.site is None or self.frame.site.tier not in {"PremiumV3", "Basic", "Standard"}
            case _ as never:
                assert_never(never)
        return None if ok else f"that is not so ({reason.facts})"

    @property
    def _chain(self) -> Chain:
        return self.oracle.chain(self.target)

    def _about(self, link: Link | None) -> list[RuleSpec]:
        world = self.oracle.world
        specs = self.rules.specs if self.rules else ()
        if link is None:
            return [spec for spec in specs if names_target(spec, self.target, world)]
        return [spec for spec in specs if is_about(spec, link.signalr, self.target, world)]

    def _expired(self, spec: RuleSpec) -> bool:
        assert self.frame.finished is not None
        return is_expired(spec, self.frame.finished)

    def _signature(self, code: Code, link: Link | None) -> bool:
        if link is None:
            return False
        signed = self.oracle.world.signed.get(link.request_message)
        now = self.frame.finished
        assert now is not None
        mine = signed is not None and (low(signed[0]), signed[1], signed[2]) == (low(link.signalr), self.target, link.id.name)
        match code:
            case Code.SIGNATURE_MISSING:
                return not link.request_message.startswith("lg1.")
            case Code.SIGNATURE_WRONG:
                return link.request_message.startswith("lg1.") and not mine
            case Code.SIGNATURE_EXPIRED:
                return mine and signed is not None and signed[3] < now
            case _:
                return mine and any(
                    told.outcome == "confirmed" and told.signed and told.message == link.request_message
                    for told in self._chain.approvals()
                )

    def _truly_older(self, connection: Connection | None, link: Link | None) -> bool:
        if connection is None or link is None:
            return False
        true, life = self.oracle.world.connections[connection.id], self.oracle.world.links.get(link.id)
        return life is not None and true.created < life.created_at

    def _tier(self, link: Link) -> str:
        world = self.oracle.world
        return self.story.services[world.services.index(link.signalr)].tier

    def _spent(self) -> bool:
        assert self.frame.finished is not None
        since = self.frame.finished - HOUR - timedelta(minutes=1)

        def recent(chain_key: str) -> int:
            chain = self.oracle.chains[chain_key]
            return sum(not t.by_person and t.clock is not None and t.clock >= since for t in chain.approvals())

        here = recent(self.target.id.key) if self.target.id.key in self.oracle.chains else 0
        return here >= self.story.per_target or sum(map(recent, self.oracle.chains)) >= self.story.per_hour
