"""A run as somebody reads it who was woken by it: who is there, what happened, what broke, how to see it again."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.run import Outcome
    from tests.simulation.story import RuleSpec, Story
    from tests.simulation.timeline import Line

MEANING: Final = {
    1: "nothing is approved without full, settled evidence at that time",
    2: "no impostor is approved, except by a race that docs/evidence.md names, which ends confirmed, taken back or told",
    3: "a genuine connection is never taken back by slowness alone; a quarantined link is never approved",
    4: "a person's decision stands",
    5: "every write has an intent before it and an outcome after it; chains verify; one decision is one record",
    6: "what is allowed and unambiguous ends approved and confirmed, or is held for a reason that is true",
    7: "every critical finding is there; budgets are kept; nothing but the ledger's fields gets into the ledger",
    8: "nothing is revoked that a brake forbids; what is due is revoked or said why not; every drift is told, no other",
}
"""The invariants by their numbers, as docs/reliability.md has them."""


def tell(outcome: Outcome, *, every_read: bool = False) -> str:
    """The whole run."""
    lines = outcome.timeline.lines
    told = [_line(*line) for line in lines] if every_read else list(_without_reads(lines))
    return "\n".join([*_setting(outcome.story), "", *told, "", *_ending(outcome)])


def _setting(story: Story) -> Iterator[str]:
    clocks = ", ".join(f"worker {number} {skew:+.0f} s" for number, skew in enumerate(story.skews) if skew)
    yield f"seed {story.seed}: {len(story.skews)} worker(s){f', clocks: {clocks}' if clocks else ''}"
    yield (
        f"mode {'enforce' if story.enforce else 'observe'}, a sweep every {story.sweep_every / 60:.0f} min, "
        f"at most {story.per_target} approvals an hour a target and {story.per_hour} in all; "
        f"unconfirmed after {story.deadline / 60:.0f} min: take back by {story.take_back}"
    )
    yield f"faults: {', '.join(fault.value for fault in story.faults) or 'none'}"
    yield from ([f"rule {_rule(spec)}" for spec in story.rules] or ["no rules"])


def _rule(spec: RuleSpec) -> str:
    asked = [
        "signed" if spec.signed else "",
        "pinned" if spec.pinned else "",
        f"message {spec.message!r}" if spec.message is not None else "",
        f"endpoint {spec.template}" if spec.template else "",
        f"until {spec.expires}" if spec.expires else "",
        "exposure accepted" if spec.accept_exposure_change else "",
        "revoke on removal" if spec.on_removal else "",
    ]
    who = "any service" if spec.service is None else f"hub{spec.service}"
    where = "any site" if spec.target is None else f"func{spec.target}"
    return f"{spec.id}: {'deny' if spec.deny else 'allow'} {who} -> {where} {', '.join(filter(None, asked))}".rstrip()


def _without_reads(lines: list[Line]) -> Iterator[str]:
    """Reads in a row, whoever's, are one line: what they read is seldom what it is about."""
    for is_read, group in groupby(lines, key=lambda line: line[2].startswith("reads ")):
        found = list(group)
        if is_read and len(found) > 1:
            names = sorted({who for _, who, _ in found})
            what = sorted({what.removeprefix("reads ") for _, _, what in found})
            yield f"{clock(found[0][0])}  {'':<12} ... until {clock(found[-1][0])}, {', '.join(names)}: read {', '.join(what)}"
        else:
            yield from (_line(*line) for line in found)


def _line(at: float, who: str, what: str) -> str:
    mark = ">>> " if who == "INVARIANT" else ""
    return f"{clock(at)}  {who:<12} {mark}{what}"


def clock(at: float) -> str:
    """Hours, minutes and seconds from the start."""
    minutes, seconds = divmod(at, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{seconds:05.2f}"


def _ending(outcome: Outcome) -> Iterator[str]:
    if not outcome.violations:
        yield f"nothing is broken (digest {outcome.digest})"
        return
    for violation in outcome.violations:
        yield f"broken: {violation}"
    for number in sorted({violation.invariant for violation in outcome.violations}):
        yield f"invariant {number} says: {MEANING[number]}"
