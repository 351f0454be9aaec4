"""Deriving a decision again from its record alone, and what another allowlist would have made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.core.confirm import Confirmation, Ended, Open, Situation, TakeBack, Timing, judge
from shared.core.decide import decide
from shared.core.entries import Decision, verdict_name
from shared.core.errors import LedgerBrokenError
from shared.core.evidence import Evidence
from shared.core.history import Intent
from shared.core.memory import Looks
from shared.core.revoke import Revoke, RevokeEvidence, judge_revocation
from shared.core.wire import from_json

if TYPE_CHECKING:
    from shared.core.allowlist import Allowlist
    from shared.core.ledger import JsonObject, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A recorded decision and what its inputs lead to now."""

    record: str
    """The record's id."""
    recorded: str
    """The verdict as recorded, with the codes of its reasons."""
    derived: str
    """The verdict that follows from the recorded inputs."""

    @property
    def same(self) -> bool:
        """Whether they are the same."""
        return self.recorded == self.derived


def replay(record: Record, allowlist: Allowlist | None = None) -> Replayed | None:
    """Derive the verdict of a record again; with ``allowlist``, under its rules instead of the recorded ones.

    None for a record in which nothing was decided. Which other links and connections were rivals stays as it was recorded.

    Raises:
        LedgerBrokenError: where the record's inputs are not what a decision is made from.

    """
    entry = record.entry
    if entry.inputs is None:
        return None
    if "undoes" in entry.body:
        return Replayed(record=entry.id, recorded=TakeBack.__name__, derived=_undoing(entry.inputs))
    if "revoke" in entry.inputs:
        return Replayed(record=entry.id, recorded=Revoke.__name__, derived=_revoking(entry.inputs))
    if "evidence" not in entry.inputs:
        return None
    evidence = from_json(Evidence, entry.inputs["evidence"])
    codes = entry.body.get("codes")
    if not isinstance(codes, list):
        message = f"the record {entry.id} has no codes"
        raise LedgerBrokenError(message)
    if allowlist is not None:
        evidence = under(evidence, allowlist)
    verdict = decide(evidence)
    decision = Decision(evidence=evidence, verdict=verdict, evidence_digest="", number=0)
    return Replayed(
        record=entry.id,
        recorded=_say(str(entry.body.get("verdict")), [str(code) for code in codes]),
        derived=_say(verdict_name(verdict), decision.codes),
    )


def under(evidence: Evidence, allowlist: Allowlist) -> Evidence:
    """The same evidence under another allowlist."""
    if evidence.link is not None:
        rules = allowlist.about(evidence.link.signalr, evidence.target)
    else:
        rules = allowlist.about_target(evidence.target)
    return replace(
        evidence,
        rules=rules,
        paused=allowlist.paused,
        allowlist_problem="",
        allowlist_source=allowlist.source,
        allowlist_digest=allowlist.digest,
    )


def _undoing(inputs: JsonObject) -> str:
    confirmation: Confirmation = judge(
        from_json(Intent, inputs["approval"]),
        from_json(Situation, inputs["situation"]),
        from_json(Looks, inputs["looks"]),
        from_json(Timing, inputs["timing"]),
    )
    match confirmation:
        case TakeBack() | Ended() | Open():
            return type(confirmation).__name__


def _revoking(inputs: JsonObject) -> str:
    return type(judge_revocation(from_json(RevokeEvidence, inputs["revoke"]))).__name__


def _say(verdict: str, codes: list[str] | tuple[str, ...]) -> str:
    return " ".join([verdict, *codes])
