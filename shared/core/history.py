"""What the ledger says about one target: a fold over its chain, so that the records are the only truth.

The bodies that are read here are written by :mod:`shared.core.entries`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

from shared.core.arm_id import ArmId, fold_case
from shared.core.errors import LedgerBrokenError
from shared.core.ledger import RecordKind
from shared.core.observation import Incarnation
from shared.core.wire import from_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.core.ledger import JsonObject, Record
    from shared.core.model import Connection, Link


class Action(StrEnum):
    """What an intent announces."""

    APPROVE = "approve"
    REJECT = "reject"
    DELETE = "delete"


class Outcome(StrEnum):
    """What became of an intent."""

    SENT = "sent"
    """Azure accepted the write; nothing is confirmed."""
    NOT_WRITTEN = "not_written"
    """Azure refused it, it was called off before it was sent, or somebody else approved first."""
    ABANDONED = "abandoned"
    """Found without an outcome, and what it announced is not there."""
    CONFIRMED = "confirmed"
    """An approval that the link itself shows."""
    AMBIGUOUS = "ambiguous"
    """The link shows an approval, but a rival is approved too: a person decides."""
    TAKEN_BACK = "taken_back"
    """An approval that was rejected or deleted again."""
    SUPERSEDED = "superseded"
    """Another life of the link or of the connection began, or somebody else decided."""


FINAL: Final = frozenset(
    {Outcome.NOT_WRITTEN, Outcome.ABANDONED, Outcome.CONFIRMED, Outcome.AMBIGUOUS, Outcome.TAKEN_BACK, Outcome.SUPERSEDED}
)

NOT_OURS: Final = frozenset({Outcome.NOT_WRITTEN, Outcome.ABANDONED, Outcome.TAKEN_BACK})
"""Ends of an approval after which it does not explain why its connection is Approved."""


class HumanDecision(StrEnum):
    """What a person decided."""

    APPROVE = "approve"
    REJECT = "reject"
    ADOPT = "adopt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A write that was announced, and how far it got."""

    decision: str
    action: Action
    connection: ArmId
    incarnation: Incarnation | None
    """The link's life that it was for; None where a person named a connection that fits no link."""
    rule: str
    signature: str
    """The fingerprint of the link's signed request message, which its confirmation spends; "" where it has none."""
    by_person: bool
    """Whether a person decided it; or took it over since, so that it is not taken back any more."""
    at: datetime
    undoes: str = ""
    """Of a reject or delete: the approval that it takes back."""
    revokes: str = ""
    """Of a reject or delete: the approval that it ends because its rule is gone."""
    endpoint_name: str = ""
    """Of an approval by a rule: the template that the rule gave, by which it is judged whatever becomes of the rule."""
    outcome: Outcome | None = None
    outcome_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody knows yet how it ended."""
        return self.outcome not in FINAL

    @property
    def sent_at(self) -> datetime:
        """From when on the deadlines count."""
        return self.outcome_at if self.outcome is Outcome.SENT and self.outcome_at else self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDecision:
    """The newest decision recorded about a connection."""

    digest: str
    """Of the evidence that it was made from."""
    verdict: str
    codes: tuple[str, ...]
    number: int
    """How many decisions were recorded about this connection, this one included."""
    is_intent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What the ledger knows about a target."""

    intents: dict[str, Intent] = field(default_factory=dict)
    """By decision id, oldest first."""
    last: dict[str, LastDecision] = field(default_factory=dict)
    """By subject (:func:`subject`)."""
    quarantines: dict[Incarnation, str] = field(default_factory=dict)
    """The approval whose taking back quarantined a link."""
    revocations: dict[Incarnation, str] = field(default_factory=dict)
    """The approval whose revoking quarantined a link: nothing is to be told of it, yet whoever asks next is not its own."""
    rejections: dict[tuple[ArmId, str], str] = field(default_factory=dict)
    """By SignalR service and folded link name: the record of a person's rejection."""
    rejected_connections: dict[ArmId, str] = field(default_factory=dict)
    """By connection: the record of a person's rejection."""
    half_told: set[ArmId] = field(default_factory=set)
    """Those rejected connections of which nobody could tell yet which links had asked for them."""
    accepted: set[str] = field(default_factory=set)
    """Decisions whose write Azure accepted, or was seen to have carried out, whatever became of it later."""
    adopted: dict[ArmId, Incarnation | None] = field(default_factory=dict)
    """Connections that a person approved or took over as they were, and the link's life that this was for.

    None where that is not known: it could be none, or more than one. Such a connection explains no other link's.
    """

    def approvals(self) -> tuple[Intent, ...]:
        """Every approval that was announced, oldest first."""
        return tuple(intent for intent in self.intents.values() if intent.action is Action.APPROVE)

    def undoing(self, approval: Intent) -> tuple[Intent, ...]:
        """Every announced attempt to take an approval back, oldest first."""
        return tuple(intent for intent in self.intents.values() if intent.undoes == approval.decision)

    def open_intents(self) -> tuple[Intent, ...]:
        """Every intent whose end is not known, oldest first."""
        return tuple(intent for intent in self.intents.values() if intent.is_open)

    @property
    def is_unfinished(self) -> bool:
        """Whether an intent has not come to its end, or something of ours waits for a person."""
        ambiguous = (intent for intent in self.approvals() if intent.outcome is Outcome.AMBIGUOUS)
        return bool(self.open_intents() or self.quarantines or any(one.connection not in self.adopted for one in ambiguous))

    def approval_of(self, connection: ArmId) -> Intent | None:
        """The newest approval that was announced for a connection: of those that may have been written, where there are any."""
        ours = [intent for intent in self.approvals() if intent.connection == connection]
        written = [intent for intent in ours if intent.outcome is not Outcome.NOT_WRITTEN]
        return next(reversed(written or ours), None)

    def wrote(self, connection: Connection) -> bool:
        """Whether an approval of ours is what the connection's description names, as our writes leave it.

        Or what was to undo one: it leaves its own words even where the connection stays Approved. That proves nothing, since
        anybody may write it there. But where it is missing, somebody else's write was the last.
        """
        ours = (
            intent.decision
            for intent in self.intents.values()
            if intent.connection == connection.id and (intent.action is Action.APPROVE or intent.undoes or intent.revokes)
        )
        return any(connection.description.startswith(written_by(decision)) for decision in ours)

    def spent_by(self, signature: str) -> str:
        """The confirmed approval that used up the signed message with this fingerprint; "" where none did."""
        confirmed = (intent for intent in self.approvals() if intent.outcome is Outcome.CONFIRMED)
        return next((intent.decision for intent in confirmed if intent.signature == signature), "")

    def rejected_by(self, link: Link | None, connection: ArmId | None) -> str:
        """The record of a person's rejection of this connection, or of this link's name; "" where nobody rejected it."""
        if connection is not None and connection in self.rejected_connections:
            return self.rejected_connections[connection]
        return self.rejections.get((link.signalr, fold_case(link.name)), "") if link else ""

    def quarantined_by(self, link: Link | None) -> str:
        """The approval whose taking back or revoking quarantined this life of the link; "" where it is not quarantined."""
        if link is None:
            return ""
        life, ended = Incarnation.of(link), self.revocations | self.quarantines
        return next((decision for other, decision in ended.items() if other.may_be(life)), "")


