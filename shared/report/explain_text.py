"""An explanation as text: the evidence side by side, every reason, the rules, what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table
from rich.text import Text

from shared.report import decision_text
from shared.report.escape import clean, quote, shorten, value
from shared.report.page import Page
from shared.report.style import PLAIN, Style

if TYPE_CHECKING:
    from shared.report.documents import AllowlistItem, Comparison, ExplainDocument, ExplainedItem

_TABLE_FROM: Final = 80
"""Columns from which on two columns of evidence are readable."""
_QUOTED: Final = frozenset({"name", "message"})
"""What a requester chooses freely."""


def explain_text(document: ExplainDocument, style: Style = PLAIN) -> str:
    """The whole explanation."""
    page = Page(style)
    page.line(("Target", "bold"), f" {clean(str(document.target))}")
    page.line(f"Looked at {document.at.strftime('%Y-%m-%d %H:%M:%S')} UTC, mode {document.mode.value}; nothing was recorded.")
    _allowlist(page, document.allowlist)
    if not document.decisions:
        page.line("It has no connections, and no link of an allowlisted service waits for one.")
    for item in document.decisions:
        page.blank()
        explained(page, item, style)
    shown = {item.decision_id for item in document.decisions}
    for finding in document.findings:
        if not decision_text.is_told(finding, shown):
            page.blank()
            decision_text.finding(page, finding)
    return page.text


def _allowlist(page: Page, allowlist: AllowlistItem) -> None:
    if allowlist.problem:
        page.prose(f"The allowlist cannot be used: {clean(allowlist.problem)}", style="bold red")
    else:
        paused = ", PAUSED" if allowlist.paused else ""
        page.line(f"Allowlist {clean(allowlist.source)}, digest {allowlist.digest[:12]}{paused}")


def explained(page: Page, item: ExplainedItem, style: Style) -> None:
    """One decision."""
    decision_text.heading(page, item)
    decision_text.who(page, item)
    if style.width is not None and style.width >= _TABLE_FROM:
        page.table(_table(item.comparison))
    else:
        page.blank()
        _stacked(page, item.comparison)
        page.blank()
    for name, text in item.facts.items():
        page.field(clean(name), value(text), width=22)
    for rival in item.rivals:
        page.field("fits as well", clean(str(rival.id)), " (vanished within the hour)" if rival.gone else "", width=22)
    decision_text.why(page, item)
    if item.rules:
        page.field("rules", "considered, the most specific first")
        for rule in item.rules:
            for number, line in enumerate(rule.text.splitlines() or [rule.id]):
                page.field(f"line {rule.line + number}", (clean(line), "dim"), indent=4)
    decision_text.next_commands(page, item.next)


def _cell(row: Comparison, text: str | None) -> str:
    if text is None:
        return "-"
    # Letters that look alike are told apart where the two differ.
    differs = row.agrees is False
    return quote(text, ascii_only=differs) if row.what in _QUOTED else clean(shorten(text), ascii_only=differs)


def _judged(row: Comparison) -> tuple[str, str]:
    match row.agrees:
        case True:
            return "agrees", "green"
        case False:
            return "DIFFERS", "bold red"
        case None:
            return "", "dim"


def _table(rows: tuple[Comparison, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("")
    table.add_column("the link says", overflow="fold", ratio=1)
    table.add_column("the connection says", overflow="fold", ratio=1)
    table.add_column("")
    for row in rows:
        word, style = _judged(row)
        table.add_row(Text(row.what), Text(_cell(row, row.link)), Text(_cell(row, row.connection)), Text(word, style))
        if row.note:
            table.add_row("", Text(clean(row.note), "dim"), "", "")
    return table


def _stacked(page: Page, rows: tuple[Comparison, ...]) -> None:
    for row in rows:
        word, style = _judged(row)
        page.field(row.what, (word, style))
        page.field("link", _cell(row, row.link), indent=4)
        page.field("connection", _cell(row, row.connection), indent=4)
        if row.note:
            page.field("note", clean(row.note), indent=4)
