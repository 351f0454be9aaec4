"""What was decided about a connection: a value, matched with ``match`` and ``assert_never``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.core.model import ConnectionStatus
from shared.core.reason import Reason


class Mode(StrEnum):
    """Whether Linkguard may write to Azure."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


class Strength(StrEnum):
    """What the evidence rests on."""

    STRONG = "strong"
    """A signed request message, or pinned endpoint subscriptions."""
    WEAK = "weak"
    """A name and a message that any requester can copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Every rule of evidence holds. In observe mode ``marks`` says ``observe_only`` and nothing is written."""

    rule: str
    strength: Strength
    marks: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Not approved until a person changes something: every reason, not only the first."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Not yet: look again at ``until``, or after the recheck delay where nobody can say when."""

    until: datetime | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Nothing to decide: the connection is in ``state``."""

    state: ConnectionStatus


type Verdict = Approve | Hold | Wait | Settled