def written_by(decision: str) -> str:
    """How the description begins that a decision's write leaves on a connection."""
    return f"lg:{decision}"


def subject(connection: ArmId | None, link: ArmId | None) -> str:
    """What a decision is about: the connection, or the link whose connection has not come."""
    return connection.key if connection else f"link:{link.key if link else ''}"


def read_history(records: Iterable[Record]) -> History:
    """Fold a chain's records, in order, into what they say.

    Raises:
        LedgerBrokenError: where a record is not one that this program can have written there.

    """
    history = History()
    for record in records:
        try:
            _read_record(history, record)
        except (KeyError, ValueError) as error:
            message = f"record {record.sequence} of {record.entry.chain} cannot be read: {type(error).__name__}"
            raise LedgerBrokenError(message) from error
    return history


def _read_record(history: History, record: Record) -> None:
    body = record.entry.body
    match record.entry.kind:
        case RecordKind.INTENT:
            intent = from_json(Intent, body["intent"])
            history.intents[intent.decision] = intent
            if intent.action is Action.APPROVE:
                _read_decision(history, record, is_intent=True)
            elif intent.undoes and intent.incarnation:
                # From the intent on, not from its outcome: a crash in between must not free the link.
                history.quarantines[intent.incarnation] = history.intents[intent.undoes].decision
            elif intent.revokes and (life := history.intents[intent.revokes].incarnation):
                history.revocations[life] = intent.revokes
        case RecordKind.HOLD:
            _read_decision(history, record, is_intent=False)
        case RecordKind.OUTCOME:
            decision = str(body["decision"])
            intent = history.intents[decision]
            outcome = Outcome(str(body["outcome"]))
            history.intents[decision] = replace(intent, outcome=outcome, outcome_at=record.entry.at)
            if outcome is Outcome.SENT:
                history.accepted.add(decision)
        case RecordKind.HUMAN:
            _read_human(history, record.entry.id, body)
        case RecordKind.DRIFT | RecordKind.TRAFFIC | RecordKind.ALERT:
            pass
        case _ as never:
            assert_never(never)


def _read_decision(history: History, record: Record, *, is_intent: bool) -> None:
    body = record.entry.body
    about = str(body["subject"])
    history.last[about] = LastDecision(
        digest=str(body["evidence_digest"]),
        verdict=str(body["verdict"]),
        codes=from_json(tuple[str, ...], body["codes"]),
        number=from_json(int, body["number"]),
        is_intent=is_intent,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanRecord:
    """The body of a person's decision."""

    decision: HumanDecision
    connection: ArmId
    links: tuple[Incarnation, ...]
    """The links whose connection it could be."""
    reason: str
    ticket: str
    by: str
    """The person's object id; "" where the decision was seen at the target, made with other tools."""
    links_told: bool = True
    """Whether the links are all that it could be: not where the allowlist, which says how endpoints are named, was unreadable."""


def _read_human(history: History, record_id: str, body: JsonObject) -> None:
    human = from_json(HumanRecord, body)
    names = [(life.link.parent, fold_case(life.link.name)) for life in human.links]
    match human.decision:
        case HumanDecision.REJECT:
            history.rejected_connections[human.connection] = record_id
            if human.links_told:
                history.half_told.discard(human.connection)
            else:
                history.half_told.add(human.connection)
            history.rejections.update(dict.fromkeys(names, record_id))
        case HumanDecision.APPROVE:
            history.rejected_connections.pop(human.connection, None)
            history.half_told.discard(human.connection)
            for name in names:
                history.rejections.pop(name, None)
            for ended in (history.quarantines, history.revocations):
                for life in [one for one in ended if any(one.may_be(other) for other in human.links)]:
                    del ended[life]
            history.adopted[human.connection] = _only(human.links)
        case HumanDecision.ADOPT:
            history.adopted[human.connection] = _only(human.links)
            for intent in history.open_intents():
                if intent.action is Action.APPROVE and intent.connection == human.connection:
                    history.intents[intent.decision] = replace(intent, by_person=True)
        case _ as never:
            assert_never(never)


def _only(lives: tuple[Incarnation, ...]) -> Incarnation | None:
    return lives[0] if len(lives) == 1 else None
