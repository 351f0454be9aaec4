"""A story: everything that one run is made from. The same story runs the same way, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from cattrs.preconf.json import make_converter

if TYPE_CHECKING:
    from collections.abc import Iterable

START: Final = datetime(2027, 1, 4, 20, 0, tzinfo=UTC)
"""Four hours before midnight, so that a rule that expires today expires during a run."""

_converter = make_converter(forbid_extra_keys=True)


class Fault(StrEnum):
    """What may go wrong around the engine, besides what the world's people do."""

    SLOW = "slow"
    """Calls take up to their timeout."""
    THROTTLED = "throttled"
    """429, Retry-After left to the caller."""
    UNAVAILABLE = "unavailable"
    """5xx and closed sockets, nothing done."""
    LOST_ANSWERS = "lost_answers"
    """A write that is done and not answered."""
    LATE_WRITES = "late_writes"
    """A write that is not answered and is done minutes later."""
    REFUSED = "refused"
    """403 by a policy, and a 409 that is no decision."""
    STALE_LISTS = "stale_lists"
    """The connections' list shows what was so seconds ago."""
    MIXED_CASE = "mixed_case"
    """Every answer spells its ids another way."""
    STORE_OUTAGES = "store_outages"
    """The ledger and the state store are away for a while."""
    STORE_LOST_ANSWERS = "store_lost_answers"
    """A store's write that is done and not answered."""
    STORE_CONFLICTS = "store_conflicts"
    """A store's write that is done, sent once more below us because its answer was lost, and then refused as a conflict."""
    STATE_LOSS = "state_loss"
    """What is remembered about the targets is lost."""
    CRASHES = "crashes"
    """A worker dies at any await."""
    LOST_EVENTS = "lost_events"
    REPEATED_EVENTS = "repeated_events"
    LATE_EVENTS = "late_events"
    FORGED_EVENTS = "forged_events"
    REPEATED_MESSAGES = "repeated_messages"
    """A message of the queue that was worked off, and is not gone."""


class Act(StrEnum):
    """What the people of a story do."""

    MAKE_LINK = "make_link"
    DELETE_LINK = "delete_link"
    IMPOSTOR = "impostor"
    """An attacker's endpoint asks for a connection."""
    IMPOSTOR_LEAVES = "impostor_leaves"
    PORTAL_APPROVE = "portal_approve"
    PORTAL_REJECT = "portal_reject"
    PORTAL_DELETE = "portal_delete"
    CLI_APPROVE = "cli_approve"
    CLI_REJECT = "cli_reject"
    CLI_ADOPT = "cli_adopt"
    CLI_SWEEP = "cli_sweep"
    """``linkguard sweep --wait`` at a desk."""
    PAUSE = "pause"
    BREAK = "break"
    """The allowlist becomes unreadable."""
    MEND = "mend"
    """The allowlist as it was at first."""
    DENY = "deny"
    """A deny rule for one target."""
    REMOVE_RULE = "remove_rule"
    """The first rules go: ``many`` of them."""
    RENAME_RULES = "rename_rules"
    """The same rules under other ids."""
    MOVE_RULES = "move_rules"
    """The rules name another service."""
    EXPIRE_RULES = "expire_rules"
    """The rules' last day was yesterday."""
    ASK_FOR_REVOKING = "ask_for_revoking"
    """The rules ask, from now on, for their approvals to end with them."""
    NO_REVOKING = "no_revoking"
    """The rules ask for that no more."""
    OBSERVE = "observe"
    """The app is deployed anew, in observe mode."""
    ENFORCE = "enforce"
    OTHER_WORDS = "other_words"
    """An edit that changes nothing but the document's bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that somebody does, ``at`` seconds from the start."""

    at: float
    act: Act
    service: int = 0
    target: int = 0
    name: str = ""
    """The link's name, or the endpoint's."""
    message: str = ""
    """``signed``: one made for the link by who holds the key; ``stolen``: the newest message of the link so called."""
    provisioned_after: float = 60.0
    """Seconds until a link is Succeeded."""
    ends: str = "Succeeded"
    """The provisioning state that a link comes to; ``Running`` is one that is stuck."""
    connects_after: float = 30.0
    """Seconds until a link's connection is there."""
    replicas: int = 0
    """Further connections that the link opens."""
    shows_after: float = 120.0
    """Seconds until a link's status shows what became of its connection; negative: never."""
    null_for: float = 0.0
    """Seconds for which the status is null before that."""
    dated: bool = True
    """Whether Azure says when the link was made."""
    many: int = 1
    """So many impostors, or rules."""
    pinned: bool = False
    """Whether the impostor's endpoint lives where the genuine ones do."""
    pick: int = 0
    """Which connection a person means, counted from the newest."""
    genuine: bool = True
    """Whether the person means a genuine one; else an impostor's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSpec:
    """A rule of the allowlist, as data that both the document and the oracle are made from."""

    id: str
    service: int | None
    """None: any service of the first one's resource group."""
    target: int | None
    """None: any site of the first one's resource group."""
    deny: bool = False
    message: str | None = None
    signed: bool = False
    pinned: bool = False
    template: str = ""
    accept_exposure_change: bool = False
    expires: str = ""
    on_removal: str = ""
    """``revoke``, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """A SignalR service."""

    subscription: int
    """Of the scanned ones; -1: one that is not scanned."""
    tier: str = "Standard"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """A site, or a slot of one."""

    slot: str = ""
    exposure: str = "Enabled"
    tier: str = "PremiumV3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Who does what, and what goes wrong."""

    seed: int
    """Of every delay and fault."""
    late: bool = False
    """Whether a link's connection may come after its Succeeded."""
    services: tuple[ServiceSpec, ...]
    targets: tuple[TargetSpec, ...]
    rules: tuple[RuleSpec, ...]
    actions: tuple[Action, ...]
    faults: tuple[Fault, ...] = ()
    skews: tuple[float, ...] = (0.0, 0.0)
    """One worker each: how many seconds its clock is ahead."""
    enforce: bool = True
    take_back: str = "contradiction"
    deadline: float = 3600.0
    per_target: int = 5
    per_hour: int = 100
    rejects_approved: bool = True
    """Whether Azure lets an Approved connection be rejected."""
    deletes: bool = True
    """Whether the identity may delete connections."""
    approving: float = 30.0
    """Seconds for which a connection is Approving at most; negative: for ever, now and then."""
    sweep_every: float = 600.0
    duration: float = 5400.0
    """Seconds until people and faults stop."""
    left_out: tuple[str, ...] = field(default=())
    """What shrinking took away, for the command that replays it."""

    def without(self, gone: Iterable[int]) -> Story:
        """The story without these of its actions."""
        gone = set(gone)
        return replace(self, actions=tuple(action for place, action in enumerate(self.actions) if place not in gone))

    def to_json(self) -> str:
        """The story as a text that :func:`from_json` reads back."""
        return _converter.dumps(self, indent=1)


def from_json(text: str) -> Story:
    """The story that :meth:`Story.to_json` wrote."""
    return _converter.loads(text, Story)
