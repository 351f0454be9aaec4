"""One decision as a block of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.core.finding import FindingId, Severity
from shared.core.reason import MARKS
from shared.core.verdict import Strength
from shared.report.escape import clean, shell, value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from shared.core.reason import Reason
    from shared.report.documents import DecisionItem, FindingItem
    from shared.report.page import Page

STRENGTHS: Final = {
    Strength.STRONG: "strong: a signed message, or pinned endpoint subscriptions",
    Strength.WEAK: "weak: a name and a message, which any requester can copy",
}


_HEADLINES: Final = {
    ("approve", None): ("APPROVAL UNANSWERED", "bold yellow"),
    ("approve", "not_written"): ("NOT WRITTEN", "bold yellow"),
    ("approve", "sent"): ("APPROVED, not confirmed yet", "yellow"),
    ("wait", "sent"): ("APPROVED, not confirmed yet", "yellow"),
}
"""By verdict and outcome, where both matter."""
_BY_OUTCOME: Final = {
    "ambiguous": ("AMBIGUOUS", "bold red"),
    "taken_back": ("TAKEN BACK", "bold red"),
    "confirmed": ("APPROVED, confirmed", "green"),
}
_BY_VERDICT: Final = {"hold": ("HELD", "bold red"), "wait": ("WAITING", "yellow")}


def headline(item: DecisionItem, *, dry_run: bool = False) -> tuple[str, str]:
    """What the decision comes to, in a word or two, and the style of it."""
    if item.verdict == "hold":
        return _BY_VERDICT["hold"]
    if item.outcome in _BY_OUTCOME:
        return _BY_OUTCOME[item.outcome]
    if item.verdict == "approve" and item.outcome == "not_written" and (dry_run or _is_observed(item)):
        return "WOULD APPROVE", "bold yellow"
    by_both = _HEADLINES.get((item.verdict, item.outcome))
    return by_both or _BY_VERDICT.get(item.verdict) or (clean(item.state or item.verdict), "")


_AMONG_NEXT: Final = ("linkguard explain ", "linkguard decide ")
"""What a reason tells a person to type that is among the commands to type next already."""


def _is_observed(item: DecisionItem) -> bool:
    return any(reason.code == "observe_only" for reason in item.reasons)


def heading(page: Page, item: DecisionItem, *, critical: bool = False, dry_run: bool = False) -> None:
    """The first line of a block: what it comes to, of which connection, to which target."""
    word, style = headline(item, dry_run=dry_run)
    subject = item.connection or item.link
    parts: list[str | tuple[str, str]] = [(word, style)]
    if critical:
        parts.append(("  critical", "bold red"))
    if subject is not None:
        parts.append(("  " + clean(subject.name), "bold"))
    slot = f" (slot {clean(item.target.slot)})" if item.target.slot else ""
    parts.append(f"  to {clean(item.target.site.name)}{slot}")
    page.line(*parts)


def who(page: Page, item: DecisionItem) -> None:
    """The ids, the rule and what the evidence rests on."""
    page.field("connection", clean(str(item.connection)) if item.connection else "has not come")
    if item.link is not None:
        page.field("link", clean(str(item.link)))
    if item.state:
        page.field("state", clean(item.state))
    if item.rule:
        page.field("rule", clean(item.rule))
    if item.evidence is not None:
        page.field("evidence", STRENGTHS[item.evidence])


def why(page: Page, item: DecisionItem) -> None:
    """Every reason: code, sentence, facts, what would resolve it."""
    for number, reason in enumerate(item.reasons):
        page.said("" if number else "why", f"{reason.code.value}: {clean(reason.message)}", style=_style(reason))
        resolve = "" if reason.resolve.startswith(_AMONG_NEXT) else _typed(reason.resolve, item)
        width = max(map(len, (*reason.facts, "resolve"))) + 2
        for name, text in reason.facts.items():
            page.field("", (clean(name).ljust(width), "dim"), value(text))
        if resolve:
            page.field("", ("resolve".ljust(width), "dim"), clean(resolve))


def _style(reason: Reason) -> str:
    return "" if reason.code in MARKS else "bold"


def _typed(resolve: str, item: DecisionItem) -> str:
    """A command among it with the ids quoted for the shell that it will be pasted into."""
    if item.connection is None or "linkguard " not in resolve:
        return resolve
    return resolve.replace(str(item.connection), shell(str(item.connection)))


def next_commands(page: Page, commands: Iterable[str]) -> None:
    """What to type next, one command a line, never broken."""
    for number, command in enumerate(commands):
        page.field("" if number else "next", (command, "cyan"))


_OF_DECISIONS: Final = frozenset({FindingId.CONNECTION_HELD, FindingId.IMPOSTOR_SUSPECTED})


def is_told(item: FindingItem, shown: Collection[str]) -> bool:
    """Whether a decision's own block tells this finding in full, ``shown`` being the ids of those that have one."""
    return item.id in _OF_DECISIONS and item.facts.get("decision") in shown


def finding(page: Page, item: FindingItem) -> None:
    """A finding as a block."""
    style = "bold red" if item.severity is Severity.CRITICAL else "bold yellow"
    page.line((item.severity.value.upper(), style), ("  " + item.id.value, "bold"))
    page.said("what", clean(item.message))
    if item.target:
        page.field("target", clean(item.target))
    width = max(map(len, item.facts), default=0) + 2
    for number, (name, text) in enumerate(item.facts.items()):
        page.field("" if number else "facts", (clean(name).ljust(width), "dim"), value(text))
