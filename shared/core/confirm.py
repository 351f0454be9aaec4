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

_MADE_ANEW: Final = Ended(outcome=Outcome.SUPERSEDED, why="the link was made anew")


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What one look says about an approval: all that its confirmation is judged by, besides the count of looks."""

    link: Link | None
    """In the life that the approval was for; None where it is gone, or there in another life."""
    made_anew: bool
    """Whether the link is there in another life."""
    connection: Connection | None
    """None where it is not listed."""
    rivals: tuple[Connection, ...]
    """Other connections, listed now, that could be the link's."""
    clock: datetime
    written_by_us: bool
    """Whether the connection's description is one that an approval of ours left there."""

    @property
    def undone(self) -> bool:
        """Whether the connection is not approved any more."""
        return self.connection is None or self.connection.status in {ConnectionStatus.REJECTED, ConnectionStatus.DISCONNECTED}

    @property
    def contradicted(self) -> bool:
        """Whether the link's own status says that this connection is not the one that it waits for."""
        if self.link is None:
            return False
        match self.link.status:
            case LinkStatus.REJECTED | LinkStatus.DISCONNECTED:
                return True
            case LinkStatus.PENDING:
                return any(rival.status is ConnectionStatus.PENDING for rival in self.rivals)
            case LinkStatus.APPROVED | LinkStatus.TIMEOUT | LinkStatus.UNKNOWN:
                return False
            case _ as never:
                assert_never(never)


def situate(intent: Intent, correlation: Correlation) -> Situation:
    """What the look behind ``correlation`` says about an approval."""
    observation = correlation.observation
    life = intent.incarnation
    link = next((one for one in observation.links if life and Incarnation.of(one).may_be(life)), None)
    connection = next((one for one in observation.connections if one.id == intent.connection), None)
    judged = replace(correlation, approved_by=intent.endpoint_name)
    rivals = judged.rivals(connection, link)[0] if link else ()
    names = {one.id for one in observation.links}
    return Situation(
        link=link,
        made_anew=link is None and life is not None and life.link in names,
        connection=connection,
        rivals=tuple(rival.connection for rival in rivals if not rival.gone),
        clock=observation.clock,
        written_by_us=connection is not None and correlation.history.wrote(connection),
    )


def count(before: Looks, situation: Situation) -> Looks:
    """The count of looks with this one in it."""
    status = situation.connection.status if situation.connection else None
    approved = status is ConnectionStatus.APPROVED
    return replace(
        before,
        approved=before.approved + approved,
        contradicted=before.contradicted + 1 if approved and situation.contradicted else 0,
        pending=before.pending + 1 if status is ConnectionStatus.PENDING else 0,
        gone=before.gone + 1 if status is None else 0,
    )


def judge(intent: Intent, situation: Situation, looks: Looks, timing: Timing) -> Confirmation:
    """What has become of an open approval, by this look and the count of looks with it."""
    connection = situation.connection
    if connection is None:
        return _gone(intent, looks)
    if connection.status is ConnectionStatus.APPROVED and intent.outcome is None and not situation.written_by_us:
        # Ours was never answered, and Azure approves once. While it is Approving, Azure may not be done with the description.
        return Ended(outcome=Outcome.NOT_WRITTEN, why="somebody else approved the connection")
    return _judge_listed(intent, connection, situation, looks, timing)


def _judge_listed(intent: Intent, connection: Connection, situation: Situation, looks: Looks, timing: Timing) -> Confirmation:
    match connection.status:
        case ConnectionStatus.REJECTED | ConnectionStatus.DISCONNECTED:
            return Ended(outcome=Outcome.SUPERSEDED, why=f"the connection is {connection.status.value}")
        case ConnectionStatus.PENDING:
            return _still_pending(intent, situation, looks, timing)
        case ConnectionStatus.APPROVED:
            return _approved(intent, situation) or _unconfirmed(intent, situation, looks, timing)
        case _ if situation.made_anew:
            return _MADE_ANEW
        case _:
            return _unconfirmed(intent, situation, looks, timing)


def judge_rejection(intent: Intent, situation: Situation, looks: Looks, timing: Timing) -> Ended | None:
    """What has become of an open rejection by a person; None while nobody knows."""
    connection = situation.connection
    if connection is None:
        return Ended(outcome=Outcome.CONFIRMED, why="the connection is gone") if looks.gone >= ENOUGH_LOOKS else None
    match connection.status:
        case ConnectionStatus.REJECTED | ConnectionStatus.DISCONNECTED:
            return Ended(outcome=Outcome.CONFIRMED, why=f"the connection is {connection.status.value}")
        case ConnectionStatus.PENDING | ConnectionStatus.APPROVED:
            waited = situation.clock - intent.sent_at
            if waited < timing.unwritten_after or max(looks.pending, looks.approved) < ENOUGH_LOOKS:
                return None
            why = f"the connection is still {connection.status.value}: the rejection was not written"
            return Ended(outcome=Outcome.ABANDONED, why=why)
        case _:
            return None


def _approved(intent: Intent, situation: Situation) -> Ended | None:
    """How an approval has ended whose connection is Approved; None where the link does not say so yet."""
    if situation.made_anew:
        return _MADE_ANEW
    if intent.incarnation is None:
        return Ended(outcome=Outcome.CONFIRMED, why="the connection is Approved; the person named no link")
    if situation.link is None or situation.link.status is not LinkStatus.APPROVED:
        return None
    approved = {ConnectionStatus.APPROVED, ConnectionStatus.APPROVING}
    if any(rival.status in approved for rival in situation.rivals):
        why = "the link is Approved, but another connection that could be the link's is approved too"
        return Ended(outcome=Outcome.AMBIGUOUS, why=why)
    return Ended(outcome=Outcome.CONFIRMED, why="the connection and the link are both Approved")


def _gone(intent: Intent, looks: Looks) -> Confirmation:
    """A list may be stale: one look without the connection does not mean that it is gone."""
    if looks.gone < ENOUGH_LOOKS:
        return Open(since=intent.sent_at, overdue=False, contradicted=False, why="the connection is not listed")
    return Ended(outcome=Outcome.SUPERSEDED, why="the connection is gone")


def _still_pending(intent: Intent, situation: Situation, looks: Looks, timing: Timing) -> Confirmation:
    """A write that Azure accepted shows at once or within minutes; one that does not was not done."""
    waited = situation.clock - intent.sent_at
    if waited < timing.unwritten_after or (intent.outcome is Outcome.SENT and looks.pending < ENOUGH_LOOKS):
        return Open(since=intent.sent_at, overdue=False, contradicted=False, why="the connection is still Pending")
    return Ended(outcome=Outcome.ABANDONED, why="the connection is still Pending: the approval was not written")


def _unconfirmed(intent: Intent, situation: Situation, looks: Looks, timing: Timing) -> Confirmation:
    status = situation.connection.status if situation.connection else None
    contradicted = situation.contradicted and status is ConnectionStatus.APPROVED
    overdue = situation.clock - intent.sent_at >= timing.deadline
    why = "the link contradicts the approval" if contradicted else "the link does not show the approval yet"
    if overdue and not intent.by_person and status is ConnectionStatus.APPROVED:
        match timing.policy:
            case TakeBackPolicy.CONTRADICTION if contradicted and looks.contradicted >= ENOUGH_LOOKS:
                return TakeBack(why=why)
            case TakeBackPolicy.DEADLINE if looks.approved >= ENOUGH_LOOKS:
                return TakeBack(why=why)
            case _:
                pass
    return Open(since=intent.sent_at, overdue=overdue, contradicted=contradicted, why=why)
