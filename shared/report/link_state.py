"""How a link stands, in one word: what the report counts, filters and draws by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import fold_case
from shared.core.history import Outcome
from shared.core.model import ConnectionStatus, LinkStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.report_data import LinkView


class Tone(StrEnum):
    """How urgent it looks."""

    BAD = "bad"
    WARN = "warn"
    INFO = "info"
    GOOD = "good"
    MUTE = "mute"
    PLAIN = "plain"


class LinkState(StrEnum):
    """Every state, the worst first."""

    WRONG = "wrong"
    """Approved, and perhaps the wrong one; or approved and taken back."""
    HELD = "held"
    UNCONFIRMED = "unconfirmed"
    """Approved by us, and the link does not say so yet."""
    WOULD_APPROVE = "would_approve"
    WAITING = "waiting"
    DRIFTED = "drifted"
    """The connection is Approved and no link says the same."""
    CONNECTED = "connected"
    """Approved on both sides."""
    REJECTED = "rejected"
    CLOSED = "closed"
    """Disconnected, or there is nothing to connect."""
    UNSEEN = "unseen"
    """Its target was not looked at: nobody watches it, or it could not be read."""


TONES: Final[Mapping[LinkState, Tone]] = {
    LinkState.WRONG: Tone.BAD,
    LinkState.HELD: Tone.WARN,
    LinkState.UNCONFIRMED: Tone.INFO,
    LinkState.WOULD_APPROVE: Tone.INFO,
    LinkState.WAITING: Tone.INFO,
    LinkState.DRIFTED: Tone.WARN,
    LinkState.CONNECTED: Tone.GOOD,
    LinkState.REJECTED: Tone.MUTE,
    LinkState.CLOSED: Tone.MUTE,
    LinkState.UNSEEN: Tone.MUTE,
}
LABELS: Final[Mapping[LinkState, str]] = {
    LinkState.WRONG: "perhaps wrong",
    LinkState.HELD: "held",
    LinkState.UNCONFIRMED: "unconfirmed",
    LinkState.WOULD_APPROVE: "would approve",
    LinkState.WAITING: "waiting",
    LinkState.DRIFTED: "drifted",
    LinkState.CONNECTED: "connected",
    LinkState.REJECTED: "rejected",
    LinkState.CLOSED: "closed",
    LinkState.UNSEEN: "not looked at",
}
_OUTCOMES: Final[Mapping[str, LinkState]] = {
    Outcome.AMBIGUOUS.value: LinkState.WRONG,
    Outcome.TAKEN_BACK.value: LinkState.WRONG,
    Outcome.SENT.value: LinkState.UNCONFIRMED,
}
_VERDICTS: Final[Mapping[str, LinkState]] = {
    "hold": LinkState.HELD,
    "wait": LinkState.WAITING,
    "approve": LinkState.WOULD_APPROVE,
}
_REFUSED: Final = frozenset({ConnectionStatus.REJECTED, ConnectionStatus.REJECTING})


@dataclass(frozen=True, slots=True)
class _Said:
    """All that the state follows from."""

    outcome: str
    verdict: str
    connection: str
    link: str
    provisioning: str
    has_connection: bool


def state_of(view: LinkView) -> LinkState:
    """The state of a link and its connection. What needs a person comes before what Azure says."""
    return _state(
        _Said(
            outcome=view.outcome or "",
            verdict=view.verdict,
            connection=view.connection_state,
            link=view.link_status,
            provisioning=fold_case(view.link_provisioning),
            has_connection=view.connection is not None,
        )
    )


@lru_cache(maxsize=1024)  # An estate's links are in a few states.
def _state(said: _Said) -> LinkState:
    is_approved = ConnectionStatus.read(said.connection) is ConnectionStatus.APPROVED
    says_approved = is_approved and LinkStatus.read(said.link) is LinkStatus.APPROVED
    if not said.verdict:
        return LinkState.UNSEEN
    if said.outcome in _OUTCOMES:
        return _OUTCOMES[said.outcome]
    if said.verdict in _VERDICTS and not is_approved:
        return _VERDICTS[said.verdict]
    if is_approved:
        is_whole = said.outcome == Outcome.CONFIRMED or said.provisioning == fold_case("Succeeded")
        return LinkState.CONNECTED if says_approved and is_whole else LinkState.DRIFTED
    return _unapproved(said)


def _unapproved(said: _Said) -> LinkState:
    connection, link = ConnectionStatus.read(said.connection), LinkStatus.read(said.link)
    if connection in _REFUSED or link is LinkStatus.REJECTED:
        return LinkState.REJECTED
    if connection is ConnectionStatus.PENDING or (not said.has_connection and link is LinkStatus.PENDING):
        return LinkState.WAITING
    return LinkState.CLOSED
