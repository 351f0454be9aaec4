"""A sweep as text: what needs a person first, the worst before the rest, one connection a block."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from shared.core.finding import Severity
from shared.report import decision_text, next_steps
from shared.report.documents import FindingItem
from shared.report.escape import clean
from shared.report.page import Page, count_of
from shared.report.style import PLAIN, Style

if TYPE_CHECKING:
    from shared.report.documents import DecisionItem, SweepDocument


def sweep_text(document: SweepDocument, style: Style = PLAIN) -> str:
    """The whole report."""
    page = Page(style)
    shown = {item.decision_id for item in document.decisions if item.verdict != "settled" or _is_settled_badly(item)}
    others = [one for one in document.findings if not decision_text.is_told(one, shown)]
    told = {one.facts.get("decision"): one for one in document.findings if decision_text.is_told(one, shown)}
    blocks: list[tuple[int, DecisionItem | FindingItem]] = [
        *((0 if one.severity is Severity.CRITICAL else 2, one) for one in others),
        *((_rank(item, told.get(item.decision_id)), item) for item in document.decisions if item.decision_id in shown),
    ]
    blocks.sort(key=lambda block: block[0])
    _header(page, document)
    for _, block in blocks:
        page.blank()
        _block(page, block, told, document)
    page.blank()
    _footer(page, document, len(others))
    return page.text


def _is_settled_badly(item: DecisionItem) -> bool:
    return item.verdict == "settled" and item.outcome in {"ambiguous", "taken_back"}


def _rank(item: DecisionItem, told: FindingItem | None) -> int:
    if told is not None and told.severity is Severity.CRITICAL:
        return 0
    match item.verdict, item.outcome:
        case _, "ambiguous" | "taken_back":
            return 0
        case "hold", _:
            return 1
        case "approve", "not_written" | None:
            return 3
        case "wait", _:
            return 4
        case _:
            return 5


def _header(page: Page, document: SweepDocument) -> None:
    what = "dry run, nothing is recorded or written" if document.dry_run else f"mode {document.mode.value}"
    seconds = (document.finished - document.started).total_seconds()
    page.line(
        ("Sweep", "bold"),
        f" of {document.started.strftime('%Y-%m-%d %H:%M:%S')} UTC, {what}, {seconds:.1f} s: ",
        ("complete", "green") if document.complete else ("NOT COMPLETE", "bold red"),
    )


def _block(page: Page, block: DecisionItem | FindingItem, told: dict[str | None, FindingItem], document: SweepDocument) -> None:
    if isinstance(block, FindingItem):
        decision_text.finding(page, block)
        return
    finding = told.get(block.decision_id)
    critical = finding is not None and finding.severity is Severity.CRITICAL
    decision_text.heading(page, block, critical=critical, dry_run=document.dry_run)
    decision_text.who(page, block)
    decision_text.why(page, block)
    decision_text.next_commands(page, next_steps.after_sweep(block, document.mode, dry_run=document.dry_run))


def _footer(page: Page, document: SweepDocument, others: int) -> None:
    """What a person remembers: the last line on the screen."""
    settled = Counter(item.state or "" for item in document.decisions if item.verdict == "settled")
    if settled:
        counted = ", ".join(f"{count} {clean(state)}" for state, count in sorted(settled.items()))
        page.prose(f"Nothing to decide about: {counted}.")
    told = (item for item in document.decisions if item.verdict != "settled" or _is_settled_badly(item))
    counts = Counter(decision_text.headline(item, dry_run=document.dry_run)[0] for item in told)
    words = [f"{counts[word]} {said}" for word, said in _COUNTED if counts[word]]
    critical = sum(one.severity is Severity.CRITICAL for one in document.findings)
    if critical:
        words.insert(0, f"{critical} critical")
    if others:
        words.append(count_of(others, "other finding"))
    if not document.complete:
        words.insert(0, "not everything could be read")
    page.prose(", ".join(words) + "." if words else "Nothing needs a person.")


_COUNTED: Final = (
    ("AMBIGUOUS", "ambiguous"),
    ("TAKEN BACK", "taken back"),
    ("HELD", "held"),
    ("NOT WRITTEN", "not written"),
    ("APPROVAL UNANSWERED", "unanswered"),
    ("WOULD APPROVE", "would be approved"),
    ("WAITING", "waiting"),
    ("APPROVED, not confirmed yet", "approved and not confirmed yet"),
    ("APPROVED, confirmed", "approved and confirmed"),
)
