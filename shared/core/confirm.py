"""What became of an approval: confirmed, still open, or to be taken back (docs/evidence.md "Confirming").

Slowness is never proof of anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

from shared.core.history import Outcome
from shared.core.model import Connection, ConnectionStatus, Link, LinkStatus
from shared.core.observation import Incarnation

if TYPE_CHECKING:
    from shared.core.evidence import Correlation
    from shared.core.history import Intent
    from shared.core.memory import Looks

ENOUGH_LOOKS: Final = 3
"""Successful looks in a row that must say the same before an approval is taken back, or held never to have been written."""


class TakeBackPolicy(StrEnum):
    """When an approval of ours is taken back."""

    CONTRADICTION = "contradiction"
    """At the deadline, where the link contradicts it."""
    DEADLINE = "deadline"
    """At the deadline, whatever is unconfirmed."""
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The settings that confirming goes by."""

    deadline: timedelta
    """``LINKGUARD_CONFIRM_DEADLINE``."""
    policy: TakeBackPolicy
    """``LINKGUARD_TAKE_BACK``."""
    unwritten_after: timedelta
    """How long a connection may stay Pending after Azure accepted the write, or an intent without an answer may be another
    worker's, before the intent is closed as abandoned.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The approval has reached its end."""

    outcome: Outcome
    why: str
    rivals: tuple[Connection, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Not confirmed yet: keep looking, write nothing."""

    since: datetime
    overdue: bool
    """Whether the deadline has passed."""
    contradicted: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack:
    """The approval must be undone."""

    why: str


type Confirmation = Ended | Open | TakeBack


@dataclass(frozen=True, slots=True, kw_only=True)
class _Situation:
    link: Link | None
    connection: Connection | None
    rivals_approved: tuple[Connection, ...]
    rival_pending: bool
    made_anew: bool
    """Whether the link is there in another life."""


def confirm(intent: Intent, correlation: Correlation, timing: Timing) -> tuple[Confirmation, Looks]:
    """What one more look says about an open approval, and the count of looks with this one in it."""
    situation = _situation(intent, correlation)
    contradicted = _contradicted(situation)
    connection = situation.connection
    before = correlation.memory.looks_at(intent.decision)
    approved = connection is not None and connection.status is ConnectionStatus.APPROVED
    looks = replace(
        before,
        total=before.total + approved,
        contradicted=before.contradicted + 1 if approved and contradicted else 0,
        pending=before.pending + 1 if connection is not None and connection.status is ConnectionStatus.PENDING else 0,
        gone=before.gone + 1 if connection is None else 0,
    )
    if connection is None:
        return _gone(intent, looks), looks
    match connection.status:
        case ConnectionStatus.REJECTED | ConnectionStatus.DISCONNECTED:
            why = f"the connection is {connection.status.value}: somebody else decided"
            return Ended(outcome=Outcome.SUPERSEDED, why=why), looks
        case ConnectionStatus.PENDING:
            return _still_pending(intent, correlation, timing, looks), looks
        case ConnectionStatus.APPROVED if situation.link is not None and situation.link.status is LinkStatus.APPROVED:
            return _link_approved(situation), looks
        case _ if situation.made_anew:
            return Ended(outcome=Outcome.SUPERSEDED, why="the link was made anew"), looks
        case _:
            return _unconfirmed(intent, correlation, timing, looks, contradicted=approved and contradicted), looks


def _situation(intent: Intent, correlation: Correlation) -> _Situation:
    observation = correlation.observation
    link = next((one for one in observation.links if Incarnation.of(one) == intent.incarnation), None)
    connection = next((one for one in observation.connections if one.id == intent.connection), None)
    rivals = correlation.rivals(connection, link)[0] if link and connection else ()
    return _Situation(
        link=link,
        connection=connection,
        rivals_approved=tuple(
            rival.connection
            for rival in rivals
            if not rival.gone and rival.connection.status in {ConnectionStatus.APPROVED, ConnectionStatus.APPROVING}
        ),
        rival_pending=any(not r.gone and r.connection.status is ConnectionStatus.PENDING for r in rivals),
        made_anew=link is None
        and intent.incarnation is not None
        and any(one.id == intent.incarnation.link for one in observation.links),
    )


def _contradicted(situation: _Situation) -> bool:
    if situation.link is None:
        return False
    match situation.link.status:
        case LinkStatus.REJECTED | LinkStatus.DISCONNECTED:
            return True
        case LinkStatus.PENDING:
            return situation.rival_pending
        case LinkStatus.APPROVED | LinkStatus.TIMEOUT | LinkStatus.UNKNOWN:
            return False
        case _ as never:
            assert_never(never)


def _link_approved(situation: _Situation) -> Ended:
    if situation.rivals_approved:
        return Ended(
            outcome=Outcome.AMBIGUOUS,
            why="the link is Approved, but another connection that could be the link's is approved too",
            rivals=situation.rivals_approved,
        )
    return Ended(outcome=Outcome.CONFIRMED, why="the connection and the link are both Approved")


def _gone(intent: Intent, looks: Looks) -> Confirmation:
    """A list may be stale: one look without the connection does not mean that it is gone."""
    if looks.gone < ENOUGH_LOOKS:
        return Open(since=intent.sent_at, overdue=False, contradicted=False, why="the connection is not listed")
    return Ended(outcome=Outcome.SUPERSEDED, why="the connection is gone")


def _still_pending(intent: Intent, correlation: Correlation, timing: Timing, looks: Looks) -> Confirmation:
    """A write that Azure accepted shows at once or within minutes; one that does not was not done."""
    waited = correlation.observation.clock - intent.sent_at
    if waited < timing.unwritten_after or (intent.outcome is Outcome.SENT and looks.pending < ENOUGH_LOOKS):
        return Open(since=intent.sent_at, overdue=False, contradicted=False, why="the connection is still Pending")
    return Ended(outcome=Outcome.ABANDONED, why="the connection is still Pending: the approval was not written")


def _unconfirmed(intent: Intent, correlation: Correlation, timing: Timing, looks: Looks, *, contradicted: bool) -> Confirmation:
    overdue = correlation.observation.clock - intent.sent_at >= timing.deadline
    why = "the link contradicts the approval" if contradicted else "the link does not show the approval yet"
    if overdue and not intent.by_person:
        match timing.policy:
            case TakeBackPolicy.CONTRADICTION if contradicted and looks.contradicted >= ENOUGH_LOOKS:
                return TakeBack(why=why)
            case TakeBackPolicy.DEADLINE if looks.total >= ENOUGH_LOOKS:
                return TakeBack(why=why)
            case _:
                pass
    return Open(since=intent.sent_at, overdue=overdue, contradicted=contradicted, why=why)
