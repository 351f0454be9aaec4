"""How a link stands, in one word: what the report counts, filters and draws by."""

from __future__ import annotations

from enum import StrEnum
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


def state_of(view: LinkView) -> LinkState:
    """The state of a link and its connection. What needs a person comes before what Azure says."""
    connection = ConnectionStatus.read(view.connection_state)
    link = LinkStatus.read(view.link_status)
    is_approved = connection is ConnectionStatus.APPROVED
    if view.outcome in _OUTCOMES:
        return _OUTCOMES[view.outcome]
    if view.outcome == Outcome.CONFIRMED and is_approved and link is LinkStatus.APPROVED:
        return LinkState.CONNECTED
    if view.verdict in _VERDICTS and not is_approved:
        return _VERDICTS[view.verdict]
    if is_approved:
        is_whole = link is LinkStatus.APPROVED and fold_case(view.link_provisioning) == fold_case("Succeeded")
        return LinkState.CONNECTED if is_whole else LinkState.DRIFTED
    if connection in _REFUSED or link is LinkStatus.REJECTED:
        return LinkState.REJECTED
    if connection is ConnectionStatus.PENDING or (view.connection is None and link is LinkStatus.PENDING):
        return LinkState.WAITING
    return LinkState.CLOSED
