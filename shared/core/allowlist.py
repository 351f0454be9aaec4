"""The allowlist's rules and what they match. Default deny; deny wins.

How the YAML document becomes these values: :mod:`shared.core.allowlist_document`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from functools import cached_property
from typing import Final

from shared.core.arm_id import ArmId, fold_case
from shared.core.model import PRODUCTION, Target

ANY_NAME: Final = "*"
"""The one wildcard: the last name segment of a rule's ``signalr`` or ``target``, alone."""
DEFAULT_ENDPOINT_NAME: Final = "{link}"


class Effect(StrEnum):
    """What a rule does."""

    ALLOW = "allow"
    DENY = "deny"


class OnRemoval(StrEnum):
    """What happens to an approved connection once its rule is gone. Expiry is not removal."""

    REPORT = "report"
    REVOKE = "revoke"


@dataclass(frozen=True, slots=True)
class IdPattern:
    """An ARM id whose last name may be ``*``: any resource of that type in that resource group."""

    id: ArmId

    @property
    def is_wildcard(self) -> bool:
        """Whether the last name is ``*``."""
        return self.id.name == ANY_NAME

    def matches(self, other: ArmId) -> bool:
        """Whether ``other`` is this resource, or one of those that the wildcard stands for."""
        if not self.is_wildcard:
            return self.id == other
        return self.id == other.sibling(ANY_NAME)

    def __str__(self) -> str:
        return str(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, with the document's defaults filled in."""

    id: str
    effect: Effect
    signalr: IdPattern
    target: IdPattern
    """A site; which of its slots: ``slots``."""
    slots: tuple[str, ...] = (PRODUCTION,)
    request_message: str | None = None
    """The exact text that the link's request message must have; None where any will do."""
    signed: bool = False
    """Whether the request message must be a signed one (:mod:`shared.core.request_message`)."""
    endpoint_subscriptions: tuple[str, ...] = ()
    """Pins: the subscriptions that the private endpoint may live in; empty where any will do."""
    endpoint_name: str = DEFAULT_ENDPOINT_NAME
    """The template that the private endpoint's name must fit (:mod:`shared.core.endpoint_name`)."""
    accept_exposure_change: bool = False
    expires: date | None = None
    """The last day, UTC, on which the rule holds."""
    owner: str = ""
    ticket: str = ""
    on_removal: OnRemoval = OnRemoval.REPORT
    line: int = 0
    """Where the rule starts in its document, 1-based."""
    text: str = ""
    """The rule as written in its document."""

    @property
    def specificity(self) -> tuple[bool, bool]:
        """Greater is more specific: an exact target before ``*``, then an exact service before ``*``."""
        return (not self.target.is_wildcard, not self.signalr.is_wildcard)

    @property
    def is_strong(self) -> bool:
        """Whether the evidence rests on more than what any requester can copy (design.md: otherwise it is *weak*)."""
        return self.signed or bool(self.endpoint_subscriptions)

    def names(self, signalr: ArmId, target: Target) -> bool:
        """Whether the rule is about this service and this target, expired or not."""
        return self.signalr.matches(signalr) and self.names_target(target)

    def names_target(self, target: Target) -> bool:
        """Whether the rule is about this target, whichever service calls it."""
        slot = fold_case(target.slot or PRODUCTION)
        return self.target.matches(target.site) and slot in map(fold_case, self.slots)

    def expired(self, now: datetime) -> bool:
        """Whether the end of the last day is over at ``now``."""
        return self.expires is not None and now > datetime.combine(self.expires, time.max, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Allowlist:
    """One version of the document."""

    source: str
    """Where it came from: a path or a URL without its query."""
    digest: str
    """SHA-256 of the document's bytes, in hex."""
    paused: bool
    rules: tuple[Rule, ...]

    def about(self, signalr: ArmId, target: Target) -> tuple[Rule, ...]:
        """Every rule that names this service and this target: allow and deny, expired or not; most specific first."""
        matching = (rule for rule in self.about_target(target) if rule.signalr.matches(signalr))
        return tuple(sorted(matching, key=lambda rule: rule.specificity, reverse=True))

    def about_target(self, target: Target) -> tuple[Rule, ...]:
        """Every rule that names this target, whichever service calls it, in the document's order."""
        places = [*self._by_site.get(target.site.key, ()), *self._by_site.get(target.site.sibling(ANY_NAME).key, ())]
        return tuple(rule for place in sorted(places) if (rule := self.rules[place]).names_target(target))

    def knows_service(self, signalr: ArmId) -> bool:
        """Whether some allow rule names the service: its links are what makes a target watched."""
        return not self._services.isdisjoint({signalr.key, signalr.sibling(ANY_NAME).key})

    def named_targets(self) -> frozenset[Target]:
        """Every target that an allow rule names in full."""
        return frozenset(
            Target.of(rule.target.id, slot)
            for rule in self.rules
            if rule.effect is Effect.ALLOW and not rule.target.is_wildcard
            for slot in rule.slots
        )

    # Looking through every rule for each of thousands of targets would be most of a sweep's work.

    @cached_property
    def _by_site(self) -> dict[str, list[int]]:
        """The places of the rules by the site, or the wildcard, that they name."""
        places: dict[str, list[int]] = {}
        for place, rule in enumerate(self.rules):
            places.setdefault(rule.target.id.key, []).append(place)
        return places

    @cached_property
    def _services(self) -> frozenset[str]:
        """The services, and the wildcards, that allow rules name."""
        return frozenset(rule.signalr.id.key for rule in self.rules if rule.effect is Effect.ALLOW)
